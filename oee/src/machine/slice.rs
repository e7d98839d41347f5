//! Time cut at every boundary of shift, break, state and order, so that each slice has one answer to all four.

use super::Job;
use crate::calendar::Shift;
use crate::state::StateSpan;

/// A stretch of time in which nothing changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Whether a shift is on.
    pub(super) scheduled: bool,
    /// Whether it is a break of that shift.
    pub(super) is_break: bool,
    /// Index of the state span.
    pub(super) state: Option<usize>,
    /// Whether an order, or the default product, is in force.
    pub(super) ordered: bool,
    /// Whether a work order is.
    pub(super) has_order: bool,
}

impl Slice {
    /// Its part within `[from, end)`.
    pub(super) fn within(&self, from: i64, end: i64) -> i64 {
        self.end.min(end) - self.start.max(from)
    }

    pub(super) fn is_planned_production(&self) -> bool {
        self.scheduled && !self.is_break
    }
}

/// Finds the interval around an ascending moment in ascending, disjoint intervals.
struct Reader<'a, T> {
    intervals: &'a [T],
    bounds: fn(&T) -> (i64, i64),
    at: usize,
}

impl<'a, T> Reader<'a, T> {
    fn new(intervals: &'a [T], bounds: fn(&T) -> (i64, i64)) -> Self {
        Self { intervals, bounds, at: 0 }
    }

    fn covering(&mut self, t: i64) -> Option<usize> {
        while self.intervals.get(self.at).is_some_and(|interval| (self.bounds)(interval).1 <= t) {
            self.at += 1;
        }
        self.intervals.get(self.at).filter(|interval| (self.bounds)(interval).0 <= t).map(|_| self.at)
    }
}

pub(super) fn slices(shifts: &[Shift], states: &[StateSpan], jobs: &[Job]) -> Vec<Slice> {
    let breaks: Vec<(i64, i64)> = shifts.iter().flat_map(|shift| shift.breaks.iter().copied()).collect();
    let mut bounds: Vec<i64> = Vec::with_capacity(2 * (shifts.len() + breaks.len() + states.len() + jobs.len()));
    bounds.extend(shifts.iter().flat_map(|shift| [shift.start, shift.end]));
    bounds.extend(breaks.iter().flat_map(|&(start, end)| [start, end]));
    bounds.extend(states.iter().flat_map(|span| [span.start, span.end]));
    bounds.extend(jobs.iter().flat_map(|job| [job.start, job.end]));
    bounds.sort_unstable();
    bounds.dedup();
    let mut shift_at = Reader::new(shifts, |shift| (shift.start, shift.end));
    let mut break_at = Reader::new(&breaks, |&bounds| bounds);
    let mut state_at = Reader::new(states, |span| (span.start, span.end));
    let mut job_at = Reader::new(jobs, |job| (job.start, job.end));
    let spans = bounds.iter().zip(bounds.iter().skip(1));
    spans
        .map(|(&start, &end)| {
            let job = job_at.covering(start).and_then(|at| jobs.get(at));
            Slice {
                start,
                end,
                scheduled: shift_at.covering(start).is_some(),
                is_break: break_at.covering(start).is_some(),
                state: state_at.covering(start),
                ordered: job.is_some(),
                has_order: job.is_some_and(|job| job.work_order.is_some()),
            }
        })
        .collect()
}
