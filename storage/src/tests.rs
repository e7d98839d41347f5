//! The store against plain maps, under random histories with a seed.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema, TimestampMicrosecondType};

use crate::spec::time_type;
use crate::{Options, Rows, Store, StoreError, TableSpec, Upsert, Write};

mod aging;
mod crash;
mod disk;
mod durability;
mod faulty;
mod growth;
mod history;
mod model;
mod pressure;
mod resort;
mod thinning;
mod verify;

fn names(values: &[Option<&str>]) -> ArrayRef {
    let distinct: Vec<&str> = values.iter().flatten().copied().collect();
    let keys: Int32Array = {
        let mut place = 0;
        values
            .iter()
            .map(|value| {
                value.map(|_| {
                    place += 1;
                    place - 1
                })
            })
            .collect()
    };
    Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(distinct))).unwrap())
}

fn samples() -> TableSpec {
    let schema = Schema::new(vec![
        Field::new("time", time_type(), true),
        Field::new("equipment", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
    ]);
    TableSpec {
        name: "samples".into(),
        schema: Arc::new(schema),
        names: vec![1],
        key: vec![1, 0],
        time: Some(0),
        status: None,
        age: Some(0),
        upsert: Upsert::Whole,
        bloom: vec![],
        derived: None,
    }
}

fn orders() -> TableSpec {
    let schema = Schema::new(vec![
        Field::new("order", DataType::Utf8, true),
        Field::new("product", DataType::Utf8, true),
        Field::new("quantity", DataType::Float64, true),
        Field::new("recorded", time_type(), true),
        Field::new("recorded_by", DataType::Utf8, true),
        Field::new("change_reason", DataType::Utf8, true),
    ]);
    TableSpec {
        name: "orders".into(),
        schema: Arc::new(schema),
        names: vec![0, 1, 4],
        key: vec![0],
        time: None,
        status: None,
        age: None,
        upsert: Upsert::Record,
        bloom: vec![0],
        derived: None,
    }
}

fn disk() -> Arc<dyn crate::Disk> {
    Arc::new(crate::LocalDisk)
}

fn options() -> Options {
    let now = AtomicI64::new(1_000);
    Options {
        linger: Duration::from_millis(1),
        wal_file_bytes: 1 << 16,
        flush_interval: Duration::from_secs(3600),
        flush_rows: usize::MAX,
        hot_bytes: 1 << 30,
        segment_rows: 32,
        clock: Arc::new(move || now.fetch_add(1, Ordering::Relaxed)),
        disk: disk(),
        retention: BTreeMap::new(),
        tiering: None,
    }
}

fn open(folder: &std::path::Path) -> Store {
    Store::open(folder, vec![samples(), orders()], options()).unwrap()
}

fn sample_rows(rows: &[(i64, &str, f64)]) -> Rows {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampMicrosecondArray::from(rows.iter().map(|row| row.0).collect::<Vec<_>>()).with_timezone("UTC"),
        ),
        names(&rows.iter().map(|row| Some(row.1)).collect::<Vec<_>>()),
        Arc::new(Float64Array::from(rows.iter().map(|row| row.2).collect::<Vec<_>>())),
    ];
    let batch = RecordBatch::try_new(samples().memory_schema(), columns).unwrap();
    Rows { table: 0, batch, present: None, deleted: vec![] }
}

/// One order record: a `None` field is absent, `Some(None)` is an explicit null.
fn order_row(order: &str, product: Option<Option<&str>>, quantity: Option<Option<f64>>, deleted: bool) -> Rows {
    let columns: Vec<ArrayRef> = vec![
        names(&[Some(order)]),
        names(&[product.flatten()]),
        Arc::new(Float64Array::from(vec![quantity.flatten()])),
        Arc::new(TimestampMicrosecondArray::from(vec![None]).with_timezone("UTC")),
        names(&[None]),
        Arc::new(StringArray::from(vec![None::<&str>])),
    ];
    let batch = RecordBatch::try_new(orders().memory_schema(), columns).unwrap();
    let mask = 1 | if product.is_some() { 2 } else { 0 } | if quantity.is_some() { 4 } else { 0 };
    Rows { table: 1, batch, present: Some(vec![mask]), deleted: vec![deleted] }
}

fn write(rows: Vec<Rows>) -> Write {
    Write { rows, by: "test".into(), patient: false }
}

fn current(store: &Store, table: usize) -> RecordBatch {
    store.snapshot().tables.get(table).unwrap().rows().unwrap()
}

fn history_count(store: &Store, table: usize) -> usize {
    let snapshot = store.snapshot();
    let view = snapshot.tables.get(table).unwrap();
    let flushed: u64 = view.history.iter().map(|segment| segment.rows).sum();
    usize::try_from(flushed).unwrap() + view.pending_history().unwrap().num_rows()
}

fn sample_values(store: &Store) -> Vec<(String, i64, f64)> {
    let batch = current(store, 0);
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let equipment = batch.column(1).as_string::<i32>();
    let values = batch.column(2).as_primitive::<Float64Type>();
    let row = |row| (equipment.value(row).to_owned(), times.value(row), values.value(row));
    let mut rows: Vec<_> = (0..batch.num_rows()).map(row).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    rows
}

#[test]
fn a_second_process_is_told_who_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    let second = Store::open(folder.path(), vec![samples(), orders()], options());
    assert!(matches!(second, Err(StoreError::Locked { ref pid, .. }) if *pid == std::process::id().to_string()));
}
