//! Rows of some series out of segments whose outlines tell where they lie: only their pages are read, and their names
//! need not be read at all.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringViewArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column as PhysicalColumn, col};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{
    AcrossPartitions, ConstExpr, EquivalenceProperties, Partitioning, PhysicalExpr, conjunction,
};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;
use storage::{TableSpec, with_views};

use crate::error::QueryError;
use crate::run_filter::RunFilter;
use crate::scan::{MAX_SORTED_STREAMS, ordering};
use crate::series_reader::{Column, SeriesReader};
use crate::series_rows::{SeriesRows, series_columns};

/// Fewer rows than this are read by one stream.
const STREAM_ROWS: usize = 1 << 17;
/// Rows of a series in a segment on average, and series of segments, from which on it is worth to read series by series
/// through all segments: pages that hold several series are read once for each of them.
const ROWS_OF_SERIES: usize = 4_096;
const FEW_SERIES: usize = 256;
/// Batches that a stream reads at a time, and so holds, at most, and all streams together.
const MOST_BATCHES: usize = 8;
const BATCHES_TOGETHER: usize = 64;
/// The same where of each batch only is held what it comes to.
const MOST_BATCHES_REDUCED: usize = 32;

/// What batches come to where they are read.
pub(crate) struct Reduction {
    pub(crate) schema: SchemaRef,
    /// Of rows, and what they have to fulfil besides: that is asked of each run of them once. Tells how many do.
    pub(crate) reduce: Box<dyn Fn(RecordBatch, Option<&RunFilter>) -> Result<(RecordBatch, usize), QueryError> + Send>,
}

/// A stream as it is read.
struct Reading {
    reader: SeriesReader,
    filter: Option<RunFilter>,
    reduction: Option<Reduction>,
    metrics: BaselineMetrics,
}

impl Reading {
    /// What is left of the next `count` batches of rows, or what they come to as one, with about `most` rows where it comes to many;
    /// `None` after the last rows.
    fn next_batches(&mut self, count: usize, most: usize) -> Result<Option<Vec<RecordBatch>>, QueryError> {
        let (mut batches, mut held) = (Vec::new(), 0);
        for step in 0..count {
            let Some(batch) = self.reader.next_batch()? else {
                if step == 0 {
                    return Ok(None);
                }
                break;
            };
            let (batch, rows) = match (&self.reduction, &self.filter) {
                (Some(reduction), filter) => (reduction.reduce)(batch, filter.as_ref())?,
                (None, Some(filter)) => counted(filter.kept(batch)?),
                (None, None) => counted(batch),
            };
            self.metrics.record_output(rows);
            held += batch.num_rows();
            if batch.num_rows() > 0 {
                batches.push(batch);
            }
            if self.reduction.is_some() && held >= most {
                break;
            }
        }
        Ok(Some(match &self.reduction {
            Some(reduction) if batches.len() > 1 => vec![concat_batches(&reduction.schema, &batches)?],
            _ => batches,
        }))
    }
}

fn counted(batch: RecordBatch) -> (RecordBatch, usize) {
    let rows = batch.num_rows();
    (batch, rows)
}

