//! Rows in the order of intervals.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::IntervalLength;
use crate::instant::map_named;

/// Sorts by the lengths of intervals, in ORDER BY and in windows. It comes before the library's rules, which refuse windows in
/// the order of intervals.
#[derive(Debug)]
pub(crate) struct SortedIntervals {
    length: Arc<ScalarUDF>,
}

impl SortedIntervals {
    pub(crate) fn new() -> Self {
        Self { length: IntervalLength::function() }
    }

    /// Says whether there are any intervals among the keys.
    fn sorted(&self, keys: &mut [Sort], schema: &DFSchema) -> bool {
        let mut is_changed = false;
        for key in keys {
            if key.expr.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_))) {
                key.expr = self.length.call(vec![std::mem::take(&mut key.expr)]);
                is_changed = true;
            }
        }
        is_changed
    }
}

impl AnalyzerRule for SortedIntervals {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            match node {
                LogicalPlan::Sort(mut sort) => {
                    let is_changed = self.sorted(&mut sort.expr, &schema);
                    Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), is_changed))
                }
                node @ LogicalPlan::Window(_) => map_named(node, |expr| {
                    expr.transform_up(|part| match part {
                        Expr::WindowFunction(mut call) => {
                            let is_changed = self.sorted(&mut call.params.order_by, &schema);
                            Ok(Transformed::new_transformed(Expr::WindowFunction(call), is_changed))
                        }
                        other => Ok(Transformed::no(other)),
                    })
                }),
                other => Ok(Transformed::no(other)),
            }
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &str {
        "sorted_intervals"
    }
}
