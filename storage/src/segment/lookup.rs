//! Rows of a segment by their keys.
//!
//! Most keys that are looked up are in no segment. Bloom filters and bounds of pages tell so of nearly all of them without a
//! look at a row. For the others one column is read first, where it can hold them, and whole rows only where it does.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;

use super::recent::{ChunkKey, Recent};
use super::{PageBounds, ROWS_PER_PAGE, Segment, damaged};
use crate::StoreError;
use crate::hot::{in_schema, plain};
use crate::keys::KeySet;
use crate::spec::TableSpec;

/// Bytes of bloom filters that are kept: of some forty million keys.
const BLOOM_BYTES: usize = 64 << 20;

/// Of a filter whose size its file does not tell.
const LARGEST_BYTES: usize = 1 << 20;

/// Bloom filters that were asked last.
static BLOOMS: LazyLock<Mutex<Recent<Arc<Sbbf>>>> = LazyLock::new(|| Mutex::new(Recent::new(BLOOM_BYTES)));

fn blooms() -> MutexGuard<'static, Recent<Arc<Sbbf>>> {
    BLOOMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is sought in one column of the key, in order.
enum Sought {
    Texts(Vec<Box<str>>),
    Numbers(Vec<i64>),
}

impl Sought {
    /// `None` where a row has no value, or one that has no order here.
    fn of(wanted: &RecordBatch, name: &str, kind: &DataType) -> Result<Option<Self>, StoreError> {
        let values = plain(wanted, name, kind)?;
        Ok(match kind {
            _ if values.null_count() > 0 => None,
            DataType::Utf8 => {
                let mut texts: Vec<Box<str>> = values.as_string::<i32>().iter().flatten().map(Box::from).collect();
                texts.sort_unstable();
                Some(Self::Texts(texts))
            }
            DataType::Int64 | DataType::Timestamp(..) => {
                let mut numbers = numbers(&values)?.values().to_vec();
                numbers.sort_unstable();
                Some(Self::Numbers(numbers))
            }
            _ => None,
        })
    }

    /// Whether a page can hold any.
    fn meets(&self, bounds: PageBounds<'_>) -> bool {
        match (self, bounds) {
            (Self::Texts(texts), PageBounds::Texts(low, high)) => {
                let place = texts.partition_point(|text| text.as_bytes() < low);
                texts.get(place).is_some_and(|text| text.as_bytes() <= high)
            }
            (Self::Numbers(numbers), PageBounds::Numbers(low, high)) => {
                let place = numbers.partition_point(|number| *number < low);
                numbers.get(place).is_some_and(|number| *number <= high)
            }
            _ => true,
        }
    }

    /// How texts are to be read: views are not copied.
    fn layout(&self, column: &str) -> Schema {
        match self {
            Self::Texts(_) => Schema::new(vec![Field::new(column, DataType::Utf8View, true)]),
            Self::Numbers(_) => Schema::empty(),
        }
    }
}

/// Those values of a column that are sought.
enum Known<'a> {
    Texts(HashSet<&'a str, RandomState>),
    Numbers(HashSet<i64, RandomState>),
}

impl<'a> Known<'a> {
    fn of(sought: &'a Sought) -> Self {
        match sought {
            Sought::Texts(texts) => Self::Texts(texts.iter().map(AsRef::as_ref).collect()),
            Sought::Numbers(numbers) => Self::Numbers(numbers.iter().copied().collect()),
        }
    }

    /// For each value: whether it is among them.
    fn contains(&self, column: &ArrayRef) -> Result<Vec<bool>, StoreError> {
        Ok(match self {
            Self::Texts(known) => {
                let texts = cast(column, &DataType::Utf8View)?;
                let texts = texts.as_string_view().iter();
                texts.map(|text| text.is_some_and(|text| known.contains(text))).collect()
            }
            Self::Numbers(known) => {
                let numbers = numbers(column)?;
                numbers.iter().map(|number| number.is_some_and(|number| known.contains(&number))).collect()
            }
        })
    }
}

/// Whole numbers as they are, times in microseconds.
fn numbers(column: &ArrayRef) -> Result<Int64Array, StoreError> {
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// What lies in stretches of both lists; those of each are in order and apart.
fn in_both(one: &[Range<usize>], other: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut found, mut rest) = (Vec::new(), other);
    for range in one {
        let past = rest.partition_point(|next| next.end <= range.start);
        rest = rest.get(past..).unwrap_or_default();
        let meeting = rest.iter().take_while(|next| next.start < range.end);
        found.extend(meeting.map(|next| next.start.max(range.start)..next.end.min(range.end)));
    }
    found
}

