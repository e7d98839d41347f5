//! Characteristics that are measured of signals: a curve becomes a measurement when its operation has ended, is judged and
//! reported like any other, and follows what comes late.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use oee::execution::{Execution, Executions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Server, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);

fn plant(reduce: &str) -> String {
    format!(
        r#"
[plant]
name = "curves"
zone = "UTC"

[[equipment]]
path = "line"
[[equipment]]
path = "line/press"
[[equipment]]
path = "line/weld"

[[signals]]
equipment = "line"
signal = "force"
uom = "kN"

[[products]]
product = "P2"

[[characteristics]]
characteristic = "press_force"
signal = "force"
reduce = "{reduce}"
settle_s = 0
uom = "kN"
upper_limit = 50
on_violation = "hold"

[[characteristics]]
characteristic = "end_force"
operation = "press"
product = "P2"
signal = "force"
reduce = "last"
settle_s = 0
"#
    )
}

fn start(folder: &Path, reduce: &str) -> Server {
    fs::write(folder.join("plant.toml"), plant(reduce)).unwrap();
    Server::start(folder)
}

const BEGUN_S: i64 = 1_736_812_800;

/// Second `number` of 14 January 2025.
fn second(number: i64) -> String {
    jiff::Timestamp::from_second(BEGUN_S + number).unwrap().to_string()
}

fn execution(run: &str, from: i64, to: Option<i64>) -> Value {
    json!({"run": run, "equipment": "line/press", "operation": "press", "unit": format!("U-{run}"), "work_order": "W1",
           "operator": "Ada", "started": second(from), "completed": to.map(second)})
}

fn samples(server: &Server, samples: &[(i64, f64)]) {
    let line = |(at, value): &(i64, f64)| format!("press,equipment=line/press force={value} {}\n", BEGUN_S + at);
    let lines: String = samples.iter().map(line).collect();
    let (status, answer) = server.post("/api/v2/write?precision=s", lines);
    assert_eq!(status, 204, "{answer}");
}

/// Run, time, value and gauge of what was measured, by time.
fn measured(server: &Server, characteristic: &str) -> Value {
    json!(server.sql(&format!(
        "SELECT run, extract(epoch FROM time) - {BEGUN_S}, value, gauge FROM measurements WHERE characteristic = '{characteristic}' ORDER BY time, run"
    )))
}

fn becomes(server: &Server, characteristic: &str, expected: &Value) {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the measurements", PATIENCE, || {
            last = measured(server, characteristic);
            (last == *expected).then_some(())
        });
    }));
    assert!(found.is_ok(), "{characteristic}: {last:#} instead of {expected:#}");
}

