//! Fitting a distribution, and how well it fits.

use statrs::function::gamma::digamma;

use super::{Family, Shape, box_cox, johnson};
use crate::spc::normality::{LEAST, LEVEL, a_squared, anderson_darling};
use crate::spc::{Error, Subgroup};

/// Fewest values of a fit.
const FEWEST: usize = 3;

/// How well a distribution fits, by Anderson-Darling with its parameters estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goodness {
    /// A².
    pub a2: f64,
    /// Probability of a larger one if values were of the distribution; none for gamma, which has no formula.
    pub p: Option<f64>,
    /// It is not rejected at 5 %; none with fewer than 8 values.
    pub fits: Option<bool>,
}

/// A fitted distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The distribution.
    pub shape: Shape,
    /// How well it fits. Of transformations it is that of the transformed values, as if the transformation were known:
    /// too kind.
    pub goodness: Goodness,
    /// Σ ln density: the larger, the likelier the values are.
    pub log_likelihood: f64,
}

/// Fits a family to values: by maximum likelihood, but normal and Box-Cox with sigma of divisor n − 1, and Johnson by
/// percentiles.
///
/// # Errors
///
/// Where there are too few values, they are not above 0 where they must be, or are all equal.
pub fn fit(family: Family, values: &[f64]) -> Result<Fit, Error> {
    let all = Subgroup::of(values)?;
    if values.len() < FEWEST {
        return Err(Error::TooFew { what: family.name(), need: FEWEST });
    }
    if all.range <= 0.0 {
        return Err(Error::AllEqual { what: family.name() });
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let shape = match family {
        Family::Normal => Shape::Normal { mean: all.value, sigma: all.s().unwrap_or_default() },
        Family::Lognormal => lognormal(&sorted)?,
        Family::Weibull => weibull(&sorted)?,
        Family::Gamma => gamma(&sorted)?,
        Family::Exponential => logs("exponential", &sorted).map(|_| Shape::Exponential { mean: all.value })?,
        Family::BoxCox => power(&sorted)?,
        Family::Johnson => Shape::Johnson(johnson::fit(&sorted)?.0),
    };
    let log_likelihood = sorted.iter().map(|&value| shape.density(value).ln()).sum::<f64>();
    Ok(Fit { shape, goodness: goodness(&shape, &sorted), log_likelihood })
}

/// Logarithms of values that must be above 0 and not all equal.
pub(super) fn logs(what: &'static str, values: &[f64]) -> Result<Vec<f64>, Error> {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    if smallest <= 0.0 {
        return Err(Error::NotPositive { what, smallest });
    }
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let all = Subgroup::of(&logs)?;
    if all.range <= 0.0 { Err(Error::AllEqual { what }) } else { Ok(logs) }
}

fn lognormal(values: &[f64]) -> Result<Shape, Error> {
    let all = Subgroup::of(&logs("lognormal", values)?)?;
    Ok(Shape::Lognormal { mu: all.value, sigma: (all.squares / all.n).sqrt() })
}

/// Σ xᵏ ln x / Σ xᵏ − 1/k = mean of ln x, which rises with k; then scaleᵏ = mean of xᵏ.
fn weibull(values: &[f64]) -> Result<Shape, Error> {
    let logs = logs("weibull", values)?;
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Powers of x by the largest, which do not overflow.
    let weigh = |k: f64| logs.iter().map(move |log| (*log, (k * (log - largest)).exp()));
    let excess = |k: f64| {
        let (sum, weighted) = weigh(k).fold((0.0, 0.0), |(sum, of), (log, weight)| (sum + weight, of + weight * log));
        weighted / sum - 1.0 / k - mean
    };
    let shape = rising_root(excess);
    let mean_power = weigh(shape).map(|(_, weight)| weight).sum::<f64>() / logs.len() as f64;
    Ok(Shape::Weibull { shape, scale: (largest + mean_power.ln() / shape).exp() })
}

/// ln k − ψ(k) = ln(mean) − mean of ln, which falls with k; scale = mean / k.
fn gamma(values: &[f64]) -> Result<Shape, Error> {
    let all = Subgroup::of(&logs("gamma", values)?)?;
    let mean = Subgroup::of(values)?.value;
    let wanted = mean.ln() - all.value;
    let shape = rising_root(|k| wanted - (k.ln() - digamma(k)));
    Ok(Shape::Gamma { shape, scale: mean / shape })
}

fn power(values: &[f64]) -> Result<Shape, Error> {
    let lambda = box_cox(values)?.used;
    let powers: Vec<f64> = values.iter().map(|&value| super::shape::power(value, lambda)).collect();
    let all = Subgroup::of(&powers)?;
    Ok(Shape::BoxCox { lambda, mean: all.value, sigma: all.s().unwrap_or_default() })
}

/// Where a rising function of a number above 0 is 0, by halving on a logarithmic scale.
fn rising_root(f: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (-20.0_f64, 20.0_f64);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if f(middle.exp()) < 0.0 { low = middle } else { high = middle }
    }
    (0.5 * (low + high)).exp()
}

fn goodness(shape: &Shape, sorted: &[f64]) -> Goodness {
    let n = sorted.len() as f64;
    let a2 = a_squared(sorted, |x| shape.ln_tails(x).0, |x| shape.ln_tails(x).1);
    let judged = |p: Option<f64>, fits: bool| Goodness { a2, p, fits: (sorted.len() >= LEAST).then_some(fits) };
    match *shape {
        Shape::Weibull { .. } => {
            let p = weibull_p(a2 * (1.0 + 0.2 / n.sqrt()));
            judged(Some(p), p >= LEVEL)
        }
        Shape::Exponential { .. } => {
            let p = exponential_p(a2 * (1.0 + 0.6 / n));
            judged(Some(p), p >= LEVEL)
        }
        // D'Agostino & Stephens, table 4.21, at 5 %: 0.786 for a shape of 1, 0.752 for a large one.
        Shape::Gamma { shape, .. } => judged(None, a2 < 0.752 + 0.034 / shape.max(1.0)),
        _ => transformed(shape, sorted).unwrap_or(judged(None, false)),
    }
}

/// The normal test of the scores: exact for normal and lognormal.
fn transformed(shape: &Shape, sorted: &[f64]) -> Option<Goodness> {
    let scores: Vec<f64> = sorted.iter().map(|&value| shape.score(value)).collect();
    let all = Subgroup::of(&scores).ok()?;
    let test = anderson_darling(&scores, all.value, all.s()?)?;
    Some(Goodness { a2: test.a2, p: Some(test.p), fits: test.normal })
}

/// MIL-HDBK-17-1F, 8.3.4.2.
pub(super) fn weibull_p(a: f64) -> f64 {
    1.0 / (1.0 + (-0.10 + 1.24 * a.ln() + 4.48 * a).exp())
}

/// D'Agostino & Stephens, table 4.14.
pub(super) fn exponential_p(a: f64) -> f64 {
    let p = if a < 0.26 {
        1.0 - (-12.2204 + 67.459 * a - 110.3 * a * a).exp()
    } else if a < 0.51 {
        1.0 - (-6.1327 + 20.218 * a - 18.663 * a * a).exp()
    } else if a < 0.95 {
        (0.9209 - 3.353 * a + 0.3 * a * a).exp()
    } else {
        // Its parabola turns at 10.03; p is nothing by then.
        let a = a.min(10.03);
        (0.731 - 3.009 * a + 0.15 * a * a).exp()
    };
    p.clamp(0.0, 1.0)
}
