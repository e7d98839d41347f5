//! SPC as it happens: measurements of charts with frozen limits are judged as they become durable.
//!
//! A violation stands for as long as the points say so. What is said of it is compared with what was said before: a late or
//! corrected measurement raises and withdraws, and a restart raises nothing twice.

mod chart;
mod several;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::AsArray;
use arrow::compute::{filter_record_batch, not};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use oee::plant::Plant;
use oee::spc::ChartKind;
use oee::tables::{CONTROL_LIMITS, EVENTS, EXCLUSIONS, MEASUREMENTS, TABLES};

use super::asked::Asked;
use super::frozen::Frozen;
use super::measured::{COLUMNS_OF_CHARTS, CONTEXT, Excluded, Key, Measurements};
use super::{NAMES, Question, is_same_figure};
use crate::error::QueryError;
use crate::functions::gather::{Gather, Present};
use crate::functions::names::Names;
use crate::functions::values::{Texts, Times};
use chart::{Watched, chart_of};
use several::Several;

/// Writes that may wait for a look.
const WAITING: usize = 16_384;
/// What the identity of a violation begins with in `events`.
const PREFIX: &str = "spc|";
/// What its kind is there.
pub const VIOLATION: &str = "violation";

/// A violation of rules at a point of a chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Violation {
    /// Its identity in `events`: the chart, and the first value of the subgroup.
    pub id: String,
    /// When the last value of the subgroup was measured.
    pub time: i64,
    /// Name of the chart.
    pub chart: String,
    /// Where it was measured.
    pub equipment: Option<String>,
    /// What was measured.
    pub characteristic: Option<String>,
    /// Of which product.
    pub product: Option<String>,
    /// At which operation.
    pub operation: Option<String>,
    /// Of which unit.
    pub unit: Option<String>,
    /// For which order.
    pub work_order: Option<String>,
    /// By whom.
    pub operator: Option<String>,
    /// What is plotted.
    pub value: Option<f64>,
    /// Centre line.
    pub centre: Option<f64>,
    /// Lower control limit.
    pub lcl: Option<f64>,
    /// Upper control limit.
    pub ucl: Option<f64>,
    /// It, or the point below it, lies beyond its limits.
    pub is_beyond: bool,
    /// The point of the chart below.
    pub companion: Option<Companion>,
    /// The units of the subgroup.
    pub units: Vec<String>,
    /// Those that were not in it when it was said last.
    pub more_units: Vec<String>,
    /// It was measured after the limits were frozen: limits of today hold nothing of the past.
    pub is_fresh: bool,
    /// Names of the violated rules.
    pub rules: String,
    /// What they say.
    pub message: String,
    /// Which limits judged.
    pub limits: String,
}

impl Violation {
    /// Whether what `events` says of this one is what there is to say of the other.
    fn says_as_much(&self, other: &Self) -> bool {
        let figures = [(self.value, other.value), (self.lcl, other.lcl), (self.ucl, other.ucl)];
        let figures = figures.into_iter().all(|(one, other)| is_same_figure(one, other));
        let same = self.limits == other.limits && self.units == other.units;
        figures && same && self.time == other.time && self.is_told_by(other)
    }

    /// Whether it is the other one at another time.
    fn is_moved(&self, other: &Self) -> bool {
        let same_value = self.value.is_some() && is_same_figure(self.value, other.value);
        same_value && self.units == other.units && chart_of(&self.id) == chart_of(&other.id)
    }

    /// Whether people who heard of the other one have heard of this one.
    fn is_told_by(&self, other: &Self) -> bool {
        self.rules == other.rules && self.message == other.message
    }
}

/// A point of the chart below the chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Companion {
    /// What is plotted: R, S, MR or C-.
    pub name: &'static str,
    /// Its value.
    pub value: Option<f64>,
    /// Its lower control limit.
    pub lcl: Option<f64>,
    /// Its upper one.
    pub ucl: Option<f64>,
}

