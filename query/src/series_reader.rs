//! Reads rows of series, batch by batch: the times first where only some are wanted, then of the others what is asked for.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringViewArray, TimestampMicrosecondArray, UInt32Array,
    new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use storage::{Segment, SegmentRows};

use crate::error::QueryError;
use crate::record_rows::both;
use crate::run_filter::{PageFilter, RunFilter};
use crate::series_rows::SeriesRows;

/// Times of more rows than this are not held in memory to find those that are wanted.
const TIMES_AHEAD: usize = 1 << 19;

/// Where a column of the answer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    /// A part of the series' key.
    Name(usize),
    /// A column of the file.
    Stored(String),
}

/// Reads rows one after another.
pub(crate) struct SeriesReader {
    rows: Arc<[SeriesRows]>,
    /// The first of `rows` that is not open yet.
    next: usize,
    open: Option<Open>,
    schema: SchemaRef,
    columns: Arc<[Column]>,
    time: Arc<str>,
    batch_rows: usize,
    /// What rows have to fulfil: of pages where none does, none is read.
    filter: Option<RunFilter>,
    /// What it says of pages, from the first segment on: by then it is what it will be.
    pages: Option<PageFilter>,
}

/// Rows of one segment as they come.
struct Open {
    segment: Arc<Segment>,
    names: Names,
    /// Where these are known already.
    times: Option<Vec<i64>>,
    /// What has to be read of them; `None` where nothing has.
    stored: Option<SegmentRows>,
    given: usize,
    total: usize,
}

impl SeriesReader {
    pub(crate) fn new(
        rows: Arc<[SeriesRows]>,
        schema: SchemaRef,
        columns: Arc<[Column]>,
        time: Arc<str>,
        batch_rows: usize,
        filter: Option<RunFilter>,
    ) -> Self {
        Self { rows, next: 0, open: None, schema, columns, time, batch_rows, filter, pages: None }
    }

    /// The next rows, of which not all have to fulfil the filter; `None` after the last.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.open_next()? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            if open.given == open.total {
                continue;
            }
            let stored = open.stored.as_mut().map(|reader| reader.next().transpose());
            let stored = stored.transpose()?;
            let count = match &stored {
                None => self.batch_rows.min(open.total - open.given),
                Some(Some(batch)) => batch.num_rows(),
                Some(None) => return Err(unreadable(&open.segment, &"it has fewer rows than it says")),
            };
            let batch = self.batch(stored.flatten(), count, &mut open)?;
            self.open = Some(open);
            return Ok(Some(batch));
        }
    }

    /// Opens the segment of the next rows, with all that follow in it.
    fn open_next(&mut self) -> Result<Option<Open>, QueryError> {
        let rest = self.rows.get(self.next..).unwrap_or_default();
        let Some(first) = rest.first() else { return Ok(None) };
        let segment = Arc::clone(&first.segment);
        let count = rest.windows(2).take_while(|pair| continues(pair)).count() + 1;
        let mut rows = rest.get(..count).unwrap_or_default().to_vec();
        self.next += count;
        if let Some(filter) = &self.filter {
            let mut pages = match self.pages.take() {
                Some(pages) => pages,
                None => filter.of_pages()?,
            };
            let of_segment = || {
                let here = self.rows.iter().filter(|rows| Arc::ptr_eq(&rows.segment, &segment));
                let mut ranges: Vec<_> = here.flat_map(|rows| rows.ranges.iter().cloned()).collect();
                ranges.sort_by_key(|range| range.start);
                ranges
            };
            if let Some(pages) = pages.rows_of(&segment, of_segment)? {
                rows.iter_mut().for_each(|rows| rows.ranges = both(&rows.ranges, &pages));
                rows.retain(|rows| !rows.ranges.is_empty());
            }
            self.pages = Some(pages);
        }
        let at_times = rows.iter().any(|rows| !rows.times.is_empty());
        let mut times = None;
        if at_times && rows.iter().map(SeriesRows::count).sum::<usize>() <= TIMES_AHEAD {
            let found = self.at_their_times(&segment, &rows)?;
            (rows, times) = (found.0, Some(found.1));
        }
        let stored = self.columns.iter().filter_map(|column| match column {
            Column::Stored(name) if times.is_none() || **name != *self.time => Some(name.as_str()),
            Column::Stored(_) | Column::Name(_) => None,
        });
        let stored: Vec<&str> = stored.collect();
        let total = rows.iter().map(SeriesRows::count).sum();
        let stored = match total > 0 && !stored.is_empty() {
            true => Some(segment.rows_in(ranges(&rows).into_iter(), &stored, &self.schema, None, self.batch_rows)?),
            false => None,
        };
        Ok(Some(Open { segment, names: Names::new(rows), times, stored, given: 0, total }))
    }

    /// The rows that are of the wanted times, and these. Rows of a series are in the order of time.
    fn at_their_times(
        &self,
        segment: &Segment,
        rows: &[SeriesRows],
    ) -> Result<(Vec<SeriesRows>, Vec<i64>), QueryError> {
        let mut times: Vec<i64> = Vec::with_capacity(rows.iter().map(SeriesRows::count).sum());
        for batch in segment.rows_in(ranges(rows).into_iter(), &[&self.time], &self.schema, None, self.batch_rows)? {
            let batch = batch?;
            match batch.column(0).as_primitive_opt::<TimestampMicrosecondType>() {
                Some(column) => times.extend(column.values()),
                None => return Err(unreadable(segment, &"its times are none")),
            }
        }
        let (mut found, mut kept, mut start): (Vec<SeriesRows>, Vec<i64>, usize) = Default::default();
        for rows in rows {
            let mut narrowed: Vec<Range<usize>> = Vec::new();
            for range in &rows.ranges {
                let here = times.get(start..start + range.len()).unwrap_or_default();
                start += range.len();
                let all = [(i64::MIN, i64::MAX)];
                for (from, to) in if rows.times.is_empty() { &all } else { rows.times.as_slice() } {
                    let low = here.partition_point(|time| time < from);
                    let high = here.partition_point(|time| time <= to);
                    if low < high {
                        narrowed.push(range.start + low..range.start + high);
                        kept.extend(here.get(low..high).unwrap_or_default());
                    }
                }
            }
            if !narrowed.is_empty() {
                found.push(SeriesRows { ranges: narrowed, times: Vec::new(), ..rows.clone() });
            }
        }
        Ok((found, kept))
    }

    /// The next rows: what was read of them, and what is known besides.
    fn batch(&self, stored: Option<RecordBatch>, count: usize, open: &mut Open) -> Result<RecordBatch, QueryError> {
        let places = open.names.next(count);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            columns.push(match (column, &open.times) {
                (Column::Name(part), _) => open.names.column(*part, &places)?,
                (Column::Stored(name), Some(times)) if **name == *self.time => {
                    // A copy: whoever counts the memory of a batch counts all of what it is a part of.
                    let times = times.get(open.given..open.given + count).unwrap_or_default();
                    Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC"))
                }
                (Column::Stored(name), _) => match stored.as_ref().and_then(|batch| batch.column_by_name(name)) {
                    Some(values) if values.data_type() == field.data_type() => Arc::clone(values),
                    Some(values) => cast(values, field.data_type())?,
                    // The file is older than the column.
                    None => new_null_array(field.data_type(), count),
                },
            });
        }
        open.given += count;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// Whether the second rows of a pair follow the first in the same segment, so that one reader reads both.
