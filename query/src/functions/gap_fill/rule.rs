//! Takes the calls out of a plan and puts the steps in that do what they say.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::{Aggregate, Expr, Extension, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::super::time_bucket::time_bucket;
use super::bounds::{is_constant, limits};
use super::calls::{Call, check_none, holds, mentioned};
use super::node::{Carry, GapFill, name_of};
use super::series::Series;
use crate::instant::map_named;

/// Plans `time_bucket_gapfill`, `locf` and `interpolate`.
#[derive(Debug)]
pub(crate) struct GapFilling {
    time_bucket: Arc<ScalarUDF>,
}

impl GapFilling {
    pub(crate) fn new() -> Self {
        Self { time_bucket: Arc::new(time_bucket()) }
    }
}

impl AnalyzerRule for GapFilling {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        if !mentioned(&plan)? {
            return Ok(plan);
        }
        let planned = plan.transform_up_with_subqueries(|node| {
            let node = match node {
                LogicalPlan::Aggregate(aggregate) => self.filled(aggregate)?,
                other => carried(other)?,
            };
            check_none(&node)?;
            // What was a count that is never NULL may be NULL now, and there are columns more.
            Ok(Transformed::yes(node.recompute_schema()?))
        })?;
        Ok(planned.data)
    }

    fn name(&self) -> &str {
        "gap_filling"
    }
}

impl GapFilling {
    /// The aggregate without the call in its GROUP BY, below what fills its gaps.
    fn filled(&self, aggregate: Aggregate) -> Result<LogicalPlan> {
        let mut places = Vec::new();
        for (place, expr) in aggregate.group_expr.iter().enumerate() {
            if holds(expr, |call| call == Call::GapFill)? {
                places.push(place);
            }
        }
        let place = match places.as_slice() {
            [] => return Ok(LogicalPlan::Aggregate(aggregate)),
            [place] => *place,
            _ => return plan_err!("a query has one time_bucket_gapfill in GROUP BY; write time_bucket for the others"),
        };
        let Aggregate { input, mut group_expr, aggr_expr, schema, .. } = aggregate;
        if group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return plan_err!(
                "time_bucket_gapfill fills the gaps of one grouping; write GROUP BY without ROLLUP, CUBE and GROUPING SETS"
            );
        }
        let Some((_, arguments)) = group_expr.get(place).and_then(|expr| Call::of(unaliased(expr))) else {
            return plan_err!(
                "time_bucket_gapfill stands alone in GROUP BY, not inside of another expression; take its result on in \
                 SELECT"
            );
        };
        let arguments = arguments.to_vec();
        let (width, time, anchor) = match arguments.as_slice() {
            [width, time] => (width.clone(), time, None),
            [width, time, anchor] => (width.clone(), time, Some(anchor.clone())),
            _ => return plan_err!("time_bucket_gapfill takes a width, a time, and a zone or an origin"),
        };
        if let Some(varying) = [Some(&width), anchor.as_ref()].into_iter().flatten().find(|expr| !is_constant(expr)) {
            return plan_err!("all rows of time_bucket_gapfill have the same width and zone; {varying} is no constant");
        }
        if !input.all_out_ref_exprs().is_empty() {
            return plan_err!(
                "time_bucket_gapfill cannot fill gaps in a subquery that takes columns from the query around it; group by \
                 these columns and join the two"
            );
        }
        let limits = limits(&input, time)?;
        let (qualifier, field) = schema.qualified_field(place);
        let bucket = self.time_bucket.call(arguments.clone()).alias_qualified(qualifier.cloned(), field.name());
        let groups = group_expr.len();
        if let Some(slot) = group_expr.get_mut(place) {
            *slot = bucket;
        }
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(input, group_expr, aggr_expr)?);
        check_none(&grouped)?;
        let node = GapFill::new(grouped, Series::of(groups, place), (width, anchor), limits)?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// A node above filled gaps, with columns in the place of its calls of `locf` and `interpolate`.
fn carried(mut node: LogicalPlan) -> Result<LogicalPlan> {
    // One call may be of another's answer: the inner ones come first.
    loop {
        let calls = innermost(&node)?;
        let inputs = node.inputs();
        let ([input], false) = (inputs.as_slice(), calls.is_empty()) else { return Ok(node) };
        let Some(input) = with_calls(input, &calls)? else { return Ok(node) };
        let taken = map_named(node, |expr| {
            expr.transform_down(|part| {
                Ok(match calls.contains(&part) {
                    true => Transformed::yes(Expr::Column(Column::from_name(name_of(&part)))),
                    false => Transformed::no(part),
                })
            })
        })?;
        let exprs = taken.data.expressions();
        node = taken.data.with_new_exprs(exprs, vec![input])?;
    }
}

/// Calls of `locf` and `interpolate` that have none inside of them, each once.
fn innermost(node: &LogicalPlan) -> Result<Vec<Expr>> {
    let mut found: Vec<Expr> = Vec::new();
    node.apply_expressions(|expr| {
        expr.apply(|part| {
            if let Some((Call::Locf | Call::Interpolate, arguments)) = Call::of(part) {
                let inner = arguments.iter().map(|argument| holds(argument, |_| true)).collect::<Result<Vec<_>>>()?;
                if !inner.contains(&true) && !found.contains(part) {
                    found.push(part.clone());
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// A plan with columns for these calls, where it is filled gaps, perhaps below HAVING and window functions.
fn with_calls(plan: &LogicalPlan, calls: &[Expr]) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(_) | LogicalPlan::Window(_) => {
            let inputs = plan.inputs();
            let [input] = inputs.as_slice() else { return Ok(None) };
            let Some(input) = with_calls(input, calls)? else { return Ok(None) };
            Ok(Some(plan.with_new_exprs(plan.expressions(), vec![input])?))
        }
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            let filled = node.downcast_ref::<GapFill>().map(|node| &node.series);
            let Some(series) = filled.or_else(|| node.downcast_ref::<Carry>().map(|node| &node.series)) else {
                return Ok(None);
            };
            let known = |call: &Expr| plan.schema().has_column_with_unqualified_name(&name_of(call));
            let missing: Vec<Expr> = calls.iter().filter(|call| !known(call)).cloned().collect();
            if missing.is_empty() {
                return Ok(Some(plan.clone()));
            }
            // What comes after the filling, such as the answer of a window function, cannot be gone back on.
            if missing.iter().flat_map(Expr::column_refs).any(|column| !plan.schema().has_column(column)) {
                return Ok(None);
            }
            let node = Carry::new(plan.clone(), series.clone(), &missing)?;
            Ok(Some(LogicalPlan::Extension(Extension { node: Arc::new(node) })))
        }
        _ => Ok(None),
    }
}
