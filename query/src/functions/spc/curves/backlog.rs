//! What was not measured while takt was down, or before anything was measured of a signal.

use std::collections::{HashMap, HashSet};

use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::prelude::{SessionContext, ident};
use futures::TryStreamExt;
use oee::path::lineage;
use oee::tables::{MEASUREMENTS, SAMPLES};

use super::board::Pending;
use super::measure::{Kept, Stay, stays};
use super::row::{AUTHOR, within};
use super::{hull, settle_us};
use crate::context::Context;
use crate::error::QueryError;
use crate::functions::gather::{Gather, among};
use crate::functions::values::{Names, Texts, Times};

/// More than this is told.
const FEW: usize = 64;
/// Stays that are gone through before others may go on.
const AT_ONCE: usize = 10_000;

/// What there is to measure after a start.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) runs: Vec<(String, Pending)>,
    /// When takt recorded what it measured last.
    pub(super) recorded: Option<i64>,
}

/// A row that was measured of an execution.
struct Measured {
    /// Which of the characteristics that are measured of signals, and how; none of other gauges.
    curve: Option<usize>,
    /// Which characteristic, by the first of these of that name.
    named: usize,
    time: i64,
    is_own: bool,
}

impl Backlog {
    /// Executions that have ended and are not measured as they are now, as far as there are samples then; and those that were
    /// measured and are gone, or go on.
    pub(super) async fn look(
        gather: &Gather,
        signals: &HashSet<String>,
        context: &Context,
        now: i64,
    ) -> Result<Self, QueryError> {
        let stays = stays(gather, context, context.executions.iter()).await?;
        let mut found = Self::default();
        let known = found.known(gather, &stays, now).await?;
        let extents = Extents::of(gather, signals).await?;
        let kept = Kept::of(gather, now);
        for (number, (run, stay)) in stays.iter().enumerate() {
            if number % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            let known = known.get(run).map(Vec::as_slice).unwrap_or_default();
            if kept.whole(stay) && lacks(gather, stay, known, &extents) {
                let settle_us = settle_us(&gather.plant, stay.execution).unwrap_or(0);
                let rows = known.iter().map(|row| (row.time, row.time)).fold((stay.end, stay.end), hull);
                let due = stay.end.saturating_add(settle_us);
                found.runs.push(((*run).to_owned(), Pending { due, rows, noted: now }));
            }
        }
        if found.runs.len() > FEW {
            tracing::info!(executions = found.runs.len(), "signals are measured of what has not been measured yet");
        }
        Ok(found)
    }

    /// What was measured of each stay.
    async fn known<'a>(
        &mut self,
        gather: &Gather,
        stays: &HashMap<&'a str, Stay<'a>>,
        now: i64,
    ) -> Result<HashMap<&'a str, Vec<Measured>>, QueryError> {
        let curves: Vec<(&str, String)> =
            super::curves(&gather.plant).map(|(name, curve)| (name, curve.gauge())).collect();
        let mut known: HashMap<&'a str, Vec<Measured>> = HashMap::new();
        let columns = ["characteristic", "gauge", "run", "recorded_by", "time", "recorded"];
        let all = within(&gather.plant, (i64::MIN, i64::MAX));
        let mut stream = gather.rows(MEASUREMENTS.name, all, &columns, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            let (names, gauges) = (Names::of(&batch, "characteristic")?, Names::of(&batch, "gauge")?);
            let (runs, authors) = (Texts::of(&batch, "run")?, Names::of(&batch, "recorded_by")?);
            let (times, recorded) = (Times::of(&batch, "time")?, Times::of(&batch, "recorded")?);
            for row in 0..batch.num_rows() {
                let (Some(name), Some(run), Some(time)) = (names.at(row), runs.at(row), times.at(row)) else {
                    continue;
                };
                let is_own = authors.at(row) == Some(AUTHOR);
                if is_own {
                    self.recorded = self.recorded.max(recorded.at(row));
                }
                let gauge = gauges.at(row);
                match (stays.get_key_value(run), curves.iter().position(|(known, _)| *known == name)) {
                    (Some((run, _)), Some(named)) => {
                        let is_curve = |(known, by): &(&str, String)| *known == name && Some(by.as_str()) == gauge;
                        let curve = curves.iter().position(is_curve);
                        known.entry(run).or_default().push(Measured { curve, named, time, is_own });
                    }
                    (None, _) if is_own => self.runs.push((run.to_owned(), Pending::at(now, time, now))),
                    _ => {}
                }
            }
        }
        Ok(known)
    }
}

