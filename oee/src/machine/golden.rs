//! The golden timelines: seconds and counts exact, ratios to 1e-9.
//!
//! `tests/golden/oee_timelines.json` was computed independently of this crate.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Inputs, Job, Machine, Report};
use crate::calendar::{Calendar, Shift, ShiftPattern};
use crate::count::CounterSteps;
use crate::counter::{CounterRule, deltas};
use crate::energy::Rates;
use crate::line::serial;
use crate::loss::Loss;
use crate::state::{Category, RecordKind, StateRecord, StateValue, timeline};
use crate::{OPEN, SECOND_US, seconds};

fn time(value: &Value) -> i64 {
    let text = value.as_str().expect("a time");
    text.parse::<Timestamp>().expect("RFC 3339").as_microsecond()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn wall(value: &Value) -> Time {
    let (hour, minute) = text(value).split_once(':').expect("HH:MM");
    Time::constant(hour.parse().expect("hour"), minute.parse().expect("minute"), 0, 0)
}

fn calendar(input: &Value) -> Calendar {
    let patterns = array(&input["schedule"]).iter().map(|shift| ShiftPattern {
        name: text(&shift["name"]).to_owned(),
        days: array(&shift["days"])
            .iter()
            .map(|day| Weekday::from_monday_one_offset(day.as_i64().expect("weekday") as i8).expect("1 to 7"))
            .collect(),
        start: wall(&shift["start"]),
        end: wall(&shift["end"]),
        breaks: array(&shift["breaks"]).iter().map(|bounds| (wall(&bounds[0]), wall(&bounds[1]))).collect(),
    });
    Calendar::new(TimeZone::get(text(&input["tz"])).expect("zone"), patterns.collect())
}

/// The reason of a record after the corrections known at `as_of`: the latest recorded one wins.
fn corrected(input: &Value, record: &Value, as_of: i64) -> Option<String> {
    let corrections = array(&input["reason_corrections"]).iter();
    let mine = corrections.filter(|c| c["target_id"] == record["id"] && time(&c["recorded_at"]) <= as_of);
    let latest = mine.max_by_key(|c| time(&c["recorded_at"])).map(|c| &c["new_reason"]);
    latest.unwrap_or(&record["reason"]).as_str().map(str::to_owned)
}

fn category(input: &Value, state: &str, reason: Option<&str>) -> Category {
    let mapped = reason.and_then(|reason| input["reason_map"][reason].as_str());
    match state {
        "RUN" => Category::Run,
        _ => mapped.and_then(Category::from_name).unwrap_or(Category::Unplanned),
    }
}

fn records(input: &Value, as_of: i64) -> Vec<StateRecord> {
    let known = array(&input["state_records"]).iter().filter(|record| time(&record["recorded_at"]) <= as_of);
    let record = |record: &Value| {
        let (state, reason) = (text(&record["state"]), corrected(input, record, as_of));
        let category = category(input, state, reason.as_deref());
        StateRecord {
            start: time(if record["ts"].is_null() { &record["start"] } else { &record["ts"] }),
            end: record["end"].as_str().map(|_| time(&record["end"])),
            recorded: time(&record["recorded_at"]),
            value: StateValue::new(state, Some(category), reason.map(Arc::from)),
        }
    };
    known.map(record).collect()
}

fn steps(input: &Value, name: &str) -> Option<Vec<(i64, f64)>> {
    let counter = array(&input["counters"]).iter().find(|counter| counter["name"] == name)?;
    let rule = CounterRule { modulus: counter["modulus"].as_f64(), max_step: counter["max_step"].as_f64() };
    let samples = array(&counter["samples"]).iter();
    let samples = samples.map(|s| (time(&s[0]), s[1].as_f64().expect("a number"), s[2].is_null() || s[2] == "Good"));
    Some(deltas(rule, samples))
}

fn machine(input: &Value, from: i64, to: i64, as_of: i64) -> Machine {
    let kind = match text(&input["record_kind"]) {
        "change" => RecordKind::Change,
        _ => RecordKind::Interval,
    };
    let jobs = array(&input["orders"]).iter().map(|order| Job {
        start: time(&order["start"]),
        end: order["end"].as_str().map_or(OPEN, |_| time(&order["end"])),
        work_order: order["order"].as_str().map(Arc::from),
        product: order["product"].as_str().map(Arc::from),
        ideal_cycle_s: order["ideal_cycle_s"].as_f64(),
        planned_scrap_ratio: None,
    });
    let scrap = steps(input, "scrap").map(|steps| steps.into_iter().map(|(time, step)| (time, step, None)).collect());
    let counters = CounterSteps { total: steps(input, "total"), good: steps(input, "good"), scrap };
    Machine::new(Inputs {
        shifts: calendar(input).instances(from, to),
        states: timeline(kind, records(input, as_of)),
        jobs: jobs.collect(),
        pieces: counters.pieces(),
        startup_us: 0,
        energy: None,
        rates: Rates::default(),
        microstop_threshold_us: input["microstop_threshold_s"].as_i64().expect("seconds") * SECOND_US,
    })
}

/// Compares one number or null; exact for integers, to 1e-9 for ratios.
fn same(place: &str, key: &str, got: Option<f64>, expected: &Value, exact: bool) {
    let wanted = expected.as_f64();
    assert_eq!(expected.is_null(), got.is_none(), "{place} {key}: got {got:?}, expected {expected}");
    if let (Some(got), Some(wanted)) = (got, wanted) {
        let fits = if exact { got == wanted } else { (got - wanted).abs() <= 1e-9 * wanted.abs().max(1e-12) };
        assert!(fits, "{place} {key}: got {got}, expected {wanted}");
    }
}

/// Compares every key of an expected object; a key that is not known here is a failure.
fn same_all(place: &str, expected: &Value, exact: bool, got: impl Fn(&str) -> Option<Option<f64>>) {
    for (key, wanted) in expected.as_object().expect("an object") {
        let Some(got) = got(key) else { panic!("{place}: nothing is known about `{key}`") };
        same(place, key, got, wanted, exact);
    }
}

fn check_buckets(place: &str, report: &Report, expected: &Value) {
    let time = &report.elements;
    same_all(place, expected, true, |key| {
        let us = match key {
            "calendar" => time.calendar_us,
            "not_scheduled" => time.not_scheduled_us,
            "scheduled" => time.scheduled_us,
            "planned_break" => time.planned_break_us,
            "planned_downtime" => time.planned_downtime_us,
            "planned_production" => time.planned_production_us,
            "run" => time.run_us,
            "microstop" => time.microstop_us,
            "changeover" => time.changeover_us,
            "unplanned" => time.unplanned_us,
            "no_order" => time.no_order_us,
            "unknown" => time.unknown_us,
            "run_outside_planned_production" => time.run_outside_planned_production_us,
            _ => return None,
        };
        Some(Some(seconds(us)))
    });
}

fn check_counts(place: &str, report: &Report, expected: &Value) {
    let counts = &report.counts;
    for (key, got) in [("total", counts.total), ("good", counts.good), ("scrap", counts.scrap)] {
        same(place, key, Some(got), &expected[key], true);
    }
    let orders = array(&expected["by_order"]);
    for wanted in orders {
        let name = text(&wanted["order"]);
        let mine = report.orders.iter().find(|order| order.work_order.as_deref() == Some(name));
        // An order without a piece and without a moment in the window need not be listed.
        same(place, name, Some(mine.map_or(0.0, |order| order.total)), &wanted["total"], true);
        same(place, name, Some(mine.map_or(0.0, |order| order.scrap)), &wanted["scrap"], true);
        if let Some(mine) = mine {
            assert_eq!(mine.product.as_deref(), wanted["product"].as_str(), "{place} {name}");
            same(place, name, mine.ideal_cycle_s, &wanted["ideal_cycle_s"], true);
        }
    }
    assert!(report.orders.len() <= orders.len(), "{place}: {:?}", report.orders);
}

fn check_kpi(place: &str, report: &Report, expected: &Value) {
    let kpi = report.kpi();
    let mut expected = expected.clone();
    let exceeds = expected.as_object_mut().expect("an object").remove("performance_exceeds_1");
    if let Some(exceeds) = exceeds {
        assert_eq!(kpi.performance.is_some_and(|p| p > 1.0), exceeds, "{place} performance_exceeds_1");
    }
    same_all(place, &expected, false, |key| {
        Some(match key {
            "availability" => kpi.availability,
            "performance" => kpi.performance,
            "quality" => kpi.quality,
            "oee" => kpi.oee,
            "ooe" => kpi.ooe,
            "teep" => kpi.teep,
            "utilization" => kpi.utilization,
            "quality_unit_ratio" => kpi.quality_ratio,
            _ => return None,
        })
    });
}

fn check_iso(place: &str, report: &Report, expected: &Value) {
    let (kpi, time, counts) = (report.kpi(), &report.elements, &report.counts);
    same_all(place, expected, false, |key| {
        Some(match key {
            "APT" => Some(seconds(time.production_us())),
            "AUST" => Some(seconds(time.changeover_us)),
            "AUPT" => Some(seconds(time.processing_us())),
            "ADET" => Some(seconds(time.delay_us())),
            "AUBT" => Some(seconds(time.busy_us())),
            "ADOT" => Some(seconds(time.down_us())),
            "PBT" => Some(seconds(time.planned_production_us)),
            "POT" => Some(seconds(time.scheduled_us)),
            "PQ" => Some(counts.total),
            "GQ" => Some(counts.good),
            "SQ" => Some(counts.scrap),
            "availability" => kpi.availability,
            "effectiveness" => kpi.performance,
            "quality_ratio" => kpi.quality_ratio,
            "scrap_ratio" => kpi.scrap_ratio,
            "oee_index" => kpi.oee_index,
            "nee_index" => kpi.nee,
            "allocation_efficiency" => kpi.allocation_efficiency,
            "utilization_efficiency" => kpi.utilization_efficiency,
            "technical_efficiency" => kpi.technical_efficiency,
            "setup_ratio" => kpi.setup_ratio,
            _ => return None,
        })
    });
}

fn check_losses(place: &str, report: &Report, expected: &Value) {
    same_all(place, expected, false, |key| {
        Some(match key {
            "quality_loss" => {
                let rejects = report.lost_s(Loss::StartupRejects).zip(report.lost_s(Loss::ProductionRejects));
                rejects.map(|(startup, production)| startup + production)
            }
            "fully_productive" => report.fully_productive_s(),
            _ => report.lost_s(Loss::ALL.into_iter().find(|loss| loss.name() == key)?),
        })
    });
}

fn check_stops(place: &str, report: &Report, expected: &Value) {
    let kpi = report.kpi();
    same_all(place, expected, false, |key| {
        Some(match key {
            "unplanned_stops" => Some(report.unplanned_stops as f64),
            "microstops" => Some(report.microstops as f64),
            "mttr_s" => kpi.mttr_s,
            "mtbf_s" => kpi.mtbf_s,
            _ => return None,
        })
    });
}

fn check_shifts(place: &str, shifts: &[Shift], expected: &Value) {
    let expected = array(expected);
    assert_eq!(shifts.len(), expected.len(), "{place}: {shifts:?}");
    for (shift, wanted) in shifts.iter().zip(expected) {
        assert_eq!(shift.name, text(&wanted["shift"]), "{place}");
        assert_eq!(shift.production_day.to_string(), text(&wanted["production_day"]), "{place}");
        assert_eq!((shift.start, shift.end), (time(&wanted["start"]), time(&wanted["end"])), "{place}");
        assert_eq!(shift.end - shift.start, wanted["length_s"].as_i64().expect("seconds") * SECOND_US, "{place}");
        let mut breaks: Vec<(i64, i64)> =
            array(&wanted["breaks"]).iter().map(|bounds| (time(&bounds[0]), time(&bounds[1]))).collect();
        breaks.sort_unstable();
        assert_eq!(shift.breaks, breaks, "{place}");
    }
}

fn check_query(place: &str, machine: &Machine, query: &Value, expected: &Value) {
    let (from, to, now) = (time(&query["from"]), time(&query["to"]), time(&query["now"]));
    let report = machine.report(from, to, now);
    let window = &expected["effective_window"];
    assert_eq!((report.start, report.end), (time(&window["start"]), time(&window["end"])), "{place}");
    check_buckets(place, &report, &expected["buckets_s"]);
    check_counts(place, &report, &expected["counts"]);
    check_kpi(place, &report, &expected["kpi"]);
    check_iso(place, &report, &expected["iso22400"]);
    check_losses(place, &report, &expected["loss_seconds"]);
    check_stops(place, &report, &expected["stops"]);
    check_shifts(place, machine.shifts(), &expected["shift_instances"]);
    assert_eq!(report.provisional, !expected["provisional"].is_null(), "{place} provisional");
    let by_shift = array(&expected["by_shift"]);
    let within = machine.shifts().iter().filter(|shift| shift.start < report.end && shift.end > report.start);
    let shifts: Vec<&Shift> = within.collect();
    assert_eq!(shifts.len(), by_shift.len(), "{place} by_shift");
    for (shift, wanted) in shifts.into_iter().zip(by_shift) {
        let place = format!("{place} shift {}", shift.name);
        let day = shift.production_day.to_string();
        assert_eq!(
            (shift.name.as_str(), day.as_str()),
            (text(&wanted["shift"]), text(&wanted["production_day"])),
            "{place}"
        );
        let part = machine.report(shift.start.max(from), shift.end.min(to), now);
        assert_eq!((part.start, part.end), (time(&wanted["start"]), time(&wanted["end"])), "{place}");
        check_buckets(&place, &part, &wanted["buckets_s"]);
        check_counts(&place, &part, &wanted["counts"]);
        check_kpi(&place, &part, &wanted["kpi"]);
    }
}

fn check_machine(place: &str, input: &Value, query: &Value, expected: &Value) -> Report {
    let (from, to, now) = (time(&query["from"]), time(&query["to"]), time(&query["now"]));
    let as_of = query["as_of"].as_str().map_or(OPEN, |_| time(&query["as_of"]));
    let machine = machine(input, from, to, as_of);
    check_query(place, &machine, query, expected);
    machine.report(from, to, now)
}

fn check_line(case: &Value) {
    let place = text(&case["id"]);
    let names: Vec<&str> = array(&case["machines"]).iter().map(|machine| text(&machine["machine"])).collect();
    let pairs = array(&case["machines"]).iter().zip(array(&case["expected"]["machines"]));
    let reports: Vec<Report> = pairs
        .map(|(machine, wanted)| {
            let place = format!("{place} {}", text(&machine["machine"]));
            check_machine(&place, &machine["input"], &case["query"], &wanted["expected"])
        })
        .collect();
    let line = serial(&reports, |_, _| None).expect("machines");
    let expected = &case["expected"]["line"];
    assert_eq!(names[line.bottleneck], text(&expected["bottleneck"]), "{place}");
    same_all(place, &without(expected, &["bottleneck", "arithmetic_mean_for_contrast"]), false, |key| {
        Some(match key {
            "line_oee" => line.report.kpi().oee,
            "availability" => line.report.kpi().availability,
            "good_units" => Some(line.report.counts.good),
            "planned_production" => Some(seconds(line.report.elements.planned_production_us)),
            "bottleneck_ideal_cycle_s" => line.report.orders[0].ideal_cycle_s,
            _ => return None,
        })
    });
}

fn without(object: &Value, keys: &[&str]) -> Value {
    let mut object = object.clone();
    for key in keys {
        object.as_object_mut().expect("an object").remove(*key);
    }
    object
}

fn check_case(case: &Value) {
    if !case["machines"].is_null() {
        return check_line(case);
    }
    for (i, query) in array(&case["queries"]).iter().enumerate() {
        let place = format!("{} query {i}", text(&case["id"]));
        check_machine(&place, &case["input"], &query["query"], &query["expected"]);
    }
}

#[test]
fn golden_timelines() {
    crate::golden::check("oee_timelines.json", 15, check_case);
}
