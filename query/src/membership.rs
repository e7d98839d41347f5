//! Whether something is among the rows of a subquery, in three values.
//!
//! Where IN stands in a condition by itself, or beside AND, and NOT IN too as long as its subquery depends on no row outside, the
//! library takes it rightly. Elsewhere it knows of it only whether it holds (DataFusion 55): of `x NOT IN (SELECT y …) OR …` and of
//! `NOT (x IN (SELECT y …) AND …)` it makes true what is unknown, where x or a y is NULL. There IN is spelled out as what is true,
//! what is unknown and what is false.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{Case, Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit};
use datafusion::optimizer::AnalyzerRule;

/// Spells IN out where what is unknown could be taken for something else.
#[derive(Debug)]
pub(crate) struct Membership;

impl AnalyzerRule for Membership {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Filter(_) => node.map_expressions(|condition| told_apart(condition, true)),
            LogicalPlan::Join(join) => above_join(join),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &'static str {
        "membership"
    }
}

/// Conditions with IN stand above an inner join: in one the library cannot look for them.
fn above_join(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let is_inner = join.join_type == JoinType::Inner;
    let Some(condition) = join.filter.take_if(|condition| is_inner && asks_subquery(condition)) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let (asking, rest): (Vec<Expr>, Vec<Expr>) =
        split_conjunction_owned(condition).into_iter().partition(asks_subquery);
    join.filter = conjunction(rest);
    let Some(asking) = conjunction(asking) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let plan = LogicalPlanBuilder::from(LogicalPlan::Join(join)).filter(told_apart(asking, true)?.data)?.build()?;
    Ok(Transformed::yes(plan))
}

fn asks_subquery(condition: &Expr) -> bool {
    condition.exists(|part| Ok(matches!(part, Expr::InSubquery(_)))).unwrap_or(false)
}

/// A condition that rows must meet: what is false and what is unknown are one. `alone`: nothing but AND stands above it.
fn told_apart(condition: Expr, alone: bool) -> Result<Transformed<Expr>> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if matches!(op, Operator::And | Operator::Or) => {
            let alone = alone && op == Operator::And;
            let (left, right) = (told_apart(*left, alone)?, told_apart(*right, alone)?);
            let changed = left.transformed || right.transformed;
            let both = BinaryExpr { left: Box::new(left.data), op, right: Box::new(right.data) };
            Ok(Transformed::new(Expr::BinaryExpr(both), changed, TreeNodeRecursion::Continue))
        }
        Expr::InSubquery(ref membership) if !membership.negated || alone && is_simple(membership) => {
            Ok(Transformed::no(condition))
        }
        Expr::Not(ref inner) if alone && matches!(inner.as_ref(), Expr::InSubquery(inner) if is_simple(inner)) => {
            Ok(Transformed::no(condition))
        }
        other => other.transform_down(|part| match part {
            Expr::InSubquery(membership) => {
                Ok(Transformed::new(spelled_out(membership)?, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        }),
    }
}

/// Whether the library takes NOT IN rightly where it stands alone: by one key, that of the left side.
fn is_simple(membership: &InSubquery) -> bool {
    membership.subquery.outer_ref_columns.is_empty() && !membership.expr.column_refs().is_empty()
}

fn spelled_out(membership: InSubquery) -> Result<Expr> {
    let InSubquery { expr, subquery, negated } = membership;
    let rows = subquery.subquery.schema();
    if rows.fields().len() != 1 {
        return plan_err!("the subquery of IN must have one column, and not {}", rows.fields().len());
    }
    let value = Expr::Column(Column::from(rows.qualified_field(0)));
    let has_null = exists(&subquery, Some(value.is_null()))?;
    let is_unknown = (*expr.clone()).is_null().and(exists(&subquery, None)?).or(has_null);
    let is_among = Expr::InSubquery(InSubquery { expr, subquery, negated: false });
    let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
    Ok(Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(is_among), Box::new(lit(!negated))), (Box::new(is_unknown), Box::new(unknown))],
        else_expr: Some(Box::new(lit(negated))),
    }))
}

