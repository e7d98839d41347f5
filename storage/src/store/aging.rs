//! Old rows: those that are older than their table keeps them are removed, and old segments move to the cold folder.
//!
//! Every hour, and after a start, the flusher looks for both. Segments of which all rows are too old leave in one commit.
//! Segments that reach back too far are written again without those rows. For a table this comes before its history:
//! what a history says of a row is needed for as long as the row is in a segment. It all happens between merges, never
//! beside one, so that no merge holds what has left; and the limit is the start of a day, for segments are of one day.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam::channel::Sender;

use super::compact::{Job, Task, rows_job};
use super::flush::Flusher;
use super::{Clock, Options, Shared};
use crate::StoreError;
use crate::hot::Chunk;
use crate::segment::{Segment, first_kept};
use crate::spec::{TableSpec, Upsert};

/// How often the store looks for old rows, microseconds.
const INTERVAL_US: i64 = 3_600_000_000;

/// The ages of a table, microseconds.
#[derive(Debug, Clone, Copy)]
struct Ages {
    keep: Option<i64>,
    cold: Option<i64>,
}

/// From which time on rows of a table stay, and stay where they are.
#[derive(Debug, Clone, Copy)]
struct Limits {
    keep: Option<i64>,
    cold: Option<i64>,
}

/// When the store looks for old rows, and what it has found.
pub(super) struct Aging {
    /// Table by table.
    ages: Vec<Ages>,
    /// When it looked last.
    last_us: Option<i64>,
    /// The limits of the look under way, table by table.
    limits: Option<Vec<Limits>>,
    /// Who waits for the next look …
    asked: Vec<Sender<Result<(), StoreError>>>,
    /// … and who for this one.
    waiting: Vec<Sender<Result<(), StoreError>>>,
}

/// What comes next.
enum Step {
    /// The joiner has to write something.
    Task(Task),
    /// Segments are about to be merged: they do not move before.
    Wait,
    /// Nothing is too old.
    Done,
}

/// Segments by how they lie to a limit.
struct Sorted {
    /// All rows are older.
    old: Vec<Arc<Segment>>,
    /// Some are.
    mixed: Vec<Arc<Segment>>,
}

impl Aging {
    pub(super) fn new(specs: &[TableSpec], options: &Options) -> Result<Self, StoreError> {
        let none = std::collections::BTreeMap::new();
        let cold = options.tiering.as_ref().map_or(&none, |tiering| &tiering.ages);
        for name in options.retention.keys().chain(cold.keys()) {
            if !specs.iter().any(|spec| spec.name == *name && spec.age.is_some()) {
                return Err(StoreError::Invalid(format!("no age can be given for a table {name}")));
            }
        }
        let micros = |age: &Duration| i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let ages = specs.iter().map(|spec| Ages {
            keep: options.retention.get(&spec.name).map(micros),
            cold: cold.get(&spec.name).map(micros),
        });
        Ok(Self { ages: ages.collect(), last_us: None, limits: None, asked: Vec::new(), waiting: Vec::new() })
    }

    pub(super) fn ask(&mut self, caller: Sender<Result<(), StoreError>>) {
        self.asked.push(caller);
    }

    /// Begins to look where that is due by the clock; says whether there is a look under way then.
    fn begin(&mut self, clock: &Clock) -> bool {
        let has_ages = self.ages.iter().any(|ages| ages.keep.or(ages.cold).is_some());
        if !has_ages && self.asked.is_empty() {
            return false;
        }
        let now_us = clock();
        // A clock that was put back must not keep rows for as long as it was wrong.
        let is_time = self.last_us.is_none_or(|last| now_us < last || now_us - last >= INTERVAL_US);
        let is_asked = self.limits.is_none() && !self.asked.is_empty();
        if is_asked || is_time {
            let limit = |age: i64| first_kept(now_us, age);
            let limits = |ages: &Ages| Limits { keep: ages.keep.map(limit), cold: ages.cold.map(limit) };
            self.limits = Some(self.ages.iter().map(limits).collect());
            self.last_us = Some(now_us);
            self.waiting.append(&mut self.asked);
        }
        self.limits.is_some()
    }

