//! One consistent view of all tables.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use crate::StoreError;
use crate::dead::Dead;
use crate::hot::{ALWAYS, Hot, SameRow, Settled, in_schema, places_in_order, plain};
use crate::keys::{KeySet, pick, time_span};
use crate::newest::Newest;
use crate::segment::{Segment, first_kept};
use crate::sought::{Found, newest_rows};
use crate::spec::{
    CHANGE_REASON, DELETED, RECORDED, RECORDED_BY, SUPERSEDED, SUPERSEDED_BY, SUPERSEDED_REASON, TableSpec,
};
use crate::store::{history_through, superseded_after};

/// All tables as they were at one WAL position.
#[derive(Debug)]
pub struct Snapshot {
    /// The tables, in the order of the specs the store was opened with.
    pub tables: Vec<Arc<TableView>>,
    /// WAL position of the newest write in it.
    pub position: u64,
}

impl Snapshot {
    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Arc<TableView>> {
        self.tables.iter().find(|table| table.spec.name == name)
    }
}

/// One table in a snapshot.
#[derive(Debug)]
pub struct TableView {
    /// The table.
    pub spec: Arc<TableSpec>,
    /// Its segments, oldest first.
    pub segments: Vec<Arc<Segment>>,
    /// The segments of its history, oldest first.
    pub history: Vec<Arc<Segment>>,
    /// What is not flushed yet.
    pub hot: Hot,
    /// How long its rows are kept. None: for ever, as far as is known.
    pub(crate) kept: Option<Duration>,
    /// Changes with every change of the table.
    pub version: u64,
    pub(crate) newest: Arc<Newest>,
    pub(crate) dead: Vec<Arc<Dead>>,
    pub(crate) dead_by_segment: Mutex<HashMap<PathBuf, Option<Arc<KeySet>>>>,
    /// The hot rows and what they mean for the segments, once that was asked for.
    pub(crate) settled: OnceLock<(Settled, Flushed)>,
}

impl TableView {
    /// The newest hot row of each key, sorted by key, columns as [`TableSpec::hot_schema`]. Retracted rows are among them,
    /// with `deleted` true. `filter` may look at key columns only: it keeps or drops all versions of a row alike, and where the
    /// key holds a time drops all rows outside `span` (first and last microsecond).
    ///
    /// # Errors
    /// What `filter` returns.
    pub fn hot_rows(
        &self,
        span: (i64, i64),
        filter: Option<&dyn Fn(&RecordBatch) -> Result<BooleanArray, StoreError>>,
    ) -> Result<RecordBatch, StoreError> {
        Ok(self.hot.settle(&self.spec, span, filter)?.newest)
    }

    /// Whether hot rows can lie within `span` (first and last microsecond).
    pub fn may_have_hot_rows(&self, (from, to): (i64, i64)) -> bool {
        self.hot.chunks.iter().any(|chunk| chunk.span.is_none_or(|(first, last)| first <= to && from <= last))
    }

    /// Every version of the hot rows, oldest first, columns as [`TableSpec::memory_schema`] or [`TableSpec::hot_schema`].
    pub fn hot_versions(&self) -> impl Iterator<Item = &RecordBatch> {
        self.hot.chunks.iter().map(|chunk| &chunk.batch)
    }

    /// The first moment of which rows are kept at `now_us`: of what is older, days are removed. None: all are, as far as is known.
    pub fn kept_from(&self, now_us: i64) -> Option<i64> {
        let kept_us = i64::try_from(self.kept?.as_micros()).unwrap_or(i64::MAX);
        Some(first_kept(now_us, kept_us))
    }

    /// The earliest time of its rows, superseded ones among them, where its key holds a time; microseconds UTC.
    pub fn first_time(&self) -> Option<i64> {
        let hot = self.hot.chunks.iter().filter_map(|chunk| Some(chunk.span?.0));
        self.segments.iter().filter_map(|segment| segment.min_time).chain(hot).min()
    }

    /// When the newest of all changes was recorded that the table and its history know, retractions included;
    /// microseconds UTC.
    pub fn newest_recorded(&self) -> Option<i64> {
        let of = |segments: &[Arc<Segment>], column: &str| {
            segments.iter().filter_map(|segment| Some(segment.span_of(column)?.1)).max()
        };
        let hot = self.hot.chunks.iter().filter_map(|chunk| Some(time_span(&chunk.batch, RECORDED)?.1)).max();
        [of(&self.segments, RECORDED), of(&self.history, SUPERSEDED), hot].into_iter().flatten().max()
    }

