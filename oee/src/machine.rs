//! The OEE engine of one machine: states, counts, orders and shifts in; time elements, counts and stops out.
//!
//! A [`Machine`] is built once for a wide range of time; a report for a window then costs a few binary searches and what
//! lies within it, so a year in hours is one pass.
//!
//! Precedence of time: not scheduled, then break, then planned downtime, then the state's category. Pieces made in
//! breaks or outside shifts still count. Pieces made while no order was in force, and no default product stands in,
//! are uncounted and shown as such.

mod report;
mod slice;

pub use report::{Counts, FallOff, OrderCount, Report, ScrapByReason, Scrapped};

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::calendar::{Shift, union};
use crate::count::Piece;
use crate::energy::{Consumption, Energy, Rates, Taken};
use crate::loss::Loss;
use crate::state::{Category, StateSpan, StateValue};
use crate::{OPEN, SECOND_US};
use report::order_place;
pub(crate) use report::{add_scrap, sum_of_known};
use slice::{Reader, Slice, Slices};

/// A stretch of time with one order, product and ideal cycle time in force.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Job {
    /// Start.
    pub start: i64,
    /// End, exclusive.
    pub end: i64,
    /// Work order; none where the default product stands in.
    pub work_order: Option<Arc<str>>,
    /// Product.
    pub product: Option<Arc<str>>,
    /// Ideal cycle time, seconds per piece.
    pub ideal_cycle_s: Option<f64>,
    /// Share of the pieces that is planned to be scrapped.
    pub planned_scrap_ratio: Option<f64>,
}

/// All that is known about one machine over a range of time.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Shift instances.
    pub shifts: Vec<Shift>,
    /// States: ascending and disjoint, from [`crate::state::timeline`], with the one before the range carried in.
    pub states: Vec<StateSpan>,
    /// Orders in force: ascending and disjoint.
    pub jobs: Vec<Job>,
    /// Pieces, in any order; none where nothing counts pieces on this machine.
    pub pieces: Option<Vec<Piece>>,
    /// Energy taken: ascending and disjoint; none where no meter is bound to this machine.
    pub energy: Option<Vec<Consumption>>,
    /// What machine and energy cost.
    pub rates: Rates,
    /// Unplanned stops shorter than this are micro-stops.
    pub microstop_threshold_us: i64,
    /// How long after a changeover, or after another product took over, scrap counts as that of starting up.
    pub startup_us: i64,
}

/// One machine, ready to report on any window.
#[derive(Debug, Clone)]
pub struct Machine {
    shifts: Vec<Shift>,
    /// Breaks of the shifts.
    breaks: Vec<(i64, i64)>,
    states: Vec<StateSpan>,
    jobs: Vec<Job>,
    /// Stretches of starting up, in order and apart.
    startups: Vec<(i64, i64)>,
    /// By time.
    pieces: Vec<Piece>,
    counted: bool,
    energy: Option<Vec<Consumption>>,
    rates: Rates,
    microstop_threshold_us: i64,
}

/// One stop, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Start, unclipped.
    pub start: i64,
    /// End, unclipped; none while it lasts.
    pub end: Option<i64>,
    /// State and reason.
    pub value: StateValue,
    /// Whether it is a micro-stop.
    pub microstop: bool,
    /// Its time within the window, microseconds.
    pub in_window_us: i64,
    /// Its planned production time, or for planned stops its planned downtime, within the window, microseconds.
    pub counted_us: i64,
}

/// One state interval, clipped to a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateInterval {
    /// Start.
    pub start: i64,
    /// End.
    pub end: i64,
    /// The state; none where none is known. One that the plant does not know has no category.
    pub value: Option<StateValue>,
    /// Whether it still lasts.
    pub open: bool,
}

