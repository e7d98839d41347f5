//! Samples that were summed up before: what a [`super::Series`] can take instead of them.

use super::{Extent, NotAscending};

/// Good samples with finite values that follow one another, with no other sample between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// How many; one at least.
    pub count: u64,
    /// What their values add up to.
    pub sum: f64,
    /// The first, the last, the lowest and the highest.
    pub extent: Extent,
    /// The area from the first to the last where each value holds until the next, in units of the signal times
    /// microseconds.
    pub held_area: f64,
    /// The same under straight lines from each sample to the next.
    pub sloped_area: f64,
}

/// Why a course cannot be taken; its samples can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It begins too early.
    #[error(transparent)]
    Order(#[from] NotAscending),
    /// A bucket ends within it, or it lies outside of all.
    #[error("samples from {from_us} to {to_us} are not of one bucket")]
    ManyBuckets {
        /// The first time, in microseconds UTC.
        from_us: i64,
        /// The last time.
        to_us: i64,
    },
    /// The steps of a counter are not known of it.
    #[error("a counter is told by its samples")]
    Counter,
}
