//! What limits of a chart follow from: estimated once (phase I), then frozen and applied to whatever comes (phase II).

use super::constant::{c4, d2};
use super::sigma::SigmaMethod;
use super::{ChartKind, Error, Subgroup};

/// How a chart is drawn, apart from what is estimated. Charts look at those that concern them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Distance of the limits from the centre line, in sigmas; L of EWMA.
    pub width: f64,
    /// EWMA: weight of the newest subgroup, above 0 and up to 1.
    pub lambda: f64,
    /// EWMA and moving average: limits as they are after many points, from the first one on.
    pub steady: bool,
    /// CUSUM: allowance, in sigmas of the mean; half of the shift that is to be found.
    pub k: f64,
    /// CUSUM: decision interval, in sigmas of the mean.
    pub h: f64,
    /// CUSUM: where both sums start, in sigmas of the mean (fast initial response: h/2).
    pub headstart: f64,
    /// Moving average: over how many subgroups.
    pub span: usize,
    /// Centre line, if it is not to be estimated.
    pub target: Option<f64>,
    /// Sigma of a single value, if it is not to be estimated.
    pub sigma: Option<f64>,
}

impl Default for Parameters {
    /// As in Montgomery's examples: 3 sigma, λ = 0.2, k = 1/2, h = 5, no headstart, the mean of 5.
    fn default() -> Self {
        Self {
            width: 3.0,
            lambda: 0.2,
            steady: false,
            k: 0.5,
            h: 5.0,
            headstart: 0.0,
            span: 5,
            target: None,
            sigma: None,
        }
    }
}

/// The longest moving average.
const MAX_SPAN: usize = 1_000;

impl Parameters {
    /// # Errors
    ///
    /// Where a number cannot be what it is for.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |name, value, must| Err(Error::Parameter { name, value, must });
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        if !positive(self.width) {
            return wrong("width", self.width, "be above 0");
        }
        if !(positive(self.lambda) && self.lambda <= 1.0) {
            return wrong("lambda", self.lambda, "be above 0 and at most 1");
        }
        if !not_negative(self.k) {
            return wrong("k", self.k, "be 0 or more");
        }
        if !positive(self.h) {
            return wrong("h", self.h, "be above 0");
        }
        if !not_negative(self.headstart) {
            return wrong("headstart", self.headstart, "be 0 or more");
        }
        if !(1..=MAX_SPAN).contains(&self.span) {
            return wrong("span", self.span as f64, "be 1 to 1000");
        }
        match (self.target, self.sigma) {
            (Some(target), _) if !target.is_finite() => wrong("target", target, "be a finite number"),
            (_, Some(sigma)) if !not_negative(sigma) => wrong("sigma", sigma, "be 0 or more"),
            _ => Ok(()),
        }
    }
}

impl Parameters {
    /// Those that a chart has, in words: `lambda 0.2, width 3`.
    #[must_use]
    pub fn words(&self, kind: ChartKind) -> String {
        let word = |name: &&str| match *name {
            "width" => Some(format!("width {}", self.width)),
            "lambda" => Some(format!("lambda {}", self.lambda)),
            "k" => Some(format!("k {}", self.k)),
            "h" => Some(format!("h {}", self.h)),
            "headstart" => Some(format!("headstart {}", self.headstart)),
            "span" => Some(format!("span {}", self.span)),
            "steady" => self.steady.then(|| "steady".to_owned()),
            _ => None,
        };
        kind.parameters().iter().filter_map(word).collect::<Vec<_>>().join(", ")
    }
}

/// The chart below the chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Companion {
    /// Ranges of subgroups.
    Range,
    /// Standard deviations of subgroups.
    Deviation,
    /// Moving ranges of two single values.
    MovingRange,
    /// Lower sums of a CUSUM.
    LowerSum,
}

impl Companion {
    /// What is plotted, in a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "R",
            Self::Deviation => "S",
            Self::MovingRange => "MR",
            Self::LowerSum => "C-",
        }
    }

    /// The companion of a name.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let all = [Self::Range, Self::Deviation, Self::MovingRange, Self::LowerSum];
        let found = all.into_iter().find(|companion| companion.name() == name);
        found.ok_or_else(|| Error::unknown("companion chart", name, all.map(Self::name)))
    }
}

/// What limits follow from: plain numbers, that can be stored and read again to the same limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Of which chart.
    pub kind: ChartKind,
    /// Process mean, in the unit of the characteristic; p̄, ū or c̄ of attributes; mean deviation of short runs.
    pub centre: f64,
    /// Sigma of a single value, in the unit of the characteristic. Of attributes, how many times as wide as binomial
    /// or Poisson the process is: Laney's σz, and 1 on the other charts.
    pub sigma: f64,
    /// `sigma` is a pooled standard deviation with its bias: each subgroup divides it by its own c4 (Montgomery 6.3,
    /// X̄-S with varying n).
    pub pooled: bool,
    /// The chart below, if there is one.
    pub companion: Option<Companion>,
    /// How it is drawn.
    pub parameters: Parameters,
    /// From how many subgroups it was estimated; 0 where mean and sigma were given.
    pub subgroups: usize,
}

