//! What is counted and summed over one window.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::count::Unjudged;
use crate::energy::Energy;
use crate::time_element::Elements;

/// Pieces of a window. They add up over windows and machines.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Pieces made under an order or the default product.
    pub total: f64,
    /// Good ones among them.
    pub good: f64,
    /// Scrapped ones among them.
    pub scrap: f64,
    /// Reworked ones among them; none where nobody says.
    pub rework: Option<f64>,
    /// Pieces made while no order was in force and no default product stood in, or with a result of which nobody says what
    /// it means; not in `total`.
    pub uncounted: f64,
}

/// Scrapped pieces of one reason.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scrapped {
    /// Pieces.
    pub pieces: f64,
    /// Those scrapped while starting up among them.
    pub startup: f64,
}

/// Scrapped pieces by reason; of none where nobody says why. They add up to the scrap of [`Counts`].
pub type ScrapByReason = BTreeMap<Option<Arc<str>>, Scrapped>;

/// Adds scrap to that of the same reasons.
pub(crate) fn add_scrap(sum: &mut ScrapByReason, more: &ScrapByReason) {
    for (reason, scrapped) in more {
        let sum = sum.entry(reason.clone()).or_default();
        sum.pieces += scrapped.pieces;
        sum.startup += scrapped.startup;
    }
}

/// Pieces of one order and product.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderCount {
    /// Work order; none where the default product stands in.
    pub work_order: Option<Arc<str>>,
    /// Product.
    pub product: Option<Arc<str>>,
    /// Ideal cycle time, seconds per piece.
    pub ideal_cycle_s: Option<f64>,
    /// Pieces made.
    pub total: f64,
    /// Scrapped ones among them.
    pub scrap: f64,
    /// Those scrapped while starting up among these.
    pub startup_scrap: f64,
}

impl OrderCount {
    /// Good pieces.
    #[must_use]
    pub fn good(&self) -> f64 {
        self.total - self.scrap
    }
}

/// What fell off along a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FallOff {
    /// Pieces of the first machine.
    pub first_total: f64,
    /// Pieces scrapped on the machines behind it.
    pub scrap: f64,
}

/// Everything that is counted and summed over one window; ratios come from [`Report::kpi`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Start of the window.
    pub start: i64,
    /// End of the window, not later than now.
    pub end: i64,
    /// Where the time went.
    pub elements: Elements,
    /// Pieces.
    pub counts: Counts,
    /// Ideal time of all counted pieces whose ideal cycle time is known, seconds.
    pub ideal_total_s: f64,
    /// Ideal time of the good ones among them, seconds.
    pub ideal_good_s: f64,
    /// Ideal time of those scrapped while starting up, seconds.
    pub ideal_startup_scrap_s: f64,
    /// Whether some pieces were not inspected where others were: what was reworked is then not known of all.
    pub missing_inspection: bool,
    /// Pieces planned to be scrapped, of those made of products of which that is planned; see [`Report::planned_scrap`].
    pub planned_scrap: f64,
    /// Whether pieces were made of products of which it is not.
    pub missing_planned_scrap: bool,
    /// Scrap by its reason.
    pub scrap: ScrapByReason,
    /// Why it is not known whether pieces are good, where some are uncounted for that.
    pub unjudged: Option<Unjudged>,
    /// What fell off along a serial line; none for anything else.
    pub fall_off: Option<FallOff>,
    /// Energy taken; none where no meter is bound, or not to each of the machines.
    pub energy: Option<Energy>,
    /// What the time in shifts and the energy cost, in the plant's currency; none where neither is known, or not of each of
    /// the machines.
    pub cost: Option<f64>,
    /// Why the ideal times do not cover everything, where they do not: performance and OEE are then unknown.
    pub missing_ideal: Option<String>,
    /// Unplanned stops with at least a second of planned production time in the window.
    pub unplanned_stops: u64,
    /// Micro-stops, likewise.
    pub microstops: u64,
    /// An open stop shorter than the threshold is provisionally a micro-stop.
    pub provisional: bool,
    /// Pieces by order: every job in force in the window, by first appearance.
    pub orders: Vec<OrderCount>,
}

impl Report {
    /// Adds another window or machine: seconds, counts and ideal time add up, then ratios are formed.
    ///
    /// Stop counts of two windows of one machine add up only where no stop crosses the cut.
    pub fn merge(&mut self, other: &Self) {
        self.add_resources(other);
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.elements += &other.elements;
        self.counts.total += other.counts.total;
        self.counts.good += other.counts.good;
        self.counts.scrap += other.counts.scrap;
        self.counts.rework = sum_of_known(self.counts.rework, other.counts.rework);
        self.counts.uncounted += other.counts.uncounted;
        self.ideal_total_s += other.ideal_total_s;
        self.ideal_good_s += other.ideal_good_s;
        self.ideal_startup_scrap_s += other.ideal_startup_scrap_s;
        add_scrap(&mut self.scrap, &other.scrap);
        if self.unjudged.is_none() {
            self.unjudged.clone_from(&other.unjudged);
        }
        self.planned_scrap += other.planned_scrap;
        self.missing_planned_scrap |= other.missing_planned_scrap;
        self.missing_inspection |= other.missing_inspection;
        if self.missing_ideal.is_none() {
            self.missing_ideal.clone_from(&other.missing_ideal);
        }
        self.unplanned_stops += other.unplanned_stops;
        self.microstops += other.microstops;
        self.provisional |= other.provisional;
        for order in &other.orders {
            let place = order_place(&mut self.orders, &order.work_order, &order.product, order.ideal_cycle_s);
            let Some(sum) = self.orders.get_mut(place) else { continue };
            sum.total += order.total;
            sum.scrap += order.scrap;
            sum.startup_scrap += order.startup_scrap;
        }
    }
}

impl Report {
    /// Adds what another window or machine took and cost, and what fell off there: none where one of them does not know.
    pub(crate) fn add_resources(&mut self, other: &Self) {
        let is_empty = |report: &Self| report.elements.calendar_us == 0;
        if is_empty(other) {
            return;
        }
        if is_empty(self) {
            (self.energy, self.cost, self.fall_off) = (other.energy, other.cost, other.fall_off);
            return;
        }
        self.energy = self.energy.zip(other.energy).map(|(one, other)| one.plus(other));
        self.cost = self.cost.zip(other.cost).map(|(one, other)| one + other);
        self.fall_off = self.fall_off.zip(other.fall_off).map(|(one, other)| FallOff {
            first_total: one.first_total + other.first_total,
            scrap: one.scrap + other.scrap,
        });
    }
}

/// What is known of both.
pub(crate) fn sum_of_known(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (known, None) | (None, known) => known,
    }
}

/// The place of the entry for a work order, product and ideal cycle time, appended where there is none yet.
pub(super) fn order_place(
    orders: &mut Vec<OrderCount>,
    work_order: &Option<Arc<str>>,
    product: &Option<Arc<str>>,
    ideal_cycle_s: Option<f64>,
) -> usize {
    let same = |order: &OrderCount| {
        order.work_order == *work_order && order.product == *product && order.ideal_cycle_s == ideal_cycle_s
    };
    // Pieces come by time, so the newest entry is the likeliest.
    orders.iter().rposition(same).unwrap_or_else(|| {
        let (work_order, product) = (work_order.clone(), product.clone());
        orders.push(OrderCount { work_order, product, ideal_cycle_s, total: 0.0, scrap: 0.0, startup_scrap: 0.0 });
        orders.len() - 1
    })
}
