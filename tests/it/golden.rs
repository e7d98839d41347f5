//! The golden OEE cases through a real server: signals over MQTT and records over HTTP, both asked in SQL.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{Server, root};
use crate::mqtt::Publisher;

/// One machine has its states and counters as bound signals, the other as records.
const MACHINES: [&str; 2] = ["bound", "recorded"];
/// Time elements, as the golden file names them; the column has `_s` behind.
const ELEMENTS: [&str; 13] = [
    "calendar",
    "not_scheduled",
    "scheduled",
    "planned_break",
    "planned_downtime",
    "planned_production",
    "run",
    "microstop",
    "changeover",
    "unplanned",
    "no_order",
    "unknown",
    "run_outside_planned_production",
];
const COUNTS: [&str; 3] = ["total", "good", "scrap"];
/// Section and key in the golden file, and the column.
const RATIOS: [(&str, &str, &str); 19] = [
    ("kpi", "availability", "availability"),
    ("kpi", "performance", "performance"),
    ("kpi", "quality", "quality"),
    ("kpi", "oee", "oee"),
    ("kpi", "ooe", "ooe"),
    ("kpi", "teep", "teep"),
    ("kpi", "utilization", "utilization"),
    ("kpi", "quality_unit_ratio", "quality_ratio"),
    ("iso22400", "scrap_ratio", "scrap_ratio"),
    ("iso22400", "oee_index", "oee_index"),
    ("iso22400", "nee_index", "nee"),
    ("iso22400", "allocation_efficiency", "allocation_efficiency"),
    ("iso22400", "utilization_efficiency", "utilization_efficiency"),
    ("iso22400", "technical_efficiency", "technical_efficiency"),
    ("iso22400", "setup_ratio", "setup_ratio"),
    ("stops", "unplanned_stops", "unplanned_stops"),
    ("stops", "microstops", "microstops"),
    ("stops", "mttr_s", "mttr_s"),
    ("stops", "mtbf_s", "mtbf_s"),
];
const OTHERS: [&str; 6] = ["time", "end", "shift", "production_day", "ideal_total_s", "ideal_good_s"];

type Report = BTreeMap<String, Value>;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn case(id: &str) -> Value {
    let content = fs::read_to_string(root().join("oee/tests/golden/oee_timelines.json")).unwrap();
    let mut golden: Value = serde_json::from_str(&content).unwrap();
    let cases = golden["cases"].as_array_mut().unwrap();
    let place = cases.iter().position(|case| case["id"] == id).unwrap();
    cases.swap_remove(place)
}

/// The plant of a case: its calendar, reasons and cycle times, and the two machines.
fn plant(input: &Value) -> String {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let mut plant = format!(
        r#"
        [plant]
        name = "Golden"
        zone = {}
        microstop_threshold_s = {}
        [[equipment]]
        path = "site"
        calendar = "golden"
        state_map = "golden"
        [[equipment]]
        path = "site/bound"
        [[equipment]]
        path = "site/recorded"
        state_source = "mes"
        count_source = "mes"
        state_kind = {}
        [[topics]]
        pattern = "plant/{{machine}}/{{signal}}"
        equipment = "site/{{machine}}"
        signal = "{{signal}}"
        "#,
        input["tz"], input["microstop_threshold_s"], input["record_kind"]
    );
    for (signal, role) in [("state", "state"), ("total", "total_count"), ("scrap", "scrap_count")] {
        writeln!(plant, "[[signals]]\nequipment = \"site/bound\"\nsignal = \"{signal}\"\nrole = \"{role}\"").unwrap();
    }
    let reasons = input["reason_map"].as_object().unwrap();
    writeln!(plant, "[state_maps.golden]\nRUN = \"run\"\nSTOP = \"stop\"").unwrap();
    for reason in reasons.keys() {
        writeln!(plant, "{reason} = {{ state = \"STOP\", reason = \"{reason}\" }}").unwrap();
    }
    for (reason, category) in reasons {
        writeln!(plant, "[[reasons]]\nreason = \"{reason}\"\ncategory = {category}").unwrap();
    }
    for shift in list(&input["schedule"]) {
        let days: Vec<&str> = list(&shift["days"]).iter().map(|day| days[day.as_u64().unwrap() as usize - 1]).collect();
        let (name, start, end, breaks) = (&shift["name"], &shift["start"], &shift["end"], &shift["breaks"]);
        writeln!(plant, "[[calendars.golden.shifts]]\nname = {name}\ndays = {days:?}").unwrap();
        writeln!(plant, "start = {start}\nend = {end}\nbreaks = {breaks}").unwrap();
    }
    for order in list(&input["orders"]).iter().filter(|order| sets_cycle(input, order)) {
        let (product, cycle) = (&order["product"], &order["ideal_cycle_s"]);
        writeln!(plant, "[[products]]\nproduct = {product}\nideal_cycle_s = {cycle}").unwrap();
    }
    plant
}

