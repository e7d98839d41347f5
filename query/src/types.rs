//! The types that all tables and functions share.

use arrow::datatypes::{DataType, TimeUnit};
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
