//! The flusher thread: turns hot rows into segments, commits them, and lets go of the log behind them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{concat_batches, filter};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use tokio::runtime::Runtime;

use super::Shared;
use super::aging::Aging;
use super::compact::{Compaction, Joined, Retired, Task};
use crate::StoreError;
use crate::backup::Inventory;
use crate::dead::Dead;
use crate::hot::Hot;
use crate::keys::{KeyOrder, pick};
use crate::log::TableLog;
use crate::segment::{Segment, Stamp, keep};
use crate::snapshot::{history_rows, settled_upon};
use crate::spec::{SUPERSEDED, TableSpec};

/// How often the flusher looks for tables whose rows have waited long enough.
const TICK: Duration = Duration::from_millis(250);
/// The longest wait before a failed flush is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) enum Command {
    /// Some table holds many rows.
    Due,
    /// Flush everything, and say how it went.
    Flush(Sender<Result<(), StoreError>>),
    /// Merge all segments, and say how many rows that took.
    Compact(Sender<Result<u64, StoreError>>),
    /// What the joiner has written.
    Joined(Box<Joined>),
    /// Remove and move what is old, and say how it went.
    Age(Sender<Result<(), StoreError>>),
    /// A segment that the joiner has moved to the cold folder, or why it could not.
    Moved(Result<(), StoreError>),
    /// Flush everything, and say what a copy of the folder consists of.
    Inventory(Sender<Result<Inventory, StoreError>>),
    /// End.
    Stop,
}

/// The logs of a table and of its history.
pub(super) struct Logs {
    pub(super) rows: TableLog,
    pub(super) history: TableLog,
    pub(super) history_spec: Arc<TableSpec>,
    pub(super) covered: u64,
    pub(super) history_covered: u64,
}

pub(super) struct Flusher {
    pub(super) shared: Arc<Shared>,
    pub(super) logs: Vec<Logs>,
    /// Files that left their tables and are not removed yet.
    pub(super) retired: Vec<Retired>,
    /// Work for the joiner, one task at a time.
    pub(super) jobs: Sender<Task>,
    pub(super) joining: bool,
    /// Segments came or went since nothing was found to merge.
    pub(super) unsettled: bool,
    pub(super) pressure: Pressure,
    /// Callers who wait for a compaction that has not begun.
    pub(super) compactions: Vec<Sender<Result<u64, StoreError>>>,
    /// The one under way.
    pub(super) compaction: Option<Compaction>,
    /// What is done about old rows.
    pub(super) aging: Aging,
    /// Segments that could not be merged, and since when they are left alone.
    pub(super) failed: HashMap<PathBuf, Instant>,
    /// When to try again what has failed.
    pub(super) retry: Retry,
    pub(super) join_retry: Retry,
    /// Table logs run on it; it must outlive them.
    #[expect(dead_code, reason = "held so that the runtime lives as long as the logs")]
    pub(super) runtime: Arc<Runtime>,
}

/// Whether more comes than can be merged beside it. Flushes are larger then, for each series of each costs time of its own, and
/// merges wait and are the larger for it. So what is loaded in one go is merged once.
#[derive(Default)]
pub(super) struct Pressure {
    /// When full tables were flushed of late, and how many times as many rows as make a table full the largest of them had.
    flushed: Vec<(Instant, usize)>,
    /// When it was high last.
    high: Option<Instant>,
}

/// So many full tables …
const PRESSED_TABLES: usize = 4;
/// … within so long are pressure.
const PRESSED_FOR: Duration = Duration::from_secs(1);
/// Under pressure a table is full with so many times as many rows.
const PRESSED_ROWS: usize = 4;
/// After so long without it merges begin: a disk that is slow for a second is no end of a load.
const CALM_AFTER: Duration = Duration::from_secs(2);

impl Pressure {
    fn note(&mut self, tables: usize) {
        self.flushed.retain(|(at, _)| at.elapsed() < PRESSED_FOR);
        self.flushed.push((Instant::now(), tables));
        if self.is_high() {
            self.high = Some(Instant::now());
        }
    }

    /// Whether it is over, or there was none.
    pub(super) fn is_calm(&self) -> bool {
        self.high.is_none_or(|high| high.elapsed() >= CALM_AFTER)
    }

    pub(super) fn is_high(&self) -> bool {
        let late = self.flushed.iter().filter(|(at, _)| at.elapsed() < PRESSED_FOR);
        late.map(|(_, tables)| tables).sum::<usize>() >= PRESSED_TABLES
    }
}

