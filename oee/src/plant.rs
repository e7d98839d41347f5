//! The plant as code: `plant.toml`, checked as a whole.
//!
//! [`Plant::parse`] gives a plant, or every mistake in the file with its place and a remedy. What is inherited
//! (zone, calendar, default product, state map, sources) is resolved here once, so lookups are cheap: `route` takes
//! a walk over the patterns, everything else a hash lookup or one per level of the path.

mod check;
mod curve;
mod document;
mod draft;
mod master;
mod mistake;
mod pattern;
mod product;
mod proposal;
mod read;
mod route;
mod signal;
mod state_map;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;

pub use curve::Curve;
pub use master::{MasterRow, Value};
pub use mistake::Mistake;
pub use product::{Product, WorkOrder};
pub use route::{Format, LineRoute, Route};
pub use signal::{Interpolation, ReasonRule, Role, SignalDef, StateRule};
pub use state_map::{MappedState, value_text};

use crate::calendar::Calendar;
use crate::count::{Piece, executed};
use crate::energy::{Rates, SPREAD_US};
use crate::execution::Execution;
use crate::path::{is_within, lineage, parent};
use crate::state::{Category, RecordKind};
use crate::symptom::WITHIN_US;
use crate::verdict::Verdict;
use route::{LineMapping, TopicMapping};
use state_map::StateMap;

/// ISA-95 level of an equipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Enterprise.
    Enterprise,
    /// Site.
    Site,
    /// Area.
    Area,
    /// Work center: a line, a cell, a process unit.
    WorkCenter,
    /// Work unit: a machine, a station.
    WorkUnit,
}

impl Level {
    const WORDS: [(&'static str, Self); 5] = [
        ("enterprise", Self::Enterprise),
        ("site", Self::Site),
        ("area", Self::Area),
        ("work_center", Self::WorkCenter),
        ("work_unit", Self::WorkUnit),
    ];

    /// Its name in `plant.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

/// How a node of the tree sums up its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rollup {
    /// Seconds and ideal time add up.
    #[default]
    Sum,
    /// A serial line: see [`crate::line`].
    Serial,
}

impl Rollup {
    const WORDS: [(&'static str, Self); 2] = [("sum", Self::Sum), ("serial", Self::Serial)];

    /// Its name in `plant.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        word(&Self::WORDS, self)
    }
}

pub(crate) fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// Where states or counts of an equipment come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Signals bound by their role.
    Signal,
    /// Results of operations, which count pieces and tell no states.
    Operations,
    /// Records whose `source` is this.
    Records(String),
    /// Records, of whichever source.
    AnyRecords,
}

/// One node of the equipment tree, with what it inherits filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Equipment {
    /// Path.
    pub path: String,
    /// Name for people.
    pub name: Option<String>,
    /// ISA-95 level.
    pub level: Option<Level>,
    /// Whether it is a machine: a leaf of the tree, or a work unit.
    pub is_machine: bool,
    /// How it sums up its children.
    pub rollup: Rollup,
    /// IANA name of the time zone in force.
    pub zone_name: String,
    /// Name of the calendar in force; none: round the clock.
    pub calendar: Option<String>,
    /// Product that stands in where no order covers.
    pub default_product: Option<String>,
    /// State map in force; none: [`Plant::state`] knows a few common words.
    pub state_map: Option<String>,
    /// How state records are read.
    pub state_kind: RecordKind,
    /// Unplanned stops shorter than this are micro-stops, microseconds.
    pub microstop_threshold_us: i64,
    /// How long scrap counts as that of starting up, microseconds.
    pub startup_us: i64,
    /// What this machine, itself, and energy cost.
    pub rates: Rates,
    state_source: Option<String>,
    count_source: Option<String>,
    /// What results of operations mean here, beyond the common words.
    results: BTreeMap<String, Verdict>,
    shifts: Arc<Calendar>,
}

/// A characteristic with its specification.
#[derive(Debug, Clone, PartialEq)]
pub struct Characteristic {
    /// Name.
    pub characteristic: String,
    /// Product; none for all.
    pub product: Option<String>,
    /// Operation; none for all.
    pub operation: Option<String>,
    /// Unit of measure.
    pub uom: Option<String>,
    /// Lower specification limit.
    pub lower_limit: Option<f64>,
    /// Upper specification limit.
    pub upper_limit: Option<f64>,
    /// Nominal value.
    pub target: Option<f64>,
    /// A violation of its control chart puts the unit on hold.
    pub hold_on_violation: bool,
    /// What is to be done then, for people.
    pub reaction_plan: Option<String>,
    /// Where no station sends it: the signal that it is measured of.
    pub curve: Option<Curve>,
}

