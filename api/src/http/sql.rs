//! `POST /api/v1/sql`: a statement in, its rows out as JSON, CSV or Arrow.
//!
//! The statement runs on the queries' own threads and streams: the answer is never held whole. Its beginning is, so
//! that most errors still find their status; an error after that breaks the transfer off, which no client can take
//! for a complete answer. A client that goes away stops its statement, and so does the end of its login.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use arrow::error::ArrowError;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::{StreamExt, stream};
use ingest::Login;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use query::{Engine, QueryError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Front;
use super::access::{self, Reader};
use super::answer::{Encoder, Format};
use super::asked::Asked;
use super::refusal::Refusal;

/// Largest statement.
const LIMIT_BYTES: usize = 4 << 20;
/// Bytes of an answer that are sent together; the first piece is held until it is full or the answer is complete.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for a slow client before the statement pauses.
const PIECES_WAITING: usize = 4;

/// What the address may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    format: Option<String>,
    as_of: Option<String>,
}

/// A statement as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    sql: String,
    #[serde(default)]
    params: Vec<Value>,
}

type Piece = Result<Bytes, QueryError>;

pub(super) async fn run(
    State(front): State<Arc<Front>>,
    Reader(login): Reader,
    Asked(wish): Asked<Wish>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let format = match wish.format.as_deref() {
        None => Format::accepted(&headers),
        Some(name) => Format::named(name)
            .ok_or_else(|| Refusal::bad_request(format!("`{name}` is no format; use json, csv or arrow")))?,
    };
    let as_of = wish.as_of.map(|text| query::parse_as_of(&text, &TimeZone::UTC)).transpose();
    let as_of = as_of.map_err(|error| Refusal::bad_request(format!("{error}; in an address + is written %2B")))?;
    let asking = {
        let held = front.bodies.read(&headers, body, LIMIT_BYTES).await?;
        asking(&headers, &held.bytes)?
    };
    let parameters = asking.params.iter().enumerate().map(parameter).collect::<Result<Vec<_>, _>>()?;
    let mut pieces = start(&front, login.clone(), Statement { sql: asking.sql, parameters, as_of, format });
    let first = tokio::select! {
        biased;
        () = login.ended() => return Err(access::ended()),
        first = pieces.recv() => first.ok_or_else(|| Refusal::unavailable("the server is shutting down"))??,
    };
    let rest = stream::unfold((pieces, login), |(mut pieces, login)| async move {
        Some((next(&mut pieces, &login).await?, (pieces, login)))
    });
    let answer = stream::iter([Ok(first)]).chain(rest);
    Ok(([(CONTENT_TYPE, format.media_type())], Body::from_stream(answer)).into_response())
}

/// The next piece; an error breaks the answer off.
async fn next(pieces: &mut mpsc::Receiver<Piece>, login: &Login) -> Option<io::Result<Bytes>> {
    let piece = tokio::select! {
        biased;
        () = login.ended() => return Some(Err(io::Error::other("the login ended"))),
        piece = pieces.recv() => piece?,
    };
    Some(piece.map_err(|error| {
        tracing::warn!(%error, "an answer broke off");
        io::Error::other(error)
    }))
}

fn asking(headers: &HeaderMap, body: &[u8]) -> Result<Asking, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("text/plain");
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => serde_json::from_slice(body).map_err(|error| {
            Refusal::bad_request(format!("the body is not {{\"sql\": \"…\", \"params\": […]}}: {error}"))
        }),
        // curl's default for --data, which nobody changes for a quick look.
        "text/plain" | "application/sql" | "application/x-www-form-urlencoded" => {
            let sql = std::str::from_utf8(body).map_err(|_| Refusal::bad_request("the statement is not UTF-8"))?;
            Ok(Asking { sql: sql.to_owned(), params: Vec::new() })
        }
        other => {
            Err(Refusal::unsupported(format!("a statement comes as text/plain or application/json, not `{other}`")))
        }
    }
}

/// The value of `$n`, from JSON.
fn parameter((place, value): (usize, &Value)) -> Result<ScalarValue, Refusal> {
    match value {
        Value::Null => Ok(ScalarValue::Null),
        Value::Bool(flag) => Ok(ScalarValue::Boolean(Some(*flag))),
        Value::String(text) => Ok(ScalarValue::Utf8(Some(text.clone()))),
        Value::Number(number) => Ok(match number.as_i64() {
            Some(integer) => ScalarValue::Int64(Some(integer)),
            None => ScalarValue::Float64(number.as_f64()),
        }),
        Value::Array(_) | Value::Object(_) => {
            Err(Refusal::bad_request(format!("parameter ${} must be a string, a number, a boolean or null", place + 1)))
        }
    }
}

/// A statement and how its answer is written.
struct Statement {
    sql: String,
    parameters: Vec<ScalarValue>,
    as_of: Option<Timestamp>,
    format: Format,
}

/// Starts the statement on the queries' threads. It ends when the receiver is dropped.
fn start(front: &Front, login: Login, statement: Statement) -> mpsc::Receiver<Piece> {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    let engine = Arc::clone(&front.faces.engine);
    front.faces.queries.spawn(async move {
        let started = Instant::now();
        let outcome = tokio::select! {
            () = sender.closed() => "abandoned",
            done = answer(&engine, &login, statement, &sender) => match done {
                Ok(()) => "ok",
                Err(error) => {
                    // Where the client has left meanwhile, there is nobody to tell.
                    drop(sender.send(Err(error)).await);
                    "failed"
                }
            },
        };
        metrics::histogram!("takt_query_seconds", "face" => "http", "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
    });
    pieces
}

async fn answer(
    engine: &Engine,
    login: &Login,
    statement: Statement,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), QueryError> {
    let session = engine.session(&login.name);
    session.set_as_of(statement.as_of);
    let planned = session.plan_with(&statement.sql, &statement.parameters).await?;
    let mut rows = session.execute(planned).await?;
    let format = statement.format;
    let mut encoder = Encoder::new(format, &rows.schema()).map_err(|error| unwritable(format, &error))?;
    while let Some(batch) = rows.next().await {
        encoder.write(&batch?).map_err(|error| unwritable(format, &error))?;
        if encoder.pending() >= PIECE_BYTES && pieces.send(Ok(encoder.take().into())).await.is_err() {
            return Ok(());
        }
    }
    encoder.finish().map_err(|error| unwritable(format, &error))?;
    // A receiver that is gone wants no end either.
    drop(pieces.send(Ok(encoder.take().into())).await);
    Ok(())
}

/// A column that the format has no form for, such as a list in CSV.
fn unwritable(format: Format, error: &ArrowError) -> QueryError {
    QueryError::Statement {
        message: format!("the answer cannot be written as {}: {error}; ask for JSON or Arrow", format.media_type()),
        at: None,
    }
}

#[cfg(test)]
mod tests;
