//! Indices, their intervals, and nonconforming parts per million.

use super::Spec;
use crate::spc::distribution::{ChiSquared, Tails, normal_cdf, normal_quantile};

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Outside of the specification, per million. A side without a limit is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ppm {
    /// Below the lower limit.
    pub below: Option<f64>,
    /// Above the upper limit.
    pub above: Option<f64>,
    /// Both together.
    pub total: Option<f64>,
}

const MILLION: f64 = 1e6;

impl Ppm {
    pub(in crate::spc) fn of(below: Option<f64>, above: Option<f64>) -> Self {
        let total = match (below, above) {
            (None, None) => None,
            (below, above) => Some(below.unwrap_or(0.0) + above.unwrap_or(0.0)),
        };
        Self { below, above, total }
    }

    /// Strictly outside.
    pub(in crate::spc) fn observed(values: &[f64], spec: &Spec) -> Self {
        let share = |outside: &dyn Fn(f64) -> bool| {
            let count = values.iter().filter(|value| outside(**value)).count();
            MILLION * count as f64 / values.len() as f64
        };
        let below = spec.lower.map(|lower| share(&|value| value < lower));
        Self::of(below, spec.upper.map(|upper| share(&|value| value > upper)))
    }

    /// As tails of a distribution.
    pub(in crate::spc) fn expected(spec: &Spec, lower: impl Fn(f64) -> f64, upper: impl Fn(f64) -> f64) -> Self {
        Self::of(spec.lower.map(|limit| MILLION * lower(limit)), spec.upper.map(|limit| MILLION * upper(limit)))
    }
}

/// Indices with one sigma: Cp, Cpl, Cpu, Cpk with that within subgroups, Pp, Ppl, Ppu, Ppk with that of all values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Indices {
    /// Cp, Pp: (USL − LSL) / 6σ.
    pub potential: Option<f64>,
    /// Cpl, Ppl: (mean − LSL) / 3σ.
    pub lower: Option<f64>,
    /// Cpu, Ppu: (USL − mean) / 3σ.
    pub upper: Option<f64>,
    /// Cpk, Ppk: the smaller one of the two that there are.
    pub smaller: Option<f64>,
    /// Of Cp or Pp, by χ² (Montgomery 8.3).
    pub potential_95: Option<Interval>,
    /// Of Cpk or Ppk, by Bissell's normal approximation (1990).
    pub smaller_95: Option<Interval>,
    /// By the normal distribution.
    pub expected_ppm: Ppm,
    /// Degrees of freedom of sigma.
    pub df: f64,
}

impl Indices {
    /// No index where sigma is 0.
    pub(super) fn of(n: usize, mean: f64, sigma: f64, df: f64, spec: &Spec) -> Self {
        if sigma <= 0.0 {
            return Self { df, ..Self::default() };
        }
        let z = |limit: f64| (limit - mean) / sigma;
        let potential = spec.both().map(|(lower, upper)| (upper - lower) / (6.0 * sigma));
        let indices = Self::from_sides(
            potential,
            spec.lower.map(|limit| -z(limit) / 3.0),
            spec.upper.map(|limit| z(limit) / 3.0),
        );
        Self {
            potential_95: potential.map(|index| chi_squared_interval(index, df)),
            smaller_95: indices.smaller.map(|index| bissell(index, n as f64, df)),
            expected_ppm: Ppm::expected(spec, |limit| normal_cdf(z(limit)), |limit| normal_cdf(-z(limit))),
            df,
            ..indices
        }
    }

    pub(in crate::spc) fn from_sides(potential: Option<f64>, lower: Option<f64>, upper: Option<f64>) -> Self {
        let smaller = match (lower, upper) {
            (Some(lower), Some(upper)) => Some(lower.min(upper)),
            (lower, upper) => lower.or(upper),
        };
        Self { potential, lower, upper, smaller, ..Self::default() }
    }
}

/// index · √(χ²/df), at 2.5 % and 97.5 %.
fn chi_squared_interval(index: f64, df: f64) -> Interval {
    let at = |p: f64| index * (ChiSquared { df }.quantile(p) / df).sqrt();
    Interval { low: at(0.025), high: at(0.975) }
}

/// index ∓ z √(1/9N + index²/2df).
fn bissell(index: f64, n: f64, df: f64) -> Interval {
    let half = normal_quantile(0.975) * (1.0 / (9.0 * n) + index * index / (2.0 * df)).sqrt();
    Interval { low: index - half, high: index + half }
}

/// Cpm, and Boyles' interval (1991): χ² with n (1 + ξ²)² / (1 + 2ξ²) degrees of freedom, where ξ is how many sigmas the
/// mean is off target.
pub(super) fn taguchi(n: usize, mean: f64, sigma: f64, spec: &Spec) -> Option<(f64, Interval)> {
    let ((lower, upper), target) = spec.both().zip(spec.target)?;
    if sigma <= 0.0 {
        return None;
    }
    let index = (upper - lower) / (6.0 * sigma.hypot(mean - target));
    let square = ((mean - target) / sigma).powi(2);
    let df = n as f64 * (1.0 + square).powi(2) / (1.0 + 2.0 * square);
    Some((index, chi_squared_interval(index, df)))
}
