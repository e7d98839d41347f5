//! Samples that come as Arrow columns: files of another historian.

mod whole;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use arrow::record_batch::RecordBatch;
use storage::StoreError;

use super::lines::PIECE_BYTES;
use super::{Intake, Source, Submitted, now_us};
use crate::login::Login;
use crate::quarantine::{Refusal, Refusals};
use crate::record::RowRefusal;
use crate::route::unknown_equipment;
use crate::sample::{GOOD, Keys, SAMPLE_BYTES, Sample};
use crate::schema::{DERIVED, table_index};
use whole::whole;

/// Rows of one commit at most, where they come as columns: as many as others bring with their bytes.
const PIECE_ROWS: usize = PIECE_BYTES / SAMPLE_BYTES;
/// Refused rows that a receipt names.
const NAMED: usize = 100;

/// What became of imported rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportReceipt {
    /// Rows that were stored.
    pub accepted: usize,
    /// Rows that were refused, in all.
    pub refused: usize,
    /// The first of them.
    pub first_refused: Vec<RowRefusal>,
}

/// The columns of `samples`, as far as they are there.
struct Columns {
    /// Columns with rows that are none of their type, what that is, and which rows.
    spoilt: Vec<(&'static str, &'static str, BooleanArray)>,
    time: Int64Array,
    equipment: StringArray,
    signal: StringArray,
    value: Float64Array,
    text: StringArray,
    quality: Int64Array,
    work_order: StringArray,
    operation: StringArray,
    unit: StringArray,
    key_source: StringArray,
}

impl Intake {
    /// Stores rows of `samples`. Needed are `time`, `equipment`, `signal`, and `value` or `text`; keys count as explicit
    /// unless `key_source` says `derived`. Refused rows are only reported: the importer still has them.
    ///
    /// # Errors
    /// Where a column is missing or of another type, or why the rows were not stored.
    pub async fn import_samples(
        self: &Arc<Self>,
        login: &Login,
        rows: &RecordBatch,
    ) -> Result<ImportReceipt, StoreError> {
        let source = Source::new("import", &login.name);
        let schema = table_index(oee::tables::SAMPLES.name).and_then(|table| self.store.memory_schema(table));
        if let Some(whole) = schema.and_then(|schema| whole(self, rows, schema, now_us())) {
            return self.import_whole(&source, &whole).await;
        }
        let columns = Columns::of(rows)?;
        let (now, mut receipt, mut batch) = (now_us(), ImportReceipt::default(), source.batch());
        let mut submitted: Vec<Submitted> = Vec::new();
        let mut refusals = Refusals::default();
        for row in 0..rows.num_rows() {
            batch.count_message();
            match columns.sample(row).and_then(|sample| self.check_import(&sample, now).map(|()| sample)) {
                Ok(sample) => {
                    batch.push_sample(&sample);
                    receipt.accepted += 1;
                }
                Err(refusal) => {
                    refusals.push(refusal.clone());
                    receipt.refused += 1;
                    if receipt.first_refused.len() < NAMED {
                        receipt.first_refused.push(RowRefusal { row, reason: refusal.reason });
                    }
                }
            }
            if batch.bytes() > PIECE_BYTES {
                let piece = std::mem::replace(&mut batch, source.batch());
                submitted.push(self.hand_over(piece, false).await?);
            }
        }
        batch.count_refusals(&refusals);
        submitted.push(self.hand_over(batch, false).await?);
        for piece in &mut submitted {
            piece.stored().await?;
        }
        Ok(receipt)
    }

    /// Stores rows that are as they will be, piece by piece.
    async fn import_whole(self: &Arc<Self>, source: &Source, rows: &RecordBatch) -> Result<ImportReceipt, StoreError> {
        let mut submitted: Vec<Submitted> = Vec::new();
        for start in (0..rows.num_rows()).step_by(PIECE_ROWS) {
            let piece = rows.slice(start, PIECE_ROWS.min(rows.num_rows() - start));
            submitted.push(self.hand_over(source.whole(piece), false).await?);
        }
        for piece in &mut submitted {
            piece.stored().await?;
        }
        Ok(ImportReceipt { accepted: rows.num_rows(), ..ImportReceipt::default() })
    }

