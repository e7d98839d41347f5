//! Counts, sums, means and extremes of signals from cells of their samples: stretches that lie in one bucket of time.
//!
//! Outlines know of each cell of a series how many rows it has and what they add up to. A question that groups by series
//! and by buckets of time takes every cell from there that lies in one bucket, and reads the rows of the others only:
//! those at the edges, those of which newer rows are known, and those with a number that is not finite. Rows that are read
//! are added up run by run before they are grouped, so that no row is looked up in a table of groups. A sum is then that
//! of the sums of its cells, so its last digits may differ from those of a sum in another order, as with every other
//! way to add numbers up in several places.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, TableType, cast, when};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::expressions::col as physical_column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::{ident, lit};
use storage::TableSpec;

use crate::error::QueryError;
use crate::keyed_sums;
use crate::reach::{Reach, column_of, is_plain, literal};
use crate::series_cells::{Grouping, KnownCells};
use crate::series_rows::{Wanted, series_columns};
use crate::series_runs::{Runs, SeriesRunsExec};
use crate::stored::{StoredScan, plain_column, time_bound};
use crate::table::SnapshotTable;

/// Columns of a cell besides those of its series and its start.
pub(crate) const ROWS: &str = "cell_rows";
pub(crate) const VALUES: &str = "cell_values";
pub(crate) const SUM: &str = "cell_sum";
pub(crate) const MIN: &str = "cell_min";
pub(crate) const MAX: &str = "cell_max";

/// Functions of a time and constants that never give less for a later time.
const MONOTONE: [&str; 3] = ["time_bucket", "date_bin", "date_trunc"];

/// Puts cells, or runs of rows with the same keys, in the place of rows.
#[derive(Debug)]
pub(crate) struct SumsOfRows;

