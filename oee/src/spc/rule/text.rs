//! Rules as text: read from SQL, and said in words.

use std::fmt;

use super::{Rule, RuleSet, SETS, Test};
use crate::spc::Error;

impl Rule {
    /// What it says, in words, with its parameters.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.test {
            Test::Beyond { sigmas } => format!("a point more than {sigmas} sigma from the centre line"),
            Test::Run { points } => format!("{points} points in a row on one side of the centre line"),
            Test::Trend { points } => format!("{points} points in a row all rising or all falling"),
            Test::Alternating { points } => format!("{points} points in a row alternating up and down"),
            Test::Zone { hits, points, sigmas } => {
                let of = if hits == points { format!("{points} points in a row") } else { of(hits, points) };
                format!("{of} more than {sigmas} sigma from the centre line on the same side")
            }
            Test::Inside { points, sigmas } => {
                format!("{points} points in a row within {sigmas} sigma of the centre line")
            }
            Test::Outside { points, sigmas, both_sides } => {
                let sides = if both_sides { "on both sides" } else { "on either side" };
                format!("{points} points in a row more than {sigmas} sigma from the centre line, {sides}")
            }
            Test::Limits => "a point beyond its control limits".to_owned(),
        }
    }

    /// The same rule with other parameters, in the order in which its text has them.
    fn with(self, arguments: &[(Option<&str>, f64)]) -> Result<Self, Error> {
        let mut parameters = self.parameters();
        for (place, (name, value)) in arguments.iter().enumerate() {
            let known = parameters.len();
            let place = match name {
                Some(name) => parameters.iter().position(|(known, _)| known == name),
                None => Some(place).filter(|place| *place < known),
            };
            let Some((_, parameter)) = place.and_then(|place| parameters.get_mut(place)) else {
                let names: Vec<&str> = self.parameters().into_iter().map(|(name, _)| name).collect();
                let asked = name.map_or_else(|| format!("number {}", arguments.len()), str::to_owned);
                return Err(Error::unknown(&format!("parameter of {}", self.name), &asked, names));
            };
            *parameter = *value;
        }
        let value = |place: usize| parameters.get(place).map_or(0.0, |(_, value)| *value);
        let test = match self.test {
            Test::Beyond { .. } => Test::Beyond { sigmas: value(0) },
            Test::Run { .. } => Test::Run { points: whole(value(0))? },
            Test::Trend { .. } => Test::Trend { points: whole(value(0))? },
            Test::Alternating { .. } => Test::Alternating { points: whole(value(0))? },
            Test::Zone { .. } => Test::Zone { hits: whole(value(0))?, points: whole(value(1))?, sigmas: value(2) },
            Test::Inside { .. } => Test::Inside { points: whole(value(0))?, sigmas: value(1) },
            Test::Outside { both_sides, .. } => {
                Test::Outside { points: whole(value(0))?, sigmas: value(1), both_sides }
            }
            Test::Limits => Test::Limits,
        };
        Ok(Self { test, ..self })
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        match self.test {
            Test::Beyond { sigmas } => vec![("sigmas", sigmas)],
            Test::Run { points } | Test::Trend { points } | Test::Alternating { points } => {
                vec![("points", f64::from(points))]
            }
            Test::Zone { hits, points, sigmas } => {
                vec![("hits", f64::from(hits)), ("points", f64::from(points)), ("sigmas", sigmas)]
            }
            Test::Inside { points, sigmas } | Test::Outside { points, sigmas, .. } => {
                vec![("points", f64::from(points)), ("sigmas", sigmas)]
            }
            Test::Limits => Vec::new(),
        }
    }
}

fn of(hits: u32, points: u32) -> String {
    format!("{hits} of {points} points in a row")
}

fn whole(value: f64) -> Result<u32, Error> {
    if value.fract() == 0.0 && (0.0..=1_000_000.0).contains(&value) {
        return Ok(value as u32);
    }
    Err(Error::Parameter { name: "number of points of a rule", value, must: "be a whole number" })
}

/// As [`RuleSet::parse`] reads it: `N5(2,3,2)`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let values: Vec<String> = self.parameters().into_iter().map(|(_, value)| value.to_string()).collect();
        if values.is_empty() { Ok(()) } else { write!(f, "({})", values.join(",")) }
    }
}

/// As [`RuleSet::parse`] reads it.
impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rules.is_empty() {
            return f.write_str("none");
        }
        let rules: Vec<String> = self.rules.iter().map(Rule::to_string).collect();
        f.write_str(&rules.join(","))
    }
}

impl RuleSet {
    /// From text: names of sets (`nelson`, `western_electric`, `aiag`, `montgomery`, `juran`, `limits`, `none`) and of
    /// single rules, with parameters where they are not to be the usual ones, separated by commas: `nelson`,
    /// `N1,N2(8),W2`, `N5(hits=3,points=4)`. Parameters are in the order hits, points, sigmas, as far as a rule has
    /// them.
    ///
    /// # Errors
    ///
    /// Where a name is not known, with the known ones; where a parameter is no number or makes no window.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut rules: Vec<Rule> = Vec::new();
        for item in items(text) {
            match SETS.iter().find(|(name, _)| *name == item) {
                Some((_, set)) => rules.extend_from_slice(set),
                None => rules.push(single(item)?),
            }
        }
        Self::new(rules)
    }
}

/// Split at commas outside of brackets.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let split = text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    split.map(str::trim).filter(|item| !item.is_empty())
}

fn single(item: &str) -> Result<Rule, Error> {
    let (name, arguments) = item.strip_suffix(')').and_then(|item| item.split_once('(')).unwrap_or((item, ""));
    let name = name.trim();
    let known = || SETS.iter().flat_map(|(_, set)| set.iter());
    let Some(rule) = known().find(|rule| rule.name == name) else {
        let sets = SETS.iter().map(|(name, _)| *name);
        return Err(Error::unknown("rule or set of rules", name, sets.chain(known().map(|rule| rule.name))));
    };
    let arguments = arguments.split(',').map(str::trim).filter(|argument| !argument.is_empty());
    let arguments = arguments.map(argument).collect::<Result<Vec<_>, Error>>()?;
    rule.with(&arguments)
}

fn argument(text: &str) -> Result<(Option<&str>, f64), Error> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (Some(name.trim()), value.trim()),
        None => (None, text),
    };
    let number = value.parse().map_err(|_| Error::NoNumber { text: value.to_owned() })?;
    Ok((name, number))
}
