//! Joins small neighbouring segments, of tables and of their histories, so that many flushes are read from few files.
//!
//! Size-tiered: a run of at least [`FAN_IN`] neighbours of one size class becomes one segment, so a row is rewritten once
//! a class. Superseded rows go, for the history has them; retractions stay, for they hide what lies in older segments; and
//! derived columns are derived afresh. The new segment takes the sequence of its newest part: what was superseded before
//! is gone from it, what is superseded later is newer than it. A history only grows: its segments are joined as they are.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;
use crossbeam::channel::{Receiver, Sender};

use super::apply::in_schema;
use super::flush::{Command, Flusher};
use super::{Shared, Table};
use crate::StoreError;
use crate::dead::Dead;
use crate::keys::{KeyOrder, KeySet, indices};
use crate::segment::{Segment, Stamp, keep};
use crate::snapshot::aligned;
use crate::spec::TableSpec;

/// Segments of one class that are joined.
const FAN_IN: usize = 8;
/// Rows of the smallest class at most; each further class is [`FAN_IN`] times as large.
const SMALLEST_CLASS_ROWS: u64 = 4_096;
/// Rows of a joined segment at most: a join happens in memory. Long rows count for several.
const JOINED_ROWS: u64 = 1_000_000;
/// Bytes of a row that counts as one, before compression.
const ROW_BYTES: u64 = 256;
/// Files stay this long after they left the table: other readers may have listed them just before.
const GRACE: Duration = Duration::from_secs(600);

/// A segment that left its table.
pub(super) struct Retired {
    segment: Arc<Segment>,
    since: Instant,
}

/// A run of neighbours to be joined.
pub(super) struct Job {
    table: usize,
    spec: Arc<TableSpec>,
    parts: Vec<Arc<Segment>>,
    of: Of,
}

/// What the parts of a job are segments of.
enum Of {
    /// A table, and what was superseded in it when they were picked.
    Table(Vec<Arc<Dead>>),
    /// Its history.
    History,
}

/// A joined segment that is not in its table yet.
pub(super) struct Joined {
    job: Job,
    segment: Result<Segment, StoreError>,
}

/// The joiner's thread: writes joined segments beside the flusher, which alone commits them.
pub(super) fn join_all(shared: &Shared, jobs: &Receiver<Job>, flushes: &Sender<Command>) {
    for job in jobs {
        let segment = write_joined(shared, &job);
        if flushes.send(Command::Joined(Box::new(Joined { job, segment }))).is_err() {
            return;
        }
    }
}

