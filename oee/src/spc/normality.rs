//! Whether values may come from a normal distribution: Anderson-Darling.

use super::distribution::{ln_normal_cdf, normal_quantile};

/// Below this p, values are said not to be normal.
pub const LEVEL: f64 = 0.05;

/// The p value is an approximation for this many values and more; with fewer there is no verdict.
pub const LEAST: usize = 8;

/// The test of Anderson and Darling with mean and sigma estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AndersonDarling {
    /// A².
    pub a2: f64,
    /// A² (1 + 0.75/n + 2.25/n²), which has the same distribution for every n.
    pub a2_star: f64,
    /// Probability of a larger one where values are normal.
    pub p: f64,
    /// p is not below [`LEVEL`]; none with fewer than [`LEAST`] values.
    pub normal: Option<bool>,
}

/// Tests sorted values against the normal distribution of their mean and standard deviation (n − 1). None with fewer
/// than 3 values, or where none differ.
///
/// D'Agostino & Stephens, *Goodness-of-Fit Techniques* (1986), table 4.9.
#[must_use]
pub fn anderson_darling(sorted: &[f64], mean: f64, sigma: f64) -> Option<AndersonDarling> {
    if sorted.len() < 3 || !(sigma > 0.0 && sigma.is_finite()) {
        return None;
    }
    let z = |value: f64| (value - mean) / sigma;
    let a2 = a_squared(sorted, |value| ln_normal_cdf(z(value)), |value| ln_normal_cdf(-z(value)));
    let n = sorted.len() as f64;
    let a2_star = a2 * (1.0 + 0.75 / n + 2.25 / (n * n));
    let p = p_value(a2_star);
    Some(AndersonDarling { a2, a2_star, p, normal: (sorted.len() >= LEAST).then_some(p >= LEVEL) })
}

/// A² = −n − (1/n) Σ (2i − 1) [ln F(yᵢ) + ln(1 − F(yₙ₊₁₋ᵢ))], of any distribution.
pub(super) fn a_squared(sorted: &[f64], ln_lower: impl Fn(f64) -> f64, ln_upper: impl Fn(f64) -> f64) -> f64 {
    let n = sorted.len() as f64;
    let both = sorted.iter().zip(sorted.iter().rev()).enumerate();
    let terms = both.map(|(i, (&low, &high))| (2 * i + 1) as f64 * (ln_lower(low) + ln_upper(high)));
    -n - terms.sum::<f64>() / n
}

fn p_value(a: f64) -> f64 {
    let p = if a >= 0.6 {
        // Its parabola turns at 153; p is nothing long before.
        let a = a.min(150.0);
        (1.2937 - 5.709 * a + 0.0186 * a * a).exp()
    } else if a > 0.34 {
        (0.9177 - 4.279 * a - 1.38 * a * a).exp()
    } else if a > 0.2 {
        1.0 - (-8.318 + 42.796 * a - 59.938 * a * a).exp()
    } else {
        1.0 - (-13.436 + 101.14 * a - 223.73 * a * a).exp()
    };
    p.clamp(0.0, 1.0)
}

/// Where the i-th of n sorted values belongs on a probability plot, i from 1: Benard's median rank, as a probability
/// and as a quantile of the standard normal.
#[must_use]
pub fn plotting_position(i: usize, n: usize) -> (f64, f64) {
    let p = (i as f64 - 0.3) / (n as f64 + 0.4);
    (p, normal_quantile(p))
}

#[cfg(test)]
mod tests;
