//! What of a durable write concerns machines.

use std::collections::HashSet;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::{and, cast, filter_record_batch, not};
use arrow::datatypes::{DataType, Int32Type};
use arrow::record_batch::RecordBatch;
use oee::count::Piece;
use oee::plant::Plant;
use oee::reason::GivenReason;
use oee::state::StateRecord;
use oee::tables::{COUNTS, SAMPLES, STATES, STOP_REASONS, TABLES, WORK_ORDERS};
use oee::track::Reading;

use crate::error::QueryError;
use crate::functions::{StateRows, Texts, each_piece, each_reason, each_sample};

/// One thing that a row says of a machine.
#[derive(Debug)]
pub(super) enum Row<'a> {
    State(StateRecord),
    /// Pieces of records that came with one write.
    Pieces(Vec<Piece>),
    Reason(GivenReason),
    Sample(&'a str, Reading<'a>),
    /// A row was taken back.
    Retracted,
}

/// Rows of a write that concern machines.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) position: u64,
    rows: Vec<(&'static str, RecordBatch)>,
    orders: Vec<String>,
}

impl Committed {
    /// What of a write is worth keeping; none where nothing is.
    pub(super) fn of(plant: &Plant, position: u64, rows: &[(usize, RecordBatch)]) -> Option<Self> {
        let mut kept = Self { position, rows: Vec::new(), orders: Vec::new() };
        for (table, batch) in rows {
            let Some(name) = TABLES.get(*table).map(|table| table.name) else { continue };
            if name == SAMPLES.name {
                let bound = of_bound_signals(plant, batch).unwrap_or_else(|| batch.clone());
                if bound.num_rows() > 0 {
                    kept.rows.push((name, bound));
                }
            } else if [STATES.name, COUNTS.name, STOP_REASONS.name].contains(&name) {
                kept.rows.push((name, batch.clone()));
            } else if name == WORK_ORDERS.name
                && let Ok(orders) = Texts::of(batch, "work_order")
            {
                kept.orders.extend((0..batch.num_rows()).filter_map(|row| orders.at(row)).map(str::to_owned));
            }
        }
        (!kept.is_empty()).then_some(kept)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.orders.is_empty()
    }

    /// Orders whose rows have changed.
    pub(super) fn orders(&self) -> impl Iterator<Item = &str> {
        self.orders.iter().map(String::as_str)
    }

    /// Calls `take` with the equipment and what is said of it.
    pub(super) fn each(&self, plant: &Plant, mut take: impl FnMut(&str, Row<'_>)) -> Result<(), QueryError> {
        for (table, batch) in &self.rows {
            if *table == STOP_REASONS.name {
                let all = |path: &str| -> Vec<String> {
                    let below = plant.descendants(path).map(|below| below.path.as_str());
                    std::iter::once(path).chain(below).map(str::to_owned).collect()
                };
                let batch =
                    standing(batch, &mut |path: &str, _| all(path).iter().for_each(|path| take(path, Row::Retracted)))?;
                each_reason(plant, &batch, |path, reason| {
                    all(path).iter().for_each(|path| take(path, Row::Reason(reason.clone())));
                })?;
                continue;
            }
            let batch = standing(batch, &mut take)?;
            if *table == SAMPLES.name {
                each_sample(&batch, |path, signal, reading| take(path, Row::Sample(signal, reading)))?;
            } else if *table == STATES.name {
                StateRows::default().each(plant, &batch, |path, records| {
                    records.drain(..).for_each(|record| take(path, Row::State(record)));
                })?;
            } else {
                let mut pieces: Vec<(String, Vec<Piece>)> = Vec::new();
                each_piece(plant, &batch, |path, more| match pieces.iter_mut().find(|(known, _)| known == path) {
                    Some((_, pieces)) => pieces.append(more),
                    None => pieces.push((path.to_owned(), std::mem::take(more))),
                })?;
                pieces.into_iter().for_each(|(path, pieces)| take(&path, Row::Pieces(pieces)));
            }
        }
        Ok(())
    }
}

/// The rows that were not taken back; `take` hears of the others.
fn standing(batch: &RecordBatch, take: &mut impl FnMut(&str, Row<'_>)) -> Result<RecordBatch, QueryError> {
    let deleted = batch.column_by_name("deleted").and_then(|column| column.as_boolean_opt());
    let Some(deleted) = deleted.filter(|deleted| deleted.true_count() > 0) else { return Ok(batch.clone()) };
    let equipment = Texts::of(batch, "equipment")?;
    for path in (0..batch.num_rows()).filter(|&row| deleted.value(row)).filter_map(|row| equipment.at(row)) {
        take(path, Row::Retracted);
    }
    Ok(filter_record_batch(batch, &not(deleted)?)?)
}

/// The samples of signals that are bound somewhere, found by the names' dictionaries: most samples are of others.
fn of_bound_signals(plant: &Plant, batch: &RecordBatch) -> Option<RecordBatch> {
    let signals: HashSet<&str> = plant.bound_signals().collect();
    let kept = among(batch.column_by_name("signal")?, |name| signals.contains(name))?;
    if kept.true_count() == 0 {
        return Some(batch.slice(0, 0));
    }
    let declared = among(batch.column_by_name("equipment")?, |path| plant.equipment(path).is_some())?;
    filter_record_batch(batch, &and(&kept, &declared).ok()?).ok()
}

/// Which names of a column are wanted.
fn among(column: &ArrayRef, wanted: impl Fn(&str) -> bool) -> Option<BooleanArray> {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let names = cast(column, &kind).ok()?;
    let names = names.as_dictionary::<Int32Type>();
    let texts = names.values().as_string_opt::<i32>()?;
    let kept: Vec<bool> = texts.iter().map(|name| name.is_some_and(&wanted)).collect();
    let is_kept = |key: Option<i32>| {
        let place = key.and_then(|key| usize::try_from(key).ok());
        Some(place.and_then(|place| kept.get(place)).copied().unwrap_or(false))
    };
    Some(names.keys().iter().map(is_kept).collect())
}