impl Limits {
    /// Estimates from the subgroups that are neither excluded nor empty.
    ///
    /// # Errors
    ///
    /// Where a parameter cannot be, or there is too little to estimate from: the message says what would do.
    pub fn estimate(kind: ChartKind, parameters: Parameters, subgroups: &[Subgroup]) -> Result<Self, Error> {
        parameters.check()?;
        let used = || subgroups.iter().filter(|subgroup| !subgroup.excluded && !subgroup.is_empty());
        let count = used().count();
        let unknown =
            Self { kind, centre: 0.0, sigma: 1.0, pooled: false, companion: None, parameters, subgroups: count };
        let limits = match kind {
            ChartKind::T2 => Err(Error::SeveralCharacteristics),
            kind if kind.is_attribute() => unknown.of_attributes(subgroups),
            ChartKind::ShortRunDeviation | ChartKind::ShortRunZ => {
                let standardised: Vec<Subgroup> = subgroups.iter().map(|one| one.for_kind(kind)).collect();
                unknown.of_values(&standardised)
            }
            _ => unknown.of_values(subgroups),
        }?;
        limits.finite()
    }

    /// Limits from a mean and a sigma that are known, as with standards given (Montgomery 6.2.3).
    ///
    /// # Errors
    ///
    /// Where a number cannot be what it is for.
    pub fn known(kind: ChartKind, centre: f64, sigma: f64, parameters: Parameters) -> Result<Self, Error> {
        Self::estimate(kind, Parameters { target: Some(centre), sigma: Some(sigma), ..parameters }, &[])
    }

    fn finite(self) -> Result<Self, Error> {
        let wrong = [self.centre, self.sigma].into_iter().find(|number| !number.is_finite());
        wrong.map_or(Ok(self), |value| Err(Error::NotFinite { value }))
    }

    fn of_values(self, subgroups: &[Subgroup]) -> Result<Self, Error> {
        let given = self.parameters;
        let z = self.kind == ChartKind::ShortRunZ;
        let target = given.target.or(z.then_some(0.0));
        let sigma = given.sigma.or(z.then_some(1.0));
        let single = !subgroups.iter().any(|subgroup| subgroup.n >= 2.0);
        let companion = self.kind.companion(single);
        let centre = target.map_or_else(|| self.grand_mean(subgroups), Ok)?;
        let (sigma, pooled) = match sigma {
            Some(sigma) => (sigma, false),
            None => within(self.kind, single, subgroups)?,
        };
        let subgroups = if given.target.is_some() && given.sigma.is_some() { 0 } else { self.subgroups };
        Ok(Self { centre, sigma, pooled, companion, subgroups, ..self })
    }

    /// Σ n x̄ / Σ n: with one size of subgroups the mean of their means. Added up from the first one on, so that digits
    /// are kept however far from zero they are.
    fn grand_mean(&self, subgroups: &[Subgroup]) -> Result<f64, Error> {
        let mut used = subgroups.iter().filter(|subgroup| !subgroup.excluded && !subgroup.is_empty()).peekable();
        let Some(first) = used.peek().map(|subgroup| subgroup.value) else {
            return Err(Error::TooFew { what: self.kind.name(), need: 1 });
        };
        // A single value is plotted as such, however many it stands for.
        let single = self.kind == ChartKind::IMr;
        let weight = |subgroup: &Subgroup| if single { 1.0 } else { subgroup.n };
        let (sum, weights) = used.fold((0.0, 0.0), |(sum, weights), subgroup| {
            (sum + weight(subgroup) * (subgroup.value - first), weights + weight(subgroup))
        });
        Ok(first + sum / weights)
    }

    fn of_attributes(self, subgroups: &[Subgroup]) -> Result<Self, Error> {
        let used = || subgroups.iter().filter(|subgroup| !subgroup.excluded && !subgroup.is_empty());
        let impossible = |subgroup: &&Subgroup| self.kind.counts_units() && subgroup.value > subgroup.n;
        if let Some(wrong) = used().find(impossible) {
            return Err(Error::MoreThanInspected { count: wrong.value, n: wrong.n });
        }
        let size = |subgroup: &Subgroup| if self.kind == ChartKind::C { 1.0 } else { subgroup.n };
        let (count, area) = used().fold((0.0, 0.0), |(count, area), one| (count + one.value, area + size(one)));
        let centre = match self.parameters.target {
            Some(target) => target,
            None if area > 0.0 => count / area,
            None => return Err(Error::TooFew { what: self.kind.name(), need: 1 }),
        };
        let most = if self.kind.counts_units() { 1.0 } else { f64::INFINITY };
        if !(0.0..=most).contains(&centre) {
            return Err(Error::Parameter { name: "target", value: centre, must: "be a rate (0 to 1 of units)" });
        }
        let limits = Self { centre, ..self };
        let sigma = match limits.kind {
            ChartKind::LaneyP | ChartKind::LaneyU => match self.parameters.sigma {
                Some(sigma) => sigma,
                None => limits.laney(subgroups)?,
            },
            _ => 1.0,
        };
        Ok(Self { sigma, ..limits })
    }

