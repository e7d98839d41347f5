//! Characteristics that are measured of signals: what the samples of a signal come to while a unit is at an operation becomes
//! a row of `measurements`, so that charts, frozen limits, alarms, capability and reports have it like any other.
//!
//! A curve is measured once its operation has ended and its samples have had time to come. Samples that come later, and
//! executions that are corrected, correct the measurement. What nobody measured while takt was down is measured after a start.

mod measure;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use oee::OPEN;
use oee::execution::Execution;
use oee::path::lineage;
use oee::plant::{Curve, Plant};
use oee::tables::{MEASUREMENTS, OPERATIONS, SAMPLES, TABLES};

use crate::context::Context;
use crate::error::QueryError;
use crate::functions::gather::{Gather, Present, among};
use crate::functions::values::{Names, Texts, Times};
pub use measure::Measurement;
use measure::measure;

/// Executions that are measured at once: their samples are held in memory together.
const CHUNK: usize = 64;
/// Stretches of an equipment that are nearer to each other than this are looked at as one, microseconds.
const GAP_US: i64 = 10_000_000;
/// More stretches of an equipment than this are looked at as one.
const MOST_STRETCHES: usize = 256;
/// What is measured anew after a start of what was measured before, microseconds.
const OVERLAP_US: i64 = 3_600_000_000;
/// A correction that comes sooner finds what it corrects within this time of now, microseconds.
const RECENT_US: i64 = 600_000_000;

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
    /// How long samples can be on their way at most.
    settle_us: i64,
    waiting: Mutex<Waiting>,
    stirred: AtomicBool,
    board: tokio::sync::Mutex<Board>,
}

impl std::fmt::Debug for CurveWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CurveWatch").finish_non_exhaustive()
    }
}

