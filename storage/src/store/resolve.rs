//! What rows of records leave out, from the rows they change: the newest of their keys, hot or in a segment.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, concat_batches, interleave};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use super::{Rows, Table};
use crate::StoreError;
use crate::dead::Dead;
use crate::hot::{SameRow, in_schema};
use crate::keys::{KeyEncoder, pick};
use crate::segment::Segment;
use crate::sought::{Found, newest_rows};
use crate::spec::{CHANGE_REASON, DELETED, RECORDED, RECORDED_BY, TableSpec, Upsert};

/// The newest hot row of each key of a record table.
#[derive(Debug, Default)]
pub(super) struct Index {
    rows: HashMap<Box<[u8]>, Place, RandomState>,
}

/// Where a row is: held so, it takes a few bytes, and as a batch of its own a few thousand.
#[derive(Debug)]
struct Place {
    batch: Arc<RecordBatch>,
    row: usize,
}

impl Index {
    /// Takes in rows in their order.
    pub(super) fn extend(&mut self, encoder: &KeyEncoder, rows: &RecordBatch) -> Result<(), StoreError> {
        let batch = Arc::new(rows.clone());
        for (row, key) in encoder.encode(rows)?.iter().enumerate() {
            self.rows.insert(key.as_ref().into(), Place { batch: Arc::clone(&batch), row });
        }
        Ok(())
    }

    /// Starts over from the chunks that are still hot.
    pub(super) fn rebuild(&mut self, spec: &TableSpec, hot: &crate::hot::Hot) -> Result<(), StoreError> {
        self.rows.clear();
        if spec.upsert == Upsert::Record {
            let encoder = KeyEncoder::new(spec);
            for chunk in &hot.chunks {
                self.extend(&encoder, &chunk.batch)?;
            }
        }
        Ok(())
    }
}

/// What segments hold of some keys, looked up before the store is locked.
#[derive(Debug, Default)]
pub(super) struct Cold {
    rows: Option<RecordBatch>,
    /// Its row of each key; `None` where segments hold none.
    places: HashMap<Box<[u8]>, Option<usize>, RandomState>,
}