impl Machine {
    /// Brings the inputs into a form that any window can be read from.
    #[must_use]
    pub fn new(mut inputs: Inputs) -> Self {
        inputs.shifts.sort_by_key(|shift| (shift.start, shift.end));
        inputs.jobs.sort_by_key(|job| job.start);
        let counted = inputs.pieces.is_some();
        let mut pieces = inputs.pieces.unwrap_or_default();
        pieces.sort_by_key(|piece| piece.time);
        let jobs = inputs.jobs;
        Self {
            // Shifts that overlap have breaks that do.
            breaks: union(inputs.shifts.iter().flat_map(|shift| shift.breaks.iter().copied()).collect()),
            startups: startups(&inputs.states, &jobs, inputs.startup_us),
            shifts: inputs.shifts,
            states: inputs.states,
            jobs,
            pieces,
            counted,
            energy: inputs.energy,
            rates: inputs.rates,
            microstop_threshold_us: inputs.microstop_threshold_us,
        }
    }

    /// The shift instances.
    #[must_use]
    pub fn shifts(&self) -> &[Shift] {
        &self.shifts
    }

    /// The state spans.
    #[must_use]
    pub fn states(&self) -> &[StateSpan] {
        &self.states
    }

    /// The orders in force.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The report for `[from, min(to, now))`.
    #[must_use]
    pub fn report(&self, from: i64, to: i64, now: i64) -> Report {
        let mut stops = Stopped::default();
        let mut report = self.report_of(from, to, now, &mut stops);
        self.add_stops(&mut report, &stops, now);
        report
    }

    /// The report without its numbers of stops.
    fn report_of(&self, from: i64, to: i64, now: i64, stops: &mut Stopped) -> Report {
        let end = to.min(now).max(from);
        let mut report = Report { start: from, end, ..Report::default() };
        self.add_time(&mut report, now, stops);
        self.add_pieces(&mut report);
        report.cost = self.rates.cost(report.elements.scheduled_us, report.energy);
        report
    }

    /// The report for several stretches of time, in order, each ending by `now`; none where there are none. A stop that reaches
    /// from one into the next is one.
    #[must_use]
    pub fn report_over(&self, stretches: &[(i64, i64)], now: i64) -> Option<Report> {
        let mut stops = Stopped::default();
        let mut reports = stretches.iter().map(|&(from, to)| self.report_of(from, to, now, &mut stops));
        let mut sum = reports.next()?;
        for report in reports {
            sum.merge(&report);
        }
        self.add_stops(&mut sum, &stops, now);
        Some(sum)
    }

    fn add_stops(&self, report: &mut Report, stops: &Stopped, now: i64) {
        let stopped =
            stops.0.iter().filter(|(_, us)| *us >= SECOND_US).filter_map(|(state, _)| self.states.get(*state));
        for span in stopped {
            if self.is_microstop(span, now) {
                report.microstops += 1;
                report.provisional |= span.end > now;
            } else {
                report.unplanned_stops += 1;
            }
        }
    }

