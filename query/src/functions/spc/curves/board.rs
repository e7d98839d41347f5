//! Which executions are to be measured, and when: what ended just now first, what ended long ago behind it.

use std::collections::{BTreeMap, HashMap, HashSet};

use oee::OPEN;

use super::backlog::Backlog;
use super::measure::measure;
use super::touched::Touched;
use super::waiting::Waiting;
use super::{Measured, hull};
use crate::context::Context;
use crate::error::QueryError;
use crate::functions::gather::Gather;

/// Executions that are measured at once: their samples are held in memory together.
const MOST_RUNS: usize = 512;
/// More than one is measured at once only where they last no longer than this together, microseconds …
const MOST_TIME_US: i64 = 4 * 3_600_000_000;
/// … and, with all that was measured of them, lie within this.
const MOST_SPAN_US: i64 = 24 * 3_600_000_000;
/// Clocks of the store and of looks may differ by this, microseconds.
const LAG_US: i64 = 60_000_000;
/// What ended longer ago than this can wait for what ended since, microseconds.
const RECENT_US: i64 = 600_000_000;

/// An execution that is to be measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    /// When.
    pub(super) due: i64,
    /// Where rows that were measured of it lie, apart from its end as it is now; first and last microsecond.
    pub(super) rows: (i64, i64),
    /// When that became known first.
    pub(super) noted: i64,
}

impl Pending {
    pub(super) fn at(due: i64, row: i64, noted: i64) -> Self {
        Self { due, rows: (row, row), noted }
    }

    fn join(self, other: Self) -> Self {
        Self { due: self.due.min(other.due), rows: hull(self.rows, other.rows), noted: self.noted.min(other.noted) }
    }
}

/// What is known of what there is to measure.
#[derive(Default)]
pub(super) struct Board {
    /// What came in and was not looked at yet.
    held: Waiting,
    /// Changes of executions that were recorded by then are looked at; none before the first look.
    seen: Option<i64>,
    /// What was written by then is looked at; none where nothing is known of before the start.
    looked: Option<i64>,
    pending: HashMap<String, Pending>,
    /// What is due and can wait, by where its rows end.
    backlog: BTreeMap<(i64, String), Pending>,
}

impl Board {
    pub(super) fn note(&mut self, waiting: Waiting) {
        self.held.join(waiting);
    }

    pub(super) fn pend(&mut self, runs: impl IntoIterator<Item = (String, Pending)>) {
        for (run, pending) in runs {
            self.pending.entry(run).and_modify(|known| *known = known.join(pending)).or_insert(pending);
        }
    }

    pub(super) fn has_due(&self, now: i64) -> bool {
        !self.backlog.is_empty() || self.pending.values().any(|pending| pending.due <= now)
    }

    /// What was written by then was looked at before the start, and is measured.
    pub(super) fn begin_at(&mut self, through: Option<i64>) {
        self.looked = through;
    }

    /// What was written by then is looked at, and measured; none before the first look.
    pub(super) fn through(&self) -> Option<i64> {
        self.seen?;
        let waiting = self.pending.values().chain(self.backlog.values()).map(|pending| pending.noted).min();
        [self.looked, waiting].into_iter().flatten().min()
    }

    pub(super) async fn look(
        &mut self,
        gather: &Gather,
        signals: &HashSet<String>,
        now: i64,
    ) -> Result<Measured, QueryError> {
        let Some(context) = gather.view.context().await? else { return Ok(Measured::default()) };
        // What goes back far may fail for long: what comes now does not wait for it.
        let trouble = self.take_in(gather, signals, &context, now).await.err();
        let runs = self.next(&context, now);
        if runs.is_empty() {
            return trouble.map_or_else(|| Ok(Measured::default()), Err);
        }
        match measure(gather, &context, &runs, now).await {
            Ok(rows) => Ok(Measured { rows, more: trouble.is_some() || self.has_due(now), runs }),
            Err(error) => {
                self.pend(runs);
                Err(error)
            }
        }
    }

