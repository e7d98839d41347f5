//! Arguments of table functions.

use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use jiff::tz::TimeZone;
use oee::bucket::{Cut, Width};
use oee::calendar::timestamp;
use oee::plant::Interpolation;

use super::function::Function;
use super::spc::{self, Asked};
use super::trace;
use crate::instant::instant;
use crate::reach::{literal, micros};

/// Most points of a trend.
pub(crate) const MOST_POINTS: u32 = 100_000;
/// Most other signals of an as-of join: each is a stream of its own.
pub(crate) const MOST_JOINED: usize = 16;

/// What reports of equipment are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// Stretches of time.
    Time(Cut),
    /// The work order in force.
    WorkOrder,
    /// What was made.
    Product,
}

/// How a call has signals read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    /// How values run between samples; as the plant declares the signal where it is not given.
    pub(crate) interpolation: Option<Interpolation>,
    /// Uncertain samples are used. OPC UA treats them as Bad.
    pub(crate) use_uncertain: bool,
}

impl Reading {
    /// Takes a word; says whether it is one, and none that says otherwise was taken.
    fn take(&mut self, word: &str) -> bool {
        match word {
            "stepped" if self.interpolation.is_none() => self.interpolation = Some(Interpolation::Stepped),
            "sloped" if self.interpolation.is_none() => self.interpolation = Some(Interpolation::Sloped),
            "use_uncertain" => self.use_uncertain = true,
            _ => return false,
        }
        true
    }
}

/// What is asked for within the window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Task {
    /// OEE, grouped like this.
    Oee(Grouping),
    /// OEE of what is running.
    Live,
    /// The loss waterfall, grouped like this.
    Losses(Grouping),
    Scrap(Grouping),
    /// Stops.
    Stops,
    /// State intervals.
    States,
    /// Figures of signals, cut like this.
    Buckets(Cut, Reading),
    /// So many parts of equal length.
    Parts(u32, Reading),
    /// The first signal with the others as of its times.
    AsOf(Vec<String>),
    /// Charts, their limits, capability or gages.
    Spc(Box<Asked>),
    /// Genealogy of a unit.
    Trace(trace::Asked),
}

/// What a call says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arguments {
    /// Everything it needs; the window where it is given explicitly.
    Bound {
        /// What is asked for.
        task: Task,
        /// `[from, to)`, microseconds.
        window: Option<(i64, i64)>,
    },
    /// An argument is a parameter that has no value yet: enough to say which columns come back.
    Unbound,
}

const HOUR: Cut = Cut::Width(Width::Micros(3_600_000_000));

impl Arguments {
    /// Reads the arguments of a call; times without an offset are wall time in `zone`.
    pub(crate) fn read(function: Function, arguments: &[Expr], zone: &TimeZone) -> Result<Self> {
        if arguments.iter().any(|argument| matches!(argument, Expr::Placeholder(_))) {
            return Ok(Self::Unbound);
        }
        let (task, times) = match (function, arguments) {
            (Function::Oee, []) => (Task::Oee(Grouping::Time(HOUR)), arguments),
            (Function::Oee, [by, times @ ..]) => (Task::Oee(grouping(function, by)?), times),
            (Function::OeeLive, []) => (Task::Live, arguments),
            (Function::OeeLive, _) => return plan_err!("{}", function.usage()),
            (Function::Losses, []) => (Task::Losses(Grouping::Time(HOUR)), arguments),
            (Function::Scrap, []) => (Task::Scrap(Grouping::Time(HOUR)), arguments),
            (Function::Scrap, [by, times @ ..]) => (Task::Scrap(grouping(function, by)?), times),
            (Function::Losses, [by, times @ ..]) => (Task::Losses(grouping(function, by)?), times),
            (Function::Stops, times) => (Task::Stops, times),
            (Function::StateTimeline, times) => (Task::States, times),
            (Function::Aggregates | Function::TimeWeightedAvg | Function::CounterDelta, []) => {
                (Task::Buckets(HOUR, Reading::default()), arguments)
            }
            (Function::CounterDelta, [bucket, times @ ..]) => {
                (Task::Buckets(cut(function, bucket)?, Reading::default()), times)
            }
            (Function::Aggregates | Function::TimeWeightedAvg, [bucket, rest @ ..]) => {
                let (reading, times) = reading(rest);
                (Task::Buckets(cut(function, bucket)?, reading), times)
            }
            (Function::Interpolate, [step, rest @ ..]) => {
                let (reading, times) = reading(rest);
                (Task::Buckets(cut(function, step)?, reading), times)
            }
            (Function::Trend, [parts, rest @ ..]) => {
                let (reading, times) = reading(rest);
                (Task::Parts(points(parts)?, reading), times)
            }
            (Function::AsofJoin, arguments) => {
                let (signals, times) = signals(arguments, zone);
                (Task::AsOf(joined(signals)?), times)
            }
            (
                Function::Spc
                | Function::SpcLimits
                | Function::Capability
                | Function::GageRr
                | Function::GageBias
                | Function::GageLinearity,
                arguments,
            ) => {
                let (asked, times) = spc::read(function, arguments)?;
                (Task::Spc(Box::new(asked)), times)
            }
            (Function::TraceBack | Function::TraceForward, arguments) => {
                (Task::Trace(trace::read(function, arguments, zone)?), &arguments[..0])
            }
            (Function::Interpolate | Function::Trend, []) => return plan_err!("{}", function.usage()),
        };
        let window = match times {
            [] => None,
            [from, to] => Some(ordered(function, time(function, from, zone)?, time(function, to, zone)?)?),
            _ => return plan_err!("{}", function.usage()),
        };
        Ok(Self::Bound { task, window })
    }
}

