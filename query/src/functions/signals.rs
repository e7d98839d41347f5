//! States and counts of machines from signals that `plant.toml` binds by role.

use std::collections::{HashMap, HashSet};

use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use oee::track::{Reading, Tracks};

use super::gather::{Found, Gather, Span, among, at, looking_back};
use super::values::{Doubles, Integers, Texts, Times};
use crate::error::QueryError;

const SAMPLES: &str = "samples";
const COLUMNS: [&str; 6] = ["equipment", "signal", "time", "value", "text", "quality"];

/// Calls `take` with equipment, signal and reading of every sample of a batch.
pub(crate) fn each_sample(
    batch: &RecordBatch,
    mut take: impl FnMut(&str, &str, Reading<'_>),
) -> Result<(), QueryError> {
    let (equipment, signals, texts) =
        (Texts::of(batch, "equipment")?, Texts::of(batch, "signal")?, Texts::of(batch, "text")?);
    let (times, values, qualities) =
        (Times::of(batch, "time")?, Doubles::of(batch, "value")?, Integers::of(batch, "quality")?);
    for row in 0..batch.num_rows() {
        if let (Some(equipment), Some(signal), Some(time)) = (equipment.at(row), signals.at(row), times.at(row)) {
            let (value, text, quality) = (values.at(row), texts.at(row), qualities.at(row).unwrap_or(0));
            take(equipment, signal, Reading { time, value, text, quality });
        }
    }
    Ok(())
}

/// Samples of the equipment and signals of `wanted`.
fn of_signals<'a>(wanted: impl Iterator<Item = (&'a str, &'a str)>) -> Expr {
    let (equipment, signals): (HashSet<&str>, HashSet<&str>) = wanted.unzip();
    among("equipment", equipment).and(among("signal", signals))
}

/// Adds states and pieces of bound signals to what is found about each path.
pub(super) async fn signals(
    gather: &Gather,
    paths: &[String],
    span: Span,
    found: &mut HashMap<&str, Found>,
) -> Result<(), QueryError> {
    let all = paths.iter().map(|path| (path.clone(), Tracks::of(&gather.plant, path)));
    let mut tracks: HashMap<String, Tracks> = all.filter(|(_, tracks)| !tracks.is_empty()).collect();
    if tracks.is_empty() {
        return Ok(());
    }
    carry_in(gather, span.from, &mut tracks).await?;
    let pairs = tracks.iter().flat_map(|(path, tracks)| tracks.signals().map(|signal| (path.as_str(), signal)));
    let filter = of_signals(pairs).and(ident("time").gt_eq(at(span.from))).and(ident("time").lt(at(span.to)));
    let mut stream = gather.rows(SAMPLES, filter, &COLUMNS, &["equipment", "signal", "time"]).await?;
    while let Some(batch) = stream.try_next().await? {
        each_sample(&batch, |equipment, signal, reading| {
            if let Some(tracks) = tracks.get_mut(equipment) {
                tracks.push(&gather.plant, signal, &reading);
            }
        })?;
    }
    for (path, mut tracks) in tracks {
        if let Some(found) = found.get_mut(path.as_str()) {
            let said = tracks.take(gather.now.min(span.to));
            found.states.extend(said.states);
            if let Some(pieces) = said.pieces {
                found.pieces = Some(pieces);
            }
            (found.energy, found.symptoms) = (said.energy, said.symptoms);
            found.tracks = tracks;
        }
    }
    Ok(())
}

/// Begins each signal with its last sample before the window, looked for in ever longer stretches of time.
async fn carry_in(gather: &Gather, before: i64, tracks: &mut HashMap<String, Tracks>) -> Result<(), QueryError> {
    let pairs =
        tracks.iter().flat_map(|(path, tracks)| tracks.signals().map(|signal| (path.clone(), signal.to_owned())));
    let mut wanted: HashSet<(String, String)> = pairs.collect();
    for stretch in looking_back("time", before) {
        if wanted.is_empty() {
            break;
        }
        let filter = of_signals(wanted.iter().map(|(path, signal)| (path.as_str(), signal.as_str()))).and(stretch);
        let mut newest: HashMap<(String, String), (i64, Option<f64>, Option<String>, i64)> = HashMap::new();
        let mut stream = gather.rows(SAMPLES, filter, &COLUMNS, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            each_sample(&batch, |equipment, signal, reading| {
                if tracks.get(equipment).is_none_or(|tracks| !tracks.can_begin_with(signal, &reading)) {
                    return;
                }
                let pair = (equipment.to_owned(), signal.to_owned());
                if wanted.contains(&pair) && newest.get(&pair).is_none_or(|known| known.0 < reading.time) {
                    let Reading { time, value, text, quality } = reading;
                    newest.insert(pair, (time, value, text.map(str::to_owned), quality));
                }
            })?;
        }
        for (pair, (time, value, text, quality)) in newest {
            if let Some(tracks) = tracks.get_mut(&pair.0) {
                tracks.begin(&gather.plant, &pair.1, &Reading { time, value, text: text.as_deref(), quality });
            }
            wanted.remove(&pair);
        }
    }
    Ok(())
}
