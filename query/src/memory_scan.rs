//! Rows in memory as DataFusion reads them: in batches, each with memory of its own.

use std::sync::Arc;

use arrow::array::{Array, MutableArrayData, make_array};
use arrow::compute::cast;
use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::physical_plan::ExecutionPlan;
use storage::{TableSpec, with_views};

use crate::error::QueryError;
use crate::scan::ordering;

/// Rows of one batch.
const BATCH_ROWS: usize = 8_192;

/// A scan of rows in memory that have the columns of `spec` by name: the wanted ones in the types that SQL shows, in key
/// order where `sorted`.
pub(crate) fn memory_scan(
    spec: &TableSpec,
    rows: &RecordBatch,
    columns: &[usize],
    sorted: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let rows = projected(spec, rows, columns)?;
    let batches = (0..rows.num_rows()).step_by(BATCH_ROWS).map(|start| part(&rows, start));
    let mut source = MemorySourceConfig::try_new(&[batches.collect::<Result<_>>()?], rows.schema(), None)?;
    if sorted {
        let has_null = |name: &str| rows.column_by_name(name).is_none_or(|column| column.null_count() > 0);
        let ordering = ordering(spec, &spec.key, &rows.schema(), has_null);
        source = source.try_with_sort_information(ordering.into_iter().collect())?;
    }
    Ok(DataSourceExec::from_data_source(source))
}

/// Rows of a batch from `start` on, in memory of their own: what sorts and exchanges counts each slice with all that it is cut from,
/// and would go to disk with what fits a hundred times.
fn part(rows: &RecordBatch, start: usize) -> Result<RecordBatch> {
    let count = BATCH_ROWS.min(rows.num_rows() - start);
    if count == rows.num_rows() {
        return Ok(rows.clone());
    }
    let columns = rows.columns().iter().map(|column| {
        let all = column.to_data();
        let mut copy = MutableArrayData::new(vec![&all], false, count);
        copy.try_extend(0, start, start + count)?;
        Ok(make_array(copy.freeze()))
    });
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(rows.schema(), columns.collect::<Result<_>>()?, &options)?)
}

fn projected(spec: &TableSpec, rows: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    let (mut fields, mut values) = (Vec::new(), Vec::new());
    let schema = with_views(&spec.schema);
    for &index in columns {
        let field = schema.field(index);
        let column = rows
            .column_by_name(field.name())
            .ok_or_else(|| QueryError::Layout(format!("{} without its column {}", spec.name, field.name())))?;
        values.push(if column.data_type() == field.data_type() {
            Arc::clone(column)
        } else {
            cast(column, field.data_type())?
        });
        fields.push(field.clone());
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), values, &options)?)
}
