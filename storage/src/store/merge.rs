//! Merges sorted segments into new ones: one stream of rows in key order, cut by day and by key.
//!
//! Memory holds a batch and the present pages of each part, and what the writers of some days gather for a row group, never
//! a whole segment, but for parts that an earlier takt wrote in another order.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int32Type, SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use super::resort::Resorted;
use crate::StoreError;
use crate::disk::{Disk, discard};
use crate::hot::in_schema;
use crate::keys::{Key, KeyColumns, KeyOrder, KeySet, begins, pick, time_span};
use crate::segment::{Effort, Segment, SegmentRows, SegmentWriter, Stamp, day_of, keep};
use crate::spec::TableSpec;

/// Bytes of all parts' batches in memory together, before compression, roughly.
const BATCH_BYTES: u64 = 16 << 20;
/// Rows of one part in memory at most: a page.
const BATCH_ROWS: u64 = 8_192;
/// Days that are written at once. Of more days as many stretches are written, to be split by further merges.
pub(super) const OPEN_DAYS: i64 = 32;
/// A segment ends where another one of its day begins once it has this part of the rows after which it ends anyway.
const PIECE: u64 = 16;

/// How the names of merged segments begin.
const JOINED: &str = "joined-";

/// Rows of a segment that is not small, where segments end after so many.
pub(super) fn piece_rows(segment_rows: u64) -> u64 {
    segment_rows / PIECE
}

/// A segment that is merged, and which of its rows are superseded.
pub(super) struct Part {
    pub(super) segment: Arc<Segment>,
    pub(super) dead: Vec<Arc<KeySet>>,
}

/// What becomes of equal keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Equals {
    /// The row of the newest part stays.
    Newest,
    /// All stay.
    All,
}

/// Rows of several segments in key order, a chunk at a time.
pub(super) struct Merge {
    sources: Vec<Source>,
    spec: Arc<TableSpec>,
    schema: SchemaRef,
    equals: Equals,
    rows_read: u64,
}

struct Source {
    reader: Reader,
    dead: Vec<Arc<KeySet>>,
    /// The rows that are not taken yet.
    held: Option<Held>,
}

/// Rows of a source, of which those from `start` on are not taken yet.
struct Held {
    rows: RecordBatch,
    start: usize,
    keys: KeyColumns,
    last: Key,
}

/// Gives rows in key order.
enum Reader {
    AsStored(SegmentRows),
    Resorted(Box<Resorted>),
}

impl Reader {
    fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        match self {
            Self::AsStored(reader) => reader.next().transpose(),
            Self::Resorted(reader) => reader.next(),
        }
    }
}

impl Merge {
    /// `parts` oldest first.
    pub(super) fn new(spec: &Arc<TableSpec>, parts: Vec<Part>, equals: Equals) -> Result<Self, StoreError> {
        let bytes_of_part = BATCH_BYTES / parts.len().max(1) as u64;
        // As in memory, but for what files do not have.
        let schema = match equals {
            Equals::Newest => spec.hot_schema(),
            Equals::All => spec.schema.clone(),
        };
        let open = |part: Part| -> Result<Source, StoreError> {
            let rows = (bytes_of_part / part.segment.bytes_per_row().max(1)).clamp(16, BATCH_ROWS);
            let rows = usize::try_from(rows).unwrap_or(usize::MAX);
            let reader = match part.segment.is_in_order(spec) {
                true => Reader::AsStored(part.segment.batches(&schema, rows)?),
                false => Reader::Resorted(Box::new(Resorted::new(&part.segment, spec, &schema, rows)?)),
            };
            Ok(Source { reader, dead: part.dead, held: None })
        };
        let sources = parts.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { sources, spec: spec.clone(), schema, equals, rows_read: 0 })
    }

    /// Rows of the parts that were read so far.
    pub(super) fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// The next rows: all up to some key. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        for source in &mut self.sources {
            self.rows_read += source.fill(&self.schema, &self.spec)?;
        }
        self.sources.retain(|source| source.held.is_some());
        let ends = self.sources.iter().filter_map(|source| source.held.as_ref()).map(|held| &held.last);
        let Some(frontier) = ends.min().cloned() else { return Ok(None) };
        let through = self.sources.iter_mut().filter_map(|source| source.take_through(&frontier));
        let mut taken: Vec<RecordBatch> = through.collect();
        if taken.len() == 1 {
            return Ok(taken.pop());
        }
        let rows = concat_batches(&self.schema, &taken)?;
        let order = KeyOrder::of(&rows, &self.spec.key)?;
        let order = match self.equals {
            Equals::All => order.rows,
            Equals::Newest if order.is_unique() => order.rows,
            // The order is stable, so the last of equal keys is of the newest part.
            Equals::Newest => order.runs().filter_map(|run| run.last().copied()).collect(),
        };
        Ok(Some(pick(&rows, order)?))
    }
}

