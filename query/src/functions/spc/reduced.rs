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
use oee::plant::Plant;
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

/// The samples of a signal while a unit was at an operation.
pub(super) struct Curve {
    /// Where the samples are from.
    pub(super) equipment: String,
    /// The execution that they belong to; none of samples that name a unit which no execution has there.
    pub(super) run: Option<String>,
    operation: Option<String>,
    unit: Option<String>,
    work_order: Option<String>,
    /// Time in microseconds, ascending, and Good values.
    samples: Vec<(i64, f64)>,
}

impl Curve {
    /// When its last sample was taken, and what it comes to.
    pub(super) fn reduced(&self, plant: &Plant, signal: &str, reduction: Reduction) -> Option<(i64, f64)> {
        let interpolation = plant.signal(&self.equipment, signal).interpolation;
        Some((self.samples.last()?.0, reduction.of(&self.samples, interpolation)?))
    }
}

/// What tells curves apart: where samples are from, and since when a stay lasts and its run. Without a stay the operation, unit and
/// order that they name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Apart(Option<String>, Result<(i64, String), [Option<String>; 3]>);

/// The values of a signal: one for each stay of a unit at an operation of an equipment.
pub(super) async fn gather(
    question: &Question<'_>,
    signal: &str,
    reduction: Reduction,
) -> Result<Measurements, QueryError> {
    let plant = &question.gather.plant;
    let curves = curves(question, signal, |_| true).await?;
    let of_each = |curve| Some((curve, Curve::reduced(curve, plant, signal, reduction)?));
    let (told, values): (Vec<&Curve>, Vec<(i64, f64)>) = curves.iter().filter_map(of_each).unzip();
    if told.is_empty() && !plant.declares_signal(signal) {
        return Err(mistaken(format!(
            "no unit has samples of a signal {signal:?} here, and plant.toml declares none of that name: SELECT DISTINCT signal \
             FROM samples shows what there is"
        )));
    }
    let values = values.into_iter().enumerate().map(|(row, (end, value))| (0, row, end, value));
    Measurements::of_values(&question.asked.by, &[context(signal, &told)?], values)
}

/// The samples of a signal, stay by stay: of those whose run `is_wanted`.
pub(super) async fn curves(
    question: &Question<'_>,
    signal: &str,
    is_wanted: impl Fn(Option<&str>) -> bool,
) -> Result<Vec<Curve>, QueryError> {
    let filter = ident("signal")
        .eq(lit(signal))
        .and(ident("unit").is_not_null())
        .and(question.filter(SAMPLES, &NAMES_OF_SAMPLES)?);
    let known = question.gather.view.context().await?;
    let mut stays = Stays::new(known.as_deref());
    let mut curves: BTreeMap<Apart, (Curve, i64)> = BTreeMap::new();
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
            let stay = stays.at(&of, time);
            if !is_wanted(stay.map(|stay| stay.run.as_ref())) {
                continue;
            }
            let stay = stay.map(|stay| (stay.started, stay.run.as_ref().to_owned()));
            let [equipment, operation, unit, work_order] = of;
            let run = stay.as_ref().map(|(_, run)| run.clone());
            let apart = stay.ok_or_else(|| [operation.clone(), unit.clone(), work_order.clone()]);
            let (curve, last) = curves.entry(Apart(equipment.clone(), apart)).or_insert_with(|| {
                let equipment = equipment.unwrap_or_default();
                (Curve { equipment, run, operation, unit, work_order: None, samples: Vec::new() }, i64::MIN)
            });
            // What names its own order, or goes on, is of that of its last sample.
            if *last <= time {
                (*last, curve.work_order) = (time, work_order);
            }
            curve.samples.push((time, value));
        }
    }
    let mut curves: Vec<Curve> = curves.into_values().map(|(curve, _)| curve).collect();
    for curve in &mut curves {
        curve.samples.sort_by_key(|(time, _)| *time);
        // One that goes on, or whose samples alone name an order, is of that of the last of them.
        let of_stay = known.as_deref().zip(curve.run.as_deref()).and_then(|(context, run)| {
            let end = context.executions.effective_end(run).filter(|end| *end < OPEN)?;
            context.executions.order_of(context.executions.get(run)?, end).0
        });
        curve.work_order = of_stay.map(str::to_owned).or_else(|| curve.work_order.take());
    }
    Ok(curves)
}

/// Executions of units: one that comes back to an operation stays there a second time.
struct Stays<'a> {
    context: Option<&'a Context>,
    /// The stays of a unit on an equipment and on each above it, nearest first: by their starts, and when each ends.
    known: HashMap<(String, String), Vec<Vec<(&'a Execution, i64)>>>,
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
            let ending = |execution: &'a Execution| {
                (execution, context.executions.effective_end(&execution.run).unwrap_or(OPEN))
            };
            let on = |path: &str| {
                let here = context.of_unit(unit).filter(|execution| *execution.equipment == *path);
                let mut stays: Vec<(&Execution, i64)> = here.map(ending).collect();
                stays.sort_by(|(one, _), (other, _)| {
                    (one.started, one.recorded, &one.run).cmp(&(other.started, other.recorded, &other.run))
                });
                stays
            };
            lineage(equipment).map(on).filter(|stays| !stays.is_empty()).collect()
        });
        // As keys are found: on the nearest equipment the one that began last; one at a station ends within one on its line.
        stays.iter().find_map(|stays| {
            let begun = stays.get(..stays.partition_point(|(stay, _)| stay.started <= time))?;
            begun.iter().rev().find(|(_, end)| time < *end).map(|(stay, _)| *stay)
        })
    }
}

/// The rows that tell of each value.
fn context(signal: &str, told: &[&Curve]) -> Result<RecordBatch, QueryError> {
    let texts = |of: fn(&Curve) -> Option<&str>| -> ArrayRef {
        Arc::new(told.iter().map(|curve| of(curve)).collect::<StringArray>())
    };
    let signals: ArrayRef = Arc::new(told.iter().map(|_| Some(signal)).collect::<StringArray>());
    let columns = [
        ("equipment", texts(|curve| Some(&curve.equipment))),
        ("characteristic", signals),
        ("operation", texts(|curve| curve.operation.as_deref())),
        ("unit", texts(|curve| curve.unit.as_deref())),
        ("work_order", texts(|curve| curve.work_order.as_deref())),
        ("run", texts(|curve| curve.run.as_deref())),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
