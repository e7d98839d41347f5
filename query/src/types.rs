//! The types that all tables and functions share.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

/// `timestamptz`: microseconds, UTC.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A text to compare stored texts with, of their own type: nothing is cast for it.
pub(crate) fn text(value: impl Into<String>) -> Expr {
    Expr::Literal(ScalarValue::Utf8View(Some(value.into())), None)
}

/// The columns of a stored table as queries work on them: texts as views, which point to a name once stored instead of
/// holding a copy in each row.
pub(crate) fn with_views(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
