use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};

use super::*;

fn timeline(rows: &[(i64, &str, &str)]) -> Vec<RecordBatch> {
    let column = |texts: Vec<&str>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let times = rows.iter().map(|row| row.0).collect::<Vec<_>>();
    let states: Vec<&str> = rows.iter().map(|row| row.2).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
        ("equipment", column(rows.iter().map(|row| row.1).collect())),
        ("state", column(states.clone())),
        ("category", column(states)),
        ("reason", Arc::new(StringArray::from(vec![None::<&str>; rows.len()]))),
    ];
    vec![RecordBatch::try_from_iter(columns).expect("columns of one length")]
}

#[test]
fn the_beginning_of_a_long_state_is_found_once_and_kept() {
    let mut states = States::default();
    assert!(states.wants_long());
    states.note(&timeline(&[(100, "press", "stop"), (500, "press", "run")]), 100, true).expect("a timeline");
    assert_eq!(states.of("press").since, rfc3339(500));
    assert!(!states.wants_long());

    // A short look sees the state clipped to its window: the beginning that is known stays.
    states.note(&timeline(&[(900, "press", "run")]), 900, false).expect("a timeline");
    assert_eq!(states.of("press").since, rfc3339(500));
    assert!(!states.wants_long());

    states.note(&timeline(&[(950, "press", "run"), (1_000, "press", "stop")]), 950, false).expect("a timeline");
    assert_eq!((states.of("press").state.as_deref(), states.of("press").since), (Some("stop"), rfc3339(1_000)));
}

#[test]
fn a_state_that_came_late_asks_for_a_long_look() {
    let mut states = States::default();
    states.note(&timeline(&[(100, "press", "run")]), 100, true).expect("a timeline");
    assert_eq!(states.of("press").since, None);
    assert!(!states.wants_long());
    states.note(&timeline(&[(900, "press", "stop")]), 900, false).expect("a timeline");
    assert!(states.wants_long());
    states.note(&timeline(&[(100, "press", "run"), (700, "press", "stop")]), 100, true).expect("a timeline");
    assert_eq!(states.of("press").since, rfc3339(700));
    assert_eq!(states.of("weld"), StateNow::default());
}
