//! States and counts of machines from signals that `plant.toml` binds by role.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use oee::count::CounterSteps;
use oee::counter::{Counter, CounterRule};
use oee::plant::{Plant, Role, Source, value_text};
use oee::series::Severity;
use oee::state::{StateRecord, StateValue};

use super::gather::{Doubles, Found, Gather, Integers, Span, Texts, Times, among, at, looking_back};
use crate::error::QueryError;

const SAMPLES: &str = "samples";
const COLUMNS: [&str; 6] = ["equipment", "signal", "time", "value", "text", "quality"];

/// One sample of a bound signal.
#[derive(Debug, Clone, Copy)]
struct Sample<'a> {
    equipment: &'a str,
    signal: &'a str,
    time: i64,
    value: Option<f64>,
    text: Option<&'a str>,
    quality: i64,
}

impl Sample<'_> {
    fn severity(&self) -> Severity {
        Severity::of(self.quality)
    }

    /// The state it says, as state maps name it; none where the source says that there is no value.
    fn state(&self) -> Option<String> {
        if self.severity() == Severity::Bad {
            return None;
        }
        self.text.map(str::to_owned).or_else(|| self.value.map(value_text))
    }
}

/// Calls `take` for every sample of a batch.
fn each_sample(batch: &RecordBatch, mut take: impl FnMut(Sample<'_>)) -> Result<(), QueryError> {
    let (equipment, signals, texts) =
        (Texts::of(batch, "equipment")?, Texts::of(batch, "signal")?, Texts::of(batch, "text")?);
    let (times, values, qualities) =
        (Times::of(batch, "time")?, Doubles::of(batch, "value")?, Integers::of(batch, "quality")?);
    for row in 0..batch.num_rows() {
        if let (Some(equipment), Some(signal), Some(time)) = (equipment.at(row), signals.at(row), times.at(row)) {
            let (value, text, quality) = (values.at(row), texts.at(row), qualities.at(row).unwrap_or(0));
            take(Sample { equipment, signal, time, value, text, quality });
        }
    }
    Ok(())
}

/// What one signal adds up to while its samples pass by in time order.
#[derive(Debug)]
enum Track {
    /// Changes of state.
    States { last: Option<Option<String>>, records: Vec<StateRecord> },
    /// Steps of a counter.
    Steps { role: Role, rule: CounterRule, counter: Counter, steps: Vec<(i64, f64)> },
}

impl Track {
    fn of(role: Role, rule: CounterRule) -> Self {
        match role {
            Role::State => Self::States { last: None, records: Vec::new() },
            role => Self::Steps { role, rule, counter: Counter::new(rule), steps: Vec::new() },
        }
    }

    /// Whether a sample can be what was in force before the window: a counter's baseline is a good one.
    fn can_begin_with(&self, sample: &Sample<'_>) -> bool {
        match self {
            Self::States { .. } => true,
            Self::Steps { .. } => sample.severity() == Severity::Good && sample.value.is_some_and(f64::is_finite),
        }
    }

    fn push(&mut self, plant: &Plant, sample: &Sample<'_>) {
        match self {
            Self::States { last, records } => {
                let state = sample.state();
                if last.as_ref() != Some(&state) {
                    let value = match &state {
                        Some(state) => plant.classify(sample.equipment, Some(state.as_str()), None, None),
                        None => StateValue { state: Arc::from("unknown"), category: None, reason: None },
                    };
                    records.push(StateRecord { start: sample.time, end: None, recorded: sample.time, value });
                    *last = Some(state);
                }
            }
            Self::Steps { counter, steps, .. } => {
                if let Some(value) = sample.value.filter(|_| sample.severity() == Severity::Good)
                    && let Some(step) = counter.push(value)
                    && step != 0.0
                {
                    steps.push((sample.time, step));
                }
            }
        }
    }

    fn begin(&mut self, plant: &Plant, sample: &Sample<'_>) {
        match self {
            Self::States { .. } => self.push(plant, sample),
            Self::Steps { rule, counter, .. } => {
                if let Some(value) = sample.value {
                    *counter = Counter::from_baseline(*rule, value);
                }
            }
        }
    }
}

type Tracks = HashMap<String, HashMap<String, Track>>;

/// The signals that count, by equipment.
fn bound(plant: &Plant, paths: &[String]) -> Tracks {
    let mut tracks = Tracks::new();
    for path in paths {
        let states = plant.state_source(path) == Source::Signal;
        let counts = plant.count_source(path) == Source::Signal;
        for (role, signal) in plant.role_signals(path) {
            let counted = if role == Role::State { states } else { counts };
            if counted {
                tracks.entry(path.clone()).or_default().insert(signal.signal.clone(), Track::of(role, signal.counter));
            }
        }
    }
    tracks
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
    let mut tracks = bound(&gather.plant, paths);
    if tracks.is_empty() {
        return Ok(());
    }
    carry_in(gather, span.from, &mut tracks).await?;
    let pairs = tracks.iter().flat_map(|(path, signals)| signals.keys().map(|signal| (path.as_str(), signal.as_str())));
    let filter = of_signals(pairs).and(ident("time").gt_eq(at(span.from))).and(ident("time").lt(at(span.to)));
    let mut stream = gather.rows(SAMPLES, filter, &COLUMNS, &["equipment", "signal", "time"]).await?;
    while let Some(batch) = stream.try_next().await? {
        each_sample(&batch, |sample| {
            if let Some(track) = tracks.get_mut(sample.equipment).and_then(|signals| signals.get_mut(sample.signal)) {
                track.push(&gather.plant, &sample);
            }
        })?;
    }
    for (path, signals) in tracks {
        if let Some(found) = found.get_mut(path.as_str()) {
            finish(signals, found);
        }
    }
    Ok(())
}

/// Begins each track with the last sample before the window, looked for in ever longer stretches of time.
async fn carry_in(gather: &Gather, before: i64, tracks: &mut Tracks) -> Result<(), QueryError> {
    let pairs = tracks.iter().flat_map(|(path, signals)| signals.keys().map(|signal| (path.clone(), signal.clone())));
    let mut wanted: HashSet<(String, String)> = pairs.collect();
    for stretch in looking_back("time", before) {
        if wanted.is_empty() {
            break;
        }
        let filter = of_signals(wanted.iter().map(|(path, signal)| (path.as_str(), signal.as_str()))).and(stretch);
        let mut newest: HashMap<(String, String), (i64, Option<f64>, Option<String>, i64)> = HashMap::new();
        let mut stream = gather.rows(SAMPLES, filter, &COLUMNS, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            each_sample(&batch, |sample| {
                let track = tracks.get(sample.equipment).and_then(|signals| signals.get(sample.signal));
                if track.is_none_or(|track| !track.can_begin_with(&sample)) {
                    return;
                }
                let pair = (sample.equipment.to_owned(), sample.signal.to_owned());
                if wanted.contains(&pair) && newest.get(&pair).is_none_or(|known| known.0 < sample.time) {
                    newest.insert(pair, (sample.time, sample.value, sample.text.map(str::to_owned), sample.quality));
                }
            })?;
        }
        for (pair, (time, value, text, quality)) in newest {
            if let Some(track) = tracks.get_mut(&pair.0).and_then(|signals| signals.get_mut(&pair.1)) {
                let sample =
                    Sample { equipment: &pair.0, signal: &pair.1, time, value, text: text.as_deref(), quality };
                track.begin(&gather.plant, &sample);
            }
            wanted.remove(&pair);
        }
    }
    Ok(())
}

fn finish(signals: HashMap<String, Track>, found: &mut Found) {
    let mut counters = CounterSteps::default();
    for track in signals.into_values() {
        match track {
            Track::States { records, .. } => found.states.extend(records),
            Track::Steps { role: Role::TotalCount, steps, .. } => counters.total = Some(steps),
            Track::Steps { role: Role::GoodCount, steps, .. } => counters.good = Some(steps),
            Track::Steps { steps, .. } => counters.scrap = Some(steps),
        }
    }
    if let Some(pieces) = counters.pieces() {
        found.pieces = Some(pieces);
    }
}

#[cfg(test)]
mod tests;