/// The words that say how to read signals, and what follows them.
fn reading(mut rest: &[Expr]) -> (Reading, &[Expr]) {
    let mut reading = Reading::default();
    while let [word, after @ ..] = rest
        && text(word).is_some_and(|word| reading.take(word))
    {
        rest = after;
    }
    (reading, rest)
}

fn points(argument: &Expr) -> Result<u32> {
    let points = literal(argument).and_then(|value| match value {
        ScalarValue::Int64(Some(points)) => u32::try_from(*points).ok(),
        _ => None,
    });
    match points {
        Some(points @ 1..=MOST_POINTS) => Ok(points),
        _ => {
            plan_err!("trend takes a number of points from 1 to {MOST_POINTS}, such as the width of the plot in pixels")
        }
    }
}

/// Signals, and the window behind them where the last two arguments are times.
fn signals<'a>(arguments: &'a [Expr], zone: &TimeZone) -> (&'a [Expr], &'a [Expr]) {
    let is_time = |argument: &Expr| {
        let value = literal(argument);
        value.and_then(micros).is_some() || text(argument).is_some_and(|text| instant(text, zone).is_some())
    };
    match arguments.split_last_chunk::<2>() {
        Some((signals, times)) if times.iter().all(is_time) => (signals, times),
        _ => (arguments, &[]),
    }
}

fn joined(signals: &[Expr]) -> Result<Vec<String>> {
    let names: Option<Vec<String>> = signals.iter().map(|signal| text(signal).map(str::to_owned)).collect();
    match names {
        Some(names) if (2..=1 + MOST_JOINED).contains(&names.len()) => Ok(names),
        _ => plan_err!("{}", Function::AsofJoin.usage()),
    }
}

pub(super) fn text(argument: &Expr) -> Option<&str> {
    literal(argument)?.try_as_str()?
}

/// A window that ends before it begins is a mistake: nobody asks for nothing.
fn ordered(function: Function, from: i64, to: i64) -> Result<(i64, i64)> {
    if from <= to {
        return Ok((from, to));
    }
    let [from, to] = [from, to].map(timestamp);
    plan_err!("the window of {} ends before it begins: from {from} to {to}; exchange the two", function.name())
}

fn grouping(function: Function, argument: &Expr) -> Result<Grouping> {
    match text(argument).map(str::trim) {
        Some("work_order") => Ok(Grouping::WorkOrder),
        Some("product") => Ok(Grouping::Product),
        _ => Ok(Grouping::Time(cut(function, argument)?)),
    }
}

fn cut(function: Function, argument: &Expr) -> Result<Cut> {
    match text(argument).map(str::trim) {
        Some("shift") if function.takes_shifts() => Ok(Cut::Shift),
        Some("day") if function.takes_shifts() => Ok(Cut::Day),
        Some(width) => match Width::parse(width) {
            Ok(width) => Ok(Cut::Width(width)),
            Err(error) if function.takes_shifts() => {
                let words = match function.takes_orders() {
                    true => "'shift', 'day', 'work_order' and 'product'",
                    false => "'shift' and 'day'",
                };
                plan_err!("{error}; {} also takes {words}", function.name())
            }
            Err(error) => plan_err!("{error}"),
        },
        None => match literal(argument) {
            Some(ScalarValue::IntervalMonthDayNano(Some(width))) => {
                match Width::of(width.months.into(), width.days.into(), width.nanoseconds / 1_000) {
                    Ok(width) => Ok(Cut::Width(width)),
                    Err(error) => plan_err!("{error}"),
                }
            }
            _ => plan_err!("{}", function.usage()),
        },
    }
}

fn time(function: Function, argument: &Expr, zone: &TimeZone) -> Result<i64> {
    let value = literal(argument);
    if let Some((us, _)) = value.and_then(micros) {
        return Ok(us);
    }
    match value.and_then(|value| value.try_as_str().flatten()) {
        Some(text) => instant_of(text, zone),
        None => plan_err!("{}", function.usage()),
    }
}

/// A time as text, microseconds; without an offset it is wall time in `zone`.
pub(super) fn instant_of(text: &str, zone: &TimeZone) -> Result<i64> {
    match instant(text, zone) {
        Some(at) => Ok(at.as_microsecond()),
        None => {
            plan_err!("{text:?} is not a time; write for example '2025-01-14T06:00:00Z' or now() - interval '8 hours'")
        }
    }
}

#[cfg(test)]
mod tests;
