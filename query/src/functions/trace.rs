//! `trace_back(unit)` and `trace_forward(unit)`: what a unit is made of, and what it went into, with quantities.
//!
//! Edges come from `materials`, what is known of units from `units`; what follows from them is told by [`oee::genealogy`].

mod edges;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, plan_err};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::Expr;
use futures::TryStreamExt;
use jiff::tz::TimeZone;
use oee::genealogy::{Direction, Quantity, Reached, Trace, produced, share};

use super::arguments::{instant_of, text};
use super::columns::{Column, Value, batch};
use super::function::Function;
use super::gather::{Gather, among};
use super::rows::off_the_async_threads;
use super::values::{Doubles, Texts};
use crate::context::Located;
use crate::error::QueryError;
pub(crate) use edges::EdgeCache;
use edges::{Look, Parts};

const MATERIALS: &str = "materials";
const UNITS: &str = "units";

/// Units whose rows are asked for at once where there is no index.
const UNITS_AT_ONCE: usize = 1_000;

/// What `units` says of a unit takes about so much memory.
const TOLD_BYTES: usize = 400;

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    unit: String,
    direction: Direction,
    /// As of when, microseconds; now where it is not said.
    at: Option<i64>,
    /// Edges to follow at most.
    depth: Option<u32>,
}

/// Reads a call; a time without an offset is wall time in `zone`.
pub(super) fn read(function: Function, arguments: &[Expr], zone: &TimeZone) -> Result<Asked> {
    let Some((unit, words)) = arguments.split_first().and_then(|(unit, words)| Some((text(unit)?, words))) else {
        return plan_err!("{}", function.usage());
    };
    let direction = if function == Function::TraceBack { Direction::Back } else { Direction::Forward };
    let mut asked = Asked { unit: unit.to_owned(), direction, at: None, depth: None };
    for word in words {
        let Some((name, value)) = text(word).and_then(|word| word.split_once('=')) else {
            return plan_err!("{}", function.usage());
        };
        match (name.trim(), value.trim()) {
            ("depth", value) => match value.parse() {
                Ok(depth) if depth > 0 => asked.depth = Some(depth),
                _ => return plan_err!("depth={value:?} is not a whole number above 0"),
            },
            ("at", value) => asked.at = Some(instant_of(value, zone)?),
            (name, _) => return plan_err!("{} knows no word {name:?}; its words are depth, at", function.name()),
        }
    }
    Ok(asked)
}

/// What `units` says of a unit.
#[derive(Debug, Default)]
struct Told {
    item: Option<String>,
    kind: Option<String>,
    quantity: Option<f64>,
    uom: Option<String>,
    work_order: Option<String>,
    supplier_lot: Option<String>,
    status: Option<String>,
}

#[derive(Debug)]
struct Row {
    reached: Reached,
    /// None where it was not asked for.
    quantity: Option<Quantity>,
    fraction: Option<Quantity>,
    /// None where `units` says nothing of it, or was not asked.
    told: Option<Box<Told>>,
}

impl Row {
    fn told(&self, of: fn(&Told) -> &Option<String>) -> Option<&str> {
        of(self.told.as_ref()?).as_deref()
    }

    fn reason(&self) -> Option<&str> {
        let failed = |quantity: &Option<Quantity>| quantity.as_ref().is_some_and(Quantity::is_err);
        let of = if failed(&self.quantity) { &self.quantity } else { &self.fraction };
        of.as_ref()?.as_ref().err().map(AsRef::as_ref)
    }
}

fn known(quantity: &Option<Quantity>) -> Option<f64> {
    quantity.as_ref()?.as_ref().ok().copied()
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "unit", value: Value::Text(|row| Some(&row.reached.unit)) },
    Column { name: "depth", value: Value::Integer(|row| row.reached.depth.into()) },
    Column { name: "active_depth", value: Value::Whole(|row| row.reached.active_depth.map(u64::from)) },
    Column { name: IS_END, value: Value::Flag(|row| row.reached.is_end) },
    Column { name: REWORKED, value: Value::Flag(|row| row.reached.reworked) },
    Column { name: QUANTITY, value: Value::Double(|row| known(&row.quantity)) },
    Column { name: FRACTION, value: Value::Double(|row| known(&row.fraction)) },
    Column { name: REASON, value: Value::Text(Row::reason) },
    Column { name: "item", value: Value::Text(|row| row.told(|told| &told.item)) },
    Column { name: "kind", value: Value::Text(|row| row.told(|told| &told.kind)) },
    Column { name: "uom", value: Value::Text(|row| row.told(|told| &told.uom)) },
    Column { name: "work_order", value: Value::Text(|row| row.told(|told| &told.work_order)) },
    Column { name: "supplier_lot", value: Value::Text(|row| row.told(|told| &told.supplier_lot)) },
    Column { name: "status", value: Value::Text(|row| row.told(|told| &told.status)) },
];

