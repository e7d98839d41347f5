//! Scans of a table below an aggregate: what the rules look for that answer from what is known of rows already, or of runs of them.

use datafusion::common::TableReference;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, LogicalPlan, Operator, TableScan};

use crate::reach::{column_of, literal, micros};
use crate::rekey::DERIVED;
use crate::table::SnapshotTable;

/// A scan of a table's current rows.
pub(crate) struct StoredScan<'a> {
    pub(crate) scan: &'a TableScan,
    /// What its columns are called by: the table, or its alias.
    pub(crate) relation: &'a TableReference,
    pub(crate) table: SnapshotTable,
    /// What rows have to fulfil, all of it.
    pub(crate) filters: Vec<&'a Expr>,
}

impl<'a> StoredScan<'a> {
    /// The scan below nothing but filters, aliases and choices of columns, where none of its columns follows from the context.
    pub(crate) fn below(plan: &'a LogicalPlan) -> Option<Self> {
        Self::any_below(plan).filter(|found| {
            let mut columns = found.scan.projected_schema.fields().iter();
            columns.all(|field| !DERIVED.contains(&field.name().as_str()))
        })
    }

    /// The same, whatever its columns follow from.
    pub(crate) fn any_below(plan: &'a LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::Filter(filter) => {
                let mut found = Self::any_below(&filter.input)?;
                // A filter that a scan was told of can stand above it still.
                for filter in split_conjunction(&filter.predicate) {
                    if !found.filters.contains(&filter) {
                        found.filters.push(filter);
                    }
                }
                Some(found)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                Some(Self { relation: &alias.alias, ..Self::any_below(&alias.input)? })
            }
            // Columns that nobody needs above a filter are left out there.
            LogicalPlan::Projection(projection) => {
                let plain = projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_)));
                plain.then(|| Self::any_below(&projection.input)).flatten()
            }
            LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
                let provider = source_as_provider(&scan.source).ok()?;
                let table = (provider.as_ref() as &dyn std::any::Any).downcast_ref::<SnapshotTable>()?.clone();
                let filters = scan.filters.iter().flat_map(split_conjunction).collect();
                table.current_view().is_some().then_some(Self { scan, relation: &scan.table_name, table, filters })
            }
            _ => None,
        }
    }
}

/// The name of the column that an expression is.
pub(crate) fn plain_column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        Expr::Alias(alias) => plain_column(&alias.expr),
        _ => None,
    }
}

/// Which sides of `time` a filter bounds, below and above, where it does nothing else.
pub(crate) fn time_bound(filter: &Expr, time: &str) -> Option<(bool, bool)> {
    let is_time = |expr: &Expr| column_of(expr) == Some(time);
    let is_instant = |expr: &Expr| literal(expr).and_then(micros).is_some();
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let op = match (is_time(left) && is_instant(right), is_instant(left) && is_time(right)) {
                (true, _) => *op,
                (_, true) => op.swap()?,
                _ => return None,
            };
            match op {
                Operator::Gt | Operator::GtEq => Some((true, false)),
                Operator::Lt | Operator::LtEq => Some((false, true)),
                _ => None,
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            (is_time(expr) && is_instant(low) && is_instant(high)).then_some((true, true))
        }
        _ => None,
    }
}
