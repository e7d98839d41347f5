//! Which samples of a flush are kept: all but those that the plant's `compression` of their signal leaves out.
//!
//! The samples of a signal are cut into stretches, and each is thinned by itself, its first and last sample kept: so the
//! bounds of [`oee::thinning`] hold without what other flushes have, and nothing is remembered from one to the next.
//! A stretch ends
//!
//! - where work order, operation, unit or status change: what belongs to a unit keeps its ends;
//! - at a sample that is kept whatever its value: one without a finite number, with a text, or not Good, and a correction.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::partition;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use oee::plant::Plant;
use oee::series::Severity;
use oee::tables::SAMPLES;
use storage::{StoreError, Transform};

use crate::keying::{Keyer, column};
use crate::schema::{KEY_COLUMNS, table_index};

/// What happens to rows at flush: samples get their keys, then they are thinned.
pub(crate) struct AtFlush {
    samples: Option<usize>,
    keyer: Arc<Keyer>,
    /// None where it compresses no signal.
    plant: Option<Arc<Plant>>,
}

impl AtFlush {
    pub(crate) fn new(keyer: Arc<Keyer>, plant: &Arc<Plant>) -> Self {
        let plant = plant.has_compression().then(|| Arc::clone(plant));
        Self { samples: table_index(SAMPLES.name), keyer, plant }
    }
}

impl Transform for AtFlush {
    fn apply(&self, table: usize, batch: RecordBatch) -> Result<RecordBatch, StoreError> {
        if Some(table) == self.samples { self.keyer.key(&batch) } else { Ok(batch) }
    }

    fn watermark(&self) -> i64 {
        self.keyer.watermark()
    }

    fn keep(
        &self,
        table: usize,
        rows: &RecordBatch,
        replaces: &BooleanArray,
    ) -> Result<Option<BooleanArray>, StoreError> {
        match &self.plant {
            Some(plant) if Some(table) == self.samples => kept(plant, rows, replaces),
            _ => Ok(None),
        }
    }
}

/// Which of the rows, in key order, are kept; `None` where all are.
fn kept(plant: &Plant, rows: &RecordBatch, replaces: &BooleanArray) -> Result<Option<BooleanArray>, StoreError> {
    let samples = Samples::of(rows, replaces)?;
    let mut keep = vec![true; rows.num_rows()];
    for alike in alike(rows)? {
        let (equipment, signal) = (samples.equipment.as_string::<i32>(), samples.signal.as_string::<i32>());
        let first = alike.start;
        if equipment.is_null(first) || signal.is_null(first) {
            continue;
        }
        let Some(compression) = plant.signal(equipment.value(first), signal.value(first)).compression else { continue };
        let mut row = first;
        while row < alike.end {
            let stretch: Vec<(i64, f64)> = (row..alike.end).map_while(|row| samples.compressible(row)).collect();
            let wrong = |error| StoreError::Invalid(format!("samples of a flush are not in their order: {error}"));
            let kept = compression.keep(&stretch).map_err(wrong)?;
            for (place, kept) in keep.iter_mut().skip(row).zip(kept) {
                *place = kept;
            }
            // The sample behind a stretch is kept, or it is the end.
            row += stretch.len() + 1;
        }
    }
    Ok(keep.contains(&false).then(|| BooleanArray::from(keep)))
}

/// Rows that have all in common but time and value.
fn alike(rows: &RecordBatch) -> Result<Vec<Range<usize>>, StoreError> {
    let names = ["equipment", "signal", "quality"].iter().chain(&KEY_COLUMNS);
    let columns: Option<Vec<ArrayRef>> = names.map(|name| rows.column_by_name(name).cloned()).collect();
    let columns = columns.ok_or_else(|| StoreError::Invalid("samples without their keys".into()))?;
    if rows.num_rows() == 0 {
        return Ok(Vec::new());
    }
    Ok(partition(&columns)?.ranges())
}

/// The columns of `samples` that say what may be left out.
struct Samples<'a> {
    equipment: ArrayRef,
    signal: ArrayRef,
    times: ArrayRef,
    values: ArrayRef,
    texts: ArrayRef,
    qualities: ArrayRef,
    replaces: &'a BooleanArray,
}

impl<'a> Samples<'a> {
    fn of(rows: &RecordBatch, replaces: &'a BooleanArray) -> Result<Self, StoreError> {
        Ok(Self {
            equipment: column(rows, "equipment", &DataType::Utf8)?,
            signal: column(rows, "signal", &DataType::Utf8)?,
            times: column(rows, "time", &DataType::Int64)?,
            values: column(rows, "value", &DataType::Float64)?,
            texts: column(rows, "text", &DataType::Utf8)?,
            qualities: column(rows, "quality", &DataType::Int64)?,
            replaces,
        })
    }

    /// Time and value of a sample that need not be kept.
    fn compressible(&self, row: usize) -> Option<(i64, f64)> {
        let (times, qualities) = (self.times.as_primitive::<Int64Type>(), self.qualities.as_primitive::<Int64Type>());
        let values = self.values.as_primitive::<Float64Type>();
        let good = qualities.is_valid(row) && Severity::of(qualities.value(row)) == Severity::Good;
        let number = values.is_valid(row) && values.value(row).is_finite() && self.texts.is_null(row);
        let stays = !good || !number || times.is_null(row) || self.replaces.value(row);
        (!stays).then(|| (times.value(row), values.value(row)))
    }
}

#[cfg(test)]
mod tests;
