//! Every sample carries the context of its own time, and the very next query knows of every change to it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Server, wait_for};

const PRESS: &str = "cologne/line-1/press";
const WELD: &str = "cologne/line-1/weld";

/// Where the samples are while their context changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    InMemory,
    InSegments,
}

/// Ten minutes, from this one on, hold a sample each.
fn minute(minute: u32) -> String {
    format!("2025-03-03T10:{minute:02}:00Z")
}

fn post(server: &Server, table: &str, row: &Value) {
    let (status, body) = server.post(&format!("/api/v1/{table}"), row.to_string());
    assert_eq!(status, 200, "{table} {row}: {body}");
}

fn operation(server: &Server, row: Value) {
    post(server, "operations", &row);
}

fn flushed(mut server: Server) -> Server {
    server.stop();
    let folder = server.folder.clone();
    drop(server);
    Server::start(&folder)
}

/// A server that holds ten samples of the press and nothing else.
fn start(folder: &Path, kept: Kept) -> Server {
    let server = Server::start(folder);
    let sample = |m| json!({"equipment": PRESS, "signal": "temperature", "time": minute(m), "value": m});
    post(&server, "samples", &(0..10).map(sample).collect());
    if kept == Kept::InSegments { flushed(server) } else { server }
}

/// The keys of the ten samples in order, equal neighbours together: `2 x -, 8 x A/press/U1`.
fn keys(server: &Server) -> String {
    let rows = server.sql(&format!(
        "SELECT work_order, operation, unit, key_source FROM samples \
         WHERE equipment = '{PRESS}' AND signal = 'temperature' ORDER BY time"
    ));
    assert_eq!(rows.len(), 10);
    let mut runs: Vec<(String, usize)> = Vec::new();
    for row in rows {
        let key = if row.iter().all(Value::is_null) {
            "-".to_owned()
        } else {
            assert_eq!(row[3], "derived");
            row[..3].iter().map(|part| part.as_str().unwrap_or("-")).collect::<Vec<_>>().join("/")
        };
        match runs.last_mut() {
            Some((last, count)) if *last == key => *count += 1,
            _ => runs.push((key, 1)),
        }
    }
    runs.iter().map(|(key, count)| format!("{count} x {key}")).collect::<Vec<_>>().join(", ")
}

/// How many samples of the press a condition finds.
fn found(server: &Server, condition: &str) -> usize {
    server.number(&format!("SELECT count(*) FROM samples WHERE equipment = '{PRESS}' AND {condition}")) as usize
}

fn life_of_executions(kept: Kept) {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), kept);
    assert_eq!(keys(&server), "10 x -");

    operation(
        &server,
        json!({"run": "1", "equipment": PRESS, "work_order": "A", "operation": "press", "unit": "U1", "started": minute(2)}),
    );
    assert_eq!(keys(&server), "2 x -, 8 x A/press/U1", "opened");

    operation(
        &server,
        json!({"run": "2", "equipment": PRESS, "work_order": "A", "operation": "press", "unit": "U2", "started": minute(5)}),
    );
    assert_eq!(keys(&server), "2 x -, 3 x A/press/U1, 5 x A/press/U2", "an open one ends at the next start");

    operation(&server, json!({"run": "2", "completed": minute(7)}));
    assert_eq!(keys(&server), "2 x -, 3 x A/press/U1, 2 x A/press/U2, 3 x -", "closed");
    for (condition, count) in [
        ("unit = 'U1'", 3),
        ("unit = 'U2'", 2),
        ("unit IN ('U1', 'U2')", 5),
        ("unit LIKE 'U%'", 5),
        ("unit <> 'U1'", 2),
        ("unit IS NULL", 5),
        ("unit = 'U3'", 0),
        ("operation = 'press'", 5),
        ("work_order = 'A'", 5),
        ("work_order = 'A' AND unit = 'U2' AND value > 5", 1),
        ("key_source = 'derived'", 5),
    ] {
        assert_eq!(found(&server, condition), count, "{condition}");
    }

    operation(&server, json!({"run": "2", "started": minute(4), "completed": minute(6)}));
    assert_eq!(keys(&server), "2 x -, 2 x A/press/U1, 2 x A/press/U2, 4 x -", "moved");

    operation(&server, json!({"run": "2", "work_order": "B", "unit": "U3"}));
    assert_eq!(keys(&server), "2 x -, 2 x A/press/U1, 2 x B/press/U3, 4 x -", "renamed");
    assert_eq!((found(&server, "unit = 'U2'"), found(&server, "unit = 'U3'")), (0, 2));
    assert_eq!((found(&server, "work_order = 'A'"), found(&server, "work_order = 'B'")), (2, 2));

    operation(&server, json!({"run": "2", "equipment": WELD}));
    assert_eq!(keys(&server), "2 x -, 8 x A/press/U1", "moved to another machine");

    operation(&server, json!({"run": "1", "deleted": true}));
    assert_eq!(keys(&server), "10 x -", "withdrawn");
    assert_eq!((found(&server, "unit = 'U1'"), found(&server, "unit IS NULL")), (0, 10));
}

