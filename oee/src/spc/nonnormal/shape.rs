//! Fitted distributions: tails, density and quantiles, all in the unit of the values.

use std::fmt;
use std::str::FromStr;

use statrs::function::gamma::ln_gamma;

use super::{Family, Johnson, JohnsonKind};
use crate::spc::distribution::{
    Tails, gamma_lower, gamma_upper, ln_normal_cdf, normal_cdf, normal_pdf, normal_quantile,
};

/// A distribution with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        sigma: f64,
    },
    /// ln x is normal.
    Lognormal {
        /// Mean of ln x.
        mu: f64,
        /// Standard deviation of ln x.
        sigma: f64,
    },
    /// P(X > x) = exp(−(x/scale)^shape).
    Weibull {
        /// Shape.
        shape: f64,
        /// Scale.
        scale: f64,
    },
    /// Gamma; its mean is shape · scale.
    Gamma {
        /// Shape.
        shape: f64,
        /// Scale.
        scale: f64,
    },
    /// Exponential.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// (x^lambda − 1) / lambda is normal; ln x for a lambda of 0. What of it would be below 0 is a value of 0.
    BoxCox {
        /// Power.
        lambda: f64,
        /// Mean of the transformed values.
        mean: f64,
        /// Standard deviation of the transformed values.
        sigma: f64,
    },
    /// Johnson.
    Johnson(Johnson),
}

