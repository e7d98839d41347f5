//! Characteristics that are measured of signals: as rows of `measurements`, once their operations have ended.

use ingest::now_us;
use oee::tables::MEASUREMENTS;
use query::{Measurement, QueryError};
use serde_json::{Value, json};

use super::alarm::store;
use crate::columns::rfc3339;
use crate::faces::Faces;

/// Measures what there is to measure.
pub(super) async fn measure(faces: &Faces) -> Result<(), QueryError> {
    let watch = faces.engine.curves();
    loop {
        let measured = watch.look(now_us()).await?;
        if !measured.rows.is_empty() {
            let rows: Vec<Value> = measured.rows.iter().map(row).collect();
            if let Err(error) = store(faces, MEASUREMENTS.name, &rows).await {
                watch.again(measured).await;
                return Err(error);
            }
        }
        if !measured.more {
            return Ok(());
        }
    }
}

fn row(measurement: &Measurement) -> Value {
    let mut row = json!({
        "time": rfc3339(measurement.time),
        "equipment": measurement.equipment,
        "characteristic": measurement.characteristic,
        "unit": measurement.unit,
        "operation": measurement.operation,
        "run": measurement.run,
    });
    let more = match measurement.value {
        Some(value) => json!({
            "value": value,
            "lower_limit": measurement.spec.lower,
            "upper_limit": measurement.spec.upper,
            "target": measurement.spec.target,
            "work_order": measurement.work_order,
            "product": measurement.product,
            "operator": measurement.operator,
            "gauge": measurement.gauge,
        }),
        None => json!({"deleted": true, "change_reason": "the signal and the executions do not say so any more"}),
    };
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row
}
