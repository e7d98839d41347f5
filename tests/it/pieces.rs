//! Where pieces come from: results of operations, and scrap that says why.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Server;

const PLANT: &str = r#"
[plant]
name = "pieces"
zone = "UTC"

[[equipment]]
path = "line"
level = "work_center"
rollup = "serial"
[[equipment]]
path = "line/test"
count_source = "operations"
results = { IO = "pass", SORT = "rework" }
cost_per_hour = 80
microstop_threshold_s = 90
[[equipment]]
path = "line/saw"
default_product = "A"

[[signals]]
equipment = "line/saw"
signal = "made"
role = "total_count"
[[signals]]
equipment = "line/saw"
signal = "burrs"
role = "scrap_count"
reason = "BURR"
[[signals]]
equipment = "line/saw"
signal = "short"
role = "scrap_count"
reason = "LENGTH"

[[products]]
product = "A"
ideal_cycle_s = 10
planned_scrap_ratio = 0.05

[[characteristics]]
characteristic = "bore"
on_violation = "hold"
reaction_plan = "measure the last ten"
"#;

const WINDOW: &str = "'2025-01-14T08:00:00Z', '2025-01-14T12:00:00Z'";

fn start(folder: &Path) -> Server {
    fs::write(folder.join("plant.toml"), PLANT).unwrap();
    Server::start(folder)
}

fn test(unit: u32, minute: u32, result: &str) -> Value {
    json!({"run": format!("r{unit}"), "equipment": "line/test", "unit": format!("SN-{unit}"), "work_order": "WO-1", "product": "A",
           "operation": "final test", "started": format!("2025-01-14T08:{minute:02}:00Z"),
           "completed": format!("2025-01-14T08:{:02}:00Z", minute + 1), "result": result})
}

fn pieces(server: &Server) -> Value {
    let columns = "total, good, scrap, rework, uncounted_pieces, first_pass_yield, reason";
    json!(server.sql(&format!("SELECT {columns} FROM oee('day', {WINDOW}) WHERE equipment = 'line/test'"))[0])
}

#[test]
fn results_of_operations_count_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    assert_eq!(pieces(&server)[0], 0.0, "what counts is known before the first piece");
    server.send("operations", &[test(1, 0, "IO"), test(2, 1, "fail"), test(3, 2, "SORT"), test(4, 3, "OK")]);
    assert_eq!(pieces(&server).as_array().unwrap()[..6], [4.0, 3.0, 1.0, 1.0, 0.0, 0.5].map(|v| json!(v)));

    // One that runs is none yet; a message that closes it needs to say no more.
    let mut open = test(5, 4, "pass");
    let (completed, result) = (open["completed"].take(), open["result"].take());
    server.send("operations", &[open]);
    assert_eq!(pieces(&server)[0], 4.0);
    server.send("operations", &[json!({"run": "r5", "completed": completed, "result": result, "quantity": 12})]);
    assert_eq!((&pieces(&server)[0], &pieces(&server)[1]), (&json!(16.0), &json!(15.0)));

    // A correction counts at once, and what was known before is still to be had.
    let before = server.sql("SELECT now()")[0][0].as_str().unwrap().to_owned();
    server.send("operations", &[json!({"run": "r2", "result": "pass", "change_reason": "gauge was off"})]);
    assert_eq!((&pieces(&server)[1], &pieces(&server)[2]), (&json!(16.0), &json!(0.0)));
    let day = format!("SELECT scrap FROM oee('day', {WINDOW}) WHERE equipment = 'line/test'");
    let (status, then) = server.post(&format!("/api/v1/sql?format=json&as_of={before}"), &*day);
    assert!(status == 200 && then.contains("1.0"), "{then}");

    server.send("operations", &[test(6, 6, "SEE 2ND")]);
    let found = pieces(&server);
    assert_eq!((&found[0], &found[4]), (&json!(16.0), &json!(1.0)));
    let reason = found[6].as_str().unwrap();
    assert!(reason.contains("\"SEE 2ND\"") && reason.contains("results = {"), "{reason}");
    // One without a result is good, and how many passed at first is not known any more.
    let mut unjudged = test(7, 8, "");
    server.send("operations", &[unjudged.clone()]);
    assert_eq!((&pieces(&server)[0], &pieces(&server)[5]), (&json!(17.0), &json!(null)));
    unjudged["quantity"] = json!(-5);
    let (status, answer) = server.post("/api/v1/operations", json!([unjudged]).to_string());
    assert!(status == 400 && answer.contains("`quantity` is less than 0"), "{answer}");
    server.send("operations", &[json!({"run": "r7", "deleted": true})]);
    server.send("operations", &[json!({"run": "r6", "deleted": true})]);
    assert_eq!(pieces(&server)[4], 0.0);

    let order = server.sql(&format!("SELECT work_order, total FROM oee('work_order', {WINDOW}) WHERE equipment = 'line/test' AND work_order = 'WO-1'"));
    assert_eq!(json!(order), json!([["WO-1", 16.0]]), "the last moment of an execution is one of its order");
}

