//! The join: its build side in memory, by key and time; its probe side batch by batch, in its order.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{SortOptions, cast, concat_batches, sort_to_indices, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::{RowConverter, SortField};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, JoinSide, JoinType, NullEquality, Result, ScalarValue};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, DynamicFilterPhysicalExpr, lit};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, PlanProperties,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hashbrown::HashMap;
use tokio::sync::OnceCell;

use super::stretches::Stretches;
use super::{Bound, Condition};
use crate::error::QueryError;

/// What a row of the build side takes besides itself until it can be looked up, bytes, roughly: its bounds, twice.
const ROW_BYTES: usize = 64;
/// What the stretches of a key take besides their rows, bytes, roughly.
const STRETCHES_BYTES: usize = 128;
/// A batch of the answer ends behind the row with which it has so many.
const BATCH_PAIRS: usize = 8_192;

/// Does what a [`HashJoinExec`] would, by stretches of time.
#[derive(Debug)]
pub(super) struct IntervalJoinExec {
    /// The join as it was planned: its sides, keys, columns and order are this one's too.
    join: HashJoinExec,
    condition: Condition,
    /// The build side: one for all partitions, or one for each.
    built: Vec<Arc<OnceCell<Built>>>,
    /// Of each build side that is there, the least and the greatest of its keys.
    spans: Arc<Mutex<Vec<KeySpans>>>,
    metrics: ExecutionPlanMetricsSet,
}

/// Of each key the least and the greatest; none where there is nothing.
type KeySpans = Option<Vec<(ScalarValue, ScalarValue)>>;

/// The build side, ready to be asked.
#[derive(Debug)]
struct Built {
    rows: RecordBatch,
    keys: RowConverter,
    by_key: HashMap<Box<[u8]>, Stretches>,
    /// Where rows that nothing lies in stay: which are not such.
    met: Option<Met>,
    _memory: MemoryReservation,
}

/// Which rows of the build side something was found to lie in.
#[derive(Debug)]
struct Met {
    rows: Mutex<Vec<bool>>,
    /// So many parts of the probe side are still to be read.
    left: AtomicUsize,
}

impl Met {
    fn note(&self, of_build: &UInt32Array) {
        let mut met = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for &row in of_build.values() {
            if let Some(met) = met.get_mut(row as usize) {
                *met = true;
            }
        }
    }

    /// A part of the probe side has ended: after the last one, the rows that nothing lies in.
    fn ended(&self) -> Vec<u32> {
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Vec::new();
        }
        let met = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        met.iter().zip(0..).filter(|(met, _)| !**met).map(|(_, row)| row).collect()
    }
}

