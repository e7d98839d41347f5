//! `aggregates(bucket)`: every aggregate of each signal and bucket.

use std::sync::Arc;

use ::oee::seconds;
use ::oee::series::Bucket;

use super::super::columns::{Column, Value};
use super::edges::Label;
use super::known::Signal;
use super::sheet::Sheet;

/// A bucket of a signal.
pub(in super::super) struct Row {
    signal: Arc<Signal>,
    label: Option<Arc<Label>>,
    bucket: Bucket,
}

macro_rules! value {
    ($name:literal, $figure:ident) => {
        Column { name: $name, value: Value::Double(|row: &Row| row.bucket.$figure().value) }
    };
}

macro_rules! status {
    ($name:literal, $figure:ident) => {
        Column { name: $name, value: Value::Text(|row: &Row| Some(row.bucket.$figure().status.name())) }
    };
}

macro_rules! time {
    ($name:literal, $figure:ident) => {
        Column { name: $name, value: Value::Instant(|row: &Row| row.bucket.$figure().time_us) }
    };
}

pub(in super::super) const SHEET: Sheet<Row> = Sheet {
    columns: &[
        Column { name: "time", value: Value::Time(|row| row.bucket.start_us) },
        Column { name: "end", value: Value::Time(|row| row.bucket.end_us) },
        Column { name: "equipment", value: Value::Text(|row| Some(&row.signal.equipment)) },
        Column { name: "signal", value: Value::Text(|row| Some(&row.signal.name)) },
        Column { name: "shift", value: Value::Text(|row| row.label.as_ref()?.shift.as_deref()) },
        Column { name: "production_day", value: Value::Text(|row| row.label.as_ref()?.production_day.as_deref()) },
        value!("interpolative", interpolative),
        status!("interpolative_status", interpolative),
        value!("average", average),
        status!("average_status", average),
        value!("time_average", time_average),
        status!("time_average_status", time_average),
        value!("time_average2", time_average2),
        status!("time_average2_status", time_average2),
        value!("minimum", minimum),
        status!("minimum_status", minimum),
        time!("minimum_time", minimum),
        value!("maximum", maximum),
        status!("maximum_status", maximum),
        time!("maximum_time", maximum),
        value!("count", count),
        status!("count_status", count),
        value!("delta", delta),
        status!("delta_status", delta),
        value!("start_value", start),
        status!("start_status", start),
        time!("start_time", start),
        value!("end_value", end),
        status!("end_status", end),
        time!("end_time", end),
        value!("start_bound", start_bound),
        status!("start_bound_status", start_bound),
        value!("end_bound", end_bound),
        status!("end_bound_status", end_bound),
        Column {
            name: "duration_good_s",
            value: Value::Double(|row| row.bucket.duration_good_us().value.map(|us| seconds(us as i64))),
        },
        value!("percent_good", percent_good),
        value!("counter_delta", counter_delta),
        status!("counter_delta_status", counter_delta),
    ],
    rows: |finished, rows| {
        rows.push(Row { signal: finished.signal, label: finished.label, bucket: finished.bucket });
    },
};

/// Whether steps of counters are asked for.
pub(super) fn counts(columns: &[usize]) -> bool {
    let asked = columns.iter().filter_map(|&place| SHEET.columns.get(place));
    asked.map(|column| column.name).any(|name| name.starts_with("counter_delta"))
}
