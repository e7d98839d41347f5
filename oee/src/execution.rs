//! Which order, operation and unit a moment belongs to.
//!
//! The rule: at (equipment, t) the nearest of the equipment and its ancestors that has a covering execution
//! decides. There, unit and operation come from the unit execution, the one with the largest (started, recorded)
//! where several cover; the work order comes from it if set, else from the nearest covering execution without a
//! unit. Where only an order execution covers, it gives order and operation. An open execution ends at the next
//! start of the same kind (unit or order) on that equipment.
//!
//! `Executions` is an index that follows single changes; [`Executions::affected`] says which stretch of time a change
//! can re-key, so that nothing else has to be looked at again.

mod lane;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::OPEN;
use crate::path::{is_within, lineage};
use lane::{At, Lane, Made, Slot};

/// How far back an order is looked for at first, microseconds.
const DAY_US: i64 = 86_400_000_000;

/// One execution of an operation: a row of `operations`.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Identity.
    pub run: Arc<str>,
    /// Where.
    pub equipment: Arc<str>,
    /// For which order.
    pub work_order: Option<Arc<str>>,
    /// Of which product.
    pub product: Option<Arc<str>>,
    /// Which operation.
    pub operation: Option<Arc<str>>,
    /// On which unit; none where only an order is known.
    pub unit: Option<Arc<str>>,
    /// Start.
    pub started: i64,
    /// End; none while it runs.
    pub completed: Option<i64>,
    /// `pass`, `fail` or the station's own word. Says nothing of keys.
    pub result: Option<Arc<str>>,
    /// Who. Says nothing of keys.
    pub operator: Option<Arc<str>>,
    /// Pieces made. Says nothing of keys.
    pub quantity: Option<f64>,
    /// When takt recorded this version.
    pub recorded: i64,
}

/// The context in force at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key<'a> {
    /// Work order.
    pub work_order: Option<&'a str>,
    /// Operation.
    pub operation: Option<&'a str>,
    /// Unit.
    pub unit: Option<&'a str>,
}

/// A stretch of time with one order and product in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSpan {
    /// Work order.
    pub work_order: Option<String>,
    /// Product, as the executions say.
    pub product: Option<String>,
    /// Start.
    pub start: i64,
    /// End, exclusive.
    pub end: i64,
}

/// A stretch of time on an equipment, and everything below it, whose keys may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// The equipment; its descendants inherit keys, so they are affected too.
    pub equipment: Arc<str>,
    /// Start.
    pub from: i64,
    /// End, exclusive; [`OPEN`] where it has none.
    pub to: i64,
}

/// The identity of an execution that came without one.
///
/// Readable, and different for different (equipment, operation, unit or order, started).
#[must_use]
pub fn derived_run(
    equipment: &str,
    operation: Option<&str>,
    unit: Option<&str>,
    work_order: Option<&str>,
    started: i64,
) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('|', "%7C");
    let (kind, name) = match (unit, work_order) {
        (Some(unit), _) => ("unit", unit),
        (None, Some(order)) => ("order", order),
        (None, None) => ("none", ""),
    };
    let operation = operation.map(escaped).unwrap_or_default();
    format!("{}|{operation}|{kind}|{}|{started}", escaped(equipment), escaped(name))
}

/// The executions of one equipment, by kind.
#[derive(Debug, Default, Clone)]
struct Node {
    units: Lane,
    orders: Lane,
}

impl Node {
    fn first_start(&self) -> Option<i64> {
        let starts = [&self.units, &self.orders].into_iter().filter_map(|lane| lane.iter().next());
        starts.map(|execution| execution.started).min()
    }

    fn lane(&self, unit: bool) -> &Lane {
        if unit { &self.units } else { &self.orders }
    }

    fn lane_mut(&mut self, unit: bool) -> &mut Lane {
        if unit { &mut self.units } else { &mut self.orders }
    }
}

/// Where the last moment lay among the executions of a node: the next one is mostly near.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    unit: At,
    order: At,
}

