//! State maps: from a signal's value, or a state's name in a record, to what it means for time.

use std::collections::HashMap;
use std::sync::Arc;

use super::Plant;
use crate::state::{Category, StateValue};

/// A state after the plant's map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedState {
    /// Name: `run`, `stop`, or the plant's own.
    pub state: String,
    /// What it means for time.
    pub category: Category,
    /// Reason code that comes with it.
    pub reason: Option<String>,
}

pub(super) type StateMap = HashMap<String, MappedState>;

/// The text under which a numeric value stands in a state map: `6`, not `6.0`.
#[must_use]
pub fn value_text(value: f64) -> String {
    // Within the integers that a double holds exactly; beyond, and for fractions, the shortest exact form.
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        format!("{value:.0}")
    } else {
        value.to_string()
    }
}

fn common(state: &str, category: Category) -> MappedState {
    MappedState { state: state.to_owned(), category, reason: None }
}

/// What is understood without a state map.
fn common_states() -> StateMap {
    let words = [
        ("run", Category::Run, &["run", "running", "execute", "producing", "true", "on", "1"][..]),
        ("stop", Category::Unplanned, &["stop", "stopped", "down", "false", "off", "0"][..]),
        ("changeover", Category::Changeover, &["changeover", "setup"][..]),
        ("planned", Category::Planned, &["planned"][..]),
        ("unplanned", Category::Unplanned, &["unplanned"][..]),
        ("no_order", Category::NoOrder, &["no_order"][..]),
    ];
    let entries = words
        .iter()
        .flat_map(|(state, category, words)| words.iter().map(|word| ((*word).to_owned(), common(state, *category))));
    entries.collect()
}

/// State maps that every plant has unless it declares others of their names.
pub(super) const STANDARD: [&str; 2] = ["packml", "semi_e10"];

/// PackML's StateCurrent (ISA-TR88.00.02) by number and by name. Only EXECUTE and COMPLETING make anything; IDLE and COMPLETE wait
/// for the next order. UNDEFINED, 0, is unknown.
fn packml() -> StateMap {
    use Category::{Changeover, NoOrder, Run, Unplanned};
    let states = [
        ("1", "CLEARING", Unplanned),
        ("2", "STOPPED", Unplanned),
        ("3", "STARTING", Unplanned),
        ("4", "IDLE", NoOrder),
        ("5", "SUSPENDED", Unplanned),
        ("6", "EXECUTE", Run),
        ("7", "STOPPING", Unplanned),
        ("8", "ABORTING", Unplanned),
        ("9", "ABORTED", Unplanned),
        ("10", "HOLDING", Unplanned),
        ("11", "HELD", Unplanned),
        ("12", "UNHOLDING", Unplanned),
        ("13", "SUSPENDING", Unplanned),
        ("14", "UNSUSPENDING", Unplanned),
        ("15", "RESETTING", Changeover),
        ("16", "COMPLETING", Run),
        ("17", "COMPLETE", NoOrder),
    ];
    by_words(states.iter().map(|(number, state, category)| ([*number, *state], *category)))
}

/// The six basic states of SEMI E10 by name and abbreviation.
fn semi_e10() -> StateMap {
    use Category::{NoOrder, Planned, Run, Unplanned};
    let states = [
        ("PRD", "PRODUCTIVE", Run),
        ("SBY", "STANDBY", NoOrder),
        ("ENG", "ENGINEERING", Planned),
        ("SDT", "SCHEDULED_DOWNTIME", Planned),
        ("UDT", "UNSCHEDULED_DOWNTIME", Unplanned),
        ("NST", "NON_SCHEDULED", Planned),
    ];
    by_words(states.iter().map(|(short, state, category)| ([*short, *state], *category)))
}

/// States under two words each, the second of which is their name; names are found in lower case too.
fn by_words<'a>(states: impl Iterator<Item = ([&'a str; 2], Category)>) -> StateMap {
    let entries = states.flat_map(|(words, category)| {
        let [_, name] = words;
        let lower = words.map(str::to_lowercase);
        words.map(str::to_owned).into_iter().chain(lower).map(move |word| (word, common(name, category)))
    });
    entries.collect()
}

/// What is there without being declared.
pub(super) fn standard_maps() -> [(String, StateMap); 3] {
    let [packml_name, semi_name] = STANDARD.map(str::to_owned);
    [(COMMON.to_owned(), common_states()), (packml_name, packml()), (semi_name, semi_e10())]
}

/// Name in `state_maps` of what is understood without one; no plant file can use it.
pub(super) const COMMON: &str = "";

impl Plant {
    /// What a state means: `value` is the text of a signal's value ([`value_text`]) or the name in a record.
    ///
    /// Truth values are found under `true`/`false` and under `1`/`0`. Without a state map a few common words count.
    #[must_use]
    pub fn state(&self, equipment: &str, value: &str) -> Option<&MappedState> {
        let name = self.nearest(equipment).and_then(|e| e.state_map.as_deref()).unwrap_or(COMMON);
        let map = self.state_maps.get(name)?;
        let other = match value {
            // Numbers of a standard are no truth values.
            _ if STANDARD.contains(&name) => "",
            "1" => "true",
            "0" => "false",
            "true" => "1",
            "false" => "0",
            _ => "",
        };
        map.get(value).or_else(|| map.get(other)).or_else(|| map.get(&value.to_lowercase()))
    }

    /// A state with its category and reason: what a record says itself comes first, then its reason's category,
    /// then the state map, then the common words. A stop for a reason that nobody declared is unplanned; a state that
    /// nobody knows is unknown.
    #[must_use]
    pub fn classify(
        &self,
        equipment: &str,
        state: Option<&str>,
        category: Option<&str>,
        reason: Option<&str>,
    ) -> StateValue {
        let has_map = self.nearest(equipment).is_some_and(|e| e.state_map.is_some());
        // A number that a state map does not list is unknown; the common words are understood beside any map.
        let is_word = |state: &str| !has_map || state.parse::<f64>().is_err();
        let common = |state: &str| {
            let map = self.state_maps.get(COMMON).filter(|_| is_word(state))?;
            map.get(&state.to_lowercase())
        };
        let mapped = state.and_then(|state| self.state(equipment, state).or_else(|| common(state)));
        let reason = reason.or_else(|| mapped.and_then(|mapped| mapped.reason.as_deref()));
        let stopped = mapped.is_none_or(|mapped| mapped.category != Category::Run);
        let said = category.and_then(Category::from_name);
        let by_reason = || reason.filter(|_| stopped).and_then(|reason| self.reason_category(reason));
        // A reason alone tells that the equipment stands.
        let unnamed = || (state.is_none() && reason.is_some()).then_some(Category::Unplanned);
        let category = said.or_else(by_reason).or_else(|| mapped.map(|mapped| mapped.category)).or_else(unnamed);
        let name = mapped.map(|mapped| mapped.state.as_str()).or(state);
        let name = name.or_else(|| category.map(Category::name)).unwrap_or("unknown");
        StateValue::new(name, category, reason.map(Arc::from))
    }
}

#[cfg(test)]
mod tests;
