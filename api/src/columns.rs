//! Columns of an answer by name, in the types that JSON needs.

use arrow::array::{Array, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use query::QueryError;

fn column(batch: &RecordBatch, name: &str, kind: &DataType) -> Result<arrow::array::ArrayRef, QueryError> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| QueryError::Execution(format!("an answer misses its column {name}")))?;
    Ok(cast(column, kind)?)
}

/// Texts.
pub(crate) struct Texts(StringArray);

impl Texts {
    pub(crate) fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        Ok(Self(column(batch, name, &DataType::Utf8)?.as_string::<i32>().clone()))
    }

    pub(crate) fn at(&self, row: usize) -> Option<&str> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }

    pub(crate) fn owned(&self, row: usize) -> Option<String> {
        self.at(row).map(str::to_owned)
    }
}

/// Doubles; what is no number counts as not known.
pub(crate) struct Doubles(Float64Array);

impl Doubles {
    pub(crate) fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        Ok(Self(column(batch, name, &DataType::Float64)?.as_primitive::<Float64Type>().clone()))
    }

    pub(crate) fn at(&self, row: usize) -> Option<f64> {
        self.0.is_valid(row).then(|| self.0.value(row)).filter(|value| value.is_finite())
    }
}

/// Integers.
pub(crate) struct Integers(Int64Array);

impl Integers {
    pub(crate) fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        Ok(Self(column(batch, name, &DataType::Int64)?.as_primitive::<Int64Type>().clone()))
    }

    pub(crate) fn at(&self, row: usize) -> Option<i64> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}

/// Instants, microseconds UTC.
pub(crate) struct Times(TimestampMicrosecondArray);

impl Times {
    pub(crate) fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Ok(Self(column(batch, name, &kind)?.as_primitive::<TimestampMicrosecondType>().clone()))
    }

    pub(crate) fn at(&self, row: usize) -> Option<i64> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}

/// RFC 3339 of an instant: UTC, microseconds, `Z`.
pub(crate) fn rfc3339(time_us: i64) -> Option<String> {
    jiff::Timestamp::from_microsecond(time_us).ok().map(|time| format!("{time:.6}"))
}

/// Microseconds UTC as a value of SQL.
pub(crate) fn instant(time_us: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(time_us), Some("UTC".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_show_utc_and_all_digits() {
        assert_eq!(rfc3339(0).as_deref(), Some("1970-01-01T00:00:00.000000Z"));
        assert_eq!(rfc3339(1_700_000_000_000_001).as_deref(), Some("2023-11-14T22:13:20.000001Z"));
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
