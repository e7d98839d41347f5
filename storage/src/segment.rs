//! One sorted Parquet file of a table.

mod chunk;
mod course;
mod flags;
mod footer;
mod hybrid;
mod lookup;
mod numbers;
mod outline;
mod pages;
mod recent;
mod rows;
mod sum;
#[cfg(test)]
mod tests;
mod texts;
mod times;
mod writer;

pub(crate) use chunk::Effort;
pub use course::Course;
pub(crate) use outline::Draft;
pub use outline::{Cell, Outline, SeriesOutline, Sums};
use pages::Groups;
pub use rows::SegmentRows;
pub(crate) use sum::holds;
pub(crate) use texts::BOUND_BYTES;
pub(crate) use writer::SegmentWriter;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::BooleanArray;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Fields, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
    RowGroups, RowSelection,
};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use crate::StoreError;
use crate::disk::Disk;
use crate::hot::in_schema;
use crate::spec::TableSpec;

const SEQUENCE: &str = "takt.sequence";
const KEYED_THROUGH: &str = "takt.keyed_through";
const RECORDED_THROUGH: &str = "takt.recorded_through";
const RUN_ROWS: &str = "takt.run_rows";
const SUM: &str = "takt.sum";
const END: &str = "takt.end";
const END_SUM: &str = "takt.end_sum";
const OUTLINE: &str = "takt.outline";
/// More than any outline has.
const OUTLINE_BYTES: usize = 1 << 30;
const ROWS_PER_PAGE: usize = 8_192;
/// How many segments were opened.
static OPENED: AtomicU64 = AtomicU64::new(0);
/// Rows whose series are looked at together.
const SERIES_BATCH_ROWS: usize = 1 << 16;

const DAY_US: i64 = 86_400_000_000;

/// The UTC day of a time in microseconds: merged segments are of one.
pub(crate) fn day_of(time: i64) -> i64 {
    time.div_euclid(DAY_US)
}

/// When a UTC day begins.
pub(crate) fn start_of(day: i64) -> i64 {
    day.saturating_mul(DAY_US)
}

/// The first moment that is kept of rows that are kept for `age_us`: they leave by whole days, for segments are of one day.
pub(crate) fn first_kept(now_us: i64, age_us: i64) -> i64 {
    start_of(day_of(now_us.saturating_sub(age_us)))
}

/// One immutable Parquet file, sorted by the table's key.
#[derive(Debug)]
pub struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// No other that was opened since the start has it.
    number: u64,
    /// Rows in it.
    pub rows: u64,
    /// Its size, bytes.
    pub bytes: u64,
    /// Earliest time in it, where the table's key holds a time; microseconds UTC.
    pub min_time: Option<i64>,
    /// Latest time in it.
    pub max_time: Option<i64>,
    /// Smallest value of the first key column.
    pub min_key: Option<String>,
    /// Largest value of the first key column.
    pub max_key: Option<String>,
    /// WAL position up to which it holds the table: newer segments have larger ones.
    pub sequence: u64,
    /// Derived columns were computed from changes recorded up to here; microseconds UTC.
    pub keyed_through: i64,
    /// Recorded time of the newest write it covers; microseconds UTC.
    pub recorded_through: i64,
    /// Rows of the run that it is a piece of: a merge may be cut into several segments of one day.
    pub(crate) run_rows: u64,
    /// Where its outline lies, and how many bytes it has before compression.
    outline_place: Option<(Range<u64>, usize)>,
    /// While it is known.
    outline: Mutex<Weak<Outline>>,
    /// Whether it lies in the cold folder.
    pub(crate) cold: AtomicBool,
    metadata: ArrowReaderMetadata,
}

/// The smallest and the largest value of a page of a column, or what lies beyond them.
#[derive(Debug, Clone, Copy)]
pub enum PageBounds<'a> {
    /// UTF-8, which may be cut short within a character.
    Texts(&'a [u8], &'a [u8]),
    /// Whole numbers; of times, microseconds UTC.
    Numbers(i64, i64),
}