#[test]
fn scrap_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let lines = "saw,equipment=line/saw made=0,burrs=0,short=0 1736841600\n\
                 saw,equipment=line/saw made=40,burrs=3,short=1 1736845200\n\
                 saw,equipment=line/saw made=100,burrs=3,short=6 1736848800\n";
    assert_eq!(server.post("/api/v2/write?precision=s", lines).0, 204);
    let scrap =
        |bucket: &str| {
            let columns = "time, reason, scrap, share";
            let order = "ORDER BY time, scrap DESC";
            json!(server.sql(&format!(
                "SELECT {columns} FROM scrap('{bucket}', {WINDOW}) WHERE equipment = 'line/saw' {order}"
            )))
        };
    let hours = json!([
        ["2025-01-14T09:00:00.000000Z", "BURR", 3.0, 0.75],
        ["2025-01-14T09:00:00.000000Z", "LENGTH", 1.0, 0.25],
        ["2025-01-14T10:00:00.000000Z", "LENGTH", 5.0, 1.0],
    ]);
    assert_eq!(scrap("1 hour"), hours);
    let of_all = server.sql(&format!("SELECT scrap, total FROM oee('day', {WINDOW}) WHERE equipment = 'line/saw'"));
    assert_eq!(json!(of_all), json!([[9.0, 100.0]]));
    // The line's scrap is that of its slowest machine and those behind it: here both.
    server.send("operations", &[test(1, 0, "pass"), test(2, 1, "fail")]);
    let line = server
        .sql(&format!("SELECT reason, scrap FROM scrap('day', {WINDOW}) WHERE equipment = 'line' ORDER BY scrap"));
    assert_eq!(json!(line), json!([[null, 1.0], ["BURR", 3.0], ["LENGTH", 6.0]]));
}

#[test]
fn what_the_plant_file_says_of_money_and_reactions_is_in_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let one = |sql: &str| json!(server.sql(sql));
    let test = "SELECT count_source, cost_per_hour, microstop_threshold_s FROM equipment WHERE equipment = 'line/test'";
    assert_eq!(one(test), json!([["operations", 80.0, 90.0]]));
    assert_eq!(one("SELECT planned_scrap_ratio FROM products"), json!([[0.05]]));
    let bore = "SELECT on_violation, reaction_plan FROM characteristics";
    assert_eq!(one(bore), json!([["hold", "measure the last ten"]]));
    let reasons = "SELECT signal, reason FROM signals WHERE reason IS NOT NULL ORDER BY signal";
    assert_eq!(one(reasons), json!([["burrs", "BURR"], ["short", "LENGTH"]]));
}

const CELL: &str = r#"
[plant]
name = "cell"
zone = "UTC"

[[equipment]]
path = "cell"
level = "work_center"
[[equipment]]
path = "cell/mill"
default_product = "A"
[[equipment]]
path = "cell/lathe"
level = "work_unit"
[[equipment]]
path = "cell/lathe/spindle"

[[products]]
product = "A"
ideal_cycle_s = 10
"#;

/// What would be a plausible wrong number is refused, or not counted and told.
#[test]
fn what_cannot_be_is_no_figure() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), CELL).unwrap();
    let server = Server::start(folder.path());
    let refused = |table: &str, row: &Value, why: &str| {
        let (status, answer) = server.post(&format!("/api/v1/{table}"), json!([row]).to_string());
        assert!(status == 400 && answer.contains(why), "{status} {answer}");
    };
    let at = "2025-01-14T09:00:00Z";
    // A line is what its machines make it: a row of its own would take their place.
    let above = "send them for a machine, or give `cell` the level";
    refused("counts", &json!({"equipment": "cell", "source": "erp", "time": at, "total": 5}), above);
    refused("states", &json!({"equipment": "cell", "source": "erp", "start": at, "state": "run"}), above);
    server.send("counts", &[json!({"equipment": "cell/lathe", "source": "erp", "time": at, "total": 5})]);
    // An execution of nothing would hide the order that is in force.
    refused("operations", &json!({"equipment": "cell/mill", "started": at}), "an execution of nothing");
    server.send("operations", &[json!({"equipment": "cell/mill", "started": "2025-01-13T09:00:00Z", "completed": "2025-01-13T10:00:00Z", "quantity": 5})]);
    // An execution that is known already does not end before it began.
    let run = |fields: Value| {
        let mut row = json!({"run": "R1"});
        row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        row
    };
    let begun = json!({"equipment": "cell/lathe", "unit": "U1", "operation": "turn", "started": at});
    server.send("operations", &[run(begun)]);
    let early = json!({"completed": "2025-01-14T08:00:00Z"});
    refused("operations", &run(early.clone()), "2025-01-14T08:00:00Z and 2025-01-14T09:00:00Z of run `R1`");
    server.send("operations", &[run(json!({"completed": "2025-01-14T10:00:00Z"}))]);
    refused("operations", &run(json!({"started": "2025-01-14T11:00:00Z"})), "`completed` lies before `started`");
    server.send("operations", &[run(json!({"started": "2025-01-14T11:00:00Z", "completed": null}))]);
    server.send("operations", &[run(json!({"started": "2025-01-14T07:00:00Z"}))]);
    server.send("operations", &[run(early)]);
    // Each field was possible when it came.
    let row = |fields: Value| {
        let mut row = json!({"equipment": "cell/mill", "source": "erp", "time": at});
        row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        row
    };
    server.send("counts", &[row(json!({"total": 5, "scrap": 2}))]);
    server.send("counts", &[row(json!({"total": 1}))]);
    let figures = "SELECT total, good, uncounted_pieces, quality, reason FROM oee('day', '2025-01-14', '2025-01-15') WHERE equipment = 'cell/mill'";
    let row = &server.sql(figures)[0];
    assert_eq!(json!(row[..4]), json!([0.0, 0.0, 1.0, null]));
    let find = row[4].as_str().unwrap().split("SELECT").nth(1).unwrap().split(',').collect::<Vec<_>>();
    let find = format!("SELECT{}", find[..find.len() - 1].join(","));
    assert_eq!(server.sql(&find).len(), 1, "{find}");
}
