//! Violations of control charts: into `events`, onto MQTT (`takt/<equipment>/violation`), to the pages.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use ingest::listener::Notices;
use ingest::{Login, Role, now_us};
use oee::tables::{EVENTS, TABLES};
use query::{Change, QueryError, VIOLATION, Violation};
use serde::Serialize;
use serde_json::{Value, json};

use crate::columns::{Texts, rfc3339};
use crate::faces::Faces;

/// Who writes them.
const AUTHOR: &str = "takt";
/// Events in one write.
const CHUNK: usize = 500;

/// What is told of a violation.
#[derive(Debug, Serialize)]
struct Told<'a> {
    event_id: &'a str,
    withdrawn: bool,
    time: Option<String>,
    equipment: Option<&'a str>,
    characteristic: Option<&'a str>,
    product: Option<&'a str>,
    operation: Option<&'a str>,
    unit: Option<&'a str>,
    work_order: Option<&'a str>,
    operator: Option<&'a str>,
    chart: &'a str,
    value: Option<f64>,
    centre: Option<f64>,
    lcl: Option<f64>,
    ucl: Option<f64>,
    rules: &'a str,
    message: &'a str,
    limits: &'a str,
    reaction_plan: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn of(change: &'a Change, reaction_plan: Option<&'a str>) -> Self {
        let violation = change.violation();
        let withdrawn = matches!(change, Change::Withdrawn(_));
        Self {
            event_id: &violation.id,
            withdrawn,
            // Of one that was said before a restart no more is known than `events` tells.
            time: rfc3339(violation.time).filter(|_| violation.time != 0),
            equipment: violation.equipment.as_deref(),
            characteristic: violation.characteristic.as_deref(),
            product: violation.product.as_deref(),
            operation: violation.operation.as_deref(),
            unit: violation.unit.as_deref(),
            work_order: violation.work_order.as_deref(),
            operator: violation.operator.as_deref(),
            chart: &violation.chart,
            value: violation.value,
            centre: violation.centre,
            lcl: violation.lcl,
            ucl: violation.ucl,
            rules: &violation.rules,
            message: &violation.message,
            limits: &violation.limits,
            reaction_plan,
        }
    }
}

/// Looks for violations and says what is new of them: first in `events`, so that nothing is told that a restart would tell
/// again.
pub(super) async fn raise(faces: &Faces, notices: &Notices) -> Result<(), QueryError> {
    let watch = faces.engine.spc();
    let changes = watch.look(now_us()).await?;
    for changes in changes.chunks(CHUNK) {
        if let Err(error) = record(faces, changes).await {
            watch.unsaid();
            return Err(error);
        }
        watch.said(changes).await;
        for change in changes {
            let told = Told::of(change, reaction_plan(faces, change.violation()));
            let json = serde_json::to_string(&told).map_err(|error| QueryError::Execution(error.to_string()))?;
            if let Some(equipment) = told.equipment {
                notices.call(&format!("takt/{equipment}/violation"), json.clone());
            }
            // Nobody may be listening.
            drop(faces.violations.send(Arc::from(json)));
        }
    }
    Ok(())
}

/// Units that were released by a signed decision.
pub(super) async fn release(faces: &Faces, releases: &[Release]) -> Result<(), QueryError> {
    let row = |release: &Release| {
        let why = format!("released by {}: {}", release.by, release.message);
        json!({"unit": release.unit, "status": "ok", "change_reason": why})
    };
    store(faces, "units", &releases.iter().map(row).collect::<Vec<Value>>()).await
}

/// A release of a unit that is on hold: an event of that kind.
#[derive(Debug, Clone)]
pub(super) struct Release {
    unit: String,
    message: String,
    by: String,
}

impl Release {
    /// The releases among durable rows.
    pub(super) fn among(rows: &[(usize, RecordBatch)]) -> Result<Vec<Self>, QueryError> {
        let mut found = Vec::new();
        let events = rows.iter().filter(|(at, _)| TABLES.get(*at).is_some_and(|table| table.name == EVENTS.name));
        for (_, batch) in events {
            let [kinds, units, messages, authors] =
                ["kind", "unit", "message", "recorded_by"].map(|name| Texts::of(batch, name));
            let (kinds, units, messages, authors) = (kinds?, units?, messages?, authors?);
            for row in (0..batch.num_rows()).filter(|&row| kinds.at(row) == Some("release")) {
                if let (Some(unit), Some(message)) = (units.owned(row), messages.owned(row)) {
                    found.push(Self { unit, message, by: authors.owned(row).unwrap_or_default() });
                }
            }
        }
        Ok(found)
    }
}

fn reaction_plan<'a>(faces: &'a Faces, violation: &Violation) -> Option<&'a str> {
    let (product, operation) = (violation.product.as_deref(), violation.operation.as_deref());
    faces.plant.characteristic(violation.characteristic.as_deref()?, product, operation)?.reaction_plan.as_deref()
}

async fn record(faces: &Faces, changes: &[Change]) -> Result<(), QueryError> {
    let events: Vec<Value> = changes.iter().map(|change| event(faces, change)).collect();
    store(faces, "events", &events).await?;
    let held: Vec<Value> = changes.iter().filter_map(|change| hold(faces, change)).collect();
    if held.is_empty() { Ok(()) } else { store(faces, "units", &held).await }
}

async fn store(faces: &Faces, table: &str, rows: &[Value]) -> Result<(), QueryError> {
    let failed = |error: String| QueryError::Execution(error);
    let json = serde_json::to_vec(rows).map_err(|error| failed(error.to_string()))?;
    let login = Login::new(AUTHOR, Role::Admin);
    let receipt = faces.intake.records(&login, table, &json).await.map_err(|error| failed(error.to_string()))?;
    match receipt.first_refused.first() {
        None => Ok(()),
        Some(refused) => Err(failed(format!("a row of {table} was refused: {}", refused.reason))),
    }
}

fn event(faces: &Faces, change: &Change) -> Value {
    let violation = change.violation();
    if matches!(change, Change::Withdrawn(_)) {
        let why = "the measurements do not say so any more";
        return json!({"event_id": violation.id, "deleted": true, "change_reason": why});
    }
    let plan = reaction_plan(faces, violation);
    let beyond = violation.value.is_some_and(|value| {
        violation.ucl.is_some_and(|ucl| value > ucl) || violation.lcl.is_some_and(|lcl| value < lcl)
    });
    json!({
        "event_id": violation.id,
        "time": rfc3339(violation.time),
        "kind": VIOLATION,
        "equipment": violation.equipment,
        "unit": violation.unit,
        "work_order": violation.work_order,
        "characteristic": violation.characteristic,
        "severity": if beyond { "critical" } else { "warning" },
        "message": violation.message,
        "data": serde_json::to_string(&Told::of(change, plan)).unwrap_or_default(),
    })
}

/// The unit of a violation, put on hold where the characteristic wants that.
fn hold(faces: &Faces, change: &Change) -> Option<Value> {
    let Change::Raised(violation) = change else { return None };
    let (product, operation) = (violation.product.as_deref(), violation.operation.as_deref());
    let characteristic = faces.plant.characteristic(violation.characteristic.as_deref()?, product, operation)?;
    let unit = violation.unit.as_deref().filter(|_| characteristic.hold_on_violation)?;
    let why = format!("{}: {}", characteristic.characteristic, violation.message);
    Some(json!({"unit": unit, "status": "hold", "change_reason": why}))
}
