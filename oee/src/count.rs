//! Pieces made: from count records, from the steps of counters, or from results of operations.
//!
//! Of total, good and scrap two give the third; total alone counts as good, scrap alone lowers the good of the total
//! that is counted elsewhere.

use std::sync::Arc;

use crate::execution::{Execution, last_moment};
use crate::verdict::Verdict;

/// Pieces credited at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// When.
    pub time: i64,
    /// Pieces made, good or not.
    pub total: f64,
    /// Pieces scrapped.
    pub scrap: f64,
    /// Of most pieces nothing more is known, and there are many.
    detail: Option<Box<Detail>>,
}

/// What may be known of pieces besides their number.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detail {
    /// Pieces sent to rework; none where nobody says.
    pub rework: Option<f64>,
    /// Why they were scrapped, where somebody says.
    pub reason: Option<Arc<str>>,
    /// Why it is not known whether they are good.
    pub unjudged: Option<Unjudged>,
    /// They were made where results tell what is sent to rework, and have none.
    pub uninspected: bool,
}

/// Why it is not known of pieces whether they are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unjudged {
    /// The result of their execution, of which nobody said what it means.
    Result(Arc<str>),
    /// A row of counts whose parts do not fit its total: its fields were written one after the other.
    Contradiction,
}

const NO_DETAIL: Detail = Detail { rework: None, reason: None, unjudged: None, uninspected: false };

impl Piece {
    /// Pieces of which nothing more is known.
    #[must_use]
    pub fn new(time: i64, total: f64, scrap: f64) -> Self {
        Self { time, total, scrap, detail: None }
    }

    /// The same pieces, of which more is known.
    #[must_use]
    pub fn with(self, detail: Detail) -> Self {
        Self { detail: (detail != NO_DETAIL).then(|| Box::new(detail)), ..self }
    }

    /// What more is known of them.
    #[must_use]
    pub fn detail(&self) -> &Detail {
        static NONE: Detail = NO_DETAIL;
        self.detail.as_deref().unwrap_or(&NONE)
    }
}

/// A row of `counts`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CountRecord {
    /// When.
    pub time: i64,
    /// Pieces made.
    pub total: Option<f64>,
    /// Good pieces.
    pub good: Option<f64>,
    /// Scrapped pieces.
    pub scrap: Option<f64>,
    /// Pieces sent to rework.
    pub rework: Option<f64>,
    /// Why they were scrapped or sent to rework.
    pub reason: Option<Arc<str>>,
}

impl CountRecord {
    /// The pieces it stands for; none where it says nothing about any.
    #[must_use]
    pub fn piece(self) -> Option<Piece> {
        let (total, scrap) = match (self.total, self.good, self.scrap) {
            (Some(total), _, Some(scrap)) => (total, scrap),
            (Some(total), Some(good), None) => (total, total - good),
            (Some(total), None, None) => (total, 0.0),
            (None, Some(good), scrap) => (good + scrap.unwrap_or(0.0), scrap.unwrap_or(0.0)),
            (None, None, Some(scrap)) => (0.0, scrap),
            // Rework of pieces that are counted elsewhere.
            (None, None, None) if self.rework.is_some() => (0.0, 0.0),
            (None, None, None) => return None,
        };
        if self.contradicts_itself() {
            let detail = Detail { unjudged: Some(Unjudged::Contradiction), ..NO_DETAIL };
            return Some(Piece::new(self.time, total, 0.0).with(detail));
        }
        let piece = Piece::new(self.time, total, scrap);
        if self.rework.is_none() && self.reason.is_none() {
            return Some(piece);
        }
        Some(piece.with(Detail { rework: self.rework, reason: self.reason, ..NO_DETAIL }))
    }
}

impl CountRecord {
    /// Whether no machine can have made what it says: each field was possible when it came.
    fn contradicts_itself(&self) -> bool {
        let Some(total) = self.total else { return false };
        let slack = 1e-9 * total.abs().max(1.0);
        let parts = [self.good, self.scrap, self.rework];
        let all = self.good.zip(self.scrap).map_or(total, |(good, scrap)| good + scrap);
        parts.into_iter().flatten().any(|pieces| pieces > total + slack) || (all - total).abs() > slack
    }
}

/// The pieces that an execution stands for once it is completed: its quantity, and a unit without one is one piece. They
/// count at its last moment, so that they belong to the order it was for. `verdict` tells what its result means.
#[must_use]
pub fn executed(execution: &Execution, verdict: impl Fn(&str) -> Option<Verdict>) -> Option<Piece> {
    let completed = execution.completed?;
    let time = last_moment(execution, completed);
    let total = execution.quantity.or(execution.unit.is_some().then_some(1.0))?;
    let made = |scrap: f64, detail: Detail| Some(Piece::new(time, total, scrap).with(detail));
    let Some(result) = execution.result.as_deref() else {
        return made(0.0, Detail { uninspected: true, ..NO_DETAIL });
    };
    match verdict(result) {
        Some(Verdict::Pass) => made(0.0, Detail { rework: Some(0.0), ..NO_DETAIL }),
        Some(Verdict::Fail) => made(total, Detail { rework: Some(0.0), ..NO_DETAIL }),
        Some(Verdict::Rework) => made(0.0, Detail { rework: Some(total), ..NO_DETAIL }),
        None => made(0.0, Detail { unjudged: Some(Unjudged::Result(Arc::from(result))), ..NO_DETAIL }),
    }
}

/// Steps of the counters that an equipment has, as [`crate::counter::deltas`] gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CounterSteps {
    /// Steps of the counters of all pieces.
    pub total: Option<Vec<(i64, f64)>>,
    /// Steps of the counters of good pieces.
    pub good: Option<Vec<(i64, f64)>>,
    /// Steps of the counters of scrapped pieces, each with the reason its counter stands for.
    pub scrap: Option<Vec<(i64, f64, Option<Arc<str>>)>>,
}

impl CounterSteps {
    /// The pieces they stand for, by time; none where neither all nor good pieces are counted.
    #[must_use]
    pub fn pieces(&self) -> Option<Vec<Piece>> {
        let credit = |steps: &Option<Vec<(i64, f64)>>, total: f64, scrap: f64| {
            let steps = steps.iter().flatten();
            steps.map(|&(time, step)| Piece::new(time, total * step, scrap * step)).collect::<Vec<_>>()
        };
        let scrapped = |total: f64| {
            let steps = self.scrap.iter().flatten();
            steps
                .map(|(time, step, reason)| {
                    let detail = Detail { reason: reason.clone(), ..NO_DETAIL };
                    Piece::new(*time, total * step, *step).with(detail)
                })
                .collect::<Vec<_>>()
        };
        let mut pieces = match (&self.total, &self.good, &self.scrap) {
            (Some(_), _, Some(_)) | (Some(_), None, None) => [credit(&self.total, 1.0, 0.0), scrapped(0.0)].concat(),
            // What is made counts as scrap until the good counter says otherwise.
            (Some(_), Some(_), None) => [credit(&self.total, 1.0, 1.0), credit(&self.good, 0.0, -1.0)].concat(),
            (None, Some(_), _) => [credit(&self.good, 1.0, 0.0), scrapped(1.0)].concat(),
            (None, None, _) => return None,
        };
        pieces.sort_by_key(|piece| piece.time);
        Some(pieces)
    }
}

#[cfg(test)]
mod tests;
