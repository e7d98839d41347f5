//! Which order, operation and unit samples belong to: the executions, and what they say of a batch.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use oee::execution::{Execution, Executions, Key};
use oee::tables::OPERATIONS;
use storage::{Store, StoreError};

use crate::column::Names;
use crate::schema::{DERIVED, EXPLICIT, KEY_COLUMNS, table_index};

/// The executions of the plant, up to date with every durable change: what keys samples at flush.
///
/// Changes are queued by the store's thread, which must not wait, and taken in by whoever looks next.
#[derive(Debug)]
pub struct Keyer {
    operations: Option<usize>,
    executions: RwLock<Executions>,
    pending: Mutex<Vec<RecordBatch>>,
    /// Recorded time of the newest change.
    watermark: AtomicI64,
}

impl Keyer {
    /// An index without executions.
    pub fn empty() -> Self {
        Self {
            operations: table_index(OPERATIONS.name),
            executions: RwLock::default(),
            pending: Mutex::default(),
            watermark: AtomicI64::new(i64::MIN),
        }
    }

    /// The index of everything in the table `operations`.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn load(store: &Store) -> Result<Self, StoreError> {
        let keyer = Self::empty();
        let snapshot = store.snapshot();
        if let Some(operations) = snapshot.table(OPERATIONS.name) {
            let rows = operations.rows()?;
            // Not of the rows: the newest change may have taken one out.
            let newest = operations.newest_recorded();
            keyer.watermark.store(newest.unwrap_or(i64::MIN), Ordering::Release);
            take_in(&mut keyer.executions.write().unwrap_or_else(PoisonError::into_inner), &rows)?;
        }
        Ok(keyer)
    }

    /// The executions as of the newest durable change.
    pub fn executions(&self) -> RwLockReadGuard<'_, Executions> {
        if !self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            // Taken under the write lock, so that two looks at once cannot swap the order of changes.
            let mut executions = self.executions.write().unwrap_or_else(PoisonError::into_inner);
            let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            for rows in &pending {
                if let Err(error) = take_in(&mut executions, rows) {
                    tracing::error!(%error, "a change of `operations` could not be read; samples may lack keys until restart");
                }
            }
        }
        self.executions.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a durable write made of its records. Called in the order of the log.
    pub(crate) fn note(&self, records: &[(usize, RecordBatch)], recorded: i64) {
        let changed = records.iter().filter(|(table, _)| Some(*table) == self.operations);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, rows) in changed {
            pending.push(rows.clone());
            self.watermark.fetch_max(recorded, Ordering::AcqRel);
        }
    }

    /// Recorded time of the newest change that is known; microseconds UTC.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// `rows` of `samples` with keys filled in where the payload named none.
    ///
    /// # Errors
    /// Where `rows` are no samples.
    pub fn key(&self, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let executions = self.executions();
        key_rows(&executions, rows)
    }
}

/// A row of `operations`.
enum Change {
    Upsert(Execution),
    Remove { run: Arc<str> },
}

fn take_in(executions: &mut Executions, rows: &RecordBatch) -> Result<(), StoreError> {
    for change in changes(rows)? {
        match change {
            Change::Upsert(execution) => {
                executions.upsert(execution);
            }
            Change::Remove { run } => {
                executions.remove(&run);
            }
        }
    }
    Ok(())
}

/// Rows of `operations`; columns by name, names plain or as dictionaries, `deleted` where it is there.
fn changes(rows: &RecordBatch) -> Result<Vec<Change>, StoreError> {
    let texts = |name: &str| -> Result<StringArray, StoreError> {
        Ok(column(rows, name, &DataType::Utf8)?.as_string::<i32>().clone())
    };
    let times = |name: &str| column(rows, name, &DataType::Int64);
    let [run, equipment, work_order] = [texts("run")?, texts("equipment")?, texts("work_order")?];
    let [product, operation, unit] = [texts("product")?, texts("operation")?, texts("unit")?];
    let [started, completed, recorded] = [times("started")?, times("completed")?, times("recorded")?];
    let deleted: Option<BooleanArray> = rows.column_by_name("deleted").map(|column| column.as_boolean().clone());
    let text = |column: &StringArray, row: usize| (!column.is_null(row)).then(|| Arc::from(column.value(row)));
    let mut found = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let Some(run) = text(&run, row) else { continue };
        let recorded = time(&recorded, row).unwrap_or(i64::MIN);
        let gone = deleted.as_ref().is_some_and(|deleted| deleted.is_valid(row) && deleted.value(row));
        // Without a place or a start an execution covers nothing.
        let covers = text(&equipment, row).zip(time(&started, row)).filter(|_| !gone);
        found.push(match covers {
            None => Change::Remove { run },
            Some((equipment, started)) => Change::Upsert(Execution {
                run,
                equipment,
                work_order: text(&work_order, row),
                product: text(&product, row),
                operation: text(&operation, row),
                unit: text(&unit, row),
                started,
                completed: time(&completed, row),
                // Keys do not follow from what was made.
                result: None,
                operator: None,
                quantity: None,
                recorded,
            }),
        });
    }
    Ok(found)
}