impl Shape {
    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Normal { .. } => Family::Normal,
            Self::Lognormal { .. } => Family::Lognormal,
            Self::Weibull { .. } => Family::Weibull,
            Self::Gamma { .. } => Family::Gamma,
            Self::Exponential { .. } => Family::Exponential,
            Self::BoxCox { .. } => Family::BoxCox,
            Self::Johnson(_) => Family::Johnson,
        }
    }

    /// Names and values of its parameters.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Self::Normal { mean, sigma } => vec![("mean", mean), ("sigma", sigma)],
            Self::Lognormal { mu, sigma } => vec![("mu", mu), ("sigma", sigma)],
            Self::Weibull { shape, scale } | Self::Gamma { shape, scale } => vec![("shape", shape), ("scale", scale)],
            Self::Exponential { mean } => vec![("mean", mean)],
            Self::BoxCox { lambda, mean, sigma } => vec![("lambda", lambda), ("mean", mean), ("sigma", sigma)],
            Self::Johnson(one) => {
                vec![("gamma", one.gamma), ("eta", one.eta), ("epsilon", one.epsilon), ("lambda", one.lambda)]
            }
        }
    }

    /// The distribution that a name and parameters in the order of [`Self::parameters`] stand for.
    fn of(name: &str, parameters: &[f64]) -> Option<Self> {
        let johnson = |kind| match *parameters {
            [gamma, eta, epsilon, lambda] => Some(Self::Johnson(Johnson { kind, gamma, eta, epsilon, lambda })),
            _ => None,
        };
        match (name, parameters) {
            ("johnson_sb", _) => johnson(JohnsonKind::Sb),
            ("johnson_sl", _) => johnson(JohnsonKind::Sl),
            ("johnson_su", _) => johnson(JohnsonKind::Su),
            ("normal", &[mean, sigma]) => Some(Self::Normal { mean, sigma }),
            ("lognormal", &[mu, sigma]) => Some(Self::Lognormal { mu, sigma }),
            ("weibull", &[shape, scale]) => Some(Self::Weibull { shape, scale }),
            ("gamma", &[shape, scale]) => Some(Self::Gamma { shape, scale }),
            ("exponential", &[mean]) => Some(Self::Exponential { mean }),
            ("box_cox", &[lambda, mean, sigma]) => Some(Self::BoxCox { lambda, mean, sigma }),
            _ => None,
        }
    }

    /// Values are transformed to normal ones.
    pub(super) fn transforms(&self) -> bool {
        matches!(self, Self::BoxCox { .. } | Self::Johnson(_))
    }

    /// Some of it lies on either side of the limit.
    pub(super) fn reaches(&self, limit: f64) -> bool {
        let score = self.score(limit);
        match self {
            Self::Normal { .. } => true,
            Self::Weibull { .. } | Self::Gamma { .. } | Self::Exponential { .. } => limit > 0.0,
            _ => score.is_finite(),
        }
    }

    /// The value as a normal one: standard for most, that of mean and sigma for Box-Cox. Infinite beyond its support.
    pub(super) fn score(&self, x: f64) -> f64 {
        match *self {
            Self::Normal { mean, sigma } => (x - mean) / sigma,
            Self::Lognormal { mu, sigma } if x > 0.0 => (x.ln() - mu) / sigma,
            Self::Lognormal { .. } => f64::NEG_INFINITY,
            Self::BoxCox { lambda, .. } => power(x, lambda),
            Self::Johnson(johnson) => johnson.score(x),
            _ => normal_quantile(self.lower(x)),
        }
    }

    /// Standard score of those that are normal once transformed.
    fn standard(&self, x: f64) -> Option<f64> {
        match *self {
            Self::Weibull { .. } | Self::Gamma { .. } | Self::Exponential { .. } => None,
            Self::BoxCox { mean, sigma, .. } => Some((self.score(x) - mean) / sigma),
            _ => Some(self.score(x)),
        }
    }

    /// P(X ≤ x).
    #[must_use]
    pub fn lower(&self, x: f64) -> f64 {
        match *self {
            Self::Weibull { shape, scale } => -(-hazard(x, shape, scale)).exp_m1(),
            Self::Exponential { mean } => -(-hazard(x, 1.0, mean)).exp_m1(),
            Self::Gamma { shape, scale } => gamma_lower(shape, x / scale),
            _ => self.standard(x).map_or(0.0, normal_cdf),
        }
    }

    /// P(X > x).
    #[must_use]
    pub fn upper(&self, x: f64) -> f64 {
        match *self {
            Self::Weibull { shape, scale } => (-hazard(x, shape, scale)).exp(),
            Self::Exponential { mean } => (-hazard(x, 1.0, mean)).exp(),
            Self::Gamma { shape, scale } => gamma_upper(shape, x / scale),
            _ => self.standard(x).map_or(0.0, |z| normal_cdf(-z)),
        }
    }

    /// Both logarithms, for A²: of P(X ≤ x) and P(X > x).
    pub(super) fn ln_tails(&self, x: f64) -> (f64, f64) {
        match (self.standard(x), *self) {
            (Some(z), _) => (ln_normal_cdf(z), ln_normal_cdf(-z)),
            (None, Self::Weibull { shape, scale }) => (self.lower(x).ln(), -hazard(x, shape, scale)),
            (None, Self::Exponential { mean }) => (self.lower(x).ln(), -hazard(x, 1.0, mean)),
            (None, _) => (self.lower(x).ln(), self.upper(x).ln()),
        }
    }

    /// Density, per unit of the values.
    #[must_use]
    pub fn density(&self, x: f64) -> f64 {
        let normal = |z: f64, slope: f64| if z.is_finite() { normal_pdf(z) * slope } else { 0.0 };
        let positive = |density: f64| if x > 0.0 { density } else { 0.0 };
        match *self {
            Self::Normal { sigma, .. } => normal(self.score(x), 1.0 / sigma),
            Self::Lognormal { sigma, .. } => positive(normal(self.score(x), 1.0 / (sigma * x))),
            Self::BoxCox { lambda, mean, sigma } => {
                positive(normal((self.score(x) - mean) / sigma, x.powf(lambda - 1.0) / sigma))
            }
            Self::Johnson(johnson) => normal(johnson.score(x), johnson.slope(x)),
            Self::Weibull { shape, scale } => {
                positive(shape / scale * (x / scale).powf(shape - 1.0) * (-hazard(x, shape, scale)).exp())
            }
            Self::Exponential { mean } => positive((-x / mean).exp() / mean),
            Self::Gamma { shape, scale } => {
                let ln = (shape - 1.0) * (x / scale).ln() - x / scale - ln_gamma(shape);
                positive(ln.exp() / scale)
            }
        }
    }

    /// Where the lower tail is `p`, for 0 < p < 1: what a probability plot has on its axis.
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        let z = normal_quantile(p);
        match *self {
            Self::Normal { mean, sigma } => mean + sigma * z,
            Self::Lognormal { mu, sigma } => (mu + sigma * z).exp(),
            Self::BoxCox { lambda, mean, sigma } => root(mean + sigma * z, lambda),
            Self::Johnson(johnson) => johnson.value(z),
            Self::Weibull { shape, scale } => scale * (-(-p).ln_1p()).powf(1.0 / shape),
            Self::Exponential { mean } => -mean * (-p).ln_1p(),
            Self::Gamma { shape, scale } => scale * UnitGamma { shape }.quantile(p),
        }
    }
}