#[test]
fn a_curve_is_a_measurement_that_is_judged_held_and_corrected() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "max");
    samples(&server, &[(1, 40.0), (3, 44.0), (4, 10.0), (11, 41.0), (12, 46.0)]);
    server.send("operations", &[execution("1", 0, Some(5)), execution("2", 10, Some(15)), execution("3", 20, None)]);
    let row = |run: &str, end: i64, value: f64| json!([run, end as f64, value, "max(force)"]);
    becomes(&server, "press_force", &json!([row("1", 5, 44.0), row("2", 15, 46.0)]));
    let told = "SELECT equipment, unit, operation, work_order, operator, lower_limit, upper_limit, recorded_by \
                FROM measurements WHERE run = '2'";
    let operator = |name: &str| json!([["line/press", "U-2", "press", "W1", name, null, 50.0, "takt"]]);
    assert_eq!(json!(server.sql(told)), operator("Ada"));
    server.send("operations", &[json!({"run": "2", "operator": "Bo"})]);
    wait_for("the operator", PATIENCE, || (json!(server.sql(told)) == operator("Bo")).then_some(()));
    // What is open is measured when it has ended: by its own word, or by the next start.
    samples(&server, &[(21, 45.0)]);
    server.send("operations", &[execution("4", 30, None)]);
    becomes(&server, "press_force", &json!([row("1", 5, 44.0), row("2", 15, 46.0), row("3", 30, 45.0)]));

    // Frozen limits judge it, and hold.
    let limits = json!({"characteristic": "press_force", "chart": "i_mr", "valid_from": second(0), "centre": 45.0, "sigma": 1.0,
                        "rules": "N1", "approved_by": "quality", "reason": "study"});
    server.send("control_limits", &[limits]);
    let now = jiff::Timestamp::now().as_second() - BEGUN_S;
    samples(&server, &[(now - 3, 52.0)]);
    server.send("operations", &[execution("5", now - 5, Some(now + 1))]);
    wait_for("the hold", PATIENCE, || {
        (json!(server.sql("SELECT status FROM units WHERE unit = 'U-5'")) == json!([["hold"]])).then_some(())
    });
    let events = "SELECT unit, characteristic FROM events WHERE kind = 'violation'";
    assert_eq!(json!(server.sql(events)), json!([["U-5", "press_force"]]));
    // A person takes the row over: it is theirs.
    let own = json!({"equipment": "line/press", "characteristic": "press_force", "time": second(now + 1), "unit": "U-5",
                     "operation": "press", "run": "5", "value": 45.5});
    server.send("measurements", &[own]);
    wait_for("the withdrawal", PATIENCE, || server.sql(events).is_empty().then_some(()));
    samples(&server, &[(now - 2, 60.0)]);

    // Late samples, a corrected execution, one that never was.
    samples(&server, &[(2, 45.25)]);
    server.send("operations", &[execution("2", 10, Some(12))]);
    server.send("operations", &[json!({"run": "3", "deleted": true, "change_reason": "typed twice"})]);
    let theirs = json!(["5", (now + 1) as f64, 45.5, "max(force)"]);
    let after = |first: f64| json!([row("1", 5, first), row("2", 12, 41.0), theirs]);
    becomes(&server, "press_force", &after(45.25));
    let history = "SELECT count(*) FROM measurements_history WHERE run = '1'";
    assert_eq!(server.number(history), 1.0, "the first value is kept");

    // A restart changes nothing; another definition measures all anew.
    let rows = "SELECT count(*) FROM measurements_history";
    let before = server.number(rows);
    server.stop();
    server = start(folder.path(), "max");
    server.send("operations", &[execution("6", 40, Some(50))]);
    samples(&server, &[(41, 20.0), (42, 30.0)]);
    let with_six = json!([row("1", 5, 45.25), row("2", 12, 41.0), row("6", 50, 30.0), theirs]);
    becomes(&server, "press_force", &with_six);
    assert_eq!(server.number(rows), before, "nothing is measured twice");
    server.stop();
    server = start(folder.path(), "min");
    let row = |run: &str, end: i64, value: f64| json!([run, end as f64, value, "min(force)"]);
    becomes(&server, "press_force", &json!([row("1", 5, 10.0), row("2", 12, 41.0), row("6", 50, 20.0), theirs]));
    assert_eq!(measured(&server, "end_force"), json!([]), "it is of another product");
    server.send("operations", &[json!({"run": "6", "product": "P2"})]);
    becomes(&server, "end_force", &json!([["6", 50.0, 30.0, "last(force)"]]));
    server.stop();
}

#[test]
fn a_row_that_a_person_took_back_stays_so_and_those_of_samples_that_are_gone_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "max");
    samples(&server, &[(1, 40.0), (11, 41.0), (21, 42.0)]);
    server
        .send("operations", &[execution("1", 0, Some(5)), execution("2", 10, Some(15)), execution("3", 20, Some(25))]);
    let row = |run: &str, end: i64, value: f64| json!([run, end as f64, value, "max(force)"]);
    becomes(&server, "press_force", &json!([row("1", 5, 40.0), row("2", 15, 41.0), row("3", 25, 42.0)]));
    let gone = json!({"equipment": "line/press", "characteristic": "press_force", "time": second(5), "unit": "U-1",
                      "operation": "press", "run": "1", "deleted": true, "change_reason": "a trial"});
    server.send("measurements", &[gone]);
    samples(&server, &[(2, 44.0), (12, 45.0)]);
    let left = json!([row("2", 15, 45.0), row("3", 25, 42.0)]);
    becomes(&server, "press_force", &left);
    // What takt itself withdraws comes back.
    server.send("operations", &[json!({"run": "3", "deleted": true, "change_reason": "typed twice"})]);
    becomes(&server, "press_force", &json!([row("2", 15, 45.0)]));
    server.send("operations", &[execution("3", 20, Some(25))]);
    becomes(&server, "press_force", &left);
    server.stop();

    // Samples of then are gone now; what was measured of them stays for as long as its execution does.
    fs::write(folder.path().join("takt.toml"), "[retention]\nsamples = \"30 days\"\n").unwrap();
    server = start(folder.path(), "min");
    wait_for("the samples to leave", PATIENCE, || (server.number("SELECT count(*) FROM samples") == 0.0).then_some(()));
    let now = jiff::Timestamp::now().as_second() - BEGUN_S;
    server.send("operations", &[json!({"run": "2", "operator": "Cy"}), execution("4", now - 5, Some(now + 1))]);
    server.send("operations", &[json!({"run": "3", "deleted": true, "change_reason": "typed twice"})]);
    samples(&server, &[(now - 3, 30.0)]);
    becomes(&server, "press_force", &json!([row("2", 15, 45.0), ["4", (now + 1) as f64, 30.0, "min(force)"]]));
    assert!(!server.log().contains("WARN"), "{}", server.log());
    server.stop();
}

