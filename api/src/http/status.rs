//! What a watchdog asks: is the process up, may it be used, and how is it doing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::IntoResponse;
use serde::Serialize;

use super::Front;
use super::access::Reader;
use super::refusal::Refusal;
use crate::faces::Readiness;

/// `GET /health`: the process is up and answers.
pub(super) async fn health(State(front): State<Arc<Front>>) -> impl IntoResponse {
    #[derive(Serialize)]
    struct Health {
        status: &'static str,
        version: &'static str,
    }
    Json(Health { status: "up", version: front.faces.version })
}

/// `GET /ready`: the store takes writes and answers queries; 503 with the reason where it does not.
pub(super) async fn ready(State(front): State<Arc<Front>>) -> Result<impl IntoResponse, Refusal> {
    #[derive(Serialize)]
    struct Ready {
        status: &'static str,
    }
    match front.faces.administration.readiness() {
        Readiness::Ready => Ok(Json(Ready { status: "ready" })),
        Readiness::NotReady(reason) => Err(Refusal::unavailable(reason)),
    }
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn figures(
    State(front): State<Arc<Front>>,
    _reader: Reader,
) -> ([(HeaderName, &'static str); 1], String) {
    for (name, value) in front.faces.administration.gauges() {
        metrics::gauge!(name).set(value);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], front.faces.metrics.render())
}
