//! A look through a folder finds every byte that changed, unless nothing that takt reads changed with it.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::segment::Segment;
use crate::{Verified, verify};

fn specs() -> Vec<TableSpec> {
    vec![samples(), orders()]
}

fn look(folder: &Path) -> Verified {
    let mut told = Vec::new();
    let verified = verify(folder, &specs(), &mut |done, of| told.push((done, of))).unwrap();
    assert!(told.iter().all(|(done, of)| done <= of) && told.last().is_none_or(|(done, of)| done == of), "{told:?}");
    verified
}

/// A folder with flushed, merged, corrected and retracted rows.
fn filled(folder: &Path) {
    let store = open(folder);
    let random = &mut StdRng::seed_from_u64(3);
    for round in 0..4 {
        let rows: Vec<(i64, String, f64)> = (0..400)
            .map(|_| {
                let value = if random.random_bool(0.1) { f64::NAN } else { f64::from(random.random_range(0..9)) };
                (random.random_range(0..900), format!("m{}", random.random_range(0..5)), value)
            })
            .collect();
        let rows: Vec<_> = rows.iter().map(|row| (row.0, row.1.as_str(), row.2)).collect();
        store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
        let product = if round % 2 == 0 { "a" } else { "b" };
        store.append_and_wait(write(vec![order_row("o", Some(Some(product)), None, round == 3)])).unwrap();
        store.flush().unwrap();
        if round == 2 {
            store.compact().unwrap();
        }
    }
}

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for table in std::fs::read_dir(folder.join("tables")).unwrap() {
        let files = std::fs::read_dir(table.unwrap().path()).unwrap().map(|file| file.unwrap().path());
        found.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")));
    }
    found.sort();
    found
}

/// All that takt takes from a file.
fn content(path: &Path) -> Option<String> {
    let read = || {
        let segment = Segment::open(path).ok()?;
        let facts = (segment.rows, segment.sequence, segment.keyed_through, segment.recorded_through, segment.run_rows);
        let bounds = (segment.min_time, segment.max_time, segment.min_key.clone(), segment.max_key.clone());
        Some(format!("{facts:?} {bounds:?} {:?}", segment.read().ok()?))
    };
    std::panic::catch_unwind(read).ok().flatten()
}

#[test]
fn a_sound_folder_has_no_fault_and_a_changed_byte_is_one() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    // What merges have left behind goes now.
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(5, "m1", 1.0)])])).unwrap();
    let verified = look(folder.path());
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    assert_eq!(verified.files, parquet_files(folder.path()).len() as u64);
    assert_eq!((verified.without_checksum, verified.writes > 0), (0, true));
    drop(store);

    let random = &mut StdRng::seed_from_u64(4);
    for path in parquet_files(folder.path()) {
        let sound = std::fs::read(&path).unwrap();
        let said = content(&path).unwrap();
        for _ in 0..12 {
            let mut changed = sound.clone();
            let place = random.random_range(0..changed.len());
            changed[place] ^= 1 << random.random_range(0..8);
            std::fs::write(&path, &changed).unwrap();
            let found = look(folder.path()).faults.iter().any(|fault| fault.path == path);
            let says = content(&path);
            assert!(
                found || says.as_deref() == Some(&said),
                "{said}\n{says:?}\nbyte {place} of {}: {path:?}",
                sound.len()
            );
        }
        std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
        assert!(look(folder.path()).faults.iter().any(|fault| fault.path == path), "half of {path:?}");
        std::fs::remove_file(&path).unwrap();
        assert!(look(folder.path()).faults.iter().any(|fault| fault.path == path), "no {path:?}");
        std::fs::write(&path, &sound).unwrap();
    }
}

/// Where the end of a file begins, as its footer says.
fn end_of(path: &Path) -> usize {
    let segment = Segment::open(path).unwrap();
    let metadata = segment.metadata().metadata().file_metadata();
    let pair = metadata.key_value_metadata().unwrap().iter().find(|pair| pair.key == "takt.end").unwrap();
    pair.value.as_ref().unwrap().parse().unwrap()
}

