//! Measurements judged as they come: violations become events, messages and holds, are withdrawn when they are none, and a
//! restart says nothing twice.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::equipment::{Equipment, Version};
use crate::harness::{Server, wait_for};

const PLANT: &str = r#"
[plant]
name = "spc"
zone = "UTC"

[[equipment]]
path = "lab"
[[equipment]]
path = "lab/gauge"

[[characteristics]]
characteristic = "bore"
on_violation = "hold"
reaction_plan = "Stop the spindle, measure the last five parts again."

[[characteristics]]
characteristic = "depth"
on_violation = "hold"
"#;

const PATIENCE: Duration = Duration::from_secs(20);

fn start(folder: &Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    Server::start(folder)
}

/// Second `number` of 14 January 2025.
fn second(number: i64) -> String {
    jiff::Timestamp::from_second(1_736_812_800 + number).unwrap().to_string()
}

fn measurement(characteristic: &str, number: i64, value: f64) -> Value {
    json!({"time": second(number), "equipment": "lab/gauge", "operation": "turn", "unit": format!("U{number}"),
           "work_order": "W1", "characteristic": characteristic, "value": value})
}

fn freeze(server: &Server, characteristic: &str, chart: &str, subgroup: Option<&str>, rules: &str) {
    let (centre, sigma) = if chart == "p" { (0.05, 1.0) } else { (10.0, 1.0) };
    let limits = json!({"characteristic": characteristic, "chart": chart, "valid_from": second(0), "centre": centre, "sigma": sigma,
                        "subgroup": subgroup, "rules": rules, "approved_by": "quality", "reason": "study"});
    server.send("control_limits", &[limits]);
}

fn violations(server: &Server) -> Vec<Vec<Value>> {
    server.sql(
        "SELECT unit, message, severity, characteristic FROM events WHERE kind = 'violation' ORDER BY time, event_id",
    )
}

/// A measurement some seconds from now.
fn fresh(characteristic: &str, number: i64, value: f64) -> Value {
    let mut row = measurement(characteristic, number, value);
    row["time"] = json!((jiff::Timestamp::now() + jiff::SignedDuration::from_secs(number)).to_string());
    row
}

/// The next violation that a screen hears of.
fn next(screen: &mut Equipment) -> Value {
    serde_json::from_str(&screen.hear().unwrap().payload).unwrap()
}

#[test]
fn a_violation_is_an_event_a_message_and_a_hold_until_it_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let mut screen = Equipment::of(Version::V5, server.mqtt);
    screen.subscribe("takt/+/+/violation").unwrap();
    freeze(&server, "bore", "i_mr", None, "N1");
    server.send("measurements", &[fresh("bore", 0, 10.2), fresh("bore", 1, 9.9)]);
    let feed = ureq::get(server.url("/api/v1/live")).call().unwrap();
    let mut lines = BufReader::new(feed.into_body().into_reader()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("event:"), "the feed has begun");
    server.send("measurements", &[fresh("bore", 2, 14.0)]);
    let heard = next(&mut screen);
    assert_eq!((&heard["unit"], &heard["withdrawn"], &heard["value"]), (&json!("U2"), &json!(false), &json!(14.0)));
    assert_eq!(heard["message"], "a point more than 3 sigma from the centre line; MR above its upper control limit");
    assert_eq!(heard["reaction_plan"], "Stop the spindle, measure the last five parts again.");
    assert_eq!(heard["limits"], "frozen from 2025-01-14T00:00:00Z, approved by quality: study");
    // Heard, so said: it is stored before it is told.
    let stored = violations(&server);
    assert_eq!(json!(stored), json!([["U2", heard["message"], "critical", "bore"]]));
    assert_eq!(server.sql("SELECT status FROM units WHERE unit = 'U2'"), [[json!("hold")]]);
    let told =
        lines.map(Result::unwrap).find(|line| line.starts_with("data:") && line.contains("\"event_id\"")).unwrap();
    assert!(told.contains("\"unit\":\"U2\""), "{told}");

    // Only a decision that says why releases.
    let release = |message: Option<&str>| {
        let event = json!([{"event_id": "r1", "kind": "release", "time": second(3), "unit": "U2", "message": message}]);
        server.post("/api/v1/events", event.to_string())
    };
    let (status, answer) = release(None);
    assert!(status == 400 && answer.contains("`message`"), "{answer}");
    // Whoever gives the unit another status does not, and no more by two: it is put back.
    server.send("units", &[json!({"unit": "U2", "status": "ok"}), json!({"unit": "U2", "status": "scrap"})]);
    wait_for("the hold", PATIENCE, || {
        let rows = server.sql("SELECT status, change_reason FROM units WHERE unit = 'U2'");
        let why = rows[0][1].as_str().unwrap_or_default().to_owned();
        (rows[0][0] == "hold" && why.contains("only a release lifts a hold")).then_some(())
    });
    assert_eq!(release(Some("measured again: 10.1")).0, 200);
    wait_for("the release", PATIENCE, || {
        let rows = server.sql("SELECT status, change_reason FROM units WHERE unit = 'U2'");
        (rows[0][0] == "ok").then(|| assert!(rows[0][1].as_str().unwrap().contains("measured again"), "{rows:?}"))
    });

    server.stop();
    server = Server::start(folder.path());
    let mut screen = Equipment::of(Version::V4, server.mqtt);
    screen.subscribe("takt/+/+/violation").unwrap();
    // A point that violates comes after the restart; nothing is said of the one before.
    let mut slip = fresh("bore", 4, 3.0);
    server.send("measurements", std::slice::from_ref(&slip));
    let heard = next(&mut screen);
    assert_eq!(heard["unit"], "U4", "{heard}");
    assert_eq!(violations(&server).len(), 2);
    assert_eq!(server.number("SELECT count(*) FROM events_history WHERE kind = 'violation'"), 0.0);

    // It was a slip of the pen.
    slip["value"] = json!(12.0);
    server.send("measurements", &[slip]);
    let heard = next(&mut screen);
    assert_eq!((&heard["unit"], &heard["withdrawn"]), (&json!("U4"), &json!(true)), "{heard}");
    assert_eq!(violations(&server).len(), 1);
    let history = "SELECT unit, superseded_by, superseded_reason FROM events_history WHERE kind = 'violation'";
    assert_eq!(server.sql(history), [[json!("U4"), json!("takt"), json!("the measurements do not say so any more")]]);
}

