//! What the signals of some executions come to, and what of that is not measured yet.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use datafusion::logical_expr::Expr;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use oee::OPEN;
use oee::execution::Execution;
use oee::plant::{Curve, Plant};
use oee::series::Reduction;
use oee::spc::ChartKind;
use oee::tables::{MEASUREMENTS, SAMPLES};

use super::super::asked::Asked;
use super::super::measured::CONTEXT;
use super::super::{NAMES, Question, reduced};
use super::{Pending, RECENT_US, curves};
use crate::context::Context;
use crate::error::QueryError;
use crate::functions::gather::{Gather, among, at};
use crate::functions::names::Names;
use crate::functions::values::{Doubles, Integers, Texts, Times};

/// A row of `measurements` that is measured of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Where the samples are from.
    pub equipment: String,
    /// Which characteristic.
    pub characteristic: String,
    /// When the operation ended.
    pub time: i64,
    /// Of which unit.
    pub unit: Option<String>,
    /// At which operation.
    pub operation: Option<String>,
    /// In which execution.
    pub run: Option<String>,
    /// For which order.
    pub work_order: Option<String>,
    /// Of which product.
    pub product: Option<String>,
    /// What measured.
    pub gauge: String,
    /// What was measured; none where it has to be withdrawn.
    pub value: Option<f64>,
}

/// A row that is there, and whether takt wrote it: others are left alone.
struct Known {
    row: Measurement,
    is_own: bool,
}

/// Who records what is measured here.
const AUTHOR: &str = "takt";

impl Measurement {
    fn key(&self) -> [Option<&str>; 5] {
        [
            Some(self.equipment.as_str()),
            Some(self.characteristic.as_str()),
            self.unit.as_deref(),
            self.operation.as_deref(),
            self.run.as_deref(),
        ]
    }

    fn is_same_row(&self, other: &Self) -> bool {
        self.time == other.time && self.key() == other.key()
    }

    /// As JSON a number can lose its last digit.
    fn says_the_same(&self, other: &Self) -> bool {
        let near = match (self.value, other.value) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-12 * one.abs().max(other.abs()),
            (one, other) => one == other,
        };
        let texts = |row: &Self| (row.work_order.clone(), row.product.clone(), row.gauge.clone());
        near && texts(self) == texts(other)
    }
}

/// An execution that is measured.
struct Stay<'a> {
    execution: &'a Execution,
    end: i64,
    product: Option<String>,
}

/// What there is to write of some executions.
pub(super) async fn measure(
    gather: &Gather,
    context: &Context,
    runs: &[(String, Pending)],
    now: i64,
) -> Result<Vec<Measurement>, QueryError> {
    let stays = stays(gather, context, runs).await?;
    let mut wanted: BTreeMap<(String, Reduction), Vec<(&str, &str, &Curve)>> = BTreeMap::new();
    for (run, stay) in &stays {
        for (name, curve) in gather.plant.curves(stay.product.as_deref(), stay.execution.operation.as_deref()) {
            let of_curve = wanted.entry((curve.signal.clone(), curve.reduction)).or_default();
            of_curve.push((run, name, curve));
        }
    }
    let mut found = Vec::new();
    for ((signal, reduction), wanted) in &wanted {
        let values = values(gather, signal, *reduction, wanted.iter().filter_map(|(run, ..)| stays.get(*run))).await?;
        for (run, name, curve) in wanted {
            let Some(stay) = stays.get(*run) else { continue };
            for (equipment, value) in values.get(*run).into_iter().flatten() {
                found.push(stay.measurement(equipment, name, curve, *value));
            }
        }
    }
    let known = known(gather, &stays, runs, now).await?;
    let is_lost = |known: &&Known| !found.iter().any(|found| found.is_same_row(&known.row));
    let are_aged = match known.iter().filter(is_lost).map(|known| known.row.time).min() {
        Some(time) => !any_sample_by(gather, time).await?,
        None => false,
    };
    Ok(changes(&gather.plant, found, known, &stays, are_aged))
}

/// Whether any sample is as old as that.
async fn any_sample_by(gather: &Gather, time: i64) -> Result<bool, QueryError> {
    let mut stream = gather.rows(SAMPLES.name, ident("time").lt_eq(at(time)), &["time"], &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Stay<'_> {
    /// Whether a row is where its execution and the plant file have it.
    fn wants(&self, plant: &Plant, row: &Measurement) -> bool {
        let execution = self.execution;
        let mut curves = plant.curves(self.product.as_deref(), execution.operation.as_deref()).into_iter();
        let is_measured = curves.any(|(name, _)| name == row.characteristic);
        is_measured && (self.end, &execution.unit, &execution.operation) == (row.time, &row.unit, &row.operation)
    }

    fn measurement(&self, equipment: &str, characteristic: &str, curve: &Curve, value: f64) -> Measurement {
        Measurement {
            equipment: equipment.to_owned(),
            characteristic: characteristic.to_owned(),
            time: self.end,
            unit: self.execution.unit.clone(),
            operation: self.execution.operation.clone(),
            run: Some(self.execution.run.clone()),
            work_order: self.execution.work_order.clone(),
            product: self.product.clone(),
            gauge: curve.gauge(),
            value: Some(value),
        }
    }
}

/// The executions among `runs` that are of a unit and have ended.
async fn stays<'a>(
    gather: &Gather,
    context: &'a Context,
    runs: &[(String, Pending)],
) -> Result<HashMap<String, Stay<'a>>, QueryError> {
    let all: Vec<(&Execution, i64)> = runs
        .iter()
        .filter_map(|(run, _)| context.executions.get(run).zip(context.executions.effective_end(run)))
        .filter(|(execution, end)| execution.unit.is_some() && *end < OPEN)
        .collect();
    let without = all.iter().filter(|(execution, _)| execution.product.is_none());
    let orders: HashSet<String> = without.filter_map(|(execution, _)| execution.work_order.clone()).collect();
    let orders = gather.work_orders(&orders).await?;
    let of_order = |execution: &Execution| orders.get(execution.work_order.as_ref()?)?.product.clone();
    let stay = |(execution, end): (&'a Execution, i64)| {
        let product = execution.product.clone().or_else(|| of_order(execution));
        (execution.run.clone(), Stay { execution, end, product })
    };
    Ok(all.into_iter().map(stay).collect())
}

