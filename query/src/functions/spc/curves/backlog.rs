//! What was not measured while takt was down, or before anything was measured of a signal.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use arrow::array::BooleanArray;
use arrow::record_batch::RecordBatch;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::prelude::{SessionContext, ident};
use futures::TryStreamExt;
use oee::execution::Affected;
use oee::path::is_within;
use oee::tables::SAMPLES;

use super::board::Pending;
use super::measure::{Stay, kept_from, stays};
use super::row::{Known, measured};
use super::{hull, settle_us, spans};
use crate::context::{Context, joined};
use crate::error::QueryError;
use crate::functions::gather::{Gather, among};
use crate::functions::values::{Texts, Times};

/// What is measured anew after a start of what was measured before: its samples may have come last, microseconds.
const OVERLAP_US: i64 = 3_600_000_000;
/// What was recorded longer before the newest measurement than samples can be on their way, and than this, had been looked at by
/// then, microseconds.
const LAG_US: i64 = 60_000_000;
/// More than this is told.
const FEW: usize = 64;

/// Executions that have ended and are not measured as they are now, as far as there are samples then; those that may have been
/// corrected, or got samples, last thing before the end; and those that were measured and are gone, or go on.
pub(super) async fn backlog(
    gather: &Gather,
    signals: &HashSet<String>,
    context: &Context,
    now: i64,
) -> Result<Vec<(String, Pending)>, QueryError> {
    let plant = &gather.plant;
    let stays = stays(gather, context, context.executions.iter()).await?;
    let mut known: HashMap<String, Vec<(String, i64)>> = HashMap::new();
    let mut found = Vec::new();
    let (mut newest, mut recorded) = (i64::MIN, i64::MIN);
    for Known { row, recorded_by_takt } in measured(gather).await? {
        let Some(run) = row.run else { continue };
        newest = newest.max(row.time);
        recorded = recorded.max(recorded_by_takt.unwrap_or(i64::MIN));
        if recorded_by_takt.is_some() && !stays.contains_key(run.as_str()) {
            found.push((run, Pending::at(now, row.time)));
        } else if super::curves(plant).any(|(name, curve)| *name == row.characteristic && curve.gauge() == row.gauge) {
            known.entry(run).or_default().push((row.characteristic, row.time));
        }
    }
    let extents = extents(gather, signals).await?;
    let kept_from = kept_from(gather, now);
    let longest_us = super::curves(plant).map(|(_, curve)| curve.settle_us).max().unwrap_or(0);
    let corrected = corrected_since(context, recorded.saturating_sub(LAG_US).saturating_sub(longest_us));
    let recent = newest.saturating_sub(OVERLAP_US);
    for (run, stay) in stays.iter().filter(|(_, stay)| kept_from <= stay.execution.started) {
        let known = known.get(*run).map(Vec::as_slice).unwrap_or_default();
        let can_change = || !known.is_empty() || has_samples(stay, &extents, None);
        if lacks(gather, stay, known, &extents) || (recent <= stay.end || corrected.contains(run)) && can_change() {
            let settle_us = settle_us(plant, stay.execution).unwrap_or(0);
            let rows = known.iter().map(|(_, time)| (*time, *time)).fold((stay.end, stay.end), hull);
            found.push(((*run).to_owned(), Pending { due: now.min(stay.end).saturating_add(settle_us), rows }));
        }
    }
    if found.len() > FEW {
        tracing::info!(executions = found.len(), "signals are measured of what has not been measured yet");
    }
    Ok(found)
}

/// Executions of units that changes recorded since then can be about.
fn corrected_since(context: &Context, recorded: i64) -> HashSet<&str> {
    let changed = joined(context.changes_since(recorded).map(|(_, affected)| affected.clone()).collect());
    let mut corrected = HashSet::new();
    for Affected { equipment, from, to } in &changed {
        corrected.extend(
            context.executions.units_around(equipment, *from, *to).into_iter().map(|(one, _)| one.run.as_str()),
        );
    }
    corrected
}

/// Whether anything that can be measured of a stay is not, or lies where it was before.
fn lacks(gather: &Gather, stay: &Stay<'_>, known: &[(String, i64)], extents: &[Extent]) -> bool {
    let wanted = gather.plant.curves(stay.product.as_deref(), stay.execution.operation.as_deref());
    let is_measured = |name: &str| known.iter().any(|(of, time)| of == name && *time == stay.end);
    wanted.into_iter().any(|(name, curve)| !is_measured(name) && has_samples(stay, extents, Some(&curve.signal)))
        || known.iter().any(|(_, time)| *time != stay.end)
}

/// Whether a stay can have samples, of one signal or of any.
fn has_samples(stay: &Stay<'_>, extents: &[Extent], signal: Option<&str>) -> bool {
    extents.iter().any(|extent| {
        signal.is_none_or(|signal| extent.signal == signal)
            && is_within(&extent.equipment, &stay.execution.equipment)
            && extent.first < stay.end
            && stay.execution.started <= extent.last
    })
}

/// From when to when there are samples of a signal.
struct Extent {
    equipment: String,
    signal: String,
    first: i64,
    last: i64,
}

async fn extents(gather: &Gather, signals: &HashSet<String>) -> Result<Vec<Extent>, QueryError> {
    let Some(samples) = gather.view.table(SAMPLES.name) else { return Ok(Vec::new()) };
    let frame = SessionContext::new_with_state(gather.session.clone())
        .read_table(samples)?
        .filter(among("signal", signals.iter().map(String::as_str)))?
        .aggregate(
            vec![ident("equipment"), ident("signal")],
            vec![min(ident("time")).alias("first"), max(ident("time")).alias("last")],
        )?;
    let mut extents = Vec::new();
    let mut stream = frame.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let (equipment, signals) = (Texts::of(&batch, "equipment")?, Texts::of(&batch, "signal")?);
        let (first, last) = (Times::of(&batch, "first")?, Times::of(&batch, "last")?);
        for row in 0..batch.num_rows() {
            let (Some(equipment), Some(signal)) = (equipment.at(row), signals.at(row)) else { continue };
            let Some((first, last)) = first.at(row).zip(last.at(row)) else { continue };
            extents.push(Extent { equipment: equipment.to_owned(), signal: signal.to_owned(), first, last });
        }
    }
    Ok(extents)
}

/// By equipment, from when to when there are samples of some signals that are in no segment yet: after a crash, what came last.
pub(super) fn hot_stretches(
    gather: &Gather,
    signals: &HashSet<String>,
) -> Result<Vec<(String, (i64, i64))>, QueryError> {
    let Some(samples) = gather.view.stored(SAMPLES.name) else { return Ok(Vec::new()) };
    let seen = RefCell::new(Vec::new());
    let look = |batch: &RecordBatch| {
        seen.borrow_mut().push(batch.clone());
        Ok(BooleanArray::from(vec![false; batch.num_rows()]))
    };
    samples.hot_rows((i64::MIN, i64::MAX), Some(&look))?;
    let mut stretches = Vec::new();
    for batch in seen.into_inner() {
        stretches.extend(spans(signals, &batch)?);
    }
    Ok(stretches)
}
