//! Other implementations read the data folder and get the rows and types that SQL gives.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Server, flushed, output, python, root, takt, wait_for};
use crate::mqtt::Publisher;

const PRESS: &str = "cologne/line-1/press";

fn post(server: &Server, table: &str, rows: &Value) {
    let (status, body) = server.post(&format!("/api/v1/{table}"), rows.to_string());
    assert_eq!(status, 200, "{table}: {body}");
}

/// A table as SQL gives it: rows as objects, sorted.
fn rows(server: &Server, table: &str, order: &[&str]) -> Value {
    let (_, body) =
        server.post("/api/v1/sql?format=json", format!("SELECT * FROM {table} ORDER BY {}", order.join(", ")));
    let answer: Value = serde_json::from_str(&body).unwrap();
    let names: Vec<&str> =
        answer["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    let object = |row: &Value| -> Value {
        names.iter().map(|name| (*name).to_owned()).zip(row.as_array().unwrap().iter().cloned()).collect()
    };
    answer["rows"].as_array().unwrap().iter().map(object).collect()
}

/// The same as another implementation reads it from the files.
fn read(server: &Server, table: &str, order: &[&str]) -> Value {
    let folder = server.folder.join("data/tables").join(table);
    let text = output(python().arg(root().join("tests/it/read_tables.py")).arg(folder).args(order));
    serde_json::from_str(&text).unwrap()
}

const IMPLEMENTATIONS: [&str; 3] = ["deltalake", "polars", "duckdb"];

/// Where a type of `oee::tables` ends up: in Arrow as deltalake shows it, in Polars, and in DuckDB.
const TIME: [&str; 3] =
    ["timestamp[us, tz=UTC]", "Datetime(time_unit='us', time_zone='UTC')", "TIMESTAMP WITH TIME ZONE"];
const DOUBLE: [&str; 3] = ["double", "Float64", "DOUBLE"];
const TEXT: [&str; 3] = ["string", "String", "VARCHAR"];
const TYPES: [(&str, [&str; 3]); 8] = [
    ("time", TIME),
    ("started", TIME),
    ("recorded", TIME),
    ("value", DOUBLE),
    ("quantity", DOUBLE),
    ("quality", ["int64", "Int64", "BIGINT"]),
    ("equipment", TEXT),
    ("unit", TEXT),
];

fn check(server: &Server, table: &str, order: &[&str], expected: &Value) {
    let found = read(server, table, order);
    for (place, implementation) in IMPLEMENTATIONS.into_iter().enumerate() {
        let found = &found[implementation];
        for (column, kinds) in TYPES {
            let (got, kind) = (&found["types"][column], kinds[place]);
            assert!(got.is_null() || got == kind, "{implementation} {table}.{column}: {got}, expected {kind}");
        }
        let mut rows = found["rows"].clone();
        for row in rows.as_array_mut().unwrap() {
            // Only retracted rows differ in it, and SQL leaves them out.
            if let Some(deleted) = row.as_object_mut().unwrap().remove("deleted") {
                assert_eq!(deleted, false, "{implementation} {table}");
            }
        }
        assert_eq!(&rows, expected, "{implementation} {table}");
    }
    let mut counts = serde_json::Map::new();
    for row in expected.as_array().unwrap() {
        let count = counts.entry(row[order[0]].as_str().unwrap()).or_insert(0.into());
        *count = (count.as_u64().unwrap() + 1).into();
    }
    let counts = Value::Object(counts);
    assert_eq!(found["filtered"], json!([counts, counts]), "{table} by {}", order[0]);
}