/// Which of the keys that `writes` to a table of records name lie in no hot row: rows of their key columns.
pub(super) fn cold_keys(table: &Table, writes: &[&Rows]) -> Result<Vec<RecordBatch>, StoreError> {
    let encoder = KeyEncoder::new(&table.spec);
    let mut cold = Vec::new();
    for rows in writes {
        let keys = encoder.encode(&rows.batch)?;
        let is_cold = |(_, key): &(u32, arrow::row::Row<'_>)| !table.index.rows.contains_key(key.as_ref());
        let missing: Vec<u32> = (0..).zip(keys.iter()).filter(is_cold).map(|(place, _)| place).collect();
        if !missing.is_empty() {
            cold.push(pick(&rows.batch.project(&table.spec.key)?, missing)?);
        }
    }
    Ok(cold)
}

/// Looks the keys of `wanted` up in `segments`.
///
/// A row whose newer version has left is none. Keys must not be hot: a hot row may be what hides the segment's.
pub(super) fn look_up(
    spec: &TableSpec,
    segments: &[Arc<Segment>],
    dead: &[Arc<Dead>],
    wanted: &[RecordBatch],
) -> Result<Cold, StoreError> {
    let Some(first) = wanted.first() else { return Ok(Cold::default()) };
    let wanted = concat_batches(first.schema_ref(), wanted)?;
    let encoder = KeyEncoder::new(spec);
    let mut cold = Cold::default();
    cold.places.extend(encoder.encode(&wanted)?.iter().map(|key| (Box::from(key.as_ref()), None)));
    if let Some(Found { rows, hidden }) = newest_rows(spec, segments, dead, &wanted)? {
        let rows = in_schema(&rows, &spec.hot_schema())?;
        for (place, (key, hidden)) in encoder.encode(&rows)?.iter().zip(hidden).enumerate() {
            if !hidden {
                cold.places.insert(key.as_ref().into(), Some(place));
            }
        }
        cold.rows = Some(rows);
    }
    Ok(cold)
}

/// Batches, and rows in them: batch and row.
#[derive(Default)]
struct Sources {
    batches: Vec<RecordBatch>,
    hot: HashMap<*const RecordBatch, usize>,
}

type At = (usize, usize);

/// So many batches are put together row by row.
const FEW_SOURCES: usize = 8;
/// A dictionary has many words with so many times as many as its rows.
const MANY_WORDS: usize = 8;

impl Sources {
    fn push(&mut self, batch: RecordBatch) -> usize {
        self.batches.push(batch);
        self.batches.len() - 1
    }

    fn of(&mut self, place: &Place) -> At {
        let batch = Arc::as_ptr(&place.batch);
        let source = match self.hot.get(&batch) {
            Some(source) => *source,
            None => {
                let source = self.push(place.batch.as_ref().clone());
                self.hot.insert(batch, source);
                source
            }
        };
        (source, place.row)
    }

    /// Rows, in the order in which they are named.
    fn rows(&self, rows: &[At]) -> Result<RecordBatch, StoreError> {
        let mut of_source: HashMap<usize, Vec<u32>, RandomState> = HashMap::default();
        for (source, row) in rows {
            of_source.entry(*source).or_default().extend(u32::try_from(*row));
        }
        if of_source.len() <= FEW_SOURCES {
            let used: Vec<usize> = of_source.into_keys().collect();
            let place = |source: &usize| used.iter().position(|used| used == source).unwrap_or_default();
            let rows: Vec<At> = rows.iter().map(|(source, row)| (place(source), *row)).collect();
            let batches: Vec<&RecordBatch> = used.iter().filter_map(|source| self.batches.get(*source)).collect();
            return interleaved(&batches, &rows);
        }
        // To put rows of many sources together takes as long as all of them have rows, times all of them: one after the other first.
        let (mut parts, mut places, mut begin) = (Vec::with_capacity(of_source.len()), HashMap::new(), 0_u32);
        for (source, wanted) in of_source {
            let Some(batch) = self.batches.get(source) else { continue };
            let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
            parts.push(compact(&pick(batch, wanted)?)?);
            places.insert(source, begin);
            begin += count;
        }
        let Some(first) = parts.first() else { return Err(StoreError::Invalid("rows of no batch".into())) };
        let joined = concat_batches(first.schema_ref(), &parts)?;
        // Rows of each source lie in the order in which they are named.
        let order = rows.iter().filter_map(|(source, _)| {
            let place = places.get_mut(source)?;
            *place += 1;
            Some(*place - 1)
        });
        pick(&joined, order.collect())
    }
}

/// Dictionaries with the words of the rows alone, where they have many others: each such row would carry them all along.
fn compact(rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let columns = rows.columns().iter().map(|column| -> Result<ArrayRef, StoreError> {
        let (DataType::Dictionary(_, words), Some(dictionary)) = (column.data_type(), column.as_any_dictionary_opt())
        else {
            return Ok(column.clone());
        };
        if dictionary.values().len() <= MANY_WORDS * (rows.num_rows() + 1) {
            return Ok(column.clone());
        }
        Ok(cast(&cast(column, words)?, column.data_type())?)
    });
    Ok(RecordBatch::try_new(rows.schema(), columns.collect::<Result<_, _>>()?)?)
}

fn interleaved(batches: &[&RecordBatch], rows: &[At]) -> Result<RecordBatch, StoreError> {
    let Some((first, _)) = rows.first() else { return Err(StoreError::Invalid("no rows to put together".into())) };
    let Some(batch) = batches.get(*first) else { return Err(StoreError::Invalid("rows of no batch".into())) };
    if rows.iter().all(|(source, _)| source == first) {
        return pick(batch, rows.iter().filter_map(|(_, row)| u32::try_from(*row).ok()).collect());
    }
    let columns = (0..batch.num_columns()).map(|column| -> Result<ArrayRef, StoreError> {
        let columns: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(column).as_ref()).collect();
        Ok(interleave(&columns, rows)?)
    });
    Ok(RecordBatch::try_new(batch.schema(), columns.collect::<Result<_, _>>()?)?)
}

