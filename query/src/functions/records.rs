//! States, counts and work orders from records.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use oee::count::{CountRecord, Piece};
use oee::path::lineage;
use oee::plant::{Plant, Source, WorkOrder};
use oee::reason::GivenReason;
use oee::state::{Category, RecordKind, StateRecord, StateValue};

use super::gather::{Found, Gather, Span, among, at, looking_back};
use super::values::{Doubles, Names, Texts, Times};
use crate::error::QueryError;

const STATES: &str = "states";
const STATE_COLUMNS: [&str; 8] = ["equipment", "source", "start", "end", "state", "category", "reason", "recorded"];
const STOP_REASONS: &str = "stop_reasons";
const REASON_COLUMNS: [&str; 5] = ["equipment", "start", "end", "reason", "recorded"];
const COUNTS: &str = "counts";
const COUNT_COLUMNS: [&str; 8] = ["equipment", "source", "time", "total", "good", "scrap", "rework", "reason"];
const WORK_ORDERS: &str = "work_orders";
/// Longer lists of orders are not worth a condition.
const MAX_LISTED: usize = 1_000;

/// Whether records of `source` count where `counting` says what does.
fn counts_there(counting: &Source, source: Option<&str>) -> bool {
    match counting {
        Source::Signal | Source::Operations => false,
        Source::Records(name) => source == Some(name.as_str()),
        Source::AnyRecords => true,
    }
}

/// State records that count, as rows come: what the plant says of states, by equipment.
#[derive(Debug, Default)]
pub(crate) struct StateRows(HashMap<String, Place>);

impl StateRows {
    /// Calls `take` with the equipment and its records of each run of rows that are of one.
    pub(crate) fn each(
        &mut self,
        plant: &Plant,
        batch: &RecordBatch,
        mut take: impl FnMut(&str, &mut Vec<StateRecord>),
    ) -> Result<(), QueryError> {
        let names = |name: &str| Names::of(batch, name);
        let (equipment, sources) = (names("equipment")?, names("source")?);
        let (states, categories, reasons) = (names("state")?, names("category")?, names("reason")?);
        let (starts, ends, recorded) =
            (Times::of(batch, "start")?, Times::of(batch, "end")?, Times::of(batch, "recorded")?);
        let mut records = Vec::new();
        for (key, rows) in runs(&equipment, batch.num_rows()) {
            let Some(path) = key.and_then(|key| equipment.text(key)) else { continue };
            let place = match self.0.get_mut(path) {
                Some(place) => place,
                None => self.0.entry(path.to_owned()).or_insert_with(|| Place::new(plant, path)),
            };
            // What the same numbers in this batch said before.
            let mut said: Vec<([Option<i32>; 3], StateValue)> = Vec::new();
            let source = place.source.clone();
            let mut counting = Counting::new(&source);
            for row in rows {
                let Some(start) = starts.at(row).filter(|_| counting.counts(&sources, row)) else { continue };
                let keys = [states.key(row), categories.key(row), reasons.key(row)];
                let value = match said.iter().find(|(known, _)| *known == keys) {
                    Some((_, value)) => value.clone(),
                    None => {
                        let value = place.classify(plant, [states.at(row), categories.at(row), reasons.at(row)]);
                        if said.len() < REMEMBERED {
                            said.push((keys, value.clone()));
                        }
                        value
                    }
                };
                let recorded = recorded.at(row).unwrap_or(start);
                records.push(StateRecord { start, end: ends.at(row), recorded, value });
            }
            // Who hears of an equipment takes it that something counts there.
            if !records.is_empty() {
                take(path, &mut records);
                records.clear();
            }
        }
        Ok(())
    }
}

/// Stretches of rows with one value, by its number.
fn runs(names: &Names, count: usize) -> impl Iterator<Item = (Option<i32>, Range<usize>)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let key = (start < count).then(|| names.key(start))?;
        let end = (start + 1..count).find(|&row| names.key(row) != key).unwrap_or(count);
        let rows = start..end;
        start = end;
        Some((key, rows))
    })
}

/// Which sources count on an equipment, asked once for each in a batch.
struct Counting<'a> {
    counting: &'a Source,
    known: Option<(Option<i32>, bool)>,
}

impl<'a> Counting<'a> {
    fn new(counting: &'a Source) -> Self {
        Self { counting, known: None }
    }