#[test]
fn deltalake_polars_and_duckdb_read_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let time = |m: u32| format!("2025-03-03T10:{m:02}:00.{m:06}Z");
    post(
        &server,
        "operations",
        &json!([
            {"run": "1", "equipment": PRESS, "operation": "press", "unit": "U1", "work_order": "A",
             "started": time(1), "completed": time(3), "quantity": 2.5},
            {"run": "2", "equipment": PRESS, "operation": "press", "unit": "Ünit 2", "started": time(4)},
        ]),
    );
    let mut samples: Vec<Value> = (0..500)
        .map(|n| {
            let time = 1_741_000_000_000_000_i64 + i64::from(n) * 60_000_003;
            json!({"equipment": PRESS, "signal": "temperature", "time": time, "value": f64::from(n) / 3.0})
        })
        .collect();
    samples.extend([
        json!({"equipment": PRESS, "signal": "state", "time": time(1), "text": "RUN"}),
        json!({"equipment": PRESS, "signal": "big", "time": time(2), "value": 9_007_199_254_740_993_i64}),
        json!({"equipment": PRESS, "signal": "tiny", "time": time(2), "value": 5e-324}),
        json!({"equipment": PRESS, "signal": "bad", "time": time(5), "value": 0.1, "quality": 2_147_483_648_i64}),
        json!({"equipment": "cologne/line-1/weld", "signal": "v", "time": time(2), "value": -0.1, "unit": "X"}),
    ]);
    post(&server, "samples", &Value::Array(samples));

    let (sample_key, run) = (["equipment", "signal", "time"], ["run"]);
    let (samples, operations) = (rows(&server, "samples", &sample_key), rows(&server, "operations", &run));
    assert_eq!((samples.as_array().unwrap().len(), operations.as_array().unwrap().len()), (505, 2));
    server.stop();
    check(&server, "samples", &sample_key, &samples);
    check(&server, "operations", &run, &operations);

    // A second flush adds to the files, and the server itself still says the same.
    let mut server = Server::start(folder.path());
    assert_eq!(rows(&server, "samples", &sample_key), samples);
    post(&server, "samples", &json!({"equipment": PRESS, "signal": "late", "time": time(0), "value": 1}));
    let samples = rows(&server, "samples", &sample_key);
    server.stop();
    check(&server, "samples", &sample_key, &samples);
}

/// Corrected rows, samples that a moved execution keys anew, late rows and several days: other readers see what SQL says.
#[test]
fn after_a_compaction_the_plain_files_hold_what_sql_says() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("takt.toml");
    std::fs::write(&settings, "[storage]\nflush_interval_s = 1\n").unwrap();
    let server = Server::start_with(folder.path(), &["--config", settings.to_str().unwrap()]);
    let day = |day: u32, minute: u32| format!("2025-03-{day:02}T23:{minute:02}:00.000000Z");
    let sample = |day_and_minute: String, value: f64| json!({"equipment": PRESS, "signal": "force", "time": day_and_minute, "value": value});
    let run = |minute: u32| {
        json!({"run": "1", "equipment": PRESS, "operation": "press", "unit": "U1", "started": day(3, minute),
               "completed": day(3, minute + 5)})
    };
    post(&server, "operations", &run(10));
    for minute in 0..60 {
        let samples = (1..5).map(|d| sample(day(d, minute), f64::from(minute))).collect();
        post(&server, "samples", &Value::Array(samples));
        // A correction of an earlier row, late by a day, and the execution moves on.
        if minute % 10 == 9 {
            post(&server, "samples", &sample(day(2, minute - 5), -1.0));
            post(&server, "operations", &run(minute / 2 + 10));
            wait_for("a flush", Duration::from_secs(60), || flushed(&server));
        }
    }
    let compact = || output(takt().arg("compact").args(["--url", &server.url("")]));
    let said = compact();
    assert!(said.contains("rows merged"), "{said}");
    let key = ["equipment", "signal", "time"];
    for table in ["samples", "operations"] {
        let order = if table == "samples" { &key[..] } else { &["run"] };
        check(&server, table, order, &rows(&server, table, order));
    }
    let keyed = "SELECT count(*) FROM samples WHERE unit = 'U1'";
    assert_eq!((server.number(keyed), server.number("SELECT count(*) FROM samples")), (5.0, 240.0));
    assert_eq!(compact(), "nothing to merge\n");
    // The history is what it was.
    assert_eq!(server.number("SELECT count(*) FROM samples_history"), 6.0);
}

