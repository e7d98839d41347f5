//! Under random histories of edges, traces over what is kept in memory, over rows, and as of a time after all changes are what
//! `oee::genealogy` says of the rows of the table.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicI64, Ordering};

use ::oee::plant::Plant;
use ::oee::tables;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Field, Float64Type};
use arrow::util::display::array_value_to_string;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use storage::{Rows, Snapshot, Store, TableSpec, Write};

use super::*;
use crate::engine::{Engine, Limits};
use crate::fixture::{PLANT, Random, on_demand, table_spec};

/// A value of a record; a column without one stays as it is.
enum Told {
    Text(String),
    Number(f64),
    Time(i64),
}

fn write(spec: &TableSpec, place: usize, record: &[(&str, Told)], deleted: bool) -> Write {
    let schema = spec.memory_schema();
    let column = |field: &Arc<Field>| {
        let told = record.iter().find(|(name, _)| name == field.name()).map(|(_, told)| told);
        let plain: ArrayRef = match told {
            Some(Told::Text(text)) => Arc::new(StringArray::from(vec![text.as_str()])),
            Some(Told::Number(number)) => Arc::new(Float64Array::from(vec![*number])),
            Some(Told::Time(time)) => Arc::new(TimestampMicrosecondArray::from(vec![*time]).with_timezone("UTC")),
            None => new_null_array(field.data_type(), 1),
        };
        cast(&plain, field.data_type()).unwrap()
    };
    let batch = RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect()).unwrap();
    let present = record.iter().map(|(name, _)| 1 << schema.index_of(name).unwrap()).sum();
    let rows = Rows { table: place, batch, present: Some(vec![present]), deleted: vec![deleted] };
    Write { rows: vec![rows], by: "test".into(), patient: false }
}

struct Plants {
    store: Arc<Store>,
    specs: Vec<TableSpec>,
    engine: Engine,
    _folder: tempfile::TempDir,
}

struct Shared(Arc<Store>);

impl crate::SnapshotSource for Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }
}

impl Plants {
    fn new(memory_bytes: usize) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), AtomicI64::new(1_000));
        let options = on_demand(move || clock.fetch_add(1, Ordering::Relaxed));
        let specs = vec![table_spec(&tables::MATERIALS), table_spec(&tables::UNITS)];
        let store = Arc::new(Store::open(folder.path(), specs.clone(), options).unwrap());
        let limits = Limits { memory_bytes, ..Limits::default() };
        let plant = Arc::new(Plant::parse(PLANT).unwrap());
        let engine = Engine::new(Arc::new(Shared(Arc::clone(&store))), plant, limits).unwrap();
        Self { store, specs, engine, _folder: folder }
    }

    fn edge(&self, event: &str, record: Vec<(&str, Told)>, deleted: bool) {
        let mut record = record;
        record.push(("event_id", Told::Text(event.to_owned())));
        self.store.append_and_wait(write(&self.specs[0], 0, &record, deleted)).unwrap();
    }

    fn unit(&self, name: &str, record: Vec<(&str, Told)>) {
        let mut record = record;
        record.push(("unit", Told::Text(name.to_owned())));
        self.store.append_and_wait(write(&self.specs[1], 1, &record, false)).unwrap();
    }

    async fn ask(&self, sql: &str, as_of: Option<i64>) -> Result<Vec<String>, QueryError> {
        let session = self.engine.session("test");
        session.set_as_of(as_of.map(|us| jiff::Timestamp::from_microsecond(us).unwrap()));
        let mut rows = Vec::new();
        for batch in session.query(sql).await? {
            for row in 0..batch.num_rows() {
                let texts = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
                rows.push(texts.collect::<Vec<_>>().join("|"));
            }
        }
        Ok(rows)
    }

    /// The same from the rows of the tables.
    fn expected(&self, unit: &str, direction: Direction, at: i64, deepest: u32) -> Vec<String> {
        let snapshot = self.store.snapshot();
        let rows = |table: &str| snapshot.table(table).unwrap().rows().unwrap();
        let (materials, units) = (rows("materials"), rows("units"));
        let mut edges = Vec::new();
        edges::each_edge(&materials, |row, _| edges.push(row)).unwrap();
        let produced = |name: &str| {
            let names = units.column_by_name("unit").unwrap().as_string::<i32>();
            let row = (0..units.num_rows()).find(|row| names.value(*row) == name)?;
            let quantity = units.column_by_name("quantity").unwrap().as_primitive::<Float64Type>();
            quantity.is_valid(row).then(|| quantity.value(row))
        };
        let mut trace = Trace::new(unit, direction, at, u32::MAX);
        loop {
            let frontier = trace.frontier();
            if frontier.is_empty() {
                break;
            }
            edges::each_edge(&materials, |_, edge| {
                let from = if direction == Direction::Back { edge.child } else { edge.parent };
                if frontier.iter().any(|unit| unit.as_ref() == from) {
                    trace.take(edge);
                }
            })
            .unwrap();
        }
        edges::each_edge(&materials, |_, edge| trace.note(edge)).unwrap();
        let mut found: Vec<_> = trace.reached().into_iter().zip(trace.quantities(produced)).collect();
        found.retain(|(reached, _)| reached.depth <= deepest);
        found.sort_by_key(|(reached, _)| (reached.depth, Arc::clone(&reached.unit)));
        let line = |(reached, quantity): (Reached, Quantity)| {
            let active = reached.active_depth.filter(|depth| *depth <= deepest).map(|depth| depth.to_string());
            let whole = if direction == Direction::Back { reached.unit.as_ref() } else { unit };
            let quantity = match quantity {
                Ok(amount) => {
                    let reason = share(amount, whole, produced(whole)).err();
                    format!("{amount:.6}|{}", reason.as_deref().unwrap_or_default())
                }
                Err(reason) => format!("|{reason}"),
            };
            let (name, depth, end, reworked) = (&reached.unit, reached.depth, reached.is_end, reached.reworked);
            format!("{name}|{depth}|{}|{end}|{reworked}|{quantity}", active.unwrap_or_default())
        };
        found.into_iter().map(line).collect()
    }
}

