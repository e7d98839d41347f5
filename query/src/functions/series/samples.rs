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
use futures::TryStreamExt;

use super::super::gather::{Gather, among, at};
use super::super::names::Names;
use super::super::values::typed;
use super::SAMPLES;
use super::known::Signal;
use crate::error::QueryError;
use crate::series_rows::RowsByPath;
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

/// Whose samples they are.
#[derive(Debug)]
enum Owners {
    /// All of one signal.
    One(Arc<Signal>),
    /// Equipment and signal of each row.
    Each(Box<[StringArray; 2]>),
}

/// Samples of some signals.
#[derive(Debug)]
pub(super) struct Samples {
    owners: Owners,
    times: TimestampMicrosecondArray,
    values: Float64Array,
    qualities: Int64Array,
}

impl Samples {
    /// The columns of a batch that has names.
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, QueryError> {
        let equipment = typed(batch, "equipment", &DataType::Utf8)?.as_string::<i32>().clone();
        let signals = typed(batch, "signal", &DataType::Utf8)?.as_string::<i32>().clone();
        Self::owned(Owners::Each(Box::new([equipment, signals])), batch)
    }

    fn owned(owners: Owners, batch: &RecordBatch) -> Result<Self, QueryError> {
        Ok(Self {
            owners,
            times: typed(batch, "time", &time_type())?.as_primitive::<TimestampMicrosecondType>().clone(),
            values: typed(batch, "value", &DataType::Float64)?.as_primitive::<Float64Type>().clone(),
            qualities: typed(batch, "quality", &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
        })
    }

    /// Equipment and signal of a row.
    pub(super) fn names(&self, row: usize) -> (&str, &str) {
        match &self.owners {
            Owners::One(signal) => signal.names(),
            Owners::Each(columns) => {
                let [equipment, signals] = columns.as_ref();
                (equipment.value(row), signals.value(row))
            }
        }
    }

    /// The columns of names, where there are some.
    pub(super) fn name_columns(&self) -> Option<&[StringArray; 2]> {
        match &self.owners {
            Owners::One(_) => None,
            Owners::Each(columns) => Some(columns),
        }
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

    /// Stretches of rows of one signal.
    pub(super) fn runs(&self) -> Result<Vec<Range<usize>>, QueryError> {
        match &self.owners {
            _ if self.times.is_empty() => Ok(Vec::new()),
            Owners::One(_) => Ok(std::iter::once(0..self.times.len()).collect()),
            Owners::Each(columns) => {
                let names: Vec<ArrayRef> = columns.iter().map(|column| Arc::new(column.clone()) as ArrayRef).collect();
                Ok(partition(&names)?.ranges())
            }
        }
    }

    /// The same for rows in order of their names: mostly one run, which its ends tell.
    pub(super) fn sorted_runs(&self) -> Result<Vec<Range<usize>>, QueryError> {
        match self.times.len() {
            0 => Ok(Vec::new()),
            rows if self.names(0) == self.names(rows - 1) => Ok(std::iter::once(0..rows).collect()),
            _ => self.runs(),
        }
    }
}

/// Samples in a window that pass by, by equipment, signal and time.
pub(super) struct Passing {
    rows: SendableRecordBatchStream,
    /// The only signal that there is.
    only: Option<Arc<Signal>>,
}

impl Passing {
    /// The next batch.
    pub(super) async fn next(&mut self) -> Result<Option<Samples>, QueryError> {
        let Some(batch) = self.rows.try_next().await? else { return Ok(None) };
        match &self.only {
            Some(signal) => Samples::owned(Owners::One(Arc::clone(signal)), &batch).map(Some),
            None => Samples::of(&batch).map(Some),
        }
    }
}

/// What samples of some signals in a window fulfil, and which signal that is, where it is one; none where all signals end
/// before it.
pub(super) struct Sought {
    pub(super) filter: Expr,
    only: Option<Arc<Signal>>,
}

impl Sought {
    pub(super) fn new(names: &Names, signals: &[Arc<Signal>], (from, to): (i64, i64)) -> Option<Self> {
        let reaching: Vec<&Arc<Signal>> = signals.iter().filter(|signal| from <= signal.newest.time_us).collect();
        let only = match reaching.as_slice() {
            [] => return None,
            [signal] => Some(Arc::clone(signal)),
            _ => None,
        };
        let named =
            of_these(reaching.into_iter().map(Arc::as_ref)).or_else(|| names.filter()).unwrap_or_else(|| lit(true));
        Some(Self { filter: named.and(ident("time").gt_eq(at(from))).and(ident("time").lt(at(to))), only })
    }

    /// The samples, or those of `left`. Names are not read where there is only one.
    pub(super) async fn passing(self, gather: &Gather, left: Option<Arc<RowsByPath>>) -> Result<Passing, QueryError> {
        let (columns, order): (&[&str], &[&str]) = match &self.only {
            Some(_) => (&["time", "value", "quality"], &["time"]),
            None => (&COLUMNS, &["equipment", "signal", "time"]),
        };
        let rows = match (left, gather.view.present(SAMPLES)) {
            (Some(left), Some(table)) => gather.rows_of(&table.with_rows(left), self.filter, columns, order).await?,
            _ => gather.rows(SAMPLES, self.filter, columns, order).await?,
        };
        Ok(Passing { rows, only: self.only })
    }
}

/// Samples of signals in a window.
pub(super) async fn of_signals(
    gather: &Gather,
    names: &Names,
    signals: &[Arc<Signal>],
    window: (i64, i64),
) -> Result<Option<Passing>, QueryError> {
    match Sought::new(names, signals, window) {
        Some(sought) => sought.passing(gather, None).await.map(Some),
        None => Ok(None),
    }
}

/// Samples of these signals, and perhaps of others of the same names; none where there are too many to list.
pub(super) fn of_these<'a>(signals: impl Iterator<Item = &'a Signal>) -> Option<Expr> {
    let (equipment, names): (BTreeSet<&str>, BTreeSet<&str>) = signals.map(Signal::names).unzip();
    let few = equipment.len() <= MOST_NAMES && names.len() <= MOST_NAMES;
    few.then(|| among("equipment", equipment).and(among("signal", names)))
}

#[cfg(test)]
mod tests;
