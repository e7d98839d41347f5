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
    /// Whether a work order is.
    pub(super) has_order: bool,
}

impl Slice {
    pub(super) fn us(&self) -> i64 {
        self.end - self.start
    }

    pub(super) fn is_planned_production(&self) -> bool {
        self.scheduled && !self.is_break
    }
}

/// Finds the interval around ascending moments in ascending, disjoint intervals.
pub(super) struct Reader<'a, T> {
    intervals: &'a [T],
    bounds: fn(&T) -> (i64, i64),
    at: usize,
}

impl<'a, T> Reader<'a, T> {
    /// Of moments from `from` on.
    pub(super) fn new(intervals: &'a [T], bounds: fn(&T) -> (i64, i64), from: i64) -> Self {
        Self { intervals, bounds, at: intervals.partition_point(|interval| bounds(interval).1 <= from) }
    }

    /// The place of the interval around `t`.
    pub(super) fn covering(&mut self, t: i64) -> Option<usize> {
        self.next_to(t).filter(|(start, _)| *start <= t).map(|_| self.at)
    }

    /// When that changes next, after `t`.
    fn changes_after(&mut self, t: i64) -> i64 {
        self.next_to(t).map_or(i64::MAX, |(start, end)| if start <= t { end } else { start })
    }

    /// The first interval that ends after `t`.
    fn next_to(&mut self, t: i64) -> Option<(i64, i64)> {
        loop {
            let (start, end) = (self.bounds)(self.intervals.get(self.at)?);
            if t < end {
                return Some((start, end));
            }
            self.at += 1;
        }
    }
}

/// The slices of a window, in order and without gaps.
pub(super) struct Slices<'a> {
    shifts: Reader<'a, Shift>,
    breaks: Reader<'a, (i64, i64)>,
    states: Reader<'a, StateSpan>,
    jobs: Reader<'a, Job>,
    all_jobs: &'a [Job],
    t: i64,
    end: i64,
}

impl<'a> Slices<'a> {
    pub(super) fn new(
        shifts: &'a [Shift],
        breaks: &'a [(i64, i64)],
        states: &'a [StateSpan],
        jobs: &'a [Job],
        (from, end): (i64, i64),
    ) -> Self {
        Self {
            shifts: Reader::new(shifts, |shift| (shift.start, shift.end), from),
            breaks: Reader::new(breaks, |&bounds| bounds, from),
            states: Reader::new(states, |span| (span.start, span.end), from),
            jobs: Reader::new(jobs, |job| (job.start, job.end), from),
            all_jobs: jobs,
            t: from,
            end,
        }
    }
}

impl Iterator for Slices<'_> {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        let start = self.t;
        if self.end <= start {
            return None;
        }
        let job = self.jobs.covering(start).and_then(|at| self.all_jobs.get(at));
        let changes = [
            self.shifts.changes_after(start),
            self.breaks.changes_after(start),
            self.states.changes_after(start),
            self.jobs.changes_after(start),
        ];
        self.t = changes.into_iter().fold(self.end, i64::min);
        Some(Slice {
            start,
            end: self.t,
            scheduled: self.shifts.covering(start).is_some(),
            is_break: self.breaks.covering(start).is_some(),
            state: self.states.covering(start),
            has_order: job.is_some_and(|job| job.work_order.is_some()),
        })
    }
}
