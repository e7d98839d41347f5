//! Merges segments, of tables and of their histories, so that many flushes are read from few files.
//!
//! The flusher picks what is merged and commits it; the joiner writes. Superseded rows go, for the history has them;
//! retractions stay, for they hide what lies in older segments; and derived columns are derived afresh where something
//! changed since they were. A new segment takes the sequence of its newest part. The parts need not be neighbours: a key is
//! current in one segment alone, for what superseded it in others is known. A history only grows: all its rows stay.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use super::flush::{Command, Flusher};
use super::merge::{Cut, Equals, Merge, Part, Plan, is_joined, piece_rows};
use super::tiers::{Unsettled, days, due, unsettled, unsettled_rows};
use super::{Shared, Table};
use crate::StoreError;
use crate::dead::Dead;
use crate::disk::discard;
use crate::keys::KeySet;
use crate::newest::{self, Newest};
use crate::segment::{Segment, Stamp};
use crate::spec::TableSpec;

/// Files stay this long after they left the table: other readers may have listed them just before.
const GRACE: Duration = Duration::from_secs(600);
/// Under pressure merges of a table wait until it has so many segments that were never merged, and those of its history likewise.
const MOST_WAITING: usize = 512;
/// Segments whose merge failed are left alone for this long.
const LEFT_ALONE: Duration = Duration::from_secs(600);

/// A segment that left its table.
pub(super) struct Retired {
    segment: Arc<Segment>,
    since: Instant,
}

/// Segments to be merged, oldest first.
pub(super) struct Job {
    table: usize,
    spec: Arc<TableSpec>,
    parts: Vec<Arc<Segment>>,
    plan: Plan,
    of: Of,
    /// Whether it is part of a compaction that was asked for.
    asked: bool,
    /// Rows before this time are left out.
    pub(super) since: Option<i64>,
}

/// What the joiner does.
pub(super) enum Task {
    /// Merges segments.
    Merge(Job),
    /// Moves one to the cold folder.
    Move(Arc<Segment>),
}

/// What the parts of a job are segments of.
enum Of {
    /// A table, and what was superseded in it when they were picked.
    Table(Vec<Arc<Dead>>),
    /// Its history.
    History,
}

/// A compaction that was asked for.
pub(super) struct Compaction {
    callers: Vec<Sender<Result<u64, StoreError>>>,
    /// Rows that it has merged.
    rows: u64,
    /// What is flushed later is not part of it.
    through: u64,
    /// Tables, whether their histories, and days that are done.
    done: HashSet<(usize, bool, i64)>,
    /// What kept some of it from being merged.
    failure: Option<StoreError>,
}

impl Compaction {
    fn answer(&mut self, outcome: Result<(), StoreError>) {
        match &outcome {
            Ok(()) => tracing::info!(rows = self.rows, "compacted"),
            Err(error) => tracing::warn!(rows = self.rows, %error, "the compaction broke off"),
        }
        let outcome = outcome.map(|()| self.rows);
        for caller in self.callers.drain(..) {
            if caller.send(outcome.clone()).is_err() {
                tracing::debug!("nobody waited for a compaction to end");
            }
        }
    }
}

/// Merged segments that are not in their table yet.
pub(super) struct Joined {
    job: Job,
    written: Result<Written, StoreError>,
}

struct Written {
    segments: Vec<Segment>,
    /// Rows that were left out because they are too old.
    expired: u64,
}

/// The joiner's thread: writes merged segments beside the flusher, which alone commits them.
pub(super) fn join_all(shared: &Shared, tasks: &Receiver<Task>, flushes: &Sender<Command>) {
    for task in tasks {
        let done = match task {
            Task::Move(segment) => Command::Moved(super::aging::move_to_cold(shared, &segment)),
            Task::Merge(job) => {
                let written = catch_unwind(AssertUnwindSafe(|| write_merged(shared, &job)));
                let written = written.unwrap_or_else(|_| Err(StoreError::Invalid("a merge panicked".into())));
                Command::Joined(Box::new(Joined { job, written }))
            }
        };
        if flushes.send(done).is_err() {
            return;
        }
    }
}

