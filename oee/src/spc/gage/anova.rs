//! Gage R&R by analysis of variance: two-way crossed, random effects.

use super::{Components, Study, mean};
use crate::spc::distribution::{FisherF, Tails};

/// Above this p of the interaction its variation is pooled with that of the equipment (AIAG).
pub const POOLING_P: f64 = 0.25;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnovaRow {
    /// Degrees of freedom.
    pub df: f64,
    /// Sum of squares.
    pub ss: f64,
    /// Mean square.
    pub ms: f64,
    /// MS by that of the interaction (of appraiser and part) or of the equipment (of the interaction, or pooled). None
    /// where that is zero, and for the row that is divided by.
    pub f: Option<f64>,
    /// Probability of a larger F by chance.
    pub p: Option<f64>,
}

/// Variances, and what they make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// The appraisers' row.
    pub appraiser: AnovaRow,
    /// The parts' row.
    pub part: AnovaRow,
    /// The row of the error: the equipment's, or, pooled, that with the interaction.
    pub error: AnovaRow,
    /// Variance of repeatability: the error's mean square.
    pub repeatability: f64,
    /// Variance of appraisers; 0 where it comes out negative, as the others.
    pub appraiser_variance: f64,
    /// Variance of the interaction; 0 where it is pooled.
    pub interaction_variance: f64,
    /// Variance of parts.
    pub part_variance: f64,
    /// Standard deviations; reproducibility is of appraisers and interaction.
    pub components: Components,
}

/// Both models, and which one is to be used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anova {
    /// With interaction.
    pub with_interaction: Model,
    /// The row of the interaction.
    pub interaction: AnovaRow,
    /// The row of the total; it has no F.
    pub total: AnovaRow,
    /// Without: pooled with the equipment.
    pub pooled: Model,
    /// The interaction's p is above [`POOLING_P`].
    pub pools: bool,
}

impl Anova {
    /// The model to be used.
    #[must_use]
    pub fn chosen(&self) -> &Model {
        if self.pools { &self.pooled } else { &self.with_interaction }
    }

    /// Its name.
    #[must_use]
    pub fn chosen_name(&self) -> &'static str {
        if self.pools { "pooled" } else { "with_interaction" }
    }
}

fn row(ss: f64, df: f64) -> AnovaRow {
    AnovaRow { df, ss, ms: ss / df, f: None, p: None }
}

impl AnovaRow {
    fn against(self, error: &Self) -> Self {
        let f = (error.ms > 0.0).then(|| self.ms / error.ms);
        let p = f.map(|f| FisherF { df1: self.df, df2: error.df }.upper(f));
        Self { f, p, ..self }
    }
}

/// Sums of squares of the deviations, each from its own mean, so that nothing cancels.
struct Squares {
    appraiser: AnovaRow,
    part: AnovaRow,
    interaction: AnovaRow,
    equipment: AnovaRow,
}

impl Study {
    fn squares(&self) -> Squares {
        let (appraisers, parts, trials) = self.layout();
        let (cells, of_appraiser, of_part) = (self.cell_means(), self.appraiser_means(), self.part_means());
        let grand = mean(&of_part);
        let sum = |means: &[f64]| means.iter().map(|mean| (mean - grand).powi(2)).sum::<f64>();
        let (a, p, t) = (appraisers as f64, parts as f64, trials as f64);
        let beyond = |(place, cell): (usize, &f64)| {
            (cell - of_appraiser[place / parts] - of_part[place % parts] + grand).powi(2)
        };
        let interaction = t * cells.iter().enumerate().map(beyond).sum::<f64>();
        let within = |(cell, mean): (&[f64], &f64)| cell.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let equipment = self.cells().zip(&cells).map(within).sum();
        // What is left of equal numbers is no variance, and nothing can be measured against it.
        let largest = self.values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let rounding = (16.0 * f64::EPSILON * largest).powi(2);
        let row = |ss: f64, df: f64| if ss <= rounding * df { row(0.0, df) } else { row(ss, df) };
        Squares {
            appraiser: row(p * t * sum(&of_appraiser), a - 1.0),
            part: row(a * t * sum(&of_part), p - 1.0),
            interaction: row(interaction, (a - 1.0) * (p - 1.0)),
            equipment: row(equipment, a * p * (t - 1.0)),
        }
    }

    /// The analysis of variance (AIAG *MSA*, appendix A).
    #[must_use]
    pub fn anova(&self) -> Anova {
        let Squares { appraiser, part, interaction, equipment } = self.squares();
        let interaction = interaction.against(&equipment);
        let both = row(interaction.ss + equipment.ss, interaction.df + equipment.df);
        let rest = [appraiser, part, interaction, equipment];
        let (ss, df) = rest.iter().fold((0.0, 0.0), |(ss, df), row| (ss + row.ss, df + row.df));
        Anova {
            with_interaction: self.model(appraiser, part, equipment, Some(&interaction)),
            pooled: self.model(appraiser, part, both, None),
            pools: interaction.p.is_some_and(|p| p > POOLING_P),
            interaction,
            total: row(ss, df),
        }
    }

    fn model(&self, appraiser: AnovaRow, part: AnovaRow, error: AnovaRow, interaction: Option<&AnovaRow>) -> Model {
        let (a, p, t) = (self.appraisers as f64, self.parts as f64, self.trials as f64);
        let against = interaction.unwrap_or(&error);
        let variance = |larger: f64, smaller: f64, count: f64| ((larger - smaller) / count).max(0.0);
        let appraiser_variance = variance(appraiser.ms, against.ms, p * t);
        let part_variance = variance(part.ms, against.ms, a * t);
        let interaction_variance = variance(against.ms, error.ms, t);
        let reproducibility = appraiser_variance + interaction_variance;
        Model {
            appraiser: appraiser.against(against),
            part: part.against(against),
            error,
            repeatability: error.ms,
            appraiser_variance,
            interaction_variance,
            part_variance,
            components: Components::new(error.ms.sqrt(), reproducibility.sqrt(), part_variance.sqrt()),
        }
    }
}
