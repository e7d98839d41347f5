//! Rows of the answer of an as-of join.

use std::sync::Arc;

use ::oee::series::{Severity, Status};
use arrow::array::builder::{Float64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::super::samples::Sample;
use crate::error::QueryError;
use crate::types::time_type;

pub(in super::super::super) fn schema() -> SchemaRef {
    let columns = [
        ("equipment", DataType::Utf8),
        ("time", time_type()),
        ("value", DataType::Float64),
        ("status", DataType::Utf8),
        ("other", DataType::Utf8),
        ("other_time", time_type()),
        ("other_value", DataType::Float64),
        ("other_status", DataType::Utf8),
    ];
    Arc::new(Schema::new(columns.map(|(name, kind)| Field::new(name, kind, true)).to_vec()))
}

/// Rows that grow.
#[derive(Default)]
pub(super) struct Rows {
    equipment: StringBuilder,
    first: Side,
    other: StringBuilder,
    others: Side,
    count: usize,
}

/// The columns of one of the two samples of a row.
struct Side {
    times: TimestampMicrosecondBuilder,
    values: Float64Builder,
    statuses: StringBuilder,
}

impl Default for Side {
    fn default() -> Self {
        let times = TimestampMicrosecondBuilder::new().with_data_type(time_type());
        Self { times, values: Float64Builder::new(), statuses: StringBuilder::new() }
    }
}

impl Side {
    fn push(&mut self, sample: Option<Sample>) {
        self.times.append_option(sample.map(|sample| sample.time_us));
        self.values.append_option(sample.and_then(|sample| sample.value));
        self.statuses.append_option(sample.map(status));
    }

    fn finish(mut self) -> [ArrayRef; 3] {
        [Arc::new(self.times.finish()), Arc::new(self.values.finish()), Arc::new(self.statuses.finish())]
    }
}

/// What is no number is Bad, as in all aggregates.
fn status(sample: Sample) -> &'static str {
    let bad = sample.value.is_none_or(|value| !value.is_finite());
    Status::from(if bad { Severity::Bad } else { sample.severity }).name()
}

impl Rows {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, equipment: &str, sample: Sample, other: &str, in_force: Option<Sample>) {
        self.equipment.append_value(equipment);
        self.first.push(Some(sample));
        self.other.append_value(other);
        self.others.push(in_force);
        self.count += 1;
    }

    /// Some of the columns.
    pub(super) fn finish(mut self, columns: &[usize]) -> Result<RecordBatch, QueryError> {
        let [times, values, statuses] = self.first.finish();
        let [other_times, other_values, other_statuses] = self.others.finish();
        let equipment: ArrayRef = Arc::new(self.equipment.finish());
        let other: ArrayRef = Arc::new(self.other.finish());
        debug_assert_eq!(equipment.len(), self.count);
        let arrays = vec![equipment, times, values, statuses, other, other_times, other_values, other_statuses];
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        Ok(RecordBatch::try_new_with_options(schema(), arrays, &options)?.project(columns)?)
    }
}
