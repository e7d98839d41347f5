//! Makes rows of a durable write visible in a table's hot buffer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{concat, concat_batches};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::{Rows, Table};
use crate::StoreError;
use crate::dead::Dead;
use crate::hot::{SameRow, in_schema};
use crate::keys::{KeyEncoder, pick};
use crate::segment::Segment;
use crate::sought::{Found, newest_rows};
use crate::spec::{CHANGE_REASON, DELETED, RECORDED, RECORDED_BY, TableSpec, Upsert};

/// The newest hot row of each key of a record table.
#[derive(Debug, Default)]
pub(super) struct Index {
    rows: HashMap<Box<[u8]>, Place>,
}

/// Where a row is: held so, it takes a few bytes, and as a batch of its own a few thousand.
#[derive(Debug)]
struct Place {
    batch: Arc<RecordBatch>,
    row: usize,
}

impl Index {
    /// Takes in rows in their order.
    fn extend(&mut self, encoder: &KeyEncoder, rows: &RecordBatch) -> Result<(), StoreError> {
        let batch = Arc::new(rows.clone());
        for (row, key) in encoder.encode(rows)?.iter().enumerate() {
            self.rows.insert(key.as_ref().into(), Place { batch: Arc::clone(&batch), row });
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Option<RecordBatch> {
        self.rows.get(key).map(|place| place.batch.slice(place.row, 1))
    }

    /// Starts over from the chunks that are still hot.
    pub(super) fn rebuild(&mut self, spec: &TableSpec, hot: &crate::hot::Hot) -> Result<(), StoreError> {
        self.rows.clear();
        if spec.upsert == Upsert::Record {
            let encoder = KeyEncoder::new(spec);
            for chunk in &hot.chunks {
                self.extend(&encoder, &chunk.batch)?;
            }
        }
        Ok(())
    }
}

/// The memory schema of the columns that a WAL file names.
pub(super) fn schema_of(spec: &TableSpec, columns: &[String]) -> Result<SchemaRef, StoreError> {
    let memory = spec.memory_schema();
    let fields: Result<Vec<_>, _> = columns.iter().map(|name| memory.field_with_name(name).cloned()).collect();
    let fields = fields.map_err(|error| {
        StoreError::Invalid(format!("the log holds a column that {} does not have: {error}", spec.name))
    })?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Rows of an older schema, brought to the present one: columns by name, missing ones NULL and not present.
pub(super) fn refit(spec: &TableSpec, rows: Rows, columns: &[String]) -> Result<Rows, StoreError> {
    let memory = spec.memory_schema();
    if rows.batch.schema().fields() == memory.fields() {
        return Ok(rows);
    }
    let count = rows.batch.num_rows();
    let arrays = memory.fields().iter().map(|field| match rows.batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), count),
    });
    let batch = RecordBatch::try_new(memory.clone(), arrays.collect())?;
    let places: Vec<(usize, usize)> =
        columns.iter().enumerate().filter_map(|(old, name)| Some((old, memory.index_of(name).ok()?))).collect();
    let moved = |mask: &u64| {
        places.iter().filter(|(old, _)| mask & (1 << old) != 0).fold(0, |mask, (_, new)| mask | (1 << new))
    };
    let whole = vec![u64::MAX; count];
    let masks = rows.present.as_ref().unwrap_or(&whole);
    let present = (spec.upsert == Upsert::Record).then(|| masks.iter().map(moved).collect());
    Ok(Rows { table: rows.table, batch, present, deleted: rows.deleted })
}

/// Rows of a durable write, and the stamps they get.
#[derive(Clone, Copy)]
pub(super) struct Durable<'a> {
    pub(super) rows: &'a Rows,
    pub(super) position: u64,
    pub(super) recorded: i64,
    pub(super) by: &'a str,
}

/// Rows that segments hold of some keys, looked up before the store is locked; `None` where they hold none.
pub(super) type Cold = HashMap<Box<[u8]>, Option<RecordBatch>>;

