//! Process capability: how the spread of a process fits into its specification.
//!
//! Cp and Cpk measure with sigma within subgroups, Pp and Ppk with that of all values. Definitions are those of
//! Montgomery, chapter 8, and ISO 22514-2 for a normal distribution; for others see [`super::nonnormal`].
//!
//! - A one-sided specification has the index of its side, and Cpk = that one. Cp, Pp and Cpm need both limits, Cpm a
//!   target too.
//! - Sigma of all values is their standard deviation (n − 1), without a correction for bias.
//! - What lies exactly on a limit is within the specification.

mod index;
mod spec;

pub use index::{Indices, Interval, Ppm};
pub use spec::Spec;

use super::normality::{AndersonDarling, anderson_darling};
use super::{Error, Sigma, SigmaMethod, Subgroup};
use index::taguchi;

/// Capability of values, as if they were normal.
#[derive(Debug, Clone, PartialEq)]
pub struct Capability {
    /// How many values.
    pub n: usize,
    /// How many of them are in a subgroup: sigma within subgroups is of these.
    pub n_within: usize,
    /// Their mean.
    pub mean: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// What they are measured against.
    pub spec: Spec,
    /// Cp, Cpl, Cpu, Cpk; the error says why there is no sigma within subgroups.
    pub within: Result<(Sigma, Indices), Error>,
    /// Pp, Ppl, Ppu, Ppk; the error says why there is no sigma.
    pub overall: Result<(f64, Indices), Error>,
    /// Cpm = (USL − LSL) / (6 √(σ² + (mean − T)²)), with its 95 % interval; none without both limits and a target.
    pub cpm: Option<(f64, Interval)>,
    /// Values outside of the specification, per million.
    pub observed_ppm: Ppm,
    /// Whether the values look normal; none with fewer than 3, or where none differ.
    pub normality: Option<AndersonDarling>,
    /// Why an index is missing.
    pub reason: Option<&'static str>,
}

impl Capability {
    /// Of values in the order of production, in subgroups of `sizes`; single values are subgroups of 1. Values behind those of
    /// all subgroups are in none: they count in everything but sigma within subgroups.
    ///
    /// # Errors
    ///
    /// Where there is no value, one is not finite, or the subgroups have more values than there are.
    pub fn of(values: &[f64], sizes: &[usize], spec: Spec, method: SigmaMethod) -> Result<Self, Error> {
        let subgroups = subgroups(values, sizes)?;
        let (mean, sigma) = mean_and_sigma(values)?;
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = values.len();
        let overall = sigma.ok_or(Error::TooFew { what: "sigma of all values", need: 2 });
        let cpm = sigma.and_then(|sigma| taguchi(n, mean, sigma, &spec));
        Ok(Self {
            n,
            n_within: sizes.iter().sum(),
            mean,
            min: sorted.first().copied().unwrap_or(mean),
            max: sorted.last().copied().unwrap_or(mean),
            spec,
            within: within(method, &subgroups).map(|sigma| (sigma, Indices::of(n, mean, sigma.value, sigma.df, &spec))),
            overall: overall.map(|sigma| (sigma, Indices::of(n, mean, sigma, n as f64 - 1.0, &spec))),
            cpm,
            observed_ppm: Ppm::observed(&sorted, &spec),
            normality: sigma.and_then(|sigma| anderson_darling(&sorted, mean, sigma)),
            reason: reason(&spec, sigma),
        })
    }
}

fn reason(spec: &Spec, sigma: Option<f64>) -> Option<&'static str> {
    match (spec.lower, spec.upper, spec.target, sigma) {
        (None, None, ..) => Some("there are no specification limits"),
        (.., None) => Some("one value has no spread"),
        (.., Some(sigma)) if sigma <= 0.0 => Some("all values are equal: sigma is zero"),
        (None, ..) | (_, None, ..) => Some("Cp, Pp and Cpm need both specification limits"),
        (_, _, None, _) => Some("Cpm needs a target"),
        _ => None,
    }
}

/// Moving ranges of values that come in subgroups would mix what differs within them and between.
fn within(method: SigmaMethod, subgroups: &[Subgroup]) -> Result<Sigma, Error> {
    let several = subgroups.iter().any(|subgroup| subgroup.n > 1.0);
    if method == SigmaMethod::MovingRange && several {
        return Err(Error::NotSingleValues);
    }
    method.estimate(subgroups)
}

fn subgroups(values: &[f64], sizes: &[usize]) -> Result<Vec<Subgroup>, Error> {
    let total: usize = sizes.iter().sum();
    let wrong = Error::Sizes { values: values.len(), sizes: total };
    let mut rest = values;
    let subgroups = sizes.iter().map(|&size| {
        let (values, after) = rest.split_at_checked(size).ok_or_else(|| wrong.clone())?;
        rest = after;
        Subgroup::of(values)
    });
    subgroups.collect()
}

/// The mean, and the standard deviation (n − 1) where there are two values or more.
pub(super) fn mean_and_sigma(values: &[f64]) -> Result<(f64, Option<f64>), Error> {
    let all = Subgroup::of(values)?;
    if values.is_empty() {
        return Err(Error::TooFew { what: "capability", need: 1 });
    }
    Ok((all.value, all.s()))
}

impl SigmaMethod {
    /// The method where none is asked for: moving ranges of single values, else pooled, which takes subgroups of all
    /// sizes.
    #[must_use]
    pub fn usual(sizes: &[usize]) -> Self {
        if sizes.iter().any(|&size| size > 1) { Self::Pooled } else { Self::MovingRange }
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
