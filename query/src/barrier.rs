//! Places in a plan that the library's rules must not look through.
//!
//! Five of its rules give wrong rows where they do (DataFusion 55). Filters are pushed to a column by its name alone: of two columns
//! that are called the same, as on both sides of a join, to the wrong one. An aggregate by grouping sets takes its input's order for
//! that of its groups, though a set leaves columns out, so that groups come several times. And where rows are in order already, a limit
//! goes below a window that has to see them all, as `OVER ()`. What a condition makes the same in all rows of one side of an outer join
//! counts as the same behind it, where it is NULL too, and is left out of sorts. So is what is the same in all rows of each branch of a
//! UNION ALL, while the branches share what a LIMIT has found.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{AcrossPartitions, ConstExpr, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, replace_children_if_necessary,
};

/// Puts barriers where they are needed. To come before filters are pushed down.
#[derive(Debug)]
pub(crate) struct Barriers;

impl PhysicalOptimizerRule for Barriers {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let guarded = plan.transform_up(|node| {
            let children: Vec<_> = node.children().into_iter().map(|child| guarded(&node, child)).collect();
            if children.iter().all(Option::is_none) {
                return Ok(Transformed::no(node));
            }
            let children = node.children().into_iter().zip(children);
            let children = children.map(|(child, guarded)| guarded.unwrap_or_else(|| Arc::clone(child))).collect();
            Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
        })?;
        Ok(guarded.data)
    }

    fn name(&self) -> &'static str {
        "barriers"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `child` of `node` behind a barrier, where there has to be one.
fn guarded(node: &Arc<dyn ExecutionPlan>, child: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let has_sets = |aggregate: &AggregateExec| aggregate.group_expr().has_grouping_set();
    let forgets = child.is::<WindowAggExec>() || is_outer_join(child) || has_branches_of_one_value(child);
    if forgets || node.downcast_ref::<AggregateExec>().is_some_and(has_sets) {
        return Some(Arc::new(BarrierExec::new(Arc::clone(child), false)));
    }
    // A projection tells columns below it apart by their places; those that it makes, nobody does.
    let is_ambiguous = child.is::<ProjectionExec>() || !node.is::<ProjectionExec>();
    (is_ambiguous && has_namesakes(&child.schema()))
        .then(|| Arc::new(BarrierExec::new(Arc::clone(child), true)) as Arc<dyn ExecutionPlan>)
}

fn is_outer_join(node: &Arc<dyn ExecutionPlan>) -> bool {
    let of_hash = node.downcast_ref::<HashJoinExec>().map(HashJoinExec::join_type);
    let of_loop = node.downcast_ref::<NestedLoopJoinExec>().map(NestedLoopJoinExec::join_type);
    let of_merge = node.downcast_ref::<SortMergeJoinExec>().map(SortMergeJoinExec::join_type);
    matches!(of_hash.or(of_loop).copied().or(of_merge), Some(JoinType::Left | JoinType::Right | JoinType::Full))
}

fn has_branches_of_one_value(node: &Arc<dyn ExecutionPlan>) -> bool {
    let differs = |constant: &ConstExpr| matches!(constant.across_partitions, AcrossPartitions::Heterogeneous);
    node.is::<UnionExec>() && node.equivalence_properties().constants().iter().any(differs)
}

fn has_namesakes(schema: &Schema) -> bool {
    let mut names = HashSet::new();
    schema.fields().iter().any(|field| !names.insert(field.name()))
}

/// Hands rows on as they are.
#[derive(Debug)]
struct BarrierExec {
    input: Arc<dyn ExecutionPlan>,
    /// Whether their order may be relied on.
    keeps_order: bool,
    properties: Arc<PlanProperties>,
}

impl BarrierExec {
    fn new(input: Arc<dyn ExecutionPlan>, keeps_order: bool) -> Self {
        let mut properties = PlanProperties::clone(input.properties());
        if !keeps_order {
            properties = properties.with_eq_properties(EquivalenceProperties::new(input.schema()));
        }
        Self { input, keeps_order, properties: Arc::new(properties) }
    }
}

impl DisplayAs for BarrierExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BarrierExec: keeps_order={}", self.keeps_order)
    }
}

impl ExecutionPlan for BarrierExec {
    fn name(&self) -> &'static str {
        "BarrierExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![self.keeps_order]
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
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.keeps_order))),
            _ => internal_err!("a barrier has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}

#[cfg(test)]
mod tests;