/// What covers a moment, and until when that answer holds.
#[derive(Debug, Clone, Copy)]
struct Cover<'a> {
    unit: Option<&'a Slot>,
    order: Option<&'a Slot>,
    until: i64,
}

impl<'a> Cover<'a> {
    fn key(&self) -> Key<'a> {
        let leading = self.unit.or(self.order);
        Key {
            work_order: self.work_order(),
            operation: leading.and_then(|slot| slot.execution().operation.as_deref()),
            unit: self.unit.and_then(|slot| slot.execution().unit.as_deref()),
        }
    }

    fn work_order(&self) -> Option<&'a str> {
        let order_of = |slot: &'a Slot| slot.execution().work_order.as_deref();
        self.unit.and_then(order_of).or_else(|| self.order.and_then(order_of))
    }

    fn product(&self) -> Option<&'a str> {
        let product_of = |slot: &'a Slot| slot.execution().product.as_deref();
        let Some(unit) = self.unit else { return self.order.and_then(product_of) };
        // An order execution of another order says nothing about this unit's product.
        let [own, _] = unit.made();
        let same_order = |order: &&Slot| own == 0 || own == order.made()[0];
        product_of(unit).or_else(|| self.order.filter(same_order).and_then(product_of))
    }

    /// Numbers of order and product, where one execution says both: whoever compares them need not look at the execution.
    fn made(&self) -> Option<Made> {
        self.unit.filter(|unit| unit.is_complete()).map(Slot::made)
    }
}

/// An index of executions by run, and by equipment and time.
#[derive(Debug, Default, Clone)]
pub struct Executions {
    runs: HashMap<Arc<str>, Arc<Execution>>,
    nodes: BTreeMap<Arc<str>, Node>,
    /// Texts that many executions have, each held once and with a number: orders, products, operations, results and operators.
    words: HashMap<Arc<str>, u32>,
}

impl FromIterator<Execution> for Executions {
    fn from_iter<I: IntoIterator<Item = Execution>>(executions: I) -> Self {
        // In time order every insertion is an append.
        let mut sorted: Vec<Execution> = executions.into_iter().collect();
        sorted.sort_by_key(|e| (e.started, e.recorded));
        let mut index = Self::default();
        for execution in sorted {
            index.upsert(execution);
        }
        index
    }
}

impl Executions {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of executions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The execution of a run.
    #[must_use]
    pub fn get(&self, run: &str) -> Option<&Execution> {
        self.runs.get(run).map(Arc::as_ref)
    }

    /// Puts an execution in place of the one with the same run, which it gives back.
    pub fn upsert(&mut self, mut execution: Execution) -> Option<Arc<Execution>> {
        let old = self.remove(&execution.run);
        let texts = [
            &mut execution.work_order,
            &mut execution.product,
            &mut execution.operation,
            &mut execution.result,
            &mut execution.operator,
        ];
        let [order, product, ..] = texts.map(|text| text.as_mut().map_or(0, |text| self.word(text)));
        if let Some(old) = &old {
            execution.run = Arc::clone(&old.run);
        }
        if let Some((known, _)) = self.nodes.get_key_value(&execution.equipment) {
            execution.equipment = Arc::clone(known);
        }
        let execution = Arc::new(execution);
        self.runs.insert(Arc::clone(&execution.run), Arc::clone(&execution));
        let node = self.nodes.entry(Arc::clone(&execution.equipment)).or_default();
        node.lane_mut(execution.unit.is_some()).insert(execution, [order, product]);
        old
    }

    /// Puts the known text in place of one that says the same; its number, from one on.
    fn word(&mut self, text: &mut Arc<str>) -> u32 {
        if let Some((known, number)) = self.words.get_key_value(text) {
            *text = Arc::clone(known);
            return *number;
        }
        let number = u32::try_from(self.words.len() + 1).unwrap_or(u32::MAX);
        self.words.insert(Arc::clone(text), number);
        number
    }

