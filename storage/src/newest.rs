//! The newest row of each series of a table: of the rows whose keys differ in their time only.
//!
//! A row is newer by its time, and by its version where times are equal. Since rows of such tables are replaced but never
//! retracted, the newest of some rows is among the newest of their parts: so a segment is looked through once, and what
//! is known of segments stays known whatever becomes of their files.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};

use crate::StoreError;
use crate::keys::{KeyOrder, begins, pick};
use crate::segment::{Segment, keep};
use crate::snapshot::{Snapshot, TableView};
use crate::spec::{TableSpec, Upsert};

/// How many states of the segments are remembered: a statement looks at a view that is a flush or two old.
const STATES: usize = 3;

/// The newest rows of segments, kept from one question to the next.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// Oldest first.
    known: Mutex<VecDeque<Known>>,
    /// Held while segments are looked through: whoever asks meanwhile waits instead of doing the same.
    looking: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    /// WAL position up to which all segments are looked through.
    through: u64,
    /// As [`TableSpec::memory_schema`], in key order.
    rows: RecordBatch,
}

impl Newest {
    /// What is known of the segments up to `through`, and at most of those: later ones are not for an older view.
    fn known(&self, through: u64) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().rev().find(|known| known.through <= through).cloned()
    }

    /// The same once rows before `from` have left the segments; `segments` are those that are left. Each view has what is
    /// true of it: an older one keeps what was known before.
    pub(crate) fn without(&self, spec: &TableSpec, from: i64, segments: &[Arc<Segment>]) -> Result<Self, StoreError> {
        let last = self.known.lock().unwrap_or_else(PoisonError::into_inner).back().cloned();
        let Some(last) = last else { return Ok(Self::default()) };
        let mut left: Vec<&Arc<Segment>> = segments.iter().filter(|segment| segment.sequence <= last.through).collect();
        left.sort_by_key(|segment| segment.sequence);
        let Some(through) = left.last().map(|segment| segment.sequence) else { return Ok(Self::default()) };
        // What was the newest of a series and is gone may have left older ones behind, in segments that reach so far back.
        let reaches = |segment: &&&Arc<Segment>| segment.min_time.is_none_or(|time| time < from);
        let older = left.iter().filter(reaches).map(|segment| segment.newest_rows(spec));
        let mut parts: Vec<RecordBatch> = older.collect::<Result<_, _>>()?;
        // Last, for of equal keys the last row counts.
        parts.push(since(spec, &last.rows, from)?);
        let rows = last_rows(spec, &concat_batches(&spec.memory_schema(), &parts)?)?;
        Ok(Self { known: Mutex::new(VecDeque::from([Known { through, rows }])), looking: Mutex::default() })
    }

    fn keep(&self, fresh: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.back().is_none_or(|known| known.through < fresh.through) {
            known.push_back(fresh);
            if known.len() > STATES {
                known.pop_front();
            }
        }
    }
}

impl TableSpec {
    /// Whether rows form series: all of a key but the time, which comes last, and rows that are never retracted.
    pub fn has_series(&self) -> bool {
        self.upsert == Upsert::Whole && self.time.is_some() && self.key.last() == self.time.as_ref()
    }
}

impl TableView {
    /// The newest row of each series ([`TableSpec::has_series`]), in key order; columns as [`TableSpec::memory_schema`].
    /// Derived columns are as they were stored.
    ///
    /// # Errors
    /// [`StoreError`] where a segment cannot be read, [`StoreError::Invalid`] where rows form no series.
    pub fn newest_of_series(&self) -> Result<RecordBatch, StoreError> {
        if !self.spec.has_series() {
            return Err(StoreError::Invalid(format!("the rows of {} form no series", self.spec.name)));
        }
        let segments = self.newest_in_segments(&|| false)?;
        if self.hot.rows() == 0 {
            return Ok(segments);
        }
        let mut parts = vec![segments];
        for chunk in &self.hot.chunks {
            parts.push(chunk.newest_rows(&self.spec)?);
        }
        last_rows(&self.spec, &concat_batches(&self.spec.memory_schema(), &parts)?)
    }

