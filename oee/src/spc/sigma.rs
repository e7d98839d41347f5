//! Sigma within subgroups: charts and capability ask for it here.

use super::constant::{MAX_RANGE_N, c4, d2, d3};
use super::{Error, Subgroup};

/// From what sigma within subgroups is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigmaMethod {
    /// Mean range / d2. Subgroups of several sizes: each range / d2 weighted by d2²/d3², which is least in variance
    /// (Burr 1969).
    Range,
    /// Mean standard deviation / c4. Subgroups of several sizes: each s / c4 weighted by c4²/(1 − c4²) (Burr 1969).
    Deviation,
    /// Square root of all squared deviations from their subgroup's mean by all degrees of freedom, without a
    /// correction for bias.
    Pooled,
    /// Single values: mean of the moving ranges of two / d2(2). A range with an excluded or missing value is left out.
    MovingRange,
}

impl SigmaMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Range, Self::Deviation, Self::Pooled, Self::MovingRange];

    /// Its name in SQL and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "rbar_d2",
            Self::Deviation => "sbar_c4",
            Self::Pooled => "pooled",
            Self::MovingRange => "mrbar_d2",
        }
    }

    /// The method of a name.
    ///
    /// # Errors
    ///
    /// Where there is none: with the known names and the one that was probably meant.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| Error::unknown("sigma method", name, Self::ALL.map(Self::name)))
    }

    /// Estimates sigma of a single value, in its unit, from the subgroups that are not excluded.
    ///
    /// # Errors
    ///
    /// Where no subgroup has two values, or, of moving ranges, no two single values follow each other.
    pub fn estimate(self, subgroups: &[Subgroup]) -> Result<Sigma, Error> {
        let used = subgroups.iter().filter(|subgroup| !subgroup.excluded && subgroup.n >= 2.0);
        let value = match self {
            Self::Range => {
                let mut range = Remembered::new(range_weights);
                let too_large = used.clone().any(|subgroup| subgroup.n > f64::from(MAX_RANGE_N));
                if too_large {
                    return Err(Error::RangeOfTooMany);
                }
                weighted(used.clone().map(|subgroup| (subgroup.range, range.of(subgroup.count_of_values()))))
            }
            Self::Deviation => {
                let mut deviation = Remembered::new(deviation_weights);
                let s = |subgroup: &Subgroup| subgroup.s().unwrap_or_default();
                weighted(used.clone().map(|subgroup| (s(subgroup), deviation.of(subgroup.count_of_values()))))
            }
            Self::Pooled => {
                weighted(used.clone().map(|subgroup| (subgroup.squares, [1.0, subgroup.n - 1.0]))).map(f64::sqrt)
            }
            Self::MovingRange => return moving(subgroups),
        };
        let value = value.ok_or(Error::SingleValues { what: self.name() })?;
        Ok(Sigma { value, method: self, df: self.degrees_of_freedom(used.clone()) })
    }

    /// Of a normal standard deviation with the same variance: 1 / (2 · relative variance), which is exact for pooled
    /// ones. For ranges it is the usual 0.9 k (n − 1).
    fn degrees_of_freedom<'s>(self, used: impl Iterator<Item = &'s Subgroup>) -> f64 {
        let one = |subgroup: &Subgroup| match self {
            Self::Range => 0.9 * (subgroup.n - 1.0),
            Self::Deviation => {
                let square = c4(subgroup.count_of_values()).powi(2);
                0.5 * square / (1.0 - square)
            }
            Self::Pooled | Self::MovingRange => subgroup.n - 1.0,
        };
        used.map(one).sum()
    }
}

/// An estimate of sigma.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sigma {
    /// In the unit of the values; 0 where no values differ.
    pub value: f64,
    /// How it was estimated.
    pub method: SigmaMethod,
    /// How sure it is: degrees of freedom of a standard deviation that is as sure.
    pub df: f64,
}

/// Σ factor·x / Σ weight.
fn weighted(terms: impl Iterator<Item = (f64, [f64; 2])>) -> Option<f64> {
    let sums = terms.map(|(x, [factor, weight])| [factor * x, weight]);
    let [value, weight] = sums.fold([0.0; 2], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    (weight > 0.0).then(|| value / weight)
}

/// d2²/d3² · 1/d2, and d2²/d3².
fn range_weights(n: u32) -> [f64; 2] {
    let (d2, variance) = (d2(n), d3(n).powi(2));
    [d2 / variance, d2 * d2 / variance]
}

/// c4²/(1 − c4²) · 1/c4, and c4²/(1 − c4²).
fn deviation_weights(n: u32) -> [f64; 2] {
    let c4 = c4(n);
    let variance = 1.0 - c4 * c4;
    [c4 / variance, c4 * c4 / variance]
}

/// Most subgroups are as large as the one before.
struct Remembered {
    n: u32,
    weights: [f64; 2],
    calculate: fn(u32) -> [f64; 2],
}

impl Remembered {
    fn new(calculate: fn(u32) -> [f64; 2]) -> Self {
        Self { n: 0, weights: [0.0; 2], calculate }
    }

    fn of(&mut self, n: u32) -> [f64; 2] {
        if n != self.n {
            (self.n, self.weights) = (n, (self.calculate)(n));
        }
        self.weights
    }
}

/// |x − the x before|, where both can be used.
fn moving_ranges(subgroups: &[Subgroup]) -> impl Iterator<Item = f64> {
    let usable = |subgroup: &Subgroup| !subgroup.excluded && !subgroup.is_empty();
    let pairs = subgroups.windows(2).filter(move |pair| pair.iter().all(usable));
    pairs.map(|pair| (pair[1].value - pair[0].value).abs())
}

fn moving(subgroups: &[Subgroup]) -> Result<Sigma, Error> {
    let (sum, count) = moving_ranges(subgroups).fold((0.0, 0.0), |(sum, count), range| (sum + range, count + 1.0));
    if count == 0.0 {
        return Err(Error::TooFew { what: "mrbar_d2", need: 2 });
    }
    Ok(Sigma { value: sum / count / d2(2), method: SigmaMethod::MovingRange, df: moving_degrees_of_freedom(count) })
}

/// Neighbouring ranges share a value. Of a standard normal |X| has the variance 1 − 2/π and, for differences of
/// neighbours with correlation −1/2, E|D₁D₂| = (4/π)(√3/2 + π/12) (Cryer & Ryan 1990).
fn moving_degrees_of_freedom(ranges: f64) -> f64 {
    let pi = std::f64::consts::PI;
    let variance = 2.0 - 4.0 / pi;
    let covariance = 4.0 / pi * (0.75_f64.sqrt() + pi / 12.0 - 1.0);
    let of_mean = (variance + 2.0 * (ranges - 1.0) / ranges * covariance) / ranges;
    0.5 * d2(2).powi(2) / of_mean
}

#[cfg(test)]
mod tests;