#[test]
fn executions_rekey_samples_in_memory() {
    life_of_executions(Kept::InMemory);
}

#[test]
fn executions_rekey_samples_in_segments() {
    life_of_executions(Kept::InSegments);
}

/// Segments that were written with keys, statistics and bloom filters of a context that changed since.
#[test]
fn keys_that_segments_hold_can_change() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), Kept::InMemory);
    operation(
        &server,
        json!({"run": "1", "equipment": PRESS, "work_order": "A", "operation": "press", "unit": "U1",
               "started": minute(2), "completed": minute(5)}),
    );
    let server = flushed(server);
    assert_eq!(keys(&server), "2 x -, 3 x A/press/U1, 5 x -");
    operation(&server, json!({"run": "1", "unit": "U9", "completed": minute(8)}));
    assert_eq!((found(&server, "unit = 'U9'"), found(&server, "unit = 'U1'")), (6, 0));
    let server = flushed(server);
    assert_eq!((found(&server, "unit = 'U9'"), found(&server, "unit = 'U1'")), (6, 0));
    operation(&server, json!({"run": "1", "unit": null}));
    assert_eq!(keys(&server), "2 x -, 6 x A/press/-, 2 x -");
    operation(&server, json!({"run": "1", "deleted": true}));
    assert_eq!(keys(&server), "10 x -");
    assert_eq!(found(&server, "work_order = 'A'"), 0);
    assert_eq!(keys(&flushed(server)), "10 x -");
}

/// The same while the server runs on and writes segments by itself.
#[test]
fn keys_change_behind_a_flush_of_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("takt.toml"), "[storage]\nflush_interval_s = 1\n").unwrap();
    let server = Server::start_with(folder.path(), &["--config", "takt.toml"]);
    let segments = || {
        let files = fs::read_dir(folder.path().join("data/tables/samples")).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet")).count()
    };
    let sample = |m| json!({"equipment": PRESS, "signal": "temperature", "time": minute(m), "value": m});
    operation(
        &server,
        json!({"run": "1", "equipment": PRESS, "operation": "press", "unit": "U1", "started": minute(0)}),
    );
    post(&server, "samples", &(0..5).map(sample).collect());
    wait_for("a segment", Duration::from_secs(20), || (segments() > 0).then_some(()));
    assert_eq!(found(&server, "unit = 'U1'"), 5);
    operation(&server, json!({"run": "1", "completed": minute(3)}));
    assert_eq!(found(&server, "unit = 'U1'"), 3);
    let before = segments();
    post(&server, "samples", &(5..10).map(sample).collect());
    operation(
        &server,
        json!({"run": "2", "equipment": PRESS, "operation": "press", "unit": "U2", "started": minute(4)}),
    );
    assert_eq!(keys(&server), "3 x -/press/U1, 1 x -, 6 x -/press/U2");
    wait_for("another segment", Duration::from_secs(20), || (segments() > before).then_some(()));
    assert_eq!(keys(&server), "3 x -/press/U1, 1 x -, 6 x -/press/U2");
}

