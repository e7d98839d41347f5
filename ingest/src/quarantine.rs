//! Messages that could not be admitted, kept under a size quota.
//!
//! A refused message becomes one row: the first 64 KiB of its payload, the length and SHA-256 of all of it, and the
//! reason. It waits there until it is replayed or discarded. Once the rows that wait reach the quota, payloads are no
//! longer kept: each topic then leaves at most one short row per minute (the first refusal of that minute, with the
//! first 256 bytes), for at most 1,000 topics; every refusal still moves the counter `takt_refused_total`, so nothing
//! goes unnoticed, and a misconfigured sender cannot fill the disk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::column::Cell;

/// Payload bytes of one message that are kept in `quarantine`.
pub const KEPT_BYTES: usize = 64 * 1024;
/// Payload bytes that are kept over quota.
const KEPT_OVER_QUOTA_BYTES: usize = 256;
/// Over quota, a topic leaves one row in this time.
const OVER_QUOTA_INTERVAL_US: i64 = 60_000_000;
/// Over quota, this many topics leave rows.
const OVER_QUOTA_TOPICS: usize = 1_000;
/// What a row takes beyond its payload, roughly.
const ROW_BYTES: u64 = 512;
/// Refusals of one message that its row spells out.
const NAMED: usize = 20;

/// Why a message, or a part of it, was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A short word for counters.
    pub(crate) kind: &'static str,
    /// For a person: what is wrong, and what to do.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

/// What was refused of a message or a request: counted all, the first in words. Its size is bounded, whatever came.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    named: Vec<Refusal>,
    kinds: Vec<(&'static str, u64)>,
}

impl Refusals {
    pub(crate) fn push(&mut self, refusal: Refusal) {
        self.count(refusal.kind, 1);
        if self.named.len() < NAMED {
            self.named.push(refusal);
        }
    }

    fn count(&mut self, kind: &'static str, more: u64) {
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += more,
            None => self.kinds.push((kind, more)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub(crate) fn first(&self) -> Option<&Refusal> {
        self.named.first()
    }

    /// How many, by kind.
    pub(crate) fn kinds(&self) -> &[(&'static str, u64)] {
        &self.kinds
    }

    /// For a person: one as it is, several one a line.
    pub(crate) fn in_words(&self) -> String {
        let mut lines: Vec<String> = self.named.iter().map(|refusal| refusal.reason.clone()).collect();
        let more = self.kinds.iter().map(|(_, count)| count).sum::<u64>() - lines.len() as u64;
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines.join("\n")
    }
}

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        let mut refusals = Self::default();
        refusals.push(refusal);
        refusals
    }
}

/// A message that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    /// Which way it came.
    pub(crate) source: &'a str,
    /// Its topic, or the address of the request.
    pub(crate) topic: &'a str,
    /// All of its payload.
    pub(crate) payload: &'a [u8],
    /// When it arrived; no two have the same time, so that a replay knows their order.
    pub(crate) arrival_us: i64,
    /// Why it was refused.
    pub(crate) error: &'a str,
}

/// Watches the quota: what the messages that wait take, roughly.
///
/// What a message takes follows from its length alone, also where less of it was kept: so a process that starts on a
/// quarantine need not read payloads to know what is taken, and what a message gives back is what it took.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u64,
    used: AtomicU64,
    over: Mutex<HashMap<Box<str>, i64>>,
}

/// What a message of `length` bytes takes of the quota.
fn cost(length: usize) -> u64 {
    taken(1, u64::try_from(length.min(KEPT_BYTES)).unwrap_or(u64::MAX))
}

/// What messages take whose payloads count `bytes` together, none of them more than [`KEPT_BYTES`].
fn taken(messages: u64, bytes: u64) -> u64 {
    messages.saturating_mul(ROW_BYTES).saturating_add(bytes)
}

