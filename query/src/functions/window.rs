//! The window of a table function from `WHERE`: AND-ed comparisons of `time` with constants.

use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{Between, ScalarFunction};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};

use jiff::tz::TimeZone;
use oee::bucket::zone;
use oee::calendar::{instant, last_instant};

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
        Self::within(filters.iter().flat_map(split_conjunction).filter_map(bounds).flatten())
    }

    /// The same where a last instant that is named belongs to it.
    pub(crate) fn with_its_end(filters: &[Expr]) -> Self {
        let compared = filters.iter().flat_map(split_conjunction).flat_map(compared);
        Self::within(compared.filter_map(|(op, constant)| {
            let constant = constant?;
            match op {
                Operator::LtEq => micros(&constant).map(|(floor, _)| Bound::To(floor.saturating_add(1))),
                _ => Bound::of(op, &constant),
            }
        }))
    }

    /// What all bounds leave.
    pub(crate) fn within(bounds: impl IntoIterator<Item = Bound>) -> Self {
        let mut window = Self::default();
        for bound in bounds {
            match bound {
                Bound::From(us) => window.from = Some(window.from.map_or(us, |from| from.max(us))),
                Bound::To(us) => window.to = Some(window.to.map_or(us, |to| to.min(us))),
            }
        }
        window
    }
}

/// One end of a window, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The first instant of it.
    From(i64),
    /// The first instant after it.
    To(i64),
}

impl Bound {
    /// What it means that a time compares so with a constant; nothing where that sets no bound.
    pub(crate) fn of(op: Operator, constant: &ScalarValue) -> Option<Self> {
        let (floor, ceiling) = micros(constant)?;
        match op {
            Operator::GtEq => Some(Self::From(ceiling)),
            Operator::Gt => Some(Self::From(floor + 1)),
            // The end of a window is exclusive, however it is written.
            Operator::Lt | Operator::LtEq => Some(Self::To(ceiling)),
            _ => None,
        }
    }
}

/// What a conjunct compares a time with, each with its operator as if the time stood left of it. None where the conjunct is
/// no comparison of that time.
pub(crate) fn comparisons(filter: &Expr, is_time: impl Fn(&Expr) -> bool) -> Vec<(Operator, &Expr)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_time(left) => vec![(*op, right)],
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_time(right) => {
            op.swap().map(|op| (op, left.as_ref())).into_iter().collect()
        }
        Expr::Between(Between { expr, negated: false, low, high }) if is_time(expr) => {
            vec![(Operator::GtEq, low), (Operator::LtEq, high)]
        }
        _ => Vec::new(),
    }
}

/// What a conjunct compares `time` with, as instants; nothing in the place of what is no constant.
fn compared(filter: &Expr) -> Vec<(Operator, Option<ScalarValue>)> {
    let sides: Vec<&Expr> = match filter {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => vec![left, right],
        Expr::Between(Between { expr, .. }) => vec![expr],
        _ => Vec::new(),
    };
    // A day or a time without a zone is compared with what the clock on the wall says.
    let zone = sides.into_iter().find_map(wall_of);
    let found = comparisons(filter, |expr| column_of(expr) == Some(TIME) || wall_of(expr).is_some());
    let instant = |op: Operator, constant: &Expr| {
        let constant = literal(constant)?.clone();
        let Some(zone) = &zone else { return Some(constant) };
        let (local_us, _) = micros(&constant)?;
        let local = jiff::Timestamp::from_microsecond(local_us).ok()?.to_zoned(TimeZone::UTC);
        // An hour that comes twice: from its first time on, and until its second.
        let us = match op {
            Operator::Lt | Operator::LtEq => last_instant(zone, local.date(), local.time()),
            _ => instant(zone, local.date(), local.time()),
        };
        Some(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())))
    };
    found.into_iter().map(|(op, constant)| (op, instant(op, constant))).collect()
}

/// The zone whose wall time of `time` an expression is.
fn wall_of(expr: &Expr) -> Option<TimeZone> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    match args.as_slice() {
        [name, time] if func.name() == "timezone" && column_of(time) == Some(TIME) => {
            zone(literal(name)?.try_as_str().flatten()?).ok()
        }
        _ => None,
    }
}

/// The bounds that one conjunct sets; none where it is not a comparison of `time` with constants.
fn bounds(filter: &Expr) -> Option<Vec<Bound>> {
    let compared = compared(filter).into_iter();
    let bounds: Vec<Bound> = compared.map(|(op, constant)| Bound::of(op, &constant?)).collect::<Option<_>>()?;
    (!bounds.is_empty()).then_some(bounds)
}

/// What becomes of a filter. `explicit`: the call itself gives the window, so filters on `time` are ordinary ones.
pub(crate) fn pushdown(function: Function, filter: &Expr, explicit: bool) -> Result<TableProviderFilterPushDown> {
    if reads_only(filter, function.names()) {
        return Ok(exactness(function));
    }
    let reads_time = filter.column_refs().iter().any(|column| column.name == TIME);
    if !reads_time || explicit || matches!(filter, Expr::IsNotNull(_)) {
        return Ok(TableProviderFilterPushDown::Unsupported);
    }
    if split_conjunction(filter).into_iter().all(|conjunct| bounds(conjunct).is_some()) {
        return Ok(exactness(function));
    }
    plan_err!(
        "{} takes its window from comparisons of time with constants, joined by AND; {filter} is not one. Write {}",
        function.name(),
        function.explicit_form()
    )
}

/// Where values are chosen and not rows, rows need not be asked once more: one that says why there is nothing has no time.
fn exactness(function: Function) -> TableProviderFilterPushDown {
    match function.takes_names() {
        true => TableProviderFilterPushDown::Exact,
        false => TableProviderFilterPushDown::Inexact,
    }
}

/// Whether a filter can be decided by some columns alone.
pub(crate) fn reads_only(filter: &Expr, names: &[&str]) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|column| names.contains(&column.name.as_str())) && is_plain(filter)
}

#[cfg(test)]
mod tests;
