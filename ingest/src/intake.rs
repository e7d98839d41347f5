//! The one door into the store: decode, admit, commit, count.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::record_batch::RecordBatch;
use oee::plant::Plant;
use storage::{Receipt, Store, StoreError};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, broadcast, oneshot};

use crate::admit::{ArrivalClock, Limits, Window};
use crate::batch::Batch;
use crate::decode::reading::Readings;
use crate::keying::Keyer;
use crate::latency::Latency;
use crate::login::Login;
use crate::quarantine::{Quota, Refused, Room, row};
use crate::route::Routes;
use crate::thinning::AtFlush;

mod discard;
mod follow;
mod heads;
mod import;
mod kept;
mod lines;
mod message;
mod records;
mod replay;

pub use discard::Discard;
pub use follow::Committed;
use follow::Followers;
pub use import::ImportReceipt;
pub use lines::LineReceipt;
pub use records::RecordReceipt;
pub use replay::{Replay, ReplayReceipt};

/// Commits on their way to the disk, all sources together: far below the store's queue, so handing one over never
/// blocks.
const COMMITS_IN_FLIGHT: usize = 4_096;

/// Microseconds UTC of the server's clock.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Where messages come from.
#[derive(Debug, Clone)]
pub struct Source {
    kind: &'static str,
    by: Arc<str>,
    shown: Arc<str>,
}

impl Source {
    /// A way in (`mqtt`, `http`, `broker` …) and who uses it: a login, or the name of a broker.
    pub fn new(kind: &'static str, by: &Arc<str>) -> Self {
        Self { kind, by: Arc::clone(by), shown: format!("{kind}:{by}").into() }
    }

    /// The way in.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// An empty batch for this source.
    pub fn batch(&self) -> Batch {
        Batch::new(Arc::clone(&self.by), self.kind)
    }