/// What there is to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A violation that was not there before, or violates other rules than were said.
    Raised(Violation),
    /// The same violation, with other figures: its subgroup has grown, or limits were corrected.
    Restated(Violation),
    /// A violation that is none any more; known of it is where it was.
    Withdrawn(Violation),
}

impl Change {
    /// The violation.
    #[must_use]
    pub fn violation(&self) -> &Violation {
        match self {
            Self::Raised(violation) | Self::Restated(violation) | Self::Withdrawn(violation) => violation,
        }
    }
}

/// Judges the measurements of a plant; cheap to share.
pub struct SpcWatch {
    present: Present,
    waiting: Mutex<Waiting>,
    /// Something was handed in that has to be looked at.
    stirred: AtomicBool,
    board: tokio::sync::Mutex<Board>,
}

#[derive(Default)]
struct Waiting {
    measurements: Vec<(u64, RecordBatch)>,
    /// Limits or exclusions have changed, or writes were lost: all is judged anew.
    anew: bool,
}

type ChartKey = (Key, ChartKind);

/// Equipment, characteristic and operation.
type Place = [Option<Arc<str>>; 3];

fn place([equipment, characteristic, _, operation]: &Key) -> Place {
    [equipment.clone(), characteristic.clone(), operation.clone()]
}

#[derive(Default)]
struct Board {
    frozen: Vec<(ChartKind, Frozen)>,
    excluded: Excluded,
    charts: HashMap<ChartKey, Watched>,
    /// Charts that differ in the product alone: a row that gets another product leaves one for another.
    of_products: HashMap<(ChartKind, Place), HashSet<Key>>,
    /// Charts of several characteristics.
    several: Vec<Several>,
    /// Writes up to this place in the log are judged.
    position: u64,
    /// Why some charts are not judged.
    troubles: HashMap<ChartKey, String>,
    /// What `events` says, by identity. None before it was asked.
    said: Option<BTreeMap<String, Violation>>,
}

impl std::fmt::Debug for SpcWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpcWatch").finish_non_exhaustive()
    }
}

fn table(at: usize) -> Option<&'static str> {
    TABLES.get(at).map(|table| table.name)
}

impl SpcWatch {
    pub(crate) fn new(present: Present) -> Self {
        Self {
            present,
            waiting: Mutex::new(Waiting { anew: true, ..Waiting::default() }),
            stirred: AtomicBool::new(true),
            board: tokio::sync::Mutex::default(),
        }
    }

    /// Takes a durable write: its place in the log, and the rows of each table as they are now.
    pub fn note(&self, position: u64, rows: &[(usize, RecordBatch)]) {
        for (at, batch) in rows {
            let Some(name) = table(*at) else { continue };
            let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if name == CONTROL_LIMITS.name || name == EXCLUSIONS.name {
                waiting().anew = true;
            } else if name == MEASUREMENTS.name {
                let mut waiting = waiting();
                if waiting.measurements.len() >= WAITING {
                    waiting.measurements.clear();
                    waiting.anew = true;
                }
                waiting.measurements.push((position, batch.clone()));
            } else {
                continue;
            }
            self.stirred.store(true, Ordering::Release);
        }
    }

