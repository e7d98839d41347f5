//! Rules that tell an unusual point from a usual one.
//!
//! A rule looks at a window of consecutive plotted points and flags its **last** one: a run of 11 where 9 are too many
//! flags the ninth, tenth and eleventh. Only full windows count, and they run on from phase I into phase II. A point
//! without a value starts every window anew; one without z does so for rules in sigmas.
//!
//! Comparisons are strict, but for what rounding does: values within 1e-9 sigma are equal. A point on the centre line
//! is on neither side and ends a run.

mod text;
mod window;

pub(super) use window::Window;

use super::Error;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    /// A point beyond this many sigmas.
    Beyond {
        /// Distance from the centre line.
        sigmas: f64,
    },
    /// Consecutive points on one side of the centre line.
    Run {
        /// How many.
        points: u32,
    },
    /// Consecutive points, each higher (or each lower) than the one before.
    Trend {
        /// How many, the first one included.
        points: u32,
    },
    /// Consecutive points that go up and down by turns.
    Alternating {
        /// How many, the first one included.
        points: u32,
    },
    /// Some of consecutive points beyond a distance on the same side, the last one among them.
    Zone {
        /// How many of them at least.
        hits: u32,
        /// Of how many.
        points: u32,
        /// Distance from the centre line.
        sigmas: f64,
    },
    /// Consecutive points within a distance on either side (stratification).
    Inside {
        /// How many.
        points: u32,
        /// Distance from the centre line.
        sigmas: f64,
    },
    /// Consecutive points beyond a distance on either side (mixture).
    Outside {
        /// How many.
        points: u32,
        /// Distance from the centre line.
        sigmas: f64,
        /// They must lie on both sides (Nelson 1984).
        both_sides: bool,
    },
    /// A point beyond its own control limits, wherever these are.
    Limits,
}

/// A test with a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Name: of its set and number, whatever its parameters.
    pub name: &'static str,
    /// What is looked for.
    pub test: Test,
}

const fn rule(name: &'static str, test: Test) -> Rule {
    Rule { name, test }
}

const BEYOND: Test = Test::Beyond { sigmas: 3.0 };
const TWO_OF_THREE: Test = Test::Zone { hits: 2, points: 3, sigmas: 2.0 };
const FOUR_OF_FIVE: Test = Test::Zone { hits: 4, points: 5, sigmas: 1.0 };
const SIX_TREND: Test = Test::Trend { points: 6 };
const FOURTEEN_ALTERNATING: Test = Test::Alternating { points: 14 };
const FIFTEEN_INSIDE: Test = Test::Inside { points: 15, sigmas: 1.0 };
const EIGHT_MIXED: Test = Test::Outside { points: 8, sigmas: 1.0, both_sides: true };

/// L. S. Nelson, "The Shewhart Control Chart: Tests for Special Causes", J. Quality Technology 16 (1984).
const NELSON: [Rule; 8] = [
    rule("N1", BEYOND),
    rule("N2", Test::Run { points: 9 }),
    rule("N3", SIX_TREND),
    rule("N4", FOURTEEN_ALTERNATING),
    rule("N5", TWO_OF_THREE),
    rule("N6", FOUR_OF_FIVE),
    rule("N7", FIFTEEN_INSIDE),
    rule("N8", EIGHT_MIXED),
];

/// Western Electric, *Statistical Quality Control Handbook* (1956).
const WESTERN_ELECTRIC: [Rule; 4] =
    [rule("W1", BEYOND), rule("W2", TWO_OF_THREE), rule("W3", FOUR_OF_FIVE), rule("W4", Test::Run { points: 8 })];

/// AIAG, *Statistical Process Control*, 2nd edition, "Summary of typical special cause criteria". The last says "either
/// side", which all on one side are too.
const AIAG: [Rule; 8] = [
    rule("A1", BEYOND),
    rule("A2", Test::Run { points: 7 }),
    rule("A3", SIX_TREND),
    rule("A4", FOURTEEN_ALTERNATING),
    rule("A5", TWO_OF_THREE),
    rule("A6", FOUR_OF_FIVE),
    rule("A7", FIFTEEN_INSIDE),
    rule("A8", Test::Outside { points: 8, sigmas: 1.0, both_sides: false }),
];

