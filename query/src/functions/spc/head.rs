//! What rows that tell of a chart as a whole begin with: when it was measured, and of what it is.

use std::sync::Arc;

use super::measured::{Common, Key, Measurements, Series};
use crate::functions::columns::{Column, Value};

/// Of what a row tells.
#[derive(Debug, Clone)]
pub(super) struct Head {
    key: Key,
    common: Common,
    /// Which piece all values are of.
    piece: Option<i64>,
    first: Option<i64>,
    last: Option<i64>,
}

impl Head {
    pub(super) fn of(measurements: &Measurements, series: &Series) -> Self {
        Self {
            key: series.key.clone(),
            common: measurements.common(series),
            piece: series.piece(),
            first: series.values.first().map(|value| value.time),
            last: series.values.last().map(|value| value.time),
        }
    }

    /// The same of several characteristics together.
    pub(super) fn of_characteristics(mut self, names: &str) -> Self {
        self.key[1] = Some(Arc::from(names));
        self
    }

    fn part(&self, place: usize) -> Option<&str> {
        self.key.get(place)?.as_ref().map(Arc::as_ref)
    }

    fn in_common(&self, place: usize) -> Option<&str> {
        self.common.get(place)?.as_deref()
    }
}

/// A row with a head.
pub(super) trait Headed {
    fn head(&self) -> &Head;
}

/// The columns of the head.
pub(super) fn columns<R: Headed>() -> [Column<R>; 11] {
    [
        Column { name: "time", value: Value::Instant(|row| row.head().last) },
        Column { name: "start", value: Value::Instant(|row| row.head().first) },
        Column { name: "equipment", value: Value::Text(|row| row.head().part(0)) },
        Column { name: "characteristic", value: Value::Text(|row| row.head().part(1)) },
        Column { name: "product", value: Value::Text(|row| row.head().part(2)) },
        Column { name: "operation", value: Value::Text(|row| row.head().part(3)) },
        Column { name: "work_order", value: Value::Text(|row| row.head().in_common(0)) },
        Column { name: "unit", value: Value::Text(|row| row.head().in_common(1)) },
        Column { name: "operator", value: Value::Text(|row| row.head().in_common(2)) },
        Column { name: "gauge", value: Value::Text(|row| row.head().in_common(3)) },
        Column { name: "piece", value: Value::Whole(|row| u64::try_from(row.head().piece?).ok()) },
    ]
}
