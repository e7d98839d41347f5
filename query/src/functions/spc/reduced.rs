//! Samples of a signal, reduced to one value per unit and operation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use oee::execution::Executions;
use oee::path::lineage;
use oee::plant::Interpolation;
use oee::series::Severity;
use oee::{OPEN, SECOND_US, seconds};

use super::asked::Reduction;
use super::measured::Measurements;
use super::{Question, mistaken};
use crate::context::Context;
use crate::error::QueryError;
use crate::functions::values::{Doubles, Integers, Texts, Times};

/// By what WHERE can choose them.
const NAMES_OF_SAMPLES: [&str; 4] = ["equipment", "operation", "unit", "work_order"];
const SAMPLES: &str = "samples";
const COLUMNS: [&str; 7] = ["equipment", "operation", "unit", "work_order", "time", "value", "quality"];

/// Where and of what samples are, and since when the execution lasts that they belong to.
type Of = ([Option<String>; 4], Option<i64>);

/// The values of a signal: one for each stay of a unit at an operation of an equipment.
pub(super) async fn gather(
    question: &Question<'_>,
    signal: &str,
    reduction: Reduction,
) -> Result<Measurements, QueryError> {
    let filter = ident("signal")
        .eq(lit(signal))
        .and(ident("unit").is_not_null())
        .and(question.filter(SAMPLES, &NAMES_OF_SAMPLES)?);
    let known = question.gather.view.context().await?;
    let mut stays = Stays::new(known.as_deref());
    let mut samples: BTreeMap<Of, Vec<(i64, f64)>> = BTreeMap::new();
    let mut stream = question.gather.rows(SAMPLES, filter, &COLUMNS, &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let names = ["equipment", "operation", "unit", "work_order"].map(|name| Texts::of(&batch, name));
        let (times, values) = (Times::of(&batch, "time")?, Doubles::of(&batch, "value")?);
        let quality = Integers::of(&batch, "quality")?;
        for row in 0..batch.num_rows() {
            let good = Severity::of(quality.at(row).unwrap_or(0)) == Severity::Good;
            let Some((time, value)) = times.at(row).zip(values.at(row)).filter(|(_, value)| good && value.is_finite())
            else {
                continue;
            };
            let mut of: [Option<String>; 4] = Default::default();
            for (of, texts) in of.iter_mut().zip(&names) {
                *of = texts.as_ref().ok().and_then(|texts| texts.at(row)).map(str::to_owned);
            }
            let since = stays.since(&of, time);
            samples.entry((of, since)).or_default().push((time, value));
        }
    }
    let mut told = Vec::with_capacity(samples.len());
    let mut values = Vec::with_capacity(samples.len());
    for (of, mut curve) in samples {
        curve.sort_by_key(|(time, _)| *time);
        let path = of.0.first().and_then(|name| name.as_deref()).unwrap_or_default();
        let interpolation = question.gather.plant.signal(path, signal).interpolation;
        if let Some((end, value)) = curve.last().map(|last| last.0).zip(reduced(&curve, reduction, interpolation)) {
            values.push((0, told.len(), end, value));
            told.push(of);
        }
    }
    if told.is_empty() && !question.gather.plant.declares_signal(signal) {
        return Err(mistaken(format!(
            "no unit has samples of a signal {signal:?} here, and plant.toml declares none of that name: SELECT DISTINCT signal \
             FROM samples shows what there is"
        )));
    }
    let batch = context(signal, &told)?;
    Measurements::of_values(&question.asked.by, &[batch], values)
}

/// Executions of units: one that comes back to an operation stays there a second time.
struct Stays<'a> {
    executions: Option<&'a Executions>,
    /// Starts and ends of the stays of a unit on an equipment, ascending.
    known: HashMap<(String, String), Vec<(i64, i64)>>,
}

impl<'a> Stays<'a> {
    fn new(context: Option<&'a Context>) -> Self {
        Self { executions: context.map(|context| &context.executions), known: HashMap::new() }
    }

    /// When the stay began that a moment belongs to; none where no execution covers it.
    fn since(&mut self, of: &[Option<String>; 4], time: i64) -> Option<i64> {
        let executions = self.executions?;
        let [Some(equipment), _, Some(unit), _] = of else { return None };
        let stays = self.known.entry((equipment.clone(), unit.clone())).or_insert_with(|| {
            let all = lineage(equipment).flat_map(|path| executions.on(path));
            let of_unit = all.filter(|execution| execution.unit.as_deref() == Some(unit));
            let mut stays: Vec<(i64, i64)> = of_unit
                .map(|execution| (execution.started, executions.effective_end(&execution.run).unwrap_or(OPEN)))
                .collect();
            stays.sort_unstable();
            stays
        });
        let begun = stays.partition_point(|(start, _)| *start <= time).checked_sub(1)?;
        stays.get(begun).filter(|(_, end)| time < *end).map(|(start, _)| *start)
    }
}

/// The rows that tell of each value.
fn context(signal: &str, told: &[Of]) -> Result<RecordBatch, QueryError> {
    let texts = |place: usize| -> ArrayRef {
        Arc::new(told.iter().map(|(of, _)| of.get(place).and_then(|name| name.as_deref())).collect::<StringArray>())
    };
    let signals: ArrayRef = Arc::new(told.iter().map(|_| Some(signal)).collect::<StringArray>());
    let columns = [
        ("equipment", texts(0)),
        ("characteristic", signals),
        ("operation", texts(1)),
        ("unit", texts(2)),
        ("work_order", texts(3)),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// What a curve comes to. Its mean and integral are over the time from its first to its last sample, in between as the signal
/// is declared; the integral is in units of the signal times seconds.
fn reduced(curve: &[(i64, f64)], reduction: Reduction, interpolation: Interpolation) -> Option<f64> {
    let values = || curve.iter().map(|(_, value)| *value);
    let (first, last) = (curve.first()?, curve.last()?);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let found = match reduction {
        Reduction::Min => low,
        Reduction::Max => high,
        Reduction::Range => high - low,
        Reduction::First => first.1,
        Reduction::Last => last.1,
        Reduction::Integral => integral(curve, interpolation),
        Reduction::Mean if first.0 == last.0 => first.1,
        Reduction::Mean => integral(curve, interpolation) / seconds(last.0 - first.0),
    };
    found.is_finite().then_some(found)
}

fn integral(curve: &[(i64, f64)], interpolation: Interpolation) -> f64 {
    let steps = curve.iter().zip(curve.iter().skip(1));
    let areas = steps.map(|(one, next)| {
        let height = match interpolation {
            Interpolation::Stepped => one.1,
            Interpolation::Sloped => (one.1 + next.1) / 2.0,
        };
        height * (next.0 - one.0) as f64 / SECOND_US as f64
    });
    areas.sum()
}