/// What is sorted is what SQL shows, not what was stored before the executions were known.
#[test]
fn samples_are_in_the_order_of_their_new_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), Kept::InSegments);
    let of_unit = |unit: &str, from, to| json!({"equipment": PRESS, "operation": unit.to_lowercase(), "unit": unit, "started": minute(from), "completed": minute(to)});
    operation(&server, of_unit("U9", 1, 4));
    operation(&server, of_unit("U1", 4, 7));
    let asked = |sql: &str| json!(server.sql(sql));
    let units = |order: &str| asked(&format!("SELECT unit FROM samples ORDER BY unit{order}, time"));
    let [one, nine, none] = [json!(["U1"]), json!(["U9"]), json!([null])];
    let three = |value: &Value| vec![value.clone(); 3];
    let nones = vec![none; 4];
    assert_eq!(units(""), json!([three(&one), three(&nine), nones.clone()].concat()));
    assert_eq!(units(" DESC"), json!([nones.clone(), three(&nine), three(&one)].concat()));
    assert_eq!(units(" DESC NULLS LAST"), json!([three(&nine), three(&one), nones].concat()));
    let places = "SELECT extract(minute FROM time), row_number() OVER (PARTITION BY unit ORDER BY time) FROM samples \
                  WHERE operation IS NOT NULL ORDER BY operation, time";
    assert_eq!(asked(places), json!([[4, 1], [5, 2], [6, 3], [1, 1], [2, 2], [3, 3]]));
}

#[test]
fn what_is_told_again_decides_nothing_between_executions_that_start_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), Kept::InSegments);
    let whole = |run: &str| {
        json!({"run": run, "equipment": PRESS, "operation": "press", "unit": run, "work_order": null, "product": null,
            "started": minute(2), "completed": minute(8), "result": null, "operator": null, "quantity": null})
    };
    operation(&server, whole("U1"));
    operation(&server, whole("U2"));
    let expected = "2 x -, 6 x -/press/U2, 2 x -";
    assert_eq!(keys(&server), expected);
    server = flushed(server);
    let recorded = |server: &Server| server.sql("SELECT run, recorded FROM operations ORDER BY run");
    let before = recorded(&server);
    operation(&server, whole("U1"));
    let kept = |server: &Server, when: &str| {
        assert_eq!(keys(server), expected, "{when}");
        assert_eq!(recorded(server), before, "{when}");
        assert_eq!(server.number("SELECT count(*) FROM operations_history"), 0.0, "{when}");
        let as_of =
            server.post("/api/v1/sql?as_of=2100-01-01&format=csv", "SELECT DISTINCT unit FROM samples ORDER BY 1");
        assert_eq!(as_of.1.replace("\r\n", "\n"), "unit\nU2\n\"\"\n", "{when}");
    };
    kept(&server, "in memory");
    server.kill();
    server = Server::start(folder.path());
    kept(&server, "from the log");
    server = flushed(server);
    kept(&server, "in segments");
}

