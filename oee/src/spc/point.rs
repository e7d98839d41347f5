//! A point of a chart, with its own limits.

use std::fmt;

/// What differs by less than this many sigmas is equal: rounding must not decide a verdict. It is what the marks of the
/// figures themselves are.
pub(super) const TIE: f64 = 1e-9;

/// What numbers of this size cannot tell apart: a mean of equal ones can be a digit off.
pub(super) fn rounding(one: f64, other: f64) -> f64 {
    4.0 * f64::EPSILON * one.abs().max(other.abs())
}

/// Why a point lacks a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing was measured or inspected.
    Empty,
    /// The subgroup has one value, and no spread.
    OneValue,
    /// A range needs the value before, which there is not.
    NoValueBefore,
    /// Sigma is zero.
    NoSpread,
    /// More nonconforming units than inspected ones.
    MoreThanInspected,
    /// The subgroup has more values than ranges have constants for.
    RangeOfTooMany,
    /// A number is too large.
    Overflow,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing was measured or inspected",
            Self::OneValue => "the subgroup has one value: its spread needs two",
            Self::NoValueBefore => "a moving range needs the value before, which is missing",
            Self::NoSpread => "sigma is zero: rules in sigmas are not judged",
            Self::MoreThanInspected => "more nonconforming units are counted than were inspected",
            Self::RangeOfTooMany => "a range of more than 1,000,000 values: use xbar_s",
            Self::Overflow => "a number is too large to calculate with",
        })
    }
}

/// Which rules of a set a point violates, by their place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u32);

impl Flags {
    pub(super) fn set(&mut self, rule: usize) {
        self.0 |= 1 << (rule as u32 & 31);
    }

    /// It violates none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// It violates the rule at this place of the set.
    #[must_use]
    pub fn contains(self, rule: usize) -> bool {
        rule < 32 && self.0 >> rule & 1 == 1
    }
}

/// One point. Figures are finite; what cannot be calculated is none, and `reason` says why.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// The plotted statistic.
    pub plotted: Option<f64>,
    /// Centre line.
    pub centre: Option<f64>,
    /// Upper control limit.
    pub ucl: Option<f64>,
    /// Lower control limit; none where the chart has no lower one.
    pub lcl: Option<f64>,
    /// One sigma of the plotted statistic: zones end at centre ± 1 and ± 2 of them.
    pub sigma: Option<f64>,
    /// (plotted − centre) / sigma: a limit that was cut off at 0 or 1 does not change it.
    pub z: Option<f64>,
    /// CUSUM: for how many points the sum has been above 0 (Montgomery's N+ and N−): where a change began.
    pub run: Option<u32>,
    /// Violated rules.
    pub flags: Flags,
    /// Why a figure is missing.
    pub reason: Option<Reason>,
}

/// Centre line and sigma of a plotted statistic, and where its limits are cut off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) centre: f64,
    pub(super) sigma: f64,
    pub(super) width: f64,
    pub(super) floor: f64,
    pub(super) ceiling: f64,
}

impl Scale {
    pub(super) fn open(centre: f64, sigma: f64, width: f64) -> Self {
        Self { centre, sigma, width, floor: f64::NEG_INFINITY, ceiling: f64::INFINITY }
    }

    pub(super) fn point(self, plotted: Option<f64>) -> Point {
        let half = self.width * self.sigma;
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let z = plotted.filter(|_| self.sigma > 0.0).and_then(|plotted| finite((plotted - self.centre) / self.sigma));
        let known = plotted.is_none_or(f64::is_finite) && (self.centre + half).is_finite() && self.centre.is_finite();
        let reason = match (known, self.sigma > 0.0) {
            (false, _) => Some(Reason::Overflow),
            (true, false) => Some(Reason::NoSpread),
            (true, true) => None,
        };
        Point {
            plotted: plotted.and_then(finite),
            centre: finite(self.centre),
            ucl: finite((self.centre + half).min(self.ceiling)),
            lcl: finite((self.centre - half).max(self.floor)),
            sigma: finite(self.sigma),
            z,
            reason,
            ..Point::default()
        }
    }
}

impl Point {
    pub(super) fn missing(reason: Reason) -> Self {
        Self { reason: Some(reason), ..Self::default() }
    }

    pub(super) fn because(self, reason: Option<Reason>) -> Self {
        Self { reason: reason.or(self.reason), ..self }
    }

    /// Sigmas that are no distance: rounding must not decide on which side of a line it lies.
    pub(super) fn tie(&self) -> f64 {
        let (Some(plotted), Some(centre), Some(sigma)) = (self.plotted, self.centre, self.sigma) else { return TIE };
        if sigma > 0.0 { TIE.max(rounding(plotted, centre) / sigma) } else { TIE }
    }

    /// It lies strictly beyond its own limits.
    #[must_use]
    pub fn is_beyond_limits(&self) -> bool {
        let Some((plotted, centre)) = self.plotted.zip(self.centre) else { return false };
        let tie = |limit: f64| (TIE * (limit - centre).abs()).max(rounding(limit, plotted));
        self.ucl.is_some_and(|ucl| plotted > ucl + tie(ucl)) || self.lcl.is_some_and(|lcl| plotted < lcl - tie(lcl))
    }
}
