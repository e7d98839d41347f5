//! Johnson's transformations to the standard normal (1949), fitted by percentiles.
//!
//! Slifker & Shapiro, "The Johnson System", Technometrics 22 (1980): four percentiles at −3z, −z, z and 3z decide the
//! kind and give its parameters. The z is chosen as Chou, Polansky & Mason do (1998): that of 0.25 to 1.25 whose
//! transformed values look most normal by Anderson-Darling.

use crate::spc::distribution::normal_cdf;
use crate::spc::normality::{AndersonDarling, anderson_darling};
use crate::spc::{Error, Subgroup};

/// Which transformation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JohnsonKind {
    /// γ + η ln((x − ε) / (λ + ε − x)): bounded on both sides.
    Sb,
    /// γ + η ln(x − ε): bounded below.
    Sl,
    /// γ + η asinh((x − ε) / λ): unbounded.
    Su,
}

impl JohnsonKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sb => "SB",
            Self::Sl => "SL",
            Self::Su => "SU",
        }
    }
}

/// A transformation to the standard normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Johnson {
    /// Which one.
    pub kind: JohnsonKind,
    /// γ.
    pub gamma: f64,
    /// η, above 0.
    pub eta: f64,
    /// ε: the lower end of SB and SL.
    pub epsilon: f64,
    /// λ: the width of SB; 1 for SL.
    pub lambda: f64,
}

/// Fewest values: with fewer a percentile is a value or two.
const LEAST: usize = 10;

/// Of how many values at most the normality is compared, from each z to the next.
const MOST: usize = 10_000;

impl Johnson {
    /// The standard score of a value; infinite beyond the ends.
    #[must_use]
    pub fn score(&self, x: f64) -> f64 {
        let y = (x - self.epsilon) / self.lambda;
        let inner = match self.kind {
            JohnsonKind::Su => y.asinh(),
            JohnsonKind::Sl if y > 0.0 => y.ln(),
            JohnsonKind::Sb if y >= 1.0 => f64::INFINITY,
            JohnsonKind::Sb if y > 0.0 => (y / (1.0 - y)).ln(),
            JohnsonKind::Sb | JohnsonKind::Sl => f64::NEG_INFINITY,
        };
        self.gamma + self.eta * inner
    }

    /// The value of a standard score.
    #[must_use]
    pub fn value(&self, z: f64) -> f64 {
        let inner = (z - self.gamma) / self.eta;
        self.epsilon
            + self.lambda
                * match self.kind {
                    JohnsonKind::Su => inner.sinh(),
                    JohnsonKind::Sl => inner.exp(),
                    JohnsonKind::Sb => 1.0 / (1.0 + (-inner).exp()),
                }
    }

    /// How fast the score rises there.
    pub(super) fn slope(&self, x: f64) -> f64 {
        let y = (x - self.epsilon) / self.lambda;
        let inner = match self.kind {
            JohnsonKind::Su => 1.0 / y.hypot(1.0),
            JohnsonKind::Sl => 1.0 / y,
            JohnsonKind::Sb => 1.0 / (y * (1.0 - y)),
        };
        self.eta / self.lambda * inner
    }

    /// From the values at the scores −3z, −z, z and 3z.
    fn from_percentiles(z: f64, [a, b, c, d]: [f64; 4]) -> Option<Self> {
        let (m, n, p) = (d - c, b - a, c - b);
        if !(m > 0.0 && n > 0.0 && p > 0.0) {
            return None;
        }
        let middle = 0.5 * (b + c);
        let ratio = m / p * (n / p);
        // Where the ratio is 1 within rounding, it is SL.
        let fitted = if ratio > 1.0 + 1e-9 {
            unbounded(z, m / p, n / p, p, middle)
        } else if ratio < 1.0 - 1e-9 {
            bounded(z, p / m, p / n, p, middle)
        } else {
            lognormal(z, m / p, p, middle)
        };
        let known = [fitted.gamma, fitted.eta, fitted.epsilon, fitted.lambda].iter().all(|number| number.is_finite());
        (known && fitted.eta > 0.0 && fitted.lambda > 0.0).then_some(fitted)
    }
}