    /// A batch of samples that came as columns of the table.
    pub(crate) fn whole(&self, rows: RecordBatch) -> Batch {
        Batch::of_samples(Arc::clone(&self.by), self.kind, rows)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

/// One source's decoding state: the topics it has used, and buffers that are reused from message to message.
#[derive(Debug)]
pub struct Feed {
    source: Source,
    routes: Routes,
    readings: Readings,
}

impl Feed {
    /// Who sends.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// An empty batch for this feed.
    pub fn batch(&self) -> Batch {
        self.source.batch()
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was admitted.
    Accepted,
    /// It, or a part of it, went to `quarantine`.
    Quarantined,
    /// It, or a part of it, was refused, and the quarantine is over its quota: it was only counted.
    Dropped,
}

/// What came in since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages, lines and requests' rows, refused ones included.
    pub messages: u64,
    /// Samples that became durable.
    pub samples: u64,
    /// Messages, lines and rows that were refused, in whole or in part.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct CounterCells {
    messages: AtomicU64,
    samples: AtomicU64,
    refused: AtomicU64,
}

/// What is done with a commit when it has ended; holds no store, for it runs on the store's own thread.
struct Ledger {
    keyer: Arc<Keyer>,
    latency: Latency,
    counters: CounterCells,
    followers: Followers,
}

/// The way in; one per process.
pub struct Intake {
    store: Arc<Store>,
    plant: Arc<Plant>,
    limits: Limits,
    window: Window,
    clock: ArrivalClock,
    heads: heads::Shelf,
    quota: Arc<Quota>,
    /// Held by who settles rows of `quarantine`: two at once would settle the same row twice.
    settling: Arc<Mutex<()>>,
    budget: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    ledger: Arc<Ledger>,
}

impl fmt::Debug for Intake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Intake").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A share of the byte budget and of the commits in flight.
#[derive(Debug)]
struct Permit {
    _bytes: OwnedSemaphorePermit,
    _slot: OwnedSemaphorePermit,
}

/// What a commit counts once it is durable.
#[derive(Debug, Clone)]
struct Tally {
    source: &'static str,
    messages: u64,
    samples: u64,
    refused: Vec<(&'static str, u64)>,
    received: Instant,
    admitted: Instant,
}

/// A commit that was handed to the store.
#[derive(Debug)]
pub struct Submitted {
    done: oneshot::Receiver<Result<(), StoreError>>,
}

impl Submitted {
    /// Resolves once the batch is on disk and visible to queries, or will never be. Cancel-safe.
    ///
    /// # Errors
    /// Why the batch was not stored; nothing of it may be acknowledged then.
    pub async fn stored(&mut self) -> Result<(), StoreError> {
        (&mut self.done).await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Intake {
    /// Opens the way in: loads the executions that samples are keyed by, and tells the store what to do with
    /// rows at flush.
    ///
    /// # Errors
    /// Where the table `operations` cannot be read.
    pub fn start(store: Arc<Store>, plant: Arc<Plant>, limits: Limits) -> Result<Arc<Self>, StoreError> {
        let keyer = Arc::new(Keyer::load(&store)?);
        store.set_transform(Arc::new(AtFlush::new(Arc::clone(&keyer), &plant)));
        let budget = limits.budget_bytes.clamp(1 << 20, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Ok(Arc::new(Self {
            store,
            plant,
            window: Window::new(&limits),
            clock: ArrivalClock::default(),
            heads: heads::Shelf::default(),
            quota: Arc::new(Quota::new(limits.quarantine_bytes)),
            settling: Arc::default(),
            budget: Arc::new(Semaphore::new(budget)),
            slots: Arc::new(Semaphore::new(COMMITS_IN_FLIGHT)),
            ledger: Arc::new(Ledger {
                keyer,
                latency: Latency::new(),
                counters: CounterCells::default(),
                followers: Followers::default(),
            }),
            limits: Limits { budget_bytes: budget, ..limits },
        }))
    }

    /// The plant that gives topics their meaning.
    pub fn plant(&self) -> &Arc<Plant> {
        &self.plant
    }

    /// The store behind.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The executions that samples are keyed by.
    pub fn keyer(&self) -> &Arc<Keyer> {
        &self.ledger.keyer
    }

    /// How long messages take.
    pub fn latency(&self) -> &Latency {
        &self.ledger.latency
    }

    /// What came in.
    pub fn counters(&self) -> Counters {
        let counters = &self.ledger.counters;
        Counters {
            messages: counters.messages.load(Ordering::Relaxed),
            samples: counters.samples.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
        }
    }

    /// Counts messages that an earlier process left waiting in `quarantine` against the quota: how many, and the bytes
    /// of their payloads together, each of them counted up to [`crate::KEPT_BYTES`].
    pub fn count_quarantine(&self, messages: u64, bytes: u64) {
        self.quota.count(messages, bytes);
    }

    /// What the messages that wait in `quarantine` take of its quota, roughly, in bytes.
    pub fn quarantine_used(&self) -> u64 {
        self.quota.used()
    }

    /// Gives back what messages took that have left `quarantine` by their age: `messages` wait still, with `bytes` of
    /// payloads counted as in [`Intake::count_quarantine`]; `before` is [`Intake::quarantine_used`] from before they were
    /// counted.
    pub fn recount_quarantine(&self, before: u64, messages: u64, bytes: u64) {
        self.quota.recount(before, messages, bytes);
    }

    /// Bytes of the budget that are free.
    pub fn free_bytes(&self) -> usize {
        self.budget.available_permits()
    }

    /// What becomes durable from now on, write by write in the order of the log. Who falls behind loses the oldest, and is
    /// told so.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.ledger.followers.follow()
    }

    /// Decoding state for one source.
    pub fn feed(&self, source: Source) -> Feed {
        Feed {
            source,
            routes: Routes::default(),
            readings: Readings::new(self.limits.max_depth, self.limits.max_values),
        }
    }

    /// Hands a batch to the store, waiting for its share of the byte budget first. A full disk is waited out: the
    /// returned handle resolves when the batch is durable, or when it never will be.
    ///
    /// # Errors
    /// Where the store is closed.
    pub async fn submit(&self, batch: Batch) -> Result<Submitted, StoreError> {
        self.hand_over(batch, true).await
    }

    /// Stores a batch; resolves once it is on disk and visible to queries.
    ///
    /// # Errors
    /// Why it was not stored. Where [`StoreError::retryable`], the same may succeed later.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.hand_over(batch, false).await?.stored().await
    }

    async fn hand_over(&self, mut batch: Batch, patient: bool) -> Result<Submitted, StoreError> {
        let (done, receiver) = oneshot::channel();
        let submitted = Submitted { done: receiver };
        let mut tally = Tally {
            source: batch.source(),
            messages: batch.messages(),
            samples: u64::try_from(batch.samples()).unwrap_or(u64::MAX),
            refused: batch.refused().to_vec(),
            received: batch.started(),
            admitted: Instant::now(),
        };
        if batch.is_empty() {
            self.ledger.count(&tally);
            // The receiver lives; sending cannot fail.
            drop(done.send(Ok(())));
            return Ok(submitted);
        }
        let permit = self.permit(batch.bytes()).await?;
        tally.admitted = Instant::now();
        let room = batch.take_room();
        let write = batch.into_write(&self.store, patient)?;
        let ledger = Arc::clone(&self.ledger);
        let samples = ledger.followers.samples_of(&write);
        self.store.append(write, move |result| ledger.settle(result, permit, room, &tally, samples, done));
        Ok(submitted)
    }

    async fn permit(&self, bytes: usize) -> Result<Permit, StoreError> {
        let bytes = u32::try_from(bytes.clamp(1, self.limits.budget_bytes)).unwrap_or(u32::MAX);
        let closed = |_| StoreError::Closed;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(closed)?;
        let bytes = Arc::clone(&self.budget).acquire_many_owned(bytes).await.map_err(closed)?;
        Ok(Permit { _bytes: bytes, _slot: slot })
    }

    /// Writes the plant's master data to its tables, as a change by `plant.toml`. Rows that have not changed stay as they
    /// are.
    ///
    /// # Errors
    /// Why it was not stored.
    pub async fn load_plant(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut batch = Batch::new("plant.toml".into(), "plant");
        for (name, rows) in self.plant.master_rows() {
            let table = crate::record::table(name).map_err(|refusal| StoreError::Invalid(refusal.reason))?;
            for values in &rows {
                batch.push_record(table.index, &table.master_row(values));
            }
        }
        self.commit(batch).await
    }

    /// Puts a refused message into the batch, under the quota.
    fn quarantine(&self, refused: &Refused<'_>, batch: &mut Batch) -> Outcome {
        match self.quota.admit(refused) {
            None => Outcome::Dropped,
            Some(kept) => {
                let room = Room::taken(&self.quota, refused.payload.len());
                batch.push_quarantine(&row(refused, kept), room);
                Outcome::Quarantined
            }
        }
    }
}

impl Ledger {
    /// Runs on the store's thread: must not block, and must not own a store.
    fn settle(
        &self,
        result: Result<Receipt, StoreError>,
        permit: Permit,
        room: Option<Room>,
        tally: &Tally,
        samples: Option<(usize, RecordBatch)>,
        done: oneshot::Sender<Result<(), StoreError>>,
    ) {
        let outcome = result.map(|receipt| {
            if let Some(room) = room {
                room.settle();
            }
            self.keyer.note(&receipt.records, receipt.recorded);
            self.followers.tell(samples, &receipt);
            self.count(tally);
            self.latency.record(tally.messages.max(1), tally.received, tally.admitted, Instant::now());
        });
        // The budget is free as soon as the rows are durable, whatever the receiver does next.
        drop(permit);
        // A receiver that is gone wants no answer: its connection has closed.
        drop(done.send(outcome));
    }

    fn count(&self, tally: &Tally) {
        let refused: u64 = tally.refused.iter().map(|(_, count)| count).sum();
        self.counters.messages.fetch_add(tally.messages, Ordering::Relaxed);
        self.counters.samples.fetch_add(tally.samples, Ordering::Relaxed);
        self.counters.refused.fetch_add(refused, Ordering::Relaxed);
        metrics::counter!("takt_messages_total", "source" => tally.source).increment(tally.messages);
        metrics::counter!("takt_samples_total", "source" => tally.source).increment(tally.samples);
        for (kind, count) in &tally.refused {
            metrics::counter!("takt_refused_total", "source" => tally.source, "reason" => *kind).increment(*count);
        }
    }
}

fn source_of(login: &Login) -> Source {
    Source::new("http", &login.name)
}

#[cfg(test)]
mod tests;
