//! `time_weighted_avg(bucket)`: TimeAverage2 of each signal and bucket.

use std::sync::Arc;

use ::oee::series::Bucket;

use super::super::columns::{Column, Value};
use super::known::Signal;
use super::sheet::Sheet;

/// A bucket of a signal.
pub(in super::super) struct Row {
    signal: Arc<Signal>,
    bucket: Bucket,
}

pub(in super::super) const SHEET: Sheet<Row> = Sheet {
    columns: &[
        Column { name: "equipment", value: Value::Text(|row| Some(&row.signal.equipment)) },
        Column { name: "signal", value: Value::Text(|row| Some(&row.signal.name)) },
        Column { name: "time", value: Value::Time(|row| row.bucket.start_us) },
        Column { name: "end", value: Value::Time(|row| row.bucket.end_us) },
        Column { name: "value", value: Value::Double(|row| row.bucket.time_average2().value) },
        Column { name: "status", value: Value::Text(|row| Some(row.bucket.time_average2().status.name())) },
        Column { name: "percent_good", value: Value::Double(|row| row.bucket.percent_good().value) },
    ],
    rows: |finished, rows| rows.push(Row { signal: finished.signal, bucket: finished.bucket }),
};
