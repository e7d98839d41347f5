use std::collections::BTreeSet;

use super::{Affected, Execution, Executions, Key, OrderSpan, derived_run};
use crate::OPEN;
use crate::path::lineage;
use crate::seeded::Seeded;

const PLACES: [&str; 5] = ["a", "a/b", "a/b/c", "a/b/d", "e"];

fn execution(run: &str, equipment: &str, unit: Option<&str>, started: i64, completed: Option<i64>) -> Execution {
    Execution {
        run: run.into(),
        equipment: equipment.into(),
        work_order: None,
        product: None,
        operation: Some(format!("op-{run}").into()),
        unit: unit.map(Into::into),
        started,
        completed,
        result: None,
        operator: None,
        quantity: None,
        recorded: 0,
    }
}

fn ordered(mut execution: Execution, work_order: &str) -> Execution {
    execution.work_order = Some(work_order.into());
    execution.product = Some(format!("product-{work_order}").into());
    execution
}

fn key<'a>(work_order: Option<&'a str>, operation: Option<&'a str>, unit: Option<&'a str>) -> Key<'a> {
    Key { work_order, operation, unit }
}

/// The rule, word by word, over a plain list.
fn reference<'a>(all: &'a [Execution], equipment: &str, t: i64) -> Key<'a> {
    let same_lane = |a: &Execution, b: &Execution| a.equipment == b.equipment && a.unit.is_some() == b.unit.is_some();
    let rank = |e: &Execution| (e.started, e.recorded, e.run.clone());
    let end = |e: &Execution| {
        let later = all.iter().filter(|o| same_lane(o, e) && rank(o) > rank(e));
        e.completed.unwrap_or(later.map(|o| o.started).min().unwrap_or(OPEN))
    };
    let covers = |e: &&Execution| e.started <= t && t < end(e);
    let best = |place: &str, unit: bool| {
        let here = all.iter().filter(|e| *e.equipment == *place && e.unit.is_some() == unit);
        here.filter(covers).max_by_key(|e| rank(e))
    };
    let nearest = lineage(equipment).find(|place| best(place, true).or(best(place, false)).is_some());
    let Some(nearest) = nearest else { return Key::default() };
    let order = lineage(nearest).find_map(|place| best(place, false));
    match best(nearest, true) {
        Some(unit) => Key {
            work_order: unit.work_order.as_deref().or(order.and_then(|o| o.work_order.as_deref())),
            operation: unit.operation.as_deref(),
            unit: unit.unit.as_deref(),
        },
        None => Key {
            work_order: order.and_then(|o| o.work_order.as_deref()),
            operation: order.and_then(|o| o.operation.as_deref()),
            unit: None,
        },
    }
}

fn any_execution(random: &mut Seeded, runs: i64) -> Execution {
    let started = random.within(0, 40);
    let unit = random.chance(60).then(|| format!("U{}", random.within(0, 5)).into());
    let completed = random.chance(60).then(|| started + random.within(0, 15));
    Execution {
        run: format!("r{}", random.within(0, runs)).into(),
        equipment: random.pick(&PLACES).into(),
        work_order: random.chance(50).then(|| format!("WO{}", random.within(0, 3)).into()),
        product: random.chance(50).then(|| format!("P{}", random.within(0, 3)).into()),
        operation: random.chance(80).then(|| format!("OP{}", random.within(0, 3)).into()),
        unit,
        started,
        completed,
        result: random.chance(50).then(|| random.pick(&["pass", "fail"]).into()),
        operator: None,
        quantity: random.chance(30).then(|| random.within(0, 5) as f64),
        recorded: random.within(0, 4),
    }
}

#[test]
fn nearest_equipment_decides() {
    let all = Executions::from_iter([
        ordered(execution("line", "a/b", None, 0, None), "WO1"),
        execution("cell", "a/b/c", Some("SN1"), 10, Some(20)),
    ]);
    assert_eq!(all.key_at("a/b/c", 15), key(Some("WO1"), Some("op-cell"), Some("SN1")));
    assert_eq!(all.key_at("a/b/c", 20), key(Some("WO1"), Some("op-line"), None));
    assert_eq!(all.key_at("a/b/d", 15), key(Some("WO1"), Some("op-line"), None));
    assert_eq!(all.key_at("a", 15), Key::default());
    assert_eq!(all.key_at("a/bc", 15), Key::default());
}

