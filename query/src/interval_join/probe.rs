//! The probe side of a join: batch by batch, in its order.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, ready};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{JoinSide, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::{Stream, StreamExt, stream};
use tokio::sync::OnceCell;

use super::Condition;
use super::build::{Built, Met, evaluated, has_key, moments};
use super::stretches::Stretches;

/// A batch of the answer ends behind the row with which it has so many.
const BATCH_PAIRS: usize = 8_192;

/// A batch of the probe side, on its way through.
struct Probing {
    rows: RecordBatch,
    keys: Vec<ArrayRef>,
    named: arrow::row::Rows,
    froms: Int64Array,
    tos: Int64Array,
    /// The first row that is still to come.
    next: usize,
}

/// How batches of the probe side are joined.
#[derive(Debug, Clone)]
pub(super) struct Joining {
    pub(super) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) condition: Condition,
    /// Whether rows that lie in no stretch stay.
    pub(super) keeps_all: bool,
    /// Of all columns of both sides those of the answer.
    pub(super) columns: Option<Arc<[usize]>>,
    /// The columns of the probe side.
    pub(super) probe: SchemaRef,
    pub(super) schema: SchemaRef,
}

impl Joining {
    fn begin(&self, rows: RecordBatch, built: &Built) -> Result<Probing> {
        let keys = evaluated(&self.keys, &rows)?;
        let (froms, tos) = (moments(&self.condition.from.probe, &rows)?, moments(&self.condition.to.probe, &rows)?);
        Ok(Probing { named: built.keys.convert_columns(&keys)?, rows, keys, froms, tos, next: 0 })
    }

    /// The next batch of the answer.
    fn step(&self, probing: &mut Probing, built: &Built) -> Result<RecordBatch> {
        let first = probing.next;
        let (mut of_build, mut of_probe): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        // The stretches of the key of the row before, and where in them it was.
        let mut known: Option<(usize, Option<&Stretches>, usize)> = None;
        while probing.next < probing.rows.num_rows()
            && of_build.len() < BATCH_PAIRS
            && probing.next - first < BATCH_PAIRS
        {
            let row = probing.next;
            probing.next += 1;
            let (from, to) = (&self.condition.from, &self.condition.to);
            let from = from.asked(&probing.froms, row, i64::MAX);
            let to = to.asked(&probing.tos, row, i64::MIN);
            let Some((from, to)) = from.zip(to).filter(|_| has_key(&probing.keys, row)) else { continue };
            let key = probing.named.row(row);
            let same = known.filter(|(before, ..)| probing.named.row(*before) == key);
            let (before, stretches, mut place) = same.unwrap_or_else(|| {
                let key: &[u8] = key.as_ref();
                (row, built.by_key.get(key), 0)
            });
            if let Some(stretches) = stretches {
                stretches.around(from, to, &mut place, &mut of_build);
                of_probe.resize(of_build.len(), u32::try_from(row).unwrap_or(u32::MAX));
            }
            known = Some((before, stretches, place));
        }
        let (mut of_build, mut of_probe) = (UInt32Array::from(of_build), UInt32Array::from(of_probe));
        if let Some(rest) = self.condition.rest.as_ref().filter(|_| !of_build.is_empty()) {
            let columns = rest.column_indices().iter().map(|column| match column.side {
                JoinSide::Left => Ok(take(built.rows.column(column.index), &of_build, None)?),
                _ => Ok(take(probing.rows.column(column.index), &of_probe, None)?),
            });
            let pairs = batch(rest.schema(), columns.collect::<Result<_>>()?, of_build.len())?;
            let fulfilled = rest.expression().evaluate(&pairs)?.into_array(pairs.num_rows())?;
            let fulfilled: BooleanArray =
                as_boolean_array(&fulfilled)?.iter().map(|held| Some(held == Some(true))).collect();
            of_build = arrow::compute::filter(&of_build, &fulfilled)?.as_primitive().clone();
            of_probe = arrow::compute::filter(&of_probe, &fulfilled)?.as_primitive().clone();
        }
        if let Some(met) = &built.met {
            met.note(&of_build);
        }
        if self.keeps_all {
            (of_build, of_probe) = with_all(&of_build, &of_probe, first..probing.next);
        }
        self.pairs(built, &of_build, |place| Ok(take(probing.rows.column(place), &of_probe, None)?))
    }

    /// Rows of the build side that nothing lies in, as rows of the answer.
    fn alone(&self, built: &Built, rows: &[u32]) -> Result<RecordBatch> {
        let nothing = |place: usize| Ok(new_null_array(self.probe.field(place).data_type(), rows.len()));
        self.pairs(built, &UInt32Array::from(rows.to_vec()), nothing)
    }

    /// Rows of the build side, with what `probe` has for each column of the other.
    fn pairs(
        &self,
        built: &Built,
        of_build: &UInt32Array,
        probe: impl Fn(usize) -> Result<ArrayRef>,
    ) -> Result<RecordBatch> {
        let build = built.rows.columns().len();
        let column = |place: usize| -> Result<ArrayRef> {
            match place.checked_sub(build) {
                None => Ok(take(built.rows.column(place), of_build, None)?),
                Some(place) => probe(place),
            }
        };
        let columns: Result<Vec<ArrayRef>> = match &self.columns {
            Some(columns) => columns.iter().map(|&place| column(place)).collect(),
            None => (0..build + self.probe.fields().len()).map(column).collect(),
        };
        batch(&self.schema, columns?, of_build.len())
    }
}

/// The answer, as batches of the probe side come.
pub(super) fn joined(
    cell: Arc<OnceCell<Built>>,
    mut probe: SendableRecordBatchStream,
    joining: Joining,
    metrics: BaselineMetrics,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let mut present: Option<Probing> = None;
    // What nothing lies in, once all is read.
    let mut alone: Option<std::vec::IntoIter<u32>> = None;
    stream::poll_fn(move |cx| {
        let Some(built) = cell.get() else { return Poll::Ready(None) };
        loop {
            if let Some(alone) = &mut alone {
                let rows: Vec<u32> = alone.take(BATCH_PAIRS).collect();
                let found = (!rows.is_empty()).then(|| joining.alone(built, &rows));
                return metrics.record_poll(Poll::Ready(found));
            }
            let Some(probing) = present.as_mut().filter(|probing| probing.next < probing.rows.num_rows()) else {
                match ready!(probe.poll_next_unpin(cx)).map(|rows| joining.begin(rows?, built)) {
                    Some(Ok(next)) => present = Some(next),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => alone = Some(built.met.as_ref().map(Met::ended).unwrap_or_default().into_iter()),
                }
                continue;
            };
            let busy = metrics.elapsed_compute().timer();
            let found = joining.step(probing, built);
            drop(busy);
            if found.as_ref().is_ok_and(|found| found.num_rows() == 0) {
                continue;
            }
            return metrics.record_poll(Poll::Ready(Some(found)));
        }
    })
}

/// Pairs, in the order of the rows of the probe side, with each of `rows` at least once.
fn with_all(of_build: &UInt32Array, of_probe: &UInt32Array, rows: Range<usize>) -> (UInt32Array, UInt32Array) {
    let mut pairs = of_probe.values().iter().zip(of_build.values()).peekable();
    let (mut build, mut probe) = (Vec::new(), Vec::new());
    for row in rows.filter_map(|row| u32::try_from(row).ok()) {
        let before = build.len();
        while let Some((_, found)) = pairs.next_if(|(of, _)| **of == row) {
            build.push(Some(*found));
        }
        if build.len() == before {
            build.push(None);
        }
        probe.resize(build.len(), row);
    }
    (build.into(), probe.into())
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
