//! The outline of a segment: which series are in it, where their rows lie, and the sums of stretches of them.
//!
//! It lies in the Parquet file between the row groups and the footer, where other readers do not look. A series is cut
//! into cells of a minute, an hour or a day of UTC, whichever is the shortest that holds enough rows on average, and only
//! cells with many rows say how those went ([`Course`]), so an outline takes a small part of its segment.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};

use super::course::{self, Course, Growing};
use super::hybrid::{varint, zigzag};
use crate::StoreError;
use crate::newest::series_ends;
use crate::spec::TableSpec;

/// Widths of cells, microseconds; each is a multiple of the one before.
const WIDTHS_US: [i64; 3] = [60_000_000, 3_600_000_000, super::DAY_US];
/// Rows that cells hold on average, unless they are the widest.
const CELL_ROWS: u64 = 512;
/// Cells with fewer rows say nothing of their course: that would take more than they do.
const COURSE_ROWS: u64 = 256;
/// Rows of a series on average below which an outline costs more than it is worth …
const SERIES_ROWS: u64 = 16;
/// … where there are more series than these.
const FEW_SERIES: usize = 256;
/// What an encoded outline begins with.
const VERSION: u8 = 2;
/// What one without courses began with.
const WITHOUT_COURSES: u8 = 1;

/// The series of a segment, in key order.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// One after another: their rows are those of the segment.
    pub series: Vec<SeriesOutline>,
    /// Whether it is of a version that says how numbers go.
    pub(crate) has_courses: bool,
}

/// One series of a segment: the rows whose keys differ in their time only.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesOutline {
    /// Values of the key columns but the time, in key order.
    pub key: Vec<Option<Arc<str>>>,
    /// Its first row in the segment.
    pub first_row: u64,
    /// How long a cell is, microseconds.
    pub width_us: i64,
    /// Its cells that hold rows, in the order of time.
    pub cells: Vec<Cell>,
}

/// The rows of a series in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Start, microseconds UTC; a multiple of the width.
    pub start_us: i64,
    /// How many rows.
    pub rows: u64,
    /// What their numbers add up to; `None` where one of them is not finite.
    pub sums: Option<Sums>,
    /// How their numbers go; `None` where there are few rows, or one has no number that is to be used.
    pub course: Option<Course>,
}

/// What the numbers of some rows add up to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// How many are not NULL. Without any, the others mean nothing.
    pub values: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Outline {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.series.iter().map(SeriesOutline::rows).sum()
    }

    /// The same without courses, as earlier versions wrote it.
    pub(crate) fn without_courses(mut self) -> Self {
        self.series.iter_mut().flat_map(|series| &mut series.cells).for_each(|cell| cell.course = None);
        self.has_courses = false;
        self
    }

    /// Memory that it takes, about.
    fn bytes(&self) -> usize {
        let of = |series: &SeriesOutline| {
            let key: usize = series.key.iter().flatten().map(|part| part.len() + 32).sum();
            size_of::<SeriesOutline>() + key + series.cells.len() * size_of::<Cell>()
        };
        self.series.iter().map(of).sum()
    }
}

/// Outlines that were read last.
static RECENT: Mutex<VecDeque<(Arc<Outline>, usize)>> = Mutex::new(VecDeque::new());
/// How much memory they take together, about.
const RECENT_BYTES: usize = 64 << 20;

/// Keeps an outline in memory until others have taken its place.
pub(super) fn keep(outline: &Arc<Outline>) {
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    recent.push_back((outline.clone(), outline.bytes()));
    let mut bytes: usize = recent.iter().map(|(_, bytes)| bytes).sum();
    while bytes > RECENT_BYTES
        && let Some((_, gone)) = recent.pop_front()
    {
        bytes -= gone;
    }
}

impl SeriesOutline {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.cells.iter().map(|cell| cell.rows).sum()
    }

    /// The last microsecond of one of its cells.
    pub fn last_us(&self, cell: &Cell) -> i64 {
        cell.start_us.saturating_add(self.width_us - 1)
    }

    /// Its last row in the segment.
    pub(crate) fn last_row(&self) -> Option<usize> {
        usize::try_from((self.first_row + self.rows()).checked_sub(1)?).ok()
    }
}

impl Sums {
    const NONE: Self = Self { values: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };

