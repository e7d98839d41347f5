//! The store: a writer thread makes groups durable and visible, a flusher turns them into segments, a joiner writes small
//! segments together; after a start one more looks for the newest rows.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use crossbeam::channel::Sender;

use crate::StoreError;
use crate::codec;
use crate::dead::Dead;
use crate::disk::Disk;
use crate::hot::Hot;
use crate::lock::FolderLock;
use crate::newest::{self, Newest};
use crate::segment::Segment;
use crate::snapshot::{Snapshot, TableView};
use crate::spec::TableSpec;
use crate::wal::Wal;

mod aging;
mod apply;
mod compact;
mod flush;
mod health;
mod merge;
mod recovery;
mod resolve;
mod resort;
mod tiers;
mod transform;
mod writer;

use aging::Aging;
use flush::Flusher;
pub(crate) use flush::{history_through, superseded_after};
use health::Counts;
pub use health::Health;
use health::{note, trouble};
use recovery::{Opened, open_folder};
pub(crate) use recovery::{read_log, read_only};
use resolve::Index;
pub use transform::Transform;

/// Where the store takes the time from: microseconds UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Settings of the store.
#[derive(Clone)]
pub struct Options {
    /// The longest a write waits for company before its group is fsynced, while writes come fast.
    pub linger: Duration,
    /// Size of a WAL file, bytes.
    pub wal_file_bytes: u64,
    /// A table is flushed when its oldest unflushed row is this old.
    pub flush_interval: Duration,
    /// A table is flushed when it holds this many unflushed rows; four times as many where that comes four times a second.
    pub flush_rows: usize,
    /// Unflushed bytes in memory at which writers wait for the flusher; with half of them all is flushed.
    pub hot_bytes: usize,
    /// Rows after which a merged segment ends where the first column of its key changes.
    pub segment_rows: u64,
    /// Source of recorded times.
    pub clock: Clock,
    /// What the data folder lies on.
    pub disk: Arc<dyn Disk>,
    /// How long rows of a table are kept, by its name; those of the others for ever. Its history goes with it.
    pub retention: BTreeMap<String, Duration>,
    /// Where segments go that are read rarely.
    pub tiering: Option<Tiering>,
}

/// Another disk for old segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiering {
    /// The cold folder: this store's alone.
    pub folder: PathBuf,
    /// How old segments of a table are when they move, by its name; those of the others stay.
    pub ages: BTreeMap<String, Duration>,
}

/// Rows of one table.
#[derive(Debug)]
pub struct Rows {
    /// Which table: its place among the specs.
    pub table: usize,
    /// The rows, columns as [`TableSpec::memory_schema`].
    pub batch: RecordBatch,
    /// Records: for each row, bit i says that column i is present. `None`: all are.
    pub present: Option<Vec<u64>>,
    /// Records: which rows retract theirs. Empty: none.
    pub deleted: Vec<bool>,
}

/// One atomic write.
#[derive(Debug)]
pub struct Write {
    /// Rows, in order.
    pub rows: Vec<Rows>,
    /// The login or source that brings them.
    pub by: Arc<str>,
    /// What happens on a full disk: true, the write keeps its place and waits for room, which holds its sender back;
    /// false, it is refused at once with [`StoreError::Full`].
    pub patient: bool,
}

/// What an acknowledged write became.
#[derive(Debug)]
pub struct Receipt {
    /// Its WAL position.
    pub position: u64,
    /// When the last of its rows was recorded, microseconds UTC.
    pub recorded: i64,
    /// The rows of record tables as they are now, absent fields filled in; columns as [`TableSpec::hot_schema`].
    pub records: Vec<(usize, RecordBatch)>,
}

type Done = Box<dyn FnOnce(Result<Receipt, StoreError>) + Send>;

struct Entry {
    write: Write,
    blocks: Vec<u8>,
    done: Done,
}

/// A table inside the store.
struct Table {
    spec: Arc<TableSpec>,
    /// As [`TableSpec::hot_schema`]; made once, for it is asked for with every write.
    hot_schema: SchemaRef,
    segments: Vec<Arc<Segment>>,
    history: Vec<Arc<Segment>>,
    dead: Vec<Arc<Dead>>,
    hot: Hot,
    kept: Option<Duration>,
    newest: Arc<Newest>,
    index: Index,
    version: u64,
    view: Option<Arc<TableView>>,
    oldest_hot: Option<std::time::Instant>,
}

struct State {
    tables: Vec<Table>,
    position: u64,
    recorded: i64,
}