/// What came in since the last look.
#[derive(Default)]
struct Waiting {
    /// Where and when samples came, or executions ended.
    stretches: HashMap<(String, Cause), Vec<(i64, i64)>>,
    /// Executions that ended, or were corrected or retracted.
    runs: HashMap<String, Pending>,
    /// All is looked at that was not measured yet.
    anew: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Cause {
    Samples,
    Execution,
}

/// Why an execution is to be measured, and when.
#[derive(Debug, Clone, Copy)]
struct Pending {
    due: i64,
    /// It may have been measured at any time.
    is_late: bool,
}

impl Pending {
    fn join(self, other: Self) -> Self {
        Self { due: self.due.min(other.due), is_late: self.is_late || other.is_late }
    }
}

#[derive(Default)]
struct Board {
    /// What came in and was not looked at yet.
    held: Waiting,
    pending: HashMap<String, Pending>,
    /// What was not measured before the start, the oldest first.
    backlog: VecDeque<String>,
}

impl CurveWatch {
    pub(crate) fn new(present: Present) -> Self {
        let curves = || curves(present.plant());
        Self {
            signals: curves().map(|(_, curve)| curve.signal.clone()).collect(),
            settle_us: curves().map(|(_, curve)| curve.settle_us).max().unwrap_or_default(),
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

    /// Takes the rows of a durable write, each with the place of its table.
    pub fn note(&self, rows: &[(usize, RecordBatch)], now: i64) {
        if !self.is_needed() {
            return;
        }
        for (place, batch) in rows {
            let name = TABLES.get(*place).map(|table| table.name);
            let noted = match name {
                Some(name) if name == SAMPLES.name => self.note_samples(batch),
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

    fn note_samples(&self, batch: &RecordBatch) -> Result<(), QueryError> {
        let (signals, equipment) = (Names::of(batch, "signal")?, Names::of(batch, "equipment")?);
        let times = Times::of(batch, "time")?;
        let mut known: HashMap<i32, bool> = HashMap::new();
        let mut spans: HashMap<i32, (i64, i64)> = HashMap::new();
        for row in 0..batch.num_rows() {
            let (Some(signal), Some(place), Some(time)) = (signals.key(row), equipment.key(row), times.at(row)) else {
                continue;
            };
            let wanted = || signals.text(signal).is_some_and(|name| self.signals.contains(name));
            if *known.entry(signal).or_insert_with(wanted) {
                let span = spans.entry(place).or_insert((time, time));
                *span = (span.0.min(time), span.1.max(time));
            }
        }
        if spans.is_empty() {
            return Ok(());
        }
        let mut waiting = self.waiting();
        for (place, span) in spans {
            if let Some(path) = equipment.text(place) {
                waiting.stretch(path, Cause::Samples, span);
            }
        }
        self.stirred.store(true, Ordering::Release);
        Ok(())
    }

    fn note_executions(&self, batch: &RecordBatch, now: i64) -> Result<(), QueryError> {
        let [runs, equipment] = ["run", "equipment"].map(|name| Texts::of(batch, name));
        let (runs, equipment) = (runs?, equipment?);
        let (started, completed) = (Times::of(batch, "started")?, Times::of(batch, "completed")?);
        let deleted = batch.column_by_name("deleted").and_then(|column| column.as_boolean_opt());
        let mut waiting = self.waiting();
        for row in 0..batch.num_rows() {
            let is_deleted = deleted.is_some_and(|deleted| deleted.is_valid(row) && deleted.value(row));
            if let Some(run) = runs.at(row)
                && (is_deleted || completed.at(row).is_some())
            {
                let is_late = is_deleted || completed.at(row).is_some_and(|end| end < now.saturating_sub(RECENT_US));
                let pending = Pending { due: now.saturating_add(self.settle_us), is_late };
                waiting.runs.entry(run.to_owned()).and_modify(|known| *known = known.join(pending)).or_insert(pending);
            }
            // A start ends what was open before it.
            if let Some((path, time)) = equipment.at(row).zip(started.at(row)) {
                waiting.stretch(path, Cause::Execution, (time.saturating_sub(1), time));
            }
        }
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
        let waiting = std::mem::take(&mut *self.waiting());
        let gather = self.present.gather(now).0;
        board.held.join(waiting);
        let found = board.look(&gather, now, self.settle_us).await;
        if found.is_err() {
            self.stirred.store(true, Ordering::Release);
        }
        found
    }

    /// What a look found could not be written: the next one finds it again.
    pub async fn again(&self, measured: Measured) {
        self.board.lock().await.pending.extend(measured.runs);
    }
}

impl Waiting {
    fn join(&mut self, later: Self) {
        for ((path, cause), spans) in later.stretches {
            spans.into_iter().for_each(|span| self.stretch(&path, cause, span));
        }
        for (run, pending) in later.runs {
            self.runs.entry(run).and_modify(|known| *known = known.join(pending)).or_insert(pending);
        }
        self.anew |= later.anew;
    }

    fn stretch(&mut self, path: &str, cause: Cause, (from, to): (i64, i64)) {
        let known = self.stretches.entry((path.to_owned(), cause)).or_default();
        let near =
            |span: &&mut (i64, i64)| from <= span.1.saturating_add(GAP_US) && span.0 <= to.saturating_add(GAP_US);
        let hull = |one: (i64, i64), other: (i64, i64)| (one.0.min(other.0), one.1.max(other.1));
        if let Some(span) = known.iter_mut().rev().find(near) {
            *span = hull(*span, (from, to));
        } else if known.len() < MOST_STRETCHES {
            known.push((from, to));
        } else {
            let all = known.drain(..).fold((from, to), hull);
            known.push(all);
        }
    }
}

impl Board {
    fn has_due(&self, now: i64) -> bool {
        !self.backlog.is_empty() || self.pending.values().any(|pending| pending.due <= now)
    }

    async fn look(&mut self, gather: &Gather, now: i64, settle_us: i64) -> Result<Measured, QueryError> {
        let Some(context) = gather.view.context().await? else { return Ok(Measured::default()) };
        if self.held.anew {
            let mut known: HashSet<String> = self.backlog.iter().cloned().collect();
            for (end, run) in backlog(gather, &context, now).await? {
                let due = end.saturating_add(settle_us);
                if now < due {
                    self.pending.entry(run).or_insert(Pending { due, is_late: false });
                } else if known.insert(run.clone()) {
                    self.backlog.push_back(run);
                }
            }
        }
        let waiting = std::mem::take(&mut self.held);
        self.take_in(&context, waiting, now, settle_us);
        let mut runs: Vec<(String, Pending)> = Vec::new();
        let due = self.pending.iter().filter(|(_, pending)| pending.due <= now).map(|(run, _)| run.clone());
        for run in due.take(CHUNK).collect::<Vec<_>>() {
            runs.extend(self.pending.remove_entry(&run));
        }
        while runs.len() < CHUNK
            && let Some(run) = self.backlog.pop_front()
        {
            runs.push((run, Pending { due: now, is_late: false }));
        }
        if runs.is_empty() {
            return Ok(Measured::default());
        }
        match measure(gather, &context, &runs, now).await {
            Ok(rows) => Ok(Measured { rows, more: self.has_due(now), runs }),
            Err(error) => {
                self.pending.extend(runs);
                Err(error)
            }
        }
    }

    /// Which executions that have ended the writes are about.
    fn take_in(&mut self, context: &Context, waiting: Waiting, now: i64, settle_us: i64) {
        let mut pend = |run: &str, pending: Pending| {
            let known = self.pending.entry(run.to_owned());
            known.and_modify(|known| *known = known.join(pending)).or_insert(pending);
        };
        for (run, pending) in waiting.runs {
            pend(&run, pending);
        }
        for ((path, cause), spans) in waiting.stretches {
            let pending = Pending { due: now.saturating_add(settle_us), is_late: false };
            // Executions on a line are those of what lies below it too.
            let above = lineage(&path).take(if cause == Cause::Samples { usize::MAX } else { 1 });
            for (path, (from, to)) in above.flat_map(|path| spans.iter().map(move |span| (path, *span))) {
                for (execution, end) in context.executions.units_within(path, from, to) {
                    if end < OPEN {
                        pend(&execution.run, pending);
                    }
                }
            }
        }
    }
}

/// The characteristics that are measured of a signal, and how.
fn curves(plant: &Plant) -> impl Iterator<Item = (&str, &Curve)> {
    let characteristics = plant.characteristics().iter();
    characteristics.filter_map(|known| Some((known.characteristic.as_str(), known.curve.as_ref()?)))
}

/// Executions that have ended and lack a measurement, with the end of each, the oldest first; and the latest of the others, whose
/// samples may have come last.
async fn backlog(gather: &Gather, context: &Context, now: i64) -> Result<Vec<(i64, String)>, QueryError> {
    let plant = &gather.plant;
    let names: BTreeSet<&str> = curves(plant).map(|(name, _)| name).collect();
    let mut measured: HashMap<String, HashSet<String>> = HashMap::new();
    let mut newest = i64::MIN;
    let columns = ["characteristic", "gauge", "time", "run"];
    let mut stream = gather.rows(MEASUREMENTS.name, among("characteristic", names), &columns, &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let (names, gauges) = (Names::of(&batch, "characteristic")?, Names::of(&batch, "gauge")?);
        let (times, runs) = (Times::of(&batch, "time")?, Texts::of(&batch, "run")?);
        for row in 0..batch.num_rows() {
            let (Some(name), Some(gauge), Some(run)) = (names.at(row), gauges.at(row), runs.at(row)) else { continue };
            if curves(plant).any(|(known, curve)| known == name && curve.gauge() == gauge) {
                measured.entry(name.to_owned()).or_default().insert(run.to_owned());
                newest = newest.max(times.at(row).unwrap_or(i64::MIN));
            }
        }
    }
    let lacks = |execution: &Execution| {
        let mut wanted = plant.curves(execution.product.as_deref(), execution.operation.as_deref()).into_iter();
        wanted.any(|(name, _)| measured.get(name).is_none_or(|runs| !runs.contains(&execution.run)))
    };
    let recent = newest.saturating_sub(OVERLAP_US);
    let mut found: Vec<(i64, String)> = context
        .executions
        .iter()
        .filter(|execution| execution.unit.is_some())
        .filter_map(|execution| Some((context.executions.effective_end(&execution.run)?, execution)))
        .filter(|(end, execution)| *end <= now && (recent <= *end || lacks(execution)))
        .map(|(end, execution)| (end, execution.run.clone()))
        .collect();
    found.sort_unstable();
    if found.len() > CHUNK {
        tracing::info!(executions = found.len(), "signals are measured of what has not been measured yet");
    }
    Ok(found)
}
