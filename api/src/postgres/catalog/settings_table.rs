//! `pg_settings`: what the session's `SHOW ALL` says, as a table.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::error::Result;

use super::super::settings::SharedSettings;

/// Columns of which nothing is known.
const UNKNOWN: &[&str] =
    &["unit", "category", "short_desc", "extra_desc", "min_val", "max_val", "enumvals", "boot_val", "sourcefile"];

pub(super) fn pg_settings(settings: &SharedSettings) -> Result<Arc<dyn TableProvider>> {
    let (names, values): (Vec<String>, Vec<String>) =
        settings.read().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).unzip();
    let rows = names.len();
    let values: ArrayRef = Arc::new(StringArray::from(values));
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let names: ArrayRef = Arc::new(StringArray::from(names));
    let unplaced: ArrayRef = Arc::new(Int32Array::new_null(rows));
    let unchanged: ArrayRef = Arc::new(BooleanArray::from(vec![false; rows]));
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("name", names),
        ("setting", Arc::clone(&values)),
        ("reset_val", values),
        ("context", same("user")),
        ("vartype", same("string")),
        ("source", same("session")),
        ("sourceline", unplaced),
        ("pending_restart", unchanged),
    ];
    columns.extend(UNKNOWN.iter().map(|name| (*name, new_null_array(&DataType::Utf8, rows))));
    let fields: Vec<Field> =
        columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, values)| values).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}
