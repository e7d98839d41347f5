#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;

use ::oee::machine::{Inputs, Job, Machine};
use ::oee::state::{Category, StateSpan, StateValue};

use super::*;

const HOUR: i64 = 3_600_000_000;

fn plant() -> Plant {
    let text = "[plant]\nname = \"p\"\nzone = \"UTC\"\n[[equipment]]\npath = \"site\"\n[[equipment]]\npath = \"site/a\"\n\
                [[equipment]]\npath = \"site/b\"\n";
    Plant::parse(text).unwrap()
}

fn running(from: i64, to: i64) -> Machine {
    let value = StateValue::new("run", Some(Category::Run), None);
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

fn summed(
    plant: &Plant,
    machines: &HashMap<String, Machine>,
    path: &str,
    of: &dyn Fn(&str, &Machine) -> Option<Report>,
) -> Option<Report> {
    let machine = |path: &str| of(path, machines.get(path)?);
    Tree { plant, at: 0, is_machine: &|path| machines.contains_key(path), machine: &machine }.report(path)
}

#[test]
fn a_node_sums_the_machines_below_it() {
    let machines: HashMap<String, Machine> =
        ["site/a", "site/b"].map(|path| (path.to_owned(), running(0, HOUR))).into();
    let sum = summed(&plant(), &machines, "site", &|_, machine| Some(machine.report(0, HOUR, HOUR))).unwrap();
    assert_eq!(sum.elements.calendar_us, 2 * HOUR);
    assert_eq!(summed(&plant(), &HashMap::new(), "site", &|_, _| None), None);
}

/// An order that the last machine of a line has not seen has left no good piece behind the line.
#[test]
fn a_line_has_made_what_left_its_last_machine() {
    let text = "[plant]\nname = \"p\"\nzone = \"UTC\"\n[[equipment]]\npath = \"line\"\nrollup = \"serial\"\n\
                [[equipment]]\npath = \"line/first\"\n[[equipment]]\npath = \"line/last\"\n";
    let plant = Plant::parse(text).unwrap();
    let made = |total: f64| {
        let piece = ::oee::count::Piece::new(1, total, 0.0);
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
    let line = summed(&plant, &machines, "line", &of_order).unwrap();
    assert_eq!((line.counts.good, line.start), (0.0, 0));
    let both = summed(&plant, &machines, "line", &|_, machine| Some(machine.report(0, HOUR, HOUR))).unwrap();
    assert_eq!(both.counts.good, 0.0);
    assert_eq!(summed(&plant, &machines, "line", &|_, _| None), None);
}
