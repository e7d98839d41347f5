//! Characteristics that no station sends: they are measured of the samples of a signal.

use super::{Characteristic, Plant};
use crate::series::Reduction;

/// The samples of a signal while a unit is at an operation, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    /// The signal.
    pub signal: String,
    /// What its samples come to.
    pub reduction: Reduction,
    /// How long samples can be on their way once the operation is known to have ended, microseconds.
    pub settle_us: i64,
}

impl Curve {
    /// What measures: the gauge of such a measurement, like `max(force)`.
    #[must_use]
    pub fn gauge(&self) -> String {
        format!("{}({})", self.reduction.name(), self.signal)
    }
}

impl Plant {
    /// The characteristics that are measured of signals while a product is at an operation, each once, with what says most of
    /// how.
    #[must_use]
    pub fn curves(&self, product: Option<&str>, operation: Option<&str>) -> Vec<(&str, &Curve)> {
        let fits = |said: &Option<String>, is: Option<&str>| said.is_none() || said.as_deref() == is;
        let said =
            |known: &Characteristic| usize::from(known.product.is_some()) + usize::from(known.operation.is_some());
        let mut found: Vec<(&Characteristic, &Curve)> = Vec::new();
        for known in &self.characteristics {
            let Some(curve) = &known.curve else { continue };
            if !fits(&known.product, product) || !fits(&known.operation, operation) {
                continue;
            }
            match found.iter_mut().find(|(other, _)| other.characteristic == known.characteristic) {
                Some(other) if said(other.0) < said(known) => *other = (known, curve),
                Some(_) => {}
                None => found.push((known, curve)),
            }
        }
        found.into_iter().map(|(known, curve)| (known.characteristic.as_str(), curve)).collect()
    }
}
