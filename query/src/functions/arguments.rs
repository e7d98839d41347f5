//! Arguments of table functions.

use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use jiff::tz::TimeZone;
use oee::calendar::timestamp;

use super::bucket::Width;
use super::table::Function;
use crate::instant::instant;
use crate::reach::{literal, micros};

/// How `oee` cuts the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Equal widths, by the calendar of the equipment's zone.
    Width(Width),
    /// Shift instances, and the time between them.
    Shift,
    /// Production days.
    Day,
}

/// What a call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Everything it needs; the window where it is given explicitly.
    Bound {
        /// How to cut the window.
        cut: Cut,
        /// `[from, to)`, microseconds.
        window: Option<(i64, i64)>,
    },
    /// An argument is a parameter that has no value yet: enough to say which columns come back.
    Unbound,
}

impl Arguments {
    /// Reads the arguments of a call; times without an offset are wall time in `zone`.
    pub(crate) fn read(function: Function, arguments: &[Expr], zone: &TimeZone) -> Result<Self> {
        if arguments.iter().any(|argument| matches!(argument, Expr::Placeholder(_))) {
            return Ok(Self::Unbound);
        }
        let (cut, times) = match (function, arguments) {
            (Function::Oee, []) => (Cut::Width(Width::Micros(3_600_000_000)), arguments),
            (Function::Oee, [bucket, times @ ..]) => (cut(bucket)?, times),
            (Function::StateTimeline, times) => (Cut::Day, times),
        };
        let window = match times {
            [] => None,
            [from, to] => Some(ordered(function, time(function, from, zone)?, time(function, to, zone)?)?),
            _ => return plan_err!("{}", function.usage()),
        };
        Ok(Self::Bound { cut, window })
    }
}

/// A window that ends before it begins is a mistake: nobody asks for nothing.
fn ordered(function: Function, from: i64, to: i64) -> Result<(i64, i64)> {
    if from <= to {
        return Ok((from, to));
    }
    let [from, to] = [from, to].map(timestamp);
    plan_err!("the window of {} ends before it begins: from {from} to {to}; exchange the two", function.name())
}

fn cut(argument: &Expr) -> Result<Cut> {
    let text = literal(argument).and_then(|value| value.try_as_str().flatten().map(str::to_owned));
    match text.as_deref().map(str::trim) {
        Some("shift") => Ok(Cut::Shift),
        Some("day") => Ok(Cut::Day),
        Some(width) => match Width::parse(width) {
            Ok(width) => Ok(Cut::Width(width)),
            Err(error) => plan_err!("{error}; oee also takes 'shift' and 'day'"),
        },
        None => match literal(argument) {
            Some(ScalarValue::IntervalMonthDayNano(Some(width))) => {
                match Width::of(width.months.into(), width.days.into(), width.nanoseconds / 1_000) {
                    Ok(width) => Ok(Cut::Width(width)),
                    Err(error) => plan_err!("{error}"),
                }
            }
            _ => plan_err!("{}", Function::Oee.usage()),
        },
    }
}

fn time(function: Function, argument: &Expr, zone: &TimeZone) -> Result<i64> {
    let value = literal(argument);
    if let Some((us, _)) = value.and_then(micros) {
        return Ok(us);
    }
    match value.and_then(|value| value.try_as_str().flatten()) {
        Some(text) => match instant(text, zone) {
            Some(at) => Ok(at.as_microsecond()),
            None => plan_err!(
                "{text:?} is not a time; write for example '2025-01-14T06:00:00Z' or now() - interval '8 hours'"
            ),
        },
        None => plan_err!("{}", function.usage()),
    }
}

#[cfg(test)]
mod tests;
