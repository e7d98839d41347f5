//! Characteristics that are measured of signals: a curve becomes a measurement when its operation has ended, is judged and
//! reported like any other, and follows what comes late.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Server, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);

fn plant(reduce: &str) -> String {
    format!(
        r#"
[plant]
name = "curves"
zone = "UTC"

[[equipment]]
path = "line"
[[equipment]]
path = "line/press"

[[signals]]
equipment = "line"
signal = "force"
uom = "kN"

[[products]]
product = "P2"

[[characteristics]]
characteristic = "press_force"
signal = "force"
reduce = "{reduce}"
settle_s = 0
uom = "kN"
upper_limit = 50
on_violation = "hold"

[[characteristics]]
characteristic = "end_force"
operation = "press"
product = "P2"
signal = "force"
reduce = "last"
settle_s = 0
"#
    )
}

fn start(folder: &Path, reduce: &str) -> Server {
    fs::write(folder.join("plant.toml"), plant(reduce)).unwrap();
    Server::start(folder)
}

const BEGUN_S: i64 = 1_736_812_800;

/// Second `number` of 14 January 2025.
fn second(number: i64) -> String {
    jiff::Timestamp::from_second(BEGUN_S + number).unwrap().to_string()
}

fn execution(run: &str, from: i64, to: Option<i64>) -> Value {
    json!({"run": run, "equipment": "line/press", "operation": "press", "unit": format!("U-{run}"), "work_order": "W1",
           "started": second(from), "completed": to.map(second)})
}

fn samples(server: &Server, samples: &[(i64, f64)]) {
    let line = |(at, value): &(i64, f64)| format!("press,equipment=line/press force={value} {}\n", BEGUN_S + at);
    let lines: String = samples.iter().map(line).collect();
    let (status, answer) = server.post("/api/v2/write?precision=s", lines);
    assert_eq!(status, 204, "{answer}");
}

/// Run, time, value and gauge of what was measured, by time.
fn measured(server: &Server, characteristic: &str) -> Value {
    json!(server.sql(&format!(
        "SELECT run, extract(epoch FROM time) - {BEGUN_S}, value, gauge FROM measurements WHERE characteristic = '{characteristic}' ORDER BY time, run"
    )))
}

fn becomes(server: &Server, characteristic: &str, expected: &Value) {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the measurements", PATIENCE, || {
            last = measured(server, characteristic);
            (last == *expected).then_some(())
        });
    }));
    assert!(found.is_ok(), "{characteristic}: {last:#} instead of {expected:#}");
}

#[test]
fn a_curve_is_a_measurement_that_is_judged_held_and_corrected() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "max");
    samples(&server, &[(1, 40.0), (3, 44.0), (4, 10.0), (11, 41.0), (12, 46.0)]);
    server.send("operations", &[execution("1", 0, Some(5)), execution("2", 10, Some(15)), execution("3", 20, None)]);
    let row = |run: &str, end: i64, value: f64| json!([run, end as f64, value, "max(force)"]);
    becomes(&server, "press_force", &json!([row("1", 5, 44.0), row("2", 15, 46.0)]));
    let told = server
        .sql("SELECT DISTINCT equipment, unit, operation, work_order, recorded_by FROM measurements WHERE run = '2'");
    assert_eq!(json!(told), json!([["line/press", "U-2", "press", "W1", "takt"]]));
    // What is open is measured when it has ended: by its own word, or by the next start.
    samples(&server, &[(21, 45.0)]);
    server.send("operations", &[execution("4", 30, None)]);
    becomes(&server, "press_force", &json!([row("1", 5, 44.0), row("2", 15, 46.0), row("3", 30, 45.0)]));

    // Frozen limits judge it, and hold.
    let limits = json!({"characteristic": "press_force", "chart": "i_mr", "valid_from": second(0), "centre": 45.0, "sigma": 1.0,
                        "rules": "N1", "approved_by": "quality", "reason": "study"});
    server.send("control_limits", &[limits]);
    let now = jiff::Timestamp::now().as_second() - BEGUN_S;
    samples(&server, &[(now - 3, 52.0)]);
    server.send("operations", &[execution("5", now - 5, Some(now + 1))]);
    wait_for("the hold", PATIENCE, || {
        (json!(server.sql("SELECT status FROM units WHERE unit = 'U-5'")) == json!([["hold"]])).then_some(())
    });
    let events = "SELECT unit, characteristic FROM events WHERE kind = 'violation'";
    assert_eq!(json!(server.sql(events)), json!([["U-5", "press_force"]]));
    // A person takes the row over: it is theirs.
    let own = json!({"equipment": "line/press", "characteristic": "press_force", "time": second(now + 1), "unit": "U-5",
                     "operation": "press", "run": "5", "value": 45.5});
    server.send("measurements", &[own]);
    wait_for("the withdrawal", PATIENCE, || server.sql(events).is_empty().then_some(()));
    samples(&server, &[(now - 2, 60.0)]);

    // Late samples, a corrected execution, one that never was.
    samples(&server, &[(2, 45.25)]);
    server.send("operations", &[execution("2", 10, Some(12))]);
    server.send("operations", &[json!({"run": "3", "deleted": true, "change_reason": "typed twice"})]);
    let theirs = json!(["5", (now + 1) as f64, 45.5, "max(force)"]);
    let after = |first: f64| json!([row("1", 5, first), row("2", 12, 41.0), theirs]);
    becomes(&server, "press_force", &after(45.25));
    let history = "SELECT count(*) FROM measurements_history WHERE run = '1'";
    assert_eq!(server.number(history), 1.0, "the first value is kept");

    // A restart changes nothing; another definition measures all anew.
    let rows = "SELECT count(*) FROM measurements_history";
    let before = server.number(rows);
    server.stop();
    server = start(folder.path(), "max");
    server.send("operations", &[execution("6", 40, Some(50))]);
    samples(&server, &[(41, 20.0), (42, 30.0)]);
    let with_six = json!([row("1", 5, 45.25), row("2", 12, 41.0), row("6", 50, 30.0), theirs]);
    becomes(&server, "press_force", &with_six);
    assert_eq!(server.number(rows), before, "nothing is measured twice");
    server.stop();
    server = start(folder.path(), "min");
    let row = |run: &str, end: i64, value: f64| json!([run, end as f64, value, "min(force)"]);
    becomes(&server, "press_force", &json!([row("1", 5, 10.0), row("2", 12, 41.0), row("6", 50, 20.0), theirs]));
    assert_eq!(measured(&server, "end_force"), json!([]), "it is of another product");
    server.send("operations", &[json!({"run": "6", "product": "P2"})]);
    becomes(&server, "end_force", &json!([["6", 50.0, 30.0, "last(force)"]]));
    server.stop();
}