#[test]
fn a_file_whose_footer_or_page_index_changed_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let random = &mut StdRng::seed_from_u64(5);
    for path in parquet_files(folder.path()) {
        let sound = std::fs::read(&path).unwrap();
        let end = end_of(&path);
        assert!(end > 4 && end + 500 < sound.len(), "{end} of {}", sound.len());
        // The digits of the checksum of the whole are compared by who reads the whole.
        let mark = b"takt.sum\x18\x0ecrc32=";
        let whole = sound.windows(mark.len()).rposition(|window| window == mark).unwrap() + mark.len();
        let places = (end..sound.len()).filter(|place| !(whole..whole + 8).contains(place));
        for place in places.filter(|place| place % 3 == 0 || place + 40 > sound.len()) {
            let mut changed = sound.clone();
            changed[place] ^= 1 << random.random_range(0..8);
            std::fs::write(&path, &changed).unwrap();
            let opened = std::panic::catch_unwind(|| Segment::open(&path).map(drop));
            assert!(matches!(opened, Ok(Err(StoreError::Damaged { .. }))), "byte {place} of {path:?}: {opened:?}");
        }
        std::fs::write(&path, &sound).unwrap();
        Segment::open(&path).unwrap();
    }
}

#[test]
fn nothing_is_opened_or_removed_where_a_table_log_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    // What merges have left behind goes now. A row is in the log alone.
    let store = open(folder.path());
    store.append_and_wait(write(vec![sample_rows(&[(5, "m1", 1.0)])])).unwrap();
    drop(store);
    let files = parquet_files(folder.path());
    let log = folder.path().join("tables/samples/_delta_log");
    let commits = std::fs::read_dir(&log).unwrap().map(|file| file.unwrap().path());
    let newest = commits.filter(|path| path.extension().is_some_and(|ending| ending == "json")).max().unwrap();
    let sound = std::fs::read_to_string(&newest).unwrap();
    let version = sound.split("\"txn\":{\"appId\":\"takt\",\"version\":").nth(1).unwrap();
    let version = version.split([',', '}']).next().unwrap();
    for (damaged, message) in [
        (String::new(), "nothing in it"),
        (sound[..sound.len() / 2].to_owned(), "cannot be read"),
        (sound.replace("\"add\"", "\"aed\""), "`aed`"),
        (sound.replace(&format!("\"version\":{version}"), "\"version\":999"), "its last write is"),
        (sound.replace("\"size\":", "\"size\":9"), "of which the table's log says 9"),
    ] {
        assert_ne!(damaged, sound);
        std::fs::write(&newest, damaged).unwrap();
        let opened = Store::open(folder.path(), specs(), options()).map(drop);
        assert!(opened.as_ref().is_err_and(|error| error.to_string().contains(message)), "{message}: {opened:?}");
        assert_eq!(parquet_files(folder.path()), files);
        assert!(!look(folder.path()).faults.is_empty(), "{message}");
    }
    std::fs::write(&newest, sound).unwrap();
    open(folder.path());
}

#[test]
fn a_merge_names_the_file_that_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for value in [1.0, 2.0] {
        let rows: Vec<(i64, &str, f64)> = (0..400).map(|time| (time, "m1", value)).collect();
        store.append_and_wait(write(vec![sample_rows(&rows)])).unwrap();
        store.flush().unwrap();
    }
    let samples: Vec<PathBuf> = parquet_files(folder.path())
        .into_iter()
        .filter(|path| path.parent().is_some_and(|table| table.ends_with("samples")))
        .collect();
    let newest = samples.last().unwrap();
    let mut bytes = std::fs::read(newest).unwrap();
    // Within the first page: a change that only its checksum tells.
    bytes[30] ^= 1;
    std::fs::write(newest, &bytes).unwrap();
    let error = store.compact().unwrap_err().to_string();
    assert!(error.contains(&format!("{} is damaged", newest.display())), "{error}");
}
