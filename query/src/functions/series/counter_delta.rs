//! `counter_delta(bucket)`: by how much a counter went up in each bucket.

use std::sync::Arc;

use ::oee::series::Figure;

use super::super::columns::{Column, Value};
use super::known::Signal;
use super::sheet::Sheet;

/// A bucket of a counter.
pub(in super::super) struct Row {
    signal: Arc<Signal>,
    start_us: i64,
    end_us: i64,
    delta: Figure,
}

pub(in super::super) const SHEET: Sheet<Row> = Sheet {
    columns: &[
        Column { name: "equipment", value: Value::Text(|row| Some(&row.signal.equipment)) },
        Column { name: "signal", value: Value::Text(|row| Some(&row.signal.name)) },
        Column { name: "time", value: Value::Time(|row| row.start_us) },
        Column { name: "end", value: Value::Time(|row| row.end_us) },
        Column { name: "value", value: Value::Double(|row| row.delta.value) },
        Column { name: "status", value: Value::Text(|row| Some(row.delta.status.name())) },
    ],
    rows: |finished, rows| {
        let bucket = finished.bucket;
        let (start_us, end_us, delta) = (bucket.start_us, bucket.end_us, bucket.counter_delta());
        rows.push(Row { signal: finished.signal, start_us, end_us, delta });
    },
};
