//! AIAG's average and range method.

use super::{Components, Study, mean, range};
use crate::spc::constant::{Factors, d2, d2_star};

/// K1, K2 and K3 as they are, or as the manual prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constants {
    /// 1/d2 and 1/d2*.
    Exact,
    /// Rounded to 4 decimals.
    Manual,
}

impl Constants {
    fn of(self, exact: f64) -> f64 {
        match self {
            Self::Exact => exact,
            Self::Manual => (exact * 1e4).round() / 1e4,
        }
    }
}

/// What the form of the manual has.
#[derive(Debug, Clone, PartialEq)]
pub struct AverageRange {
    /// 1/d2 of the trials.
    pub k1: f64,
    /// 1/d2* of the appraisers.
    pub k2: f64,
    /// 1/d2* of the parts.
    pub k3: f64,
    /// Mean range of the cells (R̿).
    pub mean_range: f64,
    /// Upper limit of ranges: D4 R̿. A range above it should be looked into.
    pub range_ucl: f64,
    /// Range of the appraisers' means.
    pub appraiser_range: f64,
    /// Range of the parts' means.
    pub part_range: f64,
    /// Standard deviations.
    pub components: Components,
}

impl Study {
    /// EV = R̿ K1; AV = √((X̄diff K2)² − EV²/(parts · trials)), 0 where that is negative; PV = Rp K3.
    #[must_use]
    pub fn average_range(&self, constants: Constants) -> AverageRange {
        let (appraisers, parts, trials) = self.layout();
        let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let k1 = constants.of(1.0 / d2(count(trials)));
        let k2 = constants.of(1.0 / d2_star(count(appraisers), 1));
        let k3 = constants.of(1.0 / d2_star(count(parts), 1));
        let mean_range = mean(&self.cells().map(range).collect::<Vec<_>>());
        let (appraiser_range, part_range) = (range(&self.appraiser_means()), range(&self.part_means()));
        let ev = mean_range * k1;
        let variance = (appraiser_range * k2).powi(2) - ev * ev / (parts * trials) as f64;
        let range_ucl = Factors::of(count(trials)).map_or(0.0, |factors| factors.d4) * mean_range;
        let components = Components::new(ev, variance.max(0.0).sqrt(), part_range * k3);
        AverageRange { k1, k2, k3, mean_range, range_ucl, appraiser_range, part_range, components }
    }
}
