//! Adds up rows that follow one another in one series and one bucket of time, so that whoever groups them sees a row for each
//! such run. Rows of segments come in the order of their series and times: a run is then all that a batch has of a group.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::{cast, partition, take};
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef, TimestampMicrosecondType};
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

/// Adds up runs of the rows of its input, which has the columns that tell runs apart, and then the value.
#[derive(Debug)]
pub(crate) struct SeriesRunsExec {
    input: Arc<dyn ExecutionPlan>,
    /// Of a row of the input its buckets.
    buckets: Arc<[Arc<dyn PhysicalExpr>]>,
    properties: Arc<PlanProperties>,
}

impl SeriesRunsExec {
    /// `schema` has the columns but the value, and then those of a cell.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        buckets: Arc<[Arc<dyn PhysicalExpr>]>,
        schema: SchemaRef,
    ) -> Result<Self> {
        // Runs come as their first rows do; the columns of the key have the same places.
        let key: Vec<usize> = (0..input.schema().fields().len().saturating_sub(1)).collect();
        let kept = ProjectionMapping::from_indices(&key, &input.schema())?;
        let equivalences = input.equivalence_properties().project(&kept, schema);
        let properties = PlanProperties::new(
            equivalences,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self { input, buckets, properties: Arc::new(properties) })
    }
}

/// The runs of a batch as cells.
fn added_up(
    batch: &RecordBatch,
    buckets: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
) -> Result<RecordBatch, QueryError> {
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
    for bucket in buckets {
        mark(&mut begins, &bucket.evaluate(batch)?.into_array(batch.num_rows())?)?;
    }
    let later = begins.iter().enumerate().skip(1).filter(|(_, begins)| **begins).map(|(row, _)| row);
    let ends: Vec<usize> = later.chain((!begins.is_empty()).then_some(begins.len())).collect();
    let values = cast(values, &DataType::Float64)?;
    let values = values.as_primitive::<Float64Type>();
    let (mut rows, mut sums) = (Vec::with_capacity(ends.len()), Vec::with_capacity(ends.len()));
    let mut start = 0;
    for &end in &ends {
        rows.push((end - start) as i64);
        sums.push(match values.null_count() {
            0 => Sums::from_iter(values.values().get(start..end).unwrap_or_default().iter().copied()),
            _ => Sums::from_iter((start..end).filter(|&row| values.is_valid(row)).map(|row| values.value(row))),
        });
        start = end;
    }
    let firsts: Int64Array = std::iter::once(0).chain(ends.iter().map(|&end| end as i64)).take(ends.len()).collect();
    let mut columns: Vec<ArrayRef> = key.iter().map(|column| take(column, &firsts, None)).collect::<Result<_, _>>()?;
    columns.extend(figures(rows, &sums));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
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
        let buckets: Vec<String> = self.buckets.iter().map(ToString::to_string).collect();
        write!(f, "SeriesRunsExec: buckets=[{}]", buckets.join(", "))
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
        for bucket in self.buckets.iter() {
            recursion = recursion.visit_sibling(|| f(bucket))?;
        }
        Ok(recursion)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| QueryError::Layout("SeriesRunsExec has one input".to_owned()))?;
        Ok(Arc::new(Self::new(input, Arc::clone(&self.buckets), self.schema())?))
    }

    /// Rows of one run have the same names, so a filter on these can come first. All others stay above.
    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let schema = self.input.schema();
        let is_text = |field: &Field| *field.data_type() == DataType::Utf8View;
        let fields = schema.fields().iter().enumerate();
        let names: HashSet<usize> = fields.filter(|(_, field)| is_text(field)).map(|(index, _)| index).collect();
        let child = ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, names, &self.input)?;
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
        let input = self.input.execute(partition, context)?;
        let (buckets, schema) = (Arc::clone(&self.buckets), self.schema());
        let add_up =
            move |batch: Result<RecordBatch>| -> Result<RecordBatch> { Ok(added_up(&batch?, &buckets, &schema)?) };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), input.map(add_up))))
    }
}
