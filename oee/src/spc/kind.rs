//! Which control charts there are.

use super::Error;

/// A kind of control chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChartKind {
    /// Means of subgroups, sigma from ranges; companion R.
    XbarR,
    /// Means of subgroups, sigma from standard deviations; companion S.
    XbarS,
    /// Single values, sigma from moving ranges of two; companion MR.
    IMr,
    /// Share of nonconforming units.
    P,
    /// Number of nonconforming units.
    Np,
    /// Nonconformities on areas of one size.
    C,
    /// Nonconformities per unit of area.
    U,
    /// p with limits for dispersion beyond the binomial (Laney 2002).
    LaneyP,
    /// u with limits for dispersion beyond Poisson (Laney 2002).
    LaneyU,
    /// Exponentially weighted moving average.
    Ewma,
    /// Tabular CUSUM: upper sums, companion C− with the lower ones.
    Cusum,
    /// Mean of the last [`super::Parameters::span`] subgroups.
    MovingAverage,
    /// Short runs: deviation from each subgroup's nominal; companion R, or MR of single values.
    ShortRunDeviation,
    /// Short runs: deviation from nominal in sigmas of each subgroup's part; companion R, or MR of single values.
    ShortRunZ,
    /// Hotelling's T² of several characteristics: see [`super::t2`].
    T2,
}

impl ChartKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::XbarR,
        Self::XbarS,
        Self::IMr,
        Self::P,
        Self::Np,
        Self::C,
        Self::U,
        Self::LaneyP,
        Self::LaneyU,
        Self::Ewma,
        Self::Cusum,
        Self::MovingAverage,
        Self::ShortRunDeviation,
        Self::ShortRunZ,
        Self::T2,
    ];

    /// Its name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XbarR => "xbar_r",
            Self::XbarS => "xbar_s",
            Self::IMr => "i_mr",
            Self::P => "p",
            Self::Np => "np",
            Self::C => "c",
            Self::U => "u",
            Self::LaneyP => "laney_p",
            Self::LaneyU => "laney_u",
            Self::Ewma => "ewma",
            Self::Cusum => "cusum",
            Self::MovingAverage => "moving_average",
            Self::ShortRunDeviation => "short_run_deviation",
            Self::ShortRunZ => "short_run_z",
            Self::T2 => "t2",
        }
    }

    /// The kind of a name.
    ///
    /// # Errors
    ///
    /// Where there is none: with the known names and the one that was probably meant.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Error::unknown("chart", name, Self::ALL.map(Self::name)))
    }

    /// What is plotted, in a word.
    #[must_use]
    pub fn statistic(self) -> &'static str {
        match self {
            Self::XbarR | Self::XbarS => "xbar",
            Self::IMr => "x",
            Self::Cusum => "tabular_cusum",
            Self::ShortRunDeviation => "deviation",
            Self::ShortRunZ => "z",
            kind => kind.name(),
        }
    }

    /// It brings different parts onto one chart.
    #[must_use]
    pub fn is_short_run(self) -> bool {
        matches!(self, Self::ShortRunDeviation | Self::ShortRunZ)
    }

    /// It counts nonconforming units or nonconformities.
    #[must_use]
    pub fn is_attribute(self) -> bool {
        use ChartKind::{C, LaneyP, LaneyU, Np, P, U};
        matches!(self, P | Np | C | U | LaneyP | LaneyU)
    }

    /// It counts units, of which there cannot be more than were looked at.
    pub(super) fn counts_units(self) -> bool {
        matches!(self, Self::P | Self::Np | Self::LaneyP)
    }

    /// Names of the parameters that it has, apart from a target and a sigma that are known.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Ewma => &["lambda", "width", "steady"],
            Self::Cusum => &["k", "h", "headstart"],
            Self::MovingAverage => &["span", "width", "steady"],
            Self::T2 => &[],
            _ => &["width"],
        }
    }

    /// Its points depend on those before them by construction, so that runs of them say nothing and only limits are
    /// judged (Montgomery 9.1, 9.2); T² has no sides.
    #[must_use]
    pub fn is_judged_by_limits_only(self) -> bool {
        matches!(self, Self::Ewma | Self::Cusum | Self::MovingAverage | Self::T2)
    }
}
