//! Stops and losses of a machine that sends records: whole stops, their reasons, and the bad input that is refused.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Server;

const PLANT: &str = r#"
[plant]
name = "stops"
zone = "Europe/Berlin"
microstop_threshold_s = 120
startup_s = 600

[[equipment]]
path = "site"
[[equipment]]
path = "site/press"
state_source = "mes"
count_source = "mes"
calendar = "early"

[[signals]]
equipment = "site/press"
signal = "meter"
role = "energy"
uom = "kWh"

[[calendars.early.shifts]]
name = "early"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "06:00"
end = "14:00"
breaks = [["09:00", "09:30"]]

[[products]]
product = "A"
ideal_cycle_s = 10

[[reasons]]
reason = "mechanical"
category = "unplanned"
[[reasons]]
reason = "jam"
name = "Jammed part"
parent = "mechanical"
category = "unplanned"
[[reasons]]
reason = "maintenance"
category = "planned"
[[reasons]]
reason = "setup"
category = "changeover"
"#;

fn press(fields: Value) -> Value {
    let mut row = json!({"equipment": "site/press", "source": "mes"});
    row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    row
}

/// Tuesday, 14 January 2025, UTC; Berlin is an hour ahead.
pub fn at(clock: &str) -> String {
    format!("2025-01-14T{clock}.000000Z")
}

pub fn filled(folder: &std::path::Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    let server = Server::start(folder);
    let state = |clock: &str, state: &str, reason: Option<&str>| {
        press(json!({"start": at(clock), "state": state, "reason": reason}))
    };
    let mut states = vec![state("04:00:00", "RUN", None)];
    // The machine says every minute that it stands still.
    states.extend((0..60).map(|minute| state(&format!("06:{minute:02}:00"), "STOP", Some("jam"))));
    states.extend([
        state("07:00:00", "STOP", Some("jam")),
        state("09:00:00", "RUN", None),
        state("09:30:00", "STOP", Some("jam")),
        state("09:31:00", "RUN", None),
        state("10:00:00", "SETUP", Some("setup")),
        state("10:20:00", "RUN", None),
        state("20:00:00", "STOP", None),
    ]);
    server.send("states", &states);
    let order = |run: &str, order: &str, product: &str, from: &str, to: Option<&str>| {
        json!({"run": run, "equipment": "site/press", "work_order": order, "product": product, "operation": "press",
               "started": at(from), "completed": to.map(at)})
    };
    let operations = [order("1", "WO-1", "A", "04:00:00", Some("10:00:00")), order("2", "WO-2", "A", "10:20:00", None)];
    server.send("operations", &operations);
    let count = |clock: &str, total: i64, scrap: i64| press(json!({"time": at(clock), "total": total, "scrap": scrap}));
    server.send("counts", &[count("05:30:00", 300, 3), count("10:25:00", 20, 5), count("11:00:00", 100, 1)]);
    server
}

#[test]
fn a_stop_is_whole_where_the_window_cuts_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let columns = "time, start, \"end\", state, category, microstop, reason, reason_name, reason_path, duration_s, \
                   in_window_s, counted_s, shift, production_day, work_order, product, mtbf_s, mttr_s";
    let stops = |from: &str, to: &str| {
        server.sql(&format!(
            "SELECT {columns} FROM stops('{}', '{}') WHERE equipment = 'site/press' ORDER BY time",
            at(from),
            at(to)
        ))
    };
    let jam = json!([
        at("07:30:00"),
        at("06:00:00"),
        at("09:00:00"),
        "stop",
        "unplanned",
        false,
        "jam",
        "Jammed part",
        "mechanical/jam",
        10_800.0,
        // The break is from 08:00 to 08:30 UTC.
        3_600.0,
        1_800.0,
        "early",
        "2025-01-14",
        "WO-1",
        "A",
        0.0,
        1_800.0
    ]);
    assert_eq!(json!(stops("07:30:00", "08:30:00")), json!([jam]));
    let day = stops("04:00:00", "13:00:00");
    let found: Vec<_> = day.iter().map(|row| json!([row[4], row[5], row[9], row[11], row[14]])).collect();
    let expected = json!([
        ["unplanned", false, 10_800.0, 9_000.0, "WO-1"],
        ["unplanned", true, 60.0, 60.0, "WO-1"],
        ["changeover", false, 1_200.0, 1_200.0, null]
    ]);
    assert_eq!(json!(found), expected);
    // What lasts has no end; the shift is over.
    let open = stops("21:00:00", "22:00:00");
    assert_eq!(json!(open[0][..7]), json!([at("21:00:00"), at("20:00:00"), null, "stop", "unplanned", false, null]));
    assert_eq!(json!(open[0][10..14]), json!([3_600.0, 0.0, null, null]));
    assert!(open[0][9].as_f64() > Some(86_400.0), "{open:?}");

    let pareto = server.sql(&format!(
        "SELECT split_part(reason_path, '/', 1), count(*), sum(counted_s) FROM stops('{}', '{}') \
         WHERE equipment = 'site/press' GROUP BY 1 ORDER BY 3 DESC",
        at("04:00:00"),
        at("13:00:00")
    ));
    assert_eq!(json!(pareto), json!([["mechanical", 2, 9_060.0], ["setup", 1, 1_200.0]]));
}

