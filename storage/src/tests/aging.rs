//! Rows that are older than their table keeps them, and segments that move to the cold folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::Tiering;

const DAY_US: i64 = 86_400_000_000;
/// Hours in, so that limits do not fall on the start of a day by chance.
const NOON_US: i64 = DAY_US / 2;

/// A message that was refused: an id that says nothing of its time.
fn refused() -> TableSpec {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("time", time_type(), true),
        Field::new("replayed", DataType::Float64, true),
    ]);
    TableSpec {
        name: "refused".into(),
        schema: Arc::new(schema),
        names: vec![],
        key: vec![0],
        time: None,
        status: None,
        age: Some(1),
        upsert: Upsert::Whole,
        bloom: vec![],
        derived: None,
    }
}

fn refused_rows(rows: &[(&str, i64, f64)]) -> Rows {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(rows.iter().map(|row| row.0).collect::<Vec<_>>())),
        Arc::new(
            TimestampMicrosecondArray::from(rows.iter().map(|row| row.1).collect::<Vec<_>>()).with_timezone("UTC"),
        ),
        Arc::new(Float64Array::from(rows.iter().map(|row| row.2).collect::<Vec<_>>())),
    ];
    Rows {
        table: 2,
        batch: RecordBatch::try_new(refused().memory_schema(), columns).unwrap(),
        present: None,
        deleted: vec![],
    }
}

fn refused_values(store: &Store) -> Vec<(String, i64, f64)> {
    let batch = current(store, 2);
    let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let (ids, replayed) = (batch.column(0).as_string::<i32>(), batch.column(2).as_primitive::<Float64Type>());
    let mut rows: Vec<_> =
        (0..batch.num_rows()).map(|row| (ids.value(row).to_owned(), times.value(row), replayed.value(row))).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    rows
}

/// A store with a clock that the test moves, and folders that go with it.
struct Bench {
    folder: tempfile::TempDir,
    cold: tempfile::TempDir,
    now: Arc<AtomicI64>,
    keep_days: u64,
    cold_days: Option<u64>,
}

impl Bench {
    fn new(keep_days: u64, cold_days: Option<u64>) -> Self {
        let now = Arc::new(AtomicI64::new(100 * DAY_US + NOON_US));
        let (folder, cold) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Self { folder, cold, now, keep_days, cold_days }
    }

    fn options(&self) -> Options {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let now = self.now.clone();
        let ages = |age: u64| ["samples", "refused"].map(|name| (name.to_owned(), days(age))).into();
        Options {
            clock: Arc::new(move || now.fetch_add(1, Ordering::Relaxed)),
            retention: ages(self.keep_days),
            tiering: self.cold_days.map(|age| Tiering { folder: self.cold_folder(), ages: ages(age) }),
            ..options()
        }
    }

    fn cold_folder(&self) -> PathBuf {
        self.cold.path().join("cold")
    }

    fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(self.folder.path(), vec![samples(), orders(), refused()], self.options())
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn pass_days(&self, days: i64) {
        self.now.fetch_add(days * DAY_US, Ordering::Relaxed);
    }

    /// Rows before it are removed, by the present clock.
    fn limit(&self) -> i64 {
        let age = i64::try_from(self.keep_days).unwrap() * DAY_US;
        (self.now.load(Ordering::Relaxed) - age).div_euclid(DAY_US) * DAY_US
    }

    /// Files in the folder of a table, by their names.
    fn files(&self, table: &str) -> Vec<PathBuf> {
        parquet_files(&self.folder.path().join("tables").join(table))
    }

    fn cold_files(&self, table: &str) -> Vec<PathBuf> {
        parquet_files(&self.cold_folder().join("tables").join(table))
    }
}

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| !path.is_dir()).collect();
    files.sort();
    files
}

