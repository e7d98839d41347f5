//! Characteristics that are measured of signals: what the samples of a signal come to while a unit is at an operation becomes
//! a row of `measurements`, so that charts, frozen limits, alarms, capability and reports have it like any other.
//!
//! A curve is measured once its operation has ended and its samples have had time to come. Samples that come later, and
//! executions that are corrected, correct the measurement. What nobody measured while takt was down is measured after a start.

mod backlog;
mod board;
mod measure;
mod row;
mod touched;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::record_batch::RecordBatch;
use oee::execution::Execution;
use oee::plant::{Curve, Plant};
use oee::tables::{OPERATIONS, SAMPLES, TABLES};

use crate::error::QueryError;
use crate::functions::gather::Present;
use crate::functions::values::{Names, Texts, Times};
use board::{Board, Pending};
pub use row::{AUTHOR, Measurement};
use waiting::Waiting;

/// What a look found.
#[derive(Debug, Default)]
pub struct Measured {
    /// Rows to be written.
    pub rows: Vec<Measurement>,
    /// Whether there is more to look at right away.
    pub more: bool,
    runs: Vec<(String, Pending)>,
}

/// Measures what characteristics want of signals; cheap to share.
pub struct CurveWatch {
    present: Present,
    /// The signals that are measured.
    signals: HashSet<String>,
    waiting: Mutex<Waiting>,
    stirred: AtomicBool,
    board: tokio::sync::Mutex<Board>,
}

impl std::fmt::Debug for CurveWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CurveWatch").finish_non_exhaustive()
    }
}

impl CurveWatch {
    pub(crate) fn new(present: Present) -> Self {
        Self {
            signals: curves(present.plant()).map(|(_, curve)| curve.signal.clone()).collect(),
            waiting: Mutex::new(Waiting { anew: true, ..Waiting::default() }),
            stirred: AtomicBool::new(true),
            board: tokio::sync::Mutex::default(),
            present,
        }
    }

    /// Whether any characteristic is measured of a signal.
    pub fn is_needed(&self) -> bool {
        !self.signals.is_empty()
    }

    /// Takes the rows of a durable write, each with the place of its table, that came at `now`.
    pub fn note(&self, rows: &[(usize, RecordBatch)], now: i64) {
        if !self.is_needed() {
            return;
        }
        for (place, batch) in rows {
            let name = TABLES.get(*place).map(|table| table.name);
            let noted = match name {
                Some(name) if name == SAMPLES.name => self.note_samples(batch, now),
                Some(name) if name == OPERATIONS.name => self.note_executions(batch, now),
                _ => continue,
            };
            if let Err(error) = noted {
                tracing::warn!(%error, "signals are measured anew");
                self.lose();
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_samples(&self, batch: &RecordBatch, now: i64) -> Result<(), QueryError> {
        let spans = spans(&self.signals, batch)?;
        if !spans.is_empty() {
            let mut waiting = self.waiting();
            waiting.since.get_or_insert(now);
            spans.into_iter().for_each(|(path, span)| waiting.stretch(&path, span));
            self.stirred.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn note_executions(&self, batch: &RecordBatch, now: i64) -> Result<(), QueryError> {
        let runs = Texts::of(batch, "run")?;
        let mut waiting = self.waiting();
        waiting.since.get_or_insert(now);
        waiting.runs.extend((0..batch.num_rows()).filter_map(|row| runs.at(row)).map(str::to_owned));
        self.stirred.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes were lost on the way: what was not measured is looked for.
    pub fn lose(&self) {
        self.waiting().anew = true;
        self.stirred.store(true, Ordering::Release);
    }

    /// What there is to write.
    ///
    /// # Errors
    /// [`QueryError`] where the tables cannot be read: the next look finds it again.
    pub async fn look(&self, now: i64) -> Result<Measured, QueryError> {
        let mut board = self.board.lock().await;
        let stirred = self.stirred.swap(false, Ordering::AcqRel);
        if !self.is_needed() || !stirred && !board.has_due(now) {
            return Ok(Measured::default());
        }
        // What was noted is visible in what is gathered after.
        let waiting = std::mem::take(&mut *self.waiting());
        let gather = self.present.gather(now).0;
        board.note(waiting);
        let found = board.look(&gather, &self.signals, now).await;
        if found.is_err() {
            self.stirred.store(true, Ordering::Release);
        }
        found
    }

    /// What was written by then, microseconds UTC, was looked at before this start; without it more is measured anew than need be.
    pub async fn begin_at(&self, through: Option<i64>) {
        self.board.lock().await.begin_at(through);
    }

    /// What was written by then is looked at, and measured: where the next start can begin. None before the first look.
    pub async fn through(&self) -> Option<i64> {
        self.board.lock().await.through()
    }

    /// What a look found could not be written: the next one finds it again.
    pub async fn again(&self, measured: Measured) {
        self.board.lock().await.pend(measured.runs);
    }
}

/// By equipment, from when to when a batch of samples is, as far as it is of some signals.
fn spans(signals: &HashSet<String>, batch: &RecordBatch) -> Result<HashMap<String, (i64, i64)>, QueryError> {
    let (names, equipment) = (Names::of(batch, "signal")?, Names::of(batch, "equipment")?);
    let times = Times::of(batch, "time")?;
    let mut known: HashMap<i32, bool> = HashMap::new();
    let mut spans: HashMap<i32, (i64, i64)> = HashMap::new();
    for row in 0..batch.num_rows() {
        let (Some(signal), Some(place), Some(time)) = (names.key(row), equipment.key(row), times.at(row)) else {
            continue;
        };
        let wanted = || names.text(signal).is_some_and(|name| signals.contains(name));
        if *known.entry(signal).or_insert_with(wanted) {
            let span = spans.entry(place).or_insert((time, time));
            *span = hull(*span, (time, time));
        }
    }
    Ok(spans.into_iter().filter_map(|(place, span)| Some((equipment.text(place)?.to_owned(), span))).collect())
}

/// The characteristics that are measured of a signal, and how.
fn curves(plant: &Plant) -> impl Iterator<Item = (&str, &Curve)> {
    let characteristics = plant.characteristics().iter();
    characteristics.filter_map(|known| Some((known.characteristic.as_str(), known.curve.as_ref()?)))
}

/// How long samples of an execution can be on their way, microseconds; none where nothing is measured of it, whatever its product.
fn settle_us(plant: &Plant, execution: &Execution) -> Option<i64> {
    let fits =
        |operation: &Option<String>| operation.is_none() || operation.as_deref() == execution.operation.as_deref();
    let fitting = plant.characteristics().iter().filter(|known| fits(&known.operation));
    fitting.filter_map(|known| known.curve.as_ref()).map(|curve| curve.settle_us).max()
}

/// The shortest span that holds both.
fn hull(one: (i64, i64), other: (i64, i64)) -> (i64, i64) {
    (one.0.min(other.0), one.1.max(other.1))
}
