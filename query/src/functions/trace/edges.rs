//! The edges of `materials`, found by the units they join: kept in memory, segment by segment, since a segment never changes
//! and a trace asks again and again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use hashbrown::HashTable;
use oee::genealogy::{Direction, Edge, REWORK};
use storage::{KeySet, Segment, TableView};

use crate::error::QueryError;
use crate::functions::values::{Doubles, Texts, Times};
use crate::record_rows::shown;
use crate::table::DELETED;
use crate::types::time_type;

/// What an edge is told by, in the order in which an index reads it.
pub(super) const COLUMNS: [&str; 6] = ["parent", "child", "quantity", "time", "removed", "kind"];
const EVENT_ID: &str = "event_id";
/// Rows of one batch that is read.
const BATCH_ROWS: usize = 16_384;
/// What an edge is likely to take, bytes: room is asked for before it is read.
pub(super) const LIKELY_BYTES: usize = 80;

/// The edges of some rows, by their parents and by their children.
#[derive(Debug, Default)]
pub(super) struct Edges {
    units: Units,
    parents: Vec<u32>,
    children: Vec<u32>,
    by_parent: Places,
    by_child: Places,
    event_ids: Texted,
    quantities: Vec<f64>,
    times: Vec<i64>,
    removed: Vec<i64>,
    rework: Vec<bool>,
}

/// A number that is none, and a time that is none.
const NO_QUANTITY: f64 = f64::NAN;
const NO_TIME: i64 = i64::MIN;

/// Texts one behind the other.
#[derive(Debug, Default)]
struct Texted {
    bytes: String,
    ends: Vec<u32>,
}

impl Texted {
    fn push(&mut self, text: &str) -> Result<(), QueryError> {
        self.bytes.push_str(text);
        let end = u32::try_from(self.bytes.len());
        self.ends
            .push(end.map_err(|_| QueryError::Execution("a segment of materials has more than 4 GB of names".into()))?);
        Ok(())
    }

    fn at(&self, place: usize) -> &str {
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(place).copied().unwrap_or(start);
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        self.bytes.capacity() + 4 * self.ends.capacity()
    }
}

/// Names of units, each once.
#[derive(Debug, Default)]
struct Units {
    names: Texted,
    places: HashTable<u32>,
    state: RandomState,
}

impl Units {
    fn find(&self, name: &str) -> Option<u32> {
        let is_it = |place: &u32| self.names.at(*place as usize) == name;
        self.places.find(self.state.hash_one(name), is_it).copied()
    }

    fn place(&mut self, name: &str) -> Result<u32, QueryError> {
        if let Some(known) = self.find(name) {
            return Ok(known);
        }
        // Places are as many as there are ends, of which u32 has room for all.
        let place = u32::try_from(self.names.ends.len()).unwrap_or(u32::MAX);
        self.names.push(name)?;
        let (names, state) = (&self.names, &self.state);
        self.places.insert_unique(state.hash_one(name), place, |place| state.hash_one(names.at(*place as usize)));
        Ok(place)
    }
}

/// Rows by a number that each has: those of a number one behind the other.
#[derive(Debug, Default)]
struct Places {
    ends: Vec<u32>,
    rows: Vec<u32>,
}

impl Places {
    fn of(numbers: &[u32], count: usize) -> Self {
        let mut ends = vec![0_u32; count];
        for number in numbers {
            if let Some(end) = ends.get_mut(*number as usize) {
                *end += 1;
            }
        }
        let mut all = 0;
        for end in &mut ends {
            all += *end;
            *end = all;
        }
        // Filled from behind, an end becomes where its number begins, which is where the one before ends.
        let mut rows = vec![0_u32; numbers.len()];
        let mut begins = ends.clone();
        for (row, number) in numbers.iter().enumerate().rev() {
            if let Some(begin) = begins.get_mut(*number as usize) {
                *begin -= 1;
                if let Some(place) = rows.get_mut(*begin as usize) {
                    *place = u32::try_from(row).unwrap_or(u32::MAX);
                }
            }
        }
        Self { ends, rows }
    }

    fn rows(&self, number: u32) -> &[u32] {
        let place = number as usize;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(place).copied().unwrap_or(start);
        self.rows.get(start as usize..end as usize).unwrap_or_default()
    }
}

impl Edges {
    /// The edges of rows, without retracted ones and those that do not say what went into what.
    fn of(batches: impl Iterator<Item = Result<RecordBatch, QueryError>>) -> Result<Self, QueryError> {
        let (schema, mut edges) = (schema(), Self::default());
        for batch in batches {
            edges.read(&shown(&batch?, &schema)?)?;
        }
        let count = edges.units.names.ends.len();
        edges.by_parent = Places::of(&edges.parents, count);
        edges.by_child = Places::of(&edges.children, count);
        edges.shrink();
        Ok(edges)
    }

    fn of_segment(segment: &Segment) -> Result<Self, QueryError> {
        let schema = schema();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let rows = usize::try_from(segment.rows).unwrap_or(usize::MAX);
        let batches = segment.rows_in(std::iter::once(0..rows), &columns, &schema, None, BATCH_ROWS)?;
        Self::of(batches.map(|batch| Ok(batch?)))
    }

