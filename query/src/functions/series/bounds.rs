//! The samples next to a window, looked for in ever longer stretches of time: figures at its edges rest on them.

use std::sync::Arc;

use ::oee::series::Severity;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;

use super::super::gather::{Gather, looking_ahead, looking_back};
use super::super::names::Names;
use super::SAMPLES;
use super::known::{Signal, place};
use super::samples::{COLUMNS, Sample, Samples, of_these};
use crate::error::QueryError;

/// The nearest samples on one side of a window. Those further away change no figure: a simple bound looks at the nearest
/// one, an interpolated bound at the nearest usable one, a counter at the nearest Good one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Nearest {
    /// Of any status.
    pub(super) any: Option<Sample>,
    uncertain: Option<Sample>,
    good: Option<Sample>,
}

/// How far the search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// To the nearest sample.
    Any,
    /// To one that is not Bad.
    Usable,
    /// To a Good one.
    Good,
}

impl Nearest {
    fn take(&mut self, sample: Sample, nearer: fn(i64, i64) -> bool) {
        let closer = |known: &Option<Sample>| known.is_none_or(|known| nearer(sample.time_us, known.time_us));
        if closer(&self.any) {
            self.any = Some(sample);
        }
        let usable = match sample.severity {
            Severity::Good => &mut self.good,
            Severity::Uncertain => &mut self.uncertain,
            Severity::Bad => return,
        };
        if sample.value.is_some_and(f64::is_finite) && closer(usable) {
            *usable = Some(sample);
        }
    }

    /// Whether nothing further away can matter.
    fn is_complete(&self, until: Until) -> bool {
        match until {
            Until::Any => self.any.is_some(),
            Until::Usable => self.good.is_some() || self.uncertain.is_some(),
            Until::Good => self.good.is_some(),
        }
    }

    /// The samples by ascending time.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Sample> {
        let mut samples = [self.any, self.uncertain, self.good];
        samples.sort_by_key(|sample| sample.map(|sample| sample.time_us));
        let mut last = None;
        samples.into_iter().flatten().filter(move |sample| last.replace(sample.time_us) != Some(sample.time_us))
    }
}

/// The last samples before an instant, of each signal.
pub(super) async fn nearest_before(
    (gather, names): (&Gather, &Names),
    signals: &[Arc<Signal>],
    before: i64,
    until: Until,
) -> Result<Vec<Nearest>, QueryError> {
    let mut found = vec![Nearest::default(); signals.len()];
    for (nearest, signal) in found.iter_mut().zip(signals) {
        // Often the newest sample is the one.
        if signal.newest.time_us < before {
            nearest.take(signal.newest, later);
        }
    }
    let wanted = incomplete(&found, until);
    search((gather, names), signals, &mut found, wanted, looking_back("time", before), (later, until)).await?;
    Ok(found)
}

/// The first samples from an instant on, of each signal.
pub(super) async fn nearest_after(
    (gather, names): (&Gather, &Names),
    signals: &[Arc<Signal>],
    from: i64,
    until: Until,
) -> Result<Vec<Nearest>, QueryError> {
    let mut found = vec![Nearest::default(); signals.len()];
    let wanted = (0..signals.len()).filter(|&place| signals.get(place).is_some_and(|it| from <= it.newest.time_us));
    let wanted = wanted.collect();
    search((gather, names), signals, &mut found, wanted, looking_ahead("time", from), (earlier, until)).await?;
    Ok(found)
}

fn later(time: i64, known: i64) -> bool {
    known < time
}

fn earlier(time: i64, known: i64) -> bool {
    time < known
}

/// Places of signals that lack something.
fn incomplete(found: &[Nearest], until: Until) -> Vec<usize> {
    found.iter().enumerate().filter(|(_, nearest)| !nearest.is_complete(until)).map(|(place, _)| place).collect()
}

async fn search(
    (gather, names): (&Gather, &Names),
    signals: &[Arc<Signal>],
    found: &mut [Nearest],
    mut wanted: Vec<usize>,
    stretches: Vec<Expr>,
    (nearer, until): (fn(i64, i64) -> bool, Until),
) -> Result<(), QueryError> {
    for stretch in stretches {
        if wanted.is_empty() {
            break;
        }
        let these = wanted.iter().filter_map(|&place| signals.get(place)).map(Arc::as_ref);
        let mut filter = of_these(these).or_else(|| names.filter()).unwrap_or_else(|| lit(true)).and(stretch);
        if wanted.iter().all(|&place| found.get(place).is_some_and(|nearest| nearest.any.is_some())) {
            // Only a number helps: signals of texts are not read through.
            filter = filter.and(ident("value").is_not_null());
        }
        // What was found already is nearer than all that this stretch holds.
        let mut fresh = vec![Nearest::default(); found.len()];
        let mut rows = gather.rows(SAMPLES, filter, &COLUMNS, &[]).await?;
        while let Some(batch) = rows.try_next().await? {
            let samples = Samples::of(&batch)?;
            for run in samples.runs()? {
                let names = samples.names(run.start);
                let Some(nearest) = place(signals, names).and_then(|place| fresh.get_mut(place)) else { continue };
                run.for_each(|row| nearest.take(samples.sample(row), nearer));
            }
        }
        for &place in &wanted {
            if let (Some(found), Some(fresh)) = (found.get_mut(place), fresh.get(place)) {
                found.any = found.any.or(fresh.any);
                found.uncertain = found.uncertain.or(fresh.uncertain);
                found.good = found.good.or(fresh.good);
            }
        }
        wanted.retain(|&place| found.get(place).is_some_and(|nearest| !nearest.is_complete(until)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
