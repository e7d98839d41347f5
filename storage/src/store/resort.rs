//! Rows of a segment in the order of its table's key, where an earlier takt wrote it in another.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::merge::first_key;
use crate::StoreError;
use crate::hot::in_schema;
use crate::keys::{KeyOrder, begins, pick};
use crate::segment::{Segment, SegmentRows};
use crate::spec::TableSpec;

/// Gives batches in key order. The first key column is the first in both orders, so memory holds the rows of one of its values.
pub(super) struct Resorted {
    reader: SegmentRows,
    spec: Arc<TableSpec>,
    schema: SchemaRef,
    rows: usize,
    held: Vec<RecordBatch>,
    ready: VecDeque<RecordBatch>,
}

impl Resorted {
    /// Batches of so many rows, columns as `schema`.
    pub(super) fn new(
        segment: &Segment,
        spec: &Arc<TableSpec>,
        schema: &SchemaRef,
        rows: usize,
    ) -> Result<Self, StoreError> {
        let reader = segment.batches(schema, rows)?;
        let (spec, schema) = (Arc::clone(spec), Arc::clone(schema));
        Ok(Self { reader, spec, schema, rows, held: Vec::new(), ready: VecDeque::new() })
    }

    /// The next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        while self.ready.is_empty() {
            match self.reader.next().transpose()? {
                Some(rows) => self.hold(in_schema(&rows, &self.schema)?)?,
                None if self.held.is_empty() => return Ok(None),
                None => self.sort()?,
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Takes rows in, and sorts all that no later row can come before.
    fn hold(&mut self, rows: RecordBatch) -> Result<(), StoreError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let name = self.spec.key_names().first().copied().unwrap_or_default();
        let first = rows.column_by_name(name).cloned().into_iter().collect::<Vec<_>>();
        let cut = begins(&first)?.last().copied().unwrap_or(0);
        let goes_on = self
            .held
            .last()
            .is_none_or(|held| first_key(&self.spec, held, held.num_rows() - 1) == first_key(&self.spec, &rows, 0));
        if cut > 0 {
            self.held.push(rows.slice(0, cut));
            self.sort()?;
        } else if !goes_on {
            self.sort()?;
        }
        self.held.push(rows.slice(cut, rows.num_rows() - cut));
        Ok(())
    }

    fn sort(&mut self) -> Result<(), StoreError> {
        let rows = concat_batches(&self.schema, &self.held)?;
        self.held.clear();
        let rows = pick(&rows, KeyOrder::of(&rows, &self.spec.key)?.rows)?;
        let starts = (0..rows.num_rows()).step_by(self.rows.max(1));
        self.ready.extend(starts.map(|start| rows.slice(start, self.rows.min(rows.num_rows() - start))));
        Ok(())
    }
}
