//! `trend(points)`: of each part of the window the samples that draw the same line as all of them (M4).

use std::sync::Arc;

use ::oee::series::Point;

use super::super::columns::{Column, Value};
use super::known::Signal;
use super::sheet::Sheet;

/// A sample of a signal.
pub(in super::super) struct Row {
    signal: Arc<Signal>,
    point: Point,
}

pub(in super::super) const SHEET: Sheet<Row> = Sheet {
    columns: &[
        Column { name: "equipment", value: Value::Text(|row| Some(&row.signal.equipment)) },
        Column { name: "signal", value: Value::Text(|row| Some(&row.signal.name)) },
        Column { name: "time", value: Value::Time(|row| row.point.time_us) },
        Column { name: "value", value: Value::Double(|row| Some(row.point.value)) },
    ],
    rows: |finished, rows| {
        let Some(extent) = finished.bucket.extent() else { return };
        let mut points = [extent.first, extent.minimum, extent.maximum, extent.last];
        points.sort_by_key(|point| point.time_us);
        let mut last = None;
        for point in points {
            if last.replace(point.time_us) != Some(point.time_us) {
                rows.push(Row { signal: Arc::clone(&finished.signal), point });
            }
        }
    },
};
