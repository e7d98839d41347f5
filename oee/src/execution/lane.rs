//! The executions of one kind on one equipment, by start.

use std::sync::Arc;

use super::Execution;
use crate::OPEN;

/// What an execution says is made, in numbers of words: order and product, zero where it does not say.
pub(super) type Made = [u32; 2];

/// One execution with its end as keying sees it.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    execution: Arc<Execution>,
    /// Held here, as the start is, so that who walks from one to the next stays within the slots.
    made: Made,
    /// Its start, held here so that a search stays within the slots.
    started: i64,
    /// Completion, or the next start, or [`OPEN`].
    end: i64,
    /// The largest end up to and including this slot: where it is past, nothing earlier covers either.
    latest_end: i64,
}

/// Slots by (started, recorded, run); the last of several covering ones wins.
#[derive(Debug, Default, Clone)]
pub(super) struct Lane {
    slots: Vec<Slot>,
}

/// So many executions are gone through one by one before they are searched.
const NEAR: usize = 8;

fn order(execution: &Execution) -> (i64, i64, &str) {
    (execution.started, execution.recorded, execution.run.as_ref())
}

impl Slot {
    pub(super) fn execution(&self) -> &Execution {
        &self.execution
    }

    pub(super) fn made(&self) -> Made {
        self.made
    }

    /// Whether it says both order and product.
    pub(super) fn is_complete(&self) -> bool {
        !self.made.contains(&0)
    }

    fn comes_before(&self, execution: &Execution) -> bool {
        let same_start = self.started == execution.started;
        self.started < execution.started || (same_start && order(&self.execution) < order(execution))
    }
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Execution> {
        self.slots.iter().map(|slot| slot.execution.as_ref())
    }

    pub(super) fn insert(&mut self, execution: Arc<Execution>, made: Made) {
        let at = self.slots.partition_point(|slot| slot.comes_before(&execution));
        let end = OPEN;
        self.slots.insert(at, Slot { started: execution.started, execution, made, end, latest_end: end });
        self.settle(at);
    }

    pub(super) fn remove(&mut self, execution: &Execution) {
        let at = self.slots.partition_point(|slot| slot.comes_before(execution));
        if self.slots.get(at).is_some_and(|slot| slot.execution.run == execution.run) {
            self.slots.remove(at);
            self.settle(at);
        }
    }

    /// How many have begun by a moment; `place` is what that was for a moment before.
    fn begun(&self, t: i64, place: usize) -> usize {
        let has_begun = |slot: &Slot| slot.started <= t;
        if place.checked_sub(1).is_some_and(|last| !self.slots.get(last).is_some_and(has_begun)) {
            return self.slots.partition_point(has_begun);
        }
        let rest = self.slots.get(place..).unwrap_or_default();
        match rest.iter().take(NEAR).position(|slot| !has_begun(slot)) {
            Some(more) => place + more,
            None => place + rest.partition_point(has_begun),
        }
    }

    /// The winner at a moment, and until when that holds; `place` is where the moment before lay, and where this one does.
    pub(super) fn at(&self, t: i64, place: &mut usize) -> (Option<&Slot>, i64) {
        let next = self.begun(t, *place);
        *place = next;
        let next_start = self.slots.get(next).map_or(OPEN, |slot| slot.started);
        let started = self.slots.iter().take(next).rev();
        let mut candidates = started.take_while(|slot| slot.latest_end > t);
        match candidates.find(|slot| slot.end > t) {
            Some(slot) => (Some(slot), slot.end.min(next_start)),
            None => (None, next_start),
        }
    }

    /// The executions that began before `to` and go on until `from` or later, the newest first.
    pub(super) fn reaching(&self, from: i64, to: i64) -> impl Iterator<Item = &Execution> {
        let begun = self.slots.partition_point(|slot| slot.started < to);
        let slots = self.slots.iter().take(begun).rev().take_while(move |slot| from <= slot.latest_end);
        slots.map(|slot| slot.execution.as_ref())
    }

    pub(super) fn end_of(&self, execution: &Execution) -> Option<i64> {
        let at = self.slots.partition_point(|slot| slot.comes_before(execution));
        self.slots.get(at).filter(|slot| slot.execution.run == execution.run).map(|slot| slot.end)
    }

    /// The first start later than this execution's.
    pub(super) fn next_start(&self, execution: &Execution) -> i64 {
        let at = self.slots.partition_point(|slot| slot.started <= execution.started);
        self.slots.get(at).map_or(OPEN, |slot| slot.started)
    }

    pub(super) fn alone_at_start(&self, execution: &Execution) -> bool {
        let first = self.slots.partition_point(|slot| slot.started < execution.started);
        let same_start = self.slots.iter().skip(first).take_while(|slot| slot.started == execution.started);
        same_start.into_iter().all(|slot| slot.execution.run == execution.run)
    }

    /// Brings ends up to date around a changed place: the slot before it, itself, and the running maximum after.
    fn settle(&mut self, at: usize) {
        let first = at.saturating_sub(1);
        let mut latest_end = first.checked_sub(1).and_then(|i| self.slots.get(i)).map_or(i64::MIN, |s| s.latest_end);
        for i in first..self.slots.len() {
            let next_start = self.slots.get(i + 1).map_or(OPEN, |slot| slot.started);
            let Some(slot) = self.slots.get_mut(i) else { return };
            // An end before the start is none of the time before it.
            slot.end = slot.execution.completed.map_or(next_start, |end| end.max(slot.started));
            latest_end = latest_end.max(slot.end);
            if i > at && slot.latest_end == latest_end {
                return;
            }
            slot.latest_end = latest_end;
        }
    }
}