/// Montgomery, *Introduction to Statistical Quality Control*, table 6.1, the rules that can be calculated.
const MONTGOMERY: [Rule; 8] = [
    rule("M1", BEYOND),
    rule("M2", TWO_OF_THREE),
    rule("M3", FOUR_OF_FIVE),
    rule("M4", Test::Run { points: 8 }),
    rule("M5", SIX_TREND),
    rule("M6", FIFTEEN_INSIDE),
    rule("M7", FOURTEEN_ALTERNATING),
    rule("M8", EIGHT_MIXED),
];

/// Juran, *Quality Control Handbook*.
const JURAN: [Rule; 6] = [
    rule("J1", BEYOND),
    rule("J2", TWO_OF_THREE),
    rule("J3", FOUR_OF_FIVE),
    rule("J4", Test::Run { points: 9 }),
    rule("J5", SIX_TREND),
    rule("J6", EIGHT_MIXED),
];

/// The rule of companion charts, and of charts that are judged by their limits only.
const LIMITS: [Rule; 1] = [rule("limits", Test::Limits)];

const SETS: [(&str, &[Rule]); 7] = [
    ("nelson", &NELSON),
    ("western_electric", &WESTERN_ELECTRIC),
    ("aiag", &AIAG),
    ("montgomery", &MONTGOMERY),
    ("juran", &JURAN),
    ("limits", &LIMITS),
    ("none", &[]),
];

/// The longest window: its points are bits of a word.
const MAX_POINTS: u32 = 64;

/// As many as there are bits for flags.
const MAX_RULES: usize = 32;

impl Rule {
    /// # Errors
    ///
    /// Where a parameter makes no window.
    fn check(self) -> Result<Self, Error> {
        let wrong = |name, value, must| Err(Error::Parameter { name, value, must });
        let (least, points, sigmas) = match self.test {
            Test::Beyond { sigmas } => (1, 1, sigmas),
            Test::Run { points } => (2, points, 0.0),
            Test::Trend { points } => (2, points, 0.0),
            Test::Alternating { points } => (3, points, 0.0),
            Test::Zone { points, sigmas, .. } => (1, points, sigmas),
            Test::Inside { points, sigmas } | Test::Outside { points, sigmas, .. } => (1, points, sigmas),
            Test::Limits => (1, 1, 0.0),
        };
        if !(least..=MAX_POINTS).contains(&points) {
            return wrong("points of a rule", f64::from(points), "be at least 2 (3 by turns) and at most 64");
        }
        if !(sigmas >= 0.0 && sigmas.is_finite()) {
            return wrong("sigmas of a rule", sigmas, "be 0 or more");
        }
        match self.test {
            Test::Zone { hits, .. } if !(1..=points).contains(&hits) => {
                wrong("hits of a rule", f64::from(hits), "be at least 1 and at most its points")
            }
            _ => Ok(self),
        }
    }
}

/// The rules that a chart is judged by, at most 32.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    rules: Box<[Rule]>,
}

impl RuleSet {
    /// From single rules.
    ///
    /// # Errors
    ///
    /// Where a parameter makes no window, or there are more than 32.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, Error> {
        let rules = rules.into_iter().map(Rule::check).collect::<Result<Box<[Rule]>, Error>>()?;
        if rules.len() > MAX_RULES {
            let value = rules.len() as f64;
            return Err(Error::Parameter { name: "number of rules", value, must: "be at most 32" });
        }
        Ok(Self { rules })
    }

    /// No rule.
    #[must_use]
    pub fn none() -> Self {
        Self { rules: Box::new([]) }
    }

    /// The one rule of companion charts: beyond the limits.
    #[must_use]
    pub fn limits() -> Self {
        Self { rules: Box::new(LIMITS) }
    }

    /// Nelson's eight.
    #[must_use]
    pub fn nelson() -> Self {
        Self { rules: Box::new(NELSON) }
    }

    /// The rules, by their place in [`super::Flags`].
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules of these flags.
    pub fn violated(&self, flags: super::Flags) -> impl Iterator<Item = &Rule> {
        self.rules.iter().enumerate().filter(move |(place, _)| flags.contains(*place)).map(|(_, rule)| rule)
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
