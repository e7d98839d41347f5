//! One characteristic, subgroup by subgroup: what is plotted, between which limits, and which rules it violates.
//!
//! Charts are drawn by a judge over all their subgroups; live values are judged by one that stays. So they cannot
//! differ.

mod memory;

use std::sync::Arc;

use super::constant::{MAX_RANGE_N, c4, d2, d3};
use super::point::Scale;
use super::rule::Window;
use super::{ChartKind, Companion, Error, Flags, Limits, Point, Reason, Rule, RuleSet, Subgroup};
use memory::Memory;

/// What a subgroup was judged to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Its point; flags are places in [`Judge::rules`].
    pub point: Point,
    /// Its point on the chart below, if there is one; its only flag is [`RuleSet::limits`].
    pub companion: Option<Point>,
}

impl Verdict {
    /// Neither point violates a rule.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.point.flags.is_empty() && self.companion.is_none_or(|companion| companion.flags.is_empty())
    }
}

/// Limits that hold, and what rules must remember of the subgroups so far. It takes a few hundred bytes, whatever came,
/// and nothing is allocated while it judges.
#[derive(Debug, Clone)]
pub struct Judge {
    limits: Limits,
    rules: Arc<RuleSet>,
    windows: Box<[Window]>,
    memory: Memory,
    constants: Constants,
}

impl Judge {
    /// A judge that has seen nothing. Rules may be shared by many. On charts whose points depend on those before them
    /// ([`ChartKind::is_judged_by_limits_only`]) the limits are the only rule, unless there is to be none.
    ///
    /// # Errors
    ///
    /// Where the limits are no numbers or their parameters cannot be.
    pub fn new(limits: Limits, rules: &Arc<RuleSet>) -> Result<Self, Error> {
        limits.parameters.check()?;
        if !(limits.centre.is_finite() && limits.sigma.is_finite()) {
            return Err(Error::NotFinite {
                value: if limits.centre.is_finite() { limits.sigma } else { limits.centre },
            });
        }
        if limits.sigma < 0.0 {
            return Err(Error::Negative { what: "sigma", value: limits.sigma });
        }
        if limits.kind == ChartKind::T2 {
            return Err(Error::SeveralCharacteristics);
        }
        let by_limits = limits.kind.is_judged_by_limits_only() && !rules.rules().is_empty();
        let rules = if by_limits { Arc::new(RuleSet::limits()) } else { Arc::clone(rules) };
        let windows = vec![Window::default(); rules.rules().len()].into_boxed_slice();
        Ok(Self { memory: Memory::new(&limits), limits, rules, windows, constants: Constants::default() })
    }