#[test]
fn what_was_not_measured_before_the_end_is_measured_after_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let without = plant("max").split("[[characteristics]]").next().unwrap().to_owned();
    fs::write(folder.path().join("plant.toml"), without).unwrap();
    let mut server = Server::start(folder.path());
    const RUNS: i64 = 400;
    let lines: Vec<(i64, f64)> = (0..RUNS).map(|run| (run * 10 + 3, run as f64)).collect();
    samples(&server, &lines);
    let executions = (0..RUNS).map(|run| execution(&format!("{run:03}"), run * 10, Some(run * 10 + 5)));
    server.send("operations", &executions.collect::<Vec<_>>());
    server.stop();
    server = start(folder.path(), "max");
    let count = "SELECT count(*) FROM measurements WHERE characteristic = 'press_force'";
    wait_for("some to be measured", PATIENCE, || (server.number(count) > 0.0).then_some(()));
    server.kill();
    server = start(folder.path(), "max");
    let all: Vec<Value> =
        (0..RUNS).map(|run| json!([format!("{run:03}"), (run * 10 + 5) as f64, run as f64, "max(force)"])).collect();
    becomes(&server, "press_force", &json!(all));
    assert_eq!(server.number("SELECT count(*) FROM measurements_history"), 0.0, "none is measured twice");
    server.stop();
}

#[test]
fn a_signal_that_takes_long_keeps_no_other_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let slow =
        "\n[[characteristics]]\ncharacteristic = \"slow\"\noperation = \"weld\"\nsignal = \"force\"\nsettle_s = 3600\n";
    fs::write(folder.path().join("plant.toml"), plant("max") + slow).unwrap();
    let mut server = Server::start(folder.path());
    samples(&server, &[(1, 40.0), (11, 41.0)]);
    let now = jiff::Timestamp::now().as_second() - BEGUN_S;
    samples(&server, &[(now - 8, 42.0)]);
    let mut weld = execution("2", now - 9, Some(now - 7));
    weld["operation"] = json!("weld");
    server.send("operations", &[execution("1", 0, Some(5)), weld]);
    becomes(&server, "press_force", &json!([["1", 5.0, 40.0, "max(force)"]]));
    assert_eq!(measured(&server, "slow"), json!([]));
    server.stop();
}

#[test]
fn a_unit_on_a_line_is_measured_apart_from_its_stay_at_a_station() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "max");
    let of_unit = |run: &str, equipment: &str, from: i64, to: i64| json!({"run": run, "equipment": equipment, "operation": "press", "unit": "U", "started": second(from), "completed": second(to)});
    samples(&server, &[(5, 10.0), (11, 30.0), (18, 20.0)]);
    server.send("operations", &[of_unit("line", "line", 0, 20), of_unit("station", "line/press", 10, 12)]);
    let row = |run: &str, end: i64, value: f64| json!([run, end as f64, value, "max(force)"]);
    becomes(&server, "press_force", &json!([row("station", 12, 30.0), row("line", 20, 20.0)]));
    server.stop();
}

const PLACES: [&str; 3] = ["line/press", "line/weld", "line"];