fn unbounded(z: f64, m: f64, n: f64, p: f64, middle: f64) -> Johnson {
    let (sum, root) = (m + n, (m * n - 1.0).sqrt());
    let eta = 2.0 * z / (0.5 * sum).acosh();
    Johnson {
        kind: JohnsonKind::Su,
        gamma: eta * ((n - m) / (2.0 * root)).asinh(),
        eta,
        epsilon: middle + p * (n - m) / (2.0 * (sum - 2.0)),
        lambda: 2.0 * p * root / ((sum - 2.0) * (sum + 2.0).sqrt()),
    }
}

/// `m` and `n` are p/m and p/n here.
fn bounded(z: f64, m: f64, n: f64, p: f64, middle: f64) -> Johnson {
    let (product, excess) = ((1.0 + m) * (1.0 + n), m * n - 1.0);
    let eta = z / (0.5 * product.sqrt()).acosh();
    let lambda = p * ((product - 2.0).powi(2) - 4.0).sqrt() / excess;
    Johnson {
        kind: JohnsonKind::Sb,
        gamma: eta * ((n - m) * (product - 4.0).sqrt() / (2.0 * excess)).asinh(),
        eta,
        epsilon: middle - 0.5 * lambda + p * (n - m) / (2.0 * excess),
        lambda,
    }
}

fn lognormal(z: f64, m: f64, p: f64, middle: f64) -> Johnson {
    let eta = 2.0 * z / m.ln();
    Johnson {
        kind: JohnsonKind::Sl,
        gamma: eta * ((m - 1.0) / (p * m.sqrt())).ln(),
        eta,
        epsilon: middle - 0.5 * p * (m + 1.0) / (m - 1.0),
        lambda: 1.0,
    }
}

/// The value below which a share `p` of the sorted ones lies: the (n p + ½)-th, between neighbours in proportion.
fn percentile(sorted: &[f64], p: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = (sorted.len() as f64 * p - 0.5).clamp(0.0, last as f64);
    let (low, share) = (place.floor() as usize, place.fract());
    let at = |place: usize| sorted.get(place.min(last)).copied().unwrap_or_default();
    at(low) + share * (at(low + 1) - at(low))
}

/// The best transformation of sorted values, and how normal they, or some of them, are by it.
pub(super) fn fit(sorted: &[f64]) -> Result<(Johnson, AndersonDarling), Error> {
    if sorted.len() < LEAST {
        return Err(Error::TooFew { what: "johnson", need: LEAST });
    }
    // Which z is best shows on some of very many values just as well.
    let some: Vec<f64> = sorted.iter().step_by(sorted.len().div_ceil(MOST)).copied().collect();
    let tried = (25..=125).filter_map(|hundredths| {
        let z = f64::from(hundredths) / 100.0;
        let percentiles = [-3.0, -1.0, 1.0, 3.0].map(|by| percentile(sorted, normal_cdf(by * z)));
        let johnson = Johnson::from_percentiles(z, percentiles)?;
        Some((johnson, normality(&johnson, &some)?))
    });
    let better = |best: (Johnson, AndersonDarling), next: (Johnson, AndersonDarling)| {
        if next.1.a2_star < best.1.a2_star { next } else { best }
    };
    tried.reduce(better).ok_or(Error::NoTransformation)
}

/// None where a value lies beyond the ends.
fn normality(johnson: &Johnson, sorted: &[f64]) -> Option<AndersonDarling> {
    let scores: Vec<f64> = sorted.iter().map(|&value| johnson.score(value)).collect();
    let all = Subgroup::of(&scores).ok()?;
    anderson_darling(&scores, all.value, all.s()?)
}

#[cfg(test)]
mod tests;
