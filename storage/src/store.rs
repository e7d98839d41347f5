//! The store: one writer thread that makes groups durable and visible, one flusher that turns them into segments.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use crossbeam::channel::Sender;

use crate::StoreError;
use crate::codec::{self, Decoder};
use crate::hot::Hot;
use crate::lock::FolderLock;
use crate::log::TableLog;
use crate::segment::Segment;
use crate::snapshot::{Dead, Snapshot, TableView};
use crate::spec::TableSpec;
use crate::wal::{Dictionary, Frame, Wal};

mod apply;
mod compact;
mod flush;
mod writer;

use apply::Index;
use flush::Flusher;
pub(crate) use flush::{history_through, superseded_after};

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
    /// A table is flushed when it holds this many unflushed rows.
    pub flush_rows: usize,
    /// Unflushed bytes in memory at which writers wait for the flusher.
    pub hot_bytes: usize,
    /// Source of recorded times.
    pub clock: Clock,
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
}

/// What an acknowledged write became.
#[derive(Debug)]
pub struct Receipt {
    /// Its WAL position.
    pub position: u64,
    /// Its recorded time, microseconds UTC.
    pub recorded: i64,
    /// The rows of record tables as they are now, absent fields filled in; columns as [`TableSpec::hot_schema`].
    pub records: Vec<(usize, RecordBatch)>,
}

/// Fills derived columns in at flush.
pub trait Transform: Send + Sync {
    /// `batch` (columns of [`TableSpec::hot_schema`], sorted by key) with derived columns filled in.
    fn apply(&self, table: usize, batch: RecordBatch) -> RecordBatch;
    /// Recorded time of the newest change that `apply` knows of; microseconds UTC.
    fn watermark(&self) -> i64;
}

/// How the store is doing.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why it acknowledges nothing any more.
    pub poisoned: Option<String>,
    /// Why it refuses writes for now.
    pub full: Option<String>,
    /// Rows that are not in segments yet.
    pub hot_rows: usize,
    /// Bytes of memory they take.
    pub hot_bytes: usize,
    /// Bytes of WAL files.
    pub wal_bytes: u64,
    /// Segments of all tables.
    pub segments: usize,
    /// Rows that were corrected or retracted since the store was opened, as flushes found them.
    pub corrections: u64,
    /// Rows that joining segments has rewritten since the store was opened.
    pub joined_rows: u64,
    /// WAL position of the newest visible write.
    pub position: u64,
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
    segments: Vec<Arc<Segment>>,
    history: Vec<Arc<Segment>>,
    dead: Vec<Arc<Dead>>,
    hot: Hot,
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

struct Shared {
    state: RwLock<State>,
    specs: Arc<Vec<TableSpec>>,
    options: Options,
    poisoned: OnceLock<String>,
    full: Mutex<Option<String>>,
    wal: Mutex<Wal>,
    transform: OnceLock<Arc<dyn Transform>>,
    corrections: AtomicU64,
    joined_rows: AtomicU64,
    /// Woken when a flush made room.
    room: (Mutex<()>, Condvar),
    closing: AtomicBool,
    folder: PathBuf,
}

/// An open data folder, held by this process alone.
pub struct Store {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Entry>>>,
    flushes: Sender<flush::Command>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: FolderLock,
}

/// Writes waiting between callers and the writer thread.
const QUEUE: usize = 65_536;