/// What was said of executions and samples, and what there is to measure of that by the rules, word by word.
#[derive(Default)]
struct Said {
    known: Executions,
    operators: BTreeMap<String, String>,
    samples: BTreeMap<(&'static str, i64), f64>,
    changes: i64,
}

impl Said {
    fn execution(&mut self, server: &Server, row: &Value) {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let us = |name: &str| Some(row[name].as_str()?.parse::<jiff::Timestamp>().unwrap().as_microsecond());
        server.send("operations", std::slice::from_ref(row));
        self.changes += 1;
        let run = text("run").unwrap();
        self.operators.extend(text("operator").map(|operator| (run.clone(), operator)));
        self.known.upsert(Execution {
            run: run.into(),
            equipment: text("equipment").unwrap().into(),
            work_order: text("work_order").map(Into::into),
            product: None,
            operation: text("operation").map(Into::into),
            unit: text("unit").map(Into::into),
            started: us("started").unwrap(),
            completed: us("completed"),
            result: None,
            operator: None,
            quantity: None,
            recorded: self.changes,
        });
    }

    fn retract(&mut self, server: &Server, run: &str) {
        if self.known.remove(run).is_some() {
            server.send("operations", &[json!({"run": run, "deleted": true, "change_reason": "none"})]);
        }
    }

    fn sample(&mut self, server: &Server, place: &'static str, at: i64, value: f64) {
        let line = format!("press,equipment={place} force={value} {}", BEGUN_S + at);
        assert_eq!(server.post("/api/v2/write?precision=s", line).0, 204);
        self.samples.insert((place, at), value);
    }

    /// Of what covers a moment on exactly this equipment, units or orders, what began last; of equal starts what came last.
    fn covering(&self, place: &str, of_units: bool, us: i64) -> Option<&Execution> {
        let end = |one: &Execution| self.known.effective_end(&one.run).unwrap();
        let here = self.known.on(place).filter(|one| one.unit.is_some() == of_units);
        here.filter(|one| one.started <= us && us < end(one)).max_by_key(|one| (one.started, one.recorded))
    }

    fn above(place: &str) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(place), |place| place.rsplit_once('/').map(|(above, _)| above))
    }

    /// Run, equipment, end, value, order and operator of what there is to measure.
    fn expected(&self) -> Vec<Value> {
        let mut largest: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for ((place, at), value) in &self.samples {
            let us = (BEGUN_S + at) * 1_000_000;
            let covers = |place: &&str| self.covering(place, true, us).or(self.covering(place, false, us)).is_some();
            let Some(nearest) = Self::above(place).find(covers) else { continue };
            let Some(stay) = self.covering(nearest, true, us) else { continue };
            let known = largest.entry((&stay.run, place)).or_insert(*value);
            *known = known.max(*value);
        }
        let row = |((run, place), value): (&(&str, &str), &f64)| {
            let (execution, end) =
                (self.known.get(run)?, self.known.effective_end(run).filter(|end| *end < oee::OPEN)?);
            // The last order that was in force meanwhile: one that was in force to the end, or ended last.
            let all = PLACES.iter().flat_map(|place| self.known.on(place));
            let ends = all.filter_map(|one| self.known.effective_end(&one.run)).chain([end]).map(|end| end - 1);
            let moments: BTreeSet<i64> = ends.filter(|us| (execution.started..end).contains(us)).collect();
            let order = moments
                .into_iter()
                .rev()
                .find_map(|us| Self::above(&execution.equipment).find_map(|place| self.covering(place, false, us)));
            let order = execution.work_order.as_ref().or(order.and_then(|order| order.work_order.as_ref()));
            Some(json!([run, place, (end / 1_000_000 - BEGUN_S) as f64, value, order, self.operators.get(*run)]))
        };
        largest.iter().filter_map(row).collect()
    }
}

#[test]
fn whatever_comes_however_late_measurements_are_what_the_rules_make_of_it() {
    for seed in [20_261_128, 7] {
        random_history(seed);
    }
}