/// Whether anything that can be measured of a stay is not, or anything was that cannot, or lies where it was before.
fn lacks(gather: &Gather, stay: &Stay<'_>, known: &[Measured], extents: &Extents) -> bool {
    let wanted = gather.plant.curves(stay.product.as_deref(), stay.execution.operation.as_deref());
    let declared: Vec<_> = super::curves(&gather.plant).collect();
    let is_of = |place: usize, name: &str| declared.get(place).is_some_and(|(known, _)| *known == name);
    let is_by = |place: usize, name: &str, gauge: &str| {
        declared.get(place).is_some_and(|(known, curve)| *known == name && curve.gauge() == gauge)
    };
    let is_measured = |name: &str, gauge: &str| {
        let by_takt = |row: &Measured| row.curve.is_some_and(|place| is_by(place, name, gauge)) && row.time == stay.end;
        known.iter().any(|row| if row.is_own { by_takt(row) } else { is_of(row.named, name) })
    };
    let is_wanted = |row: &Measured| wanted.iter().any(|(name, _)| is_of(row.named, name)) && row.time == stay.end;
    wanted.iter().any(|(name, curve)| !is_measured(name, &curve.gauge()) && extents.has(stay, &curve.signal))
        || known.iter().any(|row| row.is_own && !is_wanted(row))
}

/// From when to when there are samples of signals: by equipment, for all that lies below it.
struct Extents(HashMap<String, HashMap<String, (i64, i64)>>);

impl Extents {
    async fn of(gather: &Gather, signals: &HashSet<String>) -> Result<Self, QueryError> {
        let mut extents: HashMap<String, HashMap<String, (i64, i64)>> = HashMap::new();
        let Some(samples) = gather.view.table(SAMPLES.name) else { return Ok(Self(extents)) };
        let frame = SessionContext::new_with_state(gather.session.clone())
            .read_table(samples)?
            .filter(among("signal", signals.iter().map(String::as_str)))?
            .aggregate(
                vec![ident("equipment"), ident("signal")],
                vec![min(ident("time")).alias("first"), max(ident("time")).alias("last")],
            )?;
        let mut stream = frame.execute_stream().await?;
        while let Some(batch) = stream.try_next().await? {
            let (equipment, signals) = (Texts::of(&batch, "equipment")?, Texts::of(&batch, "signal")?);
            let (first, last) = (Times::of(&batch, "first")?, Times::of(&batch, "last")?);
            for row in 0..batch.num_rows() {
                let (Some(equipment), Some(signal)) = (equipment.at(row), signals.at(row)) else { continue };
                let Some(span) = first.at(row).zip(last.at(row)) else { continue };
                for path in lineage(equipment) {
                    let of_path = extents.entry(path.to_owned()).or_default();
                    let known = of_path.entry(signal.to_owned()).or_insert(span);
                    *known = hull(*known, span);
                }
            }
        }
        Ok(Self(extents))
    }

    /// Whether a stay can have samples of a signal.
    fn has(&self, stay: &Stay<'_>, signal: &str) -> bool {
        let extent = self.0.get(stay.execution.equipment.as_ref()).and_then(|signals| signals.get(signal));
        extent.is_some_and(|(first, last)| *first < stay.end && stay.execution.started <= *last)
    }
}
