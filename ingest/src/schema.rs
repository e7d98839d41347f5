//! The store's tables, built from the one definition in [`oee::tables`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use oee::tables::{Column, ColumnType, RECORD_COLUMNS, SAMPLES, TABLES, Table};
use storage::{Derived, TableSpec, Upsert};

/// The value of `key_source` where the payload named the keys.
pub(crate) const EXPLICIT: &str = "explicit";
/// The value of `key_source` where executions gave the keys.
pub(crate) const DERIVED: &str = "derived";

/// Columns of `samples` that [`crate::Keyer`] fills in, in this order.
pub(crate) const KEY_COLUMNS: [&str; 4] = ["work_order", "operation", "unit", "key_source"];

/// Columns that people search by value rather than by range.
const BLOOM: [&str; 4] = ["unit", "run", "work_order", "event_id"];

/// The column with an OPC UA StatusCode.
const STATUS: &str = "quality";

/// Every table of the store, in the order of [`oee::tables::TABLES`].
pub fn table_specs() -> Vec<TableSpec> {
    TABLES.iter().map(spec).collect()
}

/// Place of a table in [`table_specs`].
pub fn table_index(name: &str) -> Option<usize> {
    TABLES.iter().position(|table| table.name == name)
}

/// A table's columns with those that every record table carries.
pub(crate) fn columns(table: &Table) -> Vec<Column> {
    let extra: &[Column] = match table.upsert {
        oee::tables::Upsert::Whole => &[],
        oee::tables::Upsert::Record => RECORD_COLUMNS,
    };
    table.columns.iter().chain(extra).copied().collect()
}

fn spec(table: &Table) -> TableSpec {
    let columns = columns(table);
    let place = |name: &str| columns.iter().position(|column| column.name == name);
    let fields: Vec<Field> =
        columns.iter().map(|column| Field::new(column.name, data_type(column.kind), true)).collect();
    let names =
        (0..columns.len()).filter(|&index| columns.get(index).is_some_and(|column| column.kind == ColumnType::Name));
    TableSpec {
        name: table.name.to_owned(),
        schema: Arc::new(Schema::new(fields)),
        names: names.collect(),
        key: table.key.iter().filter_map(|name| place(name)).collect(),
        time: table.time.and_then(place),
        status: place(STATUS),
        age: table.age.and_then(place),
        upsert: match table.upsert {
            oee::tables::Upsert::Whole => Upsert::Whole,
            oee::tables::Upsert::Record => Upsert::Record,
        },
        bloom: BLOOM.iter().filter_map(|name| place(name)).collect(),
        derived: (table.name == SAMPLES.name).then(|| derived(&place)).flatten(),
    }
}

fn derived(place: &impl Fn(&str) -> Option<usize>) -> Option<Derived> {
    Some(Derived {
        columns: KEY_COLUMNS.iter().filter_map(|name| place(name)).collect(),
        source: place("key_source")?,
        explicit: EXPLICIT,
    })
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Double => DataType::Float64,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Text | ColumnType::Name => DataType::Utf8,
        ColumnType::Flag => DataType::Boolean,
    }
}

#[cfg(test)]
mod tests;