/// Whether a subquery has a row, or one that meets a condition.
fn exists(subquery: &Subquery, condition: Option<Expr>) -> Result<Expr> {
    let mut rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    if let Some(condition) = condition {
        rows = rows.filter(condition)?;
    }
    // One is enough, and each row is compared with all there are. Where it depends on the row outside, columns are compared.
    if subquery.outer_ref_columns.is_empty() {
        rows = rows.limit(0, Some(1))?;
    }
    let rows = rows.build()?;
    let subquery = Subquery {
        outer_ref_columns: rows.all_out_ref_exprs(),
        subquery: Arc::new(rows),
        spans: subquery.spans.clone(),
    };
    Ok(Expr::Exists(Exists { subquery, negated: false }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]

    use crate::fixture::*;

    /// Whether `x` is in `list`, in three values.
    fn is_in(x: Option<i64>, list: &[Option<i64>]) -> Option<bool> {
        let same = |y: &Option<i64>| x.zip(*y).map(|(x, y)| x == y);
        let found: Vec<Option<bool>> = list.iter().map(same).collect();
        if found.contains(&Some(true)) { Some(true) } else { (!found.contains(&None)).then_some(false) }
    }

    fn not(flag: Option<bool>) -> Option<bool> {
        flag.map(|flag| !flag)
    }

    fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
        match (one, other) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    fn or(one: Option<bool>, other: Option<bool>) -> Option<bool> {
        not(and(not(one), not(other)))
    }

    type Truth = fn(Option<bool>, Option<bool>) -> Option<bool>;

    /// Conditions on IN and on `i > 1`, and what they are.
    const FORMS: [(&str, Truth); 12] = [
        ("IN", |is_in, _| is_in),
        ("NOT IN", |is_in, _| not(is_in)),
        ("NOT IN AND OTHER", |is_in, other| and(not(is_in), other)),
        ("NOT IN OR OTHER", |is_in, other| or(not(is_in), other)),
        ("OTHER OR NOT IN", |is_in, other| or(not(is_in), other)),
        ("IN OR OTHER", or),
        ("NOT (IN AND OTHER)", |is_in, other| not(and(is_in, other))),
        ("NOT (NOT IN AND OTHER)", |is_in, other| not(and(not(is_in), other))),
        ("NOT (NOT (IN))", |is_in, _| is_in),
        ("(NOT IN OR OTHER) AND OTHER", |is_in, other| and(or(not(is_in), other), other)),
        ("(IN) IS NULL", |is_in, _| Some(is_in.is_none())),
        (
            "CASE WHEN NOT IN THEN true ELSE OTHER END",
            |is_in, other| if is_in == Some(false) { Some(true) } else { other },
        ),
    ];

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_among_rows_with_nulls_may_be_unknown() {
        let bench = Bench::new();
        let xs = [Some(1), Some(2), Some(3), None];
        let rows = "(VALUES (0, 1), (1, 2), (2, 3), (3, NULL)) AS v(i, x)";
        let lists: [&[Option<i64>]; 4] = [&[], &[Some(1), Some(3)], &[Some(1), None], &[None]];
        for list in lists {
            let values: Vec<String> =
                list.iter().map(|y| format!("({})", y.map_or("NULL".to_owned(), |y| y.to_string()))).collect();
            // Typed, and none where there is none.
            let values =
                format!("(VALUES (0){}{}) AS w(y)", if values.is_empty() { "" } else { ", " }, values.join(", "));
            type Among = fn(i64, Option<i64>) -> bool;
            let correlations: [(&str, Among); 4] = [
                ("true", |_, _| true),
                ("i >= coalesce(y, 1)", |i, y| i >= y.unwrap_or(1)),
                ("i = coalesce(y, 2)", |i, y| i == y.unwrap_or(2)),
                ("(i = y OR i = 3)", |i, y| Some(i) == y || i == 3),
            ];
            for (correlated, among) in correlations {
                let subquery = format!("SELECT y FROM {values} WHERE (y <> 0 OR y IS NULL) AND {correlated}");
                let list_of = |i: usize| -> Vec<Option<i64>> {
                    list.iter().copied().filter(|y| among(i64::try_from(i).unwrap(), *y)).collect()
                };
                for (form, truth) in FORMS {
                    let spelled = form.replace("NOT IN", "x not_in").replace("IN", "x IN").replace("OTHER", "i > 1");
                    let spelled = spelled.replace("x IN", &format!("x IN ({subquery})"));
                    let spelled = spelled.replace("x not_in", &format!("x NOT IN ({subquery})"));
                    let sql = format!("SELECT i FROM {rows} WHERE {spelled} ORDER BY i");
                    let expected: Vec<String> = (0..4)
                        .filter(|i| truth(is_in(xs[*i], &list_of(*i)), Some(*i > 1)) == Some(true))
                        .map(|i| i.to_string())
                        .collect();
                    assert_eq!(bench.ask(&sql).await, expected, "{sql}");
                    // In the condition of a join, and with a constant on the left.
                    let joined = format!(
                        "SELECT i FROM {rows} JOIN (VALUES (0), (1), (2), (3)) AS u(j) ON i = j AND ({spelled}) ORDER BY i"
                    );
                    assert_eq!(bench.ask(&joined).await, expected, "{joined}");
                    let constant = sql.replace("x IN", "3 IN").replace("x NOT IN", "3 NOT IN");
                    let expected: Vec<String> = (0..4)
                        .filter(|i| truth(is_in(Some(3), &list_of(*i)), Some(*i > 1)) == Some(true))
                        .map(|i| i.to_string())
                        .collect();
                    assert_eq!(bench.ask(&constant).await, expected, "{constant}");
                }
            }
        }
    }
}