impl State {
    /// Memory of unflushed rows, bytes.
    fn hot_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.hot.bytes()).sum()
    }

    /// Whether it is time to flush whatever there is.
    fn is_crowded(&self, options: &Options) -> bool {
        self.hot_bytes() > options.hot_bytes / 2
    }
}

struct Shared {
    state: RwLock<State>,
    specs: Arc<Vec<TableSpec>>,
    /// [`TableSpec::memory_schema`] of each.
    memory_schemas: Vec<SchemaRef>,
    options: Options,
    poisoned: OnceLock<String>,
    /// Why the log cannot grow.
    log_trouble: Mutex<Option<StoreError>>,
    /// Why the last flush could not be written.
    flush_trouble: Mutex<Option<StoreError>>,
    wal: Mutex<Wal>,
    transform: OnceLock<Arc<dyn Transform>>,
    /// Why the last segment could not move to the cold folder.
    tiering_trouble: Mutex<Option<StoreError>>,
    counts: Counts,
    /// The newest rows were looked for once.
    looked: AtomicBool,
    /// Rows that the present or last compaction has read …
    merged_rows: AtomicU64,
    /// … of so many, roughly.
    rows_to_merge: AtomicU64,
    /// Woken when a flush made room.
    room: (Mutex<()>, Condvar),
    /// The writer's thread sleeps until so many writes are queued; 0 where it does not.
    awaited: AtomicUsize,
    /// Rows with which a table is full at present.
    full_rows: AtomicUsize,
    closing: AtomicBool,
    folder: PathBuf,
}

/// An open data folder, held by this process alone.
pub struct Store {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Entry>>>,
    writer: Thread,
    flushes: Sender<flush::Command>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: FolderLock,
}

/// How much nicer than others a thread is that gives way: a tenth of their share where cores are short.
const BEHIND: i32 = 10;
/// Writes waiting between callers and the writer thread.
const QUEUE: usize = 65_536;

