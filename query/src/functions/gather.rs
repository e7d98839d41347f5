//! Brings together what the OEE engine needs of each machine: only for the window, with what was in force before it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::ScalarValue;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};
use oee::calendar::{Calendar, Shift};
use oee::count::Piece;
use oee::energy::Consumption;
use oee::execution::{Executions, OrderSpan};
use oee::live::Evidence;
use oee::machine::{Inputs, Job, Machine};
use oee::plant::{Plant, Source, WorkOrder};
use oee::reason::{GivenReason, explained};
use oee::state::{Category, RecordKind, StateRecord, StateSpan, timeline};
use oee::symptom::{Symptom, needs_earlier, told};
use oee::track::Tracks;

use super::records::{counts, no_pieces_yet, reasons, states, work_orders};
use super::signals::signals;
use crate::catalog::{SnapshotSource, View};
use crate::context::ContextCache;
use crate::error::QueryError;

/// Machines by path.
pub(crate) type Machines = HashMap<String, Machine>;

/// How far beyond a window something at its edge is followed at first, microseconds.
pub(super) const FIRST_REACH_US: i64 = 3_600_000_000;

/// Nothing is looked for before 1970.
const EARLIEST_US: i64 = 0;

/// A window of time, with the margin that tells micro-stops from stops at its edges, and starting up from production.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// What was found about one equipment.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// State records, in any order.
    pub(super) states: Vec<StateRecord>,
    /// Pieces; none where nothing counts them.
    pub(super) pieces: Option<Vec<Piece>>,
    /// Reasons that were given to stops, in any order.
    pub(super) reasons: Vec<GivenReason>,
    /// What signals tell of the reasons of stops.
    pub(super) symptoms: Vec<Symptom>,
    /// Energy taken; none where no meter is bound.
    pub(super) energy: Option<Vec<Consumption>>,
    /// Bound signals, as they are at the end of the window.
    pub(super) tracks: Tracks,
}

impl Found {
    /// Whether it takes rows from before `known`, when all since then are there, to tell what held at `from`: a state that a
    /// rule on a signal tells, or the reason of a stop that lasts.
    fn needs_earlier(&self, kind: RecordKind, from: i64, known: i64) -> bool {
        let began = self.reasons.iter().any(|given| given.end.is_none() && given.start < known);
        let untold = self.tracks.needs_earlier(from, known);
        // Of changes the last one before is known. An interval that ended before may be the run that ended the stop.
        if self.states.is_empty() {
            return untold || began && kind == RecordKind::Interval;
        }
        if untold || !(began || !self.symptoms.is_empty()) {
            return untold;
        }
        let spans = timeline(kind, self.states.clone());
        // Whatever reason held till then, it ended where the machine ran.
        let ran =
            |span: &StateSpan| span.value.category == Some(Category::Run) && span.start <= from && known < span.end;
        began && !spans.iter().any(ran) || !self.symptoms.is_empty() && needs_earlier(&spans, known)
    }
}

/// What is there now, for those who look again and again without a session.
pub(crate) struct Present {
    pub(crate) source: Arc<dyn SnapshotSource>,
    pub(crate) contexts: Arc<ContextCache>,
    pub(crate) plant: Arc<Plant>,
    pub(crate) session: SessionState,
}

impl Present {
    pub(crate) fn plant(&self) -> &Arc<Plant> {
        &self.plant
    }

    /// Place in the log of the newest write that is visible.
    pub(crate) fn position(&self) -> u64 {
        self.source.snapshot().position
    }

    /// Access to what is visible, and the place in the log up to which that is.
    pub(crate) fn gather(&self, now: i64) -> (Gather, u64) {
        let snapshot = self.source.snapshot();
        let position = snapshot.position;
        let view = View::new(snapshot, Arc::clone(&self.contexts));
        (Gather { session: self.session.clone(), view, plant: Arc::clone(&self.plant), now }, position)
    }
}

/// Access to what one statement sees.
#[derive(Debug)]
pub(crate) struct Gather {
    pub(crate) session: SessionState,
    pub(crate) view: View,
    pub(crate) plant: Arc<Plant>,
    /// Until when there is anything to see, microseconds.
    pub(crate) now: i64,
}

