//! One signal over time: OPC UA Part 13 aggregates of its samples, bucket by bucket.
//!
//! [`Series`] takes samples by ascending time and gives every bucket between the [`Edges`], also those without a
//! sample, in one pass. A [`Bucket`] knows sums; what is asked of it is calculated when it is asked. Held in memory are
//! the buckets that the samples since the last usable one have reached, each with a fixed size of less than 500 bytes.
//!
//! # What the caller feeds
//!
//! At least the last sample before the first edge and, where the signal is not stepped, samples up to the first
//! usable one at or after the last edge: bounds are interpolated between them. Without the first the time before the
//! first sample is unknown; without the second the last value is held, and what rests on it is Uncertain.
//!
//! Good samples that lie in one bucket can also come summed up, as a [`Course`]: every aggregate is then what it is of the
//! samples themselves, but for what rounding makes of sums.
//!
//! # Conventions
//!
//! Names and definitions follow OPC 10000-13 (UA Part 13: Aggregates), 3.1.5 to 3.1.9 and 5.4.3. Where it leaves a
//! choice, and where takt differs:
//!
//! - A sample is **usable** if it is Good, or Uncertain where that is not treated as Bad, and has a finite number.
//!   A sample without one (NULL, a text) is Bad for a figure, whatever its status code says.
//! - **Interpolated bounds** look past Bad samples for the nearest usable ones, **simple bounds** look at the nearest
//!   sample of any status. An end bound is the value at the end, so it equals the start bound of the next bucket.
//! - Average, minimum, maximum, count and delta are of Good samples only; a time average uses all usable ones.
//! - Statuses are Good, Uncertain, Bad and BadNoData; information bits and PercentDataGood are not modelled.
//! - A bucket is never trimmed to the end of the data.
//!
//! # Numbers
//!
//! Times are subtracted as integers, so a time since 1970 costs no digit. Sums are compensated: their error is that of
//! one rounding and of the terms, however many there are. Where the terms cancel (a mean near zero of large values)
//! the error is relative to the terms, not to the sum. What overflows is Bad and has no value.

mod area;
mod bucket;
mod course;
mod extent;
mod reduction;
mod stream;
mod sum;

pub use area::on_line;
pub use bucket::Bucket;
pub use course::{Course, NotTaken};
pub use extent::{Extent, Point};
pub use reduction::Reduction;
pub use stream::Series;

use std::sync::Arc;

use crate::counter::CounterRule;

/// How good a sample is: the severity of its OPC UA StatusCode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// To be used.
    Good,
    /// To be used with care, or not at all: see [`Method::treat_uncertain_as_bad`].
    Uncertain,
    /// Never to be used.
    Bad,
}

impl Severity {
    /// Of the column `quality`: an OPC UA StatusCode, a `u32`, of which bits 30 and 31 are the severity. The reserved
    /// pattern 11 is Bad. A code that went through a signed 32-bit integer is read like the unsigned one.
    ///
    /// Source: OPC 10000-4 (UA Part 4: Services), StatusCode, "Severity".
    #[must_use]
    pub fn of(quality: i64) -> Self {
        match (quality >> 30) & 3 {
            0 => Self::Good,
            1 => Self::Uncertain,
            _ => Self::Bad,
        }
    }
}

/// How good a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// All it rests on is Good.
    Good,
    /// It rests on Uncertain samples, leaves out Bad ones or time without data, or is extrapolated.
    Uncertain,
    /// What it rests on is Bad, or it overflows.
    Bad,
    /// There is nothing that it could rest on.
    BadNoData,
}

impl Status {
    /// The name in OPC UA.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "Good",
            Self::Uncertain => "Uncertain",
            Self::Bad => "Bad",
            Self::BadNoData => "BadNoData",
        }
    }
}

impl From<Severity> for Status {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Good => Self::Good,
            Severity::Uncertain => Self::Uncertain,
            Severity::Bad => Self::Bad,
        }
    }
}

/// The answer of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// In the unit of the signal, unless the aggregate says otherwise; finite. None where there is none.
    pub value: Option<f64>,
    /// How good it is.
    pub status: Status,
    /// When the value was sampled, in microseconds UTC, for aggregates that pick a sample.
    pub time_us: Option<i64>,
}

impl Figure {
    const NO_DATA: Self = Self { value: None, status: Status::BadNoData, time_us: None };
    const BAD: Self = Self { value: None, status: Status::Bad, time_us: None };

    fn new(value: f64, status: Status) -> Self {
        if value.is_finite() { Self { value: Some(value), status, time_us: None } } else { Self::BAD }
    }

    fn at(self, time_us: i64) -> Self {
        Self { time_us: Some(time_us), ..self }
    }
}

/// How a signal is read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Method {
    /// The value holds until the next sample (OPC UA: SteppedInterpolation). Otherwise a straight line leads to it.
    pub stepped: bool,
    /// Uncertain samples are Bad (OPC UA: TreatUncertainAsBad, there the default). Otherwise they are used, and what
    /// rests on them is Uncertain.
    pub treat_uncertain_as_bad: bool,
    /// The signal is a counter, and [`Bucket::counter_delta`] is wanted.
    pub counter: Option<CounterRule>,
}

/// The boundaries of buckets: bucket *i* is `[edge i, edge i+1)`. A clone is cheap, so that many signals share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edges(Arc<[i64]>);

impl Edges {
    /// From boundaries in microseconds UTC. None or one boundary make no bucket.
    ///
    /// # Errors
    ///
    /// Where a boundary is not later than the one before it, or so much that the length is no `i64`.
    pub fn new(edges: impl Into<Arc<[i64]>>) -> Result<Self, NotAscending> {
        let edges = edges.into();
        let wrong = |pair: &&[i64]| pair[1].checked_sub(pair[0]).is_none_or(|length_us| length_us <= 0);
        match edges.windows(2).find(wrong) {
            Some(pair) => Err(NotAscending { time_us: pair[1], previous_us: pair[0] }),
            None => Ok(Self(edges)),
        }
    }

    /// How many buckets they bound.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.0.len().saturating_sub(1)
    }
}

/// A time that is not later than the one before it. A signal has one sample at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("time {time_us} is not later than {previous_us}; sort by time, one row for each time")]
pub struct NotAscending {
    /// The time, in microseconds UTC.
    pub time_us: i64,
    /// The time before it.
    pub previous_us: i64,
}

/// A sample as it counts: `severity` is Bad for all that must not be used.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    time_us: i64,
    /// Not a number where there is none.
    value: f64,
    severity: Severity,
}

impl Reading {
    fn usable(&self) -> bool {
        self.severity != Severity::Bad
    }

    fn figure(&self) -> Figure {
        let value = Some(self.value).filter(|value| value.is_finite());
        Figure { value, status: self.severity.into(), time_us: None }
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