fn time(column: &ArrayRef, row: usize) -> Option<i64> {
    let column = column.as_primitive::<Int64Type>();
    (!column.is_null(row)).then(|| column.value(row))
}

/// A column by name, as `kind`.
pub(crate) fn column(rows: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef, StoreError> {
    let column =
        rows.column_by_name(name).ok_or_else(|| StoreError::Invalid(format!("the column `{name}` is missing")))?;
    Ok(cast(column, kind)?)
}

/// Keys for rows that are sorted, or nearly so, by equipment and time within a signal.
fn key_rows(executions: &Executions, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let times = column(rows, "time", &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>();
    let equipment = names(rows, "equipment")?;
    let paths = equipment.values().as_string::<i32>();
    let given = Given::of(rows)?;
    let mut keyed: [Names; 4] = Default::default();
    let mut cursor = executions.cursor("");
    let mut last = None;
    let mut row = 0;
    while row < rows.num_rows() {
        if let Some(given) = given.as_ref().filter(|given| given.is_explicit(row)) {
            for (names, value) in keyed.iter_mut().zip(given.key(row)) {
                names.push(value);
            }
            row += 1;
            continue;
        }
        let (place, time) = (equipment.key(row), times.value(row));
        if last != Some(place) {
            cursor = executions.cursor(place.map_or("", |place| paths.value(place)));
            last = Some(place);
        }
        let Key { work_order, operation, unit } = cursor.key_at(time);
        let until = cursor.until();
        let is_same = |other: &usize| {
            let explicit = given.as_ref().is_some_and(|given| given.is_explicit(*other));
            !explicit && equipment.key(*other) == place && (time..until).contains(&times.value(*other))
        };
        let count = 1 + (row + 1..rows.num_rows()).take_while(is_same).count();
        let any = work_order.is_some() || operation.is_some() || unit.is_some();
        for (names, value) in keyed.iter_mut().zip([work_order, operation, unit, any.then_some(DERIVED)]) {
            names.push_run(value, count);
        }
        row += count;
    }
    let mut columns = rows.columns().to_vec();
    for (name, names) in KEY_COLUMNS.iter().zip(keyed) {
        let (index, field) = rows
            .schema_ref()
            .column_with_name(name)
            .ok_or_else(|| StoreError::Invalid(format!("the column `{name}` is missing")))?;
        let filled = cast(&names.finish()?, field.data_type())?;
        if let Some(slot) = columns.get_mut(index) {
            *slot = filled;
        }
    }
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

/// The keys that payloads named themselves.
struct Given {
    order_operation_unit: [StringArray; 3],
    source: StringArray,
}

impl Given {
    /// `None` where no payload did.
    fn of(rows: &RecordBatch) -> Result<Option<Self>, StoreError> {
        let [work_order, operation, unit, key_source] = KEY_COLUMNS;
        let texts = |name: &str| -> Result<StringArray, StoreError> {
            Ok(column(rows, name, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let source = names(rows, key_source)?;
        if !source.values().as_string::<i32>().iter().any(|word| word == Some(EXPLICIT)) {
            return Ok(None);
        }
        let order_operation_unit = [texts(work_order)?, texts(operation)?, texts(unit)?];
        Ok(Some(Self { order_operation_unit, source: texts(key_source)? }))
    }

    fn is_explicit(&self, row: usize) -> bool {
        self.source.is_valid(row) && self.source.value(row) == EXPLICIT
    }

    fn key(&self, row: usize) -> [Option<&str>; 4] {
        let [work_order, operation, unit] =
            self.order_operation_unit.each_ref().map(|column| (!column.is_null(row)).then(|| column.value(row)));
        [work_order, operation, unit, Some(EXPLICIT)]
    }
}

/// A column of texts by name, as numbers of different ones.
fn names(rows: &RecordBatch, name: &str) -> Result<DictionaryArray<Int32Type>, StoreError> {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Ok(column(rows, name, &kind)?.as_dictionary::<Int32Type>().clone())
}

#[cfg(test)]
mod tests;
