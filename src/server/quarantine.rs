//! What an earlier process left waiting in the quarantine, counted against its quota.

use anyhow::Context;
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use ingest::{Intake, KEPT_BYTES};
use query::Engine;

use super::ask::ask;

/// Tells the way in what is taken of the quota. Reads two narrow columns, and no payload.
///
/// # Errors
/// The table cannot be read.
pub(super) async fn count(intake: &Intake, engine: &Engine) -> anyhow::Result<()> {
    let query = format!(
        "SELECT count(*) AS messages, coalesce(sum(least(length, {KEPT_BYTES})), 0) AS bytes \
         FROM quarantine WHERE replayed IS FALSE"
    );
    let (_, batches) = ask(engine, &query).await?;
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        intake.count_quarantine(figure(batch, "messages")?, figure(batch, "bytes")?);
    }
    Ok(())
}

fn figure(batch: &RecordBatch, name: &str) -> anyhow::Result<u64> {
    let column = batch.column_by_name(name).with_context(|| format!("an answer misses its column {name}"))?;
    let column = cast(column, &DataType::Int64)?;
    let column = column.as_primitive::<Int64Type>();
    Ok(if column.is_valid(0) { u64::try_from(column.value(0)).unwrap_or_default() } else { 0 })
}