#[test]
fn a_row_of_another_product_leaves_its_chart_and_a_decision_stands_where_one_only_moves() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    freeze(&server, "bore", "i_mr", None, "N1");
    let mut rows = [fresh("bore", 0, 10.0), fresh("bore", 1, 14.0), fresh("bore", 2, 10.0)];
    rows.iter_mut().for_each(|row| row["product"] = json!("B"));
    server.send("measurements", &rows);
    wait_for("the violations", PATIENCE, || (violations(&server).len() == 2).then_some(()));
    rows[1]["product"] = json!("A");
    server.send("measurements", &rows[1..2]);
    // It is one of A now, and the next one of B has no neighbour that it differs from.
    let of = "SELECT unit, event_id LIKE '%|A|%' FROM events WHERE kind = 'violation'";
    wait_for("the other chart", PATIENCE, || (json!(server.sql(of)) == json!([["U1", true]])).then_some(()));

    let release =
        json!([{"event_id": "r", "kind": "release", "time": second(3), "unit": "U1", "message": "measured again"}]);
    assert_eq!(server.post("/api/v1/events", release.to_string()).0, 200);
    let status = |of: &str| {
        wait_for("the status", PATIENCE, || {
            (json!(server.sql("SELECT status FROM units WHERE unit = 'U1'")) == json!([[of]])).then_some(())
        });
    };
    status("ok");
    // The same value at another time, in one write.
    let (mut gone, mut moved) = (rows[1].clone(), rows[1].clone());
    (gone["deleted"], gone["change_reason"]) = (json!(true), json!("the operation ended later"));
    let time: jiff::Timestamp = moved["time"].as_str().unwrap().parse().unwrap();
    moved["time"] = json!((time + jiff::SignedDuration::from_millis(100)).to_string());
    server.send("measurements", &[gone, moved.clone()]);
    let at = format!(
        "SELECT count(*) FROM events WHERE kind = 'violation' AND time = TIMESTAMP '{}'",
        moved["time"].as_str().unwrap()
    );
    wait_for("the violation to move", PATIENCE, || (server.number(&at) == 1.0).then_some(()));
    status("ok");
    // Another value of it is no decision's.
    moved["value"] = json!(15.0);
    moved["time"] = json!((time + jiff::SignedDuration::from_millis(200)).to_string());
    server.send("measurements", &[moved]);
    status("hold");
}

#[test]
fn all_units_of_a_subgroup_are_held_unless_they_are_older_than_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut screen = Equipment::of(Version::V5, server.mqtt);
    screen.subscribe("takt/+/+/violation").unwrap();
    let limits = |deleted: bool| {
        json!({"characteristic": "depth", "chart": "xbar_r", "valid_from": second(0), "centre": 10.0, "sigma": 1.0, "subgroup": "3",
               "rules": "N1", "reason": "study", "deleted": deleted})
    };
    server.send("control_limits", &[limits(false)]);
    // Found in the files of last year: told, but those parts are long gone.
    server.send("measurements", &[1, 2, 3].map(|number| measurement("depth", number, 30.0)));
    let told = next(&mut screen);
    assert_eq!((&told["units"], &told["withdrawn"]), (&json!(["U1", "U2", "U3"]), &json!(false)), "{told}");
    server.send("measurements", &[fresh("depth", 4, 10.0), fresh("depth", 5, 10.0), fresh("depth", 6, 19.0)]);
    let told = next(&mut screen);
    assert_eq!(told["units"], json!(["U4", "U5", "U6"]), "{told}");
    // R = 9 where σ = 1: D4·d2 = 2.574·1.693.
    assert_eq!((&told["companion"], &told["companion_value"]), (&json!("R"), &json!(9.0)), "{told}");
    assert!((told["companion_ucl"].as_f64().unwrap() - 4.358).abs() < 0.001, "{told}");
    let held = "SELECT unit FROM units WHERE status = 'hold' ORDER BY unit";
    assert_eq!(server.sql(held), [[json!("U4")], [json!("U5")], [json!("U6")]]);

    // Without limits nothing violates them.
    assert_eq!(violations(&server).len(), 2);
    server.send("control_limits", &[limits(true)]);
    let withdrawn = [next(&mut screen), next(&mut screen)];
    assert!(withdrawn.iter().all(|told| told["withdrawn"] == json!(true)), "{withdrawn:?}");
    assert_eq!(violations(&server).len(), 0);
    assert_eq!(server.sql(held).len(), 3, "who holds decides");
}

