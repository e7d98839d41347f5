use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray};

use super::*;

const HOUR_US: i64 = 3_600_000_000;

fn report(rows: &[(i64, &str, &str, f64)]) -> RecordBatch {
    let texts = |texts: Vec<&str>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let figures: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Float64Array>());
    let times: Vec<i64> = rows.iter().map(|row| row.0).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
        ("equipment", texts(rows.iter().map(|row| row.1).collect())),
        ("shift", texts(rows.iter().map(|row| row.2).collect())),
        ("reason", Arc::new(StringArray::from(vec![None::<&str>; rows.len()]))),
    ];
    for name in ["availability", "performance", "quality", "oee", "total", "good", "scrap"] {
        columns.push((name, Arc::clone(&figures)));
    }
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn the_last_row_of_a_machine_is_its_running_shift() {
    let now_us = 100 * HOUR_US;
    let mut shifts = Shifts::default();
    assert_eq!(shifts.from_us(now_us), now_us - 24 * HOUR_US);
    let rows = [
        report(&[(94 * HOUR_US, "press", "late", 0.5), (86 * HOUR_US, "press", "early", 0.9)]),
        report(&[(97 * HOUR_US, "weld", "late", f64::NAN)]),
    ];
    shifts.note(&rows).expect("rows of oee");
    assert_eq!((shifts.of("press").shift.as_deref(), shifts.of("press").oee), (Some("late"), Some(0.5)));
    assert_eq!(shifts.of("weld").oee, None);
    assert_eq!(shifts.of("drill"), ShiftSoFar::default());
    assert_eq!(shifts.from_us(now_us), 94 * HOUR_US);
    // A stretch without shifts does not make the window grow without end.
    assert_eq!(shifts.from_us(200 * HOUR_US), 176 * HOUR_US);
}
