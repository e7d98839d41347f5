//! `GET /api/v1/quarantine`: what waits, topic by topic and reason by reason, with the lines of `plant.toml` that would
//! map it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::super::Front;
use super::super::access::Reader;
use super::super::asked::Asked;
use super::super::refusal::Refusal;
use super::{Filter, rows};
use crate::columns::{Integers, Texts, Times, rfc3339};

/// Topics and messages listed where nothing else is said, and at most.
const LIMIT: u32 = 100;
const MOST: u32 = 10_000;
/// Reasons listed of a topic: those with the most messages. Where a reason quotes a value, each message can have its own.
const REASONS: u32 = 20;
/// Characters of a payload that a list shows; SQL has the rest.
const SHOWN: u32 = 400;
/// Topics that begin so are addresses of this server and no topics: no pattern would map them.
const ADDRESSES: &str = "/api/";

/// What to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Wish {
    limit: Option<u32>,
    topic: Option<String>,
}

/// The quarantine.
#[derive(Debug, Serialize)]
pub(in super::super) struct Listing {
    topics: Vec<Topic>,
    messages: Vec<Message>,
}

#[derive(Debug, Serialize)]
struct Topic {
    topic: Option<String>,
    messages: Option<i64>,
    oldest: Option<String>,
    newest: Option<String>,
    /// How many reasons there are.
    distinct_reasons: Option<i64>,
    /// The first of them: those with the most messages.
    reasons: Vec<Reason>,
    proposal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Reason {
    error: Option<String>,
    messages: Option<i64>,
    newest: Option<String>,
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

pub(in super::super) async fn list(
    State(front): State<Arc<Front>>,
    Reader(login): Reader,
    Asked(wish): Asked<Wish>,
) -> Result<Json<Listing>, Refusal> {
    let limit = wish.limit.unwrap_or(LIMIT).min(MOST);
    let filter = Filter::waiting(wish.topic);
    let (mut topics, mut messages) = (Vec::new(), Vec::new());
    let found = front.ask(&login, by_reason(&filter.clause, limit), filter.parameters.clone()).await?;
    for batch in &found {
        read_topics(&front, batch, &mut topics)?;
    }
    let columns = format!("id, time, source, topic, left(payload, {SHOWN}) AS payload, length, error");
    for batch in &rows(&front, &login, &columns, filter, &format!("ORDER BY time DESC LIMIT {limit}")).await? {
        read_messages(batch, &mut messages)?;
    }
    Ok(Json(Listing { topics, messages }))
}

/// A row for each reason that is listed, the rows of a topic together; topics with the most messages first.
fn by_reason(filter: &str, limit: u32) -> String {
    format!(
        "WITH reasons AS ( \
           SELECT topic, error, count(*) AS messages, min(time) AS oldest, max(time) AS newest \
           FROM quarantine WHERE {filter} GROUP BY topic, error), \
         topics AS ( \
           SELECT topic, count(*) AS distinct_reasons, sum(messages) AS of_topic, \
                  min(oldest) AS oldest, max(newest) AS newest_of_topic \
           FROM reasons GROUP BY topic ORDER BY of_topic DESC, topic LIMIT {limit}), \
         ranked AS ( \
           SELECT topic, error, messages, newest, \
                  row_number() OVER (PARTITION BY topic ORDER BY messages DESC, newest DESC, error) AS place \
           FROM reasons) \
         SELECT topics.topic AS topic, place, distinct_reasons, of_topic, oldest, newest_of_topic, error, messages, newest \
         FROM topics JOIN ranked ON topics.topic = ranked.topic WHERE place <= {REASONS} \
         ORDER BY of_topic DESC, topic, place"
    )
}

fn read_topics(front: &Front, batch: &RecordBatch, topics: &mut Vec<Topic>) -> Result<(), Refusal> {
    let (topic, error) = (Texts::of(batch, "topic")?, Texts::of(batch, "error")?);
    let integers = |name: &str| Integers::of(batch, name);
    let (reasons, of_topic, messages) = (integers("distinct_reasons")?, integers("of_topic")?, integers("messages")?);
    let times = |name: &str| Times::of(batch, name);
    let (oldest, newest_of_topic, newest) = (times("oldest")?, times("newest_of_topic")?, times("newest")?);
    for row in 0..batch.num_rows() {
        let shown = |times: &Times| times.at(row).and_then(rfc3339);
        let reason = Reason { error: error.owned(row), messages: messages.at(row), newest: shown(&newest) };
        match topics.last_mut() {
            Some(last) if last.topic.as_deref() == topic.at(row) => last.reasons.push(reason),
            _ => topics.push(Topic {
                topic: topic.owned(row),
                messages: of_topic.at(row),
                oldest: shown(&oldest),
                newest: shown(&newest_of_topic),
                distinct_reasons: reasons.at(row),
                reasons: vec![reason],
                proposal: topic.at(row).and_then(|topic| proposal(front, topic)),
            }),
        }
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