/// Fills in what rows leave out, as if they came one after another: each may change the one before it.
pub(super) fn resolve(
    table: &Table,
    rows: &Rows,
    stamped: &RecordBatch,
    cold: &Cold,
) -> Result<RecordBatch, StoreError> {
    let spec = &table.spec;
    let keys = KeyEncoder::new(spec).encode(stamped)?;
    let key_of = |place: usize| keys.row(place).data();
    let mut sources = Sources::default();
    let written = sources.push(stamped.clone());
    let found = cold.rows.clone().map(|rows| sources.push(rows));
    let mut newest: HashMap<&[u8], At, RandomState> = HashMap::default();
    let mut unknown: Vec<u32> = Vec::new();
    for place in 0..stamped.num_rows() {
        match (table.index.rows.get(key_of(place)), cold.places.get(key_of(place))) {
            (Some(hot), _) => {
                newest.insert(key_of(place), sources.of(hot));
            }
            (None, Some(row)) => newest.extend(found.zip(*row).map(|at| (key_of(place), at))),
            // It was hot when the segments were looked through, and is in one of them since.
            (None, None) => unknown.extend(u32::try_from(place)),
        }
    }
    if !unknown.is_empty() {
        let wanted = pick(&rows.batch.project(&spec.key)?, unknown.clone())?;
        let late = look_up(spec, &table.segments, &table.dead, &[wanted])?;
        let found = late.rows.map(|rows| sources.push(rows));
        for place in unknown {
            let key = key_of(place as usize);
            newest.extend(found.zip(late.places.get(key).copied().flatten()).map(|at| (key, at)));
        }
    }
    // Each row of a key changes the one before it, so those that come again wait for another round.
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut seen: HashMap<&[u8], usize, RandomState> = HashMap::default();
    for place in 0..stamped.num_rows() {
        let key = key_of(place);
        if !newest.contains_key(key) {
            newest.insert(key, (written, place));
            continue;
        }
        let round = seen.entry(key).or_default();
        match rounds.get_mut(*round) {
            Some(places) => places.push(place),
            None => rounds.push(vec![place]),
        }
        *round += 1;
    }
    if rounds.is_empty() {
        return Ok(stamped.clone());
    }
    let mut resolved: Vec<At> = (0..stamped.num_rows()).map(|place| (written, place)).collect();
    for places in rounds {
        let older: Vec<At> = places.iter().filter_map(|place| newest.get(key_of(*place)).copied()).collect();
        let source = sources.push(changed(spec, rows, stamped, &places, &compact(&sources.rows(&older)?)?)?);
        for (row, place) in places.into_iter().enumerate() {
            newest.insert(key_of(place), (source, row));
            if let Some(at) = resolved.get_mut(place) {
                *at = (source, row);
            }
        }
    }
    sources.rows(&resolved)
}

/// Rows of a write, by their places in it, with what they leave out of `older`, row by row; and where that says the same
/// already, as it was.
fn changed(
    spec: &TableSpec,
    rows: &Rows,
    stamped: &RecordBatch,
    places: &[usize],
    older: &RecordBatch,
) -> Result<RecordBatch, StoreError> {
    let new = compact(&pick(stamped, places.iter().filter_map(|place| u32::try_from(*place).ok()).collect())?)?;
    let deleted = older.column_by_name(DELETED).and_then(|column| column.as_boolean_opt());
    let was_retracted = |row: usize| deleted.is_some_and(|deleted| deleted.is_valid(row) && deleted.value(row));
    let stamps = stamps(spec);
    let brings = |(row, place): (usize, &usize)| match (was_retracted(row), retracts(rows, *place)) {
        (true, _) => u64::MAX,
        (false, true) => stamps,
        (false, false) => mask(rows, *place) | stamps,
    };
    let masks: Vec<u64> = places.iter().enumerate().map(brings).collect();
    let columns = new.columns().iter().zip(older.columns()).enumerate().map(|(column, (new, old))| {
        let is_new = |mask: &u64| column >= spec.schema.fields().len() || mask & (1 << column) != 0;
        if masks.iter().all(is_new) {
            return Ok(new.clone());
        }
        let picks: Vec<At> = masks.iter().enumerate().map(|(row, mask)| (usize::from(!is_new(mask)), row)).collect();
        Ok(interleave(&[new.as_ref(), old.as_ref()], &picks)?)
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, StoreError>>()?;
    let merged = RecordBatch::try_new(new.schema(), columns)?;
    // A repetition says nothing new: not even that it was recorded later, which would decide between equal starts. And what is
    // retracted already stays as it was.
    let same = SameRow::new(spec, older, &merged)?;
    let stays = |row: usize, place: usize| {
        was_retracted(row) && retracts(rows, place) || u32::try_from(row).is_ok_and(|row| same.row(row, row))
    };
    let picks: Vec<At> = places.iter().enumerate().map(|(row, place)| (usize::from(stays(row, *place)), row)).collect();
    if picks.iter().all(|(source, _)| *source == 0) { Ok(merged) } else { interleaved(&[&merged, older], &picks) }
}

/// Bits of the columns that a row brings.
fn mask(rows: &Rows, place: usize) -> u64 {
    rows.present.as_ref().and_then(|present| present.get(place)).copied().unwrap_or(u64::MAX)
}

fn retracts(rows: &Rows, place: usize) -> bool {
    rows.deleted.get(place).copied().unwrap_or(false)
}

/// Bits of the columns that are never inherited.
fn stamps(spec: &TableSpec) -> u64 {
    let stamp = |name: &str| matches!(name, RECORDED | RECORDED_BY | CHANGE_REASON);
    let fields = spec.schema.fields().iter().enumerate();
    fields.filter(|(_, field)| stamp(field.name())).fold(0, |mask, (index, _)| mask | (1 << index))
}
