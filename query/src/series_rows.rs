//! Which rows of which series a question can need, as the outlines of segments tell.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use oee::execution::Affected;
use oee::path::is_within;
use storage::{Cell, Segment, SeriesOutline, TableSpec};

use crate::reach::Reach;

/// With more series of segments than this, their rows are read by whoever reads all rows.
pub(crate) const MOST_SERIES: usize = 1 << 16;

/// Rows of one series in one segment.
#[derive(Debug, Clone)]
pub(crate) struct SeriesRows {
    pub(crate) segment: Arc<Segment>,
    /// Values of the key columns but the time, in key order.
    pub(crate) key: Vec<Option<Arc<str>>>,
    /// Which rows of the segment, in ascending order.
    pub(crate) ranges: Vec<Range<usize>>,
    /// The only times wanted of them, in order and apart, first and last microsecond; without any, all.
    pub(crate) times: Vec<(i64, i64)>,
}

/// By path: rows of a segment.
pub(crate) type RowsByPath = HashMap<PathBuf, Vec<SeriesRows>>;

impl SeriesRows {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }
}

/// What is asked for: series by their names, and times.
pub(crate) struct Wanted<'a> {
    pub(crate) spec: &'a TableSpec,
    pub(crate) reach: &'a Reach,
    /// Where rows can lie besides, by equipment and time.
    pub(crate) places: Option<&'a [Affected]>,
}

impl Wanted<'_> {
    /// The rows of `segments` that can match, segment by segment and in key order; `None` where a segment has no outline, or
    /// too many series match.
    pub(crate) fn rows_of(&self, segments: &[Arc<Segment>]) -> Option<Vec<SeriesRows>> {
        let mut found = Vec::new();
        for segment in segments {
            let outline = segment.outline()?;
            for series in outline.series.iter().filter(|series| self.names(&series.key)) {
                let times = self.times_at(series);
                if times.is_empty() {
                    continue;
                }
                let ranges = ranges_of(series, |_, cell| times.iter().any(|times| overlaps(series, cell, *times)));
                if ranges.is_empty() {
                    continue;
                }
                let first = series.cells.first().map_or(i64::MAX, |cell| cell.start_us);
                let last = series.cells.last().map_or(i64::MIN, |cell| series.last_us(cell));
                let times =
                    if matches!(times[..], [(from, to)] if from <= first && last <= to) { Vec::new() } else { times };
                if found.len() >= MOST_SERIES {
                    return None;
                }
                found.push(SeriesRows { segment: Arc::clone(segment), key: series.key.clone(), ranges, times });
            }
        }
        Some(found)
    }

    /// Whether the filters on names leave a series.
    pub(crate) fn names(&self, key: &[Option<Arc<str>>]) -> bool {
        series_columns(self.spec).zip(key).all(|(name, value)| match (self.reach.texts(name), value) {
            (None, _) => true,
            // No comparison holds for NULL.
            (Some(_), None) => false,
            (Some(texts), Some(value)) => texts.meets(value, value),
        })
    }

    /// Whether the time of a cell is asked for.
    pub(crate) fn meets(&self, series: &SeriesOutline, cell: &Cell) -> bool {
        overlaps(series, cell, self.span())
    }

    /// The times that the filters leave, first and last microsecond.
    fn span(&self) -> (i64, i64) {
        self.spec.time.map_or((i64::MIN, i64::MAX), |time| self.reach.times(name(self.spec, time)))
    }

    /// Times at which rows of a series can match, in order and apart.
    fn times_at(&self, series: &SeriesOutline) -> Vec<(i64, i64)> {
        let (from, to) = self.span();
        let Some(places) = self.places else { return vec![(from, to)] };
        let equipment = series.key.first().and_then(Option::as_deref);
        let is_here = |place: &&Affected| equipment.is_some_and(|path| is_within(path, &place.equipment));
        let within = |place: &Affected| (place.from.max(from), (place.to - 1).min(to));
        let mut times: Vec<(i64, i64)> = places.iter().filter(is_here).map(within).collect();
        times.retain(|(from, to)| from <= to);
        times.sort_unstable();
        let mut apart: Vec<(i64, i64)> = Vec::new();
        for (from, to) in times {
            match apart.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => apart.push((from, to)),
            }
        }
        apart
    }
}

/// Whether a cell holds times from the first to the last of `span`.
fn overlaps(series: &SeriesOutline, cell: &Cell, span: (i64, i64)) -> bool {
    cell.start_us <= span.1 && span.0 <= series.last_us(cell)
}

/// The rows of the cells that are wanted, told by their place and what they are.
pub(crate) fn ranges_of(series: &SeriesOutline, wanted: impl Fn(usize, &Cell) -> bool) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut row = usize::try_from(series.first_row).unwrap_or(usize::MAX);
    for (place, cell) in series.cells.iter().enumerate() {
        let end = row.saturating_add(usize::try_from(cell.rows).unwrap_or(usize::MAX));
        if wanted(place, cell) {
            match ranges.last_mut() {
                Some(last) if last.end == row => last.end = end,
                _ => ranges.push(row..end),
            }
        }
        row = end;
    }
    ranges
}

/// Names of the key columns but the time, in key order.
pub(crate) fn series_columns(spec: &TableSpec) -> impl Iterator<Item = &str> {
    spec.key.iter().filter(|&&index| Some(index) != spec.time).map(|&index| name(spec, index))
}

fn name(spec: &TableSpec, index: usize) -> &str {
    spec.schema.field(index).name()
}
