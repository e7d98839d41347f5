//! How the running shift of each machine goes: the newest row of `oee('shift')`.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use query::QueryError;

use super::message::ShiftSoFar;
use crate::columns::{Doubles, Texts, Times, rfc3339};

/// A shift, or a stretch between shifts, is looked at this far back, seconds.
const LONGEST_S: i64 = 24 * 3_600;

/// The running shifts.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    running: HashMap<String, (i64, ShiftSoFar)>,
}

impl Shifts {
    /// Start of the next look's window: that of the earliest running shift, so that little more than the running
    /// shifts is read.
    pub(super) fn from_us(&self, now_us: i64) -> i64 {
        let earliest_us = now_us - 1_000_000 * LONGEST_S;
        let running_us = self.running.values().map(|(start_us, _)| *start_us).min();
        running_us.map_or(earliest_us, |start_us| start_us.max(earliest_us))
    }

    /// Takes up rows of `oee('shift')`: of each machine the last one counts.
    pub(super) fn note(&mut self, rows: &[RecordBatch]) -> Result<(), QueryError> {
        let mut running = HashMap::new();
        for batch in rows {
            collect(batch, &mut running)?;
        }
        self.running = running;
        Ok(())
    }

    /// The running shift of a machine.
    pub(super) fn of(&self, machine: &str) -> ShiftSoFar {
        self.running.get(machine).map(|(_, shift)| shift.clone()).unwrap_or_default()
    }
}

fn collect(batch: &RecordBatch, running: &mut HashMap<String, (i64, ShiftSoFar)>) -> Result<(), QueryError> {
    let (times, equipment) = (Times::of(batch, "time")?, Texts::of(batch, "equipment")?);
    let (shift, reason) = (Texts::of(batch, "shift")?, Texts::of(batch, "reason")?);
    let double = |name: &str| Doubles::of(batch, name);
    let (availability, performance, quality) = (double("availability")?, double("performance")?, double("quality")?);
    let (oee, total, good, scrap) = (double("oee")?, double("total")?, double("good")?, double("scrap")?);
    for row in 0..batch.num_rows() {
        let (Some(start_us), Some(machine)) = (times.at(row), equipment.at(row)) else { continue };
        if running.get(machine).is_some_and(|(known_us, _)| *known_us > start_us) {
            continue;
        }
        let so_far = ShiftSoFar {
            shift: shift.owned(row),
            shift_start: rfc3339(start_us),
            availability: availability.at(row),
            performance: performance.at(row),
            quality: quality.at(row),
            oee: oee.at(row),
            total: total.at(row),
            good: good.at(row),
            scrap: scrap.at(row),
            reason: reason.owned(row),
        };
        running.insert(machine.to_owned(), (start_us, so_far));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
