//! Adds up rows that follow one another in one series and one bucket of time, so that whoever groups them sees a row for each
//! such run. Rows of segments come in the order of their series and times: a run is then all that a batch has of a group.
//!
//! Rows that a scan of series reads are added up where they are read, one batch after the other: what they take in memory is
//! still near, and only sums go from thread to thread.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{cast, filter_record_batch, max, min, partition, take};
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef, TimestampMicrosecondType};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionMapping;
use datafusion::physical_plan::filter_pushdown::{ChildFilterDescription, FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::StreamExt;
use storage::Sums;

use crate::error::QueryError;
use crate::run_filter::RunFilter;
use crate::series_scan::{Reduction, SeriesScanExec};

/// Adds up runs of the rows of its input, which has the columns that tell runs apart, and then the value.
#[derive(Debug)]
pub(crate) struct SeriesRunsExec {
    input: Arc<dyn ExecutionPlan>,
    runs: Runs,
    properties: Arc<PlanProperties>,
}

/// How rows are added up.
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    /// Bounds of the time that a row of the input has to be within.
    pub(crate) within: Option<Arc<dyn PhysicalExpr>>,
    /// Of a row of the input its buckets.
    pub(crate) buckets: Arc<[Arc<dyn PhysicalExpr>]>,
    /// The columns of the input but the value, and then those of a cell.
    pub(crate) schema: SchemaRef,
}

impl SeriesRunsExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, runs: Runs) -> Result<Self> {
        // Runs come as their first rows do; the columns of the key have the same places.
        let key: Vec<usize> = (0..input.schema().fields().len().saturating_sub(1)).collect();
        let kept = ProjectionMapping::from_indices(&key, &input.schema())?;
        let equivalences = input.equivalence_properties().project(&kept, Arc::clone(&runs.schema));
        let properties = PlanProperties::new(
            equivalences,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self { input, runs, properties: Arc::new(properties) })
    }
}

impl Runs {
    /// The rows within the bounds of time.
    fn kept(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(within) = &self.within else { return Ok(batch) };
        let ends = ends_in_time(&batch)?.map(|ends| within.evaluate(&ends)?.into_array(ends.num_rows())).transpose()?;
        if let Some(ends) = ends
            && as_boolean_array(&ends)?.iter().all(|within| within == Some(true))
        {
            return Ok(batch);
        }
        let kept = within.evaluate(&batch)?.into_array(batch.num_rows())?;
        Ok(filter_record_batch(&batch, as_boolean_array(&kept)?)?)
    }

    fn expressions(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.within.iter().chain(self.buckets.iter())
    }
}

