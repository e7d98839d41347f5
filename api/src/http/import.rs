//! `POST /api/v1/import/samples`: rows of `samples` as an Arrow IPC stream, stored batch by batch as they arrive.
//!
//! The body may be of any length; one batch of it is bounded. What was stored before an error stays stored, and the
//! answer says how much that is: importing the same file again is harmless.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow::ipc::reader::StreamDecoder;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use futures::StreamExt;
use ingest::Login;
use serde::Serialize;

use super::Front;
use super::access::{self, Writer};
use super::refusal::{Partial, Refusal, RefusedRow};

/// Largest batch, as it is sent.
const BATCH_BYTES: usize = 64 << 20;
/// A client that is silent for this long is cut off.
const SILENCE: Duration = Duration::from_secs(60);
/// Refused rows that an answer lists.
const LISTED: usize = 100;
/// Columns without which a row means nothing.
const NEEDED: [&str; 3] = ["time", "equipment", "signal"];

/// All rows were stored.
#[derive(Debug, Serialize)]
pub(super) struct Imported {
    accepted: usize,
}

/// What became of the rows so far.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    first_refused: Vec<RefusedRow>,
}

pub(super) async fn samples(
    State(front): State<Arc<Front>>,
    Writer(login): Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Imported>, Refusal> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Refusal::unsupported("an Arrow stream is read as it is; send it without a content encoding"));
    }
    let mut tally = Tally::default();
    match read(&front, &login, body, &mut tally).await {
        Err(refusal) if tally.accepted > 0 => {
            let message = format!("{} (the first {} rows are stored)", refusal.message(), tally.accepted);
            let partial = Partial { accepted: tally.accepted, refused: tally.first_refused };
            Err(Refusal::new(refusal.status(), "import_broke_off", message).listing(partial))
        }
        Err(refusal) => Err(refusal),
        Ok(()) if tally.refused == 0 => Ok(Json(Imported { accepted: tally.accepted })),
        Ok(()) => {
            let all = tally.accepted + tally.refused;
            let message = format!("{} of {all} rows were refused; the others are stored", tally.refused);
            let partial = Partial { accepted: tally.accepted, refused: tally.first_refused };
            Err(Refusal::new(StatusCode::BAD_REQUEST, "rows_refused", message).listing(partial))
        }
    }
}

async fn read(front: &Front, login: &Login, body: Body, tally: &mut Tally) -> Result<(), Refusal> {
    let mut frames = body.into_data_stream();
    let mut decoder = StreamDecoder::new();
    let mut since_batch = 0;
    loop {
        let frame = tokio::select! {
            // A body without end must not outlive its login.
            biased;
            () = login.ended() => return Err(access::ended()),
            frame = tokio::time::timeout(SILENCE, frames.next()) => frame.map_err(|_| silent())?,
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Refusal::bad_request(format!("the body broke off: {error}")))?;
        since_batch += frame.len();
        let mut rest = Buffer::from(frame);
        while let Some(batch) = decoder.decode(&mut rest).map_err(|error| malformed(&error))? {
            check(&batch.schema())?;
            store(front, login, batch, tally).await?;
            since_batch = rest.len();
        }
        if since_batch > BATCH_BYTES {
            return Err(Refusal::too_large(format!(
                "a batch is larger than {} MiB; write the stream with smaller batches",
                BATCH_BYTES >> 20
            )));
        }
    }
    decoder.finish().map_err(|error| malformed(&error))
}

async fn store(front: &Front, login: &Login, batch: RecordBatch, tally: &mut Tally) -> Result<(), Refusal> {
    let (intake, login) = (Arc::clone(&front.faces.intake), login.clone());
    let receipt = front
        .take_in(batch.get_array_memory_size(), async move { intake.import_samples(&login, &batch).await })
        .await?
        .map_err(|error| Refusal::not_stored(&error))?;
    let before = tally.accepted + tally.refused;
    tally.accepted += receipt.accepted;
    tally.refused += receipt.refused;
    let room = LISTED.saturating_sub(tally.first_refused.len());
    let refused = receipt.first_refused.into_iter().take(room);
    tally.first_refused.extend(refused.map(|row| RefusedRow { row: before + row.row, reason: row.reason }));
    Ok(())
}

/// Whether the columns are those of `samples`, in types that become theirs.
fn check(schema: &Schema) -> Result<(), Refusal> {
    for name in NEEDED {
        if schema.field_with_name(name).is_err() {
            return Err(Refusal::bad_request(format!("an import of samples needs the column `{name}`")));
        }
    }
    for field in schema.fields() {
        let wanted = match field.name().as_str() {
            "time" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            "value" => DataType::Float64,
            "quality" => DataType::Int64,
            "equipment" | "signal" | "text" | "work_order" | "operation" | "unit" | "key_source" => DataType::Utf8,
            other => {
                return Err(Refusal::bad_request(format!(
                    "`samples` has no column `{other}`; rename it to one of its own, or leave it out"
                )));
            }
        };
        if !can_cast_types(field.data_type(), &wanted) {
            return Err(Refusal::bad_request(format!(
                "the column `{}` is {}, which does not become {wanted}",
                field.name(),
                field.data_type()
            )));
        }
    }
    Ok(())
}

fn malformed(error: &arrow::error::ArrowError) -> Refusal {
    Refusal::bad_request(format!("the body is not an uncompressed Arrow IPC stream: {error}"))
}

fn silent() -> Refusal {
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", format!("nothing arrived for {} s", SILENCE.as_secs()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    fn checked(fields: Vec<Field>) -> Result<(), String> {
        check(&Schema::new(fields)).map_err(|refusal| refusal.message().to_owned())
    }

    #[test]
    fn columns_are_checked_before_rows() {
        let time = Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), true);
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let value = Field::new("value", DataType::Int32, true);
        assert_eq!(checked(vec![time.clone(), text("equipment"), text("signal"), value]), Ok(()));
        assert!(checked(vec![time.clone(), text("signal")]).is_err_and(|message| message.contains("`equipment`")));
        let all = vec![time, text("equipment"), text("signal"), text("speed")];
        assert!(checked(all).is_err_and(|message| message.contains("`speed`")));
    }
}