    fn check_import(&self, sample: &Sample<'_>, now: i64) -> Result<(), Refusal> {
        self.window.check(sample.time, now)?;
        self.window.check_kept(oee::tables::SAMPLES.name, sample.time, || now)?;
        match self.plant.equipment(sample.equipment) {
            Some(_) => Ok(()),
            None => Err(unknown_equipment(sample.equipment)),
        }
    }
}

impl Columns {
    fn of(rows: &RecordBatch) -> Result<Self, StoreError> {
        let texts = |name: &str| Ok::<_, StoreError>(column(rows, name, &DataType::Utf8)?.as_string::<i32>().clone());
        for name in ["time", "equipment", "signal"] {
            if rows.column_by_name(name).is_none() {
                return Err(StoreError::Invalid(format!("an import of samples needs the column `{name}`")));
            }
        }
        let instants = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let times = cast(&column(rows, "time", &instants)?, &DataType::Int64)?;
        let value = column(rows, "value", &DataType::Float64)?;
        let quality = column(rows, "quality", &DataType::Int64)?;
        let read = [("time", &times, "time"), ("value", &value, "number"), ("quality", &quality, "code")];
        let spoilt = read.into_iter().filter_map(|(name, read, noun)| Some((name, noun, spoilt(rows, name, read)?)));
        Ok(Self {
            spoilt: spoilt.collect(),
            time: times.as_primitive::<Int64Type>().clone(),
            equipment: texts("equipment")?,
            signal: texts("signal")?,
            value: value.as_primitive::<Float64Type>().clone(),
            text: texts("text")?,
            quality: quality.as_primitive::<Int64Type>().clone(),
            work_order: texts("work_order")?,
            operation: texts("operation")?,
            unit: texts("unit")?,
            key_source: texts("key_source")?,
        })
    }

    fn sample(&self, row: usize) -> Result<Sample<'_>, Refusal> {
        let refusal = |reason: &str| Refusal::new("record", reason);
        let equipment = text(&self.equipment, row).ok_or_else(|| refusal("`equipment` is missing"))?;
        let signal = text(&self.signal, row).ok_or_else(|| refusal("`signal` is missing"))?;
        if let Some((name, noun, _)) = self.spoilt.iter().find(|(_, _, spoilt)| spoilt.value(row)) {
            return Err(refusal(&format!("`{name}` is no {noun}")));
        }
        if self.time.is_null(row) {
            return Err(refusal("`time` is missing"));
        }
        let value = (!self.value.is_null(row)).then(|| self.value.value(row));
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(Refusal::new("not_finite", format!("`value` of `{signal}` is no finite number")));
        }
        let derived = text(&self.key_source, row) == Some(DERIVED);
        let keys = if derived {
            Keys::default()
        } else {
            Keys {
                work_order: text(&self.work_order, row),
                operation: text(&self.operation, row),
                unit: text(&self.unit, row),
            }
        };
        Ok(Sample {
            time: self.time.value(row),
            equipment,
            signal,
            value,
            text: (!self.text.is_null(row)).then(|| self.text.value(row)),
            quality: if self.quality.is_null(row) { GOOD } else { self.quality.value(row) },
            keys,
        })
    }
}

/// A name; empty counts as missing.
fn text(column: &StringArray, row: usize) -> Option<&str> {
    (!column.is_null(row)).then(|| column.value(row)).filter(|text| !text.is_empty())
}

/// A column as a type; all null where it is not there. What is none of that type is null: [`spoilt`] tells.
fn column(rows: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef, StoreError> {
    match rows.column_by_name(name) {
        Some(column) => cast(column, kind).map_err(|error| StoreError::Invalid(format!("column `{name}`: {error}"))),
        None => Ok(new_null_array(kind, rows.num_rows())),
    }
}

/// Where a column says something that is nothing as another type; none where that is nowhere.
fn spoilt(rows: &RecordBatch, name: &str, read: &dyn Array) -> Option<BooleanArray> {
    let column = rows.column_by_name(name)?;
    if read.logical_null_count() == column.logical_null_count() {
        return None;
    }
    let (read, said) = (read.logical_nulls()?, column.logical_nulls());
    let is_said = |row: usize| said.as_ref().is_none_or(|said| said.is_valid(row));
    Some((0..rows.num_rows()).map(|row| Some(read.is_null(row) && is_said(row))).collect())
}

#[cfg(test)]
mod tests;
