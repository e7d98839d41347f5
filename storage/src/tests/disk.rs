//! A disk that is full for a while, or fails.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::sync::atomic::AtomicBool;

use crossbeam::channel::{Receiver, bounded};

use super::*;
use crate::{Disk, LocalDisk, Receipt};

/// A disk with switches.
#[derive(Default)]
struct Switched {
    full: AtomicBool,
    failing: AtomicBool,
    refused: AtomicI64,
}

impl Disk for Switched {
    fn reserve(&self, file: &File, bytes: u64) -> std::io::Result<()> {
        if self.full.load(Ordering::Acquire) {
            self.refused.fetch_add(1, Ordering::AcqRel);
            return Err(Error::from(ErrorKind::StorageFull));
        }
        LocalDisk.reserve(file, bytes)
    }

    fn sync(&self, file: &File) -> std::io::Result<()> {
        if self.failing.load(Ordering::Acquire) {
            return Err(Error::other("the disk is gone"));
        }
        LocalDisk.sync(file)
    }
}

fn open_on(disk: &Arc<Switched>, folder: &std::path::Path) -> Store {
    let options = Options { disk: disk.clone(), ..options() };
    Store::open(folder, vec![samples(), orders()], options).unwrap()
}

fn send(store: &Store, row: (i64, &str, f64), patient: bool) -> Receiver<Result<Receipt, StoreError>> {
    let (done, outcome) = bounded(1);
    let write = Write { patient, ..write(vec![sample_rows(&[row])]) };
    store.append(write, move |result| drop(done.send(result)));
    outcome
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn on_a_full_disk_patient_writes_wait_in_their_order_and_others_are_refused() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let store = open_on(&disk, folder.path());
    disk.full.store(true, Ordering::Release);
    let first = send(&store, (1, "a", 1.0), true);
    until("the disk to be found full", || store.health().trouble.is_some());
    let refused = send(&store, (1, "a", 2.0), false).recv().unwrap();
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    let second = send(&store, (1, "a", 3.0), true);
    assert!(first.try_recv().is_err() && second.try_recv().is_err());
    assert_eq!(sample_values(&store), vec![]);
    disk.full.store(false, Ordering::Release);
    first.recv().unwrap().unwrap();
    second.recv().unwrap().unwrap();
    // The later one wins, as it would have without the full disk.
    assert_eq!(sample_values(&store), vec![("a".to_owned(), 1, 3.0)]);
    assert_eq!(store.health().trouble, None);
    drop(store);
    assert_eq!(sample_values(&open(folder.path())), vec![("a".to_owned(), 1, 3.0)]);
}

#[test]
fn room_on_the_disk_is_noticed_though_nobody_writes() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let store = open_on(&disk, folder.path());
    disk.full.store(true, Ordering::Release);
    assert!(send(&store, (1, "a", 1.0), false).recv().unwrap().is_err());
    assert!(store.health().trouble.is_some_and(|reason| reason.contains("free some space")));
    disk.full.store(false, Ordering::Release);
    until("the room to be noticed", || store.health().trouble.is_none());
    send(&store, (1, "a", 2.0), false).recv().unwrap().unwrap();
    assert_eq!(sample_values(&store), vec![("a".to_owned(), 1, 2.0)]);
}

/// Room for the next file of the log is found, then a write comes that is too large for it: the file must not be lost under
/// the frames that follow.
#[test]
fn a_write_larger_than_the_file_that_was_prepared_loses_nothing() {
    for full_again in [true, false] {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
        let store = open_on(&disk, folder.path());
        disk.full.store(true, Ordering::Release);
        assert!(send(&store, (1, "a", 1.0), false).recv().unwrap().is_err());
        disk.full.store(false, Ordering::Release);
        until("the room to be noticed", || store.health().trouble.is_none());
        disk.full.store(full_again, Ordering::Release);
        let large: Vec<(i64, String, f64)> = (0..4_000).map(|row| (row, format!("machine-{row}"), 1.0)).collect();
        let rows: Vec<_> = large.iter().map(|row| (row.0, row.1.as_str(), row.2)).collect();
        let stored = store.append_and_wait(write(vec![sample_rows(&rows)]));
        assert_eq!(stored.is_err(), full_again, "{stored:?}");
        disk.full.store(false, Ordering::Release);
        send(&store, (1, "b", 2.0), false).recv().unwrap().unwrap();
        if !full_again {
            store.flush().unwrap();
        }
        send(&store, (2, "b", 3.0), false).recv().unwrap().unwrap();
        let crashed = durability::image(folder.path());
        let survivors = sample_values(&open(crashed.path()));
        assert_eq!(survivors.iter().filter(|row| row.0 == "b").count(), 2, "full again: {full_again}");
        assert_eq!(survivors.len(), if full_again { 2 } else { 4_002 });
    }
}

#[test]
fn a_store_that_closes_on_a_full_disk_refuses_what_waits() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let store = open_on(&disk, folder.path());
    disk.full.store(true, Ordering::Release);
    let waiting = send(&store, (1, "a", 1.0), true);
    until("two attempts", || disk.refused.load(Ordering::Acquire) > 1);
    drop(store);
    assert!(waiting.recv().unwrap().is_err());
    assert_eq!(sample_values(&open(folder.path())), vec![]);
}

#[test]
fn a_failed_fsync_poisons_until_the_store_is_opened_again() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Arc::new(Switched::default()));
    let store = open_on(&disk, folder.path());
    send(&store, (1, "a", 1.0), true).recv().unwrap().unwrap();
    disk.failing.store(true, Ordering::Release);
    let failed = send(&store, (2, "a", 2.0), true).recv().unwrap();
    assert!(matches!(failed, Err(StoreError::Poisoned(_))), "{failed:?}");
    disk.failing.store(false, Ordering::Release);
    let after = send(&store, (3, "a", 3.0), true).recv().unwrap();
    assert!(matches!(after, Err(StoreError::Poisoned(_))), "{after:?}");
    // What was acknowledged is still there, and nothing else shows.
    assert_eq!(sample_values(&store), vec![("a".to_owned(), 1, 1.0)]);
    assert!(store.flush().is_err(), "a poisoned store commits nothing");
    drop(store);
    let reopened = open(folder.path());
    assert!(sample_values(&reopened).starts_with(&[("a".to_owned(), 1, 1.0)]));
    reopened.append_and_wait(write(vec![sample_rows(&[(4, "a", 4.0)])])).unwrap();
}
