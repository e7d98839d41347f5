//! Which signals there are: the store knows the newest sample of each. Of an earlier recorded time it is looked for.

use std::sync::Arc;

use ::oee::series::Severity;

use super::super::gather::Gather;
use super::super::names::Names;
use super::SAMPLES;
use super::bounds::{Until, nearest_before};
use super::samples::{Sample, Samples};
use crate::error::QueryError;

/// A signal of an equipment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signal {
    pub(super) equipment: String,
    pub(super) name: String,
    /// Its newest sample.
    pub(super) newest: Sample,
}

impl Signal {
    /// Equipment and name.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.equipment, &self.name)
    }
}

/// The signals that the names leave, by equipment and name.
pub(super) async fn signals(gather: &Gather, names: &Names) -> Result<Vec<Arc<Signal>>, QueryError> {
    let Some(stored) = gather.view.stored(SAMPLES) else { return Ok(Vec::new()) };
    let rows = tokio::task::spawn_blocking(move || stored.newest_of_series()).await;
    let rows = rows.map_err(|error| QueryError::Execution(error.to_string()))??;
    let rows = Samples::of(&rows)?;
    let kept = rows.name_columns().map_or(Ok(Vec::new()), |columns| names.keeps(columns))?;
    let signal = |row: usize| {
        let (equipment, name) = rows.names(row);
        Arc::new(Signal { equipment: equipment.to_owned(), name: name.to_owned(), newest: rows.sample(row) })
    };
    let mut signals: Vec<Arc<Signal>> =
        kept.iter().enumerate().filter(|(_, kept)| **kept).map(|(row, _)| signal(row)).collect();
    signals.sort_by(|one, other| one.names().cmp(&other.names()));
    match gather.view.as_of {
        None => Ok(signals),
        Some(as_of) => known_at(gather, names, &signals, as_of).await,
    }
}

/// Those of the signals that had samples at an earlier time.
async fn known_at(
    gather: &Gather,
    names: &Names,
    signals: &[Arc<Signal>],
    as_of: i64,
) -> Result<Vec<Arc<Signal>>, QueryError> {
    // The newest sample of now says nothing of then: it may be a later one, or corrected since.
    let unknown = Sample { time_us: i64::MAX, value: None, severity: Severity::Bad };
    let with = |signal: &Arc<Signal>, newest: Sample| Arc::new(Signal { newest, ..signal.as_ref().clone() });
    let searched: Vec<_> = signals.iter().map(|signal| with(signal, unknown)).collect();
    let found = nearest_before((gather, names), &searched, as_of.saturating_add(1), Until::Any).await?;
    let known = signals.iter().zip(found).filter_map(|(signal, nearest)| Some(with(signal, nearest.any?)));
    Ok(known.collect())
}

/// The place of a signal among signals in order.
pub(super) fn place(signals: &[Arc<Signal>], names: (&str, &str)) -> Option<usize> {
    signals.binary_search_by(|signal| signal.names().cmp(&names)).ok()
}
