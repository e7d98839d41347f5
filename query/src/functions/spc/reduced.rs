//! Samples of a signal, reduced to one value per unit and operation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use oee::OPEN;
use oee::execution::Execution;
use oee::path::lineage;
use oee::series::{Reduction, Severity};

use super::measured::Measurements;
use super::{Question, mistaken};
use crate::context::Context;
use crate::error::QueryError;
use crate::functions::values::{Doubles, Integers, Texts, Times};

/// By what WHERE can choose them.
const NAMES_OF_SAMPLES: [&str; 4] = ["equipment", "operation", "unit", "work_order"];
const SAMPLES: &str = "samples";
const COLUMNS: [&str; 7] = ["equipment", "operation", "unit", "work_order", "time", "value", "quality"];

/// Where and of what samples are, and the execution that they belong to: since when it lasts, and its run.
type Of = ([Option<String>; 4], Option<(i64, String)>);

/// The values of a signal: one for each stay of a unit at an operation of an equipment.
pub(super) async fn gather(
    question: &Question<'_>,
    signal: &str,
    reduction: Reduction,
) -> Result<Measurements, QueryError> {
    let found = read(question, signal, reduction).await?;
    if found.series().is_empty() && !question.gather.plant.declares_signal(signal) {
        return Err(mistaken(format!(
            "no unit has samples of a signal {signal:?} here, and plant.toml declares none of that name: SELECT DISTINCT signal \
             FROM samples shows what there is"
        )));
    }
    Ok(found)
}

/// The same, though nobody sends such a signal.
pub(super) async fn read(
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
            let stay = stays.at(&of, time).map(|stay| (stay.started, stay.run.clone()));
            samples.entry((of, stay)).or_default().push((time, value));
        }
    }
    let mut told = Vec::with_capacity(samples.len());
    let mut values = Vec::with_capacity(samples.len());
    for (of, mut curve) in samples {
        curve.sort_by_key(|(time, _)| *time);
        let path = of.0.first().and_then(|name| name.as_deref()).unwrap_or_default();
        let interpolation = question.gather.plant.signal(path, signal).interpolation;
        if let Some((end, value)) = curve.last().map(|last| last.0).zip(reduction.of(&curve, interpolation)) {
            values.push((0, told.len(), end, value));
            told.push(of);
        }
    }
    let batch = context(signal, &told)?;
    Measurements::of_values(&question.asked.by, &[batch], values)
}

/// Executions of units: one that comes back to an operation stays there a second time.
struct Stays<'a> {
    context: Option<&'a Context>,
    /// The stays of a unit on an equipment by their starts, and when each ends.
    known: HashMap<(String, String), Vec<(&'a Execution, i64)>>,
}

impl<'a> Stays<'a> {
    fn new(context: Option<&'a Context>) -> Self {
        Self { context, known: HashMap::new() }
    }

    /// The stay that a moment belongs to; none where no execution covers it.
    fn at(&mut self, of: &[Option<String>; 4], time: i64) -> Option<&'a Execution> {
        let context = self.context?;
        let [Some(equipment), _, Some(unit), _] = of else { return None };
        let stays = self.known.entry((equipment.clone(), unit.clone())).or_insert_with(|| {
            let here = |execution: &&Execution| lineage(equipment).any(|path| path == execution.equipment);
            let ending = |execution: &'a Execution| {
                (execution, context.executions.effective_end(&execution.run).unwrap_or(OPEN))
            };
            let mut stays: Vec<(&Execution, i64)> = context.of_unit(unit).filter(here).map(ending).collect();
            stays.sort_by(|(one, _), (other, _)| (one.started, &one.run).cmp(&(other.started, &other.run)));
            stays
        });
        // One at a station ends within one on its line: then the unit is in that again.
        let begun = stays.get(..stays.partition_point(|(stay, _)| stay.started <= time))?;
        begun.iter().rev().find(|(_, end)| time < *end).map(|(stay, _)| *stay)
    }
}

/// The rows that tell of each value.
fn context(signal: &str, told: &[Of]) -> Result<RecordBatch, QueryError> {
    let texts = |place: usize| -> ArrayRef {
        Arc::new(told.iter().map(|(of, _)| of.get(place).and_then(|name| name.as_deref())).collect::<StringArray>())
    };
    let runs: ArrayRef =
        Arc::new(told.iter().map(|(_, stay)| stay.as_ref().map(|(_, run)| run.as_str())).collect::<StringArray>());
    let signals: ArrayRef = Arc::new(told.iter().map(|_| Some(signal)).collect::<StringArray>());
    let columns = [
        ("equipment", texts(0)),
        ("characteristic", signals),
        ("operation", texts(1)),
        ("unit", texts(2)),
        ("work_order", texts(3)),
        ("run", runs),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
