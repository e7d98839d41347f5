//! What each machine does now, and since when.
//!
//! A short look at the end of the timeline tells the state. Its beginning may lie far back: a long look finds it
//! once, and it is remembered for as long as the state lasts.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use query::QueryError;

use super::message::StateNow;
use crate::columns::{Texts, Times, rfc3339};

/// A short look goes back this far, seconds.
const SHORT_S: i64 = 60;
/// A long one.
const LONG_S: i64 = 24 * 3_600;

/// The states of all machines.
#[derive(Debug, Default)]
pub(super) struct States {
    held: HashMap<String, Held>,
    wants_long: bool,
    looked: bool,
}

/// The state of one machine.
#[derive(Debug, Clone, Default, PartialEq)]
struct Held {
    state: Option<String>,
    category: Option<String>,
    reason: Option<String>,
    /// Not known where it began before the longest look.
    since_us: Option<i64>,
}

impl Held {
    fn is_same_state(&self, other: &Self) -> bool {
        (&self.state, &self.category, &self.reason) == (&other.state, &other.category, &other.reason)
    }
}

impl States {
    /// Whether the beginning of some state is worth a long look.
    pub(super) fn wants_long(&self) -> bool {
        self.wants_long || !self.looked
    }

    /// Start of the next look's window, microseconds.
    pub(super) fn from_us(now_us: i64, long: bool) -> i64 {
        now_us - 1_000_000 * if long { LONG_S } else { SHORT_S }
    }

    /// Takes up the timeline from `from_us` to now.
    pub(super) fn note(&mut self, rows: &[RecordBatch], from_us: i64, long: bool) -> Result<(), QueryError> {
        let mut newest: HashMap<String, (i64, Held)> = HashMap::new();
        for batch in rows {
            collect(batch, from_us, &mut newest)?;
        }
        self.looked = true;
        self.wants_long = false;
        self.held.retain(|machine, _| newest.contains_key(machine));
        for (machine, (_, mut now)) in newest {
            let known = self.held.get(&machine);
            if now.since_us.is_none() && !long {
                match known.filter(|known| known.is_same_state(&now)) {
                    Some(known) => now.since_us = known.since_us,
                    None => self.wants_long = true,
                }
            }
            self.held.insert(machine, now);
        }
        Ok(())
    }

    /// The state of a machine.
    pub(super) fn of(&self, machine: &str) -> StateNow {
        let Some(held) = self.held.get(machine) else { return StateNow::default() };
        StateNow {
            state: held.state.clone(),
            category: held.category.clone(),
            state_reason: held.reason.clone(),
            since: held.since_us.and_then(rfc3339),
        }
    }
}

/// The last interval of each machine.
fn collect(batch: &RecordBatch, from_us: i64, newest: &mut HashMap<String, (i64, Held)>) -> Result<(), QueryError> {
    let (times, equipment) = (Times::of(batch, "time")?, Texts::of(batch, "equipment")?);
    let (state, category) = (Texts::of(batch, "state")?, Texts::of(batch, "category")?);
    let reason = Texts::of(batch, "reason")?;
    for row in 0..batch.num_rows() {
        let (Some(time_us), Some(machine)) = (times.at(row), equipment.at(row)) else { continue };
        if newest.get(machine).is_some_and(|(known_us, _)| *known_us > time_us) {
            continue;
        }
        let held = Held {
            state: state.owned(row),
            category: category.owned(row),
            reason: reason.owned(row),
            since_us: Some(time_us).filter(|time_us| *time_us > from_us),
        };
        newest.insert(machine.to_owned(), (time_us, held));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