/// Which of the keys that `writes` to a table of records name lie in no hot row: rows of their key columns.
pub(super) fn cold_keys(table: &Table, writes: &[&Rows]) -> Result<Vec<RecordBatch>, StoreError> {
    let encoder = KeyEncoder::new(&table.spec);
    let mut cold = Vec::new();
    for rows in writes {
        let keys = encoder.encode(&rows.batch)?;
        let is_cold = |(_, key): &(u32, arrow::row::Row<'_>)| !table.index.rows.contains_key(key.as_ref());
        let missing: Vec<u32> = (0..).zip(keys.iter()).filter(is_cold).map(|(place, _)| place).collect();
        if !missing.is_empty() {
            cold.push(pick(&rows.batch.project(&table.spec.key)?, missing)?);
        }
    }
    Ok(cold)
}

/// Looks the keys of `wanted` up in `segments`; what is found comes in the hot schema.
///
/// A row whose newer version has left is none. Keys must not be hot: a hot row may be what hides the segment's.
pub(super) fn look_up(
    spec: &TableSpec,
    segments: &[Arc<Segment>],
    dead: &[Arc<Dead>],
    wanted: &[RecordBatch],
) -> Result<Cold, StoreError> {
    let Some(first) = wanted.first() else { return Ok(Cold::new()) };
    let wanted = concat_batches(first.schema_ref(), wanted)?;
    let encoder = KeyEncoder::new(spec);
    let mut cold: Cold = encoder.encode(&wanted)?.iter().map(|key| (key.as_ref().into(), None)).collect();
    if let Some(Found { rows, hidden }) = newest_rows(spec, segments, dead, &wanted)? {
        let rows = in_schema(&rows, &spec.hot_schema())?;
        for (place, (key, hidden)) in encoder.encode(&rows)?.iter().zip(hidden).enumerate() {
            if !hidden {
                cold.insert(key.as_ref().into(), Some(rows.slice(place, 1)));
            }
        }
    }
    Ok(cold)
}

/// Stamps the rows of a write to a table of records, fills absent fields in from the rows they change, and appends them to
/// the hot buffer. Returns what was appended. `cold` is what segments are known to hold; they are read for the rest.
pub(super) fn apply_records(table: &mut Table, write: Durable<'_>, cold: &Cold) -> Result<RecordBatch, StoreError> {
    let spec = table.spec.clone();
    let stamped = stamp(&spec, &table.hot_schema, &[write])?;
    let resolved = resolve(table, write.rows, &stamped, cold)?;
    table.index.extend(&KeyEncoder::new(&spec), &resolved)?;
    append(table, resolved.clone(), write.position, write.position)?;
    Ok(resolved)
}

/// Stamps the rows of consecutive writes to a table of whole rows, and appends them to the hot buffer as one chunk: many
/// small ones cost more than their rows.
pub(super) fn apply_whole(table: &mut Table, writes: &[Durable<'_>]) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (writes.first(), writes.last()) else { return Ok(()) };
    let stamped = stamp(&table.spec, &table.hot_schema, writes)?;
    append(table, stamped, first.position, last.position)
}

fn append(table: &mut Table, rows: RecordBatch, first: u64, last: u64) -> Result<(), StoreError> {
    table.hot.push(&table.spec, rows, first, last)?;
    table.oldest_hot.get_or_insert_with(std::time::Instant::now);
    table.changed();
    Ok(())
}

/// The rows in the hot schema, with who recorded them and when.
fn stamp(spec: &TableSpec, schema: &SchemaRef, writes: &[Durable<'_>]) -> Result<RecordBatch, StoreError> {
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, StoreError> {
        Ok(match field.name().as_str() {
            RECORDED => Arc::new(stamps_of(spec, writes).with_timezone("UTC")),
            RECORDED_BY => authors(writes)?,
            DELETED => Arc::new(retractions(writes)),
            name => joined(writes, name, field.data_type())?,
        })
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

/// A column of all writes' rows.
fn joined(writes: &[Durable<'_>], name: &str, kind: &DataType) -> Result<ArrayRef, StoreError> {
    let columns: Vec<ArrayRef> =
        writes.iter().map(|write| crate::hot::plain(&write.rows.batch, name, kind)).collect::<Result<_, _>>()?;
    match columns.as_slice() {
        [column] => Ok(column.clone()),
        columns => Ok(concat(&columns.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
    }
}

/// Rows of records are recorded a microsecond apart, so that each version of a record has a time of its own.
fn stamps_of(spec: &TableSpec, writes: &[Durable<'_>]) -> TimestampMicrosecondArray {
    let step = i64::from(spec.upsert == Upsert::Record);
    let stamps = writes.iter().flat_map(|write| {
        let first = write.recorded;
        (0..).map(move |row| first + step * row).take(write.rows.batch.num_rows())
    });
    TimestampMicrosecondArray::from_iter_values(stamps)
}

/// The recorded time of the last of some rows, the first of which were recorded at `recorded`.
pub(super) fn last_recorded(spec: &TableSpec, recorded: i64, count: usize) -> i64 {
    match spec.upsert {
        Upsert::Whole => recorded,
        Upsert::Record => recorded.saturating_add(i64::try_from(count.saturating_sub(1)).unwrap_or(i64::MAX)),
    }
}

fn authors(writes: &[Durable<'_>]) -> Result<ArrayRef, StoreError> {
    let mut names: Vec<&str> = Vec::new();
    let mut keys = Vec::new();
    for write in writes {
        let name = names.iter().position(|&name| name == write.by).unwrap_or_else(|| {
            names.push(write.by);
            names.len() - 1
        });
        let key = i32::try_from(name).unwrap_or(i32::MAX);
        keys.extend(std::iter::repeat_n(key, write.rows.batch.num_rows()));
    }
    Ok(Arc::new(DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from(names)))?))
}

fn retractions(writes: &[Durable<'_>]) -> BooleanArray {
    let mut deleted = Vec::new();
    for write in writes {
        deleted.extend_from_slice(&write.rows.deleted);
        // Without flags, nothing of a write is retracted.
        let unsaid = if write.rows.deleted.is_empty() { write.rows.batch.num_rows() } else { 0 };
        deleted.extend(std::iter::repeat_n(false, unsaid));
    }
    BooleanArray::from(deleted)
}

/// Bits of all columns of a table.
fn all_columns(spec: &TableSpec) -> u64 {
    (1_u64 << spec.schema.fields().len()) - 1
}

/// Bits of the columns that a row brings.
fn mask(spec: &TableSpec, rows: &Rows, place: usize) -> u64 {
    let all = all_columns(spec);
    rows.present.as_ref().and_then(|present| present.get(place)).copied().unwrap_or(all) & all
}

fn retracts(rows: &Rows, place: usize) -> bool {
    rows.deleted.get(place).copied().unwrap_or(false)
}

/// Fills in what rows leave out. Rows are taken one after another: each may change the one before it.
fn resolve(table: &Table, rows: &Rows, stamped: &RecordBatch, cold: &Cold) -> Result<RecordBatch, StoreError> {
    let spec = &table.spec;
    let count = stamped.num_rows();
    let encoder = KeyEncoder::new(spec);
    let keys = encoder.encode(stamped)?;
    let mut newest: HashMap<Box<[u8]>, RecordBatch> = HashMap::new();
    let mut unknown: Vec<RecordBatch> = Vec::new();
    for place in 0..count {
        let key = keys.row(place);
        let hot = table.index.get(key.as_ref());
        match (hot.as_ref().map(Some), cold.get(key.as_ref()).map(Option::as_ref)) {
            (Some(row), _) | (None, Some(row)) => {
                if let Some(row) = row {
                    newest.insert(key.as_ref().into(), row.clone());
                }
            }
            // It was hot when the segments were looked through, and is in one of them since.
            (None, None) => unknown.push(rows.batch.slice(place, 1)),
        }
    }
    for (key, row) in look_up(spec, &table.segments, &table.dead, &unknown)? {
        if let Some(row) = row {
            newest.entry(key).or_insert(row);
        }
    }
    let mut seen = HashSet::new();
    let repeated: HashSet<&[u8]> = keys.iter().map(|key| key.data()).filter(|key| !seen.insert(*key)).collect();
    // Most rows are the first of their key: those stay together as they are.
    let (mut resolved, mut as_they_are) = (Vec::new(), 0);
    for place in 0..count {
        let key = keys.row(place).data();
        if !newest.contains_key(key) && !repeated.contains(key) {
            continue;
        }
        let row = stamped.slice(place, 1);
        let row = match newest.get(key) {
            // What is retracted already stays as it was.
            Some(older) if is_deleted(older) && retracts(rows, place) => older.clone(),
            Some(older) if !is_deleted(older) => {
                merge(spec, &row, older, if retracts(rows, place) { 0 } else { mask(spec, rows, place) })?
            }
            _ => row,
        };
        // A repetition says nothing new: not even that it was recorded later, which would decide between equal starts.
        let row = match newest.get(key) {
            Some(older) if SameRow::new(spec, older, &row)?.row(0, 0) => older.clone(),
            _ => row,
        };
        newest.insert(key.into(), row.clone());
        resolved.push(stamped.slice(as_they_are, place - as_they_are));
        resolved.push(row);
        as_they_are = place + 1;
    }
    resolved.push(stamped.slice(as_they_are, count - as_they_are));
    Ok(concat_batches(stamped.schema_ref(), &resolved)?)
}

/// Bits of the columns that are never inherited.
fn stamps(spec: &TableSpec) -> u64 {
    let stamp = |name: &str| matches!(name, RECORDED | RECORDED_BY | CHANGE_REASON);
    let fields = spec.schema.fields().iter().enumerate();
    fields.filter(|(_, field)| stamp(field.name())).fold(0, |mask, (index, _)| mask | (1 << index))
}

fn is_deleted(row: &RecordBatch) -> bool {
    let deleted = row.column_by_name(DELETED).and_then(|column| arrow::array::AsArray::as_boolean_opt(column));
    deleted.is_some_and(|deleted| deleted.iter().any(|flag| flag == Some(true)))
}

/// `row` where its mask says so, `older` elsewhere.
fn merge(spec: &TableSpec, row: &RecordBatch, older: &RecordBatch, mask: u64) -> Result<RecordBatch, StoreError> {
    let mask = mask | stamps(spec);
    let columns = row.columns().iter().zip(older.columns()).enumerate().map(|(index, (new, old))| {
        let inherited = index < spec.schema.fields().len() && mask & (1 << index) == 0;
        if inherited { old.clone() } else { new.clone() }
    });
    Ok(RecordBatch::try_new(row.schema(), columns.collect())?)
}
