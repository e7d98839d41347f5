//! The newest value of every signal, kept up with small looks at the end of `samples`.
//!
//! Reading all signals' newest values from the whole table costs seconds in any columnar engine. So most looks
//! cover the last seconds only, and now and then one reaches further back, for slow signals and for machines whose
//! clocks run behind.

use std::collections::BTreeMap;

use super::message::SignalNow;
use crate::columns::rfc3339;

/// A usual look goes back this far, seconds.
const USUAL_S: i64 = 30;
/// The very first look, so that a page shows something at once.
const FIRST_S: i64 = 300;
/// A far look.
const FAR_S: i64 = 3_600;
/// Looks after that, one each, while some machine has not been seen at all: one that stopped on Friday is shown on Monday.
const BACK_S: [i64; 3] = [86_400, 7 * 86_400, 35 * 86_400];
/// One look in so many is a far one, and the second one is.
const FAR_EVERY: u64 = 60;

/// Newest values by equipment and signal.
#[derive(Debug, Default)]
pub(super) struct Newest {
    looks: u64,
    values: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) time_us: i64,
    pub(super) value: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) quality: Option<i64>,
}

impl Newest {
    /// Where the next look begins and ends, seconds before now. `complete`: every machine has been seen.
    pub(super) fn reach_s(&mut self, complete: bool) -> (i64, i64) {
        let look = self.looks;
        self.looks += 1;
        let back = usize::try_from(look).ok().and_then(|look| look.checked_sub(2)).filter(|_| !complete);
        if let Some((back, from)) = back.and_then(|back| Some((back, *BACK_S.get(back)?))) {
            let seen = back.checked_sub(1).and_then(|before| BACK_S.get(before).copied());
            return (from, seen.unwrap_or(FAR_S));
        }
        match look {
            0 => (FIRST_S, 0),
            look if look % FAR_EVERY == 1 => (FAR_S, 0),
            _ => (USUAL_S, 0),
        }
    }

    /// Whether a value of the equipment is known.
    pub(super) fn knows(&self, equipment: &str) -> bool {
        self.values.contains_key(equipment)
    }

    /// Takes up a value that a look has found. A later time wins; the same time is a correction, and wins too.
    pub(super) fn note(&mut self, equipment: &str, signal: &str, value: Value) {
        if !self.values.contains_key(equipment) {
            self.values.insert(equipment.to_owned(), BTreeMap::new());
        }
        let Some(signals) = self.values.get_mut(equipment) else { return };
        match signals.get_mut(signal) {
            Some(known) if known.time_us > value.time_us => {}
            Some(known) => *known = value,
            None => {
                signals.insert(signal.to_owned(), value);
            }
        }
    }

    /// The newest values of an equipment by name of the signal; `uom` tells units of measure.
    pub(super) fn of(&self, equipment: &str, uom: impl Fn(&str) -> Option<String>) -> Vec<SignalNow> {
        let signals = self.values.get(equipment).into_iter().flatten();
        signals
            .map(|(signal, newest)| SignalNow {
                signal: signal.clone(),
                value: newest.value,
                text: newest.text.clone(),
                uom: uom(signal),
                time: rfc3339(newest.time_us),
                quality: newest.quality,
                bound: false,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
