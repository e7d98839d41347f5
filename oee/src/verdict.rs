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

    /// What common words mean, in any case of letters; a plant says itself what others mean. Numbers are none of them: 0 is
    /// good on one station and bad on the next.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word.to_lowercase().as_str() {
            "pass" | "passed" | "ok" | "io" | "good" => Some(Self::Pass),
            "fail" | "failed" | "nok" | "nio" | "ng" | "bad" | "scrap" | "scrapped" => Some(Self::Fail),
            "rework" | "repair" => Some(Self::Rework),
            _ => None,
        }
    }
}
