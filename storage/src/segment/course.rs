//! How the numbers of a stretch of rows go: what averages over time, and lines, need to know of them.

use super::hybrid::varint;
use super::outline::{bytes_of, get};

/// The rows of one cell, each of which has a finite number that is to be used ([`crate::TableSpec::status`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Time and number of the first row; times are microseconds UTC.
    pub first: (i64, f64),
    /// Time and number of the last row.
    pub last: (i64, f64),
    /// The smallest number, and when it came first.
    pub min: (i64, f64),
    /// The largest number, and when it came first.
    pub max: (i64, f64),
    /// What the numbers add up to, compensated for what adding rounds off.
    pub sum: f64,
    /// The area under the numbers where each holds until the next row: numbers times microseconds, compensated.
    pub held: f64,
    /// The area under straight lines from each row to the next: numbers times microseconds, compensated.
    pub sloped: f64,
}

/// A sum, and what was rounded off beside it (Ogita, Rump, Oishi, 2005: Sum2).
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    #[inline]
    fn add(&mut self, term: f64) {
        let sum = self.high + term;
        let added = sum - self.high;
        self.low += (self.high - (sum - added)) + (term - added);
        self.high = sum;
    }

    fn join(&mut self, other: Self) {
        self.add(other.high);
        self.low += other.low;
    }

    fn value(self) -> f64 {
        self.high + self.low
    }
}

/// A course that rows are still coming to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growing {
    first: (i64, f64),
    last: (i64, f64),
    min: (i64, f64),
    max: (i64, f64),
    sum: Sum,
    held: Sum,
    sloped: Sum,
}

impl Growing {
    pub(super) fn of(time_us: i64, number: f64) -> Self {
        let row = (time_us, number);
        let mut sum = Sum::default();
        sum.add(number);
        Self { first: row, last: row, min: row, max: row, sum, held: Sum::default(), sloped: Sum::default() }
    }

    /// Takes the next row.
    #[inline]
    pub(super) fn push(&mut self, time_us: i64, number: f64) {
        self.lead_to((time_us, number));
        self.sum.add(number);
        self.last = (time_us, number);
        if number < self.min.1 {
            self.min = self.last;
        }
        if number > self.max.1 {
            self.max = self.last;
        }
    }

    /// Takes rows that follow.
    pub(super) fn join(&mut self, next: &Self) {
        self.lead_to(next.first);
        self.sum.join(next.sum);
        self.held.join(next.held);
        self.sloped.join(next.sloped);
        self.last = next.last;
        if next.min.1 < self.min.1 {
            self.min = next.min;
        }
        if next.max.1 > self.max.1 {
            self.max = next.max;
        }
    }

    /// The areas between the last row and the next one.
    #[inline]
    fn lead_to(&mut self, (time_us, number): (i64, f64)) {
        let us = time_us.saturating_sub(self.last.0) as f64;
        self.held.add(self.last.1 * us);
        self.sloped.add((0.5 * self.last.1 + 0.5 * number) * us);
    }

    /// `None` where a sum has grown beyond all numbers.
    pub(super) fn finish(self) -> Option<Course> {
        let Self { first, last, min, max, sum, held, sloped } = self;
        let course = Course { first, last, min, max, sum: sum.value(), held: held.value(), sloped: sloped.value() };
        [course.sum, course.held, course.sloped].iter().all(|sum| sum.is_finite()).then_some(course)
    }
}

impl Course {
    fn times(&mut self) -> [&mut i64; 4] {
        [&mut self.first.0, &mut self.last.0, &mut self.min.0, &mut self.max.0]
    }

    fn numbers(&mut self) -> [&mut f64; 7] {
        let Self { first, last, min, max, sum, held, sloped } = self;
        [&mut first.1, &mut last.1, &mut min.1, &mut max.1, sum, held, sloped]
    }
}

/// Appends the courses of cells, told by the start of the cell, to `bytes`: whether there is one, then times, then numbers
/// column by column.
pub(super) fn encode(courses: &mut [(i64, Option<Course>)], bytes: &mut Vec<u8>) {
    for (start_us, course) in courses.iter_mut() {
        bytes.push(u8::from(course.is_some()));
        for time_us in course.iter_mut().flat_map(Course::times) {
            varint(time_us.saturating_sub(*start_us).cast_unsigned(), bytes);
        }
    }
    let mut courses: Vec<[&mut f64; 7]> =
        courses.iter_mut().filter_map(|(_, course)| course.as_mut()).map(Course::numbers).collect();
    for column in 0..7 {
        for number in courses.iter_mut().filter_map(|numbers| numbers.get(column)) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The same read back; `None` where the bytes are no courses.
pub(super) fn decode(starts_us: &[i64], bytes: &mut &[u8]) -> Option<Vec<Option<Course>>> {
    let none =
        Course { first: (0, 0.0), last: (0, 0.0), min: (0, 0.0), max: (0, 0.0), sum: 0.0, held: 0.0, sloped: 0.0 };
    let mut courses = Vec::with_capacity(starts_us.len());
    for start_us in starts_us {
        courses.push(match bytes_of(bytes, 1)? {
            [0] => None,
            [1] => {
                let mut course = none;
                for time_us in course.times() {
                    *time_us = start_us.checked_add(i64::try_from(get(bytes)?).ok()?)?;
                }
                Some(course)
            }
            _ => return None,
        });
    }
    for column in 0..7 {
        for course in courses.iter_mut().flatten() {
            let number = f64::from_le_bytes(bytes_of(bytes, 8)?.try_into().ok()?);
            course.numbers().into_iter().skip(column).take(1).for_each(|place| *place = number);
        }
    }
    Some(courses)
}