    /// Takes an execution out.
    pub fn remove(&mut self, run: &str) -> Option<Arc<Execution>> {
        let old = self.runs.remove(run)?;
        if let Some(node) = self.nodes.get_mut(&old.equipment) {
            node.lane_mut(old.unit.is_some()).remove(&old);
            if node.units.is_empty() && node.orders.is_empty() {
                self.nodes.remove(&old.equipment);
            }
        }
        Some(old)
    }

    /// The executions on exactly this equipment: units by start, then orders by start.
    pub fn on(&self, equipment: &str) -> impl Iterator<Item = &Execution> {
        self.nodes.get(equipment).into_iter().flat_map(|node| node.units.iter().chain(node.orders.iter()))
    }

    /// The executions on exactly this equipment that were completed, and whose last moment lies in `[from, to)`.
    pub fn completed_on(&self, equipment: &str, from: i64, to: i64) -> impl Iterator<Item = &Execution> {
        let lanes = self.nodes.get(equipment).into_iter().flat_map(|node| [&node.units, &node.orders]);
        let reaching = lanes.flat_map(move |lane| lane.reaching(from, to));
        reaching.filter(move |execution| {
            let last = execution.completed.map(|end| last_moment(execution, end));
            last.is_some_and(|last| from <= last && last < to)
        })
    }

    /// The executions of units on exactly this equipment that touch `[from, to]`, with the end of each as keying sees it.
    pub fn units_within(&self, equipment: &str, from: i64, to: i64) -> impl Iterator<Item = (&Execution, i64)> {
        let lane = self.nodes.get(equipment).map(|node| &node.units);
        let reaching = lane.into_iter().flat_map(move |lane| lane.reaching(from, to.saturating_add(1)));
        reaching
            .filter_map(|execution| Some((execution, self.effective_end(&execution.run)?)))
            .filter(move |(_, end)| from <= *end)
    }

    /// The same on this equipment, on all above it and on all below it.
    #[must_use]
    pub fn units_around(&self, equipment: &str, from: i64, to: i64) -> Vec<(&Execution, i64)> {
        let below = self.nodes.range::<str, _>((Bound::Excluded(equipment), Bound::Unbounded));
        let below = below.map(|(path, _)| path.as_ref()).take_while(move |path| path.starts_with(equipment));
        let below = below.filter(move |path| is_within(path, equipment));
        lineage(equipment).chain(below).flat_map(|path| self.units_within(path, from, to)).collect()
    }

