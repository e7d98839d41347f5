//! One bucket: what was summed in it, and the aggregates that follow.

use super::area::{Area, Stretch, trapezoid};
use super::course::Course;
use super::extent::{Extent, Point};
use super::sum::Sum;
use super::{Figure, Reading, Severity, Status};

/// A finished bucket. Its methods are the aggregates of OPC 10000-13, 5.4.3, and a few of takt's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Start in microseconds UTC, inclusive.
    pub start_us: i64,
    /// End in microseconds UTC, exclusive.
    pub end_us: i64,
    pub(super) interpolative: Figure,
    pub(super) start_bound: Figure,
    pub(super) end_bound: Figure,
    /// First and last sample of any status.
    ends: Option<(Reading, Reading)>,
    /// Samples that are not Good.
    flawed: u64,
    count: u64,
    sum: Sum,
    good: Option<Extent>,
    uncertain: Option<Extent>,
    pub(super) bridged: Area,
    simple: Area,
    good_us: i64,
    counted: Option<Sum>,
    /// A counter had a good reading before the bucket.
    baseline: bool,
}

impl Bucket {
    pub(super) fn new(start_us: i64, end_us: i64, start_bound: Figure, baseline: bool) -> Self {
        Self {
            start_us,
            end_us,
            interpolative: Figure::NO_DATA,
            start_bound,
            end_bound: Figure::NO_DATA,
            ends: None,
            flawed: 0,
            count: 0,
            sum: Sum::default(),
            good: None,
            uncertain: None,
            bridged: Area::default(),
            simple: Area::default(),
            good_us: 0,
            counted: baseline.then(Sum::default),
            baseline,
        }
    }

    /// Takes a sample that lies in the bucket.
    #[inline]
    pub(super) fn take(&mut self, reading: Reading) {
        match &mut self.ends {
            Some((_, last)) => *last = reading,
            None => self.ends = Some((reading, reading)),
        }
        let point = Point { time_us: reading.time_us, value: reading.value };
        let extent = match reading.severity {
            Severity::Good => {
                self.count += 1;
                self.sum.add(reading.value);
                &mut self.good
            }
            severity => {
                self.flawed += 1;
                if severity == Severity::Bad {
                    return;
                }
                &mut self.uncertain
            }
        };
        match extent {
            Some(extent) => extent.push(point),
            None => *extent = Some(Extent::of(point)),
        }
    }

    /// Takes the time between two Good neighbours that both lie in the bucket.
    #[inline]
    pub(super) fn take_good(&mut self, from: &Reading, to: &Reading, stepped: bool) {
        let us = to.time_us - from.time_us;
        let area = trapezoid(from.value, to.value, us);
        self.bridged.add_good(area, us);
        self.simple.add_good(if stepped { from.value * us as f64 } else { area }, us);
        self.good_us += us;
    }

    /// Takes all samples of a course but the first, which is the last one that was taken.
    pub(super) fn take_course(&mut self, course: &Course, stepped: bool) {
        let Extent { first, last, .. } = course.extent;
        if let Some((_, end)) = &mut self.ends {
            *end = Reading { time_us: last.time_us, value: last.value, severity: Severity::Good };
        }
        self.count += course.count.saturating_sub(1);
        self.sum.add(course.sum);
        self.sum.add(-first.value);
        self.good = Some(self.good.map_or(course.extent, |good| good.union(&course.extent)));
        let us = last.time_us.saturating_sub(first.time_us);
        self.bridged.add_good(course.sloped_area, us);
        self.simple.add_good(if stepped { course.held_area } else { course.sloped_area }, us);
        self.good_us += us;
    }

    /// Takes the time that a sample governs in the bucket, up to `until_us` at most.
    pub(super) fn take_governed(&mut self, from: &Reading, until_us: i64, stretch: Option<&Stretch>) {
        let (from_us, to_us) = (self.start_us.max(from.time_us), self.end_us.min(until_us));
        if let Some(stretch) = stretch {
            self.simple.add(stretch, from_us, to_us);
        }
        if from.severity == Severity::Good {
            self.good_us += to_us.saturating_sub(from_us).max(0);
        }
    }

    /// Takes a step of the counter; none is the first reading.
    #[inline]
    pub(super) fn count_step(&mut self, step: Option<f64>) {
        self.counted.get_or_insert_default().add(step.unwrap_or(0.0));
    }

    /// Good where all samples are.
    fn samples_status(&self) -> Status {
        if self.flawed == 0 { Status::Good } else { Status::Uncertain }
    }

    fn extreme(&self, pick: impl Fn(&Extent) -> Point) -> Figure {
        let point = self.good.as_ref().map(pick);
        point.map_or(Figure::NO_DATA, |point| Figure::new(point.value, self.samples_status()).at(point.time_us))
    }