impl IntervalJoinExec {
    /// `None` for joins that are none by stretches of time.
    pub(super) fn of(join: &HashJoinExec) -> Option<Self> {
        let is_plain = join.null_equality() == NullEquality::NullEqualsNothing && join.fetch().is_none();
        if !is_plain || !matches!(join.join_type(), JoinType::Inner | JoinType::Left | JoinType::Right) {
            return None;
        }
        let (build, probe) = (join.left().schema(), join.right().schema());
        let same = |(left, right): &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)| {
            let kinds = (left.data_type(&build), right.data_type(&probe));
            // Of floating numbers some are equal whose bytes are not.
            matches!(kinds, (Ok(one), Ok(other)) if one == other && !one.is_floating())
        };
        let condition = Condition::of(join.filter()?, &build, &probe).filter(|_| join.on().iter().all(same))?;
        let sides = match join.partition_mode() {
            PartitionMode::CollectLeft => 1,
            PartitionMode::Partitioned => join.left().output_partitioning().partition_count(),
            PartitionMode::Auto => return None,
        };
        let join = join.builder().build().ok()?;
        Some(Self {
            join,
            condition,
            built: (0..sides).map(|_| Arc::default()).collect(),
            spans: Arc::default(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// The build side of a partition, once it is there.
    fn building(
        &self,
        partition: usize,
        context: &Arc<TaskContext>,
    ) -> Result<impl Future<Output = Result<Arc<OnceCell<Built>>>> + Send + 'static> {
        let side = if self.built.len() == 1 { 0 } else { partition };
        let cell = self.built.get(side).map(Arc::clone);
        let cell = cell.ok_or_else(|| QueryError::Layout(format!("a join without a side {side}")))?;
        let (left, context) = (Arc::clone(self.join.left()), Arc::clone(context));
        let (keys, condition): (Vec<_>, _) =
            (self.join.on().iter().map(|(left, _)| Arc::clone(left)).collect(), self.condition.clone());
        let (announce, spans, sides) = (self.announcement(), Arc::clone(&self.spans), self.built.len());
        let parts = if sides == 1 { self.join.right().output_partitioning().partition_count() } else { 1 };
        let parts = (*self.join.join_type() == JoinType::Left).then_some(parts);
        Ok(async move {
            let built = cell.get_or_try_init(async move || {
                let memory = MemoryConsumer::new("IntervalJoinExec").register(context.memory_pool());
                let schema = left.schema();
                let mut input = left.execute(side, Arc::clone(&context))?;
                let mut batches = Vec::new();
                while let Some(batch) = input.try_next().await? {
                    memory.try_grow(batch.get_array_memory_size())?;
                    batches.push(batch);
                }
                let rows = concat_batches(&schema, &batches)?;
                drop(batches);
                memory.try_grow(rows.num_rows() * ROW_BYTES)?;
                let keys = evaluated(&keys, &rows)?;
                if let Some(announce) = announce {
                    let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
                    spans.push(key_spans(&keys)?);
                    if spans.len() == sides {
                        announce(&spans)?;
                    }
                }
                Built::new(rows, &keys, &condition, parts, memory)
            });
            built.await?;
            Ok(cell)
        })
    }

    /// Tells the scan below the probe side which keys there are, where it wants to know.
    fn announcement(&self) -> Option<impl Fn(&[KeySpans]) -> Result<()> + Send + 'static> {
        let filter = self.join.dynamic_expressions_produced().pop()?;
        let keys: Vec<Arc<dyn PhysicalExpr>> = self.join.on().iter().map(|(_, right)| Arc::clone(right)).collect();
        Some(move |spans: &[KeySpans]| {
            let mut known = spans.iter().flatten().cloned();
            let mut all = known.next();
            for more in known {
                for ((least, greatest), (low, high)) in all.iter_mut().flatten().zip(more) {
                    if low < *least {
                        *least = low;
                    }
                    if high > *greatest {
                        *greatest = high;
                    }
                }
            }
            let within = |key: &Arc<dyn PhysicalExpr>, (least, greatest): (ScalarValue, ScalarValue)| {
                let compared = |operator, bound| -> Arc<dyn PhysicalExpr> {
                    Arc::new(BinaryExpr::new(Arc::clone(key), operator, lit(bound)))
                };
                [compared(Operator::GtEq, least), compared(Operator::LtEq, greatest)]
            };
            let wanted = match all {
                Some(all) => conjunction(keys.iter().zip(all).flat_map(|(key, span)| within(key, span))),
                None => lit(false),
            };
            if let Some(filter) = filter.downcast_ref::<DynamicFilterPhysicalExpr>() {
                filter.update(wanted)?;
                filter.mark_complete();
            }
            Ok(())
        })
    }
}

/// The values of some expressions.
fn evaluated(of: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
    of.iter().map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows())).collect()
}

fn key_spans(keys: &[ArrayRef]) -> Result<KeySpans> {
    let end = |values: &ArrayRef, descending| -> Result<Option<ScalarValue>> {
        let order = SortOptions { descending, nulls_first: false };
        let place = sort_to_indices(values, Some(order), Some(1))?;
        let place = place.iter().flatten().next().map(|place| place as usize);
        let value = place.map(|place| ScalarValue::try_from_array(values, place)).transpose()?;
        Ok(value.filter(|value| !value.is_null()))
    };
    keys.iter().map(|values| Ok(end(values, false)?.zip(end(values, true)?))).collect()
}

