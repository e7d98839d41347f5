//! Rows of `measurements` that are measured of signals.

use std::collections::{BTreeSet, HashMap};

use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use oee::plant::Plant;
use oee::spc::capability::Spec;
use oee::tables::MEASUREMENTS;

use super::super::is_same_figure;
use super::curves;
use crate::error::QueryError;
use crate::functions::gather::{Gather, among, at};
use crate::functions::values::{Doubles, Integers, Texts, Times};

/// Who records what takt itself finds: measurements of signals, violations, holds, releases.
pub const AUTHOR: &str = "takt";

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
    /// Who did the operation.
    pub operator: Option<String>,
    /// What measured.
    pub gauge: String,
    /// The specification, as the plant file has it; that of a row that is there already may be another.
    pub spec: Spec,
    /// What was measured; none where it has to be withdrawn.
    pub value: Option<f64>,
}

/// A row that is there.
pub(super) struct Known {
    pub(super) row: Measurement,
    /// Whether takt recorded it itself: those of others are left alone.
    pub(super) is_own: bool,
}

/// What tells rows apart.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    time: i64,
    texts: [Option<&'a str>; 5],
}

impl Measurement {
    pub(super) fn key(&self) -> Key<'_> {
        let texts = [
            Some(self.equipment.as_str()),
            Some(self.characteristic.as_str()),
            self.unit.as_deref(),
            self.operation.as_deref(),
            self.run.as_deref(),
        ];
        Key { time: self.time, texts }
    }

    /// Whether there is nothing to correct. The specification is that of when it was measured.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let texts = |row: &Self| [row.work_order.clone(), row.product.clone(), row.operator.clone()];
        is_same_figure(self.value, other.value) && texts(self) == texts(other) && self.gauge == other.gauge
    }
}

/// Columns of [`Measurement`] that are texts.
const TEXTS: [&str; 10] = [
    "equipment",
    "characteristic",
    "unit",
    "operation",
    "run",
    "work_order",
    "product",
    "operator",
    "gauge",
    "recorded_by",
];

/// What takt measured in a stretch of time, first and last microsecond.
pub(super) async fn own_rows(gather: &Gather, span: (i64, i64)) -> Result<Vec<Measurement>, QueryError> {
    let known = rows(gather, within(&gather.plant, span).and(ident("recorded_by").eq(lit(AUTHOR)))).await?;
    Ok(known.into_iter().map(|known| known.row).collect())
}

/// What was measured of some executions in a stretch of time, by whomever.
pub(super) async fn rows_of<'a>(
    gather: &Gather,
    runs: impl Iterator<Item = &'a str>,
    span: (i64, i64),
) -> Result<Vec<Known>, QueryError> {
    rows(gather, within(&gather.plant, span).and(among("run", runs))).await
}

/// Rows of the characteristics that are measured of signals.
pub(super) fn within(plant: &Plant, (from, to): (i64, i64)) -> Expr {
    let names: BTreeSet<&str> = curves(plant).map(|(name, _)| name).collect();
    among("characteristic", names).and(ident("time").gt_eq(at(from))).and(ident("time").lt_eq(at(to)))
}

async fn rows(gather: &Gather, filter: Expr) -> Result<Vec<Known>, QueryError> {
    let columns: Vec<&str> = TEXTS.into_iter().chain(["time", "value", "piece"]).collect();
    let mut found = Vec::new();
    let mut stream = gather.rows(MEASUREMENTS.name, filter, &columns, &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let mut texts = Vec::with_capacity(TEXTS.len());
        for name in TEXTS {
            texts.push(Texts::of(&batch, name)?);
        }
        let (times, values) = (Times::of(&batch, "time")?, Doubles::of(&batch, "value")?);
        let pieces = Integers::of(&batch, "piece")?;
        for row in (0..batch.num_rows()).filter(|row| pieces.at(*row).is_none_or(|piece| piece == 1)) {
            let mut of_row = texts.iter().map(|texts| texts.at(row).map(str::to_owned));
            let mut next = || of_row.next().flatten();
            let (Some(equipment), Some(characteristic), Some(time)) = (next(), next(), times.at(row)) else { continue };
            let measurement = Measurement {
                equipment,
                characteristic,
                time,
                unit: next(),
                operation: next(),
                run: next(),
                work_order: next(),
                product: next(),
                operator: next(),
                gauge: next().unwrap_or_default(),
                spec: Spec::default(),
                value: values.at(row),
            };
            found.push(Known { row: measurement, is_own: next().as_deref() == Some(AUTHOR) });
        }
    }
    Ok(found)
}

/// Leaves out rows that are not there because a person took them back.
pub(super) async fn without_deleted(gather: &Gather, found: Vec<Measurement>) -> Result<Vec<Measurement>, QueryError> {
    let times = found.iter().map(|row| row.time);
    let Some(span) = times.clone().min().zip(times.max()) else { return Ok(found) };
    let runs = found.iter().filter_map(|row| row.run.as_deref());
    let filter = within(&gather.plant, span).and(among("run", runs));
    let history = format!("{}_history", MEASUREMENTS.name);
    let texts = ["equipment", "characteristic", "unit", "operation", "run", "superseded_by"];
    let columns: Vec<&str> = texts.into_iter().chain(["time", "superseded"]).collect();
    let places: HashMap<Key<'_>, usize> = found.iter().enumerate().map(|(place, row)| (row.key(), place)).collect();
    // When each was replaced or taken back last, and whether a person did it.
    let mut last = vec![(i64::MIN, false); found.len()];
    let mut stream = gather.rows(&history, filter, &columns, &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let [equipment, characteristic, unit, operation, run, by] = texts.map(|name| Texts::of(&batch, name));
        let (texts, by) = ([equipment?, characteristic?, unit?, operation?, run?], by?);
        let (times, superseded) = (Times::of(&batch, "time")?, Times::of(&batch, "superseded")?);
        for row in 0..batch.num_rows() {
            let Some((time, superseded)) = times.at(row).zip(superseded.at(row)) else { continue };
            let key = Key { time, texts: texts.each_ref().map(|texts| texts.at(row)) };
            let known = places.get(&key).and_then(|place| last.get_mut(*place));
            if let Some(known) = known.filter(|known| known.0 < superseded) {
                *known = (superseded, by.at(row) != Some(AUTHOR));
            }
        }
    }
    drop(places);
    let kept = found.into_iter().zip(last).filter(|(_, (_, by_person))| !by_person);
    Ok(kept.map(|(row, _)| row).collect())
}
