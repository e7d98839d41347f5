//! Signals as the plant describes them.

use super::word;
use crate::condition::Condition;
use crate::counter::CounterRule;
use crate::thinning::Compression;

/// How a signal's value runs between samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// It holds until the next sample.
    Stepped,
    /// It runs in a straight line to the next sample.
    #[default]
    Sloped,
}

impl Interpolation {
    pub(super) const WORDS: [(&'static str, Self); 2] = [("stepped", Self::Stepped), ("sloped", Self::Sloped)];

    /// Its name in `plant.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

/// What a signal means to OEE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The equipment's state, by way of its state map.
    State,
    /// Counts all pieces.
    TotalCount,
    /// Counts good pieces.
    GoodCount,
    /// Counts scrapped pieces.
    ScrapCount,
    /// Counts the energy that the equipment takes.
    Energy,
}

impl Role {
    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("state", Self::State),
        ("total_count", Self::TotalCount),
        ("good_count", Self::GoodCount),
        ("scrap_count", Self::ScrapCount),
        ("energy", Self::Energy),
    ];

    /// Whether it counts pieces.
    #[must_use]
    pub fn counts_pieces(self) -> bool {
        matches!(self, Self::TotalCount | Self::GoodCount | Self::ScrapCount)
    }

    /// Its name in `plant.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

/// When a machine runs, told from a signal's values: while a condition holds. A change that does not last is none.
#[derive(Debug, Clone, PartialEq)]
pub struct StateRule {
    /// What holds while the machine runs.
    pub condition: Condition,
    /// How long it has to hold, or not to hold, for the machine to have started or stopped, microseconds.
    pub for_us: i64,
}

/// What gives a stop its reason where nobody does: a condition on a signal that held when it began.
#[derive(Debug, Clone, PartialEq)]
pub struct ReasonRule {
    /// The node that declares it; it holds for all below it.
    pub equipment: String,
    /// Name of the signal, on the equipment that stops.
    pub signal: String,
    /// What has to hold.
    pub condition: Condition,
    /// The reason it gives.
    pub reason: String,
}

/// A signal as the plant describes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SignalDef {
    /// The node that declares it; empty where it is not declared.
    pub equipment: String,
    /// Name; empty where it is not declared.
    pub signal: String,
    /// Unit of measure.
    pub uom: Option<String>,
    /// How values run between samples.
    pub interpolation: Interpolation,
    /// What it means to OEE.
    pub role: Option<Role>,
    /// When the machine runs, where that is told from the values themselves and not by a state map.
    pub running: Option<StateRule>,
    /// How it counts, where it is a counter.
    pub counter: CounterRule,
    /// Why the pieces were scrapped that it counts.
    pub reason: Option<String>,
    /// Which samples may be left out; none: every sample is kept.
    pub compression: Option<Compression>,
    /// For people.
    pub description: Option<String>,
}