impl Segment {
    /// All rows whose key is that of a row of `wanted`, in key order, as [`TableSpec::file_schema`].
    pub(crate) fn rows_with(&self, spec: &TableSpec, wanted: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let layout = spec.file_schema();
        let none = || RecordBatch::new_empty(layout.clone());
        let Some(wanted) = self.possible(spec, wanted)? else { return Ok(none()) };
        let mut ranges = vec![self.all_rows()];
        let mut probe = None;
        for &index in &spec.key {
            let field = spec.schema.field(index);
            let Some(sought) = Sought::of(&wanted, field.name(), field.data_type())? else { continue };
            // A file of an earlier schema has no value where one is sought.
            if self.place(field.name()).is_none() {
                return Ok(none());
            }
            if let Some(kept) = self.pages_where(field.name(), &ranges, |bounds| sought.meets(bounds)) {
                ranges = in_both(&ranges, &kept);
            }
            if ranges.is_empty() {
                return Ok(none());
            }
            // Moments are shared by few rows, the first column of a key by many.
            if probe.is_none() || spec.time == Some(index) {
                probe = Some((field.name(), sought));
            }
        }
        if let Some((name, sought)) = probe {
            ranges = self.rows_where(name, &sought, ranges)?;
        }
        if ranges.is_empty() {
            return Ok(none());
        }
        let mut keys = KeySet::new(spec);
        keys.extend(&wanted)?;
        let mut found = Vec::new();
        for rows in self.reader_of(ranges.into_iter(), ProjectionMask::all(), &layout, ROWS_PER_PAGE)? {
            let rows = in_schema(&rows?, &layout)?;
            found.push(filter_record_batch(&rows, &keys.contains(&rows)?)?);
        }
        Ok(concat_batches(&layout, &found)?)
    }

    /// The rows of `wanted` that bloom filters do not tell to be absent.
    fn possible(&self, spec: &TableSpec, wanted: &RecordBatch) -> Result<Option<RecordBatch>, StoreError> {
        let mut wanted = wanted.clone();
        for index in spec.key.iter().filter(|index| spec.bloom.contains(index)) {
            let field = spec.schema.field(*index);
            let Some(blooms) = self.blooms(field.name())? else { continue };
            let values = plain(&wanted, field.name(), &DataType::Utf8)?;
            let may_be = |value: Option<&str>| value.is_none_or(|value| blooms.iter().any(|bloom| bloom.check(value)));
            let kept: BooleanArray = values.as_string::<i32>().iter().map(|value| Some(may_be(value))).collect();
            wanted = filter_record_batch(&wanted, &kept)?;
        }
        Ok(Some(wanted).filter(|wanted| wanted.num_rows() > 0))
    }

    /// The bloom filters of a column, by row group; `None` where a group has none.
    fn blooms(&self, column: &str) -> Result<Option<Vec<Arc<Sbbf>>>, StoreError> {
        let Some(place) = self.place(column) else { return Ok(None) };
        let groups = self.metadata.metadata().row_groups();
        if groups.iter().any(|group| group.column(place).bloom_filter_offset().is_none()) {
            return Ok(None);
        }
        let mut found = Vec::with_capacity(groups.len());
        for (group, metadata) in groups.iter().enumerate() {
            let key = (self.number, group, place);
            let known = blooms().find(key);
            let Some(bloom) = (match known {
                Some(known) => Some(known),
                None => self.read_bloom(metadata.column(place), key)?,
            }) else {
                return Ok(None);
            };
            found.push(bloom);
        }
        Ok(Some(found))
    }

    fn read_bloom(&self, column: &ColumnChunkMetaData, key: ChunkKey) -> Result<Option<Arc<Sbbf>>, StoreError> {
        let file = File::open(&self.path).map_err(|error| crate::cold::open_error(&self.path, error))?;
        let read = Sbbf::read_from_column_chunk(column, &file).map_err(|error| damaged(&self.path, &error))?;
        let bloom = read.map(Arc::new);
        if let Some(bloom) = &bloom {
            let bytes = column.bloom_filter_length().and_then(|bytes| usize::try_from(bytes).ok());
            blooms().keep(key, Arc::clone(bloom), bytes.unwrap_or(LARGEST_BYTES));
        }
        Ok(bloom)
    }

    /// The rows of `ranges` where a column has a value that is sought.
    fn rows_where(
        &self,
        column: &str,
        sought: &Sought,
        ranges: Vec<Range<usize>>,
    ) -> Result<Vec<Range<usize>>, StoreError> {
        let (known, layout) = (Known::of(sought), sought.layout(column));
        let mut places = ranges.clone().into_iter().flatten();
        let mut found: Vec<Range<usize>> = Vec::new();
        for batch in self.rows_in(ranges.into_iter(), &[column], &layout, None, ROWS_PER_PAGE)? {
            let batch = batch?;
            for (is_sought, row) in known.contains(batch.column(0))?.into_iter().zip(&mut places) {
                match found.last_mut().filter(|last| last.end == row) {
                    Some(last) if is_sought => last.end = row + 1,
                    _ if is_sought => found.push(row..row + 1),
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}