impl Store {
    /// Opens `folder`, creating it where it is missing, and brings back everything acknowledged.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another process has it, [`StoreError::Damaged`] where files are.
    pub fn open(folder: &Path, specs: Vec<TableSpec>, options: Options) -> Result<Self, StoreError> {
        let lock = FolderLock::take(folder)?;
        let folder = &crate::lock::canonical(folder)?;
        let aging = Aging::new(&specs, &options)?;
        let cold = options.tiering.as_ref().map(|tiering| tiering.folder.as_path());
        crate::cold::attach(options.disk.as_ref(), folder, cold)?;
        let specs = Arc::new(specs);
        let opened = off_thread({
            let (folder, specs, options) = (folder.to_owned(), specs.clone(), options.clone());
            move || open_folder(&folder, &specs, &options)
        })?;
        let Opened { mut state, logs, wal, runtime } = opened;
        for table in &mut state.tables {
            table.kept = options.retention.get(&table.spec.name).copied();
        }
        let full_rows = AtomicUsize::new(options.flush_rows);
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            memory_schemas: specs.iter().map(TableSpec::memory_schema).collect(),
            specs,
            options,
            poisoned: OnceLock::new(),
            log_trouble: Mutex::new(None),
            flush_trouble: Mutex::new(None),
            wal: Mutex::new(wal),
            transform: OnceLock::new(),
            tiering_trouble: Mutex::new(None),
            counts: Counts::default(),
            looked: AtomicBool::new(false),
            merged_rows: AtomicU64::new(0),
            rows_to_merge: AtomicU64::new(0),
            room: (Mutex::new(()), Condvar::new()),
            awaited: AtomicUsize::new(0),
            full_rows,
            closing: AtomicBool::new(false),
            folder: folder.to_owned(),
        });
        let (queue, entries) = crossbeam::channel::bounded(QUEUE);
        let (flushes, commands) = crossbeam::channel::unbounded();
        let writer = spawn("takt-wal", {
            let (shared, flushes) = (shared.clone(), flushes.clone());
            move || writer::run(&shared, &entries, &flushes)
        })?;
        let (jobs, runs) = crossbeam::channel::bounded(1);
        let joiner = spawn_behind("takt-join", {
            let (shared, flushes) = (shared.clone(), flushes.clone());
            move || compact::join_all(&shared, &runs, &flushes)
        })?;
        let flusher = Flusher {
            shared: shared.clone(),
            logs,
            retired: Vec::new(),
            jobs,
            joining: false,
            unsettled: true,
            pressure: flush::Pressure::default(),
            compactions: Vec::new(),
            compaction: None,
            aging,
            failed: HashMap::new(),
            retry: flush::Retry::default(),
            join_retry: flush::Retry::default(),
            runtime,
        };
        let flusher = spawn("takt-flush", move || flusher.run(&commands))?;
        let looker = spawn_behind("takt-newest", {
            let shared = shared.clone();
            move || {
                newest::look(&shared.snapshot(), &|| shared.closing.load(Ordering::Acquire));
                shared.looked.store(true, Ordering::Release);
            }
        })?;
        Ok(Self {
            shared,
            queue: Mutex::new(Some(queue)),
            writer: writer.thread().clone(),
            flushes,
            threads: Mutex::new(vec![writer, flusher, joiner, looker]),
            _lock: lock,
        })
    }

    /// Hands in the transform that fills derived columns at flush. Only the first call counts.
    pub fn set_transform(&self, transform: Arc<dyn Transform>) {
        self.shared.transform.get_or_init(|| transform);
    }

    /// Queues a write. `done` runs on the writer's thread, after the write is durable and visible, or has failed; it must
    /// not block. Blocks only while the bounded queue is full.
    pub fn append(&self, write: Write, done: impl FnOnce(Result<Receipt, StoreError>) + Send + 'static) {
        let done: Done = Box::new(done);
        let mut blocks = Vec::new();
        for rows in &write.rows {
            if let Err(error) = self.check(rows).and_then(|()| codec::encode(rows, &mut blocks)) {
                return done(Err(error));
            }
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match queue {
            None => done(Err(StoreError::Closed)),
            Some(queue) => {
                if let Err(unsent) = queue.send(Entry { write, blocks, done }) {
                    return (unsent.0.done)(Err(StoreError::Closed));
                }
                let awaited = self.shared.awaited.load(Ordering::SeqCst);
                if awaited > 0 && queue.len() >= awaited {
                    self.writer.unpark();
                }
            }
        }
    }

    /// As [`Store::append`], waiting for the outcome.
    ///
    /// # Errors
    /// What kept the write from becoming durable.
    pub fn append_and_wait(&self, write: Write) -> Result<Receipt, StoreError> {
        let (send, receive) = crossbeam::channel::bounded(1);
        self.append(write, move |result| drop(send.send(result)));
        receive.recv().unwrap_or(Err(StoreError::Closed))
    }

    fn check(&self, rows: &Rows) -> Result<(), StoreError> {
        let spec =
            self.shared.specs.get(rows.table).ok_or_else(|| StoreError::Invalid(format!("no table {}", rows.table)))?;
        let count = rows.batch.num_rows();
        let masks = rows.present.as_ref().is_none_or(|present| present.len() == count);
        let retractions = rows.deleted.is_empty() || rows.deleted.len() == count;
        if !masks || !retractions {
            return Err(StoreError::Invalid(format!("{}: masks and rows differ in number", spec.name)));
        }
        let Some(expected) = self.memory_schema(rows.table) else {
            return Err(StoreError::Invalid(format!("no table {}", rows.table)));
        };
        let fits = Arc::ptr_eq(rows.batch.schema_ref(), expected)
            || rows.batch.num_columns() == expected.fields().len()
                && rows
                    .batch
                    .schema()
                    .fields()
                    .iter()
                    .zip(expected.fields())
                    .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
        if fits { Ok(()) } else { Err(StoreError::Invalid(format!("{}: columns differ from the table's", spec.name))) }
    }

    /// The newest consistent view of all tables.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot()
    }

    /// Turns everything visible now into segments.
    ///
    /// # Errors
    /// What kept a table from being flushed.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.command(flush::Command::Flush)
    }

    /// Merges the segments of each table so that none overlap in key and day, and makes what was superseded or re-keyed
    /// permanent: the plain files then hold what queries show of everything written before the call. Returns how many rows
    /// were merged; how far it is meanwhile, [`Store::health`] tells. Segments that gather are merged without being asked.
    ///
    /// # Errors
    /// What kept a table's segments from being joined.
    pub fn compact(&self) -> Result<u64, StoreError> {
        self.command(flush::Command::Compact)
    }

    /// Removes rows that are older than their table keeps them, and moves old segments to the cold folder, as the store
    /// does by itself every hour. What is not flushed yet stays until the next time.
    ///
    /// # Errors
    /// What kept rows or files from leaving.
    pub fn age(&self) -> Result<(), StoreError> {
        self.command(flush::Command::Age)
    }

    /// Writes a consistent copy of the data folder to `to`, which must not exist or be empty, while the store runs on:
    /// the copying is done by the calling thread. Of the files `beside` the tables those are copied that there are.
    ///
    /// # Errors
    /// [`StoreError`] where files cannot be copied.
    pub fn backup(&self, to: &Path, beside: &[&str]) -> Result<crate::BackupReport, StoreError> {
        self.command(flush::Command::Inventory)?.write(to, beside)
    }

    fn command<T>(
        &self,
        command: impl FnOnce(Sender<Result<T, StoreError>>) -> flush::Command,
    ) -> Result<T, StoreError> {
        let (send, receive) = crossbeam::channel::bounded(1);
        self.flushes.send(command(send)).map_err(|_| StoreError::Closed)?;
        receive.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Place of a table by name.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.shared.specs.iter().position(|spec| spec.name == name)
    }

    /// The columns that rows of a table have: as [`TableSpec::memory_schema`], always the same one.
    pub fn memory_schema(&self, table: usize) -> Option<&SchemaRef> {
        self.shared.memory_schemas.get(table)
    }

    /// The tables.
    pub fn specs(&self) -> &[TableSpec] {
        &self.shared.specs
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// How the store is doing.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Stops taking writes, makes queued ones durable, flushes, and ends the threads.
    ///
    /// # Errors
    /// What kept the last flush from completing; everything acknowledged is in the WAL all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.is_empty() {
            return Ok(());
        }
        self.shared.closing.store(true, Ordering::Release);
        self.shared.room.1.notify_all();
        self.writer.unpark();
        // The writer ends once its queue is drained; only then is the last flush complete.
        let writer = threads.remove(0);
        let ended = writer.join();
        let flushed = self.command(flush::Command::Flush);
        let stopped = self.flushes.send(flush::Command::Stop);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                return Err(StoreError::Invalid("a thread of the store panicked while it closed".into()));
            }
        }
        if ended.is_err() || stopped.is_err() {
            return Err(StoreError::Invalid("a thread of the store panicked".into()));
        }
        flushed
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store did not close cleanly; its log holds what was not flushed");
        }
    }
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let position = state.position;
        let tables = state.tables.iter_mut().map(Table::view).collect();
        Arc::new(Snapshot { tables, position })
    }

    fn poison(&self, reason: &str) {
        self.poisoned.get_or_init(|| {
            tracing::error!(reason, "the store is poisoned: nothing more is acknowledged until restart");
            reason.to_owned()
        });
    }

    /// Nothing more is acknowledged once an fsync has failed.
    fn alive(&self) -> Result<(), StoreError> {
        self.poisoned.get().map_or(Ok(()), |reason| Err(StoreError::Poisoned(reason.clone())))
    }

    /// Remembers why the log cannot grow, or that it can.
    fn note_log(&self, trouble: Option<&StoreError>) {
        note(&self.log_trouble, trouble, "the log");
    }

    /// Remembers why a flush failed, or that it did not.
    fn note_flush(&self, trouble: Option<&StoreError>) {
        note(&self.flush_trouble, trouble, "a flush");
    }

    /// Remembers why a segment could not move to the cold folder, or that it could.
    fn note_tiering(&self, trouble: Option<&StoreError>) {
        note(&self.tiering_trouble, trouble, "the cold folder");
    }
}

