//! Conditions on a signal: `above`, `below` or `equals`, and `running = { … }` of a signal.

use super::super::document::Section;
use super::super::draft::micros;
use super::super::mistake::{Located, Mistakes};
use super::super::{Role, StateRule};
use crate::condition::Condition;

const EXAMPLE: &str = "{ above = 5.0, for_s = 10 }";

/// What has to last longer is no flicker.
const LONGEST_S: f64 = 300.0;

/// The condition of a section. To be read when all its other keys were.
pub(super) fn condition(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<Condition> {
    let above = section.number("above", mistakes);
    let below = section.number("below", mistakes);
    let equals = section.scalar("equals", mistakes);
    let given: Vec<(&str, usize)> = [
        ("above", above.as_ref().map(|number| number.at)),
        ("below", below.as_ref().map(|number| number.at)),
        ("equals", equals.as_ref().map(|text| text.at)),
    ]
    .into_iter()
    .filter_map(|(key, at)| Some((key, at?)))
    .collect();
    if let [(first, _), (second, at), ..] = given.as_slice() {
        let message = format!("{} has both `{first}` and `{second}`", section.title());
        mistakes.add(*at, message, "keep one of `above`, `below` and `equals`");
        return None;
    }
    // A key that is misspelled, or has a value of the wrong type, is a mistake by itself.
    if given.is_empty() && section.is_understood() && !["above", "below", "equals"].iter().any(|key| section.has(key)) {
        let message = format!("{} says no condition", section.title());
        mistakes.absent(section.at, message, "add above = …, below = … or equals = …");
    }
    let above = above.map(|limit| Condition::Above(limit.value));
    let below = || below.map(|limit| Condition::Below(limit.value));
    above.or_else(below).or_else(|| equals.map(|wanted| Condition::Equals(wanted.value)))
}

pub(super) fn running(
    section: &mut Section<'_>,
    role: Option<Role>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Located<StateRule>> {
    let mut table = section.inline_table("running", EXAMPLE, mistakes)?;
    let at = table.at;
    let for_s = table.number("for_s", mistakes);
    let condition = condition(&mut table, mistakes);
    table.finish(mistakes);
    if let Some(for_s) = for_s.as_ref().filter(|for_s| !(0.0..=LONGEST_S).contains(&for_s.value)) {
        let remedy =
            format!("write seconds from 0 to {LONGEST_S}; short stops are the matter of microstop_threshold_s");
        mistakes.add(for_s.at, format!("`for_s` is {}", for_s.value), remedy);
    }
    if role != Some(Role::State) {
        mistakes.add(at, "`running` tells states, and this signal is not bound to them", "add role = \"state\"");
    }
    let for_us = for_s.map_or(0, |for_s| micros(for_s.value));
    Some(Located { value: StateRule { condition: condition?, for_us }, at })
}
