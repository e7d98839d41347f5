//! What a crash leaves behind must open again: images of folders as a crash would leave them.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Copies a data folder as it is at this instant, as a crash would leave it.
pub(super) fn image(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn newest_wal(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder.join("wal")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).max().unwrap()
}

#[test]
fn acknowledged_rows_survive_without_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0), (2, "a", 2.0)])])).unwrap();
    let crashed = image(folder.path());
    assert_eq!(sample_values(&open(crashed.path())), vec![("a".to_owned(), 1, 1.0), ("a".to_owned(), 2, 2.0)]);
}

#[test]
fn a_torn_tail_loses_only_what_was_never_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0)])])).unwrap();
    let before = fs::read(newest_wal(folder.path())).unwrap();
    store.append_and_wait(write(vec![sample_rows(&[(2, "a", 2.0)])])).unwrap();
    let after = fs::read(newest_wal(folder.path())).unwrap();
    let start = before.iter().zip(&after).position(|(a, b)| a != b).unwrap();
    let end = before.iter().zip(&after).rposition(|(a, b)| a != b).unwrap();
    for cut in start..=end {
        let crashed = image(folder.path());
        let path = newest_wal(crashed.path());
        let mut torn = after.clone();
        torn[cut..=end].copy_from_slice(&before[cut..=end]);
        fs::write(&path, &torn).unwrap();
        let reopened = open(crashed.path());
        assert_eq!(sample_values(&reopened), vec![("a".to_owned(), 1, 1.0)], "cut at {cut}");
        // What comes after the repair is kept as well.
        reopened.append_and_wait(write(vec![sample_rows(&[(3, "a", 3.0)])])).unwrap();
        drop(reopened);
        assert_eq!(sample_values(&open(crashed.path())).len(), 2);
    }
}

#[test]
fn a_changed_byte_before_acknowledged_writes_is_damage_and_no_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for time in 1..=3 {
        store.append_and_wait(write(vec![sample_rows(&[(time, "a", 1.0)])])).unwrap();
    }
    let path = newest_wal(folder.path());
    let sound = fs::read(&path).unwrap();
    let end = sound.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut shorter) = (0, 0);
    for place in (0..=end).step_by(3) {
        let crashed = image(folder.path());
        let path = newest_wal(crashed.path());
        let mut changed = sound.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        match Store::open(crashed.path(), vec![samples(), orders()], options()) {
            Ok(reopened) => {
                // Only the last write can be what a crash has torn.
                assert_eq!(sample_values(&reopened).len(), 2, "byte {place} of {end}");
                shorter += 1;
            }
            Err(StoreError::Damaged { path: named, message }) => {
                assert_eq!(named.file_name(), path.file_name());
                assert!(message.contains("Restore a backup"), "{message}");
                assert_eq!(fs::read(&path).unwrap(), changed, "nothing is repaired that may be rows");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 2 * shorter && shorter > 5, "{refused} refused, {shorter} taken for torn");
}

#[test]
fn a_log_with_a_hole_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let big: Vec<(i64, String, f64)> = (0..3_000).map(|row| (row, format!("machine-{row}"), 1.0)).collect();
    let rows: Vec<_> = big.iter().map(|row| (row.0, row.1.as_str(), row.2)).collect();
    for _ in 0..4 {
        store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
    }
    let crashed = image(folder.path());
    let mut files: Vec<PathBuf> =
        fs::read_dir(crashed.path().join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2, "the log spans several files");
    let mut bytes = fs::read(&files[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    let error = Store::open(crashed.path(), vec![samples(), orders()], options()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_commit_that_the_flusher_never_saw_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store
        .append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0)]), order_row("o", None, Some(Some(1.0)), false)]))
        .unwrap();
    let log_before = image(&folder.path().join("wal"));
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 2.0)])])).unwrap();
    let log_after = image(&folder.path().join("wal"));
    store.flush().unwrap();
    let with = |log: &tempfile::TempDir| {
        let crashed = image(folder.path());
        fs::remove_dir_all(crashed.path().join("wal")).unwrap();
        copy(log.path(), &crashed.path().join("wal"));
        crashed
    };
    let crashed = with(&log_after);
    let reopened = open(crashed.path());
    assert_eq!(sample_values(&reopened), vec![("a".to_owned(), 1, 2.0)]);
    assert_eq!(history_count(&reopened, 0), 1);
    assert_eq!(reopened.health().hot_rows, 0, "the segments cover the log");
    // No crash leaves tables that reach further than the log.
    let refused = Store::open(with(&log_before).path(), vec![samples(), orders()], options()).map(drop);
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
}

