//! The join as an operator of a plan.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::compute::concat_batches;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, JoinType, NullEquality, Result, ScalarValue};
use datafusion::execution::memory_pool::MemoryConsumer;
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
use futures::{TryStreamExt, stream};
use tokio::sync::OnceCell;

use super::build::{Built, KeySpans, ROW_BYTES, evaluated, key_spans};
use super::probe::{Joining, joined};
use super::{Bound, Condition};
use crate::error::QueryError;

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
