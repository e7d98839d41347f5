//! OEE as it happens: on MQTT, in the feed and in SQL, always what `oee` says of the same rows.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::equipment::{Equipment, Version};
use crate::harness::{Server, wait_for};

/// A press that sends records, a weld that is bound by signals, a saw that sends intervals, a mill whose speed tells its state,
/// whose door tells why it stands, and which has a meter; and a serial cell of a test stand whose results count, and of packing.
const PLANT: &str = r#"
[plant]
name = "live"
zone = "UTC"
microstop_threshold_s = 120
startup_s = 300

[[equipment]]
path = "site"
[[equipment]]
path = "site/press"
state_source = "mes"
count_source = "mes"
[[equipment]]
path = "site/saw"
state_source = "mes"
state_kind = "interval"
count_source = "mes"
calendar = "three"
[[equipment]]
path = "site/weld"
default_product = "A"

[[equipment]]
path = "site/mill"
default_product = "B"
cost_per_hour = 60
energy_price_per_kwh = 0.3

[[equipment]]
path = "site/cell"
rollup = "serial"
[[equipment]]
path = "site/cell/test"
state_source = "mes"
count_source = "operations"
results = { SORT = "rework" }
[[equipment]]
path = "site/cell/pack"
state_source = "mes"
count_source = "mes"

[[calendars.three.shifts]]
name = "early"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
start = "06:00"
end = "14:00"
breaks = [["09:00", "09:30"]]
[[calendars.three.shifts]]
name = "late"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
start = "14:00"
end = "22:00"
[[calendars.three.shifts]]
name = "night"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
start = "22:00"
end = "06:00"

[[signals]]
equipment = "site/weld"
signal = "state"
role = "state"
[[signals]]
equipment = "site/weld"
signal = "parts"
role = "total_count"
[[signals]]
equipment = "site/weld"
signal = "rejects"
role = "scrap_count"

[[signals]]
equipment = "site/mill"
signal = "speed"
role = "state"
running = { above = 5.0, for_s = 20 }
[[signals]]
equipment = "site/mill"
signal = "door"
[[signals]]
equipment = "site/mill"
signal = "made"
role = "good_count"
[[signals]]
equipment = "site/mill"
signal = "meter"
role = "energy"
uom = "Wh"

[[reason_rules]]
equipment = "site/mill"
signal = "door"
equals = 1
reason = "door"

[[products]]
product = "A"
ideal_cycle_s = 10
[[products]]
product = "B"
ideal_cycle_s = 15

[[reasons]]
reason = "door"
category = "unplanned"
[[reasons]]
reason = "jam"
category = "unplanned"
[[reasons]]
reason = "service"
category = "planned"
"#;

fn start(folder: &Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    Server::start(folder)
}

fn instant(us: i64) -> String {
    Timestamp::from_microsecond(us).unwrap().to_string()
}

fn now_us() -> i64 {
    Timestamp::now().as_microsecond()
}

const MINUTE_US: i64 = 60_000_000;

/// The rows of `oee_live()`, and of `oee` for the same stretches, as one statement sees them.
fn both(server: &Server) -> (Vec<Vec<Value>>, Vec<Vec<Value>>) {
    let running = || server.sql("SELECT equipment, time, work_order FROM oee_live() ORDER BY equipment, work_order");
    loop {
        let now = running();
        let found = compared(server, &now);
        // A shift may have ended meanwhile.
        if running() == now {
            return found;
        }
    }
}

fn compared(server: &Server, running: &[Vec<Value>]) -> (Vec<Vec<Value>>, Vec<Vec<Value>>) {
    let mut parts = Vec::new();
    for row in running {
        let (path, from) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        let grouping = if row[2].is_null() { "shift" } else { "work_order" };
        let of_order = row[2].as_str().map_or(String::new(), |order| format!(" AND work_order = '{order}'"));
        parts.push(format!(
            "SELECT 'batch' AS side, * FROM oee('{grouping}', '{from}', '2100-01-01') WHERE equipment = '{path}'{of_order}"
        ));
    }
    let sql = format!(
        "SELECT * FROM (SELECT 'live' AS side, * FROM oee_live() UNION ALL {}) ORDER BY side, equipment, work_order, time",
        parts.join(" UNION ALL ")
    );
    let rows = server.sql(&sql);
    let side = |name: &str| -> Vec<Vec<Value>> {
        rows.iter().filter(|row| row[0] == name).map(|row| row[1..].to_vec()).collect()
    };
    (side("live"), side("batch"))
}