    /// Writes were lost on the way: all is judged anew.
    pub fn lose(&self) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Waiting { measurements: Vec::new(), anew: true };
        self.stirred.store(true, Ordering::Release);
    }

    /// What there is to say since what was last [`SpcWatch::said`].
    ///
    /// # Errors
    /// [`QueryError`] where the tables cannot be read: the next look begins anew.
    pub async fn look(&self, now: i64) -> Result<Vec<Change>, QueryError> {
        let mut board = self.board.lock().await;
        if !self.stirred.swap(false, Ordering::AcqRel) && !board.several.iter().any(Several::is_due) {
            return Ok(Vec::new());
        }
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let (gather, position) = self.present.gather(now);
        let judged = board.judge(&gather, waiting, position).await;
        if judged.is_err() {
            self.lose();
        }
        judged?;
        Ok(board.changes())
    }

    /// What a look found is in `events` now.
    pub async fn said(&self, changes: &[Change]) {
        let mut board = self.board.lock().await;
        let said = board.said.get_or_insert_default();
        for change in changes {
            match change {
                Change::Raised(violation) | Change::Restated(violation) => {
                    said.insert(violation.id.clone(), violation.clone())
                }
                Change::Withdrawn(violation) => said.remove(&violation.id),
            };
        }
    }

    /// What a look found could not be said: the next one finds it again.
    pub fn unsaid(&self) {
        self.stirred.store(true, Ordering::Release);
    }
}

impl Board {
    async fn judge(&mut self, gather: &Gather, waiting: Waiting, position: u64) -> Result<(), QueryError> {
        if self.said.is_none() {
            self.said = Some(said_before(gather).await?);
        }
        if waiting.anew {
            self.several = Several::all(gather, std::mem::take(&mut self.several)).await?;
            self.frozen = Frozen::all(gather).await?;
            self.excluded = Excluded::gather(gather).await?;
            self.charts.clear();
            self.of_products.clear();
            self.troubles.clear();
            let frozen = std::mem::take(&mut self.frozen);
            for (kind, frozen) in &frozen {
                self.begin(gather, *kind, frozen, None).await?;
            }
            (self.frozen, self.position) = (frozen, position);
            return self.judge_several(gather).await;
        }
        let new: Vec<&RecordBatch> =
            waiting.measurements.iter().filter(|(at, _)| *at > self.position).map(|(_, rows)| rows).collect();
        for rows in &new {
            self.several.iter_mut().try_for_each(|several| several.note(rows))?;
        }
        self.judge_several(gather).await?;
        if self.frozen.is_empty() {
            return Ok(());
        }
        let mut late: HashMap<ChartKind, HashSet<Key>> = HashMap::new();
        for rows in new {
            self.take_in(&gather.plant, rows, &mut late)?;
        }
        let frozen = std::mem::take(&mut self.frozen);
        for (kind, frozen) in &frozen {
            if let Some(late) = late.remove(kind) {
                self.begin(gather, *kind, frozen, Some(&late)).await?;
            }
        }
        self.frozen = frozen;
        Ok(())
    }

    async fn judge_several(&mut self, gather: &Gather) -> Result<(), QueryError> {
        for several in self.several.iter_mut().filter(|several| several.is_due()) {
            several.judge(gather).await?;
        }
        Ok(())
    }

    /// Begins the charts of one kind that have frozen limits: all, or some. One that cannot be judged stands alone with it.
    async fn begin(
        &mut self,
        gather: &Gather,
        kind: ChartKind,
        frozen: &Frozen,
        only: Option<&HashSet<Key>>,
    ) -> Result<(), QueryError> {
        let Some(first) = frozen.first() else { return Ok(()) };
        // One is looked for by its names; several in one go.
        let one = only.filter(|only| only.len() == 1).and_then(|only| only.iter().next());
        let filters: Vec<Expr> = one.map(of_chart).unwrap_or_default();
        let names = Names::of(&gather.session, &filters, NAMES)?;
        let asked = Asked::new(kind);
        let window = (first, i64::MAX);
        let question = Question { gather, asked: &asked, names: &names, window, context: &CONTEXT };
        let measurements = Measurements::gather(&question, frozen).await?;
        let mut before: HashMap<&Key, Watched> = HashMap::new();
        for key in only.into_iter().flatten() {
            before.extend(self.charts.remove(&(key.clone(), kind)).map(|watched| (key, watched)));
        }
        for series in measurements.series() {
            let versions = frozen.of(series);
            if versions.is_empty() || only.is_some_and(|only| !only.contains(&series.key)) {
                continue;
            }
            let watched = Watched::begin(&question, &measurements, series, versions);
            let watched = match before.remove(&series.key) {
                Some(before) => watched.map(|watched| watched.going_back_as_far_as(&before)),
                None => watched,
            };
            self.keep((series.key.clone(), kind), watched);
            tokio::task::yield_now().await;
        }
        // Nothing is left of their values: somebody took them back.
        self.charts.extend(before.into_iter().map(|(key, watched)| ((key.clone(), kind), watched.emptied())));
        Ok(())
    }

