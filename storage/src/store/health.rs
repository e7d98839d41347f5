//! How a store is doing: what it counts, and what is in its way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Shared;
use crate::StoreError;

/// How the store is doing.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why it acknowledges nothing any more.
    pub poisoned: Option<String>,
    /// Why it cannot write for now: the disk is full, or a flush fails. It goes on by itself.
    pub trouble: Option<String>,
    /// Rows that are not in segments yet.
    pub hot_rows: usize,
    /// Bytes of memory they take.
    pub hot_bytes: usize,
    /// Bytes of WAL files.
    pub wal_bytes: u64,
    /// Segments of all tables.
    pub segments: usize,
    /// Rows that were corrected or retracted since the store was opened, as flushes found them.
    pub corrections: u64,
    /// Rows that flushes left out since the store was opened, as [`crate::Transform::keep`] said.
    pub thinned_rows: u64,
    /// Rows that joining segments has rewritten since the store was opened.
    pub joined_rows: u64,
    /// Bytes of rows that the log took since the store was opened.
    pub logged_bytes: u64,
    /// Bytes of the files that flushes wrote since then.
    pub flushed_bytes: u64,
    /// Bytes of the files that joining segments wrote since then.
    pub joined_bytes: u64,
    /// Rows that were removed since then because they were older than their table keeps them.
    pub expired_rows: u64,
    /// Bytes of files that went with them.
    pub expired_bytes: u64,
    /// Segments that went whole.
    pub expired_segments: u64,
    /// Segments in the cold folder.
    pub cold_segments: usize,
    /// Their bytes.
    pub cold_bytes: u64,
    /// Why segments cannot move to the cold folder. It is tried again every hour.
    pub tiering_trouble: Option<String>,
    /// Rows that the present or last [`crate::Store::compact`] has merged, of how many there are.
    pub compaction: (u64, u64),
    /// WAL position of the newest visible write.
    pub position: u64,
}

/// What [`Health`] counts.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) corrections: AtomicU64,
    pub(super) thinned_rows: AtomicU64,
    pub(super) logged_bytes: AtomicU64,
    pub(super) flushed_bytes: AtomicU64,
    pub(super) joined_rows: AtomicU64,
    pub(super) joined_bytes: AtomicU64,
    pub(super) expired_rows: AtomicU64,
    pub(super) expired_bytes: AtomicU64,
    pub(super) expired_segments: AtomicU64,
}

impl Shared {
    pub(super) fn health(&self) -> Health {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let segments = || state.tables.iter().flat_map(|table| table.segments.iter().chain(&table.history));
        let cold = || segments().filter(|segment| segment.cold.load(Ordering::Relaxed));
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Health {
            poisoned: self.poisoned.get().cloned(),
            trouble: [&self.log_trouble, &self.flush_trouble]
                .into_iter()
                .find_map(trouble)
                .map(|error| error.to_string()),
            hot_rows: state.tables.iter().map(|table| table.hot.rows()).sum(),
            hot_bytes: state.hot_bytes(),
            wal_bytes: self.wal.lock().unwrap_or_else(PoisonError::into_inner).bytes(),
            segments: segments().count(),
            corrections: count(&self.counts.corrections),
            thinned_rows: count(&self.counts.thinned_rows),
            joined_rows: count(&self.counts.joined_rows),
            logged_bytes: count(&self.counts.logged_bytes),
            flushed_bytes: count(&self.counts.flushed_bytes),
            joined_bytes: count(&self.counts.joined_bytes),
            expired_rows: count(&self.counts.expired_rows),
            expired_bytes: count(&self.counts.expired_bytes),
            expired_segments: count(&self.counts.expired_segments),
            cold_segments: cold().count(),
            cold_bytes: cold().map(|segment| segment.bytes).sum(),
            tiering_trouble: trouble(&self.tiering_trouble).map(|error| error.to_string()),
            compaction: (self.merged_rows.load(Ordering::Relaxed), self.rows_to_merge.load(Ordering::Relaxed)),
            position: state.position,
        }
    }
}

/// Remembers trouble, and says so when it begins and when it ends.
pub(super) fn note(place: &Mutex<Option<StoreError>>, trouble: Option<&StoreError>, what: &str) {
    let mut known = place.lock().unwrap_or_else(PoisonError::into_inner);
    match (known.as_ref().map(ToString::to_string), trouble) {
        (known, Some(error)) if known != Some(error.to_string()) => {
            tracing::warn!(%error, "{what} cannot be written; it is tried again")
        }
        (Some(_), None) => tracing::info!("{what} is written again"),
        _ => {}
    }
    *known = trouble.cloned();
}

/// What [`note`] remembers.
pub(super) fn trouble(place: &Mutex<Option<StoreError>>) -> Option<StoreError> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