#[test]
fn an_order_nearer_than_a_unit_decides() {
    let all = Executions::from_iter([
        execution("batch", "a/b", Some("LOT1"), 0, None),
        ordered(execution("cell", "a/b/c", None, 10, None), "WO2"),
    ]);
    assert_eq!(all.key_at("a/b/c", 15), key(Some("WO2"), Some("op-cell"), None));
    assert_eq!(all.key_at("a/b/c", 5), key(None, Some("op-batch"), Some("LOT1")));
}

#[test]
fn an_open_execution_ends_at_the_next_start_of_its_kind() {
    let mut all = Executions::from_iter([
        execution("u1", "a", Some("SN1"), 0, None),
        execution("u2", "a", Some("SN2"), 10, Some(12)),
        ordered(execution("o1", "a", None, 5, None), "WO1"),
    ]);
    assert_eq!(all.key_at("a", 9).unit, Some("SN1"));
    assert_eq!(all.key_at("a", 11).unit, Some("SN2"));
    assert_eq!(all.key_at("a", 12), key(Some("WO1"), Some("op-o1"), None));
    assert_eq!(all.effective_end("u1"), Some(10));
    all.remove("u2");
    assert_eq!(all.key_at("a", 12).unit, Some("SN1"));
    assert_eq!(all.effective_end("u1"), Some(OPEN));
}

#[test]
fn the_largest_start_then_recorded_wins() {
    let mut late = execution("late", "a", Some("SN2"), 0, Some(10));
    late.recorded = 1;
    let all = Executions::from_iter([late, execution("early", "a", Some("SN1"), 0, Some(20))]);
    assert_eq!(all.key_at("a", 5).unit, Some("SN2"));
    assert_eq!(all.key_at("a", 15).unit, Some("SN1"));
}

#[test]
fn the_units_own_order_comes_before_the_lines() {
    let all = Executions::from_iter([
        ordered(execution("line", "a", None, 0, None), "WO1"),
        ordered(execution("unit", "a/b", Some("SN1"), 0, None), "WO2"),
    ]);
    assert_eq!(all.key_at("a/b", 5).work_order, Some("WO2"));
}

#[test]
fn a_line_order_does_not_name_the_product_of_another_order() {
    let mut unit = execution("unit", "a/b", Some("SN1"), 0, Some(10));
    unit.work_order = Some("WO2".into());
    let all = Executions::from_iter([ordered(execution("line", "a", None, 0, None), "WO1"), unit]);
    let expected = [
        OrderSpan { work_order: Some("WO2".into()), product: None, start: 0, end: 10 },
        OrderSpan { work_order: Some("WO1".into()), product: Some("product-WO1".into()), start: 10, end: 30 },
    ];
    assert_eq!(all.order_spans("a/b", 0, 30), expected);
}

