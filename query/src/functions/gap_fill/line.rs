//! Batches that wait for the value at the end of a gap, and the straight lines that are drawn through them.

use std::collections::VecDeque;

use ::oee::series::{Point, on_line};
use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;

/// A batch, and the columns that it gets.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) batch: RecordBatch,
    pub(super) times: TimestampMicrosecondArray,
    pub(super) columns: Vec<Column>,
    pub(super) bytes: usize,
}

/// A column of a batch.
#[derive(Debug)]
pub(super) enum Column {
    /// As it goes out.
    Done(ArrayRef),
    /// Lines are drawn through its gaps.
    Drawn(Vec<Option<f64>>),
}

/// A row: number of its batch, and place in it.
type Place = (u64, usize);

/// Batches in the order they came in.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    held: VecDeque<Held>,
    /// Batches that went out.
    passed: u64,
}

impl Waiting {
    pub(super) fn push(&mut self, held: Held) {
        self.held.push_back(held);
    }

    /// The first batch, where no line is open that begins in it.
    pub(super) fn pop<'a>(&mut self, mut lines: impl Iterator<Item = &'a Line>) -> Option<Held> {
        let begins_here = |line: &Line| line.gap.is_some_and(|(batch, _)| batch == self.passed);
        if lines.any(begins_here) {
            return None;
        }
        let held = self.held.pop_front()?;
        self.passed += 1;
        Some(held)
    }

    /// Draws a line through a column, from `gap` up to before `end`.
    fn draw(&mut self, column: usize, (gap, end): (Place, Place), (from, to): (Point, Point)) {
        for (held, batch) in self.held.iter_mut().zip(self.passed..=end.0) {
            let Some(Column::Drawn(values)) = held.columns.get_mut(column) else { continue };
            let rows = held.times.values().iter().zip(values.iter_mut()).enumerate();
            for (row, (time_us, value)) in rows {
                if gap <= (batch, row) && (batch, row) < end {
                    *value = Some(on_line(from, to, *time_us)).filter(|value| value.is_finite());
                }
            }
        }
    }
}

/// The line at hand of one column.
#[derive(Debug)]
pub(super) struct Line {
    column: usize,
    /// The last value of the series.
    known: Option<Point>,
    /// The first row since then without one.
    gap: Option<Place>,
}

impl Line {
    pub(super) fn new(column: usize) -> Self {
        Self { column, known: None, gap: None }
    }

    /// Another series begins: nothing is drawn from the last value on.
    pub(super) fn end(&mut self) {
        (self.known, self.gap) = (None, None);
    }

    /// Passes rows of the last batch, which are of one series.
    pub(super) fn pass(&mut self, waiting: &mut Waiting, rows: std::ops::Range<usize>) {
        let Some(batch) = (waiting.held.len() as u64 + waiting.passed).checked_sub(1) else { return };
        for row in rows {
            let point = waiting.held.back().and_then(|held| match held.columns.get(self.column) {
                Some(Column::Drawn(values)) => {
                    values.get(row).copied().flatten().map(|value| Point { time_us: held.times.value(row), value })
                }
                _ => None,
            });
            match (point, self.known) {
                (Some(to), Some(from)) => {
                    if let Some(gap) = self.gap.take() {
                        waiting.draw(self.column, (gap, (batch, row)), (from, to));
                    }
                }
                (None, Some(_)) => {
                    self.gap.get_or_insert((batch, row));
                }
                _ => {}
            }
            self.known = point.or(self.known);
        }
    }
}
