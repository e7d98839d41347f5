//! A plant file as read, with places, before it is known to be without mistakes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::mistake::Located;
use super::pattern::Template;
use super::route::{LineMapping, TopicMapping};
use super::state_map::{MappedState, StateMap, standard_maps};
use super::{Characteristic, Equipment, Level, Plant, Product, Reason, ReasonRule, Rollup, SignalDef, listed_name};
use crate::SECOND_US;
use crate::calendar::{Calendar, ShiftPattern, instant};
use crate::condition::Condition;
use crate::energy::Rates;
use crate::path::{lineage, parent};
use crate::state::{Category, RecordKind};
use crate::verdict::Verdict;

/// Unplanned stops shorter than this are micro-stops, unless the plant says otherwise.
pub(super) const MICROSTOP_THRESHOLD_S: f64 = 120.0;

/// A zone that was found.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) zone: TimeZone,
}

#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    pub(super) zone: Option<Zone>,
    pub(super) microstop_threshold_s: Option<f64>,
    pub(super) startup_s: Option<f64>,
    pub(super) energy_price_per_kwh: Option<f64>,
    pub(super) equipment: Vec<EquipmentDraft>,
    pub(super) topics: Vec<(TopicMapping, Located<String>)>,
    pub(super) lines: Vec<(LineMapping, Located<String>)>,
    pub(super) signals: Vec<SignalDraft>,
    pub(super) state_maps: Vec<(Located<String>, Vec<StateDraft>)>,
    pub(super) calendars: Vec<(Located<String>, Vec<ShiftDraft>)>,
    pub(super) products: Vec<ProductDraft>,
    pub(super) characteristics: Vec<CharacteristicDraft>,
    pub(super) reasons: Vec<ReasonDraft>,
    pub(super) reason_rules: Vec<ReasonRuleDraft>,
}

#[derive(Debug)]
pub(super) struct EquipmentDraft {
    pub(super) path: Located<String>,
    pub(super) level: Option<Level>,
    pub(super) name: Option<String>,
    pub(super) zone: Option<Zone>,
    pub(super) calendar: Option<Located<String>>,
    pub(super) rollup: Rollup,
    pub(super) default_product: Option<Located<String>>,
    pub(super) state_map: Option<Located<String>>,
    pub(super) state_source: Option<Located<String>>,
    pub(super) state_kind: Option<RecordKind>,
    pub(super) count_source: Option<Located<String>>,
    pub(super) results: Option<BTreeMap<String, Verdict>>,
    pub(super) microstop_threshold_s: Option<f64>,
    pub(super) startup_s: Option<f64>,
    pub(super) cost_per_hour: Option<Located<f64>>,
    pub(super) energy_price_per_kwh: Option<f64>,
}

#[derive(Debug)]
pub(super) struct SignalDraft {
    pub(super) equipment: Located<String>,
    pub(super) signal: Located<String>,
    pub(super) def: SignalDef,
    /// Where its rule stands.
    pub(super) running_at: Option<usize>,
}

#[derive(Debug)]
pub(super) struct StateDraft {
    pub(super) value: String,
    pub(super) state: String,
    /// None where the category is that of the reason.
    pub(super) category: Option<Category>,
    pub(super) reason: Option<Located<String>>,
}

#[derive(Debug)]
pub(super) struct ShiftDraft {
    pub(super) at: usize,
    pub(super) pattern: ShiftPattern,
    pub(super) break_places: Vec<usize>,
}

/// When a cycle time begins to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValidFrom {
    /// In the zone of the equipment it holds for.
    Local(DateTime),
    Instant(i64),
}

#[derive(Debug)]
pub(super) struct ProductDraft {
    pub(super) product: Located<String>,
    pub(super) name: Option<String>,
    pub(super) ideal_cycle_s: Option<f64>,
    pub(super) planned_scrap_ratio: Option<f64>,
    pub(super) equipment: Option<Located<String>>,
    pub(super) valid_from: Option<ValidFrom>,
}

#[derive(Debug)]
pub(super) struct CharacteristicDraft {
    pub(super) at: usize,
    pub(super) product: Option<Located<String>>,
    pub(super) characteristic: Characteristic,
}

#[derive(Debug)]
pub(super) struct ReasonDraft {
    pub(super) reason: Located<String>,
    pub(super) name: Option<String>,
    pub(super) parent: Option<Located<String>>,
    pub(super) category: Option<Category>,
}