    fn read(&mut self, rows: &RecordBatch) -> Result<(), QueryError> {
        let event_ids = Texts::of(rows, EVENT_ID)?;
        let deleted = rows.column_by_name(DELETED).and_then(|column| column.as_any().downcast_ref::<BooleanArray>());
        let is_deleted = |row: usize| deleted.is_some_and(|deleted| deleted.is_valid(row) && deleted.value(row));
        let mut failed = Ok(());
        each_edge(rows, |row, edge| {
            if failed.is_ok() && !is_deleted(row) {
                failed = self.push(event_ids.at(row).unwrap_or_default(), edge);
            }
        })?;
        failed
    }

    fn push(&mut self, event_id: &str, edge: Edge<'_>) -> Result<(), QueryError> {
        self.event_ids.push(event_id)?;
        let (parent, child) = (self.units.place(edge.parent)?, self.units.place(edge.child)?);
        self.parents.push(parent);
        self.children.push(child);
        self.quantities.push(edge.quantity.unwrap_or(NO_QUANTITY));
        self.times.push(edge.time.unwrap_or(NO_TIME));
        self.removed.push(edge.removed.unwrap_or(NO_TIME));
        self.rework.push(edge.rework);
        Ok(())
    }

    fn edge(&self, row: u32) -> Option<Edge<'_>> {
        let row = row as usize;
        let time = |times: &[i64]| times.get(row).copied().filter(|time| *time != NO_TIME);
        Some(Edge {
            parent: self.units.names.at(*self.parents.get(row)? as usize),
            child: self.units.names.at(*self.children.get(row)? as usize),
            quantity: self.quantities.get(row).copied().filter(|quantity| !quantity.is_nan()),
            time: time(&self.times),
            removed: time(&self.removed),
            rework: *self.rework.get(row)?,
        })
    }

    /// The edges that lead on from some units, without those of superseded rows.
    pub(super) fn each(
        &self,
        direction: Direction,
        units: &[Arc<str>],
        dead: Option<&KeySet>,
        mut take: impl FnMut(Edge<'_>),
    ) -> Result<(), QueryError> {
        let places = match direction {
            Direction::Back => &self.by_child,
            Direction::Forward => &self.by_parent,
        };
        let known = units.iter().filter_map(|unit| self.units.find(unit));
        let rows = known.flat_map(|unit| places.rows(unit).iter().copied());
        match dead {
            None => rows.filter_map(|row| self.edge(row)).for_each(take),
            Some(dead) => {
                let rows: Vec<u32> = rows.collect();
                let ids = StringArray::from_iter_values(rows.iter().map(|row| self.event_ids.at(*row as usize)));
                let alive = dead.filter(&RecordBatch::try_from_iter([(EVENT_ID, Arc::new(ids) as _)])?)?;
                let alive = rows.iter().zip(alive.iter()).filter(|(_, alive)| *alive == Some(true));
                alive.filter_map(|(row, _)| self.edge(*row)).for_each(&mut take);
            }
        }
        Ok(())
    }

    /// Gives room back that was taken for more to come.
    fn shrink(&mut self) {
        self.event_ids.shrink();
        self.units.names.shrink();
        let (names, state) = (&self.units.names, &self.units.state);
        self.units.places.shrink_to_fit(|place| state.hash_one(names.at(*place as usize)));
        [&mut self.parents, &mut self.children].into_iter().for_each(Vec::shrink_to_fit);
        [&mut self.times, &mut self.removed].into_iter().for_each(Vec::shrink_to_fit);
        self.quantities.shrink_to_fit();
        self.rework.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        let numbers = [&self.parents, &self.children, &self.by_parent.ends, &self.by_parent.rows];
        let numbers = numbers.into_iter().chain([&self.by_child.ends, &self.by_child.rows]);
        let words = numbers.map(|numbers| 4 * numbers.capacity()).sum::<usize>();
        let longs = 8 * (self.quantities.capacity() + self.times.capacity() + self.removed.capacity());
        let names = self.units.names.bytes() + self.event_ids.bytes() + 5 * self.units.places.capacity();
        words + longs + names + self.rework.capacity()
    }
}

/// What edges are made of, and whether they still stand.
fn schema() -> SchemaRef {
    let fields = [(EVENT_ID, DataType::Utf8), (DELETED, DataType::Boolean)].into_iter();
    let fields = fields.chain(COLUMNS.map(|name| {
        let kind = match name {
            "quantity" => DataType::Float64,
            "time" | "removed" => time_type(),
            _ => DataType::Utf8,
        };
        (name, kind)
    }));
    Arc::new(Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>()))
}