#[test]
fn the_index_follows_the_rule() {
    for seed in 0..400 {
        let mut random = Seeded::new(seed);
        let mut all = Executions::new();
        // Few, and so many that they fill several chunks.
        let (runs, changes) = if seed % 4 == 0 { (200, 600) } else { (12, 30) };
        for _ in 0..random.within(1, changes) {
            if random.chance(20) {
                all.remove(&format!("r{}", random.within(0, runs)));
            } else {
                all.upsert(any_execution(&mut random, runs));
            }
        }
        let list: Vec<Execution> = all.iter().cloned().collect();
        let rebuilt = Executions::from_iter(list.clone());
        for place in PLACES {
            let mut cursor = all.cursor(place);
            for t in -1..60 {
                let expected = reference(&list, place, t);
                assert_eq!(all.key_at(place, t), expected, "seed {seed}, {place} at {t}");
                assert_eq!(rebuilt.key_at(place, t), expected, "rebuilt, seed {seed}, {place} at {t}");
                assert_eq!(cursor.key_at(t), expected, "cursor, seed {seed}, {place} at {t}");
            }
            // A cursor may also go back.
            assert_eq!(cursor.key_at(7), all.key_at(place, 7), "seed {seed}, {place}");
            let (from, to) = (random.within(-1, 50), random.within(-1, 50));
            let found = all.units_within(place, from, to).map(|(execution, end)| (execution.run.clone(), end));
            let here = list.iter().filter(|execution| &*execution.equipment == place && execution.unit.is_some());
            let later = |t: i64| here.clone().map(|execution| execution.started).filter(|start| *start > t).min();
            // Of equal starts an open one ends where the other begins, unless it is the last of them.
            let last = |one: &Execution| {
                let place = |of: &Execution| (of.started, of.recorded, of.run.clone());
                here.clone().all(|other| other.started != one.started || place(other) <= place(one))
            };
            let open_end = |one: &Execution| if last(one) { later(one.started).unwrap_or(OPEN) } else { one.started };
            let end = |one: &Execution| one.completed.map_or_else(|| open_end(one), |end| end.max(one.started));
            let expected = here.clone().filter(|one| one.started <= to && end(one) >= from);
            let expected: BTreeSet<_> = expected.map(|one| (one.run.clone(), end(one))).collect();
            assert_eq!(found.collect::<BTreeSet<_>>(), expected, "seed {seed}, {place} in {from} to {to}");
        }
    }
}

#[test]
fn order_spans_follow_the_keys() {
    for seed in 0..200 {
        let mut random = Seeded::new(seed);
        let all: Executions = (0..20).map(|_| any_execution(&mut random, 20)).collect();
        for place in PLACES {
            let spans = all.order_spans(place, 3, 50);
            assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "seed {seed}: {spans:?}");
            let differ = |one: &OrderSpan, next: &OrderSpan| {
                one.end < next.start || (&one.work_order, &one.product) != (&next.work_order, &next.product)
            };
            assert!(spans.windows(2).all(|pair| differ(&pair[0], &pair[1])), "seed {seed}: {spans:?}");
            for t in 3..50 {
                let span = spans.iter().find(|span| span.start <= t && t < span.end);
                let order = span.and_then(|span| span.work_order.as_deref());
                assert_eq!(order, all.key_at(place, t).work_order, "seed {seed}, {place} at {t}");
                let moment = all.order_spans(place, t, t + 1);
                let said = |span: &OrderSpan| (span.work_order.clone(), span.product.clone());
                assert_eq!(span.map(said), moment.first().map(said), "seed {seed}, {place} at {t}");
            }
        }
    }
}

/// What counts as made on an equipment at a moment.
fn made(all: &Executions, equipment: &str, t: i64) -> Vec<(String, Option<String>, Option<String>)> {
    let made = |e: &Execution| {
        (e.run.as_ref().to_owned(), e.result.as_deref().map(str::to_owned), e.quantity.map(|q| q.to_string()))
    };
    let mut found: Vec<_> = all.completed_on(equipment, t, t + 1).map(made).collect();
    found.sort();
    found
}

#[test]
fn what_was_made_counts_at_the_last_moment_of_its_execution() {
    for seed in 0..200 {
        let mut random = Seeded::new(seed);
        let all: Executions = (0..random.within(0, 15)).map(|_| any_execution(&mut random, 15)).collect();
        for place in PLACES {
            let mut expected = vec![Vec::new(); 60];
            for e in all.on(place) {
                if let Some(end) = e.completed {
                    expected[(end - 1).max(e.started) as usize].push(e.run.as_ref().to_owned());
                }
            }
            for (t, mut expected) in (0..).zip(expected) {
                expected.sort();
                let found: Vec<String> = made(&all, place, t).into_iter().map(|(run, ..)| run).collect();
                assert_eq!(found, expected, "seed {seed}, {place} at {t}");
            }
        }
    }
}

