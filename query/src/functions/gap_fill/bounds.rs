//! From when to when an aggregate's rows are: what the conditions below it say of its time.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, plan_err};
use datafusion::functions::expr_fn::now;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::super::window::comparisons;
use crate::reach::{column_of, is_plain};

/// A comparison with a constant, such as `now() - interval '1 hour'`. The optimizer makes a literal of it.
pub(super) type Limit = (Operator, Expr);

/// What WHERE compares the time of an aggregate with. `now()` is an upper bound of every window.
pub(super) fn limits(input: &LogicalPlan, time: &Expr) -> Result<Vec<Limit>> {
    let Some(place) = place_of(time, input) else {
        return plan_err!(
            "the second argument of time_bucket_gapfill is a column of times that WHERE bounds, such as time, not {time}"
        );
    };
    let mut limits = Vec::new();
    find(input, place, &mut limits)?;
    if !limits.iter().any(|(op, _)| matches!(op, Operator::Gt | Operator::GtEq)) {
        return plan_err!(
            "time_bucket_gapfill needs to know from when: add WHERE {time} >= … AND {time} < … to the query, with \
             constants, parameters or now() - interval '1 hour'"
        );
    }
    limits.push((Operator::Lt, now()));
    Ok(limits)
}

/// The column of `input` that an expression is, where that holds times.
fn place_of(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    let column = column(expr)?;
    let place = input.schema().index_of_column(column).ok()?;
    is_instant(input.schema().field(place).data_type()).then_some(place)
}

fn is_instant(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..))
}

fn column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column(&alias.expr),
        Expr::Cast(cast) => column(&cast.expr).filter(|_| column_of(expr).is_some()),
        Expr::TryCast(cast) => column(&cast.expr).filter(|_| column_of(expr).is_some()),
        _ => None,
    }
}

/// Goes down to where the column at `place` comes from, and takes the limits on the way.
fn find(plan: &LogicalPlan, place: usize, limits: &mut Vec<Limit>) -> Result<()> {
    match plan {
        LogicalPlan::Filter(filter) => {
            take(&filter.predicate, plan, place, limits)?;
            find(&filter.input, place, limits)
        }
        LogicalPlan::TableScan(scan) => {
            for filter in &scan.filters {
                take(filter, plan, place, limits)?;
            }
            Ok(())
        }
        LogicalPlan::SubqueryAlias(alias) => find(&alias.input, place, limits),
        LogicalPlan::Sort(sort) => find(&sort.input, place, limits),
        LogicalPlan::Limit(limit) => find(&limit.input, place, limits),
        LogicalPlan::Projection(projection) => passed(projection.expr.get(place), &projection.input, limits),
        LogicalPlan::Aggregate(aggregate) => passed(aggregate.group_expr.get(place), &aggregate.input, limits),
        LogicalPlan::Window(window) if place < window.input.schema().fields().len() => {
            find(&window.input, place, limits)
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti => find(&join.right, place, limits),
                _ if place < left => find(&join.left, place, limits),
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    find(&join.right, place - left, limits)
                }
                // The last column of a mark join is the mark.
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Goes on below a node that computes its columns, where this one is a column of its input.
fn passed(expr: Option<&Expr>, input: &LogicalPlan, limits: &mut Vec<Limit>) -> Result<()> {
    match expr.and_then(|expr| place_of(expr, input)) {
        Some(place) => find(input, place, limits),
        None => Ok(()),
    }
}

/// Takes the limits that AND-ed conditions set.
fn take(filter: &Expr, plan: &LogicalPlan, place: usize, limits: &mut Vec<Limit>) -> Result<()> {
    let schema = plan.schema();
    let context = SimplifyContext::builder().with_schema(Arc::clone(schema)).build();
    let simplifier = ExprSimplifier::new(context);
    let is_time = |expr: &Expr| column(expr).is_some_and(|column| schema.index_of_column(column).ok() == Some(place));
    // One by one: of conditions that contradict each other the simplifier would leave none.
    for conjunct in split_conjunction(filter) {
        // So that NOT (time < …) is a bound too.
        let conjunct = simplifier.simplify(conjunct.clone())?;
        for (op, other) in split_conjunction(&conjunct).into_iter().flat_map(|part| comparisons(part, is_time)) {
            if !matches!(op, Operator::Gt | Operator::GtEq | Operator::Lt | Operator::LtEq) {
                continue;
            }
            if is_constant(other) {
                limits.push((op, other.clone()));
            } else if !is_plain(other) {
                return plan_err!(
                    "time_bucket_gapfill takes its window from comparisons of time with constants, and {other} is none; \
                     ask for it first and write what it says"
                );
            }
        }
    }
    Ok(())
}

/// Whether it is known before any row is read.
pub(super) fn is_constant(expr: &Expr) -> bool {
    is_plain(expr) && expr.column_refs().is_empty() && !expr.contains_outer()
}
