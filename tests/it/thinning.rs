//! `compression` in `plant.toml`: what SQL shows before and after a flush, figures, how it is marked, and a plant that
//! changes.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{PLANT, Server, output, takt};

const PRESS: &str = "cologne/line-1/press";
const DEVIATION: f64 = 0.5;
const SECONDS: u32 = 600;

const COMPRESSED: &str = r#"
[[signals]]
equipment = "cologne/line-1"
signal = "pressure"
compression = { method = "swinging_door", deviation = 0.5 }

[[signals]]
equipment = "cologne/line-1/press"
signal = "level"
compression = { method = "dead_band", deviation = 0.5, max_interval_s = 60 }
"#;

/// Slow waves.
fn value(signal: &str, second: u32) -> f64 {
    let wave = (f64::from(second) / 60.0).sin() * 10.0;
    if signal == "level" { (wave * 4.0).floor() / 4.0 } else { wave }
}

fn time(second: u32) -> String {
    format!("2025-03-03T10:{:02}:{:02}.000000Z", second / 60, second % 60)
}

fn sample(signal: &str, second: u32, value: f64) -> Value {
    json!({"equipment": PRESS, "signal": signal, "time": time(second), "value": value})
}

fn post(server: &Server, rows: &[Value]) {
    let (status, body) = server.post("/api/v1/samples", json!(rows).to_string());
    assert_eq!(status, 200, "{body}");
}

fn flush(server: &Server) {
    let (status, body) = server.post("/api/v1/compact", "");
    assert!(status == 200 && body.contains("done"), "{status} {body}");
}

fn count(server: &Server, signal: &str) -> f64 {
    server.number(&format!("SELECT count(*) FROM samples WHERE signal = '{signal}'"))
}

fn mean(server: &Server, signal: &str) -> f64 {
    server.number(&format!(
        "SELECT value FROM time_weighted_avg('10 minutes') WHERE time >= '2025-03-03T10:00:00Z' \
         AND time < '2025-03-03T10:09:59Z' AND signal = '{signal}'"
    ))
}

#[test]
fn a_compressed_signal_is_whole_until_the_flush_and_within_its_deviation_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let plant = folder.path().join("plant.toml");
    fs::write(&plant, format!("{PLANT}{COMPRESSED}")).unwrap();
    assert!(output(takt().arg("check").arg(&plant)).contains("OK"));
    let mut server = Server::start(folder.path());
    let signals = ["force", "level", "pressure"];
    let all: Vec<Value> =
        (0..SECONDS).flat_map(|second| signals.map(|signal| sample(signal, second, value(signal, second)))).collect();
    post(&server, &all);
    let before = signals.map(|signal| (count(&server, signal), mean(&server, signal)));
    assert!(before.iter().all(|(count, _)| *count == f64::from(SECONDS)), "{before:?}");

    flush(&server);
    let (_, metrics) = server.get("/metrics");
    let metric = metrics.lines().find_map(|line| line.strip_prefix("takt_store_thinned_rows ")).unwrap();
    let kept = signals.map(|signal| count(&server, signal));
    assert_eq!(kept[0], f64::from(SECONDS), "force is not compressed");
    assert!(kept[1] < 150.0 && kept[2] < 60.0, "{kept:?}");
    assert_eq!(metric.parse::<f64>().unwrap(), f64::from(3 * SECONDS) - kept.iter().sum::<f64>());
    for (signal, (_, mean_before)) in signals.into_iter().zip(before) {
        let error = (mean(&server, signal) - mean_before).abs();
        assert!(error <= if signal == "force" { 0.0 } else { DEVIATION }, "{signal}: {error}");
        // What is kept is as it came, and both ends are.
        let rows = server.sql(&format!("SELECT time, value FROM samples WHERE signal = '{signal}' ORDER BY time"));
        for row in &rows {
            let second = (0..SECONDS).find(|&second| row[0] == time(second)).unwrap();
            assert_eq!(row[1], json!(value(signal, second)), "{signal} {row:?}");
        }
        assert_eq!((&rows[0][0], &rows[rows.len() - 1][0]), (&json!(time(0)), &json!(time(SECONDS - 1))), "{signal}");
    }
    // Every second, the samples kept give back what came.
    for signal in ["level", "pressure"] {
        let sql = format!(
            "SELECT time, value FROM interpolate('1 second') WHERE time >= '{}' AND time < '{}' AND signal = '{signal}' \
             ORDER BY time",
            time(0),
            time(SECONDS - 1)
        );
        let given_back = server.sql(&sql);
        assert_eq!(given_back.len() as u32, SECONDS - 1, "{signal}");
        for (second, row) in (0..).zip(given_back) {
            let error = (row[1].as_f64().unwrap() - value(signal, second)).abs();
            assert!(error <= DEVIATION * (1.0 + 1e-9), "{signal} at {second} s: {error}");
        }
    }

    let marked = "SELECT signal, interpolation, compression, compression_deviation, compression_max_interval_s \
                  FROM signals WHERE compression IS NOT NULL ORDER BY signal";
    let expected =
        json!([["level", "stepped", "dead_band", 0.5, 60.0], ["pressure", "sloped", "swinging_door", 0.5, null],]);
    assert_eq!(json!(server.sql(marked)), expected);

    // A correction stays, and so does what it corrects: in the history.
    post(&server, &[sample("pressure", 0, value("pressure", 0) + 0.1)]);
    flush(&server);
    let corrected = format!("SELECT value FROM samples WHERE signal = 'pressure' AND time = '{}'", time(0));
    assert_eq!(server.number(&corrected), 0.1);
    assert_eq!(server.number("SELECT count(*) FROM samples_history"), 1.0);
    assert_eq!(count(&server, "pressure"), kept[2]);

    // From the next flush after the change of the plant on, every sample is kept; what was left out stays so.
    server.stop();
    fs::write(&plant, PLANT).unwrap();
    let server = Server::start(folder.path());
    let quiet: Vec<Value> = (SECONDS..SECONDS + 100).map(|second| sample("pressure", second, 1.0)).collect();
    post(&server, &quiet);
    flush(&server);
    assert_eq!(count(&server, "pressure"), kept[2] + 100.0);
    assert_eq!(json!(server.sql(marked)), json!([]));
    let was = "SELECT count(*) FROM signals_history WHERE compression IS NOT NULL";
    assert_eq!(server.number(was), 2.0, "the history says until when");
}