    /// A judge that has seen these subgroups, as after a restart.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn replay(limits: Limits, rules: &Arc<RuleSet>, subgroups: &[Subgroup]) -> Result<Self, Error> {
        let mut judge = Self::new(limits, rules)?;
        for subgroup in subgroups {
            judge.push(subgroup);
        }
        Ok(judge)
    }

    /// The limits it judges by.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The rules it judges by.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Rules that a point violates.
    pub fn violated(&self, flags: Flags) -> impl Iterator<Item = &Rule> {
        self.rules.violated(flags)
    }

    /// Judges the next subgroup.
    pub fn push(&mut self, subgroup: &Subgroup) -> Verdict {
        let subgroup = subgroup.for_kind(self.limits.kind);
        self.constants.set(subgroup.count_of_values(), self.limits.companion);
        let (mut point, mut companion) = self.draw(&subgroup);
        for (place, (rule, window)) in self.rules.rules().iter().zip(&mut self.windows).enumerate() {
            if window.push(&rule.test, &point) {
                point.flags.set(place);
            }
        }
        // The lower sum is half of one chart; the others are judged by their limits and nothing else, unless nothing is.
        let judged = !self.rules.rules().is_empty();
        if let Some(companion) = companion.as_mut().filter(|companion| judged && companion.is_beyond_limits()) {
            companion.flags.set(0);
        }
        Verdict { point, companion }
    }

    fn draw(&mut self, subgroup: &Subgroup) -> (Point, Option<Point>) {
        if subgroup.is_empty() {
            self.memory.interrupt();
            let missing = Point::missing(Reason::Empty);
            return (missing, self.limits.companion.map(|_| missing));
        }
        let kind = self.limits.kind;
        if kind.is_attribute() {
            return (self.attribute(subgroup), None);
        }
        match kind {
            ChartKind::Cusum => self.memory.sums(&self.limits, subgroup),
            ChartKind::Ewma => (self.memory.weighted(&self.limits, subgroup), None),
            ChartKind::MovingAverage => (self.memory.average(&self.limits, subgroup), None),
            _ => (self.mean(subgroup), self.limits.companion.map(|companion| self.spread(companion, subgroup))),
        }
    }

    /// X̄ ± 3 σ/√n (Montgomery 6.2, 6.3); a single value is plotted as it is (6.4).
    fn mean(&self, subgroup: &Subgroup) -> Point {
        let limits = &self.limits;
        let n = if limits.kind == ChartKind::IMr { 1.0 } else { subgroup.n };
        match limits.sigma_at(subgroup.count_of_values()) {
            Some(sigma) => self.scale(limits.centre, sigma / n.sqrt()).point(Some(subgroup.value)),
            None => Point { plotted: Some(subgroup.value), centre: Some(limits.centre), ..Point::default() }
                .because(Some(Reason::OneValue)),
        }
    }

    fn scale(&self, centre: f64, sigma: f64) -> Scale {
        Scale::open(centre, sigma, self.limits.parameters.width)
    }

    /// Montgomery 7.2, 7.3; Laney 2002. Limits end at 0, and where every unit is nonconforming.
    fn attribute(&self, subgroup: &Subgroup) -> Point {
        let limits = &self.limits;
        let n = subgroup.n;
        // In units of the rate: how much of it the plotted statistic is.
        let (area, per) = match limits.kind {
            ChartKind::Np => (n, n),
            ChartKind::C => (1.0, 1.0),
            _ => (n, 1.0),
        };
        let plotted = subgroup.value / area * per;
        let possible = !(limits.kind.counts_units() && subgroup.value > n);
        let ceiling = if limits.kind.counts_units() { per } else { f64::INFINITY };
        let sigma = limits.rate_sigma(area) * per * limits.sigma;
        let scale = Scale { floor: 0.0, ceiling, ..self.scale(limits.centre * per, sigma) };
        let reason = (!possible).then_some(Reason::MoreThanInspected);
        scale.point(Some(plotted).filter(|_| possible)).because(reason)
    }

    /// R, S or MR of the subgroup (Montgomery 6.2 to 6.4).
    fn spread(&mut self, companion: Companion, subgroup: &Subgroup) -> Point {
        let Constants { n, mean, deviation, .. } = self.constants;
        let (plotted, missing) = match companion {
            Companion::MovingRange => (self.memory.range_to(subgroup.value), Reason::NoValueBefore),
            Companion::Range => (Some(subgroup.range).filter(|_| n >= 2), Reason::OneValue),
            Companion::Deviation | Companion::LowerSum => (subgroup.s(), Reason::OneValue),
        };
        if companion == Companion::Range && n > MAX_RANGE_N {
            return Point::missing(Reason::RangeOfTooMany);
        }
        let Some(sigma) = self.limits.sigma_at(n).filter(|_| mean > 0.0) else { return Point::missing(missing) };
        let scale = Scale { floor: 0.0, ..self.scale(sigma * mean, sigma * deviation) };
        scale.point(plotted).because(plotted.is_none().then_some(missing))
    }
}

/// Mean and standard deviation of a spread for sigma 1, kept for the next subgroup, which is mostly as large.
#[derive(Debug, Clone, Copy, Default)]
struct Constants {
    n: u32,
    mean: f64,
    deviation: f64,
    known: bool,
}

impl Constants {
    fn set(&mut self, n: u32, companion: Option<Companion>) {
        if self.known && self.n == n {
            return;
        }
        let (mean, deviation) = match companion {
            Some(Companion::Range) => (d2(n), d3(n)),
            Some(Companion::Deviation) => (c4(n), (1.0 - c4(n).powi(2)).max(0.0).sqrt()),
            Some(Companion::MovingRange) => (d2(2), d3(2)),
            Some(Companion::LowerSum) | None => (0.0, 0.0),
        };
        *self = Self { n, mean, deviation, known: true };
    }
}

#[cfg(test)]
mod tests;