fn sample(store: &Store, rows: &[(i64, &str, f64)]) {
    store.append_and_wait(write(vec![sample_rows(rows)])).unwrap();
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_day_goes_as_a_whole_once_it_has_passed_the_limit_and_never_earlier() {
    let bench = Bench::new(10, None);
    let store = bench.open();
    let now = bench.now.load(Ordering::Relaxed);
    let of_day = |day: i64| now - NOON_US - day * DAY_US;
    for day in [11, 10, 9, 0] {
        sample(&store, &[(of_day(day), "a", 1.0), (of_day(day) + DAY_US - 1, "a", 2.0)]);
        store.flush().unwrap();
    }
    store.age().unwrap();
    // Ten days ago at noon is the limit: that day stays until it has passed as a whole.
    let left = |store: &Store| sample_values(store).iter().map(|row| row.1).collect::<Vec<_>>();
    assert_eq!(left(&store).first(), Some(&of_day(10)));
    assert_eq!(left(&store).len(), 6);
    let health = store.health();
    assert_eq!((health.expired_rows, health.expired_segments), (2, 1));
    assert!(health.expired_bytes > 0);
    bench.pass_days(1);
    // Nobody asks: the clock has moved by more than an hour.
    until("the next day to go by itself", || store.health().expired_rows == 4);
    assert_eq!(left(&store).first(), Some(&of_day(9)));
    assert_eq!(store.snapshot().tables[0].newest_of_series().unwrap().num_rows(), 1);
}

#[test]
fn files_stay_for_readers_and_a_start_removes_them() {
    let bench = Bench::new(10, None);
    let store = bench.open();
    sample(&store, &[(0, "a", 1.0)]);
    store.flush().unwrap();
    let before = store.snapshot();
    let kept = bench.files("samples");
    store.age().unwrap();
    assert_eq!(sample_values(&store), []);
    assert_eq!(bench.files("samples"), kept, "someone may have listed it just before");
    assert_eq!(before.tables[0].rows().unwrap().num_rows(), 1, "the view holds it");
    let verified = crate::verify(bench.folder.path(), &[samples()], &mut |_, _| {}).unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    assert_eq!(verified.unnamed, kept);
    drop((before, store));
    let store = bench.open();
    assert_eq!(sample_values(&store), []);
    assert_eq!(bench.files("samples"), Vec::<PathBuf>::new());
    assert_eq!(store.health().hot_rows, 0, "the log does not bring it back");
}

#[test]
fn rows_beside_newer_ones_go_by_a_merge_and_their_history_after_them() {
    let bench = Bench::new(10, None);
    let store = bench.open();
    let new = 99 * DAY_US;
    sample(&store, &[(1, "a", 1.0), (new, "a", 1.0)]);
    store.flush().unwrap();
    sample(&store, &[(1, "a", 2.0), (new, "a", 2.0)]);
    store.flush().unwrap();
    assert_eq!(history_count(&store, 0), 2);
    store.age().unwrap();
    assert_eq!(sample_values(&store), [("a".to_owned(), new, 2.0)]);
    assert_eq!(history_count(&store, 0), 1);
    store.compact().unwrap();
    assert_eq!(sample_values(&store), [("a".to_owned(), new, 2.0)]);
    drop(store);
    let store = bench.open();
    assert_eq!(sample_values(&store), [("a".to_owned(), new, 2.0)]);
    assert_eq!(history_count(&store, 0), 1);
}

#[test]
fn a_row_that_is_in_no_segment_yet_leaves_with_what_it_replaced() {
    let bench = Bench::new(10, None);
    let store = bench.open();
    store.age().unwrap();
    sample(&store, &[(1, "a", 1.0)]);
    store.flush().unwrap();
    sample(&store, &[(1, "a", 2.0)]);
    assert_eq!((sample_values(&store), history_count(&store, 0)), (vec![("a".to_owned(), 1, 2.0)], 1));
    // Alone it would seem to have been known from the beginning.
    store.age().unwrap();
    assert_eq!((sample_values(&store), history_count(&store, 0)), (vec![], 0));
}

#[test]
fn a_history_stays_while_what_it_superseded_is_in_a_segment() {
    let bench = Bench::new(10, None);
    let store = bench.open();
    // The look of this hour is over: rows do not go before they are asked to.
    store.age().unwrap();
    let new = 99 * DAY_US;
    sample(&store, &[(1, "a", 1.0), (new, "a", 1.0)]);
    store.flush().unwrap();
    let mixed = bench.files("samples");
    sample(&store, &[(1, "a", 2.0)]);
    store.flush().unwrap();
    let bytes = fs::read(&mixed[0]).unwrap();
    // The segment that reaches back cannot be written again …
    fs::write(&mixed[0], vec![0; bytes.len()]).unwrap();
    assert!(store.age().is_err());
    assert!(store.health().expired_rows > 0, "the others go");
    fs::write(&mixed[0], &bytes).unwrap();
    // … so the row that was superseded in it must not come back, now or after a start.
    assert_eq!(sample_values(&store), [("a".to_owned(), new, 1.0)]);
    drop(store);
    let store = Store::open(bench.folder.path(), vec![samples(), orders(), refused()], options()).unwrap();
    assert_eq!(sample_values(&store), [("a".to_owned(), new, 1.0)]);
}

#[test]
fn rows_whose_key_says_nothing_of_their_time_go_by_their_age_too() {
    let bench = Bench::new(10, None);
    let store = bench.open();
    let new = 99 * DAY_US;
    store.append_and_wait(write(vec![refused_rows(&[("x", 5, 0.0), ("b", new, 0.0), ("m", 7, 0.0)])])).unwrap();
    store.flush().unwrap();
    store.append_and_wait(write(vec![refused_rows(&[("m", 7, 1.0), ("b", new, 1.0)])])).unwrap();
    store.flush().unwrap();
    store.age().unwrap();
    assert_eq!(refused_values(&store), [("b".to_owned(), new, 1.0)]);
    assert_eq!(history_count(&store, 2), 1);
    assert_eq!(store.health().expired_rows, 3, "x, m, and the older version of m");
    drop(store);
    assert_eq!(refused_values(&bench.open()), [("b".to_owned(), new, 1.0)]);
}

/// A newer version may be the older one by its time: it leaves first, and what it superseded stays in its segment, hidden.
#[test]
fn a_key_that_is_written_again_after_its_newer_version_has_left_begins_anew() {
    let (day, long_ago) = (100 * DAY_US, 50 * DAY_US);
    for value in [1.0, 3.0] {
        let bench = Bench::new(10, None);
        let store = bench.open();
        let tell = |time: i64, value: f64| {
            store.append_and_wait(write(vec![refused_rows(&[("a", time, value)])])).unwrap();
        };
        for (time, value) in [(day, 1.0), (long_ago, 2.0)] {
            tell(time, value);
            store.flush().unwrap();
        }
        store.age().unwrap();
        let segments = store.snapshot().tables.get(2).unwrap().segments.len();
        assert_eq!((segments, refused_values(&store)), (1, vec![]), "the older row is hidden");
        // The very row that is hidden, or another.
        tell(day, value);
        let expected = [("a".to_owned(), day, value)];
        assert_eq!((&*refused_values(&store), history_count(&store, 2)), (&expected[..], 1), "hot");
        store.flush().unwrap();
        assert_eq!((&*refused_values(&store), history_count(&store, 2)), (&expected[..], 1), "flushed");
        store.compact().unwrap();
        assert_eq!((&*refused_values(&store), history_count(&store, 2)), (&expected[..], 1), "compacted");
    }
}

#[test]
fn old_rows_leave_while_a_compaction_runs() {
    let bench = Bench::new(50, None);
    let store = Arc::new(bench.open());
    for day in 0..40 {
        let rows: Vec<(i64, String, f64)> =
            (0..400).map(|row| ((45 + day) * DAY_US + row, format!("m{}", row % 7), 1.0)).collect();
        for _ in 0..2 {
            sample(&store, &rows.iter().map(|row| (row.0, row.1.as_str(), row.2)).collect::<Vec<_>>());
            store.flush().unwrap();
            sample(&store, &[((45 + day) * DAY_US + 1_000, "m3", day as f64)]);
        }
    }
    let compacting = {
        let store = store.clone();
        std::thread::spawn(move || store.compact())
    };
    until("the compaction to begin", || store.health().compaction.0 > 0 || compacting.is_finished());
    bench.pass_days(20);
    let limit = bench.limit();
    store.age().unwrap();
    compacting.join().unwrap().unwrap();
    let times: Vec<i64> = sample_values(&store).iter().map(|row| row.1).collect();
    assert!(times.iter().all(|time| *time >= limit), "a merge brought a row back");
    assert_eq!(times.len(), (85 - 70) * 401);
    let newest = store.snapshot().tables[0].newest_of_series().unwrap();
    assert_eq!(newest.num_rows(), 7);
}

fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let keep = random.random_range(1..30);
    // Every file that moves costs some fsyncs.
    let bench = Bench::new(keep, (seed % 6 == 0).then(|| random.random_range(1..=keep)));
    let mut store = bench.open();
    // It looks once after each start, whenever it comes to that: here and below, now.
    store.age().unwrap();
    let mut model: BTreeMap<(String, i64), f64> = BTreeMap::new();
    let mut history: Vec<i64> = Vec::new();
    let mut is_exact = true;
    for step in 0..40 {
        match random.random_range(0..10) {
            0..=4 => {
                let today = bench.now.load(Ordering::Relaxed).div_euclid(DAY_US);
                let rows: Vec<(i64, String, f64)> = (0..random.random_range(1..20))
                    .map(|_| {
                        let day = today - random.random_range(0..40);
                        let name = format!("m{}", random.random_range(0..3));
                        (day * DAY_US + random.random_range(0..3), name, f64::from(random.random_range(0..3)))
                    })
                    .collect();
                sample(&store, &rows.iter().map(|row| (row.0, row.1.as_str(), row.2)).collect::<Vec<_>>());
                for (time, name, value) in rows {
                    if model.insert((name, time), value).is_some_and(|older| older != value) {
                        history.push(time);
                    }
                }
            }
            5 => store.flush().unwrap(),
            6 => drop(store.compact().unwrap()),
            7 => {
                bench.pass_days(random.random_range(0..6));
                is_exact = false;
            }
            8 => {
                drop(store);
                store = bench.open();
                is_exact = false;
            }
            _ => is_exact = false,
        }
        if !is_exact {
            store.flush().unwrap();
            store.age().unwrap();
            let limit = bench.limit();
            model.retain(|(_, time), _| *time >= limit);
            history.retain(|time| *time >= limit);
            is_exact = true;
        }
        let expected: Vec<_> = model.iter().map(|((name, time), value)| (name.clone(), *time, *value)).collect();
        assert_eq!(sample_values(&store), expected, "samples, seed {seed}, step {step}");
        assert_eq!(history_count(&store, 0), history.len(), "history, seed {seed}, step {step}");
        let newest = store.snapshot().tables[0].newest_of_series().unwrap();
        let times = newest.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>().clone();
        let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
        for (name, time) in model.keys() {
            expected.insert(name, *time);
        }
        let expected: Vec<i64> = expected.into_values().collect();
        assert_eq!(times.values().to_vec(), expected, "newest rows, seed {seed}, step {step}");
    }
    store.flush().unwrap();
    drop(store);
    let specs = [samples(), orders(), refused()];
    let verified = crate::verify(bench.folder.path(), &specs, &mut |_, _| {}).unwrap();
    assert!(verified.faults.is_empty(), "seed {seed}: {:?}", verified.faults);
    check_cold(&bench, seed);
}