/// The edges that rows tell, each with its row; a row that does not say what went into what tells none.
pub(super) fn each_edge(rows: &RecordBatch, mut take: impl FnMut(usize, Edge<'_>)) -> Result<(), QueryError> {
    let [parents, children, kinds] = ["parent", "child", "kind"].map(|name| Texts::of(rows, name));
    let (parents, children, kinds) = (parents?, children?, kinds?);
    let quantities = Doubles::of(rows, "quantity")?;
    let (times, removed) = (Times::of(rows, "time")?, Times::of(rows, "removed")?);
    for row in 0..rows.num_rows() {
        if let (Some(parent), Some(child)) = (parents.at(row), children.at(row)) {
            let rework = kinds.at(row) == Some(REWORK);
            let (quantity, time, removed) = (quantities.at(row), times.at(row), removed.at(row));
            take(row, Edge { parent, child, quantity, time, removed, rework });
        }
    }
    Ok(())
}

/// The edges of a whole table, and which of them are superseded.
pub(super) type Parts = Vec<(Arc<Edges>, Option<Arc<KeySet>>)>;

/// What came of a look for the edges of a table.
pub(super) enum Look {
    /// All of them.
    Parts(Parts),
    /// Some were read, others are still to be.
    More,
    /// There is no room for all.
    NoRoom,
}

/// Keeps the edges of the segments that there are, within bounds.
#[derive(Debug)]
pub(crate) struct EdgeCache {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    segments: HashMap<PathBuf, Arc<Edges>>,
    /// Those of the hot rows of the newest version of the table.
    hot: Option<Arc<Edges>>,
    /// The newest version that was asked for.
    version: u64,
    /// So many rows in segments were once too many: not even tried again.
    too_many_rows: u64,
    memory: MemoryReservation,
}

impl EdgeCache {
    /// Keeps at most so many bytes, which are taken from `pool`.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, most_bytes: usize) -> Self {
        let memory = MemoryConsumer::new("edges of materials").register(pool);
        let kept = Kept { segments: HashMap::new(), hot: None, version: 0, too_many_rows: u64::MAX, memory };
        Self { most_bytes, kept: Mutex::new(kept) }
    }

    /// The edges of a table, or one segment nearer to them: whoever asks again and again can give up in between, and
    /// whoever comes meanwhile goes on where it is. Reads files, so it runs off the async threads.
    pub(super) fn step(&self, table: &TableView) -> Result<Look, QueryError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = kept.step(table, self.most_bytes);
        let held = kept.held();
        kept.memory.resize(held);
        looked
    }

    /// Bytes that are taken from the pool.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).memory.size()
    }
}

impl Kept {
    fn held(&self) -> usize {
        self.segments.values().chain(&self.hot).map(|edges| edges.bytes()).sum()
    }

    /// Whether so much more may be read; room for it is taken from the pool until what it came to is known.
    fn has_room(&self, bytes: usize, most_bytes: usize) -> bool {
        let likely = self.held().saturating_add(bytes);
        likely <= most_bytes && self.memory.try_resize(likely).is_ok()
    }

    fn step(&mut self, table: &TableView, most_bytes: usize) -> Result<Look, QueryError> {
        // Of an older snapshot there may be what newer ones need, but not the other way round.
        let is_newest = table.version >= self.version;
        if is_newest {
            if table.version > self.version {
                self.hot = None;
            }
            self.version = table.version;
            self.segments.retain(|path, _| table.segments.iter().any(|segment| segment.path == *path));
        }
        let missing = || table.segments.iter().filter(|segment| !self.segments.contains_key(&segment.path));
        if let Some(segment) = missing().next() {
            let (all, unread): (u64, u64) =
                (table.segments.iter().map(|segment| segment.rows).sum(), missing().map(|segment| segment.rows).sum());
            let likely = usize::try_from(unread).unwrap_or(usize::MAX).saturating_mul(LIKELY_BYTES);
            if !is_newest || all >= self.too_many_rows {
                return Ok(Look::NoRoom);
            }
            if self.held().saturating_add(likely) > most_bytes {
                return Ok(self.give_up(all));
            }
            if !self.has_room(likely, most_bytes) {
                return Ok(Look::NoRoom);
            }
            self.segments.insert(segment.path.clone(), Arc::new(Edges::of_segment(segment)?));
            return Ok(if self.held() > most_bytes { self.give_up(all) } else { Look::More });
        }
        let hot = match self.hot.clone().filter(|_| table.version == self.version) {
            Some(hot) => hot,
            None => {
                let rows = table.hot_rows((i64::MIN, i64::MAX), None)?;
                if !self.has_room(rows.num_rows().saturating_mul(LIKELY_BYTES), most_bytes) {
                    return Ok(Look::NoRoom);
                }
                let hot = Arc::new(Edges::of(std::iter::once(Ok(rows)))?);
                if is_newest {
                    self.hot = Some(Arc::clone(&hot));
                }
                hot
            }
        };
        let mut parts = Parts::with_capacity(table.segments.len() + 1);
        for segment in &table.segments {
            if let Some(edges) = self.segments.get(&segment.path) {
                parts.push((Arc::clone(edges), table.dead_keys(segment)?));
            }
        }
        parts.push((hot, None));
        Ok(Look::Parts(parts))
    }

    /// A part of the edges is of no use.
    fn give_up(&mut self, rows: u64) -> Look {
        (self.segments, self.hot, self.too_many_rows) = (HashMap::new(), None, rows);
        Look::NoRoom
    }
}