impl Gather {
    /// The machines among `paths`, ready to report on any part of `[from, to)`; those that are `known` are machines though
    /// nothing is recorded of them then.
    pub(crate) async fn machines(
        &self,
        paths: &[String],
        from: i64,
        to: i64,
        known: &HashSet<String>,
    ) -> Result<Machines, QueryError> {
        let span = self.with_margin(paths, from, to);
        let found = self.found(paths, span, known).await?;
        let mut spans = HashMap::with_capacity(found.len());
        if let Some(context) = self.view.context().await? {
            for path in found.keys() {
                spans.insert((*path).to_owned(), self.orders_of(&context.executions, path, span.from, to));
            }
        }
        let orders = Arc::new(work_orders(self, &names_of(spans.values().flatten())).await?);
        let mut all: Vec<(String, Found, Vec<OrderSpan>)> = found
            .into_iter()
            .map(|(path, found)| (path.to_owned(), found, spans.remove(path).unwrap_or_default()))
            .collect();
        let mut machines = Machines::with_capacity(all.len());
        let share = all.len().div_ceil(self.session.config().target_partitions()).max(1);
        let mut tasks = Vec::new();
        while !all.is_empty() {
            let some = all.split_off(all.len().saturating_sub(share));
            let (plant, orders) = (Arc::clone(&self.plant), Arc::clone(&orders));
            let build = move |(path, found, spans): (String, Found, Vec<OrderSpan>)| {
                let machine = machine(&plant, &path, found, &spans, &orders, (span.from, to));
                (path, machine)
            };
            tasks.push(SpawnedTask::spawn_blocking(move || some.into_iter().map(build).collect::<Vec<_>>()));
        }
        for task in tasks {
            machines.extend(task.await.map_err(|error| QueryError::Execution(error.to_string()))?);
        }
        Ok(machines)
    }

    /// Which of `paths` are machines, as far as `[from, to)` tells.
    pub(crate) async fn machines_among(&self, paths: &[String], from: i64, to: i64) -> Result<Vec<String>, QueryError> {
        let recorded = self.recorded(paths, self.with_margin(paths, from, to)).await?;
        let machines = recorded.into_iter().filter(|(path, found)| self.is_machine(path, found));
        Ok(machines.map(|(path, _)| path.to_owned()).collect())
    }

    fn with_margin(&self, paths: &[String], from: i64, to: i64) -> Span {
        let margin = paths.iter().map(|path| self.plant.margin_us(path)).max().unwrap_or(0);
        Span { from: from.saturating_sub(margin), to: to.saturating_add(margin) }
    }