#[test]
fn losses_go_down_to_fully_productive_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let window = format!("'{}', '{}'", at("04:00:00"), at("13:00:00"));
    let losses = |by: &str, equipment: &str| {
        server.sql(&format!(
            "SELECT loss, factor, big_loss, lost_s, left_s, work_order FROM losses('{by}', {window}) \
             WHERE equipment = '{equipment}' ORDER BY time, step"
        ))
    };
    let day = losses("10000 days", "site/press");
    let expected = json!([
        ["not_scheduled", null, null, 3_600.0, 28_800.0, null],
        ["planned_break", null, null, 1_800.0, 27_000.0, null],
        ["planned_downtime", null, null, 0.0, 27_000.0, null],
        ["unplanned", "availability", "equipment failure", 9_000.0, 18_000.0, null],
        ["changeover", "availability", "setup and adjustment", 1_200.0, 16_800.0, null],
        ["no_order", "availability", null, 0.0, 16_800.0, null],
        ["unknown", "availability", null, 0.0, 16_800.0, null],
        ["minor_stops", "performance", "idling and minor stops", 60.0, 16_740.0, null],
        // 420 pieces of 10 s.
        ["reduced_speed", "performance", "reduced speed", 12_540.0, 4_200.0, null],
        ["startup_rejects", "quality", "reduced yield", 50.0, 4_150.0, null],
        ["production_rejects", "quality", "process defects", 40.0, 4_110.0, null]
    ]);
    assert_eq!(json!(day), expected);
    // The tree adds up.
    assert_eq!(json!(losses("10000 days", "site")), expected);
    let by_order = losses("work_order", "site/press");
    let lost = |order: Value, loss: &str| {
        let of = by_order.iter().filter(|row| row[5] == order && row[0] == loss);
        of.map(|row| row[3].as_f64().unwrap()).sum::<f64>()
    };
    assert_eq!(by_order.len(), 33, "{by_order:?}");
    assert_eq!((lost(json!("WO-1"), "unplanned"), lost(json!("WO-2"), "unplanned")), (9_000.0, 0.0));
    assert_eq!((lost(json!(null), "changeover"), lost(json!("WO-2"), "startup_rejects")), (1_200.0, 50.0));
    let products = server.sql(&format!(
        "SELECT product, total, order_s, throughput_per_h FROM oee('product', {window}) WHERE equipment = 'site/press'"
    ));
    // From 04:00 to 10:00 and from 10:20 to 13:00.
    assert_eq!(json!(products), json!([["A", 420.0, 31_200.0, 420.0 * 3_600.0 / 31_200.0], [null, 0.0, 0.0, null]]));
}

#[test]
fn counts_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    for (table, row, why) in [
        (
            "counts",
            press(json!({"time": at("12:00:00"), "total": 5, "good": 9})),
            "`good` is 9, more than the `total` of 5",
        ),
        ("counts", press(json!({"time": at("12:00:00"), "total": -5})), "`total` is less than 0"),
        ("work_orders", json!({"work_order": "WO-9", "ideal_cycle_s": 0}), "`ideal_cycle_s` is not more than 0"),
    ] {
        let (status, body) = server.post(&format!("/api/v1/{table}"), json!([row]).to_string());
        assert!(status == 400 && body.contains(why), "{status} {body}");
    }
    let refused = server.post("/api/v1/sql", "SELECT * FROM losses('fortnight', '2025-01-14', '2025-01-15')");
    assert!(refused.1.contains("losses also takes 'shift', 'day', 'work_order' and 'product'"), "{refused:?}");
}

