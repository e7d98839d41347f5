//! `GET /api/v1/quarantine`: what could not be admitted, by topic, with the lines of `plant.toml` that would map it.
//! `POST /api/v1/quarantine/replay`: tries again what the plant now knows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use axum::Json;
use axum::extract::State;
use datafusion::common::ScalarValue;
use ingest::Login;
use serde::{Deserialize, Serialize};

use super::Front;
use super::access::{Admin, Reader};
use super::asked::Asked;
use super::refusal::Refusal;
use crate::columns::{Integers, Texts, Times, instant, rfc3339};

/// Topics and messages listed where nothing else is said, and at most.
const LIMIT: u32 = 100;
const MOST: u32 = 10_000;
/// Characters of a payload that a list shows; SQL has the rest.
const SHOWN: u32 = 400;
/// Messages that are replayed together: 64 KiB each at most.
const PAGE: usize = 500;
/// Messages that an answer names because they are still refused.
const NAMED: usize = 100;
/// Topics that begin so are addresses of this server and no topics: no pattern would map them.
const ADDRESSES: &str = "/api/";

/// What to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    limit: Option<u32>,
    topic: Option<String>,
}

/// The quarantine.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    topics: Vec<Topic>,
    messages: Vec<Message>,
}

#[derive(Debug, Serialize)]
struct Topic {
    topic: Option<String>,
    messages: Option<i64>,
    oldest: Option<String>,
    newest: Option<String>,
    error: Option<String>,
    proposal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Message {
    id: Option<String>,
    time: Option<String>,
    source: Option<String>,
    topic: Option<String>,
    payload: Option<String>,
    length: Option<i64>,
    error: Option<String>,
}

pub(super) async fn list(
    State(front): State<Arc<Front>>,
    Reader(login): Reader,
    Asked(wish): Asked<Wish>,
) -> Result<Json<Listing>, Refusal> {
    let limit = wish.limit.unwrap_or(LIMIT).min(MOST);
    let (filter, parameters) = waiting(wish.topic);
    let by_topic = format!(
        "SELECT topic, count(*) AS messages, min(time) AS oldest, max(time) AS newest, \
         last_value(error ORDER BY time) AS error \
         FROM quarantine WHERE {filter} GROUP BY topic ORDER BY messages DESC, topic LIMIT {limit}"
    );
    let newest = format!(
        "SELECT id, time, source, topic, left(payload, {SHOWN}) AS payload, length, error \
         FROM quarantine WHERE {filter} ORDER BY time DESC LIMIT {limit}"
    );
    let by_topic = front.ask(&login, by_topic, parameters.clone()).await?;
    let newest = front.ask(&login, newest, parameters).await?;
    let (mut topics, mut messages) = (Vec::new(), Vec::new());
    for batch in &by_topic {
        read_topics(&front, batch, &mut topics)?;
    }
    for batch in &newest {
        read_messages(batch, &mut messages)?;
    }
    Ok(Json(Listing { topics, messages }))
}

/// The filter of messages that still wait, of one topic or all, and its parameters.
fn waiting(topic: Option<String>) -> (&'static str, Vec<ScalarValue>) {
    match topic {
        None => ("replayed IS NOT TRUE", Vec::new()),
        Some(topic) => ("replayed IS NOT TRUE AND topic = $1", vec![ScalarValue::Utf8(Some(topic))]),
    }
}

fn read_topics(front: &Front, batch: &RecordBatch, topics: &mut Vec<Topic>) -> Result<(), Refusal> {
    let (topic, messages) = (Texts::of(batch, "topic")?, Integers::of(batch, "messages")?);
    let (oldest, newest) = (Times::of(batch, "oldest")?, Times::of(batch, "newest")?);
    let error = Texts::of(batch, "error")?;
    for row in 0..batch.num_rows() {
        let topic = topic.owned(row);
        topics.push(Topic {
            messages: messages.at(row),
            oldest: oldest.at(row).and_then(rfc3339),
            newest: newest.at(row).and_then(rfc3339),
            error: error.owned(row),
            proposal: topic.as_deref().and_then(|topic| proposal(front, topic)),
            topic,
        });
    }
    Ok(())
}

/// The lines that would map a topic; none where it is mapped, so that the payload is what is wrong.
fn proposal(front: &Front, topic: &str) -> Option<String> {
    if topic.starts_with(ADDRESSES) || topic.starts_with("takt/records/") {
        return None;
    }
    Some(front.faces.plant.proposal(topic)).filter(|lines| !lines.is_empty())
}

fn read_messages(batch: &RecordBatch, messages: &mut Vec<Message>) -> Result<(), Refusal> {
    let text = |name: &str| Texts::of(batch, name);
    let (id, source, topic) = (text("id")?, text("source")?, text("topic")?);
    let (payload, error) = (text("payload")?, text("error")?);
    let (time, length) = (Times::of(batch, "time")?, Integers::of(batch, "length")?);
    messages.extend((0..batch.num_rows()).map(|row| Message {
        id: id.owned(row),
        time: time.at(row).and_then(rfc3339),
        source: source.owned(row),
        topic: topic.owned(row),
        payload: payload.owned(row),
        length: length.at(row),
        error: error.owned(row),
    }));
    Ok(())
}

/// What to try again: one topic, or everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    topic: Option<String>,
}

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Replayed {
    replayed: usize,
    still_refused: usize,
    /// The first of them.
    refused: Vec<StillRefused>,
}

