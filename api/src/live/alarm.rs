//! Violations of control charts: into `events`, onto MQTT (`takt/<equipment>/violation`), to the pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingest::listener::Notices;
use ingest::{Login, Role, now_us};
use oee::plant::Characteristic;
use oee::spc::ChartKind;
use oee::tables::{EVENTS, UNITS};
use query::{AUTHOR, Change, QueryError, VIOLATION, Violation};
use serde::Serialize;
use serde_json::{Value, json};

use crate::columns::{Texts, rfc3339};
use crate::faces::Faces;
use crate::report::quoted;

/// The status of a unit that waits for a decision.
pub(super) const HOLD: &str = "hold";
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
    companion: Option<&'a str>,
    companion_value: Option<f64>,
    companion_lcl: Option<f64>,
    companion_ucl: Option<f64>,
    units: &'a [String],
    rules: &'a str,
    message: &'a str,
    limits: &'a str,
    reaction_plan: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn of(change: &'a Change, reaction_plan: Option<&'a str>) -> Self {
        let violation = change.violation();
        let withdrawn = matches!(change, Change::Withdrawn(_));
        let below = violation.companion.as_ref();
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
            companion: below.map(|below| below.name),
            companion_value: below.and_then(|below| below.value),
            companion_lcl: below.and_then(|below| below.lcl),
            companion_ucl: below.and_then(|below| below.ucl),
            units: &violation.units,
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
        for change in changes.iter().filter(|change| !matches!(change, Change::Restated(_))) {
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

fn reaction_plan<'a>(faces: &'a Faces, violation: &Violation) -> Option<&'a str> {
    declared(faces, violation).find_map(|characteristic| characteristic.reaction_plan.as_deref())
}

/// What the plant file says of the characteristic that is violated; of T² of each of them.
fn declared<'a>(faces: &'a Faces, violation: &Violation) -> impl Iterator<Item = &'a Characteristic> {
    let (product, operation) = (violation.product.as_deref(), violation.operation.as_deref());
    let name = violation.characteristic.as_deref().unwrap_or_default();
    let names = if violation.chart == ChartKind::T2.name() { name.split(", ").collect() } else { vec![name] };
    let found: Vec<&Characteristic> =
        names.into_iter().filter_map(|name| faces.plant.characteristic(name, product, operation)).collect();
    found.into_iter()
}

/// Units first: a violation that stands in `events` was acted upon.
async fn record(faces: &Faces, changes: &[Change]) -> Result<(), QueryError> {
    let held = hold(faces, changes).await?;
    if !held.is_empty() {
        store(faces, UNITS.name, &held).await?;
    }
    let events: Vec<Value> = changes.iter().map(|change| event(faces, change)).collect();
    store(faces, EVENTS.name, &events).await
}

/// Stores rows. One that is refused is so for ever: it is told, and what came with it goes on.
pub(super) async fn store(faces: &Faces, table: &str, rows: &[Value]) -> Result<(), QueryError> {
    let failed = |error: String| QueryError::Execution(error);
    let json = serde_json::to_vec(rows).map_err(|error| failed(error.to_string()))?;
    let login = Login::new(AUTHOR, Role::Admin);
    let receipt = faces.intake.records(&login, table, &json).await.map_err(|error| failed(error.to_string()))?;
    for refused in &receipt.first_refused {
        tracing::warn!(table, reason = refused.reason, "a row that takt found itself was refused");
    }
    Ok(())
}

fn event(faces: &Faces, change: &Change) -> Value {
    let violation = change.violation();
    if matches!(change, Change::Withdrawn(_)) {
        let why = "the measurements do not say so any more";
        return json!({"event_id": violation.id, "deleted": true, "change_reason": why});
    }
    let plan = reaction_plan(faces, violation);
    // What plant.toml no longer declares would be refused; the details still name it.
    let equipment = violation.equipment.as_deref().filter(|path| faces.plant.equipment(path).is_some());
    json!({
        "event_id": violation.id,
        "time": rfc3339(violation.time),
        "kind": VIOLATION,
        "equipment": equipment,
        "unit": violation.unit,
        "work_order": violation.work_order,
        "characteristic": violation.characteristic,
        "severity": if violation.is_beyond { "critical" } else { "warning" },
        "message": violation.message,
        "data": serde_json::to_string(&Told::of(change, plan)).unwrap_or_default(),
    })
}

/// The units of violations that are new in them, put on hold where the characteristic wants that: all of a subgroup. One that
/// is scrapped, shipped or on hold already stays what it is.
async fn hold(faces: &Faces, changes: &[Change]) -> Result<Vec<Value>, QueryError> {
    let mut wanted: BTreeMap<&str, String> = BTreeMap::new();
    for change in changes {
        let (Change::Raised(violation) | Change::Restated(violation)) = change else { continue };
        let name = violation.characteristic.as_deref().unwrap_or_default();
        if violation.is_fresh && declared(faces, violation).any(|characteristic| characteristic.hold_on_violation) {
            for unit in &violation.more_units {
                wanted.entry(unit).or_insert_with(|| format!("{name}: {}", violation.message));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let units: Vec<String> = wanted.keys().map(|unit| quoted(unit)).collect();
    let sql = format!("SELECT unit FROM units WHERE status <> 'ok' AND unit IN ({})", units.join(", "));
    for batch in faces.engine.session(AUTHOR).query(&sql).await? {
        let units = Texts::of(&batch, "unit")?;
        for unit in (0..batch.num_rows()).filter_map(|row| units.at(row)) {
            wanted.remove(unit);
        }
    }
    let row = |(unit, why): (&str, String)| json!({"unit": unit, "status": HOLD, "change_reason": why});
    Ok(wanted.into_iter().map(row).collect())
}
