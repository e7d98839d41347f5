use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::calendar::timestamp;
use crate::golden::texts;
use crate::seeded::Seeded;

/// Everything a trace says when it is asked for the edges of a list.
fn traced(edges: &[Edge<'_>], unit: &str, direction: Direction, at: i64, deepest: u32) -> Trace {
    let mut trace = Trace::new(unit, direction, at, deepest);
    loop {
        let frontier = trace.frontier();
        if frontier.is_empty() {
            return trace;
        }
        for edge in edges {
            let end = match direction {
                Direction::Back => edge.child,
                Direction::Forward => edge.parent,
            };
            if frontier.iter().any(|unit| unit.as_ref() == end) {
                trace.take(*edge);
            }
        }
    }
}

fn at(text: &str) -> Option<i64> {
    let time = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_microsecond();
    (!text.is_empty()).then(|| time(text))
}

fn edge(line: &str) -> Edge<'_> {
    let [_, parent, child, quantity, kind, time, removed] = line.split(',').collect::<Vec<_>>()[..] else {
        panic!("{line}")
    };
    let quantity = Some(quantity.parse().expect("a number"));
    Edge { parent, child, quantity, time: at(time), removed: at(removed), rework: kind == REWORK }
}

type Depths = BTreeMap<String, u32>;

fn depths(value: &Value) -> Depths {
    let depth = |depth: &Value| u32::try_from(depth.as_u64().expect("a depth")).expect("a small one");
    value.as_object().expect("depths").iter().map(|(unit, value)| (unit.clone(), depth(value))).collect()
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_array().expect("names").iter().map(|name| name.as_str().expect("a name")).collect()
}

#[test]
fn traces_are_those_of_the_golden_cases() {
    let read = |name: &str| texts(&format!("genealogy/{name}"));
    let cases = read("expected.json").into_iter().zip(read("edges.csv")).zip(read("nodes.csv"));
    for ((expected, edges), nodes) in cases {
        let expected: Value = serde_json::from_str(&expected).expect("JSON");
        let edges: Vec<Edge<'_>> = edges.lines().skip(1).map(edge).collect();
        let nodes: BTreeMap<&str, (&str, f64)> = nodes
            .lines()
            .skip(1)
            .map(|line| {
                let [id, _, kind, quantity, ..] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
                (id, (kind, quantity.parse().expect("a number")))
            })
            .collect();
        let produced = |unit: &str| nodes.get(unit).map(|(_, quantity)| *quantity);
        for (name, direction) in [("backward", Direction::Back), ("forward", Direction::Forward)] {
            let cases = expected[name].as_array().expect("cases");
            assert!(!cases.is_empty());
            for case in cases {
                let (unit, time) =
                    (case["node"].as_str().expect("a node"), at(case["as_of"].as_str().expect("a time")));
                let said = format!("{name} {unit} {}", timestamp(time.unwrap()));
                let reached = traced(&edges, unit, direction, time.unwrap(), u32::MAX).reached();
                let full: Depths = reached.iter().map(|found| (found.unit.to_string(), found.depth)).collect();
                let active = reached.iter().filter_map(|found| Some((found.unit.to_string(), found.active_depth?)));
                assert_eq!(full, depths(&case["full"]), "{said}");
                assert_eq!(active.collect::<Depths>(), depths(&case["current"]), "{said}");
                let of_these = |wanted: &dyn Fn(&Reached) -> bool| -> BTreeSet<&str> {
                    reached.iter().filter(|found| wanted(found)).map(|found| found.unit.as_ref()).collect()
                };
                let is_unit = |found: &Reached| nodes[found.unit.as_ref()].0 == "unit";
                let active = |found: &Reached| found.active_depth.is_some();
                match direction {
                    Direction::Back => {
                        let roots = of_these(&|found| active(found) && found.is_end);
                        assert_eq!(roots, names(&case["roots_current"]), "{said}");
                    }
                    Direction::Forward => {
                        let effective = of_these(&|found| is_unit(found) && active(found) && !found.reworked);
                        assert_eq!(of_these(&is_unit), names(&case["affected_units_full"]), "{said}");
                        assert_eq!(effective, names(&case["affected_units_effective"]), "{said}");
                    }
                }
            }
        }
        for case in expected["contribution"].as_array().expect("cases") {
            let (root, time) = (case["root"].as_str().expect("a node"), at(case["as_of"].as_str().expect("a time")));
            let into = case["into"].as_object().expect("units");
            let trace = traced(&edges, root, Direction::Forward, time.unwrap(), u32::MAX);
            let quantities = trace.quantities(produced);
            let mut found = 0;
            for (reached, quantity) in trace.reached().iter().zip(quantities) {
                let quantity = quantity.expect("a quantity");
                let Some(expected) = into.get(reached.unit.as_ref()) else {
                    assert!(quantity == 0.0 && reached.active_depth.is_none(), "{root} in {}", reached.unit);
                    continue;
                };
                found += 1;
                let close = |one: f64, other: &Value| {
                    let other = other.as_f64().expect("a number");
                    assert!((one - other).abs() <= 1e-12 * other.abs(), "{root} in {}: {one} {other}", reached.unit);
                };
                close(quantity, &expected["qty"]);
                close(share(quantity, root, produced(root)).expect("a share"), &expected["fraction_of_lot"]);
            }
            assert_eq!(found, into.len(), "{root}");
        }
    }
}

