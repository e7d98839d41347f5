//! `interpolate(step)`: the value of each signal at the instants of a grid.

use std::sync::Arc;

use ::oee::series::Figure;

use super::super::columns::{Column, Value};
use super::known::Signal;
use super::sheet::Sheet;

/// An instant of a signal.
pub(in super::super) struct Row {
    signal: Arc<Signal>,
    time_us: i64,
    value: Figure,
}

pub(in super::super) const SHEET: Sheet<Row> = Sheet {
    columns: &[
        Column { name: "equipment", value: Value::Text(|row| Some(&row.signal.equipment)) },
        Column { name: "signal", value: Value::Text(|row| Some(&row.signal.name)) },
        Column { name: "time", value: Value::Time(|row| row.time_us) },
        Column { name: "value", value: Value::Double(|row| row.value.value) },
        Column { name: "status", value: Value::Text(|row| Some(row.value.status.name())) },
    ],
    rows: |finished, rows| {
        let bucket = finished.bucket;
        rows.push(Row { signal: finished.signal, time_us: bucket.start_us, value: bucket.interpolative() });
    },
};