    fn end(&mut self, outcome: &Result<(), StoreError>) {
        self.limits = None;
        for caller in self.waiting.drain(..) {
            if caller.send(outcome.clone()).is_err() {
                tracing::debug!("nobody waited for old rows to leave");
            }
        }
    }
}

impl Flusher {
    /// Does what is next about old rows, where that is due and the joiner is free.
    pub(super) fn age_due(&mut self) {
        // The look for the newest rows would have to begin afresh.
        if self.joining || !self.shared.looked.load(Ordering::Acquire) || !self.join_retry.is_due() {
            return;
        }
        if !self.aging.begin(&self.shared.options.clock) {
            return;
        }
        match self.shared.alive().and_then(|()| self.age_step()) {
            Ok(Step::Task(task)) => self.hand_over(task),
            Ok(Step::Wait) => {}
            Ok(Step::Done) => self.aging.end(&Ok(())),
            Err(error) => self.aging_failed(error),
        }
    }

    /// What could not be done is tried again before the hour is over, unless it needs a person.
    pub(super) fn aging_failed(&mut self, error: StoreError) {
        match &error {
            StoreError::Poisoned(reason) => self.shared.poison(reason),
            error => {
                self.join_retry.note(true);
                self.aging.last_us = None;
                tracing::error!(%error, "old rows could not be removed; it is tried again");
            }
        }
        self.aging.end(&Err(error));
    }

    fn age_step(&mut self) -> Result<Step, StoreError> {
        let limits = self.aging.limits.clone().unwrap_or_default();
        for (table, limits) in limits.iter().enumerate() {
            if let Some(limit) = limits.keep
                && let Some(job) = self.expire(table, limit)?
            {
                return Ok(Step::Task(Task::Merge(job)));
            }
        }
        // A compaction is long, and writes most of what it reads again.
        if self.compaction.is_some() || limits.iter().all(|limits| limits.cold.is_none()) {
            return Ok(Step::Done);
        }
        if self.unsettled {
            return Ok(Step::Wait);
        }
        let next = limits.iter().enumerate().find_map(|(table, limits)| self.next_to_move(table, limits.cold?));
        Ok(next.map_or(Step::Done, |segment| Step::Task(Task::Move(segment))))
    }

    /// Removes segments of rows that are older than `limit`; gives the job of writing again those that have some.
    fn expire(&mut self, table: usize, limit: i64) -> Result<Option<Job>, StoreError> {
        for of_history in [false, true] {
            let mut found = self.sorted(table, of_history, limit);
            // A partial record that only the log has still needs the row it changes: after a crash it is filled in from there. And a
            // row without what it replaced would seem to have been known from the beginning.
            if !of_history && !(found.old.is_empty() && found.mixed.is_empty()) && self.is_hot_before(table, limit) {
                self.flush(&[table])?;
                found = self.sorted(table, of_history, limit);
            }
            let Sorted { old, mixed } = found;
            self.remove(table, of_history, old, limit)?;
            let job = self.job_without(table, of_history, &mixed, limit);
            // What cannot be written again keeps its history.
            if job.is_some() || !mixed.is_empty() {
                return Ok(job);
            }
        }
        Ok(None)
    }

    /// Whether rows of a table of records are hot, or such as are older than `limit`.
    fn is_hot_before(&self, table: usize, limit: i64) -> bool {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let is_old = |chunk: &Arc<Chunk>| chunk.span.is_none_or(|(first, _)| first < limit);
        let hot = |table: &super::Table| {
            table.hot.rows() > 0 && (table.spec.upsert == Upsert::Record || table.hot.chunks.iter().any(is_old))
        };
        state.tables.get(table).is_some_and(hot)
    }

