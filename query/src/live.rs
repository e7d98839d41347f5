//! OEE as it happens: every machine's running shift and order, kept up to date by what becomes durable.
//!
//! Whoever has the store's writes hands them in ([`LiveOee::note`]), in the order of the log; a look brings the machines up
//! to date and reports on them. What a write cannot tell, or tells too late, is read back from the tables, for that machine
//! alone. Without anybody who hands writes in, every look reads the tables.

mod committed;
mod entry;
mod lines;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use oee::live::Now;
use oee::path::lineage;
use oee::plant::{Plant, WorkOrder};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::context::Context;
use crate::error::QueryError;
use crate::functions::{Gather, Present};
use committed::Committed;
use entry::Entry;
use lines::Line;

/// Writes that may wait for a look. More than that, and reading the tables is cheaper.
const WAITING: usize = 16_384;
/// How long a look waits for writes that are on their way to it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A machine, or a node above machines, at the moment of a look.
#[derive(Debug, Clone)]
pub struct EquipmentNow {
    /// Its path.
    pub equipment: String,
    /// What is known of it; of a node above machines the running shift alone.
    pub now: Now,
    /// How often something came that concerns it: where that stands still, only time passes.
    pub changes: u64,
    /// It is what lies below it, added up.
    pub rolled_up: bool,
}

/// The live OEE of a plant; cheap to share.
pub struct LiveOee {
    present: Present,
    fed: AtomicBool,
    /// Place in the log up to which writes were noted.
    noted: watch::Sender<u64>,
    waiting: Mutex<Waiting>,
    board: tokio::sync::Mutex<Board>,
}

#[derive(Default)]
struct Waiting {
    committed: Vec<Committed>,
    /// Something was lost on the way: all has to be read back.
    gap: bool,
}

#[derive(Default)]
struct Board {
    /// By path, in the order of the plant file.
    machines: Vec<Entry>,
    lines: Vec<Line>,
    /// What `work_orders` said of orders, or that it said nothing.
    orders: HashMap<String, Option<WorkOrder>>,
    /// Recorded time of the newest change of an execution that was seen.
    changed: i64,
}

/// What of the board is wanted, by place.
struct Wanted {
    machines: Vec<bool>,
    /// The machines, and those that it takes to add up lines.
    looked_at: Vec<bool>,
    /// How often something changed below a line; none: it is not wanted.
    lines: Vec<Option<u64>>,
}

impl std::fmt::Debug for LiveOee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveOee").finish_non_exhaustive()
    }
}

impl LiveOee {
    pub(crate) fn new(present: Present) -> Self {
        let plant = present.plant();
        let machines: Vec<Entry> = plant.machines().map(|node| Entry::new(plant, node)).collect();
        let paths: Vec<&str> = machines.iter().map(Entry::path).collect();
        let lines = Line::all(plant, &paths);
        let board = Board { machines, lines, orders: HashMap::new(), changed: i64::MIN };
        Self {
            present,
            fed: AtomicBool::new(false),
            noted: watch::Sender::new(0),
            waiting: Mutex::default(),
            board: tokio::sync::Mutex::new(board),
        }
    }

    /// From now on every durable write is noted, in the order of the log.
    pub fn feed(&self) {
        self.lose();
        self.noted.send_replace(self.present.position());
        self.fed.store(true, Ordering::Release);
    }

    /// Writes are noted no more.
    pub fn starve(&self) {
        self.fed.store(false, Ordering::Release);
    }

    /// Writes were lost on the way: what they said is read from the tables.
    pub fn lose(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = Waiting { committed: Vec::new(), gap: true };
    }

    /// Takes a durable write: its place in the log, and the rows of each table as they are now.
    pub fn note(&self, position: u64, rows: &[(usize, RecordBatch)]) {
        if let Some(committed) = Committed::of(self.present.plant(), position, rows) {
            self.wait(committed);
        }
        self.noted.send_if_modified(|noted| std::mem::replace(noted, position.max(*noted)) < position);
    }