/// Units and edges made up from a seed. Without `circles` edges lead from lower to higher numbers only.
fn random(seed: u64, circles: bool) -> (Vec<String>, Vec<(usize, usize, f64, Option<i64>, Option<i64>)>) {
    let mut seeded = Seeded::new(seed);
    let units: Vec<String> = (0..seeded.within(2, 12)).map(|unit| format!("U{unit}")).collect();
    let many = units.len() as i64;
    let edges = (0..seeded.within(1, 24)).map(|_| {
        let (one, other) = (seeded.within(0, many), seeded.within(0, many));
        let (parent, child) = if circles || one < other { (one, other) } else { (other, one) };
        let time = (!seeded.chance(10)).then(|| seeded.within(0, 100));
        let removed = seeded.chance(30).then(|| seeded.within(0, 120));
        (parent as usize, child as usize, seeded.within(1, 9) as f64, time, removed)
    });
    let edges: Vec<_> = edges.filter(|(parent, child, ..)| circles || parent != child).collect();
    (units, edges)
}

fn edges_of<'a>(units: &'a [String], edges: &[(usize, usize, f64, Option<i64>, Option<i64>)]) -> Vec<Edge<'a>> {
    let edge = |&(parent, child, quantity, time, removed): &(usize, usize, f64, Option<i64>, Option<i64>)| Edge {
        parent: &units[parent],
        child: &units[child],
        quantity: Some(quantity),
        time,
        removed,
        rework: false,
    };
    edges.iter().map(edge).collect()
}

/// Every way is followed by itself: what a trace must say without circles.
fn quantity_by_ways(edges: &[Edge<'_>], at: i64, root: &str, unit: &str, produced: &dyn Fn(&str) -> f64) -> f64 {
    let active = |edge: &&Edge<'_>| {
        edge.child == unit && edge.time.is_none_or(|time| time <= at) && edge.removed.is_none_or(|end| at < end)
    };
    let into = edges.iter().filter(active).map(|edge| {
        let quantity = edge.quantity.unwrap_or(0.0);
        match edge.parent == root {
            true => quantity,
            false => quantity / produced(edge.parent) * quantity_by_ways(edges, at, root, edge.parent, produced),
        }
    });
    into.sum()
}

