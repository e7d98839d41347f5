//! The demo plant's simulator through a real server. What SQL says is held against sums made of the same messages here,
//! in plain Rust that knows nothing of takt's decoding, keying and counting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde_json::{Map, Value};
use takt::demo::{Message, PLANT, Simulation};

use crate::harness::{Server, wait_for};
use crate::mqtt::Publisher;

/// 2026-03-02 05:00 UTC: the early shift begins in Cologne, and its first break three hours later.
const START_US: i64 = 1_772_427_600_000_000;
const HOUR_US: i64 = 3_600_000_000;
const HOURS: i64 = 3;
const END_US: i64 = START_US + HOURS * HOUR_US;
const SEED: u64 = 7;

/// The record tables that the line writes, and their keys.
const TABLES: [(&str, &[&str]); 5] = [
    ("operations", &["run"]),
    ("measurements", &["equipment", "characteristic", "time", "unit", "operation", "run", "piece"]),
    ("materials", &["event_id"]),
    ("units", &["unit"]),
    ("work_orders", &["work_order"]),
];

type Row = Vec<String>;

fn messages(seed: u64) -> Vec<Message> {
    let mut simulation = Simulation::new(seed, START_US).with_rate(2.0);
    // They carry no time: sent again, they would be new readings.
    simulation.set_bare_scalars(false);
    simulation.advance_to(END_US)
}

fn time_us(value: &Value) -> i64 {
    value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

/// A value in one form, whoever wrote it: times in microseconds, numbers as doubles.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => {
            text.parse::<jiff::Timestamp>().map_or_else(|_| text.clone(), |time| time.as_microsecond().to_string())
        }
        // Adding zero turns a negative zero into a plain one.
        Value::Number(number) => (number.as_f64().unwrap() + 0.0).to_string(),
        other => other.to_string(),
    }
}

/// A record table as its records, merged by key, leave it.
#[derive(Default)]
struct Table {
    rows: BTreeMap<Row, Map<String, Value>>,
    /// Versions that a later record changed.
    superseded: usize,
}

/// What the messages add up to.
#[derive(Default)]
struct Oracle {
    /// Values by (equipment, signal) and time.
    samples: BTreeMap<(String, String), BTreeMap<i64, f64>>,
    tables: BTreeMap<String, Table>,
}

impl Oracle {
    fn take(&mut self, messages: &[Message]) {
        for message in messages {
            let payload: Value = serde_json::from_slice(&message.payload).unwrap();
            let levels: Vec<&str> = message.topic.split('/').collect();
            match levels.as_slice() {
                ["takt", "records", table] => match payload {
                    Value::Array(records) => records.into_iter().for_each(|record| self.record(table, record)),
                    record => self.record(table, record),
                },
                ["plant", line, machine] => self.reading(&format!("cologne/{line}/{machine}"), "", "ts", payload),
                ["umh", "v1", place @ .., "_historian", tag] => {
                    self.reading(&place.join("/"), &format!("{tag}."), "timestamp_ms", payload);
                }
                _ => panic!("nobody expects {}", message.topic),
            }
        }
    }

    fn reading(&mut self, equipment: &str, prefix: &str, clock: &str, payload: Value) {
        let Value::Object(mut fields) = payload else { panic!("a reading is an object") };
        let time_us = fields.remove(clock).unwrap().as_i64().unwrap() * 1_000;
        for (name, value) in fields {
            let signal = (equipment.to_owned(), format!("{prefix}{name}"));
            self.samples.entry(signal).or_default().insert(time_us, value.as_f64().unwrap());
        }
    }

    fn record(&mut self, name: &str, record: Value) {
        let Value::Object(record) = record else { panic!("a record is an object") };
        let (_, key) = TABLES.iter().find(|(table, _)| *table == name).unwrap();
        let key: Row = key.iter().map(|column| plain(&record[*column])).collect();
        let table = self.tables.entry(name.to_owned()).or_default();
        let row = table.rows.entry(key).or_default();
        let before = row.clone();
        row.extend(record);
        let changed = !before.is_empty() && *row != before;
        table.superseded += usize::from(changed);
    }

    /// Count, newest time and newest value of each signal.
    fn signals(&self) -> Vec<Row> {
        let row = |((equipment, signal), values): (&(String, String), &BTreeMap<i64, f64>)| {
            let (time, value) = values.last_key_value().unwrap();
            vec![equipment.clone(), signal.clone(), values.len().to_string(), time.to_string(), value.to_string()]
        };
        self.samples.iter().map(row).collect()
    }