const IS_END: &str = "is_end";
const REWORKED: &str = "reworked";
const QUANTITY: &str = "quantity";
const FRACTION: &str = "fraction";
const REASON: &str = "reason";
/// What only the edges tell.
const OF_EDGES: [&str; 5] = ["unit", "depth", "active_depth", IS_END, REWORKED];
const QUANTITIES: [&str; 3] = [QUANTITY, FRACTION, REASON];

pub(super) fn schema() -> SchemaRef {
    super::columns::schema(COLUMNS)
}

/// The columns of the answer at these places, which are those that are asked for.
pub(super) async fn answer(
    gather: &Gather,
    edges: &Arc<EdgeCache>,
    asked: Asked,
    columns: Arc<[usize]>,
    context: &TaskContext,
) -> Result<RecordBatch, QueryError> {
    let wanted = || columns.iter().filter_map(|column| COLUMNS.get(*column));
    let is_wanted = |names: &[&str]| wanted().any(|column| names.contains(&column.name));
    let with_quantities = is_wanted(&QUANTITIES);
    let of_units = wanted().any(|column| !OF_EDGES.contains(&column.name));
    let deepest = match asked.depth {
        // Quantities follow from all ways.
        Some(depth) if !with_quantities => depth.saturating_add(u32::from(is_wanted(&[IS_END, REWORKED]))),
        _ => u32::MAX,
    };
    let trace = Trace::new(&asked.unit, asked.direction, asked.at.unwrap_or(gather.now), deepest);
    let mut way = Way { gather, parts: parts(gather, edges).await?, trace };
    let memory = MemoryConsumer::new("trace").register(context.memory_pool());
    let of_row = size_of::<Row>() + if of_units { TOLD_BYTES } else { 0 };
    loop {
        let frontier = way.trace.frontier();
        if frontier.is_empty() {
            break;
        }
        way.go(asked.direction, frontier, Trace::take).await?;
        // Steps are put in order in a place of their own, and rows are there once more as columns.
        memory.try_resize(2 * (way.trace.bytes() + of_row * way.trace.units().count()))?;
    }
    if asked.direction == Direction::Back && is_wanted(&[REWORKED]) {
        let units = way.trace.units().cloned().collect();
        way.go(Direction::Forward, units, Trace::note).await?;
    }
    if way.trace.units().next().is_none() {
        check_known(&mut way, &asked.unit).await?;
        return batch(wanted(), &[]);
    }
    let mut told = HashMap::new();
    if of_units {
        let names = way.trace.units().map(AsRef::as_ref).chain([asked.unit.as_str()]);
        told = of_table(gather, names.collect()).await?;
    }
    let trace = way.trace;
    let made = off_the_async_threads(move || {
        let rows = rows(&trace, &asked, told, with_quantities);
        batch(columns.iter().filter_map(|column| COLUMNS.get(*column)), &rows)
    });
    made.await?
}

/// What a trace comes to, the nearest first.
fn rows(trace: &Trace, asked: &Asked, mut told: HashMap<String, Box<Told>>, with_quantities: bool) -> Vec<Row> {
    let deepest = asked.depth.unwrap_or(u32::MAX);
    let whole: HashMap<&str, f64> = told
        .iter()
        .filter_map(|(unit, told)| Some((unit.as_str(), produced(told.kind.as_deref(), told.quantity)?)))
        .collect();
    let amount = |unit: &str| whole.get(unit).copied();
    let reached = trace.reached();
    let quantities: Vec<Option<Quantity>> = match with_quantities {
        true => trace.quantities(amount).into_iter().map(Some).collect(),
        false => vec![None; reached.len()],
    };
    let found = reached.into_iter().zip(quantities).filter(|(reached, _)| reached.depth <= deepest);
    let mut rows: Vec<Row> = found
        .map(|(reached, quantity)| {
            let whole = match asked.direction {
                Direction::Back => reached.unit.as_ref(),
                Direction::Forward => asked.unit.as_str(),
            };
            let fraction = quantity.clone().map(|quantity| quantity.and_then(|of| share(of, whole, amount(whole))));
            let active_depth = reached.active_depth.filter(|depth| *depth <= deepest);
            Row { reached: Reached { active_depth, ..reached }, quantity, fraction, told: None }
        })
        .collect();
    for row in &mut rows {
        row.told = told.remove(row.reached.unit.as_ref());
    }
    rows.sort_by(|one, other| (one.reached.depth, &one.reached.unit).cmp(&(other.reached.depth, &other.reached.unit)));
    rows
}