fn assert_same(server: &Server, when: &str) {
    let (live, batch) = both(server);
    assert_eq!(live.len(), batch.len(), "{when}: {live:?} {batch:?}");
    for (live, batch) in live.iter().zip(&batch) {
        for (at, (live_value, batch_value)) in live.iter().zip(batch).enumerate() {
            let same = match (live_value.as_f64(), batch_value.as_f64()) {
                (Some(live), Some(batch)) => (live - batch).abs() <= 1e-9 * batch.abs().max(1.0),
                _ => live_value == batch_value,
            };
            if !same {
                // What times make of it cannot be had again by the seed alone.
                for table in ["states", "stop_reasons", "operations"] {
                    eprintln!("{table}: {}", json!(server.sql(&format!("SELECT * FROM {table} ORDER BY recorded"))));
                }
            }
            assert!(same, "{when}: column {at}: {live_value} {batch_value}\nlive  {live:?}\nbatch {batch:?}");
        }
    }
}

/// Something that happens to one of the machines, now or some time ago.
fn happen(server: &Server, dice: &mut StdRng, parts: &mut i64) {
    let late = dice.random_ratio(1, 4);
    let at = now_us() - if late { dice.random_range(0..600 * MINUTE_US) } else { dice.random_range(0..1_000_000) };
    // A source's clock may be ahead by some minutes.
    let end = |dice: &mut StdRng, minutes: i64| {
        (at + dice.random_range(1..minutes * MINUTE_US)).min(now_us() + dice.random_range(0..5 * MINUTE_US))
    };
    let path = *["site/press", "site/saw", "site/cell/test", "site/cell/pack"].choose(dice).unwrap();
    let state = *["RUN", "RUN", "STOP", "SETUP", "IDLE"].choose(dice).unwrap();
    match dice.random_range(0..11) {
        0 => {
            let mut row = json!({"equipment": path, "source": "mes", "start": instant(at), "state": state});
            if path == "site/saw" && dice.random_ratio(1, 2) {
                row["end"] = json!(instant(end(dice, 20)));
            }
            server.send("states", &[row]);
        }
        1 => {
            let scrap = i64::from(dice.random_ratio(1, 10));
            server.send(
                "counts",
                &[json!({"equipment": path, "source": "mes", "time": instant(at), "total": 1, "scrap": scrap})],
            );
        }
        2 => {
            let reason = *["jam", "service"].choose(dice).unwrap();
            // What is given to a line holds for the machines below it.
            let path = *[path, path, "site/cell", "site"].choose(dice).unwrap();
            let mut row = json!({"equipment": path, "start": instant(at), "reason": reason});
            if dice.random_ratio(1, 2) {
                row["end"] = json!(instant(end(dice, 20)));
            }
            server.send("stop_reasons", &[row]);
        }
        3 => {
            let places = ["site/press", "site/saw", "site/weld", "site", "site/cell", "site/cell/test"];
            let path = *places.choose(dice).unwrap();
            let (run, order) = (dice.random_range(0..12), dice.random_range(0..3));
            let product = *["A", "B", "C"].choose(dice).unwrap();
            let mut row = json!({"run": run.to_string(), "equipment": path, "work_order": format!("W{order}"),
                                 "product": product, "operation": "op", "started": instant(at), "completed": null});
            if dice.random_ratio(1, 2) {
                row["completed"] = json!(instant(end(dice, 200)));
            }
            server.send("operations", &[row]);
        }
        9 => {
            // Units one after another, some of them twice, some judged later.
            let run = dice.random_range(0..8);
            let mut row = json!({"run": format!("u{run}"), "equipment": "site/cell/test", "unit": format!("SN{run}"),
                                 "operation": "test", "started": instant(at), "completed": instant(end(dice, 3))});
            if dice.random_ratio(3, 4) {
                row["result"] = json!(*["pass", "fail", "SORT", "LATER"].choose(dice).unwrap());
            }
            if dice.random_ratio(1, 4) {
                row["quantity"] = json!(dice.random_range(1..4));
            }
            server.send("operations", &[row]);
        }
        4 => {
            let order = format!("W{}", dice.random_range(0..3));
            server.send("work_orders", &[json!({"work_order": order, "ideal_cycle_s": dice.random_range(5..20)})]);
        }
        5 => {
            let line = format!("weld,equipment=site/weld state=\"{state}\" {at}");
            let (status, answer) = server.post("/api/v2/write?precision=us", line);
            assert_eq!(status, 204, "{answer}");
        }
        6 | 7 => {
            *parts += dice.random_range(0..4);
            let (speed, door) = (dice.random_range(0..10), dice.random_range(0..2));
            let meter = *parts * 7;
            let line = format!("mill,equipment=site/mill speed={speed},door={door},made={parts},meter={meter} {at}");
            let (status, answer) = server.post("/api/v2/write?precision=us", line);
            assert_eq!(status, 204, "{answer}");
        }
        _ => {
            *parts += dice.random_range(0..4);
            let line = format!("weld,equipment=site/weld parts={parts},rejects={} {at}", *parts / 10);
            let (status, answer) = server.post("/api/v2/write?precision=us", line);
            assert_eq!(status, 204, "{answer}");
        }
    }
}

