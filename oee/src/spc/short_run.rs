//! Short runs: many parts on one chart, each in small numbers (Montgomery 10.1).
//!
//! `short_run_deviation` plots deviations from each part's nominal, for parts that vary alike; `short_run_z` divides
//! them by each part's sigma, for parts that do not. The nominal and sigma of a part are known, or are estimated here
//! from what was made of it; [`Part::apply`] then puts them on each subgroup.

use super::{ChartKind, Error, Limits, Parameters, Subgroup};

/// What a part should measure, and how much it varies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Nominal, in the unit of the characteristic; the mean where none is known.
    pub nominal: f64,
    /// Sigma of a single value.
    pub sigma: f64,
}

impl Part {
    /// From the subgroups of one part, in their order, that are not excluded: R̄/d2, or MR̄/d2 of single values.
    ///
    /// # Errors
    ///
    /// Where there are too few, or they do not vary: a Z cannot be calculated then.
    pub fn estimate(nominal: Option<f64>, subgroups: &[Subgroup]) -> Result<Self, Error> {
        let single = !subgroups.iter().any(|subgroup| subgroup.n >= 2.0);
        let kind = if single { ChartKind::IMr } else { ChartKind::XbarR };
        let parameters = Parameters { target: nominal, ..Parameters::default() };
        let Limits { centre, sigma, .. } = Limits::estimate(kind, parameters, subgroups)?;
        if sigma > 0.0 { Ok(Self { nominal: centre, sigma }) } else { Err(Error::AllEqual { what: "a part's sigma" }) }
    }

    /// The subgroup as one of this part.
    ///
    /// # Errors
    ///
    /// Where the nominal is not finite, or sigma not positive.
    pub fn apply(&self, subgroup: Subgroup) -> Result<Subgroup, Error> {
        subgroup.of_part(self.nominal, self.sigma)
    }
}

#[cfg(test)]
mod tests;
