//! Rows of a table function, column by column.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::QueryError;
use crate::types::time_type;

/// One column: its name, and what it holds of a row.
pub(crate) struct Column<R> {
    pub(crate) name: &'static str,
    pub(crate) value: Value<R>,
}

/// How a column's value comes out of a row.
pub(crate) enum Value<R> {
    /// Microseconds since 1970.
    Time(fn(&R) -> i64),
    /// Microseconds since 1970, where there is such a time.
    Instant(fn(&R) -> Option<i64>),
    /// Text.
    Text(fn(&R) -> Option<&str>),
    /// A number.
    Double(fn(&R) -> Option<f64>),
    /// A whole number.
    Integer(fn(&R) -> u64),
    /// A whole number, where there is one.
    Whole(fn(&R) -> Option<u64>),
    /// True or false.
    Flag(fn(&R) -> bool),
}

/// The schema of some columns.
pub(crate) fn schema<'a, R: 'a>(columns: impl IntoIterator<Item = &'a Column<R>>) -> SchemaRef {
    let field = |column: &Column<R>| {
        let kind = match column.value {
            Value::Time(_) | Value::Instant(_) => time_type(),
            Value::Text(_) => DataType::Utf8,
            Value::Double(_) => DataType::Float64,
            Value::Integer(_) | Value::Whole(_) => DataType::Int64,
            Value::Flag(_) => DataType::Boolean,
        };
        Field::new(column.name, kind, true)
    };
    Arc::new(Schema::new(columns.into_iter().map(field).collect::<Vec<_>>()))
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Rows as a batch.
pub(crate) fn batch<'a, R: 'a>(
    columns: impl IntoIterator<Item = &'a Column<R>> + Clone,
    rows: &[R],
) -> Result<RecordBatch, QueryError> {
    let array = |column: &Column<R>| -> ArrayRef {
        match column.value {
            Value::Time(value) => {
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(value)).with_timezone("UTC"))
            }
            Value::Instant(value) => {
                Arc::new(rows.iter().map(value).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            Value::Text(value) => Arc::new(rows.iter().map(value).collect::<StringArray>()),
            Value::Double(value) => Arc::new(rows.iter().map(value).collect::<Float64Array>()),
            Value::Integer(value) => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| whole(value(row))))),
            Value::Whole(value) => Arc::new(rows.iter().map(|row| value(row).map(whole)).collect::<Int64Array>()),
            Value::Flag(value) => Arc::new(rows.iter().map(|row| Some(value(row))).collect::<BooleanArray>()),
        }
    };
    let arrays = columns.clone().into_iter().map(array).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema(columns), arrays, &options)?)
}