#[test]
fn live_is_batch_whatever_comes_however_late() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let seed = rand::random::<u64>();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut parts = 0;
    for round in 0..60 {
        for _ in 0..dice.random_range(1..6) {
            happen(&server, &mut dice, &mut parts);
        }
        assert_same(&server, &format!("seed {seed}, round {round}"));
        if round == 30 {
            server.stop();
            server = Server::start(folder.path());
            assert_same(&server, &format!("seed {seed}, after a restart"));
        }
    }
    let live = |of: &str| server.number(&format!("SELECT count(*) FROM oee_live() WHERE {of}"));
    assert!(live("work_order IS NULL") >= 7.0, "six machines and a line");
    assert!(live("work_order IS NOT NULL") >= 1.0, "an order");
    assert_eq!(live("equipment = 'site/cell'"), 1.0, "a line");
    assert_eq!(live("equipment = 'site'"), 0.0, "the saw works other shifts");
}

#[test]
fn an_event_is_told_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut screen = Equipment::of(Version::V5, server.mqtt);
    screen.subscribe("takt/site/press/oee").unwrap();
    let begun = now_us() - 5 * MINUTE_US;
    let order =
        json!({"run": "1", "equipment": "site/press", "work_order": "W1", "product": "A", "started": instant(begun)});
    server.send("operations", &[order]);
    server.send(
        "states",
        &[json!({"equipment": "site/press", "source": "mes", "start": instant(begun), "state": "RUN"})],
    );
    let heard = |screen: &mut Equipment, wanted: &dyn Fn(&Value) -> bool| -> Value {
        loop {
            let message: Value = serde_json::from_str(&screen.hear().unwrap().payload).unwrap();
            if wanted(&message) {
                return message;
            }
        }
    };
    heard(&mut screen, &|message| message["category"] == "run");
    let sent = Instant::now();
    server.send(
        "counts",
        &[json!({"equipment": "site/press", "source": "mes", "time": instant(begun + 1), "total": 20, "scrap": 1})],
    );
    let told = heard(&mut screen, &|message| message["order"]["total"] == 20.0);
    let took = sent.elapsed();
    assert!(took < Duration::from_secs(5), "told after {took:?}: a second, and patience for a busy machine");
    assert_eq!((&told["equipment"], &told["order"]["work_order"]), (&json!("site/press"), &json!("W1")));
    assert_eq!((&told["order"]["good"], &told["shift"]["good"]), (&json!(19.0), &json!(19.0)));
    assert_eq!(told["shift"]["shift"], "day");
    assert!((told["order"]["quality"].as_f64().unwrap() - 0.95).abs() < 1e-12, "{told}");
    // Retained: who comes later hears it at once.
    let mut later = Equipment::of(Version::V4, server.mqtt);
    later.subscribe("takt/#").unwrap();
    heard(&mut later, &|message| message["equipment"] == "site/press" && message["order"]["total"] == 20.0);

    let stopped = begun + 4 * MINUTE_US;
    server.send(
        "states",
        &[json!({"equipment": "site/press", "source": "mes", "start": instant(stopped), "state": "STOP"})],
    );
    let told = heard(&mut screen, &|message| message["category"] == "unplanned");
    assert!(told["order"]["availability"].as_f64().unwrap() <= 1.0, "{told}");
    server.send("stop_reasons", &[json!({"equipment": "site/press", "start": instant(stopped), "reason": "service"})]);
    let told = heard(&mut screen, &|message| message["state_reason"] == "service");
    assert_eq!(told["category"], "planned", "a reason counts at once");
}

