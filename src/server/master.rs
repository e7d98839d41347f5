//! The plant as rows: equipment, signals, products, characteristics, reasons and resolved shifts.
//!
//! `plant.toml` is applied as a whole at each start: its rows are written, and rows that an earlier plant file brought
//! and this one no longer has are retracted. Unchanged rows are no-ops, and every change leaves its history. Rows that
//! others wrote through the API stay as they are.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use ingest::{Intake, Login, Role};
use jiff::Timestamp;
use oee::calendar::Shift;
use oee::plant::{MasterRow, Plant, Value};
use oee::tables::{SHIFTS, TABLES, Table};
use query::Engine;
use serde_json::{Map, json};
use storage::StoreError;
use tokio_util::sync::CancellationToken;

use super::ask::ask;

/// Who the rows come from.
const AUTHOR: &str = "plant.toml";
/// Rows in one write.
const CHUNK_ROWS: usize = 500;
/// Shifts are resolved this far back and ahead, microseconds.
const SHIFT_REACH_US: i64 = 35 * 24 * 3600 * 1_000_000;
/// … and again after this time.
const SHIFT_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// How often a plant that met a full disk is applied again.
const FULL_INTERVAL: Duration = Duration::from_secs(5);

type Row = Map<String, serde_json::Value>;

/// Applies the plant at the start. A full disk keeps takt from writing, not from answering: then it is `false`, and
/// [`keep`] makes up for it.
pub(super) async fn apply_unless_full(intake: &Arc<Intake>, engine: &Engine, plant: &Plant) -> anyhow::Result<bool> {
    match apply(intake, engine, plant).await {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) => {
            tracing::warn!(error = format!("{error:#}"), "the plant's rows wait for room on the disk");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn is_full(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<StoreError>()).any(StoreError::retryable)
}

/// Applies the plant to the tables.
async fn apply(intake: &Arc<Intake>, engine: &Engine, plant: &Plant) -> anyhow::Result<()> {
    intake.load_plant().await?;
    for (name, rows) in plant.master_rows() {
        let table = TABLES.iter().find(|table| table.name == name).ok_or_else(|| anyhow!("no table {name}"))?;
        let wanted = rows.iter().map(|row| key_of(table, &object(row))).collect();
        let gone = no_longer_wanted(engine, table, &wanted, None).await?;
        write(intake, table, &gone).await?;
    }
    resolve_shifts(intake, engine, plant).await
}

/// Keeps the table `shifts` ahead of the clock until `stop`; first makes up for a plant that is not `applied` yet.
pub(super) async fn keep(
    intake: Arc<Intake>,
    engine: Arc<Engine>,
    plant: Arc<Plant>,
    mut applied: bool,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(if applied { SHIFT_INTERVAL } else { FULL_INTERVAL }) => {}
        }
        if !applied {
            match apply(&intake, &engine, &plant).await {
                Ok(()) => applied = true,
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the plant's rows are not stored yet"),
            }
        } else if let Err(error) = resolve_shifts(&intake, &engine, &plant).await {
            tracing::warn!(
                error = format!("{error:#}"),
                "the table shifts was not brought forward; trying again later"
            );
        }
    }
}

async fn resolve_shifts(intake: &Arc<Intake>, engine: &Engine, plant: &Plant) -> anyhow::Result<()> {
    let now_us = Timestamp::now().as_microsecond();
    let (from_us, to_us) = (now_us - SHIFT_REACH_US, now_us + SHIFT_REACH_US);
    let mut rows: Vec<Row> = plant
        .calendars()
        .flat_map(|(name, calendar)| {
            let shifts = calendar.instances(from_us, to_us).into_iter().filter(move |shift| shift.start >= from_us);
            shifts.map(move |shift| shift_object(name, &shift))
        })
        .collect();
    let reach = format!("start >= '{}' AND start < '{}'", instant(from_us), instant(to_us));
    let wanted = rows.iter().map(|row| key_of(&SHIFTS, row)).collect();
    rows.extend(no_longer_wanted(engine, &SHIFTS, &wanted, Some(&reach)).await?);
    write(intake, &SHIFTS, &rows).await
}