impl Flusher {
    /// Has some segments of one table merged, where that is due; removes files whose grace has passed.
    pub(super) fn compact_due(&mut self) {
        if !self.joining
            && let Some(job) = self.due_job(0)
        {
            self.hand_over(Task::Merge(job));
        }
        self.remove_retired();
    }

    pub(super) fn hand_over(&mut self, task: Task) {
        self.joining = self.jobs.send(task).is_ok();
    }

    /// What is due among segments that came after the position `after`.
    fn due_job(&mut self, after: u64) -> Option<Job> {
        if !self.unsettled || !self.join_retry.is_due() || self.shared.alive().is_err() {
            return None;
        }
        self.failed.retain(|_, since| since.elapsed() < LEFT_ALONE);
        let piece_rows = piece_rows(self.shared.options.segment_rows);
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let calm = self.pressure.is_calm();
        let wait = |segments: &[Arc<Segment>]| {
            !calm && segments.iter().filter(|segment| !is_joined(segment)).count() < MOST_WAITING
        };
        let tables = || state.tables.iter().enumerate();
        let due = |rows: &Table, segments: &[Arc<Segment>]| {
            if wait(segments) {
                return None;
            }
            due(rows.spec.time.is_some(), &self.mergeable(segments, |sequence| sequence > after), piece_rows)
        };
        let of_table = |(table, rows): (usize, &Table)| Some(rows_job(table, rows, due(rows, &rows.segments)?));
        let of_history = |(table, rows): (usize, &Table)| self.history_job(table, rows, due(rows, &rows.history)?);
        let job = tables().find_map(of_table).or_else(|| tables().find_map(of_history));
        drop(state);
        self.unsettled = job.is_some() || after > 0 || !calm;
        job
    }

    pub(super) fn mergeable(&self, segments: &[Arc<Segment>], in_reach: impl Fn(u64) -> bool) -> Vec<Arc<Segment>> {
        let mergeable =
            |segment: &&Arc<Segment>| in_reach(segment.sequence) && !self.failed.contains_key(&segment.path);
        segments.iter().filter(mergeable).cloned().collect()
    }

    /// Takes in what the joiner has written.
    pub(super) fn joined(&mut self, joined: Joined) {
        self.joining = false;
        let (asked, is_aging) = (joined.job.asked, joined.job.since.is_some());
        let parts: Vec<PathBuf> = joined.job.parts.iter().map(|part| part.path.clone()).collect();
        let rows: u64 = joined.job.parts.iter().map(|part| part.rows).sum();
        let committed = self.commit_joined(joined);
        self.join_retry.note(committed.is_err());
        match &committed {
            Ok(()) | Err(StoreError::Closed) => {}
            Err(error) => {
                match error {
                    StoreError::Poisoned(reason) => self.shared.poison(reason),
                    error if error.retryable() => {}
                    // The others go on without them.
                    _ => self.failed.extend(parts.into_iter().map(|path| (path, Instant::now()))),
                }
                tracing::error!(%error, "segments could not be merged; they are read as they are");
            }
        }
        if let (true, Err(error)) = (is_aging, &committed) {
            self.aging_failed(error.clone());
        }
        // Between two merges nothing else changes segments: old ones may leave.
        self.age_due();
        if let Some(mut compaction) = self.compaction.take() {
            match committed {
                Err(error @ (StoreError::Poisoned(_) | StoreError::Closed)) => compaction.answer(Err(error)),
                Err(error) if asked && error.retryable() => compaction.answer(Err(error)),
                committed => {
                    if asked {
                        compaction.rows += rows;
                        compaction.failure = compaction.failure.take().or(committed.err());
                    }
                    self.go_on(compaction);
                }
            }
        }
        self.compact_asked();
    }

    /// Compacts for those who asked, unless the joiner is at work.
    pub(super) fn compact_asked(&mut self) {
        if self.joining || self.compaction.is_some() || self.compactions.is_empty() {
            return;
        }
        let callers = std::mem::take(&mut self.compactions);
        let mut compaction = Compaction { callers, rows: 0, through: 0, done: HashSet::new(), failure: None };
        match self.flush_all() {
            Err(error) => compaction.answer(Err(error)),
            Ok(()) => {
                compaction.through = self.newest_sequence();
                let rows = self.rows_to_merge(&compaction);
                self.shared.merged_rows.store(0, Ordering::Relaxed);
                self.shared.rows_to_merge.store(rows, Ordering::Relaxed);
                self.go_on(compaction);
            }
        }
    }

