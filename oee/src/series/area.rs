//! What holds between two samples: value, area and bounds.

use super::sum::Sum;
use super::{Figure, Method, Point, Reading, Severity, Status};

/// The worse of two severities, as the status of what rests on both.
fn worse(one: Severity, other: Severity) -> Status {
    one.max(other).into()
}

/// Seconds would round; microseconds of less than 285 years are exact.
fn span(from_us: i64, to_us: i64) -> f64 {
    to_us.saturating_sub(from_us) as f64
}

/// What is between a usable sample and the next one: a straight line, or its value held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    from: Reading,
    to: Option<Reading>,
    pub(super) status: Status,
}

impl Stretch {
    /// Between neighbours of any status: none where the left one is Bad or there is none (simple bounding values,
    /// OPC 10000-13, 3.1.9). A held value is Uncertain where the line to the next sample is missing.
    pub(super) fn simple(from: Option<Reading>, to: Option<Reading>, method: Method) -> Option<Self> {
        let from = from.filter(Reading::usable)?;
        let status = match to {
            Some(_) if method.stepped => from.severity.into(),
            Some(to) if to.usable() => return Some(Self::line(from, to, false)),
            _ => Status::Uncertain,
        };
        Some(Self { from, to: None, status })
    }

    /// Between usable samples, over what is Bad between them (interpolated bounding values, 3.1.8).
    pub(super) fn line(from: Reading, to: Reading, over_bad: bool) -> Self {
        let status = if over_bad { Status::Uncertain } else { worse(from.severity, to.severity) };
        Self { from, to: Some(to), status }
    }

    /// Beyond the last usable sample.
    pub(super) fn held(from: Reading) -> Self {
        Self { from, to: None, status: Status::Uncertain }
    }

    /// The value at a time within.
    fn value(&self, time_us: i64) -> f64 {
        let point = |reading: Reading| Point { time_us: reading.time_us, value: reading.value };
        self.to.map_or(self.from.value, |to| on_line(point(self.from), point(to), time_us))
    }

    /// The value as a figure.
    pub(super) fn figure(&self, time_us: i64) -> Figure {
        Figure::new(self.value(time_us), self.status)
    }

    /// The area over a part within, in units of the signal times microseconds.
    fn area(&self, from_us: i64, to_us: i64) -> f64 {
        trapezoid(self.value(from_us), self.value(to_us), to_us.saturating_sub(from_us))
    }
}

/// The value of the straight line from one point to a later one, at a time between them: measured from the nearer end, so
/// that both ends are met exactly.
#[must_use]
pub fn on_line(from: Point, to: Point, time_us: i64) -> f64 {
    let (before, after) = (span(from.time_us, time_us), span(time_us, to.time_us));
    let (rise, whole) = (to.value - from.value, span(from.time_us, to.time_us));
    if before <= after { from.value + rise * (before / whole) } else { to.value - rise * (after / whole) }
}

/// The area under a straight line, in units of the signal times microseconds.
#[inline]
pub(super) fn trapezoid(from: f64, to: f64, us: i64) -> f64 {
    (0.5 * from + 0.5 * to) * us as f64
}

/// Area over the time that is covered.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Area {
    sum: Sum,
    covered_us: i64,
    uncertain: bool,
}

impl Area {
    /// Adds what is Good from end to end.
    #[inline]
    pub(super) fn add_good(&mut self, area: f64, us: i64) {
        self.sum.add(area);
        self.covered_us += us;
    }

    /// Adds a part of a stretch; nothing if it is empty.
    pub(super) fn add(&mut self, stretch: &Stretch, from_us: i64, to_us: i64) {
        if from_us < to_us {
            self.add_good(stretch.area(from_us, to_us), to_us.saturating_sub(from_us));
            self.uncertain |= stretch.status != Status::Good;
        }
    }

    /// Area by covered time, for an interval of that length.
    pub(super) fn mean(&self, length_us: i64) -> Figure {
        if self.covered_us == 0 {
            return Figure::NO_DATA;
        }
        let whole = self.covered_us == length_us && !self.uncertain;
        let status = if whole { Status::Good } else { Status::Uncertain };
        Figure::new(self.sum.value() / self.covered_us as f64, status)
    }
}
