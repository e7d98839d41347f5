//! Equipment states: from records to one timeline.
//!
//! Two kinds of records. A *change* holds until the next one; records sort by (start, recorded, input order) and at
//! equal starts the last wins. An *interval* has its own end; at each instant the covering record with the largest
//! (start, recorded, input order) wins, so an outer interval resumes after one it contains, and an instant that none
//! covers is unknown. Adjacent spans of equal state, reason and category are one.

use std::collections::BinaryHeap;
use std::ops::Deref;
use std::sync::Arc;

use crate::OPEN;

/// What a state means for time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Producing.
    Run,
    /// Stopped, unplanned.
    Unplanned,
    /// Stopped for a changeover.
    Changeover,
    /// Stopped as planned: maintenance, cleaning, meetings.
    Planned,
    /// Stopped for want of an order.
    NoOrder,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 5] = [Self::Run, Self::Unplanned, Self::Changeover, Self::Planned, Self::NoOrder];

    /// Its name in `plant.toml`, in records and in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Unplanned => "unplanned",
            Self::Changeover => "changeover",
            Self::Planned => "planned",
            Self::NoOrder => "no_order",
        }
    }

    /// The category of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

/// How the records of a source are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordKind {
    /// A record holds until the next.
    #[default]
    Change,
    /// A record has its own end, or is open.
    Interval,
}

impl RecordKind {
    /// Its name in `plant.toml` and in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Interval => "interval",
        }
    }
}

/// A state as it counts, after the plant's maps. Copies share what it says: a year of records says the same few things.
#[derive(Debug, Clone)]
pub struct StateValue(Arc<StateSaid>);

/// What a [`StateValue`] says.
#[derive(Debug, PartialEq, Eq)]
pub struct StateSaid {
    /// Name.
    pub state: Arc<str>,
    /// Category; none where the plant does not know the state: that time is unknown.
    pub category: Option<Category>,
    /// Reason code.
    pub reason: Option<Arc<str>>,
}

impl StateValue {
    /// Of name, category and reason code.
    #[must_use]
    pub fn new(state: impl Into<Arc<str>>, category: Option<Category>, reason: Option<Arc<str>>) -> Self {
        Self(Arc::new(StateSaid { state: state.into(), category, reason }))
    }
}

impl Deref for StateValue {
    type Target = StateSaid;

    fn deref(&self) -> &StateSaid {
        &self.0
    }
}

impl PartialEq for StateValue {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for StateValue {}

/// One record, or one sample of a state signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// Start.
    pub start: i64,
    /// End of an interval; none while it is open. A change has none.
    pub end: Option<i64>,
    /// When takt recorded it; for samples of a signal the start will do.
    pub recorded: i64,
    /// What it says.
    pub value: StateValue,
}

/// A stretch of time in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSpan {
    /// Start.
    pub start: i64,
    /// End, exclusive; [`OPEN`] for the one that still holds.
    pub end: i64,
    /// The state.
    pub value: StateValue,
}

/// The timeline of one equipment: ascending, disjoint; time between spans is unknown.
#[must_use]
pub fn timeline(kind: RecordKind, mut records: Vec<StateRecord>) -> Vec<StateSpan> {
    // Stable, so input order settles what start and recorded leave open.
    records.sort_by_key(|record| (record.start, record.recorded));
    match kind {
        RecordKind::Change => changes(records),
        RecordKind::Interval => intervals(&records),
    }
}

fn changes(records: Vec<StateRecord>) -> Vec<StateSpan> {
    let mut spans = Vec::with_capacity(records.len());
    let mut records = records.into_iter().peekable();
    while let Some(record) = records.next() {
        let end = records.peek().map_or(OPEN, |next| next.start);
        append(&mut spans, record.start, end, record.value);
    }
    spans
}

fn intervals(records: &[StateRecord]) -> Vec<StateSpan> {
    let end_of = |record: &StateRecord| record.end.unwrap_or(OPEN);
    let mut spans = Vec::with_capacity(records.len());
    // Later in sort order wins, so the index is the priority.
    let mut covering: BinaryHeap<usize> = BinaryHeap::new();
    let mut next = 0;
    let mut t = i64::MIN;
    loop {
        while records.get(next).is_some_and(|record| record.start <= t) {
            covering.push(next);
            next += 1;
        }
        let next_start = records.get(next).map_or(OPEN, |record| record.start);
        while covering.peek().and_then(|&i| records.get(i)).is_some_and(|record| end_of(record) <= t) {
            covering.pop();
        }
        let until = match covering.peek().and_then(|&i| records.get(i)) {
            Some(record) => {
                let until = end_of(record).min(next_start);
                append(&mut spans, t, until, record.value.clone());
                until
            }
            None => next_start,
        };
        if until == OPEN {
            return spans;
        }
        t = until;
    }
}

pub(crate) fn append(spans: &mut Vec<StateSpan>, start: i64, end: i64, value: StateValue) {
    if start >= end {
        return;
    }
    match spans.last_mut() {
        Some(last) if last.end == start && last.value == value => last.end = end,
        _ => spans.push(StateSpan { start, end, value }),
    }
}

#[cfg(test)]
mod tests;