/// Spaces attempts out: an attempt that fails costs the disk as much as one that succeeds.
#[derive(Default)]
pub(super) struct Retry {
    not_before: Option<Instant>,
    pause: Duration,
}

impl Retry {
    pub(super) fn is_due(&self) -> bool {
        self.not_before.is_none_or(|time| time <= Instant::now())
    }

    pub(super) fn note(&mut self, failed: bool) {
        self.pause = if failed { (self.pause * 2).clamp(TICK, LONGEST_PAUSE) } else { Duration::ZERO };
        self.not_before = failed.then(|| Instant::now() + self.pause);
    }
}

/// What one table's flush starts from.
struct Work {
    spec: Arc<TableSpec>,
    segments: Vec<Arc<Segment>>,
    dead: Vec<Arc<Dead>>,
    history: Vec<Arc<Segment>>,
    hot: Hot,
}

impl Flusher {
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut ticked = Instant::now();
        loop {
            match commands.recv_timeout(TICK.saturating_sub(ticked.elapsed())) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Command::Flush(reply)) => {
                    let result = self.flush_all();
                    self.report(reply.send(result).is_ok());
                }
                Ok(Command::Inventory(reply)) => {
                    let result = self.inventory();
                    self.report(reply.send(result).is_ok());
                }
                Ok(Command::Compact(reply)) => {
                    self.compactions.push(reply);
                    self.compact_asked();
                }
                Ok(Command::Joined(joined)) => self.joined(*joined),
                Ok(Command::Age(reply)) => {
                    self.aging.ask(reply);
                    // Merges come first.
                    self.compact_due();
                    self.age_due();
                }
                Ok(Command::Moved(outcome)) => self.moved(outcome),
                Ok(Command::Due) => self.flush_due(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Also where commands come without a pause.
            if ticked.elapsed() >= TICK {
                self.flush_due();
                self.compact_due();
                self.age_due();
                ticked = Instant::now();
            }
        }
    }

    /// A caller that went away is no error of the store.
    fn report(&self, heard: bool) {
        if !heard {
            tracing::debug!("nobody waited for a flush or backup to end");
        }
    }

    fn flush_due(&mut self) {
        if !self.retry.is_due() {
            return;
        }
        let options = &self.shared.options;
        let full_rows = match self.pressure.is_high() {
            true => options.flush_rows.saturating_mul(PRESSED_ROWS),
            false => options.flush_rows,
        };
        self.shared.full_rows.store(full_rows, Ordering::Relaxed);
        let (due, tables) = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let crowded = state.is_crowded(options);
            let is_due = |table: &super::Table| {
                let old = table.oldest_hot.is_some_and(|since| since.elapsed() >= options.flush_interval);
                table.hot.rows() > 0 && (old || crowded || table.hot.rows() >= full_rows)
            };
            let due = || state.tables.iter().enumerate().filter(|(_, table)| is_due(table));
            let rows = due().map(|(_, table)| table.hot.rows()).max().unwrap_or(0);
            // Rows that fill the memory are as good as a full table.
            let tables = (rows / options.flush_rows.max(1)).max(usize::from(crowded));
            (due().map(|(index, _)| index).collect::<Vec<usize>>(), tables)
        };
        if due.is_empty() {
            return;
        }
        let flushed = self.flush(&due);
        // Afterwards: a flush can take longer than pressure is remembered.
        if flushed.is_ok() && tables > 0 {
            self.pressure.note(tables);
        }
        self.retry.note(flushed.is_err());
    }

    pub(super) fn flush_all(&mut self) -> Result<(), StoreError> {
        let all: Vec<usize> = (0..self.logs.len()).collect();
        self.flush(&all)
    }

    /// Flushes `tables` at one common position, then cuts the log.
    pub(super) fn flush(&mut self, tables: &[usize]) -> Result<(), StoreError> {
        if let Some(reason) = self.shared.poisoned.get() {
            return Err(StoreError::Poisoned(reason.clone()));
        }
        let (position, recorded, work) = self.begin(tables);
        let mut outcome = Ok(());
        for (table, work) in work {
            if let Err(error) = self.flush_table(table, &work, position, recorded) {
                outcome = Err(error);
            }
        }
        let outcome = outcome.and_then(|()| self.truncate());
        match &outcome {
            Ok(()) => self.shared.note_flush(None),
            Err(StoreError::Poisoned(reason)) => self.shared.poison(reason),
            Err(error) => self.shared.note_flush(Some(error)),
        }
        self.shared.room.1.notify_all();
        outcome
    }

    /// Closes the chunks of `tables` and takes them as they are at this instant.
    fn begin(&self, tables: &[usize]) -> (u64, i64, Vec<(usize, Work)>) {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        let (position, recorded) = (state.position, state.recorded);
        let mut work = Vec::new();
        for &index in tables {
            if let Some(table) = state.tables.get_mut(index)
                && table.hot.rows() > 0
            {
                table.hot.seal();
                let hot = table.hot.clone();
                work.push((
                    index,
                    Work {
                        spec: table.spec.clone(),
                        segments: table.segments.clone(),
                        dead: table.dead.clone(),
                        history: table.history.clone(),
                        hot,
                    },
                ));
            }
        }
        (position, recorded, work)
    }

    fn flush_table(&mut self, index: usize, work: &Work, position: u64, recorded: i64) -> Result<(), StoreError> {
        let spec = &work.spec;
        let (settled, flushed) = settled_upon(spec, &work.segments, &work.dead, &work.hot)?;
        let parts = [
            history_rows(spec, &settled.superseded, &settled.replacement)?,
            history_rows(spec, &flushed.older, &flushed.newer)?,
        ];
        let first = work.hot.first().unwrap_or(position);
        // Published before the rows are tried: should they fail, the next flush must know what the history has.
        if let Some((segment, dead)) = self.write_history(index, work, &parts, first, position, recorded)? {
            self.publish_history(index, segment, dead);
        }
        let all_new = flushed.news.true_count() == flushed.news.len();
        let (news, replaces) = if all_new {
            (settled.newest.clone(), flushed.replaces.clone())
        } else {
            let replaces = filter(&flushed.replaces, &flushed.news)?;
            (keep(&settled.newest, &flushed.news)?, replaces.as_boolean().clone())
        };
        // As many rows again: gone before more are made of them.
        drop((settled, flushed, parts));
        let segment = self.write_rows(index, work, (news, replaces), first, (position, recorded))?;
        self.unsettled = true;
        self.publish_rows(index, position, segment)
    }

    fn write_history(
        &mut self,
        index: usize,
        work: &Work,
        parts: &[RecordBatch],
        first: u64,
        position: u64,
        recorded: i64,
    ) -> Result<Option<(Arc<Segment>, Vec<Arc<Dead>>)>, StoreError> {
        let Some(logs) = self.logs.get_mut(index) else { return Ok(None) };
        let rows = concat_batches(&logs.history_spec.schema, parts)?;
        // A crash between this commit and the table's brings the same rows here again.
        let rows = keep(&rows, &superseded_after(&rows, history_through(&work.history)))?;
        if rows.num_rows() == 0 || logs.history_covered >= position {
            return Ok(None);
        }
        self.shared.counts.corrections.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        let order = KeyOrder::of(&rows, &logs.history_spec.key)?;
        let rows = pick(&rows, order.rows)?;
        let path = path(&self.shared.folder, &logs.history_spec, first, position);
        let segment = Segment::write(
            &self.shared.options.disk,
            &path,
            &logs.history_spec,
            &rows,
            Stamp { sequence: position, keyed_through: i64::MIN, recorded_through: recorded, run_rows: None },
        )?;
        logs.history.commit(&segment, &logs.history_spec, position)?;
        self.shared.counts.flushed_bytes.fetch_add(segment.bytes, Ordering::Relaxed);
        logs.history_covered = position;
        Ok(Some((Arc::new(segment), Dead::of(&work.spec, &rows, position)?)))
    }

    fn write_rows(
        &mut self,
        index: usize,
        work: &Work,
        (news, replaces): (RecordBatch, BooleanArray),
        first: u64,
        (position, recorded): (u64, i64),
    ) -> Result<Option<Arc<Segment>>, StoreError> {
        if news.num_rows() == 0 {
            return Ok(None);
        }
        let (rows, keyed_through) = self.shared.derive(index, news);
        let count = rows.num_rows();
        let rows = self.shared.thin(index, rows, &replaces)?;
        let Some(logs) = self.logs.get_mut(index) else { return Ok(None) };
        let path = path(&self.shared.folder, &work.spec, first, position);
        let segment = Segment::write(
            &self.shared.options.disk,
            &path,
            &work.spec,
            &rows,
            Stamp { sequence: position, keyed_through, recorded_through: recorded, run_rows: None },
        )?;
        logs.rows.commit(&segment, &work.spec, position)?;
        self.shared.counts.flushed_bytes.fetch_add(segment.bytes, Ordering::Relaxed);
        logs.covered = position;
        self.shared.counts.thinned_rows.fetch_add((count - rows.num_rows()) as u64, Ordering::Relaxed);
        Ok(Some(Arc::new(segment)))
    }

    fn publish_history(&self, index: usize, segment: Arc<Segment>, dead: Vec<Arc<Dead>>) {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = state.tables.get_mut(index) {
            table.history.push(segment);
            table.dead.extend(dead);
            table.changed();
        }
    }

    fn publish_rows(&self, index: usize, position: u64, segment: Option<Arc<Segment>>) -> Result<(), StoreError> {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = state.tables.get_mut(index) else { return Ok(()) };
        table.segments.extend(segment);
        let covered = table.hot.take_through(position);
        table.oldest_hot = (table.hot.rows() > 0).then(Instant::now);
        let spec = table.spec.clone();
        let super::Table { index, hot, .. } = table;
        index.rebuild(&spec, hot)?;
        table.changed();
        // Giving much memory back takes its time: not while writes wait for the lock.
        drop(state);
        drop(covered);
        Ok(())
    }

    /// Lets go of the log up to the oldest row that is not in a segment.
    fn truncate(&self) -> Result<(), StoreError> {
        let covered = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let oldest = state.tables.iter().filter_map(|table| table.hot.first()).min();
            oldest.map_or(state.position, |first| first.saturating_sub(1))
        };
        self.shared.wal.lock().unwrap_or_else(PoisonError::into_inner).truncate(covered)
    }

    /// Flushes everything and lists what a copy consists of. Table logs are read here, where they stand still; segments
    /// never change, and those in the list are not removed.
    fn inventory(&mut self) -> Result<Inventory, StoreError> {
        let position = self.shared.state.read().unwrap_or_else(PoisonError::into_inner).position;
        self.flush_all()?;
        let segments = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let segments = state.tables.iter().flat_map(|table| table.segments.iter().chain(&table.history));
            segments.cloned().collect()
        };
        Inventory::take(&self.shared.folder, segments, position)
    }
}

