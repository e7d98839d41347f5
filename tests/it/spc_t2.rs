//! Hotelling's T² over SQL: several characteristics of a unit together.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Server, wait_for};
use crate::spc::{measurement, start};

/// Figures are those of numpy and scipy 1.17, by Montgomery's formulas, as in the tests of the engine.
#[test]
fn t2_judges_several_characteristics_together() {
    let values = [
        [9.35, 8.71],
        [9.83, 5.78],
        [9.54, 4.46],
        [8.53, 2.32],
        [12.0, 2.62],
        [9.87, 5.44],
        [9.31, 4.86],
        [9.02, 3.7],
        [10.13, 5.74],
        [10.46, 6.38],
        [11.2, 4.48],
        [9.96, 5.93],
        [10.3, 4.56],
        [11.03, 7.74],
        [10.61, 4.31],
        [9.21, 3.89],
        [11.01, 6.0],
        [10.57, 4.88],
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let rows = |at: usize, [bore, length]: [f64; 2]| {
        // One characteristic is measured a while after the other.
        let row = |name: &str, number: usize, value: f64| {
            measurement(&json!(name), number, &json!(value), json!({"unit": format!("U{at}")}))
        };
        [row("bore", 10 * at, bore), row("length", 10 * at + 5, length)]
    };
    let all: Vec<Value> = values.iter().enumerate().flat_map(|(at, values)| rows(at, *values)).collect();
    server.send("measurements", &all);
    let t2 = |words: &str, columns: &str| {
        server.sql(&format!("SELECT {columns} FROM spc('t2', 'characteristics=bore, length'{words}) ORDER BY point"))
    };
    let near = |got: &Value, wanted: f64| {
        let got = got.as_f64().unwrap();
        assert!((got / wanted - 1.0).abs() < 1e-9, "{got} for {wanted}");
    };
    let of_three = t2(", 'subgroup=3'", "value, ucl, n, characteristic, lcl");
    assert_eq!(of_three.len(), 6);
    near(&of_three[0][0], 3.350_261_176_602_607_4);
    near(&of_three[5][0], 0.148_565_364_693_988_73);
    near(&of_three[0][1], 19.310_604_146_417_358);
    assert_eq!(of_three[0][2..], [json!(3), json!("bore, length"), json!(null)]);
    // Single units; those behind phase I have another limit.
    let single = t2(", 'phase_i=12'", "value, ucl, phase, unit");
    near(&single[0][0], 4.677_292_670_848_041);
    near(&single[4][0], 6.174_794_742_876_478);
    near(&single[0][1], 7.374_414_005_427_221);
    near(&single[12][1], 26.977_282_171_560_915);
    assert_eq!((&single[12][2], &single[12][3]), (&json!("II"), &json!("U12")));

    // Each alone is nothing out of the ordinary, together they are; and a unit that lacks one waits for it.
    let [bore, length] = rows(18, [11.9, 2.0]);
    server.send("measurements", &[bore, rows(19, [30.0, 5.0])[0].clone()]);
    assert_eq!(t2("", "unit").len(), 18);
    assert!(t2("", "limits")[0][0].as_str().unwrap().contains("2 units without all characteristics"));
    server.send("measurements", &[length, rows(19, [30.0, 5.0])[1].clone()]);
    let found = t2(", 'phase_i=18'", "unit, violated, rules, message");
    let last = found.last().unwrap();
    assert_eq!((&last[0], &last[1]), (&json!("U19"), &json!(true)));
    assert!(last[3].as_str().unwrap().contains("of each alone: bore "), "{last:?}");

    let error = |sql: &str| {
        let (status, answer) = server.post("/api/v1/sql?format=json", sql);
        assert_eq!(status, 400, "{answer}");
        answer
    };
    assert!(error("SELECT * FROM spc('t2')").contains("characteristics=bore, length"));
    assert!(error("SELECT * FROM spc('t2', 'characteristics=bore, bore')").contains("different names"));
    assert!(error("SELECT * FROM spc('t2', 'characteristics=bore, depth')").contains("none of 20 units"));
    assert!(error("SELECT * FROM spc('t2', 'characteristics=bore, length', 'alpha=2')").contains("between 0 and 1"));
    assert!(error("SELECT * FROM spc_limits('t2')").contains("characteristics=bore, length"));
    let few = "SELECT value, reason FROM spc('t2', 'characteristics=bore, length') WHERE unit IN ('U0', 'U1')";
    assert_eq!(server.sql(few)[0][0], json!(null));
}

#[test]
fn frozen_limits_of_several_characteristics_do_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let units = |range: std::ops::Range<usize>, shift: f64| {
        let of_unit = |at: usize| {
            // Together along a line, with a little beside it.
            let (along, beside) = ((at * 7 % 11) as f64 - 5.0, (at * 5 % 7) as f64 - 3.0);
            let row = |name: &str, value: f64| {
                measurement(&json!(name), 10 * at, &json!(value), json!({"unit": format!("U{at}")}))
            };
            [row("bore", 10.0 + along / 10.0), row("length", 50.0 + along / 5.0 + beside / 50.0 + shift)]
        };
        server.send("measurements", &range.flat_map(of_unit).collect::<Vec<_>>());
    };
    units(0..40, 0.0);
    let chart = |words: &str, columns: &str| {
        json!(
            server
                .sql(&format!("SELECT {columns} FROM spc('t2', 'characteristics=bore, length'{words}) ORDER BY point"))
        )
    };
    let limits = |words: &str, columns: &str| {
        server.sql(&format!("SELECT {columns} FROM spc_limits('t2', 'characteristics=bore, length'{words})")).remove(0)
    };
    let own = limits("", "model, estimated_from, characteristic, n, ucl, parameters, chart");
    assert_eq!(json!(own[1..4]), json!([40.0, "bore, length", 1.0]));
    assert_eq!(json!(own[5..]), json!(["alpha 0.0027", "t2"]));
    let model: Value = serde_json::from_str(own[0].as_str().unwrap()).unwrap();
    assert!((model["means"][0].as_f64().unwrap() - 10.0).abs() < 0.1, "{model}");

    let at = |number: usize| jiff::Timestamp::from_second(1_736_812_800 + 10 * number as i64).unwrap().to_string();
    let row = |model: &Value, names: &str| {
        json!({"characteristic": names, "chart": "t2", "valid_from": at(40), "model": model, "approved_by": "quality",
               "reason": "study of week 3"})
    };
    let refused = |row: Value| {
        let (status, answer) = server.post("/api/v1/control_limits", json!([row]).to_string());
        assert_eq!(status, 400, "{answer}");
        answer
    };
    assert!(refused(row(&Value::Null, "bore, length")).contains("`model`"));
    assert!(refused(row(&json!("good"), "bore, length")).contains("no model of t2"));
    assert!(refused(row(&own[0], "bore")).contains("name them all"));
    server.send("control_limits", &[row(&own[0], "bore, length")]);

    // Those behind are judged by them and do not move them; those before are as they were.
    units(40..80, 0.0);
    let origin = "frozen from 2025-01-14T00:06:40Z, approved by quality: study of week 3";
    let judged = chart("", "phase, limits, violated");
    assert_eq!(judged[0], json!(["I", "estimated from 40 units", false]));
    assert_eq!(judged[40], json!(["II", origin, false]));
    let before = chart("", "value, ucl");
    units(80..90, 0.5);
    let shifted = chart("", "violated, value, ucl");
    assert!((80..90).all(|at| shifted[at][0] == json!(true)), "each alone is nothing out of the ordinary: {shifted}");
    assert!((40..80).all(|at| json!([shifted[at][1], shifted[at][2]]) == before[at]), "{shifted} after {before}");
    assert_eq!(shifted[85][2], own[4], "the limit of units to come is that of those that came");
    assert_eq!(json!(limits("", "model, limits")), json!([own[0], origin]));
    // In another order they are the same, and of others they are none.
    let turned = server.sql("SELECT value FROM spc('t2', 'characteristics=length, bore') WHERE unit = 'U85'");
    let (turned, straight) = (turned[0][0].as_f64().unwrap(), shifted[85][1].as_f64().unwrap());
    assert!((turned / straight - 1.0).abs() < 1e-9, "{turned} {straight}");
    let three = server.post("/api/v1/sql", "SELECT * FROM spc('t2', 'characteristics=bore, length, depth')");
    assert!(three.1.contains("has all of bore, length, depth"), "{}", three.1);
    // Limits of the chart's own are there when they are asked for, and then alone.
    let own_again = chart(", 'limits=own', 'alpha=0.01'", "limits");
    assert_eq!(own_again[85], json!(["estimated from 90 units"]));
    let (status, answer) =
        server.post("/api/v1/sql", "SELECT * FROM spc('t2', 'characteristics=bore, length', 'alpha=0.01')");
    assert!(status == 400 && answer.contains("'limits=own'"), "{answer}");
}

