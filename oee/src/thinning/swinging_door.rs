//! Leaves out what lies on a straight line.

use super::{Kept, Limits, Sample, kept};
use crate::series::NotAscending;

/// Keeps a sample where the straight line from the last one kept has to bend. What is left out is given back by
/// drawing straight lines between what is kept. The last sample is kept: [`SwingingDoor::finish`].
///
/// From the last sample kept, the pivot, each later one leaves a cone of slopes that pass it within the tolerance. A
/// sample whose own slope lies in the cone of all before it may become the next one kept; one outside means that the
/// sample before it has to be.
///
/// Source: Bristol, "Swinging door trending: adaptive trend recording?", ISA National Conference, 1990; here in the
/// variant that tests the slope to the new sample ("critical aperture"), which keeps to the tolerance. Doors that open
/// past parallel only keep to twice of it.
#[derive(Debug, Clone)]
pub struct SwingingDoor<M> {
    limits: Limits,
    pivot: Option<Sample<M>>,
    /// The last sample, if it was not kept.
    held: Option<Sample<M>>,
    cone: Cone,
}

/// Slopes, in units of the signal by microsecond.
#[derive(Debug, Clone, Copy)]
struct Cone {
    low: f64,
    high: f64,
}

impl Cone {
    const OPEN: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    fn holds(&self, rise: f64, us: f64) -> bool {
        (self.low..=self.high).contains(&(rise / us))
    }

    fn narrow(&mut self, rise: f64, us: f64, tolerance: f64) {
        self.low = self.low.max((rise - tolerance) / us);
        self.high = self.high.min((rise + tolerance) / us);
    }
}

impl<M: PartialEq + Clone> SwingingDoor<M> {
    /// A filter that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, pivot: None, held: None, cone: Cone::OPEN }
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
        if self.accepts(&sample) {
            self.held = Some(sample);
            return Ok(kept(None, None));
        }
        let held = self.held.take();
        if held.is_some() {
            self.turn(held.clone());
            if self.accepts(&sample) {
                self.held = Some(sample);
                return Ok(kept(held, None));
            }
        }
        self.turn(Some(sample.clone()));
        Ok(kept(held, Some(sample)))
    }

    /// The last sample, unless it was kept already.
    pub fn finish(self) -> Option<Sample<M>> {
        self.held
    }

    fn turn(&mut self, pivot: Option<Sample<M>>) {
        self.pivot = pivot;
        self.cone = Cone::OPEN;
    }

    /// Whether the sample may be the next one kept after the pivot; it narrows the cone then.
    fn accepts(&mut self, sample: &Sample<M>) -> bool {
        let Some(pivot) = &self.pivot else { return false };
        if pivot.mark != sample.mark || self.limits.too_long(pivot, sample) {
            return false;
        }
        let Some((from, to)) = pivot.numbers(sample) else { return pivot.both_without(sample) };
        let (rise, us) = (to - from, sample.time_us.saturating_sub(pivot.time_us) as f64);
        let inside = rise.is_finite() && self.cone.holds(rise, us);
        if inside {
            self.cone.narrow(rise, us, self.limits.tolerance);
        }
        inside
    }
}