/// Whether an order is the first of its product: the product has its ideal cycle time, the other orders have their own.
fn sets_cycle(input: &Value, order: &Value) -> bool {
    let first = list(&input["orders"]).iter().find(|other| other["product"] == order["product"]);
    first.is_some_and(|first| std::ptr::eq(first, order))
}

/// States and counters as the machine's own signals.
fn publish(server: &Server, input: &Value) {
    let mut publisher = Publisher::connect(server.mqtt, "machine").unwrap();
    let mut number = 0;
    let mut send = |signal: &str, time: &Value, value: &Value| {
        let payload = json!({"ts": time, "value": value}).to_string();
        publisher.publish(&format!("plant/bound/{signal}"), payload.as_bytes(), number).unwrap();
        number += 1;
        assert!(publisher.drain(100), "the connection broke");
    };
    for record in list(&input["state_records"]) {
        let stopped = !record["reason"].is_null();
        send("state", &record["ts"], &record[if stopped { "reason" } else { "state" }]);
    }
    for counter in list(&input["counters"]) {
        for sample in list(&counter["samples"]) {
            send(text(&counter["name"]), &sample[0], &sample[1]);
        }
    }
    assert!(publisher.drain(0), "the connection broke");
    assert_eq!(publisher.acknowledged.len() as u64, number);
}

fn post(server: &Server, table: &str, rows: Vec<Value>) {
    let count = rows.len();
    let (status, body) = server.post(&format!("/api/v1/{table}"), Value::Array(rows).to_string());
    assert_eq!((status, body), (200, json!({ "accepted": count }).to_string()), "{table}");
}

/// The same states and pieces as records.
fn record(server: &Server, input: &Value) {
    let state = |record: &Value| {
        json!({"equipment": "site/recorded", "source": "mes", "start": record["ts"], "kind": "change",
               "state": record["state"], "reason": record["reason"]})
    };
    post(server, "states", list(&input["state_records"]).iter().map(state).collect());
    let mut pieces: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    for counter in list(&input["counters"]) {
        for pair in list(&counter["samples"]).windows(2) {
            let step = pair[1][1].as_f64().unwrap() - pair[0][1].as_f64().unwrap();
            pieces.entry(text(&pair[1][0])).or_default().insert(text(&counter["name"]), step);
        }
    }
    let count = |(time, steps): (&&str, &BTreeMap<&str, f64>)| {
        let step = |name: &str| steps.get(name).copied().unwrap_or(0.0);
        json!({"equipment": "site/recorded", "source": "mes", "time": time,
               "total": step("total"), "scrap": step("scrap")})
    };
    post(server, "counts", pieces.iter().map(count).collect());
}

fn orders(server: &Server, input: &Value) {
    let order = |order: &Value, machine: &str| {
        json!({"equipment": format!("site/{machine}"), "work_order": order["order"], "product": order["product"],
               "operation": "make", "started": order["start"], "completed": order["end"]})
    };
    let orders = list(&input["orders"]).iter();
    let own_cycle = list(&input["orders"]).iter().filter(|order| !sets_cycle(input, order));
    let own_cycle: Vec<Value> =
        own_cycle.map(|order| json!({"work_order": order["order"], "ideal_cycle_s": order["ideal_cycle_s"]})).collect();
    if !own_cycle.is_empty() {
        post(server, "work_orders", own_cycle);
    }
    post(server, "operations", orders.flat_map(|one| MACHINES.map(|machine| order(one, machine))).collect());
}

/// What a call of `oee` gives for a machine; `call` ends where a condition can follow.
fn reports(server: &Server, machine: &str, call: &str) -> Vec<Report> {
    let mut columns: Vec<String> = OTHERS.iter().chain(&COUNTS).map(|name| (*name).to_owned()).collect();
    columns.extend(ELEMENTS.iter().map(|name| format!("{name}_s")));
    columns.extend(RATIOS.iter().map(|(_, _, column)| (*column).to_owned()));
    let selected: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    let selected = selected.join(", ");
    let rows = server.sql(&format!("SELECT {selected} FROM {call} equipment = 'site/{machine}' ORDER BY time"));
    rows.into_iter().map(|row| columns.iter().cloned().zip(row).collect()).collect()
}