impl Quota {
    /// Nothing is taken yet.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0), over: Mutex::default() }
    }

    /// These messages wait already; their payloads count `bytes` together, none of them more than [`KEPT_BYTES`].
    pub(crate) fn count(&self, messages: u64, bytes: u64) {
        self.take(taken(messages, bytes), u64::MAX);
    }

    /// What is taken, by this account.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// These messages wait, of which there were more when [`Quota::used`] said `before`: rows have left the table since.
    pub(crate) fn recount(&self, before: u64, messages: u64, bytes: u64) {
        self.free(before.saturating_sub(taken(messages, bytes)));
    }

    /// How much of a refused message may be kept; `None` where not even a row. Where it is some, room is
    /// taken for it.
    pub(crate) fn admit(&self, refused: &Refused<'_>) -> Option<usize> {
        let (length, cost) = (refused.payload.len(), cost(refused.payload.len()));
        if self.take(cost, self.limit) {
            return Some(length.min(KEPT_BYTES));
        }
        self.admit_over(refused.topic, refused.arrival_us).then(|| {
            self.take(cost, u64::MAX);
            length.min(KEPT_OVER_QUOTA_BYTES)
        })
    }

    fn free(&self, cost: u64) {
        if cost == 0 {
            return;
        }
        let freed = |used: u64| Some(used.saturating_sub(cost));
        let used = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, freed).unwrap_or_default();
        if used.saturating_sub(cost) < self.limit {
            // The next time that it is full begins afresh.
            self.over.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Takes room unless more than `limit` would be taken then; says whether it was.
    fn take(&self, cost: u64, limit: u64) -> bool {
        let more = |used: u64| used.checked_add(cost).filter(|&total| total <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn admit_over(&self, topic: &str, now: i64) -> bool {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let topics = over.len();
        match over.get_mut(topic) {
            Some(last) if now - *last < OVER_QUOTA_INTERVAL_US => false,
            Some(last) => {
                *last = now;
                true
            }
            None if topics >= OVER_QUOTA_TOPICS => false,
            None => {
                over.insert(topic.into(), now);
                true
            }
        }
    }
}

/// What a batch does to the quota. Dropped before its batch is durable, it gives back what was taken.
#[derive(Debug)]
pub(crate) struct Room {
    quota: Arc<Quota>,
    taken: u64,
    freed: u64,
}

impl Room {
    /// For a refused message of this length, which the quota has admitted.
    pub(crate) fn taken(quota: &Arc<Quota>, length: usize) -> Self {
        Self { quota: Arc::clone(quota), taken: cost(length), freed: 0 }
    }

    /// Of a message of this length, which will wait no longer.
    pub(crate) fn freed(quota: &Arc<Quota>, length: usize) -> Self {
        Self { quota: Arc::clone(quota), taken: 0, freed: cost(length) }
    }

    /// Adds what another row of the same batch does.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.taken += std::mem::take(&mut other.taken);
        self.freed += other.freed;
    }

    /// The batch is durable.
    pub(crate) fn settle(mut self) {
        self.taken = 0;
        self.quota.free(self.freed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.quota.free(self.taken);
    }
}

/// The row of `quarantine` for a refused message, of whose payload `kept` bytes stay; columns in the order of
/// [`oee::tables::QUARANTINE`].
pub(crate) fn row(refused: &Refused<'_>, kept: usize) -> [Cell; 10] {
    let payload = refused.payload.get(..kept).unwrap_or(refused.payload);
    let (text, exact) = match std::str::from_utf8(payload) {
        Ok(text) => (text.to_owned(), Cell::Null),
        // A cut in the middle of a character is no reason to show escapes.
        Err(error) if kept < refused.payload.len() && error.error_len().is_none() => {
            (String::from_utf8_lossy(payload.get(..error.valid_up_to()).unwrap_or_default()).into_owned(), Cell::Null)
        }
        Err(_) => (escaped(payload), Cell::Text(base64::engine::general_purpose::STANDARD.encode(payload))),
    };
    [
        Cell::Text(identity(refused)),
        Cell::Time(refused.arrival_us),
        Cell::Text(refused.source.to_owned()),
        Cell::Text(refused.topic.to_owned()),
        Cell::Text(text),
        exact,
        Cell::Integer(i64::try_from(refused.payload.len()).unwrap_or(i64::MAX)),
        Cell::Text(hex(&Sha256::digest(refused.payload))),
        Cell::Text(refused.error.to_owned()),
        Cell::Flag(false),
    ]
}

fn identity(refused: &Refused<'_>) -> String {
    let mut hash = Sha256::new();
    for part in [refused.source.as_bytes(), refused.topic.as_bytes(), refused.payload] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part);
    }
    hash.update(refused.arrival_us.to_le_bytes());
    let digest = hash.finalize();
    hex(digest.get(..16).unwrap_or(&digest))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('?', |&digit| char::from(digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Text with the bytes that are not UTF-8 as `\xNN`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str("\\x");
            text.push_str(&hex(&[*byte]));
        }
    }
    text
}

#[cfg(test)]
mod tests;