/// Two rows of the least and of the latest time of a batch, and nothing besides: bounds that hold for both hold for all between.
fn ends_in_time(batch: &RecordBatch) -> Result<Option<RecordBatch>> {
    let times = batch.columns().iter().find_map(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let Some((first, last)) =
        times.filter(|times| times.null_count() == 0).and_then(|times| min(times).zip(max(times)))
    else {
        return Ok(None);
    };
    let ends = |column: &ArrayRef| -> ArrayRef {
        match column.data_type() {
            kind @ DataType::Timestamp(..) => {
                Arc::new(TimestampMicrosecondArray::from(vec![first, last]).with_data_type(kind.clone()))
            }
            other => new_null_array(other, 2),
        }
    };
    Ok(Some(RecordBatch::try_new(batch.schema(), batch.columns().iter().map(ends).collect())?))
}

/// The runs of a batch as cells, of those that fulfil `filter` where there is one, and how many rows they are of.
fn added_up(batch: RecordBatch, runs: &Runs, filter: Option<&RunFilter>) -> Result<(RecordBatch, usize), QueryError> {
    let batch = &runs.kept(batch)?;
    let Some((values, key)) = batch.columns().split_last() else {
        return Err(QueryError::Layout("runs of rows without columns".into()));
    };
    let mut begins = vec![false; batch.num_rows()];
    for column in key {
        // Times differ from row to row; what tells runs apart is their bucket.
        if column.as_primitive_opt::<TimestampMicrosecondType>().is_none() {
            mark(&mut begins, column)?;
        }
    }
    for bucket in runs.buckets.iter() {
        mark(&mut begins, &bucket.evaluate(batch)?.into_array(batch.num_rows())?)?;
    }
    if let Some(first) = begins.first_mut() {
        *first = true;
    }
    let mut firsts: Vec<usize> = begins.iter().enumerate().filter(|(_, begins)| **begins).map(|(row, _)| row).collect();
    let mut ends: Vec<usize> = firsts.iter().skip(1).copied().chain([batch.num_rows()]).collect();
    if let Some(filter) = filter {
        let wanted = filter.fulfilled(batch, &firsts)?;
        for places in [&mut firsts, &mut ends] {
            let mut wanted = wanted.iter();
            places.retain(|_| wanted.next().flatten() == Some(true));
        }
    }
    let values = cast(values, &DataType::Float64)?;
    let values = values.as_primitive::<Float64Type>();
    let (mut rows, mut sums) = (Vec::with_capacity(ends.len()), Vec::with_capacity(ends.len()));
    for (&start, &end) in firsts.iter().zip(&ends) {
        rows.push((end - start) as i64);
        sums.push(match values.null_count() {
            0 => Sums::from_iter(values.values().get(start..end).unwrap_or_default().iter().copied()),
            _ => Sums::from_iter((start..end).filter(|&row| values.is_valid(row)).map(|row| values.value(row))),
        });
    }
    let count = firsts.iter().zip(&ends).map(|(start, end)| end - start).sum();
    let firsts: Int64Array = firsts.into_iter().map(|row| row as i64).collect();
    let mut columns: Vec<ArrayRef> = key.iter().map(|column| take(column, &firsts, None)).collect::<Result<_, _>>()?;
    columns.extend(figures(rows, &sums));
    Ok((RecordBatch::try_new(Arc::clone(&runs.schema), columns)?, count))
}

/// The columns of cells that say what their rows add up to.
pub(crate) fn figures(rows: Vec<i64>, sums: &[Sums]) -> [ArrayRef; 5] {
    let values = sums.iter().map(|sums| i64::try_from(sums.values).unwrap_or(i64::MAX));
    let number = |number: fn(&Sums) -> f64| -> ArrayRef {
        Arc::new(sums.iter().map(|sums| (sums.values > 0).then(|| number(sums))).collect::<Float64Array>())
    };
    [
        Arc::new(Int64Array::from(rows)),
        Arc::new(values.collect::<Int64Array>()),
        number(|sums| sums.sum),
        number(|sums| sums.min),
        number(|sums| sums.max),
    ]
}

/// Marks the rows that differ from the one before.
pub(crate) fn mark(begins: &mut [bool], column: &ArrayRef) -> Result<(), QueryError> {
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>().filter(|times| times.null_count() == 0) {
        let later = times.values().get(1..).unwrap_or_default();
        for ((begins, time), before) in begins.iter_mut().skip(1).zip(later).zip(times.values().iter()) {
            *begins |= time != before;
        }
        return Ok(());
    }
    match column.as_string_view_opt() {
        // Texts that are not one view can be the same all the same: that is a run more, and the answer is no other.
        Some(texts) => {
            let later = texts.views().get(1..).unwrap_or_default();
            for ((begins, view), before) in begins.iter_mut().skip(1).zip(later).zip(texts.views().iter()) {
                *begins |= view != before;
            }
            if texts.null_count() > 0 {
                for (row, begins) in begins.iter_mut().enumerate().skip(1) {
                    *begins |= texts.is_null(row) != texts.is_null(row - 1);
                }
            }
        }
        _ => {
            for run in partition(&[Arc::clone(column)])?.ranges() {
                if let Some(begins) = begins.get_mut(run.start) {
                    *begins = true;
                }
            }
        }
    }
    Ok(())
}

impl DisplayAs for SeriesRunsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buckets: Vec<String> = self.runs.buckets.iter().map(ToString::to_string).collect();
        write!(f, "SeriesRunsExec: buckets=[{}]", buckets.join(", "))?;
        self.runs.within.as_ref().map_or(Ok(()), |within| write!(f, ", within={within}"))
    }
}

impl ExecutionPlan for SeriesRunsExec {
    fn name(&self) -> &'static str {
        "SeriesRunsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut recursion = TreeNodeRecursion::Continue;
        for expression in self.runs.expressions() {
            recursion = recursion.visit_sibling(|| f(expression))?;
        }
        Ok(recursion)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| QueryError::Layout("SeriesRunsExec has one input".to_owned()))?;
        Ok(Arc::new(Self::new(input, self.runs.clone())?))
    }

    /// Rows of one run have the same names, so a filter on these can come first. All others stay above.
    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let schema = self.input.schema();
        let is_text = |field: &Field| *field.data_type() == DataType::Utf8View;
        let fields = schema.fields().iter().enumerate();
        let names: HashSet<usize> = fields.filter(|(_, field)| is_text(field)).map(|(index, _)| index).collect();
        let child = ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, names, &self.input)?;
        // Whoever reads whole files skips by it what no row is wanted of; it is asked here all the same. Once is enough.
        let own = self.runs.within.iter().filter(|_| phase == FilterPushdownPhase::Pre);
        let child = child.with_self_filters(own.map(Arc::clone).collect());
        Ok(FilterDescription::new().with_child(child))
    }

    /// At most as many runs as rows: which side of a join is the smaller one hangs on that.
    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let [input] = input_stats {
            statistics.num_rows = input.num_rows.to_inexact();
        }
        Ok(Arc::new(statistics))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let runs = self.runs.clone();
        let add_up = move |batch: RecordBatch, filter: Option<&RunFilter>| added_up(batch, &runs, filter);
        if let Some(scan) = self.input.downcast_ref::<SeriesScanExec>() {
            let reduction = Reduction { schema: self.schema(), reduce: Box::new(add_up) };
            return Ok(scan.stream(partition, &context, Some(reduction)));
        }
        let input = self.input.execute(partition, context)?;
        let cells = input.map(move |batch| Ok(add_up(batch?, None)?.0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), cells)))
    }
}