#[test]
fn a_line_is_told_as_its_machines_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut screen = Equipment::of(Version::V5, server.mqtt);
    screen.subscribe("takt/site/cell/oee").unwrap();
    let at = |second: i64| instant(now_us() - 300_000_000 + second * 1_000_000);
    let order = json!({"run": "o", "equipment": "site/cell", "work_order": "W1", "product": "A", "started": at(0)});
    let unit = json!({"run": "u", "equipment": "site/cell/test", "unit": "SN1", "work_order": "W1", "product": "A",
                      "started": at(10), "completed": at(20), "result": "fail"});
    server.send("operations", &[order, unit]);
    let packed = json!({"equipment": "site/cell/pack", "source": "mes", "time": at(30), "total": 7});
    server.send("counts", &[packed]);
    let told = loop {
        let message: Value = serde_json::from_str(&screen.hear().unwrap().payload).unwrap();
        if message["shift"]["good"] == 7.0 {
            break message;
        }
    };
    assert_eq!((&told["equipment"], &told["state"], &told["order"]), (&json!("site/cell"), &Value::Null, &Value::Null));
    assert_eq!(told["shift"]["scrap"], 1.0, "what the test stand rejected is lost to the line");
    let row = server.sql("SELECT good, scrap FROM oee_live() WHERE equipment = 'site/cell'");
    assert_eq!(json!(row), json!([[7.0, 1.0]]));
    // Nothing comes any more: it is told of again, and never taken back.
    for _ in 0..2 {
        assert_eq!(screen.hear().unwrap().payload.get(..1), Some("{"));
    }
}

/// A reason of the line and one of its machine may begin at the same moment.
#[test]
fn reasons_of_a_line_stand_beside_those_of_its_machines() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let at = |second: i64| instant(now_us() / 1_000_000 * 1_000_000 - 300_000_000 + second * 1_000_000);
    let (begun, part) = (at(10), at(70));
    server.send("states", &[json!({"equipment": "site/cell/pack", "source": "mes", "start": begun, "state": "STOP"})]);
    wait_for("the machine", Duration::from_secs(10), || {
        (server.number("SELECT count(*) FROM oee_live() WHERE equipment = 'site/cell/pack'") > 0.0).then_some(())
    });
    let given = |equipment: &str, reason: &str, end: Option<&str>| {
        server.send("stop_reasons", &[json!({"equipment": equipment, "start": begun, "end": end, "reason": reason})]);
    };
    given("site/cell/pack", "service", None);
    given("site/cell", "jam", Some(&part));
    wait_for("both reasons", Duration::from_secs(10), || {
        let (live, batch) = both(&server);
        let planned =
            "SELECT planned_downtime_s FROM oee_live() WHERE equipment = 'site/cell/pack' AND shift IS NOT NULL";
        let planned = server.number(planned);
        (planned > 0.0).then(|| assert_eq!(live.len(), batch.len()))
    });
    assert_same(&server, "a line and its machine from the same moment on");
}

#[test]
fn what_is_live_says_so_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let error = |sql: &str| -> String {
        let (status, answer) = server.post("/api/v1/sql?format=json", sql);
        assert_eq!(status, 400, "{answer}");
        answer
    };
    assert!(error("SELECT * FROM oee_live('1 hour')").contains("oee_live takes no arguments"));
    let shift = wait_for("the shift of the weld", Duration::from_secs(10), || {
        let rows = server.sql("SELECT shift, oee, reason FROM oee_live() WHERE equipment = 'site/weld'");
        rows.into_iter().next()
    });
    assert_eq!((&shift[0], &shift[1]), (&json!("day"), &json!(0.0)));
    assert!(!shift[2].is_null(), "why there is no figure");
}