/// What `spc` says of the charts that have frozen limits.
fn said_by_charts(server: &Server) -> Vec<Vec<Value>> {
    let charts = [("single", "i_mr"), ("threes", "xbar_r"), ("named", "xbar_s"), ("hourly", "xbar_s"), ("passed", "p")];
    let parts: Vec<String> = charts
        .iter()
        .map(|(name, chart)| {
            format!(
                "SELECT characteristic, time, message FROM spc('{chart}') WHERE characteristic = '{name}' AND violated \
                 AND limits LIKE 'frozen%'"
            )
        })
        .collect();
    server.sql(&format!("SELECT * FROM ({}) ORDER BY characteristic, time, message", parts.join(" UNION ALL ")))
}

#[test]
fn events_are_what_the_charts_say_whatever_comes_however_late() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let seed = rand::random::<u64>();
    let mut dice = StdRng::seed_from_u64(seed);
    // Of one chart nobody can cut subgroups: the others are judged all the same.
    freeze(&server, "broken", "xbar_r", None, "nelson");
    server.send("measurements", &[measurement("broken", 1, 50.0)]);
    freeze(&server, "hourly", "xbar_s", Some("10 seconds"), "nelson");
    freeze(&server, "passed", "p", Some("operator"), "nelson");
    freeze(&server, "single", "i_mr", None, "nelson");
    freeze(&server, "threes", "xbar_r", Some("3"), "N1,N2(3)");
    let before = |number: i64| {
        let mut row = measurement("threes", number, 30.0);
        row["subgroup"] = json!("before");
        row
    };
    server.send("measurements", &[before(-5), before(-4)]);
    freeze(&server, "named", "xbar_s", Some("subgroup"), "western_electric");
    let mut newest = 0;
    for round in 0..25 {
        let mut rows = Vec::new();
        for _ in 0..dice.random_range(1..8) {
            let late = newest > 0 && dice.random_ratio(1, 6);
            let at = if late { dice.random_range(0..newest) } else { newest + dice.random_range(1..3) };
            newest = newest.max(at);
            let name = *["single", "threes", "named", "hourly", "passed"].choose(&mut dice).unwrap();
            let mut row = measurement(name, at, 10.0 + f64::from(dice.random_range(-35..35)) / 10.0);
            // Subgroups follow each other, overlap and come back.
            row["subgroup"] = json!(format!("S{}", at / 7 + dice.random_range(0..2)));
            row["operator"] = json!(["ann", "bob", "cid"].choose(&mut dice));
            row["result"] = json!(["pass", "pass", "fail"].choose(&mut dice));
            if late && dice.random_ratio(1, 5) {
                row["value"] = Value::Null;
                row["text"] = json!("scratched");
            }
            if late && dice.random_ratio(1, 4) {
                row["deleted"] = json!(true);
            }
            rows.push(row);
        }
        server.send("measurements", &rows);
        if round == 12 {
            let moved = json!({"characteristic": "single", "chart": "i_mr", "valid_from": second(newest / 2), "centre": 10.5,
                               "sigma": 0.8, "rules": "N1", "reason": "new tool"});
            // Closer ones that are in force later, and other subgroups from some time on.
            let closer = json!({"characteristic": "threes", "equipment": "lab/gauge", "chart": "xbar_r", "valid_from": second(newest / 2),
                                "centre": 10.0, "sigma": 0.5, "subgroup": "2", "reason": "new gauge"});
            let far = json!({"characteristic": "named", "equipment": "lab/gauge", "chart": "xbar_s", "valid_from": "2124-01-01T00:00:00Z",
                             "centre": 10.0, "sigma": 0.1, "reason": "planned"});
            server.send("control_limits", &[moved, closer, far]);
            server.send(
                "exclusions",
                &[json!({"characteristic": "named", "time": second(newest / 3), "reason": "test"})],
            );
        }
        if round == 18 {
            server.stop();
            server = Server::start(folder.path());
        }
        let expected = said_by_charts(&server);
        let sql = "SELECT characteristic, time, message FROM events WHERE kind = 'violation' ORDER BY characteristic, time, message";
        let deadline = Instant::now() + PATIENCE;
        let mut found = server.sql(sql);
        while found != expected && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(20));
            found = server.sql(sql);
        }
        assert_eq!(json!(found), json!(expected), "seed {seed}, round {round}");
    }
    assert!(!said_by_charts(&server).is_empty());
}