    /// Takes the sums of other rows in.
    pub fn add(&mut self, other: &Self) {
        self.values += other.values;
        self.sum += other.sum;
        // As SQL orders them: -0.0 comes before 0.0.
        self.min = if other.min.total_cmp(&self.min).is_lt() { other.min } else { self.min };
        self.max = if other.max.total_cmp(&self.max).is_gt() { other.max } else { self.max };
    }
}

impl FromIterator<f64> for Sums {
    /// As [`Sums::add`] value by value, without a branch and in registers.
    fn from_iter<T: IntoIterator<Item = f64>>(numbers: T) -> Self {
        let Self { mut values, mut sum, min, max } = Self::NONE;
        let (mut lowest, mut highest) = (rank(min), rank(max));
        for value in numbers {
            values += 1;
            sum += value;
            lowest = lowest.min(rank(value));
            highest = highest.max(rank(value));
        }
        Self { values, sum, min: of_rank(lowest), max: of_rank(highest) }
    }
}

/// An integer for each double, in the order of [`f64::total_cmp`].
fn rank(value: f64) -> i64 {
    mirrored(value.to_bits().cast_signed())
}

fn of_rank(rank: i64) -> f64 {
    f64::from_bits(mirrored(rank).cast_unsigned())
}

/// The bits of negative numbers but the sign turned over, and back again.
fn mirrored(bits: i64) -> i64 {
    bits ^ (bits >> 63).cast_unsigned().wrapping_shr(1).cast_signed()
}

impl TableSpec {
    /// The number that the rows of a series carry: what outlines sum up.
    pub fn measured(&self) -> Option<usize> {
        self.schema.fields().iter().position(|field| *field.data_type() == DataType::Float64)
    }
}

/// Whether bytes are an outline of a version that can be read.
pub(super) fn is_known(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(VERSION | WITHOUT_COURSES)))
}

/// What a footer says of where an outline lies, and of its bytes before compression.
pub(super) fn named(place: Range<u64>, length: usize) -> String {
    format!("{}..{} of {length}", place.start, place.end)
}

/// The same read back.
pub(super) fn place(named: &str) -> Option<(Range<u64>, usize)> {
    let (place, length) = named.split_once(" of ")?;
    let (start, end) = place.split_once("..")?;
    let place = start.parse().ok()?..end.parse().ok()?;
    (place.start <= place.end).then_some((place, length.parse().ok()?))
}

/// An outline that grows with the rows of its segment.
pub(crate) struct Draft {
    spec: Arc<TableSpec>,
    series: Vec<SeriesOutline>,
    /// How the numbers go in the cells of the last of them; `None` where one is not to be used.
    courses: Vec<Option<Growing>>,
    rows: u64,
}

impl Draft {
    /// `None` for tables without series.
    pub(crate) fn new(spec: &Arc<TableSpec>) -> Option<Self> {
        (spec.has_series() && spec.measured().is_some()).then(|| Self {
            spec: spec.clone(),
            series: Vec::new(),
            courses: Vec::new(),
            rows: 0,
        })
    }

    /// Takes rows in: sorted, behind those before. False where the segment is better off without an outline.
    pub(crate) fn add(&mut self, rows: &RecordBatch) -> Result<bool, StoreError> {
        let spec = Arc::clone(&self.spec);
        let column = |index: usize| rows.column_by_name(spec.schema.field(index).name());
        let (time, value) = (spec.time.and_then(column), spec.measured().and_then(column));
        let times = time.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let values = value.and_then(|column| column.as_primitive_opt::<Float64Type>());
        let (Some(times), Some(values)) = (times.filter(|times| times.null_count() == 0), values) else {
            return Ok(false);
        };
        let codes = match spec.status {
            None => None,
            Some(status) => match column(status).and_then(|column| column.as_primitive_opt::<Int64Type>()) {
                Some(codes) => Some(codes),
                None => return Ok(false),
            },
        };
        let is_used = |row: usize| codes.is_none_or(|codes| codes.is_null(row) || codes.value(row) == 0);
        // Cells begin before their first row.
        if times.values().iter().any(|time| *time < i64::MIN + super::DAY_US) {
            return Ok(false);
        }
        let names = spec.key.iter().filter(|&&index| Some(index) != spec.time).map(|&index| column(index));
        let names: Option<Vec<&ArrayRef>> = names.collect();
        let names = names.unwrap_or_default();
        let mut first = 0;
        for last in series_ends(&spec, rows)? {
            let (from, to) = (first as usize, last as usize + 1);
            first = last + 1;
            let key = names.iter().map(|column| text(column, from)).collect::<Result<Vec<_>, _>>()?;
            if self.series.last().is_none_or(|series| series.key != key) {
                self.settle();
                let first_row = self.rows + from as u64;
                self.series.push(SeriesOutline { key, first_row, width_us: WIDTHS_US[0], cells: Vec::new() });
            }
            if let Some(series) = self.series.last_mut() {
                for row in from..to {
                    let value = values.is_valid(row).then(|| values.value(row));
                    series.count(times.value(row), value);
                    let used = value.filter(|value| value.is_finite() && is_used(row));
                    grow(&mut self.courses, series.cells.len(), times.value(row), used);
                }
            }
        }
        self.rows += rows.num_rows() as u64;
        Ok(self.is_worth_it())
    }