#[derive(Debug)]
pub(super) struct ReasonRuleDraft {
    pub(super) equipment: Located<String>,
    pub(super) signal: Located<String>,
    pub(super) condition: Condition,
    pub(super) reason: Located<String>,
}

impl ReasonRuleDraft {
    fn rule(self) -> ReasonRule {
        ReasonRule {
            equipment: self.equipment.value,
            signal: self.signal.value,
            condition: self.condition,
            reason: self.reason.value,
        }
    }
}

/// Whether a template can lead to this equipment.
pub(super) fn leads_to(template: &Template, equipment: &EquipmentDraft) -> bool {
    template.could_give(&equipment.path.value)
}

pub(super) fn micros(seconds: f64) -> i64 {
    (seconds * SECOND_US as f64).round() as i64
}

impl Draft {
    /// The first value that an equipment or its ancestors declare.
    fn inherited<'a, T>(
        &'a self,
        by_path: &HashMap<&str, usize>,
        path: &str,
        value: impl Fn(&'a EquipmentDraft) -> Option<T>,
    ) -> Option<T> {
        let nodes = lineage(path).filter_map(|path| by_path.get(path)).filter_map(|&i| self.equipment.get(i));
        nodes.into_iter().find_map(value)
    }

    /// The category of a reason: its own, or that of the nearest reason above it.
    pub(super) fn reason_category(&self, reason: &str) -> Option<Category> {
        let find = |name: &str| self.reasons.iter().find(|reason| reason.reason.value == name);
        let mut current = find(reason);
        // No chain is longer than the list, unless it goes in a circle.
        for _ in 0..=self.reasons.len() {
            let reason = current?;
            if reason.category.is_some() {
                return reason.category;
            }
            current = reason.parent.as_ref().and_then(|parent| find(&parent.value));
        }
        None
    }

    /// The plant; none where something that it cannot do without is missing, which is then a mistake as well.
    pub(super) fn build(self, text: &str) -> Option<Plant> {
        let zone = self.zone.clone()?;
        let by_path: HashMap<&str, usize> =
            self.equipment.iter().enumerate().map(|(i, e)| (e.path.value.as_str(), i)).collect();
        let mut calendars: Vec<(String, Arc<Calendar>)> = Vec::new();
        let mut equipment = Vec::with_capacity(self.equipment.len());
        for draft in &self.equipment {
            equipment.push(self.resolve(draft, &by_path, &zone, &mut calendars));
        }
        let above: HashSet<&str> = by_path.keys().filter_map(|path| parent(path)).collect();
        for equipment in &mut equipment {
            equipment.is_machine = is_machine(equipment.level, above.contains(equipment.path.as_str()));
        }
        let mut signals: HashMap<String, HashMap<String, SignalDef>> = HashMap::new();
        for draft in &self.signals {
            let of_node = signals.entry(draft.equipment.value.clone()).or_default();
            of_node.insert(draft.signal.value.clone(), draft.def.clone());
        }
        let products = self.products.iter().map(|draft| self.product(draft, &by_path, &zone)).collect();
        let by_path = by_path.into_iter().map(|(path, i)| (path.to_owned(), i)).collect();
        Some(Plant {
            text: text.into(),
            state_maps: self.state_maps(),
            reasons: self.reasons.iter().filter_map(|draft| self.reason(draft)).collect(),
            reason_rules: self.reason_rules.into_iter().map(ReasonRuleDraft::rule).collect(),
            name: self.name,
            zone: zone.zone,
            zone_name: zone.name,
            equipment,
            by_path,
            topics: self.topics.into_iter().map(|(mapping, _)| mapping).collect(),
            lines: self.lines.into_iter().map(|(mapping, _)| mapping).collect(),
            signals,
            undeclared: SignalDef::default(),
            products,
            characteristics: self.characteristics.into_iter().map(|draft| draft.characteristic).collect(),
            calendars,
        })
    }