    fn counts(&mut self, sources: &Names, row: usize) -> bool {
        let key = sources.key(row);
        match self.known {
            Some((known, counts)) if known == key => counts,
            _ => {
                let counts = counts_there(self.counting, sources.at(row));
                self.known = Some((key, counts));
                counts
            }
        }
    }
}

/// What the plant says of one equipment's states, which say the same again and again.
#[derive(Debug)]
struct Place {
    path: String,
    source: Source,
    known: Vec<([Option<String>; 3], StateValue)>,
}

/// Different states of an equipment that are remembered.
const REMEMBERED: usize = 16;

impl Place {
    fn new(plant: &Plant, path: &str) -> Self {
        Self { path: path.to_owned(), source: plant.state_source(path), known: Vec::new() }
    }

    /// State, category and reason as one.
    fn classify(&mut self, plant: &Plant, said: [Option<&str>; 3]) -> StateValue {
        let known = self.known.iter().find(|(known, _)| known.each_ref().map(Option::as_deref) == said);
        if let Some((_, value)) = known {
            return value.clone();
        }
        let [state, category, reason] = said;
        let value = plant.classify(&self.path, state, category, reason);
        if self.known.len() < REMEMBERED {
            self.known.push((said.map(|word| word.map(str::to_owned)), value.clone()));
        }
        value
    }
}

/// Adds state records to what is found about each path.
pub(super) async fn states(
    gather: &Gather,
    paths: &[String],
    span: Span,
    found: &mut HashMap<&str, Found>,
) -> Result<(), QueryError> {
    let plant = &gather.plant;
    let of_kind = |kind: RecordKind| -> Vec<&str> {
        let recorded = paths.iter().filter(|path| plant.state_source(path) != Source::Signal);
        let same = recorded.filter(|path| plant.equipment(path).is_some_and(|equipment| equipment.state_kind == kind));
        same.map(String::as_str).collect()
    };
    let (changes, intervals) = (of_kind(RecordKind::Change), of_kind(RecordKind::Interval));
    let starts_before_end = ident("start").lt(at(span.to));
    if !changes.is_empty() {
        let starts_within = starts_before_end.clone().and(ident("start").gt_eq(at(span.from)));
        let filter = among("equipment", changes.iter().copied()).and(starts_within);
        add_states(gather, filter, found).await?;
        last_changes(gather, &changes, span.from, found).await?;
    }
    if !intervals.is_empty() {
        let ends_later = ident("end").is_null().or(ident("end").gt(at(span.from)));
        let filter = among("equipment", intervals.iter().copied()).and(starts_before_end).and(ends_later);
        add_states(gather, filter, found).await?;
    }
    Ok(())
}

async fn add_states(gather: &Gather, filter: Expr, found: &mut HashMap<&str, Found>) -> Result<(), QueryError> {
    type Part = (StateRows, ByPath<StateRecord>);
    let plant = Arc::clone(&gather.plant);
    let take = move |(rows, of_paths): &mut Part, batch: &RecordBatch| {
        rows.each(&plant, batch, |path, records| of_paths.append(path, records))
    };
    let paths = found.len();
    let begin = |rows: usize| (StateRows::default(), ByPath::new(rows, paths));
    for (_, of_paths) in gather.each_part(STATES, filter, &STATE_COLUMNS, begin, take).await? {
        for (path, mut records) in of_paths.found {
            if let Some(found) = found.get_mut(path.as_str()) {
                append_all(&mut found.states, &mut records);
            }
        }
    }
    Ok(())
}

/// What is found of some paths, with room for as much as is likely: what grows is copied again and again.
struct ByPath<T> {
    found: HashMap<String, Vec<T>>,
    likely: usize,
}

/// Room is kept for no more than this of a path at first.
const MOST_LIKELY: usize = 1 << 18;

impl<T> ByPath<T> {
    /// Of so many rows at most, and so many paths.
    fn new(rows: usize, paths: usize) -> Self {
        Self { found: HashMap::new(), likely: (rows / paths.max(1)).min(MOST_LIKELY) }
    }

    fn append(&mut self, path: &str, more: &mut Vec<T>) {
        match self.found.get_mut(path) {
            Some(known) => known.append(more),
            None => {
                let mut found = Vec::with_capacity(self.likely.max(more.len()));
                found.append(more);
                self.found.insert(path.to_owned(), found);
            }
        }
    }
}

/// As [`Vec::append`], without a copy where there is nothing yet.
fn append_all<T>(known: &mut Vec<T>, more: &mut Vec<T>) {
    if known.is_empty() {
        std::mem::swap(known, more);
    } else {
        known.append(more);
    }
}

