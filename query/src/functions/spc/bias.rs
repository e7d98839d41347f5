//! `gage_bias(…)`: how far a gage measures off what is known of a part.
//!
//! The reference is the target of the measurement's row, or the one that the call names. Every row is a reading.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use oee::spc::bias::Bias;

use super::Question;
use super::frozen::Frozen;
use super::head::{Head, Headed, columns};
use super::measured::{Measurements, Series};
use crate::error::QueryError;
use crate::functions::columns::{Column, Value, batch};

struct Row {
    head: Head,
    n: u64,
    reference: Option<f64>,
    bias: Option<Bias>,
    /// Bias and repeatability in percent of the process's standard deviation.
    percent: Option<(f64, f64)>,
    reason: Option<String>,
}

impl Headed for Row {
    fn head(&self) -> &Head {
        &self.head
    }
}

/// A figure of the bias.
macro_rules! figure {
    ($name:literal, $of:expr) => {
        Column { name: $name, value: Value::Double(|row: &Row| row.bias.as_ref().and_then($of)) }
    };
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "n", value: Value::Integer(|row| row.n) },
    Column { name: "reference", value: Value::Double(|row| row.reference) },
    figure!("mean", |bias| Some(bias.mean)),
    figure!("bias", |bias| Some(bias.bias)),
    figure!("bias_low", |bias| Some(bias.interval.low)),
    figure!("bias_high", |bias| Some(bias.interval.high)),
    figure!("sigma", |bias| Some(bias.sigma)),
    figure!("standard_error", |bias| Some(bias.standard_error)),
    figure!("t", |bias| bias.t),
    figure!("p", |bias| bias.p),
    Column {
        name: "significant",
        value: Value::Text(|row| row.bias.as_ref().map(|bias| if bias.is_significant() { "yes" } else { "no" })),
    },
    Column { name: "percent_bias", value: Value::Double(|row| row.percent.map(|(bias, _)| bias)) },
    Column { name: "percent_repeatability", value: Value::Double(|row| row.percent.map(|(_, sigma)| sigma)) },
    Column { name: "reason", value: Value::Text(|row| row.reason.as_deref()) },
];

pub(in crate::functions) fn schema() -> SchemaRef {
    crate::functions::columns::schema(columns().iter().chain(COLUMNS))
}

pub(in crate::functions) async fn answer(question: &Question<'_>) -> Result<RecordBatch, QueryError> {
    let measurements = Measurements::gather(question, &<Frozen>::default()).await?;
    let mut rows = Vec::new();
    for series in measurements.series() {
        let head = Head::of(&measurements, series);
        let row = |n: usize| Row {
            head: head.clone(),
            n: n as u64,
            reference: None,
            bias: None,
            percent: None,
            reason: None,
        };
        match parts(question, &measurements, series) {
            Err(reason) => rows.push(Row { reason: Some(reason), ..row(series.values.len()) }),
            Ok(parts) => rows.extend(parts.into_iter().map(|(reference, readings)| {
                let known = Row { reference: Some(reference), ..row(readings.len()) };
                match Bias::of(&readings, reference) {
                    Ok(bias) => {
                        let percent = question.asked.process_sigma.and_then(|sigma| bias.percent_of(sigma));
                        Row { bias: Some(bias), percent, ..known }
                    }
                    Err(error) => Row { reason: Some(error.to_string()), ..known },
                }
            })),
        }
        tokio::task::yield_now().await;
    }
    batch(columns().iter().chain(COLUMNS), &rows)
}

/// Readings by their reference, the lowest first.
pub(super) fn parts(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
) -> Result<Vec<(f64, Vec<f64>)>, String> {
    let mut readings = Vec::with_capacity(series.values.len());
    for value in series.values.iter().filter(|value| !value.excluded) {
        match question.asked.spec.target.or_else(|| measurements.target(value.place)) {
            Some(reference) => readings.push((reference, value.value)),
            None => {
                return Err(
                    "a measurement has no target, which is the reference of a study: send it, or name one with \
                            'target=…'"
                        .to_owned(),
                );
            }
        }
    }
    readings.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let parts = readings.chunk_by(|(one, _), (other, _)| one == other);
    Ok(parts.filter_map(|part| Some((part.first()?.0, part.iter().map(|(_, reading)| *reading).collect()))).collect())
}