impl Source {
    /// Reads on where nothing is left, and says how much; no rows then mean the end.
    fn fill(&mut self, schema: &SchemaRef, spec: &TableSpec) -> Result<u64, StoreError> {
        let mut read = 0;
        while self.held.is_none() {
            let Some(mut rows) = self.reader.next()? else { break };
            read += rows.num_rows() as u64;
            for dead in &self.dead {
                rows = keep(&rows, &dead.filter(&rows)?)?;
            }
            if let Some(last) = rows.num_rows().checked_sub(1) {
                let rows = in_schema(&rows, schema)?;
                let keys = KeyColumns::of(&rows, &spec.key)?;
                self.held = Some(Held { last: keys.at(last), rows, start: 0, keys });
            }
        }
        Ok(read)
    }

    /// Takes the rows up to and with a key.
    fn take_through(&mut self, frontier: &Key) -> Option<RecordBatch> {
        let held = self.held.as_mut()?;
        let (start, count) = (held.start, held.rows.num_rows());
        let is_through = |row: usize| held.keys.compare(row, frontier).is_le();
        // Mostly few rows: what is near is looked at first.
        let (mut low, mut reach) = (start, 1);
        while low + reach <= count && is_through(low + reach - 1) {
            low += reach;
            reach *= 2;
        }
        let mut high = count.min(low + reach - 1);
        while low < high {
            let middle = low.midpoint(high);
            if is_through(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let taken = (low > start).then(|| held.rows.slice(start, low - start));
        held.start = low;
        if low == count {
            self.held = None;
        }
        taken
    }
}

/// Where merged rows go: segments of one day each, which do not overlap. Their files go again unless they are taken.
pub(super) struct Cut<'a> {
    disk: &'a Arc<dyn Disk>,
    folder: PathBuf,
    /// The layout of the files.
    spec: &'a Arc<TableSpec>,
    /// What all segments have in common.
    stamp: Stamp,
    /// Sequence of the oldest part.
    first: u64,
    plan: &'a Plan,
    /// Rows after which a segment ends where its first key column changes.
    segment_rows: u64,
    open: BTreeMap<i64, Open>,
    finished: Vec<Segment>,
}

/// What is known of the days that a merge writes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The first and the last of the days.
    pub(super) days: (i64, i64),
    /// Values of the first key column at which other segments of a day begin.
    pub(super) borders: BTreeMap<i64, BTreeSet<String>>,
    /// Rows of the run that a day's segments are pieces of.
    pub(super) run_rows: BTreeMap<i64, u64>,
}

struct Open {
    writer: SegmentWriter,
    rows: u64,
    keyed_through: i64,
    /// Value of the first key column in the last row.
    last: Option<String>,
}

