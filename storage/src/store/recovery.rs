//! Bringing a data folder back: tables from their logs, then what the WAL holds beyond them.

use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use super::apply::Durable;
use super::resolve::Cold;
use super::{Options, State, Table, apply, flush, off_thread};
use crate::StoreError;
use crate::codec::Decoder;
use crate::dead::Dead;
use crate::disk::{Disk, sync_error};
use crate::log::{Named, TableLog};
use crate::segment::Segment;
use crate::snapshot::Snapshot;
use crate::spec::{TableSpec, Upsert};
use crate::wal::{Dictionary, Frame, Wal};

/// How often a log that changes while it is read is read again.
const LOOKS: usize = 20;

/// What a table begins with: its segments, and then rows of the log.
struct Start {
    /// WAL position up to which segments have the rows.
    covered: u64,
    history_spec: Arc<TableSpec>,
    /// Segments of the history that reach further: a flush got no further than that. What its rows superseded is not hidden
    /// before they are replayed, for they may take values over from it.
    ahead: Vec<Arc<Segment>>,
    /// When the first row of the log that segments do not have was recorded, microseconds UTC.
    first: Option<i64>,
}

pub(super) struct Opened {
    pub(super) state: State,
    pub(super) logs: Vec<flush::Logs>,
    pub(super) wal: Wal,
    pub(super) runtime: Arc<tokio::runtime::Runtime>,
}

pub(super) fn open_folder(folder: &Path, specs: &[TableSpec], options: &Options) -> Result<Opened, StoreError> {
    let runtime = crate::log::runtime()?;
    let mut logs = Vec::new();
    let mut tables = Vec::new();
    let mut starts = Vec::new();
    let is_first_start = !folder.join("wal").is_dir();
    for spec in specs {
        for name in [&spec.name, &spec.history().name] {
            if !is_first_start && !folder.join("tables").join(name).is_dir() {
                tracing::warn!(table = name, "the data folder does not have this table; it begins empty");
            }
        }
        let (table, start, opened) = open_table(&runtime, &options.disk, folder, spec)?;
        starts.push(start);
        tables.push(table);
        logs.push(opened);
    }
    // Only now is what the tables name known to be there.
    if let Err(error) = crate::cold::sweep(options.disk.as_ref(), folder) {
        tracing::warn!(%error, "what a crash has left in the cold folder stays there");
    }
    // Recorded times never go back, even where the clock does.
    let segments = tables.iter().flat_map(|table| table.segments.iter().chain(&table.history));
    let recorded = segments.map(|segment| segment.recorded_through).max().unwrap_or(i64::MIN);
    let mut state = State { tables, position: 0, recorded };
    let highest = starts.iter().map(|start| start.covered).max().unwrap_or_default();
    let disk = (options.disk.clone(), options.wal_file_bytes);
    let wal = Wal::recover(&folder.join("wal"), specs, disk, highest, |dictionary, frame| {
        replay(&mut state, specs, dictionary, &frame, &mut starts)
    })?;
    hide_superseded(&mut state, &starts)?;
    state.position = wal.next().saturating_sub(1);
    // A former start may have ended before it made these names durable.
    for named in [folder.to_owned(), folder.join("tables")] {
        options.disk.sync_folder(&named).map_err(|error| sync_error(&named, &error))?;
    }
    Ok(Opened { state, logs, wal, runtime })
}

fn open_table(
    runtime: &Arc<tokio::runtime::Runtime>,
    disk: &Arc<dyn Disk>,
    folder: &Path,
    spec: &TableSpec,
) -> Result<(Table, Start, flush::Logs), StoreError> {
    let tables = folder.join("tables");
    let rows = TableLog::open_or_create(runtime, disk, &tables.join(&spec.name), spec)?;
    let history_spec = Arc::new(spec.history());
    let history = TableLog::open_or_create(runtime, disk, &tables.join(&history_spec.name), &history_spec)?;
    let mut table = Table::new(spec);
    let start = load_segments(&mut table, &rows, &history, &history_spec)?;
    let history_covered = history.covered()?;
    remove_strays(disk.as_ref(), &tables.join(&spec.name), &table.segments)?;
    remove_strays(disk.as_ref(), &tables.join(&history_spec.name), &table.history)?;
    let logs = flush::Logs { rows, history, history_spec, covered: start.covered, history_covered };
    Ok((table, start, logs))
}

fn load_segments(
    table: &mut Table,
    rows: &TableLog,
    history: &TableLog,
    history_spec: &Arc<TableSpec>,
) -> Result<Start, StoreError> {
    table.segments = sorted(rows.named()?)?;
    table.history = sorted(history.named()?)?;
    let mut start =
        Start { covered: rows.covered()?, history_spec: history_spec.clone(), ahead: Vec::new(), first: None };
    let (ahead, behind) = table.history.iter().cloned().partition(|segment| segment.sequence > start.covered);
    start.ahead = ahead;
    hide(table, history_spec, &behind, &(..))?;
    Ok(start)
}

/// Hides rows of a table's segments that were superseded within `times`, as segments of its history say.
fn hide(
    table: &mut Table,
    history_spec: &TableSpec,
    history: &[Arc<Segment>],
    times: &impl RangeBounds<i64>,
) -> Result<(), StoreError> {
    for history in history {
        table.dead.extend(Dead::read(&table.spec, history_spec, history, &table.segments, times)?);
    }
    table.dead = Dead::settle(&table.spec, &table.segments, &table.dead);
    Ok(())
}

