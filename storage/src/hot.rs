//! The hot buffer of one table: rows that are durable in the WAL and not yet in a segment.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayData, ArrayRef, BooleanArray, DynComparator, make_comparator, new_null_array};
use arrow::compute::{SortOptions, cast, concat, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::StoreError;
use crate::keys::{KeyOrder, pick, time_span};
use crate::newest::last_rows;
use crate::spec::{CHANGE_REASON, RECORDED, RECORDED_BY, TableSpec};

/// Small chunks are joined once there are this many of them, so that a scan meets few batches.
const JOIN_AT: usize = 64;
/// Joined this often, a chunk is left alone.
const LEVELS: u8 = 3;
/// The level of a chunk that a flush has taken.
const SEALED: u8 = u8::MAX;

/// Fewer rows than this came one by one, each column in memory of its own.
const WIRE_ROWS: usize = 1_024;

/// Any time at all.
pub(crate) const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

/// Rows of one or several writes, in the order of their WAL positions.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) batch: RecordBatch,
    /// WAL positions of the first and the last write in it.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) span: Option<(i64, i64)>,
    bytes: usize,
    level: u8,
    /// The last row of each series, once that was asked for.
    newest: OnceLock<RecordBatch>,
}

impl Chunk {
    /// The last row of each series ([`TableSpec::has_series`]), as [`TableSpec::memory_schema`].
    pub(crate) fn newest_rows(&self, spec: &TableSpec) -> Result<RecordBatch, StoreError> {
        if let Some(rows) = self.newest.get() {
            return Ok(rows.clone());
        }
        let rows = last_rows(spec, &self.batch)?;
        Ok(self.newest.get_or_init(|| rows).clone())
    }
}

/// The unflushed rows of one table, oldest first; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hot {
    pub(crate) chunks: Vec<Arc<Chunk>>,
}

/// Rows by key: the newest of each, and the older ones with what replaced them.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Newest rows, sorted by key.
    pub(crate) newest: RecordBatch,
    /// The oldest row of each key, in the same order.
    pub(crate) oldest: RecordBatch,
    /// For each key: whether its oldest row is its newest one.
    pub(crate) single: Vec<bool>,
    /// Superseded rows.
    pub(crate) superseded: RecordBatch,
    /// For each superseded row, the row that replaced it.
    pub(crate) replacement: RecordBatch,
}

impl Hot {
    /// Number of rows, every version counted.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.batch.num_rows()).sum()
    }

    /// Bytes held in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// WAL position of the oldest row.
    pub(crate) fn first(&self) -> Option<u64> {
        self.chunks.first().map(|chunk| chunk.first)
    }

    /// Appends the rows of the writes from position `first` to `last`.
    pub(crate) fn push(
        &mut self,
        spec: &TableSpec,
        batch: RecordBatch,
        first: u64,
        last: u64,
    ) -> Result<(), StoreError> {
        let span = spec.time.and_then(|index| time_span(&batch, spec.schema.field(index).name()));
        let bytes = held_bytes(&batch);
        self.chunks.push(Arc::new(Chunk { batch, first, last, span, bytes, level: 0, newest: OnceLock::new() }));
        self.join()
    }

    /// Joins the newest chunks of one level, once there are enough of them.
    fn join(&mut self) -> Result<(), StoreError> {
        while let Some(level) = self.chunks.last().map(|chunk| chunk.level) {
            let same = self.chunks.iter().rev().take_while(|chunk| chunk.level == level).count();
            if same < JOIN_AT || level >= LEVELS {
                return Ok(());
            }
            let tail = self.chunks.split_off(self.chunks.len() - same);
            let (Some(first), Some(last)) = (tail.first(), tail.last()) else { return Ok(()) };
            let batches: Vec<RecordBatch> = tail.iter().map(|chunk| chunk.batch.clone()).collect();
            let batch = joined(first.batch.schema_ref(), &batches)?;
            let span = tail.iter().filter_map(|chunk| chunk.span).reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
            let bytes = held_bytes(&batch);
            self.chunks.push(Arc::new(Chunk {
                batch,
                first: first.first,
                last: last.last,
                span,
                bytes,
                level: level + 1,
                newest: OnceLock::new(),
            }));
        }
        Ok(())
    }

    /// Closes the present chunks, so that none of them ever holds rows that come later.
    pub(crate) fn seal(&mut self) {
        for chunk in &mut self.chunks {
            if chunk.level != SEALED {
                let Chunk { batch, first, last, span, bytes, newest, .. } = chunk.as_ref();
                *chunk = Arc::new(Chunk {
                    batch: batch.clone(),
                    first: *first,
                    last: *last,
                    span: *span,
                    bytes: *bytes,
                    level: SEALED,
                    newest: newest.clone(),
                });
            }
        }
    }

    /// Takes out what a flush up to `position` has covered.
    pub(crate) fn take_through(&mut self, position: u64) -> Vec<Arc<Chunk>> {
        let (covered, kept) = std::mem::take(&mut self.chunks).into_iter().partition(|chunk| chunk.last <= position);
        self.chunks = kept;
        covered
    }

    /// All rows that pass `filter`, oldest first; chunks without a time in `span` are left out.
    pub(crate) fn gather(
        &self,
        spec: &TableSpec,
        span: (i64, i64),
        filter: Option<&dyn Fn(&RecordBatch) -> Result<BooleanArray, StoreError>>,
    ) -> Result<RecordBatch, StoreError> {
        let schema = spec.hot_schema();
        let mut kept = Vec::with_capacity(self.chunks.len());
        let meets = |chunk: &&Arc<Chunk>| chunk.span.is_none_or(|(low, high)| low <= span.1 && span.0 <= high);
        for chunk in self.chunks.iter().filter(meets) {
            match filter {
                None => kept.push(chunk.batch.clone()),
                Some(filter) => kept.push(filter_record_batch(&chunk.batch, &filter(&chunk.batch)?)?),
            }
        }
        joined(&schema, &kept)
    }

    /// The newest row of each key whose time, if the key holds one, lies in `span`, and what those replaced. `filter` may look at
    /// key columns only: it must keep or drop all versions of a row alike, and drop rows outside `span`.
    pub(crate) fn settle(
        &self,
        spec: &TableSpec,
        span: (i64, i64),
        filter: Option<&dyn Fn(&RecordBatch) -> Result<BooleanArray, StoreError>>,
    ) -> Result<Settled, StoreError> {
        settle(spec, &self.gather(spec, span, filter)?)
    }
}

