//! Leaves out what differs little from the last sample kept.

use super::{Kept, Limits, Sample, kept};
use crate::series::NotAscending;

/// Keeps a sample that is further than the tolerance from the last one kept. What is left out is given back by holding
/// the last value. The last sample of all is not kept for being the last.
///
/// Source: OPC 10000-4 (UA Part 4: Services), DataChangeFilter, absolute dead band.
#[derive(Debug, Clone)]
pub struct DeadBand<M> {
    limits: Limits,
    pivot: Option<Sample<M>>,
    /// The last sample, if it was not kept.
    held: Option<Sample<M>>,
}

impl<M: PartialEq + Clone> DeadBand<M> {
    /// A filter that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, pivot: None, held: None }
    }

    /// Takes the next sample and gives what is to be kept.
    ///
    /// # Errors
    ///
    /// Where it is not later than the sample before; nothing is taken then.
    pub fn push(&mut self, sample: Sample<M>) -> Result<Kept<M>, NotAscending> {
        if let Some(last) = self.held.as_ref().or(self.pivot.as_ref()) {
            sample.check_after(last)?;
        }
        let late = self.pivot.as_ref().is_some_and(|pivot| self.limits.too_long(pivot, &sample));
        let held = if late { self.held.take() } else { None };
        if held.is_some() {
            self.pivot.clone_from(&held);
        }
        if self.covers(&sample) {
            self.held = Some(sample);
            return Ok(kept(held, None));
        }
        self.held = None;
        self.pivot = Some(sample.clone());
        Ok(kept(held, Some(sample)))
    }

    fn covers(&self, sample: &Sample<M>) -> bool {
        let Some(pivot) = &self.pivot else { return false };
        if pivot.mark != sample.mark || self.limits.too_long(pivot, sample) {
            return false;
        }
        // False for what is not finite.
        let near = |(from, to): (f64, f64)| (to - from).abs() <= self.limits.tolerance;
        pivot.numbers(sample).map_or_else(|| pivot.both_without(sample), near)
    }
}