    /// Order and product of a unit's execution that ends at `end`: its own, else those of the last order that was in force
    /// meanwhile, whatever other unit was there. An order says nothing of a unit of another.
    #[must_use]
    pub fn order_of<'a>(&'a self, execution: &'a Execution, end: i64) -> (Option<&'a str>, Option<&'a str>) {
        let (work_order, product) = (execution.work_order.as_deref(), execution.product.as_deref());
        if work_order.is_some() && product.is_some() {
            return (work_order, product);
        }
        let order = self.last_order_within(&execution.equipment, execution.started, last_moment(execution, end));
        let order = order.filter(|order| work_order.is_none() || work_order == order.work_order.as_deref());
        let of_order = |of: fn(&Execution) -> Option<&str>| order.and_then(of);
        (
            work_order.or_else(|| of_order(|order| order.work_order.as_deref())),
            product.or_else(|| of_order(|order| order.product.as_deref())),
        )
    }

    /// The execution of an order that was in force last on an equipment in `[from, to]`.
    fn last_order_within(&self, equipment: &str, from: i64, to: i64) -> Option<&Execution> {
        let nodes = || lineage(equipment).filter_map(|path| self.nodes.get(path));
        let over = |t: i64| nodes().find_map(|node| node.orders.at(t, &mut At::default()).0).map(Slot::execution);
        over(to).or_else(|| {
            // None is in force at the end: the one that ended last was before.
            let begun = nodes().flat_map(|node| node.orders.reaching(from, to).map(move |order| (node, order)));
            let ends = begun.filter_map(|(node, order)| node.orders.end_of(order));
            over(ends.filter(|end| from < *end).max()?.saturating_sub(1))
        })
    }

    /// All executions, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Execution> {
        self.runs.values().map(Arc::as_ref)
    }

    /// The end of a run as keying sees it: its completion, or the next start of its kind, or [`OPEN`].
    #[must_use]
    pub fn effective_end(&self, run: &str) -> Option<i64> {
        let execution = self.runs.get(run)?;
        let lane = self.nodes.get(&execution.equipment)?.lane(execution.unit.is_some());
        lane.end_of(execution)
    }

    /// The context in force at a moment.
    #[must_use]
    pub fn key_at(&self, equipment: &str, t: i64) -> Key<'_> {
        self.cursor(equipment).key_at(t)
    }

    /// A reader of keys for many moments of one equipment; quick where they ascend.
    #[must_use]
    pub fn cursor(&self, equipment: &str) -> Cursor<'_> {
        let nodes = lineage(equipment).filter_map(|path| self.nodes.get(path));
        let chain = nodes.map(|node| (node, Places::default())).collect();
        Cursor { chain, from: 0, cover: Cover { unit: None, order: None, until: i64::MIN } }
    }

    /// The order and product in force over `[from, to)`; time without an execution is left out.
    #[must_use]
    pub fn order_spans(&self, equipment: &str, from: i64, to: i64) -> Vec<OrderSpan> {
        let mut cursor = self.cursor(equipment);
        let mut spans: Vec<OrderSpan> = Vec::new();
        // What the last span says is made, where numbers say it.
        let mut made: Option<Made> = None;
        let mut t = from;
        while t < to {
            let cover = cursor.cover_at(t);
            let end = cover.until.min(to);
            if cover.unit.is_some() || cover.order.is_some() {
                let before = std::mem::replace(&mut made, cover.made());
                let same = |last: &OrderSpan| match (before, made) {
                    (Some(before), Some(made)) => before == made,
                    _ => last.work_order.as_deref() == cover.work_order() && last.product.as_deref() == cover.product(),
                };
                match spans.last_mut() {
                    Some(last) if last.end == t && same(last) => last.end = end,
                    // The same again behind a pause: to look at the execution, which is elsewhere, takes longer than all this.
                    Some(last) if before.is_some() && before == made => {
                        let again = OrderSpan { start: t, end, ..last.clone() };
                        spans.push(again);
                    }
                    _ => spans.push(OrderSpan {
                        work_order: cover.work_order().map(str::to_owned),
                        product: cover.product().map(str::to_owned),
                        start: t,
                        end,
                    }),
                }
            }
            t = end;
        }
        spans
    }

    /// The last order and product that were in force before `t`, at least a moment; looked for in ever longer stretches.
    #[must_use]
    pub fn last_order_before(&self, equipment: &str, t: i64) -> Option<OrderSpan> {
        let first = lineage(equipment).filter_map(|path| self.nodes.get(path)).filter_map(Node::first_start).min()?;
        let mut reach = DAY_US;
        loop {
            let from = t.saturating_sub(reach).max(first);
            if let Some(last) = self.order_spans(equipment, from, t).pop() {
                return Some(last);
            }
            if from <= first {
                return None;
            }
            reach = reach.saturating_mul(8);
        }
    }

    /// Where keys may differ after `old` became `new` (none: it was added, or taken out).
    ///
    /// `executions` may be the index before or after the change. Times outside the answer keep their keys.
    #[must_use]
    pub fn affected(old: Option<&Execution>, new: Option<&Execution>, executions: &Self) -> Vec<Affected> {
        match (old, new) {
            (Some(old), Some(new)) if old == new => Vec::new(),
            // Recorded times decide among equal starts only, so alone at its start nothing but the end matters.
            (Some(old), Some(new)) if only_end_differs(old, new) && executions.alone_at_start(old) => {
                let next = executions.next_start(old);
                let (a, b) = (old.completed.unwrap_or(next), new.completed.unwrap_or(next));
                stretch(&old.equipment, a.min(b), a.max(b))
            }
            (old, new) => {
                let mut found = Vec::new();
                for execution in old.into_iter().chain(new) {
                    // A start also cuts an open predecessor short, up to the next start.
                    let next = executions.next_start(execution);
                    let end = execution.completed.map_or(next, |end| end.max(next));
                    found.extend(stretch(&execution.equipment, execution.started, end));
                }
                found
            }
        }
    }

    /// Where what was made may differ after `old` became `new`. Keys do not follow from it.
    #[must_use]
    pub fn made_differently(old: Option<&Execution>, new: Option<&Execution>) -> Vec<Affected> {
        let made = |execution: Option<&Execution>| {
            let execution = execution?;
            let at = last_moment(execution, execution.completed?);
            Some((
                execution.equipment.clone(),
                at,
                execution.unit.is_some(),
                execution.result.clone(),
                execution.quantity,
            ))
        };
        let (old, new) = (made(old), made(new));
        if old == new {
            return Vec::new();
        }
        let places = old.into_iter().chain(new);
        let mut found: Vec<Affected> =
            places.flat_map(|(equipment, at, ..)| stretch(&equipment, at, at.saturating_add(1))).collect();
        found.dedup();
        found
    }

    fn alone_at_start(&self, execution: &Execution) -> bool {
        let node = self.nodes.get(&execution.equipment);
        node.is_none_or(|node| node.lane(execution.unit.is_some()).alone_at_start(execution))
    }

    /// The first start of the same kind on the same equipment after this execution's, [`OPEN`] where there is none.
    fn next_start(&self, execution: &Execution) -> i64 {
        let node = self.nodes.get(&execution.equipment);
        node.map_or(OPEN, |node| node.lane(execution.unit.is_some()).next_start(execution))
    }
}

