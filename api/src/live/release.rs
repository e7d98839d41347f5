//! Holds end by a signed release and by nothing else: a release takes a unit off hold, another status alone does not.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use arrow::record_batch::RecordBatch;
use oee::tables::{EVENTS, TABLES, UNITS};
use query::{AUTHOR, QueryError};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::alarm::{HOLD, store};
use crate::columns::Texts;
use crate::faces::Faces;
use crate::report::quoted;

/// Units that are asked for by name; more are all of them.
const MOST_NAMES: usize = 1_000;

/// What became durable that a hold may depend on, until it is looked at.
#[derive(Default)]
pub(super) struct Decisions {
    come: Notify,
    open: Mutex<Open>,
}

/// What is to be looked at.
struct Open {
    released: bool,
    /// Units that got another status than hold; none for all that there are.
    units: Option<BTreeSet<String>>,
}

impl Default for Open {
    /// Everything: a decision may have been stored last thing before the end.
    fn default() -> Self {
        Self { released: true, units: None }
    }
}

impl Decisions {
    /// Notes durable rows.
    pub(super) fn note(&self, rows: &[(usize, RecordBatch)]) {
        let (released, units) = (has_release(rows), off_hold(rows));
        if !released && units.is_empty() {
            return;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.released |= released;
        if let Some(known) = &mut open.units {
            known.extend(units);
            if known.len() > MOST_NAMES {
                open.units = None;
            }
        }
        self.come.notify_one();
    }

    /// Everything is to be looked at again.
    pub(super) fn lose(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Open::default();
        self.come.notify_one();
    }

    pub(super) async fn come(&self) {
        self.come.notified().await;
    }

    /// Acts upon what was noted since.
    pub(super) async fn act(&self, faces: &Faces) -> Result<(), QueryError> {
        let nothing = Open { released: false, units: Some(BTreeSet::new()) };
        let open = std::mem::replace(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner), nothing);
        let acted = settle(faces, &open).await;
        if acted.is_err() {
            self.lose();
        }
        acted
    }
}

fn has_release(rows: &[(usize, RecordBatch)]) -> bool {
    of_table(rows, EVENTS.name).any(|batch| {
        Texts::of(batch, "kind").is_ok_and(|kinds| (0..batch.num_rows()).any(|row| kinds.at(row) == Some("release")))
    })
}

/// Units that got another status than hold.
fn off_hold(rows: &[(usize, RecordBatch)]) -> Vec<String> {
    let mut found = Vec::new();
    for batch in of_table(rows, UNITS.name) {
        let (Ok(units), Ok(statuses)) = (Texts::of(batch, "unit"), Texts::of(batch, "status")) else { continue };
        let off = (0..batch.num_rows()).filter(|row| statuses.at(*row).is_some_and(|status| status != HOLD));
        found.extend(off.filter_map(|row| units.owned(row)));
    }
    found
}

fn of_table<'a>(rows: &'a [(usize, RecordBatch)], name: &'a str) -> impl Iterator<Item = &'a RecordBatch> {
    let is_one = move |at: usize| TABLES.get(at).is_some_and(|table| table.name == name);
    rows.iter().filter(move |(at, _)| is_one(*at)).map(|(_, batch)| batch)
}

async fn settle(faces: &Faces, open: &Open) -> Result<(), QueryError> {
    let mut rows = Vec::new();
    if open.released {
        rows.extend(released(faces).await?);
    }
    if open.units.as_ref().is_none_or(|units| !units.is_empty()) {
        rows.extend(lifted(faces, open.units.as_ref()).await?);
    }
    if rows.is_empty() { Ok(()) } else { store(faces, UNITS.name, &rows).await }
}

/// The units that are on hold and were released by a signed decision since, however long ago that was said.
async fn released(faces: &Faces) -> Result<Vec<Value>, QueryError> {
    const SQL: &str = "SELECT e.unit, e.message, e.recorded_by FROM events e JOIN units u ON e.unit = u.unit \
                       WHERE e.kind = 'release' AND u.status = 'hold' AND e.recorded > u.recorded";
    let mut rows = Vec::new();
    for batch in faces.engine.session(AUTHOR).query(SQL).await? {
        let [units, messages, authors] = ["unit", "message", "recorded_by"].map(|name| Texts::of(&batch, name));
        let (units, messages, authors) = (units?, messages?, authors?);
        for row in 0..batch.num_rows() {
            let why = |texts: &Texts| texts.at(row).unwrap_or_default().to_owned();
            let why = format!("released by {}: {}", why(&authors), why(&messages));
            rows.push(json!({"unit": units.at(row), "status": "ok", "change_reason": why}));
        }
    }
    Ok(rows)
}

/// Units that takt had put on hold and somebody took off it without a release, by whatever number of statuses since: they are
/// put back. Only `named` ones are looked at, where there are some.
async fn lifted(faces: &Faces, named: Option<&BTreeSet<String>>) -> Result<Vec<Value>, QueryError> {
    let among = |column: &str| {
        let names = named.map(|named| named.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "));
        names.map(|names| format!(" AND {column} IN ({names})")).unwrap_or_default()
    };
    let sql = format!(
        "SELECT DISTINCT u.unit, u.recorded_by FROM units u JOIN units_history h ON u.unit = h.unit \
         WHERE h.status = 'hold' AND h.recorded_by = '{AUTHOR}' \
           AND u.status <> 'hold' AND u.recorded_by <> '{AUTHOR}'{}{} AND NOT EXISTS (SELECT 1 FROM events e \
             WHERE e.unit = u.unit AND e.kind = 'release' AND e.recorded > h.recorded)",
        among("u.unit"),
        among("h.unit"),
    );
    let mut rows = Vec::new();
    for batch in faces.engine.session(AUTHOR).query(&sql).await? {
        let (units, authors) = (Texts::of(&batch, "unit")?, Texts::of(&batch, "recorded_by")?);
        for row in 0..batch.num_rows() {
            let who = authors.at(row).unwrap_or("nobody");
            let why = format!("still on hold: {who} gave another status, and only a release lifts a hold");
            rows.push(json!({"unit": units.at(row), "status": HOLD, "change_reason": why}));
        }
    }
    Ok(rows)
}