impl Table {
    fn new(spec: &TableSpec) -> Self {
        Self {
            spec: Arc::new(spec.clone()),
            hot_schema: spec.hot_schema(),
            segments: Vec::new(),
            history: Vec::new(),
            dead: Vec::new(),
            hot: Hot::default(),
            kept: None,
            newest: Arc::default(),
            index: Index::default(),
            version: 0,
            view: None,
            oldest_hot: None,
        }
    }

    /// The present view, the same one until the table changes.
    fn view(&mut self) -> Arc<TableView> {
        let view = self.view.get_or_insert_with(|| {
            Arc::new(TableView {
                spec: self.spec.clone(),
                segments: self.segments.clone(),
                history: self.history.clone(),
                hot: self.hot.clone(),
                kept: self.kept,
                version: self.version,
                newest: self.newest.clone(),
                dead: self.dead.clone(),
                dead_by_segment: Mutex::new(HashMap::new()),
                settled: OnceLock::new(),
            })
        });
        view.clone()
    }

    fn changed(&mut self) {
        self.version += 1;
        self.view = None;
    }
}

/// The table log has a runtime of its own, which must not be entered from within another.
fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let thread = spawn("takt-open", work)?;
    thread.join().unwrap_or_else(|_| Err(StoreError::Invalid("opening the data folder panicked".into())))
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map_err(|error| StoreError::Invalid(format!("no thread {name}: {error}")))
}

/// A thread that gives way to others: its work is long, and nobody waits for it.
fn spawn_behind<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    spawn(name, move || {
        // On Linux a thread has a priority of its own; elsewhere this would slow the whole process down.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::nice(BEHIND) {
            tracing::debug!(%error, "{name} keeps its priority");
        }
        work()
    })
}