    fn settled_upon(&self) -> Result<&(Settled, Flushed), StoreError> {
        if let Some(found) = self.settled.get() {
            return Ok(found);
        }
        let found = settled_upon(&self.spec, &self.segments, &self.dead, &self.hot)?;
        Ok(self.settled.get_or_init(|| found))
    }

    /// Every current row, columns as the table's schema; retracted ones are left out. For tables that fit in memory.
    ///
    /// # Errors
    /// [`StoreError`] where a segment cannot be read.
    pub fn rows(&self) -> Result<RecordBatch, StoreError> {
        let current = self.newest()?;
        let parts: Result<Vec<_>, StoreError> =
            current.iter().map(|rows| aligned(&self.spec, &not_retracted(rows)?)).collect();
        Ok(concat_batches(&self.spec.schema, &parts?)?)
    }

    /// The newest row of every key, segment by segment, then the hot rows; retracted ones too, columns as they are stored.
    pub(crate) fn newest(&self) -> Result<Vec<RecordBatch>, StoreError> {
        let of_segment = |segment: &Segment| {
            let rows = segment.read()?;
            match self.dead_keys(segment)? {
                Some(dead) => Ok(crate::segment::keep(&rows, &dead.filter(&rows)?)?),
                None => Ok(rows),
            }
        };
        let flushed = self.segments.iter().map(|segment| of_segment(segment));
        flushed.chain([self.hot_rows(ALWAYS, None)]).collect()
    }

    /// Keys of `segment` whose rows are superseded, by later segments or by hot rows; `None` where there are none, so
    /// that the segment can be read as it is.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where hot rows do not fit the table.
    pub fn dead_keys(&self, segment: &Segment) -> Result<Option<Arc<KeySet>>, StoreError> {
        let mut known = self.dead_by_segment.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&segment.path) {
            return Ok(found.clone());
        }
        let mut sources: Vec<Arc<KeySet>> =
            self.dead.iter().filter(|dead| dead.hides_in(segment)).map(|dead| dead.keys.clone()).collect();
        if let Some(hot) = self.hot_keys_in(segment)? {
            sources.push(Arc::new(hot));
        }
        let found = match sources.len() {
            0 => None,
            1 => sources.pop(),
            _ => Some(Arc::new(KeySet::union(&self.spec, &sources))),
        };
        known.insert(segment.path.clone(), found.clone());
        Ok(found)
    }

    /// Keys of hot rows that `segment` may hold too: all of them, or where the key holds a time, those in its span.
    fn hot_keys_in(&self, segment: &Segment) -> Result<Option<KeySet>, StoreError> {
        let mut keys = KeySet::new(&self.spec);
        for chunk in &self.hot.chunks {
            if !segment.meets(chunk.span) {
                continue;
            }
            let (Some(index), Some(low), Some(high)) = (self.spec.time, segment.min_time, segment.max_time) else {
                keys.extend(&chunk.batch)?;
                continue;
            };
            let times = plain(&chunk.batch, self.spec.schema.field(index).name(), &crate::spec::time_type())?;
            let times = arrow::compute::cast(&times, &DataType::Int64)?;
            let times = times.as_primitive::<arrow::datatypes::Int64Type>();
            let within: BooleanArray =
                times.iter().map(|time| Some(time.is_none_or(|time| low <= time && time <= high))).collect();
            let late = crate::segment::keep(&chunk.batch, &within)?;
            if late.num_rows() > 0 {
                keys.extend(&late)?;
            }
        }
        Ok((!keys.is_empty()).then_some(keys))
    }

    /// Superseded versions that are not in the history's segments yet; columns as [`TableSpec::history`].
    ///
    /// # Errors
    /// [`StoreError`] where a segment cannot be read.
    pub fn pending_history(&self) -> Result<RecordBatch, StoreError> {
        let (settled, flushed) = self.settled_upon()?;
        let history = self.spec.history();
        let parts = [
            history_rows(&self.spec, &settled.superseded, &settled.replacement)?,
            history_rows(&self.spec, &flushed.older, &flushed.newer)?,
        ];
        let rows = concat_batches(&history.schema, &parts)?;
        crate::segment::keep(&rows, &superseded_after(&rows, history_through(&self.history)))
    }
}

fn not_retracted(rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let Some(deleted) = rows.column_by_name(DELETED).and_then(|column| column.as_boolean_opt()) else {
        return Ok(rows.clone());
    };
    let current: BooleanArray = deleted.iter().map(|deleted| Some(deleted != Some(true))).collect();
    crate::segment::keep(rows, &current)
}

