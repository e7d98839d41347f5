//! The pass over the samples.

use std::collections::VecDeque;

use super::area::Stretch;
use super::bucket::Bucket;
use super::course::{Course, NotTaken};
use super::{Edges, Figure, Method, NotAscending, Reading, Severity, Status};
use crate::counter::Counter;

/// Samples of one signal on their way into buckets.
///
/// A bucket is finished with the first usable sample at or after its end, because a line may lead there; until then it
/// waits. [`Series::pop`] gives finished buckets in order, [`Series::finish`] those that no sample finished.
#[derive(Debug, Clone)]
pub struct Series {
    method: Method,
    edges: Edges,
    /// Index of the first edge that no sample has reached.
    next: usize,
    /// The bucket that the next sample falls into, unless it reaches the next edge.
    open: Option<Bucket>,
    /// Buckets whose end was reached; the first `finished` are complete.
    waiting: VecDeque<Bucket>,
    finished: usize,
    last: Option<Reading>,
    /// The last usable sample before the Bad ones that came last.
    before_bad: Option<Reading>,
    counter: Option<Counter>,
    /// The last sample is Good and lies in the open bucket, which ends here; before all times otherwise.
    plain_until_us: i64,
    /// A counter has a good reading.
    baseline: bool,
}

impl Series {
    /// A signal without samples.
    #[must_use]
    pub fn new(method: Method, edges: Edges) -> Self {
        Self {
            method,
            edges,
            next: 0,
            open: None,
            waiting: VecDeque::new(),
            finished: 0,
            last: None,
            before_bad: None,
            counter: method.counter.map(Counter::new),
            plain_until_us: i64::MIN,
            baseline: false,
        }
    }

    /// Takes the next sample: time in microseconds UTC, its number if it has one, and its severity.
    ///
    /// # Errors
    ///
    /// Where the time is not later than that of the sample before; nothing is taken then.
    #[inline]
    pub fn push(&mut self, time_us: i64, value: Option<f64>, severity: Severity) -> Result<(), NotAscending> {
        let reading = self.reading(time_us, value, severity);
        let Some(last) = self.last else {
            self.turn(reading);
            return Ok(());
        };
        if time_us <= last.time_us {
            return Err(NotAscending { time_us, previous_us: last.time_us });
        }
        match &mut self.open {
            Some(bucket) if time_us < self.plain_until_us && reading.severity == Severity::Good => {
                bucket.take_good(&last, &reading, self.method.stepped);
                bucket.take(reading);
                if let Some(counter) = &mut self.counter {
                    bucket.count_step(counter.push(reading.value));
                }
                self.last = Some(reading);
            }
            _ => self.turn(reading),
        }
        Ok(())
    }

    /// Takes samples that were summed up, next.
    ///
    /// # Errors
    ///
    /// Where it takes the samples themselves; nothing is taken then.
    pub fn push_course(&mut self, course: &Course) -> Result<(), NotTaken> {
        let (first, last) = (course.extent.first, course.extent.last);
        if self.counter.is_some() {
            return Err(NotTaken::Counter);
        }
        // The edge behind the first sample is the end of its bucket.
        let edges = &self.edges.0;
        let behind = edges.partition_point(|&edge| edge <= first.time_us);
        if behind == 0 || edges.get(behind).is_none_or(|&end_us| end_us <= last.time_us) {
            return Err(NotTaken::ManyBuckets { from_us: first.time_us, to_us: last.time_us });
        }
        self.push(first.time_us, Some(first.value), Severity::Good)?;
        if let Some(bucket) = self.open.as_mut().filter(|_| first.time_us < last.time_us) {
            bucket.take_course(course, self.method.stepped);
            self.last = Some(Reading { time_us: last.time_us, value: last.value, severity: Severity::Good });
        }
        Ok(())
    }

    /// The next finished bucket.
    #[inline]
    pub fn pop(&mut self) -> Option<Bucket> {
        self.finished = self.finished.checked_sub(1)?;
        self.waiting.pop_front()
    }

