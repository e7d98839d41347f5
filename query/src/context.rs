//! Work-order context of a snapshot: the executions in force, where each unit and order was, and which stretches of
//! time were re-keyed since a segment was written.
//!
//! The index follows the `operations` table by what is new in it: new segments, and the hot buffer. It sees every version
//! of a row, so a change that was itself corrected is not missed.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use oee::OPEN;
use oee::execution::{Affected, Execution, Executions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use storage::{Segment, TableView};

use crate::error::QueryError;
use crate::types::time_type;

mod changes;

use changes::Changes;

/// The table that context comes from.
pub(crate) const OPERATIONS: &str = "operations";
/// More stretches than this are joined to one per equipment.
const MAX_STRETCHES: usize = 64;

const COLUMNS: &[&str] = &[
    "run",
    "equipment",
    "work_order",
    "product",
    "operation",
    "unit",
    "started",
    "completed",
    "result",
    "operator",
    "quantity",
    "recorded",
    "deleted",
];

/// The context of one version of `operations`; cheap to share.
#[derive(Debug, Default, Clone)]
pub(crate) struct Context {
    /// Recorded time of the newest change that `executions` may show, where that is an earlier one; `changes` are all there
    /// are.
    as_of: Option<i64>,
    /// What keys follow from.
    pub(crate) executions: Executions,
    by_unit: HashMap<Arc<str>, HashSet<Arc<str>>>,
    by_order: HashMap<Arc<str>, HashSet<Arc<str>>>,
    /// When the newest version was recorded of each run that is not among the executions.
    retracted: HashMap<Arc<str>, i64>,
    changes: Changes,
    /// Changes of what was made, which re-key nothing.
    made: Changes,
}

/// Names that samples are looked for by; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Located<'a> {
    pub(crate) units: Option<Vec<&'a str>>,
    pub(crate) operations: Option<Vec<&'a str>>,
    pub(crate) orders: Option<Vec<&'a str>>,
}

/// One version of a row of `operations`.
#[derive(Debug)]
struct Version {
    execution: Execution,
    /// None where it was retracted, or says neither where nor when.
    valid: bool,
}

impl Context {
    /// The context of `versions`, in the order in which they were recorded, as it was known at `as_of`.
    fn known_at(as_of: i64, versions: Vec<Version>) -> Self {
        let (known, later): (Vec<_>, Vec<_>) =
            versions.into_iter().partition(|version| version.execution.recorded <= as_of);
        let mut then = Self { as_of: Some(as_of), ..Self::default() };
        known.into_iter().for_each(|version| then.apply(version));
        let mut now = then.clone();
        later.into_iter().for_each(|version| now.apply(version));
        Self { changes: now.changes, ..then }
    }

    /// Stretches whose keys changed after `keyed_through`, as far as they touch `[first, last]`. Keys of an earlier time
    /// differ where any change since that time may be in what is stored.
    pub(crate) fn affected(&self, keyed_through: i64, first: i64, last: i64) -> Vec<Affected> {
        let since = self.as_of.map_or(keyed_through, |as_of| keyed_through.min(as_of));
        joined(self.changes.touching(since, (first, last)).cloned().collect())
    }

    /// Where and when the given units were, at the given operations alone where there are such, or the given orders ran.
    pub(crate) fn located(&self, wanted: &Located<'_>) -> Option<Vec<Affected>> {
        // The operation of a unit's sample is that of the unit's execution; the order can come from another.
        let (index, names, operations) = match (&wanted.units, &wanted.orders) {
            (Some(units), _) => (&self.by_unit, units, wanted.operations.as_ref()),
            (None, Some(orders)) => (&self.by_order, orders, None),
            (None, None) => return None,
        };
        let is_at = |execution: &Execution| {
            let operation = execution.operation.as_deref();
            operations.is_none_or(|wanted| operation.is_some_and(|operation| wanted.contains(&operation)))
        };
        let mut found = Vec::new();
        for run in names.iter().filter_map(|name| index.get(*name)).flatten() {
            if let Some(execution) = self.executions.get(run).filter(|execution| is_at(execution)) {
                let to = self.executions.effective_end(run).unwrap_or(OPEN);
                found.push(Affected { equipment: execution.equipment.clone(), from: execution.started, to });
            }
        }
        Some(joined(found))
    }

