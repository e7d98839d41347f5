//! Refused messages, tried again once the plant knows them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use base64::Engine as _;
use storage::StoreError;

use super::{Feed, Intake, Source, Submitted, lines, now_us, records};
use crate::admit::{Arrival, ArrivalClock};
use crate::batch::Batch;
use crate::column::Cell;
use crate::decode::line::{Lines, Precision};
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

/// A row of `quarantine`.
struct Kept {
    cells: Vec<Cell>,
    id: String,
    topic: String,
    payload: Vec<u8>,
    length: i64,
    arrival_us: i64,
}

/// A replay under way: rows of `quarantine` are tried again in the order of their arrival.
#[derive(Debug)]
pub struct Replay {
    intake: Arc<Intake>,
    feed: Feed,
    clock: ArrivalClock,
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
        for mut kept in kept(rows)? {
            let mut batch = self.feed.batch();
            batch.count_message();
            match self.intake.take_kept(&mut self.feed, &kept, &self.clock, &mut batch) {
                Err(refusal) => receipt.refused.push((kept.id, refusal.reason)),
                Ok(()) => {
                    if let Some(replayed) = kept.cells.last_mut() {
                        *replayed = Cell::Flag(true);
                    }
                    batch.push_quarantine(&kept.cells);
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
    /// Begins a replay.
    pub fn replay(self: &Arc<Self>, login: &Login) -> Replay {
        let feed = self.feed(Source::new("replay", &login.name));
        Replay { intake: Arc::clone(self), feed, clock: ArrivalClock::default() }
    }

    fn take_kept(&self, feed: &mut Feed, kept: &Kept, clock: &ArrivalClock, batch: &mut Batch) -> Result<(), Refusal> {
        if i64::try_from(kept.payload.len()).ok() != Some(kept.length) {
            let reason = format!(
                "only {} of its {} bytes were kept; its source has to send it again",
                kept.payload.len(),
                kept.length
            );
            return Err(Refusal::new("too_large", reason));
        }
        let arrival = Arrival::new(kept.arrival_us, clock);
        if let Some(precision) = kept.topic.strip_prefix(lines::ADDRESS) {
            return self.take_kept_lines(&kept.payload, precision.parse().unwrap_or_default(), arrival, batch);
        }
        if let Some(table) = kept.topic.strip_prefix(records::ADDRESS) {
            return self.take_kept_records(&kept.payload, table, arrival, batch);
        }
        match self.take_message(feed, &kept.topic, &kept.payload, arrival, batch).refusals.first() {
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
        for numbered in Lines::new(text) {
            let line = numbered.line.map_err(|reason| Refusal::new("malformed", reason))?;
            self.take_line(&line, precision, arrival, batch)?;
        }
        Ok(())
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
                batch.push_record(table.index, &row);
            }
        }
        Ok(())
    }
}

fn kept(rows: &RecordBatch) -> Result<Vec<Kept>, StoreError> {
    let texts = |name: &str| -> Result<StringArray, StoreError> {
        Ok(column(rows, name, &DataType::Utf8)?.as_string::<i32>().clone())
    };
    let numbers = |name: &str| column(rows, name, &DataType::Int64);
    let [id, source, topic, payload] = [texts("id")?, texts("source")?, texts("topic")?, texts("payload")?];
    let [exact, sha256, error] = [texts("payload_base64")?, texts("sha256")?, texts("error")?];
    let (time, length) = (numbers("time")?, numbers("length")?);
    let (time, length) = (time.as_primitive::<Int64Type>(), length.as_primitive::<Int64Type>());
    let cell = |column: &StringArray, row: usize| {
        if column.is_null(row) { Cell::Null } else { Cell::Text(column.value(row).to_owned()) }
    };
    let mut found = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let bytes = match exact.is_null(row) {
            true => payload.value(row).as_bytes().to_vec(),
            false => base64::engine::general_purpose::STANDARD
                .decode(exact.value(row))
                .map_err(|error| StoreError::Invalid(format!("quarantine row {}: {error}", id.value(row))))?,
        };
        found.push(Kept {
            cells: vec![
                cell(&id, row),
                Cell::Time(time.value(row)),
                cell(&source, row),
                cell(&topic, row),
                cell(&payload, row),
                cell(&exact, row),
                Cell::Integer(length.value(row)),
                cell(&sha256, row),
                cell(&error, row),
                Cell::Flag(false),
            ],
            id: id.value(row).to_owned(),
            topic: topic.value(row).to_owned(),
            payload: bytes,
            length: length.value(row),
            arrival_us: time.value(row),
        });
    }
    Ok(found)
}

fn column(rows: &RecordBatch, name: &str, kind: &DataType) -> Result<arrow::array::ArrayRef, StoreError> {
    let column = rows
        .column_by_name(name)
        .ok_or_else(|| StoreError::Invalid(format!("a replay needs the column `{name}` of quarantine")))?;
    Ok(cast(column, kind)?)
}
