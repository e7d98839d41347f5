//! What came in and was not looked at yet.

use std::collections::{HashMap, HashSet};

use super::hull;

/// Stretches of an equipment that are nearer to each other than this are looked at as one, microseconds.
const GAP_US: i64 = 10_000_000;
/// More stretches of an equipment than this are looked at as one.
const MOST_STRETCHES: usize = 256;

/// What came in.
#[derive(Default)]
pub(super) struct Waiting {
    /// By equipment: from when to when there are samples among it.
    pub(super) stretches: HashMap<String, Vec<(i64, i64)>>,
    /// Executions that were written.
    pub(super) runs: HashSet<String>,
    /// All is looked at that was not measured yet.
    pub(super) anew: bool,
    /// When the first of it came.
    pub(super) since: Option<i64>,
}

impl Waiting {
    pub(super) fn join(&mut self, later: Self) {
        for (path, spans) in later.stretches {
            spans.into_iter().for_each(|span| self.stretch(&path, span));
        }
        self.runs.extend(later.runs);
        self.anew |= later.anew;
        self.since = self.since.or(later.since);
    }

    pub(super) fn stretch(&mut self, path: &str, (from, to): (i64, i64)) {
        let known = self.stretches.entry(path.to_owned()).or_default();
        let near =
            |span: &&mut (i64, i64)| from <= span.1.saturating_add(GAP_US) && span.0 <= to.saturating_add(GAP_US);
        if let Some(span) = known.iter_mut().rev().find(near) {
            *span = hull(*span, (from, to));
        } else if known.len() < MOST_STRETCHES {
            known.push((from, to));
        } else {
            let all = known.drain(..).fold((from, to), hull);
            known.push(all);
        }
    }
}