/// Settles `rows`, given oldest first. A row equal to the one before it under the same key is a repetition: it changes
/// nothing and leaves no history.
pub(crate) fn settle(spec: &TableSpec, rows: &RecordBatch) -> Result<Settled, StoreError> {
    let order = KeyOrder::of(rows, &spec.key)?;
    if order.is_unique() {
        let newest = pick(rows, order.rows)?;
        let single = vec![true; newest.num_rows()];
        return Ok(Settled {
            oldest: newest.clone(),
            newest,
            single,
            superseded: rows.slice(0, 0),
            replacement: rows.slice(0, 0),
        });
    }
    let same = SameRow::new(spec, rows, rows)?;
    let (mut newest, mut oldest, mut superseded, mut replacement) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in order.runs() {
        let Some((&first, later)) = run.split_first() else { continue };
        let mut current = first;
        for &row in later {
            if !same.row(current, row) {
                superseded.push(current);
                replacement.push(row);
                current = row;
            }
        }
        oldest.push(first);
        newest.push(current);
    }
    let single = oldest.iter().zip(&newest).map(|(oldest, newest)| oldest == newest).collect();
    Ok(Settled {
        oldest: pick(rows, oldest)?,
        single,
        newest: pick(rows, newest)?,
        superseded: pick(rows, superseded)?,
        replacement: pick(rows, replacement)?,
    })
}

/// Batches one after another. Columns without any value, of which samples have many, are not copied.
fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch, StoreError> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        if parts.iter().all(|part| part.null_count() == part.len()) {
            return Ok(new_null_array(field.data_type(), rows));
        }
        concat(&parts)
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

/// Compares what two rows say: all columns but who recorded them when, and derived ones.
pub(crate) struct SameRow {
    columns: Vec<DynComparator>,
    derived: Option<(Vec<DynComparator>, Vec<bool>, Vec<bool>)>,
}

impl SameRow {
    /// Compares rows of `left` with rows of `right`; columns are matched by name.
    pub(crate) fn new(spec: &TableSpec, left: &RecordBatch, right: &RecordBatch) -> Result<Self, StoreError> {
        let mut columns = Vec::new();
        let derived_columns: Vec<usize> =
            spec.derived.iter().flat_map(|derived| derived.columns.iter().copied().chain([derived.source])).collect();
        for (index, field) in spec.schema.fields().iter().enumerate() {
            let stamp = matches!(field.name().as_str(), RECORDED | RECORDED_BY | CHANGE_REASON);
            if !stamp && !derived_columns.contains(&index) {
                columns.push(comparator(left, right, field.name(), field.data_type())?);
            }
        }
        if left.column_by_name(crate::spec::DELETED).is_some() && right.column_by_name(crate::spec::DELETED).is_some() {
            columns.push(comparator(left, right, crate::spec::DELETED, &arrow::datatypes::DataType::Boolean)?);
        }
        let derived = match &spec.derived {
            None => None,
            Some(derived) => {
                let compare: Result<Vec<_>, _> = derived
                    .columns
                    .iter()
                    .map(|&index| {
                        comparator(left, right, spec.schema.field(index).name(), spec.schema.field(index).data_type())
                    })
                    .collect();
                let source = spec.schema.field(derived.source).name();
                Some((compare?, explicit(left, source, derived.explicit)?, explicit(right, source, derived.explicit)?))
            }
        };
        Ok(Self { columns, derived })
    }