/// What a new segment carries besides its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) sequence: u64,
    pub(crate) keyed_through: i64,
    pub(crate) recorded_through: i64,
    /// As [`Segment::run_rows`]; `None`: it is a run by itself.
    pub(crate) run_rows: Option<u64>,
}

impl Segment {
    /// Writes `rows` (sorted; columns of `spec.file_schema()` by name, names may be dictionaries), fsyncs the file and its
    /// folder, and opens it.
    pub(crate) fn write(
        disk: &Arc<dyn Disk>,
        path: &Path,
        spec: &TableSpec,
        rows: &RecordBatch,
        stamp: Stamp,
    ) -> Result<Self, StoreError> {
        let mut writer = SegmentWriter::create(disk, path, spec, rows, Effort::Quick)?;
        writer.write(rows)?;
        writer.finish(stamp)
    }

    /// Opens a segment by its footer.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| crate::cold::open_error(path, error))?;
        let bytes = file.metadata().map_err(|error| StoreError::io(path, error))?.len();
        // What the footer says is believed from here on, and the library is not made for one that says anything.
        if sum::end_holds(&file).map_err(|error| StoreError::io(path, error))? == Some(false) {
            return Err(damaged(path, &"its footer is not the one that was written"));
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|error| damaged(path, &error))?;
        let file_metadata = metadata.metadata().file_metadata();
        let mut segment = Self {
            path: path.to_owned(),
            number: OPENED.fetch_add(1, Ordering::Relaxed),
            rows: u64::try_from(file_metadata.num_rows()).unwrap_or_default(),
            bytes,
            min_time: None,
            max_time: None,
            min_key: None,
            max_key: None,
            sequence: 0,
            keyed_through: i64::MIN,
            recorded_through: i64::MIN,
            run_rows: u64::try_from(file_metadata.num_rows()).unwrap_or_default(),
            outline_place: None,
            outline: Mutex::default(),
            cold: AtomicBool::new(crate::cold::is_cold(path)),
            metadata: metadata.clone(),
        };
        for pair in file_metadata.key_value_metadata().into_iter().flatten() {
            let value = pair.value.as_deref().unwrap_or_default();
            match pair.key.as_str() {
                SEQUENCE => segment.sequence = value.parse().map_err(|_| damaged(path, &"no sequence"))?,
                KEYED_THROUGH => {
                    segment.keyed_through = value.parse().map_err(|_| damaged(path, &"no keyed_through"))?
                }
                RECORDED_THROUGH => {
                    segment.recorded_through = value.parse().map_err(|_| damaged(path, &"no recorded_through"))?
                }
                OUTLINE => segment.outline_place = outline::place(value),
                RUN_ROWS => segment.run_rows = value.parse().map_err(|_| damaged(path, &"no run_rows"))?,
                _ => {}
            }
        }
        segment.read_bounds();
        Ok(segment)
    }

    /// Whether it had a checksum when it was opened.
    pub(crate) fn has_checksum(&self) -> bool {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata();
        pairs.is_some_and(|pairs| pairs.iter().any(|pair| pair.key == SUM))
    }

    /// Takes the bounds of the time and of the first sort column from the row groups' statistics.
    fn read_bounds(&mut self) {
        let metadata = self.metadata.metadata().clone();
        let descriptor = metadata.file_metadata().schema_descr();
        for group in metadata.row_groups() {
            let first = group.sorting_columns().and_then(|columns| columns.first()).map(|column| column.column_idx);
            for (index, column) in group.columns().iter().enumerate() {
                match column.statistics() {
                    Some(Statistics::Int64(statistics))
                        if Some(index) == time_place(group, descriptor.num_columns()) =>
                    {
                        let low = statistics.min_opt().copied();
                        let high = statistics.max_opt().copied();
                        self.min_time = [self.min_time, low].into_iter().flatten().min();
                        self.max_time = [self.max_time, high].into_iter().flatten().max();
                    }
                    Some(Statistics::ByteArray(statistics)) if i32::try_from(index).ok() == first => {
                        let text = |bytes: Option<&parquet::data_type::ByteArray>| {
                            bytes.and_then(|bytes| bytes.as_utf8().ok()).map(str::to_owned)
                        };
                        let (low, high) = (text(statistics.min_opt()), text(statistics.max_opt()));
                        self.min_key = [self.min_key.take(), low].into_iter().flatten().min();
                        self.max_key = [self.max_key.take(), high].into_iter().flatten().max();
                    }
                    _ => {}
                }
            }
        }
    }

    /// Its series and their sums, where it has an outline that can be read.
    pub fn outline(&self) -> Option<Arc<Outline>> {
        self.outline_place.as_ref()?;
        if let Some(known) = self.known_outline() {
            return Some(known);
        }
        match self.read_outline() {
            Ok(outline) => {
                let outline = Arc::new(outline?);
                *self.outline.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&outline);
                outline::keep(&outline);
                Some(outline)
            }
            Err(error) => {
                tracing::warn!(%error, "its rows are read instead");
                None
            }
        }
    }

    fn known_outline(&self) -> Option<Arc<Outline>> {
        self.outline.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// `None` where it has no outline, or one of a version that is not known here.
    pub(crate) fn read_outline(&self) -> Result<Option<Outline>, StoreError> {
        let Some((place, length)) = &self.outline_place else { return Ok(None) };
        if *length > OUTLINE_BYTES || place.end > self.bytes {
            return Err(damaged(&self.path, &"its outline has no place in it"));
        }
        let file = File::open(&self.path).map_err(|error| crate::cold::open_error(&self.path, error))?;
        let mut pressed = vec![0; usize::try_from(place.end - place.start).unwrap_or_default()];
        file.read_exact_at(&mut pressed, place.start).map_err(|error| StoreError::io(&self.path, error))?;
        let bytes = zstd::bulk::decompress(&pressed, *length).map_err(|error| damaged(&self.path, &error))?;
        if !outline::is_known(&bytes) {
            return Ok(None);
        }
        match Outline::decode(&bytes) {
            Some(outline) if outline.rows() == self.rows => Ok(Some(outline)),
            _ => Err(damaged(&self.path, &"its outline cannot be read")),
        }
    }

    /// Whether [`Segment::outline`] needs not read it any more.
    pub fn knows_outline(&self) -> bool {
        self.outline_place.is_none() || self.known_outline().is_some()
    }

    /// Some columns of some rows, `rows` at a time: in the order of the file, texts as dictionaries or views where `wanted`
    /// has them so, and those that `filter` leaves. Reads the pages that hold them, and no others.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn rows_in(
        &self,
        ranges: impl Iterator<Item = Range<usize>>,
        columns: &[&str],
        wanted: &Schema,
        filter: Option<RowFilter>,
        rows: usize,
    ) -> Result<SegmentRows, StoreError> {
        let failed = |error| damaged(&self.path, &error);
        let metadata = self.metadata.metadata();
        let descriptor = metadata.file_metadata().schema_descr();
        let mask = ProjectionMask::columns(descriptor, columns.iter().copied());
        if let Some(filter) = filter {
            let selection = RowSelection::from_consecutive_ranges(ranges, self.all_rows().end);
            let builder = self.reader(wanted)?.with_row_filter(filter);
            let builder = builder.with_projection(mask).with_row_selection(selection).with_batch_size(rows);
            return Ok(self.rows_of(builder.build().map_err(failed)?));
        }
        self.reader_of(ranges, mask, wanted, rows)
    }

    /// Columns of some rows, `rows` at a time, texts as dictionaries or views where `wanted` has them so.
    fn reader_of(
        &self,
        ranges: impl Iterator<Item = Range<usize>>,
        mask: ProjectionMask,
        wanted: &Schema,
        rows: usize,
    ) -> Result<SegmentRows, StoreError> {
        let failed = |error| damaged(&self.path, &error);
        let metadata = self.metadata.metadata();
        let descriptor = metadata.file_metadata().schema_descr();
        let levels = parquet_to_arrow_field_levels(descriptor, mask, Some(&self.fields(wanted))).map_err(failed)?;
        let file = File::open(&self.path).map_err(|error| crate::cold::open_error(&self.path, error))?;
        let (groups, ranges) = Groups::of(self.number, file, metadata, ranges).map_err(failed)?;
        // Room is made for a whole batch at once.
        let rows = rows.min(ranges.iter().map(ExactSizeIterator::len).sum()).max(1);
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), groups.num_rows());
        let reader = ParquetRecordBatchReader::try_new_with_row_groups(&levels, &groups, rows, Some(selection));
        Ok(self.rows_of(reader.map_err(failed)?))
    }

    fn rows_of(&self, reader: ParquetRecordBatchReader) -> SegmentRows {
        SegmentRows::new(self.path.clone(), reader)
    }

    fn all_rows(&self) -> Range<usize> {
        0..usize::try_from(self.rows).unwrap_or(usize::MAX)
    }

    /// Footer and page index, ready for readers.
    pub fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    /// Whether it may hold a key whose time lies in `span`.
    pub(crate) fn meets(&self, span: Option<(i64, i64)>) -> bool {
        match (span, self.min_time, self.max_time) {
            (Some((low, high)), Some(first), Some(last)) => low <= last && first <= high,
            _ => true,
        }
    }

    /// All rows in key order, so many at a time; texts as dictionaries where `wanted` has them so, which is how the file
    /// holds most of them.
    pub(crate) fn batches(&self, wanted: &Schema, rows: usize) -> Result<SegmentRows, StoreError> {
        self.reader_of(std::iter::once(self.all_rows()), ProjectionMask::all(), wanted, rows)
    }

    /// A reader that gives texts as dictionaries or views where `wanted` has them so.
    fn reader(&self, wanted: &Schema) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
        let failed = |error| damaged(&self.path, &error);
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(self.fields(wanted))));
        let metadata = ArrowReaderMetadata::try_new(self.metadata.metadata().clone(), options).map_err(failed)?;
        let file = File::open(&self.path).map_err(|error| crate::cold::open_error(&self.path, error))?;
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata))
    }

    /// Its columns, texts as dictionaries or views where `wanted` has them so.
    fn fields(&self, wanted: &Schema) -> Fields {
        let fields = self.metadata.schema().fields().iter().map(|field| match wanted.field_with_name(field.name()) {
            Ok(name) if matches!(name.data_type(), DataType::Dictionary(..) | DataType::Utf8View) => {
                Arc::new(field.as_ref().clone().with_data_type(name.data_type().clone()))
            }
            _ => field.clone(),
        });
        fields.collect()
    }

    /// The last row of each series ([`TableSpec::has_series`]), as [`TableSpec::memory_schema`].
    pub(crate) fn newest_rows(&self, spec: &TableSpec) -> Result<RecordBatch, StoreError> {
        let layout = spec.memory_schema();
        let ends = match self.outline() {
            Some(outline) => outline.series.iter().filter_map(SeriesOutline::last_row).collect(),
            None => self.series_ends(spec)?,
        };
        let ends = ends.into_iter().map(|row| row..row + 1);
        in_schema(&self.reader_of(ends, ProjectionMask::all(), &layout, ROWS_PER_PAGE)?.together()?, &layout)
    }

    /// The last row of each series, by a look at all of them.
    fn series_ends(&self, spec: &TableSpec) -> Result<Vec<usize>, StoreError> {
        let series: Vec<&str> = spec
            .key
            .iter()
            .filter(|&&index| Some(index) != spec.time)
            .map(|&i| spec.schema.field(i).name().as_str())
            .collect();
        let all = std::iter::once(self.all_rows());
        let (mut ends, mut start, mut before) = (Vec::new(), 0, None::<RecordBatch>);
        for rows in self.rows_in(all, &series, &spec.memory_schema(), None, SERIES_BATCH_ROWS)? {
            let rows = rows?;
            // Whether the series before ended with its batch shows in the first row of this one.
            if let Some(last) = before.take() {
                let both = concat_batches(&rows.schema(), [&last, &rows.slice(0, 1)])?;
                if crate::newest::series_ends(spec, &both)?.len() > 1 {
                    ends.push(start - 1);
                }
            }
            let mut here = crate::newest::series_ends(spec, &rows)?;
            here.pop();
            ends.extend(here.into_iter().map(|row| start + row as usize));
            start += rows.num_rows();
            before = Some(rows.slice(rows.num_rows() - 1, 1));
        }
        ends.extend(start.checked_sub(1));
        Ok(ends)
    }

    /// Every row, as the file has it.
    pub(crate) fn read(&self) -> Result<RecordBatch, StoreError> {
        self.read_columns(ProjectionMask::all())
    }

    /// The key columns of every row, a batch at a time.
    pub(crate) fn key_batches(&self, spec: &TableSpec) -> Result<SegmentRows, StoreError> {
        let file = File::open(&self.path).map_err(|error| crate::cold::open_error(&self.path, error))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), spec.key_names());
        let reader = builder.with_projection(mask).with_batch_size(ROWS_PER_PAGE).build();
        Ok(self.rows_of(reader.map_err(|error| damaged(&self.path, &error))?))
    }

    /// Some columns of every row.
    pub(crate) fn read_named(&self, names: Vec<&str>) -> Result<RecordBatch, StoreError> {
        self.read_columns(ProjectionMask::columns(self.metadata.parquet_schema(), names))
    }

    fn read_columns(&self, columns: ProjectionMask) -> Result<RecordBatch, StoreError> {
        let file = File::open(&self.path).map_err(|error| crate::cold::open_error(&self.path, error))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let reader = builder.with_projection(columns).build().map_err(|error| damaged(&self.path, &error))?;
        self.rows_of(reader).together()
    }
}

