//! Genealogy: what a unit is made of and what it went into, followed over edges of `materials`.
//!
//! An edge says that a quantity of its parent went into the whole of its child. It is *active* at an instant from its time
//! until what went in was taken out again; what was taken out stays in the history. Quantities follow from proportional
//! mixing: where half of a tank is drawn off, half of each lot in it goes along.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Word of an edge whose child is its parent reworked: the same thing under another number.
pub const REWORK: &str = "rework";

/// Which way edges are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a unit to what went into it.
    Back,
    /// From a unit to what it went into.
    Forward,
}

/// One row of `materials`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge<'a> {
    /// What went in.
    pub parent: &'a str,
    /// What it went into.
    pub child: &'a str,
    /// How much of the parent, in its unit of measure.
    pub quantity: Option<f64>,
    /// Since when, microseconds; always where it is not known.
    pub time: Option<i64>,
    /// From when on it is taken out again, microseconds.
    pub removed: Option<i64>,
    /// Whether its kind is [`REWORK`].
    pub rework: bool,
}

/// A way through the edges from one unit, a step at a time: whoever has the edges is asked for those of [`Trace::frontier`]
/// until that is empty.
#[derive(Debug)]
pub struct Trace {
    direction: Direction,
    /// Microseconds.
    at: i64,
    deepest: u32,
    /// The first is where the trace starts.
    units: Vec<Unit>,
    by_name: HashMap<Arc<str>, u32>,
    /// From the unit that was known to the one it led to.
    steps: Vec<Step>,
    /// The first unit whose edges were not asked for yet.
    next: usize,
}

#[derive(Debug)]
struct Unit {
    name: Arc<str>,
    depth: u32,
    reworked: bool,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    from: u32,
    to: u32,
    quantity: Option<f64>,
    active: bool,
}

/// The active steps, by the units that they lead from.
struct Onward {
    steps: Vec<Step>,
    ends: Vec<usize>,
}

impl Onward {
    fn from(&self, unit: u32) -> &[Step] {
        let place = unit as usize;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(place).copied().unwrap_or(start);
        self.steps.get(start..end).unwrap_or_default()
    }
}

/// A unit that a trace reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    /// Its name.
    pub unit: Arc<str>,
    /// Edges of the shortest way there, what was taken out again included.
    pub depth: u32,
    /// The same over active edges; none where no way of these leads there.
    pub active_depth: Option<u32>,
    /// Whether no active edge leads on from there.
    pub is_end: bool,
    /// Whether it goes on under another number, by an active edge of rework.
    pub reworked: bool,
}

/// How much of one unit is in another, or why that cannot be said.
pub type Quantity = Result<f64, Arc<str>>;

impl Trace {
    /// A trace from `unit` as of the instant `at`, microseconds, over at most `deepest` edges.
    #[must_use]
    pub fn new(unit: &str, direction: Direction, at: i64, deepest: u32) -> Self {
        let mut trace =
            Self { direction, at, deepest, units: Vec::new(), by_name: HashMap::new(), steps: Vec::new(), next: 0 };
        trace.place(unit, 0);
        trace
    }

    /// The units whose edges are wanted next: in which they are the child where the trace leads back, or else the parent.
    pub fn frontier(&mut self) -> Vec<Arc<str>> {
        let units = self.units.get(self.next..).unwrap_or_default();
        let depth = units.first().map_or(self.deepest, |unit| unit.depth);
        if depth >= self.deepest {
            return Vec::new();
        }
        // All that a step reached is as far away.
        let frontier: Vec<_> = units.iter().map(|unit| Arc::clone(&unit.name)).collect();
        self.next += frontier.len();
        frontier
    }

