//! A rational subgroup, reduced to what charts need of it.

use super::Error;

/// What was measured together, or counted together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Subgroup {
    /// How many values; or how many units were inspected, how much area. 0 where nothing was.
    pub n: f64,
    /// The mean, in the unit of the characteristic; or the count.
    pub value: f64,
    /// Largest minus smallest value.
    pub range: f64,
    /// Sum of squared deviations from the mean.
    pub squares: f64,
    /// Short runs: what the part should measure. 0 otherwise.
    pub nominal: f64,
    /// Short runs in Z: sigma of the part. 1 otherwise.
    pub scale: f64,
    /// It is plotted and judged, and limits are not estimated from it.
    pub excluded: bool,
}

impl Subgroup {
    const EMPTY: Self =
        Self { n: 0.0, value: 0.0, range: 0.0, squares: 0.0, nominal: 0.0, scale: 1.0, excluded: false };

    /// From measured values; none of them make an empty subgroup.
    ///
    /// # Errors
    ///
    /// Where a value is not finite.
    pub fn of(values: &[f64]) -> Result<Self, Error> {
        let Some(&first) = values.first() else { return Ok(Self::EMPTY) };
        let n = values.len() as f64;
        // From the first value on, so that digits are kept however far the values are from zero.
        let (mut sum, mut low, mut high) = (0.0, first, first);
        for &value in values {
            sum += value - first;
            low = if value < low { value } else { low };
            high = if value > high { value } else { high };
        }
        let mean = sum / n;
        let squares = values.iter().map(|value| (value - first - mean).powi(2)).sum();
        // A NaN is neither below nor above, but in the sum.
        Self { n, value: first + mean, range: high - low, squares, ..Self::EMPTY }.finite()
    }

    /// A mean of `n` values of which nothing else is known: to be drawn between limits that are given, not to estimate
    /// sigma from.
    ///
    /// # Errors
    ///
    /// Where a number is not finite, or `n` is negative.
    pub fn mean(value: f64, n: f64) -> Result<Self, Error> {
        Self { n, value, ..Self::EMPTY }.finite()
    }

    /// From a count: nonconforming units of `n` inspected, or nonconformities on `n` units of area. With an `n` of 0 it
    /// is empty.
    ///
    /// # Errors
    ///
    /// Where a number is negative or not finite.
    pub fn count(count: f64, n: f64) -> Result<Self, Error> {
        if count < 0.0 {
            return Err(Error::Negative { what: "a count", value: count });
        }
        Self { n, value: count, ..Self::EMPTY }.finite()
    }

    /// With what the part should measure, and sigma of the part (1 where values are not scaled).
    ///
    /// # Errors
    ///
    /// Where the nominal is not finite, or sigma not positive.
    pub fn of_part(self, nominal: f64, scale: f64) -> Result<Self, Error> {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::Parameter { name: "sigma of a part", value: scale, must: "be above 0" });
        }
        Self { nominal, scale, ..self }.finite()
    }

    /// Left out of what limits are estimated from.
    #[must_use]
    pub fn exclude(self) -> Self {
        Self { excluded: true, ..self }
    }

    /// Standard deviation with divisor n − 1; none of fewer than two values.
    #[must_use]
    pub fn s(&self) -> Option<f64> {
        (self.n >= 2.0).then(|| (self.squares / (self.n - 1.0)).sqrt())
    }

    /// How many values, as constants are asked for.
    pub(super) fn count_of_values(&self) -> u32 {
        self.n as u32
    }

    pub(super) fn is_empty(&self) -> bool {
        self.n <= 0.0
    }

    /// Deviation from nominal in sigmas of the part: what short-run charts look at instead.
    pub(super) fn standardised(&self) -> Self {
        Self {
            value: (self.value - self.nominal) / self.scale,
            range: self.range / self.scale,
            squares: self.squares / self.scale.powi(2),
            nominal: 0.0,
            scale: 1.0,
            ..*self
        }
    }

    fn finite(self) -> Result<Self, Error> {
        let numbers = [self.n, self.value, self.range, self.squares, self.nominal];
        // Bit by bit rather than one after the other: this is asked of every subgroup.
        if numbers.iter().fold(true, |finite, number| finite & number.is_finite()) {
            let size = self.n;
            return if size < 0.0 { Err(Error::Negative { what: "a size", value: size }) } else { Ok(self) };
        }
        let value = numbers.into_iter().find(|number| !number.is_finite()).unwrap_or(f64::NAN);
        Err(Error::NotFinite { value })
    }
}