/// As `weibull(shape=2.5, scale=10)`, with all digits.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family().name())?;
        if let Self::Johnson(johnson) = self {
            write!(f, "_{}", johnson.kind.name().to_ascii_lowercase())?;
        }
        for (place, (name, value)) in self.parameters().into_iter().enumerate() {
            write!(f, "{}{name}={value}", if place == 0 { "(" } else { ", " })?;
        }
        f.write_str(")")
    }
}

/// A text that is no distribution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no distribution with its parameters")]
pub struct NoShape(String);

impl FromStr for Shape {
    type Err = NoShape;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, NoShape> {
        let read = || {
            let (family, rest) = text.split_once('(')?;
            let parts = rest.strip_suffix(')')?.split(", ");
            let named = |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), value.parse().ok()));
            let said: Vec<(String, Option<f64>)> = parts.map(named).collect::<Option<_>>()?;
            let values: Vec<f64> = said.iter().map(|(_, value)| *value).collect::<Option<_>>()?;
            let shape = Self::of(family, &values)?;
            // Parameters are named, so that they cannot be mistaken for one another.
            let fits = |((said, value), (name, _)): (&(String, Option<f64>), (&str, f64))| {
                let positive = matches!(name, "sigma" | "scale" | "shape" | "eta")
                    || matches!((family, name), ("exponential", "mean"))
                    || family.starts_with("johnson") && name == "lambda";
                said == name && value.is_some_and(|value| value.is_finite() && (!positive || value > 0.0))
            };
            said.iter().zip(shape.parameters()).all(fits).then_some(shape)
        };
        read().ok_or_else(|| NoShape(text.to_owned()))
    }
}

/// (x/scale)^shape, 0 below 0.
fn hazard(x: f64, shape: f64, scale: f64) -> f64 {
    (x / scale).max(0.0).powf(shape)
}

/// Box & Cox (1964); it rises with x whatever lambda is.
pub(super) fn power(x: f64, lambda: f64) -> f64 {
    if x <= 0.0 {
        return if lambda > 0.0 && x == 0.0 { -1.0 / lambda } else { f64::NEG_INFINITY };
    }
    if lambda == 0.0 { x.ln() } else { (lambda * x.ln()).exp_m1() / lambda }
}

/// The value that was transformed; the end of the support where there is none.
fn root(y: f64, lambda: f64) -> f64 {
    if lambda == 0.0 {
        return y.exp();
    }
    let base = lambda * y;
    // Below 0 for a power above 0, without end for one below.
    if base <= -1.0 { if lambda > 0.0 { 0.0 } else { f64::MAX } } else { (base.ln_1p() / lambda).exp() }
}

struct UnitGamma {
    shape: f64,
}

impl Tails for UnitGamma {
    fn lower(&self, x: f64) -> f64 {
        gamma_lower(self.shape, x)
    }

    fn upper(&self, x: f64) -> f64 {
        gamma_upper(self.shape, x)
    }

    fn support(&self) -> (f64, f64) {
        (0.0, f64::INFINITY)
    }
}
