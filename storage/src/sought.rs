//! Rows of segments that have the keys which are sought.
//!
//! Rows that come late, or again, are looked for in every segment of their time. Most of them are in none: the outline of
//! a segment tells so without a look at its rows, where none of its series has a cell at that time.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;

use crate::StoreError;
use crate::hot::plain;
use crate::keys::{KeyOrder, pick};
use crate::segment::{Outline, Segment};
use crate::snapshot::aligned;
use crate::spec::{TableSpec, time_type};

/// The rows of `segments` that are current among those with a key in `wanted`, one a key; columns as the files have them.
pub(crate) fn current_rows(
    spec: &TableSpec,
    segments: &[Arc<Segment>],
    wanted: &RecordBatch,
) -> Result<Option<RecordBatch>, StoreError> {
    let sought = Sought::new(spec, wanted)?;
    let mut found: Vec<RecordBatch> = Vec::new();
    for segment in segments {
        let candidates = sought.candidates(segment)?;
        if candidates.num_rows() == 0 {
            continue;
        }
        let rows = segment.rows_with(spec, &candidates)?;
        if rows.num_rows() > 0 {
            found.push(rows);
        }
    }
    let Some(schema) = found.first().map(RecordBatch::schema) else { return Ok(None) };
    let found = concat_batches(&schema, &found)?;
    // The last of equal keys comes from the newest segment; earlier ones are in the history already.
    let order = KeyOrder::of(&aligned(spec, &found)?, &spec.key)?;
    let current: Vec<u32> = order.runs().filter_map(|run| run.last().copied()).collect();
    Ok(Some(pick(&found, current)?))
}

/// The key of a series: values of the key columns but the time.
type SeriesKey = Vec<Option<Arc<str>>>;

/// Rows whose keys are sought.
struct Sought<'a> {
    spec: &'a TableSpec,
    rows: &'a RecordBatch,
    /// Microseconds; none where keys hold no time.
    times: Option<Int64Array>,
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
        Ok(Self { spec, rows, times, series: OnceCell::new() })
    }

    /// The rows whose key `segment` may hold.
    fn candidates(&self, segment: &Segment) -> Result<RecordBatch, StoreError> {
        let (Some(times), Some(low), Some(high)) = (&self.times, segment.min_time, segment.max_time) else {
            return Ok(self.rows.clone());
        };
        let within = |row: usize| times.is_null(row) || (low..=high).contains(&times.value(row));
        let mut kept: Vec<usize> = (0..times.len()).filter(|&row| within(row)).collect();
        if !kept.is_empty()
            && self.spec.has_series()
            && let Some(outline) = segment.outline()
        {
            kept = self.outlined(times, &outline)?;
        }
        if kept.len() == self.rows.num_rows() {
            return Ok(self.rows.clone());
        }
        pick(self.rows, kept.into_iter().filter_map(|row| u32::try_from(row).ok()).collect())
    }

    /// The rows at whose time their series has a cell.
    fn outlined(&self, times: &Int64Array, outline: &Outline) -> Result<Vec<usize>, StoreError> {
        let mut kept = Vec::new();
        for (key, rows) in self.series()? {
            let Ok(place) = outline.series.binary_search_by(|series| series.key.cmp(key)) else { continue };
            let Some(series) = outline.series.get(place) else { continue };
            let has_cell = |time: i64| {
                let after = series.cells.partition_point(|cell| cell.start_us <= time);
                let cell = after.checked_sub(1).and_then(|at| series.cells.get(at));
                cell.is_some_and(|cell| time <= series.last_us(cell))
            };
            kept.extend(rows.clone().filter(|&row| times.is_null(row) || has_cell(times.value(row))));
        }
        Ok(kept)
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
