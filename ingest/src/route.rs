//! Where a topic leads, looked up once per topic and feed.

use std::collections::HashMap;
use std::sync::Arc;

use oee::plant::{Format, Plant, Route};

use crate::quarantine::Refusal;

/// Topics that a feed remembers; a sender with more of them pays for the lookup.
const REMEMBERED: usize = 16_384;

/// Prefix of topics that carry records; the table follows.
pub(crate) const RECORD_TOPICS: &str = "takt/records/";

/// Where a topic leads.
#[derive(Debug)]
pub(crate) enum TopicRoute {
    /// Signals of an equipment.
    Signals {
        /// Its path.
        equipment: Box<str>,
        /// What the topic says of the signal's name.
        signal: Option<Box<str>>,
        /// How payloads are written.
        format: Format,
    },
    /// Records of a table.
    Records(Box<str>),
    /// Nowhere.
    Refused(Refusal),
}

/// Routes of the topics that a feed has seen.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: HashMap<Box<str>, Arc<TopicRoute>>,
}

impl Routes {
    pub(crate) fn of(&mut self, plant: &Plant, topic: &str) -> Arc<TopicRoute> {
        if let Some(route) = self.known.get(topic) {
            return Arc::clone(route);
        }
        let route = Arc::new(route(plant, topic));
        if self.known.len() < REMEMBERED {
            self.known.insert(topic.into(), Arc::clone(&route));
        }
        route
    }
}

fn route(plant: &Plant, topic: &str) -> TopicRoute {
    if let Some(table) = topic.strip_prefix(RECORD_TOPICS) {
        return TopicRoute::Records(table.into());
    }
    match plant.route(topic) {
        Route::Mapped { equipment, signal, format } => TopicRoute::Signals {
            equipment: equipment.into(),
            signal: signal.filter(|signal| !signal.is_empty()).map(Into::into),
            format,
        },
        Route::UnknownEquipment { equipment } => {
            let reason = format!("the topic leads to the equipment `{equipment}`, which plant.toml does not declare");
            TopicRoute::Refused(Refusal::new("unknown_equipment", with_proposal(reason, &plant.proposal(topic))))
        }
        Route::Unmapped => {
            let reason = "no [[topics]] entry of plant.toml matches this topic".to_owned();
            TopicRoute::Refused(Refusal::new("unmapped", with_proposal(reason, &plant.proposal(topic))))
        }
    }
}

fn with_proposal(reason: String, proposal: &str) -> String {
    if proposal.is_empty() { reason } else { format!("{reason}; add for example\n{}", proposal.trim_end()) }
}

/// Why rows for an equipment that the plant does not know are refused.
pub(crate) fn unknown_equipment(equipment: &str) -> Refusal {
    let reason = format!(
        "plant.toml declares no equipment `{equipment}`; add for example\n[[equipment]]\npath = \"{}\"",
        equipment.escape_default()
    );
    Refusal::new("unknown_equipment", reason)
}
