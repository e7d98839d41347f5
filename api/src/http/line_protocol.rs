//! `POST /api/v2/write`: Influx line protocol, answered as InfluxDB 2 answers, for Telegraf and its kin.
//!
//! 204 where every line was stored, durable and visible; 400 with a message that begins `partial write` where some
//! were refused: the good ones are stored, and Telegraf does not send the batch again.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ingest::{LineReceipt, Precision};
use serde::{Deserialize, Serialize};

use super::Front;
use super::access::{Writer, check_stands};
use super::asked::Asked;
use super::refusal::Refusal;

/// Largest body, also once inflated.
const LIMIT_BYTES: usize = 32 << 20;
/// Refused lines that an answer spells out; all of them are in `quarantine`.
const LISTED: usize = 10;

/// What InfluxDB clients put into the address. `org` and `bucket` name nothing here.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    precision: Option<String>,
}

pub(super) async fn write(
    State(front): State<Arc<Front>>,
    writer: Result<Writer, Refusal>,
    wish: Result<Asked<Wish>, Refusal>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match store(&front, writer, wish, &headers, body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => in_their_words(refusal),
    }
}

async fn store(
    front: &Front,
    writer: Result<Writer, Refusal>,
    wish: Result<Asked<Wish>, Refusal>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Refusal> {
    let Writer(login) = writer?;
    let Asked(wish) = wish?;
    let precision = match wish.precision.as_deref() {
        None | Some("") => Precision::default(),
        Some(word) => {
            word.parse().map_err(|error: ingest::UnknownPrecision| Refusal::bad_request(error.to_string()))?
        }
    };
    let held = front.bodies.read(headers, body, LIMIT_BYTES).await?;
    // A body may take its time.
    check_stands(&login)?;
    let (intake, lines) = (Arc::clone(&front.faces.intake), held.bytes.clone());
    let receipt = front
        .take_in(lines.len(), async move { intake.line_protocol(&login, &lines, precision).await })
        .await?
        .map_err(|error| Refusal::not_stored(&error))?;
    if receipt.refused == 0 { Ok(()) } else { Err(Refusal::bad_request(partial(&receipt))) }
}

fn partial(receipt: &LineReceipt) -> String {
    let LineReceipt { accepted, refused, first_refused } = receipt;
    let named = first_refused.iter().take(LISTED).map(|(line, reason)| format!("line {line}: {reason}"));
    let mut reasons: Vec<String> = named.collect();
    if *refused > reasons.len() {
        reasons.push(format!("and {} more", refused - reasons.len()));
    }
    let all = accepted + refused;
    format!("partial write: {refused} of {all} lines refused and kept in quarantine: {}", reasons.join("; "))
}

/// The same refusal in the shape of InfluxDB 2: `{"code", "message"}`.
fn in_their_words(refusal: Refusal) -> Response {
    #[derive(Serialize)]
    struct Theirs<'a> {
        code: &'static str,
        message: &'a str,
    }
    let code = match refusal.status() {
        StatusCode::BAD_REQUEST => "invalid",
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::PAYLOAD_TOO_LARGE => "request too large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported media type",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => "unavailable",
        _ => "internal error",
    };
    let body = Json(Theirs { code, message: refusal.message() }).into_response().into_body();
    // Status and headers (Retry-After, WWW-Authenticate) are those of every other refusal.
    let (mut parts, _) = refusal.into_response().into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_write_names_its_lines() {
        let first_refused = vec![(3, "no fields".to_owned()), (7, "unknown equipment".to_owned())];
        assert_eq!(
            partial(&LineReceipt { accepted: 8, refused: 2, first_refused }),
            "partial write: 2 of 10 lines refused and kept in quarantine: line 3: no fields; line 7: unknown equipment"
        );
        let first_refused: Vec<_> = (1..=12).map(|line| (line, "bad".to_owned())).collect();
        let many = LineReceipt { accepted: 0, refused: 500, first_refused };
        assert!(partial(&many).ends_with("line 10: bad; and 490 more"));
    }
}