fn random_history(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), "max");
    let (mut said, mut compared) = (Said::default(), 0);
    for round in 0..8 {
        for _ in 0..25 {
            // Three days, of which each is a few seconds.
            let slot = rng.random_range(0..12_i64);
            let begin = slot % 3 * 86_400 + slot * 10;
            let place = PLACES[rng.random_range(0..3)];
            let (run, unit) = (slot.to_string(), format!("U-{}", rng.random_range(0..4)));
            let row = |from: i64, to: Option<i64>, operator: &str| {
                json!({"run": run, "equipment": place, "operation": "press", "unit": unit, "operator": operator,
                       "started": second(from), "completed": to.map(second)})
            };
            match rng.random_range(0..20) {
                0..=7 => {
                    for _ in 0..3 {
                        let at = begin + rng.random_range(0..10);
                        said.sample(&server, place, at, f64::from(rng.random_range(100..600)) / 10.0);
                    }
                }
                8..=11 => {
                    let (from, to) = (begin + rng.random_range(0..4), begin + rng.random_range(5..10));
                    said.execution(&server, &row(from, Some(to), if rng.random() { "Ada" } else { "Bo" }));
                }
                // Only who it was.
                12 => {
                    if let Some(old) = said.known.get(&run).filter(|old| old.unit.is_some()).cloned() {
                        let at = |us: i64| us / 1_000_000 - BEGUN_S;
                        let mut same =
                            row(at(old.started), old.completed.map(at), if rng.random() { "Ada" } else { "Bo" });
                        (same["equipment"], same["unit"]) = (json!(old.equipment), json!(old.unit));
                        said.execution(&server, &same);
                    }
                }
                // Opened again, or never ended: the next start ends it.
                13..=14 => said.execution(&server, &row(begin, None, "Ada")),
                // A clock was wrong.
                15 => {
                    let from = rng.random_range(0..3) * 86_400 + rng.random_range(0..110);
                    said.execution(&server, &row(from, Some(from + 9), "Bo"));
                }
                16..=17 => {
                    let from = rng.random_range(0..3) * 86_400 + rng.random_range(0..100);
                    let order = format!("W{}", rng.random_range(0..3));
                    let row = json!({"run": format!("of {order}"), "equipment": "line", "operation": "press", "work_order": order,
                                     "started": second(from), "completed": second(from + 25)});
                    said.execution(&server, &row);
                }
                _ => said.retract(&server, &run),
            }
        }
        // What is made now is measured soon, and says nothing of whether the rest is.
        let now = jiff::Timestamp::now().as_second() - BEGUN_S;
        said.sample(&server, "line/press", now - 1, 20.0 + f64::from(round));
        let live = json!({"run": format!("now {round}"), "equipment": "line/press", "operation": "press", "unit": "N", "operator": "Ada",
                          "started": second(now - 2), "completed": second(now)});
        said.execution(&server, &live);
        // Whatever was looked at till then.
        match round % 4 {
            1 => server.kill(),
            3 => server.stop(),
            _ => {}
        }
        if round % 2 == 1 {
            server = start(folder.path(), "max");
        }
        let expected = said.expected();
        compared += expected.len();
        let rows = format!(
            "SELECT run, equipment, extract(epoch FROM time) - {BEGUN_S}, value, work_order, operator FROM measurements \
             WHERE characteristic = 'press_force' ORDER BY 1, 2, 3"
        );
        let mut last = Value::Null;
        let same = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the measurements", PATIENCE, || {
                last = json!(server.sql(&rows));
                (last == json!(expected)).then_some(())
            });
        }));
        assert!(same.is_ok(), "seed {seed}, round {round}: {last:#} instead of {:#}", json!(expected));
    }
    assert!(compared > 40, "{compared} values");
    // A start finds nothing to do.
    let rows = "SELECT count(*) FROM measurements_history";
    let before = server.number(rows);
    server.stop();
    server = start(folder.path(), "max");
    let now = jiff::Timestamp::now().as_second() - BEGUN_S;
    said.sample(&server, "line/weld", now, 1.0);
    let one = json!({"run": "last", "equipment": "line/weld", "operation": "press", "unit": "N",
                     "started": second(now), "completed": second(now + 1)});
    said.execution(&server, &one);
    wait_for("the last one", PATIENCE, || {
        (server.number("SELECT count(*) FROM measurements WHERE run = 'last'") == 1.0).then_some(())
    });
    assert_eq!(server.number(rows), before, "nothing is measured twice");
    server.stop();
}
