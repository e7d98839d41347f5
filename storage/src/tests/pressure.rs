//! More comes than can be merged beside it.

use std::time::Instant;

use super::*;

/// Rows that fill a table.
const FULL: i64 = 8;
/// Small neighbours that are merged as soon as there are so many, looked for four times a second.
const MERGED_AT: usize = 8;
/// Longer than it takes to find them, and far too short to fill the table with files.
const WATCHED: Duration = Duration::from_millis(700);
/// A pause in which merges would begin if a second without pressure were enough, and far from two.
const SLOW: Duration = Duration::from_millis(1_400);

#[test]
fn what_comes_fast_is_merged_once_it_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { flush_rows: FULL as usize, segment_rows: 1 << 20, ..options() };
    let store = Store::open(folder.path(), vec![samples(), orders()], options).unwrap();
    let view = || store.snapshot().tables[0].clone();
    let until = |what: &str, condition: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < end, "{what}: {} files", view().segments.len());
            std::thread::yield_now();
        }
    };
    let (mut rows, mut files, mut merges, mut since) = (0, 0, 0, Instant::now());
    while since.elapsed() < WATCHED {
        // Four times what fills a table: that is what fills one while more comes.
        let more: Vec<_> = (rows..rows + 4 * FULL).map(|time| (time, "press", time as f64)).collect();
        rows += 4 * FULL;
        store.append_and_wait(write(vec![sample_rows(&more)])).unwrap();
        until("flushed", &|| view().hot.rows() == 0);
        let found = view().segments.len();
        if found < files {
            // A machine that stood still for two seconds had no pressure either.
            merges += 1;
            assert!(merges < 5, "merged while it came, {found} files of {files} left");
        }
        if found < files || found < MERGED_AT {
            since = Instant::now();
        }
        files = found;
    }
    // A slow second is no end of it, and what is over is merged.
    let paused = Instant::now();
    while paused.elapsed() < SLOW {
        let found = view().segments.len();
        // Who comes to look too late may see what is merged by then.
        assert!(found == files || paused.elapsed() > SLOW, "merged at once, {found} files of {files} left");
        std::thread::yield_now();
    }
    until("merged", &|| view().segments.len() < MERGED_AT);
    assert_eq!(sample_values(&store).len(), usize::try_from(rows).unwrap());
}

#[test]
fn what_is_written_and_how_often_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for round in 0..3 {
        store.append_and_wait(write(vec![sample_rows(&[(round, "a", 1.0), (0, "b", round as f64)])])).unwrap();
        store.flush().unwrap();
    }
    let health = store.health();
    let bytes = |store: &Store| -> u64 {
        let tables = &store.snapshot().tables;
        tables[0].segments.iter().chain(&tables[0].history).map(|segment| segment.bytes).sum()
    };
    let flushed = bytes(&store);
    assert_eq!((health.flushed_bytes, health.joined_bytes), (flushed, 0));
    assert!(health.logged_bytes > 0 && health.logged_bytes < health.wal_bytes);
    store.compact().unwrap();
    assert_eq!((store.health().flushed_bytes, store.health().joined_bytes), (flushed, bytes(&store)));
}
