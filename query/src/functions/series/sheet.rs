//! What a function makes of a bucket: columns, and rows.

use std::sync::Arc;

use ::oee::series::Bucket;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::super::columns::{Column, batch, schema};
use super::edges::Label;
use super::known::Signal;
use crate::error::QueryError;

/// A finished bucket of a signal.
pub(super) struct Finished {
    pub(super) signal: Arc<Signal>,
    pub(super) bucket: Bucket,
    pub(super) label: Option<Arc<Label>>,
}

/// The columns of a function, and how its rows follow from buckets.
pub(in super::super) struct Sheet<R: 'static> {
    pub(super) columns: &'static [Column<R>],
    pub(super) rows: fn(Finished, &mut Vec<R>),
}

impl<R> Sheet<R> {
    /// All columns.
    pub(in super::super) fn schema(&self) -> SchemaRef {
        schema(self.columns)
    }

    /// Rows with some of the columns.
    pub(super) fn batch(&self, places: &[usize], rows: &[R]) -> Result<RecordBatch, QueryError> {
        batch(places.iter().filter_map(|&place| self.columns.get(place)), rows)
    }
}
