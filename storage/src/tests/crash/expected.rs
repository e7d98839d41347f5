//! What a store must hold.

use std::sync::{Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::model::{Answers, Model};
use super::super::*;
use super::steps::{DAY, Told};

/// Days that samples are kept, and days until they move to the cold folder.
pub(super) const KEPT_DAYS: i64 = 30;
pub(super) const COLD_DAYS: i64 = 10;
/// When histories begin: at noon, so that a skewed clock does not reach another day.
const BEGIN: i64 = 5 * DAY + DAY / 2;

/// What must be there; writes whose fate nobody was told, of which some of the first may be there too; and the time.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) certain: Model,
    /// By their numbers.
    open: Vec<(u64, Told)>,
    numbers: u64,
    /// Whether a write has failed for good: then none is acknowledged any more.
    failed: bool,
    /// Whether a write was refused, which need not be told again.
    pub(super) refused: bool,
    pub(super) now: i64,
    /// Of what is derived: so many changes there were.
    pub(super) changes: i64,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            certain: Model::default(),
            open: Vec::new(),
            numbers: 0,
            failed: false,
            refused: false,
            now: BEGIN,
            changes: 0,
        }
    }
}

impl Expected {
    /// Samples of before may have left.
    fn limit(&self) -> i64 {
        (self.now - KEPT_DAYS * DAY).div_euclid(DAY) * DAY
    }

    /// What a clock says that jumps, now and then back; from write to write, however often it is asked in between.
    pub(super) fn skewed(&self, seed: u64) -> i64 {
        self.now + StdRng::seed_from_u64(seed.wrapping_add(self.numbers)).random_range(-3_000..4_000)
    }

    pub(super) fn today(&self) -> i64 {
        self.now.div_euclid(DAY)
    }

    /// All such samples have left.
    pub(super) fn forget(&mut self) {
        self.certain.forget(self.limit());
    }

    fn begin(&mut self, told: &Told) -> u64 {
        self.numbers += 1;
        self.open.push((self.numbers, told.clone()));
        self.numbers
    }

    fn end(&mut self, number: u64, outcome: &Result<(), StoreError>) {
        let place = self.open.iter().position(|(open, _)| *open == number).unwrap();
        match outcome {
            Ok(()) => {
                assert!(!self.failed, "acknowledged after a write that failed for good");
                self.open.remove(place).1.tell(&mut self.certain);
            }
            // Nothing of it is kept.
            Err(error) if error.retryable() => {
                self.open.remove(place);
                self.refused = true;
            }
            Err(_) => self.failed = true,
        }
    }
}

/// It is filled in while the store is at work.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Expected>>);

impl Ledger {
    pub(super) fn of(expected: Expected) -> Self {
        Self(Arc::new(Mutex::new(expected)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Expected> {
        self.0.lock().unwrap()
    }

    /// Compares, and settles what is open.
    pub(super) fn compare(&self, store: &Store) -> Result<(), String> {
        let found = Answers::of(store);
        let expected = &mut *self.lock();
        super::keyed::check(store, expected.changes)?;
        let (mut model, limit) = (expected.certain.clone(), expected.limit());
        let mut open = expected.open.iter();
        while !model.allows(&found, limit) {
            let Some((_, told)) = open.next() else {
                let certain = expected.certain.answers();
                return Err(format!(
                    "found {found:#?}\nexpected {certain:#?}\nor with {:?}, save samples before {limit}",
                    expected.open
                ));
            };
            told.tell(&mut model);
        }
        model.let_go(&found, limit);
        (expected.certain, expected.failed) = (model, false);
        expected.open.clear();
        Ok(())
    }

    /// Writes all and waits for them; says what kept one from being acknowledged.
    pub(super) fn write(&self, store: &Store, all: &[Told]) -> Result<(), StoreError> {
        let (send, outcomes) = crossbeam::channel::unbounded();
        for told in all {
            let (number, ledger, send) = (self.lock().begin(told), self.clone(), send.clone());
            store.append(told.write(store), move |outcome| {
                let outcome = outcome.map(drop);
                ledger.lock().end(number, &outcome);
                drop(send.send(outcome));
            });
        }
        let outcomes = all.iter().map(|_| outcomes.recv_timeout(Duration::from_secs(20)).unwrap());
        outcomes.fold(Ok(()), Result::and)
    }
}
