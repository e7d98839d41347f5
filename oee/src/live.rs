//! One machine live: the OEE of its running shift and order, kept up to date row by row.
//!
//! What lies some time back is summed up; of the rest the rows are kept, and the engine itself ([`crate::machine`]) goes
//! over them. So a live figure is a batch figure by construction, and costs the same however long the shift, the order
//! or the history are. A row that changes what is summed up already makes the machine *late*: it takes no more rows and
//! has to be begun anew from what is stored.
//!
//! The cut between the two never lies within an unplanned stop, for a stop is judged and counted as a whole, nor within
//! time of which rules on signals cannot tell the state or the reason yet.

use std::sync::Arc;

use crate::calendar::Shift;
use crate::count::Piece;
use crate::energy::{Consumption, Rates, SPREAD_US};
use crate::machine::{Inputs, Job, Machine, Report};
use crate::plant::Plant;
use crate::reason::{GivenReason, explained, holds_until};
use crate::state::{Category, RecordKind, StateRecord, StateSpan, StateValue, timeline};
use crate::symptom::{Symptom, settled, told};
use crate::track::{Reading, Said, Tracks};
use crate::{OPEN, SECOND_US};

/// How much is kept as rows.
#[derive(Debug, Clone, Copy)]
struct Keep {
    /// Rows that are this much late still meet rows, not sums.
    lateness_us: i64,
    /// Pieces that are kept at most, however close they follow each other.
    pieces: usize,
    /// Sums move on in steps of at least this much: that is what the cost of a step is spread over.
    step_us: i64,
}

impl Keep {
    const USUAL: Self = Self { lateness_us: 600 * SECOND_US, pieces: 2_048, step_us: 60 * SECOND_US };
}

/// Orders whose sums are kept: the running one, and others that it may alternate with.
const KEPT_ORDERS: usize = 8;

/// What the plant says of a machine's rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rules {
    /// How its state records are read.
    pub kind: RecordKind,
    /// Unplanned stops shorter than this are micro-stops.
    pub microstop_threshold_us: i64,
    /// How long scrap counts as that of starting up.
    pub startup_us: i64,
    /// What machine and energy cost.
    pub rates: Rates,
}

/// What is known of a machine from some time on.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// State records, the one that holds at the beginning with them.
    pub states: Vec<StateRecord>,
    /// Pieces; none where nothing counts them.
    pub pieces: Option<Vec<Piece>>,
    /// Energy taken; none where no meter is bound.
    pub energy: Option<Vec<Consumption>>,
    /// Reasons given to stops.
    pub reasons: Vec<GivenReason>,
    /// What explains stops, from bound signals.
    pub symptoms: Vec<Symptom>,
    /// Bound signals, as they are now.
    pub tracks: Tracks,
    /// The last job that ended before [`Live::reach`].
    pub before: Option<Job>,
}

/// What surrounds a machine: from [`Live::reach`] to now.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Shift instances.
    pub shifts: Vec<Shift>,
    /// Orders in force, up to now.
    pub jobs: Vec<Job>,
    /// Pieces, where results of operations count them.
    pub executed: Option<Vec<Piece>>,
}

/// Sums of the running shift, as far as it is summed up.
#[derive(Debug, Clone)]
struct ShiftSum {
    start: i64,
    report: Option<Report>,
}

/// A machine, live.
#[derive(Debug, Clone)]
pub struct Live {
    rules: Rules,
    keep: Keep,
    /// Since when its rows are known.
    begun: i64,
    /// Up to when they are summed up.
    cut: i64,
    states: Vec<StateRecord>,
    /// The state that holds at [`Live::reach`], whole: it may have begun with records that are forgotten.
    carried: Option<StateSpan>,
    pieces: Vec<Piece>,
    counted: bool,
    energy: Option<Vec<Consumption>>,
    reasons: Vec<GivenReason>,
    symptoms: Vec<Symptom>,
    tracks: Tracks,
    /// The job before those that surround what is not summed up: starting up begins where the product changes.
    before: Option<Job>,
    shift: Option<ShiftSum>,
    orders: Vec<(Arc<str>, Report)>,
    late: bool,
}

/// How the running shift goes.
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftSoFar {
    /// The shift.
    pub shift: Shift,
    /// Its report up to now.
    pub report: Report,
}

/// How the running order goes.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderSoFar {
    /// Work order.
    pub work_order: Arc<str>,
    /// Its product.
    pub product: Option<Arc<str>>,
    /// The report of the time in which it was in force on this machine, up to now.
    pub report: Report,
}