    /// Whether the last edge was reached and all buckets are finished: further samples change nothing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.next == self.edges.0.len() && self.finished == self.waiting.len()
    }

    /// All buckets that were not popped: after the last sample its value is held, and is Uncertain. They are made one
    /// by one, so that many of them after the end of the data need no memory.
    pub fn finish(mut self) -> impl Iterator<Item = Bucket> {
        std::iter::from_fn(move || {
            while self.finished == 0 && !self.is_complete() {
                self.extrapolate();
            }
            self.pop()
        })
    }

    /// Goes on to the next edge without a sample.
    fn extrapolate(&mut self) {
        let edge = self.edges.0.get(self.next).or(self.edges.0.last());
        let edge_us = edge.copied().unwrap_or(i64::MAX);
        self.reach(edge_us, None);
        match self.used() {
            Some(used) => self.bridge(Stretch::held(used), used.time_us, edge_us),
            None => self.finished = self.waiting.len(),
        }
    }

    #[inline]
    fn reading(&self, time_us: i64, value: Option<f64>, severity: Severity) -> Reading {
        let value = value.unwrap_or(f64::NAN);
        let bad = !value.is_finite() || (severity == Severity::Uncertain && self.method.treat_uncertain_as_bad);
        Reading { time_us, value, severity: if bad { Severity::Bad } else { severity } }
    }

    /// The last usable sample.
    fn used(&self) -> Option<Reading> {
        self.last.filter(Reading::usable).or(self.before_bad)
    }

    /// Takes a sample that does not simply follow a Good one in the same bucket.
    #[cold]
    fn turn(&mut self, reading: Reading) {
        self.reach(reading.time_us, Some(reading));
        if reading.usable() {
            match self.used() {
                Some(used) => {
                    let over_bad = self.before_bad.is_some();
                    self.bridge(Stretch::line(used, reading, over_bad), used.time_us, reading.time_us);
                }
                None => self.finished = self.waiting.len(),
            }
        }
        self.begin(reading);
    }

    /// The sample becomes the last one, and falls into the open bucket.
    fn begin(&mut self, reading: Reading) {
        self.before_bad = if reading.usable() { None } else { self.used() };
        let good = reading.severity == Severity::Good;
        let counter = self.counter.as_mut().filter(|_| good);
        let step = counter.map(|counter| counter.push(reading.value));
        self.baseline |= step.is_some();
        self.plain_until_us = i64::MIN;
        if let Some(bucket) = &mut self.open {
            // Exactly at the start every bound is the sample itself.
            if bucket.start_us == reading.time_us && reading.usable() {
                bucket.interpolative = reading.figure();
            }
            bucket.take(reading);
            if let Some(step) = step {
                bucket.count_step(step);
            }
            if good {
                self.plain_until_us = bucket.end_us;
            }
        }
        self.last = Some(reading);
    }

    /// Goes over all edges up to a time, which is that of the next sample if there is one.
    fn reach(&mut self, time_us: i64, to: Option<Reading>) {
        let stretch = Stretch::simple(self.last, to, self.method);
        while let Some(edge) = self.edges.0.get(self.next).copied().filter(|&edge| edge <= time_us) {
            let bound = self.simple_bound(edge, to, stretch.as_ref());
            self.close(bound, stretch.as_ref());
            self.next += 1;
            self.open = self.edges.0.get(self.next).map(|&end| Bucket::new(edge, end, bound, self.baseline));
            let interpolative = self.stepped_bound(edge, to);
            if let Some((bucket, figure)) = self.open.as_mut().zip(interpolative) {
                bucket.interpolative = figure;
            }
        }
        if let Some((bucket, last)) = self.open.as_mut().zip(self.last) {
            bucket.take_governed(&last, time_us, stretch.as_ref());
        }
    }

    /// The open bucket has reached its end.
    fn close(&mut self, end_bound: Figure, stretch: Option<&Stretch>) {
        let Some(mut bucket) = self.open.take() else { return };
        if let Some(last) = &self.last {
            bucket.take_governed(last, bucket.end_us, stretch);
        }
        bucket.end_bound = end_bound;
        self.waiting.push_back(bucket);
    }

    /// The simple bounding value at an edge after the last sample, and not after the next.
    fn simple_bound(&self, edge_us: i64, to: Option<Reading>, stretch: Option<&Stretch>) -> Figure {
        let exact = to.filter(|to| to.time_us == edge_us);
        match (exact, stretch, self.last) {
            (Some(exact), _, _) if exact.usable() => exact.figure(),
            (Some(_), _, _) | (None, None, Some(_)) => Figure::BAD,
            (None, Some(stretch), _) => stretch.figure(edge_us),
            (None, None, None) => Figure::NO_DATA,
        }
    }

    /// The interpolated bounding value of a stepped signal: the last usable value. It is Uncertain where a Bad sample
    /// came since, and after the last sample.
    fn stepped_bound(&self, edge_us: i64, to: Option<Reading>) -> Option<Figure> {
        let used = self.used().filter(|_| self.method.stepped)?;
        let bad = self.before_bad.is_some() || to.is_none_or(|to| to.time_us == edge_us && !to.usable());
        Some(Figure::new(used.value, if bad { Status::Uncertain } else { used.severity.into() }))
    }

    /// Draws what is between the last usable sample and the next one into all buckets that it crosses: they are
    /// finished, but for the open one.
    fn bridge(&mut self, stretch: Stretch, from_us: i64, to_us: i64) {
        let sloped = !self.method.stepped;
        let unfinished = self.waiting.iter_mut().skip(self.finished);
        for bucket in unfinished.chain(&mut self.open) {
            bucket.bridged.add(&stretch, bucket.start_us.max(from_us), bucket.end_us.min(to_us));
            if sloped && from_us < bucket.start_us && bucket.start_us <= to_us {
                bucket.interpolative = stretch.figure(bucket.start_us);
            }
        }
        self.finished = self.waiting.len();
    }
}