/// Later than whatever the clock of a test said.
const AFTER_ALL: i64 = 86_400_000_000;

async fn random_history(seed: u64, memory_bytes: usize, more_edges: usize) -> usize {
    let random = &mut Random(seed + 1);
    let plants = Plants::new(memory_bytes);
    let below = |random: &mut Random, limit| Told::Time(random.below(limit));
    for number in 0..12 {
        if random.below(4) > 0 {
            plants.unit(&format!("U{number}"), vec![("quantity", Told::Number(number as f64 + 4.0))]);
        }
    }
    for more in 0..more_edges {
        let names = [("parent", Told::Text(format!("P{more}"))), ("child", Told::Text(format!("C{more}")))];
        plants.edge(&format!("M{more}"), names.into(), false);
    }
    let mut compared = 0;
    for _ in 0..10 {
        match random.below(5) {
            0 => plants.store.flush().unwrap(),
            1 => drop(plants.store.compact().unwrap()),
            _ => {
                for _ in 0..8 {
                    let event = format!("E{}", random.below(30));
                    let mut unit = || Told::Text(format!("U{}", random.below(12)));
                    let mut record = vec![("parent", unit()), ("child", unit())];
                    if random.below(10) > 0 {
                        record.push(("quantity", Told::Number(random.below(9) as f64)));
                    }
                    if random.below(10) > 0 {
                        record.push(("time", below(random, 100)));
                    }
                    if random.below(4) == 0 {
                        record.push(("removed", below(random, 120)));
                    }
                    if random.below(4) == 0 {
                        record.push(("kind", Told::Text("rework".to_owned())));
                    }
                    plants.edge(&event, record, random.below(8) == 0);
                }
            }
        }
        for _ in 0..3 {
            let unit = format!("U{}", random.below(12));
            let at = random.below(120);
            let depth = (random.below(2) == 0).then(|| u32::try_from(random.below(4) + 1).unwrap());
            let mut words = format!("'{unit}', 'at={}'", ::oee::calendar::timestamp(at));
            if let Some(depth) = depth {
                words.push_str(&format!(", 'depth={depth}'"));
            }
            for (name, direction) in [("trace_back", Direction::Back), ("trace_forward", Direction::Forward)] {
                let expected = plants.expected(&unit, direction, at, depth.unwrap_or(u32::MAX));
                // Whether the unit is known is another test's question.
                if expected.is_empty() {
                    continue;
                }
                let sql = format!(
                    "SELECT unit, depth, active_depth, is_end, reworked, quantity, reason FROM {name}({words})"
                );
                for as_of in [None, Some(AFTER_ALL)] {
                    let found = plants.ask(&sql, as_of).await.unwrap_or_else(|error| panic!("{seed} {sql}: {error}"));
                    let found: Vec<String> = found.iter().map(|line| rounded(line)).collect();
                    assert_eq!(found, expected, "seed {seed}, {words}, as of {as_of:?}");
                }
                let few = format!("SELECT unit, depth FROM {name}({words})");
                assert_eq!(plants.ask(&few, None).await.unwrap().len(), expected.len(), "seed {seed}, {words}");
                compared += expected.len();
            }
        }
    }
    compared
}

/// With the quantity to six digits.
fn rounded(line: &str) -> String {
    let mut parts: Vec<String> = line.split('|').map(str::to_owned).collect();
    if let Ok(quantity) = parts[5].parse::<f64>() {
        parts[5] = format!("{quantity:.6}");
    }
    parts.join("|")
}

#[tokio::test]
async fn traces_are_what_the_rows_say() {
    let mut compared = 0;
    for seed in 0..10 {
        compared += random_history(seed, 256 << 20, 0).await;
    }
    assert!(compared > 500, "{compared}");
}

#[tokio::test]
async fn more_edges_than_there_is_room_for_are_read_as_rows() {
    const MEMORY: usize = 1 << 20;
    let edges = MEMORY / 2 / edges::LIKELY_BYTES + 1;
    let compared = random_history(100, MEMORY, edges).await;
    assert!(compared > 20, "{compared}");
}

