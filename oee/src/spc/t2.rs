//! Hotelling's T²: several characteristics of a unit judged together, as one distance from where they should be.
//!
//! T² = n (x̄ − x̿)ᵀ S⁻¹ (x̄ − x̿), Montgomery 11.3 and ISO 7870. S is pooled within subgroups; of single units it is
//! the covariance of all. There is an upper limit only, and it differs between subgroups that the estimate was made
//! from (phase I) and others (phase II). Subgroups may be of several sizes: with N values in all and ν degrees of
//! freedom of S, x̄ − x̿ has the covariance Σ (1/n ∓ 1/N), − in phase I, so that the textbook's limits become
//! (1 ∓ n/N) · p ν / (ν − p + 1) · F(p, ν − p + 1), and are the same for equal sizes.

mod matrix;
mod model;

use super::distribution::{Beta, FisherF, Tails};
use super::{Error, Point, Reason};
use matrix::Cholesky;

/// Values of several characteristics, measured on the same units.
#[derive(Debug, Clone, PartialEq)]
pub struct Units {
    /// How many units.
    pub n: usize,
    /// Mean of each characteristic.
    pub means: Vec<f64>,
    /// Sums of products of deviations from the means, row by row.
    pub products: Vec<f64>,
    /// It is plotted, and limits are not estimated from it.
    pub excluded: bool,
}

/// Most characteristics in one chart.
const MOST: usize = 100;

impl Units {
    /// From values of `characteristics` per unit, unit by unit; no values are an empty subgroup.
    ///
    /// # Errors
    ///
    /// Where there are no or more than 100 characteristics, the last unit lacks some, or a value is not finite.
    pub fn of(values: &[f64], characteristics: usize) -> Result<Self, Error> {
        if !(1..=MOST).contains(&characteristics) {
            let value = characteristics as f64;
            return Err(Error::Parameter { name: "number of characteristics", value, must: "be 1 to 100" });
        }
        if !values.len().is_multiple_of(characteristics) {
            return Err(Error::Characteristics { values: values.len(), characteristics });
        }
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::NotFinite { value });
        }
        let units = || values.chunks_exact(characteristics);
        let n = values.len() / characteristics;
        let first = values.get(..characteristics).unwrap_or_default();
        let mean = |at: usize, from: f64| from + units().map(|unit| unit[at] - from).sum::<f64>() / n as f64;
        let means: Vec<f64> = first.iter().enumerate().map(|(at, &from)| mean(at, from)).collect();
        let mut products = vec![0.0; characteristics * characteristics];
        for unit in units() {
            add_products(&mut products, unit, &means, 1.0);
        }
        Ok(Self { n, means, products, excluded: false })
    }
}

/// Adds weight · (x − m)(x − m)ᵀ.
fn add_products(products: &mut [f64], x: &[f64], means: &[f64], weight: f64) {
    let deviations: Vec<f64> = x.iter().zip(means).map(|(x, mean)| x - mean).collect();
    for (row, a) in products.chunks_mut(deviations.len()).zip(&deviations) {
        row.iter_mut().zip(&deviations).for_each(|(sum, b)| *sum += weight * a * b);
    }
}

/// What the limits of a T² chart follow from: plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct T2Limits {
    /// Mean of each characteristic.
    pub means: Vec<f64>,
    /// Covariance of the characteristics of a unit, row by row.
    pub covariance: Vec<f64>,
    /// Degrees of freedom of the covariance.
    pub df: f64,
    /// How many units it was estimated from.
    pub units: f64,
    /// The units were single: their own covariance was taken.
    pub single: bool,
    /// Probability of a point above the limit where nothing has changed.
    pub alpha: f64,
}

/// That of 3 sigma limits.
pub const ALPHA: f64 = 0.0027;

impl T2Limits {
    /// Estimates from subgroups that are neither excluded nor empty.
    ///
    /// # Errors
    ///
    /// Where there are too few units for the number of characteristics, subgroups differ in it, or alpha is not between
    /// 0 and 1.
    pub fn estimate(alpha: f64, subgroups: &[Units]) -> Result<Self, Error> {
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(Error::Parameter { name: "alpha", value: alpha, must: "be between 0 and 1" });
        }
        let used = || subgroups.iter().filter(|one| !one.excluded && one.n > 0);
        let Some(first) = used().next() else { return Err(Error::TooFew { what: "t2", need: 3 }) };
        let characteristics = first.means.len();
        if let Some(other) = used().find(|one| one.means.len() != characteristics) {
            return Err(Error::Characteristics { values: other.means.len(), characteristics });
        }
        let units: f64 = used().map(|one| one.n as f64).sum();
        let mean =
            |at: usize, from: f64| from + used().map(|one| one.n as f64 * (one.means[at] - from)).sum::<f64>() / units;
        let means: Vec<f64> = first.means.iter().enumerate().map(|(at, &from)| mean(at, from)).collect();
        let single = used().all(|one| one.n == 1);
        let mut covariance = vec![0.0; characteristics * characteristics];
        for one in used() {
            if single {
                add_products(&mut covariance, &one.means, &means, 1.0);
            }
            covariance.iter_mut().zip(&one.products).for_each(|(sum, product)| *sum += product);
        }
        let df = if single { units - 1.0 } else { units - used().count() as f64 };
        // F and beta need a degree of freedom beyond those of the characteristics.
        if df < characteristics as f64 + 1.0 {
            return Err(Error::TooFew { what: "t2", need: units as usize + characteristics + 1 - df as usize });
        }
        covariance.iter_mut().for_each(|sum| *sum /= df);
        Ok(Self { means, covariance, df, units, single, alpha })
    }

    /// The T² that is exceeded with probability `alpha`, by a subgroup of `n` that the estimate was made from or not.
    fn limit(&self, n: f64, phase_i: bool, alpha: f64) -> f64 {
        let (p, df, units) = (self.means.len() as f64, self.df, self.units);
        if self.single && phase_i {
            // Tracy, Young & Mason (1992).
            return df * df / units * Beta { a: 0.5 * p, b: 0.5 * (df - p) }.quantile(1.0 - alpha);
        }
        let share = if phase_i { 1.0 - n / units } else { 1.0 + n / units };
        share * p * df / (df - p + 1.0) * FisherF { df1: p, df2: df - p + 1.0 }.quantile(1.0 - alpha)
    }
}

