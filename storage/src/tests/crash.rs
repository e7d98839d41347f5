//! A crash, an error or a full disk at every call that changes files, and random histories with all of them.
//!
//! The test command runs some hundred histories, and fails every third call. For more, say how many histories and with
//! which seed they begin: `TAKT_HISTORIES=100000 TAKT_FIRST_SEED=5000 cargo test -p takt -p storage --lib crash`. Then every
//! call fails. A failure names its seed, and `TAKT_HISTORIES=1 TAKT_FIRST_SEED=…` repeats it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{LazyLock, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::faulty::{Fault, Faulty, Image, Lie};
use super::model::{Answers, Model, check_plain_files};
use super::*;

/// Random histories in the test command, and lives of a store in each.
const HISTORIES: u64 = 300;
const LIVES: u64 = 3;
/// Settings of a longer run.
const SOME_HISTORIES: &str = "TAKT_HISTORIES";
const FIRST_SEED: &str = "TAKT_FIRST_SEED";
/// Calls of one life at most, roughly.
const CALLS: u64 = 90;
const DAY: i64 = 86_400_000_000;

#[derive(Debug, Clone)]
enum Step {
    Write(Told),
    /// Writes that nobody waits for in between.
    Burst(Vec<Told>),
    Flush,
    Compact,
}

/// Rows of a write, of one table or both.
#[derive(Debug, Clone, Default)]
struct Told {
    samples: Vec<(i64, &'static str, f64)>,
    order: Option<Record>,
}

/// Its key, what it says of product and quantity, and whether it retracts.
type Record = (&'static str, Option<Option<&'static str>>, Option<Option<f64>>, bool);

impl Told {
    /// As far as the store has these tables.
    fn write(&self, store: &Store) -> Write {
        let samples = (!self.samples.is_empty()).then(|| sample_rows(&self.samples));
        let order = self.order.map(|(order, product, quantity, deleted)| order_row(order, product, quantity, deleted));
        let placed = |(rows, name): (Option<Rows>, &str)| Some(Rows { table: store.table(name)?, ..rows? });
        write([(samples, "samples"), (order, "orders")].into_iter().filter_map(placed).collect())
    }