/// The edges of the table as it is now; `None` where an earlier time is asked for, or where there are too many to keep.
async fn parts(gather: &Gather, edges: &Arc<EdgeCache>) -> Result<Option<Arc<Parts>>, QueryError> {
    let Some(table) = gather.view.stored(MATERIALS).filter(|_| gather.view.as_of.is_none()) else { return Ok(None) };
    loop {
        let (edges, table) = (Arc::clone(edges), Arc::clone(&table));
        match off_the_async_threads(move || edges.step(&table)).await?? {
            Look::Parts(parts) => return Ok(Some(Arc::new(parts))),
            Look::More => {}
            Look::NoRoom => return Ok(None),
        }
    }
}

/// A trace on its way.
struct Way<'a> {
    gather: &'a Gather,
    parts: Option<Arc<Parts>>,
    trace: Trace,
}

impl Way<'_> {
    /// Hands the edges that lead on from some units to the trace.
    async fn go(
        &mut self,
        direction: Direction,
        units: Vec<Arc<str>>,
        take: fn(&mut Trace, oee::genealogy::Edge<'_>),
    ) -> Result<(), QueryError> {
        if let Some(parts) = self.parts.clone() {
            let mut trace = std::mem::replace(&mut self.trace, Trace::new("", direction, 0, 0));
            let walked = off_the_async_threads(move || {
                for (edges, dead) in parts.iter() {
                    edges.each(direction, &units, dead.as_deref(), |edge| take(&mut trace, edge))?;
                }
                Ok::<_, QueryError>(trace)
            });
            self.trace = walked.await??;
            return Ok(());
        }
        let end = match direction {
            Direction::Back => "child",
            Direction::Forward => "parent",
        };
        for some in units.chunks(UNITS_AT_ONCE) {
            let filter = among(end, some.iter().map(AsRef::as_ref));
            let mut rows = self.gather.rows(MATERIALS, filter, &edges::COLUMNS, &[]).await?;
            while let Some(rows) = rows.try_next().await? {
                edges::each_edge(&rows, |_, edge| take(&mut self.trace, edge))?;
            }
        }
        Ok(())
    }
}

/// Where nothing went in or out, a unit may be one that nobody knows: a mistake in its number must not look like a result.
async fn check_known(way: &mut Way<'_>, unit: &str) -> Result<(), QueryError> {
    let gather = way.gather;
    for direction in [Direction::Back, Direction::Forward] {
        way.trace = Trace::new(unit, direction, i64::MAX, u32::MAX);
        let start = way.trace.frontier();
        way.go(direction, start, Trace::take).await?;
        if way.trace.has_edges() {
            return Ok(());
        }
    }
    if of_table(gather, vec![unit]).await?.contains_key(unit) {
        return Ok(());
    }
    let located = Located { units: Some(vec![unit]), ..Located::default() };
    let worked_on = gather.view.context().await?.and_then(|context| context.located(&located));
    if worked_on.is_some_and(|places| !places.is_empty()) {
        return Ok(());
    }
    let message =
        format!("there is no unit {unit:?}: none of materials, units and operations knows it; is it written so?");
    Err(QueryError::Statement { message, at: None })
}

/// What `units` says of some units.
async fn of_table(gather: &Gather, units: Vec<&str>) -> Result<HashMap<String, Box<Told>>, QueryError> {
    const NAMES: [&str; 8] = ["unit", "item", "kind", "quantity", "uom", "work_order", "supplier_lot", "status"];
    let mut told = HashMap::with_capacity(units.len());
    for some in units.chunks(UNITS_AT_ONCE) {
        let mut rows = gather.rows(UNITS, among("unit", some.iter().copied()), &NAMES, &[]).await?;
        while let Some(rows) = rows.try_next().await? {
            let [unit, item, kind, uom, work_order, supplier_lot, status] =
                ["unit", "item", "kind", "uom", "work_order", "supplier_lot", "status"]
                    .map(|name| Texts::of(&rows, name));
            let (unit, item, kind, uom, work_order) = (unit?, item?, kind?, uom?, work_order?);
            let (supplier_lot, status, quantity) = (supplier_lot?, status?, Doubles::of(&rows, "quantity")?);
            for row in 0..rows.num_rows() {
                let text = |texts: &Texts| texts.at(row).map(str::to_owned);
                let Some(name) = text(&unit) else { continue };
                let of_it = Told {
                    item: text(&item),
                    kind: text(&kind),
                    quantity: quantity.at(row),
                    uom: text(&uom),
                    work_order: text(&work_order),
                    supplier_lot: text(&supplier_lot),
                    status: text(&status),
                };
                told.insert(name, Box::new(of_it));
            }
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests;
