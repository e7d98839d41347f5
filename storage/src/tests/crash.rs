//! A power cut, an error or a full disk at every call that changes files, and random histories with all of them.
//!
//! The test command cuts the power some thousand times in two thousand random lives, fails every call, and fills the disk at
//! every call. For more, say how many histories and with which seed they begin: `TAKT_HISTORIES=100000 TAKT_FIRST_SEED=5000
//! cargo test -p takt -p storage --lib crash`. A failure names its seed, and `TAKT_HISTORIES=1 TAKT_FIRST_SEED=…` repeats it.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{LazyLock, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::faulty::{Fault, Faulty, Image, Lie};
use super::model::{Answers, check_plain_files};
use super::*;
use crate::Tiering;

mod expected;
mod keyed;
mod steps;

use expected::{COLD_DAYS, Expected, KEPT_DAYS, Ledger};
use steps::{DAY, Step, afterwards, first_part, fitting, second_part, some_steps, third_part, told};

/// Random histories in the test command, lives of a store in each, and power cuts that are looked at in each life: a store
/// is opened after each, so a cut costs less than a life.
const HISTORIES: u64 = 1_000;
const LIVES: u64 = 2;
const CUTS: usize = 2;
/// Refusals after which the power goes.
const REFUSALS: u64 = 240;
/// Settings of a longer run.
const SOME_HISTORIES: &str = "TAKT_HISTORIES";
const FIRST_SEED: &str = "TAKT_FIRST_SEED";
/// Calls of one life at most, roughly.
const CALLS: u64 = 90;

/// Which tables a store has.
fn both() -> Vec<TableSpec> {
    vec![keyed::samples(), orders()]
}

/// A store by the ledger's time, with a clock that jumps, now and then back. Old rows move to the cold folder, and leave in
/// the end; without `ages` they stay where they are.
fn open_as(
    disk: &Arc<Faulty>,
    folder: &Path,
    specs: Vec<TableSpec>,
    ledger: &Ledger,
    seed: u64,
    ages: bool,
) -> Result<Store, StoreError> {
    let (derived_by, ledger) = (ledger.clone(), ledger.clone());
    let ages = |days: i64| {
        let has_age = specs.iter().filter(|spec| ages && spec.age.is_some());
        has_age.map(|spec| (spec.name.clone(), Duration::from_micros((days * DAY) as u64))).collect()
    };
    let options = Options {
        disk: disk.clone(),
        wal_file_bytes: 1_024,
        clock: Arc::new(move || ledger.lock().skewed(seed)),
        linger: Duration::ZERO,
        retention: ages(KEPT_DAYS),
        tiering: Some(Tiering { folder: folder.join("cold"), ages: ages(COLD_DAYS) }),
        ..options()
    };
    let store = Store::open(&folder.join("data"), specs, options)?;
    store.set_transform(Arc::new(keyed::Keyer(derived_by)));
    Ok(store)
}

fn open_on(
    disk: &Arc<Faulty>,
    folder: &Path,
    specs: Vec<TableSpec>,
    ledger: &Ledger,
    seed: u64,
) -> Result<Store, StoreError> {
    open_as(disk, folder, specs, ledger, seed, true)
}