    fn resolve(
        &self,
        draft: &EquipmentDraft,
        by_path: &HashMap<&str, usize>,
        plant_zone: &Zone,
        calendars: &mut Vec<(String, Arc<Calendar>)>,
    ) -> Equipment {
        let path = draft.path.value.as_str();
        let text = |value: fn(&EquipmentDraft) -> &Option<Located<String>>| {
            self.inherited(by_path, path, |e| value(e).as_ref().map(|text| text.value.clone()))
        };
        let zone = self.inherited(by_path, path, |e| e.zone.as_ref()).unwrap_or(plant_zone);
        let calendar = text(|e| &e.calendar);
        let declared = calendar.as_deref().and_then(|name| self.calendars.iter().find(|(c, _)| c.value == name));
        let shifts = match declared {
            None => Arc::new(Calendar::continuous(zone.zone.clone())),
            Some((name, shifts)) => {
                let listed = listed_name(&name.value, &zone.name, &plant_zone.name);
                let known =
                    calendars.iter().find(|(name, _)| *name == listed).map(|(_, calendar)| Arc::clone(calendar));
                known.unwrap_or_else(|| {
                    let patterns = shifts.iter().map(|shift| shift.pattern.clone()).collect();
                    let calendar = Arc::new(Calendar::new(zone.zone.clone(), patterns));
                    calendars.push((listed, Arc::clone(&calendar)));
                    calendar
                })
            }
        };
        let threshold_s = self.inherited(by_path, path, |e| e.microstop_threshold_s).or(self.microstop_threshold_s);
        let startup_s = self.inherited(by_path, path, |e| e.startup_s).or(self.startup_s);
        let price = self.inherited(by_path, path, |e| e.energy_price_per_kwh).or(self.energy_price_per_kwh);
        let rates =
            Rates { cost_per_hour: draft.cost_per_hour.as_ref().map(|cost| cost.value), energy_price_per_kwh: price };
        Equipment {
            is_machine: false,
            rates,
            path: path.to_owned(),
            name: draft.name.clone(),
            level: draft.level,
            rollup: draft.rollup,
            zone_name: zone.name.clone(),
            calendar,
            default_product: text(|e| &e.default_product),
            state_map: text(|e| &e.state_map),
            state_kind: self.inherited(by_path, path, |e| e.state_kind).unwrap_or_default(),
            microstop_threshold_us: micros(threshold_s.unwrap_or(MICROSTOP_THRESHOLD_S)),
            startup_us: micros(startup_s.unwrap_or(0.0)),
            state_source: text(|e| &e.state_source),
            count_source: text(|e| &e.count_source),
            results: self.inherited(by_path, path, |e| e.results.clone()).unwrap_or_default(),
            shifts,
        }
    }

    fn product(&self, draft: &ProductDraft, by_path: &HashMap<&str, usize>, plant_zone: &Zone) -> Product {
        let place = draft.equipment.as_ref().map(|equipment| equipment.value.as_str());
        let zone = place.and_then(|path| self.inherited(by_path, path, |e| e.zone.as_ref())).unwrap_or(plant_zone);
        Product {
            product: draft.product.value.clone(),
            name: draft.name.clone(),
            ideal_cycle_s: draft.ideal_cycle_s,
            planned_scrap_ratio: draft.planned_scrap_ratio,
            equipment: place.map(str::to_owned),
            valid_from: draft.valid_from.map(|from| match from {
                ValidFrom::Local(local) => instant(&zone.zone, local.date(), local.time()),
                ValidFrom::Instant(instant) => instant,
            }),
        }
    }

    fn reason(&self, draft: &ReasonDraft) -> Option<(String, Reason)> {
        let reason = Reason {
            reason: draft.reason.value.clone(),
            name: draft.name.clone(),
            parent: draft.parent.as_ref().map(|parent| parent.value.clone()),
            category: self.reason_category(&draft.reason.value)?,
        };
        Some((reason.reason.clone(), reason))
    }

    fn state_maps(&self) -> HashMap<String, StateMap> {
        let state = |draft: &StateDraft| {
            let reason = draft.reason.as_ref().map(|reason| reason.value.clone());
            let by_reason = reason.as_deref().and_then(|reason| self.reason_category(reason));
            let category = draft.category.or(by_reason).unwrap_or(Category::Unplanned);
            (draft.value.clone(), MappedState { state: draft.state.clone(), category, reason })
        };
        let declared =
            self.state_maps.iter().map(|(name, states)| (name.value.clone(), states.iter().map(state).collect()));
        // What is declared comes later and so takes the place of a standard one.
        standard_maps().into_iter().chain(declared).collect()
    }

    /// Whether some equipment is the parent of another.
    pub(super) fn has_children(&self, path: &str) -> bool {
        self.equipment.iter().any(|e| parent(&e.path.value) == Some(path))
    }
}

/// Whether a node is a machine: a leaf of the tree, or one that says of itself that it is a work unit.
pub(super) fn is_machine(level: Option<Level>, has_children: bool) -> bool {
    level == Some(Level::WorkUnit) || !has_children
}
