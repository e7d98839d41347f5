//! What the result of an execution says of the pieces it made.

/// What a result means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are good.
    Pass,
    /// They are scrapped.
    Fail,
    /// They are sent to rework.
    Rework,
}

impl Verdict {
    /// Its names in `plant.toml`.
    pub const WORDS: [(&'static str, Self); 3] = [("pass", Self::Pass), ("fail", Self::Fail), ("rework", Self::Rework)];

    /// What common words mean, in any case of letters; a plant says itself what others mean.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word.to_lowercase().as_str() {
            "pass" | "passed" | "ok" | "good" | "true" | "1" => Some(Self::Pass),
            "fail" | "failed" | "nok" | "ng" | "nio" | "bad" | "scrap" | "scrapped" | "false" | "0" => Some(Self::Fail),
            "rework" | "repair" => Some(Self::Rework),
            _ => None,
        }
    }
}