/// The stop from 06:00 to 09:00 and the one that lasts since 20:00 are explained afterwards, in parts, anew.
#[test]
fn a_reason_given_later_shows_in_every_number() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let give = |from: &str, to: Option<&str>, reason: &str| {
        let row = json!({"equipment": "site/press", "start": at(from), "end": to.map(at), "reason": reason});
        server.send("stop_reasons", &[row]);
    };
    let figures = || {
        let sql = format!(
            "SELECT unplanned_s, changeover_s, planned_downtime_s, unplanned_stops FROM oee('10000 days', '{}', '{}') \
             WHERE equipment = 'site/press'",
            at("04:00:00"),
            at("13:00:00")
        );
        let row = server.sql(&sql).swap_remove(0);
        row.iter().map(|figure| figure.as_f64().unwrap()).collect::<Vec<f64>>()
    };
    let stops = |from: &str, to: &str| {
        let sql = format!(
            "SELECT start, \"end\", reason, category FROM stops('{}', '{}') WHERE equipment = 'site/press' ORDER BY time",
            at(from),
            at(to)
        );
        json!(server.sql(&sql))
    };
    assert_eq!(figures(), [9_000.0, 1_200.0, 0.0, 1.0]);
    // Split: the first hour was a changeover, the last half an hour maintenance.
    give("06:00:00", Some("07:00:00"), "setup");
    give("08:30:00", Some("09:00:00"), "maintenance");
    assert_eq!(figures(), [3_600.0, 4_800.0, 1_800.0, 1.0]);
    let parts = json!([
        [at("06:00:00"), at("07:00:00"), "setup", "changeover"],
        [at("07:00:00"), at("08:30:00"), "jam", "unplanned"],
        [at("08:30:00"), at("09:00:00"), "maintenance", "planned"]
    ]);
    assert_eq!(stops("06:30:00", "08:45:00"), parts);
    let known = server.sql("SELECT max(recorded) FROM stop_reasons")[0][0].clone();
    // Merged: one reason for all of it, recorded last.
    give("05:59:00", Some("09:00:00"), "setup");
    assert_eq!(figures(), [0.0, 10_200.0, 0.0, 0.0]);
    assert_eq!(stops("06:30:00", "08:45:00"), json!([[at("06:00:00"), at("09:00:00"), "setup", "changeover"]]));
    // Taken back.
    let retracted = json!({"equipment": "site/press", "start": at("05:59:00"), "deleted": true});
    server.send("stop_reasons", &[retracted]);
    assert_eq!(figures(), [3_600.0, 4_800.0, 1_800.0, 1.0]);
    // What is given to what lies above holds for the machine, until it is taken back.
    let of_site = |more: Value| {
        let mut row = json!({"equipment": "site", "start": at("07:00:00")});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.send("stop_reasons", &[row]);
    };
    of_site(json!({"end": at("07:30:00"), "reason": "maintenance"}));
    assert_eq!(figures(), [1_800.0, 4_800.0, 3_600.0, 1.0]);
    of_site(json!({"deleted": true}));
    assert_eq!(figures(), [3_600.0, 4_800.0, 1_800.0, 1.0]);
    // What was known between.
    let sql = format!("SELECT count(*) FROM stop_reasons_history WHERE start = '{}'", at("05:59:00"));
    assert_eq!(server.number(&sql), 1.0);
    let row = json!({"equipment": "site/press", "start": at("06:00:00"), "end": at("06:10:00"), "reason": "setup"});
    server.send("stop_reasons", &[row]);
    assert_eq!(figures(), [6_600.0, 1_800.0, 1_800.0, 1.0]);
    let as_of = format!("/api/v1/sql?format=json&as_of={}", known.as_str().unwrap().replace('+', "%2B"));
    let sql = format!(
        "SELECT changeover_s FROM oee('10000 days', '{}', '{}') WHERE equipment = 'site/press'",
        at("04:00:00"),
        at("13:00:00")
    );
    let (status, then) = server.post(&as_of, sql);
    assert!(status == 200 && then.contains("4800"), "{status} {then}");

    // The one that lasts, from half past: seen by a window that begins much later, with states of every minute between.
    give("20:30:00", None, "jam");
    let states = (31..59).map(|minute| press(json!({"start": at(&format!("20:{minute}:00")), "state": "STOP"})));
    server.send("states", &states.collect::<Vec<Value>>());
    let later = server.sql("SELECT start, reason FROM stops('2025-01-15T06:00:00Z', '2025-01-15T07:00:00Z') WHERE equipment = 'site/press'");
    assert_eq!(json!(later), json!([[at("20:30:00"), "jam"]]));
    let totals = server
        .sql("SELECT reason, sum(in_window_s) FROM stops('2025-01-15T06:00:00Z', '2025-01-15T07:00:00Z') GROUP BY 1");
    assert_eq!(json!(totals), json!([["jam", 3_600.0]]));

    let nothing = json!([{"equipment": "site/press", "start": at("06:00:00")}]).to_string();
    let (status, body) = server.post("/api/v1/stop_reasons", nothing);
    assert!(status == 400 && body.contains("needs the field `reason`"), "{status} {body}");
    let undeclared = json!([{"equipment": "site/press", "start": at("06:00:00"), "reason": "gremlins"}]).to_string();
    let (status, body) = server.post("/api/v1/stop_reasons", undeclared);
    assert!(status == 400 && body.contains("the reason `gremlins` is not declared"), "{status} {body}");
}