    fn tell(&self, model: &mut Model) {
        self.samples.iter().for_each(|(time, equipment, value)| model.sample(equipment, *time, *value));
        if let Some((order, product, quantity, deleted)) = self.order {
            model.order(order, product, quantity, deleted);
        }
    }
}

/// What must be there, and writes whose fate nobody was told: of those some of the first may be there too.
#[derive(Debug, Clone, Default)]
struct Expected {
    certain: Model,
    open: Vec<Told>,
}

impl Expected {
    /// Compares, and settles what is open.
    fn compare(&mut self, store: &Store) -> Result<(), String> {
        let (found, mut model) = (Answers::of(store), self.certain.clone());
        let mut open = self.open.iter();
        while found != model.answers() {
            let Some(told) = open.next() else {
                let expected = self.certain.answers();
                return Err(format!("found {found:#?}\nexpected {expected:#?}\nor with {:?}", self.open));
            };
            told.tell(&mut model);
        }
        *self = Self { certain: model, open: Vec::new() };
        Ok(())
    }
}

/// A clock that jumps, now and then back.
fn skewed(seed: u64) -> crate::Clock {
    let (random, now) = (Mutex::new(StdRng::seed_from_u64(seed)), AtomicI64::new(1_000_000));
    Arc::new(move || now.fetch_add(random.lock().unwrap().random_range(-3_000..4_000), Ordering::Relaxed))
}

/// Which tables a store has.
fn both() -> Vec<TableSpec> {
    vec![samples(), orders()]
}

fn open_on(disk: &Arc<Faulty>, folder: &Path, specs: Vec<TableSpec>, seed: u64) -> Result<Store, StoreError> {
    let options =
        Options { disk: disk.clone(), wal_file_bytes: 1_024, clock: skewed(seed), linger: Duration::ZERO, ..options() };
    Store::open(folder, specs, options)
}

/// Takes a step; on a full disk again until there is room. Says what kept it from being taken.
fn take(store: &Store, step: &Step, expected: &mut Expected) -> Result<(), StoreError> {
    for _ in 0..20 {
        let outcome = match step {
            Step::Write(told) => tell(store, std::slice::from_ref(told), expected),
            Step::Burst(told) => tell(store, told, expected),
            Step::Flush => store.flush(),
            Step::Compact => store.compact().map(drop),
        };
        match outcome {
            // What was refused of many writes is not tried again: later ones may be there.
            Err(error) if error.retryable() && !matches!(step, Step::Burst(_)) => {}
            Err(error) if error.retryable() => return Ok(()),
            outcome => return outcome,
        }
    }
    panic!("there is room, and nobody finds it: {step:?}, {:?}", store.health())
}

fn tell(store: &Store, all: &[Told], expected: &mut Expected) -> Result<(), StoreError> {
    let (send, outcomes) = crossbeam::channel::unbounded();
    for told in all {
        let send = send.clone();
        store.append(told.write(store), move |outcome| drop(send.send(outcome.map(drop))));
    }
    let mut failed = Ok(());
    for told in all {
        match outcomes.recv_timeout(Duration::from_secs(20)).unwrap() {
            Ok(()) => {
                assert!(expected.open.is_empty(), "acknowledged after a write that failed for good");
                told.tell(&mut expected.certain);
            }
            // Nothing of it is kept.
            Err(error) if error.retryable() => failed = Err(error),
            Err(error) => {
                expected.open.push(told.clone());
                failed = Err(error);
            }
        }
    }
    failed
}

fn told(samples: &[(i64, &'static str, f64)]) -> Told {
    Told { samples: samples.to_vec(), order: None }
}

fn order(
    order: &'static str,
    product: Option<Option<&'static str>>,
    quantity: Option<Option<f64>>,
    deleted: bool,
) -> Told {
    Told { samples: vec![], order: Some((order, product, quantity, deleted)) }
}

/// What a store holds when the second part begins.
fn first_part() -> Vec<Step> {
    vec![
        Step::Write(told(&[(DAY, "a", 1.0), (DAY + 1, "a", 2.0), (DAY, "b", 3.0)])),
        Step::Write(order("o1", Some(Some("x")), Some(Some(1.0)), false)),
        Step::Write(order("o2", Some(Some("y")), None, false)),
        Step::Flush,
    ]
}

/// Corrections, parts of records, retractions, late rows, repetitions; everything that the store does to files.
fn second_part() -> Vec<Step> {
    vec![
        Step::Write(Told {
            samples: vec![(DAY + 1, "a", 5.0), (DAY + 2, "a", 2.0)],
            order: Some(("o1", None, Some(Some(2.0)), false)),
        }),
        Step::Write(order("o2", None, None, true)),
        Step::Write(told(&[(3, "a", 1.0), (DAY, "b", 3.0)])),
        Step::Write(told(&[(3, "a", 2.0), (3, "a", 3.0), (-DAY, "b", 1.0)])),
        Step::Flush,
        Step::Write(order("o2", None, Some(Some(7.0)), false)),
        Step::Compact,
        Step::Write(Told { samples: vec![(DAY + 1, "a", 6.0)], order: Some(("o1", Some(None), None, false)) }),
    ]
}

/// What is done once all is well again.
fn afterwards() -> Vec<Step> {
    let write = Told {
        samples: vec![(3, "a", 9.0), (DAY + 1, "a", 9.0), (99, "c", 9.0)],
        order: Some(("o1", None, Some(Some(9.0)), false)),
    };
    vec![Step::Write(write), Step::Flush, Step::Compact]
}

/// A folder that goes with its test; in memory where the machine has such a place, for the disk says what is durable.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn laid_out(image: &Image) -> tempfile::TempDir {
    let folder = folder();
    image.lay_out(folder.path());
    folder
}

/// Opens an image on a sound disk, and sees that it holds what it must. If `thorough`, also that the store goes on, and that
/// a power cut then changes nothing.
fn holds(
    image: &Image,
    specs: Vec<TableSpec>,
    seed: u64,
    thorough: bool,
    mut expected: Expected,
) -> Result<(), String> {
    let left = laid_out(image);
    let disk = Arc::new(Faulty::new(left.path(), seed, Fault::Nothing));
    let store = open_on(&disk, left.path(), specs.clone(), seed).map_err(|error| format!("does not open: {error}"))?;
    expected.compare(&store)?;
    if !thorough {
        return Ok(());
    }
    for step in afterwards() {
        take(&store, &step, &mut expected).map_err(|error| format!("{step:?}: {error}"))?;
    }
    expected.compare(&store)?;
    check_plain_files(&store, &expected.certain);
    let image = disk.power_cut();
    drop(store);
    holds(&image, specs, seed, false, expected).map_err(|error| format!("opened again: {error}"))
}

/// A state between two calls, after a power cut; how many writes were acknowledged then, and how many begun.
struct Cut {
    image: Image,
    acknowledged: usize,
    begun: usize,
}

/// Takes the steps on a disk that tells, before each call, what a power cut would leave; the states are told apart.
fn cuts(steps: &[Step], seed: u64, lie: Option<Lie>) -> Vec<Cut> {
    let folder = folder();
    let disk = Arc::new(Faulty::new(folder.path(), seed, Fault::Nothing));
    if let Some(lie) = lie {
        disk.lie(lie);
    }
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let (cuts, seen) = (Arc::new(Mutex::new(Vec::new())), Mutex::new(HashSet::new()));
    disk.watch(Box::new({
        let (counts, cuts) = (counts.clone(), cuts.clone());
        move |image| {
            let cut =
                Cut { image, acknowledged: counts.0.load(Ordering::SeqCst), begun: counts.1.load(Ordering::SeqCst) };
            let mut hasher = DefaultHasher::new();
            (&cut.image, cut.acknowledged, cut.begun).hash(&mut hasher);
            if seen.lock().unwrap().insert(hasher.finish()) {
                cuts.lock().unwrap().push(cut);
            }
        }
    }));
    let store = open_on(&disk, folder.path(), both(), seed).unwrap();
    for step in steps {
        match step {
            Step::Write(told) => {
                let (send, outcome) = crossbeam::channel::bounded(1);
                counts.1.fetch_add(1, Ordering::SeqCst);
                let counts = counts.clone();
                store.append(told.write(&store), move |result| {
                    counts.0.fetch_add(1, Ordering::SeqCst);
                    drop(send.send(result.map(drop)));
                });
                outcome.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
            }
            Step::Burst(_) => unreachable!("writes are counted one by one"),
            Step::Flush => store.flush().unwrap(),
            Step::Compact => drop(store.compact().unwrap()),
        }
    }
    disk.power_cut();
    drop(store);
    std::mem::take(&mut *cuts.lock().unwrap())
}

/// What must be there after a cut.
fn expected_at(steps: &[Step], cut: &Cut) -> Expected {
    let mut expected = Expected::default();
    let writes = steps.iter().filter_map(|step| if let Step::Write(told) = step { Some(told) } else { None });
    for (number, told) in writes.take(cut.begun).enumerate() {
        if number < cut.acknowledged {
            told.tell(&mut expected.certain);
        } else {
            expected.open.push(told.clone());
        }
    }
    expected
}

/// Runs `test` for all numbers below `count`, on all cores; the first failure is told.
fn for_each(count: u64, test: impl Fn(u64) -> Result<(), String> + Sync) -> Result<(), String> {
    let (next, failure) = (AtomicU64::new(0), Mutex::new(None));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || failure.lock().unwrap().is_some() {
                return;
            }
            let tested = catch_unwind(AssertUnwindSafe(|| test(number)));
            if let Err(error) = tested.unwrap_or_else(|_| Err(format!("number {number} panicked"))) {
                failure.lock().unwrap().get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    failure.into_inner().unwrap().map_or(Ok(()), Err)
}

/// Looks at a power cut between any two calls.
fn survive(steps: &[Step], seed: u64, lie: Option<Lie>) -> Result<usize, String> {
    let cuts = cuts(steps, seed, lie);
    let survives = |number: u64| {
        let cut = &cuts[number as usize];
        holds(&cut.image, both(), number, number.is_multiple_of(8), expected_at(steps, cut))
            .map_err(|error| format!("seed {seed}, cut {number} of {}: {error}", cuts.len()))
    };
    for_each(cuts.len() as u64, survives)?;
    Ok(cuts.len())
}

#[test]
fn a_power_cut_at_any_call_loses_doubles_and_resurrects_nothing() {
    let steps = [first_part(), second_part()].concat();
    let cuts = survive(&steps, number(FIRST_SEED, 0), None).unwrap_or_else(|error| panic!("{error}"));
    assert!(cuts > 100, "{cuts} different states");
}

/// The tests above would tell if the store left out any of its fsyncs, or acknowledged before one.
#[test]
fn a_disk_that_lies_about_a_sync_is_found_out() {
    let lies: [(&str, Lie); 7] = [
        ("the log", |path| path.extension().is_some_and(|extension| extension == "wal")),
        ("names of the log", |path| path == Path::new("wal")),
        ("segments", |path| path.extension().is_some_and(|extension| extension == "parquet")),
        ("names of segments", |path| path.starts_with("tables/samples") && path.components().count() == 2),
        ("commits", |path| path.to_str().is_some_and(|path| path.ends_with(".json#1"))),
        ("names of commits", |path| path.ends_with("_delta_log")),
        ("names of folders", |path| path == Path::new("")),
    ];
    let steps = [first_part(), second_part()].concat();
    for (what, lie) in lies {
        assert!((0..4).any(|seed| survive(&steps, seed, Some(lie)).is_err()), "nobody misses syncs of {what}");
    }
}

/// The state after the first part.
fn halfway() -> (Image, Expected) {
    let (folder, mut expected) = (folder(), Expected::default());
    let disk = Arc::new(Faulty::new(folder.path(), 0, Fault::Nothing));
    let store = open_on(&disk, folder.path(), both(), 0).unwrap();
    for step in first_part() {
        take(&store, &step, &mut expected).unwrap();
    }
    (disk.present(), expected)
}

/// The second part with a fault, and the number of calls that were made. What fails though the store goes on is tried once
/// more, with success; a store that is poisoned is opened again, after a power cut or without one.
fn with_fault(start: &(Image, Expected), fault: Fault, seed: u64) -> Result<u64, String> {
    let (folder, mut expected) = (laid_out(&start.0), start.1.clone());
    let disk = Arc::new(Faulty::new(folder.path(), seed, fault));
    let lived = live(&disk, &folder, both(), seed, &second_part(), &mut expected);
    let (calls, named) = (disk.calls(), format!("{fault:?}, seed {seed}, {}", disk.last_fault()));
    let poisoned = lived.map_err(|error| format!("{named}: {error}"))?;
    if poisoned && matches!(fault, Fault::Full(..)) {
        return Err(format!("{named}: a full disk has poisoned the store"));
    }
    let image = if seed.is_multiple_of(2) { disk.power_cut() } else { disk.present() };
    holds(&image, both(), seed, seed.is_multiple_of(8), expected).map_err(|error| format!("{named}: {error}"))?;
    Ok(calls)
}

/// Opens a store, takes steps, and lets it go. True where it was poisoned, or did not open; an error where it failed
/// without a reason.
fn live(
    disk: &Arc<Faulty>,
    folder: &tempfile::TempDir,
    specs: Vec<TableSpec>,
    seed: u64,
    steps: &[Step],
    expected: &mut Expected,
) -> Result<bool, String> {
    let mut opened = (0..20).map(|_| open_on(disk, folder.path(), specs.clone(), seed));
    let is_full = |opened: &Result<Store, StoreError>| matches!(opened, Err(error) if error.retryable());
    let Some(Ok(store)) = opened.find(|opened| !is_full(opened)) else { return Ok(true) };
    expected.compare(&store)?;
    let stopped = |store: &Store| disk.is_off() || store.health().poisoned.is_some();
    for step in steps {
        let mut taken = take(&store, step, expected);
        if taken.is_err() && !stopped(&store) {
            // It failed once: now it does not.
            taken = take(&store, step, expected);
        }
        match taken {
            Ok(()) => {}
            Err(_) if stopped(&store) => return Ok(true),
            Err(error) => return Err(format!("{step:?} fails again: {error}")),
        }
    }
    if stopped(&store) {
        return Ok(true);
    }
    expected.compare(&store)?;
    Ok(false)
}

/// Fails calls of the second part, each in a run of its own.
fn fail(fault: impl Fn(u64) -> Fault + Sync) {
    let start = halfway();
    let calls = with_fault(&start, Fault::Nothing, 0).unwrap();
    assert!(calls > 80, "{calls} calls");
    // Calls of a kind come again and again: table by table, flush by flush.
    let stride = if std::env::var(SOME_HISTORIES).is_ok() { 1 } else { 3 };
    let failed = for_each(calls / stride, |number| with_fault(&start, fault(number * stride + 1), number).map(drop));
    failed.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_call_that_fails_loses_nothing_whichever_it_is() {
    fail(Fault::Error);
}

#[test]
fn a_disk_that_is_full_at_any_call_is_survived_without_restart() {
    fail(|call| Fault::Full(call + 1, call % 4 + 1));
}

fn some_told(random: &mut StdRng) -> Told {
    let mut told = Told::default();
    if random.random_bool(0.6) {
        for _ in 0..random.random_range(1..6) {
            let day = [0, 0, 0, 1, 2, -40][random.random_range(0..6)] * DAY;
            let equipment = ["a", "b", "c"][random.random_range(0..3)];
            told.samples.push((day + random.random_range(0..6), equipment, f64::from(random.random_range(0..3))));
        }
    }
    if told.samples.is_empty() || random.random_bool(0.4) {
        told.order = Some((
            ["o0", "o1", "o2"][random.random_range(0..3)],
            [None, Some(None), Some(Some("x")), Some(Some("y"))][random.random_range(0..4)],
            [None, Some(None), Some(Some(1.0)), Some(Some(2.0))][random.random_range(0..4)],
            random.random_bool(0.2),
        ));
    }
    told
}

fn some_steps(random: &mut StdRng) -> Vec<Step> {
    let step = |random: &mut StdRng| match random.random_range(0..20) {
        0..=12 => Step::Write(some_told(random)),
        13..=15 => Step::Burst((0..random.random_range(2..5)).map(|_| some_told(random)).collect()),
        16..=18 => Step::Flush,
        _ => Step::Compact,
    };
    (0..random.random_range(2..9)).map(|_| step(random)).collect()
}

/// Without what a store of these tables does not take.
fn fitting(steps: Vec<Step>, specs: &[TableSpec]) -> Vec<Step> {
    let has = |name: &str| specs.iter().any(|spec| spec.name == name);
    let (samples, orders) = (has("samples"), has("orders"));
    let fit = |told: Told| Told {
        samples: if samples { told.samples } else { Vec::new() },
        order: told.order.filter(|_| orders),
    };
    let fit = |step: Step| match step {
        Step::Write(told) => Step::Write(fit(told)),
        Step::Burst(all) => Step::Burst(all.into_iter().map(fit).collect()),
        other => other,
    };
    steps.into_iter().map(fit).collect()
}

/// Folders of stores that have just been opened, with both tables or one of them; others crash while they are made.
static FRESH: LazyLock<[(Vec<TableSpec>, Image); 3]> = LazyLock::new(|| {
    [both(), vec![samples()], vec![orders()]].map(|specs| {
        let folder = folder();
        let disk = Arc::new(Faulty::new(folder.path(), 0, Fault::Nothing));
        drop(open_on(&disk, folder.path(), specs.clone(), 0).unwrap());
        (specs, disk.present())
    })
});

/// Some lives of one folder, each ended by a power cut or a restart, with whatever can go wrong in between.
fn history(seed: u64) -> Result<(), String> {
    let random = &mut StdRng::seed_from_u64(seed);
    let (specs, fresh) = &FRESH[random.random_range(0..FRESH.len())];
    let (mut left, mut expected) = (laid_out(fresh), Expected::default());
    let mut disk = Arc::new(Faulty::new(left.path(), random.random(), Fault::Nothing));
    for life in 0..LIVES {
        let call = random.random_range(1..CALLS);
        let fault = match random.random_range(0..10) {
            _ if life + 1 == LIVES => Fault::Nothing,
            0..=5 => Fault::PowerCut(call),
            6..=7 => Fault::Error(call),
            8 => Fault::Full(call, random.random_range(1..4)),
            _ => Fault::Nothing,
        };
        disk.begin(fault);
        let steps = fitting(some_steps(random), specs);
        let steps = if life + 1 == LIVES { &[] } else { steps.as_slice() };
        let failed = live(&disk, &left, specs.clone(), random.random(), steps, &mut expected);
        let failed = failed.map_err(|error| format!("life {life}, {fault:?}, {}: {error}", disk.last_fault()))?;
        if failed && fault == Fault::Nothing {
            return Err(format!("life {life}: the store does not open, or is poisoned"));
        }
        // Else only the process ended: what is not durable stays so.
        if random.random_bool(0.7) {
            left = laid_out(&disk.power_cut());
            disk = Arc::new(Faulty::new(left.path(), random.random(), Fault::Nothing));
        }
    }
    Ok(())
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn random_histories_with_crashes_errors_and_full_disks_agree_with_plain_maps() {
    let (histories, first) = (number(SOME_HISTORIES, HISTORIES), number(FIRST_SEED, 0));
    for_each(histories, |number| history(first + number).map_err(|error| format!("seed {}: {error}", first + number)))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let log = |seed: u64| {
        let random = &mut StdRng::seed_from_u64(seed);
        let (folder, mut expected) = (folder(), Expected::default());
        let disk = Arc::new(Faulty::new(folder.path(), seed, Fault::Nothing));
        let store = open_on(&disk, folder.path(), both(), seed).unwrap();
        let mut steps = [some_steps(random), vec![Step::Flush], some_steps(random)].concat();
        // How writes that nobody waits for share a group is the threads' affair.
        steps.retain(|step| !matches!(step, Step::Burst(_)));
        for step in steps.iter().chain([&Step::Write(told(&[(1, "a", 1.0)]))]) {
            take(&store, step, &mut expected).unwrap();
        }
        let mut files: Vec<_> = std::fs::read_dir(folder.path().join("wal"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_owned(), std::fs::read(&path).unwrap()))
            .collect();
        files.sort();
        (files, Answers::of(&store))
    };
    for seed in 0..5 {
        assert!(log(seed) == log(seed), "seed {seed}");
    }
    assert!(log(0).0 != log(1).0, "another seed gives another log");
}