#[test]
fn a_history_commit_without_its_rows_commit_is_not_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0)])])).unwrap();
    store.flush().unwrap();
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 2.0), (2, "a", 5.0), (2, "a", 6.0)])])).unwrap();
    let before = image(folder.path());
    store.flush().unwrap();
    // The history's commit landed, the table's did not, and the log is still whole.
    let history = Path::new("tables/samples_history");
    fs::remove_dir_all(before.path().join(history)).unwrap();
    copy(&folder.path().join(history), &before.path().join(history));
    let reopened = open(before.path());
    let expected = vec![("a".to_owned(), 1, 2.0), ("a".to_owned(), 2, 6.0)];
    assert_eq!(sample_values(&reopened), expected);
    assert_eq!(history_count(&reopened, 0), 2);
    reopened.append_and_wait(write(vec![sample_rows(&[(2, "a", 7.0)])])).unwrap();
    reopened.flush().unwrap();
    assert_eq!(history_count(&reopened, 0), 3);
    drop(reopened);
    assert_eq!(history_count(&open(before.path()), 0), 3);
}

#[test]
fn the_log_is_let_go_once_segments_cover_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let big: Vec<(i64, String, f64)> = (0..3_000).map(|row| (row, format!("machine-{row}"), 1.0)).collect();
    let rows: Vec<_> = big.iter().map(|row| (row.0, row.1.as_str(), row.2)).collect();
    for _ in 0..10 {
        store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
    }
    let full = store.health().wal_bytes;
    store.flush().unwrap();
    assert!(store.health().wal_bytes < full / 2, "{} of {full} bytes are left", store.health().wal_bytes);
    drop(store);
    assert_eq!(sample_values(&open(folder.path())).len(), 3_000);
}

#[test]
fn a_backup_opens_as_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0)])])).unwrap();
    store.flush().unwrap();
    store.append_and_wait(write(vec![sample_rows(&[(2, "a", 2.0)])])).unwrap();
    let (kept, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = store.backup(&kept.path().join("b"), &[]).unwrap();
    store.append_and_wait(write(vec![sample_rows(&[(3, "a", 3.0)])])).unwrap();
    assert_eq!(report.position, 2);
    crate::restore(&kept.path().join("b"), restored.path(), |_, _| {}).unwrap();
    let copy = open(restored.path());
    assert_eq!(sample_values(&copy).len(), 2);
    copy.append_and_wait(write(vec![sample_rows(&[(4, "a", 4.0)])])).unwrap();
    assert_eq!(sample_values(&copy).len(), 3);
    let segment = fs::read_dir(kept.path().join("b/tables/samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file())
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[10] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let damaged = crate::restore(&kept.path().join("b"), &restored.path().join("again"), |_, _| {});
    assert!(matches!(damaged, Err(StoreError::Damaged { .. })));
}

#[test]
fn small_segments_are_joined_by_themselves_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for round in 0..20 {
        store.append_and_wait(write(vec![sample_rows(&[(round, "a", 1.0), (0, "b", round as f64)])])).unwrap();
        store.flush().unwrap();
    }
    let before = sample_values(&store);
    let history = history_count(&store, 0);
    let start = std::time::Instant::now();
    // Of 20 flushes a run may be left, and as many segments over it as together have fewer rows.
    while store.snapshot().tables[0].segments.len() >= 12 {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing was joined");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(store.health().joined_rows > 0);
    assert_eq!(sample_values(&store), before);
    assert_eq!((before.len(), history), (21, 19));
    assert_eq!(history_count(&store, 0), history);
    drop(store);
    let reopened = open(folder.path());
    assert_eq!(sample_values(&reopened), before);
    assert_eq!(history_count(&reopened, 0), history);
}

#[test]
fn a_flush_that_fails_half_way_is_made_good_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0)])])).unwrap();
    store.flush().unwrap();
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 2.0)])])).unwrap();
    // Somebody else has written the table's next commit; that of its history is free.
    let log = folder.path().join("tables/samples/_delta_log");
    let commits = fs::read_dir(&log)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "json"));
    fs::write(log.join(format!("{:020}.json", commits.count())), "{\"commitInfo\":{\"operation\":\"WRITE\"}}\n")
        .unwrap();
    assert!(store.flush().is_err(), "the commit is taken");
    assert_eq!(history_count(&store, 0), 1);
    assert!(store.health().trouble.is_some());
    store.append_and_wait(write(vec![sample_rows(&[(2, "a", 5.0)])])).unwrap();
    store.flush().unwrap();
    assert_eq!(sample_values(&store), vec![("a".to_owned(), 1, 2.0), ("a".to_owned(), 2, 5.0)]);
    assert_eq!(history_count(&store, 0), 1);
    assert_eq!(store.health().trouble, None);
    drop(store);
    let reopened = open(folder.path());
    assert_eq!(sample_values(&reopened).len(), 2);
    assert_eq!(history_count(&reopened, 0), 1);
}

