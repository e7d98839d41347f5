//! Sorting by what is computed, in ORDER BY, also of windows and aggregates.
//!
//! Of a comparison, a negation or a CASE over a function the library cannot tell how its values lie, takes that for an error, and
//! then does not see that rows are in the order it has sorted them in (DataFusion 55): the statement fails. As a column the same
//! key is sorted by like any other.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Sort as Key, WindowFunctionParams};
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
            LogicalPlan::Window(window) if has_lost_keys(&window.window_expr) => {
                let (shown, mut computed) = (window.schema, Computed::default());
                let functions = computed.in_all(window.window_expr)?;
                let by_columns = computed.below(window.input)?.window(functions)?;
                Ok(Transformed::yes(named_as(&shown, by_columns)?))
            }
            LogicalPlan::Aggregate(aggregate) if has_lost_keys(&aggregate.aggr_expr) => {
                let (shown, mut computed) = (aggregate.schema, Computed::default());
                let functions = computed.in_all(aggregate.aggr_expr)?;
                let by_columns = computed.below(aggregate.input)?.aggregate(aggregate.group_expr, functions)?;
                Ok(Transformed::yes(named_as(&shown, by_columns)?))
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

fn has_lost_keys(functions: &[Expr]) -> bool {
    let has_one = |part: &Expr| match part {
        Expr::WindowFunction(call) => {
            let WindowFunctionParams { partition_by, order_by, .. } = &call.params;
            partition_by.iter().chain(order_by.iter().map(|key| &key.expr)).any(is_lost)
        }
        // Of different values the key is one that is an argument too.
        Expr::AggregateFunction(call) => {
            !call.params.distinct && call.params.order_by.iter().any(|key| is_lost(&key.expr))
        }
        _ => false,
    };
    functions.iter().any(|function| function.exists(|part| Ok(has_one(part))).unwrap_or(false))
}

/// The same rows in the same order: keys are computed below, and left out above.
fn by_columns(sort: Sort) -> Result<LogicalPlan> {
    let shown = columns(&sort.input);
    let mut computed = Computed::default();
    let keys = sort.expr.into_iter().map(|key| Key { expr: computed.column(key.expr), ..key }).collect::<Vec<_>>();
    computed.below(sort.input)?.sort_with_limit(keys, sort.fetch)?.project(shown)?.build()
}

/// The plan's columns under the names that they have in `schema`; those behind them are left out.
fn named_as(schema: &DFSchema, plan: LogicalPlanBuilder) -> Result<LogicalPlan> {
    let (known, plan) = (schema.columns(), plan.build()?);
    let found: Vec<_> = plan.schema().columns().into_iter().filter(|column| !is_computed(column)).collect();
    let named = known.into_iter().zip(found).map(|(known, found)| match known == found {
        true => Expr::Column(found),
        false => Expr::Column(found).alias_qualified(known.relation, known.name),
    });
    LogicalPlanBuilder::from(plan).project(named.collect::<Vec<_>>())?.build()
}

fn columns(input: &LogicalPlan) -> Vec<Expr> {
    input.schema().columns().into_iter().map(Expr::Column).collect()
}

/// Keys that become columns.
#[derive(Default)]
struct Computed {
    keys: Vec<Expr>,
}

impl Computed {
    /// The column of a key; a key that the library follows stays what it is.
    fn column(&mut self, key: Expr) -> Expr {
        if !is_lost(&key) {
            return key;
        }
        let place = self.keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        Expr::Column(Column::new_unqualified(name(place)))
    }

    /// Functions with columns for keys.
    fn in_all(&mut self, functions: Vec<Expr>) -> Result<Vec<Expr>> {
        let mut in_one = |mut part: Expr| {
            let keys: Vec<&mut Expr> = match &mut part {
                Expr::WindowFunction(call) => {
                    let params = &mut call.params;
                    params.partition_by.iter_mut().chain(params.order_by.iter_mut().map(|key| &mut key.expr)).collect()
                }
                Expr::AggregateFunction(call) if !call.params.distinct => {
                    call.params.order_by.iter_mut().map(|key| &mut key.expr).collect()
                }
                _ => return Ok(Transformed::no(part)),
            };
            for key in keys {
                *key = self.column(std::mem::take(key));
            }
            Ok(Transformed::new(part, true, TreeNodeRecursion::Jump))
        };
        functions.into_iter().map(|function| function.transform_down(&mut in_one).map(|changed| changed.data)).collect()
    }

    /// The input with the columns behind its own.
    fn below(self, input: Arc<LogicalPlan>) -> Result<LogicalPlanBuilder> {
        let mut below = columns(&input);
        below.extend(self.keys.into_iter().enumerate().map(|(place, key)| key.alias(name(place))));
        LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(below)
    }
}

const KEY: &str = "__sort_key_";

fn name(place: usize) -> String {
    format!("{KEY}{place}")
}

fn is_computed(column: &Column) -> bool {
    column.relation.is_none() && column.name.starts_with(KEY)
}

#[cfg(test)]
mod tests;