impl Flusher {
    /// Has one run of segments of one table joined, where there is one; removes files whose grace has passed.
    pub(super) fn compact_due(&mut self) {
        if !self.joining && self.join_retry.is_due() && self.shared.alive().is_ok() {
            let due = {
                let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
                let segments = state.tables.iter().enumerate();
                let of_table = |(table, rows): (usize, &Table)| Some(rows_job(table, rows, run(&rows.segments)?));
                let histories = state.tables.iter().enumerate();
                let of_history = |(table, rows): (usize, &Table)| self.history_job(table, run(&rows.history)?);
                segments.map(of_table).chain(histories.map(of_history)).flatten().next()
            };
            if let Some(job) = due {
                self.joining = self.jobs.send(job).is_ok();
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
        if let Err(error) = committed {
            if let StoreError::Poisoned(reason) = &error {
                self.shared.poison(reason);
            }
            tracing::error!(%error, "segments could not be joined; they are read as they are");
        }
    }

    /// Joins all segments of every table that has more than one. The joiner must be at rest.
    pub(super) fn compact_all(&mut self) -> Result<(), StoreError> {
        for table in 0..self.logs.len() {
            let jobs: Vec<Job> = {
                let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
                let Some(rows) = state.tables.get(table) else { continue };
                let runs = |segments| within(segments, JOINED_ROWS).into_iter().filter(|run| run.len() > 1);
                let of_table = runs(&rows.segments).map(|run| rows_job(table, rows, run));
                let of_history = runs(&rows.history).filter_map(|run| self.history_job(table, run));
                of_table.chain(of_history).collect()
            };
            for job in jobs {
                let segment = write_joined(&self.shared, &job);
                self.commit_joined(Joined { job, segment })?;
            }
        }
        Ok(())
    }

    fn commit_joined(&mut self, joined: Joined) -> Result<(), StoreError> {
        let Joined { job: Job { table, spec, parts, of }, segment } = joined;
        let segment = segment?;
        self.shared.alive()?;
        let Some(logs) = self.logs.get_mut(table) else { return Ok(()) };
        let log = match of {
            Of::Table(_) => &mut logs.rows,
            Of::History => &mut logs.history,
        };
        log.replace(&segment, &spec, &parts)?;
        self.shared.joined_rows.fetch_add(segment.rows, Ordering::Relaxed);
        let (mut segments, mut history, mut dead) = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let Some(table) = state.tables.get(table) else { return Ok(()) };
            (table.segments.clone(), table.history.clone(), table.dead.clone())
        };
        match of {
            Of::Table(_) => {
                put(&mut segments, segment, &parts);
                dead = Dead::settle(&spec, &segments, &dead);
            }
            Of::History => put(&mut history, segment, &parts),
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
        Ok(())
    }

    fn history_job(&self, table: usize, parts: Vec<Arc<Segment>>) -> Option<Job> {
        let spec = Arc::clone(&self.logs.get(table)?.history_spec);
        Some(Job { table, spec, parts, of: Of::History })
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
    Job { table, spec: rows.spec.clone(), parts, of: Of::Table(dead) }
}

/// Puts a joined segment in the place of its parts.
fn put(segments: &mut Vec<Arc<Segment>>, joined: Segment, parts: &[Arc<Segment>]) {
    segments.retain(|segment| !parts.iter().any(|part| part.path == segment.path));
    let place = segments.partition_point(|other| other.sequence < joined.sequence);
    segments.insert(place, Arc::new(joined));
}

fn write_joined(shared: &Shared, job: &Job) -> Result<Segment, StoreError> {
    let Job { table, spec, parts, of } = job;
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Err(StoreError::Invalid("nothing to join".into()));
    };
    let (rows, keyed_through) = match of {
        Of::Table(dead) => shared.derive(*table, current(spec, dead, parts)?),
        Of::History => (history(spec, parts)?, i64::MIN),
    };
    let recorded_through = parts.iter().map(|part| part.recorded_through).max().unwrap_or(i64::MIN);
    let stamp = Stamp { sequence: last.sequence, keyed_through, recorded_through };
    Segment::write(&path(first, last), spec, &rows, stamp)
}

/// The rows of a table's segments that are current. What is superseded while this runs has a later sequence than the joined
/// segment, so it stays superseded there.
fn current(spec: &TableSpec, dead: &[Arc<Dead>], parts: &[Arc<Segment>]) -> Result<RecordBatch, StoreError> {
    let mut rows = Vec::with_capacity(parts.len());
    for part in parts {
        let newer = dead.iter().filter(|dead| dead.sequence > part.sequence).map(|dead| dead.keys.clone());
        let superseded = KeySet::union(spec, &newer.collect::<Vec<_>>());
        let all = part.read()?;
        let current = if superseded.is_empty() { all } else { keep(&all, &superseded.filter(&all)?)? };
        rows.push(in_schema(&current, &spec.hot_schema())?);
    }
    let rows = concat_batches(&spec.hot_schema(), &rows)?;
    let order = KeyOrder::of(&rows, &spec.key)?;
    // One row a key, the newest, even where two segments should hold the same one.
    let current = order.runs().filter_map(|run| run.last().copied()).collect();
    Ok(take_record_batch(&rows, &indices(current))?)
}

fn history(spec: &TableSpec, parts: &[Arc<Segment>]) -> Result<RecordBatch, StoreError> {
    let rows: Vec<RecordBatch> = parts.iter().map(|part| aligned(spec, &part.read()?)).collect::<Result<_, _>>()?;
    let rows = concat_batches(&spec.schema, &rows)?;
    let order = KeyOrder::of(&rows, &spec.key)?;
    Ok(take_record_batch(&rows, &indices(order.rows))?)
}

/// Named by the sequences it spans, beside its parts.
fn path(first: &Segment, last: &Segment) -> PathBuf {
    last.path.with_file_name(format!("joined-{:020}-{:020}.parquet", first.sequence, last.sequence))
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

/// The newest segments that are worth joining.
fn run(segments: &[Arc<Segment>]) -> Option<Vec<Arc<Segment>>> {
    let rows: Vec<u64> = segments.iter().map(|segment| weight(segment)).collect();
    let count = newest_to_join(&rows)?;
    Some(segments.iter().skip(segments.len() - count).cloned().collect())
}

/// Rows of a segment, or what would hold as many bytes.
fn weight(segment: &Segment) -> u64 {
    segment.rows.max(segment.raw_bytes() / ROW_BYTES)
}

/// How many of the newest of segments of so many rows, oldest first, are worth joining: at least [`FAN_IN`] of one class or
/// smaller ones; or several of one class that with the next of it would be more than a join may hold. A large one is not
/// rewritten for a small one.
fn newest_to_join(rows: &[u64]) -> Option<usize> {
    let largest = rows.iter().map(|&rows| class(rows)).max()?;
    (0..=largest).find_map(|limit| {
        let small = rows.iter().rev().take_while(|&&rows| class(rows) <= limit);
        let mut held = 0;
        let fit = small.clone().take_while(|&&rows| {
            held += rows;
            held <= JOINED_ROWS
        });
        let count = fit.count();
        let alike = rows.iter().rev().take(count + 1).all(|&rows| class(rows) == limit);
        let as_many_as_fit = count > 1 && alike && small.count() > count;
        (count >= FAN_IN || as_many_as_fit).then_some(count)
    })
}

/// Cuts neighbours into runs of at most `rows` rows.
fn within(segments: &[Arc<Segment>], rows: u64) -> Vec<Vec<Arc<Segment>>> {
    let mut runs: Vec<Vec<Arc<Segment>>> = Vec::new();
    let mut held = 0;
    for segment in segments {
        held += weight(segment);
        match runs.last_mut() {
            Some(run) if held <= rows => run.push(segment.clone()),
            _ => {
                held = weight(segment);
                runs.push(vec![segment.clone()]);
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_rewrites_a_row_eight_times_at_most_and_leaves_few_segments() {
        for rows in [10_000, 40_000, 125_000, 250_000, 500_000] {
            let (mut segments, mut rewritten, flushes) = (Vec::new(), 0, 1_000);
            for _ in 0..flushes {
                segments.push(rows);
                while let Some(count) = newest_to_join(&segments) {
                    let joined: u64 = segments.split_off(segments.len() - count).iter().sum();
                    rewritten += joined;
                    segments.push(joined);
                }
            }
            let all = rows * flushes;
            assert!(rewritten <= 8 * all, "{rows} rows a flush: each rewritten {} times", rewritten / all);
            let few = 4 * all / JOINED_ROWS + 32;
            assert!(segments.len() as u64 <= few, "{rows} rows a flush: {} segments", segments.len());
        }
    }

    #[test]
    fn a_large_segment_is_not_rewritten_for_small_ones() {
        assert_eq!(newest_to_join(&[900_000, 300_000, 900_000, 10_000]), None);
        assert_eq!(newest_to_join(&[1_000_000, 10_000, 10_000]), None);
        assert_eq!(newest_to_join(&[500_000, 500_000, 500_000]), Some(2));
    }
}
