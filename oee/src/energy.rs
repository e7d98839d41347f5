//! Energy that machines take, from meters that only count up, and what machines and energy cost.
//!
//! A step of a meter is spread evenly over the time since the reading before, over 15 minutes at most: what was taken
//! in a longer silence is known, when it was taken is not, and it is put at its end. So energy adds up over any split of
//! a window, and belongs to the state and the order of the time in which it was taken. What is taken while the machine does not
//! run is a loss of its own, by what the time was lost to.

use crate::loss::Loss;
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
    /// That taken while the machine did not run, by what its time was lost to, in the order of [`Loss::ALL`], kWh.
    idle_kwh: [f64; Loss::ALL.len()],
}

impl Energy {
    /// All that was taken, kWh, without saying while what.
    #[must_use]
    pub fn of(total_kwh: f64) -> Self {
        Self { total_kwh, ..Self::default() }
    }

    /// With some of it taken while time was lost and the machine did not run, kWh.
    pub(crate) fn add_idle(&mut self, loss: Loss, kwh: f64) {
        for (each, idle) in Loss::ALL.iter().zip(&mut self.idle_kwh) {
            *idle += if *each == loss { kwh } else { 0.0 };
        }
    }

    /// That taken while the machine did not run, in shifts and outside, within the total, kWh.
    #[must_use]
    pub fn idle_kwh(&self) -> f64 {
        self.idle_kwh.iter().sum()
    }

    /// That taken while time was lost to `loss` and the machine did not run, kWh; none of losses in which it runs.
    #[must_use]
    pub fn lost_kwh(&self, loss: Loss) -> Option<f64> {
        Loss::ALL
            .iter()
            .zip(self.idle_kwh)
            .find(|(each, _)| **each == loss && loss.is_of_idle_time())
            .map(|(_, kwh)| kwh)
    }

    /// That of both.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.total_kwh += other.total_kwh;
        self.idle_kwh.iter_mut().zip(other.idle_kwh).for_each(|(idle, kwh)| *idle += kwh);
        self
    }
}

/// What was taken in stretches of time that follow one another, of ascending and disjoint consumptions.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    /// Those that have not ended before the last stretch began.
    left: &'a [Consumption],
}

impl<'a> Taken<'a> {
    /// From `from` on.
    pub(crate) fn since(consumptions: &'a [Consumption], from: i64) -> Self {
        let ended = consumptions.partition_point(|consumption| consumption.end <= from);
        Self { left: consumptions.get(ended..).unwrap_or_default() }
    }

    /// In `[from, to)`, kWh; no stretch begins before the one asked of before.
    pub(crate) fn within(&mut self, from: i64, to: i64) -> f64 {
        let ended = self.left.iter().take_while(|consumption| consumption.end <= from).count();
        self.left = self.left.get(ended..).unwrap_or_default();
        let reached = self.left.iter().take_while(|consumption| consumption.start < to);
        // From a zero of its own: the sum of nothing is −0.
        reached.map(|consumption| consumption.within(from, to)).fold(0.0, |sum, kwh| sum + kwh)
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
