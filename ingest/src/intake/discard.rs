//! Refused messages that nobody wants any more.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use storage::StoreError;
use tokio::sync::OwnedMutexGuard;

use super::kept::{KeptRows, Settled};
use super::{Intake, Source};
use crate::login::Login;

/// Messages are being discarded. While there is one of these, nobody else replays or discards.
#[derive(Debug)]
pub struct Discard {
    intake: Arc<Intake>,
    source: Source,
    _settling: OwnedMutexGuard<()>,
}

impl Discard {
    /// Marks rows of `quarantine` as discarded, all in one commit, and drops their payloads: the versions before, and who
    /// discarded them when, are in `quarantine_history`. Gives how many there were.
    ///
    /// # Errors
    /// Why they were not stored; then all of them wait on.
    pub async fn take(&mut self, rows: &RecordBatch) -> Result<usize, StoreError> {
        let kept = KeptRows::without_payloads(rows)?;
        let mut batch = self.source.batch();
        for row in (0..kept.len()).map(|row| kept.row(row)) {
            let room = row.room(&self.intake.quota);
            batch.push_quarantine(&row.settled(Settled::Discarded), room);
        }
        self.intake.commit(batch).await?;
        Ok(kept.len())
    }
}

impl Intake {
    /// Begins to discard refused messages; waits for a replay or a discard that is under way.
    pub async fn discard(self: &Arc<Self>, login: &Login) -> Discard {
        let settling = Arc::clone(&self.settling).lock_owned().await;
        Discard { intake: Arc::clone(self), source: Source::new("discard", &login.name), _settling: settling }
    }
}