    /// The executions of a unit, in no particular order.
    pub(crate) fn of_unit(&self, unit: &str) -> impl Iterator<Item = &Execution> {
        self.by_unit.get(unit).into_iter().flatten().filter_map(|run| self.executions.get(run))
    }

    /// What changed after `recorded`, the newest change first: when that was recorded, and what it can re-key.
    pub(crate) fn changes_since(&self, recorded: i64) -> impl Iterator<Item = (i64, &Affected)> {
        self.changes.since(recorded)
    }

    /// The same of what was made.
    pub(crate) fn made_since(&self, recorded: i64) -> impl Iterator<Item = (i64, &Affected)> {
        self.made.since(recorded)
    }

    /// When an order first started on one of these equipments.
    pub(crate) fn first_start(&self, work_order: &str, equipment: &[&str]) -> Option<i64> {
        let executions = self.by_order.get(work_order)?.iter().filter_map(|run| self.executions.get(run));
        let here = executions.filter(|execution| equipment.contains(&execution.equipment.as_ref()));
        here.map(|execution| execution.started).min()
    }

    /// When the newest of all changes was recorded.
    #[cfg(test)]
    pub(crate) fn newest_recorded(&self) -> i64 {
        let executions = self.executions.iter().map(|execution| execution.recorded);
        executions.chain(self.retracted.values().copied()).max().unwrap_or(i64::MIN)
    }

    fn apply(&mut self, version: Version) {
        let Version { execution, valid } = version;
        let current = self.executions.get(&execution.run);
        let known = current.map(|current| current.recorded).or_else(|| self.retracted.get(&execution.run).copied());
        let same = if valid { current == Some(&execution) } else { current.is_none() };
        if known.is_some_and(|known| execution.recorded < known || (execution.recorded == known && same)) {
            return;
        }
        let (run, recorded) = (Arc::clone(&execution.run), execution.recorded);
        let new = valid.then_some(execution);
        let old = match &new {
            Some(new) => self.executions.upsert(new.clone()),
            None => self.executions.remove(&run),
        };
        let names = |of: fn(&Execution) -> Option<&Arc<str>>| (old.as_deref().and_then(of), new.as_ref().and_then(of));
        reindex(&mut self.by_unit, names(|execution| execution.unit.as_ref()), &run);
        reindex(&mut self.by_order, names(|execution| execution.work_order.as_ref()), &run);
        for affected in Executions::affected(old.as_deref(), new.as_ref(), &self.executions) {
            self.changes.note(recorded, affected);
        }
        for affected in Executions::made_differently(old.as_deref(), new.as_ref()) {
            self.made.note(recorded, affected);
        }
        match new {
            Some(_) => drop(self.retracted.remove(&run)),
            None => drop(self.retracted.insert(run, recorded)),
        }
    }
}

/// Where a run has another name than before, it is found by that.
fn reindex(
    map: &mut HashMap<Arc<str>, HashSet<Arc<str>>>,
    (old, new): (Option<&Arc<str>>, Option<&Arc<str>>),
    run: &Arc<str>,
) {
    if old == new {
        return;
    }
    if let Some(name) = old
        && let Some(runs) = map.get_mut(name)
    {
        runs.remove(run);
        if runs.is_empty() {
            map.remove(name);
        }
    }
    if let Some(name) = new {
        map.entry(Arc::clone(name)).or_default().insert(Arc::clone(run));
    }
}

/// What overlaps joined; where that leaves too many, one stretch per equipment.
pub(crate) fn joined(stretches: Vec<Affected>) -> Vec<Affected> {
    let merged = overlapping(stretches);
    if merged.len() > MAX_STRETCHES { merged_where(merged, |_, _| true) } else { merged }
}