#[test]
fn keys_of_the_payload_stay() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), Kept::InMemory);
    let explicit =
        json!({"equipment": PRESS, "signal": "torque", "time": minute(3), "value": 1, "unit": "X", "work_order": "W"});
    post(&server, "samples", &explicit);
    operation(
        &server,
        json!({"run": "1", "equipment": PRESS, "work_order": "A", "operation": "press", "unit": "U1", "started": minute(0)}),
    );
    let torque = |server: &Server| {
        server.sql("SELECT work_order, operation, unit, key_source FROM samples WHERE signal = 'torque'")
    };
    let stays = vec![vec![json!("W"), Value::Null, json!("X"), json!("explicit")]];
    assert_eq!(torque(&server), stays);
    assert_eq!((found(&server, "unit = 'X'"), found(&server, "unit = 'U1'")), (1, 10));
    let server = flushed(server);
    operation(&server, json!({"run": "1", "unit": "U2"}));
    assert_eq!(torque(&server), stays);
    assert_eq!((found(&server, "unit = 'X'"), found(&server, "unit = 'U2'")), (1, 10));
}

#[test]
fn ancestors_stand_in_and_the_nearest_wins() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), Kept::InMemory);
    operation(
        &server,
        json!({"run": "site", "equipment": "cologne", "work_order": "S", "started": minute(0), "completed": minute(9)}),
    );
    assert_eq!(keys(&server), "9 x S/-/-, 1 x -");
    operation(
        &server,
        json!({"run": "line", "equipment": "cologne/line-1", "work_order": "L", "started": minute(1), "completed": minute(8)}),
    );
    assert_eq!(keys(&server), "1 x S/-/-, 7 x L/-/-, 1 x S/-/-, 1 x -");
    // A unit on the machine itself, whose execution names no order: the nearest one above gives it.
    operation(
        &server,
        json!({"run": "unit", "equipment": PRESS, "operation": "press", "unit": "U1",
               "started": minute(4), "completed": minute(6)}),
    );
    let expected = "1 x S/-/-, 3 x L/-/-, 2 x L/press/U1, 2 x L/-/-, 1 x S/-/-, 1 x -";
    assert_eq!(keys(&server), expected);
    server = flushed(server);
    assert_eq!(keys(&server), expected);
    operation(&server, json!({"run": "line", "deleted": true}));
    assert_eq!(keys(&server), "4 x S/-/-, 2 x S/press/U1, 3 x S/-/-, 1 x -");
}

/// The weld has a default product: one counter and one state signal give it an OEE. The press has none.
#[test]
fn a_default_product_gives_an_oee_without_orders() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let time = |clock: &str| format!("2025-03-04T{clock}Z");
    for machine in [WELD, PRESS] {
        let sample = |signal: &str, clock: &str, value: Value| {
            let name = if value.is_string() { "text" } else { "value" };
            json!({"equipment": machine, "signal": signal, "time": time(clock), name: value})
        };
        let samples = [
            sample("state", "05:00:00", json!("RUN")),
            sample("total", "05:00:00", json!(0)),
            sample("scrap", "05:00:00", json!(0)),
            sample("total", "05:30:00", json!(300)),
            sample("scrap", "05:30:00", json!(30)),
            sample("state", "05:50:00", json!("STOP")),
        ];
        post(&server, "samples", &samples.into_iter().collect());
    }
    let oee = |machine: &str| {
        server.sql(&format!(
            "SELECT availability, performance, quality, oee, total, uncounted_pieces, reason \
             FROM oee('1 hour', '{}', '{}') WHERE equipment = '{machine}'",
            time("05:00:00"),
            time("06:00:00")
        ))
    };
    // 3000 s of 3600 s run; 300 pieces of 10 s; 270 of them good.
    let weld = oee(WELD);
    let expected = [3000.0 / 3600.0, 1.0, 0.9, 2700.0 / 3600.0, 300.0, 0.0];
    for (got, wanted) in weld[0].iter().zip(expected) {
        assert!((got.as_f64().unwrap() - wanted).abs() < 1e-9, "{weld:?}");
    }
    assert_eq!(weld[0][6], Value::Null);
    let press = oee(PRESS);
    assert_eq!((press[0][4].as_f64(), press[0][5].as_f64()), (Some(0.0), Some(300.0)), "{press:?}");
    assert!(press[0][6].as_str().unwrap().contains("default_product"), "{press:?}");
}