impl Store {
    /// Opens `folder`, creating it where it is missing, and brings back everything acknowledged.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another process has it, [`StoreError::Damaged`] where files are.
    pub fn open(folder: &Path, specs: Vec<TableSpec>, options: Options) -> Result<Self, StoreError> {
        let lock = FolderLock::take(folder)?;
        let specs = Arc::new(specs);
        let opened = off_thread({
            let (folder, specs, options) = (folder.to_owned(), specs.clone(), options.clone());
            move || open_folder(&folder, &specs, &options)
        })?;
        let Opened { state, logs, wal, runtime } = opened;
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            specs,
            options,
            poisoned: OnceLock::new(),
            full: Mutex::new(None),
            wal: Mutex::new(wal),
            transform: OnceLock::new(),
            corrections: AtomicU64::new(0),
            joined_rows: AtomicU64::new(0),
            room: (Mutex::new(()), Condvar::new()),
            closing: AtomicBool::new(false),
            folder: folder.to_owned(),
        });
        let (queue, entries) = crossbeam::channel::bounded(QUEUE);
        let (flushes, commands) = crossbeam::channel::unbounded();
        let writer = spawn("takt-wal", {
            let (shared, flushes) = (shared.clone(), flushes.clone());
            move || writer::run(&shared, &entries, &flushes)
        })?;
        let flusher = Flusher { shared: shared.clone(), logs, retired: Vec::new(), runtime };
        let flusher = spawn("takt-flush", move || flusher.run(&commands))?;
        Ok(Self {
            shared,
            queue: Mutex::new(Some(queue)),
            flushes,
            threads: Mutex::new(vec![writer, flusher]),
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
                    (unsent.0.done)(Err(StoreError::Closed));
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
        let expected = spec.memory_schema();
        let fits = rows.batch.num_columns() == expected.fields().len()
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

    /// Joins the segments of each table into as few as memory allows, and makes what was superseded or re-keyed permanent.
    /// The flusher joins small ones by itself as they gather.
    ///
    /// # Errors
    /// What kept a table's segments from being joined.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.command(flush::Command::Compact)
    }

    /// Writes a consistent copy of the data folder to `to`, which must not exist or be empty, while the store runs on.
    ///
    /// # Errors
    /// [`StoreError`] where files cannot be copied.
    pub fn backup(&self, to: &Path) -> Result<crate::BackupReport, StoreError> {
        let (send, receive) = crossbeam::channel::bounded(1);
        let command = flush::Command::Backup(to.to_owned(), send);
        self.flushes.send(command).map_err(|_| StoreError::Closed)?;
        receive.recv().unwrap_or(Err(StoreError::Closed))
    }

    fn command(
        &self,
        command: impl FnOnce(Sender<Result<(), StoreError>>) -> flush::Command,
    ) -> Result<(), StoreError> {
        let (send, receive) = crossbeam::channel::bounded(1);
        self.flushes.send(command(send)).map_err(|_| StoreError::Closed)?;
        receive.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Place of a table by name.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.shared.specs.iter().position(|spec| spec.name == name)
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
        // The writer ends once its queue is drained; only then is the last flush complete.
        let writer = threads.remove(0);
        let ended = writer.join();
        let flushed = self.command(flush::Command::Flush);
        let stopped = self.flushes.send(flush::Command::Stop);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                return Err(StoreError::Invalid("the flusher panicked".into()));
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
        tracing::error!(reason, "the store is poisoned: nothing more is acknowledged until restart");
        self.poisoned.get_or_init(|| reason.to_owned());
    }

    fn note_full(&self, reason: Option<&StoreError>) {
        *self.full.lock().unwrap_or_else(PoisonError::into_inner) = reason.map(ToString::to_string);
    }

    fn health(&self) -> Health {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Health {
            poisoned: self.poisoned.get().cloned(),
            full: self.full.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            hot_rows: state.tables.iter().map(|table| table.hot.rows()).sum(),
            hot_bytes: state.tables.iter().map(|table| table.hot.bytes()).sum(),
            wal_bytes: self.wal.lock().unwrap_or_else(PoisonError::into_inner).bytes(),
            segments: state.tables.iter().map(|table| table.segments.len() + table.history.len()).sum(),
            corrections: self.corrections.load(Ordering::Relaxed),
            joined_rows: self.joined_rows.load(Ordering::Relaxed),
            position: state.position,
        }
    }
}

impl Table {
    fn new(spec: &TableSpec) -> Self {
        Self {
            spec: Arc::new(spec.clone()),
            segments: Vec::new(),
            history: Vec::new(),
            dead: Vec::new(),
            hot: Hot::default(),
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
                version: self.version,
                dead: self.dead.clone(),
                dead_by_segment: Mutex::new(HashMap::new()),
            })
        });
        view.clone()
    }

    fn changed(&mut self) {
        self.version += 1;
        self.view = None;
    }
}

struct Opened {
    state: State,
    logs: Vec<flush::Logs>,
    wal: Wal,
    runtime: Arc<tokio::runtime::Runtime>,
}

fn open_folder(folder: &Path, specs: &[TableSpec], options: &Options) -> Result<Opened, StoreError> {
    let runtime = crate::log::runtime()?;
    let mut logs = Vec::new();
    let mut tables = Vec::new();
    let mut covered = Vec::new();
    for spec in specs {
        let (table, opened) = open_table(&runtime, folder, spec)?;
        covered.push(opened.covered);
        tables.push(table);
        logs.push(opened);
    }
    // Recorded times never go back, even where the clock does.
    let segments = tables.iter().flat_map(|table| table.segments.iter().chain(&table.history));
    let recorded = segments.map(|segment| segment.recorded_through).max().unwrap_or(i64::MIN);
    let mut state = State { tables, position: 0, recorded };
    let highest = covered.iter().copied().max().unwrap_or_default();
    let wal = Wal::recover(&folder.join("wal"), specs, options.wal_file_bytes, highest, |dictionary, frame| {
        replay(&mut state, specs, dictionary, &frame, &covered)
    })?;
    state.position = wal.next().saturating_sub(1);
    Ok(Opened { state, logs, wal, runtime })
}

