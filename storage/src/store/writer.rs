//! The writer thread: groups writes, makes each group durable with one fsync, then visible, then calls back.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use super::{Entry, Receipt, Shared, apply, flush};
use crate::StoreError;
use crate::spec::Upsert;

/// Bytes of one group at most.
const GROUP_BYTES: usize = 16 << 20;
/// Writes of one group at most.
const GROUP_WRITES: usize = 8_192;
/// A group of this many shows that writes come fast: the next group waits for company.
const BUSY: usize = 4;
/// How often a writer that waits for room looks again.
const ROOM_CHECK: Duration = Duration::from_millis(100);

pub(super) fn run(shared: &Shared, entries: &Receiver<Entry>, flushes: &Sender<flush::Command>) {
    let mut busy = false;
    while let Ok(first) = entries.recv() {
        let group = collect(shared, entries, first, busy);
        busy = group.len() >= BUSY;
        if let Some(reason) = shared.poisoned.get() {
            refuse(group, &StoreError::Poisoned(reason.clone()));
            continue;
        }
        if let Err(error) = wait_for_room(shared, flushes) {
            refuse(group, &error);
            continue;
        }
        match commit(shared, &group) {
            Ok(receipts) => acknowledge(group, receipts),
            Err(error) => {
                match &error {
                    StoreError::Full(_) => shared.note_full(Some(&error)),
                    other => shared.poison(&other.to_string()),
                }
                refuse(group, &error);
            }
        }
        if due(shared) && flushes.send(flush::Command::Due).is_err() {
            return;
        }
    }
}

fn collect(shared: &Shared, entries: &Receiver<Entry>, first: Entry, busy: bool) -> Vec<Entry> {
    let mut bytes = first.blocks.len();
    let mut group = vec![first];
    let deadline = Instant::now() + shared.options.linger;
    while bytes < GROUP_BYTES && group.len() < GROUP_WRITES {
        let next = if busy { entries.recv_deadline(deadline).ok() } else { entries.try_recv().ok() };
        let Some(entry) = next else { break };
        bytes += entry.blocks.len();
        group.push(entry);
    }
    group
}

/// While too much is unflushed, the writer holds still: its queue fills, and sources stop reading.
fn wait_for_room(shared: &Shared, flushes: &Sender<flush::Command>) -> Result<(), StoreError> {
    let (lock, room) = &shared.room;
    let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    while !shared.closing.load(Ordering::Acquire) && hot_bytes(shared) > shared.options.hot_bytes {
        if let Some(reason) = shared.full.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(StoreError::Full(reason));
        }
        if let Some(reason) = shared.poisoned.get() {
            return Err(StoreError::Poisoned(reason.clone()));
        }
        flushes.send(flush::Command::Due).map_err(|_| StoreError::Closed)?;
        guard = room.wait_timeout(guard, ROOM_CHECK).unwrap_or_else(PoisonError::into_inner).0;
    }
    Ok(())
}

fn hot_bytes(shared: &Shared) -> usize {
    let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
    state.tables.iter().map(|table| table.hot.bytes()).sum()
}

fn due(shared: &Shared) -> bool {
    let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
    state.tables.iter().any(|table| table.hot.rows() >= shared.options.flush_rows)
}

fn commit(shared: &Shared, group: &[Entry]) -> Result<Vec<Receipt>, StoreError> {
    let mut recorded = shared.state.read().unwrap_or_else(PoisonError::into_inner).recorded;
    let now = (shared.options.clock)();
    let stamps: Vec<i64> = group
        .iter()
        .map(|_| {
            recorded = now.max(recorded.saturating_add(1));
            recorded
        })
        .collect();
    let frames = group
        .iter()
        .zip(&stamps)
        .map(|(entry, &recorded)| (recorded, entry.write.by.as_ref(), entry.blocks.as_slice()));
    let first = shared.wal.lock().unwrap_or_else(PoisonError::into_inner).append(frames)?;
    shared.note_full(None);
    make_visible(shared, group, &stamps, first)
}

fn make_visible(shared: &Shared, group: &[Entry], stamps: &[i64], first: u64) -> Result<Vec<Receipt>, StoreError> {
    let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
    let mut receipts = Vec::with_capacity(group.len());
    for ((entry, &recorded), position) in group.iter().zip(stamps).zip(first..) {
        let mut records = Vec::new();
        for rows in &entry.write.rows {
            let Some(table) = state.tables.get_mut(rows.table) else { continue };
            let applied = apply::apply(table, rows, position, recorded, &entry.write.by)?;
            if table.spec.upsert == Upsert::Record {
                records.push((rows.table, applied));
            }
        }
        state.position = position;
        state.recorded = recorded;
        receipts.push(Receipt { position, recorded, records });
    }
    Ok(receipts)
}

fn acknowledge(group: Vec<Entry>, receipts: Vec<Receipt>) {
    for (entry, receipt) in group.into_iter().zip(receipts) {
        (entry.done)(Ok(receipt));
    }
}

fn refuse(group: Vec<Entry>, error: &StoreError) {
    for entry in group {
        (entry.done)(Err(error.clone()));
    }
}
