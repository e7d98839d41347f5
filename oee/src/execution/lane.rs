//! The executions of one kind on one equipment, by start.
//!
//! They lie in chunks, for most come at the end and some anywhere: of a year's executions none is moved for one that comes late.

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
    /// The largest end up to and including this slot in its chunk: where it is past, nothing earlier in it covers either.
    latest_end: i64,
}

/// Slots that follow one another; there is always one.
#[derive(Debug, Clone)]
struct Chunk {
    slots: Vec<Slot>,
    /// The largest end in all chunks before.
    before: i64,
}

/// Where a slot is, or would be: in a chunk, or behind the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct At {
    chunk: usize,
    slot: usize,
}

/// Slots by (started, recorded, run); the last of several covering ones wins.
#[derive(Debug, Default, Clone)]
pub(super) struct Lane {
    chunks: Vec<Chunk>,
}

/// So many executions are gone through one by one before they are searched.
const NEAR: usize = 8;
/// A chunk of more slots becomes two; tests have few executions.
const CHUNK_SLOTS: usize = if cfg!(test) { 4 } else { 512 };

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

impl Chunk {
    /// The largest end in it and in all before.
    fn latest_end(&self) -> i64 {
        self.slots.last().map_or(self.before, |slot| slot.latest_end.max(self.before))
    }

    fn settle(&mut self) {
        let mut latest_end = i64::MIN;
        for slot in &mut self.slots {
            latest_end = latest_end.max(slot.end);
            slot.latest_end = latest_end;
        }
    }

    /// Its slots before one.
    fn until(&self, slot: usize) -> &[Slot] {
        self.slots.get(..slot).unwrap_or(&self.slots)
    }
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.chunks.iter().flat_map(|chunk| &chunk.slots)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Execution> {
        self.slots().map(|slot| slot.execution.as_ref())
    }

    fn get(&self, at: At) -> Option<&Slot> {
        self.chunks.get(at.chunk)?.slots.get(at.slot)
    }

    fn after(&self, at: At) -> At {
        let last = self.chunks.get(at.chunk).is_none_or(|chunk| at.slot + 1 >= chunk.slots.len());
        if last { At { chunk: at.chunk + 1, slot: 0 } } else { At { slot: at.slot + 1, ..at } }
    }

    fn before(&self, at: At) -> Option<At> {
        if let Some(slot) = at.slot.checked_sub(1) {
            return Some(At { slot, ..at });
        }
        let chunk = at.chunk.checked_sub(1)?;
        Some(At { chunk, slot: self.chunks.get(chunk)?.slots.len().checked_sub(1)? })
    }

    /// The first slot of which something does not hold that holds of all before it.
    fn first_not(&self, holds: impl Fn(&Slot) -> bool) -> At {
        let chunk = self.chunks.partition_point(|chunk| chunk.slots.first().is_some_and(&holds));
        let Some(last) = chunk.checked_sub(1) else { return At::default() };
        let slots = self.chunks.get(last).map(|chunk| chunk.slots.as_slice()).unwrap_or_default();
        let slot = slots.partition_point(holds);
        if slot < slots.len() { At { chunk: last, slot } } else { At { chunk, slot: 0 } }
    }

    /// Where an execution is.
    fn find(&self, execution: &Execution) -> Option<At> {
        let at = self.first_not(|slot| slot.comes_before(execution));
        self.get(at).filter(|slot| slot.execution.run == execution.run).map(|_| at)
    }

    pub(super) fn insert(&mut self, execution: Arc<Execution>, made: Made) {
        let mut at = self.first_not(|slot| slot.comes_before(&execution));
        let slot = Slot { started: execution.started, execution, made, end: OPEN, latest_end: OPEN };
        // Between two chunks it goes to the end of the first.
        if let Some(before) = self.before(at).filter(|_| at.slot == 0) {
            at = At { slot: before.slot + 1, ..before };
        }
        let is_last = at.chunk + 1 == self.chunks.len();
        let Some(chunk) = self.chunks.get_mut(at.chunk) else {
            self.chunks.push(Chunk { slots: vec![slot], before: i64::MIN });
            return self.settle(At::default());
        };
        chunk.slots.insert(at.slot, slot);
        if chunk.slots.len() > CHUNK_SLOTS {
            // What comes at the very end leaves full chunks behind.
            let kept = if is_last && at.slot == CHUNK_SLOTS { CHUNK_SLOTS } else { CHUNK_SLOTS / 2 };
            let slots = chunk.slots.split_off(kept);
            self.chunks.insert(at.chunk + 1, Chunk { slots, before: i64::MIN });
            if let Some(slot) = at.slot.checked_sub(kept) {
                at = At { chunk: at.chunk + 1, slot };
            }
        }
        self.settle(at);
    }

