//! Rows of some series out of segments whose outlines tell where they lie: only their pages are read, and their names
//! need not be read at all.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringViewArray, TimestampMicrosecondArray, UInt32Array,
    new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use storage::{Segment, TableSpec, with_views};

use crate::error::QueryError;
use crate::scan::key_ordering;
use crate::series_rows::{SeriesRows, series_columns};

/// Fewer rows than this are read by one stream.
const STREAM_ROWS: usize = 1 << 17;
/// With more segments than this that overlap in time, several share a stream, and no order is declared.
const MAX_SORTED_STREAMS: usize = 32;
/// Batches that wait for the reader of a stream.
const BATCHES_AHEAD: usize = 2;
/// Times of more rows than this are not held in memory to find those that are wanted.
const TIMES_AHEAD: usize = 1 << 20;

/// Reads rows of series.
#[derive(Debug)]
pub(crate) struct SeriesScanExec {
    /// What each stream reads, one after another.
    streams: Vec<Arc<[SeriesRows]>>,
    columns: Arc<[Column]>,
    /// The column of the key that holds the time.
    time: Arc<str>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

/// Where a column of the answer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    /// A part of the series' key.
    Name(usize),
    /// A column of the file.
    Stored(String),
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
            equivalences.add_orderings(orderings(spec, &schema, single));
        }
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(streams.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let time = spec.time.map_or("", |time| spec.schema.field(time).name()).into();
        Ok(Self { streams, columns, time, metrics: ExecutionPlanMetricsSet::new(), properties: Arc::new(properties) })
    }

    fn rows(&self, stream: Option<usize>) -> usize {
        let of = |rows: &Arc<[SeriesRows]>| rows.iter().map(SeriesRows::count).sum::<usize>();
        match stream {
            Some(stream) => self.streams.get(stream).map_or(0, of),
            None => self.streams.iter().map(of).sum(),
        }
    }
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
    if apart {
        // From series to series through all segments: one order over all of them.
        rows.sort_by(|one, next| (&one.key, one.segment.min_time).cmp(&(&next.key, next.segment.min_time)));
        let total: usize = rows.iter().map(SeriesRows::count).sum();
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

/// Orders that rows of one stream are in.
fn orderings(spec: &TableSpec, schema: &SchemaRef, single: bool) -> Vec<LexOrdering> {
    let by = |columns: &[usize]| {
        let there = columns.iter().map_while(|&index| col(spec.schema.field(index).name(), schema).ok());
        LexOrdering::new(there.map(|column| PhysicalSortExpr::new(column, key_ordering())))
    };
    let time: Vec<usize> = spec.time.into_iter().collect();
    by(&spec.key).into_iter().chain(single.then(|| by(&time)).flatten()).collect()
}

impl DisplayAs for SeriesScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let series: usize = self.streams.iter().map(|rows| rows.len()).sum();
        write!(f, "SeriesScanExec: streams={}, series={series}, rows={}", self.streams.len(), self.rows(None))
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
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.streams.get(partition).map_or_else(|| Arc::from([]), Arc::clone);
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema(), BATCHES_AHEAD);
        let (batches, metrics) = (stream.tx(), BaselineMetrics::new(&self.metrics, partition));
        let mut reader = Reader {
            schema: self.schema(),
            columns: Arc::clone(&self.columns),
            time: Arc::clone(&self.time),
            batch_rows: context.session_config().batch_size(),
        };
        // Reads files, so it runs off the async threads. It ends when nobody takes its batches any more.
        stream.spawn_blocking(move || {
            let mut rows: &[SeriesRows] = &rows;
            while let Some(first) = rows.first() {
                let count = rows.windows(2).take_while(|pair| continues(pair)).count() + 1;
                let (together, rest) = rows.split_at(count);
                rows = rest;
                let send = |batch: RecordBatch| {
                    metrics.record_output(batch.num_rows());
                    batches.blocking_send(Ok(batch)).is_ok()
                };
                if !reader.read(&first.segment, together, send)? {
                    break;
                }
            }
            metrics.done();
            Ok(())
        });
        Ok(stream.build())
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
        statistics.num_rows = if of_all_times { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        Ok(Arc::new(statistics))
    }
}

/// Whether the second rows of a pair follow the first in the same segment, so that one reader reads both.
fn continues(pair: &[SeriesRows]) -> bool {
    let [one, next] = pair else { return false };
    let (last, first) = (one.ranges.last().map_or(0, |range| range.end), next.ranges.first().map(|range| range.start));
    Arc::ptr_eq(&one.segment, &next.segment) && first.is_none_or(|first| last <= first)
}

struct Reader {
    schema: SchemaRef,
    columns: Arc<[Column]>,
    time: Arc<str>,
    batch_rows: usize,
}

/// Rows as they come: their names, and their times where these are known already.
struct Coming<'a> {
    names: Names<'a>,
    times: Option<Vec<i64>>,
    given: usize,
}

