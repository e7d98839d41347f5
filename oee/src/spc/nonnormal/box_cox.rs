//! The power that makes values normal (Box & Cox 1964).

use super::shape::power;
use crate::spc::{Error, Subgroup};

/// Powers that are looked at.
const FROM: f64 = -5.0;
const TO: f64 = 5.0;

/// χ² of one degree of freedom at 95 %, halved: how far below its maximum the logarithm of the likelihood may be.
const HALF_CHI_SQUARED_95: f64 = 1.920_729_410_347_062;

/// A power by maximum likelihood, and the one to be used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxCox {
    /// Maximum likelihood, between −5 and 5.
    pub best: f64,
    /// 95 % interval by the profile of the likelihood, cut off at −5 and 5.
    pub interval: (f64, f64),
    /// `best`, rounded to halves where the interval holds that: a root or a logarithm can be explained.
    pub used: f64,
}

/// The power of values above 0.
///
/// # Errors
///
/// Where a value is not above 0, or they are all equal.
pub fn box_cox(values: &[f64]) -> Result<BoxCox, Error> {
    let logs = super::fit::logs("box_cox", values)?;
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    // By their geometric mean: the Jacobian is 1 then, and powers do not overflow.
    let scaled: Vec<f64> = logs.iter().map(|log| (log - mean).exp()).collect();
    let likelihood = |lambda: f64| {
        let powers: Vec<f64> = scaled.iter().map(|&value| power(value, lambda)).collect();
        let squares = Subgroup::of(&powers).map_or(f64::INFINITY, |all| all.squares);
        -0.5 * scaled.len() as f64 * (squares / scaled.len() as f64).ln()
    };
    let best = maximum(&likelihood);
    let least = likelihood(best) - HALF_CHI_SQUARED_95;
    let interval = (edge(best, FROM, |at| likelihood(at) >= least), edge(best, TO, |at| likelihood(at) >= least));
    // + 0.0, as −0 is not to be read.
    let rounded = (2.0 * best).round() / 2.0 + 0.0;
    let used = if (interval.0..=interval.1).contains(&rounded) { rounded } else { best };
    Ok(BoxCox { best, interval, used })
}

/// The best of a coarse grid, refined by golden section; each look goes through all values.
fn maximum(f: &impl Fn(f64) -> f64) -> f64 {
    let grid = (-5..=5).map(|at| (f(f64::from(at)), f64::from(at)));
    let (_, best) = grid.fold((f64::NEG_INFINITY, 0.0), |best, next| if next.0 > best.0 { next } else { best });
    let (mut low, mut high) = ((best - 1.0).max(FROM), (best + 1.0).min(TO));
    let ratio = 0.5 * (5.0_f64.sqrt() - 1.0);
    let at = |low: f64, high: f64| (high - ratio * (high - low), low + ratio * (high - low));
    let (mut left, mut right) = at(low, high);
    let (mut of_left, mut of_right) = (f(left), f(right));
    while high - low > 1e-8 {
        if of_left > of_right {
            (high, right, of_right) = (right, left, of_left);
            left = at(low, high).0;
            of_left = f(left);
        } else {
            (low, left, of_left) = (left, right, of_right);
            right = at(low, high).1;
            of_right = f(right);
        }
    }
    0.5 * (low + high)
}

/// How far from `inside` towards `end` a condition holds, to 1e-9.
fn edge(inside: f64, end: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(end) {
        return end;
    }
    let (mut within, mut beyond) = (inside, end);
    while (beyond - within).abs() > 1e-9 {
        let middle = 0.5 * (within + beyond);
        if holds(middle) { within = middle } else { beyond = middle }
    }
    within
}
