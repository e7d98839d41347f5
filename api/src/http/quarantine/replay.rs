//! `POST /api/v1/quarantine/replay`: tries again what the plant now knows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use axum::Json;
use axum::extract::State;
use datafusion::common::ScalarValue;
use ingest::{ReplayReceipt, now_us};
use serde::{Deserialize, Serialize};

use super::super::Front;
use super::super::access::{Admin, check_stands};
use super::super::asked::Asked;
use super::super::refusal::Refusal;
use super::{Filter, rows};
use crate::columns::{Texts, Times, instant};

/// Messages that are replayed together: 64 KiB each at most.
const PAGE: usize = 500;
/// Messages and reasons that an answer names because they are still refused.
const NAMED: usize = 100;

/// What to try again: one topic, or everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Again {
    topic: Option<String>,
}

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub(in super::super) struct Replayed {
    replayed: usize,
    still_refused: usize,
    /// Why, and how many for that reason; the first reasons.
    reasons: Vec<Reason>,
    /// The first messages.
    refused: Vec<StillRefused>,
}

#[derive(Debug, Serialize)]
struct Reason {
    reason: String,
    messages: usize,
}

#[derive(Debug, Serialize)]
struct StillRefused {
    id: String,
    reason: String,
}

impl Replayed {
    fn add(&mut self, receipt: ReplayReceipt) {
        self.replayed += receipt.replayed;
        self.still_refused += receipt.refused.len();
        for (id, reason) in receipt.refused {
            if let Some(known) = self.reasons.iter_mut().find(|known| known.reason == reason) {
                known.messages += 1;
            } else if self.reasons.len() < NAMED {
                self.reasons.push(Reason { reason: reason.clone(), messages: 1 });
            }
            if self.refused.len() < NAMED {
                self.refused.push(StillRefused { id, reason });
            }
        }
    }
}

/// A message's place in the order of arrival: a record that corrects another must come after it.
struct Place {
    time_us: i64,
    id: String,
}

pub(in super::super) async fn replay(
    State(front): State<Arc<Front>>,
    Admin(login): Admin,
    Asked(again): Asked<Again>,
) -> Result<Json<Replayed>, Refusal> {
    const COLUMNS: &str = "id, time, source, topic, payload, payload_base64, length, sha256, error";
    let mut replay = front.faces.intake.replay(&login).await;
    let waiting = Filter::waiting(again.topic).arrived_by(now_us());
    let order = format!("ORDER BY time, id LIMIT {PAGE}");
    let mut outcome = Replayed::default();
    let mut after: Option<Place> = None;
    loop {
        check_stands(&login)?;
        let filter = match after.take() {
            None => waiting.clone(),
            Some(place) => waiting.clone().after(place),
        };
        let mut found = 0;
        for batch in &rows(&front, &login, COLUMNS, filter, &order).await? {
            found += batch.num_rows();
            outcome.add(replay.take(batch).await.map_err(|error| Refusal::not_stored(&error))?);
            after = last(batch)?.or(after);
        }
        if found < PAGE || after.is_none() {
            tracing::info!(
                by = %login.name,
                replayed = outcome.replayed,
                still_refused = outcome.still_refused,
                "quarantine replayed"
            );
            return Ok(Json(outcome));
        }
    }
}

impl Filter {
    fn after(self, place: Place) -> Self {
        // The same instant again, for messages of one instant.
        let first = self.and(|time| format!("time >= {time}"), instant(place.time_us));
        let time = format!("${}", first.parameters.len());
        first.and(|id| format!("(time > {time} OR id > {id})"), ScalarValue::Utf8(Some(place.id)))
    }
}

fn last(batch: &RecordBatch) -> Result<Option<Place>, Refusal> {
    let Some(row) = batch.num_rows().checked_sub(1) else { return Ok(None) };
    let (time, id) = (Times::of(batch, "time")?, Texts::of(batch, "id")?);
    Ok(time.at(row).zip(id.owned(row)).map(|(time_us, id)| Place { time_us, id }))
}