    /// The time of `[from, to)` by what the job in force says, by first appearance; time without a job is of no value.
    pub fn by_job<'a>(
        &'a self,
        from: i64,
        to: i64,
        value: impl Fn(&'a Job) -> Option<&'a str>,
    ) -> Vec<(Option<&'a str>, Vec<(i64, i64)>)> {
        type Stretches<'a> = Vec<(Option<&'a str>, Vec<(i64, i64)>)>;
        let mut found: Stretches<'a> = Vec::new();
        let mut places: HashMap<Option<&'a str>, usize> = HashMap::new();
        let mut add = |value: Option<&'a str>, start: i64, end: i64| {
            if start >= end {
                return;
            }
            let place = *places.entry(value).or_insert_with(|| {
                found.push((value, Vec::new()));
                found.len() - 1
            });
            let Some((_, stretches)) = found.get_mut(place) else { return };
            match stretches.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => stretches.push((start, end)),
            }
        };
        let mut t = from;
        let first = self.jobs.partition_point(|job| job.end <= from);
        for job in self.jobs.iter().skip(first).take_while(|job| job.start < to) {
            add(None, t, job.start);
            add(value(job), job.start.max(t), job.end.min(to));
            t = job.end.min(to).max(t);
        }
        add(None, t, to);
        found
    }

    /// The stops that overlap the window, by start: everything known that is not running.
    #[must_use]
    pub fn stops(&self, from: i64, to: i64, now: i64) -> Vec<Stop> {
        let end = to.min(now).max(from);
        let mut counted: BTreeMap<usize, i64> = BTreeMap::new();
        for slice in self.slices_in(from, end) {
            if let Some(state) = slice.state.filter(|_| slice.is_planned_production()) {
                *counted.entry(state).or_default() += slice.us();
            }
        }
        let first = self.states.partition_point(|span| span.end <= from);
        let spans = self.states.iter().enumerate().skip(first).take_while(|(_, span)| span.start < end && from < end);
        let stops = spans.filter(|(_, span)| span.value.category.is_some_and(|c| c != Category::Run));
        stops
            .map(|(i, span)| Stop {
                start: span.start,
                end: (span.end <= now).then_some(span.end),
                value: span.value.clone(),
                microstop: self.is_microstop(span, now),
                in_window_us: span.end.min(end) - span.start.max(from),
                counted_us: counted.get(&i).copied().unwrap_or(0),
            })
            .collect()
    }

    /// The states of the window, clipped to it, without gaps: unknown time is an interval of its own.
    #[must_use]
    pub fn state_intervals(&self, from: i64, to: i64, now: i64) -> Vec<StateInterval> {
        let end = to.min(now).max(from);
        let mut intervals = Vec::new();
        let mut t = from;
        let first = self.states.partition_point(|span| span.end <= from);
        for span in self.states.iter().skip(first).take_while(|span| span.start < end && from < end) {
            if t < span.start {
                intervals.push(StateInterval { start: t, end: span.start, value: None, open: false });
            }
            let (start, until) = (span.start.max(from), span.end.min(end));
            intervals.push(StateInterval { start, end: until, value: Some(span.value.clone()), open: span.end > now });
            t = until;
        }
        if t < end {
            intervals.push(StateInterval { start: t, end, value: None, open: end == now });
        }
        intervals
    }

    /// What was taken in `[from, to)`, kWh; none where no meter is bound.
    #[must_use]
    pub fn energy_kwh(&self, from: i64, to: i64) -> Option<f64> {
        self.energy.as_ref().map(|taken| Taken::since(taken, from).within(from, to))
    }

    /// What the time of a slice is lost to, in the order in which one comes before the other; none while the machine runs in planned
    /// production.
    fn lost_to(&self, slice: &Slice, span: Option<&StateSpan>, now: i64) -> Option<Loss> {
        match span.and_then(|span| span.value.category) {
            _ if !slice.scheduled => Some(Loss::NotScheduled),
            _ if slice.is_break => Some(Loss::PlannedBreak),
            Some(Category::Planned) => Some(Loss::PlannedDowntime),
            Some(Category::Run) => None,
            Some(Category::Changeover) => Some(Loss::Changeover),
            Some(Category::NoOrder) => Some(Loss::NoOrder),
            Some(Category::Unplanned) if span.is_some_and(|span| self.is_microstop(span, now)) => {
                Some(Loss::MinorStops)
            }
            Some(Category::Unplanned) => Some(Loss::Unplanned),
            None => Some(Loss::Unknown),
        }
    }

    fn slices_in(&self, from: i64, end: i64) -> impl Iterator<Item = Slice> {
        Slices::new(&self.shifts, &self.breaks, &self.states, &self.jobs, (from, end))
    }

    /// Judged on the whole stop; one that still lasts is measured to now.
    fn is_microstop(&self, span: &StateSpan, now: i64) -> bool {
        let until = span.end.min(now);
        span.value.category == Some(Category::Unplanned) && until - span.start < self.microstop_threshold_us
    }

    /// Time, and the energy taken meanwhile.
    fn add_time(&self, report: &mut Report, now: i64, stops: &mut Stopped) {
        let (from, end) = (report.start, report.end);
        let mut taken = self.energy.as_ref().map(|taken| Taken::since(taken, from));
        let mut energy = self.energy_kwh(from, end).map(Energy::of);
        let elements = &mut report.elements;
        elements.calendar_us = end - from;
        for slice in self.slices_in(from, end) {
            let us = slice.us();
            let span = slice.state.and_then(|state| self.states.get(state));
            let runs = span.is_some_and(|span| span.value.category == Some(Category::Run));
            let lost_to = self.lost_to(&slice, span, now);
            // In breaks and outside shifts a machine may run: then nothing is idle.
            if let (Some(loss), Some(energy), Some(taken)) = (lost_to.filter(|_| !runs), &mut energy, &mut taken) {
                energy.add_idle(loss, taken.within(slice.start, slice.end));
            }
            let of_order_us = if slice.has_order { us } else { 0 };
            elements.order_us += of_order_us;
            elements.scheduled_us += if slice.scheduled { us } else { 0 };
            match lost_to {
                Some(Loss::NotScheduled | Loss::PlannedBreak) => {
                    elements.planned_break_us += if slice.scheduled { us } else { 0 };
                    elements.run_outside_planned_production_us += if runs { us } else { 0 };
                    continue;
                }
                Some(Loss::PlannedDowntime) => {
                    elements.planned_downtime_us += us;
                    continue;
                }
                Some(Loss::Changeover) => {
                    elements.changeover_us += us;
                    elements.order_busy_us += of_order_us;
                }
                Some(Loss::NoOrder) => elements.no_order_us += us,
                Some(Loss::Unknown | Loss::ReducedSpeed | Loss::StartupRejects | Loss::ProductionRejects) => {
                    elements.unknown_us += us;
                }
                Some(Loss::MinorStops) => {
                    elements.microstop_us += us;
                    elements.order_production_us += of_order_us;
                    elements.order_busy_us += of_order_us;
                }
                Some(Loss::Unplanned) => {
                    elements.unplanned_us += us;
                    elements.unplanned_without_order_us += us - of_order_us;
                    elements.order_busy_us += of_order_us;
                }
                None => {
                    elements.run_us += us;
                    elements.order_production_us += of_order_us;
                    elements.order_busy_us += of_order_us;
                }
            }
            elements.planned_production_us += us;
            if let (Some(Loss::MinorStops | Loss::Unplanned), Some(state)) = (lost_to, slice.state) {
                stops.add(state, us);
            }
        }
        elements.not_scheduled_us = elements.calendar_us - elements.scheduled_us;
        report.energy = energy;
    }

    fn add_pieces(&self, report: &mut Report) {
        let first = self.jobs.partition_point(|job| job.end <= report.start);
        for job in self.jobs.iter().skip(first).take_while(|job| job.start < report.end) {
            order_place(&mut report.orders, &job.work_order, &job.product, job.ideal_cycle_s);
        }
        if !self.counted {
            report.missing_planned_scrap = true;
            report.missing_ideal = Some(
                "nothing counts pieces here: bind a signal with role total_count in plant.toml, or send counts"
                    .to_owned(),
            );
            return;
        }
        let first = self.pieces.partition_point(|piece| piece.time < report.start);
        let mut job_at = Reader::new(&self.jobs, report.start);
        let mut startup_at = Reader::new(&self.startups, report.start);
        // The job of the piece before, and its place among the orders.
        let mut known: Option<(usize, usize)> = None;
        for piece in self.pieces.iter().skip(first).take_while(|piece| piece.time < report.end) {
            let detail = piece.detail();
            let at = job_at.covering(piece.time).filter(|_| detail.unjudged.is_none());
            let job = at.and_then(|at| Some((at, self.jobs.get(at)?)));
            // An operation that names neither order nor product says of none what it is.
            let Some((at, job)) = job.filter(|(_, job)| job.work_order.is_some() || job.product.is_some()) else {
                report.counts.uncounted += piece.total;
                if report.unjudged.is_none() {
                    report.unjudged.clone_from(&detail.unjudged);
                }
                continue;
            };
            let place = match known {
                Some((job, place)) if job == at => place,
                _ => order_place(&mut report.orders, &job.work_order, &job.product, job.ideal_cycle_s),
            };
            known = Some((at, place));
            let startup = startup_at.covering(piece.time).is_some();
            let Some(order) = report.orders.get_mut(place) else { continue };
            order.total += piece.total;
            order.scrap += piece.scrap;
            report.counts.total += piece.total;
            report.counts.scrap += piece.scrap;
            report.counts.rework = sum_of_known(report.counts.rework, detail.rework);
            report.missing_inspection |= detail.uninspected && piece.total != 0.0;
            report.planned_scrap += job.planned_scrap_ratio.unwrap_or(0.0) * piece.total;
            report.missing_planned_scrap |= job.planned_scrap_ratio.is_none() && piece.total != 0.0;
            let startup_scrap = if startup { piece.scrap } else { 0.0 };
            order.startup_scrap += startup_scrap;
            if piece.scrap != 0.0 {
                let scrapped = report.scrap.entry(detail.reason.clone()).or_default();
                scrapped.pieces += piece.scrap;
                scrapped.startup += startup_scrap;
            }
        }
        report.counts.good = report.counts.total - report.counts.scrap;
        for order in &report.orders {
            match order.ideal_cycle_s {
                Some(ideal) => {
                    report.ideal_total_s += ideal * order.total;
                    report.ideal_good_s += ideal * order.good();
                    report.ideal_startup_scrap_s += ideal * order.startup_scrap;
                }
                None if order.total != 0.0 || order.scrap != 0.0 => {
                    report.missing_ideal.get_or_insert_with(|| missing_ideal(order));
                }
                None => {}
            }
        }
    }
}

