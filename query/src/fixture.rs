//! A store with samples, and an engine that is asked about them.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

pub(crate) mod shop;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::util::display::array_value_to_string;
use oee::plant::Plant;
use oee::tables::{ColumnType, RECORD_COLUMNS, Table};
use storage::{Derived, LocalDisk, Options, Rows, Store, TableSpec, Upsert, Write};

use crate::engine::{Engine, Limits};
use crate::error::QueryError;
use crate::rekey::{DERIVED, EXPLICIT};
use crate::types::time_type;

/// 2025-01-01 00:00 UTC, microseconds.
pub(crate) const NEW_YEAR: i64 = 1_735_689_600_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) const PLANT: &str = r#"
[plant]
name = "test"
zone = "Europe/Berlin"

[[equipment]]
path = "site"
[[equipment]]
path = "site/a"
calendar = "early"

[[signals]]
equipment = "site"
signal = "level"
interpolation = "stepped"

[[signals]]
equipment = "site/a"
signal = "pieces"
role = "total_count"
modulus = 100

[[calendars.early.shifts]]
name = "early"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
start = "06:00"
end = "14:00"
"#;

/// A row of `samples`: equipment, signal, time, value, and status code where there is one.
pub(crate) type Row = (&'static str, &'static str, i64, Option<f64>, Option<i64>);

pub(crate) fn good(equipment: &'static str, signal: &'static str, values: &[(i64, f64)]) -> Vec<Row> {
    values.iter().map(|&(time, value)| (equipment, signal, time, Some(value), Some(0))).collect()
}

/// The table `samples`, as `oee::tables` has it.
pub(crate) fn samples() -> TableSpec {
    let columns = [
        ("time", time_type()),
        ("equipment", DataType::Utf8),
        ("signal", DataType::Utf8),
        ("value", DataType::Float64),
        ("text", DataType::Utf8),
        ("quality", DataType::Int64),
    ];
    TableSpec {
        name: "samples".to_owned(),
        schema: Arc::new(Schema::new(columns.map(|(name, kind)| Field::new(name, kind, true)).to_vec())),
        names: vec![1, 2],
        key: vec![1, 2, 0],
        time: Some(0),
        status: Some(5),
        age: Some(0),
        upsert: Upsert::Whole,
        bloom: Vec::new(),
        derived: None,
    }
}

/// A public table, as the store has it; nothing is searched by value.
pub(crate) fn table_spec(table: &Table) -> TableSpec {
    let extra = if table.upsert == oee::tables::Upsert::Record { RECORD_COLUMNS } else { &[] };
    let columns: Vec<_> = table.columns.iter().chain(extra).collect();
    let kind = |kind| match kind {
        ColumnType::Time => time_type(),
        ColumnType::Double => DataType::Float64,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Text | ColumnType::Name => DataType::Utf8,
        ColumnType::Flag => DataType::Boolean,
    };
    let place = |name: &str| columns.iter().position(|column| column.name == name);
    let fields: Vec<_> = columns.iter().map(|column| Field::new(column.name, kind(column.kind), true)).collect();
    let derived = || Derived {
        columns: DERIVED.iter().filter_map(|name| place(name)).collect(),
        source: place("key_source").unwrap(),
        explicit: EXPLICIT,
    };
    TableSpec {
        name: table.name.to_owned(),
        schema: Arc::new(Schema::new(fields)),
        names: (0..columns.len()).filter(|&column| columns[column].kind == ColumnType::Name).collect(),
        key: table.key.iter().filter_map(|name| place(name)).collect(),
        time: table.time.and_then(place),
        status: place("quality"),
        age: table.age.and_then(place),
        upsert: if table.upsert == oee::tables::Upsert::Record { Upsert::Record } else { Upsert::Whole },
        bloom: Vec::new(),
        derived: (table.name == "samples").then(derived),
    }
}

pub(crate) fn dictionary(texts: impl Iterator<Item = &'static str>) -> ArrayRef {
    let texts: Vec<&str> = texts.collect();
    let keys = Int32Array::from_iter_values(0..i32::try_from(texts.len()).unwrap());
    Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(texts))).unwrap())
}

/// A store that flushes when it is asked to only.
pub(crate) fn on_demand(clock: impl Fn() -> i64 + Send + Sync + 'static) -> Options {
    Options {
        linger: Duration::ZERO,
        wal_file_bytes: 1 << 20,
        flush_interval: Duration::from_secs(3_600),
        flush_rows: usize::MAX,
        hot_bytes: usize::MAX,
        segment_rows: 4 << 20,
        clock: Arc::new(clock),
        disk: Arc::new(LocalDisk),
        retention: std::collections::BTreeMap::new(),
        tiering: None,
    }
}

/// A store with samples, and an engine that is asked about them.
pub(crate) struct Bench {
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Engine,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = std::sync::atomic::AtomicI64::new(1);
        let options = on_demand(move || clock.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let store = Arc::new(Store::open(folder.path(), vec![samples()], options).unwrap());
        let plant = Arc::new(Plant::parse(PLANT).unwrap());
        let source: Arc<Shared> = Arc::new(Shared(Arc::clone(&store)));
        let engine = Engine::new(source, plant, limits).unwrap();
        Self { store, engine, _folder: folder }
    }

    /// A bench with these rows in memory.
    pub(crate) fn holding(rows: &[Row]) -> Self {
        let bench = Self::new();
        bench.put(rows);
        bench
    }

    pub(crate) fn put(&self, rows: &[Row]) {
        let schema = samples().memory_schema();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.2)).with_timezone("UTC")),
            dictionary(rows.iter().map(|row| row.0)),
            dictionary(rows.iter().map(|row| row.1)),
            Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>()),
            new_null_array(&DataType::Utf8, rows.len()),
            Arc::new(rows.iter().map(|row| row.4).collect::<Int64Array>()),
        ];
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let rows = Rows { table: 0, batch, present: None, deleted: Vec::new() };
        self.store.append_and_wait(Write { rows: vec![rows], by: "test".into(), patient: false }).unwrap();
    }

    pub(crate) async fn batches(&self, sql: &str) -> Vec<RecordBatch> {
        self.engine.session("test").query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Rows as texts, NULL as nothing.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for batch in self.batches(sql).await {
            for row in 0..batch.num_rows() {
                let texts: Vec<String> =
                    batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect();
                rows.push(texts.join(" "));
            }
        }
        rows
    }

    pub(crate) async fn refusal(&self, sql: &str) -> QueryError {
        self.engine.session("test").query(sql).await.map(|rows| panic!("{sql}: {rows:?}")).unwrap_err()
    }
}

struct Shared(Arc<Store>);

impl crate::SnapshotSource for Shared {
    fn snapshot(&self) -> Arc<storage::Snapshot> {
        self.0.snapshot()
    }
}

/// An instant as SQL writes it.
pub(crate) fn time(us: i64) -> String {
    format!("'{}'", oee::calendar::timestamp(us))
}

/// `time >= from AND time < to`.
pub(crate) fn within(from: i64, to: i64) -> String {
    format!("time >= {} AND time < {}", time(from), time(to))
}

/// Numbers that follow from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 1).unwrap() % limit
    }
}