    /// Looks through the segments that nobody has looked through, and remembers it segment by segment.
    ///
    /// # Errors
    /// [`StoreError::Closed`] where `ended` says that nobody needs to know any more.
    fn newest_in_segments(&self, ended: &dyn Fn() -> bool) -> Result<RecordBatch, StoreError> {
        let mut segments: Vec<&Arc<Segment>> = self.segments.iter().collect();
        segments.sort_by_key(|segment| segment.sequence);
        let through = segments.last().map_or(0, |segment| segment.sequence);
        if let Some(known) = self.newest.known(through).filter(|known| known.through == through) {
            return Ok(known.rows);
        }
        let _looking = self.newest.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let schema = self.spec.memory_schema();
        let mut known = self.newest.known(through);
        let behind = known.as_ref().map_or(0, |known| known.through);
        let fresh = segments.partition_point(|segment| known.is_some() && segment.sequence <= behind);
        // Pieces of one merge have one sequence: only all of them together are a state.
        for pieces in segments.get(fresh..).unwrap_or_default().chunk_by(|one, next| one.sequence == next.sequence) {
            let mut parts: Vec<RecordBatch> = known.take().into_iter().map(|known| known.rows).collect();
            for segment in pieces {
                if ended() {
                    return Err(StoreError::Closed);
                }
                parts.push(segment.newest_rows(&self.spec)?);
            }
            let rows = last_rows(&self.spec, &concat_batches(&schema, &parts)?)?;
            let through = pieces.first().map_or(through, |segment| segment.sequence);
            let state = Known { through, rows };
            self.newest.keep(state.clone());
            known = Some(state);
        }
        Ok(known.map_or_else(|| RecordBatch::new_empty(schema), |known| known.rows))
    }
}

/// Looks through the segments of a snapshot before the first question for newest rows has to wait for it. Their outlines
/// come first: they are read in no time, and sums over whole tables are answered from them.
pub(crate) fn look(snapshot: &Snapshot, ended: &dyn Fn() -> bool) {
    let views = || snapshot.tables.iter().filter(|view| view.spec.has_series());
    for segment in views().flat_map(|view| &view.segments) {
        if ended() {
            return;
        }
        segment.outline();
    }
    for view in views() {
        match view.newest_in_segments(ended) {
            Ok(_) | Err(StoreError::Closed) => {}
            Err(error) => tracing::warn!(table = view.spec.name, %error, "the newest rows are not known yet"),
        }
    }
}

/// The last row of each series, in key order, as [`TableSpec::memory_schema`]; of rows with one key the last.
pub(crate) fn last_rows(spec: &TableSpec, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let sorted = pick(rows, KeyOrder::of(rows, &spec.key)?.rows)?;
    let ends = series_ends(spec, &sorted)?;
    in_layout(&pick(&sorted, ends)?, &spec.memory_schema())
}

/// Rows of a batch in key order behind which another series begins, and the last one.
pub(crate) fn series_ends(spec: &TableSpec, sorted: &RecordBatch) -> Result<Vec<u32>, StoreError> {
    let series = spec.key.iter().filter(|&&index| Some(index) != spec.time);
    let columns: Option<Vec<ArrayRef>> =
        series.map(|&index| sorted.column_by_name(spec.schema.field(index).name()).cloned()).collect();
    let columns = columns.ok_or_else(|| StoreError::Invalid(format!("{}: rows without their key", spec.name)))?;
    if columns.is_empty() || sorted.num_rows() == 0 {
        return Ok((0..u32::try_from(sorted.num_rows()).unwrap_or(u32::MAX)).next_back().into_iter().collect());
    }
    let begins = begins(&columns)?.into_iter().skip(1).chain([sorted.num_rows()]);
    Ok(begins.filter_map(|begin| u32::try_from(begin.checked_sub(1)?).ok()).collect())
}

/// The rows that are not older than `from`, by the column that says so; what has no time stays.
pub(crate) fn since(spec: &TableSpec, rows: &RecordBatch, from: i64) -> Result<RecordBatch, StoreError> {
    let times = spec.age.and_then(|index| rows.column_by_name(spec.schema.field(index).name()));
    let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let Some(times) = times else { return Ok(rows.clone()) };
    let stays: BooleanArray = times.iter().map(|time| Some(time.is_none_or(|time| from <= time))).collect();
    keep(rows, &stays)
}

/// The columns of `schema`, which `rows` has, by name.
fn in_layout(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let places: Result<Vec<usize>, _> =
        schema.fields().iter().map(|field| rows.schema().index_of(field.name())).collect();
    Ok(RecordBatch::try_new(schema.clone(), rows.project(&places?)?.columns().to_vec())?)
}
