//! The writer thread: groups writes, makes each group durable with one fsync, then visible, then calls back.
//!
//! Where the disk is full, or flushes fail for long, patient writes keep their place before all later ones and are tried
//! again; the others are refused at once. So rows of one key never change places.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};

use super::apply::{self, Durable, apply_records, apply_whole};
use super::resolve::{Cold, cold_keys, look_up};
use super::{Entry, Receipt, Rows, Shared, flush, trouble};
use crate::StoreError;
use crate::spec::Upsert;

/// Bytes of one group at most.
const GROUP_BYTES: usize = 16 << 20;
/// Writes of one group at most.
const GROUP_WRITES: usize = 8_192;
/// A group of this many shows that writes come fast: the next group waits for company.
const BUSY: usize = 4;
/// Groups of which the largest tells how much company may come: senders that wait for an answer do not come twice.
const RECENT_GROUPS: usize = 8;
/// How often a writer that waits for room looks again.
const ROOM_CHECK: Duration = Duration::from_millis(100);
/// First wait before a write that met a full disk is tried again; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) fn run(shared: &Shared, entries: &Receiver<Entry>, flushes: &Sender<flush::Command>) {
    let mut waiting = VecDeque::new();
    let mut recent = VecDeque::from([0]);
    let mut pause = FIRST_PAUSE;
    loop {
        if waiting.is_empty() {
            match next(shared, entries) {
                Ok(first) => waiting.push_back(first),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let is_busy = recent.back().is_some_and(|last| *last >= BUSY);
            let company = recent.iter().copied().max().filter(|_| is_busy).unwrap_or(0);
            collect(shared, entries, &mut waiting, company);
        }
        let group = take_group(&mut waiting);
        if recent.len() == RECENT_GROUPS {
            recent.pop_front();
        }
        recent.push_back(group.len());
        match attempt(shared, &group, flushes) {
            Ok(receipts) => {
                acknowledge(group, receipts);
                pause = FIRST_PAUSE;
            }
            Err(error) if error.retryable() => {
                if matches!(error, StoreError::Full(_)) {
                    shared.note_log(Some(&error));
                }
                let (patient, others) = group.into_iter().partition(|entry| entry.write.patient);
                refuse(others, &error);
                let patient: Vec<Entry> = patient;
                for entry in patient.into_iter().rev() {
                    waiting.push_front(entry);
                }
                if !hold(entries, &mut waiting, pause, &error) {
                    return refuse(waiting.into(), &error);
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => {
                match &error {
                    StoreError::Closed => {}
                    StoreError::Poisoned(reason) => shared.poison(reason),
                    other => shared.poison(&other.to_string()),
                }
                refuse(group, &error);
            }
        }
        if due(shared) && flushes.send(flush::Command::Due).is_err() {
            return refuse(waiting.into(), &StoreError::Closed);
        }
    }
}

/// Waits for a write. On a full disk it looks for room from time to time, so that the store is not said to be full for
/// ever where nobody dares to write any more.
fn next(shared: &Shared, entries: &Receiver<Entry>) -> Result<Entry, RecvTimeoutError> {
    if trouble(&shared.log_trouble).is_none() {
        return entries.recv().map_err(|_| RecvTimeoutError::Disconnected);
    }
    let found = entries.recv_timeout(LONGEST_PAUSE);
    if matches!(found, Err(RecvTimeoutError::Timeout)) && shared.alive().is_ok() {
        match shared.wal.lock().unwrap_or_else(PoisonError::into_inner).make_room() {
            Ok(()) => shared.note_log(None),
            Err(StoreError::Full(_)) => {}
            Err(error) => shared.poison(&error.to_string()),
        }
    }
    found
}

/// Makes a group durable and visible, once there is room for it.
fn attempt(shared: &Shared, group: &[Entry], flushes: &Sender<flush::Command>) -> Result<Vec<Receipt>, StoreError> {
    shared.alive()?;
    wait_for_room(shared, flushes)?;
    commit(shared, group)
}

/// Adds what is there to the first entry, after it has waited for `company` writes to be together, for the linger at most.
fn collect(shared: &Shared, entries: &Receiver<Entry>, waiting: &mut VecDeque<Entry>, company: usize) {
    await_company(shared, entries, company.saturating_sub(waiting.len()));
    let mut bytes: usize = waiting.iter().map(|entry| entry.blocks.len()).sum();
    while bytes < GROUP_BYTES && waiting.len() < GROUP_WRITES {
        let Ok(entry) = entries.try_recv() else { return };
        bytes += entry.blocks.len();
        waiting.push_back(entry);
    }
}

/// Sleeps until so many writes are queued: only the sender of the last of them wakes this thread, for to be woken takes longer
/// than to queue a write.
fn await_company(shared: &Shared, entries: &Receiver<Entry>, count: usize) {
    let deadline = Instant::now() + shared.options.linger;
    shared.awaited.store(count, Ordering::SeqCst);
    while entries.len() < count && !shared.closing.load(Ordering::Acquire) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::park_timeout(left);
    }
    shared.awaited.store(0, Ordering::SeqCst);
}

/// The oldest of the waiting entries, as many as make a group.
fn take_group(waiting: &mut VecDeque<Entry>) -> Vec<Entry> {
    let mut bytes = 0;
    let count = waiting.iter().take(GROUP_WRITES).take_while(|entry| {
        let fits = bytes < GROUP_BYTES;
        bytes += entry.blocks.len();
        fits
    });
    let count = count.count();
    waiting.drain(..count).collect()
}

/// Lets `pause` pass on a full disk. What comes meanwhile waits behind what waits already, or is refused where its sender
/// would rather know. False once the store closes.
fn hold(entries: &Receiver<Entry>, waiting: &mut VecDeque<Entry>, pause: Duration, full: &StoreError) -> bool {
    // Nobody waits: the next write finds out by itself how the disk is.
    if waiting.is_empty() {
        return true;
    }
    let deadline = Instant::now() + pause;
    loop {
        match entries.recv_deadline(deadline) {
            Ok(entry) if entry.write.patient => waiting.push_back(entry),
            Ok(entry) => refuse(vec![entry], full),
            Err(error) => return error.is_timeout(),
        }
    }
}

/// While too much is unflushed, the writer holds still: its queue fills, and sources stop reading.
fn wait_for_room(shared: &Shared, flushes: &Sender<flush::Command>) -> Result<(), StoreError> {
    let (lock, room) = &shared.room;
    let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    while !shared.closing.load(Ordering::Acquire) && hot_bytes(shared) > shared.options.hot_bytes {
        if let Some(reason) = trouble(&shared.flush_trouble) {
            return Err(StoreError::Stuck(reason.to_string()));
        }
        shared.alive()?;
        flushes.send(flush::Command::Due).map_err(|_| StoreError::Closed)?;
        guard = room.wait_timeout(guard, ROOM_CHECK).unwrap_or_else(PoisonError::into_inner).0;
    }
    Ok(())
}

fn hot_bytes(shared: &Shared) -> usize {
    shared.state.read().unwrap_or_else(PoisonError::into_inner).hot_bytes()
}

fn due(shared: &Shared) -> bool {
    let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
    let full_rows = shared.full_rows.load(Ordering::Relaxed);
    state.tables.iter().any(|table| table.hot.rows() >= full_rows) || state.is_crowded(&shared.options)
}

fn commit(shared: &Shared, group: &[Entry]) -> Result<Vec<Receipt>, StoreError> {
    let mut recorded = shared.state.read().unwrap_or_else(PoisonError::into_inner).recorded;
    let now = (shared.options.clock)();
    let stamps: Vec<i64> = group
        .iter()
        .map(|entry| {
            let first = now.max(recorded.saturating_add(1));
            recorded = last_recorded(shared, entry, first);
            first
        })
        .collect();
    let frames = group
        .iter()
        .zip(&stamps)
        .map(|(entry, &recorded)| (recorded, entry.write.by.as_ref(), entry.blocks.as_slice()));
    let cold = cold_rows(shared, group)?;
    let first = shared.wal.lock().unwrap_or_else(PoisonError::into_inner).append(frames)?;
    shared.note_log(None);
    let bytes: usize = group.iter().map(|entry| entry.blocks.len()).sum();
    shared.counts.logged_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    make_visible(shared, group, &stamps, first, &cold)
}

/// Rows of segments that the records of a group change or repeat, table by table: read while nobody waits for the lock.
fn cold_rows(shared: &Shared, group: &[Entry]) -> Result<Vec<Cold>, StoreError> {
    let mut writes: Vec<Vec<&Rows>> = vec![Vec::new(); shared.specs.len()];
    for rows in group.iter().flat_map(|entry| &entry.write.rows) {
        if let Some(writes) = writes.get_mut(rows.table) {
            writes.push(rows);
        }
    }
    let mut cold = Vec::with_capacity(writes.len());
    for ((table, writes), spec) in writes.iter().enumerate().zip(shared.specs.iter()) {
        if writes.is_empty() || spec.upsert == Upsert::Whole {
            cold.push(Cold::default());
            continue;
        }
        let (keys, segments, dead) = {
            let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
            match state.tables.get(table) {
                Some(table) => (cold_keys(table, writes)?, table.segments.clone(), table.dead.clone()),
                None => (Vec::new(), Vec::new(), Vec::new()),
            }
        };
        cold.push(look_up(spec, &segments, &dead, &keys)?);
    }
    Ok(cold)
}

/// When the last row of a write is recorded, where its first is recorded at `first`.
fn last_recorded(shared: &Shared, entry: &Entry, first: i64) -> i64 {
    let last = |rows: &Rows| Some(apply::last_recorded(shared.specs.get(rows.table)?, first, rows.batch.num_rows()));
    entry.write.rows.iter().filter_map(last).max().unwrap_or(first)
}

fn make_visible(
    shared: &Shared,
    group: &[Entry],
    stamps: &[i64],
    first: u64,
    cold: &[Cold],
) -> Result<Vec<Receipt>, StoreError> {
    let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
    let mut receipts = Vec::with_capacity(group.len());
    let mut whole: Vec<Vec<Durable<'_>>> = vec![Vec::new(); state.tables.len()];
    for ((entry, &recorded), position) in group.iter().zip(stamps).zip(first..) {
        let mut records = Vec::new();
        for rows in &entry.write.rows {
            let write = Durable { rows, position, recorded, by: &entry.write.by };
            let table = state.tables.get_mut(rows.table);
            let (Some(table), Some(whole), Some(cold)) = (table, whole.get_mut(rows.table), cold.get(rows.table))
            else {
                continue;
            };
            match table.spec.upsert {
                Upsert::Whole => whole.push(write),
                Upsert::Record => records.push((rows.table, apply_records(table, write, cold)?)),
            }
        }
        let recorded = last_recorded(shared, entry, recorded);
        receipts.push(Receipt { position, recorded, records });
    }
    for (table, writes) in state.tables.iter_mut().zip(&whole) {
        apply_whole(table, writes)?;
    }
    if let Some(last) = receipts.last() {
        (state.position, state.recorded) = (last.position, last.recorded);
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