/// Every link has its file, and after a start every file its link.
fn check_cold(bench: &Bench, seed: u64) {
    drop(bench.open());
    for table in ["samples", "samples_history"] {
        let is_link = |path: &PathBuf| path.symlink_metadata().unwrap().is_symlink();
        let names = |files: Vec<PathBuf>| -> BTreeSet<_> {
            files.into_iter().map(|path| path.file_name().unwrap().to_owned()).collect()
        };
        let links: Vec<PathBuf> = bench.files(table).into_iter().filter(is_link).collect();
        assert!(links.iter().all(|path| path.exists()), "seed {seed}");
        assert_eq!(names(links), names(bench.cold_files(table)), "seed {seed}");
    }
}

#[test]
fn random_ages_agree_with_a_plain_map() {
    for seed in 0..12 {
        run(seed);
    }
}

#[test]
fn old_segments_move_to_the_cold_folder_and_everything_reads_through() {
    let bench = Bench::new(90, Some(10));
    let store = bench.open();
    let (old, new) = (50 * DAY_US, 99 * DAY_US);
    sample(&store, &[(old, "a", 1.0), (old + 1, "a", 2.0)]);
    store.flush().unwrap();
    sample(&store, &[(new, "a", 3.0)]);
    store.flush().unwrap();
    let all = sample_values(&store);
    store.age().unwrap();
    assert_eq!(sample_values(&store), all);
    let health = store.health();
    assert_eq!((health.cold_segments, health.tiering_trouble), (1, None));
    let [moved] = bench.cold_files("samples").try_into().unwrap();
    assert_eq!(health.cold_bytes, fs::metadata(&moved).unwrap().len());
    // A backup holds the rows, not the link.
    let kept = tempfile::tempdir().unwrap();
    store.backup(&kept.path().join("b"), &[]).unwrap();
    let restored = tempfile::tempdir().unwrap();
    crate::restore(&kept.path().join("b"), restored.path(), |_, _| {}).unwrap();
    assert_eq!(sample_values(&open(restored.path())), all);
    // A correction of a row in it: the merge reads it there, and its result moves again.
    sample(&store, &[(old, "a", 5.0)]);
    store.compact().unwrap();
    store.age().unwrap();
    let corrected = sample_values(&store);
    assert_eq!(corrected[0].2, 5.0);
    assert_eq!(store.health().cold_segments, 2, "rows and their history");
    let verified = crate::verify(bench.folder.path(), &[samples()], &mut |_, _| {}).unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    assert_eq!((verified.files, verified.rows), (3, 4));
    drop(store);
    let store = bench.open();
    assert_eq!(sample_values(&store), corrected);
    assert!(!moved.exists(), "what was merged went from the cold folder too");
    bench.pass_days(80);
    store.age().unwrap();
    assert_eq!(sample_values(&store), [("a".to_owned(), new, 3.0)]);
    drop(store);
    bench.open();
    assert_eq!(bench.cold_files("samples").len(), 1, "what is left is old enough by now");
}