/// What overlaps joined, by equipment and time.
pub(crate) fn overlapping(mut stretches: Vec<Affected>) -> Vec<Affected> {
    stretches.sort_by(|a, b| (&a.equipment, a.from).cmp(&(&b.equipment, b.from)));
    merged_where(stretches, |last, next| next.from <= last.to)
}

fn merged_where(stretches: Vec<Affected>, together: impl Fn(&Affected, &Affected) -> bool) -> Vec<Affected> {
    let mut merged: Vec<Affected> = Vec::new();
    for stretch in stretches {
        match merged.last_mut() {
            Some(last) if last.equipment == stretch.equipment && together(last, &stretch) => {
                last.to = last.to.max(stretch.to);
            }
            _ => merged.push(stretch),
        }
    }
    merged
}

/// Keeps the context of the newest snapshot it was asked for, and the last one of an earlier recorded time.
#[derive(Debug, Default)]
pub(crate) struct ContextCache {
    state: Mutex<Followed>,
    earlier: Mutex<Option<(u64, Arc<Context>)>>,
}

#[derive(Debug, Default)]
struct Followed {
    context: Arc<Context>,
    version: Option<u64>,
    segments: HashSet<PathBuf>,
}

impl ContextCache {
    /// The context of a snapshot's `operations` table, as it was known at `as_of`.
    pub(crate) async fn shared(
        self: &Arc<Self>,
        operations: &Arc<TableView>,
        as_of: Option<i64>,
    ) -> Result<Arc<Context>, QueryError> {
        let (contexts, operations) = (Arc::clone(self), Arc::clone(operations));
        let found = tokio::task::spawn_blocking(move || match as_of {
            None => contexts.at(&operations),
            Some(as_of) => contexts.earlier(&operations, as_of),
        });
        found.await.map_err(|error| QueryError::Execution(error.to_string()))?
    }

    /// Reads files, so it runs off the async threads. A statement never sees a context newer than its snapshot: where
    /// others have moved on meanwhile, its own is made from the start.
    pub(crate) fn at(&self, operations: &TableView) -> Result<Arc<Context>, QueryError> {
        let mut followed = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.version.is_some_and(|version| version > operations.version) {
            drop(followed);
            return Followed::default().follow(operations);
        }
        followed.follow(operations)
    }

    /// The same of an earlier time, read from the start.
    fn earlier(&self, operations: &TableView, as_of: i64) -> Result<Arc<Context>, QueryError> {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, context)) = earlier.as_ref()
            && (*version, context.as_of) == (operations.version, Some(as_of))
        {
            return Ok(Arc::clone(context));
        }
        let versions = Followed::default().unread(operations)?;
        let context = Arc::new(Context::known_at(as_of, versions));
        *earlier = Some((operations.version, Arc::clone(&context)));
        Ok(context)
    }
}

impl Followed {
    /// Takes in what is new in `operations`.
    fn follow(&mut self, operations: &TableView) -> Result<Arc<Context>, QueryError> {
        if self.version == Some(operations.version) {
            return Ok(Arc::clone(&self.context));
        }
        let versions = self.unread(operations)?;
        let context = Arc::make_mut(&mut self.context);
        for version in versions {
            context.apply(version);
        }
        self.version = Some(operations.version);
        Ok(Arc::clone(&self.context))
    }

    /// Versions that no segment read before holds, in the order in which they were recorded.
    fn unread(&mut self, operations: &TableView) -> Result<Vec<Version>, QueryError> {
        let mut versions = Vec::new();
        let mut read = Vec::new();
        for segment in operations.history.iter().chain(&operations.segments) {
            if !self.segments.contains(&segment.path) {
                for batch in read_segment(segment)? {
                    versions_of(&batch, &mut versions)?;
                }
                read.push(segment.path.clone());
            }
        }
        for batch in operations.hot_versions() {
            versions_of(batch, &mut versions)?;
        }
        versions.sort_by_key(|version| version.execution.recorded);
        self.segments.extend(read);
        Ok(versions)
    }
}

