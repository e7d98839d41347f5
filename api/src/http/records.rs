//! `POST /api/v1/{table}`: records, as one JSON object or an array of objects.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use oee::tables::{TABLES, Upsert};
use serde::Serialize;

use super::Front;
use super::access::{Writer, check_stands};
use super::refusal::{Partial, Refusal, RefusedRow};

/// Largest body, also once inflated.
const LIMIT_BYTES: usize = 32 << 20;

/// All rows were stored: durable, and in the next query's answer.
#[derive(Debug, Serialize)]
pub(super) struct Accepted {
    accepted: usize,
}

pub(super) async fn write(
    State(front): State<Arc<Front>>,
    Writer(login): Writer,
    Path(table): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Accepted>, Refusal> {
    if !takes_records(&table) {
        return Err(Refusal::not_found(format!(
            "there is no table `{table}` that takes records; there are: {}",
            names()
        )));
    }
    let held = front.bodies.read(&headers, body, LIMIT_BYTES).await?;
    // A body may take its time.
    check_stands(&login)?;
    let (intake, json) = (Arc::clone(&front.faces.intake), held.bytes.clone());
    let receipt = front
        .take_in(json.len(), async move { intake.records(&login, &table, &json).await })
        .await?
        .map_err(|error| Refusal::not_stored(&error))?;
    if receipt.refused == 0 {
        return Ok(Json(Accepted { accepted: receipt.accepted }));
    }
    let all = receipt.accepted + receipt.refused;
    let stored = if receipt.accepted > 0 { "the others are stored" } else { "nothing is stored" };
    let message = format!("{} of {all} rows were refused and are in quarantine; {stored}", receipt.refused);
    let refused = receipt
        .first_refused
        .into_iter()
        .map(|refusal| RefusedRow { row: refusal.row, reason: refusal.reason })
        .collect();
    Err(Refusal::new(StatusCode::BAD_REQUEST, "rows_refused", message)
        .listing(Partial { accepted: receipt.accepted, refused }))
}

/// Every table does, but what the server itself keeps.
fn takes_records(name: &str) -> bool {
    let samples = oee::tables::SAMPLES.name;
    TABLES.iter().any(|table| table.name == name && (table.upsert == Upsert::Record || name == samples))
}

fn names() -> String {
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).filter(|name| takes_records(name)).collect();
    names.join(", ")
}