#[test]
fn a_unit_on_a_line_is_measured_apart_from_its_stay_at_a_station() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "max");
    let of_unit = |run: &str, equipment: &str, from: i64, to: i64| json!({"run": run, "equipment": equipment, "operation": "press", "unit": "U", "started": second(from), "completed": second(to)});
    samples(&server, &[(5, 10.0), (11, 30.0), (18, 20.0)]);
    server.send("operations", &[of_unit("line", "line", 0, 20), of_unit("station", "line/press", 10, 12)]);
    let row = |run: &str, end: i64, value: f64| json!([run, end as f64, value, "max(force)"]);
    becomes(&server, "press_force", &json!([row("station", 12, 30.0), row("line", 20, 20.0)]));
    server.stop();
}

#[test]
fn whatever_comes_however_late_measurements_are_what_sql_makes_of_the_signal() {
    let mut rng = StdRng::seed_from_u64(20_261_128);
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "max");
    let mut executions: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for round in 0..6 {
        for _ in 0..25 {
            let slot = rng.random_range(0..12);
            match rng.random_range(0..10) {
                0..=4 => {
                    let sample = |rng: &mut StdRng| {
                        (slot * 10 + rng.random_range(0..10), f64::from(rng.random_range(100..600)) / 10.0)
                    };
                    let curve: Vec<(i64, f64)> = (0..3).map(|_| sample(&mut rng)).collect();
                    samples(&server, &curve);
                }
                5..=8 => {
                    let (from, to) = (slot * 10 + rng.random_range(0..4), slot * 10 + rng.random_range(5..10));
                    executions.insert(slot, (from, to));
                    server.send("operations", &[execution(&slot.to_string(), from, Some(to))]);
                }
                _ if executions.remove(&slot).is_some() => {
                    server.send(
                        "operations",
                        &[json!({"run": slot.to_string(), "deleted": true, "change_reason": "none"})],
                    );
                }
                _ => {}
            }
        }
        let now = |sql: &str| json!(server.sql(sql));
        let mut last = (Value::Null, Value::Null);
        let same = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("both to agree", PATIENCE, || {
                let drawn = now("SELECT run, value FROM spc('i_mr', 'signal=force', 'reduce=max') ORDER BY 1");
                let rows = now("SELECT run, value FROM measurements WHERE characteristic = 'press_force' ORDER BY 1");
                last = (drawn, rows);
                (last.0 == last.1).then_some(())
            });
        }));
        assert!(same.is_ok(), "round {round}: {:#} instead of {:#}", last.1, last.0);
        assert!(last.0.as_array().is_some_and(|rows| rows.len() > 2), "{}", last.0);
        if round % 2 == 1 {
            server.kill();
            server = start(folder.path(), "max");
        }
    }
    server.stop();
}
