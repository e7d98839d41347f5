//! Rows of a table of records, read without a plan: a function asks for them many times, of one machine or of all at once.
//! Names come as dictionaries, so whoever goes through the rows looks at a name once for each batch.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{and, cast, filter_record_batch, not};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use storage::{KeySet, PageBounds, Segment, SegmentRows};

use crate::error::QueryError;
use crate::reach::Reach;
use crate::table::{DELETED, SnapshotTable};

/// Rows of one batch.
const BATCH_ROWS: usize = 16_384;
/// A part has at least so many rows, but for the last.
const PART_ROWS: u64 = if cfg!(test) { 16 } else { 1 << 17 };

/// Which rows and columns of a table are wanted.
pub(crate) struct Selection {
    /// What its filters leave possible.
    reach: Reach,
    /// What rows have to fulfil, of the columns of `read`.
    predicate: Arc<dyn PhysicalExpr>,
    /// The columns of the answer, and those that `predicate` reads besides.
    read: SchemaRef,
    /// The columns of the answer, which come first.
    count: usize,
    /// What rows have to fulfil, of these columns: where it is about more than keys, which choose pages already, the others are
    /// read of rows that fulfil it.
    ahead: Option<(SchemaRef, Arc<dyn PhysicalExpr>)>,
}

/// Reads rows one after another: of segments, then of the hot buffer.
pub(crate) struct RecordRows {
    table: SnapshotTable,
    selection: Arc<Selection>,
    segments: VecDeque<Arc<Segment>>,
    open: Option<Open>,
    /// Whether hot rows are still to come.
    hot: bool,
}

/// How long a turn goes on beginning steps: whoever goes turn by turn can give up, and to hand over takes as long as to read some
/// thousand rows.
const TURN: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(5) };
/// A turn finds at most so many batches, which somebody may keep.
const TURN_BATCHES: usize = 4;

/// What came of a step, which is to open a segment or to read a batch.
enum Step {
    Rows(RecordBatch),
    /// More may come.
    Nothing,
    End,
}

/// A segment that is being read.
struct Open {
    rows: SegmentRows,
    /// Keys of superseded rows.
    dead: Option<Arc<KeySet>>,
}

impl RecordRows {
    /// The rows of a table in at most so many parts, which together are all of them, by the times of their segments.
    pub(crate) fn parts(table: &SnapshotTable, selection: &Arc<Selection>, parts: usize) -> Vec<Self> {
        let mut segments = table.segments(&selection.reach);
        segments.sort_by_key(|segment| segment.min_time);
        let rows: u64 = segments.iter().map(|segment| segment.rows).sum();
        let share = rows.div_ceil(u64::try_from(parts.max(1)).unwrap_or(1)).max(PART_ROWS);
        let nothing = || Self {
            table: table.clone(),
            selection: Arc::clone(selection),
            segments: VecDeque::new(),
            open: None,
            hot: false,
        };
        let (mut found, mut part, mut held) = (Vec::new(), nothing(), 0);
        for segment in segments {
            if held >= share {
                found.push(std::mem::replace(&mut part, nothing()));
                held = 0;
            }
            held += segment.rows;
            part.segments.push_back(segment);
        }
        part.hot = true;
        found.push(part);
        found
    }