#[test]
fn a_cold_folder_that_is_missing_stops_the_start_and_nothing_is_lost() {
    let bench = Bench::new(90, Some(10));
    let store = bench.open();
    sample(&store, &[(50 * DAY_US, "a", 1.0)]);
    store.flush().unwrap();
    store.age().unwrap();
    let all = sample_values(&store);
    drop(store);
    let (cold, away) = (bench.cold_folder(), bench.cold.path().join("away"));
    fs::rename(&cold, &away).unwrap();
    let refusal = |bench: &Bench| bench.try_open().err().unwrap().to_string();
    assert!(refusal(&bench).contains("mount the disk"), "{}", refusal(&bench));
    assert!(refusal(&bench).contains(cold.to_str().unwrap()), "{}", refusal(&bench));
    let verified = crate::verify(bench.folder.path(), &[samples()], &mut |_, _| {}).unwrap();
    assert!(verified.faults.iter().any(|fault| fault.message.contains("cold folder")), "{:?}", verified.faults);
    assert!(!cold.exists(), "a folder in its place");
    // What the mount point holds without its disk is no cold folder either.
    fs::create_dir(&cold).unwrap();
    assert!(refusal(&bench).contains("mount the disk"), "{}", refusal(&bench));
    fs::remove_dir(&cold).unwrap();
    fs::rename(&away, &cold).unwrap();
    assert_eq!(sample_values(&bench.open()), all);
    // One file alone.
    let [file] = bench.cold_files("samples").try_into().unwrap();
    fs::rename(&file, bench.cold.path().join("file")).unwrap();
    assert!(refusal(&bench).contains("was moved to the cold folder"), "{}", refusal(&bench));
    fs::rename(bench.cold.path().join("file"), &file).unwrap();
    assert_eq!(sample_values(&bench.open()), all);
}

