//! Joins of rows with the stretches of time that they lie in: `a.machine = b.machine AND a.time >= b.start AND a.time < b."end"`.
//!
//! DataFusion joins what is equal and tries the bounds on every pair that this leaves: a day of samples of a machine with each
//! of its thousand states. Here the stretches of equal keys are put in order of their start, and each row looks up those
//! around it, mostly the one that the row before was in, or the next.

mod build;
mod exec;
mod probe;
mod stretches;

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinSide, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNullExpr};
use datafusion::physical_expr::{PhysicalExpr, conjunction_opt, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};

use exec::IntervalJoinExec;

/// Plans such joins by their stretches.
#[derive(Debug)]
pub(crate) struct IntervalJoins;

impl PhysicalOptimizerRule for IntervalJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let planned = plan.transform_up(|node| {
            let found = node.downcast_ref::<HashJoinExec>().and_then(IntervalJoinExec::of);
            Ok(match found {
                Some(join) => Transformed::yes(Arc::new(join) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })?;
        Ok(planned.data)
    }

    fn name(&self) -> &str {
        "interval_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What a join asks of the stretches of its build side: `from <= row.from AND row.to <= to`, and more.
#[derive(Debug, Clone)]
struct Condition {
    from: Bound,
    to: Bound,
    /// Of pairs within both bounds.
    rest: Option<JoinFilter>,
}

/// A bound that each row of the build side sets.
#[derive(Debug, Clone)]
struct Bound {
    /// Of a row of the build side.
    build: Arc<dyn PhysicalExpr>,
    /// What has to be within, of a row of the probe side.
    probe: Arc<dyn PhysicalExpr>,
    /// Whether the bound itself is outside.
    strict: bool,
    /// Of which side NULL is no bound, instead of one that nothing is within.
    open: Option<JoinSide>,
}

impl Condition {
    /// Reads the filter of a join; `None` where it does not bound rows from both sides.
    fn of(filter: &JoinFilter, build: &Schema, probe: &Schema) -> Option<Self> {
        let (mut from, mut to, mut rest) = (None, None, Vec::new());
        for part in split_conjunction(filter.expression()) {
            match bound(part, filter.column_indices(), build, probe) {
                Some((Side::From, found)) if from.is_none() => from = Some(found),
                Some((Side::To, found)) if to.is_none() => to = Some(found),
                _ => rest.push(Arc::clone(part)),
            }
        }
        let rest = conjunction_opt(rest)
            .map(|rest| JoinFilter::new(rest, filter.column_indices().to_vec(), Arc::clone(filter.schema())));
        let (from, to): (Bound, Bound) = (from?, to?);
        // What has no time is within a bound that is not set, where nothing else is asked of its time.
        let asked_again = match from.open.or(to.open) {
            None => true,
            Some(_) if from.open.is_some() && to.open.is_some() => false,
            Some(JoinSide::Left) => from.probe.eq(&to.probe),
            Some(_) => from.build.eq(&to.build),
        };
        asked_again.then_some(Self { from, to, rest })
    }
}

/// Which end of a stretch a bound is.
enum Side {
    From,
    To,
}

/// The bound that a comparison sets, or one that holds only where one side of it is not NULL.
fn bound(
    part: &Arc<dyn PhysicalExpr>,
    columns: &[ColumnIndex],
    build: &Schema,
    probe: &Schema,
) -> Option<(Side, Bound)> {
    let part = part.downcast_ref::<BinaryExpr>()?;
    if *part.op() == Operator::Or {
        let nothing = |side: &Arc<dyn PhysicalExpr>| Some(Arc::clone(side.downcast_ref::<IsNullExpr>()?.arg()));
        let (unset, compared) = match (nothing(part.left()), nothing(part.right())) {
            (Some(unset), None) => (unset, part.right()),
            (None, Some(unset)) => (unset, part.left()),
            _ => return None,
        };
        let (side, found) = bound(compared, columns, build, probe)?;
        let is_open = |of: JoinSide, bound: &Arc<dyn PhysicalExpr>| {
            on_side(&unset, columns, of).is_some_and(|unset| unset.eq(bound))
        };
        let open = match found.open {
            None if is_open(JoinSide::Left, &found.build) => JoinSide::Left,
            None if is_open(JoinSide::Right, &found.probe) => JoinSide::Right,
            _ => return None,
        };
        return Some((side, Bound { open: Some(open), ..found }));
    }
    let (left, right) = (part.left(), part.right());
    let sides =
        |build, probe| Some((on_side(build, columns, JoinSide::Left)?, on_side(probe, columns, JoinSide::Right)?));
    let ((of_build, of_probe), operator) = match sides(left, right) {
        Some(found) => (found, *part.op()),
        None => (sides(right, left)?, part.op().swap()?),
    };
    let (side, strict) = match operator {
        Operator::LtEq => (Side::From, false),
        Operator::Lt => (Side::From, true),
        Operator::GtEq => (Side::To, false),
        Operator::Gt => (Side::To, true),
        _ => return None,
    };
    let kind = of_build.data_type(build).ok()?;
    let whole = matches!(kind, DataType::Timestamp(..) | DataType::Int64);
    let fits = whole && of_probe.data_type(probe).ok()? == kind;
    fits.then_some((side, Bound { build: of_build, probe: of_probe, strict, open: None }))
}

/// An expression of a filter as one of the rows of a side, where it reads that side alone.
fn on_side(expr: &Arc<dyn PhysicalExpr>, columns: &[ColumnIndex], side: JoinSide) -> Option<Arc<dyn PhysicalExpr>> {
    let (mut reads, mut others) = (false, false);
    let moved = Arc::clone(expr).transform_up(|node| {
        let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
        match columns.get(column.index()).filter(|place| place.side == side) {
            Some(place) => {
                reads = true;
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), place.index)) as Arc<dyn PhysicalExpr>))
            }
            None => {
                others = true;
                Ok(Transformed::new(node, false, TreeNodeRecursion::Stop))
            }
        }
    });
    // What changes from call to call is no bound.
    Some(moved.ok()?.data).filter(|expr| reads && !others && !is_volatile(expr))
}

#[cfg(test)]
mod tests;