    fn is_worth_it(&self) -> bool {
        self.series.len() <= FEW_SERIES || self.series.len() as u64 * SERIES_ROWS <= self.rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(crate) fn finish(mut self) -> Outline {
        self.settle();
        Outline { series: self.series, has_courses: true }
    }

    /// The last series has all its rows.
    fn settle(&mut self) {
        if let Some(series) = self.series.last_mut() {
            settle(series, std::mem::take(&mut self.courses));
        }
    }
}

/// Takes a row into the course of the last of so many cells, which has none where a row has no number that is to be used.
#[inline]
fn grow(courses: &mut Vec<Option<Growing>>, cells: usize, time_us: i64, used: Option<f64>) {
    if courses.len() < cells {
        courses.push(used.map(|number| Growing::of(time_us, number)));
        return;
    }
    let Some(last) = courses.last_mut() else { return };
    match (last.as_mut(), used) {
        (Some(course), Some(number)) => course.push(time_us, number),
        _ => *last = None,
    }
}

impl SeriesOutline {
    fn count(&mut self, time: i64, value: Option<f64>) {
        let width_us = self.width_us;
        if !self.cells.last().is_some_and(|cell| (0..width_us).contains(&time.wrapping_sub(cell.start_us))) {
            let start_us = time - time.rem_euclid(width_us);
            self.cells.push(Cell { start_us, rows: 0, sums: Some(Sums::NONE), course: None });
        }
        let Some(cell) = self.cells.last_mut() else { return };
        cell.rows += 1;
        match (value, &mut cell.sums) {
            (None, _) | (_, None) => {}
            (Some(value), Some(sums)) if value.is_finite() => {
                sums.add(&Sums { values: 1, sum: value, min: value, max: value });
            }
            (Some(_), sums) => *sums = None,
        }
    }
}

/// Puts the cells of a series together until they hold enough rows each, and their courses with them.
fn settle(series: &mut SeriesOutline, mut courses: Vec<Option<Growing>>) {
    let rows = series.rows();
    for width_us in WIDTHS_US {
        if width_us > series.width_us {
            let mut wide: Vec<Cell> = Vec::new();
            let mut long: Vec<Option<Growing>> = Vec::new();
            for (cell, course) in series.cells.iter().zip(courses) {
                let start_us = cell.start_us - cell.start_us.rem_euclid(width_us);
                match (wide.last_mut(), long.last_mut()) {
                    (Some(last), Some(grown)) if last.start_us == start_us => {
                        last.rows += cell.rows;
                        last.sums = last.sums.zip(cell.sums).map(|(mut sums, more)| {
                            sums.add(&more);
                            sums
                        });
                        *grown = grown.zip(course).map(|(mut grown, more)| {
                            grown.join(&more);
                            grown
                        });
                    }
                    _ => {
                        wide.push(Cell { start_us, ..*cell });
                        long.push(course);
                    }
                }
            }
            (series.cells, series.width_us, courses) = (wide, width_us, long);
        }
        if rows >= series.cells.len() as u64 * CELL_ROWS {
            break;
        }
    }
    for (cell, course) in series.cells.iter_mut().zip(courses) {
        // What has grown beyond all numbers depends on the order of adding.
        cell.sums = cell.sums.filter(|sums| sums.sum.is_finite());
        cell.course = course.filter(|_| cell.rows >= COURSE_ROWS).and_then(Growing::finish);
    }
    series.cells.shrink_to_fit();
}

fn text(column: &ArrayRef, row: usize) -> Result<Option<Arc<str>>, StoreError> {
    let value = cast(&column.slice(row, 1), &DataType::Utf8)?;
    Ok(value.as_string::<i32>().iter().next().flatten().map(Arc::from))
}

impl Outline {
    /// As bytes: names, then counts, then numbers column by column, so that what is alike stands together.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        varint(self.series.len() as u64, &mut bytes);
        for series in &self.series {
            varint(series.key.len() as u64, &mut bytes);
            for part in &series.key {
                varint(part.as_ref().map_or(0, |part| part.len() as u64 + 1), &mut bytes);
                bytes.extend_from_slice(part.as_deref().unwrap_or_default().as_bytes());
            }
            let width = WIDTHS_US.iter().position(|width_us| *width_us == series.width_us).unwrap_or_default();
            varint(width as u64, &mut bytes);
            varint(series.cells.len() as u64, &mut bytes);
        }
        for series in &self.series {
            let mut before = 0;
            for cell in &series.cells {
                let place = cell.start_us.div_euclid(series.width_us);
                zigzag(place - before, &mut bytes);
                before = place;
                varint(cell.rows, &mut bytes);
                // Nearly always all rows have a number.
                varint(cell.sums.map_or(0, |sums| cell.rows - sums.values + 1), &mut bytes);
            }
        }
        let sums = || self.series.iter().flat_map(|series| &series.cells).filter_map(|cell| cell.sums);
        for number in [|sums: Sums| sums.sum, |sums: Sums| sums.min, |sums: Sums| sums.max] {
            sums().for_each(|sums| bytes.extend_from_slice(&number(sums).to_le_bytes()));
        }
        let cells = self.series.iter().flat_map(|series| &series.cells);
        course::encode(&mut cells.map(|cell| (cell.start_us, cell.course)).collect::<Vec<_>>(), &mut bytes);
        bytes
    }