/// Reads rows of series.
#[derive(Debug)]
pub(crate) struct SeriesScanExec {
    /// What each stream reads, one after another.
    streams: Vec<Arc<[SeriesRows]>>,
    columns: Arc<[Column]>,
    /// The column of the key that holds the time.
    time: Arc<str>,
    /// What rows have to fulfil, as far as it is asked here: it is known when they are read.
    filter: Option<RunFilter>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl SeriesScanExec {
    /// Reads `rows`, which are in the order of their segments, by at most so many streams.
    pub(crate) fn new(spec: &TableSpec, rows: Vec<SeriesRows>, columns: &[usize], streams: usize) -> Result<Self> {
        let schema = Arc::new(with_views(&spec.schema).project(columns)?);
        let parts: Vec<&str> = series_columns(spec).collect();
        let columns = schema.fields().iter().map(|field| {
            let part = parts.iter().position(|part| part == field.name());
            part.map_or_else(|| Column::Stored(field.name().clone()), Column::Name)
        });
        let columns: Arc<[Column]> = columns.collect();
        let single = rows.windows(2).all(|pair| matches!(pair, [one, next] if one.key == next.key));
        let (streams, sorted) = arranged(rows, streams);
        let mut equivalences = EquivalenceProperties::new(Arc::clone(&schema));
        if sorted {
            // The series of a segment follow one another.
            let of_one = |one: &SeriesRows, next: &SeriesRows| Arc::ptr_eq(&one.segment, &next.segment);
            let of_segments = || streams.iter().flat_map(|rows| rows.chunk_by(of_one)).filter_map(|rows| rows.first());
            let has_null = |name: &str| of_segments().any(|rows| rows.segment.nulls(name) != Some(0));
            equivalences.add_orderings(ordering(spec, &spec.key, &schema, has_null));
            if let (true, Some(time)) = (single, spec.time) {
                equivalences.add_orderings(ordering(spec, &[time], &schema, has_null));
            }
        }
        equivalences.add_constants(constants(&streams, &columns, &schema))?;
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(streams.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        // Each batch is waited for.
        .with_scheduling_type(SchedulingType::Cooperative);
        let time = spec.time.map_or("", |time| spec.schema.field(time).name()).into();
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { streams, columns, time, filter: None, metrics, properties: Arc::new(properties) })
    }

    /// What is left of it where filters on names leave only some series: which filters these are, and the scan, where there
    /// are any.
    fn of_names(&self, filters: &[&Arc<dyn PhysicalExpr>]) -> Result<(Vec<bool>, Option<Self>)> {
        let is_name = |column: &PhysicalColumn| matches!(self.columns.get(column.index()), Some(Column::Name(_)));
        let on_names = |filter: &&Arc<dyn PhysicalExpr>| {
            let columns = collect_columns(filter);
            !columns.is_empty() && columns.iter().all(is_name) && !is_volatile(filter)
        };
        let batches: Vec<RecordBatch> = self.streams.iter().map(|rows| self.names_of(rows)).collect::<Result<_>>()?;
        let mut kept: Vec<Vec<bool>> = batches.iter().map(|batch| vec![true; batch.num_rows()]).collect();
        let mut decided = vec![false; filters.len()];
        for (filter, decided) in filters.iter().zip(&mut decided).filter(|(filter, _)| on_names(filter)) {
            let evaluate = |batch: &RecordBatch| -> Result<BooleanArray> {
                let found = filter.evaluate(batch)?.into_array(batch.num_rows())?;
                Ok(as_boolean_array(&found)?.clone())
            };
            // What cannot be told yet, or not of every series, is asked of the rows: a subquery, a cast that fails.
            let Ok(found) = batches.iter().map(evaluate).collect::<Result<Vec<_>>>() else { continue };
            for (kept, found) in kept.iter_mut().zip(&found) {
                kept.iter_mut().zip(found).for_each(|(kept, found)| *kept &= found == Some(true));
            }
            *decided = true;
        }
        if !decided.contains(&true) {
            return Ok((decided, None));
        }
        let left = |(rows, kept): (&Arc<[SeriesRows]>, Vec<bool>)| {
            let rows = rows.iter().zip(kept).filter(|(_, kept)| *kept).map(|(rows, _)| rows.clone());
            rows.collect::<Arc<[SeriesRows]>>()
        };
        let streams: Vec<_> = self.streams.iter().zip(kept).map(left).collect();
        let mut properties = self.properties.as_ref().clone();
        properties.eq_properties.add_constants(constants(&streams, &self.columns, &self.schema()))?;
        let scan = Self {
            streams,
            columns: Arc::clone(&self.columns),
            time: Arc::clone(&self.time),
            filter: self.filter.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
            properties: Arc::new(properties),
        };
        Ok((decided, Some(scan)))
    }

    /// The scan with those filters on texts asked run by run: which these are, and the scan, where there are any.
    fn of_runs(&self, filters: &[&Arc<dyn PhysicalExpr>]) -> (Vec<bool>, Option<Self>) {
        let schema = self.schema();
        let of_runs: Vec<bool> = filters.iter().map(|filter| RunFilter::new(filter, &schema).is_some()).collect();
        let known = self.filter.as_ref().map(|known| Arc::clone(known.expr()));
        let more = filters.iter().zip(&of_runs).filter(|(_, of_runs)| **of_runs).map(|(filter, _)| Arc::clone(filter));
        let all = conjunction(known.into_iter().chain(more));
        let filter = of_runs.contains(&true).then(|| RunFilter::new(&all, &schema)).flatten();
        let scan = filter.map(|filter| Self {
            streams: self.streams.clone(),
            columns: Arc::clone(&self.columns),
            time: Arc::clone(&self.time),
            filter: Some(filter),
            metrics: ExecutionPlanMetricsSet::new(),
            properties: Arc::clone(&self.properties),
        });
        (of_runs, scan)
    }

    /// The rows of one stream, or what they come to where they are read.
    pub(crate) fn stream(
        &self,
        partition: usize,
        context: &TaskContext,
        reduction: Option<Reduction>,
    ) -> SendableRecordBatchStream {
        let rows = self.streams.get(partition).map_or_else(|| Arc::from([]), Arc::clone);
        let batch_rows = context.session_config().batch_size();
        let (columns, time) = (Arc::clone(&self.columns), Arc::clone(&self.time));
        let reader = SeriesReader::new(rows, self.schema(), columns, time, batch_rows, self.filter.clone());
        let most = match &reduction {
            Some(_) => MOST_BATCHES_REDUCED,
            None => (BATCHES_TOGETHER / self.streams.len().max(1)).clamp(1, MOST_BATCHES),
        };
        let schema = reduction.as_ref().map_or_else(|| self.schema(), |reduction| Arc::clone(&reduction.schema));
        let reading = Reading {
            reader,
            filter: self.filter.clone(),
            reduction,
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        // Reads files, so it runs off the async threads: some batches at a time, so that none of those threads waits for whoever
        // takes them. To wake another thread takes as long as to read a page, so whoever goes on taking is given more at a time.
        let chunks = futures::stream::try_unfold((reading, 1), move |(mut reading, count)| async move {
            let read = tokio::task::spawn_blocking(move || (reading.next_batches(count, batch_rows), reading)).await;
            let (batches, reading) = read.map_err(|error| QueryError::Execution(error.to_string()))?;
            let next = (reading, (2 * count).min(most));
            let chunk = batches?.map(|batches| futures::stream::iter(batches.into_iter().map(Ok)));
            Ok::<_, DataFusionError>(chunk.zip(Some(next)))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, chunks.try_flatten()))
    }

    /// Of each series a row with its names; nothing is said of other columns.
    fn names_of(&self, rows: &[SeriesRows]) -> Result<RecordBatch> {
        let schema = self.schema();
        let columns = self.columns.iter().zip(schema.fields()).map(|(column, field)| match column {
            Column::Name(part) => names(rows, *part),
            Column::Stored(_) => new_null_array(field.data_type(), rows.len()),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns.collect(), &options)?)
    }

    fn rows(&self, stream: Option<usize>) -> usize {
        let of = |rows: &Arc<[SeriesRows]>| rows.iter().map(SeriesRows::count).sum::<usize>();
        match stream {
            Some(stream) => self.streams.get(stream).map_or(0, of),
            None => self.streams.iter().map(of).sum(),
        }
    }
}

/// The names that are the same in all rows.
fn constants(streams: &[Arc<[SeriesRows]>], columns: &[Column], schema: &SchemaRef) -> Vec<ConstExpr> {
    let same = |part: usize| {
        let mut all = streams.iter().flat_map(|rows| rows.iter()).map(|rows| rows.key.get(part));
        all.next().is_none_or(|first| all.all(|other| other == first))
    };
    let constant = |(column, field): (&Column, &Arc<Field>)| match column {
        Column::Name(part) if same(*part) => {
            let column = col(field.name(), schema).ok()?;
            Some(ConstExpr::new(column, AcrossPartitions::Uniform(None)))
        }
        Column::Name(_) | Column::Stored(_) => None,
    };
    columns.iter().zip(schema.fields()).filter_map(constant).collect()
}

/// One part of the key of each of some series.
fn names(rows: &[SeriesRows], part: usize) -> ArrayRef {
    let part = |rows: &SeriesRows| rows.key.get(part).cloned().flatten();
    Arc::new(rows.iter().map(part).collect::<StringViewArray>())
}

/// Deals rows out to streams; whether each of them then gives its rows in key order.
fn arranged(mut rows: Vec<SeriesRows>, streams: usize) -> (Vec<Arc<[SeriesRows]>>, bool) {
    let mut spans: Vec<(i64, i64)> = rows
        .chunk_by(|one, next| Arc::ptr_eq(&one.segment, &next.segment))
        .filter_map(|of_segment| of_segment.first())
        .filter_map(|rows| rows.segment.min_time.zip(rows.segment.max_time))
        .collect();
    spans.sort_unstable();
    let apart = spans.windows(2).all(|pair| matches!(pair, [one, next] if one.1 < next.0));
    let total: usize = rows.iter().map(SeriesRows::count).sum();
    if apart && (spans.len() <= 1 || rows.len() <= FEW_SERIES || total >= rows.len() * ROWS_OF_SERIES) {
        // From series to series through all segments: one order over all of them.
        rows.sort_by(|one, next| (&one.key, one.segment.min_time).cmp(&(&next.key, next.segment.min_time)));
        let streams = streams.min(total.div_ceil(STREAM_ROWS)).max(1);
        return (dealt(rows, total.div_ceil(streams)), true);
    }
    let of_segments: Vec<Vec<SeriesRows>> =
        rows.chunk_by(|one, next| Arc::ptr_eq(&one.segment, &next.segment)).map(<[SeriesRows]>::to_vec).collect();
    let sorted = of_segments.len() <= MAX_SORTED_STREAMS;
    let shared = of_segments.len().div_ceil(MAX_SORTED_STREAMS);
    (of_segments.chunks(shared).map(|segments| segments.concat().into()).collect(), sorted)
}

/// Cuts rows into parts of about so many each.
fn dealt(rows: Vec<SeriesRows>, count: usize) -> Vec<Arc<[SeriesRows]>> {
    let (mut parts, mut part, mut held) = (Vec::new(), Vec::new(), 0);
    for rows in rows {
        held += rows.count();
        part.push(rows);
        if held >= count {
            parts.push(std::mem::take(&mut part).into());
            held = 0;
        }
    }
    if !part.is_empty() || parts.is_empty() {
        parts.push(part.into());
    }
    parts
}

impl DisplayAs for SeriesScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let series: usize = self.streams.iter().map(|rows| rows.len()).sum();
        write!(f, "SeriesScanExec: streams={}, series={series}, rows={}", self.streams.len(), self.rows(None))?;
        match &self.filter {
            Some(filter) => write!(f, ", filter={}", filter.expr()),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for SeriesScanExec {
    fn name(&self) -> &'static str {
        "SeriesScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.filter.as_ref().map_or(Ok(TreeNodeRecursion::Continue), |filter| f(filter.expr()))
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(self.stream(partition, &context, None))
    }

    /// Filters on names are decided here, series by series instead of row by row; those that change while the plan runs, as a
    /// join's do, are asked run by run.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let filters: Vec<_> = child_pushdown_result.parent_filters.iter().map(|found| &found.filter).collect();
        let (decided, scan) = match phase {
            FilterPushdownPhase::Pre => self.of_names(&filters)?,
            FilterPushdownPhase::Post => self.of_runs(&filters),
        };
        let decided = decided.into_iter().map(|decided| if decided { PushedDown::Yes } else { PushedDown::No });
        let propagation = FilterPushdownPropagation::with_parent_pushdown_result(decided.collect());
        Ok(match scan {
            Some(scan) => propagation.with_updated_node(Arc::new(scan) as Arc<dyn ExecutionPlan>),
            None => propagation,
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        let of_all_times = self.streams.iter().flat_map(|rows| rows.iter()).all(|rows| rows.times.is_empty());
        let rows = self.rows(args.partition());
        statistics.num_rows =
            if of_all_times && self.filter.is_none() { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        Ok(Arc::new(statistics))
    }
}
