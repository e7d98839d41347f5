//! Which samples of a signal can be left out, so that the others give them back within a tolerance.
//!
//! [`DeadBand`] is for values that hold until the next one; historians call it exception reporting, OPC UA an absolute
//! dead band (OPC 10000-4, DataChangeFilter). [`SwingingDoor`] is for values that change steadily; historians call it
//! compression.
//!
//! Both take samples by ascending time, keep a fixed amount of state, and answer each sample with those that are to be
//! kept from it on: the sample itself, or the one before it that was held back, or both. What is kept is unchanged.
//!
//! # What is never left out
//!
//! - The first sample.
//! - The first sample with another mark. The mark is what has no tolerance: the status code, a text.
//! - The change from a number to none and back; a number that is not finite. Without a number, samples of one mark are
//!   all the same.
//! - What comes after a limit of time, where there is one: kept neighbours are no further apart than
//!   [`Limits::max_gap_us`], except where the signal itself was silent that long.
//!
//! # What the tolerance promises
//!
//! With tolerance *E* and `ε` = [`f64::EPSILON`], in exact arithmetic on the numbers that were pushed:
//!
//! - dead band: a sample left out is within *E* · (1 + ε) of the last one kept before it, of the same mark;
//! - swinging door: it is within *E* + 3 ε (*E* + |step|) of the straight line between the ones kept around it, where
//!   the step is from the one kept before it to itself. Both are of the same mark.
//!
//! The terms with ε are what comparing in floating point costs: half an ε for each of at most five roundings. Where
//! slopes underflow, 1e-300 comes on top.

mod compression;
mod dead_band;
mod swinging_door;

pub use compression::{Compression, Method};
pub use dead_band::DeadBand;
pub use swinging_door::SwingingDoor;

use crate::series::NotAscending;

/// A sample, and what must not differ for it to be left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<M> {
    /// Microseconds UTC.
    pub time_us: i64,
    /// In the unit of the signal; none where it is NULL or a text.
    pub value: Option<f64>,
    /// What is compared for equality only: its status code, its text, or both.
    pub mark: M,
}

impl<M> Sample<M> {
    /// Both have a number.
    fn numbers(&self, other: &Self) -> Option<(f64, f64)> {
        self.value.zip(other.value)
    }

    /// Neither has a number.
    fn both_without(&self, other: &Self) -> bool {
        self.value.is_none() && other.value.is_none()
    }

    fn check_after(&self, previous: &Self) -> Result<(), NotAscending> {
        let (time_us, previous_us) = (self.time_us, previous.time_us);
        if time_us > previous_us { Ok(()) } else { Err(NotAscending { time_us, previous_us }) }
    }
}

/// What is to be kept once a sample was pushed, by ascending time: none, one or two samples.
pub type Kept<M> = std::iter::Flatten<std::array::IntoIter<Option<Sample<M>>, 2>>;

fn kept<M>(held: Option<Sample<M>>, sample: Option<Sample<M>>) -> Kept<M> {
    [held, sample].into_iter().flatten()
}

/// How far what is left out may be from what is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    tolerance: f64,
    max_gap_us: Option<i64>,
}

impl Limits {
    /// A tolerance in the unit of the signal, 0 for exact repetition; and the longest time in microseconds, if there is
    /// one, for which nothing may be kept although samples come.
    ///
    /// # Errors
    ///
    /// Where the tolerance is negative or not finite, or the gap is not positive.
    pub fn new(tolerance: f64, max_gap_us: Option<i64>) -> Result<Self, BadLimits> {
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            return Err(BadLimits::Tolerance(tolerance));
        }
        match max_gap_us {
            Some(gap) if gap <= 0 => Err(BadLimits::MaxGap(gap)),
            max_gap_us => Ok(Self { tolerance, max_gap_us }),
        }
    }

    /// In the unit of the signal.
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// In microseconds.
    #[must_use]
    pub fn max_gap_us(&self) -> Option<i64> {
        self.max_gap_us
    }

    fn too_long<M>(&self, from: &Sample<M>, to: &Sample<M>) -> bool {
        self.max_gap_us.is_some_and(|gap_us| to.time_us.saturating_sub(from.time_us) > gap_us)
    }
}

/// Limits that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BadLimits {
    /// The tolerance is negative or not finite.
    #[error("tolerance {0} is not a number of 0 or more; give it in the unit of the signal")]
    Tolerance(f64),
    /// The longest gap is not positive.
    #[error("a longest gap of {0} µs is not positive; leave it out for no limit")]
    MaxGap(i64),
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
