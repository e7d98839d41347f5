//! The newest sample of every signal, without reading the others.
//!
//! A question that groups a table by its series, and of each asks only for what the newest row says, is answered from the
//! rows that the store knows to be the newest ones.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use storage::{TableView, with_views};

use crate::error::QueryError;
use crate::series_rows::series_columns;
use crate::stored::{StoredScan, plain_column, time_bound};

/// Puts the newest rows in the place of all rows, where the answer is the same.
#[derive(Debug)]
pub(crate) struct NewestRows;

impl OptimizerRule for NewestRows {
    fn name(&self) -> &str {
        "newest_rows"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        match newest(aggregate)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// The plan that takes the place of `aggregate`.
fn newest(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(StoredScan { scan, table, filters, .. }) = StoredScan::below(&aggregate.input) else { return Ok(None) };
    let Some(view) = table.current_view() else { return Ok(None) };
    let spec = &view.spec;
    let time = spec.time.map(|index| spec.schema.field(index).name().as_str());
    let Some(time) = time.filter(|_| spec.has_series()) else { return Ok(None) };
    let series: Vec<&str> = series_columns(spec).collect();

    let mut groups: Vec<&str> = aggregate.group_expr.iter().filter_map(plain_column).collect();
    let all_groups = groups.len() == aggregate.group_expr.len();
    groups.sort_unstable();
    let mut wanted = series.clone();
    wanted.sort_unstable();
    if !all_groups || groups != wanted {
        return Ok(None);
    }
    let values: Option<Vec<&Expr>> = aggregate.aggr_expr.iter().map(|expr| newest_value(expr, time)).collect();
    let Some(values) = values else { return Ok(None) };
    // Filters that keep the newest row of a series wherever they keep any of it.
    let keeps = |filter: &&Expr| -> bool {
        let columns = filter.column_refs();
        let on_series = columns.iter().all(|column| series.contains(&column.name.as_str()));
        crate::reach::is_plain(filter) && on_series || time_bound(filter, time) == Some((true, false))
    };
    if !filters.iter().all(keeps) {
        return Ok(None);
    }
    let rows = Arc::new(NewestTable { view });
    let LogicalPlan::TableScan(table) =
        LogicalPlanBuilder::scan(scan.table_name.clone(), provider_as_source(rows), scan.projection.clone())?
            .build()?
    else {
        return Ok(None);
    };
    let input = aggregate.input.as_ref().clone().transform_up(|node| match node {
        LogicalPlan::TableScan(_) => Ok(Transformed::yes(LogicalPlan::TableScan(table.clone()))),
        other => Ok(Transformed::no(other)),
    })?;
    let outputs = aggregate.group_expr.iter().chain(values);
    let columns = outputs
        .zip(aggregate.schema.iter())
        .map(|(expr, (qualifier, field))| expr.clone().alias_qualified(qualifier.cloned(), field.name()));
    Ok(Some(LogicalPlanBuilder::from(input.data).project(columns.collect::<Vec<_>>())?.build()?))
}

/// What an aggregate says of the newest row of its group, where it looks at no other one.
fn newest_value<'a>(expr: &'a Expr, time: &str) -> Option<&'a Expr> {
    let expr = match expr {
        Expr::Alias(alias) => &alias.expr,
        other => other,
    };
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    if params.distinct || params.filter.is_some() || params.null_treatment.is_some() {
        return None;
    }
    let [value] = params.args.as_slice() else { return None };
    let name = plain_column(value)?;
    let by_time = |ascending: bool| match params.order_by.as_slice() {
        [Sort { expr, asc, .. }] => plain_column(expr) == Some(time) && *asc == ascending,
        _ => false,
    };
    let fits = match func.name() {
        "max" => name == time && params.order_by.is_empty(),
        "last_value" => by_time(true),
        "first_value" => by_time(false),
        _ => false,
    };
    fits.then_some(value)
}

/// The newest row of each series of one table.
#[derive(Debug)]
struct NewestTable {
    view: Arc<TableView>,
}

#[async_trait]
impl TableProvider for NewestTable {
    fn schema(&self) -> SchemaRef {
        with_views(&self.view.spec.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let spec = Arc::clone(&self.view.spec);
        let columns = projection.cloned().unwrap_or_else(|| (0..spec.schema.fields().len()).collect());
        let view = Arc::clone(&self.view);
        let rows = tokio::task::spawn_blocking(move || view.newest_of_series()).await;
        let rows = rows.map_err(|error| QueryError::Execution(error.to_string()))?.map_err(QueryError::from)?;
        crate::memory_scan::memory_scan(&spec, &rows, &columns, true)
    }
}
