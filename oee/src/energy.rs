//! Energy that machines take, from meters that only count up, and what machines and energy cost.
//!
//! A step of a meter is spread evenly over the time since the reading before, over 15 minutes at most: what was taken
//! in a longer silence is known, when it was taken is not, and it is put at its end. So energy adds up over any split of
//! a window, and belongs to the state and the order of the time in which it was taken.

use crate::state::{Category, StateSpan};
use crate::{SECOND_US, seconds};

/// The longest time that a step of a meter is spread over.
pub const SPREAD_US: i64 = 900 * SECOND_US;

/// Units of measure that meters count in, and how many kWh one is.
const UNITS: [(&str, f64); 4] = [("kWh", 1.0), ("Wh", 1e-3), ("MWh", 1e3), ("J", 1.0 / 3.6e6)];

/// The units of measure of meters.
pub(crate) fn units() -> impl Iterator<Item = &'static str> {
    UNITS.into_iter().map(|(unit, _)| unit)
}

/// How many kWh one unit is; none for what is no unit of energy.
#[must_use]
pub fn kwh_per(unit: &str) -> Option<f64> {
    UNITS.into_iter().find(|(known, _)| *known == unit).map(|(_, kwh)| kwh)
}

/// Energy taken evenly over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Consumption {
    /// Start.
    pub start: i64,
    /// End, exclusive.
    pub end: i64,
    /// How much, kWh.
    pub kwh: f64,
}

impl Consumption {
    /// The step of a meter from one reading to the next.
    #[must_use]
    pub fn between(previous: i64, time: i64, kwh: f64) -> Self {
        Self { start: previous.max(time.saturating_sub(SPREAD_US)), end: time, kwh }
    }

    /// Its part within `[from, to)`, kWh.
    fn within(&self, from: i64, to: i64) -> f64 {
        let us = self.end.min(to) - self.start.max(from);
        if us <= 0 { 0.0 } else { self.kwh * (us as f64 / (self.end - self.start) as f64) }
    }
}

/// Energy of a window. It adds up over windows and machines.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Energy {
    /// All of it, kWh.
    pub total_kwh: f64,
    /// That taken while the machine did not run, in shifts and outside, within the total.
    pub idle_kwh: f64,
}

impl Energy {
    /// That of `[from, to)`, of ascending and disjoint consumptions and states.
    #[must_use]
    pub fn of(consumptions: &[Consumption], states: &[StateSpan], from: i64, to: i64) -> Self {
        let first = consumptions.partition_point(|consumption| consumption.end <= from);
        let taken = |from: i64, to: i64, at: usize| -> f64 {
            let rest = consumptions.iter().skip(at).take_while(|consumption| consumption.start < to);
            // From a zero of its own: the sum of nothing is −0.
            rest.map(|consumption| consumption.within(from, to)).fold(0.0, |sum, kwh| sum + kwh)
        };
        let (mut at, mut running_kwh) = (first, 0.0);
        let begun = states.partition_point(|span| span.end <= from);
        let spans = states.iter().skip(begun).take_while(|span| span.start < to && from < to);
        for span in spans.filter(|span| span.value.category == Some(Category::Run)) {
            let start = span.start.max(from);
            while consumptions.get(at).is_some_and(|consumption| consumption.end <= start) {
                at += 1;
            }
            running_kwh += taken(start, span.end.min(to), at);
        }
        let total_kwh = taken(from, to, first);
        Self { total_kwh, idle_kwh: (total_kwh - running_kwh).max(0.0) }
    }

    /// That of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { total_kwh: self.total_kwh + other.total_kwh, idle_kwh: self.idle_kwh + other.idle_kwh }
    }
}

/// What a machine and its energy cost, in the plant's currency.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// An hour of a shift, whether the machine runs or not.
    pub cost_per_hour: Option<f64>,
    /// One kWh.
    pub energy_price_per_kwh: Option<f64>,
}

impl Rates {
    /// The cost of a window, of those parts that are known; none where none is.
    #[must_use]
    pub fn cost(&self, scheduled_us: i64, energy: Option<Energy>) -> Option<f64> {
        let machine = self.cost_per_hour.map(|cost| cost * seconds(scheduled_us) / 3_600.0);
        let energy = self.energy_price_per_kwh.zip(energy).map(|(price, energy)| price * energy.total_kwh);
        match (machine, energy) {
            (Some(machine), Some(energy)) => Some(machine + energy),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests;