    /// Hands the next job of a compaction to the joiner, or answers. What gathers meanwhile comes first: a compaction is
    /// long. Where the joiner has got other work it goes on behind that.
    fn go_on(&mut self, mut compaction: Compaction) {
        if self.joining {
            self.compaction = Some(compaction);
            return;
        }
        let Some(job) = self.due_job(compaction.through).or_else(|| self.next_job(&mut compaction)) else {
            let outcome = compaction.failure.take().map_or(Ok(()), Err);
            return compaction.answer(outcome);
        };
        self.hand_over(Task::Merge(job));
        if self.joining {
            self.compaction = Some(compaction);
        } else {
            compaction.answer(Err(StoreError::Closed));
        }
    }

    fn newest_sequence(&self) -> u64 {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let segments = state.tables.iter().flat_map(|table| table.segments.iter().chain(&table.history));
        segments.map(|segment| segment.sequence).max().unwrap_or_default()
    }

    fn rows_to_merge(&self, compaction: &Compaction) -> u64 {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let of = |segments: &[Arc<Segment>]| self.mergeable(segments, |sequence| sequence <= compaction.through);
        let of_table = |(table, rows): (usize, &Table)| {
            let timed = rows.spec.time.is_some();
            let rows_of = |history: bool| {
                let segments = of(if history { &rows.history } else { &rows.segments });
                unsettled_rows(timed, &segments, |segment| self.is_stale(table, rows, history, segment))
            };
            rows_of(false) + rows_of(true)
        };
        state.tables.iter().enumerate().map(of_table).sum()
    }

