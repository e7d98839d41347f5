//! Capability of values that are not normal.
//!
//! Two ways, and the result names the one that was taken:
//!
//! - **Percentiles** of a fitted distribution, ISO 22514-4: Pp = (USL − LSL) / (X₉₉.₈₆₅ − X₀.₁₃₅), and towards each
//!   side from the median. For normal values these are Pp and Ppk.
//! - **Transformation** to normal values (Box-Cox, Johnson): limits and target are transformed like the values, and
//!   indices are those of normal values, Cp and Cpk included.
//!
//! A limit that the distribution cannot reach (below 0 of a Weibull, say) bounds nothing: its side has no index,
//! expects 0 parts per million, and the reason says so.

mod box_cox;
mod fit;
mod johnson;
mod shape;

pub use box_cox::{BoxCox, box_cox};
pub use fit::{Fit, Goodness, fit};
pub use johnson::{Johnson, JohnsonKind};
pub use shape::{NoShape, Shape};

use super::capability::{Capability, Indices, Ppm, Spec};
use super::{Error, SigmaMethod};

/// A family of distributions, or of transformations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Normal.
    Normal,
    /// The logarithm is normal.
    Lognormal,
    /// Weibull of two parameters.
    Weibull,
    /// Gamma of two parameters.
    Gamma,
    /// Exponential.
    Exponential,
    /// A power of the values is normal.
    BoxCox,
    /// One of Johnson's transformations of the values is normal.
    Johnson,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 7] =
        [Self::Normal, Self::Lognormal, Self::Weibull, Self::Gamma, Self::Exponential, Self::BoxCox, Self::Johnson];

    /// Its name in SQL and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Lognormal => "lognormal",
            Self::Weibull => "weibull",
            Self::Gamma => "gamma",
            Self::Exponential => "exponential",
            Self::BoxCox => "box_cox",
            Self::Johnson => "johnson",
        }
    }

    /// The family of a name.
    ///
    /// # Errors
    ///
    /// Where there is none: with the known names and the one that was probably meant.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|family| family.name() == name);
        found.ok_or_else(|| Error::unknown("distribution", name, Self::ALL.map(Self::name)))
    }
}

/// What lies below X₀.₁₃₅ and above X₉₉.₈₆₅.
const TAIL: f64 = 0.001_35;

/// Capability by a fitted distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Nonnormal {
    /// The distribution, and how well it fits.
    pub fit: Fit,
    /// How the indices were calculated, in words.
    pub method: String,
    /// X₀.₁₃₅, the median and X₉₉.₈₆₅ of the distribution.
    pub percentiles: [f64; 3],
    /// Pp, Ppl, Ppu and Ppk.
    pub overall: Indices,
    /// Capability of the transformed values, with Cp and Cpk, where the method transforms them.
    pub transformed: Option<Capability>,
    /// By the distribution.
    pub expected_ppm: Ppm,
    /// As counted.
    pub observed_ppm: Ppm,
    /// Why a side has no index.
    pub reason: Option<&'static str>,
}

impl Nonnormal {
    /// Of values in the order of production, in subgroups of `sizes`; single values are subgroups of 1. The method for
    /// sigma within subgroups is that of transformed values.
    ///
    /// # Errors
    ///
    /// Where the family cannot be fitted: too few values, values that are not above 0 where they must be, or that are
    /// all equal.
    pub fn of(values: &[f64], sizes: &[usize], spec: Spec, sigma: SigmaMethod, family: Family) -> Result<Self, Error> {
        let fit = fit(family, values)?;
        let shape = fit.shape;
        let percentiles = [TAIL, 0.5, 1.0 - TAIL].map(|p| shape.quantile(p));
        let within = |limit: Option<f64>| limit.filter(|&limit| shape.reaches(limit));
        let reached = Spec { lower: within(spec.lower), upper: within(spec.upper), ..spec };
        let beyond = reached != spec;
        let transformed = match shape.transforms() {
            true => Some(transformed(&shape, values, sizes, reached, sigma)?),
            false => None,
        };
        let overall = match &transformed {
            Some(capability) => capability.overall.clone()?.1,
            None => by_percentiles(&reached, percentiles),
        };
        let expected_ppm = Ppm::expected(&spec, |limit| shape.lower(limit), |limit| shape.upper(limit));
        let observed_ppm = Ppm::observed(values, &spec);
        let reason = beyond.then_some("a specification limit lies where the distribution cannot reach");
        Ok(Self { method: method(&shape), fit, percentiles, overall, transformed, expected_ppm, observed_ppm, reason })
    }
}

/// ISO 22514-4; degrees of freedom and intervals are those of normal values and are not given.
fn by_percentiles(spec: &Spec, [low, median, high]: [f64; 3]) -> Indices {
    let potential = spec.both().map(|(lower, upper)| (upper - lower) / (high - low));
    let lower = spec.lower.map(|limit| (median - limit) / (median - low));
    let upper = spec.upper.map(|limit| (limit - median) / (high - median));
    Indices::from_sides(potential, lower, upper)
}

fn transformed(
    shape: &Shape,
    values: &[f64],
    sizes: &[usize],
    spec: Spec,
    method: SigmaMethod,
) -> Result<Capability, Error> {
    let values: Vec<f64> = values.iter().map(|&value| shape.score(value)).collect();
    let limit = |limit: Option<f64>| limit.map(|limit| shape.score(limit)).filter(|limit| limit.is_finite());
    let spec = Spec { lower: limit(spec.lower), upper: limit(spec.upper), target: limit(spec.target) };
    Capability::of(&values, sizes, spec, method)
}

fn method(shape: &Shape) -> String {
    match shape {
        Shape::BoxCox { lambda, .. } => format!("Box-Cox transformation, lambda {lambda}; indices of normal values"),
        Shape::Johnson(johnson) => {
            format!("Johnson transformation {} by percentiles; indices of normal values", johnson.kind.name())
        }
        Shape::Normal { .. } => "normal distribution; percentiles by ISO 22514-4".to_owned(),
        shape => format!("{} distribution by maximum likelihood; percentiles by ISO 22514-4", shape.family().name()),
    }
}

#[cfg(test)]
mod tests;
