//! The two steps as operators of a physical plan.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, PlanProperties,
};
use futures::{StreamExt, stream};

use super::carry::{Carried, Carry};
use super::padding::{Grid, Padding};
use super::series::Series;
use crate::error::QueryError;

/// What an operator does with the rows of each series.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Adds rows of empty buckets.
    Pad(Grid),
    /// Adds columns.
    Carry(Arc<[Carried]>),
}

/// Goes through rows sorted by series and bucket.
#[derive(Debug)]
pub(super) struct SeriesExec {
    input: Arc<dyn ExecutionPlan>,
    series: Series,
    work: Work,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl SeriesExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, series: Series, work: Work, schema: SchemaRef) -> Result<Self> {
        let properties = PlanProperties::new(
            series.properties(&schema, input.as_ref())?,
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            input.boundedness(),
        );
        Ok(Self { input, series, work, schema, properties: Arc::new(properties) })
    }
}

impl DisplayAs for SeriesExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.work {
            Work::Pad(grid) => write!(f, "GapFillExec: window={:?}", grid.window),
            Work::Carry(carried) => {
                write!(f, "CarryExec:")?;
                carried.iter().try_for_each(|(call, value)| write!(f, " {}({value})", call.name()))
            }
        }
    }
}

impl ExecutionPlan for SeriesExec {
    fn name(&self) -> &'static str {
        match self.work {
            Work::Pad(_) => "GapFillExec",
            Work::Carry(_) => "CarryExec",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![self.series.distribution(&self.input.schema())])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.series.ordering(&self.input.schema()).map(OrderingRequirements::from)]
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
        let Work::Carry(carried) = &self.work else { return Ok(TreeNodeRecursion::Continue) };
        for (_, value) in carried.iter() {
            if f(value)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| QueryError::Layout(format!("{} has one input", self.name())))?;
        Ok(Arc::new(Self::new(input, self.series.clone(), self.work.clone(), Arc::clone(&self.schema))?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let (schema, series) = (Arc::clone(&self.schema), self.series.clone());
        let batch_rows = context.session_config().batch_size();
        let step = match &self.work {
            Work::Pad(grid) => Step::Pad(Padding::new(schema, series, grid.clone(), batch_rows)),
            Work::Carry(carried) => Step::Carry(Carry::new(schema, series, carried)),
        };
        let memory = MemoryConsumer::new(self.name()).register(context.memory_pool());
        let passing = Passing { input, step, memory, ended: false };
        let rows = stream::try_unfold(passing, |mut passing| async move {
            Ok(passing.next().await?.map(|batch| (batch, passing)))
        });
        // One batch can make many: time limits and cancel requests get their turn.
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))))
    }
}

/// Rows on their way through one step.
struct Passing {
    input: SendableRecordBatchStream,
    step: Step,
    memory: MemoryReservation,
    ended: bool,
}

enum Step {
    Pad(Padding),
    Carry(Carry),
}

impl Step {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        match self {
            Self::Pad(padding) => padding.push(&batch),
            Self::Carry(carry) => carry.push(batch),
        }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Pad(padding) => padding.batch(),
            Self::Carry(carry) => carry.batch(),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Pad(padding) => padding.finish(),
            Self::Carry(carry) => carry.finish(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Pad(padding) => padding.bytes(),
            Self::Carry(carry) => carry.bytes(),
        }
    }
}

impl Passing {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.step.batch()? {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            match self.input.next().await.transpose()? {
                Some(batch) => {
                    self.step.push(batch)?;
                    self.memory.try_resize(self.step.bytes())?;
                }
                None => {
                    self.step.finish();
                    self.ended = true;
                }
            }
        }
    }
}