#[test]
fn units_that_are_beyond_together_are_told_held_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let plant = r#"
[plant]
name = "t2"
zone = "UTC"
[[equipment]]
path = "lab"
[[equipment]]
path = "lab/gauge"
[[characteristics]]
characteristic = "length"
on_violation = "hold"
reaction_plan = "measure again"
"#;
    std::fs::write(folder.path().join("plant.toml"), plant).unwrap();
    let mut server = Server::start(folder.path());
    let model = r#"{"means": [10, 50], "covariance": [[1, 0.9], [0.9, 1]], "df": 49, "units": 50, "single": true, "alpha": 0.0027}"#;
    let begin = jiff::Timestamp::now().as_second();
    let at = |number: i64| jiff::Timestamp::from_second(begin + 3 + number).unwrap().to_string();
    let limits = json!({"characteristic": "length, bore", "chart": "t2", "valid_from": at(-60), "approved_by": "quality", "reason": "study",
                        "model": model.replace("[10, 50]", "[50, 10]")});
    server.send("control_limits", &[limits]);
    let row = |name: &str, number: i64, value: f64| {
        json!({"time": at(number), "equipment": "lab/gauge", "operation": "test", "unit": format!("U{number}"), "characteristic": name,
               "value": value})
    };
    // One of them alone is no unit yet, and each alone is near its mean.
    server.send("measurements", &[row("bore", 1, 10.0), row("length", 1, 50.0), row("bore", 2, 11.5)]);
    server.send("measurements", &[row("length", 2, 48.5), row("bore", 3, 11.5), row("length", 3, 51.5)]);
    let events = || json!(server.sql("SELECT unit, characteristic, severity FROM events WHERE kind = 'violation'"));
    let patience = Duration::from_secs(20);
    let expected = json!([["U2", "length, bore", "critical"]]);
    wait_for("the violation", patience, || (events() == expected).then_some(()));
    wait_for("the hold", patience, || {
        (json!(server.sql("SELECT unit, status FROM units")) == json!([["U2", "hold"]])).then_some(())
    });
    let details = server.sql("SELECT data FROM events WHERE kind = 'violation'")[0][0].as_str().unwrap().to_owned();
    let details: Value = serde_json::from_str(&details).unwrap();
    assert_eq!((&details["chart"], &details["reaction_plan"]), (&json!("t2"), &json!("measure again")));
    // Queries look no further than now.
    let drawn = wait_for("the point", patience, || {
        let sql = "SELECT value, ucl, message FROM spc('t2', 'characteristics=length, bore') WHERE unit = 'U2'";
        server.sql(sql).pop()
    });
    assert_eq!(json!([details["value"], details["ucl"], details["message"]]), json!(drawn));

    // A restart tells nothing again, and a corrected measurement takes it back.
    let rows = "SELECT count(*) FROM events_history";
    server.stop();
    server = Server::start(folder.path());
    server.send("measurements", &[row("bore", 4, 8.5), row("length", 4, 51.5)]);
    let events = || json!(server.sql("SELECT unit FROM events WHERE kind = 'violation' ORDER BY 1"));
    wait_for("another", patience, || (events() == json!([["U2"], ["U4"]])).then_some(()));
    assert_eq!(server.number(rows), 0.0);
    server.send("measurements", &[row("length", 2, 51.5)]);
    wait_for("the withdrawal", patience, || (events() == json!([["U4"]])).then_some(()));
    assert_eq!(server.number(rows), 1.0);
    server.stop();
}
