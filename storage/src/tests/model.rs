//! Random writes, flushes and restarts: the store must always say what the maps say.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::Snapshot;

const DAY_US: i64 = 86_400_000_000;

/// Product and quantity.
type Order = (Option<String>, Option<f64>);

/// What a store should hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    samples: BTreeMap<(String, i64), f64>,
    sample_history: Vec<(String, i64, f64)>,
    orders: BTreeMap<String, (Order, bool)>,
    order_history: Vec<(String, Order)>,
}

/// What a store, or a model, says of everything in it: in order, so that equal answers are equal.
#[derive(Debug, PartialEq)]
pub(super) struct Answers {
    samples: Vec<(String, i64, f64)>,
    sample_history: Vec<(String, i64, f64)>,
    orders: Vec<(String, Order)>,
    /// Nobody sees these, but what is told of them later has them as its older version.
    retracted: Vec<(String, Order)>,
    order_history: Vec<(String, Order)>,
}

impl Model {
    pub(super) fn sample(&mut self, equipment: &str, time: i64, value: f64) {
        if let Some(older) = self.samples.insert((equipment.to_owned(), time), value)
            && older != value
        {
            self.sample_history.push((equipment.to_owned(), time, older));
        }
    }

    pub(super) fn order(
        &mut self,
        order: &str,
        product: Option<Option<&str>>,
        quantity: Option<Option<f64>>,
        deleted: bool,
    ) {
        let older = self.orders.get(order).cloned();
        let base = match &older {
            // What is retracted already stays as it was.
            Some((_, true)) if deleted => return,
            Some((row, false)) => row.clone(),
            _ => (None, None),
        };
        let row = match (&older, deleted) {
            (Some(_), true) => base,
            _ => (product.map_or(base.0, |product| product.map(str::to_owned)), quantity.unwrap_or(base.1)),
        };
        let new = (row, deleted);
        if let Some(older) = older.filter(|older| *older != new) {
            self.order_history.push((order.to_owned(), older.0));
        }
        self.orders.insert(order.to_owned(), new);
    }

    pub(super) fn answers(&self) -> Answers {
        let samples = self.samples.iter().map(|((equipment, time), value)| (equipment.clone(), *time, *value));
        let orders = |retracted: bool| {
            let orders = self.orders.iter().filter(move |(_, (_, deleted))| *deleted == retracted);
            orders.map(|(order, (row, _))| (order.clone(), row.clone())).collect()
        };
        Answers {
            samples: samples.collect(),
            sample_history: in_order(self.sample_history.clone()),
            orders: orders(false),
            retracted: orders(true),
            order_history: in_order(self.order_history.clone()),
        }
    }

    /// Whether a store may say this: all of it, save that samples before `limit` may have left, each by itself.
    pub(super) fn allows(&self, found: &Answers, limit: i64) -> bool {
        let all = self.answers();
        found.orders == all.orders
            && found.retracted == all.retracted
            && found.order_history == all.order_history
            && is_part(&found.samples, &all.samples, limit)
            && is_part(&found.sample_history, &all.sample_history, limit)
    }

    /// Forgets samples before `limit` that have left, as is seen by what was found: they must not come back.
    pub(super) fn let_go(&mut self, found: &Answers, limit: i64) {
        let is_there: BTreeSet<(&str, i64)> = found.samples.iter().map(|row| (row.0.as_str(), row.1)).collect();
        self.samples.retain(|(equipment, time), _| *time >= limit || is_there.contains(&(equipment, *time)));
        self.sample_history.retain(|row| row.1 >= limit);
        self.sample_history.extend(found.sample_history.iter().filter(|row| row.1 < limit).cloned());
    }

    /// All samples before `limit` have left.
    pub(super) fn forget(&mut self, limit: i64) {
        self.samples.retain(|(_, time), _| *time >= limit);
        self.sample_history.retain(|row| row.1 >= limit);
    }
}

/// Whether `found` is `all` but for rows before `limit`; both are in order.
fn is_part(found: &[(String, i64, f64)], all: &[(String, i64, f64)], limit: i64) -> bool {
    let mut found = found.iter().peekable();
    all.iter().all(|row| found.next_if_eq(&row).is_some() || row.1 < limit) && found.next().is_none()
}