    /// What signals, records and executions tell of equipment.
    async fn recorded<'a>(&self, paths: &'a [String], span: Span) -> Result<HashMap<&'a str, Found>, QueryError> {
        let mut found: HashMap<&str, Found> = paths.iter().map(|path| (path.as_str(), Found::default())).collect();
        signals(self, paths, span, &mut found).await?;
        states(self, paths, span, &mut found).await?;
        counts(self, paths, span, &mut found).await?;
        if paths.iter().any(|path| self.plant.count_source(path) == Source::Operations)
            && let Some(context) = self.view.context().await?
        {
            for (path, found) in &mut found {
                if let Some(executed) = self.executed(&context.executions, path, span.from, span.to) {
                    found.pieces = Some(executed);
                }
            }
        }
        Ok(found)
    }

    /// What is known of the equipment among `paths` that are machines, by what is recorded or because they are `known` to be.
    async fn found<'a>(
        &self,
        paths: &'a [String],
        span: Span,
        known: &HashSet<String>,
    ) -> Result<HashMap<&'a str, Found>, QueryError> {
        let mut found = self.recorded(paths, span).await?;
        no_pieces_yet(self, paths, &mut found).await?;
        found.retain(|path, found| known.contains(*path) || self.is_machine(path, found));
        reasons(self, span, &mut found).await?;
        self.earlier_rows(span, &mut found).await?;
        Ok(found)
    }

    /// What is known of machines from `from` on, whatever it comes to later; nothing of what is no machine.
    pub(crate) async fn evidence(&self, paths: &[String], from: i64) -> Result<HashMap<String, Evidence>, QueryError> {
        let margin = paths.iter().map(|path| self.plant.margin_us(path)).max().unwrap_or(0);
        let span = Span { from: from.saturating_sub(margin), to: i64::MAX };
        let found = self.found(paths, span, &HashSet::new()).await?;
        let context = self.view.context().await?;
        let mut evidence = HashMap::with_capacity(found.len());
        for (path, found) in found {
            let before = match &context {
                Some(context) => self.job_before(&context.executions, path, from).await?,
                None => None,
            };
            let Found { states, mut pieces, reasons, symptoms, energy, tracks } = found;
            if self.plant.count_source(path) == Source::Operations {
                // Looked up with each look.
                pieces = None;
            }
            evidence.insert(path.to_owned(), Evidence { states, pieces, energy, reasons, symptoms, tracks, before });
        }
        Ok(evidence)
    }

    /// The last job that ended before what a machine has to know from `from` on.
    async fn job_before(&self, executions: &Executions, path: &str, from: i64) -> Result<Option<Job>, QueryError> {
        let startup_us = self.plant.equipment(path).map_or(0, |equipment| equipment.startup_us);
        let reach = from.saturating_sub(startup_us);
        let spans = self.orders_of(executions, path, reach, from);
        let orders = work_orders(self, &names_of(&spans)).await?;
        let first = spans.first().map_or(reach, |span| span.start);
        Ok(self.plant.jobs(path, &spans, &orders, first, from).into_iter().rfind(|job| job.end <= reach))
    }

    /// Pieces of `[from, to)`, where results of operations count them.
    pub(crate) fn executed(&self, executions: &Executions, path: &str, from: i64, to: i64) -> Option<Vec<Piece>> {
        let counts = self.plant.count_source(path) == Source::Operations;
        let completed =
            || executions.completed_on(path, from, to).filter_map(|execution| self.plant.executed(execution));
        counts.then(|| completed().collect())
    }

    /// The orders in force over `[from, to)`. Where it matters what was made before, the last one before them too: what was
    /// made before tells whether something else is being started up.
    fn orders_of(&self, executions: &Executions, path: &str, from: i64, to: i64) -> Vec<OrderSpan> {
        let mut spans = executions.order_spans(path, from, to);
        let starts_up = self.plant.equipment(path).is_some_and(|equipment| equipment.startup_us > 0);
        let known = self.plant.default_product(path).is_some() || spans.first().is_some_and(|span| span.start <= from);
        if starts_up
            && !known
            && let Some(before) = executions.last_order_before(path, from)
        {
            spans.insert(0, before);
        }
        spans
    }

    /// Reads further back where it takes that to tell what held at the beginning.
    async fn earlier_rows(&self, span: Span, found: &mut HashMap<&str, Found>) -> Result<(), QueryError> {
        let (mut known, mut reach) = (span.from, FIRST_REACH_US);
        loop {
            let kind = |path: &str| self.plant.record_kind(path);
            let needed = found.iter().filter(|(path, found)| found.needs_earlier(kind(path), span.from, known));
            let paths: Vec<String> = needed.map(|(path, _)| (*path).to_owned()).collect();
            if paths.is_empty() || known <= EARLIEST_US {
                return Ok(());
            }
            known = known.saturating_sub(reach).max(EARLIEST_US);
            reach = reach.saturating_mul(4);
            let mut longer: HashMap<&str, Found> = paths.iter().map(|path| (path.as_str(), Found::default())).collect();
            let all = Span { from: known, to: span.to };
            signals(self, &paths, all, &mut longer).await?;
            states(self, &paths, all, &mut longer).await?;
            for (path, longer) in longer {
                let Some(found) = found.get_mut(path) else { continue };
                (found.states, found.symptoms, found.tracks) = (longer.states, longer.symptoms, longer.tracks);
                found.energy = longer.energy.or(found.energy.take());
                found.pieces = longer.pieces.or(found.pieces.take());
            }
        }
    }

    /// What is sent for a line is none of its machines, and takes the place of none. Signals bound at an ancestor apply to every
    /// node below it, so only a leaf is a machine by its bindings alone.
    fn is_machine(&self, path: &str, found: &Found) -> bool {
        let has_data = !found.states.is_empty() || found.pieces.as_ref().is_some_and(|pieces| !pieces.is_empty());
        if self.plant.equipment(path).is_some_and(|equipment| !equipment.is_machine) {
            if has_data {
                told_once(path);
            }
            return false;
        }
        let leaf = self.plant.children(path).next().is_none();
        let bound = found.pieces.is_some()
            || self.plant.state_source(path) != Source::AnyRecords
            || self.plant.count_source(path) != Source::AnyRecords;
        has_data || (leaf && bound)
    }

    /// The shift instances of an equipment that overlap a window; days where it has no calendar.
    pub(crate) fn shifts(&self, path: &str, from: i64, to: i64) -> Vec<Shift> {
        shifts(&self.plant, path, from, to)
    }

    /// What `work_orders` knows of some orders.
    pub(crate) async fn work_orders(&self, names: &HashSet<String>) -> Result<HashMap<String, WorkOrder>, QueryError> {
        work_orders(self, names).await
    }
}