#[test]
fn a_speed_tells_the_state_a_door_the_reason_and_a_meter_the_energy() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let at = |second: i64| 1_736_848_800 + second;
    let mut lines = String::new();
    // It runs from 0 to 1,000 s with a flicker that did not last, stands until 1,600 s with the door open, and runs on.
    for (second, speed) in [(-3_600, 0.0), (0, 9.0), (500, 1.0), (510, 8.0), (1_000, 0.0), (1_600, 9.0), (3_600, 9.0)] {
        lines.push_str(&format!("mill,equipment=site/mill speed={speed} {}\n", at(second)));
    }
    for (second, door) in [(-3_600, 0), (1_003, 1), (1_500, 0)] {
        lines.push_str(&format!("mill,equipment=site/mill door={door} {}\n", at(second)));
    }
    // 100 Wh every ten minutes, and a good piece with it.
    for step in 0..=6 {
        lines.push_str(&format!("mill,equipment=site/mill meter={},made={step} {}\n", 100 * step, at(600 * step)));
    }
    assert_eq!(server.post("/api/v2/write?precision=s", lines).0, 204);
    let window = format!("'{}', '{}'", instant(1_000_000 * at(0)), instant(1_000_000 * at(3_600)));
    let of_mill = "WHERE equipment = 'site/mill'";
    let columns =
        "run_s, unplanned_s, unplanned_stops, good, energy_kwh, idle_energy_kwh, energy_per_good_piece_kwh, cost";
    let report = server.sql(&format!("SELECT {columns} FROM oee('1 hour', {window}) {of_mill}"));
    let figures: Vec<f64> = report[0].iter().map(|value| value.as_f64().unwrap()).collect();
    // The window ends before the last piece; 0.6 kWh, of which 0.1 in the stop; 60 an hour and 0.3 a kWh.
    let expected = [3_000.0, 600.0, 1.0, 5.0, 0.6, 0.1, 0.12, 60.18];
    for (found, expected) in figures.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{columns}: {figures:?}");
    }
    let by_state = server.sql(&format!(
        "SELECT category, round(sum(energy_kwh), 9) FROM state_timeline({window}) {of_mill} GROUP BY 1 ORDER BY 1"
    ));
    assert_eq!(json!(by_state), json!([["run", 0.5], ["unplanned", 0.1]]));
    let lost = server.sql(&format!(
        "SELECT loss, round(idle_energy_kwh, 9) FROM losses('1 hour', {window}) {of_mill} AND idle_energy_kwh > 0"
    ));
    assert_eq!(json!(lost), json!([["unplanned", 0.1]]), "a loss of its own");
    let elsewhere =
        server.sql(&format!("SELECT energy_kwh FROM state_timeline({window}) WHERE equipment = 'site/saw'"));
    assert!(elsewhere.iter().all(|row| row[0].is_null()), "no meter is bound there");
    let stops = server.sql(&format!("SELECT start, duration_s, reason FROM stops({window}) {of_mill}"));
    assert_eq!(json!(stops), json!([[instant(1_000_000 * at(1_000)).replace("Z", ".000000Z"), 600.0, "door"]]));
}

/// An interval that ended before the window says until when a reason held.
#[test]
fn a_reason_ends_where_the_machine_ran_before_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let at = |minute: i64| instant(1_000_000 * (1_736_848_800 + 60 * minute));
    let state = |from: i64, to: Option<i64>, state: &str| json!({"equipment": "site/saw", "source": "mes", "start": at(from), "end": to.map(at), "state": state});
    server.send("states", &[state(0, None, "STOP"), state(20, Some(30), "RUN")]);
    server.send("stop_reasons", &[json!({"equipment": "site/saw", "start": at(10), "reason": "service"})]);
    let planned = |from: i64, to: i64| {
        let window = format!("'{}', '{}'", at(from), at(to));
        server.number(&format!(
            "SELECT sum(planned_downtime_s) FROM oee('1 hour', {window}) WHERE equipment = 'site/saw'"
        ))
    };
    assert_eq!((planned(0, 60), planned(120, 180)), (600.0, 0.0), "service ended when it ran");
}
