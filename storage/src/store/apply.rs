//! Makes rows of a durable write visible in a table's hot buffer.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::{Rows, Table};
use crate::StoreError;
use crate::hot::SameRow;
use crate::keys::KeyEncoder;
use crate::snapshot::current_rows;
use crate::spec::{CHANGE_REASON, DELETED, RECORDED, RECORDED_BY, TableSpec, Upsert};

/// The newest hot row of each key of a record table, as batches of one row.
#[derive(Debug, Default)]
pub(super) struct Index {
    rows: HashMap<Box<[u8]>, RecordBatch>,
}

impl Index {
    /// Takes in rows in their order.
    fn extend(&mut self, encoder: &KeyEncoder, rows: &RecordBatch) -> Result<(), StoreError> {
        for (place, key) in encoder.encode(rows)?.iter().enumerate() {
            self.rows.insert(key.as_ref().into(), rows.slice(place, 1));
        }
        Ok(())
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

/// Stamps `rows`, fills absent fields in from the rows they change, and appends them to the hot buffer. Returns what was
/// appended.
pub(super) fn apply(
    table: &mut Table,
    rows: &Rows,
    position: u64,
    recorded: i64,
    by: &str,
) -> Result<RecordBatch, StoreError> {
    let spec = table.spec.clone();
    let stamped = stamp(&spec, &table.hot_schema, rows, recorded, by)?;
    let resolved = match spec.upsert {
        Upsert::Whole => stamped,
        Upsert::Record => resolve(table, rows, &stamped)?,
    };
    if spec.upsert == Upsert::Record {
        table.index.extend(&KeyEncoder::new(&spec), &resolved)?;
    }
    table.hot.push(&spec, resolved.clone(), position)?;
    table.oldest_hot.get_or_insert_with(std::time::Instant::now);
    table.changed();
    Ok(resolved)
}

/// The rows in the hot schema, with who recorded them and when.
fn stamp(
    spec: &TableSpec,
    schema: &SchemaRef,
    rows: &Rows,
    recorded: i64,
    by: &str,
) -> Result<RecordBatch, StoreError> {
    let count = rows.batch.num_rows();
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, StoreError> {
        Ok(match field.name().as_str() {
            RECORDED => Arc::new(stamps_of(spec, recorded, count).with_timezone("UTC")),
            RECORDED_BY => author(by, count)?,
            DELETED if rows.deleted.is_empty() => Arc::new(BooleanArray::from(vec![false; count])),
            DELETED => Arc::new(BooleanArray::from(rows.deleted.clone())),
            name => crate::hot::plain(&rows.batch, name, field.data_type())?,
        })
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

/// Rows of records are recorded a microsecond apart, so that each version of a record has a time of its own.
fn stamps_of(spec: &TableSpec, recorded: i64, count: usize) -> TimestampMicrosecondArray {
    match spec.upsert {
        Upsert::Whole => TimestampMicrosecondArray::from_value(recorded, count),
        Upsert::Record => TimestampMicrosecondArray::from_iter_values((recorded..).take(count)),
    }
}

/// The recorded time of the last of some rows, the first of which were recorded at `recorded`.
pub(super) fn last_recorded(spec: &TableSpec, recorded: i64, count: usize) -> i64 {
    match spec.upsert {
        Upsert::Whole => recorded,
        Upsert::Record => recorded.saturating_add(i64::try_from(count.saturating_sub(1)).unwrap_or(i64::MAX)),
    }
}

fn author(by: &str, count: usize) -> Result<ArrayRef, StoreError> {
    let keys = Int32Array::from_value(0, count);
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(vec![by])))?))
}

/// Fills in what partial rows leave out. Rows are taken one after another: each may change the one before it.
fn resolve(table: &Table, rows: &Rows, stamped: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let spec = &table.spec;
    let all = (1_u64 << spec.schema.fields().len()) - 1;
    let mask_of =
        |place: usize| rows.present.as_ref().and_then(|present| present.get(place)).copied().unwrap_or(all) & all;
    let retracts = |place: usize| rows.deleted.get(place).copied().unwrap_or(false);
    let partial = |place: usize| mask_of(place) | stamps(spec) != all || retracts(place);
    let count = stamped.num_rows();
    if !(0..count).any(partial) {
        return Ok(stamped.clone());
    }
    let encoder = KeyEncoder::new(spec);
    let keys = encoder.encode(stamped)?;
    let mut newest: HashMap<Box<[u8]>, RecordBatch> = HashMap::new();
    let mut cold: Vec<RecordBatch> = Vec::new();
    for place in (0..count).filter(|&place| partial(place)) {
        let key = keys.row(place);
        match table.index.rows.get(key.as_ref()) {
            Some(row) => drop(newest.insert(key.as_ref().into(), row.clone())),
            None => cold.push(stamped.slice(place, 1)),
        }
    }
    if !cold.is_empty() {
        let wanted = concat_batches(stamped.schema_ref(), &cold)?;
        if let Some(found) = current_rows(spec, &table.segments, &wanted)? {
            let found = in_schema(&found, stamped.schema_ref())?;
            for (place, key) in encoder.encode(&found)?.iter().enumerate() {
                newest.entry(key.as_ref().into()).or_insert_with(|| found.slice(place, 1));
            }
        }
    }
    let mut resolved = Vec::with_capacity(count);
    for place in 0..count {
        let row = stamped.slice(place, 1);
        let key: Box<[u8]> = keys.row(place).as_ref().into();
        let row = match newest.get(&key) {
            Some(older) if partial(place) && !is_deleted(older) => {
                merge(spec, &row, older, if retracts(place) { 0 } else { mask_of(place) })?
            }
            _ => row,
        };
        // A repetition says nothing new: not even that it was recorded later, which would decide between equal starts.
        let row = match newest.get(&key) {
            Some(older) if SameRow::new(spec, older, &row)?.row(0, 0) => older.clone(),
            _ => row,
        };
        newest.insert(key, row.clone());
        resolved.push(row);
    }
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

/// Rows of a segment as hot rows.
pub(super) fn in_schema(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}
