//! Rows of segments that have the keys which are sought.
//!
//! Rows that come late, or again, are looked for in every segment of their time. Most of them are in none: the outline of
//! a segment tells so without a look at its rows, where none of its series has a cell at that time. Of the cells that remain
//! their times are read, and whole rows only where one of them is sought: each flush goes on where the one before ended, in the
//! middle of a cell of nearly every series.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::compute::{concat_batches, max, min};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use crate::StoreError;
use crate::dead::Dead;
use crate::hot::{in_schema, plain};
use crate::keys::{KeyOrder, pick};
use crate::segment::{Outline, Segment};
use crate::snapshot::aligned;
use crate::spec::{TableSpec, time_type};

/// Times of rows that are read at once.
const TIMES: usize = 1 << 16;

/// Rows of segments, one a key; columns as the files have them.
pub(crate) struct Found {
    pub(crate) rows: RecordBatch,
    /// For each: whether it is superseded, by a row that is in no segment. That one has left, or it is hot still and a flush
    /// got as far as the history.
    pub(crate) hidden: Vec<bool>,
}

/// The newest rows in `segments` of the keys in `wanted`.
pub(crate) fn newest_rows(
    spec: &TableSpec,
    segments: &[Arc<Segment>],
    dead: &[Arc<Dead>],
    wanted: &RecordBatch,
) -> Result<Option<Found>, StoreError> {
    let sought = Sought::new(spec, wanted)?;
    let (mut found, mut hidden): (Vec<RecordBatch>, Vec<bool>) = (Vec::new(), Vec::new());
    for segment in segments {
        let Some(rows) = sought.rows_of(segment)?.filter(|rows| rows.num_rows() > 0) else { continue };
        let mut is_hidden = vec![false; rows.num_rows()];
        for dead in dead.iter().filter(|dead| dead.hides_in(segment)) {
            for (is_hidden, is_dead) in is_hidden.iter_mut().zip(dead.keys.contains(&rows)?.iter()) {
                *is_hidden |= is_dead == Some(true);
            }
        }
        found.push(rows);
        hidden.extend(is_hidden);
    }
    let Some(schema) = found.first().map(RecordBatch::schema) else { return Ok(None) };
    let found = concat_batches(&schema, &found)?;
    // The last of equal keys comes from the newest segment; earlier ones are in the history already.
    let order = KeyOrder::of(&aligned(spec, &found)?, &spec.key)?;
    let newest: Vec<u32> = order.runs().filter_map(|run| run.last().copied()).collect();
    let hidden = newest.iter().map(|row| hidden.get(*row as usize) == Some(&true)).collect();
    Ok(Some(Found { rows: pick(&found, newest)?, hidden }))
}

/// The key of a series: values of the key columns but the time.
type SeriesKey = Vec<Option<Arc<str>>>;

/// The rows of one cell, and those that are sought at its times.
struct Look {
    stored: Range<usize>,
    sought: Range<usize>,
}

/// Stretches in order, those that meet as one.
fn joined(ranges: impl Iterator<Item = Range<usize>>) -> impl Iterator<Item = Range<usize>> {
    let mut ranges = ranges.peekable();
    std::iter::from_fn(move || {
        let mut joined = ranges.next()?;
        while let Some(next) = ranges.next_if(|next| next.start == joined.end) {
            joined.end = next.end;
        }
        Some(joined)
    })
}

/// Rows whose keys are sought.
struct Sought<'a> {
    spec: &'a TableSpec,
    rows: &'a RecordBatch,
    /// Microseconds; none where keys hold no time.
    times: Option<Int64Array>,
    /// The first and the last of them.
    span: Option<(i64, i64)>,
    /// Rows of one series that follow one another; made when first asked for.
    series: OnceCell<Vec<(SeriesKey, Range<usize>)>>,
}

