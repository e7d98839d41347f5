//! Which signals there are: the store knows the newest sample of each.

use std::sync::Arc;

use super::super::gather::Gather;
use super::super::names::Names;
use super::SAMPLES;
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
    let Some(view) = gather.snapshot.table(SAMPLES).cloned() else { return Ok(Vec::new()) };
    let rows = tokio::task::spawn_blocking(move || view.newest_of_series()).await;
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
    Ok(signals)
}

/// The place of a signal among signals in order.
pub(super) fn place(signals: &[Arc<Signal>], names: (&str, &str)) -> Option<usize> {
    signals.binary_search_by(|signal| signal.names().cmp(&names)).ok()
}