impl Answers {
    /// Of a store with both tables or one of them.
    pub(super) fn of(store: &Store) -> Self {
        let history = |table: usize| {
            let snapshot = store.snapshot();
            let view = &snapshot.tables[table];
            let flushed = view.history.iter().map(|segment| segment.read().unwrap());
            flushed.chain([view.pending_history().unwrap()]).collect::<Vec<_>>()
        };
        let (samples, orders) = (store.table("samples"), store.table("orders"));
        let (sample_history, order_history) = (samples.map(history), orders.map(history));
        Self {
            samples: in_order(samples.map(|table| samples_in(&current(store, table))).unwrap_or_default()),
            sample_history: in_order(sample_history.iter().flatten().flat_map(samples_in).collect()),
            orders: in_order(orders.map(|table| orders_in(&current(store, table))).unwrap_or_default()),
            retracted: in_order(orders.map(|table| retracted_in(store, table)).unwrap_or_default()),
            order_history: in_order(order_history.iter().flatten().flat_map(orders_in).collect()),
        }
    }
}

fn in_order<T: PartialOrd>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort_by(|one, other| one.partial_cmp(other).unwrap());
    rows
}

fn samples_in(rows: &RecordBatch) -> Vec<(String, i64, f64)> {
    let column = |name: &str| rows.column_by_name(name).unwrap().clone();
    let equipment = arrow::compute::cast(&column("equipment"), &DataType::Utf8).unwrap();
    let (time, value) = (column("time"), column("value"));
    let (time, value) = (time.as_primitive::<TimestampMicrosecondType>(), value.as_primitive::<Float64Type>());
    let row = |row| (equipment.as_string::<i32>().value(row).to_owned(), time.value(row), value.value(row));
    (0..rows.num_rows()).map(row).collect()
}

fn orders_in(rows: &RecordBatch) -> Vec<(String, Order)> {
    let text = |name: &str| arrow::compute::cast(rows.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    let (order, product, quantity) = (text("order"), text("product"), rows.column_by_name("quantity").unwrap());
    let values = product.as_string::<i32>().iter().zip(quantity.as_primitive::<Float64Type>());
    let rows = order.as_string::<i32>().iter().zip(values);
    rows.map(|(order, (product, quantity))| (order.unwrap().to_owned(), (product.map(str::to_owned), quantity)))
        .collect()
}

fn retracted_in(store: &Store, table: usize) -> Vec<(String, Order)> {
    let newest = store.snapshot().tables[table].newest().unwrap();
    let retracted = |rows: &RecordBatch| {
        let deleted = rows.column_by_name(crate::spec::DELETED)?.as_boolean().clone();
        Some(orders_in(&arrow::compute::filter_record_batch(rows, &deleted).unwrap()))
    };
    newest.iter().filter_map(retracted).flatten().collect()
}

fn check(store: &Store, model: &Model, seed: u64, step: usize) {
    assert_eq!(Answers::of(store), model.answers(), "seed {seed}, step {step}");
}

/// Equipment, time and value of the newest row of each series, as a view says.
fn newest(snapshot: &Snapshot) -> Vec<(String, i64, f64)> {
    samples_in(&snapshot.tables[0].newest_of_series().unwrap())
}

fn newest_of(model: &Model) -> Vec<(String, i64, f64)> {
    let mut newest: BTreeMap<&str, (i64, f64)> = BTreeMap::new();
    for ((equipment, time), value) in &model.samples {
        newest.insert(equipment, (*time, *value));
    }
    newest.into_iter().map(|(equipment, (time, value))| (equipment.to_owned(), time, value)).collect()
}

/// After a compaction the plain files hold the current rows, each once, in segments that do not overlap.
pub(super) fn check_plain_files(store: &Store, model: &Model) {
    let snapshot = store.snapshot();
    let Some(samples) = snapshot.table("samples") else { return };
    let segments = &samples.segments;
    let mut rows: Vec<(String, i64)> = Vec::new();
    for segment in segments {
        let of_segment: Vec<_> =
            samples_in(&segment.read().unwrap()).into_iter().map(|(equipment, time, _)| (equipment, time)).collect();
        assert!(of_segment.is_sorted(), "{:?}", segment.path);
        let days: BTreeSet<i64> = of_segment.iter().map(|row| row.1.div_euclid(DAY_US)).collect();
        assert_eq!(days.len(), 1, "{:?} has one day", segment.path);
        rows.extend(of_segment);
    }
    rows.sort();
    let expected: Vec<_> = model.samples.keys().cloned().collect();
    assert_eq!(rows, expected, "plain files");
    for (place, one) in segments.iter().enumerate() {
        for other in &segments[place + 1..] {
            let apart_in_time = one.max_time < other.min_time || other.max_time < one.min_time;
            let apart_in_key = one.max_key < other.min_key || other.max_key < one.min_key;
            assert!(apart_in_time || apart_in_key, "{:?} and {:?}", one.path, other.path);
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
                check_plain_files(&store, &model);
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
