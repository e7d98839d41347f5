//! Intervals by their length where the planner of comparisons is not asked: in ORDER BY and windows, BETWEEN, IN, CASE and IS DISTINCT.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{InList, Sort};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::IntervalLength;
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
    fn sorted(&self, keys: &mut [Sort], is_one: impl Fn(&Expr) -> bool) -> bool {
        let mut is_changed = false;
        for key in keys.iter_mut().filter(|key| is_one(&key.expr)) {
            key.expr = self.of(std::mem::take(&mut key.expr));
            is_changed = true;
        }
        is_changed
    }

    /// A comparison of intervals that is written as something else; all that is compared must be intervals.
    fn compared(&self, part: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let is_one = |part: &Expr| is_interval(part, schema) || is_difference(part, schema);
        let is_null = |part: &Expr| part.get_type(schema).is_ok_and(|kind| kind.is_null());
        let of = |part: Box<Expr>| Box::new(self.of(*part));
        match part {
            Expr::Between(Between { expr, negated, low, high })
                if [&expr, &low, &high].iter().all(|part| is_one(part)) =>
            {
                Transformed::yes(Expr::Between(Between::new(of(expr), negated, of(low), of(high))))
            }
            Expr::InList(InList { expr, list, negated })
                if is_one(&expr) && list.iter().all(|part| is_one(part) || is_null(part)) =>
            {
                let list = list.into_iter().map(|part| if is_null(&part) { part } else { self.of(part) }).collect();
                Transformed::yes(Expr::InList(InList::new(of(expr), list, negated)))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
                    && is_one(&left)
                    && is_one(&right) =>
            {
                Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(of(left), op, of(right))))
            }
            Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr })
                if is_one(&expr) && when_then_expr.iter().all(|(when, _)| is_one(when)) =>
            {
                let when_then_expr = when_then_expr.into_iter().map(|(when, then)| (of(when), then)).collect();
                Transformed::yes(Expr::Case(Case { expr: Some(of(expr)), when_then_expr, else_expr }))
            }
            Expr::WindowFunction(mut call) => {
                let is_changed = self.sorted(&mut call.params.order_by, |key| is_interval(key, schema));
                Transformed::new_transformed(Expr::WindowFunction(call), is_changed)
            }
            other => Transformed::no(other),
        }
    }
}

fn is_interval(part: &Expr, schema: &DFSchema) -> bool {
    part.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_)))
}

fn is_difference(part: &Expr, schema: &DFSchema) -> bool {
    part.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Duration(_)))
}

impl AnalyzerRule for LengthsOfIntervals {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let named = map_named(node, |expr| expr.transform_up(|part| Ok(self.compared(part, &schema))))?;
            named.transform_data(|node| match node {
                LogicalPlan::Sort(mut sort) => {
                    let is_one = |key: &Expr| is_interval(key, &schema) || is_difference(key, &schema);
                    let is_changed = self.sorted(&mut sort.expr, is_one);
                    Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), is_changed))
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
