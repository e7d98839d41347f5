//! Rows of a segment, a batch at a time.

use std::path::PathBuf;

use arrow::array::RecordBatchReader;
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::damaged;
use crate::StoreError;

/// Gives batches of rows; what cannot be read of them names its file.
#[derive(Debug)]
pub struct SegmentRows {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl SegmentRows {
    pub(super) fn new(path: PathBuf, reader: ParquetRecordBatchReader) -> Self {
        Self { path, reader }
    }

    /// All that are left as one batch.
    pub(crate) fn together(self) -> Result<RecordBatch, StoreError> {
        let schema = self.reader.schema();
        let batches: Vec<RecordBatch> = self.collect::<Result<_, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    }
}

impl Iterator for SegmentRows {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.reader.next()?.map_err(|error| damaged(&self.path, &error)))
    }
}
