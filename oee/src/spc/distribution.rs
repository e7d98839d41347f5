//! Distributions that limits, intervals and tests rest on: probabilities and quantiles.
//!
//! Both tails are calculated as such, so that a small one keeps its digits: `1 − cdf` is never formed. Probabilities
//! are within a relative 1e-11, quantiles within 1e-12 of where the probability has its value.

use statrs::function::beta::checked_beta_reg;
use statrs::function::gamma::{checked_gamma_lr, checked_gamma_ur};

/// Φ, the distribution of the standard normal.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// ln Φ, also where Φ is too small for a double.
#[must_use]
pub fn ln_normal_cdf(x: f64) -> f64 {
    if x > -30.0 {
        return if x > 5.0 { (-normal_cdf(-x)).ln_1p() } else { normal_cdf(x).ln() };
    }
    // Mills' ratio (Abramowitz & Stegun 26.2.12); the next term is 105/x⁸, of a logarithm of 450 and more.
    let square = x * x;
    let series = (1.0 - (1.0 - (3.0 - 15.0 / square) / square) / square).ln();
    -0.5 * square - (-x).ln() - 0.5 * std::f64::consts::TAU.ln() + series
}

/// Density of the standard normal.
#[must_use]
pub fn normal_pdf(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// The standard normal's quantile; infinite for probabilities that are not within 0 and 1.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -lower_quantile(1.0 - p);
    }
    lower_quantile(p)
}

/// Abramowitz & Stegun 26.2.23, good to 4.5e-4, then Halley's method, which triples the digits each time.
fn lower_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let t = (-2.0 * p.ln()).sqrt();
    let start =
        (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308))) - t;
    (0..3).fold(start, |x, _| {
        let step = (normal_cdf(x) - p) / normal_pdf(x);
        x - step / (1.0 + 0.5 * x * step)
    })
}

/// A distribution, by its two tails.
pub trait Tails {
    /// P(X ≤ x).
    fn lower(&self, x: f64) -> f64;

    /// P(X > x).
    fn upper(&self, x: f64) -> f64;

    /// Where all of it lies.
    fn support(&self) -> (f64, f64);

    /// Where the lower tail is `p`, for 0 < p < 1.
    fn quantile(&self, p: f64) -> f64 {
        let lower = p < 0.5;
        let above = |x: f64| if lower { self.lower(x) >= p } else { self.upper(x) <= 1.0 - p };
        bisect(self.support(), above)
    }
}

/// Where a condition begins to hold, to the last digit. An endless side is walked outwards by doubling.
fn bisect((low, high): (f64, f64), holds: impl Fn(f64) -> bool) -> f64 {
    let mut high = if high.is_finite() { high } else { walk(low.max(0.0) + 1.0, 1.0, &holds) };
    let mut low = if low.is_finite() { low } else { walk(-1.0, -1.0, |x| !holds(x)) };
    for _ in 0..1_100 {
        let middle = low + 0.5 * (high - low);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

fn walk(from: f64, step: f64, stop: impl Fn(f64) -> bool) -> f64 {
    let at = |doubling: i32| from + step * (2_f64.powi(doubling) - 1.0);
    (0..1_000).map(at).find(|&x| stop(x)).unwrap_or_else(|| at(1_000))
}

/// χ² with degrees of freedom that need not be whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquared {
    /// Degrees of freedom.
    pub df: f64,
}

impl Tails for ChiSquared {
    fn lower(&self, x: f64) -> f64 {
        gamma_lower(0.5 * self.df, 0.5 * x)
    }

    fn upper(&self, x: f64) -> f64 {
        gamma_upper(0.5 * self.df, 0.5 * x)
    }

    fn support(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }
}

/// P(X ≤ x) of a gamma distribution of scale 1.
pub(super) fn gamma_lower(shape: f64, x: f64) -> f64 {
    if x <= 0.0 { 0.0 } else { checked_gamma_lr(shape, x).unwrap_or(1.0) }
}

/// P(X > x) of a gamma distribution of scale 1.
pub(super) fn gamma_upper(shape: f64, x: f64) -> f64 {
    if x <= 0.0 { 1.0 } else { checked_gamma_ur(shape, x).unwrap_or(0.0) }
}

/// The beta distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    /// First shape.
    pub a: f64,
    /// Second shape.
    pub b: f64,
}

impl Tails for Beta {
    fn lower(&self, x: f64) -> f64 {
        checked_beta_reg(self.a, self.b, x.clamp(0.0, 1.0)).unwrap_or(f64::from(u8::from(x > 0.0)))
    }

    fn upper(&self, x: f64) -> f64 {
        Self { a: self.b, b: self.a }.lower(1.0 - x)
    }

    fn support(&self) -> (f64, f64) {
        (0.0, 1.0)
    }
}

/// Fisher's F.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FisherF {
    /// Degrees of freedom of the numerator.
    pub df1: f64,
    /// Degrees of freedom of the denominator.
    pub df2: f64,
}

impl Tails for FisherF {
    // As Abramowitz & Stegun 26.6.2: the smaller argument of the two betas keeps the digits.
    fn lower(&self, x: f64) -> f64 {
        let share = self.df1 * x / (self.df1 * x + self.df2);
        Beta { a: 0.5 * self.df1, b: 0.5 * self.df2 }.lower(share)
    }

    fn upper(&self, x: f64) -> f64 {
        let share = self.df2 / (self.df1 * x + self.df2);
        Beta { a: 0.5 * self.df2, b: 0.5 * self.df1 }.lower(share)
    }

    fn support(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }
}

/// Student's t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudentT {
    /// Degrees of freedom.
    pub df: f64,
}

impl StudentT {
    /// P(|X| > |x|).
    #[must_use]
    pub fn two_sided(&self, x: f64) -> f64 {
        Beta { a: 0.5 * self.df, b: 0.5 }.lower(self.df / (self.df + x * x))
    }
}

impl Tails for StudentT {
    fn lower(&self, x: f64) -> f64 {
        self.upper(-x)
    }

    fn upper(&self, x: f64) -> f64 {
        let tail = 0.5 * self.two_sided(x);
        if x < 0.0 { 1.0 - tail } else { tail }
    }

    fn support(&self) -> (f64, f64) {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
}

#[cfg(test)]
mod tests;
