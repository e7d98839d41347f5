//! What an earlier process left waiting in the quarantine, counted against its quota.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use ingest::{Intake, KEPT_BYTES};
use query::Engine;
use tokio_util::sync::CancellationToken;

use super::ask::ask;

/// How often it is looked whether messages have left.
const INTERVAL: Duration = Duration::from_secs(60);

/// Tells the way in what is taken of the quota. Reads two narrow columns, and no payload.
///
/// # Errors
/// The table cannot be read.
pub(super) async fn count(intake: &Intake, engine: &Engine) -> anyhow::Result<()> {
    let (messages, bytes) = waiting(engine).await?;
    intake.count_quarantine(messages, bytes);
    Ok(())
}

/// Gives room back when messages have left the table by their age, until `stop`.
pub(super) async fn watch(intake: Arc<Intake>, engine: Arc<Engine>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut known = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let expired = intake.store().health().expired_rows;
        if expired == known {
            continue;
        }
        let before = intake.quarantine_used();
        match waiting(&engine).await {
            Ok((messages, bytes)) => {
                intake.recount_quarantine(before, messages, bytes);
                known = expired;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the quarantine could not be counted; trying again");
            }
        }
    }
}

/// How many messages wait, and the bytes of their payloads that count.
async fn waiting(engine: &Engine) -> anyhow::Result<(u64, u64)> {
    let query = format!(
        "SELECT count(*) AS messages, coalesce(sum(least(length, {KEPT_BYTES})), 0) AS bytes \
         FROM quarantine WHERE replayed IS FALSE"
    );
    let (_, batches) = ask(engine, &query).await?;
    match batches.iter().find(|batch| batch.num_rows() > 0) {
        Some(batch) => Ok((figure(batch, "messages")?, figure(batch, "bytes")?)),
        None => Ok((0, 0)),
    }
}

fn figure(batch: &RecordBatch, name: &str) -> anyhow::Result<u64> {
    let column = batch.column_by_name(name).with_context(|| format!("an answer misses its column {name}"))?;
    let column = cast(column, &DataType::Int64)?;
    let column = column.as_primitive::<Int64Type>();
    Ok(if column.is_valid(0) { u64::try_from(column.value(0)).unwrap_or_default() } else { 0 })
}
