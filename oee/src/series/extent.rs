//! First, last, lowest and highest value: what a line needs in one column of pixels.

/// A value and when it was sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Microseconds UTC.
    pub time_us: i64,
    /// In the unit of the signal.
    pub value: f64,
}

/// The four points of a bucket that draw the same pixels as all of them. Of equal values the earliest counts.
///
/// Source: Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", PVLDB 7(10), 2014.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// The first.
    pub first: Point,
    /// The last.
    pub last: Point,
    /// The lowest.
    pub minimum: Point,
    /// The highest.
    pub maximum: Point,
}

impl Extent {
    pub(super) fn of(point: Point) -> Self {
        Self { first: point, last: point, minimum: point, maximum: point }
    }

    /// Takes a point that is later than all before.
    #[inline]
    pub(super) fn push(&mut self, point: Point) {
        self.last = point;
        if point.value < self.minimum.value {
            self.minimum = point;
        }
        if point.value > self.maximum.value {
            self.maximum = point;
        }
    }

    /// The extent of both, whichever came first.
    pub(super) fn union(&self, other: &Self) -> Self {
        let low = |point: &Point| (point.value, point.time_us);
        let high = |point: &Point| (-point.value, point.time_us);
        let pick = |one: Point, two: Point, rank: &dyn Fn(&Point) -> (f64, i64)| {
            if rank(&two) < rank(&one) { two } else { one }
        };
        Self {
            first: if other.first.time_us < self.first.time_us { other.first } else { self.first },
            last: if other.last.time_us > self.last.time_us { other.last } else { self.last },
            minimum: pick(self.minimum, other.minimum, &low),
            maximum: pick(self.maximum, other.maximum, &high),
        }
    }
}
