//! Reasons that signals give to stops: what a machine showed when it stopped.
//!
//! A stop for which neither a person nor the machine's own record has a reason gets the reason of the first symptom in order that
//! was there when the stop began, or came within five seconds of it. An unplanned stop only: any other state says itself
//! what it is. What people say is laid over it afterwards, by [`crate::reason::explained`].

use std::sync::Arc;

use crate::SECOND_US;
use crate::state::{Category, StateSpan, StateValue, append};

/// Signals come a little after the stop that they explain.
pub const WITHIN_US: i64 = 5 * SECOND_US;

/// One rule of a machine, and when its condition held.
#[derive(Debug, Clone, PartialEq)]
pub struct Symptom {
    /// Reason code.
    pub reason: Arc<str>,
    /// What a stop for this reason means for time.
    pub category: Category,
    /// Changes, ascending in time: whether the condition holds from then on; none where that is unknown.
    pub changes: Vec<(i64, Option<bool>)>,
}

impl Symptom {
    /// Whether it explains a stop that began then.
    fn explains(&self, start: i64) -> bool {
        let later = self.changes.partition_point(|&(time, _)| time <= start);
        let at_start = later.checked_sub(1).and_then(|at| self.changes.get(at));
        let after = self.changes.iter().skip(later).take_while(|(time, _)| *time <= start.saturating_add(WITHIN_US));
        at_start.into_iter().chain(after).any(|&(_, holds)| holds == Some(true))
    }

    /// Forgets what tells nothing of a stop that began at `stop`, nor of one that begins at `from` or later.
    pub(crate) fn drop_before(&mut self, stop: i64, from: i64) {
        let near = |time: i64| self.changes.partition_point(|&(known, _)| known <= time);
        let (first, last) = (near(stop).saturating_sub(1), near(stop.saturating_add(WITHIN_US)));
        let held = near(from).saturating_sub(1);
        if last < held {
            self.changes.drain(last..held);
        }
        self.changes.drain(..first);
    }
}

/// Whether a stop waits for a reason.
fn is_open(value: &StateValue) -> bool {
    value.category == Some(Category::Unplanned) && value.reason.is_none()
}

/// A timeline with the reasons that symptoms give.
#[must_use]
pub fn told(spans: Vec<StateSpan>, symptoms: &[Symptom]) -> Vec<StateSpan> {
    if symptoms.is_empty() {
        return spans;
    }
    let mut found = Vec::with_capacity(spans.len());
    for StateSpan { start, end, value } in spans {
        let symptom = symptoms.iter().filter(|_| is_open(&value)).find(|symptom| symptom.explains(start));
        let value = match symptom {
            Some(symptom) => {
                let reason = Some(Arc::clone(&symptom.reason));
                StateValue::new(Arc::clone(&value.state), Some(symptom.category), reason)
            }
            None => value,
        };
        append(&mut found, start, end, value);
    }
    found
}

/// Whether a stop that lasts at `known` began before, so that it takes what happened before `known` to tell its reason.
#[must_use]
pub fn needs_earlier(spans: &[StateSpan], known: i64) -> bool {
    let at = spans.partition_point(|span| span.end <= known);
    spans.get(at).is_some_and(|span| span.start < known && is_open(&span.value))
}

/// The start of the stop that waits for a reason and began so shortly before `time` that a symptom may still come; else
/// `time` itself.
pub(crate) fn settled(spans: &[StateSpan], time: i64) -> i64 {
    let later = spans.partition_point(|span| span.start < time);
    let recent = spans.iter().take(later).rev().take_while(|span| time <= span.start.saturating_add(WITHIN_US));
    recent.filter(|span| is_open(&span.value)).map(|span| span.start).min().unwrap_or(time)
}

#[cfg(test)]
mod tests;
