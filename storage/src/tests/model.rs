//! Random writes, flushes and restarts: the store must always say what the maps say.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::Snapshot;

const DAY_US: i64 = 86_400_000_000;

type Order = (Option<String>, Option<f64>);

#[derive(Default)]
struct Model {
    samples: BTreeMap<(String, i64), f64>,
    sample_history: usize,
    orders: BTreeMap<String, (Order, bool)>,
    order_history: usize,
}

impl Model {
    fn sample(&mut self, equipment: &str, time: i64, value: f64) {
        if let Some(older) = self.samples.insert((equipment.to_owned(), time), value)
            && older != value
        {
            self.sample_history += 1;
        }
    }

    fn order(&mut self, order: &str, product: Option<Option<&str>>, quantity: Option<Option<f64>>, deleted: bool) {
        let older = self.orders.get(order).cloned();
        let base = match &older {
            Some((row, false)) => row.clone(),
            _ => (None, None),
        };
        let row = if deleted {
            match &older {
                Some((_, false)) => base,
                _ => (product.flatten().map(str::to_owned), quantity.flatten()),
            }
        } else {
            (product.map_or(base.0, |product| product.map(str::to_owned)), quantity.unwrap_or(base.1))
        };
        let new = (row, deleted);
        if older.as_ref().is_some_and(|older| *older != new) {
            self.order_history += 1;
        }
        self.orders.insert(order.to_owned(), new);
    }
}

fn check(store: &Store, model: &Model, seed: u64, step: usize) {
    let expected: Vec<_> =
        model.samples.iter().map(|((equipment, time), value)| (equipment.clone(), *time, *value)).collect();
    assert_eq!(sample_values(store), expected, "samples, seed {seed}, step {step}");
    assert_eq!(history_count(store, 0), model.sample_history, "samples_history, seed {seed}, step {step}");
    let mut orders = Vec::new();
    let batch = current(store, 1);
    let (key, product) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
    let quantity = batch.column(2).as_primitive::<Float64Type>();
    for (row, (product, quantity)) in product.iter().zip(quantity).enumerate() {
        orders.push((key.value(row).to_owned(), (product.map(str::to_owned), quantity)));
    }
    orders.sort_by(|a, b| a.0.cmp(&b.0));
    let expected: Vec<_> = model
        .orders
        .iter()
        .filter(|(_, (_, deleted))| !deleted)
        .map(|(order, (row, _))| (order.clone(), row.clone()))
        .collect();
    assert_eq!(orders, expected, "orders, seed {seed}, step {step}");
    assert_eq!(history_count(store, 1), model.order_history, "orders_history, seed {seed}, step {step}");
}

/// Equipment, time and value of the newest row of each series, as a view says.
fn newest(snapshot: &Snapshot) -> Vec<(String, i64, f64)> {
    let rows = snapshot.tables[0].newest_of_series().unwrap();
    let column = |name: &str| rows.column_by_name(name).unwrap().clone();
    let equipment = arrow::compute::cast(&column("equipment"), &DataType::Utf8).unwrap();
    let (time, value) = (column("time"), column("value"));
    let (time, value) = (time.as_primitive::<TimestampMicrosecondType>(), value.as_primitive::<Float64Type>());
    let row = |row| (equipment.as_string::<i32>().value(row).to_owned(), time.value(row), value.value(row));
    (0..rows.num_rows()).map(row).collect()
}

fn newest_of(model: &Model) -> Vec<(String, i64, f64)> {
    let mut newest: BTreeMap<&str, (i64, f64)> = BTreeMap::new();
    for ((equipment, time), value) in &model.samples {
        newest.insert(equipment, (*time, *value));
    }
    newest.into_iter().map(|(equipment, (time, value))| (equipment.to_owned(), time, value)).collect()
}

