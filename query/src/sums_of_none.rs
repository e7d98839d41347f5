//! Sums over no rows.
//!
//! Of a column that is one constant the library takes the sum to be the constant times the rows, and so 0 of no rows
//! (DataFusion 55), where SQL says NULL. Sums are therefore not taken from statistics; counts and bounds are.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// Name of the library's rule that answers aggregates from statistics.
pub(crate) const AGGREGATE_STATISTICS: &str = "aggregate_statistics";

/// The library's rule, where nothing is summed.
#[derive(Debug)]
pub(crate) struct SumsOfNone {
    statistics: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
}

impl SumsOfNone {
    /// Stands in for the rule [`AGGREGATE_STATISTICS`].
    pub(crate) fn new(statistics: Arc<dyn PhysicalOptimizerRule + Send + Sync>) -> Self {
        Self { statistics }
    }
}

impl PhysicalOptimizerRule for SumsOfNone {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if !sums(&plan)? {
            return self.statistics.optimize(plan, config);
        }
        plan.map_children(|child| self.optimize(child, config).map(Transformed::yes)).map(|changed| changed.data)
    }

    fn name(&self) -> &str {
        AGGREGATE_STATISTICS
    }

    fn schema_check(&self) -> bool {
        self.statistics.schema_check()
    }
}

fn sums(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        found |= node
            .downcast_ref::<AggregateExec>()
            .is_some_and(|aggregate| aggregate.aggr_expr().iter().any(|expr| expr.fun().name() == "sum"));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{Bench, good};

    #[tokio::test]
    async fn a_sum_of_no_rows_is_null_also_of_a_constant() {
        let bench = Bench::new();
        let sums = async |rows: &str| {
            let constant = format!("SELECT 5 AS x FROM samples WHERE {rows}");
            let plain = bench.ask(&format!("SELECT sum(x) FROM ({constant})")).await;
            let beside = format!("SELECT sum(x), (SELECT count(*) FROM samples), count(*) FROM ({constant})");
            (plain, bench.ask(&beside).await)
        };
        assert_eq!(sums("value > 1").await, (vec![String::new()], vec![" 0 0".to_owned()]));
        bench.put(&good("press", "force", &[(1, 1.0), (2, 2.0)]));
        for flushed in [false, true] {
            if flushed {
                bench.store.flush().unwrap();
            }
            for none in ["value > 100", "signal = 'speed'", "false"] {
                assert_eq!(sums(none).await, (vec![String::new()], vec![" 2 0".to_owned()]), "{none}");
            }
            assert_eq!(sums("value > 1").await, (vec!["5".to_owned()], vec!["5 2 1".to_owned()]));
            assert_eq!(sums("true").await, (vec!["10".to_owned()], vec!["10 2 2".to_owned()]));
        }
    }

    #[tokio::test]
    async fn counts_are_still_taken_from_statistics() {
        let bench = Bench::holding(&good("press", "force", &[(1, 1.0), (2, 2.0)]));
        let plan = bench.ask("EXPLAIN SELECT count(*) FROM samples").await.concat();
        assert!(plan.contains("PlaceholderRowExec"), "{plan}");
    }
}