fn same(place: &str, got: Option<f64>, expected: &Value) {
    let wanted = expected.as_f64();
    assert_eq!(got.is_some(), wanted.is_some(), "{place}: got {got:?}, expected {expected}");
    if let (Some(got), Some(wanted)) = (got, wanted) {
        assert!((got - wanted).abs() <= 1e-9 * wanted.abs(), "{place}: got {got}, expected {wanted}");
    }
}

/// Seconds and counts are exact.
fn check_sums(place: &str, figure: impl Fn(&str) -> f64, expected: &Value) {
    for name in ELEMENTS {
        let wanted = expected["buckets_s"][name].as_f64().unwrap();
        assert_eq!(figure(&format!("{name}_s")).to_bits(), wanted.to_bits(), "{place} {name}");
    }
    for name in COUNTS {
        let wanted = expected["counts"][name].as_f64().unwrap();
        assert_eq!(figure(name).to_bits(), wanted.to_bits(), "{place} {name}");
    }
}

fn check(place: &str, report: &Report, expected: &Value) {
    check_sums(place, |name| report[name].as_f64().unwrap(), expected);
    // The golden file gives a shift no more than its ratios.
    for (section, key, column) in RATIOS.iter().filter(|(section, _, _)| !expected[section].is_null()) {
        same(&format!("{place} {column}"), report[*column].as_f64(), &expected[section][key]);
    }
}

/// Hours add up, and so do the ratios made of their sums.
fn check_hours(place: &str, hours: &[Report], expected: &Value) {
    let sum = |name: &str| hours.iter().map(|hour| hour[name].as_f64().unwrap()).sum::<f64>();
    check_sums(place, sum, expected);
    let over = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    let production = sum("run_s") + sum("microstop_s");
    let (planned, kpi) = (sum("planned_production_s"), &expected["kpi"]);
    same(&format!("{place} availability"), over(production, planned), &kpi["availability"]);
    same(&format!("{place} performance"), over(sum("ideal_total_s"), production), &kpi["performance"]);
    same(&format!("{place} quality"), over(sum("ideal_good_s"), sum("ideal_total_s")), &kpi["quality"]);
    same(&format!("{place} oee"), over(sum("ideal_good_s"), planned), &kpi["oee"]);
}

fn check_query(server: &Server, machine: &str, place: &str, query: &Value) {
    let (from, to) = (text(&query["query"]["from"]), text(&query["query"]["to"]));
    let expected = &query["expected"];
    for section in ["kpi", "iso22400", "stops"] {
        assert!(expected[section].is_object(), "{place}: no {section}");
    }
    let whole = reports(server, machine, &format!("oee('10000 days', '{from}', '{to}') WHERE"));
    assert_eq!(whole.len(), 1, "{place}");
    check(&format!("{place} whole"), &whole[0], expected);

    let hours = reports(server, machine, &format!("oee('1 hour', '{from}', '{to}') WHERE"));
    check_hours(&format!("{place} hours"), &hours, expected);

    let condition = format!("time >= '{from}' AND time < '{to}' AND");
    let shifts = reports(server, machine, &format!("oee('shift') WHERE {condition} shift IS NOT NULL AND"));
    let wanted = list(&expected["by_shift"]);
    assert_eq!(shifts.len(), wanted.len(), "{place}: {shifts:?}");
    for (shift, wanted) in shifts.iter().zip(wanted) {
        let place = format!("{place} shift {}", wanted["shift"]);
        assert_eq!(
            (&shift["shift"], &shift["production_day"]),
            (&wanted["shift"], &wanted["production_day"]),
            "{place}"
        );
        check(&place, shift, wanted);
    }

    let mut dates: Vec<&str> = wanted.iter().map(|shift| text(&shift["production_day"])).collect();
    dates.dedup();
    let days = reports(server, machine, &format!("oee('day') WHERE {condition}"));
    if let ([day], [date]) = (days.as_slice(), dates.as_slice()) {
        assert_eq!(day["production_day"], *date, "{place}");
        check(&format!("{place} day"), day, expected);
    }
    assert!(dates.iter().all(|date| days.iter().any(|day| day["production_day"] == *date)), "{place}: {days:?}");

    check_losses(server, machine, place, query);
    check_orders(server, machine, place, query);
}

