//! Linearity of a measurement system: whether its bias changes over the range that is measured (AIAG *MSA*, 4th
//! edition, chapter III-B): the regression of bias on the reference.

use super::capability::Interval;
use super::distribution::{StudentT, Tails};
use super::{Bias, Error};

/// A coefficient of the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficient {
    /// Its value.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// value / standard error; none where all points lie on the line.
    pub t: Option<f64>,
    /// Probability of a larger |t| if it were 0.
    pub p: Option<f64>,
    /// 95 % interval.
    pub interval: Interval,
}

/// The line bias = intercept + slope · reference, by least squares.
#[derive(Debug, Clone, PartialEq)]
pub struct Linearity {
    /// How many readings.
    pub n: usize,
    /// Change of bias per unit of reference.
    pub slope: Coefficient,
    /// Bias at a reference of 0, in the unit of the readings.
    pub intercept: Coefficient,
    /// Standard deviation of the readings about the line, n − 2 degrees of freedom.
    pub sigma: f64,
    /// Share of the variation of bias that the line explains; none where bias does not vary.
    pub r_squared: Option<f64>,
    /// %linearity = 100 |slope|: linearity in percent of the process variation.
    pub percent: f64,
    /// Bias at each reference, in their order; the error says why there is none (one reading).
    pub biases: Vec<(f64, Result<Bias, Error>)>,
    mean_reference: f64,
    squares: f64,
    quantile: f64,
}

impl Linearity {
    /// From parts: their reference, and their readings.
    ///
    /// # Errors
    ///
    /// Where there are fewer than 3 readings or 2 different references, or a number is not finite.
    pub fn of(parts: &[(f64, Vec<f64>)]) -> Result<Self, Error> {
        let pairs =
            || parts.iter().flat_map(|(reference, readings)| readings.iter().map(move |one| (*reference, *one)));
        if let Some(value) = pairs().flat_map(|(x, reading)| [x, reading]).find(|number| !number.is_finite()) {
            return Err(Error::NotFinite { value });
        }
        let n = pairs().count();
        if n < 3 {
            return Err(Error::TooFew { what: "linearity", need: 3 });
        }
        let (count, df) = (n as f64, n as f64 - 2.0);
        let x_mean = pairs().map(|(x, _)| x).sum::<f64>() / count;
        let y_mean = pairs().map(|(x, reading)| reading - x).sum::<f64>() / count;
        let sum = |term: &dyn Fn(f64, f64) -> f64| {
            pairs().map(|(x, reading)| term(x - x_mean, reading - x - y_mean)).sum::<f64>()
        };
        let squares = sum(&|x, _| x * x);
        // The mean of equal numbers need not be that number, so their squares about it need not be 0.
        let is_one = pairs().zip(pairs().skip(1)).all(|((one, _), (other, _))| one == other);
        if is_one || squares <= 0.0 {
            return Err(Error::OneReference);
        }
        let slope = sum(&|x, y| x * y) / squares;
        let (residual, total) = (sum(&|x, y| (y - slope * x).powi(2)), sum(&|_, y| y * y));
        let (sigma, distribution) = ((residual / df).sqrt(), StudentT { df });
        let quantile = distribution.quantile(0.975);
        let coefficient = |value: f64, standard_error: f64| {
            let t = (standard_error > 0.0).then(|| value / standard_error);
            let half = quantile * standard_error;
            let interval = Interval { low: value - half, high: value + half };
            Coefficient { value, standard_error, t, p: t.map(|t| distribution.two_sided(t)), interval }
        };
        Ok(Self {
            n,
            slope: coefficient(slope, sigma / squares.sqrt()),
            intercept: coefficient(y_mean - slope * x_mean, sigma * (1.0 / count + x_mean * x_mean / squares).sqrt()),
            sigma,
            r_squared: (total > 0.0).then(|| 1.0 - residual / total),
            percent: 100.0 * slope.abs(),
            biases: parts.iter().map(|(reference, readings)| (*reference, Bias::of(readings, *reference))).collect(),
            mean_reference: x_mean,
            squares,
            quantile,
        })
    }

    /// Bias on the line at a reference, and the 95 % band there.
    #[must_use]
    pub fn at(&self, reference: f64) -> (f64, Interval) {
        let bias = self.intercept.value + self.slope.value * reference;
        let away = reference - self.mean_reference;
        let half = self.quantile * self.sigma * (1.0 / self.n as f64 + away * away / self.squares).sqrt();
        (bias, Interval { low: bias - half, high: bias + half })
    }

    /// The band holds a bias of 0 at every reference that was measured.
    #[must_use]
    pub fn is_acceptable(&self) -> bool {
        self.biases.iter().all(|(reference, _)| {
            let (_, band) = self.at(*reference);
            band.low <= 0.0 && band.high >= 0.0
        })
    }
}

#[cfg(test)]
mod tests;
