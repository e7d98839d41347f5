//! The way of samples through [`Series`], one signal after another, into rows.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use ::oee::series::{Bucket, Course, NotAscending, Series};
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;

use super::bounds::Nearest;
use super::edges::{Buckets, Layout, lay_out};
use super::known::{Signal, place};
use super::samples::{Passing, Sample, Samples};
use super::sheet::{Finished, Sheet};
use super::{Asked, Needs};
use crate::error::QueryError;

/// Rows of one batch of the answer.
const BATCH_ROWS: usize = 1_024;
/// Memory is asked for when so many buckets wait for the end of a gap.
const WAITING: usize = 1_024;

/// What was found about the signals.
pub(super) struct Input {
    /// By equipment and name.
    pub(super) signals: Vec<Arc<Signal>>,
    /// Of each signal, the samples next to the window.
    pub(super) before: Vec<Nearest>,
    pub(super) after: Vec<Nearest>,
    /// Of each signal, samples in the window that come summed up, by time; nothing where none do.
    pub(super) courses: Vec<Vec<Course>>,
    /// Memory of the query that these take.
    pub(super) _held: MemoryReservation,
    /// The other samples in the window, by equipment, signal and time.
    pub(super) rows: Option<Passing>,
}

/// A pass over the samples of all signals.
pub(super) struct Walk<R: 'static> {
    sheet: &'static Sheet<R>,
    asked: Asked,
    layout: Layout,
    needs: Needs,
    input: Input,
    memory: MemoryReservation,
    /// The signal that comes next.
    next: usize,
    /// The signal at hand.
    open: Option<Open>,
    /// Buckets that no further sample changes.
    tail: Option<Tail>,
    /// The batch at hand, and its runs that are not yet passed on.
    batch: Option<(Samples, VecDeque<Range<usize>>)>,
    /// The layout of the last equipment.
    laid: Option<(String, Buckets)>,
    rows: Vec<R>,
}

/// A signal whose samples pass by.
struct Open {
    place: usize,
    signal: Arc<Signal>,
    series: Series,
    buckets: Buckets,
    /// Samples that come summed up, by time.
    courses: VecDeque<Course>,
    /// Buckets that went out.
    finished: usize,
    /// A sample from here on may leave many buckets waiting.
    watch_us: i64,
}

/// A signal after its last sample.
struct Tail {
    signal: Arc<Signal>,
    buckets: Buckets,
    finished: usize,
    rest: Box<dyn Iterator<Item = Bucket> + Send>,
}

impl<R> Walk<R> {
    pub(super) fn new(
        sheet: &'static Sheet<R>,
        asked: Asked,
        layout: Layout,
        needs: Needs,
        input: Input,
        memory: MemoryReservation,
    ) -> Self {
        let (open, tail, batch, laid) = (None, None, None, None);
        Self { sheet, asked, layout, needs, input, memory, next: 0, open, tail, batch, laid, rows: Vec::new() }
    }