    fn wait(&self, committed: Committed) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.gap {
            return;
        }
        if waiting.committed.len() >= WAITING {
            *waiting = Waiting { committed: Vec::new(), gap: true };
            return;
        }
        waiting.committed.push(committed);
    }

    /// Every machine as of `now`, microseconds UTC, and the nodes above them: those of which anything is known.
    ///
    /// # Errors
    /// [`QueryError`] where the tables cannot be read.
    pub async fn look(&self, now: i64) -> Result<Vec<EquipmentNow>, QueryError> {
        self.look_at(now, |_, _| true).await
    }

    /// The same of the equipment that is wanted, by path and [`EquipmentNow::changes`].
    ///
    /// # Errors
    /// [`QueryError`] where the tables cannot be read.
    pub async fn look_at(
        &self,
        now: i64,
        wanted: impl Fn(&str, u64) -> bool + Send,
    ) -> Result<Vec<EquipmentNow>, QueryError> {
        let mut board = self.board.lock().await;
        self.catch_up().await;
        let Waiting { committed, gap } =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // Taken after the writes: it holds all of them.
        let (gather, position) = self.present.gather(now);
        if gap || !self.fed.load(Ordering::Acquire) {
            board.forget();
        }
        for write in &committed {
            board.take_in(self.present.plant(), write)?;
        }
        let context = gather.view.context().await?;
        if let Some(context) = &context {
            board.follow(context);
        }
        let empty = Context::default();
        let context = context.as_deref().unwrap_or(&empty);
        let wanted = board.wanted(&wanted);
        board.begin(&gather, context, position, &wanted.looked_at).await?;
        board.look(&gather, context, position, wanted).await
    }
}

impl LiveOee {
    /// Waits until everything is noted that is visible now: who was told that a write is durable finds it in the figures.
    async fn catch_up(&self) {
        if !self.fed.load(Ordering::Acquire) {
            return;
        }
        let visible = self.present.position();
        let mut noted = self.noted.subscribe();
        let caught_up = noted.wait_for(|noted| *noted >= visible);
        if timeout(PATIENCE, caught_up).await.is_err() {
            tracing::warn!("live OEE is behind the log: it reads the tables");
            self.lose();
        }
    }
}

impl Board {
    fn forget(&mut self) {
        self.orders.clear();
        self.machines.iter_mut().for_each(Entry::forget);
    }

    fn wanted(&self, is_wanted: &impl Fn(&str, u64) -> bool) -> Wanted {
        // What is a machine itself is not added up. What is none is asked for once, for itself and for what lies below it.
        let own = |line: &Line| line.place().and_then(|at| self.machines.get(at));
        let is_machine = |line: &Line| own(line).is_some_and(Entry::is_known);
        let changes = |line: &Line| {
            let below = line.machines().iter().filter_map(|&place| self.machines.get(place));
            below.chain(own(line)).map(Entry::changes).fold(0, u64::wrapping_add)
        };
        let lines: Vec<Option<u64>> = self
            .lines
            .iter()
            .map(|line| (line, changes(line)))
            .map(|(line, changes)| (!is_machine(line) && is_wanted(line.path(), changes)).then_some(changes))
            .collect();
        let of_lines: HashMap<usize, bool> = self
            .lines
            .iter()
            .zip(&lines)
            .filter(|(line, _)| !is_machine(line))
            .filter_map(|(line, changes)| Some((line.place()?, changes.is_some())))
            .collect();
        let is_wanted_at = |(place, entry): (usize, &Entry)| match of_lines.get(&place) {
            Some(wanted) => *wanted,
            None => is_wanted(entry.path(), entry.changes()),
        };
        let machines: Vec<bool> = self.machines.iter().enumerate().map(is_wanted_at).collect();
        let mut looked_at = machines.clone();
        let wanted_lines = self.lines.iter().zip(&lines).filter(|(_, changes)| changes.is_some());
        for place in wanted_lines.flat_map(|(line, _)| line.machines()) {
            if let Some(looked_at) = looked_at.get_mut(*place) {
                *looked_at = true;
            }
        }
        Wanted { machines, looked_at, lines }
    }

