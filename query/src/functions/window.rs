//! The window of a table function from `WHERE`: AND-ed comparisons of `time` with constants.

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};

use super::function::Function;
use crate::reach::{column_of, is_plain, literal, micros};

const TIME: &str = "time";

/// `[from, to)` as far as it is known, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// From when.
    pub(crate) from: Option<i64>,
    /// Until when, exclusive.
    pub(crate) to: Option<i64>,
}

impl Window {
    /// What AND-ed filters say about `time`.
    pub(crate) fn of(filters: &[Expr]) -> Self {
        let mut window = Self::default();
        for bound in filters.iter().flat_map(split_conjunction).filter_map(bounds).flatten() {
            match bound {
                Bound::From(us) => window.from = Some(window.from.map_or(us, |from| from.max(us))),
                Bound::To(us) => window.to = Some(window.to.map_or(us, |to| to.min(us))),
            }
        }
        window
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    From(i64),
    To(i64),
}

/// The bounds that one conjunct sets; none where it is not a comparison of `time` with a constant.
fn bounds(filter: &Expr) -> Option<Vec<Bound>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, constant) = match (column_of(left), column_of(right)) {
                (Some(TIME), _) => (*op, right),
                (_, Some(TIME)) => (op.swap()?, left),
                _ => return None,
            };
            let (floor, ceiling) = micros(literal(constant)?)?;
            match op {
                Operator::GtEq => Some(vec![Bound::From(ceiling)]),
                Operator::Gt => Some(vec![Bound::From(floor + 1)]),
                // The end of a window is exclusive, however it is written.
                Operator::Lt | Operator::LtEq => Some(vec![Bound::To(ceiling)]),
                _ => None,
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) if column_of(expr) == Some(TIME) => {
            let (_, from) = micros(literal(low)?)?;
            let (_, to) = micros(literal(high)?)?;
            Some(vec![Bound::From(from), Bound::To(to)])
        }
        _ => None,
    }
}

/// What becomes of a filter. `explicit`: the call itself gives the window, so filters on `time` are ordinary ones.
pub(crate) fn pushdown(function: Function, filter: &Expr, explicit: bool) -> Result<TableProviderFilterPushDown> {
    if reads_only(filter, function.names()) {
        return Ok(TableProviderFilterPushDown::Inexact);
    }
    let reads_time = filter.column_refs().iter().any(|column| column.name == TIME);
    if !reads_time || explicit || matches!(filter, Expr::IsNotNull(_)) {
        return Ok(TableProviderFilterPushDown::Unsupported);
    }
    if split_conjunction(filter).into_iter().all(|conjunct| bounds(conjunct).is_some()) {
        return Ok(TableProviderFilterPushDown::Inexact);
    }
    plan_err!(
        "{} takes its window from comparisons of time with constants, joined by AND; {filter} is not one. Write {}",
        function.name(),
        function.explicit_form()
    )
}

/// Whether a filter can be decided by some columns alone.
pub(crate) fn reads_only(filter: &Expr, names: &[&str]) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|column| names.contains(&column.name.as_str())) && is_plain(filter)
}

#[cfg(test)]
mod tests;
