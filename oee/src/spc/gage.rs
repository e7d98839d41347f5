//! Gage R&R, crossed: how much of the variation that is seen comes from measuring.
//!
//! Every appraiser measures every part equally often. [`Study::average_range`] is AIAG's average and range method,
//! [`Study::anova`] the analysis of variance, with and without interaction of appraiser and part; AIAG *Measurement
//! Systems Analysis*, 4th edition, chapter III-B and appendix A.

mod anova;
mod average_range;

pub use anova::{Anova, AnovaRow, Model, POOLING_P};
pub use average_range::{AverageRange, Constants};

use super::Error;

/// A balanced crossed study.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    appraisers: usize,
    parts: usize,
    trials: usize,
    /// By appraiser, then part, then trial.
    values: Vec<f64>,
}

/// Fewest appraisers, parts and trials each.
const LEAST: usize = 2;

impl Study {
    /// From `data[appraiser][part][trial]`, in the unit of the characteristic.
    ///
    /// # Errors
    ///
    /// Where a cell has more or fewer trials than another, there are fewer than 2 of something, or a value is not
    /// finite.
    pub fn new(data: &[Vec<Vec<f64>>]) -> Result<Self, Error> {
        let parts = data.first().map_or(0, Vec::len);
        let trials = data.first().and_then(|appraiser| appraiser.first()).map_or(0, Vec::len);
        for (appraiser, of_appraiser) in data.iter().enumerate() {
            if of_appraiser.len() != parts {
                return Err(Error::UnequalParts { appraiser: appraiser + 1, parts: of_appraiser.len(), first: parts });
            }
            if let Some(part) = of_appraiser.iter().position(|cell| cell.len() != trials) {
                let found = of_appraiser.get(part).map_or(0, Vec::len);
                return Err(Error::Unbalanced {
                    appraiser: appraiser + 1,
                    part: part + 1,
                    trials: found,
                    first: trials,
                });
            }
        }
        for (what, count) in [("appraisers", data.len()), ("parts", parts), ("trials", trials)] {
            if count < LEAST {
                return Err(Error::SmallStudy { what, count });
            }
        }
        let values: Vec<f64> = data.iter().flatten().flatten().copied().collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(Error::NotFinite { value }),
            None => Ok(Self { appraisers: data.len(), parts, trials, values }),
        }
    }

    /// From rows (appraiser, part, value) in the order of the trials; appraisers and parts are numbered from 0.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn of_rows(rows: impl IntoIterator<Item = (usize, usize, f64)>) -> Result<Self, Error> {
        let rows: Vec<_> = rows.into_iter().collect();
        let parts = rows.iter().map(|row| row.1.saturating_add(1)).max().unwrap_or(0);
        let appraisers = rows.iter().map(|row| row.0.saturating_add(1)).max().unwrap_or(0);
        // Numbers that skip would make a table of mostly nothing.
        if appraisers.saturating_mul(parts) > rows.len() {
            return Err(Error::MissingCells { cells: appraisers.saturating_mul(parts), rows: rows.len() });
        }
        let mut data = vec![vec![Vec::new(); parts]; appraisers];
        for (appraiser, part, value) in rows {
            data[appraiser][part].push(value);
        }
        Self::new(&data)
    }

    /// How many appraisers, parts, and trials of each.
    #[must_use]
    pub fn layout(&self) -> (usize, usize, usize) {
        (self.appraisers, self.parts, self.trials)
    }

    /// Trials of one part by one appraiser, cell by cell: by appraiser, then part.
    fn cells(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks(self.trials)
    }

    /// Means of cells, by appraiser, then part.
    fn cell_means(&self) -> Vec<f64> {
        self.cells().map(mean).collect()
    }

    /// Mean of each appraiser.
    #[must_use]
    pub fn appraiser_means(&self) -> Vec<f64> {
        self.values.chunks(self.parts * self.trials).map(mean).collect()
    }

    /// Mean of each part.
    #[must_use]
    pub fn part_means(&self) -> Vec<f64> {
        let cells = self.cell_means();
        let of_part = |part| mean(&cells.iter().skip(part).step_by(self.parts).copied().collect::<Vec<_>>());
        (0..self.parts).map(of_part).collect()
    }
}

/// From the first value on, so that digits are kept.
fn mean(values: &[f64]) -> f64 {
    let first = values.first().copied().unwrap_or_default();
    first + values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64
}

/// Largest minus smallest.
fn range(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    high - low
}

/// Standard deviations that the total variation is made of, in the unit of the characteristic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Components {
    /// Repeatability: equipment variation.
    pub ev: f64,
    /// Reproducibility: appraiser variation, with that of the interaction.
    pub av: f64,
    /// Gage R&R: √(EV² + AV²).
    pub grr: f64,
    /// Part variation.
    pub pv: f64,
    /// Total variation: √(GRR² + PV²).
    pub tv: f64,
}

/// Shares of a total, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Of repeatability.
    pub ev: f64,
    /// Of reproducibility.
    pub av: f64,
    /// Of gage R&R.
    pub grr: f64,
    /// Of parts.
    pub pv: f64,
}

/// ndc = 1.41 PV / GRR: how many kinds of parts can be told apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Categories {
    /// As calculated.
    pub raw: f64,
    /// Cut to a whole number, at least 1.
    pub ndc: u64,
}

/// 6 sigma in percent of a tolerance (USL − LSL), which is above 0.
#[must_use]
pub fn percent_of_tolerance(sigma: f64, tolerance: f64) -> f64 {
    100.0 * 6.0 * sigma / tolerance
}

impl Components {
    fn new(ev: f64, av: f64, pv: f64) -> Self {
        let grr = ev.hypot(av);
        Self { ev, av, grr, pv, tv: grr.hypot(pv) }
    }

    fn shares(&self, share: impl Fn(f64) -> f64) -> Option<Shares> {
        let shares = Shares { ev: share(self.ev), av: share(self.av), grr: share(self.grr), pv: share(self.pv) };
        (self.tv > 0.0).then_some(shares)
    }

    /// Percent of study variation, on standard deviations: they do not add up. None where nothing varies.
    #[must_use]
    pub fn percent(&self) -> Option<Shares> {
        self.shares(|one| 100.0 * one / self.tv)
    }

    /// Percent contribution, on variances: GRR and PV add up to 100. None where nothing varies.
    #[must_use]
    pub fn contribution(&self) -> Option<Shares> {
        self.shares(|one| 100.0 * (one / self.tv).powi(2))
    }

    /// Distinct categories; none where measuring does not vary at all.
    #[must_use]
    pub fn categories(&self) -> Option<Categories> {
        let raw = 1.41 * self.pv / self.grr;
        (self.grr > 0.0).then(|| Categories { raw, ndc: (raw.floor() as u64).max(1) })
    }

    /// 6 GRR in percent of the tolerance (USL − LSL).
    ///
    /// # Errors
    ///
    /// Where the tolerance is not positive.
    pub fn percent_of_tolerance(&self, tolerance: f64) -> Result<f64, Error> {
        if !(tolerance > 0.0 && tolerance.is_finite()) {
            return Err(Error::Parameter { name: "tolerance", value: tolerance, must: "be above 0" });
        }
        Ok(percent_of_tolerance(self.grr, tolerance))
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
