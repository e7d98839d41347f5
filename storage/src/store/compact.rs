//! Merges segments, of tables and of their histories, so that many flushes are read from few files.
//!
//! Size-tiered, day by day: where at least [`FAN_IN`] segments of one size class lie over one another, they are merged
//! into segments that do not overlap. A merge may be cut into pieces by key; those count as the run that they came from,
//! so a row is rewritten once a class. Once a day is over, what is left is merged unless it is little beside what is there.
//!
//! Superseded rows go, for the history has them; retractions stay, for they hide what lies in older segments; and derived
//! columns are derived afresh. A new segment takes the sequence of its newest part. The parts need not be neighbours: a
//! key is current in one segment alone, for what superseded it in others is known. A history only grows: all its rows
//! stay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use super::flush::{Command, Flusher};
use super::merge::{Cut, Equals, Merge, Part, Plan, day_of, piece_rows};
use super::{Shared, Table};
use crate::StoreError;
use crate::dead::Dead;
use crate::keys::KeySet;
use crate::segment::{Segment, Stamp};
use crate::spec::TableSpec;

/// Segments of one class over one another that are merged.
const FAN_IN: usize = 8;
/// Rows of the smallest class at most; each further class is [`FAN_IN`] times as large.
const SMALLEST_CLASS_ROWS: u64 = 4_096;
/// Once a day is over: what lies over its largest run is merged with it unless it is less than this part of it.
const LITTLE: u64 = 4;
/// Files stay this long after they left the table: other readers may have listed them just before.
const GRACE: Duration = Duration::from_secs(600);

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
    jobs: VecDeque<Job>,
    callers: Vec<Sender<Result<(), StoreError>>>,
}

impl Compaction {
    fn answer(&mut self, outcome: &Result<(), StoreError>) {
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
    segments: Result<Vec<Segment>, StoreError>,
}

/// The joiner's thread: writes merged segments beside the flusher, which alone commits them.
pub(super) fn join_all(shared: &Shared, jobs: &Receiver<Job>, flushes: &Sender<Command>) {
    for job in jobs {
        let segments = write_merged(shared, &job);
        if flushes.send(Command::Joined(Box::new(Joined { job, segments }))).is_err() {
            return;
        }
    }
}

impl Flusher {
    /// Has some segments of one table merged, where that is due; removes files whose grace has passed.
    pub(super) fn compact_due(&mut self) {
        if self.unsettled && !self.joining && self.join_retry.is_due() && self.shared.alive().is_ok() {
            let due = {
                let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
                let tables = || state.tables.iter().enumerate();
                let piece_rows = piece_rows(self.shared.options.segment_rows);
                let of_table = |(table, rows): (usize, &Table)| {
                    Some(rows_job(table, rows, due(rows.spec.time.is_some(), &rows.segments, piece_rows)?))
                };
                let of_history = |(table, rows): (usize, &Table)| {
                    self.history_job(table, rows, due(rows.spec.time.is_some(), &rows.history, piece_rows)?)
                };
                tables().filter_map(of_table).chain(tables().filter_map(of_history)).next()
            };
            match due {
                Some(job) => self.joining = self.jobs.send(job).is_ok(),
                None => self.unsettled = false,
            }
        }
        if let Err(error) = self.remove_retired() {
            tracing::error!(%error, "a file that left its table could not be removed; it stays until restart");
        }
    }

    /// Takes in what the joiner has written.
    pub(super) fn joined(&mut self, joined: Joined) {
        self.joining = false;
        let committed = self.commit_joined(joined);
        self.join_retry.note(committed.is_err());
        if let Err(error) = &committed {
            if let StoreError::Poisoned(reason) = error {
                self.shared.poison(reason);
            }
            tracing::error!(%error, "segments could not be merged; they are read as they are");
        }
        if let Some(mut compaction) = self.compaction.take() {
            match committed {
                Err(error) => compaction.answer(&Err(error)),
                Ok(()) => self.go_on(compaction),
            }
        }
        self.compact_asked();
    }

    /// Compacts for those who asked, unless the joiner is at work.
    pub(super) fn compact_asked(&mut self) {
        if self.joining || self.compaction.is_some() || self.compactions.is_empty() {
            return;
        }
        let mut compaction = Compaction { jobs: VecDeque::new(), callers: std::mem::take(&mut self.compactions) };
        match self.flush_all() {
            Err(error) => compaction.answer(&Err(error)),
            Ok(()) => {
                compaction.jobs = self.all_jobs();
                let rows = compaction.jobs.iter().flat_map(|job| &job.parts).map(|part| part.rows).sum();
                self.shared.merge_rows.store(0, Ordering::Relaxed);
                self.shared.merge_of_rows.store(rows, Ordering::Relaxed);
                self.go_on(compaction);
            }
        }
    }

