//! Makes rows of a durable write visible in a table's hot buffer.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::resolve::{Cold, resolve};
use super::{Rows, Table};
use crate::StoreError;
use crate::keys::KeyEncoder;
use crate::spec::{DELETED, RECORDED, RECORDED_BY, TableSpec, Upsert};

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
