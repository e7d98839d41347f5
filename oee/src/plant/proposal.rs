//! What to write into `plant.toml` so that a topic is understood.

use std::fmt::Write as _;

use super::{Plant, Route};
use crate::path::lineage;

impl Plant {
    /// The lines of `plant.toml` that would map this topic; empty where it is mapped.
    #[must_use]
    pub fn proposal(&self, topic: &str) -> String {
        match self.route(topic) {
            Route::Mapped { .. } => String::new(),
            Route::UnknownEquipment { equipment } => self.declarations(&equipment),
            Route::Unmapped => self.mapping(topic),
        }
    }

    /// The `[[equipment]]` tables that a path needs, ancestors first.
    fn declarations(&self, equipment: &str) -> String {
        let mut missing: Vec<&str> = lineage(equipment).filter(|path| !self.by_path.contains_key(*path)).collect();
        missing.reverse();
        missing.iter().map(|path| format!("[[equipment]]\npath = {}\n", quoted(path))).collect()
    }

    fn mapping(&self, topic: &str) -> String {
        let levels: Vec<&str> = topic.split('/').collect();
        match self.best_match(&levels) {
            Some((path, start, len)) => {
                let tail = &levels[(start + len).min(levels.len())..];
                let head = levels.iter().take(start + len).map(|level| literal(level));
                let signal = if tail.is_empty() { None } else { Some("{signal...}".to_owned()) };
                let pattern = head.chain(signal).collect::<Vec<_>>().join("/");
                topic_table(&pattern, path, !tail.is_empty())
            }
            None => {
                let (signal, place) = levels.split_last().unwrap_or((&topic, &[]));
                let place: Vec<&str> = place.iter().copied().filter(|level| !level.is_empty()).collect();
                if place.is_empty() {
                    let path = self.equipment.iter().find(|e| self.children(&e.path).next().is_none());
                    let path = path.map_or("equipment", |e| e.path.as_str());
                    return format!(
                        "[[topics]]\npattern = {}\nequipment = {}\nsignal = {}\n",
                        quoted(&literal(signal)),
                        quoted(path),
                        quoted(&signal.replace(['{', '}'], "_"))
                    );
                }
                let path = place.join("/");
                let mut lines = self.declarations(&path);
                let lead = if topic.starts_with('/') { "/" } else { "" };
                let levels: Vec<String> = place.iter().map(|level| literal(level)).collect();
                lines.push_str(&topic_table(&format!("{lead}{}/{{signal...}}", levels.join("/")), &path, true));
                lines
            }
        }
    }

    /// The equipment whose last path levels stand in the topic: the most levels, then the longest path.
    fn best_match(&self, levels: &[&str]) -> Option<(&str, usize, usize)> {
        let mut best: Option<(&str, usize, usize)> = None;
        for equipment in &self.equipment {
            let own: Vec<&str> = equipment.path.split('/').collect();
            for len in 1..=own.len().min(levels.len()) {
                let suffix = &own[own.len() - len..];
                let Some(start) = levels.windows(len).position(|window| window == suffix) else { continue };
                let rank = |found: &(&str, usize, usize)| (found.2, found.0.len());
                let found = (equipment.path.as_str(), start, len);
                if best.as_ref().is_none_or(|best| rank(&found) > rank(best)) {
                    best = Some(found);
                }
            }
        }
        best
    }
}

fn topic_table(pattern: &str, equipment: &str, signal: bool) -> String {
    let mut lines = format!("[[topics]]\npattern = {}\nequipment = {}\n", quoted(pattern), quoted(equipment));
    if signal {
        lines.push_str("signal = \"{signal}\"\n");
    }
    lines
}

/// A level as a pattern takes it: one that looks like a capture or wildcard becomes `+`.
fn literal(level: &str) -> String {
    if level.contains(['{', '}', '+', '#']) { "+".to_owned() } else { level.to_owned() }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
