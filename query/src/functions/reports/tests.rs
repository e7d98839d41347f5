#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;

use ::oee::machine::{Inputs, Job, Machine};
use ::oee::state::{Category, StateSpan, StateValue};

use super::*;
use crate::functions::arguments::Cut;
use crate::functions::bucket::Width;

const HOUR: i64 = 3_600_000_000;

fn plant() -> Plant {
    let text = r#"
[plant]
name = "test"
zone = "Europe/Berlin"
microstop_threshold_s = 120

[[equipment]]
path = "site"
calendar = "early"
[[equipment]]
path = "site/a"
[[equipment]]
path = "site/b"

[[calendars.early.shifts]]
name = "early"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "06:00"
end = "14:00"
"#;
    Plant::parse(text).unwrap()
}

fn us(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

fn running(from: i64, to: i64) -> Machine {
    let value = StateValue { state: "run".into(), category: Some(Category::Run), reason: None };
    let job = Job {
        start: from,
        end: to,
        work_order: None,
        product: Some("P".into()),
        ideal_cycle_s: Some(1.0),
        ..Job::default()
    };
    let states = vec![StateSpan { start: from, end: to, value }];
    Machine::new(Inputs {
        states,
        jobs: vec![job],
        pieces: Some(Vec::new()),
        microstop_threshold_us: 0,
        ..Inputs::default()
    })
}

#[test]
fn shifts_and_the_time_between_them_fill_the_window() {
    let (from, to) = (us("2025-01-14T00:00:00Z"), us("2025-01-15T06:00:00Z"));
    let found: Vec<Bucket> = buckets(&plant(), "site/a", Cut::Shift, from, to).map(Result::unwrap).collect();
    let shifts: Vec<(Option<&str>, i64)> =
        found.iter().map(|b| (b.shift.as_deref(), (b.end - b.start) / HOUR)).collect();
    assert_eq!(shifts, [(None, 5), (Some("early"), 8), (None, 16), (Some("early"), 1)]);
    assert_eq!(
        found.iter().filter_map(|b| b.production_day.as_deref()).collect::<Vec<_>>(),
        ["2025-01-14", "2025-01-15"]
    );
}

#[test]
fn buckets_follow_the_local_clock_and_are_clipped() {
    let (from, to) = (us("2025-01-14T05:20:00Z"), us("2025-01-14T06:40:00Z"));
    let hour = Cut::Width(Width::parse("1 hour").unwrap());
    let found: Vec<Bucket> = buckets(&plant(), "site/a", hour, from, to).map(Result::unwrap).collect();
    let starts: Vec<i64> = found.iter().map(|bucket| bucket.start).collect();
    assert_eq!(starts, [from, us("2025-01-14T06:00:00Z")]);
    assert_eq!(found.last().map(|bucket| bucket.end), Some(to));
}

#[test]
fn a_node_sums_the_machines_below_it() {
    let machines: HashMap<String, Machine> =
        ["site/a", "site/b"].map(|path| (path.to_owned(), running(0, HOUR))).into();
    let sum = report(&plant(), &machines, "site", 0, &|_, machine| Some(machine.report(0, HOUR, HOUR))).unwrap();
    assert_eq!(sum.elements.calendar_us, 2 * HOUR);
    assert_eq!(report(&plant(), &HashMap::new(), "site", 0, &|_, _| None), None);
}

/// An order that the last machine of a line has not seen has left no good piece behind the line.
#[test]
fn a_line_has_made_what_left_its_last_machine() {
    let text = "[plant]\nname = \"p\"\nzone = \"UTC\"\n[[equipment]]\npath = \"line\"\nrollup = \"serial\"\n\
                [[equipment]]\npath = \"line/first\"\n[[equipment]]\npath = \"line/last\"\n";
    let plant = Plant::parse(text).unwrap();
    let made = |total: f64| {
        let piece = ::oee::count::Piece { time: 1, total, scrap: 0.0, rework: None };
        let job = Job {
            start: 0,
            end: HOUR,
            work_order: Some("WO".into()),
            product: Some("P".into()),
            ideal_cycle_s: Some(1.0),
            ..Job::default()
        };
        Machine::new(Inputs { jobs: vec![job], pieces: Some(vec![piece]), ..Inputs::default() })
    };
    let machines: HashMap<String, Machine> = [("line/first", made(10.0)), ("line/last", running(0, HOUR))]
        .map(|(path, machine)| (path.to_owned(), machine))
        .into();
    let of_order = |path: &str, machine: &Machine| (path == "line/first").then(|| machine.report(0, HOUR, HOUR));
    let line = report(&plant, &machines, "line", 0, &of_order).unwrap();
    assert_eq!((line.counts.good, line.start), (0.0, 0));
    let both = report(&plant, &machines, "line", 0, &|_, machine| Some(machine.report(0, HOUR, HOUR))).unwrap();
    assert_eq!(both.counts.good, 0.0);
    assert_eq!(report(&plant, &machines, "line", 0, &|_, _| None), None);
}