    /// `None` where the bytes are no outline of this version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        if !is_known(bytes) {
            return None;
        }
        let rest = &mut rest;
        let mut series = Vec::new();
        for _ in 0..get(rest)? {
            let mut key = Vec::new();
            for _ in 0..get(rest)? {
                key.push(match get(rest)? {
                    0 => None,
                    length => Some(Arc::from(std::str::from_utf8(bytes_of(rest, length - 1)?).ok()?)),
                });
            }
            let width_us = *WIDTHS_US.get(usize::try_from(get(rest)?).ok()?)?;
            let cells = usize::try_from(get(rest)?).ok().filter(|cells| *cells <= rest.len())?;
            series.push((SeriesOutline { key, first_row: 0, width_us, cells: Vec::with_capacity(cells) }, cells));
        }
        let mut first_row: u64 = 0;
        for (series, count) in &mut series {
            let mut place: i64 = 0;
            series.first_row = first_row;
            for _ in 0..*count {
                place = place.checked_add(unzigzag(get(rest)?))?;
                let rows = get(rest)?;
                let sums = match get(rest)? {
                    0 => None,
                    missing => Some(Sums { values: rows.checked_sub(missing - 1)?, ..Sums::NONE }),
                };
                first_row = first_row.checked_add(rows)?;
                series.cells.push(Cell { start_us: place.checked_mul(series.width_us)?, rows, sums, course: None });
            }
        }
        let mut series: Vec<SeriesOutline> = series.into_iter().map(|(series, _)| series).collect();
        let numbers: [fn(&mut Sums) -> &mut f64; 3] =
            [|sums| &mut sums.sum, |sums| &mut sums.min, |sums| &mut sums.max];
        for number in numbers {
            for cell in series.iter_mut().flat_map(|series| &mut series.cells) {
                if let Some(sums) = &mut cell.sums {
                    *number(sums) = f64::from_le_bytes(bytes_of(rest, 8)?.try_into().ok()?);
                }
            }
        }
        let has_courses = *version != WITHOUT_COURSES;
        if has_courses {
            let cells = || series.iter().flat_map(|series| &series.cells);
            let courses = course::decode(&cells().map(|cell| cell.start_us).collect::<Vec<_>>(), rest)?;
            let cells = series.iter_mut().flat_map(|series| &mut series.cells);
            cells.zip(courses).for_each(|(cell, course)| cell.course = course);
        }
        rest.is_empty().then_some(Self { series, has_courses })
    }
}

pub(super) fn get(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

pub(super) fn bytes_of<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

/// Small numbers of either sign are small ones.
fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests;
