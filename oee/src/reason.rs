//! Reasons that people give to stops, afterwards or while they last.
//!
//! One record gives one reason to one stretch of time: a whole stop, a part of it, or several stops together. What is said
//! holds for stopped time only, and takes the place of what the machine said; where two records cover an instant, the one
//! recorded last counts. A stop that lasts is given its reason until the machine runs again.

use std::sync::Arc;

use crate::OPEN;
use crate::state::{Category, StateSpan, StateValue, append};

/// A reason given to a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenReason {
    /// To what it was given: a machine, or what lies above it.
    pub equipment: Arc<str>,
    /// From when.
    pub start: i64,
    /// Until when, exclusive; none: until the machine runs again.
    pub end: Option<i64>,
    /// When takt recorded it.
    pub recorded: i64,
    /// Reason code.
    pub reason: Arc<str>,
    /// What a stop for this reason means for time.
    pub category: Category,
}

fn is_stopped(span: &StateSpan) -> bool {
    span.value.category != Some(Category::Run)
}

/// When the machine runs again after `t`, as far as `spans` tell.
fn runs_again(spans: &[StateSpan], t: i64) -> i64 {
    let first = spans.partition_point(|span| span.end <= t);
    spans.iter().skip(first).find(|span| !is_stopped(span)).map_or(OPEN, |span| span.start.max(t))
}

/// Until when a reason holds, as far as `spans` tell.
#[must_use]
pub fn holds_until(spans: &[StateSpan], reason: &GivenReason) -> i64 {
    reason.end.unwrap_or_else(|| runs_again(spans, reason.start))
}

/// A timeline with the reasons that were given.
#[must_use]
pub fn explained(spans: Vec<StateSpan>, mut given: Vec<GivenReason>) -> Vec<StateSpan> {
    if given.is_empty() {
        return spans;
    }
    given.sort_by_key(|given| (given.recorded, given.start));
    // Disjoint and ascending: start, end, and which reason counts.
    let mut painted: Vec<(i64, i64, usize)> = Vec::with_capacity(given.len());
    for (at, reason) in given.iter().enumerate() {
        let end = holds_until(&spans, reason);
        if reason.start < end {
            paint(&mut painted, (reason.start, end, at));
        }
    }
    let mut found = Vec::with_capacity(spans.len() + painted.len());
    for span in spans {
        if !is_stopped(&span) {
            append(&mut found, span.start, span.end, span.value);
            continue;
        }
        let mut t = span.start;
        let first = painted.partition_point(|&(_, end, _)| end <= span.start);
        for &(start, end, at) in painted.iter().skip(first).take_while(|&&(start, _, _)| start < span.end) {
            let Some(reason) = given.get(at) else { continue };
            append(&mut found, t, start, span.value.clone());
            let because = Some(Arc::clone(&reason.reason));
            let value = StateValue::new(Arc::clone(&span.value.state), Some(reason.category), because);
            append(&mut found, start.max(t), end.min(span.end), value);
            t = end.min(span.end);
        }
        append(&mut found, t, span.end, span.value);
    }
    found
}

/// Puts a stretch over what lies there.
fn paint(painted: &mut Vec<(i64, i64, usize)>, new: (i64, i64, usize)) {
    let first = painted.partition_point(|&(_, end, _)| end <= new.0);
    let after = painted.partition_point(|&(start, _, _)| start < new.1);
    let mut pieces = Vec::with_capacity(3);
    if let Some(&(start, _, at)) = painted.get(first).filter(|&&(start, _, _)| start < new.0) {
        pieces.push((start, new.0, at));
    }
    pieces.push(new);
    if let Some(&(_, end, at)) = after.checked_sub(1).and_then(|last| painted.get(last)).filter(|last| last.1 > new.1) {
        pieces.push((new.1, end, at));
    }
    painted.splice(first..after.max(first), pieces);
}

#[cfg(test)]
mod tests;