/// The change before the window still holds when it begins.
async fn last_changes(
    gather: &Gather,
    paths: &[&str],
    before: i64,
    found: &mut HashMap<&str, Found>,
) -> Result<(), QueryError> {
    let mut wanted: HashSet<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    for stretch in looking_back("start", before) {
        if wanted.is_empty() {
            break;
        }
        let filter = among("equipment", wanted.iter().map(String::as_str)).and(stretch);
        let mut newest: HashMap<String, StateRecord> = HashMap::new();
        let mut rows = StateRows::default();
        let mut stream = gather.rows(STATES, filter, &STATE_COLUMNS, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            rows.each(&gather.plant, &batch, |path, records| {
                let rank = |record: &StateRecord| (record.start, record.recorded);
                let Some(last) = records.drain(..).max_by_key(rank) else { return };
                if newest.get(path).is_none_or(|known| rank(known) <= rank(&last)) {
                    newest.insert(path.to_owned(), last);
                }
            })?;
        }
        for (path, record) in newest {
            wanted.remove(&path);
            if let Some(found) = found.get_mut(path.as_str()) {
                found.states.push(record);
            }
        }
    }
    Ok(())
}

/// Adds the reasons that were given to stops to what is found about each path.
pub(super) async fn reasons(gather: &Gather, span: Span, found: &mut HashMap<&str, Found>) -> Result<(), QueryError> {
    if gather.view.table(STOP_REASONS).is_none() || found.is_empty() {
        return Ok(());
    }
    let reaches_in = ident("end").is_null().or(ident("end").gt(at(span.from)));
    let mut paths: Vec<&str> = found.keys().flat_map(|path| lineage(path)).collect();
    paths.sort_unstable();
    paths.dedup();
    let filter = among("equipment", paths).and(ident("start").lt(at(span.to))).and(reaches_in);
    let mut stream = gather.rows(STOP_REASONS, filter, &REASON_COLUMNS, &[]).await?;
    let mut given: HashMap<String, Vec<GivenReason>> = HashMap::new();
    while let Some(batch) = stream.try_next().await? {
        each_reason(&gather.plant, &batch, |path, reason| given.entry(path.to_owned()).or_default().push(reason))?;
    }
    // What is given to a line holds for the machines below it.
    for (path, found) in found {
        found.reasons.extend(lineage(path).filter_map(|path| given.get(path)).flatten().cloned());
    }
    Ok(())
}

/// Calls `take` with the equipment and each reason that was given.
pub(crate) fn each_reason(
    plant: &Plant,
    batch: &RecordBatch,
    mut take: impl FnMut(&str, GivenReason),
) -> Result<(), QueryError> {
    let (equipment, codes) = (Texts::of(batch, "equipment")?, Texts::of(batch, "reason")?);
    let (starts, ends, recorded) =
        (Times::of(batch, "start")?, Times::of(batch, "end")?, Times::of(batch, "recorded")?);
    for row in 0..batch.num_rows() {
        let (Some(path), Some(start), Some(code)) = (equipment.at(row), starts.at(row), codes.at(row)) else {
            continue;
        };
        let given = GivenReason {
            equipment: path.into(),
            start,
            end: ends.at(row),
            recorded: recorded.at(row).unwrap_or(start),
            reason: code.into(),
            // A reason that is declared no more tells as much as any other unknown one.
            category: plant.reason_category(code).unwrap_or(Category::Unplanned),
        };
        take(path, given);
    }
    Ok(())
}

/// Adds pieces of count records to what is found about each path.
pub(super) async fn counts<'a>(
    gather: &Gather,
    paths: &'a [String],
    span: Span,
    found: &mut HashMap<&'a str, Found>,
) -> Result<(), QueryError> {
    let plant = &gather.plant;
    let recorded = recorded(plant, paths);
    if recorded.is_empty() {
        return Ok(());
    }
    let within = ident("time").gt_eq(at(span.from)).and(ident("time").lt(at(span.to)));
    let filter = among("equipment", recorded.iter().copied()).and(within);
    let of_parts = Arc::clone(plant);
    let take = move |of_paths: &mut ByPath<Piece>, batch: &RecordBatch| {
        each_piece(&of_parts, batch, |path, pieces| of_paths.append(path, pieces))
    };
    let begin = |rows: usize| ByPath::new(rows, recorded.len());
    for of_paths in gather.each_part(COUNTS, filter, &COUNT_COLUMNS, begin, take).await? {
        for (path, mut pieces) in of_paths.found {
            if let Some(found) = found.get_mut(path.as_str()) {
                append_all(found.pieces.get_or_insert_default(), &mut pieces);
            }
        }
    }
    Ok(())
}

