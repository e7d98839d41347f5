//! Joins small neighbouring segments, so that a table of many flushes is read from few files.
//!
//! Size-tiered: a run of at least [`FAN_IN`] neighbours of one size class becomes one segment, so a row is rewritten once
//! a class. Superseded rows go, for the history has them; retractions stay, for they hide what lies in older segments; and
//! derived columns are derived afresh. The new segment takes the sequence of its newest part: what was superseded before
//! is gone from it, what is superseded later is newer than it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::compute::{concat_batches, take_record_batch};

use super::apply::in_schema;
use super::flush::Flusher;
use crate::StoreError;
use crate::keys::{KeyOrder, KeySet, indices};
use crate::segment::{Segment, Stamp, keep};
use crate::snapshot::Dead;
use crate::spec::TableSpec;

/// Segments of one class that are joined.
const FAN_IN: usize = 8;
/// Rows of the smallest class at most; each further class is [`FAN_IN`] times as large.
const SMALLEST_CLASS_ROWS: u64 = 4_096;
/// Rows of a joined segment at most: a join happens in memory.
const JOINED_ROWS: u64 = 2_000_000;
/// Files stay this long after they left the table: other readers may have listed them just before.
const GRACE: Duration = Duration::from_secs(600);

/// A segment that left its table.
pub(super) struct Retired {
    segment: Arc<Segment>,
    since: Instant,
}

impl Flusher {
    /// Joins one run of segments of one table, where there is one; removes files whose grace has passed.
    pub(super) fn compact_due(&mut self) {
        let due = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            state.tables.iter().enumerate().find_map(|(index, table)| Some((index, run(&table.segments)?)))
        };
        let joined = due.map_or(Ok(()), |(index, run)| self.join(index, &run));
        if let Err(error) = joined.and_then(|()| self.remove_retired()) {
            if let StoreError::Poisoned(reason) = &error {
                self.shared.poison(reason);
            }
            tracing::error!(%error, "segments could not be joined; they are read as they are");
        }
    }

    /// Joins all segments of every table that has more than one.
    pub(super) fn compact_all(&mut self) -> Result<(), StoreError> {
        for index in 0..self.logs.len() {
            let all = {
                let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
                state.tables.get(index).map(|table| table.segments.clone()).unwrap_or_default()
            };
            for run in within(&all, JOINED_ROWS).into_iter().filter(|run| run.len() > 1) {
                self.join(index, &run)?;
            }
        }
        Ok(())
    }

    fn join(&mut self, index: usize, parts: &[Arc<Segment>]) -> Result<(), StoreError> {
        if self.shared.poisoned.get().is_some() {
            return Ok(());
        }
        let (spec, dead) = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            let Some(table) = state.tables.get(index) else { return Ok(()) };
            (table.spec.clone(), table.dead.clone())
        };
        let Some(joined) = self.write_joined(index, &spec, &dead, parts)? else { return Ok(()) };
        let Some(logs) = self.logs.get_mut(index) else { return Ok(()) };
        logs.rows.replace(&joined, &spec, parts)?;
        self.shared.joined_rows.fetch_add(joined.rows, Ordering::Relaxed);
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = state.tables.get_mut(index) {
            table.segments.retain(|segment| !parts.iter().any(|part| part.path == segment.path));
            let place = table.segments.partition_point(|segment| segment.sequence < joined.sequence);
            table.segments.insert(place, Arc::new(joined));
            table.changed();
        }
        drop(state);
        let since = Instant::now();
        self.retired.extend(parts.iter().map(|segment| Retired { segment: segment.clone(), since }));
        Ok(())
    }

    fn write_joined(
        &self,
        index: usize,
        spec: &TableSpec,
        dead: &[Arc<Dead>],
        parts: &[Arc<Segment>],
    ) -> Result<Option<Segment>, StoreError> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(None) };
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
        let rows = take_record_batch(&rows, &indices(current))?;
        let transform = self.shared.transform.get();
        let keyed_through = transform.map_or(i64::MIN, |transform| transform.watermark());
        let rows = match transform {
            Some(transform) => transform.apply(index, rows),
            None => rows,
        };
        let recorded_through = parts.iter().map(|part| part.recorded_through).max().unwrap_or(i64::MIN);
        let stamp = Stamp { sequence: last.sequence, keyed_through, recorded_through };
        Segment::write(&path(first, last), spec, &rows, stamp).map(Some)
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

/// Named by the sequences it spans, beside its parts.
fn path(first: &Segment, last: &Segment) -> PathBuf {
    last.path.with_file_name(format!("joined-{:020}-{:020}.parquet", first.sequence, last.sequence))
}

/// Size class: 0 for the smallest.
fn class(segment: &Segment) -> u32 {
    let mut bound = SMALLEST_CLASS_ROWS;
    let mut class = 0;
    while segment.rows > bound {
        bound *= FAN_IN as u64;
        class += 1;
    }
    class
}

/// The newest segments that are worth joining: at least [`FAN_IN`] of one class or smaller ones, small enough together.
fn run(segments: &[Arc<Segment>]) -> Option<Vec<Arc<Segment>>> {
    let largest = segments.iter().map(|segment| class(segment)).max()?;
    (0..=largest).find_map(|limit| {
        let mut rows = 0;
        let tail = segments.iter().rev().take_while(|segment| {
            rows += segment.rows;
            class(segment) <= limit && rows <= JOINED_ROWS
        });
        let mut run: Vec<Arc<Segment>> = tail.cloned().collect();
        run.reverse();
        (run.len() >= FAN_IN).then_some(run)
    })
}

/// Cuts neighbours into runs of at most `rows` rows.
fn within(segments: &[Arc<Segment>], rows: u64) -> Vec<Vec<Arc<Segment>>> {
    let mut runs: Vec<Vec<Arc<Segment>>> = Vec::new();
    let mut held = 0;
    for segment in segments {
        held += segment.rows;
        match runs.last_mut() {
            Some(run) if held <= rows => run.push(segment.clone()),
            _ => {
                held = segment.rows;
                runs.push(vec![segment.clone()]);
            }
        }
    }
    runs
}
