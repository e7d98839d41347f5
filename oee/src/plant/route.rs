//! From a topic, or a line of line protocol, to equipment and signal.

use super::Plant;
use super::pattern::{Pattern, Template};

/// How a topic's payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A bare scalar or JSON, by looking at it.
    #[default]
    Auto,
    /// United Manufacturing Hub: JSON with `timestamp_ms`.
    Umh,
}

impl Format {
    pub(super) const WORDS: [(&'static str, Self); 2] = [("auto", Self::Auto), ("umh", Self::Umh)];
}

/// Where a topic leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To a declared equipment.
    Mapped {
        /// Its path.
        equipment: String,
        /// The signal, or the beginning of its name where payload keys follow; none: the keys alone.
        signal: Option<String>,
        /// How payloads are written.
        format: Format,
    },
    /// To an equipment that is not declared.
    UnknownEquipment {
        /// The path that the pattern gives.
        equipment: String,
    },
    /// Nowhere.
    Unmapped,
}

/// Where a line of line protocol leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineRoute {
    /// To a declared equipment.
    Mapped {
        /// Its path.
        equipment: String,
        /// The signal; none: each field key is one.
        signal: Option<String>,
    },
    /// To an equipment that is not declared.
    UnknownEquipment {
        /// The path that the mapping gives.
        equipment: String,
    },
    /// Nowhere: a tag is missing.
    Unmapped {
        /// The tag.
        missing_tag: String,
    },
}

/// One `[[topics]]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TopicMapping {
    pub(super) pattern: Pattern,
    pub(super) equipment: Template,
    pub(super) signal: Option<Template>,
    pub(super) format: Format,
}

/// One `[[line_protocol]]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LineMapping {
    pub(super) measurement: String,
    /// The tags that the templates use.
    pub(super) tags: Vec<String>,
    pub(super) equipment: Template,
    pub(super) signal: Option<Template>,
}

impl Plant {
    /// Where a topic leads: the first pattern that matches and gives a declared equipment, else UMH's own layout.
    #[must_use]
    pub fn route(&self, topic: &str) -> Route {
        let mut unknown = None;
        for mapping in &self.topics {
            let Some(captures) = mapping.pattern.captures(topic) else { continue };
            let equipment = mapping.equipment.fill(&captures, '/');
            if self.by_path.contains_key(&equipment) {
                let signal = mapping.signal.as_ref().map(|signal| signal.fill(&captures, '.'));
                return Route::Mapped { equipment, signal, format: mapping.format };
            }
            unknown.get_or_insert(equipment);
        }
        if let Some((equipment, signal)) = umh(topic) {
            if self.by_path.contains_key(&equipment) {
                return Route::Mapped { equipment, signal, format: Format::Umh };
            }
            unknown.get_or_insert(equipment);
        }
        unknown.map_or(Route::Unmapped, |equipment| Route::UnknownEquipment { equipment })
    }

    /// Where a line of line protocol leads. Without a mapping for its measurement: tag `equipment`, and tag `signal`
    /// or else the field keys.
    #[must_use]
    pub fn line_route(&self, measurement: &str, tags: &[(&str, &str)]) -> LineRoute {
        let tag = |name: &str| tags.iter().find(|(key, _)| *key == name).map(|&(_, value)| value);
        let mut missing = None;
        let mut unknown = None;
        for mapping in self.lines.iter().filter(|mapping| mapping.measurement == measurement) {
            let mut captures = Vec::with_capacity(mapping.tags.len());
            for name in &mapping.tags {
                match tag(name) {
                    Some(value) => captures.push(value),
                    None => {
                        missing.get_or_insert_with(|| name.clone());
                    }
                }
            }
            if captures.len() < mapping.tags.len() {
                continue;
            }
            let equipment = mapping.equipment.fill(&captures, '/');
            if self.by_path.contains_key(&equipment) {
                let signal = mapping.signal.as_ref().map(|signal| signal.fill(&captures, '.'));
                return LineRoute::Mapped { equipment, signal };
            }
            unknown.get_or_insert(equipment);
        }
        match (unknown, missing, tag("equipment")) {
            (Some(equipment), _, _) => LineRoute::UnknownEquipment { equipment },
            (None, Some(missing_tag), _) => LineRoute::Unmapped { missing_tag },
            (None, None, None) => LineRoute::Unmapped { missing_tag: "equipment".to_owned() },
            (None, None, Some(equipment)) if self.by_path.contains_key(equipment) => {
                LineRoute::Mapped { equipment: equipment.to_owned(), signal: tag("signal").map(str::to_owned) }
            }
            (None, None, Some(equipment)) => LineRoute::UnknownEquipment { equipment: equipment.to_owned() },
        }
    }
}

/// `umh/v1/<location path>/_contract/<tag groups and tag>`: the location is the equipment, the rest the signal.
fn umh(topic: &str) -> Option<(String, Option<String>)> {
    let rest = topic.strip_prefix("umh/v1/")?;
    let levels: Vec<&str> = rest.split('/').collect();
    let contract = levels.iter().position(|level| level.starts_with('_'))?;
    let (location, tag) = levels.split_at(contract);
    let tag = tag.get(1..).unwrap_or_default().join(".");
    (!location.is_empty()).then(|| (location.join("/"), (!tag.is_empty()).then_some(tag)))
}
