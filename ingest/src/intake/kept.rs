//! Rows of `quarantine` as a query gives them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use base64::Engine as _;
use storage::StoreError;

use crate::column::Cell;
use crate::quarantine::{Quota, Room};

/// What became of a message, as the column `replayed` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Replayed,
    Discarded,
}

/// A row, and how to say that it waits no longer.
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) arrival_us: i64,
    /// Length of the whole payload, bytes.
    pub(super) length: i64,
    cells: Vec<Cell>,
}

impl Kept {
    /// The row as it is once it is settled; columns in the order of [`oee::tables::QUARANTINE`].
    pub(super) fn settled(mut self, how: Settled) -> Vec<Cell> {
        self.cells.push(match how {
            Settled::Replayed => Cell::Flag(true),
            Settled::Discarded => Cell::Null,
        });
        self.cells
    }

    /// What it gives back to the quota once it is settled.
    pub(super) fn room(&self, quota: &Arc<Quota>) -> Room {
        Room::freed(quota, usize::try_from(self.length).unwrap_or_default())
    }
}

/// Rows of `quarantine`; columns by name.
pub(super) struct KeptRows {
    id: StringArray,
    time: Int64Array,
    source: StringArray,
    topic: StringArray,
    payloads: Option<Payloads>,
    length: Int64Array,
    sha256: StringArray,
    error: StringArray,
}

/// What was kept of the payloads.
struct Payloads {
    text: StringArray,
    exact: StringArray,
}

impl KeptRows {
    /// Rows with the columns `id`, `time`, `source`, `topic`, `length`, `sha256` and `error`. Their payloads are left out.
    pub(super) fn without_payloads(rows: &RecordBatch) -> Result<Self, StoreError> {
        Ok(Self {
            id: texts(rows, "id")?,
            time: numbers(rows, "time")?,
            source: texts(rows, "source")?,
            topic: texts(rows, "topic")?,
            payloads: None,
            length: numbers(rows, "length")?,
            sha256: texts(rows, "sha256")?,
            error: texts(rows, "error")?,
        })
    }

    /// The same rows with `payload` and `payload_base64`.
    pub(super) fn with_payloads(rows: &RecordBatch) -> Result<Self, StoreError> {
        let payloads = Payloads { text: texts(rows, "payload")?, exact: texts(rows, "payload_base64")? };
        Ok(Self { payloads: Some(payloads), ..Self::without_payloads(rows)? })
    }

    pub(super) fn len(&self) -> usize {
        self.id.len()
    }

    pub(super) fn row(&self, row: usize) -> Kept {
        let payloads = self.payloads.as_ref();
        Kept {
            id: self.id.value(row).to_owned(),
            topic: self.topic.value(row).to_owned(),
            arrival_us: self.time.value(row),
            length: self.length.value(row),
            cells: vec![
                cell(&self.id, row),
                Cell::Time(self.time.value(row)),
                cell(&self.source, row),
                cell(&self.topic, row),
                payloads.map_or(Cell::Null, |payloads| cell(&payloads.text, row)),
                payloads.map_or(Cell::Null, |payloads| cell(&payloads.exact, row)),
                Cell::Integer(self.length.value(row)),
                cell(&self.sha256, row),
                cell(&self.error, row),
            ],
        }
    }

    /// What was kept of a row's payload, byte by byte.
    pub(super) fn payload(&self, row: usize) -> Result<Vec<u8>, StoreError> {
        match &self.payloads {
            None => Ok(Vec::new()),
            Some(payloads) if payloads.exact.is_null(row) => Ok(payloads.text.value(row).as_bytes().to_vec()),
            Some(payloads) => base64::engine::general_purpose::STANDARD
                .decode(payloads.exact.value(row))
                .map_err(|error| StoreError::Invalid(format!("quarantine row {}: {error}", self.id.value(row)))),
        }
    }
}

fn cell(column: &StringArray, row: usize) -> Cell {
    if column.is_null(row) { Cell::Null } else { Cell::Text(column.value(row).to_owned()) }
}

fn texts(rows: &RecordBatch, name: &str) -> Result<StringArray, StoreError> {
    Ok(column(rows, name, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn numbers(rows: &RecordBatch, name: &str) -> Result<Int64Array, StoreError> {
    Ok(column(rows, name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn column(rows: &RecordBatch, name: &str, kind: &DataType) -> Result<arrow::array::ArrayRef, StoreError> {
    let column = rows
        .column_by_name(name)
        .ok_or_else(|| StoreError::Invalid(format!("rows of quarantine need the column `{name}` here")))?;
    Ok(cast(column, kind)?)
}