    /// Looks at machines, and adds up those of lines.
    async fn look(
        &mut self,
        gather: &Gather,
        context: &Context,
        position: u64,
        wanted: Wanted,
    ) -> Result<Vec<EquipmentNow>, QueryError> {
        let Self { machines, lines, orders, .. } = self;
        let mut found = Vec::new();
        for (entry, _) in machines.iter_mut().zip(&wanted.looked_at).filter(|(_, looked_at)| **looked_at) {
            let changes = entry.changes();
            if let Some(now) = entry.look(gather, context, orders, position).await? {
                found.push(EquipmentNow { equipment: entry.path().to_owned(), now, changes, rolled_up: false });
            }
        }
        let known: HashMap<&str, &Now> = found.iter().map(|found| (found.equipment.as_str(), &found.now)).collect();
        // A node of which something is known itself is a machine.
        let lines = lines.iter().zip(&wanted.lines).filter(|(line, _)| !known.contains_key(line.path()));
        let lines = lines.filter_map(|(line, changes)| line.now(gather, &known, (*changes)?));
        let lines: Vec<EquipmentNow> = lines.collect();
        let unwanted = machines.iter().zip(&wanted.machines).filter(|(_, wanted)| !**wanted);
        let unwanted: HashSet<&str> = unwanted.map(|(entry, _)| entry.path()).collect();
        found.retain(|found| !unwanted.contains(found.equipment.as_str()));
        found.extend(lines);
        Ok(found)
    }

    /// Begins the machines that need it, those that begin at the same time in one go: a plant that starts has many.
    async fn begin(
        &mut self,
        gather: &Gather,
        context: &Context,
        position: u64,
        looked_at: &[bool],
    ) -> Result<(), QueryError> {
        let mut groups: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (place, entry) in self.machines.iter_mut().enumerate() {
            if looked_at.get(place).copied().unwrap_or(false)
                && let Some(from) = entry.begins(gather, context)
            {
                groups.entry(from).or_default().push(place);
            }
        }
        for (from, places) in groups.into_iter().filter(|(_, places)| places.len() > 1) {
            let path = |place: &usize| self.machines.get(*place).map(|entry| entry.path().to_owned());
            let paths: Vec<String> = places.iter().filter_map(path).collect();
            let mut evidence = gather.evidence(&paths, from).await?;
            for place in places {
                if let Some(entry) = self.machines.get_mut(place) {
                    let known = evidence.remove(entry.path());
                    entry.begin(known, from, position);
                }
            }
        }
        Ok(())
    }

    fn take_in(&mut self, plant: &Plant, write: &Committed) -> Result<(), QueryError> {
        let places: HashMap<String, usize> = match write.is_empty() {
            true => return Ok(()),
            false => self.machines.iter().enumerate().map(|(at, entry)| (entry.path().to_owned(), at)).collect(),
        };
        for order in write.orders() {
            self.orders.remove(order);
            self.machines.iter_mut().for_each(|entry| entry.forget_order(order));
        }
        let machines = &mut self.machines;
        write.each(plant, |path, row| {
            if let Some(entry) = places.get(path).and_then(|&at| machines.get_mut(at)) {
                entry.take(plant, write.position, row);
            }
        })
    }

    /// Takes up what changed among executions.
    fn follow(&mut self, context: &Context) {
        let (mut affected, mut made): (HashMap<&str, i64>, HashMap<&str, i64>) = Default::default();
        let since = self.changed;
        for (recorded, change) in context.changes_since(since) {
            self.changed = self.changed.max(recorded);
            let from = affected.entry(change.equipment.as_ref()).or_insert(change.from);
            *from = change.from.min(*from);
        }
        for (recorded, change) in context.made_since(since) {
            self.changed = self.changed.max(recorded);
            let from = made.entry(change.equipment.as_ref()).or_insert(change.from);
            *from = change.from.min(*from);
        }
        for entry in &mut self.machines {
            let path = entry.path().to_owned();
            if let Some(from) = made.get(path.as_str()).filter(|_| entry.counts_operations()) {
                entry.executions_changed(*from);
            }
            for from in lineage(&path).filter_map(|path| affected.get(path)) {
                entry.executions_changed(*from);
            }
        }
    }
}

/// The orders among `names` of which nothing is remembered yet.
fn unknown<'a>(orders: &HashMap<String, Option<WorkOrder>>, names: impl Iterator<Item = &'a str>) -> HashSet<String> {
    names.filter(|name| !orders.contains_key(*name)).map(str::to_owned).collect()
}
