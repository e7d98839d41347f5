//! `asof_join(signal, others…)`: for each sample of a signal the values of others that were in force then.
//!
//! A merge of streams, one for each signal: each is read once, in order of equipment and time.

mod cursor;
mod rows;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::stream;

use super::super::gather::Gather;
use super::super::names::Names;
use super::Answer;
use super::bounds::{Until, nearest_before};
use super::known::{self, Signal};
use super::samples::of_signals;
use crate::error::QueryError;
use cursor::Cursor;
use rows::Rows;
pub(in super::super) use rows::schema;

/// Rows of one batch of the answer, but for the last ones of a sample.
const BATCH_ROWS: usize = 8_192;

/// The rows, by equipment, time, and the others as they were named.
pub(in super::super) async fn answer(
    gather: Arc<Gather>,
    names: &Names,
    signals: &[String],
    window: (i64, i64),
    columns: Arc<[usize]>,
) -> Result<Answer, QueryError> {
    let Some((first, others)) = signals.split_first() else { return Ok(Box::pin(stream::empty())) };
    let all = known::signals(&gather, names).await?;
    let named = |name: &str| -> Vec<Arc<Signal>> { all.iter().filter(|signal| signal.name == name).cloned().collect() };
    let leading = named(first);
    let mut cursors = Vec::with_capacity(others.len());
    for other in others {
        let beside = |signal: &Arc<Signal>| known::place(&leading, (&signal.equipment, first)).is_some();
        let signals: Vec<Arc<Signal>> = named(other).into_iter().filter(beside).collect();
        let before = nearest_before((&gather, names), &signals, window.0, Until::Any).await?;
        let rows = of_signals(&gather, names, &signals, window).await?;
        cursors.push(Cursor::new(rows, signals, before));
    }
    let rows = of_signals(&gather, names, &leading, window).await?;
    let first = Cursor::new(rows, leading, Vec::new());
    let join = Join { first, others: others.to_vec(), cursors, turned_to: None, columns };
    Ok(Box::pin(stream::try_unfold(join, |mut join| async move {
        let Some(batch) = join.batch().await? else { return Ok(None) };
        // Time limits and cancel requests get their turn.
        tokio::task::yield_now().await;
        Ok(Some((batch, join)))
    })))
}

struct Join {
    first: Cursor,
    others: Vec<String>,
    cursors: Vec<Cursor>,
    /// The signal that the first cursor is at, and its place there.
    turned_to: Option<(usize, Arc<Signal>)>,
    columns: Arc<[usize]>,
}

impl Join {
    async fn batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let mut rows = Rows::default();
        while rows.count() < BATCH_ROWS
            && let Some((place, sample)) = self.first.row().await?
        {
            let Some(signal) = self.turn_to(place) else { break };
            for (other, cursor) in self.others.iter().zip(&mut self.cursors) {
                let in_force = cursor.as_of(sample.time_us).await?;
                rows.push(&signal.equipment, sample, other, in_force);
            }
            self.first.pass();
        }
        if rows.count() == 0 { Ok(None) } else { rows.finish(&self.columns).map(Some) }
    }

    fn turn_to(&mut self, place: usize) -> Option<Arc<Signal>> {
        if let Some((_, signal)) = self.turned_to.as_ref().filter(|(turned_to, _)| *turned_to == place) {
            return Some(Arc::clone(signal));
        }
        let signal = self.first.signal(place).cloned()?;
        self.cursors.iter_mut().for_each(|cursor| cursor.turn_to(&signal.equipment));
        self.turned_to = Some((place, Arc::clone(&signal)));
        Some(signal)
    }
}
