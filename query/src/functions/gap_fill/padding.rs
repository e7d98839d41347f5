//! The rows of every bucket, from the rows of those that have some.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::utils::memory::get_record_batch_memory_size;

use super::super::time_bucket::refuse;
use super::series::Series;
use oee::bucket::{BucketError, Buckets};

/// The buckets of a window.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    pub(super) buckets: Buckets,
    /// `[from, to)`, microseconds.
    pub(super) window: (i64, i64),
}

impl Grid {
    /// Start of the bucket that holds the start of the window; none where that is empty.
    pub(super) fn first(&mut self) -> Result<Option<i64>> {
        let (from, to) = self.window;
        if from >= to {
            return Ok(None);
        }
        Ok(Some(self.buckets.start(from).map_err(refuse)?))
    }

    /// Start of the bucket after the one that starts then.
    pub(super) fn after(&mut self, start: i64) -> Result<Option<i64>> {
        let end = self.buckets.end(start).map_err(refuse)?;
        if end <= start {
            return Err(refuse(BucketError::Range(start)));
        }
        Ok(Some(end).filter(|end| *end < self.window.1))
    }
}

/// Takes sorted rows and gives them back with those of empty buckets between them.
#[derive(Debug)]
pub(super) struct Padding {
    schema: SchemaRef,
    series: Series,
    grid: Grid,
    most_rows: usize,
    /// The bucket that comes next in the series at hand, while one is open.
    open: Option<Option<i64>>,
    source: Option<Source>,
    /// No more rows will come.
    finished: bool,
}

/// Rows at hand.
#[derive(Debug)]
struct Source {
    rows: RecordBatch,
    times: TimestampMicrosecondArray,
    /// Series that are not done with.
    runs: VecDeque<Range<usize>>,
    /// The row that comes next.
    next: usize,
}

/// Which rows a batch of the answer is made of.
#[derive(Default)]
struct Picked {
    times: Vec<Option<i64>>,
    /// Whose keys a row has.
    keys: Vec<u32>,
    /// Whose aggregates it has.
    values: Vec<Option<u32>>,
}

impl Picked {
    /// Row numbers of a batch fit.
    fn row(&mut self, time: Option<i64>, row: usize) {
        self.times.push(time);
        self.keys.push(row as u32);
        self.values.push(Some(row as u32));
    }

    fn empty(&mut self, time: i64, like: usize) {
        self.times.push(Some(time));
        self.keys.push(like as u32);
        self.values.push(None);
    }
}

impl Padding {
    pub(super) fn new(schema: SchemaRef, series: Series, grid: Grid, most_rows: usize) -> Self {
        Self { schema, series, grid, most_rows: most_rows.max(1), open: None, source: None, finished: false }
    }

    /// Takes rows, once [`Padding::batch`] has nothing more.
    pub(super) fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        // The last row before says which series is open, and what its keys are.
        let (rows, next) = match self.source.take().filter(|source| source.next > 0) {
            Some(source) => {
                let last = source.rows.slice(source.next - 1, 1);
                (concat_batches(rows.schema_ref(), [&last, rows])?, 1)
            }
            None => (rows.clone(), 0),
        };
        let times = rows.column(self.series.time).as_primitive::<TimestampMicrosecondType>().clone();
        let runs = self.series.runs(&rows)?.into();
        self.source = Some(Source { rows, times, runs, next });
        Ok(())
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Bytes of what is held.
    pub(super) fn bytes(&self) -> usize {
        self.source.as_ref().map_or(0, |source| get_record_batch_memory_size(&source.rows))
    }

    /// The next rows; none where more input is needed, or at the end.
    pub(super) fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut picked = Picked::default();
        while picked.keys.len() < self.most_rows && self.step(&mut picked)? {}
        match &self.source {
            Some(source) if !picked.keys.is_empty() => Ok(Some(self.made(&source.rows, picked)?)),
            _ => Ok(None),
        }
    }

    /// Picks at most one row; false where more input is needed.
    fn step(&mut self, picked: &mut Picked) -> Result<bool> {
        let Some(source) = &mut self.source else { return Ok(false) };
        let Some(run) = source.runs.front() else { return Ok(false) };
        let ahead = match &mut self.open {
            Some(ahead) => ahead,
            None => self.open.insert(self.grid.first()?),
        };
        if source.next < run.end {
            let time = source.times.is_valid(source.next).then(|| source.times.value(source.next));
            match *ahead {
                Some(bucket) if time.is_none_or(|time| bucket < time) => {
                    picked.empty(bucket, source.next);
                    *ahead = self.grid.after(bucket)?;
                }
                // What WHERE keeps beyond the window is kept here.
                bucket => {
                    picked.row(time, source.next);
                    source.next += 1;
                    if let Some(bucket) = bucket.filter(|bucket| Some(*bucket) == time) {
                        *ahead = self.grid.after(bucket)?;
                    }
                }
            }
            return Ok(true);
        }
        // The last series may go on in the next batch.
        if source.runs.len() == 1 && !self.finished {
            return Ok(false);
        }
        match *ahead {
            Some(bucket) => {
                picked.empty(bucket, run.end - 1);
                *ahead = self.grid.after(bucket)?;
            }
            None => {
                self.open = None;
                source.runs.pop_front();
            }
        }
        Ok(true)
    }

    fn made(&self, rows: &RecordBatch, picked: Picked) -> Result<RecordBatch> {
        let (keys, values) = (UInt32Array::from(picked.keys), UInt32Array::from(picked.values));
        let times = TimestampMicrosecondArray::from(picked.times);
        let columns = rows.columns().iter().enumerate().map(|(place, column)| {
            if place == self.series.time {
                return Ok(Arc::new(times.clone().with_data_type(column.data_type().clone())) as ArrayRef);
            }
            let of = if self.series.keys.contains(&place) { &keys } else { &values };
            Ok(take(column, of, None)?)
        });
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_>>()?)?)
    }
}