    pub(super) fn remove(&mut self, execution: &Execution) {
        let Some(at) = self.find(execution) else { return };
        let Some(chunk) = self.chunks.get_mut(at.chunk) else { return };
        chunk.slots.remove(at.slot);
        let (is_empty, was_last) = (chunk.slots.is_empty(), at.slot == chunk.slots.len());
        if is_empty {
            self.chunks.remove(at.chunk);
        }
        let next = if was_last && !is_empty { At { chunk: at.chunk + 1, slot: 0 } } else { at };
        self.settle(next);
    }

    /// How many have begun by a moment, as the place behind them; `place` is what that was for a moment before.
    fn begun(&self, t: i64, place: At) -> At {
        let has_begun = |slot: &Slot| slot.started <= t;
        let is_near = match self.before(place) {
            Some(before) => self.get(before).is_some_and(has_begun),
            None => place == At::default(),
        };
        if is_near {
            let mut at = place;
            for _ in 0..NEAR {
                match self.get(at) {
                    Some(slot) if has_begun(slot) => at = self.after(at),
                    _ => return at,
                }
            }
        }
        self.first_not(has_begun)
    }

    /// The winner at a moment, and until when that holds; `place` is where the moment before lay, and where this one does.
    pub(super) fn at(&self, t: i64, place: &mut At) -> (Option<&Slot>, i64) {
        let next = self.begun(t, *place);
        *place = next;
        let next_start = self.get(next).map_or(OPEN, |slot| slot.started);
        match self.reaching_slots(t.saturating_add(1), next).find(|slot| slot.end > t) {
            Some(slot) => (Some(slot), slot.end.min(next_start)),
            None => (None, next_start),
        }
    }

    /// Those before a place, the last first, as long as an end among them is `from` or later.
    fn reaching_slots(&self, from: i64, until: At) -> impl Iterator<Item = &Slot> {
        let chunks = (0..=until.chunk).rev().filter_map(move |at| {
            let chunk = self.chunks.get(at)?;
            Some((at, chunk, if at == until.chunk { until.slot } else { chunk.slots.len() }))
        });
        let reach = move |&(at, chunk, _): &(usize, &Chunk, usize)| at == until.chunk || from <= chunk.latest_end();
        chunks.take_while(reach).flat_map(move |(_, chunk, slot)| {
            chunk.until(slot).iter().rev().take_while(move |slot| from <= slot.latest_end)
        })
    }

    /// The executions that began before `to` and go on until `from` or later, the newest first.
    pub(super) fn reaching(&self, from: i64, to: i64) -> impl Iterator<Item = &Execution> {
        let begun = self.first_not(|slot| slot.started < to);
        self.reaching_slots(from, begun).map(|slot| slot.execution.as_ref())
    }

    pub(super) fn end_of(&self, execution: &Execution) -> Option<i64> {
        self.find(execution).and_then(|at| self.get(at)).map(|slot| slot.end)
    }

    /// The first start later than this execution's.
    pub(super) fn next_start(&self, execution: &Execution) -> i64 {
        let at = self.first_not(|slot| slot.started <= execution.started);
        self.get(at).map_or(OPEN, |slot| slot.started)
    }

    pub(super) fn alone_at_start(&self, execution: &Execution) -> bool {
        let mut at = self.first_not(|slot| slot.started < execution.started);
        while let Some(slot) = self.get(at).filter(|slot| slot.started == execution.started) {
            if slot.execution.run != execution.run {
                return false;
            }
            at = self.after(at);
        }
        true
    }

    /// Brings ends up to date around a changed place: the slot before it, itself, and what chunks know of those before them.
    fn settle(&mut self, at: At) {
        let first = self.before(at);
        for place in first.into_iter().chain([at]) {
            let next_start = self.get(self.after(place)).map_or(OPEN, |slot| slot.started);
            let chunk = self.chunks.get_mut(place.chunk);
            if let Some(slot) = chunk.and_then(|chunk| chunk.slots.get_mut(place.slot)) {
                // An end before the start is none of the time before it.
                slot.end = slot.execution.completed.map_or(next_start, |end| end.max(slot.started));
            }
        }
        // A chunk that has become two, too.
        let changed = first.map_or(at.chunk, |first| first.chunk)..=at.chunk + 1;
        let mut before =
            changed.start().checked_sub(1).and_then(|last| self.chunks.get(last)).map_or(i64::MIN, Chunk::latest_end);
        for (place, chunk) in self.chunks.iter_mut().enumerate().skip(*changed.start()) {
            if changed.contains(&place) {
                chunk.settle();
            } else if chunk.before == before {
                return;
            }
            chunk.before = before;
            before = chunk.latest_end();
        }
    }
}
