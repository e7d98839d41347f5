//! A long window, stage by stage: memory holds the records of one stage, not those of the window. Buckets are those of the
//! window, whole, and so are their reports: a stage ends where a bucket of the equipment ends.

use std::collections::HashSet;
use std::sync::Arc;

use oee::bucket::Cut;

use super::super::arguments::Grouping;
use super::super::cut::buckets;
use super::super::gather::{Gather, Machines};
use crate::error::QueryError;

/// How long a stage is, microseconds, unless a bucket is longer.
const STAGE_US: i64 = if cfg!(test) { 86_400_000_000 } else { 31 * 86_400_000_000 };
/// How far the end of a bucket is looked for at first, microseconds.
const NEAR_US: i64 = 40 * 86_400_000_000;

/// What is reported on at a time.
pub(super) struct Stage {
    pub(super) machines: Machines,
    /// Of each equipment the stretch whose buckets are reported.
    pub(super) stretches: Vec<(i64, i64)>,
}

/// The stages of a window that are still to come.
pub(super) struct Stages {
    gather: Arc<Gather>,
    equipment: Arc<[String]>,
    /// The equipment, and all below it.
    needed: Vec<String>,
    grouping: Grouping,
    window: (i64, i64),
    /// Where the buckets of each equipment go on.
    next: Vec<i64>,
    /// Up to where buckets begin in the stages so far.
    reached: i64,
    /// Which of the needed ones are machines by what is recorded of them in the window.
    known: HashSet<String>,
}

impl Stages {
    pub(super) fn new(gather: Arc<Gather>, equipment: Arc<[String]>, grouping: Grouping, window: (i64, i64)) -> Self {
        let mut needed: Vec<String> = Vec::new();
        for path in equipment.iter() {
            needed.push(path.clone());
            needed.extend(gather.plant.descendants(path).map(|below| below.path.clone()));
        }
        needed.sort_unstable();
        needed.dedup();
        let next = vec![window.0; equipment.len()];
        Self { gather, equipment, needed, grouping, window, next, reached: window.0, known: HashSet::new() }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Stage>, QueryError> {
        let is_first = self.reached == self.window.0;
        loop {
            if self.reached >= self.window.1 {
                return Ok(None);
            }
            let (end, stretches) = self.stretches()?;
            // Behind a bucket that is longer than a stage there are stages without any.
            if stretches.iter().any(|(from, to)| from < to) {
                return self.stage(is_first, end, stretches).await.map(Some);
            }
        }
    }

    /// Up to where buckets of the next stage begin, and of each equipment the stretch that these fill.
    fn stretches(&mut self) -> Result<(i64, Vec<(i64, i64)>), QueryError> {
        let end = self.end();
        let mut stretches = Vec::with_capacity(self.equipment.len());
        for (path, next) in self.equipment.iter().zip(&mut self.next) {
            let stop = match self.grouping {
                Grouping::Time(cut) if end < self.window.1 => {
                    (*next).max(bucket_end(&self.gather, path, cut, end - 1, self.window.1)?)
                }
                _ => self.window.1,
            };
            stretches.push((*next, stop));
            *next = stop;
        }
        self.reached = end;
        Ok((end, stretches))
    }

    async fn stage(&mut self, is_first: bool, end: i64, stretches: Vec<(i64, i64)>) -> Result<Stage, QueryError> {
        let from = stretches.iter().map(|stretch| stretch.0).min().unwrap_or(end);
        let to = stretches.iter().map(|stretch| stretch.1).max().unwrap_or(end);
        let mut machines = self.gather.machines(&self.needed, from, to, &self.known).await?;
        if is_first && end < self.window.1 {
            self.known = machines.keys().cloned().collect();
            // What is a machine later is one from the beginning: nothing is known of it yet.
            let later = self.machines_from(end).await?;
            let added: Vec<String> = later.iter().cloned().collect();
            self.known.extend(later);
            machines.extend(self.gather.machines(&added, from, to, &self.known).await?);
            self.needed.retain(|path| self.known.contains(path));
        }
        Ok(Stage { machines, stretches })
    }

    /// Up to where buckets of the next stage begin.
    fn end(&self) -> i64 {
        match self.grouping {
            Grouping::Time(_) => self.reached.saturating_add(STAGE_US).min(self.window.1),
            // The time of an order or a product is where it is.
            Grouping::WorkOrder | Grouping::Product => self.window.1,
        }
    }

    /// Which of the needed ones that are not known yet turn out to be machines.
    async fn machines_from(&self, mut from: i64) -> Result<HashSet<String>, QueryError> {
        let mut found = HashSet::new();
        while from < self.window.1 {
            let is_new = |path: &&String| !self.known.contains(*path) && !found.contains(*path);
            let unknown: Vec<String> = self.needed.iter().filter(is_new).cloned().collect();
            if unknown.is_empty() {
                break;
            }
            let to = from.saturating_add(STAGE_US).min(self.window.1);
            found.extend(self.gather.machines_among(&unknown, from, to).await?);
            from = to;
        }
        Ok(found)
    }
}

/// Where the bucket ends that a time lies in.
fn bucket_end(gather: &Gather, path: &str, cut: Cut, at: i64, window_end: i64) -> Result<i64, QueryError> {
    let near = at.saturating_add(NEAR_US).min(window_end);
    for limit in [near, window_end] {
        let bucket = buckets(&gather.plant, path, cut, at, limit).next().transpose()?;
        if let Some(bucket) = bucket.filter(|bucket| bucket.end < limit || limit == window_end) {
            return Ok(bucket.end);
        }
    }
    Ok(window_end)
}
