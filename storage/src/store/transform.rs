//! What the owner of the store does to rows at flush.

use arrow::array::BooleanArray;
use arrow::record_batch::RecordBatch;

use super::Shared;
use crate::StoreError;
use crate::segment::keep;

/// Fills derived columns in at flush, and says which rows need not be kept.
pub trait Transform: Send + Sync {
    /// `batch` (columns of [`crate::TableSpec::hot_schema`], sorted by key) with derived columns filled in.
    ///
    /// # Errors
    /// Where `batch` is not as it must be. The rows are kept as they are then, and count as never derived.
    fn apply(&self, table: usize, batch: RecordBatch) -> Result<RecordBatch, StoreError>;
    /// Recorded time of the newest change that `apply` knows of; microseconds UTC.
    fn watermark(&self) -> i64;
    /// Which of the rows of a flush go to the table, once `apply` has seen them; `None`: all. Merges do not ask again.
    /// `replaces` says which rows take the place of another version: those must stay, or neither would be there, and so must
    /// the last row of each series, which counts as its newest. Where no row would stay, all do.
    ///
    /// # Errors
    /// Where `rows` are not as they must be. All rows are kept then.
    fn keep(
        &self,
        _table: usize,
        _rows: &RecordBatch,
        _replaces: &BooleanArray,
    ) -> Result<Option<BooleanArray>, StoreError> {
        Ok(None)
    }
}

impl Shared {
    /// Rows with derived columns filled in, and the recorded time up to which that took changes into account.
    pub(super) fn derive(&self, table: usize, rows: RecordBatch) -> (RecordBatch, i64) {
        let Some(transform) = self.transform.get() else { return (rows, i64::MIN) };
        // Read before it is applied: what changes meanwhile counts as not known.
        let keyed_through = transform.watermark();
        match transform.apply(table, rows.clone()) {
            Ok(derived) => (derived, keyed_through),
            Err(error) => {
                tracing::error!(%error, "rows are kept without derived columns; every query derives them");
                (rows, i64::MIN)
            }
        }
    }

    /// The rows of a flush without those that need not be kept.
    pub(super) fn thin(
        &self,
        table: usize,
        rows: RecordBatch,
        replaces: &BooleanArray,
    ) -> Result<RecordBatch, StoreError> {
        let Some(transform) = self.transform.get() else { return Ok(rows) };
        match transform.keep(table, &rows, replaces) {
            Ok(Some(kept)) if kept.true_count() > 0 => keep(&rows, &kept),
            Ok(_) => Ok(rows),
            Err(error) => {
                tracing::error!(%error, "all rows of a flush are kept, also those that the plant would have left out");
                Ok(rows)
            }
        }
    }

    /// Up to when changes are taken into account in what is derived now.
    pub(super) fn watermark(&self) -> i64 {
        self.transform.get().map_or(i64::MIN, |transform| transform.watermark())
    }
}
