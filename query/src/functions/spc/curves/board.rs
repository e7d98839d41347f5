//! Which executions are to be measured, and when: what ended just now first, what ended long ago behind it.

use std::collections::{BTreeMap, HashMap, HashSet};

use oee::OPEN;
use oee::execution::Affected;
use oee::path::lineage;

use super::backlog::{backlog, hot_stretches};
use super::measure::measure;
use super::row::{Measurement, own_rows};
use super::waiting::Waiting;
use super::{Measured, hull, settle_us};
use crate::context::{Context, joined};
use crate::error::QueryError;
use crate::functions::gather::Gather;

/// Executions that are measured at once: their samples are held in memory together.
const MOST_RUNS: usize = 512;
/// More than one is measured at once only where they last no longer than this together, microseconds.
const MOST_TIME_US: i64 = 4 * 3_600_000_000;
/// What ended longer ago than this can wait for what ended since, microseconds.
const RECENT_US: i64 = 600_000_000;

/// An execution that is to be measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    /// When.
    pub(super) due: i64,
    /// Where rows that were measured of it lie, apart from its end as it is now; first and last microsecond.
    pub(super) rows: (i64, i64),
}

impl Pending {
    pub(super) fn at(due: i64, row: i64) -> Self {
        Self { due, rows: (row, row) }
    }

    fn join(self, other: Self) -> Self {
        Self { due: self.due.min(other.due), rows: hull(self.rows, other.rows) }
    }
}

/// What is known of what there is to measure.
#[derive(Default)]
pub(super) struct Board {
    /// What came in and was not looked at yet.
    held: Waiting,
    /// Changes of executions that were recorded by then are looked at; none before the first look.
    seen: Option<i64>,
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

    pub(super) async fn look(
        &mut self,
        gather: &Gather,
        signals: &HashSet<String>,
        now: i64,
    ) -> Result<Measured, QueryError> {
        let Some(context) = gather.view.context().await? else { return Ok(Measured::default()) };
        let found = self.touched(gather, signals, &context, now).await?;
        self.held = Waiting::default();
        self.seen = context.changes_since(self.seen.unwrap_or(i64::MIN)).next().map(|(at, _)| at).or(self.seen);
        self.pend(found);
        let runs = self.next(&context, now);
        if runs.is_empty() {
            return Ok(Measured::default());
        }
        match measure(gather, &context, &runs, now).await {
            Ok(rows) => Ok(Measured { rows, more: self.has_due(now), runs }),
            Err(error) => {
                self.pend(runs);
                Err(error)
            }
        }
    }

    /// The executions that what came in is about.
    async fn touched(
        &self,
        gather: &Gather,
        signals: &HashSet<String>,
        context: &Context,
        now: i64,
    ) -> Result<Vec<(String, Pending)>, QueryError> {
        let plant = &gather.plant;
        let mut found = Vec::new();
        let mut ended = |run: &str| {
            let Some((execution, end)) = context.executions.get(run).zip(context.executions.effective_end(run)) else {
                return;
            };
            if let Some(settle_us) = settle_us(plant, execution).filter(|_| execution.unit.is_some() && end < OPEN) {
                found.push((run.to_owned(), Pending::at(now.saturating_add(settle_us), end)));
            }
        };
        let mut sampled = |path: &str, (from, to): (i64, i64)| {
            // Executions on a line are those of what lies below it too.
            for path in lineage(path) {
                context.executions.units_within(path, from, to).for_each(|(execution, _)| ended(&execution.run));
            }
        };
        for (path, spans) in &self.held.stretches {
            spans.iter().for_each(|span| sampled(path, *span));
        }
        if self.seen.is_none() {
            hot_stretches(gather, signals)?.into_iter().for_each(|(path, span)| sampled(&path, span));
        }
        self.held.runs.iter().for_each(|run| ended(run));
        let changed: Vec<Affected> = match self.seen {
            Some(seen) => context.changes_since(seen).map(|(_, affected)| affected.clone()).collect(),
            None => Vec::new(),
        };
        let changed = joined(changed);
        for Affected { equipment, from, to } in &changed {
            let around = context.executions.units_around(equipment, *from, *to);
            around.into_iter().for_each(|(execution, _)| ended(&execution.run));
        }
        if !changed.is_empty() {
            found.extend(measured_within(gather, context, &changed, now).await?);
        }
        if self.held.anew {
            found.extend(backlog(gather, signals, context, now).await?);
        }
        Ok(found)
    }

    /// What is measured next: what ended just now, else what waits longest.
    fn next(&mut self, context: &Context, now: i64) -> Vec<(String, Pending)> {
        let due = self.pending.iter().filter(|(_, pending)| pending.due <= now).map(|(run, _)| run.clone());
        let mut recent = Vec::new();
        for run in due.collect::<Vec<_>>() {
            let Some((run, pending)) = self.pending.remove_entry(&run) else { continue };
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
}

impl Chunk {
    /// Gives it back where it is too much; the first is never.
    fn take(&mut self, context: &Context, run: String, pending: Pending) -> Result<(), (String, Pending)> {
        let lasted = context.executions.get(&run).zip(context.executions.effective_end(&run));
        let time_us = self.time_us.saturating_add(lasted.map_or(0, |(execution, end)| end - execution.started));
        if !self.runs.is_empty() && (self.runs.len() >= MOST_RUNS || time_us > MOST_TIME_US) {
            return Err((run, pending));
        }
        self.time_us = time_us;
        self.runs.push((run, pending));
        Ok(())
    }
}

/// Executions that were measured by rows of takt within stretches of time that changed, wherever they are now.
async fn measured_within(
    gather: &Gather,
    context: &Context,
    changed: &[Affected],
    now: i64,
) -> Result<Vec<(String, Pending)>, QueryError> {
    let from = changed.iter().map(|affected| affected.from).min().unwrap_or(i64::MAX);
    let to = changed.iter().map(|affected| affected.to).max().unwrap_or(i64::MIN);
    let mut by_place: HashMap<&str, Vec<(i64, i64)>> = HashMap::new();
    for affected in changed {
        by_place.entry(&affected.equipment).or_default().push((affected.from, affected.to));
    }
    let is_within = |path: &str, time: i64| {
        let spans = lineage(path).filter_map(|path| by_place.get(path)).flatten();
        spans.into_iter().any(|(from, to)| *from <= time && time <= *to)
    };
    let rows = own_rows(gather, (from, to)).await?;
    let touched = rows.into_iter().filter(|row| is_within(&row.equipment, row.time));
    let settle_us = |run: &str| settle_us(&gather.plant, context.executions.get(run)?);
    let pending = |row: Measurement| {
        let run = row.run?;
        let due = now.saturating_add(settle_us(&run).unwrap_or(0));
        Some((run, Pending::at(due, row.time)))
    };
    Ok(touched.filter_map(pending).collect())
}