    /// How many rows its segments have, wanted or not.
    pub(crate) fn stored(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    /// Reads for a while, and says whether that was all.
    pub(crate) fn turn<E: From<DataFusionError>>(
        &mut self,
        mut take: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<bool, E> {
        let (began, mut found) = (Instant::now(), 0);
        loop {
            match self.step()? {
                Step::Rows(batch) => {
                    take(batch)?;
                    found += 1;
                }
                Step::Nothing => {}
                Step::End => return Ok(true),
            }
            if found == TURN_BATCHES || began.elapsed() >= TURN {
                return Ok(false);
            }
        }
    }

    /// Opens a segment, or reads a batch.
    fn step(&mut self) -> Result<Step> {
        let rows = if let Some(open) = &mut self.open {
            let rows = open.rows.next().transpose();
            match rows.map_err(QueryError::from)? {
                Some(rows) => self.selection.kept(&rows, open.dead.as_deref())?,
                None => {
                    self.open = None;
                    return Ok(Step::Nothing);
                }
            }
        } else if let Some(segment) = self.segments.pop_front() {
            self.open = self.opened(segment)?;
            return Ok(Step::Nothing);
        } else if std::mem::take(&mut self.hot) {
            self.selection.kept(&self.table.hot_rows(&self.selection.reach)?, None)?
        } else {
            return Ok(Step::End);
        };
        Ok(if rows.num_rows() > 0 { Step::Rows(rows) } else { Step::Nothing })
    }

    /// `None` where none of its pages can hold what is wanted.
    fn opened(&self, segment: Arc<Segment>) -> Result<Option<Open>> {
        let (spec, selection) = (self.table.spec(), &self.selection);
        let all = 0..usize::try_from(segment.rows).unwrap_or(usize::MAX);
        let mut ranges = vec![all];
        for name in spec.key_names() {
            if let Some(pages) = selection.reach.pages(&segment, name) {
                ranges = both(&ranges, &pages);
            }
        }
        if ranges.is_empty() {
            return Ok(None);
        }
        let dead = self.table.dead_keys(&segment)?;
        let mut columns: Vec<&str> = selection.read.fields().iter().map(|field| field.name().as_str()).collect();
        columns.push(DELETED);
        // What nobody ever told takes as long to read as what somebody did.
        columns.retain(|name| !segment.is_null(name));
        if dead.is_some() {
            columns.extend(spec.key_names());
        }
        let failure = Arc::new(Mutex::new(None));
        let filter = selection.ahead.is_some().then(|| selection.row_filter(&segment, &failure));
        let rows = segment.rows_in(ranges.into_iter(), &columns, &selection.read, filter, BATCH_ROWS);
        // What fails in the filter is no fault of the file.
        let of_filter = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = rows.map_err(|error| of_filter.unwrap_or_else(|| QueryError::from(error).into()))?;
        Ok(Some(Open { rows, dead }))
    }
}

impl Selection {
    /// The columns of the rows of `table` that fulfil `filter`; `None` where there can be none, as bounds tell.
    pub(crate) fn new(
        state: &SessionState,
        table: &SnapshotTable,
        filter: Expr,
        columns: &[&str],
    ) -> Result<Option<Self>> {
        let reach = Reach::of(std::slice::from_ref(&filter));
        // To bring a long list of names into the form that rows are asked with takes as long as to read some thousand.
        if !table.can_match(&reach) {
            return Ok(None);
        }
        let more: Vec<String> = filter.column_refs().into_iter().map(|column| column.name.clone()).collect();
        let mut names = columns.to_vec();
        for name in &more {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let read = schema_of(table, &names)?;
        let physical = |filter: Expr, schema: &SchemaRef| {
            state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(schema))?)
        };
        let keys = table.spec().key_names();
        let only_keys = more.iter().all(|name| keys.contains(&name.as_str()));
        let ahead: Option<Result<_>> = (!only_keys).then(|| {
            let schema = schema_of(table, &more.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok((Arc::clone(&schema), physical(filter.clone(), &schema)?))
        });
        let (ahead, predicate) = (ahead.transpose()?, physical(filter, &read)?);
        Ok(Some(Self { reach, predicate, read, count: columns.len(), ahead }))
    }

    /// The columns of the answer.
    pub(crate) fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::new(self.read.project(&self.columns())?))
    }

    fn columns(&self) -> Vec<usize> {
        (0..self.count).collect()
    }

    /// Has the reader ask the filter; an error of it is kept as `failure`.
    fn row_filter(self: &Arc<Self>, segment: &Segment, failure: &Arc<Mutex<Option<DataFusionError>>>) -> RowFilter {
        let names = self.ahead.iter().flat_map(|(schema, _)| schema.fields().iter().map(|field| field.name().as_str()));
        let names = names.filter(|name| !segment.is_null(name));
        let mask = ProjectionMask::columns(segment.metadata().parquet_schema(), names);
        let (selection, failure) = (Arc::clone(self), Arc::clone(failure));
        let fulfilled = move |rows: RecordBatch| {
            selection.fulfilled(&rows).map_err(|error| {
                let message = error.strip_backtrace();
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                ArrowError::ComputeError(message)
            })
        };
        RowFilter::new(vec![Box::new(ArrowPredicateFn::new(mask, fulfilled))])
    }

