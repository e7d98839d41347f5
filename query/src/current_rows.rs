//! Leaves out the rows of a segment that newer rows have superseded.

use std::sync::Arc;

use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::StreamExt;
use storage::KeySet;

use crate::error::QueryError;

/// Passes the rows of its input whose key is not superseded; the input carries the key columns.
#[derive(Debug)]
pub(crate) struct CurrentRowsExec {
    input: Arc<dyn ExecutionPlan>,
    dead: Arc<KeySet>,
    /// Memory that is the statement's own, counted as long as the plan is there.
    held: Option<Arc<MemoryReservation>>,
    properties: Arc<PlanProperties>,
}

impl CurrentRowsExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, dead: Arc<KeySet>) -> Self {
        let properties = PlanProperties::new(
            input.equivalence_properties().clone(),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, dead, held: None, properties: Arc::new(properties) }
    }

    /// The same, which holds on to what counts the memory of the keys.
    pub(crate) fn holding(self, held: Arc<MemoryReservation>) -> Self {
        Self { held: Some(held), ..self }
    }
}

impl DisplayAs for CurrentRowsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CurrentRowsExec")
    }
}

impl ExecutionPlan for CurrentRowsExec {
    fn name(&self) -> &'static str {
        "CurrentRowsExec"
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
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| QueryError::Layout("CurrentRowsExec has one input".to_owned()))?;
        Ok(Arc::new(Self { held: self.held.clone(), ..Self::new(input, Arc::clone(&self.dead)) }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let dead = Arc::clone(&self.dead);
        let current = move |batch: Result<RecordBatch>| -> Result<RecordBatch> {
            let batch = batch?;
            let keep = dead.filter(&batch).map_err(QueryError::from)?;
            Ok(filter_record_batch(&batch, &keep)?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), input.map(current))))
    }

    /// Row filters commute.
    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }
}