    /// What is to be merged next so that no segments of a table overlap in key and day, and none holds superseded rows or
    /// keys that may have changed.
    fn next_job(&self, compaction: &mut Compaction) -> Option<Job> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        for (table, rows) in state.tables.iter().enumerate() {
            let timed = rows.spec.time.is_some();
            for history in [false, true] {
                let segments = if history { &rows.history } else { &rows.segments };
                let segments = self.mergeable(segments, |sequence| sequence <= compaction.through);
                let is_stale = |segment: &Segment| self.is_stale(table, rows, history, segment);
                let done = |day| compaction.done.contains(&(table, history, day));
                let parts = match unsettled(timed, &segments, is_stale, done) {
                    None => continue,
                    Some(Unsettled::Mixed(parts)) => parts,
                    Some(Unsettled::Day(day, parts)) => {
                        compaction.done.insert((table, history, day));
                        parts
                    }
                };
                let job =
                    if history { self.history_job(table, rows, parts) } else { Some(rows_job(table, rows, parts)) };
                return job.map(|job| Job { asked: true, ..job });
            }
        }
        None
    }

    /// Whether rows of a segment are in another order than the key's, or superseded, or its derived columns not derived from
    /// what is known now; a history has nothing but its order.
    fn is_stale(&self, table: usize, rows: &Table, history: bool, segment: &Segment) -> bool {
        if history {
            return self.logs.get(table).is_some_and(|logs| !segment.is_in_order(&logs.history_spec));
        }
        let superseded = rows.dead.iter().any(|dead| dead.hides_in(segment));
        let derived = rows.spec.derived.is_some() && self.shared.watermark() > segment.keyed_through;
        superseded || derived || !segment.is_in_order(&rows.spec)
    }

    fn commit_joined(&mut self, joined: Joined) -> Result<(), StoreError> {
        let Joined { job: Job { table, spec, parts, of, since, .. }, written } = joined;
        let Written { segments: merged, expired } = written?;
        if let Err(error) = self.shared.alive() {
            self.discard(&merged);
            return Err(error);
        }
        let Some(logs) = self.logs.get_mut(table) else { return Ok(()) };
        let log = match of {
            Of::Table(_) => &mut logs.rows,
            Of::History => &mut logs.history,
        };
        if let Err(error) = log.replace(&merged, &spec, &parts, since.is_some()) {
            // After any other error nobody knows whether the table names them.
            if !matches!(error, StoreError::Poisoned(_)) {
                self.discard(&merged);
            }
            return Err(error);
        }
        let bytes = |segments: &mut dyn Iterator<Item = &Segment>| segments.map(|segment| segment.bytes).sum::<u64>();
        let (left, came) = (bytes(&mut parts.iter().map(AsRef::as_ref)), bytes(&mut merged.iter()));
        let counts = &self.shared.counts;
        counts.joined_rows.fetch_add(merged.iter().map(|segment| segment.rows).sum(), Ordering::Relaxed);
        counts.joined_bytes.fetch_add(came, Ordering::Relaxed);
        if since.is_some() {
            counts.expired_rows.fetch_add(expired, Ordering::Relaxed);
            counts.expired_bytes.fetch_add(left.saturating_sub(came), Ordering::Relaxed);
        }
        self.exchange(table, matches!(of, Of::History), merged, parts, since);
        Ok(())
    }

    /// Puts `merged` in the place of `parts`, as the log of the table has it already. Rows before `since` are gone then.
    pub(super) fn exchange(
        &mut self,
        table: usize,
        of_history: bool,
        merged: Vec<Segment>,
        parts: Vec<Arc<Segment>>,
        since: Option<i64>,
    ) {
        let (spec, mut segments, mut history, mut dead, mut newest) = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let Some(table) = state.tables.get(table) else { return };
            let (segments, history) = (table.segments.clone(), table.history.clone());
            (table.spec.clone(), segments, history, table.dead.clone(), table.newest.clone())
        };
        if of_history {
            put(&mut history, merged, &parts);
        } else {
            put(&mut segments, merged, &parts);
            dead = Dead::settle(&spec, &segments, &dead);
            if let Some(since) = since.filter(|_| spec.has_series()) {
                newest = Arc::new(newest.without(&spec, since, &segments).unwrap_or_else(|error| {
                    tracing::warn!(table = spec.name, %error, "the newest rows are looked for again");
                    Newest::default()
                }));
            }
        }
        // Only this thread changes these: nothing came in between.
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = state.tables.get_mut(table) {
            (table.segments, table.history, table.dead, table.newest) = (segments, history, dead, newest);
            table.changed();
        }
        drop(state);
        let since = Instant::now();
        self.retired.extend(parts.into_iter().map(|segment| Retired { segment, since }));
        self.unsettled = true;
    }

    fn discard(&self, segments: &[Segment]) {
        segments.iter().for_each(|segment| discard(self.shared.options.disk.as_ref(), &segment.path));
    }

    pub(super) fn history_job(&self, table: usize, rows: &Table, parts: Vec<Arc<Segment>>) -> Option<Job> {
        let spec = Arc::clone(&self.logs.get(table)?.history_spec);
        Some(Job {
            table,
            plan: plan(&spec, &rows.history, &parts),
            spec,
            parts,
            of: Of::History,
            asked: false,
            since: None,
        })
    }

    /// A file goes once its grace has passed and no snapshot holds it any more.
    fn remove_retired(&mut self) {
        let is_over =
            |retired: &mut Retired| retired.since.elapsed() >= GRACE && Arc::strong_count(&retired.segment) == 1;
        let disk = &self.shared.options.disk;
        for retired in self.retired.extract_if(.., is_over) {
            discard(disk.as_ref(), &retired.segment.path);
        }
    }
}

/// What a history says that is ahead of the segments does not count: until what superseded a row is in a segment too, the
/// log alone has it, and a partial record there needs the row once more after a crash.
pub(super) fn rows_job(table: usize, rows: &Table, parts: Vec<Arc<Segment>>) -> Job {
    let newest = rows.segments.last().map_or(0, |segment| segment.sequence);
    let dead = rows.dead.iter().filter(|dead| dead.sequence <= newest).cloned().collect();
    Job {
        table,
        spec: rows.spec.clone(),
        plan: plan(&rows.spec, &rows.segments, &parts),
        parts,
        of: Of::Table(dead),
        asked: false,
        since: None,
    }
}

