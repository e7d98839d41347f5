//! Reading a TOML table key by key. The keys asked for are the keys that exist, so an unknown one is
//! found, and its nearest neighbour named, without a second list to keep.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistakes;

/// One table of a settings file; an absent one reads as empty.
#[derive(Debug)]
pub(super) struct Section<'d> {
    name: String,
    table: Option<&'d DeTable<'d>>,
    span: Range<usize>,
    known: Vec<&'static str>,
    /// Keys that were told already.
    refused: Vec<String>,
}

impl<'d> Section<'d> {
    pub(super) fn root(document: &'d Spanned<DeTable<'d>>) -> Self {
        Self {
            name: String::new(),
            table: Some(document.get_ref()),
            span: document.span(),
            known: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Where the section stands.
    pub(super) fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// Where the value under `key` stands, or the section where there is none.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.found(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Whether the section has a value under `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.found(key).is_some()
    }

    /// Whether the file has this section.
    pub(super) fn present(&self) -> bool {
        self.table.is_some()
    }

    fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.found(key)
    }

    fn found(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.table?.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// The text under `key`.
    pub(super) fn text(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<String> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(text.clone().into_owned()),
            DeValue::String(_) => {
                mistakes.add(&value.span(), format!("`{}` is empty; give a value or remove the line", self.key(key)));
                None
            }
            other => {
                let message = format!("`{}` must be text in quotes, not {}", self.key(key), other.type_str());
                mistakes.add(&value.span(), message);
                None
            }
        }
    }

    /// Reports that what is under `key` is wrong: `what` follows the key's name.
    pub(super) fn wrong(&self, key: &str, what: &str, mistakes: &mut Mistakes<'_>) {
        mistakes.add(&self.span_of(key), format!("`{}` {what}", self.key(key)));
    }

    /// Reports a key that could be meant but is not for this section, and why; it is not proposed to anybody.
    pub(super) fn refuse(&mut self, key: &str, why: &str, mistakes: &mut Mistakes<'_>) {
        if let Some(place) = self.table.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == key)) {
            mistakes.add(&place.0.span(), format!("`{}` cannot be set: {why}", self.key(key)));
            self.refused.push(key.to_owned());
        }
    }

    /// The path under `key`.
    pub(super) fn path(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<PathBuf> {
        self.text(key, mistakes).map(PathBuf::from)
    }

    /// The whole number under `key`, within `range`.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<i64> {
        let value = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let message = format!("`{}` must be a whole number from {} to {}", self.key(key), range.start(), range.end());
        mistakes.add(&value.span(), message);
        None
    }

    /// The whole number under `key`, from `least` upwards.
    pub(super) fn count(&mut self, key: &'static str, least: i64, mistakes: &mut Mistakes<'_>) -> Option<u64> {
        self.integer(key, least.max(0)..=i64::MAX, mistakes).map(i64::unsigned_abs)
    }

    /// The list of texts under `key`.
    pub(super) fn texts(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let texts: Option<Vec<String>> = value
            .get_ref()
            .as_array()
            .and_then(|items| items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            mistakes.add(&value.span(), format!("`{}` must be a list of texts, [\"…\", \"…\"]", self.key(key)));
        }
        texts
    }

    /// The table `[key]`.
    pub(super) fn section(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Section<'d> {
        let value = self.value(key);
        let table = value.and_then(|value| value.get_ref().as_table());
        let span = value.map_or(0..0, Spanned::span);
        if value.is_some() && table.is_none() {
            mistakes.add(&span, format!("`{}` must be a section, [{}]", self.key(key), self.key(key)));
        }
        Section { name: self.key(key), table, span, known: Vec::new(), refused: Vec::new() }
    }

    /// The tables `[[key]]`.
    pub(super) fn sections(&mut self, key: &'static str, mistakes: &mut Mistakes<'_>) -> Vec<Section<'d>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let name = self.key(key);
        let tables: Option<Vec<Section<'d>>> = value.get_ref().as_array().and_then(|items| {
            let section = |item: &'d Spanned<DeValue<'d>>| {
                let table = Some(item.get_ref().as_table()?);
                Some(Section { name: name.clone(), table, span: item.span(), known: Vec::new(), refused: Vec::new() })
            };
            items.iter().map(section).collect()
        });
        if tables.is_none() {
            mistakes.add(&value.span(), format!("`{name}` must be written as sections, [[{name}]]"));
        }
        tables.unwrap_or_default()
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, mistakes: &mut Mistakes<'_>) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if self.known.iter().any(|known| *known == name) || self.refused.iter().any(|told| told == name) {
                continue;
            }
            mistakes.add(&key.span(), format!("unknown key `{}`; {}", self.key(name), self.proposal(name)));
        }
    }

    fn proposal(&self, name: &str) -> String {
        match nearest(name, self.known.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("known here are {}", self.known.join(", ")),
        }
    }
}

/// The candidate that `name` was probably meant to be.
pub(crate) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}