    /// Total, good, scrap and uncounted pieces of each station and hour, from its counters, which begin at zero.
    fn pieces(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let stations = self.samples.keys().filter(|(_, signal)| signal == "total").map(|(equipment, _)| equipment);
        for (station, hour) in stations.flat_map(|station| (0..HOURS).map(move |hour| (station, hour))) {
            let from = START_US + hour * HOUR_US;
            let made = ["total", "good", "scrap_"].map(|counters| {
                // Scrap is counted by reason.
                let here =
                    self.samples.iter().filter(|((place, signal), _)| place == station && signal.starts_with(counters));
                let until = |us: i64| -> f64 {
                    here.clone()
                        .map(|(_, readings)| readings.range(..us).next_back().map_or(0.0, |(_, value)| *value))
                        .sum()
                };
                (until(from + HOUR_US) - until(from)).to_string()
            });
            rows.push([vec![station.clone(), from.to_string()], made.to_vec(), vec!["0".to_owned()]].concat());
        }
        rows
    }

    /// The largest sample of a signal in each execution of a unit that has ended.
    fn largest(&self, station: &str, signal: &str) -> Vec<Row> {
        let samples = &self.samples[&(station.to_owned(), signal.to_owned())];
        let ended = self.tables["operations"]
            .rows
            .values()
            .filter(|row| row["equipment"] == station && row.contains_key("unit") && row.contains_key("completed"));
        let largest = ended.filter_map(|row| {
            let within = samples.range(time_us(&row["started"])..time_us(&row["completed"]));
            let value = within.map(|(_, value)| *value).max_by(f64::total_cmp)?;
            Some(vec![plain(&row["run"]), value.to_string()])
        });
        largest.collect()
    }

    /// How many samples of a station lie within the executions of each unit on it.
    fn samples_of_units(&self) -> Vec<Row> {
        let mut counts: BTreeMap<Row, usize> = BTreeMap::new();
        for execution in self.tables["operations"].rows.values().filter(|row| row.contains_key("unit")) {
            let span = time_us(&execution["started"])..execution.get("completed").map_or(i64::MAX, time_us);
            let equipment = execution["equipment"].as_str().unwrap();
            let signals = self.samples.iter().filter(|((place, _), _)| place == equipment);
            let within: usize = signals.map(|(_, values)| values.range(span.clone()).count()).sum();
            if within > 0 {
                let names = ["equipment", "unit", "operation", "work_order"].map(|name| plain(&execution[name]));
                *counts.entry(names.to_vec()).or_default() += within;
            }
        }
        counts.into_iter().map(|(names, count)| [names, vec![count.to_string()]].concat()).collect()
    }
}

fn rows(server: &Server, sql: &str) -> Vec<Row> {
    server.sql(sql).iter().map(|row| row.iter().map(plain).collect()).collect()
}

/// The same rows in any order; where not, some that differ.
fn same(what: &str, mut stored: Vec<Row>, mut expected: Vec<Row>) {
    stored.sort_unstable();
    expected.sort_unstable();
    let beyond = |these: &[Row], those: &[Row]| -> Vec<Row> {
        these.iter().filter(|row| those.binary_search(row).is_err()).take(3).cloned().collect()
    };
    assert!(
        stored == expected,
        "{what}: {} rows instead of {}; only stored: {:?}; only expected: {:?}",
        stored.len(),
        expected.len(),
        beyond(&stored, &expected),
        beyond(&expected, &stored)
    );
}

fn check_samples(server: &Server, oracle: &Oracle, when: &str) {
    let newest = "SELECT equipment, signal, count(*), max(time), last_value(value ORDER BY time) \
                  FROM samples GROUP BY equipment, signal";
    same(&format!("signals {when}"), rows(server, newest), oracle.signals());
    for row in server.sql("SELECT equipment, signal, sum(value) FROM samples GROUP BY equipment, signal") {
        let signal = (row[0].as_str().unwrap().to_owned(), row[1].as_str().unwrap().to_owned());
        let (sum, expected) = (row[2].as_f64().unwrap(), oracle.samples[&signal].values().sum::<f64>());
        let differs = (sum - expected).abs() / expected.abs().max(1.0);
        assert!(differs < 1e-9, "{signal:?} {when}: the sum is {sum}, not {expected}");
    }
    assert_eq!(server.number("SELECT count(*) FROM samples_history"), 0.0, "{when}: a repetition is no correction");
    assert_eq!(server.number("SELECT count(*) FROM quarantine"), 0.0, "{when}");
    let keyed = "SELECT equipment, unit, operation, work_order, count(*) FROM samples WHERE unit IS NOT NULL \
                 GROUP BY equipment, unit, operation, work_order";
    same(&format!("samples of units {when}"), rows(server, keyed), oracle.samples_of_units());
}