/// What the merge of `parts` has to know of `all` segments.
fn plan(spec: &TableSpec, all: &[Arc<Segment>], parts: &[Arc<Segment>]) -> Plan {
    let mut plan = Plan::default();
    let days = |segment: &Segment| days(spec.time.is_some(), segment);
    let (firsts, lasts) = (parts.iter().map(|part| days(part).0), parts.iter().map(|part| days(part).1));
    plan.days = (firsts.min().unwrap_or_default(), lasts.max().unwrap_or_default());
    // Of a segment of several days nobody knows how much is of which, and pieces of one run are counted once.
    let mut runs: BTreeMap<(i64, u64), u64> = BTreeMap::new();
    for part in parts {
        let (first, last) = days(part);
        if first == last {
            let rows = runs.entry((first, part.sequence)).or_default();
            *rows = part.run_rows.max(*rows);
        }
    }
    for ((day, _), rows) in runs {
        let sum = plan.run_rows.entry(day).or_default();
        *sum = rows.saturating_add(*sum);
    }
    let mut rows_of_days: BTreeMap<i64, u64> = BTreeMap::new();
    let merged: BTreeSet<i64> = plan.run_rows.keys().copied().collect();
    let is_part = |segment: &Arc<Segment>| parts.iter().any(|part| Arc::ptr_eq(part, segment));
    for segment in all {
        let (first, last) = days(segment);
        if first != last || !merged.contains(&first) {
            continue;
        }
        *rows_of_days.entry(first).or_default() += segment.rows;
        if let (Some(low), false) = (&segment.min_key, is_part(segment)) {
            plan.borders.entry(first).or_default().insert(low.clone());
        }
    }
    // Rows that were superseded on the way are in a sum of runs still.
    for (day, rows) in rows_of_days {
        plan.run_rows.entry(day).and_modify(|run| *run = rows.min(*run));
    }
    plan
}

/// Puts merged segments in the place of their parts.
fn put(segments: &mut Vec<Arc<Segment>>, merged: Vec<Segment>, parts: &[Arc<Segment>]) {
    segments.retain(|segment| !parts.iter().any(|part| part.path == segment.path));
    segments.extend(merged.into_iter().map(Arc::new));
    segments.sort_by_key(|segment| segment.sequence);
}

fn write_merged(shared: &Shared, job: &Job) -> Result<Written, StoreError> {
    let Job { table, spec, parts, plan, of, asked, since } = job;
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Ok(Written { segments: Vec::new(), expired: 0 });
    };
    let stamp = Stamp {
        sequence: last.sequence,
        keyed_through: i64::MAX,
        recorded_through: parts.iter().map(|part| part.recorded_through).max().unwrap_or(i64::MIN),
        run_rows: None,
    };
    let folder = last.path.parent().unwrap_or(&last.path);
    let mut cut =
        Cut::new((&shared.options.disk, folder), spec, first.sequence, stamp, plan, shared.options.segment_rows);
    let part = |segment: &Arc<Segment>| Part { segment: segment.clone(), dead: superseded(of, segment) };
    let equals = if matches!(of, Of::Table(_)) { Equals::Newest } else { Equals::All };
    let mut merge = Merge::new(spec, parts.iter().map(part).collect(), equals)?;
    let (mut counted, mut expired) = (0, 0);
    let keyed = parts.iter().map(|part| part.keyed_through).min().unwrap_or(i64::MIN);
    // What no change has come after since is as it would be derived again.
    let derives = matches!(of, Of::Table(_)) && spec.derived.is_some() && shared.watermark() > keyed;
    while let Some(mut rows) = merge.next()? {
        if shared.closing.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        if *asked {
            shared.merged_rows.fetch_add(merge.rows_read() - counted, Ordering::Relaxed);
            counted = merge.rows_read();
        }
        if let Some(since) = since {
            let kept = newest::since(spec, &rows, *since)?;
            expired += (rows.num_rows() - kept.num_rows()) as u64;
            rows = kept;
        }
        if rows.num_rows() == 0 {
            continue;
        }
        let (rows, keyed_through) = if derives { shared.derive(*table, rows) } else { (rows, keyed) };
        cut.write(&rows, keyed_through)?;
    }
    Ok(Written { segments: cut.finish()?, expired })
}

/// Keys whose rows in a part are superseded. What is superseded while the merge runs has a later sequence than the merged
/// segments, so it stays superseded there.
fn superseded(of: &Of, part: &Segment) -> Vec<Arc<KeySet>> {
    let Of::Table(dead) = of else { return Vec::new() };
    let newer = dead.iter().filter(|dead| dead.hides_in(part));
    newer.map(|dead| dead.keys.clone()).collect()
}