    /// σz = mean moving range of the z / d2(2) (Laney 2002).
    fn laney(&self, subgroups: &[Subgroup]) -> Result<f64, Error> {
        let z = |subgroup: &Subgroup| {
            let sigma = self.rate_sigma(subgroup.n);
            let value = if sigma > 0.0 { (subgroup.value / subgroup.n - self.centre) / sigma } else { 0.0 };
            // An empty one has no z; it stays empty, and its neighbours make no range.
            Subgroup { value: if subgroup.is_empty() { 0.0 } else { value }, ..*subgroup }
        };
        let z: Vec<Subgroup> = subgroups.iter().map(z).collect();
        let few = |_| Error::TooFew { what: self.kind.name(), need: 2 };
        Ok(SigmaMethod::MovingRange.estimate(&z).map_err(few)?.value)
    }

    /// Sigma of a rate of `n`, binomial or Poisson (Montgomery 7.2, 7.3).
    pub(super) fn rate_sigma(&self, n: f64) -> f64 {
        let variance = if self.kind.counts_units() { self.centre * (1.0 - self.centre) } else { self.centre };
        (variance / n).max(0.0).sqrt()
    }

    /// Sigma of a single value where the subgroup has `n`; none where a pooled one cannot be freed of its bias.
    pub(super) fn sigma_at(&self, n: u32) -> Option<f64> {
        if !self.pooled {
            return Some(self.sigma);
        }
        (n >= 2).then(|| self.sigma / c4(n))
    }

    /// R̄, S̄ or MR̄ that sigma came from, for subgroups of `n`; none without such a companion chart.
    #[must_use]
    pub fn mean_spread(&self, n: u32) -> Option<f64> {
        match self.companion? {
            Companion::Range => Some(self.sigma * d2(n)),
            Companion::Deviation if self.pooled => Some(self.sigma),
            Companion::Deviation => Some(self.sigma * c4(n)),
            Companion::MovingRange => Some(self.sigma * d2(2)),
            Companion::LowerSum => None,
        }
    }
}

/// Sigma as the chart estimates it, and whether it keeps its bias.
fn within(kind: ChartKind, single: bool, subgroups: &[Subgroup]) -> Result<(f64, bool), Error> {
    let explain = |error| match error {
        Error::TooFew { need, .. } => Error::TooFew { what: kind.name(), need },
        Error::SingleValues { .. } => Error::SingleValues { what: kind.name() },
        error => error,
    };
    let method = match kind {
        ChartKind::XbarR => SigmaMethod::Range,
        ChartKind::XbarS if varying(subgroups) => SigmaMethod::Pooled,
        ChartKind::XbarS => SigmaMethod::Deviation,
        ChartKind::IMr => SigmaMethod::MovingRange,
        _ if single => SigmaMethod::MovingRange,
        ChartKind::ShortRunDeviation | ChartKind::ShortRunZ => SigmaMethod::Range,
        _ => SigmaMethod::Deviation,
    };
    let sigma = method.estimate(subgroups).map_err(explain)?;
    Ok((sigma.value, method == SigmaMethod::Pooled))
}

/// Subgroups have several sizes.
fn varying(subgroups: &[Subgroup]) -> bool {
    let mut used = subgroups.iter().filter(|subgroup| !subgroup.excluded && !subgroup.is_empty());
    let first = used.next().map(|subgroup| subgroup.n);
    used.any(|subgroup| Some(subgroup.n) != first)
}

impl Subgroup {
    /// What a chart of the kind looks at: of short runs the deviation from nominal, scaled or not.
    pub(super) fn for_kind(&self, kind: ChartKind) -> Self {
        match kind {
            ChartKind::ShortRunZ => self.standardised(),
            ChartKind::ShortRunDeviation => Self { scale: 1.0, ..*self }.standardised(),
            _ => *self,
        }
    }
}

impl ChartKind {
    /// What can be drawn below it.
    #[must_use]
    pub fn companions(self) -> Vec<Companion> {
        let mut found: Vec<Companion> = [false, true].into_iter().filter_map(|single| self.companion(single)).collect();
        found.dedup();
        found
    }

    fn companion(self, single: bool) -> Option<Companion> {
        match self {
            Self::XbarR => Some(Companion::Range),
            Self::XbarS => Some(Companion::Deviation),
            Self::IMr => Some(Companion::MovingRange),
            Self::Cusum => Some(Companion::LowerSum),
            Self::ShortRunDeviation | Self::ShortRunZ if single => Some(Companion::MovingRange),
            Self::ShortRunDeviation | Self::ShortRunZ => Some(Companion::Range),
            _ => None,
        }
    }
}
