//! What values should be.

use crate::spc::Error;

/// A specification, in the unit of the characteristic.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spec {
    /// Lower specification limit.
    pub lower: Option<f64>,
    /// Upper specification limit.
    pub upper: Option<f64>,
    /// What is aimed at.
    pub target: Option<f64>,
}

impl Spec {
    /// # Errors
    ///
    /// Where a number is not finite, or the lower limit is not below the upper one.
    pub fn new(lower: Option<f64>, upper: Option<f64>, target: Option<f64>) -> Result<Self, Error> {
        let numbers = [lower, upper, target].into_iter().flatten();
        if let Some(value) = numbers.into_iter().find(|number| !number.is_finite()) {
            return Err(Error::Parameter { name: "a specification", value, must: "be a finite number" });
        }
        match (lower, upper) {
            (Some(lower), Some(upper)) if lower >= upper => Err(Error::Crossed { lower, upper }),
            _ => Ok(Self { lower, upper, target }),
        }
    }

    /// Both limits.
    #[must_use]
    pub fn both(&self) -> Option<(f64, f64)> {
        self.lower.zip(self.upper)
    }
}