    /// Which executions what came in is about.
    async fn take_in(
        &mut self,
        gather: &Gather,
        signals: &HashSet<String>,
        context: &Context,
        now: i64,
    ) -> Result<(), QueryError> {
        let mut touched = Touched::new(gather, context, self.held.since.unwrap_or(now));
        self.held.stretches.iter().for_each(|(path, spans)| {
            spans.iter().for_each(|span| touched.samples(path, *span));
        });
        self.held.runs.iter().for_each(|run| touched.run(run));
        if let Some(seen) = self.seen.filter(|_| !self.held.anew) {
            touched.changes(gather, seen).await?;
        }
        let found = std::mem::take(&mut touched.runs);
        if self.held.anew {
            self.pend(found);
            (self.held.stretches, self.held.runs, self.held.since) = Default::default();
            let mut since = self.looked;
            if self.seen.is_none() {
                let backlog = Backlog::look(gather, signals, context, now).await?;
                self.pend(backlog.runs);
                since = since.or(backlog.recorded);
            }
            if let Some(since) = since.map(|since| since.saturating_sub(LAG_US)) {
                touched.written_since(gather, signals, since)?;
                touched.changes(gather, since).await?;
            }
            self.pend(touched.runs);
        } else {
            self.pend(found);
        }
        self.held = Waiting::default();
        let newest = context.changes_since(self.seen.unwrap_or(i64::MIN)).next().map(|(at, _)| at);
        self.seen = newest.or(self.seen).or(Some(i64::MIN));
        self.looked = Some(now);
        Ok(())
    }

    /// What is measured next: what ended just now, else what waits longest.
    fn next(&mut self, context: &Context, now: i64) -> Vec<(String, Pending)> {
        let due = self.pending.iter().filter(|(_, pending)| pending.due <= now).map(|(run, _)| run.clone());
        let mut recent = Vec::new();
        for run in due.collect::<Vec<_>>() {
            let Some((run, pending)) = self.pending.remove_entry(&run) else { continue };
            // What is said to end in time to come has not ended.
            if let Some(end) = context.executions.effective_end(&run).filter(|end| now < *end && *end < OPEN) {
                self.pending.insert(run, Pending { due: end, ..pending });
                continue;
            }
            if pending.rows.1 < now.saturating_sub(RECENT_US) {
                let key = (pending.rows.1, run);
                self.backlog.entry(key).and_modify(|known| *known = known.join(pending)).or_insert(pending);
            } else {
                recent.push((run, pending));
            }
        }
        recent.sort_unstable_by_key(|(_, pending)| pending.rows.1);
        let mut chunk = Chunk::default();
        for (run, pending) in recent {
            if let Err(left) = chunk.take(context, run, pending) {
                self.pending.extend([left]);
            }
        }
        if !chunk.runs.is_empty() {
            return chunk.runs;
        }
        while let Some(((at, run), pending)) = self.backlog.pop_first() {
            if let Err((run, pending)) = chunk.take(context, run, pending) {
                self.backlog.insert((at, run), pending);
                break;
            }
        }
        chunk.runs
    }
}

/// What is measured at once.
#[derive(Default)]
struct Chunk {
    runs: Vec<(String, Pending)>,
    /// How long they last together.
    time_us: i64,
    /// From when to when they and their rows reach.
    span: Option<(i64, i64)>,
}

impl Chunk {
    /// Gives it back where it is too much; the first is never.
    fn take(&mut self, context: &Context, run: String, pending: Pending) -> Result<(), (String, Pending)> {
        let lasted = context.executions.get(&run).zip(context.executions.effective_end(&run));
        let lasted = lasted.map(|(execution, end)| (execution.started, end));
        let time_us = self.time_us.saturating_add(lasted.map_or(0, |(from, to)| to.saturating_sub(from)));
        let span = [self.span, lasted].into_iter().flatten().fold(pending.rows, hull);
        let is_much =
            self.runs.len() >= MOST_RUNS || time_us > MOST_TIME_US || span.1.saturating_sub(span.0) > MOST_SPAN_US;
        if !self.runs.is_empty() && is_much {
            return Err((run, pending));
        }
        (self.time_us, self.span) = (time_us, Some(span));
        self.runs.push((run, pending));
        Ok(())
    }
}