/// The time column among the sort columns: the only one stored as INT64.
fn time_place(group: &RowGroupMetaData, columns: usize) -> Option<usize> {
    let sorted = group.sorting_columns()?.iter().filter_map(|column| usize::try_from(column.column_idx).ok());
    let is_time = |index: &usize| {
        *index < columns
            && matches!(
                group.column(*index).column_descr().logical_type_ref(),
                Some(parquet::basic::LogicalType::Timestamp { .. })
            )
    };
    sorted.into_iter().find(is_time)
}

fn write_error(path: &Path, error: parquet::errors::ParquetError) -> StoreError {
    if let parquet::errors::ParquetError::External(inner) = &error
        && let Some(io) = inner.downcast_ref::<std::io::Error>()
        && crate::error::is_full(io)
    {
        return StoreError::Full(format!("{}: {io}", path.display()));
    }
    let message = error.to_string();
    // The Parquet writer turns some I/O errors into text.
    if message.contains("os error 28") || message.contains("os error 122") {
        return StoreError::Full(format!("{}: {message}", path.display()));
    }
    StoreError::Io { path: path.to_owned(), message }
}

pub(crate) fn damaged(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), message: error.to_string() }
}

/// Keeps the rows of `batch` for which `keep` is true.
pub(crate) fn keep(batch: &RecordBatch, keep: &BooleanArray) -> Result<RecordBatch, StoreError> {
    Ok(filter_record_batch(batch, keep)?)
}