/// What a settled set of rows means for older segments.
#[derive(Debug)]
pub(crate) struct Flushed {
    /// Rows of the segments that are superseded.
    pub(crate) older: RecordBatch,
    /// For each of them, the row that replaced it.
    pub(crate) newer: RecordBatch,
    /// For each newest row: false where a segment already says the same.
    pub(crate) news: BooleanArray,
    /// For each newest row: true where it takes the place of another version, of a segment or of the hot buffer.
    pub(crate) replaces: BooleanArray,
}

/// The hot rows, settled, and what they mean for `segments`.
pub(crate) fn settled_upon(
    spec: &TableSpec,
    segments: &[Arc<Segment>],
    dead: &[Arc<Dead>],
    hot: &Hot,
) -> Result<(Settled, Flushed), StoreError> {
    let settled = hot.settle(spec, ALWAYS, None)?;
    let flushed = superseded_in_segments(spec, segments, dead, &settled)?;
    Ok((settled, flushed))
}

/// Looks the keys of `settled` up in `segments`. Where a key has several hot versions, the oldest of them is the one that
/// replaced the segment's row, and the newest is always news: what came between is history and hides the segment's row.
fn superseded_in_segments(
    spec: &TableSpec,
    segments: &[Arc<Segment>],
    dead: &[Arc<Dead>],
    settled: &Settled,
) -> Result<Flushed, StoreError> {
    let oldest = &settled.oldest;
    let mut news = vec![true; oldest.num_rows()];
    let mut replaces: Vec<bool> = settled.single.iter().map(|single| !single).collect();
    let Some(Found { rows: found, hidden }) = newest_rows(spec, segments, dead, oldest)? else {
        return Ok(Flushed {
            older: oldest.slice(0, 0),
            newer: oldest.slice(0, 0),
            news: BooleanArray::from(news),
            replaces: BooleanArray::from(replaces),
        });
    };
    let places = places_in_order(spec, &found, oldest)?;
    let same = SameRow::new(spec, &found, oldest)?;
    let (mut older, mut newer) = (Vec::new(), Vec::new());
    for ((row, place), hidden) in (0_u32..).zip(places).zip(hidden) {
        let Some(place) = place else { continue };
        if hidden || !same.row(row, place) {
            // The history has a hidden row already, by what replaced it: a row that has left, or one that is hot still.
            if !hidden {
                older.push(row);
                newer.push(place);
            }
            if let Some(flag) = replaces.get_mut(place as usize) {
                *flag = true;
            }
            continue;
        }
        if let (Some(flag), Some(true)) = (news.get_mut(place as usize), settled.single.get(place as usize)) {
            *flag = false;
        }
    }
    Ok(Flushed {
        older: pick(&found, older)?,
        newer: pick(oldest, newer)?,
        news: BooleanArray::from(news),
        replaces: BooleanArray::from(replaces),
    })
}

/// The columns of `spec.schema`, in its order, by name.
pub(crate) fn aligned(spec: &TableSpec, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    in_schema(rows, &spec.schema)
}

/// Rows of the history table: `older` as they were, and when, by whom and why `newer` replaced them.
pub(crate) fn history_rows(
    spec: &TableSpec,
    older: &RecordBatch,
    newer: &RecordBatch,
) -> Result<RecordBatch, StoreError> {
    let history = spec.history();
    let mut columns = Vec::with_capacity(history.schema.fields().len());
    for field in history.schema.fields() {
        let (source, name) = match field.name().as_str() {
            SUPERSEDED => (newer, RECORDED),
            SUPERSEDED_BY => (newer, RECORDED_BY),
            SUPERSEDED_REASON => (newer, CHANGE_REASON),
            other => (older, other),
        };
        let optional = matches!(name, RECORDED | RECORDED_BY | CHANGE_REASON | DELETED);
        let missing = source.column_by_name(name).is_none();
        columns.push(if missing && optional {
            arrow::array::new_null_array(field.data_type(), older.num_rows())
        } else {
            plain(source, name, field.data_type())?
        });
    }
    Ok(RecordBatch::try_new(history.schema.clone(), columns)?)
}

/// Opens a data folder to read it: its segments, and what its WAL holds beyond them. Takes no lock and changes nothing.
///
/// # Errors
/// [`StoreError`] where the folder is no data folder, or damaged.
pub fn open_read_only(folder: &Path, specs: Vec<TableSpec>) -> Result<Arc<Snapshot>, StoreError> {
    crate::store::read_only(folder, specs)
}
