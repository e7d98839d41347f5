//! A store with the public tables that have a say in keys and figures, and a clock that the test sets.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

use arrow::array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::cast;
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use oee::plant::Plant;
use oee::tables::TABLES;
use storage::{Rows, Snapshot, Store, StoreError, TableSpec, Transform, Upsert, Write};

use crate::context::{Context, ContextCache, OPERATIONS};
use crate::engine::{Engine, Limits};
use crate::fixture::{NEW_YEAR, PLANT, on_demand, table_spec};
use crate::rekey::{Rekey, Scope};

/// A value of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Time(i64),
    Number(f64),
    Null,
}

pub(super) struct Shop {
    pub(super) store: Arc<Store>,
    engine: Engine,
    keyer: Arc<Keyer>,
    clock: Arc<AtomicI64>,
    specs: Vec<TableSpec>,
    _folder: tempfile::TempDir,
}

struct Source(Arc<Store>);

impl crate::SnapshotSource for Source {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }
}

/// Keys samples at flush with what is known of `operations`. It asks the store nothing, which may hold its locks.
#[derive(Default)]
struct Keyer {
    known: RwLock<Arc<Context>>,
}

impl Keyer {
    fn context(&self) -> Arc<Context> {
        Arc::clone(&self.known.read().unwrap())
    }
}

impl Transform for Keyer {
    fn apply(&self, table: usize, batch: RecordBatch) -> Result<RecordBatch, StoreError> {
        if table != 0 {
            return Ok(batch);
        }
        Ok(Rekey { context: self.context(), scope: Scope::All }.apply(&batch).unwrap())
    }

    fn watermark(&self) -> i64 {
        self.context().newest_recorded()
    }
}

/// `samples` first.
const KEPT: [&str; 7] = ["samples", OPERATIONS, "units", "states", "stop_reasons", "counts", "work_orders"];

impl Shop {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(NEW_YEAR));
        let now = Arc::clone(&clock);
        let options = on_demand(move || now.load(Ordering::Relaxed));
        let table = |name: &&str| table_spec(TABLES.iter().find(|table| table.name == *name).unwrap());
        let specs: Vec<TableSpec> = KEPT.iter().map(table).collect();
        let store = Arc::new(Store::open(folder.path(), specs.clone(), options).unwrap());
        let keyer = Arc::new(Keyer::default());
        store.set_transform(Arc::clone(&keyer) as Arc<dyn Transform>);
        let plant = Arc::new(Plant::parse(PLANT).unwrap());
        let engine = Engine::new(Arc::new(Source(Arc::clone(&store))), plant, Limits::default()).unwrap();
        Self { store, engine, keyer, clock, specs, _folder: folder }
    }

    /// Sets the clock; recorded times follow it.
    pub(super) fn at(&self, us: i64) {
        self.clock.store(us, Ordering::Relaxed);
    }

    /// Writes a row that names these fields. Returns when it was recorded.
    pub(super) fn put(&self, table: &str, fields: &[(&str, Value<'_>)]) -> i64 {
        self.write(table, fields, false)
    }

    pub(super) fn retract(&self, table: &str, key: &[(&str, Value<'_>)]) -> i64 {
        self.write(table, key, true)
    }

    fn write(&self, table: &str, fields: &[(&str, Value<'_>)], deleted: bool) -> i64 {
        let index = KEPT.iter().position(|name| *name == table).unwrap();
        let spec = &self.specs[index];
        let schema = spec.memory_schema();
        let (mut columns, mut present) = (Vec::new(), 0);
        for (place, field) in schema.fields().iter().enumerate() {
            let given = fields.iter().find(|(name, _)| name == field.name()).map(|(_, value)| *value);
            present |= u64::from(given.is_some()) << place;
            let plain: ArrayRef = match given.unwrap_or(Value::Null) {
                Value::Text(text) => Arc::new(StringArray::from(vec![text])),
                Value::Time(us) => Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone("UTC")),
                Value::Number(number) => Arc::new(Float64Array::from(vec![number])),
                Value::Null => new_null_array(field.data_type(), 1),
            };
            columns.push(cast(&plain, field.data_type()).unwrap());
        }
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let present = (spec.upsert == Upsert::Record).then(|| vec![present]);
        let rows = Rows { table: index, batch, present, deleted: vec![deleted] };
        let write = Write { rows: vec![rows], by: "test".into(), patient: false };
        let recorded = self.store.append_and_wait(write).unwrap().recorded;
        if table == OPERATIONS {
            let snapshot = self.store.snapshot();
            let known = ContextCache::default().at(snapshot.table(OPERATIONS).unwrap()).unwrap();
            *self.keyer.known.write().unwrap() = known;
        }
        recorded
    }

    /// Rows as texts, NULL as nothing.
    pub(super) async fn ask(&self, as_of: Option<i64>, sql: &str) -> Vec<String> {
        let session = self.engine.session("test");
        session.set_as_of(as_of.map(|us| jiff::Timestamp::from_microsecond(us).unwrap()));
        let batches = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut rows = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                let texts = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
                rows.push(texts.collect::<Vec<_>>().join(" "));
            }
        }
        rows
    }

    pub(super) async fn plan(&self, as_of: i64, sql: &str) -> String {
        self.ask(Some(as_of), &format!("EXPLAIN {sql}")).await.join("\n")
    }
}