    /// The next rows; none at the end.
    pub(super) async fn batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        while self.rows.len() < BATCH_ROWS && self.step().await? {}
        if self.rows.is_empty() {
            return Ok(None);
        }
        let batch = self.sheet.batch(&self.asked.columns, &self.rows)?;
        self.rows.clear();
        Ok(Some(batch))
    }

    /// Goes on until there are rows for a batch or a run has passed; false at the end.
    async fn step(&mut self) -> Result<bool, QueryError> {
        if let Some(tail) = &mut self.tail {
            if !tail.pass(self.sheet, &mut self.rows) {
                self.tail = None;
                self.memory.free();
            }
            return Ok(true);
        }
        match self.run().await? {
            Some((place, _)) if self.open.as_ref().is_some_and(|open| open.place == place) => self.feed()?,
            Some((place, _)) if self.open.is_none() && self.next == place => self.begin()?,
            // Signals without a sample in the window come before this one.
            Some(_) | None if self.open.is_some() => self.end()?,
            Some((place, _)) if place < self.next => {
                return Err(QueryError::Layout("samples are not in the order of their names".to_owned()));
            }
            Some(_) => self.pass_over()?,
            None if self.next < self.input.signals.len() => self.pass_over()?,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// The run that comes next, and whose it is; runs of signals that are not asked for are left out.
    async fn run(&mut self) -> Result<Option<(usize, Range<usize>)>, QueryError> {
        loop {
            if let Some((samples, runs)) = &mut self.batch {
                while let Some(run) = runs.front() {
                    // The signal at hand is the most likely one.
                    let names = samples.names(run.start);
                    let open = self.open.as_ref().filter(|open| open.signal.names() == names);
                    let place = open.map(|open| open.place).or_else(|| place(&self.input.signals, names));
                    if let Some(place) = place {
                        return Ok(Some((place, run.clone())));
                    }
                    runs.pop_front();
                }
                self.batch = None;
            }
            let Some(rows) = &mut self.input.rows else { return Ok(None) };
            match rows.next().await? {
                Some(samples) => {
                    let runs = samples.sorted_runs()?.into();
                    self.batch = Some((samples, runs));
                }
                None => self.input.rows = None,
            }
        }
    }

    /// Passes samples of the first run until it ends or the rows suffice.
    fn feed(&mut self) -> Result<(), QueryError> {
        let (Some(open), Some((samples, runs))) = (&mut self.open, &mut self.batch) else { return Ok(()) };
        let Some(run) = runs.front_mut() else { return Ok(()) };
        open.pop(self.sheet, &mut self.rows);
        while run.start < run.end && self.rows.len() < BATCH_ROWS {
            let sample = samples.sample(run.start);
            if !open.push_course_before(sample.time_us, &mut self.memory)? {
                open.push(sample, &mut self.memory)?;
                run.start += 1;
            }
            open.pop(self.sheet, &mut self.rows);
        }
        if run.start == run.end {
            runs.pop_front();
        }
        Ok(())
    }

    /// Begins with the next signal.
    fn begin(&mut self) -> Result<(), QueryError> {
        let place = self.next;
        self.next += 1;
        let Some(signal) = self.input.signals.get(place).cloned() else { return Ok(()) };
        let buckets = self.buckets_of(&signal.equipment)?;
        let series = Series::new(self.asked.method(&signal, self.needs.counts), buckets.edges.clone());
        let courses = self.input.courses.get_mut(place).map(std::mem::take).unwrap_or_default().into();
        let mut open = Open { place, signal, series, buckets, courses, finished: 0, watch_us: i64::MIN };
        for sample in self.input.before.get(place).into_iter().flat_map(Nearest::in_order) {
            open.push(sample, &mut self.memory)?;
        }
        self.open = Some(open);
        Ok(())
    }

    /// Ends the signal at hand, unless the rows suffice before that.
    fn end(&mut self) -> Result<(), QueryError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        while self.rows.len() < BATCH_ROWS && open.push_course_before(i64::MAX, &mut self.memory)? {
            open.pop(self.sheet, &mut self.rows);
        }
        if !open.courses.is_empty() {
            return Ok(());
        }
        let Some(mut open) = self.open.take() else { return Ok(()) };
        for sample in self.input.after.get(open.place).into_iter().flat_map(Nearest::in_order) {
            open.push(sample, &mut self.memory)?;
        }
        let Open { signal, series, buckets, finished, .. } = open;
        self.tail = Some(Tail { signal, buckets, finished, rest: Box::new(series.finish()) });
        Ok(())
    }

    /// The next signal has no sample in the window but those that come summed up. Where it has none before either, there is
    /// nothing to say.
    fn pass_over(&mut self) -> Result<(), QueryError> {
        let none_before = self.input.before.get(self.next).is_none_or(|before| before.any.is_none());
        if none_before && self.input.courses.get(self.next).is_none_or(Vec::is_empty) {
            self.next += 1;
            return Ok(());
        }
        self.begin()?;
        self.end()
    }

    fn buckets_of(&mut self, equipment: &str) -> Result<Buckets, QueryError> {
        let plant = &self.asked.gather.plant;
        let (from, to) = self.asked.window;
        let same_place = |path: &str| path == equipment || self.layout.is_alike(plant, path, equipment);
        if let Some((_, buckets)) = self.laid.as_ref().filter(|(path, _)| same_place(path)) {
            return Ok(buckets.clone());
        }
        let buckets = lay_out(plant, equipment, self.layout, (from, to))?;
        self.laid = Some((equipment.to_owned(), buckets.clone()));
        Ok(buckets)
    }
}

impl Open {
    #[inline]
    fn push(&mut self, sample: Sample, memory: &mut MemoryReservation) -> Result<(), QueryError> {
        if self.watch_us <= sample.time_us {
            self.reserve(sample.time_us, memory)?;
        }
        self.series.push(sample.time_us, sample.value, sample.severity).map_err(out_of_order)
    }

    /// Takes the next samples that come summed up, where they come before a time; whether they did.
    #[inline]
    fn push_course_before(&mut self, time_us: i64, memory: &mut MemoryReservation) -> Result<bool, QueryError> {
        let Some(course) = self.courses.front().filter(|course| course.extent.first.time_us < time_us).copied() else {
            return Ok(false);
        };
        if self.watch_us <= course.extent.first.time_us {
            self.reserve(course.extent.first.time_us, memory)?;
        }
        self.series.push_course(&course).map_err(|error| QueryError::Layout(error.to_string()))?;
        self.courses.pop_front();
        Ok(true)
    }

    /// Asks for the memory of the edges, and of the buckets that wait once a sample at this time is taken.
    #[cold]
    fn reserve(&mut self, time_us: i64, memory: &mut MemoryReservation) -> Result<(), QueryError> {
        let reached = self.buckets.bounds.partition_point(|&edge| edge <= time_us);
        let waiting = reached.saturating_sub(self.finished);
        memory.try_resize(size_of_val(&*self.buckets.bounds) + waiting * size_of::<Bucket>())?;
        self.watch_us = self.buckets.bounds.get(reached + WAITING).copied().unwrap_or(i64::MAX);
        Ok(())
    }

    #[inline]
    fn pop<R>(&mut self, sheet: &Sheet<R>, rows: &mut Vec<R>) {
        while rows.len() < BATCH_ROWS
            && let Some(bucket) = self.series.pop()
        {
            let label = self.buckets.label(self.finished);
            self.finished += 1;
            (sheet.rows)(Finished { signal: Arc::clone(&self.signal), bucket, label }, rows);
        }
    }
}

impl Tail {
    /// Passes buckets until the rows suffice; false where there is none left.
    fn pass<R>(&mut self, sheet: &Sheet<R>, rows: &mut Vec<R>) -> bool {
        while rows.len() < BATCH_ROWS {
            let Some(bucket) = self.rest.next() else { return false };
            let label = self.buckets.label(self.finished);
            self.finished += 1;
            (sheet.rows)(Finished { signal: Arc::clone(&self.signal), bucket, label }, rows);
        }
        true
    }
}

/// The rows are sorted, and a key has one row.
fn out_of_order(error: NotAscending) -> QueryError {
    QueryError::Layout(error.to_string())
}
