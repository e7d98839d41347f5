//! Rows of `samples` as aggregates take them, in runs of one signal.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ::oee::series::Severity;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::partition;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};

use super::super::gather::{Gather, among, at, typed};
use super::super::names::Names;
use super::SAMPLES;
use super::known::Signal;
use crate::error::QueryError;
use crate::types::time_type;

pub(super) const COLUMNS: [&str; 5] = ["equipment", "signal", "time", "value", "quality"];
/// Beyond so many names a list of them is slower than the condition that gave them.
const MOST_NAMES: usize = 256;

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) time_us: i64,
    pub(super) value: Option<f64>,
    pub(super) severity: Severity,
}

/// Samples of some signals.
#[derive(Debug)]
pub(super) struct Samples {
    equipment: StringArray,
    signals: StringArray,
    times: TimestampMicrosecondArray,
    values: Float64Array,
    qualities: Int64Array,
}

impl Samples {
    /// The columns of a batch.
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, QueryError> {
        Ok(Self {
            equipment: typed(batch, "equipment", &DataType::Utf8)?.as_string::<i32>().clone(),
            signals: typed(batch, "signal", &DataType::Utf8)?.as_string::<i32>().clone(),
            times: typed(batch, "time", &time_type())?.as_primitive::<TimestampMicrosecondType>().clone(),
            values: typed(batch, "value", &DataType::Float64)?.as_primitive::<Float64Type>().clone(),
            qualities: typed(batch, "quality", &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
        })
    }

    pub(super) fn equipment(&self) -> &StringArray {
        &self.equipment
    }

    pub(super) fn signals(&self) -> &StringArray {
        &self.signals
    }

    /// Equipment and signal of a row.
    pub(super) fn names(&self, row: usize) -> (&str, &str) {
        (self.equipment.value(row), self.signals.value(row))
    }

    #[inline]
    pub(super) fn sample(&self, row: usize) -> Sample {
        Sample {
            time_us: self.times.value(row),
            value: self.values.is_valid(row).then(|| self.values.value(row)),
            // No code is Good, as everywhere.
            severity: if self.qualities.is_valid(row) {
                Severity::of(self.qualities.value(row))
            } else {
                Severity::Good
            },
        }
    }

    /// Stretches of rows of one signal. Rows in order mostly are one, which its ends tell.
    pub(super) fn runs(&self) -> Result<Vec<Range<usize>>, QueryError> {
        let rows = self.times.len();
        if rows == 0 {
            return Ok(Vec::new());
        }
        Ok(partition(&[Arc::new(self.equipment.clone()) as ArrayRef, Arc::new(self.signals.clone())])?.ranges())
    }

    /// The same for rows in order of their names: one run where the first and the last row are of one signal.
    pub(super) fn sorted_runs(&self) -> Result<Vec<Range<usize>>, QueryError> {
        match self.times.len() {
            0 => Ok(Vec::new()),
            rows if self.names(0) == self.names(rows - 1) => Ok(std::iter::once(0..rows).collect()),
            _ => self.runs(),
        }
    }
}

/// Samples of signals in a window, by equipment, signal and time; none where all signals end before it.
pub(super) async fn of_signals(
    gather: &Gather,
    names: &Names,
    signals: &[Arc<Signal>],
    (from, to): (i64, i64),
) -> Result<Option<SendableRecordBatchStream>, QueryError> {
    let reaching: Vec<&Signal> =
        signals.iter().map(|signal| signal.as_ref()).filter(|signal| from <= signal.newest.time_us).collect();
    if reaching.is_empty() {
        return Ok(None);
    }
    let named = of_these(&reaching).or_else(|| names.filter()).unwrap_or_else(|| lit(true));
    let filter = named.and(ident("time").gt_eq(at(from))).and(ident("time").lt(at(to)));
    let order = ["equipment", "signal", "time"].map(|column| ident(column).sort(true, true)).to_vec();
    gather.rows(SAMPLES, filter, &COLUMNS, order).await.map(Some)
}

/// Samples of these signals, and perhaps of others of the same names; none where there are too many to list.
pub(super) fn of_these(signals: &[&Signal]) -> Option<Expr> {
    let equipment: BTreeSet<&str> = signals.iter().map(|signal| signal.equipment.as_str()).collect();
    let names: BTreeSet<&str> = signals.iter().map(|signal| signal.name.as_str()).collect();
    let few = equipment.len() <= MOST_NAMES && names.len() <= MOST_NAMES;
    few.then(|| among("equipment", equipment).and(among("signal", names)))
}

#[cfg(test)]
mod tests;
