//! Makes operators of the nodes.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::super::time_bucket::{described, refuse};
use super::super::window::{Bound, Window};
use super::calls::Call;
use super::node::{Carry, GapFill};
use super::operator::{SeriesExec, Work};
use super::padding::Grid;
use crate::reach::literal;

/// Plans what DataFusion does, and the filling of gaps.
#[derive(Debug)]
pub(crate) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Steps)]);
        planner.create_physical_plan(plan, session).await
    }
}

struct Steps;

#[async_trait]
impl ExtensionPlanner for Steps {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let ([logical], [input]) = (logical_inputs, physical_inputs) else { return Ok(None) };
        let (series, work) = if let Some(node) = node.as_any().downcast_ref::<GapFill>() {
            (&node.series, Work::Pad(grid(node)?))
        } else if let Some(node) = node.as_any().downcast_ref::<Carry>() {
            let planned = node.values.iter().map(|(call, value)| {
                Ok((*call, planner.create_physical_expr(value, logical.schema(), session, context)?))
            });
            (&node.series, Work::Carry(planned.collect::<Result<_>>()?))
        } else {
            return Ok(None);
        };
        let schema = Arc::clone(node.schema().inner());
        Ok(Some(Arc::new(SeriesExec::new(Arc::clone(input), series.clone(), work, schema)?)))
    }
}

/// The buckets of the window.
fn grid(node: &GapFill) -> Result<Grid> {
    let anchor = node.anchor.as_ref().map(constant).transpose()?;
    let Some((width, buckets)) = described(constant(&node.width)?, anchor)? else {
        return plan_err!("the width and the zone of time_bucket_gapfill must not be NULL");
    };
    let mut bounds = Vec::with_capacity(node.limits.len());
    for (op, limit) in &node.limits {
        let value = constant(limit)?;
        match Bound::of(*op, value) {
            Some(bound) => bounds.push(bound),
            // No time compares with NULL: there are no rows.
            None if value.is_null() => bounds.push(Bound::To(i64::MIN)),
            None => return plan_err!("time_bucket_gapfill takes its window from times, and {value} is none"),
        }
    }
    let window = Window::within(bounds);
    let (from, to) = (window.from.unwrap_or(i64::MIN), window.to.unwrap_or(i64::MIN));
    width.check_fits(Call::GapFill.name(), (from, to)).map_err(refuse)?;
    Ok(Grid { buckets, window: (from, to) })
}

fn constant(expr: &Expr) -> Result<&ScalarValue> {
    match expr {
        Expr::Alias(alias) => constant(&alias.expr),
        expr => literal(expr).map_or_else(
            || plan_err!("time_bucket_gapfill takes constants for its width, its zone and its window; {expr} is none"),
            Ok,
        ),
    }
}