    /// Length in microseconds.
    fn length_us(&self) -> i64 {
        self.end_us.saturating_sub(self.start_us)
    }

    /// Interpolative (5.4.3.4): the interpolated bounding value at the start. Stepped, it is the last usable value.
    #[must_use]
    pub fn interpolative(&self) -> Figure {
        self.interpolative
    }

    /// Average (5.4.3.5): the arithmetic mean of the Good samples, whatever time they hold.
    #[must_use]
    pub fn average(&self) -> Figure {
        match self.count {
            0 => Figure::NO_DATA,
            count => Figure::new(self.sum.value() / count as f64, self.samples_status()),
        }
    }

    /// TimeAverage (5.4.3.6): area under straight lines between usable samples, over Bad ones, by the length of the
    /// bucket. It is sloped for stepped signals too. Time before the signal's first usable sample is left out of both.
    #[must_use]
    pub fn time_average(&self) -> Figure {
        self.bridged.mean(self.length_us())
    }

    /// TimeAverage2 (5.4.3.7): the same with simple bounds; stepped where the signal is. Time that a Bad sample
    /// governs, and time before the first sample, are left out of area and length.
    #[must_use]
    pub fn time_average2(&self) -> Figure {
        self.simple.mean(self.length_us())
    }

    /// Minimum (5.4.3.10): the lowest Good sample, with its time; the earliest of equal ones.
    #[must_use]
    pub fn minimum(&self) -> Figure {
        self.extreme(|extent| extent.minimum)
    }

    /// Maximum (5.4.3.11): the highest Good sample, with its time; the earliest of equal ones.
    #[must_use]
    pub fn maximum(&self) -> Figure {
        self.extreme(|extent| extent.maximum)
    }

    /// Count: how many samples are Good.
    #[must_use]
    pub fn count(&self) -> Figure {
        Figure::new(self.count as f64, self.samples_status())
    }

    /// Delta: the last Good sample minus the first one in the bucket. Uncertain where another sample comes before the
    /// first or after the last. For a counter see [`Self::counter_delta`].
    #[must_use]
    pub fn delta(&self) -> Figure {
        let Some((extent, (first, last))) = self.good.as_ref().zip(self.ends) else { return Figure::NO_DATA };
        let whole = first.severity.max(last.severity) == Severity::Good;
        let status = if whole { Status::Good } else { Status::Uncertain };
        Figure::new(extent.last.value - extent.first.value, status)
    }

    /// Start: the first sample of any status, with its time.
    #[must_use]
    pub fn start(&self) -> Figure {
        self.ends.map_or(Figure::NO_DATA, |(first, _)| first.figure().at(first.time_us))
    }

    /// End: the last sample of any status, with its time.
    #[must_use]
    pub fn end(&self) -> Figure {
        self.ends.map_or(Figure::NO_DATA, |(_, last)| last.figure().at(last.time_us))
    }

    /// StartBound: the simple bounding value at the start.
    #[must_use]
    pub fn start_bound(&self) -> Figure {
        self.start_bound
    }

    /// EndBound: the simple bounding value at the end; a sample at the end itself counts.
    #[must_use]
    pub fn end_bound(&self) -> Figure {
        self.end_bound
    }

    /// DurationGood, in microseconds: the time that a Good sample governs, being the last one of any status.
    #[must_use]
    pub fn duration_good_us(&self) -> Figure {
        Figure::new(self.good_us as f64, Status::Good)
    }

    /// PercentGood: DurationGood by the length of the bucket; 100 is all of it.
    #[must_use]
    pub fn percent_good(&self) -> Figure {
        Figure::new(100.0 * self.good_us as f64 / self.length_us() as f64, Status::Good)
    }

    /// By how much a counter went up, resets and rollovers included ([`crate::counter`]): the steps to all Good samples
    /// in the bucket, the first one from the last Good sample before the bucket. So buckets add up to the whole.
    ///
    /// Uncertain where there is no Good sample before the bucket, or one in the bucket is not Good. BadNoData up to
    /// the first Good sample, and where [`super::Method::counter`] is not set.
    #[must_use]
    pub fn counter_delta(&self) -> Figure {
        let status = if self.baseline { self.samples_status() } else { Status::Uncertain };
        self.counted.map_or(Figure::NO_DATA, |counted| Figure::new(counted.value(), status))
    }

    /// First, last, lowest and highest usable sample, for a plot. None where there is no usable sample.
    #[must_use]
    pub fn extent(&self) -> Option<Extent> {
        match (&self.good, &self.uncertain) {
            (Some(good), Some(uncertain)) => Some(good.union(uncertain)),
            (good, uncertain) => good.or(*uncertain),
        }
    }
}
