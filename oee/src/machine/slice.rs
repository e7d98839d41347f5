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

/// What has a start and an end.
pub(super) trait Interval {
    /// Start, and end, exclusive.
    fn bounds(&self) -> (i64, i64);
}

impl Interval for (i64, i64) {
    fn bounds(&self) -> (i64, i64) {
        *self
    }
}

impl Interval for Shift {
    fn bounds(&self) -> (i64, i64) {
        (self.start, self.end)
    }
}

impl Interval for StateSpan {
    fn bounds(&self) -> (i64, i64) {
        (self.start, self.end)
    }
}

impl Interval for Job {
    fn bounds(&self) -> (i64, i64) {
        (self.start, self.end)
    }
}

/// Finds the interval around ascending moments in ascending, disjoint intervals.
pub(super) struct Reader<'a, T> {
    intervals: &'a [T],
    at: usize,
}

impl<'a, T: Interval> Reader<'a, T> {
    /// Of moments from `from` on.
    pub(super) fn new(intervals: &'a [T], from: i64) -> Self {
        Self { intervals, at: intervals.partition_point(|interval| interval.bounds().1 <= from) }
    }

    /// The place of the interval around `t`.
    pub(super) fn covering(&mut self, t: i64) -> Option<usize> {
        self.around(t).0
    }

    /// The place of the interval around `t`, and when there is another answer.
    fn around(&mut self, t: i64) -> (Option<usize>, i64) {
        match self.next_to(t) {
            Some((start, end)) if start <= t => (Some(self.at), end),
            Some((start, _)) => (None, start),
            None => (None, i64::MAX),
        }
    }

    /// The first interval that ends after `t`.
    fn next_to(&mut self, t: i64) -> Option<(i64, i64)> {
        loop {
            let (start, end) = self.intervals.get(self.at)?.bounds();
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
            shifts: Reader::new(shifts, from),
            breaks: Reader::new(breaks, from),
            states: Reader::new(states, from),
            jobs: Reader::new(jobs, from),
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
        let (shift, shift_until) = self.shifts.around(start);
        let (rest, rest_until) = self.breaks.around(start);
        let (state, state_until) = self.states.around(start);
        let (job, job_until) = self.jobs.around(start);
        self.t = [shift_until, rest_until, state_until, job_until].into_iter().fold(self.end, i64::min);
        Some(Slice {
            start,
            end: self.t,
            scheduled: shift.is_some(),
            is_break: rest.is_some(),
            state,
            has_order: job.and_then(|at| self.all_jobs.get(at)).is_some_and(|job| job.work_order.is_some()),
        })
    }
}
