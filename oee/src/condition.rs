//! Conditions on a signal's value, as `plant.toml` writes them: above, below, equal to.

use crate::track::Reading;

/// What a value has to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// A number above this one.
    Above(f64),
    /// A number below this one.
    Below(f64),
    /// This text; a number or truth value by its text, as state maps name it ([`crate::plant::value_text`]).
    Equals(String),
}

impl Condition {
    /// Whether it holds; none where the sample tells nothing: it is bad, or not of the kind that the condition is about.
    #[must_use]
    pub fn holds(&self, reading: &Reading<'_>) -> Option<bool> {
        let said = reading.state()?;
        let number = || reading.value.filter(|value| reading.text.is_none() && value.is_finite());
        match self {
            Self::Above(limit) => number().map(|value| value > *limit),
            Self::Below(limit) => number().map(|value| value < *limit),
            Self::Equals(wanted) => Some(truth(&said) == truth(wanted)),
        }
    }
}

/// Truth values come as words or as numbers.
fn truth(text: &str) -> &str {
    match text {
        "true" => "1",
        "false" => "0",
        other => other,
    }
}

#[cfg(test)]
mod tests;