    fn sorted(&self, table: usize, of_history: bool, limit: i64) -> Sorted {
        let mut sorted = Sorted { old: Vec::new(), mixed: Vec::new() };
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(rows) = state.tables.get(table) else { return sorted };
        for segment in if of_history { &rows.history } else { &rows.segments } {
            match span(&rows.spec, segment) {
                Some((_, last)) if last < limit => sorted.old.push(segment.clone()),
                Some((first, _)) if first < limit => sorted.mixed.push(segment.clone()),
                _ => {}
            }
        }
        sorted
    }

    fn remove(&mut self, table: usize, of_history: bool, old: Vec<Arc<Segment>>, limit: i64) -> Result<(), StoreError> {
        let Some(logs) = self.logs.get_mut(table).filter(|_| !old.is_empty()) else { return Ok(()) };
        let spec = self.shared.specs.get(table).ok_or(StoreError::Closed)?;
        let history_spec = logs.history_spec.clone();
        let (log, spec) = if of_history { (&mut logs.history, &*history_spec) } else { (&mut logs.rows, spec) };
        log.replace(&[], spec, &old, true)?;
        let (rows, bytes) = (old.iter().map(|old| old.rows).sum(), old.iter().map(|old| old.bytes).sum());
        tracing::info!(table = spec.name, segments = old.len(), rows, bytes, "removed rows that were too old");
        let counts = &self.shared.counts;
        counts.expired_rows.fetch_add(rows, Ordering::Relaxed);
        counts.expired_bytes.fetch_add(bytes, Ordering::Relaxed);
        counts.expired_segments.fetch_add(old.len() as u64, Ordering::Relaxed);
        self.exchange(table, of_history, Vec::new(), old, Some(limit));
        Ok(())
    }

    fn job_without(&self, table: usize, of_history: bool, mixed: &[Arc<Segment>], limit: i64) -> Option<Job> {
        let mut parts = self.mergeable(mixed, |_| true);
        parts.truncate(super::tiers::FAN_IN);
        if parts.is_empty() {
            return None;
        }
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let rows = state.tables.get(table)?;
        let mut job = if of_history { self.history_job(table, rows, parts)? } else { rows_job(table, rows, parts) };
        job.since = Some(limit);
        Some(job)
    }

    /// A segment of rows that are all older than `limit` and that is not in the cold folder yet.
    fn next_to_move(&self, table: usize, limit: i64) -> Option<Arc<Segment>> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let rows = state.tables.get(table)?;
        let moves = |segment: &&Arc<Segment>| {
            !segment.cold.load(Ordering::Relaxed) && span(&rows.spec, segment).is_some_and(|(_, last)| last < limit)
        };
        rows.segments.iter().chain(&rows.history).find(moves).cloned()
    }

    /// A segment has moved, or could not: then the others wait for the next hour.
    pub(super) fn moved(&mut self, outcome: Result<(), StoreError>) {
        self.joining = false;
        match outcome {
            Ok(()) => self.shared.note_tiering(None),
            Err(error @ StoreError::Poisoned(_)) => self.aging_failed(error),
            Err(StoreError::Closed) => self.aging.end(&Err(StoreError::Closed)),
            Err(error) => {
                self.shared.note_tiering(Some(&error));
                self.aging.end(&Err(error));
            }
        }
        self.compact_asked();
        // Merges come first.
        self.compact_due();
        self.age_due();
    }
}

/// The joiner's part of a move.
pub(super) fn move_to_cold(shared: &Shared, segment: &Segment) -> Result<(), StoreError> {
    if shared.closing.load(Ordering::Acquire) {
        return Err(StoreError::Closed);
    }
    crate::cold::move_file(shared.options.disk.as_ref(), &shared.folder, &segment.path)?;
    segment.cold.store(true, Ordering::Relaxed);
    Ok(())
}

/// The earliest and the latest time of a segment's rows, by which they age.
fn span(spec: &TableSpec, segment: &Segment) -> Option<(i64, i64)> {
    segment.span_of(spec.schema.field(spec.age?).name())
}
