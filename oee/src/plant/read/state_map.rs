//! `[state_maps.<name>]`.

use toml::Spanned;
use toml::de::DeValue;

use crate::plant::document::{Section, mismatch, text_of};
use crate::plant::draft::StateDraft;
use crate::plant::mistake::{Located, Mistakes, nearest};
use crate::state::Category;

pub(super) fn state_maps(
    root: &mut Section<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<(Located<String>, Vec<StateDraft>)> {
    let Some(maps) = root.table("state_maps", mistakes) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, entry) in maps.entries() {
        let title = format!("[state_maps.{}]", name.value);
        let Some(table) = entry.get_ref().as_table() else {
            mismatch(&name.value, "a table of states", entry, mistakes);
            continue;
        };
        let map = Section::new(&title, name.at, table);
        let states = map.entries().filter_map(|(value, entry)| state(value.value, entry, mistakes)).collect();
        found.push((name, states));
    }
    found
}

/// The category that a bare word stands for. A stop's comes from its reason, and is unplanned without one.
fn word(state: &str) -> Option<Option<Category>> {
    match state {
        "stop" => Some(None),
        name => Category::from_name(name).map(Some),
    }
}

fn state(value: String, entry: &Spanned<DeValue<'_>>, mistakes: &mut Mistakes<'_>) -> Option<StateDraft> {
    if let Some(text) = text_of(entry) {
        let category = known(&text, mistakes)?;
        return Some(StateDraft { value, state: text.value, category, reason: None });
    }
    let Some(table) = entry.get_ref().as_table() else {
        mismatch(&value, "\"run\", \"stop\" or a table with state, category and reason", entry, mistakes);
        return None;
    };
    let mut section = Section::new(&format!("state `{value}`"), entry.span().start, table);
    let state = section.text("state", mistakes);
    let categories = Category::ALL.map(|category| (category.name(), category));
    let category = section.word("category", &categories, mistakes);
    let reason = section.text("reason", mistakes);
    section.finish(mistakes);
    let category = match (&state, &category, &reason) {
        (_, Some(category), _) => Some(category.value),
        (Some(state), None, reason) => match (word(&state.value), reason) {
            (Some(category), _) => category,
            (None, Some(_)) => None,
            (None, None) => known(state, mistakes)?,
        },
        (None, None, Some(_)) => None,
        (None, None, None) => {
            let remedy = "write { state = \"stop\", reason = \"…\" } or give a category";
            mistakes.add(entry.span().start, format!("state `{value}` says nothing"), remedy);
            return None;
        }
    };
    let default_name = category.map_or("stop", Category::name);
    Some(StateDraft { value, state: state.map_or_else(|| default_name.to_owned(), |s| s.value), category, reason })
}

/// The category of a bare word; a word that is none is a mistake.
fn known(text: &Located<String>, mistakes: &mut Mistakes<'_>) -> Option<Option<Category>> {
    let category = word(&text.value);
    if category.is_none() {
        let words = Category::ALL.map(Category::name).into_iter().chain(["stop"]);
        let near = nearest(&text.value, words).map_or(String::new(), |near| format!("did you mean `{near}`? "));
        let message = format!("`{}` is neither run nor stop", text.value);
        let remedy = format!("{near}Write {{ state = \"{}\", category = \"unplanned\" }} to keep the name", text.value);
        mistakes.add(text.at, message, remedy);
    }
    category
}