#[test]
fn a_cold_folder_belongs_to_one_data_folder() {
    let bench = Bench::new(90, Some(10));
    let store = bench.open();
    sample(&store, &[(50 * DAY_US, "a", 1.0)]);
    store.flush().unwrap();
    store.age().unwrap();
    let kept = tempfile::tempdir().unwrap();
    store.backup(&kept.path().join("b"), &[]).unwrap();
    drop(store);
    // A restored copy with the same settings must not sweep the files of the first.
    let restored = tempfile::tempdir().unwrap();
    crate::restore(&kept.path().join("b"), restored.path(), |_, _| {}).unwrap();
    let error = Store::open(restored.path(), vec![samples(), orders(), refused()], bench.options()).err().unwrap();
    assert!(error.to_string().contains("is not empty"), "{error}");
    // Nor a folder that holds something else, nor one within the data folder.
    let other = |folder: PathBuf| {
        let tiering = Some(Tiering { folder, ages: BTreeMap::new() });
        Store::open(restored.path(), vec![samples(), orders(), refused()], Options { tiering, ..options() })
    };
    let filled = tempfile::tempdir().unwrap();
    fs::write(filled.path().join("letter"), "dear").unwrap();
    let error = other(filled.path().to_owned()).err().unwrap().to_string();
    assert!(error.contains("is not empty"), "{error}");
    let error = other(restored.path().join("x")).err().unwrap().to_string();
    assert!(error.contains("in one another"), "{error}");
    assert_eq!(sample_values(&bench.open()).len(), 1);
}