    /// Whether rows fulfil the filter, by the columns that it reads.
    fn fulfilled(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let Some((schema, predicate)) = &self.ahead else { return Ok(vec![true; rows.num_rows()].into()) };
        let found = predicate.evaluate(&shown(rows, schema)?)?.into_array(rows.num_rows())?;
        Ok(as_boolean_array(&found)?.clone())
    }

    /// The rows that are neither superseded nor retracted, and fulfil the filters.
    fn kept(&self, rows: &RecordBatch, dead: Option<&KeySet>) -> Result<RecordBatch> {
        let mut keep: Option<BooleanArray> = None;
        let mut narrow = |more: BooleanArray| -> Result<()> {
            if more.null_count() > 0 || more.true_count() < more.len() {
                keep = Some(match keep.take() {
                    Some(keep) => and(&keep, &more)?,
                    None => more,
                });
            }
            Ok(())
        };
        if let Some(deleted) = rows.column_by_name(DELETED).and_then(|column| column.as_boolean_opt())
            && deleted.true_count() > 0
        {
            let is_deleted: BooleanArray = deleted.iter().map(|deleted| Some(deleted == Some(true))).collect();
            narrow(not(&is_deleted)?)?;
        }
        if let Some(dead) = dead {
            narrow(dead.filter(rows).map_err(QueryError::from)?)?;
        }
        let rows = shown(rows, &self.read)?;
        let fulfilled = self.predicate.evaluate(&rows)?.into_array(rows.num_rows())?;
        narrow(as_boolean_array(&fulfilled)?.clone())?;
        let rows = rows.project(&self.columns())?;
        Ok(match keep {
            Some(keep) => filter_record_batch(&rows, &keep)?,
            None => rows,
        })
    }
}

/// The columns of `schema`; NULL where rows are older than the column.
pub(crate) fn shown(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef> {
        Ok(match rows.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
            Some(column) => cast(column, field.data_type())?,
            None => new_null_array(field.data_type(), rows.num_rows()),
        })
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

impl Reach {
    /// The rows of a segment whose pages of a column can match; `None` where nothing is known of that.
    fn pages(&self, segment: &Segment, column: &str) -> Option<Vec<Range<usize>>> {
        let (texts, (from, to)) = (self.texts(column), self.times(column));
        if texts.is_none() && (from, to) == (i64::MIN, i64::MAX) {
            return None;
        }
        let all = 0..usize::try_from(segment.rows).unwrap_or(usize::MAX);
        segment.pages_where(column, std::slice::from_ref(&all), |bounds| match bounds {
            PageBounds::Numbers(low, high) => low <= to && from <= high,
            PageBounds::Texts(low, high) => match (texts, std::str::from_utf8(low), std::str::from_utf8(high)) {
                (Some(texts), Ok(low), Ok(high)) => texts.meets(low, high),
                _ => true,
            },
        })
    }
}

/// Rows that are in both, each in order and apart.
pub(crate) fn both(ones: &[Range<usize>], others: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut found, mut first) = (Vec::new(), 0);
    for one in ones {
        first += others[first..].partition_point(|other| other.end <= one.start);
        for other in others[first..].iter().take_while(|other| other.start < one.end) {
            found.push(one.start.max(other.start)..one.end.min(other.end));
        }
    }
    found
}

/// Some columns of a table as its rows come: names as dictionaries, but for those that are searched by value: they are all
/// different.
pub(crate) fn schema_of(table: &SnapshotTable, columns: &[&str]) -> Result<SchemaRef> {
    let (names, texts) = (table.spec().memory_schema(), &table.spec().schema);
    let places = columns.iter().map(|name| texts.index_of(name)).collect::<Result<Vec<_>, _>>()?;
    let fields = places.into_iter().map(|place| match table.spec().bloom.contains(&place) {
        true => texts.field(place).clone(),
        false => names.field(place).clone(),
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

#[cfg(test)]
mod tests;
