//! What one commit writes: samples, records and refused messages, column by column.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray};
use arrow::record_batch::RecordBatch;
use oee::tables::{QUARANTINE, TABLES};
use storage::{Rows, Store, Write};

use crate::column::{Cell, Column};
use crate::quarantine::{Refusals, Room};
use crate::sample::{SAMPLE_BYTES, Sample, Samples, Series};
use crate::schema::{columns, table_index};

/// What a row of a record table takes beyond its texts, roughly.
const RECORD_BYTES: usize = 128;

/// Rows of one commit: durable and visible together, or not at all.
///
/// Rows of one table keep the order in which they came.
#[derive(Debug)]
pub struct Batch {
    by: Arc<str>,
    source: &'static str,
    started: Instant,
    samples: Samples,
    records: Vec<Records>,
    bytes: usize,
    messages: u64,
    refused: Vec<(&'static str, u64)>,
    room: Option<Room>,
}

/// Rows of one table other than `samples`.
#[derive(Debug)]
struct Records {
    table: usize,
    columns: Vec<Column>,
    present: Vec<u64>,
    deleted: Vec<bool>,
}

/// A checked row of a record table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordRow {
    /// Cells, in the order of the table's columns.
    pub(crate) cells: Vec<Cell>,
    /// Bit i is set where column i is present.
    pub(crate) present: u64,
    /// Whether the row is retracted.
    pub(crate) deleted: bool,
}

impl Batch {
    /// An empty batch of a source; `by` becomes `recorded_by`, `source` is a word for counters.
    pub(crate) fn new(by: Arc<str>, source: &'static str) -> Self {
        Self {
            by,
            source,
            started: Instant::now(),
            samples: Samples::default(),
            records: Vec::new(),
            bytes: 0,
            messages: 0,
            refused: Vec::new(),
            room: None,
        }
    }

    /// A batch of samples that came as columns, each of them a message.
    pub(crate) fn of_samples(by: Arc<str>, source: &'static str, rows: RecordBatch) -> Self {
        let messages = rows.num_rows() as u64;
        let bytes = rows.num_rows() * SAMPLE_BYTES + rows.column_by_name("text").map_or(0, text_bytes);
        Self { samples: Samples::whole(rows), bytes, messages, ..Self::new(by, source) }
    }

    /// Bytes that the batch takes, roughly: its share of the byte budget.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that went into it, refused ones included.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Samples in it.
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.samples.len() == 0 && self.records.is_empty()
    }

    /// When its first message was received.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn source(&self) -> &'static str {
        self.source
    }

    /// Refusals by kind.
    pub(crate) fn refused(&self) -> &[(&'static str, u64)] {
        &self.refused
    }

    /// What it does to the quota of the quarantine.
    pub(crate) fn take_room(&mut self) -> Option<Room> {
        self.room.take()
    }

    pub(crate) fn count_message(&mut self) {
        self.messages += 1;
    }

    pub(crate) fn count_refusals(&mut self, refusals: &Refusals) {
        for &(kind, more) in refusals.kinds() {
            match self.refused.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += more,
                None => self.refused.push((kind, more)),
            }
        }
    }

    pub(crate) fn push_sample(&mut self, sample: &Sample<'_>) {
        self.bytes += self.samples.push(sample);
    }

    /// Where this batch keeps the names of a signal, for [`Batch::push_sample_of`].
    pub(crate) fn series(&mut self, equipment: &str, signal: &str) -> Series {
        self.samples.series(equipment, signal)
    }

    /// As [`Batch::push_sample`], for the signal whose names `series` stands for in this batch.
    pub(crate) fn push_sample_of(&mut self, series: Series, sample: &Sample<'_>) {
        self.bytes += self.samples.push_of(series, sample);
    }

    pub(crate) fn push_record(&mut self, table: usize, row: &RecordRow) {
        self.bytes += row.cells.iter().map(cell_bytes).sum::<usize>() + RECORD_BYTES;
        let Some(records) = self.records_of(table) else { return };
        for (column, cell) in records.columns.iter_mut().zip(&row.cells) {
            column.push(cell);
        }
        records.present.push(row.present);
        records.deleted.push(row.deleted);
    }

    /// A row of `quarantine`, and what it does to the quota.
    pub(crate) fn push_quarantine(&mut self, cells: &[Cell], room: Room) {
        match &mut self.room {
            Some(all) => all.join(room),
            None => self.room = Some(room),
        }
        self.bytes += cells.iter().map(cell_bytes).sum::<usize>() + RECORD_BYTES;
        let table = table_index(QUARANTINE.name);
        let Some(records) = table.and_then(|table| self.records_of(table)) else { return };
        for (column, cell) in records.columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }

    fn records_of(&mut self, table: usize) -> Option<&mut Records> {
        let place = match self.records.iter().position(|records| records.table == table) {
            Some(place) => place,
            None => {
                let columns = columns(TABLES.get(table)?).iter().map(|column| Column::new(column.kind)).collect();
                self.records.push(Records { table, columns, present: Vec::new(), deleted: Vec::new() });
                self.records.len() - 1
            }
        };
        self.records.get_mut(place)
    }

    /// The write that stores it. A patient one waits for room on a full disk.
    pub(crate) fn into_write(self, store: &Store, patient: bool) -> Result<Write, arrow::error::ArrowError> {
        let mut rows = Vec::with_capacity(1 + self.records.len());
        let samples = table_index(oee::tables::SAMPLES.name).filter(|_| self.samples.len() > 0);
        if let Some((table, schema)) = samples.and_then(|table| Some((table, store.memory_schema(table)?))) {
            let batch = self.samples.finish(Arc::clone(schema))?;
            rows.push(Rows { table, batch, present: None, deleted: Vec::new() });
        }
        for records in self.records {
            let Some(schema) = store.memory_schema(records.table) else { continue };
            let arrays: Result<Vec<_>, _> = records.columns.into_iter().map(Column::finish).collect();
            let batch = RecordBatch::try_new(Arc::clone(schema), arrays?)?;
            let retracts = records.deleted.contains(&true);
            rows.push(Rows {
                table: records.table,
                batch,
                present: (!records.present.is_empty()).then_some(records.present),
                deleted: if retracts { records.deleted } else { Vec::new() },
            });
        }
        Ok(Write { rows, by: self.by, patient })
    }
}

/// What texts of rows take; rows may be a part of those that the texts were made for.
fn text_bytes(texts: &ArrayRef) -> usize {
    let texts = texts.as_string::<i32>();
    let offsets = texts.value_offsets();
    let all = offsets.last().zip(offsets.first()).map_or(0, |(last, first)| last - first);
    usize::try_from(all).unwrap_or_default()
}

fn cell_bytes(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.len() + 4,
        Cell::Null => 0,
        Cell::Time(_) | Cell::Double(_) | Cell::Integer(_) | Cell::Flag(_) => 8,
    }
}
