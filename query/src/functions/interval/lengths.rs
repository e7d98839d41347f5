//! Intervals by their length where the planner of comparisons is not asked: in ORDER BY, also of windows, aggregates and DISTINCT ON, and
//! in BETWEEN, IN, CASE and IS DISTINCT.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{InList, Sort};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Between, BinaryExpr, Case, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF,
};
use datafusion::optimizer::AnalyzerRule;

use super::{IntervalLength, as_interval, compares, is_difference, is_interval};
use crate::instant::map_named;

/// Puts lengths in the place of intervals. It comes before the library's rules, which refuse windows in the order of intervals.
#[derive(Debug)]
pub(crate) struct LengthsOfIntervals {
    length: Arc<ScalarUDF>,
}

impl LengthsOfIntervals {
    pub(crate) fn new() -> Self {
        Self { length: IntervalLength::function() }
    }

    fn of(&self, interval: Expr) -> Expr {
        self.length.call(vec![interval])
    }

    /// Says whether there are any intervals among the keys.
    fn sorted(&self, keys: &mut [Sort], schema: &DFSchema) -> bool {
        let mut is_changed = false;
        for key in keys.iter_mut().filter(|key| is_interval(&key.expr, schema) || is_difference(&key.expr, schema)) {
            key.expr = self.of(std::mem::take(&mut key.expr));
            is_changed = true;
        }
        is_changed
    }

    /// A comparison of intervals that is written as something else; all that is compared must be intervals, or nothing.
    fn compared(&self, part: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let is_null = |part: &Expr| part.get_type(schema).is_ok_and(|kind| kind.is_null());
        let of = |part: Expr| if is_null(&part) { part } else { self.of(as_interval(part)) };
        let boxed = |part: Box<Expr>| Box::new(of(*part));
        let compare = |parts: &mut dyn Iterator<Item = &Expr>| {
            compares(&parts.filter(|part| !is_null(part)).collect::<Vec<_>>(), schema)
        };
        match part {
            Expr::Between(Between { expr, negated, low, high })
                if compare(&mut [&expr, &low, &high].into_iter().map(AsRef::as_ref)) =>
            {
                Transformed::yes(Expr::Between(Between::new(boxed(expr), negated, boxed(low), boxed(high))))
            }
            Expr::InList(InList { expr, list, negated })
                if compare(&mut std::iter::once(expr.as_ref()).chain(&list)) =>
            {
                let list = list.into_iter().map(of).collect();
                Transformed::yes(Expr::InList(InList::new(boxed(expr), list, negated)))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
                    && compare(&mut [&left, &right].into_iter().map(AsRef::as_ref)) =>
            {
                Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(boxed(left), op, boxed(right))))
            }
            Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr })
                if compare(
                    &mut std::iter::once(expr.as_ref()).chain(when_then_expr.iter().map(|(when, _)| when.as_ref())),
                ) =>
            {
                let when_then_expr = when_then_expr.into_iter().map(|(when, then)| (boxed(when), then)).collect();
                Transformed::yes(Expr::Case(Case { expr: Some(boxed(expr)), when_then_expr, else_expr }))
            }
            Expr::WindowFunction(mut call) => {
                let is_changed = self.sorted(&mut call.params.order_by, schema);
                Transformed::new_transformed(Expr::WindowFunction(call), is_changed)
            }
            // Of different values the key is one that is an argument too.
            Expr::AggregateFunction(mut call) if !call.params.distinct => {
                let is_changed = self.sorted(&mut call.params.order_by, schema);
                Transformed::new_transformed(Expr::AggregateFunction(call), is_changed)
            }
            other => Transformed::no(other),
        }
    }
}

impl AnalyzerRule for LengthsOfIntervals {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let named = map_named(node, |expr| expr.transform_up(|part| Ok(self.compared(part, &schema))))?;
            named.transform_data(|node| match node {
                LogicalPlan::Sort(mut sort) => {
                    let is_changed = self.sorted(&mut sort.expr, &schema);
                    Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), is_changed))
                }
                LogicalPlan::Distinct(Distinct::On(mut first)) => {
                    let is_changed = first.sort_expr.as_mut().is_some_and(|keys| self.sorted(keys, &schema));
                    Ok(Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(first)), is_changed))
                }
                other => Ok(Transformed::no(other)),
            })
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &str {
        "lengths_of_intervals"
    }
}