/// Takes a step; on a full disk again until there is room. Says what kept it from being taken.
fn take(store: &Store, step: &Step, ledger: &Ledger) -> Result<(), StoreError> {
    for _ in 0..20 {
        let outcome = match step {
            Step::Write(told) => {
                ledger.lock().changes += 1;
                ledger.write(store, std::slice::from_ref(told))
            }
            Step::Burst(told) => ledger.write(store, told),
            Step::Flush => store.flush(),
            Step::Compact => store.compact().map(drop),
            Step::Age => store.flush().and_then(|()| store.age()),
            Step::Pass(days) => {
                ledger.lock().now += days * DAY;
                Ok(())
            }
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

/// A folder that goes with its test; in memory where the machine has such a place, for the disk says what is durable.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// One with an empty data folder in it.
fn new_folder() -> tempfile::TempDir {
    let folder = folder();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    folder
}

fn laid_out(image: &Image) -> tempfile::TempDir {
    let folder = folder();
    image.lay_out(folder.path());
    folder
}

/// A state that a store is opened on, and what it must hold then.
struct Cut {
    image: Image,
    expected: Expected,
}

/// Opens a store after a cut, on a sound disk and with nothing to move or to remove, and sees that it holds what it must. If
/// `thorough`, also that the store goes on, and that a power cut then changes nothing.
fn holds(cut: &Cut, specs: Vec<TableSpec>, seed: u64, thorough: bool) -> Result<(), String> {
    let (left, ledger) = (laid_out(&cut.image), Ledger::of(cut.expected.clone()));
    let disk = Arc::new(Faulty::new(left.path(), seed, Fault::Nothing));
    let store = open_as(&disk, left.path(), specs.clone(), &ledger, seed, false)
        .map_err(|error| format!("does not open: {error}"))?;
    ledger.compare(&store)?;
    check_cold(left.path())?;
    if !thorough {
        return Ok(());
    }
    for step in fitting(afterwards(), &specs) {
        take(&store, &step, &ledger).map_err(|error| format!("{step:?}: {error}"))?;
    }
    ledger.compare(&store)?;
    keyed::is_up_to_date(&store, ledger.lock().changes)?;
    check_plain_files(&store, &ledger.lock().certain);
    let cut = Cut { image: disk.power_cut(), expected: ledger.lock().clone() };
    drop(store);
    holds(&cut, specs, seed, false).map_err(|error| format!("opened again: {error}"))
}

/// Every link has its file, and every file its link.
fn check_cold(folder: &Path) -> Result<(), String> {
    let is_link = |path: &Path| path.symlink_metadata().unwrap().is_symlink();
    let links = below(&folder.join("data/tables"), &is_link);
    let files = below(&folder.join("cold/tables"), &|_| true);
    let dangling = links.iter().any(|link| !folder.join("data/tables").join(link).exists());
    if dangling || links != files { Err(format!("links {links:?}, files {files:?}")) } else { Ok(()) }
}

/// Files in the folders of a folder, by their paths in it.
fn below(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> BTreeSet<PathBuf> {
    let paths = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let files = paths(folder).into_iter().flat_map(|table| paths(&table)).filter(|path| wanted(path));
    files.map(|path| path.strip_prefix(folder).unwrap().to_owned()).collect()
}

/// Opens a store, takes steps, and lets it go. True where it was poisoned, or did not open; an error where it failed
/// without a reason.
fn live(
    disk: &Arc<Faulty>,
    folder: &Path,
    specs: Vec<TableSpec>,
    seed: u64,
    steps: &[Step],
    ledger: &Ledger,
) -> Result<bool, String> {
    let mut opened = (0..20).map(|_| open_on(disk, folder, specs.clone(), ledger, seed));
    let is_full = |opened: &Result<Store, StoreError>| matches!(opened, Err(error) if error.retryable());
    let Some(Ok(store)) = opened.find(|opened| !is_full(opened)) else { return Ok(true) };
    ledger.compare(&store)?;
    let stopped = || store.health().poisoned.is_some();
    for step in steps {
        let mut taken = take(&store, step, ledger);
        if taken.is_err() && !stopped() {
            // It failed once: now it does not.
            taken = take(&store, step, ledger);
        }
        match taken {
            // What could not be merged because of a fault is left alone for a while.
            Ok(()) if matches!(step, Step::Age) && !disk.has_failed() => ledger.lock().forget(),
            Ok(()) if matches!(step, Step::Compact) && !disk.has_failed() => {
                keyed::is_up_to_date(&store, ledger.lock().changes)?;
            }
            Ok(()) => {}
            Err(_) if stopped() => return Ok(true),
            Err(error) => return Err(format!("{step:?} fails again: {error}")),
        }
    }
    if stopped() {
        return Ok(true);
    }
    ledger.compare(&store)?;
    Ok(false)
}

/// Runs `test` for all numbers below `count`, on so many threads a core; the first failure is told.
fn for_each(count: u64, threads: usize, test: impl Fn(u64) -> Result<(), String> + Sync) -> Result<(), String> {
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
        for _ in 0..threads * std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    failure.into_inner().unwrap().map_or(Ok(()), Err)
}

/// Lives through the steps, and looks at a power cut between any two calls; states that are alike are looked at once.
fn survive(steps: &[Step], seed: u64, lie: Option<Lie>) -> Result<u64, String> {
    let (folder, ledger) = (new_folder(), Ledger::default());
    let disk = Arc::new(Faulty::new(folder.path(), seed, Fault::Nothing));
    if let Some(lie) = lie {
        disk.lie(lie);
    }
    let (cuts, mut seen) = (Arc::new(Mutex::new(Vec::new())), HashSet::new());
    disk.watch(Box::new({
        let (ledger, cuts) = (ledger.clone(), cuts.clone());
        move |image| {
            let cut = Cut { image: image(), expected: ledger.lock().clone() };
            let mut hasher = DefaultHasher::new();
            (&cut.image, format!("{:?}", cut.expected)).hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                cuts.lock().unwrap().push(cut);
            }
        }
    }));
    assert!(!live(&disk, folder.path(), both(), seed, steps, &ledger)?, "poisoned");
    disk.power_cut();
    let cuts = std::mem::take(&mut *cuts.lock().unwrap());
    let survives = |number: u64| {
        holds(&cuts[number as usize], both(), number, number.is_multiple_of(8))
            .map_err(|error| format!("seed {seed}, cut {number} of {}: {error}", cuts.len()))
    };
    for_each(cuts.len() as u64, 1, survives).map(|()| cuts.len() as u64)
}

#[test]
fn a_power_cut_at_any_call_loses_doubles_and_resurrects_nothing() {
    let steps = [first_part(), second_part(), third_part()].concat();
    let cuts = survive(&steps, number(FIRST_SEED, 0), None).unwrap_or_else(|error| panic!("{error}"));
    assert!(cuts > 250, "{cuts} different states");
}

/// The tests above would tell if the store left out any of its fsyncs, or acknowledged before one.
#[test]
fn a_disk_that_lies_about_a_sync_is_found_out() {
    let lies: [(&str, Lie); 10] = [
        ("the log", |path| path.extension().is_some_and(|extension| extension == "wal")),
        ("names of the log", |path| path == Path::new("data/wal")),
        ("segments", |path| path.extension().is_some_and(|extension| extension == "parquet")),
        ("names of segments", |path| path.starts_with("data/tables/samples") && path.components().count() == 3),
        ("commits", |path| path.to_str().is_some_and(|path| path.ends_with(".json#1"))),
        ("names of commits", |path| path.ends_with("_delta_log")),
        ("names of folders", |path| path == Path::new("data")),
        ("copies", |path| path.extension().is_some_and(|extension| extension == "copying")),
        ("names of copies", |path| path == Path::new("cold/tables/samples")),
        ("names of cold folders", |path| path == Path::new("cold") || path == Path::new("cold/tables")),
    ];
    let steps = [first_part(), second_part()].concat();
    let with_moves = [first_part(), third_part()].concat();
    for (what, lie) in lies {
        let steps = if what.contains("copies") || what.contains("cold") { &with_moves } else { &steps };
        assert!((0..4).any(|seed| survive(steps, seed, Some(lie)).is_err()), "nobody misses syncs of {what}");
    }
}

/// The state after the first part.
fn halfway() -> Cut {
    let (folder, ledger) = (new_folder(), Ledger::default());
    let disk = Arc::new(Faulty::new(folder.path(), 0, Fault::Nothing));
    let store = open_on(&disk, folder.path(), both(), &ledger, 0).unwrap();
    for step in first_part() {
        take(&store, &step, &ledger).unwrap();
    }
    Cut { image: disk.present(), expected: ledger.lock().clone() }
}

/// Steps with a fault, and the number of calls that were made. What fails though the store goes on is tried once
/// more, with success; a store that is poisoned is opened again, after a power cut or without one.
fn with_fault(start: &Cut, steps: &[Step], fault: Fault, seed: u64) -> Result<u64, String> {
    let (folder, ledger) = (laid_out(&start.image), Ledger::of(start.expected.clone()));
    let disk = Arc::new(Faulty::new(folder.path(), seed, fault));
    let lived = live(&disk, folder.path(), both(), seed, steps, &ledger);
    let (calls, named) = (disk.calls(), format!("{fault:?}, seed {seed}, {}", disk.last_fault()));
    let poisoned = lived.map_err(|error| format!("{named}: {error}"))?;
    if poisoned && matches!(fault, Fault::Full(..)) {
        return Err(format!("{named}: a full disk has poisoned the store"));
    }
    let image = if seed.is_multiple_of(2) { disk.power_cut() } else { disk.present() };
    let cut = Cut { image, expected: ledger.lock().clone() };
    holds(&cut, both(), seed, seed.is_multiple_of(8)).map_err(|error| format!("{named}: {error}"))?;
    Ok(calls)
}

/// Fails each call of the second and of the third part, in a run of its own.
fn fail(fault: impl Fn(u64) -> Fault + Sync) {
    let start = halfway();
    for steps in [second_part(), third_part()] {
        let calls = with_fault(&start, &steps, Fault::Nothing, 0).unwrap();
        assert!(calls > 80, "{calls} calls");
        let one = |number: u64| with_fault(&start, &steps, fault(number + 1), number).map(drop);
        // A store tries again after a while: the most of the time nothing is done.
        for_each(calls, 8, one).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_call_that_fails_loses_nothing_whichever_it_is() {
    fail(Fault::Error);
}

#[test]
fn a_disk_that_is_full_at_any_call_is_survived_without_restart() {
    fail(|call| Fault::Full(call + 1, call % 4 + 1));
}

/// Folders of stores that have just been opened, with both tables or one of them; others crash while they are made.
static FRESH: LazyLock<[(Vec<TableSpec>, Image); 3]> = LazyLock::new(|| {
    [both(), vec![keyed::samples()], vec![orders()]].map(|specs| {
        let folder = new_folder();
        let disk = Arc::new(Faulty::new(folder.path(), 0, Fault::Nothing));
        drop(open_on(&disk, folder.path(), specs.clone(), &Ledger::default(), 0).unwrap());
        (specs, disk.present())
    })
});

/// Keeps some of the states between two calls, each as likely as the others.
fn keep_some(disk: &Faulty, ledger: &Ledger, seed: u64) -> Arc<Mutex<Vec<Cut>>> {
    let (kept, ledger) = (Arc::new(Mutex::new(Vec::new())), ledger.clone());
    let (mut random, mut states) = (StdRng::seed_from_u64(seed), 0);
    disk.watch(Box::new({
        let kept = kept.clone();
        move |image| {
            states += 1;
            let place = random.random_range(0..states);
            if place < CUTS {
                let (mut kept, expected) = (kept.lock().unwrap(), ledger.lock().clone());
                let cut = Cut { image: image(), expected };
                if kept.len() < CUTS { kept.push(cut) } else { kept[place] = cut }
            }
        }
    }));
    kept
}

/// What was refused and is not tried again is gone, also where the power goes before the next group.
#[test]
fn what_a_full_disk_has_refused_does_not_come_back() {
    let (specs, fresh) = &FRESH[1];
    let is_gone = |number: u64| {
        let (left, ledger, kept) = (laid_out(fresh), Ledger::default(), Arc::new(Mutex::new(Vec::new())));
        let disk = Arc::new(Faulty::new(left.path(), number, Fault::Full(number % 24 + 1, 1)));
        disk.watch(Box::new({
            let (ledger, kept) = (ledger.clone(), kept.clone());
            move |image| {
                let (expected, mut kept) = (ledger.lock().clone(), kept.lock().unwrap());
                if expected.refused && kept.len() < 2 {
                    kept.push(Cut { image: image(), expected });
                }
            }
        }));
        let time = ledger.lock().today() * DAY;
        let steps: Vec<Step> = (0..5).map(|row| Step::Burst(vec![told(&[(time + row, "a", 1.0)])])).collect();
        live(&disk, left.path(), specs.clone(), number, &steps, &ledger)?;
        let kept = std::mem::take(&mut *kept.lock().unwrap());
        let held = kept.iter().try_for_each(|cut| holds(cut, specs.clone(), number, false));
        held.map_err(|error| format!("number {number}, {}: {error}", disk.last_fault()))
    };
    for_each(REFUSALS, 1, is_gone).unwrap_or_else(|error| panic!("{error}"));
}

/// Some lives of one folder, with whatever can go wrong, and power cuts in each. The next life begins after one of these, or
/// after the end of the process alone. Says how many cuts there were.
fn history(seed: u64) -> Result<usize, String> {
    let random = &mut StdRng::seed_from_u64(seed);
    let (specs, fresh) = &FRESH[random.random_range(0..FRESH.len())];
    let (mut left, mut ledger, mut cuts) = (laid_out(fresh), Ledger::default(), 0);
    let mut disk = Arc::new(Faulty::new(left.path(), random.random(), Fault::Nothing));
    for life in 0..LIVES {
        let call = random.random_range(1..CALLS);
        let fault = match random.random_range(0..10) {
            0..=2 => Fault::Error(call),
            3 => Fault::Full(call, random.random_range(1..4)),
            _ => Fault::Nothing,
        };
        disk.begin(fault);
        let steps = fitting(some_steps(random, ledger.lock().today()), specs);
        let kept = keep_some(&disk, &ledger, random.random());
        let lived = live(&disk, left.path(), specs.clone(), random.random(), &steps, &ledger);
        let failed = lived.map_err(|error| format!("life {life}, {fault:?}, {}: {error}", disk.last_fault()))?;
        if failed && fault == Fault::Nothing {
            return Err(format!("life {life}: the store does not open, or is poisoned"));
        }
        let mut kept = std::mem::take(&mut *kept.lock().unwrap());
        for (number, cut) in kept.iter().enumerate() {
            let thorough = random.random_bool(0.1);
            let held = holds(cut, specs.clone(), random.random(), thorough);
            held.map_err(|error| format!("life {life}, {fault:?}, {}, cut {number}: {error}", disk.last_fault()))?;
        }
        cuts += kept.len();
        // Else only the process ended: what is not durable stays so.
        if !kept.is_empty() && random.random_bool(0.7) {
            let cut = kept.swap_remove(random.random_range(0..kept.len()));
            (left, ledger) = (laid_out(&cut.image), Ledger::of(cut.expected));
            disk = Arc::new(Faulty::new(left.path(), random.random(), Fault::Nothing));
        }
    }
    Ok(cuts)
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn random_histories_with_power_cuts_errors_and_full_disks_agree_with_plain_maps() {
    let (histories, first) = (number(SOME_HISTORIES, HISTORIES), number(FIRST_SEED, 0));
    let cuts = AtomicUsize::new(0);
    let agrees = |number: u64| {
        let of_history = history(first + number).map_err(|error| format!("seed {}: {error}", first + number))?;
        cuts.fetch_add(of_history, Ordering::Relaxed);
        Ok(())
    };
    for_each(histories, 1, agrees).unwrap_or_else(|error| panic!("{error}"));
    let (cuts, least) = (cuts.into_inner() as u64, histories * LIVES * CUTS as u64 * 4 / 5);
    assert!(cuts >= least, "{cuts} power cuts in {histories} histories");
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let log = |seed: u64| {
        let random = &mut StdRng::seed_from_u64(seed);
        let (folder, ledger) = (new_folder(), Ledger::default());
        let disk = Arc::new(Faulty::new(folder.path(), seed, Fault::Nothing));
        let store = open_on(&disk, folder.path(), both(), &ledger, seed).unwrap();
        let today = ledger.lock().today();
        let mut steps = [some_steps(random, today), vec![Step::Flush], some_steps(random, today)].concat();
        // How writes that nobody waits for share a group is the threads' affair.
        steps.retain(|step| !matches!(step, Step::Burst(_)));
        for step in steps.iter().chain(&[Step::Write(told(&[(today * DAY, "a", 1.0)])), Step::Age]) {
            take(&store, step, &ledger).unwrap();
        }
        let mut files: Vec<_> = std::fs::read_dir(folder.path().join("data/wal"))
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
