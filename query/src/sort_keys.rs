//! Sorting by what is computed.
//!
//! Of a comparison, a negation or a CASE over a function the library cannot tell how its values lie, takes that for an error, and
//! then does not see that rows are in the order it has sorted them in (DataFusion 55): the statement fails. As a column the same
//! key is sorted by like any other.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::Sort as Key;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Sort};
use datafusion::optimizer::AnalyzerRule;

/// Makes columns of sort keys that the library cannot follow.
#[derive(Debug)]
pub(crate) struct SortKeys;

impl AnalyzerRule for SortKeys {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Sort(sort) if sort.expr.iter().any(|key| is_lost(&key.expr)) => {
                Ok(Transformed::yes(by_columns(sort)?))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &'static str {
        "sort_keys"
    }
}

fn is_lost(key: &Expr) -> bool {
    let is_lost = |part: &Expr| match part {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
        }
        Expr::Negative(_) | Expr::Case(_) | Expr::Between(_) => true,
        _ => false,
    };
    key.exists(|part| Ok(is_lost(part))).unwrap_or(false)
}

/// The same rows in the same order: keys are computed below, and left out above.
fn by_columns(sort: Sort) -> Result<LogicalPlan> {
    let shown: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
    let (mut below, mut keys) = (shown.clone(), Vec::new());
    for (place, key) in sort.expr.into_iter().enumerate() {
        let name = format!("__sort_key_{place}");
        below.push(key.expr.alias(&name));
        keys.push(Key { expr: Expr::Column(Column::new_unqualified(name)), ..key });
    }
    let input = LogicalPlanBuilder::from(std::sync::Arc::unwrap_or_clone(sort.input)).project(below)?;
    input.sort_with_limit(keys, sort.fetch)?.project(shown)?.build()
}

#[cfg(test)]
mod tests;
