//! A different row under the same key is a correction: the newest wins everywhere, the older one stays in the history.

use serde_json::{Value, json};

use crate::harness::Server;

const PRESS: &str = "cologne/line-1/press";

fn post(server: &Server, table: &str, row: Value) {
    let (status, body) = server.post(&format!("/api/v1/{table}"), row.to_string());
    assert_eq!((status, body.as_str()), (200, "{\"accepted\":1}"), "{table} {row}");
}

fn flushed(mut server: Server) -> Server {
    server.stop();
    let folder = server.folder.clone();
    drop(server);
    Server::start(&folder)
}

fn current(server: &Server) -> Vec<Vec<Value>> {
    server.sql("SELECT unit, item, quantity, uom FROM units")
}

fn versions(server: &Server) -> Vec<Vec<Value>> {
    server.sql("SELECT item, quantity, uom, superseded_reason FROM units_history ORDER BY superseded")
}

#[test]
fn records_are_corrected_cleared_and_retracted_and_no_version_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    post(&server, "units", json!({"unit": "L1", "item": "steel", "quantity": 5.0, "uom": "kg"}));
    post(&server, "units", json!({"unit": "L1", "quantity": 4.0, "change_reason": "weighed again"}));
    assert_eq!(current(&server), [vec![json!("L1"), json!("steel"), json!(4.0), json!("kg")]], "absent fields stay");

    // Who and when, of both versions, without a gap between them.
    let old =
        server.sql("SELECT recorded, recorded_by, superseded, superseded_by, superseded_reason FROM units_history");
    let new = server.sql("SELECT recorded, recorded_by, change_reason FROM units");
    assert_eq!(old.len(), 1, "{old:?}");
    assert!(old[0][0].as_str() < old[0][2].as_str(), "{old:?}");
    assert_eq!((&old[0][1], &old[0][3]), (&json!("local"), &json!("local")));
    assert_eq!(old[0][4], "weighed again");
    assert_eq!(new[0], [old[0][2].clone(), json!("local"), json!("weighed again")]);

    // The same again, in whole or in part, is nothing new.
    post(&server, "units", json!({"unit": "L1", "quantity": 4.0, "change_reason": "weighed again"}));
    post(&server, "units", json!({"unit": "L1", "quantity": 4.0}));
    post(&server, "units", json!({"unit": "L1", "item": "steel", "quantity": 4, "uom": "kg"}));
    assert_eq!(versions(&server).len(), 1);
    assert_eq!(server.sql("SELECT recorded, recorded_by, change_reason FROM units"), new);

    let server = flushed(server);
    post(&server, "units", json!({"unit": "L1", "quantity": 4.0}));
    assert_eq!(versions(&server).len(), 1, "nothing new after a flush either");

    post(&server, "units", json!({"unit": "L1", "uom": null}));
    assert_eq!(current(&server), [vec![json!("L1"), json!("steel"), json!(4.0), Value::Null]], "a null clears");

    post(&server, "units", json!({"unit": "L1", "deleted": true, "change_reason": "typing mistake"}));
    assert_eq!(current(&server), Vec::<Vec<Value>>::new(), "retracted");
    let expected = [
        vec![json!("steel"), json!(5.0), json!("kg"), json!("weighed again")],
        vec![json!("steel"), json!(4.0), json!("kg"), Value::Null],
        vec![json!("steel"), json!(4.0), Value::Null, json!("typing mistake")],
    ];
    assert_eq!(versions(&server), expected);

    let server = flushed(server);
    assert_eq!(current(&server), Vec::<Vec<Value>>::new(), "still retracted");
    assert_eq!(versions(&server), expected);
    post(&server, "units", json!({"unit": "L1", "item": "brass"}));
    assert_eq!(
        current(&server),
        [vec![json!("L1"), json!("brass"), Value::Null, Value::Null]],
        "what comes after a retraction keeps nothing of before"
    );
    assert_eq!(versions(&server)[..3], expected);
    let server = flushed(server);
    assert_eq!(current(&server), [vec![json!("L1"), json!("brass"), Value::Null, Value::Null]]);
    assert_eq!(versions(&server)[..3], expected);
}