/// Limits ready to judge by.
#[derive(Debug, Clone)]
pub struct T2 {
    limits: T2Limits,
    root: Cholesky,
    /// Size and phase of the last subgroup, with its limit and centre line: mostly those of the next one too.
    last: Option<(usize, bool, f64, f64)>,
}

impl T2 {
    /// # Errors
    ///
    /// Where a characteristic does not vary or follows from others, or a number cannot be.
    pub fn new(limits: T2Limits) -> Result<Self, Error> {
        let square = limits.means.len() * limits.means.len() == limits.covariance.len();
        let numbers = [limits.df, limits.units, limits.alpha];
        let finite = limits.means.iter().chain(&limits.covariance).chain(&numbers).all(|number| number.is_finite());
        if !square || !finite || limits.means.is_empty() || limits.df <= limits.means.len() as f64 {
            return Err(Error::Parameter { name: "limits of t2", value: limits.df, must: "be those of an estimate" });
        }
        let root = Cholesky::of(&limits.covariance, limits.means.len()).ok_or(Error::Dependent)?;
        Ok(Self { limits, root, last: None })
    }

    /// The limits it judges by.
    #[must_use]
    pub fn limits(&self) -> &T2Limits {
        &self.limits
    }

    /// The point of a subgroup. Its only flag is [`super::RuleSet::limits`]; its centre line is the median of T².
    ///
    /// # Errors
    ///
    /// Where it has another number of characteristics.
    pub fn point(&mut self, subgroup: &Units, phase_i: bool) -> Result<Point, Error> {
        let characteristics = self.limits.means.len();
        if subgroup.n == 0 {
            return Ok(Point { reason: Some(Reason::Empty), ..Point::default() });
        }
        if subgroup.means.len() != characteristics {
            return Err(Error::Characteristics { values: subgroup.means.len(), characteristics });
        }
        let (ucl, centre) = self.lines(subgroup.n, phase_i && !subgroup.excluded);
        let distance = subgroup.n as f64 * self.root.distance(&self.deviations(subgroup));
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let mut point = Point {
            plotted: finite(distance),
            ucl: finite(ucl),
            centre: finite(centre),
            reason: (!distance.is_finite()).then_some(Reason::Overflow),
            ..Point::default()
        };
        if point.is_beyond_limits() {
            point.flags.set(0);
        }
        Ok(point)
    }

    /// Of each characteristic alone: n (x̄ − x̿)² / s². Where T² is large, the largest of these says what to look at;
    /// where none is, it is how they go together (Mason, Young & Tracy 1995).
    #[must_use]
    pub fn of_each(&self, subgroup: &Units) -> Vec<f64> {
        let step = self.limits.means.len() + 1;
        let variances = self.limits.covariance.iter().step_by(step);
        let deviations = self.deviations(subgroup);
        deviations.iter().zip(variances).map(|(one, variance)| subgroup.n as f64 * one * one / variance).collect()
    }

    fn deviations(&self, subgroup: &Units) -> Vec<f64> {
        subgroup.means.iter().zip(&self.limits.means).map(|(mean, all)| mean - all).collect()
    }

    fn lines(&mut self, n: usize, phase_i: bool) -> (f64, f64) {
        if let Some((_, _, ucl, centre)) = self.last.filter(|last| (last.0, last.1) == (n, phase_i)) {
            return (ucl, centre);
        }
        let size = n as f64;
        let ucl = self.limits.limit(size, phase_i, self.limits.alpha);
        let centre = self.limits.limit(size, phase_i, 0.5);
        self.last = Some((n, phase_i, ucl, centre));
        (ucl, centre)
    }
}

/// A whole T² chart: limits estimated from the first `phase_i` subgroups, or from all, and a point for each.
///
/// # Errors
///
/// As [`T2Limits::estimate`] and [`T2::new`].
pub fn chart(alpha: f64, subgroups: &[Units], phase_i: Option<usize>) -> Result<(T2Limits, Vec<Point>), Error> {
    let first = phase_i.unwrap_or(subgroups.len()).min(subgroups.len());
    let estimated = subgroups.get(..first).unwrap_or(subgroups);
    let limits = T2Limits::estimate(alpha, estimated)?;
    let mut judge = T2::new(limits.clone())?;
    let points = subgroups.iter().enumerate().map(|(place, one)| judge.point(one, place < first));
    Ok((limits, points.collect::<Result<Vec<Point>, Error>>()?))
}

#[cfg(test)]
mod tests;
