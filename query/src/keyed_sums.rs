//! Sums of samples by the unit, operation or order they belong to: rows of one signal that follow one another have the same, so
//! they are added up run by run before they are grouped, and before they are joined with what is known of units and executions.
//!
//! A join sees the names of a row and nothing else, so it takes all rows of a run or none, each as often as the others: what a
//! run adds up to can take the place of its rows. Digits are those of [`crate::sums`].

use std::sync::Arc;

use datafusion::common::{Column, JoinType, Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Aggregate, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder};

use crate::reach::is_plain;
use crate::rekey::DERIVED;
use crate::series_rows::series_columns;
use crate::stored::{StoredScan, time_bound};
use crate::sums::{Asked, Summed, added, asked, is_bucket, rebuilt, schema_of_runs, unqualified};

/// What takes the place of one aggregate.
enum Answer {
    /// It is made of the figures of runs.
    Figures(Asked),
    /// It is the same whether it is asked of runs or of rows.
    Same(Expr),
}

/// The scan of samples below some joins.
struct Leaf<'a> {
    stored: StoredScan<'a>,
    /// The names of its rows that are asked for.
    names: Vec<usize>,
    time: &'a str,
    value: &'a str,
}

/// The plan that takes the place of `aggregate`: runs of samples in the place of samples.
pub(crate) fn summed(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(stored) = leaf(&aggregate.input) else { return Ok(None) };
    let spec = Arc::clone(stored.table.spec());
    let (Some(time), Some(value)) = (spec.time.filter(|_| spec.has_series()), spec.measured()) else { return Ok(None) };
    let is_name = |name: &str| DERIVED.contains(&name) || series_columns(&spec).any(|series| series == name);
    let fields = stored.scan.projected_schema.fields().iter().map(|field| field.name().as_str());
    let names: Vec<usize> =
        fields.filter(|name| is_name(name)).filter_map(|name| spec.schema.index_of(name).ok()).collect();
    if !names.iter().any(|&index| DERIVED.contains(&spec.schema.field(index).name().as_str())) {
        return Ok(None);
    }
    let (time, value) = (spec.schema.field(time).name().as_str(), spec.schema.field(value).name().as_str());
    let leaf = Leaf { stored, names, time, value };

    let (mut buckets, mut answers) = (Vec::new(), Vec::new());
    for group in &aggregate.group_expr {
        if is_bucket(group, time) && leaf.is_own(group) {
            buckets.push(group.clone());
        } else if matches!(group, Expr::GroupingSet(_)) || !leaf.reads_names(group) {
            return Ok(None);
        }
    }
    for expr in &aggregate.aggr_expr {
        let Some(answer) = leaf.answer(expr) else { return Ok(None) };
        answers.push(answer);
    }
    // Nothing would be added up.
    if !answers.iter().any(|answer| matches!(answer, Answer::Figures(_))) {
        return Ok(None);
    }
    let Some(input) = leaf.joined(&aggregate.input, &buckets)? else { return Ok(None) };

    let same = answers.iter().filter_map(|answer| match answer {
        Answer::Same(expr) => Some(expr.clone()),
        Answer::Figures(_) => None,
    });
    let grouped =
        LogicalPlanBuilder::from(input).aggregate(aggregate.group_expr.clone(), added().into_iter().chain(same))?;
    let mut shown = aggregate.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name()));
    let groups = shown.by_ref().take(aggregate.schema.fields().len() - aggregate.aggr_expr.len());
    let mut columns: Vec<Expr> = groups.map(|(qualifier, name)| Expr::Column(Column::new(qualifier, name))).collect();
    for (answer, (qualifier, name)) in answers.into_iter().zip(shown) {
        columns.push(match answer {
            Answer::Figures(asked) => asked.answer()?.alias_qualified(qualifier, name),
            Answer::Same(_) => Expr::Column(Column::new(qualifier, name)),
        });
    }
    Ok(Some(grouped.project(columns)?.build()?))
}

/// The scan whose rows each come through the plan as often as others with the same names do.
fn leaf(plan: &LogicalPlan) -> Option<StoredScan<'_>> {
    StoredScan::any_below(plan).filter(|stored| stored.table.spec().derived.is_some()).or_else(|| match plan {
        LogicalPlan::Filter(filter) => leaf(&filter.input),
        LogicalPlan::Projection(projection) => {
            let plain = projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_)));
            plain.then(|| leaf(&projection.input)).flatten()
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => leaf(&join.left).or_else(|| leaf(&join.right)),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => leaf(&join.left),
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => leaf(&join.right),
            _ => None,
        },
        _ => None,
    })
}