/// The last moment of an execution that ends at `end`: when what it made counts.
#[must_use]
pub fn last_moment(execution: &Execution, end: i64) -> i64 {
    end.saturating_sub(1).max(execution.started)
}

/// Whether nothing but the end, what was made and by whom, or the recorded time, differs.
fn only_end_differs(old: &Execution, new: &Execution) -> bool {
    let endless = |e: &Execution| Execution {
        completed: None,
        result: None,
        operator: None,
        quantity: None,
        recorded: 0,
        ..e.clone()
    };
    endless(old) == endless(new)
}

fn stretch(equipment: &Arc<str>, from: i64, to: i64) -> Vec<Affected> {
    if from >= to {
        return Vec::new();
    }
    vec![Affected { equipment: Arc::clone(equipment), from, to }]
}

/// The keying rule itself, over the equipment's own node and those of its ancestors, nearest first.
fn cover<'a, 'p>(chain: impl Iterator<Item = (&'a Node, &'p mut Places)>, t: i64) -> Cover<'a> {
    let mut found = Cover { unit: None, order: None, until: OPEN };
    for (node, places) in chain {
        let (unit, unit_until) = node.units.at(t, &mut places.unit);
        let (order, order_until) = node.orders.at(t, &mut places.order);
        found.until = found.until.min(unit_until).min(order_until);
        if found.unit.is_none() {
            // The nearest node that has a covering execution decides; farther units no longer count.
            found.unit = unit;
        }
        found.order = order;
        // Higher up only the order of a unit that does not know its own is still looked for.
        if found.order.is_some() || found.unit.is_some_and(Slot::is_complete) {
            break;
        }
    }
    found
}

/// Reads keys of one equipment; see [`Executions::cursor`].
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    chain: Vec<(&'a Node, Places)>,
    from: i64,
    cover: Cover<'a>,
}

impl<'a> Cursor<'a> {
    /// The context in force at a moment.
    pub fn key_at(&mut self, t: i64) -> Key<'a> {
        self.cover_at(t).key()
    }

    /// The moment up to which the last answer holds.
    #[must_use]
    pub fn until(&self) -> i64 {
        self.cover.until
    }

    fn cover_at(&mut self, t: i64) -> Cover<'a> {
        if t < self.from || t >= self.cover.until {
            self.cover = cover(self.chain.iter_mut().map(|(node, places)| (*node, places)), t);
            self.from = t;
        }
        self.cover
    }
}

#[cfg(test)]
mod tests;