#[test]
fn keys_and_what_was_made_change_only_where_affected_says() {
    for seed in 0..600 {
        let mut random = Seeded::new(seed);
        let mut all: Executions = (0..random.within(0, 15)).map(|_| any_execution(&mut random, 15)).collect();
        let before = all.clone();
        let run = format!("r{}", random.within(0, 15));
        let old = all.get(&run).cloned();
        let new = match (&old, random.within(0, 3)) {
            (_, 0) => None,
            // The everyday change: an execution is closed, or its end moves.
            (Some(old), 1) => Some(Execution {
                completed: random.chance(60).then(|| old.started + random.within(0, 15)).or(old.completed),
                result: random.chance(50).then(|| random.pick(&["pass", "fail"]).into()),
                operator: None,
                quantity: random.chance(30).then(|| random.within(0, 5) as f64),
                recorded: random.within(0, 4),
                ..old.clone()
            }),
            _ => Some(Execution { run: run.as_str().into(), ..any_execution(&mut random, 15) }),
        };
        match &new {
            Some(new) => drop(all.upsert(new.clone())),
            None => drop(all.remove(&run)),
        }
        for index in [&before, &all] {
            let affected = Executions::affected(old.as_ref(), new.as_ref(), index);
            let remade = Executions::made_differently(old.as_ref(), new.as_ref());
            for (place, t) in PLACES.iter().flat_map(|place| (-1..60).map(move |t| (*place, t))) {
                let told =
                    affected.iter().any(|a| crate::path::is_within(place, &a.equipment) && a.from <= t && t < a.to);
                let same = before.key_at(place, t) == all.key_at(place, t)
                    && before.order_spans(place, t, t + 1) == all.order_spans(place, t, t + 1);
                let told_made = remade.iter().any(|a| *a.equipment == *place && a.from <= t && t < a.to);
                assert!(
                    told_made || made(&before, place, t) == made(&all, place, t),
                    "seed {seed}, {place} at {t}: {remade:?}"
                );
                assert!(told || same, "seed {seed}, {place} at {t}: {old:?} to {new:?}, affected {affected:?}");
            }
        }
    }
}

#[test]
fn closing_affects_only_what_lies_after_the_end() {
    let open = execution("u1", "a", Some("SN1"), 0, None);
    let closed = Execution { completed: Some(8), ..open.clone() };
    let next = execution("u2", "a", Some("SN2"), 10, None);
    let all = Executions::from_iter([open.clone(), next.clone()]);
    let affected = |from, to| vec![Affected { equipment: "a".into(), from, to }];
    assert_eq!(Executions::affected(Some(&open), Some(&closed), &all), affected(8, 10));
    assert_eq!(Executions::made_differently(Some(&open), Some(&closed)), affected(7, 8));
    let judged = Execution { result: Some("fail".into()), ..closed.clone() };
    assert_eq!(Executions::affected(Some(&closed), Some(&judged), &all), [], "keys do not follow from results");
    assert_eq!(Executions::made_differently(Some(&closed), Some(&judged)), affected(7, 8));
    assert_eq!(Executions::made_differently(Some(&judged), Some(&judged)), []);
    assert_eq!(Executions::affected(None, Some(&next), &all), affected(10, OPEN));
    assert_eq!(Executions::affected(Some(&open), Some(&open), &all), []);
    let recorded = Execution { recorded: 9, ..open.clone() };
    assert_eq!(Executions::affected(Some(&open), Some(&recorded), &all), []);
}

#[test]
fn derived_runs_differ_where_identities_do() {
    let run = derived_run("a/b", Some("OP10"), Some("SN1"), Some("WO1"), 5);
    assert_eq!(run, "a/b|OP10|unit|SN1|5");
    assert_eq!(run, derived_run("a/b", Some("OP10"), Some("SN1"), Some("WO2"), 5));
    assert_ne!(run, derived_run("a/b", Some("OP10"), None, Some("SN1"), 5));
    assert_ne!(derived_run("a|b", None, None, None, 5), derived_run("a", Some("b"), None, None, 5));
    assert_ne!(derived_run("a|", None, None, None, 5), derived_run("a%7C", None, None, None, 5));
}