fn check_records(server: &Server, oracle: &Oracle, when: &str) {
    for (name, table) in &oracle.tables {
        let columns: BTreeSet<&String> = table.rows.values().flat_map(|row| row.keys()).collect();
        let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let cells = |row: &Map<String, Value>| -> Row {
            columns.iter().map(|column| plain(row.get(*column).unwrap_or(&Value::Null))).collect()
        };
        // What takt measures of signals itself nobody sent.
        let sent = "coalesce(recorded_by, '') <> 'takt'";
        let stored = rows(server, &format!("SELECT {} FROM {name} WHERE {sent}", quoted.join(", ")));
        same(&format!("{name} {when}"), stored, table.rows.values().map(cells).collect());
        let superseded = server.number(&format!("SELECT count(*) FROM {name}_history WHERE {sent}"));
        assert_eq!(superseded, table.superseded as f64, "versions in {name}_history {when}");
    }
}

fn check_pieces(server: &Server, oracle: &Oracle, when: &str) {
    let [from, to] = [START_US, END_US].map(|us| jiff::Timestamp::from_microsecond(us).unwrap());
    let hours = format!(
        "SELECT equipment, time, total, good, scrap, uncounted_pieces FROM oee('1 hour', '{from}', '{to}') \
         WHERE equipment LIKE 'cologne/line-1/%'"
    );
    same(&format!("pieces {when}"), rows(server, &hours), oracle.pieces());
}

/// Measured of the samples of each unit while it was pressed; the newest pieces are given their time.
fn check_curves(server: &Server, oracle: &Oracle, when: &str) {
    let expected = oracle.largest("cologne/line-1/press", "force");
    assert!(expected.len() > 100, "{} units", expected.len());
    let sql = "SELECT run, value FROM measurements WHERE characteristic = 'press_peak_force' AND recorded_by = 'takt'";
    wait_for("all units to be measured", Duration::from_secs(30), || {
        (rows(server, sql).len() == expected.len()).then_some(())
    });
    same(&format!("curves {when}"), rows(server, sql), expected);
}

fn check(server: &Server, oracle: &Oracle, when: &str) {
    check_curves(server, oracle, when);
    check_samples(server, oracle, when);
    check_records(server, oracle, when);
    check_pieces(server, oracle, when);
}

fn publish(server: &Server, messages: &[Message]) {
    let mut publisher = Publisher::connect(server.mqtt, "line-1").unwrap();
    for (number, message) in (0..).zip(messages) {
        publisher.publish(&message.topic, &message.payload, number).unwrap();
        assert!(publisher.drain(1_000), "the connection broke");
    }
    assert!(publisher.drain(0), "the connection broke");
    assert_eq!(publisher.acknowledged.len(), messages.len());
}

#[test]
fn a_seed_and_a_start_give_the_same_bytes_again() {
    let first = messages(SEED);
    assert!(first == messages(SEED), "the same seed gave other messages");
    assert!(first != messages(SEED + 1), "the seed changes nothing");
}

/// Sent again, a record that was changed meanwhile ("in process" of a packed unit) is a correction, and its successor
/// another; everything else is a repetition and changes nothing. The oracle says how many versions that makes.
#[test]
fn sql_says_what_the_plants_messages_add_up_to_however_often_they_come() {
    let messages = messages(SEED);
    assert!((20_000..60_000).contains(&messages.len()), "{} messages", messages.len());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), PLANT).unwrap();
    let mut server = Server::start(folder.path());
    let mut oracle = Oracle::default();
    let mut send = |server: &Server, messages: &[Message], when: &str| {
        publish(server, messages);
        oracle.take(messages);
        check(server, &oracle, when);
        oracle.tables["units"].superseded
    };
    let once = send(&server, &messages, "sent once");
    let twice = send(&server, &messages, "sent twice");
    assert!(twice > once, "no unit changed its status again");
    server.stop();
    server = Server::start(folder.path());
    send(&server, &[], "in segments");
    send(&server, &messages[..5_000], "sent once more, what is there being in segments");

    assert_eq!(oracle.tables.len(), TABLES.len());
    assert_eq!(oracle.pieces().len() as i64, 6 * HOURS);
    assert!(oracle.pieces().iter().any(|row| row[4] != "0"), "nothing was scrapped, so nothing was checked");
    assert!(oracle.samples_of_units().len() > 1_000, "few units had samples");
}
