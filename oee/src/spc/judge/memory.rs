//! What a plotted statistic needs of the subgroups before.

use std::collections::VecDeque;

use crate::spc::point::{Scale, TIE, rounding};
use crate::spc::{ChartKind, Limits, Point, Reason, Subgroup};

#[derive(Debug, Clone)]
pub(super) enum Memory {
    /// The value before, for a moving range.
    Value(Option<f64>),
    /// EWMA, and its variance as a share of that of a single value.
    Weighted { value: f64, variance: f64 },
    /// Upper and lower CUSUM.
    Sums([Sum; 2]),
    /// Means and sizes of the last subgroups.
    Last(VecDeque<(f64, f64)>),
}

/// One side of a CUSUM.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    /// None before the first subgroup: a headstart is in sigmas of its mean.
    value: Option<f64>,
    /// For how many points it has been above 0.
    run: u32,
}

impl Memory {
    pub(super) fn new(limits: &Limits) -> Self {
        match limits.kind {
            ChartKind::Ewma => Self::Weighted { value: limits.centre, variance: 0.0 },
            ChartKind::Cusum => Self::Sums([Sum { value: None, run: 0 }; 2]),
            ChartKind::MovingAverage => Self::Last(VecDeque::with_capacity(limits.parameters.span)),
            _ => Self::Value(None),
        }
    }

    /// Nothing was measured: no moving range reaches over the gap. What is smoothed or summed up goes on after it.
    pub(super) fn interrupt(&mut self) {
        if let Self::Value(previous) = self {
            *previous = None;
        }
    }

    /// |x − the x before|.
    pub(super) fn range_to(&mut self, value: f64) -> Option<f64> {
        let Self::Value(previous) = self else { return None };
        previous.replace(value).map(|previous| (value - previous).abs())
    }

    /// z = λ x̄ + (1 − λ) z before (Montgomery 9.2). The variance is carried along, so that sizes may vary; with one
    /// size it is the λ/(2 − λ) · (1 − (1 − λ)²ⁱ) of the textbook.
    pub(super) fn weighted(&mut self, limits: &Limits, subgroup: &Subgroup) -> Point {
        let Some(sigma) = limits.sigma_at(subgroup.count_of_values()) else { return Point::missing(Reason::OneValue) };
        let Self::Weighted { value, variance } = self else { return Point::default() };
        let lambda = limits.parameters.lambda;
        let keep = 1.0 - lambda;
        *value += lambda * (subgroup.value - *value);
        *variance = lambda * lambda / subgroup.n + keep * keep * *variance;
        let share = if limits.parameters.steady { lambda / (2.0 - lambda) / subgroup.n } else { *variance };
        Scale::open(limits.centre, sigma * share.sqrt(), limits.parameters.width).point(Some(*value))
    }

    /// C+ = max(0, x̄ − (μ₀ + K) + C+ before), C− = max(0, (μ₀ − K) − x̄ + C− before), with K = k σ/√n and H = h σ/√n
    /// (Montgomery 9.1). They go on after a signal.
    pub(super) fn sums(&mut self, limits: &Limits, subgroup: &Subgroup) -> (Point, Option<Point>) {
        let missing = (Point::missing(Reason::OneValue), Some(Point::missing(Reason::OneValue)));
        let Some(sigma) = limits.sigma_at(subgroup.count_of_values()) else { return missing };
        let Self::Sums(sums) = self else { return missing };
        let (parameters, sigma) = (&limits.parameters, sigma / subgroup.n.sqrt());
        let (x, allowance) = (subgroup.value, parameters.k * sigma);
        let beyond = [x - limits.centre - allowance, limits.centre - x - allowance];
        let tie = (TIE * sigma).max(rounding(x, limits.centre));
        let (start, limit) = (parameters.headstart * sigma, parameters.h * sigma);
        let [upper, lower] = [0, 1].map(|side: usize| sums[side].push(beyond[side], start, limit, tie));
        (upper, Some(lower))
    }

    /// Mean of the last w means, of as many as there are at the start (Montgomery 9.3): variance Σ σ²/n / w².
    pub(super) fn average(&mut self, limits: &Limits, subgroup: &Subgroup) -> Point {
        let Some(sigma) = limits.sigma_at(subgroup.count_of_values()) else { return Point::missing(Reason::OneValue) };
        let Self::Last(last) = self else { return Point::default() };
        if last.len() >= limits.parameters.span {
            last.pop_front();
        }
        last.push_back((subgroup.value, subgroup.n));
        let count = last.len() as f64;
        let mean = last.iter().map(|(value, _)| value - limits.centre).sum::<f64>() / count + limits.centre;
        let share = match limits.parameters.steady {
            true => (limits.parameters.span as f64 * subgroup.n).sqrt().recip(),
            false => last.iter().map(|(_, n)| 1.0 / n).sum::<f64>().sqrt() / count,
        };
        Scale::open(limits.centre, sigma * share, limits.parameters.width).point(Some(mean))
    }
}

impl Sum {
    /// What is not more than `tie` is nothing.
    fn push(&mut self, beyond: f64, start: f64, limit: f64, tie: f64) -> Point {
        let value = (beyond + self.value.unwrap_or(start)).max(0.0);
        self.value = Some(value);
        self.run = if value > tie { self.run.saturating_add(1) } else { 0 };
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let no_spread = (limit <= 0.0).then_some(Reason::NoSpread);
        Point {
            plotted: finite(value),
            centre: Some(0.0),
            ucl: finite(limit),
            run: Some(self.run),
            reason: if value.is_finite() { no_spread } else { Some(Reason::Overflow) },
            ..Point::default()
        }
    }
}