/// Retractions of the rows that a plant file wrote before, within `reach`, and that are not `wanted` any more.
async fn no_longer_wanted(
    engine: &Engine,
    table: &Table,
    wanted: &HashSet<String>,
    reach: Option<&str>,
) -> anyhow::Result<Vec<Row>> {
    let mut gone = written_before(engine, table, reach).await?;
    gone.retain(|row| !wanted.contains(&key_of(table, row)));
    for row in &mut gone {
        row.insert("deleted".to_owned(), true.into());
    }
    Ok(gone)
}

async fn write(intake: &Arc<Intake>, table: &Table, rows: &[Row]) -> anyhow::Result<()> {
    let login = Login::new(AUTHOR, Role::Admin);
    for chunk in rows.chunks(CHUNK_ROWS) {
        let receipt = intake.records(&login, table.name, &serde_json::to_vec(chunk)?).await;
        let receipt = receipt.with_context(|| format!("the plant's {} could not be stored", table.name))?;
        for refusal in receipt.first_refused {
            tracing::warn!(
                table = table.name,
                reason = refusal.reason,
                "a row that follows from the plant was refused"
            );
        }
    }
    Ok(())
}

/// Keys of the rows that a plant file wrote, as objects.
async fn written_before(engine: &Engine, table: &Table, reach: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let columns: Vec<String> = table.key.iter().map(|column| format!("\"{column}\"")).collect();
    let reach = reach.map_or_else(String::new, |reach| format!(" AND {reach}"));
    let query = format!("SELECT {} FROM {} WHERE recorded_by = '{AUTHOR}'{reach}", columns.join(", "), table.name);
    let (_, batches) = ask(engine, &query).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            rows.push(key_row(batch, row)?);
        }
    }
    Ok(rows)
}

fn key_row(batch: &RecordBatch, row: usize) -> anyhow::Result<Row> {
    let schema = batch.schema();
    let cells = schema.fields().iter().zip(batch.columns());
    cells.map(|(field, column)| Ok((field.name().clone(), key_cell(column, row)?))).collect()
}

fn key_cell(column: &ArrayRef, row: usize) -> anyhow::Result<serde_json::Value> {
    if column.is_null(row) {
        return Ok(serde_json::Value::Null);
    }
    if matches!(column.data_type(), DataType::Timestamp(..)) {
        return Ok(instant(column.as_primitive::<TimestampMicrosecondType>().value(row)).into());
    }
    Ok(array_value_to_string(column, row)?.into())
}

/// The key of a row as one text.
fn key_of(table: &Table, row: &Row) -> String {
    let cells: Vec<serde_json::Value> =
        table.key.iter().map(|column| row.get(*column).cloned().unwrap_or_default()).collect();
    serde_json::Value::from(cells).to_string()
}

fn object(row: &MasterRow) -> Row {
    let cell = |value: &Value| match value {
        Value::Text(text) => json!(text),
        Value::Number(number) => json!(number),
        Value::Integer(number) => json!(number),
        Value::Time(time_us) => json!(instant(*time_us)),
        Value::Flag(flag) => json!(flag),
    };
    row.iter().map(|(column, value)| ((*column).to_owned(), cell(value))).collect()
}

fn shift_object(calendar: &str, shift: &Shift) -> Row {
    let breaks: Vec<[String; 2]> = shift.breaks.iter().map(|(start, end)| [instant(*start), instant(*end)]).collect();
    let cells = [
        ("calendar", calendar.to_owned()),
        ("start", instant(shift.start)),
        ("end", instant(shift.end)),
        ("shift", shift.name.clone()),
        ("production_day", shift.production_day.to_string()),
        ("breaks", json!(breaks).to_string()),
    ];
    cells.into_iter().map(|(column, text)| (column.to_owned(), text.into())).collect()
}

fn instant(time_us: i64) -> String {
    oee::calendar::timestamp(time_us).to_string()
}

#[cfg(test)]
mod tests;