impl Leaf<'_> {
    fn relation(&self) -> &TableReference {
        self.stored.relation
    }

    /// Whether a column is one of this scan's. Where that cannot be told, it is.
    fn has(&self, column: &Column) -> bool {
        column.relation.as_ref().is_none_or(|relation| relation == self.relation())
    }

    /// Whether an expression reads columns of this scan alone.
    fn is_own(&self, expr: &Expr) -> bool {
        expr.column_refs().into_iter().all(|column| self.has(column))
    }

    fn is_name(&self, column: &Column) -> bool {
        let schema = &self.stored.table.spec().schema;
        self.names.iter().any(|&index| *schema.field(index).name() == column.name)
    }

    /// Whether an expression says the same of all rows of a run: all that it reads of this scan are names.
    fn reads_names(&self, expr: &Expr) -> bool {
        let mut columns = expr.column_refs().into_iter();
        is_plain(expr) && columns.all(|column| !self.has(column) || self.is_name(column))
    }

    fn answer(&self, expr: &Expr) -> Option<Answer> {
        if self.is_own(expr)
            && let Some(asked) = asked(expr, self.time, self.value)
        {
            return Some(Answer::Figures(asked));
        }
        let function = match expr {
            Expr::Alias(alias) => &alias.expr,
            other => other,
        };
        let Expr::AggregateFunction(AggregateFunction { func, params }) = function else { return None };
        let is_extreme = ["min", "max"].contains(&func.name()) && params.null_treatment.is_none();
        (is_extreme && self.reads_names(expr)).then(|| Answer::Same(expr.clone()))
    }

    /// The plan with runs in the place of rows; `None` where it asks of them what only rows tell.
    fn joined(&self, plan: &LogicalPlan, buckets: &[Expr]) -> Result<Option<LogicalPlan>> {
        if StoredScan::any_below(plan).is_some_and(|stored| std::ptr::eq(stored.scan, self.stored.scan)) {
            return self.runs(plan, buckets);
        }
        match plan {
            LogicalPlan::Filter(filter) if self.reads_names(&filter.predicate) => {
                let Some(input) = self.joined(&filter.input, buckets)? else { return Ok(None) };
                Ok(Some(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?)))
            }
            LogicalPlan::Projection(projection) => self.joined(&projection.input, buckets),
            LogicalPlan::Join(join) => {
                let mut asked = join.on.iter().flat_map(|(left, right)| [left, right]).chain(&join.filter);
                if !asked.all(|expr| self.reads_names(expr)) {
                    return Ok(None);
                }
                let (mut left, mut right) = (Arc::clone(&join.left), Arc::clone(&join.right));
                let side = if self.is_below(&left) { &mut left } else { &mut right };
                let Some(input) = self.joined(side, buckets)? else { return Ok(None) };
                *side = Arc::new(input);
                let (on, filter) = (join.on.clone(), join.filter.clone());
                let (kind, constraint) = (join.join_type, join.join_constraint);
                let joined =
                    Join::try_new(left, right, on, filter, kind, constraint, join.null_equality, join.null_aware)?;
                Ok(Some(LogicalPlan::Join(joined)))
            }
            _ => Ok(None),
        }
    }

    fn is_below(&self, plan: &LogicalPlan) -> bool {
        leaf(plan).is_some_and(|stored| std::ptr::eq(stored.scan, self.stored.scan))
    }

    /// The runs of the rows of the scan that a plan of filters and aliases ends in.
    fn runs(&self, plan: &LogicalPlan, buckets: &[Expr]) -> Result<Option<LogicalPlan>> {
        let Some(StoredScan { scan, table, filters, .. }) = StoredScan::any_below(plan) else { return Ok(None) };
        // Below an alias columns are called by another name.
        let of_names =
            |filter: &&Expr| is_plain(filter) && filter.column_refs().into_iter().all(|column| self.is_name(column));
        let (of_names, of_time): (Vec<&Expr>, Vec<&Expr>) = filters.into_iter().partition(of_names);
        if !of_time.iter().all(|filter| time_bound(filter, self.time).is_some()) {
            return Ok(None);
        }
        let spec = Arc::clone(table.spec());
        let timed = !buckets.is_empty() || !of_time.is_empty();
        let key: Vec<usize> = self.names.iter().copied().chain(spec.time.filter(|_| timed)).collect();
        let schema = schema_of_runs(&spec, &key);
        let read = of_names.iter().chain(&of_time).map(|filter| unqualified(filter)).collect::<Result<_>>()?;
        let within = of_time.into_iter().cloned().collect();
        let runs = Summed { table, cells: None, read, within, buckets: buckets.to_vec(), key, schema };
        let source = provider_as_source(Arc::new(runs));
        let scan = || LogicalPlanBuilder::scan(scan.table_name.clone(), Arc::clone(&source), None);
        let kept = conjunction(of_names.into_iter().cloned());
        Ok(Some(rebuilt(plan, &scan, &kept)?.build()?))
    }
}

#[cfg(test)]
mod tests;
