//! What writes are about: executions that they ended, corrected or took back, and those that got samples.

use std::collections::{HashMap, HashSet};

use oee::OPEN;
use oee::execution::{Affected, Execution};
use oee::path::lineage;
use oee::plant::Plant;
use oee::tables::SAMPLES;

use super::board::Pending;
use super::row::own_rows;
use super::{hull, settle_us, spans};
use crate::context::{Context, overlapping};
use crate::error::QueryError;
use crate::functions::gather::Gather;

/// Stretches of time that rows are read of one after the other; of more the nearest ones are read as one.
const MOST_READS: usize = 16;

/// Executions that are to be measured, as what touched them is gone through.
pub(super) struct Touched<'a> {
    plant: &'a Plant,
    context: &'a Context,
    /// When it came, at the earliest.
    came: i64,
    pub(super) runs: Vec<(String, Pending)>,
}

impl<'a> Touched<'a> {
    /// By what `came` then and later.
    pub(super) fn new(gather: &'a Gather, context: &'a Context, came: i64) -> Self {
        Self { plant: &gather.plant, context, came, runs: Vec::new() }
    }

    /// An execution, where it is of a unit, has ended and anything is measured of it.
    pub(super) fn run(&mut self, run: &str) {
        if let Some(execution) = self.context.executions.get(run) {
            self.execution(execution);
        }
    }

    fn execution(&mut self, execution: &Execution) {
        let end = self.context.executions.effective_end(&execution.run).filter(|end| *end < OPEN);
        if let Some(end) = end.filter(|_| execution.unit.is_some())
            && let Some(settle_us) = settle_us(self.plant, execution)
        {
            let due = self.came.max(end).saturating_add(settle_us);
            self.runs.push((execution.run.as_ref().to_owned(), Pending::at(due, end, self.came)));
        }
    }

    /// Samples on an equipment: executions on a line are those of what lies below it too.
    pub(super) fn samples(&mut self, path: &str, (from, to): (i64, i64)) {
        let executions = &self.context.executions;
        for path in lineage(path) {
            for (execution, _) in executions.units_within(path, from, to) {
                self.execution(execution);
            }
        }
    }

    /// What changed in executions, and rows of takt within that, wherever their executions are now.
    pub(super) async fn changes(&mut self, gather: &Gather, since: i64) -> Result<(), QueryError> {
        let changed = overlapping(self.context.changes_since(since).map(|(_, affected)| affected.clone()).collect());
        let executions = &self.context.executions;
        for Affected { equipment, from, to } in &changed {
            for (execution, _) in executions.units_around(equipment, *from, *to) {
                self.execution(execution);
            }
        }
        let mut by_place: HashMap<&str, Vec<(i64, i64)>> = HashMap::new();
        for affected in &changed {
            by_place.entry(&affected.equipment).or_default().push((affected.from, affected.to));
        }
        let is_within = |path: &str, time: i64| {
            let mut spans = lineage(path).filter_map(|path| by_place.get(path)).flatten();
            spans.any(|(from, to)| *from <= time && time <= *to)
        };
        for span in in_few(changed.iter().map(|affected| (affected.from, affected.to)).collect()) {
            for row in own_rows(gather, span).await? {
                let Some(run) = row.run.filter(|_| is_within(&row.equipment, row.time)) else { continue };
                let settle_us = executions.get(&run).and_then(|execution| settle_us(self.plant, execution));
                let due = self.came.saturating_add(settle_us.unwrap_or(0));
                self.runs.push((run, Pending::at(due, row.time, self.came)));
            }
        }
        Ok(())
    }

    /// All that was written since then, whoever was told of it; `signals` are those that are measured.
    pub(super) fn written_since(
        &mut self,
        gather: &Gather,
        signals: &HashSet<String>,
        since: i64,
    ) -> Result<(), QueryError> {
        // Who did it, and what became of it, changes no key.
        for execution in self.context.executions.iter().filter(|execution| execution.recorded > since) {
            self.execution(execution);
        }
        let Some(samples) = gather.view.stored(SAMPLES.name) else { return Ok(()) };
        for batch in samples.hot_versions() {
            spans(signals, batch)?.iter().for_each(|(path, span)| self.samples(path, *span));
        }
        let place = |name: &str| samples.spec.key_names().iter().position(|known| *known == name);
        let (equipment, signal) = (place("equipment"), place("signal"));
        for segment in samples.segments.iter().filter(|segment| segment.recorded_through > since) {
            let Some(outline) = segment.outline() else {
                let all = segment.min_time.zip(segment.max_time).unwrap_or((i64::MIN, i64::MAX));
                self.plant.tree().for_each(|equipment| self.samples(&equipment.path, all));
                continue;
            };
            for series in &outline.series {
                let part = |place: Option<usize>| series.key.get(place?)?.as_deref();
                let Some(path) = part(equipment).filter(|_| part(signal).is_some_and(|name| signals.contains(name)))
                else {
                    continue;
                };
                let cells = series.cells.first().zip(series.cells.last());
                if let Some((first, last)) = cells {
                    self.samples(path, (first.start_us, series.last_us(last)));
                }
            }
        }
        Ok(())
    }
}

/// Stretches of time in order, no more than are read one after the other.
fn in_few(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut few: Vec<(i64, i64)> = Vec::new();
    for span in spans {
        match few.last_mut() {
            Some(last) if span.0 <= last.1 => *last = hull(*last, span),
            _ => few.push(span),
        }
    }
    while few.len() > MOST_READS {
        let gap = |place: &usize| few[place + 1].0 - few[*place].1;
        let Some(nearest) = (0..few.len() - 1).min_by_key(gap) else { break };
        let next = few.remove(nearest + 1);
        few[nearest] = hull(few[nearest], next);
    }
    few
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_become_few_where_they_are_near_each_other() {
        assert_eq!(in_few(vec![(5, 6), (1, 3), (2, 4)]), [(1, 4), (5, 6)]);
        let many: Vec<(i64, i64)> = (0..20).map(|at| (at * at * 10, at * at * 10 + 1)).collect();
        let few = in_few(many);
        assert_eq!((few.len(), few[0], few[15]), (16, (0, 161), (3610, 3611)));
    }
}