/// While rows come, are flushed and merged, every reader sees the rows of some moment: all up to one, each once.
#[test]
fn readers_see_whole_moments_while_the_server_writes_and_merges() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("takt.toml");
    std::fs::write(&settings, "[storage]\nflush_interval_s = 1\n").unwrap();
    let server = Server::start_with(folder.path(), &["--config", settings.to_str().unwrap()]);
    let row = |number: u64, value: f64| json!({"equipment": PRESS, "signal": "force", "time": 1_741_000_000_000_000 + number * 60_000_000, "value": value});
    let put = |numbers: std::ops::Range<u64>| {
        let rows: Vec<Value> = numbers.map(|number| row(number, number as f64)).collect();
        post(&server, "samples", &Value::Array(rows));
    };
    let merge = || output(takt().arg("compact").args(["--url", &server.url("")]));
    put(0..100);
    wait_for("a flush", Duration::from_secs(60), || flushed(&server));
    let table = folder.path().join("data/tables/samples");
    let mut reader = python();
    reader.arg(root().join("tests/it/read_meanwhile.py")).arg(&table).arg("100");
    let mut reader = reader.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The fewest moments that one of them has seen.
    let seen = Arc::new(AtomicU64::new(0));
    let rounds = BufReader::new(reader.stdout.take().unwrap()).lines();
    let counting = std::thread::spawn({
        let seen = Arc::clone(&seen);
        move || {
            for round in rounds.map_while(Result::ok) {
                let round: Value = serde_json::from_str(&round).unwrap();
                let fewest = IMPLEMENTATIONS.iter().filter_map(|implementation| round[implementation].as_u64()).min();
                seen.store(fewest.unwrap_or_default(), Ordering::Relaxed);
            }
        }
    });
    let start = Instant::now();
    let (mut written, mut merged) = (100, 0);
    let enough = |merged| seen.load(Ordering::Relaxed) >= 3 && merged >= 2;
    while !enough(merged) && start.elapsed() < Duration::from_secs(120) {
        put(written..written + 20);
        written += 20;
        if written % 1_000 == 0 {
            merged += usize::from(merge().contains("rows merged"));
        }
    }
    // The end of its input ends the reader.
    let ended = reader.wait_with_output().unwrap();
    counting.join().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let fewest = seen.load(Ordering::Relaxed);
    assert!(enough(merged), "{merged} merges of {written} rows, of which a reader saw {fewest} moments");

    // Corrections while nothing else comes: every row is there after a flush, and after a merge each once as SQL has it.
    post(&server, "samples", &json!([row(7, -7.0), row(8, -8.0)]));
    wait_for("a flush", Duration::from_secs(60), || flushed(&server));
    let key = ["equipment", "signal", "time"];
    let plain = read(&server, "samples", &key);
    let expected = rows(&server, "samples", &key);
    assert_eq!(expected.as_array().unwrap().len() as u64, written);
    for implementation in IMPLEMENTATIONS {
        let found: HashSet<String> =
            plain[implementation]["rows"].as_array().unwrap().iter().map(Value::to_string).collect();
        let missing = expected.as_array().unwrap().iter().find(|row| !found.contains(&row.to_string()));
        assert_eq!(missing, None, "{implementation} after a flush");
        assert!(found.len() as u64 - written <= 2, "{implementation}: {} rows of {written}", found.len());
    }
    merge();
    check(&server, "samples", &key, &expected);
}

/// The double nearest to the digits of the payload, whichever way it came.
#[test]
fn doubles_are_stored_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let digits = ["2.7715077941825978e-163", "2.2790121708605247e+274", "4.0263803136122606e+293", "0.1", "5e-324"];
    let mut publisher = Publisher::connect(server.mqtt, "exact").unwrap();
    for (n, digits) in digits.iter().enumerate() {
        let time = 1_735_689_600_000_000 + n;
        let (status, body) = server.post(
            "/api/v1/samples",
            format!("{{\"equipment\":\"{PRESS}\",\"signal\":\"http\",\"time\":{time},\"value\":{digits}}}"),
        );
        assert_eq!(status, 200, "{body}");
        let line = format!("samples,equipment={PRESS},signal=line value={digits} {time}");
        assert_eq!(server.post("/api/v2/write?precision=us", line).0, 204);
        publisher.publish("flat/press", format!("{{\"ts\":{time},\"mqtt\":{digits}}}").as_bytes(), 0).unwrap();
        publisher.publish("plant/press/bare", digits.as_bytes(), 1).unwrap();
        assert!(publisher.drain(0));
    }
    for signal in ["http", "line", "mqtt", "bare"] {
        for digits in digits {
            let same = format!("signal = '{signal}' AND value = CAST('{digits}' AS double)");
            assert_eq!(server.number(&format!("SELECT count(*) FROM samples WHERE {same}")), 1.0, "{same}");
        }
    }
    server.stop();
    let found = read(&server, "samples", &["equipment", "signal", "time"]);
    for implementation in IMPLEMENTATIONS {
        for row in found[implementation]["rows"].as_array().unwrap() {
            let value = row["value"].as_f64().unwrap();
            assert!(digits.iter().any(|digits| digits.parse::<f64>().unwrap().to_bits() == value.to_bits()), "{row}");
        }
    }
}