/// A machine at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Now {
    /// State and since when it holds, also where the source says that it is unknown; none where nobody says anything.
    pub state: Option<(StateValue, i64)>,
    /// The running shift; none outside of shifts.
    pub shift: Option<ShiftSoFar>,
    /// The running order.
    pub order: Option<OrderSoFar>,
}

impl Live {
    /// A machine whose rows are known since `begun`.
    #[must_use]
    pub fn new(rules: Rules, begun: i64, evidence: Evidence) -> Self {
        let Evidence { mut states, pieces, energy, reasons, symptoms, tracks, before } = evidence;
        states.sort_by_key(|record| (record.start, record.recorded));
        let counted = pieces.is_some();
        let mut pieces = pieces.unwrap_or_default();
        pieces.sort_by_key(|piece| piece.time);
        Self {
            rules,
            keep: Keep::USUAL,
            begun,
            cut: begun,
            states,
            carried: None,
            pieces,
            counted,
            energy,
            reasons,
            symptoms,
            tracks,
            before,
            shift: None,
            orders: Vec::new(),
            late: false,
        }
    }

    /// Whether it has to be begun anew from what is stored.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late
    }

    /// Something changed in a way that rows do not tell.
    pub fn forget(&mut self) {
        self.late = true;
    }

    /// Up to when it is summed up: what happened before cannot be changed by a row any more.
    #[must_use]
    pub fn cut(&self) -> i64 {
        self.cut
    }

    /// From when on it has to know its surroundings.
    #[must_use]
    pub fn reach(&self) -> i64 {
        self.cut.saturating_sub(self.rules.startup_us)
    }

    /// Whether an order that began on this machine at `first_start` is known from its first moment on.
    #[must_use]
    pub fn knows_order(&self, work_order: &str, first_start: i64) -> bool {
        self.cut <= first_start
            || self.begun <= first_start && self.orders.iter().any(|(order, _)| order.as_ref() == work_order)
    }

    /// Takes a state record.
    pub fn state(&mut self, record: StateRecord) {
        let Some(last) = self.states.last() else { return self.first_state(record) };
        let same = last.start == record.start && last.value == record.value;
        if last.start < record.start && self.cut <= record.start {
            self.states.push(record);
        } else if same
            && last.end.is_none()
            && record.end.is_some_and(|end| self.cut <= end)
            && self.alone_at_its_start()
        {
            self.states.pop();
            self.states.push(record);
        } else {
            self.late = true;
        }
    }

    fn first_state(&mut self, record: StateRecord) {
        self.late |= record.start < self.cut;
        self.states.push(record);
    }

    fn alone_at_its_start(&self) -> bool {
        let mut newest = self.states.iter().rev().map(|record| record.start);
        newest.next() != newest.next()
    }

    /// Takes pieces of records that became known together.
    pub fn pieces(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.counted = true;
        let newest = self.pieces.last().map_or(self.cut, |piece| piece.time.saturating_add(1)).max(self.cut);
        for piece in pieces {
            // At or before the newest it may take the place of another.
            self.late |= piece.time < newest;
            self.pieces.push(piece);
        }
        self.pieces.sort_by_key(|piece| piece.time);
    }

    /// Takes a reason given to a stop.
    pub fn reason(&mut self, reason: GivenReason) {
        self.late |= reason.start < self.cut;
        // A row of the same equipment and start takes the place of the one before.
        self.reasons.retain(|known| (&known.equipment, known.start) != (&reason.equipment, reason.start));
        self.reasons.push(reason);
    }

    /// Takes a sample of a bound signal.
    pub fn sample(&mut self, plant: &Plant, signal: &str, reading: &Reading<'_>) {
        let newest = self.tracks.newest(signal);
        // Whatever it says, it comes between samples that were gone over, or takes the place of one.
        let between = newest.is_some_and(|newest| reading.time <= newest) || reading.time < self.cut;
        if between || self.tracks.is_undone_by(signal, reading) {
            self.late = true;
            return;
        }
        self.tracks.push(plant, signal, reading);
        // What the sample itself proves.
        self.take_said(i64::MIN);
    }

    /// Takes what bound signals have said as of `now`.
    fn take_said(&mut self, now: i64) {
        let Said { states, pieces, energy, symptoms } = self.tracks.take(now);
        // A rule tells a state after it began, and a meter what was taken. The cut keeps out of the way, unless it lay there
        // from the beginning.
        let starts = states.iter().map(|record| record.start);
        let mut starts = starts.chain(energy.iter().flatten().map(|consumption| consumption.start));
        self.late |= self.begun < self.cut && starts.any(|start| start < self.cut);
        if let Some(energy) = energy {
            self.energy.get_or_insert_default().extend(energy);
        }
        self.states.extend(states);
        for piece in pieces.into_iter().flatten() {
            let at = self.pieces.partition_point(|known| known.time <= piece.time);
            self.pieces.insert(at, piece);
        }
        for (known, more) in self.symptoms.iter_mut().zip(symptoms) {
            known.changes.extend(more.changes);
        }
    }

    /// Whether a signal counts here.
    #[must_use]
    pub fn listens_to(&self, signal: &str) -> bool {
        self.tracks.has(signal)
    }

    fn spans(&self) -> Vec<StateSpan> {
        let mut spans = timeline(self.rules.kind, self.states.clone());
        let Some(carried) = &self.carried else { return spans };
        let reach = self.reach();
        spans.retain(|span| reach < span.end);
        if let Some(first) = spans.first_mut().filter(|first| first.start <= reach && first.value == carried.value) {
            first.start = carried.start;
        }
        spans
    }

    fn jobs(&self, surroundings: &Surroundings) -> Vec<Job> {
        let starts = surroundings.jobs.first().map_or(OPEN, |job| job.start);
        let before = self.before.iter().filter(|before| before.end <= starts);
        before.chain(&surroundings.jobs).cloned().collect()
    }

    fn machine(&self, spans: Vec<StateSpan>, surroundings: &Surroundings) -> Machine {
        Machine::new(Inputs {
            shifts: surroundings.shifts.clone(),
            states: explained(told(spans, &self.symptoms), self.reasons.clone()),
            jobs: self.jobs(surroundings),
            pieces: surroundings.executed.clone().or_else(|| self.counted.then(|| self.pieces.clone())),
            energy: self.energy.clone(),
            rates: self.rules.rates,
            microstop_threshold_us: self.rules.microstop_threshold_us,
            startup_us: self.rules.startup_us,
        })
    }

    /// The machine at `now`. Sums up what has become old enough.
    pub fn now(&mut self, surroundings: &Surroundings, now: i64) -> Now {
        self.take_said(now);
        let running = surroundings.shifts.iter().find(|shift| shift.start <= now && now < shift.end);
        if self.shift.as_ref().map(|sum| sum.start) != running.map(|shift| shift.start) {
            // What is summed up already of a shift that begins now is none of it: sums stop at the end of a shift.
            self.shift = running.map(|shift| ShiftSum { start: shift.start, report: None });
            self.late |= running.is_some_and(|shift| shift.start < self.cut);
        }
        let spans = self.spans();
        let machine = self.machine(spans.clone(), surroundings);
        let found = Now {
            state: state_at(&machine, now),
            shift: running.and_then(|shift| self.shift_so_far(&machine, shift, now)),
            order: self.order_so_far(&machine, now),
        };
        self.sum_up(&machine, &spans, surroundings, now);
        found
    }

    fn shift_so_far(&self, machine: &Machine, shift: &Shift, now: i64) -> Option<ShiftSoFar> {
        let rest = machine.report(shift.start.max(self.cut), now, now);
        let report = joined(self.shift.as_ref()?.report.clone(), rest);
        Some(ShiftSoFar { shift: shift.clone(), report })
    }

    fn order_so_far(&self, machine: &Machine, now: i64) -> Option<OrderSoFar> {
        let job = machine.jobs().last().filter(|job| now <= job.end)?;
        let work_order = job.work_order.clone()?;
        let by_order = machine.by_job(self.cut, now, |job| job.work_order.as_deref());
        let stretches = by_order.into_iter().find(|(order, _)| *order == Some(work_order.as_ref()));
        let rest = stretches.and_then(|(_, stretches)| machine.report_over(&stretches, now));
        let summed = self.orders.iter().find(|(order, _)| *order == work_order).map(|(_, report)| report.clone());
        let report = match rest {
            Some(rest) => joined(summed, rest),
            None => summed?,
        };
        Some(OrderSoFar { work_order, product: job.product.clone(), report })
    }

    fn sum_up(&mut self, machine: &Machine, spans: &[StateSpan], surroundings: &Surroundings, now: i64) {
        let cut = self.next_cut(machine, spans, surroundings, now);
        if self.late || cut < self.cut.saturating_add(self.keep.step_us) {
            return;
        }
        if let Some(sum) = self.shift.as_mut().filter(|sum| sum.start < cut) {
            let more = machine.report(sum.start.max(self.cut), cut, now);
            sum.report = Some(joined(sum.report.take(), more));
        }
        for (order, stretches) in machine.by_job(self.cut, cut, |job| job.work_order.as_deref()) {
            let (Some(order), Some(more)) = (order, machine.report_over(&stretches, now)) else { continue };
            let place = self.orders.iter().position(|(known, _)| known.as_ref() == order);
            // The one worked on last stands last; the first are forgotten.
            let (order, report) = match place.map(|place| self.orders.remove(place)) {
                Some((order, sum)) => (order, joined(Some(sum), more)),
                None => (Arc::from(order), more),
            };
            self.orders.push((order, report));
        }
        let too_many = self.orders.len().saturating_sub(KEPT_ORDERS);
        self.orders.drain(..too_many);
        self.drop_before(cut, machine, spans);
    }

    /// How far can be summed up.
    fn next_cut(&self, machine: &Machine, spans: &[StateSpan], surroundings: &Surroundings, now: i64) -> i64 {
        let old = now.saturating_sub(self.keep.lateness_us);
        let enough = self.pieces.len().checked_sub(self.keep.pieces).and_then(|at| self.pieces.get(at));
        let mut cut = enough.map_or(old, |piece| piece.time.max(old)).min(now);
        if let Some(last) = self.tracks.metered_until() {
            // The next reading tells what was taken since the last one, or in the time that it is spread over.
            cut = cut.min(last.max(old.saturating_sub(SPREAD_US)));
        }
        // A sum is of one shift.
        let ends = surroundings.shifts.iter().flat_map(|shift| [shift.start, shift.end]);
        if let Some(end) = ends.filter(|&end| self.cut < end && end < cut).min() {
            cut = end;
        }
        loop {
            let explained = if self.symptoms.is_empty() { cut } else { settled(spans, cut) };
            let earlier = outside_stops(machine.states(), self.tracks.settled(explained));
            if earlier == cut {
                return cut;
            }
            cut = earlier;
        }
    }

    /// Forgets rows that nothing after `cut` depends on.
    fn drop_before(&mut self, cut: i64, machine: &Machine, spans: &[StateSpan]) {
        self.cut = cut;
        let reach = self.reach();
        let at = spans.partition_point(|span| span.end <= reach);
        self.carried = spans.get(at).filter(|span| span.start <= reach).cloned();
        let needed = self.carried.as_ref().map_or(reach, |carried| carried.start);
        self.reasons.retain(|reason| needed < holds_until(spans, reason));
        self.symptoms.iter_mut().for_each(|symptom| symptom.drop_before(needed, reach));
        match self.rules.kind {
            RecordKind::Change => {
                let later = self.states.partition_point(|record| record.start <= reach);
                let holds = later.checked_sub(1).and_then(|last| self.states.get(last)).map(|record| record.start);
                self.states.retain(|record| holds.is_none_or(|start| start <= record.start));
            }
            RecordKind::Interval => self.states.retain(|record| record.end.is_none_or(|end| reach < end)),
        }
        let first = self.pieces.partition_point(|piece| piece.time < cut);
        self.pieces.drain(..first);
        self.energy.iter_mut().for_each(|taken| taken.retain(|consumption| cut < consumption.end));
        self.before = machine.jobs().iter().rfind(|job| job.end <= reach).cloned();
    }
}

/// The start of the unplanned stop around `cut`, or `cut` itself.
fn outside_stops(states: &[StateSpan], cut: i64) -> i64 {
    let begun = states.partition_point(|span| span.start < cut).checked_sub(1);
    let across = begun.and_then(|last| states.get(last)).filter(|span| cut < span.end);
    let stopped = across.filter(|span| span.value.category == Some(Category::Unplanned));
    stopped.map_or(cut, |span| span.start)
}

fn joined(sum: Option<Report>, more: Report) -> Report {
    match sum {
        None => more,
        Some(mut sum) => {
            sum.merge(&more);
            sum
        }
    }
}

fn state_at(machine: &Machine, now: i64) -> Option<(StateValue, i64)> {
    let span = machine.states().iter().rfind(|span| span.start <= now)?;
    (now < span.end).then(|| (span.value.clone(), span.start))
}

#[cfg(test)]
mod tests;
