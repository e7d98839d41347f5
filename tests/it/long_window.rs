//! A window of months is reported on in stages: that must show in nothing.

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::Server;

const PLANT: &str = r#"
[plant]
name = "long"
zone = "Europe/Berlin"
microstop_threshold_s = 600
startup_s = 1800

[[equipment]]
path = "site"
[[equipment]]
path = "site/line"
[[equipment]]
path = "site/line/press"
state_source = "mes"
count_source = "mes"
default_product = "A"
calendar = "early"
# Nothing is bound: it is a machine because it sends records, and that begins late.
[[equipment]]
path = "site/line/saw"
default_product = "A"
[[equipment]]
path = "site/line/mill"

[[products]]
product = "A"
ideal_cycle_s = 30

[[calendars.early.shifts]]
name = "early"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "06:00"
end = "14:00"
breaks = [["09:00", "09:30"]]
[[calendars.early.shifts]]
name = "night"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "22:00"
end = "06:00"
"#;

const HOUR_S: i64 = 3_600;
const DAYS: i64 = 100;
/// 2025-01-01 00:00 UTC: clocks change within the window.
const START_S: i64 = 1_735_689_600;
const SUMS: [&str; 13] = [
    "calendar_s",
    "scheduled_s",
    "planned_break_s",
    "planned_production_s",
    "run_s",
    "microstop_s",
    "unplanned_s",
    "unknown_s",
    "not_scheduled_s",
    "total",
    "good",
    "scrap",
    "ideal_total_s",
];

fn instant(second: i64) -> String {
    Timestamp::from_second(second).unwrap().to_string()
}

/// States that change every few hours, some of which last for days, and pieces of each hour in which it may run.
fn filled(folder: &std::path::Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder);
    let (mut states, mut counts) = (Vec::new(), Vec::new());
    for (name, source, from) in
        [("press", "mes", 0), ("saw", "plc", 70 * 24 * HOUR_S), ("mill", "plc", 80 * 24 * HOUR_S)]
    {
        let equipment = format!("site/line/{name}");
        let (mut second, mut turn) = (from, 0_i64);
        while second < DAYS * 24 * HOUR_S {
            let state = ["RUN", "STOP", "RUN", "SETUP", "STOP"][usize::try_from(turn * 7 % 5).unwrap()];
            states.push(
                json!({"equipment": equipment, "source": source, "start": instant(START_S + second), "state": state}),
            );
            turn += 1;
            // Some states hold for longer than a stage is.
            second += 137 + turn * turn * 977 % (3 * HOUR_S) + if turn % 150 == 149 { 35 * 24 * HOUR_S } else { 0 };
        }
        // Nobody counts what the mill makes.
        let counted = if name == "mill" { 0..0 } else { from / HOUR_S..DAYS * 24 };
        for hour in counted {
            let total = (hour * 13) % 40;
            counts.push(
                json!({"equipment": equipment, "source": source, "time": instant(START_S + hour * HOUR_S + 1799),
                "total": total, "good": total - total % 3, "scrap": total % 3}),
            );
        }
    }
    for rows in states.chunks(2_000) {
        server.send("states", rows);
    }
    for rows in counts.chunks(2_000) {
        server.send("counts", rows);
    }
    server
}

fn close(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-6 * other.abs().max(1.0),
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[test]
fn stages_of_a_long_window_do_not_show() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let (from, to) = (instant(START_S), instant(START_S + DAYS * 24 * HOUR_S));
    let sums: Vec<String> = SUMS.iter().map(|name| format!("sum({name})")).collect();
    let sums = sums.join(", ");
    for equipment in ["site/line/press", "site/line/saw", "site/line/mill", "site/line"] {
        let of = format!("WHERE equipment = '{equipment}'");
        // One bucket that is longer than a stage needs none.
        let whole = server.sql(&format!("SELECT {sums} FROM oee('10000 days', '{from}', '{to}') {of}"));
        for bucket in ["1 hour", "day", "shift", "7 days"] {
            let parts = server.sql(&format!("SELECT {sums} FROM oee('{bucket}', '{from}', '{to}') {of}"));
            for (place, name) in SUMS.iter().enumerate() {
                assert!(
                    close(&parts[0][place], &whole[0][place]),
                    "{equipment} by {bucket}: {name} is {}, not {}",
                    parts[0][place],
                    whole[0][place]
                );
            }
        }
        // Buckets follow each other without a gap, from the beginning on.
        let hours = format!("SELECT time, \"end\" FROM oee('1 hour', '{from}', '{to}') {of} ORDER BY time");
        let hours = server.sql(&hours);
        assert_eq!(hours.len(), usize::try_from(DAYS * 24).unwrap(), "{equipment}");
        assert!(hours.windows(2).all(|pair| pair[0][1] == pair[1][0]), "{equipment}");
        let days = server.sql(&format!("SELECT count(*) FROM oee('day', '{from}', '{to}') {of}"));
        assert_eq!(days, [[json!(DAYS + 1)]], "{equipment}: the window begins at one in the morning");

        // Each row is the one that is given when it is asked for alone.
        let long = format!("FROM oee('shift', '{from}', '{to}') {of}");
        for bounds in server.sql(&format!("SELECT time, \"end\" {long} ORDER BY time")).iter().skip(1).step_by(7) {
            let (start, end) = (bounds[0].as_str().unwrap(), bounds[1].as_str().unwrap());
            let of_long = server.sql(&format!("SELECT * {long} AND time = '{start}'"));
            let alone = server.sql(&format!("SELECT * FROM oee('shift', '{start}', '{end}') {of}"));
            // What sends nothing then is no machine to whoever looks at nothing else.
            if equipment == "site/line/press" {
                assert_eq!(of_long, alone, "{equipment} at {start}");
            }
        }
    }
    // The window ends in the bucket that the first stage ends in.
    let near = instant(START_S + 31 * 24 * HOUR_S + 2 * HOUR_S);
    for bucket in ["day", "shift", "40 days"] {
        let call = format!("FROM oee('{bucket}', '{from}', '{near}') WHERE equipment = 'site/line/press'");
        let bounds = server.sql(&format!("SELECT time, \"end\" {call} ORDER BY time"));
        assert!(bounds.iter().all(|row| row[0] != row[1]), "{bucket}: an empty bucket");
        assert!(bounds.windows(2).all(|pair| pair[0][1] == pair[1][0]), "{bucket}: {bounds:?}");
        assert_eq!(server.number(&format!("SELECT sum(calendar_s) {call}")), (31 * 24 + 2) as f64 * HOUR_S as f64);
    }
    let lost = server.sql(&format!(
        "SELECT count(*), count(DISTINCT time) FROM losses('day', '{from}', '{to}') WHERE equipment = 'site/line/press'"
    ));
    assert_eq!(lost[0][1], json!(DAYS + 1));
}
