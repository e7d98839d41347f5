use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use storage::{Rows, Write};

use super::*;
use crate::fixture::Fixture;
use crate::sample::{self, Keys, Sample};

const SECOND_US: i64 = oee::SECOND_US;
const DEVIATION: f64 = 0.5;
const MAX_INTERVAL_US: i64 = 10 * SECOND_US;
const SIGNALS: [&str; 4] = ["exact", "stepped", "sloped", "lively"];
const PLANT: &str = r#"
[[signals]]
equipment = "cologne"
signal = "stepped"
compression = { method = "dead_band", deviation = 0.5 }
[[signals]]
equipment = "cologne"
signal = "sloped"
compression = { method = "swinging_door", deviation = 0.5 }
[[signals]]
equipment = "cologne/press"
signal = "lively"
compression = { method = "swinging_door", deviation = 0.5, max_interval_s = 10 }
"#;

type Key = (&'static str, i64);

#[derive(Debug, Clone, PartialEq)]
struct Row {
    value: Option<f64>,
    text: Option<String>,
    quality: i64,
    unit: Option<String>,
}

impl Row {
    fn good(value: f64) -> Self {
        Self { value: Some(value), text: None, quality: sample::GOOD, unit: None }
    }

    /// What no stretch goes on over.
    fn belongs(&self) -> (Option<&str>, i64) {
        (self.unit.as_deref(), self.quality)
    }

    fn is_compressible(&self) -> bool {
        self.quality == sample::GOOD && self.text.is_none() && self.value.is_some_and(f64::is_finite)
    }
}

fn put(fixture: &Fixture, rows: &[(Key, Row)]) {
    let store = fixture.intake.store();
    let table = table_index(SAMPLES.name).unwrap();
    let mut samples = sample::Samples::default();
    for ((signal, time), row) in rows {
        let keys = Keys { unit: row.unit.as_deref(), ..Keys::default() };
        let (text, value, quality) = (row.text.as_deref(), row.value, row.quality);
        samples.push(&Sample { time: *time, equipment: "cologne/press", signal, value, text, quality, keys });
    }
    let batch = samples.finish(Arc::clone(store.memory_schema(table).unwrap())).unwrap();
    let rows = vec![Rows { table, batch, present: None, deleted: vec![] }];
    store.append_and_wait(Write { rows, by: "test".into(), patient: false }).unwrap();
}

fn stored(fixture: &Fixture) -> BTreeMap<Key, Row> {
    let rows = fixture.rows("samples");
    let column = |name: &str, kind| column(&rows, name, &kind).unwrap();
    let (signals, times) = (column("signal", DataType::Utf8), column("time", DataType::Int64));
    let (values, texts) = (column("value", DataType::Float64), column("text", DataType::Utf8));
    let (qualities, units) = (column("quality", DataType::Int64), column("unit", DataType::Utf8));
    let text = |column: &ArrayRef, row: usize| {
        let column = column.as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let one = |row: usize| {
        let values = values.as_primitive::<Float64Type>();
        let signal = SIGNALS.into_iter().find(|&signal| signal == signals.as_string::<i32>().value(row)).unwrap();
        let found = Row {
            value: values.is_valid(row).then(|| values.value(row)),
            text: text(&texts, row),
            quality: qualities.as_primitive::<Int64Type>().value(row),
            unit: text(&units, row),
        };
        ((signal, times.as_primitive::<Int64Type>().value(row)), found)
    };
    (0..rows.num_rows()).map(one).collect()
}

type Samples = BTreeMap<Key, Row>;

/// What was sent.
#[derive(Default)]
struct Sent {
    all: Samples,
    /// Since the last flush.
    pending: Samples,
    /// Those of them that take the place of another version.
    corrections: BTreeSet<Key>,
    left_out: BTreeMap<&'static str, usize>,
    corrected: usize,
}

impl Sent {
    fn flush(&mut self, fixture: &Fixture, seed: u64) {
        fixture.intake.store().flush().unwrap();
        let mut kept = stored(fixture);
        kept.retain(|key, _| self.pending.contains_key(key));
        check(&self.pending, &kept, seed);
        for key in self.pending.keys().filter(|key| !kept.contains_key(key)) {
            assert!(!self.corrections.contains(key), "{key:?} is a correction, seed {seed}");
            *self.left_out.entry(key.0).or_default() += 1;
        }
        self.corrected += self.corrections.len();
        self.pending.clear();
        self.corrections.clear();
    }
}

struct Sender {
    random: StdRng,
    /// Where the time of each signal is, and its value.
    now: BTreeMap<&'static str, (i64, f64)>,
}

impl Sender {
    fn row(&mut self, signal: &'static str) -> (Key, Row) {
        let Self { random, now } = self;
        let (time, value) = now.entry(signal).or_insert((0, 0.0));
        *time += random.random_range(1..3 * SECOND_US);
        *value += random.random_range(-0.3..0.3) + if random.random_bool(0.03) { 5.0 } else { 0.1 };
        let mut row = Row::good(*value);
        row.unit = Some(format!("U{}", *time / (40 * SECOND_US))).filter(|_| *time / (20 * SECOND_US) % 2 == 0);
        match random.random_range(0..60) {
            0 => row.value = None,
            1 => row.value = Some(f64::INFINITY),
            2 => row.quality = sample::BAD,
            3 => row.text = Some("7".into()),
            // Good, with a reason.
            4 => row.quality = 0x0096_0000,
            _ => {}
        }
        ((signal, *time), row)
    }
}

/// Sends, flushes, and sends late and again: far back where `late`, else only what is not flushed yet.
fn send(fixture: &Fixture, seed: u64, late: bool) -> Sent {
    let mut sender = Sender { random: StdRng::seed_from_u64(seed), now: BTreeMap::new() };
    let (mut sent, mut flushed) = (Sent::default(), BTreeMap::new());
    for _ in 0..40 {
        let mut rows = Vec::new();
        for _ in 0..sender.random.random_range(1..20) {
            let signal = SIGNALS[sender.random.random_range(0..SIGNALS.len())];
            rows.push(sender.row(signal));
        }
        for signal in SIGNALS {
            let from = if late { 0 } else { flushed.get(signal).copied().unwrap_or(0) };
            let to = sender.now.get(signal).map_or(0, |now| now.0);
            if to <= from {
                continue;
            }
            let time = sender.random.random_range(from + 1..=to);
            let again = sent.all.range((signal, time)..(signal, to)).next().map(|(key, _)| *key);
            let (late, again) = (sender.random.random_bool(0.3).then_some((signal, time)), again);
            let again = again.filter(|_| sender.random.random_bool(0.2));
            for key in late.into_iter().chain(again) {
                rows.push((key, Row::good(sender.random.random_range(-5.0..5.0))));
            }
        }
        let mut there = stored(fixture);
        for (key, row) in &rows {
            if there.insert(*key, row.clone()).is_some() {
                sent.corrections.insert(*key);
            }
            sent.pending.insert(*key, row.clone());
            sent.all.insert(*key, row.clone());
        }
        put(fixture, &rows);
        if sender.random.random_bool(0.3) {
            sent.flush(fixture, seed);
            flushed = sender.now.iter().map(|(signal, now)| (*signal, now.0)).collect();
        }
    }
    sent.flush(fixture, seed);
    sent
}

/// The number that samples kept give for the time of one left out.
fn given_back(signal: &str, time: i64, before: (i64, f64), after: (i64, f64)) -> f64 {
    if signal == "stepped" {
        return before.1;
    }
    before.1 + (after.1 - before.1) * (time - before.0) as f64 / (after.0 - before.0) as f64
}

/// Those of `sent` that are not among the `kept` are given back by these.
fn check(sent: &Samples, kept: &Samples, seed: u64) {
    for (key, row) in kept {
        assert_eq!(row, &sent[key], "{key:?}, seed {seed}");
    }
    for (key, row) in sent.iter().filter(|(key, _)| !kept.contains_key(key)) {
        let &(signal, time) = key;
        assert!(row.is_compressible(), "{key:?} {row:?}, seed {seed}");
        let before = kept.range((signal, i64::MIN)..*key).next_back();
        let after = kept.range(*key..(signal, i64::MAX)).next();
        let (before, after) = before.zip(after).unwrap_or_else(|| panic!("{key:?} is at an end, seed {seed}"));
        for (_, end) in [before, after] {
            assert_eq!(end.belongs(), row.belongs(), "{key:?}, seed {seed}");
        }
        let number = |(key, row): (&Key, &Row)| (key.1, row.value.unwrap());
        let error = (given_back(signal, time, number(before), number(after)) - row.value.unwrap()).abs();
        assert!(error <= DEVIATION * (1.0 + 1e-9), "{key:?}: {error}, seed {seed}");
        assert!(signal != "lively" || time - before.0.1 <= MAX_INTERVAL_US, "{key:?} {before:?}, seed {seed}");
    }
}

fn thinned(late: bool) {
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut all, mut corrected) = (0, 0);
    for seed in 0..12 {
        let fixture = Fixture::of_plant(PLANT);
        let sent = send(&fixture, seed, late);
        let (rows, store) = (stored(&fixture), fixture.intake.store());
        if !late {
            check(&sent.all, &rows, seed);
        }
        assert_eq!(store.health().thinned_rows, sent.left_out.values().sum::<usize>() as u64, "seed {seed}");
        store.compact().unwrap();
        assert_eq!(stored(&fixture), rows, "a merge leaves nothing out, seed {seed}");
        for (signal, count) in sent.left_out {
            *left_out.entry(signal).or_default() += count;
        }
        all += sent.all.len();
        corrected += sent.corrected;
    }
    assert_eq!(left_out.keys().copied().collect::<Vec<_>>(), ["lively", "sloped", "stepped"], "and no other");
    assert!(left_out.values().sum::<usize>() > all / 10, "{left_out:?} of {all}");
    assert!(corrected > 50, "{corrected}");
}

#[test]
fn what_is_left_out_is_given_back_within_the_deviation() {
    thinned(false);
}

/// What came before or after its flush may lie between a sample left out and the neighbours that give it back.
#[test]
fn late_samples_and_corrections_keep_to_the_deviation_within_their_flush() {
    thinned(true);
}

#[test]
fn everything_is_there_until_the_flush_and_a_unit_keeps_its_ends() {
    let fixture = Fixture::of_plant(PLANT);
    let unit = |second: i64| Some(format!("U{}", second / 10));
    let rows: Vec<(Key, Row)> = (0..30)
        .flat_map(|second| {
            let row = Row { unit: unit(second), ..Row::good(1.0) };
            SIGNALS.map(|signal| ((signal, second * SECOND_US), row.clone()))
        })
        .collect();
    put(&fixture, &rows);
    assert_eq!(stored(&fixture).len(), 120);
    fixture.intake.store().flush().unwrap();
    let stored = stored(&fixture);
    let seconds = |wanted: &str| -> Vec<i64> {
        stored.keys().filter(|(signal, _)| *signal == wanted).map(|(_, time)| time / SECOND_US).collect()
    };
    assert_eq!(seconds("exact"), (0..30).collect::<Vec<_>>());
    for signal in ["stepped", "sloped", "lively"] {
        assert_eq!(seconds(signal), [0, 9, 10, 19, 20, 29], "{signal}");
    }
    assert_eq!(fixture.intake.store().health().thinned_rows, 72);
}