fn read_segment(segment: &Segment) -> Result<Vec<RecordBatch>, QueryError> {
    let unreadable = |message: String| QueryError::Unreadable { path: segment.path.clone(), message };
    let file = File::open(&segment.path).map_err(|error| unreadable(error.to_string()))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, segment.metadata().clone());
    let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS.iter().copied());
    let reader = builder.with_projection(mask).build().map_err(|error| unreadable(error.to_string()))?;
    reader.collect::<Result<_, _>>().map_err(|error| unreadable(error.to_string()))
}

fn versions_of(batch: &RecordBatch, versions: &mut Vec<Version>) -> Result<(), QueryError> {
    let texts = |name: &str| column(batch, name, &DataType::Utf8);
    let (runs, equipment, units) = (texts("run")?, texts("equipment")?, texts("unit")?);
    let (mut orders, mut products) = (Words::of(texts("work_order")?), Words::of(texts("product")?));
    let mut operations = Words::of(texts("operation")?);
    let started = Times::of(batch, "started")?;
    let completed = Times::of(batch, "completed")?;
    let recorded = Times::of(batch, "recorded")?;
    let (mut results, mut operators) = (Words::of(texts("result")?), Words::of(texts("operator")?));
    let quantity = column(batch, "quantity", &DataType::Float64)?;
    let quantity = quantity.as_primitive::<Float64Type>();
    let deleted = match batch.column_by_name("deleted") {
        Some(deleted) => deleted.as_boolean_opt().cloned(),
        None => None,
    };
    for row in 0..batch.num_rows() {
        let Some(run) = name(&runs, row) else { continue };
        let retracted = deleted.as_ref().is_some_and(|deleted| deleted.is_valid(row) && deleted.value(row));
        let (place, start) = (name(&equipment, row), started.at(row));
        versions.push(Version {
            valid: !retracted && place.is_some() && start.is_some(),
            execution: Execution {
                run,
                equipment: place.unwrap_or_default(),
                work_order: orders.at(row),
                product: products.at(row),
                operation: operations.at(row),
                unit: name(&units, row),
                started: start.unwrap_or_default(),
                completed: completed.at(row),
                result: results.at(row).filter(|word| !word.is_empty()),
                operator: operators.at(row).filter(|word| !word.is_empty()),
                quantity: quantity.is_valid(row).then(|| quantity.value(row)),
                recorded: recorded.at(row).unwrap_or_default(),
            },
        });
    }
    Ok(())
}

fn column(batch: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef, QueryError> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| QueryError::Layout(format!("operations without its column {name}")))?;
    Ok(if column.data_type() == kind { Arc::clone(column) } else { cast(column, kind)? })
}

fn name(column: &ArrayRef, row: usize) -> Option<Arc<str>> {
    column.is_valid(row).then(|| Arc::from(column.as_string::<i32>().value(row)))
}

/// Texts that are few words, each many times: held once for each batch until the index has them, which holds each once.
struct Words {
    texts: ArrayRef,
    known: HashSet<Arc<str>>,
}

impl Words {
    fn of(texts: ArrayRef) -> Self {
        Self { texts, known: HashSet::new() }
    }

    fn at(&mut self, row: usize) -> Option<Arc<str>> {
        let texts = self.texts.as_string::<i32>();
        let word = texts.is_valid(row).then(|| texts.value(row))?;
        if let Some(known) = self.known.get(word) {
            return Some(Arc::clone(known));
        }
        let word: Arc<str> = Arc::from(word);
        self.known.insert(Arc::clone(&word));
        Some(word)
    }
}

struct Times(TimestampMicrosecondArray);

impl Times {
    fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        Ok(Self(column(batch, name, &time_type())?.as_primitive::<TimestampMicrosecondType>().clone()))
    }

    fn at(&self, row: usize) -> Option<i64> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}

#[cfg(test)]
mod tests;
