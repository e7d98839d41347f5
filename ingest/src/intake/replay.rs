//! Refused messages, tried again once the plant knows them.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use storage::StoreError;
use tokio::sync::OwnedMutexGuard;

use super::kept::{Kept, KeptRows, Settled};
use super::{Feed, Intake, Source, Submitted, lines, now_us, records};
use crate::admit::{Arrival, ArrivalClock};
use crate::batch::Batch;
use crate::decode::line::{Line, Lines, Precision};
use crate::login::Login;
use crate::quarantine::Refusal;
use crate::record;

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayReceipt {
    /// Messages that were admitted now.
    pub replayed: usize,
    /// Messages that are still refused: their id in `quarantine`, and why.
    pub refused: Vec<(String, String)>,
}

/// A replay under way: rows of `quarantine` are tried again in the order of their arrival. While there is one of these,
/// nobody else replays or discards.
#[derive(Debug)]
pub struct Replay {
    intake: Arc<Intake>,
    feed: Feed,
    clock: ArrivalClock,
    _settling: OwnedMutexGuard<()>,
}

impl Replay {
    /// Tries the next rows, each as a whole: one that is now good is stored and marked as replayed, in one commit; one that is
    /// not stays as it is. Readings without a source time get the time at which they arrived.
    ///
    /// # Errors
    /// Why rows were not stored.
    pub async fn take(&mut self, rows: &RecordBatch) -> Result<ReplayReceipt, StoreError> {
        let mut receipt = ReplayReceipt::default();
        let mut submitted: Vec<Submitted> = Vec::new();
        let rows = KeptRows::with_payloads(rows)?;
        for row in 0..rows.len() {
            let (kept, payload) = (rows.row(row), rows.payload(row)?);
            let mut batch = self.feed.batch();
            batch.count_message();
            match self.intake.take_kept(&mut self.feed, &kept, &payload, &self.clock, &mut batch) {
                Err(refusal) => receipt.refused.push((kept.id, refusal.reason)),
                Ok(()) => {
                    let room = kept.room(&self.intake.quota);
                    batch.push_quarantine(&kept.settled(Settled::Replayed), room);
                    submitted.push(self.intake.hand_over(batch, false).await?);
                    receipt.replayed += 1;
                }
            }
        }
        for commit in &mut submitted {
            commit.stored().await?;
        }
        Ok(receipt)
    }
}

impl Intake {
    /// Begins a replay; waits for another one, or a discard, that is under way.
    pub async fn replay(self: &Arc<Self>, login: &Login) -> Replay {
        let settling = Arc::clone(&self.settling).lock_owned().await;
        let feed = self.feed(Source::new("replay", &login.name));
        Replay { intake: Arc::clone(self), feed, clock: ArrivalClock::default(), _settling: settling }
    }

    fn take_kept(
        &self,
        feed: &mut Feed,
        kept: &Kept,
        payload: &[u8],
        clock: &ArrivalClock,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        if i64::try_from(payload.len()).ok() != Some(kept.length) {
            let reason = format!(
                "only {} of its {} bytes were kept; its source has to send it again",
                payload.len(),
                kept.length
            );
            return Err(Refusal::new("too_large", reason));
        }
        let arrival = Arrival::new(kept.arrival_us, clock);
        if let Some(precision) = kept.topic.strip_prefix(lines::ADDRESS) {
            return self.take_kept_lines(payload, precision.parse().unwrap_or_default(), arrival, batch);
        }
        if let Some(table) = kept.topic.strip_prefix(records::ADDRESS) {
            return self.take_kept_records(payload, table, arrival, batch);
        }
        match self.take_message(feed, &kept.topic, payload, arrival, batch).refusals.first() {
            None => Ok(()),
            Some(refusal) => Err(refusal.clone()),
        }
    }

    fn take_kept_lines(
        &self,
        body: &[u8],
        precision: Precision,
        arrival: Arrival<'_>,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        let text = std::str::from_utf8(body).map_err(|error| crate::decode::not_utf8(body, error))?;
        let (mut lines, mut line, mut heads) = (Lines::new(text), Line::default(), self.heads.take());
        let mut outcome = Ok(());
        while let (Ok(()), Some(numbered)) = (&outcome, lines.next(&mut line)) {
            let read = numbered.read.map_err(|reason| Refusal::new("malformed", reason));
            let leads = read.and_then(|()| heads.find(line.head, &self.plant));
            outcome = leads.and_then(|leads| self.take_line(&line, leads, precision, arrival, batch));
        }
        self.heads.put_back(heads);
        outcome
    }

    fn take_kept_records(
        &self,
        json: &[u8],
        table: &str,
        arrival: Arrival<'_>,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        for object in record::objects(json)? {
            if table == oee::tables::SAMPLES.name {
                self.take_sample_object(&object, arrival, batch)?;
            } else {
                let table = record::table(table)?;
                let row = table.row(&object, &self.plant)?;
                table.within(&row, &self.window, now_us())?;
                table.check_end(&row, self.keyer())?;
                batch.push_record(table.index, &row);
            }
        }
        Ok(())
    }
}