    /// Takes an edge of a unit of the frontier. One that came to be after the instant of the trace is none.
    pub fn take(&mut self, edge: Edge<'_>) {
        if edge.time.is_some_and(|time| self.at < time) {
            return;
        }
        let (from, to) = match self.direction {
            Direction::Back => (edge.child, edge.parent),
            Direction::Forward => (edge.parent, edge.child),
        };
        let Some(&from) = self.by_name.get(from) else { return };
        let depth = self.units.get(from as usize).map_or(0, |unit| unit.depth);
        let to = self.place(to, depth.saturating_add(1));
        let active = edge.removed.is_none_or(|removed| self.at < removed);
        self.steps.push(Step { from, to, quantity: edge.quantity, active });
        self.note(edge);
    }

    /// Takes an edge only for whether its parent is reworked.
    pub fn note(&mut self, edge: Edge<'_>) {
        let in_force = edge.time.is_none_or(|time| time <= self.at) && edge.removed.is_none_or(|end| self.at < end);
        if in_force
            && edge.rework
            && let Some(&parent) = self.by_name.get(edge.parent)
            && let Some(unit) = self.units.get_mut(parent as usize)
        {
            unit.reworked = true;
        }
    }

    fn place(&mut self, name: &str, depth: u32) -> u32 {
        if let Some(&known) = self.by_name.get(name) {
            return known;
        }
        let (name, place): (Arc<str>, _) = (Arc::from(name), u32::try_from(self.units.len()).unwrap_or(u32::MAX));
        self.by_name.insert(Arc::clone(&name), place);
        self.units.push(Unit { name, depth, reworked: false });
        place
    }