#[test]
fn two_values_of_one_microsecond_are_a_correction() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let put = |server: &Server, value: i32| {
        let time = "2025-03-05T10:00:00.000001Z";
        post(server, "samples", json!({"equipment": PRESS, "signal": "torque", "time": time, "value": value}));
    };
    let value = |server: &Server| server.sql("SELECT value FROM samples WHERE signal = 'torque'");
    let older =
        |server: &Server| server.sql("SELECT value FROM samples_history WHERE signal = 'torque' ORDER BY superseded");
    let none = Vec::<Vec<Value>>::new();
    put(&server, 1);
    put(&server, 1);
    assert_eq!((value(&server), older(&server)), (vec![vec![json!(1.0)]], none), "the same value twice");
    put(&server, 2);
    assert_eq!((value(&server), older(&server)), (vec![vec![json!(2.0)]], vec![vec![json!(1.0)]]), "corrected");
    server = flushed(server);
    assert_eq!((value(&server), older(&server)), (vec![vec![json!(2.0)]], vec![vec![json!(1.0)]]), "after a flush");
    put(&server, 2);
    assert_eq!(older(&server).len(), 1, "the same value as in a segment");
    put(&server, 3);
    for stored in ["in memory", "in segments"] {
        assert_eq!(value(&server), [vec![json!(3.0)]], "{stored}");
        assert_eq!(older(&server), [vec![json!(1.0)], vec![json!(2.0)]], "{stored}");
        server = flushed(server);
    }
    let who = server.sql("SELECT recorded, recorded_by, superseded, superseded_by FROM samples_history");
    for row in &who {
        assert!(row[0].as_str() < row[2].as_str(), "{row:?}");
        assert_eq!((&row[1], &row[3]), (&json!("local"), &json!("local")));
    }
    // Values that differ in time are no corrections of each other.
    post(
        &server,
        "samples",
        json!({"equipment": PRESS, "signal": "torque", "time": "2025-03-05T10:00:00.000002Z", "value": 9}),
    );
    assert_eq!((value(&server).len(), older(&server).len()), (2, 2));
}

/// Every record table keeps its history, and a correction of a key with NULLs in it finds its row.
#[test]
fn keys_with_nulls_compare_equal() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let count =
        |total: u32| json!({"equipment": PRESS, "time": "2025-03-05T10:00:00Z", "source": "mes", "total": total});
    post(&server, "counts", count(10));
    post(&server, "counts", count(12));
    assert_eq!(server.sql("SELECT total, reason FROM counts"), [vec![json!(12.0), Value::Null]]);
    assert_eq!(server.sql("SELECT total FROM counts_history"), [vec![json!(10.0)]]);
    let server = flushed(server);
    post(&server, "counts", count(13));
    assert_eq!(server.sql("SELECT total, reason FROM counts"), [vec![json!(13.0), Value::Null]]);
    assert_eq!(
        server.sql("SELECT total FROM counts_history ORDER BY superseded"),
        [vec![json!(10.0)], vec![json!(12.0)]]
    );
    let server = flushed(server);
    assert_eq!(server.number("SELECT count(*) FROM counts"), 1.0);
    assert_eq!(server.number("SELECT count(*) FROM counts_history"), 2.0);
}

#[test]
fn recorded_times_are_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let before = jiff::Timestamp::now();
    post(&server, "units", json!({"unit": "L1"}));
    let after = jiff::Timestamp::now();
    let rows = server.sql("SELECT recorded FROM units");
    let recorded: jiff::Timestamp = rows[0][0].as_str().unwrap().parse().unwrap();
    assert!(before.as_microsecond() <= recorded.as_microsecond(), "{recorded} {before}");
    assert!(recorded <= after, "{recorded} {after}");
    let (status, body) =
        server.post("/api/v1/units", json!({"unit": "L2", "superseded": "2025-01-01T00:00:00Z"}).to_string());
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("superseded"), "{body}");
    assert_eq!(server.number("SELECT count(*) FROM units"), 1.0);
}