    /// Hands the next job of a compaction to the joiner, or answers. What is flushed meanwhile is not part of it.
    fn go_on(&mut self, mut compaction: Compaction) {
        let Some(job) = compaction.jobs.pop_front() else { return compaction.answer(&Ok(())) };
        self.joining = self.jobs.send(job).is_ok();
        if self.joining {
            self.compaction = Some(compaction);
        } else {
            compaction.answer(&Err(StoreError::Closed));
        }
    }

    /// What is to be merged so that no segments of a table overlap, and none holds superseded rows or keys that may have
    /// changed.
    fn all_jobs(&self) -> VecDeque<Job> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = VecDeque::new();
        for (table, rows) in state.tables.iter().enumerate() {
            let timed = rows.spec.time.is_some();
            let of_table = unsettled(timed, &rows.segments, |segment| self.is_stale(rows, segment));
            jobs.extend(of_table.into_iter().map(|parts| rows_job(table, rows, parts)));
            let of_history = unsettled(timed, &rows.history, |_| false);
            jobs.extend(of_history.into_iter().filter_map(|parts| self.history_job(table, rows, parts)));
        }
        jobs
    }

    /// Whether rows of a segment are superseded, or its derived columns not derived from what is known now.
    fn is_stale(&self, rows: &Table, segment: &Segment) -> bool {
        let superseded =
            rows.dead.iter().any(|dead| dead.sequence > segment.sequence && segment.meets(dead.keys.span()));
        let derived = rows.spec.derived.is_some() && self.shared.watermark() > segment.keyed_through;
        superseded || derived
    }

    fn commit_joined(&mut self, joined: Joined) -> Result<(), StoreError> {
        let Joined { job: Job { table, spec, parts, of, .. }, segments: merged } = joined;
        let merged = merged?;
        self.shared.alive()?;
        let Some(logs) = self.logs.get_mut(table) else { return Ok(()) };
        let log = match of {
            Of::Table(_) => &mut logs.rows,
            Of::History => &mut logs.history,
        };
        log.replace(&merged, &spec, &parts)?;
        self.shared.joined_rows.fetch_add(merged.iter().map(|segment| segment.rows).sum(), Ordering::Relaxed);
        let (mut segments, mut history, mut dead) = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let Some(table) = state.tables.get(table) else { return Ok(()) };
            (table.segments.clone(), table.history.clone(), table.dead.clone())
        };
        match of {
            Of::Table(_) => {
                put(&mut segments, merged, &parts);
                dead = Dead::settle(&spec, &segments, &dead);
            }
            Of::History => put(&mut history, merged, &parts),
        }
        // Only this thread changes these: nothing came in between.
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = state.tables.get_mut(table) {
            (table.segments, table.history, table.dead) = (segments, history, dead);
            table.changed();
        }
        drop(state);
        let since = Instant::now();
        self.retired.extend(parts.into_iter().map(|segment| Retired { segment, since }));
        self.unsettled = true;
        Ok(())
    }

    fn history_job(&self, table: usize, rows: &Table, parts: Vec<Arc<Segment>>) -> Option<Job> {
        let spec = Arc::clone(&self.logs.get(table)?.history_spec);
        Some(Job { table, plan: plan(&spec, &rows.history, &parts), spec, parts, of: Of::History })
    }

    /// A file goes once its grace has passed and no snapshot holds it any more.
    fn remove_retired(&mut self) -> Result<(), StoreError> {
        let mut kept = Vec::new();
        for retired in self.retired.drain(..) {
            if retired.since.elapsed() < GRACE || Arc::strong_count(&retired.segment) > 1 {
                kept.push(retired);
                continue;
            }
            let path = &retired.segment.path;
            std::fs::remove_file(path).map_err(|error| StoreError::io(path, error))?;
        }
        self.retired = kept;
        Ok(())
    }
}

/// What a history says that is ahead of the segments does not count: until what superseded a row is in a segment too, the
/// log alone has it, and a partial record there needs the row once more after a crash.
fn rows_job(table: usize, rows: &Table, parts: Vec<Arc<Segment>>) -> Job {
    let newest = rows.segments.last().map_or(0, |segment| segment.sequence);
    let dead = rows.dead.iter().filter(|dead| dead.sequence <= newest).cloned().collect();
    Job { table, spec: rows.spec.clone(), plan: plan(&rows.spec, &rows.segments, &parts), parts, of: Of::Table(dead) }
}