#[derive(Debug, Serialize)]
struct StillRefused {
    id: String,
    reason: String,
}

pub(super) async fn replay(
    State(front): State<Arc<Front>>,
    Admin(login): Admin,
    Asked(again): Asked<Again>,
) -> Result<Json<Replayed>, Refusal> {
    let mut outcome = Replayed::default();
    let mut after = None;
    let mut replay = front.faces.intake.replay(&login);
    loop {
        let rows = page(&front, &login, again.topic.clone(), after.take()).await?;
        let mut found = 0;
        for batch in &rows {
            found += batch.num_rows();
            let receipt = replay.take(batch).await.map_err(|error| Refusal::not_stored(&error))?;
            outcome.replayed += receipt.replayed;
            outcome.still_refused += receipt.refused.len();
            let room = NAMED.saturating_sub(outcome.refused.len());
            let refused = receipt.refused.into_iter().take(room);
            outcome.refused.extend(refused.map(|(id, reason)| StillRefused { id, reason }));
            after = last(batch)?.or(after);
        }
        if found < PAGE || after.is_none() {
            return Ok(Json(outcome));
        }
    }
}

/// The next messages in order of arrival: a record that corrects another must come after it.
async fn page(
    front: &Front,
    login: &Login,
    topic: Option<String>,
    after: Option<(i64, String)>,
) -> Result<Vec<RecordBatch>, Refusal> {
    let (filter, mut parameters) = waiting(topic);
    let mut filter = filter.to_owned();
    if let Some((time, id)) = after {
        let (first, second) = (parameters.len() + 1, parameters.len() + 2);
        filter.push_str(&format!(" AND (time > ${first} OR (time = ${first} AND id > ${second}))"));
        parameters.extend([instant(time), ScalarValue::Utf8(Some(id))]);
    }
    let sql = format!(
        "SELECT id, time, source, topic, payload, payload_base64, length, sha256, error, replayed \
         FROM quarantine WHERE {filter} ORDER BY time, id LIMIT {PAGE}"
    );
    front.ask(login, sql, parameters).await
}

fn last(batch: &RecordBatch) -> Result<Option<(i64, String)>, Refusal> {
    let Some(row) = batch.num_rows().checked_sub(1) else { return Ok(None) };
    let (time, id) = (Times::of(batch, "time")?, Texts::of(batch, "id")?);
    Ok(time.at(row).zip(id.owned(row)))
}