/// The waterfall, and the stops that it is made of.
fn check_losses(server: &Server, machine: &str, place: &str, query: &Value) {
    let (from, to) = (text(&query["query"]["from"]), text(&query["query"]["to"]));
    let sql = format!(
        "SELECT loss, lost_s, left_s FROM losses('10000 days', '{from}', '{to}') \
         WHERE equipment = 'site/{machine}' ORDER BY step"
    );
    let steps = server.sql(&sql);
    let lost = |name: &str| -> Option<f64> { steps.iter().find(|step| step[0] == name)?[1].as_f64() };
    let expected = &query["expected"];
    for (name, wanted) in expected["loss_seconds"].as_object().unwrap() {
        let got = match name.as_str() {
            "quality_loss" => lost("startup_rejects").zip(lost("production_rejects")).map(|(one, two)| one + two),
            "fully_productive" => steps.last().and_then(|step| step[2].as_f64()),
            name => lost(name),
        };
        let close = got.zip(wanted.as_f64()).is_some_and(|(got, wanted)| (got - wanted).abs() <= 1e-6);
        assert!(close || (got.is_none() && wanted.is_null()), "{place} {name}: got {got:?}, expected {wanted}");
    }
    let sql = format!(
        "SELECT count(*) FILTER (WHERE NOT microstop), count(*) FILTER (WHERE microstop), \
         coalesce(sum(counted_s) FILTER (WHERE NOT microstop), 0), coalesce(sum(counted_s) FILTER (WHERE microstop), 0) \
         FROM stops('{from}', '{to}') WHERE equipment = 'site/{machine}' AND category = 'unplanned' AND counted_s >= 1"
    );
    let stops: Vec<Option<f64>> = server.sql(&sql).swap_remove(0).iter().map(Value::as_f64).collect();
    let (counts, seconds) = (&expected["stops"], &expected["buckets_s"]);
    let wanted = [&counts["unplanned_stops"], &counts["microstops"], &seconds["unplanned"], &seconds["microstop"]];
    assert_eq!(stops, wanted.map(Value::as_f64), "{place} stops");
}

/// Pieces by work order; the seconds of all orders, and of the time without, are those of the window.
fn check_orders(server: &Server, machine: &str, place: &str, query: &Value) {
    let (from, to) = (text(&query["query"]["from"]), text(&query["query"]["to"]));
    let sql = format!(
        "SELECT work_order, total, scrap, calendar_s, planned_production_s FROM oee('work_order', '{from}', '{to}') \
         WHERE equipment = 'site/{machine}'"
    );
    let rows = server.sql(&sql);
    let expected = &query["expected"];
    for (column, name) in [(3, "calendar"), (4, "planned_production")] {
        let sum: f64 = rows.iter().map(|row| row[column].as_f64().unwrap()).sum();
        assert_eq!(Some(sum), expected["buckets_s"][name].as_f64(), "{place} {name} of orders: {rows:?}");
    }
    for order in list(&expected["counts"]["by_order"]) {
        let row = rows.iter().find(|row| row[0] == order["order"]);
        let wanted = (order["total"].as_f64(), order["scrap"].as_f64());
        // The golden file names orders of other times too.
        if row.is_some() || wanted != (Some(0.0), Some(0.0)) {
            let found = row.map(|row| (row[1].as_f64(), row[2].as_f64()));
            assert_eq!(found, Some(wanted), "{place} {}: {rows:?}", order["order"]);
        }
    }
}

fn check_case(id: &str) {
    let case = case(id);
    let input = &case["input"];
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), plant(input)).unwrap();
    let mut server = Server::start(folder.path());
    publish(&server, input);
    record(&server, input);
    orders(&server, input);
    for stored in ["in memory", "in segments"] {
        for (number, query) in list(&case["queries"]).iter().enumerate() {
            for machine in MACHINES {
                check_query(&server, machine, &format!("{id} query {number} {machine} {stored}"), query);
            }
        }
        server.stop();
        server = Server::start(folder.path());
    }
}

#[test]
fn basic_one_shift() {
    check_case("basic_one_shift");
}

#[test]
fn zero_production() {
    check_case("zero_production");
}

#[test]
fn performance_over_100() {
    check_case("performance_over_100");
}

#[test]
fn cross_shift_and_midnight() {
    check_case("cross_shift_and_midnight");
}

#[test]
fn product_change_mid_shift() {
    check_case("product_change_mid_shift");
}

#[test]
fn daylight_saving_begins() {
    check_case("dst_spring_berlin");
}

#[test]
fn daylight_saving_ends() {
    check_case("dst_autumn_berlin");
}

#[test]
fn unknown_before_first_event_and_no_order() {
    check_case("unknown_before_first_event_and_no_order");
}
