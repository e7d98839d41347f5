//! A folder whose tables were sorted by the same key in another order: it is read and written on, and merges bring it into
//! the new order.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::verify;

/// Measurements whose key is these columns in this order.
fn measurements(key: &[usize]) -> TableSpec {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Schema::new(vec![
        text("equipment"),
        text("unit"),
        text("characteristic"),
        Field::new("time", time_type(), true),
        Field::new("value", DataType::Float64, true),
        Field::new("recorded", time_type(), true),
        text("recorded_by"),
        text("change_reason"),
    ]);
    TableSpec {
        name: "measurements".into(),
        schema: Arc::new(schema),
        names: vec![0, 1, 2, 6],
        key: key.to_vec(),
        time: Some(3),
        status: None,
        age: Some(3),
        upsert: Upsert::Record,
        bloom: vec![1],
        derived: None,
    }
}

/// Equipment, unit, characteristic, time.
type Key = (String, String, String, i64);

fn rows(told: &[(Key, f64, bool)]) -> Rows {
    let texts = |of: fn(&Key) -> &String| names(&told.iter().map(|row| Some(of(&row.0).as_str())).collect::<Vec<_>>());
    let times = |times: Vec<Option<i64>>| Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let columns: Vec<ArrayRef> = vec![
        texts(|key| &key.0),
        texts(|key| &key.1),
        texts(|key| &key.2),
        times(told.iter().map(|row| Some(row.0.3)).collect()),
        Arc::new(Float64Array::from(told.iter().map(|row| row.1).collect::<Vec<_>>())),
        times(vec![None; told.len()]),
        names(&vec![None; told.len()]),
        Arc::new(StringArray::from(vec![None::<&str>; told.len()])),
    ];
    let batch = RecordBatch::try_new(measurements(&[0]).memory_schema(), columns).unwrap();
    let deleted = told.iter().map(|row| row.2).collect();
    Rows { table: 0, batch, present: Some(vec![0b1_1111; told.len()]), deleted }
}

fn stored(store: &Store) -> BTreeMap<Key, f64> {
    let batch = current(store, 0);
    let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
    let (equipment, unit, characteristic) = (text("equipment"), text("unit"), text("characteristic"));
    let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
    let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>();
    let key = |row: usize| {
        let texts = [&equipment, &unit, &characteristic].map(|texts| texts.value(row).to_owned());
        let [equipment, unit, characteristic] = texts;
        (equipment, unit, characteristic, times.value(row))
    };
    let found: BTreeMap<_, _> = (0..batch.num_rows()).map(|row| (key(row), values.value(row))).collect();
    assert_eq!(found.len(), batch.num_rows(), "a key is there twice");
    found
}

/// Whether rows lie in the order of the key in all segments, and those of the history in that of its own.
fn is_sorted(store: &Store, spec: &TableSpec) -> bool {
    let view = Arc::clone(store.snapshot().tables.first().unwrap());
    let is_history_sorted = view.history.iter().all(|segment| segment.is_in_order(&spec.history()));
    is_history_sorted && view.segments.iter().all(|segment| segment.is_in_order(spec))
}

/// Rows of the history, as text, in an order of their own.
fn superseded(store: &Store) -> Vec<String> {
    let view = Arc::clone(store.snapshot().tables.first().unwrap());
    let mut found = Vec::new();
    for segment in &view.history {
        let rows = segment.read().unwrap();
        let columns = ["equipment", "unit", "characteristic", "time", "value", "deleted", "superseded"];
        let texts = columns.map(|name| rows.column_by_name(name).unwrap());
        for row in 0..rows.num_rows() {
            let texts = texts.map(|column| arrow::util::display::array_value_to_string(column, row).unwrap());
            found.push(texts.join(" "));
        }
    }
    found.sort();
    found
}

#[test]
fn rows_in_another_order_are_read_and_brought_into_the_new_one() {
    const DAY: i64 = 86_400_000_000;
    let mut resorted = 0;
    for seed in 0..12 {
        let random = &mut StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (measurements(&[0, 1, 2, 3]), measurements(&[0, 2, 3, 1]));
        let mut model: BTreeMap<Key, f64> = BTreeMap::new();
        let mut older: Vec<String> = Vec::new();
        let options = || Options { segment_rows: 100, ..options() };
        for (phase, spec) in [&old, &new].into_iter().enumerate() {
            let store = Store::open(folder.path(), vec![spec.clone()], options()).unwrap();
            assert_eq!(stored(&store), model, "seed {seed}, phase {phase}");
            resorted += usize::from(!is_sorted(&store, spec));
            // Where nothing comes any more, nothing but its order asks for a merge of what was settled.
            let settled = seed % 3 == 0;
            for _ in 0..if settled && phase == 1 { 0 } else { 6 } {
                let told: Vec<(Key, f64, bool)> = (0..random.random_range(1..120))
                    .map(|_| {
                        let mut name = |word: &str, most: u32| format!("{word}{}", random.random_range(0..most));
                        let names = (name("m", 3), name("u", 9), name("c", 4));
                        let time = random.random_range(0..4) * DAY / 2 + random.random_range(0..3);
                        let deleted = random.random_bool(0.1);
                        ((names.0, names.1, names.2, time), f64::from(random.random_range(0..5)), deleted)
                    })
                    .collect();
                store.append_and_wait(write(vec![rows(&told)])).unwrap();
                for (key, value, deleted) in told {
                    match deleted {
                        true => drop(model.remove(&key)),
                        false => drop(model.insert(key, value)),
                    }
                }
                match random.random_range(0..5) {
                    0 | 1 => store.flush().unwrap(),
                    2 if phase == 1 || random.random_bool(0.3) => drop(store.compact().unwrap()),
                    _ => {}
                }
                assert_eq!(stored(&store), model, "seed {seed}, phase {phase}");
            }
            store.flush().unwrap();
            if settled && phase == 0 {
                store.compact().unwrap();
            }
            let history = superseded(&store);
            assert!(!history.is_empty(), "seed {seed}");
            if phase == 1 {
                // What the older takt wrote is part of it.
                assert!(older.iter().all(|version| history.contains(version)), "seed {seed}");
                store.compact().unwrap();
                assert!(is_sorted(&store, &new), "seed {seed}");
                assert_eq!(stored(&store), model, "seed {seed}");
                assert_eq!(superseded(&store), history, "seed {seed}: a merge changes no history");
            }
            older = history;
            store.close().unwrap();
            drop(store);
            // In either order, and by whichever takt: rows lie where their file says.
            for specs in [vec![old.clone()], vec![new.clone()]] {
                let verified = verify(folder.path(), &specs, &mut |_, _| {}).unwrap();
                assert!(verified.faults.is_empty(), "seed {seed}, phase {phase}: {:?}", verified.faults);
            }
        }
    }
    assert!(resorted >= 10, "{resorted}");
}