#[test]
fn quantities_are_those_of_all_ways_and_the_same_from_both_ends() {
    let mut reached_units = 0;
    for seed in 0..300 {
        let (units, edges) = random(seed, false);
        let edges = edges_of(&units, &edges);
        let produced = |unit: &str| 10.0 + unit[1..].parse::<f64>().expect("a number");
        for root in &units {
            let forward = traced(&edges, root, Direction::Forward, 50, u32::MAX);
            for (reached, quantity) in forward.reached().iter().zip(forward.quantities(|unit| Some(produced(unit)))) {
                let quantity = quantity.expect("a quantity");
                let expected = quantity_by_ways(&edges, 50, root, &reached.unit, &produced);
                assert!((quantity - expected).abs() <= 1e-9 * expected, "{seed}: {root} in {}", reached.unit);
                let back = traced(&edges, &reached.unit, Direction::Back, 50, u32::MAX);
                let place = back.reached().iter().position(|found| found.unit.as_ref() == root).expect("the way back");
                let from_there = back.quantities(|unit| Some(produced(unit)))[place].clone().expect("a quantity");
                assert!((from_there - expected).abs() <= 1e-9 * expected, "{seed}: {root} in {}", reached.unit);
                reached_units += 1;
            }
        }
    }
    assert!(reached_units > 1_000, "{reached_units}");
}

#[test]
fn circles_end_and_say_so() {
    let mut circular = 0;
    for seed in 0..300 {
        let (units, edges) = random(seed, true);
        let edges = edges_of(&units, &edges);
        for root in &units {
            let trace = traced(&edges, root, Direction::Forward, 50, u32::MAX);
            let (reached, quantities) = (trace.reached(), trace.quantities(|_| Some(1.0)));
            assert!(reached.iter().all(|found| found.unit.as_ref() != root && found.depth > 0), "{seed}");
            assert_eq!(reached.len(), quantities.len());
            for (found, quantity) in reached.iter().zip(quantities) {
                match quantity {
                    Ok(quantity) => assert!(quantity.is_finite(), "{seed}: {}", found.unit),
                    Err(reason) => {
                        assert!(found.active_depth.is_some() && reason.contains("circle"), "{seed}: {reason}");
                        circular += 1;
                    }
                }
            }
        }
    }
    assert!(circular > 100, "{circular}");
}

#[test]
fn a_depth_cuts_the_trace_off() {
    let chain = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")];
    let edge = |(parent, child)| Edge { parent, child, quantity: None, time: None, removed: None, rework: false };
    let edges = chain.map(edge);
    let reached = |deepest| -> Vec<(String, u32)> {
        let reached = traced(&edges, "a", Direction::Forward, 0, deepest).reached();
        reached.into_iter().map(|found| (found.unit.to_string(), found.depth)).collect()
    };
    assert_eq!(reached(0), []);
    assert_eq!(reached(1), [("b".to_owned(), 1), ("d".to_owned(), 1)]);
    assert_eq!(reached(2), [("b".to_owned(), 1), ("d".to_owned(), 1), ("c".to_owned(), 2)]);
}

#[test]
fn what_is_not_known_is_said() {
    let edge = |parent, child, quantity| Edge { parent, child, quantity, time: None, removed: None, rework: false };
    let edges = [edge("a", "b", Some(2.0)), edge("b", "c", Some(1.0)), edge("a", "d", None), edge("b", "e", Some(1.0))];
    let trace = traced(&edges, "a", Direction::Forward, 0, u32::MAX);
    let said = |produced: Option<f64>| -> BTreeMap<String, String> {
        let quantities = trace.quantities(|_| produced);
        let said = trace.reached().into_iter().zip(quantities).map(|(reached, quantity)| {
            (
                reached.unit.to_string(),
                quantity.map_or_else(|reason| reason.to_string(), |quantity| quantity.to_string()),
            )
        });
        said.collect()
    };
    let expected = |of_c: &str| {
        [("b", "2"), ("c", of_c), ("d", "no quantity of a in d"), ("e", of_c)]
            .map(|(unit, said)| (unit.into(), said.into()))
    };
    assert_eq!(said(Some(4.0)), BTreeMap::from(expected("0.5")));
    assert_eq!(said(None), BTreeMap::from(expected("no quantity of b in units")));
    assert_eq!(said(Some(0.0)), BTreeMap::from(expected("the quantity of b is not above 0")));
    assert_eq!(produced(Some("serial"), None), Some(1.0));
    assert_eq!(produced(Some("lot"), None), None);
    assert_eq!(produced(Some("serial"), Some(3.0)), Some(3.0));
}
