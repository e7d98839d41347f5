//! What cannot be calculated at all, said in words.

use crate::spelling::nearest;

/// Why something cannot be calculated at all, and what would do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A name that is not known.
    #[error("unknown {what} \"{name}\"{}; known are {}", near(.name, .known), .known.join(", "))]
    Unknown {
        /// What it should name.
        what: String,
        /// The name.
        name: String,
        /// What is known.
        known: Vec<&'static str>,
    },
    /// A word that does not say how values become subgroups.
    #[error(
        "subgroup={word:?} is not known; write a number of values ('subgroup=5'), a time ('subgroup=1 hour', shift, day) or a \
         column ({})", .columns.join(", ")
    )]
    NoSubgroup {
        /// The word.
        word: String,
        /// Columns that make subgroups.
        columns: &'static [&'static str],
    },
    /// No model of a T² chart.
    #[error("{model:?} is no model of t2: take the column `model` of spc_limits('t2', 'characteristics=…')")]
    Model {
        /// What it is.
        model: String,
    },
    /// A text where a number should be.
    #[error("\"{text}\" is not a number")]
    NoNumber {
        /// The text.
        text: String,
    },
    /// A number that cannot be what it is for.
    #[error("{name} is {value}: it must {must}")]
    Parameter {
        /// What it is for.
        name: &'static str,
        /// The number.
        value: f64,
        /// What it must be.
        must: &'static str,
    },
    /// A value that is no finite number, or sums that are too large.
    #[error("a value is not a finite number, or too large to calculate with: leave it out, or exclude its subgroup")]
    NotFinite {
        /// The number.
        value: f64,
    },
    /// A number below 0.
    #[error("{what} of {value} is negative")]
    Negative {
        /// What it is.
        what: &'static str,
        /// The number.
        value: f64,
    },
    /// Fewer values or subgroups than the estimate needs.
    #[error("{what} needs {need} or more values that are not excluded")]
    TooFew {
        /// What needs them.
        what: &'static str,
        /// How many.
        need: usize,
    },
    /// Subgroups of one value where a spread within subgroups is needed.
    #[error("{what} needs subgroups of 2 or more values: for single values use i_mr")]
    SingleValues {
        /// What needs them.
        what: &'static str,
    },
    /// More nonconforming units than inspected ones.
    #[error(
        "{count} nonconforming units of {n} inspected: a count of units cannot be larger; for nonconformities use u"
    )]
    MoreThanInspected {
        /// The count.
        count: f64,
        /// How many were inspected.
        n: f64,
    },
    /// A range of too many values.
    #[error("a range of more than 1,000,000 values says nothing about sigma: use xbar_s or smaller subgroups")]
    RangeOfTooMany,
    /// Moving ranges asked of values in subgroups.
    #[error("mrbar_d2 is for single values, and these come in subgroups: use pooled, rbar_d2 or sbar_c4")]
    NotSingleValues,
    /// Sizes of subgroups that are not those of the values.
    #[error("subgroups of {sizes} values in all were announced, and there are {values}")]
    Sizes {
        /// How many values there are.
        values: usize,
        /// How many the sizes add up to.
        sizes: usize,
    },
    /// Specification limits the wrong way round.
    #[error("the lower specification limit {lower} is not below the upper one {upper}")]
    Crossed {
        /// The lower one.
        lower: f64,
        /// The upper one.
        upper: f64,
    },
    /// A study with too few of something.
    #[error("a study of a gage needs 2 or more of each: there are {count} {what}")]
    SmallStudy {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A study in which appraisers measured unlike numbers of parts.
    #[error("appraiser {appraiser} measured {parts} parts, and the first one {first}: all must measure the same parts")]
    UnequalParts {
        /// Who, from 1.
        appraiser: usize,
        /// How many parts.
        parts: usize,
        /// How many the first one measured.
        first: usize,
    },
    /// A study with unlike numbers of trials.
    #[error(
        "appraiser {appraiser} measured part {part} {trials} times, and the first part was measured {first} times: \
         leave trials out until all are equal"
    )]
    Unbalanced {
        /// Who, from 1.
        appraiser: usize,
        /// Which part, from 1.
        part: usize,
        /// How many trials.
        trials: usize,
        /// How many trials of the first part by the first appraiser.
        first: usize,
    },
    /// A study in which some parts were not measured by some appraisers.
    #[error("{cells} pairs of appraiser and part have {rows} rows: every appraiser must measure every part")]
    MissingCells {
        /// Appraisers times parts.
        cells: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// Linearity over one reference.
    #[error("linearity needs parts of 2 or more different references")]
    OneReference,
    /// Values that must be above 0 and are not.
    #[error("{what} needs values above 0, and the smallest is {smallest}")]
    NotPositive {
        /// What needs them.
        what: &'static str,
        /// The smallest value.
        smallest: f64,
    },
    /// Values that do not differ.
    #[error("all values are equal: {what} cannot be fitted to them")]
    AllEqual {
        /// What should have been fitted.
        what: &'static str,
    },
    /// No Johnson transformation holds all values.
    #[error("no Johnson transformation fits these values; too many of them are equal, perhaps")]
    NoTransformation,
    /// Units that lack characteristics, or have others.
    #[error("{values} values are no whole number of units with {characteristics} characteristics")]
    Characteristics {
        /// How many values there are.
        values: usize,
        /// How many characteristics.
        characteristics: usize,
    },
    /// Characteristics that do not vary freely.
    #[error("a characteristic does not vary, or follows from the others: leave it out")]
    Dependent,
    /// T² asked for as if it were of one characteristic.
    #[error("t2 is a chart of several characteristics measured together")]
    SeveralCharacteristics,
}

impl Error {
    pub(super) fn unknown(what: &str, name: &str, known: impl IntoIterator<Item = &'static str>) -> Self {
        Self::Unknown { what: what.to_owned(), name: name.to_owned(), known: known.into_iter().collect() }
    }
}

fn near(name: &str, known: &[&'static str]) -> String {
    nearest(name, known.iter().copied()).map_or(String::new(), |near| format!(" (did you mean {near}?)"))
}
