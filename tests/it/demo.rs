//! `takt demo`: a whole plant by one command, that ends by itself and goes on where it stopped.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Server, output, takt};

const FREE: [&str; 6] = ["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"];

fn demo(data: &Path) -> Command {
    let mut command = takt();
    command.args(["demo", "--for", "8", "--history-hours", "2"]).args(FREE).arg("--data").arg(data);
    command
}

fn sql(data: &Path, sql: &str) -> Vec<Value> {
    let text = output(takt().args(["sql", "--format", "json", "--data"]).arg(data).arg(sql));
    serde_json::from_str(&text).unwrap()
}

/// The number that a line of the report ends with.
fn reported(report: &str, name: &str) -> u64 {
    let line = report.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{report}"));
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn the_demo_keeps_out_of_a_folder_of_another_plant() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(Server::start(folder.path()));
    let before = fs::read_to_string(data.join("plant.toml")).unwrap();
    let refused = demo(&data).output().unwrap();
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("holds the data of the plant") && told.contains("--data"), "{told}");
    assert_eq!(fs::read_to_string(data.join("plant.toml")).unwrap(), before);
}

#[test]
fn the_demo_plant_runs_reports_and_continues() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("demo");
    let started = jiff::Timestamp::now();
    let report = output(&mut demo(&data));
    assert!(report.contains("http://127.0.0.1:") && report.contains("psql -h 127.0.0.1"), "{report}");

    // What it says it stored is what the folder holds.
    let tables = ["samples", "measurements", "operations", "work_orders", "units", "materials"];
    for table in tables {
        let rows = sql(&data, &format!("SELECT count(*) AS n FROM {table}"))[0]["n"].as_u64().unwrap();
        assert_eq!(reported(&report, table), rows, "{table}");
        assert!(rows > 0, "{table} is empty");
    }
    assert!(reported(&report, "messages acknowledged") > 1_000);
    assert_eq!(sql(&data, "SELECT count(*) AS n FROM quarantine"), [json!({"n": 0})], "the demo's own messages fit");

    // Two hours of history, then live; every station has an OEE of its hours.
    let span = &sql(&data, "SELECT min(time) AS first, max(time) AS last FROM samples")[0];
    let time = |name: &str| span[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let ahead = started.duration_since(time("first")).as_secs();
    assert!((7_100..7_400).contains(&ahead), "history begins {ahead} s before the start");
    assert!(time("last").duration_since(started).as_secs() >= 4, "live values end at {}", span["last"]);
    let hours = "SELECT equipment, max(oee) AS oee, max(total) AS total FROM oee('1 hour', \
                 (SELECT min(time) FROM samples), (SELECT max(time) FROM samples)) GROUP BY equipment";
    let hours = hours.replace("(SELECT min(time) FROM samples)", &format!("timestamptz '{}'", time("first")));
    let hours = hours.replace("(SELECT max(time) FROM samples)", &format!("timestamptz '{}'", time("last")));
    let stations = sql(&data, &hours);
    let station =
        |path: &str| stations.iter().find(|row| row["equipment"] == path).unwrap_or_else(|| panic!("no {path}"));
    for path in ["press", "weld", "screwdriving", "leak-test", "end-of-line-test", "packing"] {
        let row = station(&format!("cologne/line-1/{path}"));
        assert!(row["oee"].as_f64().is_some_and(|oee| oee > 0.0), "{row}");
        assert!(row["total"].as_f64().is_some_and(|total| total > 0.0), "{row}");
    }
    assert!(station("cologne/line-1")["oee"].as_f64().is_some_and(|oee| oee > 0.0));

    // A second start brings no history again and changes nothing that was there.
    let counted =
        "SELECT count(*) AS n, count(value) AS numbers, sum(value) AS sum FROM samples WHERE time <= timestamptz";
    let old = format!("{counted} '{}'", time("last"));
    let before = sql(&data, &old);
    output(&mut demo(&data));
    assert_eq!(sql(&data, &old), before);
    let newest = sql(&data, "SELECT max(time) AS last FROM samples");
    assert!(newest[0]["last"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() > time("last"));
    // Nothing of the plant was said twice: neither a sample corrected nor a serial number given again.
    assert_eq!(sql(&data, "SELECT count(*) AS n FROM samples_history"), [json!({"n": 0})]);
    let doubles = "SELECT count(*) - count(DISTINCT unit) AS n FROM units";
    assert_eq!(sql(&data, doubles), [json!({"n": 0})]);
    assert_eq!(sql(&data, "SELECT count(*) AS n FROM quarantine"), [json!({"n": 0})]);
}