impl Characteristic {
    /// What a violation of its control chart does, as `plant.toml` says it.
    #[must_use]
    pub fn on_violation(&self) -> &'static str {
        word(&read::ON_VIOLATION, self.hold_on_violation)
    }
}

/// A reason of the reason tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Code.
    pub reason: String,
    /// Name for people.
    pub name: Option<String>,
    /// Reason above it.
    pub parent: Option<String>,
    /// What a stop for this reason means for time.
    pub category: Category,
}

/// A plant without mistakes.
#[derive(Debug, Clone)]
pub struct Plant {
    /// The file.
    text: Arc<str>,
    name: Option<String>,
    zone: TimeZone,
    zone_name: String,
    equipment: Vec<Equipment>,
    by_path: HashMap<String, usize>,
    topics: Vec<TopicMapping>,
    lines: Vec<LineMapping>,
    /// By equipment, then by signal.
    signals: HashMap<String, HashMap<String, SignalDef>>,
    undeclared: SignalDef,
    state_maps: HashMap<String, StateMap>,
    products: Vec<Product>,
    characteristics: Vec<Characteristic>,
    reasons: HashMap<String, Reason>,
    reason_rules: Vec<ReasonRule>,
    calendars: Vec<(String, Arc<Calendar>)>,
}

impl Plant {
    /// Reads a plant file; gives every mistake, in file order, where there is one.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = mistake::Mistakes::new(text);
        let draft = read::read(text, &mut mistakes);
        check::check(&draft, &mut mistakes);
        match draft.build(text) {
            Some(plant) if mistakes.is_empty() => Ok(plant),
            _ => Err(mistakes.into_sorted()),
        }
    }

    /// A plant without anything in it, in UTC.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            text: "".into(),
            name: None,
            zone: TimeZone::UTC,
            zone_name: "UTC".to_owned(),
            equipment: Vec::new(),
            by_path: HashMap::new(),
            topics: Vec::new(),
            lines: Vec::new(),
            signals: HashMap::new(),
            undeclared: SignalDef::default(),
            state_maps: HashMap::new(),
            products: Vec::new(),
            characteristics: Vec::new(),
            reasons: HashMap::new(),
            reason_rules: Vec::new(),
            calendars: Vec::new(),
        }
    }

    /// The plant file, as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Name of the plant.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Zone of the plant: that of equipment which is not declared.
    #[must_use]
    pub fn plant_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// IANA name of the plant's zone.
    #[must_use]
    pub fn plant_zone_name(&self) -> &str {
        &self.zone_name
    }

    /// A declared equipment.
    #[must_use]
    pub fn equipment(&self, path: &str) -> Option<&Equipment> {
        self.by_path.get(path).and_then(|&i| self.equipment.get(i))
    }

    /// All equipment in declared order.
    pub fn tree(&self) -> impl Iterator<Item = &Equipment> {
        self.equipment.iter()
    }

    /// The equipment below this one, without itself, in declared order.
    pub fn descendants<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Equipment> {
        self.equipment.iter().filter(move |e| e.path != path && is_within(&e.path, path))
    }

    /// The equipment directly below this one, in declared order: along a serial line the order of flow.
    pub fn children<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Equipment> {
        self.equipment.iter().filter(move |e| parent(&e.path) == Some(path))
    }

    /// The equipment and its ancestors, nearest first.
    pub fn ancestors<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Equipment> {
        lineage(path).filter_map(|path| self.equipment(path))
    }

    /// The equipment, or the nearest declared ancestor.
    fn nearest(&self, path: &str) -> Option<&Equipment> {
        lineage(path).find_map(|path| self.equipment(path))
    }

    /// The time zone in force.
    #[must_use]
    pub fn zone(&self, equipment: &str) -> &TimeZone {
        self.nearest(equipment).map_or(&self.zone, |e| e.shifts.zone())
    }

    /// The shift calendar in force, in the equipment's zone; round the clock where none is declared.
    #[must_use]
    pub fn calendar(&self, equipment: &str) -> Option<&Calendar> {
        self.nearest(equipment).map(|e| e.shifts.as_ref())
    }

    /// Every named calendar in every zone it is used in. One used outside the plant's zone is called `name@zone`.
    pub fn calendars(&self) -> impl Iterator<Item = (&str, &Calendar)> {
        self.calendars.iter().map(|(name, calendar)| (name.as_str(), calendar.as_ref()))
    }

    /// The name under which [`Plant::calendars`] lists the equipment's calendar; none where it has none.
    #[must_use]
    pub fn calendar_name(&self, equipment: &str) -> Option<String> {
        let equipment = self.nearest(equipment)?;
        equipment.calendar.as_deref().map(|name| listed_name(name, &equipment.zone_name, &self.zone_name))
    }

    /// The nearest declaration of a signal up the tree; a sloped one without a role where there is none.
    #[must_use]
    pub fn signal(&self, equipment: &str, signal: &str) -> &SignalDef {
        let declared = |path| self.signals.get(path).and_then(|signals| signals.get(signal));
        lineage(equipment).find_map(declared).unwrap_or(&self.undeclared)
    }

    /// Every declared signal, by equipment and name.
    #[must_use]
    pub fn signals(&self) -> Vec<&SignalDef> {
        let mut signals: Vec<&SignalDef> = self.signals.values().flat_map(HashMap::values).collect();
        signals.sort_by(|a, b| (&a.equipment, &a.signal).cmp(&(&b.equipment, &b.signal)));
        signals
    }

    /// Whether samples of any signal may be left out.
    #[must_use]
    pub fn has_compression(&self) -> bool {
        self.signals.values().flat_map(HashMap::values).any(|signal| signal.compression.is_some())
    }

    /// The signals of an equipment that have a role: for each role those of the nearest node up the tree that declares any,
    /// by name. Several counters of a role add up.
    #[must_use]
    pub fn role_signals(&self, equipment: &str) -> Vec<(Role, &SignalDef)> {
        let mut found: Vec<(Role, &SignalDef)> = Vec::new();
        for (_, role) in Role::WORDS {
            let bound = |path| {
                let signals = self.signals.get(path)?.values().filter(|def| def.role == Some(role));
                // A nearer declaration of the same signal takes the role away.
                let mut bound: Vec<&SignalDef> =
                    signals.filter(|def| std::ptr::eq(self.signal(equipment, &def.signal), *def)).collect();
                bound.sort_unstable_by_key(|def| &def.signal);
                (!bound.is_empty()).then_some(bound)
            };
            found.extend(lineage(equipment).find_map(bound).into_iter().flatten().map(|def| (role, def)));
        }
        found
    }

    /// The machines, in the order of the file.
    pub fn machines(&self) -> impl Iterator<Item = &Equipment> {
        self.tree().filter(|equipment| equipment.is_machine)
    }

    /// Whether a signal of this name is declared anywhere.
    #[must_use]
    pub fn declares_signal(&self, name: &str) -> bool {
        self.signals.values().any(|signals| signals.contains_key(name))
    }

    /// Names of the signals that are bound to states, counts or reasons anywhere; some more than once.
    pub fn bound_signals(&self) -> impl Iterator<Item = &str> {
        let all = self.signals.values().flat_map(HashMap::values);
        let bound = all.filter(|def| def.role.is_some()).map(|def| def.signal.as_str());
        bound.chain(self.reason_rules.iter().map(|rule| rule.signal.as_str()))
    }

    /// What gives stops of an equipment their reasons where nobody does: rules of the nearest node first, each in file order.
    #[must_use]
    pub fn reason_rules(&self, equipment: &str) -> Vec<&ReasonRule> {
        let of_node = |path| self.reason_rules.iter().filter(move |rule| rule.equipment == path);
        lineage(equipment).flat_map(of_node).collect()
    }

    /// Where the states of an equipment come from.
    #[must_use]
    pub fn state_source(&self, equipment: &str) -> Source {
        let declared = self.nearest(equipment).and_then(|e| e.state_source.as_deref());
        let bound = || self.role_signals(equipment).iter().any(|(role, _)| *role == Role::State);
        source(declared, bound)
    }

    /// How the states of an equipment are read: a signal's samples are changes, whatever its records are.
    #[must_use]
    pub fn record_kind(&self, equipment: &str) -> RecordKind {
        match self.state_source(equipment) {
            Source::Signal | Source::Operations => RecordKind::Change,
            Source::Records(_) | Source::AnyRecords => {
                self.equipment(equipment).map(|equipment| equipment.state_kind).unwrap_or_default()
            }
        }
    }

    /// How far beyond a window rows have to be known so that everything within it is told right, microseconds: stops at its
    /// edges are judged whole, starting up may have begun before, what a rule tells has to have lasted,
    /// what explains a stop may come after it, and the step of a meter was taken before its reading.
    #[must_use]
    pub fn margin_us(&self, equipment: &str) -> i64 {
        let own = self.equipment(equipment).map_or(0, |e| e.microstop_threshold_us.max(e.startup_us));
        let signals = self.role_signals(equipment);
        let rules = signals.iter().filter_map(|(_, signal)| signal.running.as_ref());
        let explained = if self.reason_rules(equipment).is_empty() { 0 } else { WITHIN_US };
        let metered = if signals.iter().any(|(role, _)| *role == Role::Energy) { SPREAD_US } else { 0 };
        (own + rules.map(|rule| rule.for_us).max().unwrap_or(0) + explained).max(metered)
    }

    /// Where the counts of an equipment come from.
    #[must_use]
    pub fn count_source(&self, equipment: &str) -> Source {
        let declared = self.nearest(equipment).and_then(|e| e.count_source.as_deref());
        let bound = || self.role_signals(equipment).iter().any(|(role, _)| role.counts_pieces());
        source(declared, bound)
    }

    /// What the result of an operation on an equipment says of the pieces it made; none where nobody says.
    #[must_use]
    pub fn verdict(&self, equipment: &str, result: &str) -> Option<Verdict> {
        let said = self.nearest(equipment).and_then(|e| e.results.get(result)).copied();
        said.or_else(|| Verdict::of(result))
    }

    /// The pieces that an execution on an equipment stands for; none before it is completed.
    #[must_use]
    pub fn executed(&self, execution: &Execution) -> Option<Piece> {
        executed(execution, |result| self.verdict(&execution.equipment, result))
    }

    /// The product that stands in where no order covers.
    #[must_use]
    pub fn default_product(&self, equipment: &str) -> Option<&str> {
        self.nearest(equipment).and_then(|e| e.default_product.as_deref())
    }

    /// A reason and those above it, nearest first.
    pub fn reason_lineage<'a>(&'a self, reason: &str) -> impl Iterator<Item = &'a Reason> {
        std::iter::successors(self.reasons.get(reason), |reason| self.reasons.get(reason.parent.as_deref()?))
    }

    /// The category of a stop for this reason.
    #[must_use]
    pub fn reason_category(&self, reason: &str) -> Option<Category> {
        self.reasons.get(reason).map(|reason| reason.category)
    }

    /// The declared products, one per cycle time, in declared order.
    #[must_use]
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// Of the declarations of a characteristic that fit a product and an operation, the one that says most.
    #[must_use]
    pub fn characteristic(
        &self,
        name: &str,
        product: Option<&str>,
        operation: Option<&str>,
    ) -> Option<&Characteristic> {
        let fits = |said: &Option<String>, is: Option<&str>| said.is_none() || said.as_deref() == is;
        let fitting = self.characteristics.iter().filter(|known| {
            known.characteristic == name && fits(&known.product, product) && fits(&known.operation, operation)
        });
        fitting.max_by_key(|known| usize::from(known.product.is_some()) + usize::from(known.operation.is_some()))
    }

    /// The declared characteristics.
    #[must_use]
    pub fn characteristics(&self) -> &[Characteristic] {
        &self.characteristics
    }
}

fn source(declared: Option<&str>, bound: impl Fn() -> bool) -> Source {
    match declared {
        Some("signal") => Source::Signal,
        Some("operations") => Source::Operations,
        Some(source) => Source::Records(source.to_owned()),
        None if bound() => Source::Signal,
        None => Source::AnyRecords,
    }
}

fn listed_name(name: &str, zone: &str, plant_zone: &str) -> String {
    if zone == plant_zone { name.to_owned() } else { format!("{name}@{zone}") }
}

#[cfg(test)]
mod tests;