#[test]
fn a_cold_folder_may_move() {
    let mut bench = Bench::new(90, Some(10));
    let store = bench.open();
    sample(&store, &[(50 * DAY_US, "a", 1.0)]);
    store.flush().unwrap();
    store.age().unwrap();
    let all = sample_values(&store);
    drop(store);
    let first = bench.cold_folder();
    let second = std::mem::replace(&mut bench.cold, tempfile::tempdir().unwrap());
    let error = bench.try_open().err().unwrap().to_string();
    assert!(error.contains("move the one to the other"), "{error}");
    assert!(!bench.cold_folder().exists(), "a folder that is in the way of another disk");
    fs::rename(&first, bench.cold_folder()).unwrap();
    assert_eq!(sample_values(&bench.open()), all);
    drop(second);
}

#[test]
fn what_a_crash_leaves_of_a_move_is_cleaned_and_rows_stay() {
    let bench = Bench::new(90, Some(10));
    let store = bench.open();
    sample(&store, &[(50 * DAY_US, "a", 1.0)]);
    store.flush().unwrap();
    let all = sample_values(&store);
    let [file] = bench.files("samples").try_into().unwrap();
    drop(store);
    let folder = bench.cold_folder().join("tables/samples");
    fs::create_dir_all(&folder).unwrap();
    let name = file.file_name().unwrap();
    // A copy under way; a whole copy; and one whose link is not in its place yet.
    for crash in 0..3 {
        let copy = if crash == 0 { folder.join("half.copying") } else { folder.join(name) };
        fs::copy(&file, &copy).unwrap();
        if crash == 2 {
            let target = Path::new("../../cold/tables/samples").join(name);
            std::os::unix::fs::symlink(target, file.with_extension("linking")).unwrap();
        }
        let no_tiering = Store::open(bench.folder.path(), vec![samples(), orders(), refused()], options()).unwrap();
        assert_eq!(sample_values(&no_tiering), all, "crash {crash}");
        assert_eq!(parquet_files(&folder), Vec::<PathBuf>::new(), "crash {crash}");
        assert_eq!(bench.files("samples"), std::slice::from_ref(&file), "crash {crash}");
    }
    // A removal that came as far as the link.
    let store = bench.open();
    store.age().unwrap();
    assert_eq!(bench.cold_files("samples").len(), 1);
    assert_eq!(sample_values(&store), all);
    drop(store);
    fs::write(folder.join("removed.parquet"), "x").unwrap();
    let store = bench.open();
    assert_eq!(bench.cold_files("samples").len(), 1);
    assert_eq!(sample_values(&store), all);
}

#[test]
fn a_cold_folder_that_fails_keeps_segments_where_they_are() {
    let bench = Bench::new(90, Some(10));
    let store = bench.open();
    sample(&store, &[(50 * DAY_US, "a", 1.0)]);
    store.flush().unwrap();
    // A file stands where the folder of tables belongs.
    fs::write(bench.cold_folder().join("tables"), "").unwrap();
    let error = store.age().unwrap_err().to_string();
    assert!(error.contains("cold folder"), "{error}");
    assert!(store.health().tiering_trouble.is_some());
    assert_eq!(store.health().trouble, None, "rows come in as before");
    assert_eq!(sample_values(&store).len(), 1);
    fs::remove_file(bench.cold_folder().join("tables")).unwrap();
    store.age().unwrap();
    assert_eq!((store.health().cold_segments, store.health().tiering_trouble), (1, None));
}