/// Hides also what rows of the log supersede, once these are replayed.
fn hide_superseded(state: &mut State, starts: &[Start]) -> Result<(), StoreError> {
    let recorded = state.recorded;
    for (table, start) in state.tables.iter_mut().zip(starts) {
        // Where a server writes meanwhile, its history may be ahead of the log as it was read, too.
        let known = table.segments.iter().map(|segment| segment.recorded_through).fold(recorded, i64::max);
        hide(table, &start.history_spec, &start.ahead, &(start.first.unwrap_or(i64::MIN)..=known))?;
    }
    Ok(())
}

fn sorted(files: Vec<Named>) -> Result<Vec<Arc<Segment>>, StoreError> {
    let mut segments: Vec<Arc<Segment>> =
        files.iter().map(|file| opened(file).map(Arc::new)).collect::<Result<_, _>>()?;
    segments.sort_by_key(|segment| segment.sequence);
    Ok(segments)
}

/// The segment that a table log names: another file may lie in its place.
fn opened(named: &Named) -> Result<Segment, StoreError> {
    let segment = Segment::open(&named.path)?;
    let rows = named.rows.unwrap_or(segment.rows);
    if (segment.bytes, segment.rows) == (named.bytes, rows) {
        return Ok(segment);
    }
    let message = format!(
        "it has {} bytes and {} rows, of which the table's log says {} and {rows}",
        segment.bytes, segment.rows, named.bytes
    );
    Err(StoreError::Damaged { path: named.path.clone(), message })
}

/// Files that a crash left behind before their commit: no table names them.
fn remove_strays(disk: &dyn Disk, folder: &Path, segments: &[Arc<Segment>]) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(folder).map_err(|error| StoreError::io(folder, error))? {
        let path = entry.map_err(|error| StoreError::io(folder, error))?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "parquet");
        if is_segment && !segments.iter().any(|segment| segment.path == path) {
            crate::cold::remove(disk, &path).map_err(|error| StoreError::io(&path, error))?;
        } else if crate::cold::is_left_over(&path) {
            disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
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
    starts: &mut [Start],
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
        let (Some(start), Some(of)) = (starts.get_mut(table), state.tables.get_mut(table)) else { continue };
        if frame.position <= start.covered {
            continue;
        }
        if start.first.is_none() {
            start.first = Some(frame.recorded);
            hide(of, &start.history_spec, &start.ahead, &(..frame.recorded))?;
        }
        let rows = apply::refit(spec, rows, columns)?;
        state.recorded = state.recorded.max(apply::last_recorded(spec, frame.recorded, rows.batch.num_rows()));
        let write = Durable { rows: &rows, position: frame.position, recorded: frame.recorded, by: &frame.by };
        match spec.upsert {
            Upsert::Whole => apply::apply_whole(of, &[write])?,
            Upsert::Record => drop(apply::apply_records(of, write, &Cold::default())?),
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
    let folder = crate::lock::canonical(folder)?;
    off_thread(move || {
        let runtime = crate::log::runtime()?;
        // The WAL first, the tables after: a server may be writing, and what it cuts from the log between the two reads is
        // in the tables by then.
        let (frames, next) = frames(&folder.join("wal"))?;
        let mut tables = Vec::new();
        let mut starts = Vec::new();
        for spec in &specs {
            let mut table = Table::new(spec);
            let history_spec = Arc::new(spec.history());
            let rows = TableLog::read(&runtime, &folder.join("tables").join(&spec.name))?;
            let history = TableLog::read(&runtime, &folder.join("tables").join(&history_spec.name))?;
            starts.push(match (&rows, &history) {
                (Some(rows), Some(history)) => load_segments(&mut table, rows, history, &history_spec)?,
                _ => Start { covered: 0, history_spec, ahead: Vec::new(), first: None },
            });
            tables.push(table);
        }
        let mut state = State { tables, position: 0, recorded: i64::MIN };
        for (dictionary, frame) in &frames {
            replay(&mut state, &specs, dictionary, frame, &mut starts)?;
        }
        hide_superseded(&mut state, &starts)?;
        state.position = next.unwrap_or(1).saturating_sub(1);
        let tables = state.tables.iter_mut().map(Table::view).collect();
        Ok(Arc::new(Snapshot { tables, position: state.position }))
    })
}

/// How many writes the log in `folder` holds, and the position that would come next, `None` where there is no log.
pub(crate) fn read_log(folder: &Path) -> Result<(u64, Option<u64>), StoreError> {
    frames(folder).map(|(frames, next)| (frames.len() as u64, next))
}

/// Looks at the log of a folder that a server may be writing: where a file goes away or changes hands meanwhile, again.
fn frames(folder: &Path) -> Result<(Vec<(Dictionary, Frame)>, Option<u64>), StoreError> {
    let mut last = None;
    for _ in 0..LOOKS {
        let mut frames = Vec::new();
        let next = crate::wal::read(folder, |dictionary, frame| {
            frames.push((dictionary.clone(), frame));
            Ok(())
        });
        match next {
            Ok(next) => return Ok((frames, next)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or(StoreError::Closed))
}