/// The moments of a bound's side, microseconds or whatever unit the column has.
fn moments(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<Int64Array> {
    let values = expr.evaluate(rows)?.into_array(rows.num_rows())?;
    Ok(cast(&values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Whether a row has no NULL in any key: nothing equals that.
fn has_key(keys: &[ArrayRef], row: usize) -> bool {
    keys.iter().all(|key| key.is_valid(row))
}

impl Built {
    /// `parts`: of how many the probe side is, where rows that nothing lies in stay.
    fn new(
        rows: RecordBatch,
        keys: &[ArrayRef],
        condition: &Condition,
        parts: Option<usize>,
        memory: MemoryReservation,
    ) -> Result<Self> {
        if u32::try_from(rows.num_rows()).is_err() {
            let message = "a side of a join by time has more than 4 billion rows: narrow it by time or equipment";
            return Err(DataFusionError::ResourcesExhausted(message.to_owned()));
        }
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let named = converter.convert_columns(keys)?;
        let (froms, tos) = (moments(&condition.from.build, &rows)?, moments(&condition.to.build, &rows)?);
        let mut by_key: HashMap<Box<[u8]>, Vec<(i64, i64, u32)>> = HashMap::new();
        for (row, number) in (0..rows.num_rows()).zip(0..).filter(|(row, _)| has_key(keys, *row)) {
            let from = condition.from.first(froms.is_valid(row).then(|| froms.value(row)));
            let to = condition.to.last(tos.is_valid(row).then(|| tos.value(row)));
            let Some((from, to)) = from.zip(to) else { continue };
            let key = named.row(row);
            let key: &[u8] = key.as_ref();
            match by_key.get_mut(key) {
                Some(known) => known.push((from, to, number)),
                None => drop(by_key.insert(key.into(), vec![(from, to, number)])),
            }
        }
        let by_key: HashMap<Box<[u8]>, Stretches> =
            by_key.into_iter().map(|(key, all)| (key, Stretches::new(all))).collect();
        memory.try_grow(by_key.keys().map(|key| key.len() + STRETCHES_BYTES).sum())?;
        let met =
            parts.map(|parts| Met { rows: Mutex::new(vec![false; rows.num_rows()]), left: AtomicUsize::new(parts) });
        Ok(Self { rows, keys: converter, by_key, met, _memory: memory })
    }
}

impl Bound {
    /// The first moment that is not before it; none where nothing is within.
    fn first(&self, bound: Option<i64>) -> Option<i64> {
        match bound {
            Some(bound) if self.strict => bound.checked_add(1),
            None => (self.open == Some(JoinSide::Left)).then_some(i64::MIN),
            bound => bound,
        }
    }

    /// The moment of a row of the probe side; `free` where it has none and that is no bound.
    fn asked(&self, moments: &Int64Array, row: usize, free: i64) -> Option<i64> {
        match moments.is_valid(row) {
            true => Some(moments.value(row)),
            false => (self.open == Some(JoinSide::Right)).then_some(free),
        }
    }

    /// The last moment that is not after it.
    fn last(&self, bound: Option<i64>) -> Option<i64> {
        match bound {
            Some(bound) if self.strict => bound.checked_sub(1),
            None => (self.open == Some(JoinSide::Left)).then_some(i64::MAX),
            bound => bound,
        }
    }
}

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
struct Joining {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    condition: Condition,
    /// Whether rows that lie in no stretch stay.
    keeps_all: bool,
    /// Of all columns of both sides those of the answer.
    columns: Option<Arc<[usize]>>,
    /// The columns of the probe side.
    probe: SchemaRef,
    schema: SchemaRef,
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
fn joined(
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

impl DisplayAs for IntervalJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition { from, to, .. } = &self.condition;
        let on: Vec<String> = self.join.on().iter().map(|(left, right)| format!("{left} = {right}")).collect();
        let sign = |bound: &Bound| if bound.strict { "<" } else { "<=" };
        write!(
            f,
            "IntervalJoinExec: mode={:?}, join_type={:?}, on=[{}], {} {} {} AND {} {} {}",
            self.join.partition_mode(),
            self.join.join_type(),
            on.join(", "),
            from.build,
            sign(from),
            from.probe,
            to.probe,
            sign(to),
            to.build,
        )
    }
}

impl ExecutionPlan for IntervalJoinExec {
    fn name(&self) -> &'static str {
        "IntervalJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.join.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.join.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.join.left(), self.join.right()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.join.apply_expressions(f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let join = self.join.builder().with_new_children(children)?.build()?;
        let join = Self::of(&join).ok_or_else(|| QueryError::Layout("a join by time is none any more".to_owned()))?;
        Ok(Arc::new(join))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let building = self.building(partition, &context)?;
        let probe = self.join.right().execute(partition, context)?;
        let joining = Joining {
            keys: self.join.on().iter().map(|(_, right)| Arc::clone(right)).collect(),
            condition: self.condition.clone(),
            keeps_all: *self.join.join_type() == JoinType::Right,
            columns: self.join.projection.as_ref().map(|columns| columns.iter().copied().collect()),
            probe: self.join.right().schema(),
            schema: self.schema(),
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let joined =
            stream::once(async move { Ok::<_, DataFusionError>(joined(building.await?, probe, joining, metrics)) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), joined.try_flatten())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
