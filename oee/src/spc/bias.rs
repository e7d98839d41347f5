//! Bias of a measurement system: how far the mean of repeated readings is from a reference (AIAG *MSA*, 4th edition,
//! chapter III-B, independent sample method).

use super::Error;
use super::capability::{Interval, mean_and_sigma};
use super::distribution::{StudentT, Tails};

/// Bias of readings of one part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bias {
    /// How many readings.
    pub n: usize,
    /// The reference, in the unit of the readings.
    pub reference: f64,
    /// Mean of the readings.
    pub mean: f64,
    /// Mean − reference.
    pub bias: f64,
    /// Repeatability: standard deviation of the readings (n − 1).
    pub sigma: f64,
    /// sigma / √n.
    pub standard_error: f64,
    /// bias / standard error; none where readings are all equal.
    pub t: Option<f64>,
    /// Probability of a larger |t| without bias, n − 1 degrees of freedom.
    pub p: Option<f64>,
    /// 95 % interval of the bias. A bias is there where it does not hold 0.
    pub interval: Interval,
}

impl Bias {
    /// From readings of a part whose value is known.
    ///
    /// # Errors
    ///
    /// Where there are fewer than 2 readings, or a number is not finite.
    pub fn of(readings: &[f64], reference: f64) -> Result<Self, Error> {
        if !reference.is_finite() {
            return Err(Error::NotFinite { value: reference });
        }
        if readings.len() < 2 {
            return Err(Error::TooFew { what: "bias", need: 2 });
        }
        let (mean, sigma) = mean_and_sigma(readings)?;
        let sigma = sigma.unwrap_or_default();
        let n = readings.len();
        let (bias, standard_error) = (mean - reference, sigma / (n as f64).sqrt());
        let distribution = StudentT { df: n as f64 - 1.0 };
        let t = (standard_error > 0.0).then(|| bias / standard_error);
        let half = distribution.quantile(0.975) * standard_error;
        Ok(Self {
            n,
            reference,
            mean,
            bias,
            sigma,
            standard_error,
            t,
            p: t.map(|t| distribution.two_sided(t)),
            interval: Interval { low: bias - half, high: bias + half },
        })
    }

    /// The interval does not hold 0.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.interval.low > 0.0 || self.interval.high < 0.0
    }

    /// |bias| and repeatability in percent of the process's total variation (a standard deviation); none where that is
    /// not positive.
    #[must_use]
    pub fn percent_of(&self, total_variation: f64) -> Option<(f64, f64)> {
        let percent = |one: f64| 100.0 * one / total_variation;
        (total_variation > 0.0).then(|| (percent(self.bias.abs()), percent(self.sigma)))
    }
}

#[cfg(test)]
mod tests;