#[test]
fn a_table_whose_log_is_gone_is_refused_and_its_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(1, "a", 1.0)])])).unwrap();
    store.flush().unwrap();
    drop(store);
    let table = folder.path().join("tables/samples");
    let files = || fs::read_dir(&table).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    fs::remove_dir_all(table.join("_delta_log")).unwrap();
    fs::create_dir(table.join("_delta_log")).unwrap();
    let error = Store::open(folder.path(), vec![samples(), orders()], options()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(files(), 1);
}

#[test]
fn a_repetition_keeps_the_time_it_was_first_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let recorded = |store: &Store| current(store, 1).column(3).as_primitive::<TimestampMicrosecondType>().value(0);
    let row = || write(vec![order_row("o", Some(Some("a")), None, false)]);
    store.append_and_wait(row()).unwrap();
    let first = recorded(&store);
    let receipt = store.append_and_wait(row()).unwrap();
    let told = receipt.records[0].1.column(3).as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!((recorded(&store), told), (first, first));
    store.flush().unwrap();
    let receipt = store.append_and_wait(row()).unwrap();
    let told = receipt.records[0].1.column(3).as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!((recorded(&store), told), (first, first));
    assert_eq!(history_count(&store, 1), 0);
}

/// A record that changes a row in part, and is in the log alone, takes the rest from the row: that must not leave before it.
#[test]
fn a_row_that_leaves_is_not_missed_by_a_partial_record_of_it() {
    let (folder, day_us) = (tempfile::tempdir().unwrap(), 86_400_000_000);
    let recorded = orders().schema.index_of("recorded").unwrap();
    let specs = || vec![samples(), TableSpec { age: Some(recorded), ..orders() }];
    let now = Arc::new(AtomicI64::new(100 * day_us));
    let clock = now.clone();
    let options = Options {
        clock: Arc::new(move || clock.fetch_add(1, Ordering::Relaxed)),
        retention: [("orders".to_owned(), Duration::from_secs(10 * 86_400))].into(),
        ..options()
    };
    let store = Store::open(folder.path(), specs(), options).unwrap();
    store.append_and_wait(write(vec![order_row("o", Some(Some("a")), Some(Some(1.0)), false)])).unwrap();
    store.flush().unwrap();
    now.fetch_add(20 * day_us, Ordering::Relaxed);
    store.append_and_wait(write(vec![order_row("o", Some(Some("b")), None, false)])).unwrap();
    let shown = |store: &Store| {
        let rows = current(store, 1);
        let (products, quantities) = (rows.column(1).as_string::<i32>(), rows.column(2).as_primitive::<Float64Type>());
        (0..rows.num_rows()).map(|row| (products.value(row).to_owned(), quantities.value(row))).collect::<Vec<_>>()
    };
    let expected = [("b".to_owned(), 1.0)];
    store.age().unwrap();
    assert_eq!(shown(&store), expected);
    let crashed = image(folder.path());
    drop(store);
    assert_eq!(shown(&Store::open(crashed.path(), specs(), super::options()).unwrap()), expected);
}