/// Recorded time up to which the history is in segments.
pub(crate) fn history_through(history: &[Arc<Segment>]) -> i64 {
    history.iter().map(|segment| segment.recorded_through).max().unwrap_or(i64::MIN)
}

/// Which history rows were superseded after `through`.
pub(crate) fn superseded_after(rows: &RecordBatch, through: i64) -> BooleanArray {
    let times =
        rows.column_by_name(SUPERSEDED).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let after = |times: &arrow::array::PrimitiveArray<TimestampMicrosecondType>| {
        times.iter().map(|time| Some(time.is_none_or(|time| time > through))).collect()
    };
    times.map_or_else(|| BooleanArray::from(vec![true; rows.num_rows()]), after)
}

/// Named by the WAL range it covers: the same flush after a crash writes the same name.
fn path(folder: &Path, spec: &TableSpec, first: u64, last: u64) -> PathBuf {
    folder.join("tables").join(&spec.name).join(format!("{first:020}-{last:020}.parquet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_many_full_tables_within_a_second() {
        let ago = |ms: u64| Instant::now().checked_sub(Duration::from_millis(ms)).expect("since the machine started");
        let of = |flushes: &[(u64, usize)]| {
            let flushed = flushes.iter().map(|(ms, tables)| (ago(*ms), *tables)).collect();
            Pressure { flushed, high: None }
        };
        assert!(of(&[(600, 1), (400, 1), (200, 1), (0, 1)]).is_high());
        assert!(!of(&[(1_500, 1), (400, 1), (200, 1), (0, 1)]).is_high());
        assert!(!of(&[(400, 1), (200, 1), (0, 1)]).is_high());
        // Larger flushes go on being pressure.
        assert!(of(&[(900, 4)]).is_high() && !of(&[(1_100, 4)]).is_high());
        // What is long past is forgotten.
        let mut pressure = of(&[(1_500, 4), (400, 2), (200, 1)]);
        pressure.note(1);
        assert!(pressure.is_high());
        assert_eq!(pressure.flushed.len(), 3);
        // It is over some time after it was high, not as soon as a flush is slow.
        let after = |ago_ms: u64| Pressure { flushed: Vec::new(), high: Some(ago(ago_ms)) };
        assert!(!pressure.is_calm() && !after(1_500).is_calm() && after(2_100).is_calm());
        assert!(Pressure::default().is_calm());
    }
}