    fn keep(&mut self, key: ChartKey, watched: Result<Watched, QueryError>) {
        match watched {
            Ok(watched) => {
                self.troubles.remove(&key);
                self.of_products.entry((key.1, place(&key.0))).or_default().insert(key.0.clone());
                self.charts.insert(key, watched);
            }
            Err(error) => {
                let error = error.to_string();
                if self.troubles.get(&key) != Some(&error) {
                    let [equipment, characteristic, ..] = key.0.each_ref().map(|name| name.as_deref());
                    tracing::warn!(chart = key.1.name(), characteristic, equipment, error, "a chart is not judged");
                }
                self.troubles.insert(key, error);
            }
        }
    }

    fn take_in(
        &mut self,
        plant: &Plant,
        rows: &RecordBatch,
        late: &mut HashMap<ChartKind, HashSet<Key>>,
    ) -> Result<(), QueryError> {
        let deleted = rows.column_by_name("deleted").and_then(|column| column.as_boolean_opt());
        let deleted = deleted.filter(|deleted| deleted.true_count() > 0);
        let (standing, gone) = match deleted {
            Some(deleted) => (filter_record_batch(rows, &not(deleted)?)?, Some(filter_record_batch(rows, deleted)?)),
            None => (rows.clone(), None),
        };
        for (kind, frozen) in &self.frozen {
            let late = late.entry(*kind).or_default();
            if let Some(gone) = &gone {
                let found = Measurements::of_rows(std::slice::from_ref(gone), *kind, plant, &self.excluded)?;
                late.extend(found.series().iter().map(|series| series.key.clone()));
            }
            let found = Measurements::of_rows(std::slice::from_ref(&standing), *kind, plant, &self.excluded)?;
            for series in found.series() {
                let key = (series.key.clone(), *kind);
                let others = self.of_products.get(&(*kind, place(&key.0))).into_iter().flatten();
                let times =
                    series.values.first().map(|first| first.time).zip(series.values.last().map(|last| last.time));
                let reached = others.filter(|other| **other != key.0).filter(|other| {
                    let chart = self.charts.get(&((*other).clone(), *kind));
                    times.zip(chart).is_some_and(|(times, chart)| chart.reaches_into(times))
                });
                late.extend(reached.cloned());
                // A chart that is known, or one that limits are waiting for.
                let chart = self.charts.get_mut(&key);
                if chart.is_none() && frozen.of(series).is_empty() {
                    continue;
                }
                // What cannot be judged now is looked at as a whole, and says then why.
                if !chart.is_some_and(|chart| chart.take(&found, series).unwrap_or(false)) {
                    late.insert(key.0);
                }
            }
        }
        late.retain(|_, late| !late.is_empty());
        Ok(())
    }

