//! Genealogy: the worked table of `docs/sql.md`, on a running server.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{Server, root};
use crate::readme::blocks;

/// The cells of each line of the table whose head is `head`.
fn table<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let lines = text.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    let found: Vec<Vec<&str>> = lines.map(cells).collect();
    assert!(!found.is_empty(), "no table {head}");
    found
}

fn cell(cell: &str) -> Value {
    serde_json::from_str(cell).unwrap_or_else(|_| json!(cell))
}

#[test]
fn the_worked_trace_is_what_a_server_says() {
    let text = fs::read_to_string(root().join("docs/sql.md")).unwrap();
    let told = table(&text, "| parent | child | quantity | | unit | quantity in `units` |");
    let (mut edges, mut units) = (Vec::new(), Vec::new());
    for (event, row) in told.iter().enumerate() {
        let (quantity, uom) = row[5].split_once(' ').unwrap();
        edges.push(json!({"event_id": format!("e{event}"), "parent": row[0], "child": row[1],
                          "quantity": cell(row[2]), "time": "2025-01-14T08:00:00Z"}));
        units.push(json!({"unit": row[4], "quantity": cell(quantity), "uom": uom}));
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.send("materials", &edges);
    server.send("units", &units);

    let (_, section) = text.split_once("\n### trace_back(").unwrap();
    let section = section.split("\n### time_bucket(").next().unwrap();
    let examples = blocks(section);
    assert_eq!(examples.len(), 2);
    for (_, example) in examples {
        assert!(!server.sql(&format!("EXPLAIN {example}")).is_empty(), "{example}");
    }

    let columns = "unit, depth, is_end, quantity, fraction";
    let asked = format!("SELECT {columns} FROM trace_back('U-003')");
    assert!(text.contains(&asked), "{asked}");
    let expected = table(&text, "| unit | depth | is_end | quantity | fraction |");
    let expected: Vec<Vec<Value>> = expected.iter().map(|row| row.iter().map(|text| cell(text)).collect()).collect();
    let close = |found: &[Vec<Value>]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found[..3], expected[..3]);
            for column in 3..5 {
                let (one, other) = (found[column].as_f64().unwrap(), expected[column].as_f64().unwrap());
                assert!((one - other).abs() <= 1e-12 * other, "{found:?}, {expected:?}");
            }
        }
    };
    close(&server.sql(&asked));
    let (status, answer) = server.post("/api/v1/compact", "");
    assert!((200..300).contains(&status), "{answer}");
    close(&server.sql(&asked));

    // What is the whole of a lot is all of it, from the other end; by a parameter as well.
    let (status, answer) = server.bound("SELECT unit, quantity FROM trace_forward($1)", &json!(["RES-A"]));
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let into: BTreeMap<&str, f64> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row[0].as_str().unwrap(), row[1].as_f64().unwrap()))
        .collect();
    assert_eq!(into, BTreeMap::from([("TANK-1", 450.0), ("HSG-10", 236.25), ("U-003", 0.590625)]));

    // A correction shows at once, and what was known before is still to be had.
    let before = server.sql("SELECT now()")[0][0].as_str().unwrap().to_owned();
    server.send("materials", &[json!({"event_id": "e3", "removed": "2025-01-14T09:00:00Z"})]);
    let active = |at: &str| {
        let sql = format!("SELECT count(*) FROM trace_back('U-003'{at}) WHERE active_depth IS NOT NULL");
        server.number(&sql)
    };
    assert_eq!(
        (active(""), active(", 'at=2025-01-14T08:59:59Z'"), active(", 'at=2025-01-14T07:00:00Z'")),
        (1.0, 5.0, 0.0)
    );
    let (status, answer) = server.post(&format!("/api/v1/sql?as_of={before}"), asked.as_str());
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let rows: Vec<Vec<Value>> = serde_json::from_value(answer["rows"].clone()).unwrap();
    close(&rows);
}