/// What the merge of `parts` has to know of `all` segments.
fn plan(spec: &TableSpec, all: &[Arc<Segment>], parts: &[Arc<Segment>]) -> Plan {
    let mut plan = Plan::default();
    let is_part = |segment: &Arc<Segment>| parts.iter().any(|part| Arc::ptr_eq(part, segment));
    for segment in all {
        let (first, last) = days(spec.time.is_some(), segment);
        if is_part(segment) {
            // Of a segment of several days nobody knows how much is of which.
            let rows = segment.run_rows / u64::try_from(last - first + 1).unwrap_or(1);
            (first..=last).for_each(|day| *plan.run_rows.entry(day).or_default() += rows);
        } else if let (Some(low), true) = (&segment.min_key, first == last) {
            plan.borders.entry(first).or_default().insert(low.clone());
        }
    }
    plan
}

/// Puts merged segments in the place of their parts.
fn put(segments: &mut Vec<Arc<Segment>>, merged: Vec<Segment>, parts: &[Arc<Segment>]) {
    segments.retain(|segment| !parts.iter().any(|part| part.path == segment.path));
    segments.extend(merged.into_iter().map(Arc::new));
    segments.sort_by_key(|segment| segment.sequence);
}

fn write_merged(shared: &Shared, job: &Job) -> Result<Vec<Segment>, StoreError> {
    let Job { table, spec, parts, plan, of } = job;
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(Vec::new()) };
    let stamp = Stamp {
        sequence: last.sequence,
        keyed_through: i64::MAX,
        recorded_through: parts.iter().map(|part| part.recorded_through).max().unwrap_or(i64::MIN),
        run_rows: None,
    };
    let folder = last.path.parent().unwrap_or(&last.path);
    let mut cut = Cut::new(folder, spec, first.sequence, stamp, plan, shared.options.segment_rows);
    let part = |segment: &Arc<Segment>| Part { segment: segment.clone(), dead: superseded(spec, of, segment) };
    let equals = if matches!(of, Of::Table(_)) { Equals::Newest } else { Equals::All };
    let mut merge = Merge::new(spec, parts.iter().map(part).collect(), equals)?;
    while let Some(rows) = merge.next()? {
        if shared.closing.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        shared.merge_rows.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        let (rows, keyed_through) = match of {
            Of::Table(_) => shared.derive(*table, rows),
            Of::History => (rows, i64::MIN),
        };
        cut.write(&rows, keyed_through)?;
    }
    cut.finish()
}

/// Keys whose rows in a part are superseded. What is superseded while the merge runs has a later sequence than the merged
/// segments, so it stays superseded there.
fn superseded(spec: &TableSpec, of: &Of, part: &Segment) -> Option<KeySet> {
    let Of::Table(dead) = of else { return None };
    let newer = dead.iter().filter(|dead| dead.sequence > part.sequence && part.meets(dead.keys.span()));
    let newer: Vec<Arc<KeySet>> = newer.map(|dead| dead.keys.clone()).collect();
    (!newer.is_empty()).then(|| KeySet::union(spec, &newer))
}

/// First and last day that a segment reaches; all alike where keys hold no time.
fn days(timed: bool, segment: &Segment) -> (i64, i64) {
    match (segment.min_time, segment.max_time) {
        (Some(first), Some(last)) if timed => (day_of(first), day_of(last)),
        _ => (0, 0),
    }
}

/// The segments of each day, oldest first; one of several days is of its last.
fn by_day(timed: bool, segments: &[Arc<Segment>]) -> BTreeMap<i64, Vec<&Arc<Segment>>> {
    let mut found: BTreeMap<i64, Vec<&Arc<Segment>>> = BTreeMap::new();
    for segment in segments {
        found.entry(days(timed, segment).1).or_default().push(segment);
    }
    found
}

/// The segments that should be merged first: those of the newest day where some should be. Those of fewer than
/// `piece_rows` rows are merged wherever their keys lie.
fn due(timed: bool, segments: &[Arc<Segment>], piece_rows: u64) -> Option<Vec<Arc<Segment>>> {
    let days = by_day(timed, segments);
    let newest = *days.keys().next_back()?;
    let merged = |stack: Vec<&Arc<Segment>>, is_over| {
        let rows: Vec<u64> = stack.iter().map(|segment| segment.run_rows).collect();
        let count = newest_to_merge(&rows, is_over)?;
        Some(stack.into_iter().skip(rows.len() - count).cloned().collect::<Vec<_>>())
    };
    days.iter().rev().find_map(|(day, segments)| {
        let small = segments.iter().filter(|segment| segment.rows < piece_rows).copied().collect();
        let of_small = merged(small, false);
        of_small.or_else(|| stacks(segments).into_iter().find_map(|stack| merged(stack, *day < newest)))
    })
}