#[tokio::test]
async fn a_unit_that_nobody_knows_is_no_empty_result() {
    let plants = Plants::new(256 << 20);
    let text = |text: &str| Told::Text(text.to_owned());
    plants.edge("E1", vec![("parent", text("LOT-1")), ("child", text("SN-1")), ("quantity", Told::Number(2.0))], false);
    plants.unit("ALONE", vec![("kind", text("serial"))]);
    plants.edge("E2", vec![("parent", text("RING")), ("child", text("RING"))], false);
    for nothing in ["trace_back('RING')", "trace_back('LOT-1')", "trace_forward('SN-1')", "trace_back('ALONE')"] {
        assert!(plants.ask(&format!("SELECT * FROM {nothing}"), None).await.unwrap().is_empty(), "{nothing}");
    }
    for (call, said) in [
        ("trace_back('SN-2')", "there is no unit \"SN-2\""),
        ("trace_back()", "trace_back takes a unit"),
        ("trace_forward('SN-1', 'depth=0')", "depth=\"0\" is not a whole number above 0"),
        ("trace_forward('SN-1', 'at=noon')", "\"noon\" is not a time"),
        ("trace_forward('SN-1', 'by=x')", "trace_forward knows no word \"by\"; its words are depth, at"),
    ] {
        let error = plants.ask(&format!("SELECT * FROM {call}"), None).await.unwrap_err().to_string();
        assert!(error.contains(said), "{call}: {error}");
    }
}

#[tokio::test]
async fn a_later_statement_sees_later_edges() {
    let plants = Plants::new(256 << 20);
    let text = |text: &str| Told::Text(text.to_owned());
    let edge = |event: &str, child: &str, deleted| {
        plants.edge(event, vec![("parent", text("LOT-1")), ("child", text(child))], deleted);
    };
    let children = async || plants.ask("SELECT unit FROM trace_forward('LOT-1')", None).await.unwrap();
    edge("E1", "SN-1", false);
    assert_eq!(children().await, ["SN-1"]);
    plants.store.flush().unwrap();
    edge("E2", "SN-2", false);
    assert_eq!(children().await, ["SN-1", "SN-2"]);
    edge("E1", "SN-3", false);
    assert_eq!(children().await, ["SN-2", "SN-3"]);
    plants.store.flush().unwrap();
    edge("E2", "SN-2", true);
    assert_eq!(children().await, ["SN-3"]);
    plants.store.compact().unwrap();
    assert_eq!(children().await, ["SN-3"]);
}

#[tokio::test]
async fn edges_are_kept_within_bounds_and_let_go_beyond() {
    let plants = Plants::new(256 << 20);
    let text = |text: String| Told::Text(text);
    // Names so long that an edge takes more than is taken for likely.
    let name = |word: &str, number: usize| text(format!("{word}-{number:060}"));
    const EDGES: usize = 200;
    for number in 0..EDGES {
        plants.edge(&format!("{number:050}"), vec![("parent", name("P", number)), ("child", name("C", number))], false);
    }
    plants.store.flush().unwrap();
    plants.edge("hot", vec![("parent", name("P", 0)), ("child", name("C", EDGES))], false);
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 30));
    let look = |cache: &EdgeCache| {
        let snapshot = plants.store.snapshot();
        let mut steps = 0;
        loop {
            steps += 1;
            match cache.step(snapshot.table("materials").unwrap()).unwrap() {
                Look::More => {}
                Look::Parts(parts) => return (Some(parts.len()), steps),
                Look::NoRoom => return (None, steps),
            }
        }
    };
    let cache = EdgeCache::new(&pool, 1 << 20);
    assert_eq!(look(&cache), (Some(2), 2));
    let held = cache.bytes();
    assert!(held > EDGES * edges::LIKELY_BYTES && pool.reserved() == held, "{held}");
    assert_eq!((look(&cache), cache.bytes()), ((Some(2), 1), held), "what is there is not read again");

    // The guess fits, the edges do not: they are read once, and then no more.
    let small = EdgeCache::new(&pool, (EDGES + 1) * edges::LIKELY_BYTES);
    assert_eq!((look(&small), small.bytes()), ((None, 1), 0));
    assert_eq!((look(&small), small.bytes()), ((None, 1), 0));
    drop((small, cache));
    assert_eq!(pool.reserved(), 0);

    // Of an older snapshot, whoever comes later: what the newer one needs stays.
    let cache = EdgeCache::new(&pool, 1 << 20);
    let older = plants.store.snapshot();
    plants.edge("hot", vec![("parent", name("P", 1)), ("child", name("C", 1))], false);
    assert_eq!(look(&cache), (Some(2), 2));
    let held = cache.bytes();
    let of_older = cache.step(older.table("materials").unwrap()).unwrap();
    assert!(matches!(of_older, Look::Parts(parts) if parts.len() == 2));
    assert_eq!((cache.bytes(), look(&cache)), (held, (Some(2), 1)));
}