/// Of unplanned stops, in order, the place of their state and how much of them counts, microseconds.
#[derive(Default)]
struct Stopped(Vec<(usize, i64)>);

impl Stopped {
    fn add(&mut self, state: usize, us: i64) {
        match self.0.last_mut() {
            Some((last, sum)) if *last == state => *sum += us,
            _ => self.0.push((state, us)),
        }
    }
}

/// Stretches of starting up, in order and apart: from the end of each changeover, and from each change of the product.
fn startups(states: &[StateSpan], jobs: &[Job], startup_us: i64) -> Vec<(i64, i64)> {
    if startup_us <= 0 {
        return Vec::new();
    }
    let is_changeover = |span: &StateSpan| span.value.category == Some(Category::Changeover);
    let goes_on = |at: usize, end: i64| states.get(at + 1).is_some_and(|next| next.start == end && is_changeover(next));
    let changeovers = states
        .iter()
        .enumerate()
        .filter(|(at, span)| is_changeover(span) && !goes_on(*at, span.end))
        .map(|(_, span)| span);
    let changes = jobs.windows(2).filter_map(|pair| match pair {
        [one, next] if one.product != next.product => Some(next.start),
        _ => None,
    });
    let mut starts: Vec<i64> = changeovers.map(|span| span.end).chain(changes).filter(|&start| start < OPEN).collect();
    starts.sort_unstable();
    let mut apart: Vec<(i64, i64)> = Vec::new();
    for start in starts {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = start.saturating_add(startup_us),
            _ => apart.push((start, start.saturating_add(startup_us))),
        }
    }
    apart
}

fn missing_ideal(order: &OrderCount) -> String {
    match (&order.product, &order.work_order) {
        (Some(product), _) => format!("no ideal cycle time for product {product}"),
        (None, Some(work_order)) => format!("work order {work_order} names no product"),
        (None, None) => "the running operation names neither product nor work order".to_owned(),
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