    /// What it takes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let names: usize = self.units.iter().map(|unit| unit.name.len()).sum();
        // A name has two pointers and counts, and an entry to be found by.
        names + self.units.len() * (size_of::<Unit>() + 64) + self.steps.capacity() * size_of::<Step>()
    }

    /// The units that were reached, in the order of depth.
    pub fn units(&self) -> impl Iterator<Item = &Arc<str>> {
        self.units.iter().skip(1).map(|unit| &unit.name)
    }

    /// Whether any edge was taken; one that leads back to the start reaches nothing.
    #[must_use]
    pub fn has_edges(&self) -> bool {
        !self.steps.is_empty()
    }

    /// What was reached, in the order of [`Trace::units`].
    #[must_use]
    pub fn reached(&self) -> Vec<Reached> {
        let onward = self.onward();
        let depths = self.active_depths(&onward);
        let reached = (0..).zip(&self.units).zip(depths).skip(1);
        reached
            .map(|((place, unit), active_depth)| Reached {
                unit: Arc::clone(&unit.name),
                depth: unit.depth,
                active_depth,
                is_end: onward.from(place).is_empty(),
                reworked: unit.reworked,
            })
            .collect()
    }

    fn onward(&self) -> Onward {
        let mut steps: Vec<Step> = self.steps.iter().filter(|step| step.active).copied().collect();
        steps.sort_by_key(|step| step.from);
        let mut ends = vec![0; self.units.len()];
        for (place, step) in steps.iter().enumerate() {
            if let Some(end) = ends.get_mut(step.from as usize) {
                *end = place + 1;
            }
        }
        let mut last = 0;
        for end in &mut ends {
            last = last.max(*end);
            *end = last;
        }
        Onward { steps, ends }
    }

    fn active_depths(&self, onward: &Onward) -> Vec<Option<u32>> {
        let mut depths = vec![None; self.units.len()];
        let mut next = VecDeque::from([0_u32]);
        if let Some(start) = depths.first_mut() {
            *start = Some(0);
        }
        while let Some(from) = next.pop_front() {
            let further = depths.get(from as usize).copied().flatten().unwrap_or(0) + 1;
            for step in onward.from(from) {
                if let Some(depth @ None) = depths.get_mut(step.to as usize)
                    && further <= self.deepest
                {
                    *depth = Some(further);
                    next.push_back(step.to);
                }
            }
        }
        depths
    }

    /// For each unit that was reached, in the order of [`Trace::reached`]: how much of it is in the unit where the trace
    /// starts, or how much of that is in it, as the trace leads back or forward; over active edges, 0 where none lead there.
    /// `produced` tells how much there was of a unit when it was whole.
    ///
    /// With B the quantity of a root in a whole unit: B(c) = Σ over edges x → c of quantity / produced(x) · B(x). It takes
    /// all edges: of a trace that was cut off some are missing.
    #[must_use]
    pub fn quantities(&self, produced: impl Fn(&str) -> Option<f64>) -> Vec<Quantity> {
        let onward = self.onward();
        let depths = self.active_depths(&onward);
        let is_active = |unit: u32| depths.get(unit as usize).is_some_and(Option::is_some);
        let mut waits_for = vec![0_usize; self.units.len()];
        for step in self.steps.iter().filter(|step| step.active && is_active(step.from)) {
            if let Some(count) = waits_for.get_mut(step.to as usize) {
                *count += 1;
            }
        }
        let mut amounts: Vec<Quantity> = vec![Ok(0.0); self.units.len()];
        // A unit is told onwards when all that leads to it is told: so one that goes into itself never is.
        let mut told = vec![false; self.units.len()];
        let mut next = VecDeque::new();
        if waits_for.first() == Some(&0) {
            next.push_back(0_u32);
        }
        while let Some(from) = next.pop_front() {
            let place = from as usize;
            let (Some(unit), Some(amount)) = (self.units.get(place), amounts.get(place).cloned()) else { continue };
            if let Some(told) = told.get_mut(place) {
                *told = true;
            }
            let share = match from {
                0 => Ok(1.0),
                _ => amount.and_then(|amount| share(amount, &unit.name, produced(&unit.name))),
            };
            for step in onward.from(from) {
                let (to, more) = (step.to as usize, self.more(step, &share));
                if let Some(known) = amounts.get_mut(to) {
                    *known = match (&*known, more) {
                        (Ok(known), Ok(more)) => Ok(known + more),
                        (Err(reason), _) => Err(Arc::clone(reason)),
                        (Ok(_), Err(reason)) => Err(reason),
                    };
                }
                if let Some(count) = waits_for.get_mut(to) {
                    *count -= 1;
                    if *count == 0 {
                        next.push_back(step.to);
                    }
                }
            }
        }
        let circular = |((unit, amount), told): ((u32, Quantity), bool)| match is_active(unit) && !told {
            true => Err(Arc::from("edges lead in a circle on the way")),
            false => amount,
        };
        (0..).zip(amounts).zip(told).skip(1).map(circular).collect()
    }

    /// What an edge brings of it, where so large a share of the unit that it leads from is.
    fn more(&self, step: &Step, share: &Quantity) -> Quantity {
        let name = |unit: u32| self.units.get(unit as usize).map_or("", |unit| unit.name.as_ref());
        let (parent, child) = match self.direction {
            Direction::Back => (step.to, step.from),
            Direction::Forward => (step.from, step.to),
        };
        match (share, step.quantity) {
            (Err(reason), _) => Err(Arc::clone(reason)),
            (Ok(share), Some(quantity)) => Ok(quantity * share),
            (Ok(_), None) => Err(format!("no quantity of {} in {}", name(parent), name(child)).into()),
        }
    }
}

/// The share of a unit that so much of it is.
///
/// # Errors
/// Where it is not known how much there was of it, or nothing.
pub fn share(amount: f64, unit: &str, produced: Option<f64>) -> Quantity {
    match produced {
        Some(produced) if produced > 0.0 => Ok(amount / produced),
        Some(_) => Err(format!("the quantity of {unit} is not above 0").into()),
        None => Err(format!("no quantity of {unit} in units").into()),
    }
}

/// How much there was of a unit: what `units` says; one where it is a single piece and nothing is said.
#[must_use]
pub fn produced(kind: Option<&str>, quantity: Option<f64>) -> Option<f64> {
    quantity.or_else(|| matches!(kind, Some("serial" | "unit")).then_some(1.0))
}

#[cfg(test)]
mod tests;
