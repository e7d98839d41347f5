//! The questions of the comparison with peers, answered by takt as DuckDB answers them on the same data, in SQL that is written
//! out. What each costs is no matter here.

use std::fs;

use serde_json::Value;

use crate::harness::{output, python, root, takt_path};

/// Questions that takt answers by a function of its own are asked in plain SQL too.
const QUESTIONS: [&str; 13] = ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7", "Q7F", "Q8", "Q8F", "Q9", "Q9F", "Q10"];

#[test]
fn every_question_is_answered_as_duckdb_answers_it() {
    let scratch = tempfile::tempdir().unwrap();
    let arguments =
        ["--size", "small", "--peers", "duckdb_sorted,takt", "--runs", "1", "--takt", takt_path(), "--scratch"];
    // It ends with 1 where an answer differs.
    let said = output(python().arg(root().join("benches/peers/peers.py")).args(arguments).arg(scratch.path()));
    let results = fs::read_to_string(scratch.path().join("results/small.takt.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    for question in QUESTIONS {
        let answer = &results["queries"][question];
        assert!(answer["rows"].as_u64() > Some(0) && answer.get("differs") == Some(&Value::Null), "{question}: {said}");
    }
}
