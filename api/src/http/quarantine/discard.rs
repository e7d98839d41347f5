//! `POST /api/v1/quarantine/discard?topic=`: lets go of what nobody wants.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ingest::now_us;
use serde::{Deserialize, Serialize};

use super::super::Front;
use super::super::access::{Admin, check_stands};
use super::super::asked::Asked;
use super::super::refusal::Refusal;
use super::{Filter, rows};

/// Messages that are discarded together. Their payloads are not read.
const PAGE: usize = 5_000;

/// What to discard. Never everything by leaving something out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Unwanted {
    topic: String,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub(in super::super) struct Discarded {
    discarded: usize,
}

pub(in super::super) async fn discard(
    State(front): State<Arc<Front>>,
    Admin(login): Admin,
    Asked(unwanted): Asked<Unwanted>,
) -> Result<Json<Discarded>, Refusal> {
    const COLUMNS: &str = "id, time, source, topic, length, sha256, error";
    let mut discard = front.faces.intake.discard(&login).await;
    let waiting = Filter::waiting(Some(unwanted.topic.clone())).arrived_by(now_us());
    let page = format!("LIMIT {PAGE}");
    let mut discarded = 0;
    loop {
        check_stands(&login)?;
        let mut found = 0;
        for batch in &rows(&front, &login, COLUMNS, waiting.clone(), &page).await? {
            // They wait no longer once this returns, so that the next page brings others.
            found += discard.take(batch).await.map_err(|error| Refusal::not_stored(&error))?;
        }
        discarded += found;
        if found < PAGE {
            tracing::info!(by = %login.name, topic = unwanted.topic, discarded, "refused messages discarded");
            return Ok(Json(Discarded { discarded }));
        }
    }
}
