//! `gage_linearity(…)`: how the bias of a gage changes over its range.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use oee::spc::linearity::{Coefficient, Linearity};

use super::Question;
use super::bias::parts;
use super::frozen::Frozen;
use super::head::{Head, Headed, columns};
use super::measured::Measurements;
use crate::error::QueryError;
use crate::functions::columns::{Column, Value, batch};

struct Row {
    head: Head,
    n: u64,
    references: u64,
    line: Result<Linearity, String>,
}

impl Row {
    fn of<'r, T>(&'r self, figure: impl Fn(&'r Linearity) -> T) -> Option<T> {
        self.line.as_ref().ok().map(figure)
    }
}

impl Headed for Row {
    fn head(&self) -> &Head {
        &self.head
    }
}

/// A figure of the slope or the intercept.
macro_rules! coefficient {
    ($name:literal, $which:ident, $of:expr) => {
        Column {
            name: $name,
            value: Value::Double(|row: &Row| {
                let figure: fn(&Coefficient) -> Option<f64> = $of;
                row.of(|line| figure(&line.$which))?
            }),
        }
    };
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "n", value: Value::Integer(|row| row.n) },
    Column { name: "references", value: Value::Integer(|row| row.references) },
    coefficient!("slope", slope, |slope| Some(slope.value)),
    coefficient!("slope_low", slope, |slope| Some(slope.interval.low)),
    coefficient!("slope_high", slope, |slope| Some(slope.interval.high)),
    coefficient!("slope_p", slope, |slope| slope.p),
    coefficient!("intercept", intercept, |intercept| Some(intercept.value)),
    coefficient!("intercept_low", intercept, |intercept| Some(intercept.interval.low)),
    coefficient!("intercept_high", intercept, |intercept| Some(intercept.interval.high)),
    coefficient!("intercept_p", intercept, |intercept| intercept.p),
    Column { name: "sigma", value: Value::Double(|row| row.of(|line| line.sigma)) },
    Column { name: "r_squared", value: Value::Double(|row| row.of(|line| line.r_squared)?) },
    Column { name: "percent_linearity", value: Value::Double(|row| row.of(|line| line.percent)) },
    Column {
        name: "acceptable",
        value: Value::Text(|row| row.of(|line| if line.is_acceptable() { "yes" } else { "no" })),
    },
    Column { name: "reason", value: Value::Text(|row| row.line.as_ref().err().map(String::as_str)) },
];

pub(in crate::functions) fn schema() -> SchemaRef {
    crate::functions::columns::schema(columns().iter().chain(COLUMNS))
}

pub(in crate::functions) async fn answer(question: &Question<'_>) -> Result<RecordBatch, QueryError> {
    let measurements = Measurements::gather(question, &<Frozen>::default()).await?;
    let mut rows = Vec::new();
    for series in measurements.series() {
        let parts = parts(question, &measurements, series);
        rows.push(Row {
            head: Head::of(&measurements, series),
            n: parts.as_ref().map_or(series.values.len(), |parts| parts.iter().map(|(_, one)| one.len()).sum()) as u64,
            references: parts.as_ref().map_or(0, |parts| parts.len() as u64),
            line: parts.and_then(|parts| Linearity::of(&parts).map_err(|error| error.to_string())),
        });
        tokio::task::yield_now().await;
    }
    batch(columns().iter().chain(COLUMNS), &rows)
}