impl<'a> Cut<'a> {
    /// Segments of `spec` in `folder`, of parts of which the oldest has the sequence `first`.
    pub(super) fn new(
        (disk, folder): (&'a Arc<dyn Disk>, &Path),
        spec: &'a Arc<TableSpec>,
        first: u64,
        stamp: Stamp,
        plan: &'a Plan,
        segment_rows: u64,
    ) -> Self {
        Self {
            disk,
            folder: folder.to_owned(),
            spec,
            stamp,
            first,
            plan,
            segment_rows: segment_rows.max(PIECE),
            open: BTreeMap::new(),
            finished: Vec::new(),
        }
    }

    /// Appends a chunk, which follows those before in key order, and whose derived columns are right up to
    /// `keyed_through`.
    pub(super) fn write(&mut self, rows: &RecordBatch, keyed_through: i64) -> Result<(), StoreError> {
        let name = self.spec.time.map(|index| self.spec.schema.field(index).name().clone());
        let Some((name, (first, last))) = name.and_then(|name| Some((name.clone(), time_span(rows, &name)?))) else {
            return self.write_day(0, rows, keyed_through);
        };
        let (first, last) = (self.stretch_of(first), self.stretch_of(last));
        if first == last {
            return self.write_day(first, rows, keyed_through);
        }
        let times = rows.column_by_name(&name).and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        let stretches: Vec<i64> = times.into_iter().flatten().map(|time| self.stretch_of(time.unwrap_or(0))).collect();
        for stretch in stretches.iter().copied().collect::<BTreeSet<_>>() {
            let within: BooleanArray = stretches.iter().map(|other| Some(*other == stretch)).collect();
            self.write_day(stretch, &keep(rows, &within)?, keyed_through)?;
        }
        Ok(())
    }

    /// The first day of the stretch that a time is written to: its day, unless there are too many of them.
    fn stretch_of(&self, time: i64) -> i64 {
        let (first, last) = self.plan.days;
        let days = (last - first).div_euclid(OPEN_DAYS) + 1;
        first + (day_of(time) - first).div_euclid(days) * days
    }

    fn write_day(&mut self, day: i64, rows: &RecordBatch, keyed_through: i64) -> Result<(), StoreError> {
        let mut start = 0;
        while start < rows.num_rows() {
            let end = self.end_of_segment(day, rows, start)?;
            if start < end {
                self.append(day, &rows.slice(start, end - start), keyed_through)?;
            }
            if end < rows.num_rows() {
                self.finish_day(day)?;
            }
            start = end;
        }
        Ok(())
    }

    fn append(&mut self, day: i64, rows: &RecordBatch, keyed_through: i64) -> Result<(), StoreError> {
        if !self.open.contains_key(&day) {
            let path = self.folder.join(new_name(self.first, self.stamp.sequence));
            let writer = SegmentWriter::create(self.disk, &path, self.spec, rows, Effort::Thorough)?;
            self.open.insert(day, Open { writer, rows: 0, keyed_through, last: None });
        }
        let Some(open) = self.open.get_mut(&day) else { return Ok(()) };
        open.writer.write(rows)?;
        open.rows += rows.num_rows() as u64;
        open.keyed_through = open.keyed_through.min(keyed_through);
        open.last = first_key(self.spec, rows, rows.num_rows() - 1);
        Ok(())
    }

    /// The row at which the segment of a day that is open ends, from `start` on; the number of rows where it goes on.
    fn end_of_segment(&self, day: i64, rows: &RecordBatch, start: usize) -> Result<usize, StoreError> {
        let count = rows.num_rows();
        let open = self.open.get(&day);
        let written = open.map_or(0, |open| open.rows);
        let (segment_rows, piece_rows) = (self.segment_rows, piece_rows(self.segment_rows));
        if written + ((count - start) as u64) < piece_rows {
            return Ok(count);
        }
        let first = self.spec.key_names().first().and_then(|name| rows.column_by_name(name));
        let Some(first) = first.filter(|column| is_text(column.data_type())) else { return Ok(count) };
        let borders = self.plan.borders.get(&day);
        let mut before = open.and_then(|open| open.last.clone());
        for row in begins(&[first.slice(start, count - start)])?.into_iter().map(|row| start + row) {
            let here = first_key(self.spec, rows, row);
            let held = written + (row - start) as u64;
            let crosses = || match (borders, &before, &here) {
                (Some(borders), Some(before), Some(here)) => borders
                    .range::<str, _>((Bound::Excluded(before.as_str()), Bound::Included(here.as_str())))
                    .next()
                    .is_some(),
                _ => false,
            };
            if here != before && (held >= segment_rows || held >= piece_rows && crosses()) {
                return Ok(row);
            }
            before = here;
        }
        Ok(count)
    }

    fn finish_day(&mut self, day: i64) -> Result<(), StoreError> {
        let Some(Open { writer, rows, keyed_through, .. }) = self.open.remove(&day) else { return Ok(()) };
        let run_rows = self.plan.run_rows.get(&day).copied().unwrap_or_default().max(rows);
        self.finished.push(writer.finish(Stamp { keyed_through, run_rows: Some(run_rows), ..self.stamp })?);
        Ok(())
    }

    /// Ends all segments.
    pub(super) fn finish(mut self) -> Result<Vec<Segment>, StoreError> {
        while let Some(day) = self.open.keys().next().copied() {
            self.finish_day(day)?;
        }
        Ok(std::mem::take(&mut self.finished))
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        self.finished.iter().for_each(|segment| discard(self.disk.as_ref(), &segment.path));
    }
}

/// A name that no file ever had: readers keep what they know of a file by its name.
fn new_name(first: u64, last: u64) -> String {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        AtomicU64::new(u64::try_from(since_1970.as_micros()).unwrap_or_default())
    });
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{JOINED}{first:020}-{last:020}-{number:020}.parquet")
}

/// Whether a merge wrote a segment, as its name says.
pub(super) fn is_joined(segment: &Segment) -> bool {
    segment.path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(JOINED))
}

/// Value of the first key column in a row, where that is text.
pub(super) fn first_key(spec: &TableSpec, rows: &RecordBatch, row: usize) -> Option<String> {
    let column = rows.column_by_name(spec.key_names().first()?)?;
    if let Some(names) = column.as_dictionary_opt::<Int32Type>() {
        let value = names.key(row)?;
        return names.values().as_string_opt::<i32>().map(|values| values.value(value).to_owned());
    }
    let texts = column.as_string_opt::<i32>()?;
    texts.is_valid(row).then(|| texts.value(row).to_owned())
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Dictionary(..))
}
