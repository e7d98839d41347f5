//! Figures of signals in SQL, through a real server: the golden aggregates, and each function once, whether the samples
//! are in memory, in segments or in merged ones.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{Server, output, python, root};

const PRESS: &str = "cologne/line-1/press";
/// 2025-01-06 00:00 UTC, milliseconds. A Monday: every width of the golden cases has an edge there.
const MONDAY_MS: i64 = 1_736_121_600_000;

/// Name in the golden file, the column, what the columns of status and time begin with, and units of the file in one of ours.
type Aggregate = (&'static str, &'static str, Option<&'static str>, f64);

const AGGREGATES: [Aggregate; 14] = [
    ("Interpolative", "interpolative", Some("interpolative"), 1.0),
    ("Average", "average", Some("average"), 1.0),
    ("TimeAverage", "time_average", Some("time_average"), 1.0),
    ("TimeAverage2", "time_average2", Some("time_average2"), 1.0),
    ("Minimum", "minimum", Some("minimum"), 1.0),
    ("Maximum", "maximum", Some("maximum"), 1.0),
    ("Count", "count", Some("count"), 1.0),
    ("Delta", "delta", Some("delta"), 1.0),
    ("Start", "start_value", Some("start"), 1.0),
    ("End", "end_value", Some("end"), 1.0),
    ("StartBound", "start_bound", Some("start_bound"), 1.0),
    ("EndBound", "end_bound", Some("end_bound"), 1.0),
    ("DurationGood", "duration_good_s", None, 1_000.0),
    ("PercentGood", "percent_good", None, 1.0),
];

fn post(server: &Server, samples: Vec<Value>) {
    let count = samples.len();
    let (status, body) = server.post("/api/v1/samples", Value::Array(samples).to_string());
    assert_eq!((status, body), (200, json!({ "accepted": count }).to_string()));
}

fn sample(signal: &str, ms: i64, value: impl Into<Value>, quality: u32) -> Value {
    json!({"equipment": PRESS, "signal": signal, "time": ms, "value": value.into(), "quality": quality})
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

/// The same time as an answer has it.
fn shown(ms: i64) -> String {
    format!("{:.6}", jiff::Timestamp::from_millisecond(ms).unwrap())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn quality(status: &Value) -> u32 {
    match status.as_str() {
        Some("Good") => 0,
        Some("Uncertain") => 0x4000_0000,
        Some("Bad") => 0x8000_0000,
        other => panic!("no status: {other:?}"),
    }
}

/// Asks while the samples are in memory, then in segments, then merged.
fn in_every_place(folder: &std::path::Path, fill: impl Fn(&Server), check: impl Fn(&Server, &str)) {
    let mut server = Server::start(folder);
    fill(&server);
    check(&server, "in memory");
    server.stop();
    let server = Server::start(folder);
    check(&server, "in segments");
    let (status, body) = server.post("/api/v1/compact", "");
    assert!(status == 200 && body.contains("done"), "{status} {body}");
    check(&server, "merged");
}

fn golden_cases() -> Vec<Value> {
    let content = fs::read_to_string(root().join("oee/tests/golden/aggregates.json")).unwrap();
    let golden: Value = serde_json::from_str(&content).unwrap();
    list(&golden["cases"]).to_vec()
}

/// The rows that a statement gives, by the names of their columns.
fn reports(server: &Server, sql: &str) -> Vec<BTreeMap<String, Value>> {
    let (status, body) = server.post("/api/v1/sql?format=json", sql);
    assert_eq!(status, 200, "{sql}: {body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let names: Vec<&str> = list(&answer["columns"]).iter().map(|column| column["name"].as_str().unwrap()).collect();
    let report = |row: &Value| names.iter().map(|name| (*name).to_owned()).zip(list(row).iter().cloned()).collect();
    list(&answer["rows"]).iter().map(report).collect()
}

fn check_case(server: &Server, place: &str, signal: &str, case: &Value) -> usize {
    let (id, input) = (&case["id"], &case["input"]);
    let ms = |name: &str| input[name].as_i64().unwrap();
    let word = if input["stepped"] == true { "stepped" } else { "sloped" };
    let uncertain = if input["treat_uncertain_as_bad"] == true { "" } else { ", 'use_uncertain'" };
    let (interval, from, to) = (ms("interval"), time(MONDAY_MS + ms("start")), time(MONDAY_MS + ms("end")));
    let found = reports(
        server,
        &format!(
            "SELECT * FROM aggregates('{interval} milliseconds', '{word}'{uncertain}) \
             WHERE time >= '{from}' AND time < '{to}' AND equipment = '{PRESS}' AND signal = '{signal}' ORDER BY time"
        ),
    );
    let expected = list(&case["expected"]);
    assert_eq!(found.len(), expected.len(), "{place} {id}");
    for (report, wanted) in found.iter().zip(expected) {
        for name in ["start", "end"] {
            let column = if name == "start" { "time" } else { "end" };
            let edge = shown(MONDAY_MS + wanted[name].as_i64().unwrap());
            assert_eq!(report[column], json!(edge), "{place} {id} {column}");
        }
        for aggregate in AGGREGATES {
            let place = format!("{place} {id} {} {}", wanted["start"], aggregate.0);
            check_figure(&place, report, aggregate, &wanted[aggregate.0]);
        }
    }
    expected.len() * AGGREGATES.len()
}

/// Values to 1e-9, statuses and times exactly.
fn check_figure(place: &str, report: &BTreeMap<String, Value>, aggregate: Aggregate, wanted: &Value) {
    let (_, column, base, scale) = aggregate;
    let (found, expected) = (report[column].as_f64().map(|value| value * scale), wanted["value"].as_f64());
    assert_eq!(found.is_some(), expected.is_some(), "{place}: {found:?}, not {wanted}");
    if let (Some(found), Some(expected)) = (found, expected) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{place}: {found}, not {expected}");
    }
    let Some(base) = base else { return };
    assert_eq!(report[&format!("{base}_status")], wanted["status"], "{place}");
    let time = report.get(&format!("{base}_time")).cloned().unwrap_or(Value::Null);
    let expected = wanted["time"].as_i64().map_or(Value::Null, |ms| json!(shown(MONDAY_MS + ms)));
    assert_eq!(time, expected, "{place}");
}

#[test]
fn golden_aggregates() {
    let folder = tempfile::tempdir().unwrap();
    let cases = golden_cases();
    let fill = |server: &Server| {
        for (number, case) in cases.iter().enumerate() {
            let signal = format!("golden{number}");
            let one =
                |row: &Value| sample(&signal, MONDAY_MS + row[0].as_i64().unwrap(), row[1].clone(), quality(&row[2]));
            post(server, list(&case["input"]["samples"]).iter().map(one).collect());
        }
    };
    in_every_place(folder.path(), fill, |server, place| {
        let check = |(number, case): (usize, &Value)| check_case(server, place, &format!("golden{number}"), case);
        let checked: usize = cases.iter().enumerate().map(check).sum();
        assert!(checked > 1_000, "{place}: {checked}");
    });
}

/// An hour of one value a minute, 0 to 59; a counter that starts again; and a state that changes twice.
fn hour_of_samples(server: &Server) {
    let minute = |n: i64| MONDAY_MS + n * 60_000;
    post(server, (0..60).map(|n| sample("temperature", minute(n), n, 0)).collect());
    post(server, (0..60).map(|n| sample("total", minute(n), n % 40, 0)).collect());
    post(server, [(0, 1), (15, 4), (45, 1)].map(|(n, value)| sample("state", minute(n), value, 0)).to_vec());
}

#[test]
fn each_function_gives_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let window =
        format!("time >= '{}' AND time < '{}' AND equipment = '{PRESS}'", time(MONDAY_MS), time(MONDAY_MS + 3_600_000));
    in_every_place(folder.path(), hour_of_samples, |server, place| {
        let ask = |sql: &str| json!(server.sql(&sql.replace("WINDOW", &window)));
        // `state` has a role, so it is stepped: 1 for half an hour, 4 for the other half.
        let sql = "SELECT signal, round(value, 4), status, percent_good FROM time_weighted_avg('1 hour') \
                   WHERE WINDOW AND signal IN ('state', 'temperature')";
        let expected = json!([["state", 2.5, "Uncertain", 100.0], ["temperature", 29.9917, "Uncertain", 100.0]]);
        assert_eq!(ask(sql), expected, "{place}");

        let sql = "SELECT value, status FROM interpolate('30 seconds') \
                   WHERE WINDOW AND signal = 'temperature' ORDER BY time LIMIT 3";
        assert_eq!(ask(sql), json!([[0.0, "Good"], [0.5, "Good"], [1.0, "Good"]]), "{place}");

        let sql = "SELECT value, status FROM counter_delta('30 minutes') WHERE WINDOW AND signal = 'total'";
        assert_eq!(ask(sql), json!([[29.0, "Uncertain"], [29.0, "Good"]]), "{place}");

        let sql = "SELECT value FROM trend(2) WHERE WINDOW AND signal = 'total'";
        assert_eq!(ask(sql), json!([[0.0], [29.0], [30.0], [39.0], [0.0], [19.0]]), "{place}");

        let sql = "SELECT value, other, other_value FROM asof_join('state', 'temperature', 'total') WHERE WINDOW";
        let expected = json!([
            [1.0, "temperature", 0.0],
            [1.0, "total", 0.0],
            [4.0, "temperature", 15.0],
            [4.0, "total", 15.0],
            [1.0, "temperature", 45.0],
            [1.0, "total", 5.0]
        ]);
        assert_eq!(ask(sql), expected, "{place}");
    });
}

/// Three signals over a day with gaps of minutes to hours; one begins late, one ends early.
fn samples_with_gaps(server: &Server) {
    let mut state = 20_250_106_u64;
    let mut below = move |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((state >> 33) % limit).unwrap()
    };
    for (signal, from_ms, to_ms) in [("a", 0, 86_400_000), ("b", 30_000_000, 86_400_000), ("c", 0, 50_000_000)] {
        let (mut at, mut samples) = (from_ms, Vec::new());
        while at < to_ms {
            samples.push(sample(signal, MONDAY_MS + at, below(1_000) as f64 / 8.0, 0));
            let longest = if below(9) == 0 { 10_000_000 } else { 900_000 };
            at += 1 + below(longest);
        }
        post(server, samples);
    }
}

#[test]
fn gaps_are_filled_as_duckdb_fills_them() {
    let folder = tempfile::tempdir().unwrap();
    let (width_ms, from_ms, to_ms) = (600_000, MONDAY_MS + 1_234_567, MONDAY_MS + 85_000_000);
    let answers = RefCell::new(Vec::new());
    in_every_place(folder.path(), samples_with_gaps, |server, place| {
        let rows = server.sql(&format!(
            "WITH filled AS (SELECT signal, time_bucket_gapfill('10 minutes', time) AS bucket, count(*) AS n, \
             avg(value) AS mean, locf(avg(value)) AS held, interpolate(avg(value)) AS line FROM samples \
             WHERE equipment = '{PRESS}' AND time >= '{}' AND time < '{}' GROUP BY signal, bucket) \
             SELECT signal, extract(epoch FROM bucket)::bigint * 1000000, n, mean, held, line FROM filled \
             ORDER BY bucket, signal LIMIT 1000",
            time(from_ms),
            time(to_ms)
        ));
        answers.borrow_mut().push((place.to_owned(), rows));
    });
    let numbers = [width_ms, from_ms, to_ms].map(|ms| (ms * 1_000).to_string());
    let script = root().join("tests/it/gap_fill.py");
    let text = output(python().arg(script).arg(folder.path().join("data/tables/samples")).args(numbers));
    let expected: Vec<Vec<Value>> = serde_json::from_str(&text).unwrap();
    assert!(expected.len() > 400 && expected.iter().filter(|row| row[2].is_null()).count() > 50, "{text}");
    for (place, mut rows) in answers.take() {
        rows.sort_by_key(|row| (row[0].as_str().unwrap().to_owned(), row[1].as_i64()));
        assert_eq!(rows.len(), expected.len(), "{place}");
        for (found, wanted) in rows.iter().zip(&expected) {
            assert_eq!(found[..3], wanted[..3], "{place}");
            for (found, wanted) in found.iter().zip(wanted).skip(3) {
                let same = match (found.as_f64(), wanted.as_f64()) {
                    (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-9,
                    (found, wanted) => found == wanted,
                };
                assert!(same, "{place}: {found}, not {wanted}");
            }
        }
    }
}

/// In Berlin the clocks go forward on 30 March 2025, and back on 26 October.
#[test]
fn a_day_has_the_hours_of_its_clocks() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    post(&server, vec![sample("temperature", MONDAY_MS, 20.0, 0)]);
    for (from, to, hours) in
        [("2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z", 23.0), ("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", 25.0)]
    {
        for (call, rows) in
            [("aggregates('1 hour'", hours), ("aggregates('1 day'", 1.0), ("interpolate('1 hour'", hours)]
        {
            let sql = format!("SELECT count(*) FROM {call}, '{from}', '{to}') WHERE equipment = '{PRESS}'");
            assert_eq!(server.number(&sql), rows, "{sql}");
        }
    }
    let shifts = server.sql(&format!(
        "SELECT shift, production_day, time_average2 FROM aggregates('shift', '2025-01-07T00:00:00Z', '2025-01-08T00:00:00Z') \
         WHERE equipment = '{PRESS}' AND shift IS NOT NULL"
    ));
    assert_eq!(shifts, [vec![json!("early"), json!("2025-01-07"), json!(20.0)]]);
}

#[test]
fn a_window_is_needed_and_has_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for (sql, words) in [
        ("SELECT * FROM aggregates('1 hour')", "WHERE time >="),
        ("SELECT * FROM time_weighted_avg('1 hour') WHERE signal = 'x'", "time_weighted_avg('1 hour', from, to)"),
        ("SELECT * FROM interpolate('1 minute') WHERE time = now()", "interpolate('1 minute', from, to)"),
        ("SELECT * FROM counter_delta('1 hour') WHERE time < now()", "counter_delta('1 hour', from, to)"),
        ("SELECT * FROM trend(100)", "trend(1000, from, to)"),
        ("SELECT * FROM trend(0) WHERE time > '2025-01-01'", "from 1 to 100000"),
        ("SELECT * FROM asof_join('a', 'b')", "asof_join('signal_a', 'signal_b', from, to)"),
        ("SELECT * FROM asof_join('a') WHERE time > '2025-01-01'", "2 to 17 signals"),
        ("SELECT * FROM interpolate('1 ms', '2025-01-01', '2025-02-01')", "write a wider bucket or a shorter window"),
        ("SELECT * FROM aggregates('1 hour', 'steped') WHERE time > '2025-01-01'", "'stepped'"),
    ] {
        let (status, body) = server.post("/api/v1/sql?format=json", sql);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 400, "{sql}: {body}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{sql}: {body}");
    }
}
