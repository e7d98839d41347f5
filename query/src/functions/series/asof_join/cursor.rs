//! One stream of an as-of join: samples of one signal name, by equipment and time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::super::bounds::Nearest;
use super::super::known::{Signal, place};
use super::super::samples::{Passing, Sample, Samples};
use crate::error::QueryError;

/// A place in the stream.
pub(super) struct Cursor {
    /// Of one name, by equipment.
    signals: Vec<Arc<Signal>>,
    /// Of each, the samples before the window.
    before: Vec<Nearest>,
    rows: Option<Passing>,
    batch: Option<Samples>,
    /// What is left of the batch, and whose it is. None is empty.
    runs: VecDeque<(usize, Range<usize>)>,
    /// The equipment that is asked about, where it has this signal.
    asked: Option<usize>,
    in_force: Option<Sample>,
}

impl Cursor {
    pub(super) fn new(rows: Option<Passing>, signals: Vec<Arc<Signal>>, before: Vec<Nearest>) -> Self {
        Self { signals, before, rows, batch: None, runs: VecDeque::new(), asked: None, in_force: None }
    }

    /// The row at hand: place of its signal, and the sample.
    pub(super) async fn row(&mut self) -> Result<Option<(usize, Sample)>, QueryError> {
        loop {
            if let (Some((place, run)), Some(samples)) = (self.runs.front(), &self.batch) {
                return Ok(Some((*place, samples.sample(run.start))));
            }
            let Some(rows) = &mut self.rows else { return Ok(None) };
            match rows.next().await? {
                Some(samples) => {
                    let known = |run: Range<usize>| Some((place(&self.signals, samples.names(run.start))?, run));
                    self.runs = samples.sorted_runs()?.into_iter().filter_map(known).collect();
                    self.batch = Some(samples);
                }
                None => self.rows = None,
            }
        }
    }

    /// Goes on to the next row.
    pub(super) fn pass(&mut self) {
        if let Some((_, run)) = self.runs.front_mut() {
            run.start += 1;
            if run.start == run.end {
                self.runs.pop_front();
            }
        }
    }

    /// A signal by its place.
    pub(super) fn signal(&self, place: usize) -> Option<&Arc<Signal>> {
        self.signals.get(place)
    }

    /// Turns to an equipment, which comes after the one before.
    pub(super) fn turn_to(&mut self, equipment: &str) {
        let asked = self.signals.binary_search_by(|signal| signal.equipment.as_str().cmp(equipment)).ok();
        self.asked = asked;
        self.in_force = asked.and_then(|place| self.before.get(place)).and_then(|before| before.any);
    }

    /// The last sample of the equipment at or before a time, which is not before the one asked for last.
    pub(super) async fn as_of(&mut self, time_us: i64) -> Result<Option<Sample>, QueryError> {
        let Some(asked) = self.asked else { return Ok(None) };
        while let Some((place, sample)) = self.row().await? {
            if place < asked {
                self.runs.pop_front();
            } else if place == asked && sample.time_us <= time_us {
                self.in_force = Some(sample);
                self.pass();
            } else {
                break;
            }
        }
        Ok(self.in_force)
    }
}