fn open_table(
    runtime: &Arc<tokio::runtime::Runtime>,
    folder: &Path,
    spec: &TableSpec,
) -> Result<(Table, flush::Logs), StoreError> {
    let tables = folder.join("tables");
    let rows = TableLog::open_or_create(runtime, &tables.join(&spec.name), spec)?;
    let history_spec = spec.history();
    let history = TableLog::open_or_create(runtime, &tables.join(&history_spec.name), &history_spec)?;
    let mut table = Table::new(spec);
    load_segments(&mut table, &rows, &history, &history_spec)?;
    let covered = rows.covered()?;
    let history_covered = history.covered()?;
    remove_strays(&tables.join(&spec.name), &table.segments)?;
    remove_strays(&tables.join(&history_spec.name), &table.history)?;
    let logs = flush::Logs { rows, history, history_spec, covered, history_covered };
    Ok((table, logs))
}

fn load_segments(
    table: &mut Table,
    rows: &TableLog,
    history: &TableLog,
    history_spec: &TableSpec,
) -> Result<(), StoreError> {
    table.segments = sorted(rows.files()?)?;
    table.history = sorted(history.files()?)?;
    for segment in &table.history {
        table.dead.push(Arc::new(flush::dead_of(&table.spec, history_spec, segment)?));
    }
    Ok(())
}

fn sorted(files: Vec<PathBuf>) -> Result<Vec<Arc<Segment>>, StoreError> {
    let mut segments: Vec<Arc<Segment>> =
        files.iter().map(|path| Segment::open(path).map(Arc::new)).collect::<Result<_, _>>()?;
    segments.sort_by_key(|segment| segment.sequence);
    Ok(segments)
}

/// Files that a crash left behind before their commit: no table names them.
fn remove_strays(folder: &Path, segments: &[Arc<Segment>]) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(folder).map_err(|error| StoreError::io(folder, error))? {
        let path = entry.map_err(|error| StoreError::io(folder, error))?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "parquet");
        if is_segment && !segments.iter().any(|segment| segment.path == path) {
            std::fs::remove_file(&path).map_err(|error| StoreError::io(&path, error))?;
        }
    }
    Ok(())
}

/// Applies one frame of the log, table by table, unless a table covers it already.
fn replay(
    state: &mut State,
    specs: &[TableSpec],
    dictionary: &Dictionary,
    frame: &Frame,
    covered: &[u64],
) -> Result<(), StoreError> {
    let mut decoder = Decoder::new(&frame.blocks);
    while !decoder.is_empty() {
        let number = decoder.table()?;
        let (name, columns) = dictionary
            .tables
            .get(number)
            .ok_or_else(|| StoreError::Invalid("the log names an unknown table".into()))?;
        let table = specs.iter().position(|spec| &spec.name == name);
        let table = table.ok_or_else(|| {
            StoreError::Invalid(format!("the log holds rows of table {name}, which this takt does not know"))
        })?;
        let Some(spec) = specs.get(table) else { continue };
        let mut rows = decoder.block(&apply::schema_of(spec, columns)?)?;
        rows.table = table;
        if covered.get(table).is_some_and(|covered| frame.position <= *covered) {
            continue;
        }
        let rows = apply::refit(spec, rows, columns)?;
        if let Some(table) = state.tables.get_mut(table) {
            apply::apply(table, &rows, frame.position, frame.recorded, &frame.by)?;
        }
    }
    state.recorded = state.recorded.max(frame.recorded);
    Ok(())
}

pub(crate) fn read_only(folder: &Path, specs: Vec<TableSpec>) -> Result<Arc<Snapshot>, StoreError> {
    if !folder.join("tables").is_dir() {
        return Err(StoreError::Invalid(format!(
            "{} is no takt data folder: it has no folder `tables`",
            folder.display()
        )));
    }
    let folder = folder.to_owned();
    off_thread(move || {
        let runtime = crate::log::runtime()?;
        let mut tables = Vec::new();
        let mut covered = Vec::new();
        for spec in &specs {
            let mut table = Table::new(spec);
            let history_spec = spec.history();
            let rows = TableLog::open(&runtime, &folder.join("tables").join(&spec.name))?;
            let history = TableLog::open(&runtime, &folder.join("tables").join(&history_spec.name))?;
            if let (Some(rows), Some(history)) = (&rows, &history) {
                load_segments(&mut table, rows, history, &history_spec)?;
            }
            covered.push(rows.as_ref().map_or(Ok(0), TableLog::covered)?);
            tables.push(table);
        }
        let mut state = State { tables, position: 0, recorded: i64::MIN };
        let next = crate::wal::read(&folder.join("wal"), |dictionary, frame| {
            replay(&mut state, &specs, dictionary, &frame, &covered)
        })?;
        state.position = next.saturating_sub(1);
        let tables = state.tables.iter_mut().map(Table::view).collect();
        Ok(Arc::new(Snapshot { tables, position: state.position }))
    })
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