impl Reader {
    /// Reads rows of one segment; false where `send` is refused.
    fn read(
        &mut self,
        segment: &Segment,
        rows: &[SeriesRows],
        mut send: impl FnMut(RecordBatch) -> bool,
    ) -> Result<bool, QueryError> {
        let at_times = rows.iter().any(|rows| !rows.times.is_empty());
        let (rows, times) = if at_times && rows.iter().map(SeriesRows::count).sum::<usize>() <= TIMES_AHEAD {
            let (rows, times) = self.at_their_times(segment, rows)?;
            (Cow::Owned(rows), Some(times))
        } else {
            (Cow::Borrowed(rows), None)
        };
        let stored = self.columns.iter().filter_map(|column| match column {
            Column::Stored(name) if times.is_none() || **name != *self.time => Some(name.as_str()),
            Column::Stored(_) | Column::Name(_) => None,
        });
        let stored: Vec<&str> = stored.collect();
        let total: usize = rows.iter().map(SeriesRows::count).sum();
        let mut coming = Coming { names: Names::new(&rows), times, given: 0 };
        if stored.is_empty() {
            for start in (0..total).step_by(self.batch_rows) {
                let batch = self.batch(None, self.batch_rows.min(total - start), &mut coming)?;
                if !send(batch) {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if total == 0 {
            return Ok(true);
        }
        for batch in segment.rows_in(ranges(&rows).into_iter(), &stored, self.batch_rows)? {
            let batch = batch.map_err(|error| unreadable(segment, &error))?;
            if !send(self.batch(Some(&batch), batch.num_rows(), &mut coming)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows that are of the wanted times, and these. Rows of a series are in the order of time.
    fn at_their_times(
        &self,
        segment: &Segment,
        rows: &[SeriesRows],
    ) -> Result<(Vec<SeriesRows>, Vec<i64>), QueryError> {
        let read = segment.rows_in(ranges(rows).into_iter(), &[&self.time], self.batch_rows)?;
        let read = read.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(segment, &error))?;
        let mut times: Vec<i64> = Vec::with_capacity(rows.iter().map(SeriesRows::count).sum());
        for batch in &read {
            match batch.column(0).as_primitive_opt::<TimestampMicrosecondType>() {
                Some(column) => times.extend(column.values()),
                None => return Err(unreadable(segment, &"its times are none")),
            }
        }
        let (mut found, mut kept, mut start): (Vec<SeriesRows>, Vec<i64>, usize) = Default::default();
        for rows in rows {
            let mut narrowed: Vec<Range<usize>> = Vec::new();
            for range in &rows.ranges {
                let here = times.get(start..start + range.len()).unwrap_or_default();
                start += range.len();
                let all = [(i64::MIN, i64::MAX)];
                for (from, to) in if rows.times.is_empty() { &all } else { rows.times.as_slice() } {
                    let low = here.partition_point(|time| time < from);
                    let high = here.partition_point(|time| time <= to);
                    if low < high {
                        narrowed.push(range.start + low..range.start + high);
                        kept.extend(here.get(low..high).unwrap_or_default());
                    }
                }
            }
            if !narrowed.is_empty() {
                found.push(SeriesRows { ranges: narrowed, times: Vec::new(), ..rows.clone() });
            }
        }
        Ok((found, kept))
    }

    /// The next rows: what was read of them, and what is known besides.
    fn batch(
        &self,
        stored: Option<&RecordBatch>,
        count: usize,
        coming: &mut Coming<'_>,
    ) -> Result<RecordBatch, QueryError> {
        let places = coming.names.next(count);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            columns.push(match (column, &coming.times) {
                (Column::Name(part), _) => coming.names.column(*part, &places)?,
                (Column::Stored(name), Some(times)) if **name == *self.time => {
                    // A copy: whoever counts the memory of a batch counts all of what it is a part of.
                    let times = times.get(coming.given..coming.given + count).unwrap_or_default();
                    Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC"))
                }
                (Column::Stored(name), _) => match stored.and_then(|batch| batch.column_by_name(name)) {
                    Some(values) if values.data_type() == field.data_type() => Arc::clone(values),
                    Some(values) => cast(values, field.data_type())?,
                    // The file is older than the column.
                    None => new_null_array(field.data_type(), count),
                },
            });
        }
        coming.given += count;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

fn ranges(rows: &[SeriesRows]) -> Vec<Range<usize>> {
    rows.iter().flat_map(|rows| rows.ranges.iter().cloned()).collect()
}

fn unreadable(segment: &Segment, error: &dyn fmt::Display) -> QueryError {
    QueryError::Unreadable { path: segment.path.clone(), message: error.to_string() }
}

/// The names of rows, as these come.
struct Names<'a> {
    rows: &'a [SeriesRows],
    /// Values of a part of the key, one for each of `rows`; made when first asked for.
    parts: Vec<Option<ArrayRef>>,
    /// The rows that come next are of this series …
    series: usize,
    /// … of which so many were given.
    given: usize,
}

impl<'a> Names<'a> {
    fn new(rows: &'a [SeriesRows]) -> Self {
        let parts = rows.first().map_or(0, |rows| rows.key.len());
        Self { rows, parts: vec![None; parts], series: 0, given: 0 }
    }

    /// For each of the next `count` rows: the place of its series.
    fn next(&mut self, count: usize) -> UInt32Array {
        let mut places: Vec<u32> = Vec::with_capacity(count);
        while places.len() < count
            && let Some(rows) = self.rows.get(self.series)
        {
            let left = rows.count() - self.given;
            let now = left.min(count - places.len());
            places.resize(places.len() + now, u32::try_from(self.series).unwrap_or(u32::MAX));
            self.given += now;
            if now == left {
                (self.series, self.given) = (self.series + 1, 0);
            }
        }
        places.into()
    }

    fn column(&mut self, part: usize, places: &UInt32Array) -> Result<ArrayRef, QueryError> {
        let Some(known) = self.parts.get_mut(part) else {
            return Err(QueryError::Layout("a series without a part of its key".to_owned()));
        };
        let values = known.get_or_insert_with(|| {
            let values = self.rows.iter().map(|rows| rows.key.get(part).and_then(Option::as_deref));
            Arc::new(values.collect::<StringViewArray>())
        });
        Ok(take(values, places, None)?)
    }
}
