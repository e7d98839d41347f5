//! Rows that a flush leaves out: gone from then on, and nothing else is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Mutex;

use arrow::array::BooleanArray;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::Transform;

type Key = (String, i64);

/// Leaves out what it may, in two cases of three, and remembers it.
struct Sieve {
    random: Mutex<StdRng>,
    left_out: Mutex<Vec<Key>>,
    offered: Mutex<HashSet<Key>>,
}

impl Sieve {
    fn new(seed: u64) -> Arc<Self> {
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        Arc::new(Self { random, left_out: Mutex::default(), offered: Mutex::default() })
    }
}

fn keys(rows: &RecordBatch) -> Vec<Key> {
    let times = rows.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
    let equipment = arrow::compute::cast(rows.column_by_name("equipment").unwrap(), &DataType::Utf8).unwrap();
    let equipment = equipment.as_string::<i32>();
    (0..rows.num_rows()).map(|row| (equipment.value(row).to_owned(), times.value(row))).collect()
}

impl Transform for Sieve {
    fn apply(&self, _table: usize, batch: RecordBatch) -> Result<RecordBatch, StoreError> {
        Ok(batch)
    }

    fn watermark(&self) -> i64 {
        0
    }

    fn keep(
        &self,
        table: usize,
        rows: &RecordBatch,
        replaces: &BooleanArray,
    ) -> Result<Option<BooleanArray>, StoreError> {
        if table != 0 {
            return Ok(None);
        }
        let keys = keys(rows);
        assert!(keys.is_sorted(), "a flush is in key order");
        let mut random = self.random.lock().unwrap();
        let mut kept = Vec::new();
        for (row, key) in keys.iter().enumerate() {
            let last = keys.get(row + 1).is_none_or(|next| next.0 != key.0);
            let keep = last || replaces.value(row) || random.random_bool(0.33);
            if !keep {
                self.left_out.lock().unwrap().push(key.clone());
            }
            if !replaces.value(row) {
                self.offered.lock().unwrap().insert(key.clone());
            }
            kept.push(keep);
        }
        Ok(Some(BooleanArray::from(kept)))
    }
}

fn run(seed: u64) -> (u64, usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let sieve = Sieve::new(seed);
    let opened = || {
        let store = open(folder.path());
        store.set_transform(sieve.clone());
        store
    };
    let mut store = opened();
    let (mut there, mut history): (BTreeMap<Key, f64>, usize) = (BTreeMap::new(), 0);
    let (mut thinned, mut counted, mut corrected) = (0, 0, 0);
    for step in 0..60 {
        let mut settled = true;
        match random.random_range(0..8) {
            0..=4 => {
                let rows: Vec<(i64, &str, f64)> = (0..random.random_range(1..20))
                    .map(|_| {
                        let equipment = ["a", "b"][random.random_range(0..2)];
                        (random.random_range(0..60), equipment, f64::from(random.random_range(0..3)))
                    })
                    .collect();
                store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
                for (time, equipment, value) in rows {
                    let older = there.insert((equipment.to_owned(), time), value);
                    let corrects = older.is_some_and(|older| older != value);
                    history += usize::from(corrects);
                    corrected += usize::from(corrects);
                }
                settled = false;
            }
            5 => store.flush().unwrap(),
            6 => {
                store.compact().unwrap();
            }
            _ => {
                store.close().unwrap();
                counted += store.health().thinned_rows;
                drop(store);
                store = opened();
            }
        }
        if settled {
            let left_out: BTreeSet<Key> = sieve.left_out.lock().unwrap().drain(..).collect();
            for key in left_out {
                assert!(there.remove(&key).is_some(), "{key:?} is left out twice, seed {seed}, step {step}");
                thinned += 1;
            }
        }
        let expected: Vec<_> = there.iter().map(|((name, time), value)| (name.clone(), *time, *value)).collect();
        assert_eq!(sample_values(&store), expected, "seed {seed}, step {step}");
        assert_eq!(history_count(&store, 0), history, "seed {seed}, step {step}");
        let newest: BTreeMap<&str, i64> = there.keys().map(|(name, time)| (name.as_str(), *time)).collect();
        let found = keys(&store.snapshot().tables[0].newest_of_series().unwrap());
        let found: BTreeMap<&str, i64> = found.iter().map(|(name, time)| (name.as_str(), *time)).collect();
        assert_eq!(found, newest, "seed {seed}, step {step}");
        assert_eq!(counted + store.health().thinned_rows, thinned, "seed {seed}, step {step}");
    }
    (thinned, corrected)
}

#[test]
fn what_a_flush_leaves_out_is_gone_and_nothing_else() {
    let (mut thinned, mut corrected) = (0, 0);
    for seed in 0..8 {
        let (rows, corrections) = run(seed);
        thinned += rows;
        corrected += corrections;
    }
    assert!(thinned > 200 && corrected > 200, "{thinned} left out, {corrected} corrected");
}

/// A correction may be all that a flush has, or may be found to be one only after the history was written.
#[test]
fn a_correction_stays_whatever_the_transform_thinks_of_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0), (2, "a", 1.0), (9, "a", 1.0)])])).unwrap();
    store.flush().unwrap();
    let sieve = Sieve::new(1);
    store.set_transform(sieve.clone());
    // In a segment; then twice within one flush, and back to what the segment has.
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 2.0), (5, "a", 1.0)])])).unwrap();
    store.append_and_wait(write(vec![sample_rows(&[(2, "a", 2.0), (5, "a", 2.0), (8, "a", 1.0)])])).unwrap();
    store.append_and_wait(write(vec![sample_rows(&[(2, "a", 1.0)])])).unwrap();
    store.flush().unwrap();
    let offered: Vec<i64> = sieve.offered.lock().unwrap().iter().map(|key| key.1).collect();
    assert_eq!(offered, [8], "all others replace a version");
    let expected: Vec<_> =
        [(1, 2.0), (2, 1.0), (5, 2.0), (8, 1.0), (9, 1.0)].map(|(t, v)| ("a".to_owned(), t, v)).into();
    assert_eq!(sample_values(&store), expected);
}