    /// What stands and was not said, and what was said and does not stand.
    fn changes(&mut self) -> Vec<Change> {
        let said = self.said.get_or_insert_default();
        let all = || {
            let of_several = self.several.iter().flat_map(Several::violations);
            self.charts.values().flat_map(Watched::violations).chain(of_several)
        };
        let standing: HashSet<&str> = all().map(|violation| violation.id.as_str()).collect();
        // Of what is older than the measurements that are kept stands what was said then.
        let gone = said.values().filter(|known| !standing.contains(known.id.as_str()));
        let gone = gone.filter(|known| match self.charts.values().find(|chart| chart.is_of(known)) {
            Some(chart) => chart.knows(known),
            None if self.several.iter().any(|several| several.is_of(known)) => {
                self.several.iter().any(|several| several.is_of(known) && several.knows(known))
            }
            None => chart_of(&known.id).is_none_or(|(key, kind)| {
                !self.frozen.iter().any(|(known, frozen)| *known == kind && frozen.governs(&key))
            }),
        });
        let gone: Vec<Violation> = gone.cloned().collect();
        let mut changes = Vec::new();
        for violation in all() {
            let known = said.get(&violation.id);
            if known.is_some_and(|known| known.says_as_much(violation)) {
                continue;
            }
            // One that only moved, with its execution's end, was acted upon.
            let acted_upon = known.or_else(|| gone.iter().find(|gone| violation.is_moved(gone)));
            let is_new = |unit: &&String| acted_upon.is_none_or(|known| !known.units.contains(unit));
            let more_units = violation.units.iter().filter(is_new).cloned().collect();
            let told = known.is_some_and(|known| known.is_told_by(violation));
            let change = if told { Change::Restated } else { Change::Raised };
            changes.push(change(Violation { more_units, ..violation.clone() }));
        }
        changes.extend(gone.into_iter().map(Change::Withdrawn));
        changes.sort_by_key(|change| change.violation().time);
        changes
    }
}

/// Conditions on the names of a chart.
fn of_chart(key: &Key) -> Vec<Expr> {
    let is = |(column, name): (&str, &Option<Arc<str>>)| match name {
        Some(name) => ident(column).eq(lit(name.as_ref())),
        None => ident(column).is_null(),
    };
    COLUMNS_OF_CHARTS.into_iter().zip(key).map(is).collect()
}

/// The violations that `events` knows.
async fn said_before(gather: &Gather) -> Result<BTreeMap<String, Violation>, QueryError> {
    let mut found = BTreeMap::new();
    let columns = ["event_id", "equipment", "characteristic", "message", "data"];
    let of_kind = ident("kind").eq(lit(VIOLATION));
    let asked: Vec<&str> = columns.into_iter().chain(["time"]).collect();
    let mut stream = gather.rows(EVENTS.name, of_kind, &asked, &[]).await?;
    while let Some(batch) = stream.try_next().await? {
        let texts = columns.map(|name| Texts::of(&batch, name));
        let [ids, equipment, characteristics, messages, data] = texts;
        let (ids, equipment, characteristics) = (ids?, equipment?, characteristics?);
        let (messages, data, times) = (messages?, data?, Times::of(&batch, "time")?);
        for row in 0..batch.num_rows() {
            let Some(id) = ids.at(row).filter(|id| id.starts_with(PREFIX)) else { continue };
            let owned = |texts: &Texts| texts.at(row).map(str::to_owned);
            let details = Details::of(data.at(row).unwrap_or_default());
            let violation = Violation {
                id: id.to_owned(),
                equipment: owned(&equipment),
                characteristic: owned(&characteristics),
                message: owned(&messages).unwrap_or_default(),
                time: times.at(row).unwrap_or_default(),
                value: details.number("value"),
                lcl: details.number("lcl"),
                ucl: details.number("ucl"),
                rules: details.text("rules"),
                limits: details.text("limits"),
                unit: Some(details.text("unit")).filter(|unit| !unit.is_empty()),
                units: details.texts("units"),
                ..Violation::default()
            };
            found.insert(id.to_owned(), violation);
        }
    }
    Ok(found)
}

/// The details of an event.
struct Details(Option<serde_json::Value>);

impl Details {
    fn of(data: &str) -> Self {
        Self(serde_json::from_str(data).ok())
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0.as_ref()?.get(name)?.as_f64()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.0.as_ref().and_then(|details| details.get(name)?.as_array());
        texts.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    fn text(&self, name: &str) -> String {
        let text = self.0.as_ref().and_then(|details| details.get(name)?.as_str());
        text.unwrap_or_default().to_owned()
    }
}