/// Those whose pieces are records of counts.
fn recorded<'a>(plant: &Plant, paths: &'a [String]) -> Vec<&'a str> {
    let is_recorded = |path: &&String| !matches!(plant.count_source(path), Source::Signal | Source::Operations);
    paths.iter().filter(is_recorded).map(String::as_str).collect()
}

/// Calls `take` with the equipment and the pieces that count of each run of count records that are of one.
pub(crate) fn each_piece(
    plant: &Plant,
    batch: &RecordBatch,
    mut take: impl FnMut(&str, &mut Vec<Piece>),
) -> Result<(), QueryError> {
    let (equipment, sources, times) =
        (Names::of(batch, "equipment")?, Names::of(batch, "source")?, Times::of(batch, "time")?);
    let [totals, goods, scraps, reworks] = ["total", "good", "scrap", "rework"].map(|name| Doubles::of(batch, name));
    let (totals, goods, scraps, reworks) = (totals?, goods?, scraps?, reworks?);
    let reasons = Names::of(batch, "reason")?;
    let mut pieces = Vec::new();
    for (key, rows) in runs(&equipment, batch.num_rows()) {
        let Some(path) = key.and_then(|key| equipment.text(key)) else { continue };
        let source = plant.count_source(path);
        let mut counting = Counting::new(&source);
        for row in rows {
            let Some(time) = times.at(row).filter(|_| counting.counts(&sources, row)) else { continue };
            let record = CountRecord {
                time,
                total: totals.at(row),
                good: goods.at(row),
                scrap: scraps.at(row),
                rework: reworks.at(row),
                reason: reasons.at(row).filter(|reason| !reason.is_empty()).map(Arc::from),
            };
            pieces.extend(record.piece());
        }
        if !pieces.is_empty() {
            take(path, &mut pieces);
            pieces.clear();
        }
    }
    Ok(())
}

/// Where pieces are counted, but none in the window, there are none; where nothing counts them, they are not known.
pub(super) async fn no_pieces_yet<'a>(
    gather: &Gather,
    paths: &'a [String],
    found: &mut HashMap<&'a str, Found>,
) -> Result<(), QueryError> {
    let mut open: HashSet<String> = HashSet::new();
    for path in recorded(&gather.plant, paths) {
        let Some(found) = found.get_mut(path).filter(|found| found.pieces.is_none()) else { continue };
        match gather.plant.count_source(path) {
            Source::Records(_) => found.pieces = Some(Vec::new()),
            _ => {
                open.insert(path.to_owned());
            }
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let filter = among("equipment", open.iter().map(String::as_str));
    let mut stream = gather.rows(COUNTS, filter, &["equipment"], &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let equipment = Texts::of(&batch, "equipment")?;
        for path in (0..batch.num_rows()).filter_map(|row| equipment.at(row)) {
            if open.remove(path)
                && let Some(found) = found.get_mut(path)
            {
                found.pieces = Some(Vec::new());
            }
        }
        if open.is_empty() {
            break;
        }
    }
    Ok(())
}

/// What `work_orders` knows of some orders.
pub(super) async fn work_orders(
    gather: &Gather,
    names: &HashSet<String>,
) -> Result<HashMap<String, WorkOrder>, QueryError> {
    let mut orders = HashMap::new();
    if names.is_empty() {
        return Ok(orders);
    }
    let filter =
        if names.len() <= MAX_LISTED { among("work_order", names.iter().map(String::as_str)) } else { lit(true) };
    let mut stream = gather.rows(WORK_ORDERS, filter, &["work_order", "product", "ideal_cycle_s"], &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let (order, products) = (Texts::of(&batch, "work_order")?, Texts::of(&batch, "product")?);
        let cycles = Doubles::of(&batch, "ideal_cycle_s")?;
        for row in 0..batch.num_rows() {
            if let Some(name) = order.at(row).filter(|name| names.contains(*name)) {
                let known = WorkOrder { product: products.at(row).map(str::to_owned), ideal_cycle_s: cycles.at(row) };
                orders.insert(name.to_owned(), known);
            }
        }
    }
    Ok(orders)
}

#[cfg(test)]
mod tests;
