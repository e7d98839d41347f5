//! The definitions, read aloud: every figure from all samples, for one bucket at a time.

use super::Sample;
use crate::counter::deltas;
use crate::series::{Bucket, Extent, Figure, Method, Point, Reading, Severity, Status};

pub(super) struct Reference {
    method: Method,
    readings: Vec<Reading>,
    steps: Option<Vec<(i64, f64)>>,
}

type Named = (&'static str, Figure, Figure);

fn status(all_good: bool) -> Status {
    if all_good { Status::Good } else { Status::Uncertain }
}

fn good(reading: &Reading) -> bool {
    reading.severity == Severity::Good
}

fn line(from: &Reading, to: &Reading, time_us: i64) -> f64 {
    let share = (time_us - from.time_us) as f64 / (to.time_us - from.time_us) as f64;
    from.value * (1.0 - share) + to.value * share
}

impl Reference {
    pub(super) fn new(method: Method, samples: &[Sample]) -> Self {
        let reading = |&(time_us, value, severity): &Sample| {
            let bad = value.is_none() || (severity == Severity::Uncertain && method.treat_uncertain_as_bad);
            Reading { time_us, value: value.unwrap_or(f64::NAN), severity: if bad { Severity::Bad } else { severity } }
        };
        let readings: Vec<Reading> = samples.iter().map(reading).collect();
        let counted = readings.iter().map(|reading| (reading.time_us, reading.value, good(reading)));
        let steps = method.counter.map(|rule| deltas(rule, counted));
        Self { method, readings, steps }
    }

    fn usable(&self) -> Vec<Reading> {
        self.readings.iter().copied().filter(Reading::usable).collect()
    }

    fn within(&self, start: i64, end: i64) -> Vec<Reading> {
        self.readings.iter().copied().filter(|reading| (start..end).contains(&reading.time_us)).collect()
    }

    fn any_bad(&self, from: i64, to: i64) -> bool {
        self.within(from, to).iter().any(|reading| !reading.usable())
    }

    fn interpolated_bound(&self, time_us: i64) -> Figure {
        let usable = self.usable();
        let next = usable.partition_point(|reading| reading.time_us <= time_us);
        let (before, after) = (next.checked_sub(1).map(|place| usable[place]), usable.get(next));
        match (before, after) {
            (None, _) => Figure::NO_DATA,
            (Some(before), _) if before.time_us == time_us => before.figure(),
            (Some(before), _) if self.method.stepped => {
                let ended = self.readings.iter().all(|reading| reading.time_us <= time_us);
                let whole = good(&before) && !ended && !self.any_bad(before.time_us, time_us + 1);
                Figure::new(before.value, status(whole))
            }
            (Some(before), None) => Figure::new(before.value, Status::Uncertain),
            (Some(before), Some(after)) => {
                let whole = good(&before) && good(after) && !self.any_bad(before.time_us, after.time_us);
                Figure::new(line(&before, after, time_us), status(whole))
            }
        }
    }

    fn simple_bound(&self, time_us: i64) -> Figure {
        let next = self.readings.partition_point(|reading| reading.time_us <= time_us);
        let Some(before) = next.checked_sub(1).map(|place| self.readings[place]) else { return Figure::NO_DATA };
        match self.readings.get(next) {
            _ if !before.usable() => Figure::BAD,
            _ if before.time_us == time_us => before.figure(),
            Some(_) if self.method.stepped => before.figure(),
            Some(after) if after.usable() => {
                Figure::new(line(&before, after, time_us), status(good(&before) && good(after)))
            }
            _ => Figure::new(before.value, Status::Uncertain),
        }
    }

    /// Mean over the time that readings govern, each with the one after it; `held` instead of a line to it.
    fn time_average(&self, readings: &[Reading], start: i64, end: i64, bridging: bool) -> Figure {
        let (mut area, mut covered, mut whole) = (0.0, 0, true);
        for (place, from) in readings.iter().enumerate().filter(|(_, from)| from.usable()) {
            let next = readings.get(place + 1);
            let (low, high) = (start.max(from.time_us), next.map_or(end, |next| end.min(next.time_us)));
            if low >= high {
                continue;
            }
            let held = !bridging && self.method.stepped;
            let to = next.filter(|next| next.usable() && !held);
            let value = |time_us| to.map_or(from.value, |to| line(from, to, time_us));
            area += (value(low) + value(high)) / 2.0 * (high - low) as f64;
            covered += high - low;
            whole &= good(from) && (to.is_some_and(good) || (held && next.is_some()));
            whole &= !(bridging && next.is_some_and(|next| self.any_bad(from.time_us, next.time_us)));
        }
        match covered {
            0 => Figure::NO_DATA,
            covered => Figure::new(area / covered as f64, status(whole && covered == end - start)),
        }
    }

    fn duration_good_us(&self, start: i64, end: i64) -> f64 {
        // One microsecond at a time.
        let governing = |time: &i64| self.readings.iter().rfind(|reading| reading.time_us <= *time);
        (start..end).filter(|time| governing(time).is_some_and(good)).count() as f64
    }

    fn counter_delta(&self, start: i64, end: i64) -> Figure {
        let Some(steps) = &self.steps else { return Figure::NO_DATA };
        let Some(first) = self.readings.iter().find(|reading| good(reading)).filter(|first| first.time_us < end) else {
            return Figure::NO_DATA;
        };
        let sum = steps.iter().filter(|(time, _)| (start..end).contains(time)).map(|(_, step)| step).sum();
        Figure::new(sum, status(first.time_us < start && self.within(start, end).iter().all(good)))
    }

    pub(super) fn extent(&self, start: i64, end: i64) -> Option<Extent> {
        let inside = self.within(start, end).into_iter().filter(Reading::usable);
        let points: Vec<Point> = inside.map(|one| Point { time_us: one.time_us, value: one.value }).collect();
        let (low, high) = self.extremes(&points)?;
        Some(Extent { first: *points.first()?, last: *points.last()?, minimum: low, maximum: high })
    }

    fn extremes(&self, points: &[Point]) -> Option<(Point, Point)> {
        // Of equal ones, `min_by` gives the first.
        let low = points.iter().min_by(|one, two| one.value.total_cmp(&two.value))?;
        let high = points.iter().min_by(|one, two| two.value.total_cmp(&one.value))?;
        Some((*low, *high))
    }

    /// Name, the bucket's figure, and what it should be.
    pub(super) fn figures(&self, bucket: &Bucket, start: i64, end: i64) -> Vec<Named> {
        let inside = self.within(start, end);
        let used: Vec<Reading> = inside.iter().copied().filter(good).collect();
        let points: Vec<Point> = used.iter().map(|one| Point { time_us: one.time_us, value: one.value }).collect();
        let all_good = status(inside.iter().all(good));
        let extreme = |point: Point| Figure::new(point.value, all_good).at(point.time_us);
        let (minimum, maximum) = self
            .extremes(&points)
            .map_or((Figure::NO_DATA, Figure::NO_DATA), |(low, high)| (extreme(low), extreme(high)));
        let sum: f64 = used.iter().map(|one| one.value).sum();
        let whole = status(inside.first().is_some_and(good) && inside.last().is_some_and(good));
        let delta = used.first().zip(used.last()).map(|(first, last)| Figure::new(last.value - first.value, whole));
        let edge = |one: Option<&Reading>| one.map_or(Figure::NO_DATA, |one| one.figure().at(one.time_us));
        let good_us = self.duration_good_us(start, end);
        let some = |figure: Figure| if used.is_empty() { Figure::NO_DATA } else { figure };
        vec![
            ("interpolative", bucket.interpolative(), self.interpolated_bound(start)),
            ("average", bucket.average(), some(Figure::new(sum / used.len() as f64, all_good))),
            ("time_average", bucket.time_average(), self.time_average(&self.usable(), start, end, true)),
            ("time_average2", bucket.time_average2(), self.time_average(&self.readings, start, end, false)),
            ("minimum", bucket.minimum(), minimum),
            ("maximum", bucket.maximum(), maximum),
            ("count", bucket.count(), Figure::new(used.len() as f64, all_good)),
            ("delta", bucket.delta(), delta.unwrap_or(Figure::NO_DATA)),
            ("start", bucket.start(), edge(inside.first())),
            ("end", bucket.end(), edge(inside.last())),
            ("start_bound", bucket.start_bound(), self.simple_bound(start)),
            ("end_bound", bucket.end_bound(), self.simple_bound(end)),
            ("duration_good", bucket.duration_good_us(), Figure::new(good_us, Status::Good)),
            ("percent_good", bucket.percent_good(), Figure::new(100.0 * good_us / (end - start) as f64, Status::Good)),
            ("counter_delta", bucket.counter_delta(), self.counter_delta(start, end)),
        ]
    }
}
