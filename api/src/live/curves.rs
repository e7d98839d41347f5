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
    let Some(fields) = row.as_object_mut() else { return row };
    match measurement.value {
        Some(value) => {
            fields.insert("value".to_owned(), json!(value));
            fields.insert("work_order".to_owned(), json!(measurement.work_order));
            fields.insert("product".to_owned(), json!(measurement.product));
            fields.insert("gauge".to_owned(), json!(measurement.gauge));
        }
        None => {
            fields.insert("deleted".to_owned(), json!(true));
            fields.insert("change_reason".to_owned(), json!("the signal and the executions do not say so any more"));
        }
    }
    row
}