impl OptimizerRule for SumsOfRows {
    fn name(&self) -> &str {
        "sums_of_rows"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let summed = match of_cells(aggregate)? {
            None => keyed_sums::summed(aggregate)?,
            of_cells => of_cells,
        };
        Ok(summed.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

/// What an aggregate asks of the rows of its group.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    Rows,
    Values,
    Sum,
    Mean,
    Min,
    Max,
}

/// The plan that takes the place of `aggregate`: cells in the place of samples.
fn of_cells(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(StoredScan { scan, table, filters, .. }) = StoredScan::below(&aggregate.input) else { return Ok(None) };
    let spec = Arc::clone(table.spec());
    let (Some(time), Some(value)) = (spec.time.filter(|_| spec.has_series()), spec.measured()) else { return Ok(None) };
    let (time, value) = (spec.schema.field(time).name().as_str(), spec.schema.field(value).name().as_str());
    let on_series = |expr: &Expr| {
        let columns = expr.column_refs();
        is_plain(expr) && columns.iter().all(|column| series_columns(&spec).any(|name| name == column.name))
    };
    let (of_series, of_time): (Vec<&Expr>, Vec<&Expr>) = filters.into_iter().partition(|filter| on_series(filter));
    if !of_time.iter().all(|filter| time_bound(filter, time).is_some()) {
        return Ok(None);
    }
    let mut buckets = Vec::new();
    for group in &aggregate.group_expr {
        if is_bucket(group, time) {
            buckets.push(group.clone());
        } else if matches!(group, Expr::GroupingSet(_)) || !on_series(group) {
            return Ok(None);
        }
    }
    let asked: Option<Vec<Asked>> = aggregate.aggr_expr.iter().map(|expr| asked(expr, time, value)).collect();
    let Some(asked) = asked else { return Ok(None) };

    let all: Vec<Expr> = of_series.iter().chain(&of_time).map(|filter| (*filter).clone()).collect();
    let reach = Reach::of(&all);
    let grouping = Grouping::new(&spec, &of_time, &buckets)?;
    let wanted = Wanted { spec: &spec, reach: &reach, places: None };
    let cells = table.known_cells(&wanted, &grouping)?;
    // How many rows there are can be known without reading any.
    if cells.is_none() && asked.iter().all(|asked| matches!(asked, Asked::Rows)) {
        return Ok(None);
    }
    // Of rows beside cells it is known already which series are wanted.
    let read = if cells.is_some() { of_time.iter().map(|filter| (*filter).clone()).collect() } else { all };
    let within = of_time.into_iter().cloned().collect();
    let provider =
        Arc::new(Summed { table, cells, read, within, buckets, key: spec.key.clone(), schema: schema(&spec) });

    let source = provider_as_source(provider);
    let input = rebuilt(
        &aggregate.input,
        &|| LogicalPlanBuilder::scan(scan.table_name.clone(), Arc::clone(&source), None),
        &conjunction(of_series.into_iter().cloned()),
    )?;
    let grouped = input.aggregate(aggregate.group_expr.clone(), added())?;
    let groups = aggregate.schema.iter().take(aggregate.group_expr.len());
    let mut columns: Vec<Expr> =
        groups.map(|(qualifier, field)| Expr::Column(Column::new(qualifier.cloned(), field.name()))).collect();
    for (asked, (qualifier, field)) in asked.into_iter().zip(aggregate.schema.iter().skip(columns.len())) {
        columns.push(asked.answer()?.alias_qualified(qualifier.cloned(), field.name()));
    }
    Ok(Some(grouped.project(columns)?.build()?))
}

/// What the figures of cells come to in a group.
pub(crate) fn added() -> [Expr; 5] {
    let sums = [ROWS, VALUES, SUM].map(|name| sum(ident(name)).alias(name));
    let [rows, values, total] = sums;
    [rows, values, total, min(ident(MIN)).alias(MIN), max(ident(MAX)).alias(MAX)]
}

/// The plan down to the scan with another scan, and of its filters only `kept`, right above it.
pub(crate) fn rebuilt(
    plan: &LogicalPlan,
    scan: &dyn Fn() -> Result<LogicalPlanBuilder>,
    kept: &Option<Expr>,
) -> Result<LogicalPlanBuilder> {
    match plan {
        LogicalPlan::Filter(filter) => rebuilt(&filter.input, scan, kept),
        LogicalPlan::Projection(projection) => rebuilt(&projection.input, scan, kept),
        // Filters name columns as they are called above the alias, or below it.
        LogicalPlan::SubqueryAlias(alias) => rebuilt(&alias.input, scan, kept)?.alias(alias.alias.clone()),
        _ => match kept {
            Some(kept) => scan()?.filter(unqualified(kept)?),
            None => scan(),
        },
    }
}

/// The same expression of columns by their names alone.
pub(crate) fn unqualified(expr: &Expr) -> Result<Expr> {
    use datafusion::common::tree_node::TreeNode;
    let plain = expr.clone().transform(|part| match part {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    });
    Ok(plain?.data)
}

/// Whether an expression gives each time its bucket.
pub(crate) fn is_bucket(expr: &Expr, time: &str) -> bool {
    let expr = match expr {
        Expr::Alias(alias) => &alias.expr,
        other => other,
    };
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return false };
    // A time in the place of the origin goes up and down.
    let is_time =
        |(place, arg): (usize, &Expr)| if place == 1 { column_of(arg) == Some(time) } else { literal(arg).is_some() };
    MONOTONE.contains(&func.name()) && args.len() > 1 && args.iter().enumerate().all(is_time)
}

pub(crate) fn asked(expr: &Expr, time: &str, value: &str) -> Option<Asked> {
    let expr = match expr {
        Expr::Alias(alias) => &alias.expr,
        other => other,
    };
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    if params.distinct || params.filter.is_some() || params.null_treatment.is_some() || !params.order_by.is_empty() {
        return None;
    }
    let [argument] = params.args.as_slice() else { return None };
    let of_value = plain_column(argument) == Some(value);
    match func.name() {
        "count" if literal(argument).is_some_and(|constant| !constant.is_null()) => Some(Asked::Rows),
        // A key has a time.
        "count" if plain_column(argument) == Some(time) => Some(Asked::Rows),
        "count" if of_value => Some(Asked::Values),
        "sum" if of_value => Some(Asked::Sum),
        "avg" if of_value => Some(Asked::Mean),
        "min" if of_value => Some(Asked::Min),
        "max" if of_value => Some(Asked::Max),
        _ => None,
    }
}

impl Asked {
    /// What it is of the sums of a group.
    pub(crate) fn answer(self) -> Result<Expr> {
        // Where there is no group and no row, there is a sum all the same, and it is NULL.
        let count = |name: &str| when(ident(name).is_null(), lit(0_i64)).otherwise(ident(name));
        Ok(match self {
            Self::Rows => count(ROWS)?,
            Self::Values => count(VALUES)?,
            Self::Sum => ident(SUM),
            // Without values the sum is NULL.
            Self::Mean => ident(SUM) / cast(ident(VALUES), DataType::Float64),
            Self::Min => ident(MIN),
            Self::Max => ident(MAX),
        })
    }
}

/// Columns of a cell: those of its series, its start, and what its rows add up to.
pub(crate) fn schema(spec: &TableSpec) -> SchemaRef {
    schema_of_runs(spec, &spec.key)
}

/// Columns of a run: those that tell it from the next, and what its rows add up to.
pub(crate) fn schema_of_runs(spec: &TableSpec, key: &[usize]) -> SchemaRef {
    let all = storage::with_views(&spec.schema);
    let key = key.iter().map(|&index| all.field(index).clone());
    let counts = [ROWS, VALUES].map(|name| Field::new(name, DataType::Int64, true));
    let numbers = [SUM, MIN, MAX].map(|name| Field::new(name, DataType::Float64, true));
    Arc::new(Schema::new(key.chain(counts).chain(numbers).collect::<Vec<_>>()))
}

/// Cells of a table that are known, and runs of its other rows.
#[derive(Debug)]
pub(crate) struct Summed {
    pub(crate) table: SnapshotTable,
    pub(crate) cells: Option<KnownCells>,
    /// What the rows that are read have to fulfil, as far as that tells which these are.
    pub(crate) read: Vec<Expr>,
    /// What their times have to fulfil. What their names have to is asked of the runs.
    pub(crate) within: Vec<Expr>,
    pub(crate) buckets: Vec<Expr>,
    /// The columns that tell runs apart, and the time where it is asked for.
    pub(crate) key: Vec<usize>,
    /// These, and what rows add up to.
    pub(crate) schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Summed {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let spec = self.table.spec();
        let value = spec.measured().ok_or_else(|| QueryError::Layout(format!("{} without a number", spec.name)))?;
        let columns: Vec<usize> = self.key.iter().copied().chain([value]).collect();
        let table = match &self.cells {
            Some(cells) => self.table.clone().with_rows(Arc::clone(&cells.left)),
            None => self.table.clone(),
        };
        let rows = table.scan(state, Some(&columns), &self.read, None).await?;
        let stored = DFSchema::try_from(rows.schema())?;
        let physical = |expr: &Expr| state.create_physical_expr(unqualified(expr)?, &stored);
        let within = conjunction(self.within.iter().cloned()).map(|within| physical(&within)).transpose()?;
        let buckets = self.buckets.iter().map(physical).collect::<Result<Arc<[_]>>>()?;
        let runs = Runs { within, buckets, schema: self.schema() };
        // Each part by itself: those of segments are added up where they are read.
        let parts: Vec<_> = match rows.downcast_ref::<UnionExec>() {
            Some(union) => union.children().into_iter().map(Arc::clone).collect(),
            None => vec![rows],
        };
        let mut all: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if let Some(cells) = &self.cells {
            let cells = MemorySourceConfig::try_new(&[vec![cells.sums.clone()]], self.schema(), None)?;
            all.push(DataSourceExec::from_data_source(cells));
        }
        for part in parts {
            all.push(Arc::new(SeriesRunsExec::new(part, runs.clone())?));
        }
        let all = if all.len() == 1 { all.swap_remove(0) } else { UnionExec::try_new(all)? };
        let Some(projection) = projection else { return Ok(all) };
        let columns: Result<Vec<ProjectionExpr>> = projection
            .iter()
            .map(|&index| {
                let name = self.schema.field(index).name();
                Ok(ProjectionExpr::new(physical_column(name, &all.schema())?, name.clone()))
            })
            .collect();
        Ok(Arc::new(ProjectionExec::try_new(columns?, all)?))
    }
}

#[cfg(test)]
mod tests;