impl<'a> Sought<'a> {
    fn new(spec: &'a TableSpec, rows: &'a RecordBatch) -> Result<Self, StoreError> {
        let times = match spec.time.filter(|time| spec.key.contains(time)) {
            Some(time) => {
                let times = plain(rows, spec.schema.field(time).name(), &time_type())?;
                Some(arrow::compute::cast(&times, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            None => None,
        };
        let span = times.as_ref().and_then(|times| Some((min(times)?, max(times)?)));
        Ok(Self { spec, rows, times, span, series: OnceCell::new() })
    }

    /// The rows of `segment` with the keys; none where it cannot hold any.
    fn rows_of(&self, segment: &Segment) -> Result<Option<RecordBatch>, StoreError> {
        let (Some(times), Some(low), Some(high)) = (&self.times, segment.min_time, segment.max_time) else {
            return segment.rows_with(self.spec, self.rows).map(Some);
        };
        if times.null_count() == 0 && self.span.is_none_or(|(first, last)| last < low || high < first) {
            return Ok(None);
        }
        if self.spec.has_series()
            && times.null_count() == 0
            && let Some(outline) = segment.outline()
            && let Some(looked) = self.looked(times.values(), &outline)?
        {
            return self.rows_at(segment, times.values(), looked);
        }
        let within = |row: usize| times.is_null(row) || (low..=high).contains(&times.value(row));
        let kept: Vec<usize> = (0..times.len()).filter(|&row| within(row)).collect();
        if kept.is_empty() {
            return Ok(None);
        }
        if kept.len() == self.rows.num_rows() {
            return segment.rows_with(self.spec, self.rows).map(Some);
        }
        let candidates = pick(self.rows, kept.into_iter().filter_map(|row| u32::try_from(row).ok()).collect())?;
        segment.rows_with(self.spec, &candidates).map(Some)
    }

    /// The cells at whose times rows are sought: their rows in the segment, and those that are sought in them, both in order;
    /// none where what is sought is in no order.
    fn looked(&self, times: &[i64], outline: &Outline) -> Result<Option<Vec<Look>>, StoreError> {
        let mut looked: Vec<Look> = Vec::new();
        for (key, rows) in self.series()? {
            let Ok(place) = outline.series.binary_search_by(|series| series.key.cmp(key)) else { continue };
            let (Some(series), Some(times)) = (outline.series.get(place), times.get(rows.clone())) else { continue };
            let mut first = usize::try_from(series.first_row).unwrap_or(usize::MAX);
            if !times.is_sorted() || looked.last().is_some_and(|last| first < last.stored.end) {
                return Ok(None);
            }
            for cell in &series.cells {
                let stored = first..first.saturating_add(usize::try_from(cell.rows).unwrap_or(usize::MAX));
                first = stored.end;
                // Where it is known how its numbers go, its first and its last time are known too.
                let whole = (cell.start_us, series.last_us(cell));
                let (from, to) = cell.course.map_or(whole, |course| (course.first.0, course.last.0));
                let begin = times.partition_point(|time| *time < from);
                let end = begin + times.get(begin..).map_or(0, |rest| rest.partition_point(|time| *time <= to));
                if begin < end {
                    looked.push(Look { stored, sought: rows.start + begin..rows.start + end });
                }
            }
        }
        Ok(Some(looked))
    }

    /// The rows of the cells whose times are sought in them.
    fn rows_at(&self, segment: &Segment, times: &[i64], looked: Vec<Look>) -> Result<Option<RecordBatch>, StoreError> {
        let Some(time) = self.spec.time.filter(|_| !looked.is_empty()) else { return Ok(None) };
        let name = self.spec.schema.field(time).name().as_str();
        let schema = self.spec.file_schema();
        let ranges = looked.iter().map(|look| look.stored.clone());
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut places = looked.iter().flat_map(|look| look.stored.clone().map(move |row| (row, &look.sought)));
        for batch in segment.rows_in(joined(ranges), &[name], &schema, None, TIMES)? {
            let stored = plain(&batch?, name, &time_type())?;
            let stored = stored.as_primitive::<TimestampMicrosecondType>();
            for (time, (row, sought)) in stored.values().iter().zip(places.by_ref()) {
                if times.get(sought.clone()).is_some_and(|times| times.binary_search(time).is_ok()) {
                    found.push(row..row + 1);
                }
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let rows = segment.rows_in(joined(found.into_iter()), &columns, &schema, None, TIMES)?;
        Ok(Some(in_schema(&rows.together()?, &schema)?))
    }

    fn series(&self) -> Result<&[(SeriesKey, Range<usize>)], StoreError> {
        if let Some(known) = self.series.get() {
            return Ok(known);
        }
        let parts = self.spec.key.iter().filter(|&&index| Some(index) != self.spec.time);
        let texts = |&index: &usize| -> Result<StringArray, StoreError> {
            let texts = plain(self.rows, self.spec.schema.field(index).name(), &DataType::Utf8)?;
            Ok(texts.as_string::<i32>().clone())
        };
        let parts: Vec<StringArray> = parts.map(texts).collect::<Result<_, _>>()?;
        let text = |part: &'_ StringArray, row: usize| part.is_valid(row).then(|| Arc::from(part.value(row)));
        let same = |row: usize| {
            let same = |part: &StringArray| {
                part.is_valid(row) == part.is_valid(row - 1)
                    && (part.is_null(row) || part.value(row) == part.value(row - 1))
            };
            parts.iter().all(same)
        };
        let mut found: Vec<(SeriesKey, Range<usize>)> = Vec::new();
        for row in 0..self.rows.num_rows() {
            match found.last_mut().filter(|_| same(row)) {
                Some((_, rows)) => rows.end = row + 1,
                None => found.push((parts.iter().map(|part| text(part, row)).collect(), row..row + 1)),
            }
        }
        Ok(self.series.get_or_init(|| found))
    }
}