/// For each stretch of keys the segments that reach into it, oldest first.
fn stacks<'a>(segments: &[&'a Arc<Segment>]) -> Vec<Vec<&'a Arc<Segment>>> {
    let starts: BTreeSet<&str> = segments.iter().map(|segment| low(segment)).collect();
    let reaches = |start: &str, segment: &Segment| {
        low(segment) <= start && segment.max_key.as_deref().is_none_or(|high| start <= high)
    };
    let stack = |start: &str| segments.iter().filter(|segment| reaches(start, segment)).copied().collect();
    starts.into_iter().map(stack).collect()
}

/// The first key of a segment, as far as its first column tells; without bounds it counts as reaching everywhere.
fn low(segment: &Segment) -> &str {
    match (&segment.min_key, &segment.max_key) {
        (Some(low), Some(_)) => low,
        _ => "",
    }
}

/// Segments that have to be merged so that none overlap in key and day: sets of them, which have no day in common.
fn unsettled(timed: bool, segments: &[Arc<Segment>], is_stale: impl Fn(&Segment) -> bool) -> Vec<Vec<Arc<Segment>>> {
    let mut by_first_day: Vec<&Arc<Segment>> = segments.iter().collect();
    by_first_day.sort_by_key(|segment| days(timed, segment).0);
    let mut sets: Vec<(i64, Vec<Arc<Segment>>)> = Vec::new();
    for segment in by_first_day {
        let (first, last) = days(timed, segment);
        match sets.last_mut() {
            Some((end, set)) if first <= *end => {
                *end = last.max(*end);
                set.push(segment.clone());
            }
            _ => sets.push((last, vec![segment.clone()])),
        }
    }
    let is_mixed = |segment: &Segment| matches!(days(timed, segment), (first, last) if first != last);
    let is_unsettled = |set: &Vec<Arc<Segment>>| {
        let overlap = stacks(&set.iter().collect::<Vec<_>>()).iter().any(|stack| stack.len() > 1);
        overlap || set.iter().any(|segment| is_stale(segment) || is_mixed(segment))
    };
    let mut found: Vec<Vec<Arc<Segment>>> = sets.into_iter().map(|(_, set)| set).filter(is_unsettled).collect();
    for set in &mut found {
        set.sort_by_key(|segment| segment.sequence);
    }
    found
}

/// Size class: 0 for the smallest.
fn class(rows: u64) -> u32 {
    let mut bound = SMALLEST_CLASS_ROWS;
    let mut class = 0;
    while rows > bound {
        bound *= FAN_IN as u64;
        class += 1;
    }
    class
}

/// How many of the newest of segments that lie over one another, of runs of so many rows, oldest first, are worth merging:
/// at least [`FAN_IN`] of one class or smaller ones, of which none is larger than the others together. A large one is not
/// rewritten for a small one, but once: when the day `is_over`, all are merged unless what lies over the largest is little
/// beside it.
fn newest_to_merge(rows: &[u64], is_over: bool) -> Option<usize> {
    let largest = rows.iter().copied().max()?;
    let over: u64 = rows.iter().sum::<u64>() - largest;
    if is_over && rows.len() > 1 && over * LITTLE >= largest {
        return Some(rows.len());
    }
    (0..=class(largest)).find_map(|limit| {
        let newest: Vec<u64> = rows.iter().rev().copied().take_while(|&rows| class(rows) <= limit).collect();
        let is_even = newest.iter().max().is_some_and(|largest| largest * 2 <= newest.iter().sum());
        (newest.len() >= FAN_IN && is_even).then_some(newest.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_rewrites_a_row_once_a_class_and_leaves_few_segments_over_one_another() {
        for rows in [10_000, 40_000, 125_000, 250_000, 500_000] {
            let (mut segments, mut rewritten, flushes) = (Vec::new(), 0, 1_000);
            for _ in 0..flushes {
                segments.push(rows);
                while let Some(count) = newest_to_merge(&segments, false) {
                    let merged: u64 = segments.split_off(segments.len() - count).iter().sum();
                    rewritten += merged;
                    segments.push(merged);
                }
            }
            let all = rows * flushes;
            assert!(rewritten <= 5 * all, "{rows} rows a flush: each rewritten {} times", rewritten / all);
            assert!(segments.len() <= 28, "{rows} rows a flush: {} segments", segments.len());
        }
    }

    #[test]
    fn a_large_segment_is_not_rewritten_for_small_ones() {
        assert_eq!(newest_to_merge(&[900_000, 300_000, 900_000, 10_000], false), None);
        assert_eq!(newest_to_merge(&[9_000_000, 10_000, 10_000], false), None);
        assert_eq!(newest_to_merge(&[9_000_000, 10_000, 10_000], true), None);
        assert_eq!(newest_to_merge(&[9_000_000, 500_000, 500_000, 500_000, 500_000, 500_000], true), Some(6));
        assert_eq!(newest_to_merge(&[9_000_000], true), None);
    }
}