/// After a compaction the plain files hold the current rows, each once, in segments that do not overlap.
fn check_files(store: &Store, model: &Model, seed: u64, step: usize) {
    let snapshot = store.snapshot();
    let segments = &snapshot.tables[0].segments;
    let mut rows: Vec<(String, i64)> = Vec::new();
    for segment in segments {
        let batch = segment.read().unwrap();
        let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
        let equipment = batch.column_by_name("equipment").unwrap().as_string::<i32>();
        let of_segment: Vec<_> =
            (0..batch.num_rows()).map(|row| (equipment.value(row).to_owned(), times.value(row))).collect();
        assert!(of_segment.is_sorted(), "{:?}, seed {seed}, step {step}", segment.path);
        let days: std::collections::BTreeSet<i64> = of_segment.iter().map(|row| row.1.div_euclid(DAY_US)).collect();
        assert_eq!(days.len(), 1, "{:?} has one day, seed {seed}, step {step}", segment.path);
        rows.extend(of_segment);
    }
    rows.sort();
    let expected: Vec<_> = model.samples.keys().cloned().collect();
    assert_eq!(rows, expected, "files, seed {seed}, step {step}");
    for (place, one) in segments.iter().enumerate() {
        for other in &segments[place + 1..] {
            let apart_in_time = one.max_time < other.min_time || other.max_time < one.min_time;
            let apart_in_key = one.max_key < other.min_key || other.max_key < one.min_key;
            assert!(apart_in_time || apart_in_key, "{:?} and {:?}, seed {seed}, step {step}", one.path, other.path);
        }
    }
}

/// Mostly one of a few days, sometimes one of many.
fn day(random: &mut StdRng) -> i64 {
    if random.random_bool(0.9) { random.random_range(0..3) } else { random.random_range(-60..60) * 100 }
}

fn run(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let mut model = Model::default();
    let mut random = StdRng::seed_from_u64(seed);
    let mut earlier = (store.snapshot(), newest_of(&model));
    for step in 0..40 {
        match random.random_range(0..10) {
            0..=3 => {
                let rows: Vec<(i64, String, f64)> = (0..random.random_range(1..20))
                    .map(|_| {
                        (
                            random.random_range(0..30) + day(&mut random) * DAY_US,
                            // Names that differ late: bounds of files must not be cut short.
                            format!("{}m{}", "long/".repeat(20), random.random_range(0..3)),
                            f64::from(random.random_range(0..3)),
                        )
                    })
                    .collect();
                let borrowed: Vec<_> = rows.iter().map(|row| (row.0, row.1.as_str(), row.2)).collect();
                store.append_and_wait(write(vec![sample_rows(&borrowed)])).unwrap();
                for (time, equipment, value) in &rows {
                    model.sample(equipment, *time, *value);
                }
            }
            4..=6 => {
                let order = format!("o{}", random.random_range(0..4));
                let product = [None, Some(None), Some(Some("a")), Some(Some("b"))][random.random_range(0..4)];
                let quantity = [None, Some(None), Some(Some(1.0)), Some(Some(2.0))][random.random_range(0..4)];
                let deleted = random.random_bool(0.15);
                store.append_and_wait(write(vec![order_row(&order, product, quantity, deleted)])).unwrap();
                model.order(&order, product, quantity, deleted);
            }
            7 => store.flush().unwrap(),
            8 => {
                store.compact().unwrap();
                check_files(&store, &model, seed, step);
            }
            _ => {
                if random.random_bool(0.5) {
                    store.close().unwrap();
                }
                drop(store);
                store = open(folder.path());
            }
        }
        check(&store, &model, seed, step);
        if random.random_bool(0.5) {
            let now = (store.snapshot(), newest_of(&model));
            assert_eq!(newest(&now.0), now.1, "newest rows, seed {seed}, step {step}");
            if let Some(files) = files_of(&earlier.0) {
                assert_eq!(newest(&files), earlier.1, "newest rows of an earlier view, seed {seed}, step {step}");
            }
            if random.random_bool(0.5) {
                earlier = now;
            }
        }
    }
}

/// A view, as long as all its files are there.
fn files_of(snapshot: &Arc<Snapshot>) -> Option<Arc<Snapshot>> {
    let segments = &snapshot.tables[0].segments;
    segments.iter().all(|segment| segment.path.exists()).then(|| snapshot.clone())
}

#[test]
fn random_histories_agree_with_plain_maps() {
    for seed in 0..40 {
        run(seed);
    }
}