/// What a signal came to, by execution: where, and how much.
async fn values<'a>(
    gather: &Gather,
    signal: &str,
    reduction: Reduction,
    stays: impl Iterator<Item = &'a Stay<'a>>,
) -> Result<HashMap<String, Vec<(String, f64)>>, QueryError> {
    let stays: Vec<&Stay<'_>> = stays.collect();
    let from = stays.iter().map(|stay| stay.execution.started).min().unwrap_or_default();
    let to = stays.iter().map(|stay| stay.end).max().unwrap_or_default();
    let filters: [Expr; 1] = [among("unit", stays.iter().filter_map(|stay| stay.execution.unit.as_deref()))];
    let names = Names::of(&gather.session, &filters, NAMES)?;
    let asked = Asked::new(ChartKind::IMr);
    let question = Question { gather, asked: &asked, names: &names, window: (from, to), context: &CONTEXT };
    let measurements = reduced::read(&question, signal, reduction).await?;
    let mut found: HashMap<String, Vec<(String, f64)>> = HashMap::new();
    for value in measurements.series().iter().flat_map(|series| &series.values) {
        let label = |column: &str| measurements.label(value.place, column).map(str::to_owned);
        if let Some((run, equipment)) = label("run").zip(label("equipment")) {
            found.entry(run).or_default().push((equipment, value.value));
        }
    }
    Ok(found)
}

/// What was measured of these executions before.
async fn known(
    gather: &Gather,
    stays: &HashMap<String, Stay<'_>>,
    runs: &[(String, Pending)],
    now: i64,
) -> Result<Vec<Known>, QueryError> {
    let names: BTreeSet<&str> = curves(&gather.plant).map(|(name, _)| name).collect();
    let mut filter = among("characteristic", names).and(among("run", runs.iter().map(|(run, _)| run.as_str())));
    // Where it was corrected long after, or is gone, nothing tells when it was measured.
    if runs.iter().all(|(run, pending)| !pending.is_late && stays.contains_key(run)) {
        let first = stays.values().map(|stay| stay.execution.started).min().unwrap_or_default();
        filter = filter.and(ident("time").gt_eq(at(first.min(now.saturating_sub(RECENT_US)))));
    }
    let texts =
        ["equipment", "characteristic", "unit", "operation", "run", "work_order", "product", "gauge", "recorded_by"];
    let columns: Vec<&str> = texts.into_iter().chain(["time", "value", "piece"]).collect();
    let mut found = Vec::new();
    let mut stream = gather.rows(MEASUREMENTS.name, filter, &columns, &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let [equipment, characteristic, unit, operation, run, work_order, product, gauge, author] =
            texts.map(|name| Texts::of(&batch, name));
        let (equipment, characteristic, unit, operation) = (equipment?, characteristic?, unit?, operation?);
        let (run, work_order, product, gauge, author) = (run?, work_order?, product?, gauge?, author?);
        let (times, values) = (Times::of(&batch, "time")?, Doubles::of(&batch, "value")?);
        let pieces = Integers::of(&batch, "piece")?;
        for row in (0..batch.num_rows()).filter(|row| pieces.at(*row).is_none_or(|piece| piece == 1)) {
            let owned = |texts: &Texts| texts.at(row).map(str::to_owned);
            let is_own = author.at(row) == Some(AUTHOR);
            let (Some(equipment), Some(characteristic), Some(time)) =
                (owned(&equipment), owned(&characteristic), times.at(row))
            else {
                continue;
            };
            let row = Measurement {
                equipment,
                characteristic,
                time,
                unit: owned(&unit),
                operation: owned(&operation),
                run: owned(&run),
                work_order: owned(&work_order),
                product: owned(&product),
                gauge: owned(&gauge).unwrap_or_default(),
                value: values.at(row),
            };
            found.push(Known { row, is_own });
        }
    }
    Ok(found)
}

/// What of `found` is not `known`, and what is known and is no more: of samples that `are_aged` out stays what was measured of
/// them. A row that somebody sent is left as it is.
fn changes(
    plant: &Plant,
    found: Vec<Measurement>,
    known: Vec<Known>,
    stays: &HashMap<String, Stay<'_>>,
    are_aged: bool,
) -> Vec<Measurement> {
    let mut changes = Vec::new();
    for Known { row, is_own } in &known {
        if !is_own || found.iter().any(|found| found.is_same_row(row)) {
            continue;
        }
        let run = row.run.as_deref().unwrap_or_default();
        let stands = stays.get(run).is_some_and(|stay| stay.wants(plant, row));
        if !stands || !are_aged {
            changes.push(Measurement { value: None, ..row.clone() });
        }
    }
    let news = found.into_iter().filter(|row| match known.iter().find(|known| known.row.is_same_row(row)) {
        Some(known) => known.is_own && !known.row.says_the_same(row),
        None => true,
    });
    changes.extend(news);
    changes
}
