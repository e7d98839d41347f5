//! Columns that say what a value was, or would have been, where a row has none.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, UInt32Array};
use arrow::compute::{concat, is_null, take};
use arrow::datatypes::{Float64Type, SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::physical_expr::PhysicalExpr;

use super::calls::Call;
use super::line::{Column, Held, Line, Waiting};
use super::series::{Series, runs};

/// What a column is of.
pub(super) type Carried = (Call, Arc<dyn PhysicalExpr>);

/// Takes sorted rows and gives them back with a column for each call. Rows of a gap that a line goes through wait for its
/// end.
#[derive(Debug)]
pub(super) struct Carry {
    schema: SchemaRef,
    series: Series,
    columns: Vec<(Arc<dyn PhysicalExpr>, State)>,
    /// What tells the series of the last row from others.
    last: Option<Vec<ArrayRef>>,
    waiting: Waiting,
    bytes: usize,
    /// No more rows will come.
    finished: bool,
}

#[derive(Debug)]
enum State {
    /// The last value of the series, as a column of one row.
    Locf(Option<ArrayRef>),
    Line(Line),
}

impl Carry {
    pub(super) fn new(schema: SchemaRef, series: Series, carried: &[Carried]) -> Self {
        let columns = carried.iter().enumerate().map(|(place, (call, value))| {
            let state = if *call == Call::Interpolate { State::Line(Line::new(place)) } else { State::Locf(None) };
            (Arc::clone(value), state)
        });
        let columns = columns.collect();
        Self { schema, series, columns, last: None, waiting: Waiting::default(), bytes: 0, finished: false }
    }

    /// Bytes of what is held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Takes rows.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let times = batch.column(self.series.time).as_primitive::<TimestampMicrosecondType>().clone();
        let mut tellers = self.series.key_columns(&batch);
        // What has no time is in no order with the others.
        tellers.push(Arc::new(is_null(&times)?));
        let goes_on = self.goes_on(&tellers)?;
        let runs = runs(&tellers, batch.num_rows())?;
        let last = tellers.iter().map(|teller| teller.slice(batch.num_rows() - 1, 1));
        self.last = Some(last.collect());

        let mut columns = Vec::with_capacity(self.columns.len());
        let mut bytes = get_record_batch_memory_size(&batch);
        for (value, state) in &mut self.columns {
            let values = value.evaluate(&batch)?.into_array(batch.num_rows())?;
            columns.push(match state {
                State::Locf(last) => Column::Done(carried(last, &values, &runs, goes_on)?),
                State::Line(_) => Column::Drawn(values.as_primitive::<Float64Type>().iter().collect()),
            });
            bytes += match columns.last() {
                Some(Column::Drawn(values)) => size_of_val(values.as_slice()),
                Some(Column::Done(values)) => values.get_array_memory_size(),
                None => 0,
            };
        }
        self.bytes += bytes;
        self.waiting.push(Held { batch, times, columns, bytes });
        for line in lines(&mut self.columns) {
            for (place, run) in runs.iter().enumerate() {
                if place > 0 || !goes_on {
                    line.end();
                }
                line.pass(&mut self.waiting, run.clone());
            }
        }
        Ok(())
    }

    /// Whether these rows begin with the series that the last ones ended with.
    fn goes_on(&self, tellers: &[ArrayRef]) -> Result<bool> {
        let Some(last) = &self.last else { return Ok(false) };
        let pairs = last.iter().zip(tellers).map(|(last, next)| concat(&[last, &next.slice(0, 1)]));
        Ok(runs(&pairs.collect::<Result<Vec<_>, _>>()?, 2)?.len() == 1)
    }

    /// The next rows; none where more input is needed, or at the end.
    pub(super) fn batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.finished {
            lines(&mut self.columns).for_each(Line::end);
        }
        let Some(held) = self.waiting.pop(lines(&mut self.columns).map(|line| &*line)) else { return Ok(None) };
        self.bytes -= held.bytes;
        let added = held.columns.into_iter().map(|column| match column {
            Column::Done(values) => values,
            Column::Drawn(values) => Arc::new(Float64Array::from(values)),
        });
        let columns = held.batch.columns().iter().cloned().chain(added).collect();
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

fn lines(columns: &mut [(Arc<dyn PhysicalExpr>, State)]) -> impl Iterator<Item = &mut Line> {
    columns.iter_mut().filter_map(|(_, state)| match state {
        State::Line(line) => Some(line),
        State::Locf(_) => None,
    })
}

/// The values with the last one of the series in the place of each NULL. `last` is the one before these rows, which counts
/// where the first series `goes_on`; then it is the one of the last row.
fn carried(last: &mut Option<ArrayRef>, values: &ArrayRef, runs: &[Range<usize>], goes_on: bool) -> Result<ArrayRef> {
    let before = last.take().filter(|_| goes_on);
    let (source, shift) = match &before {
        Some(before) => (concat(&[before, values])?, 1),
        None => (Arc::clone(values), 0),
    };
    let nulls = values.logical_nulls();
    let is_valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let mut latest = before.map(|_| 0);
    let mut places: Vec<Option<u32>> = Vec::with_capacity(values.len());
    for (place, run) in runs.iter().enumerate() {
        if place > 0 {
            latest = None;
        }
        for row in run.clone() {
            if is_valid(row) {
                latest = Some((row + shift) as u32);
            }
            places.push(latest);
        }
    }
    let one = latest.map(|latest| take(&source, &UInt32Array::from(vec![latest]), None)).transpose()?;
    *last = one;
    Ok(take(&source, &UInt32Array::from(places), None)?)
}
