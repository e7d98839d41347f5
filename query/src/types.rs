//! The types that all tables and functions share.

use arrow::datatypes::{DataType, TimeUnit};

/// `timestamptz`: microseconds, UTC.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}