    pub(crate) fn row(&self, left: u32, right: u32) -> bool {
        let (left, right) = (left as usize, right as usize);
        if !self.columns.iter().all(|compare| compare(left, right).is_eq()) {
            return false;
        }
        let Some((columns, explicit_left, explicit_right)) = &self.derived else { return true };
        match (explicit_left.get(left), explicit_right.get(right)) {
            (Some(true), Some(true)) => columns.iter().all(|compare| compare(left, right).is_eq()),
            (left, right) => left == right,
        }
    }
}

/// Rows without an explicit source say nothing about derived columns.
fn explicit(batch: &RecordBatch, source: &str, word: &str) -> Result<Vec<bool>, StoreError> {
    let column = plain(batch, source, &arrow::datatypes::DataType::Utf8)?;
    let text = arrow::array::AsArray::as_string::<i32>(&column);
    Ok((0..text.len()).map(|row| text.is_valid(row) && text.value(row) == word).collect())
}

fn comparator(
    left: &RecordBatch,
    right: &RecordBatch,
    name: &str,
    kind: &arrow::datatypes::DataType,
) -> Result<DynComparator, StoreError> {
    let kind = match (left.column_by_name(name), right.column_by_name(name)) {
        (Some(left), Some(right)) if left.data_type() == right.data_type() => left.data_type().clone(),
        _ => kind.clone(),
    };
    Ok(make_comparator(&plain(left, name, &kind)?, &plain(right, name, &kind)?, SortOptions::default())?)
}

/// For each of `rows` the place of the row with its key among others, which are in the order of their keys, each once.
pub(crate) fn places_in_order(
    spec: &TableSpec,
    rows: &RecordBatch,
    ordered: &RecordBatch,
) -> Result<Vec<Option<u32>>, StoreError> {
    let columns = spec.key.iter().map(|&index| {
        let field = spec.schema.field(index);
        comparator(rows, ordered, field.name(), field.data_type())
    });
    let columns: Vec<DynComparator> = columns.collect::<Result<_, _>>()?;
    let compare = |row: usize, place: usize| {
        columns.iter().map(|compare| compare(row, place)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    let place_of = |row: usize| {
        let (mut low, mut high) = (0, ordered.num_rows());
        while low < high {
            let middle = low + (high - low) / 2;
            if compare(row, middle).is_gt() { low = middle + 1 } else { high = middle }
        }
        (low < ordered.num_rows() && compare(row, low).is_eq()).then_some(low)
    };
    Ok((0..rows.num_rows()).map(|row| u32::try_from(place_of(row)?).ok()).collect())
}

/// A column by name, as `kind`.
pub(crate) fn plain(
    batch: &RecordBatch,
    name: &str,
    kind: &arrow::datatypes::DataType,
) -> Result<ArrayRef, StoreError> {
    let column =
        batch.column_by_name(name).ok_or_else(|| StoreError::Invalid(format!("rows without column {name}")))?;
    if column.data_type() == kind { Ok(column.clone()) } else { Ok(cast(column, kind)?) }
}

/// The columns of `schema`, by name. A file that was written before its table had a column reads as NULL there.
pub(crate) fn in_schema(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

/// The memory that a batch holds, bytes. Columns that came over the wire are parts of one piece of memory, which counts once; to
/// look for that in a few rows would take longer than to store them.
fn held_bytes(batch: &RecordBatch) -> usize {
    if batch.num_rows() < WIRE_ROWS {
        return batch.get_array_memory_size();
    }
    let (mut known, mut bytes) = (Vec::new(), 0);
    batch.columns().iter().for_each(|column| add_held(&column.to_data(), &mut known, &mut bytes));
    bytes
}

/// Adds what buffers hold that are not `known` yet.
fn add_held(data: &ArrayData, known: &mut Vec<*const u8>, bytes: &mut usize) {
    for buffer in data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer())) {
        let place = buffer.data_ptr().as_ptr().cast_const();
        if !known.contains(&place) {
            known.push(place);
            *bytes += buffer.capacity();
        }
    }
    data.child_data().iter().for_each(|child| add_held(child, known, bytes));
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::buffer::{Buffer, ScalarBuffer};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn memory_that_columns_share_counts_once() {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(["a", "b", "c", "d"].map(field).to_vec()));
        let of = |columns: Vec<ArrayRef>| held_bytes(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap());
        let own = |_| Arc::new((0..2_000).collect::<Int64Array>()) as ArrayRef;
        let apart = of((0..4).map(own).collect());
        assert!((64_000..80_000).contains(&apart), "{apart}");
        let body = Buffer::from_vec((0..8_000_i64).collect::<Vec<_>>());
        let part =
            |n: usize| Arc::new(Int64Array::new(ScalarBuffer::new(body.clone(), 2_000 * n, 2_000), None)) as ArrayRef;
        assert_eq!(of((0..4_usize).map(part).collect()), 64_000);
    }
}