fn machine(
    plant: &Plant,
    path: &str,
    found: Found,
    spans: &[OrderSpan],
    orders: &HashMap<String, WorkOrder>,
    (from, to): (i64, i64),
) -> Machine {
    let equipment = plant.equipment(path);
    let kind = plant.record_kind(path);
    Machine::new(Inputs {
        shifts: shifts(plant, path, from, to),
        states: explained(told(timeline(kind, found.states), &found.symptoms), found.reasons),
        jobs: plant.jobs(path, spans, orders, spans.first().map_or(from, |span| span.start.min(from)), to),
        pieces: found.pieces,
        energy: found.energy,
        rates: equipment.map(|equipment| equipment.rates).unwrap_or_default(),
        startup_us: equipment.map_or(0, |equipment| equipment.startup_us),
        microstop_threshold_us: equipment.map_or(0, |equipment| equipment.microstop_threshold_us),
    })
}

fn shifts(plant: &Plant, path: &str, from: i64, to: i64) -> Vec<Shift> {
    let continuous = || Calendar::continuous(plant.plant_zone().clone()).instances(from, to);
    plant.calendar(path).map_or_else(continuous, |calendar| calendar.instances(from, to))
}

/// The work orders of some spans.
fn names_of<'a>(spans: impl IntoIterator<Item = &'a OrderSpan>) -> HashSet<String> {
    spans.into_iter().filter_map(|span| span.work_order.clone()).collect()
}

/// `column IN (values)`.
pub(super) fn among<'a>(column: &str, values: impl IntoIterator<Item = &'a str>) -> Expr {
    ident(column).in_list(values.into_iter().map(lit).collect(), false)
}

/// An instant as a constant.
pub(super) fn at(us: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())), None)
}

/// How far the stretches of a search for the nearest row reach, microseconds: an hour, a day, 30 days.
const STEPS_US: [i64; 3] = [3_600_000_000, 86_400_000_000, 30 * 86_400_000_000];

/// Stretches of time before an instant, the nearest first, each longer than the one before; the last is all the rest.
pub(super) fn looking_back(column: &str, before: i64) -> Vec<Expr> {
    let mut upper = before;
    let mut stretches = Vec::with_capacity(STEPS_US.len() + 1);
    for step in STEPS_US {
        let lower = before.saturating_sub(step);
        stretches.push(ident(column).gt_eq(at(lower)).and(ident(column).lt(at(upper))));
        upper = lower;
    }
    stretches.push(ident(column).lt(at(upper)));
    stretches
}

/// The same from an instant on, itself included.
pub(super) fn looking_ahead(column: &str, from: i64) -> Vec<Expr> {
    let mut lower = from;
    let mut stretches = Vec::with_capacity(STEPS_US.len() + 1);
    for step in STEPS_US {
        let upper = from.saturating_add(step);
        stretches.push(ident(column).gt_eq(at(lower)).and(ident(column).lt(at(upper))));
        lower = upper;
    }
    stretches.push(ident(column).gt_eq(at(lower)));
    stretches
}

/// Says once of an equipment that what was sent for it counts for nothing.
fn told_once(path: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned()) {
        tracing::warn!(
            equipment = path,
            "it has states or pieces of its own that count for nothing, since it has equipment below it: give it level = \"work_unit\" \
             in plant.toml, or send them for a machine"
        );
    }
}