fn continues(pair: &[SeriesRows]) -> bool {
    let [one, next] = pair else { return false };
    let (last, first) = (one.ranges.last().map_or(0, |range| range.end), next.ranges.first().map(|range| range.start));
    Arc::ptr_eq(&one.segment, &next.segment) && first.is_none_or(|first| last <= first)
}

fn ranges(rows: &[SeriesRows]) -> Vec<Range<usize>> {
    rows.iter().flat_map(|rows| rows.ranges.iter().cloned()).collect()
}

fn unreadable(segment: &Segment, error: &dyn std::fmt::Display) -> QueryError {
    QueryError::Unreadable { path: segment.path.clone(), message: error.to_string() }
}

/// The names of rows, as these come.
struct Names {
    rows: Vec<SeriesRows>,
    /// Values of a part of the key, one for each of `rows`; made when first asked for.
    parts: Vec<Option<ArrayRef>>,
    /// The rows that come next are of this series …
    series: usize,
    /// … of which so many were given.
    given: usize,
}

impl Names {
    fn new(rows: Vec<SeriesRows>) -> Self {
        let parts = rows.first().map_or(0, |rows| rows.key.len());
        Self { rows, parts: vec![None; parts], series: 0, given: 0 }
    }

    /// For each of the next `count` rows: the place of its series.
    fn next(&mut self, count: usize) -> UInt32Array {
        let mut places: Vec<u32> = Vec::with_capacity(count);
        while places.len() < count
            && let Some(rows) = self.rows.get(self.series)
        {
            let left = rows.count() - self.given;
            let now = left.min(count - places.len());
            places.resize(places.len() + now, u32::try_from(self.series).unwrap_or(u32::MAX));
            self.given += now;
            if now == left {
                (self.series, self.given) = (self.series + 1, 0);
            }
        }
        places.into()
    }

    fn column(&mut self, part: usize, places: &UInt32Array) -> Result<ArrayRef, QueryError> {
        let Some(known) = self.parts.get_mut(part) else {
            return Err(QueryError::Layout("a series without a part of its key".to_owned()));
        };
        let values = known.get_or_insert_with(|| {
            let values = self.rows.iter().map(|rows| rows.key.get(part).and_then(Option::as_deref));
            Arc::new(values.collect::<StringViewArray>())
        });
        Ok(take(values, places, None)?)
    }
}
