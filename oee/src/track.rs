//! What the signals that `plant.toml` binds to an equipment's states, counts, reasons and energy say, sample by sample.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::condition::Condition;
use crate::count::{CounterSteps, Piece};
use crate::counter::{Counter, CounterRule};
use crate::debounce::{Debounce, Truth};
use crate::energy::{Consumption, kwh_per};
use crate::plant::{Plant, Role, SignalDef, Source, StateRule, value_text};
use crate::series::Severity;
use crate::state::{Category, StateRecord, StateValue};
use crate::symptom::Symptom;

/// One sample of a bound signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<'a> {
    /// Source time.
    pub time: i64,
    /// Value, where it is a number.
    pub value: Option<f64>,
    /// Value, where it is text.
    pub text: Option<&'a str>,
    /// OPC UA StatusCode.
    pub quality: i64,
}

impl Reading<'_> {
    fn severity(&self) -> Severity {
        Severity::of(self.quality)
    }

    /// The state it says, as state maps name it; none where the source says that there is no value.
    pub(crate) fn state(&self) -> Option<String> {
        if self.severity() == Severity::Bad {
            return None;
        }
        self.text.map(str::to_owned).or_else(|| self.value.map(value_text))
    }

    /// What a counter reads, where that is to be believed.
    fn count(&self) -> Option<f64> {
        self.value.filter(|value| self.severity() == Severity::Good && value.is_finite())
    }
}

/// What one signal says.
#[derive(Debug, Clone)]
enum Track {
    /// Changes of state, by way of the state map.
    States { last: Option<Option<String>>, records: Vec<StateRecord> },
    /// Changes of state, by a rule.
    Runs { rule: StateRule, debounce: Debounce, records: Vec<StateRecord> },
    /// Steps of a counter.
    Steps { role: Role, reason: Option<Arc<str>>, rule: CounterRule, counter: Counter, steps: Vec<(i64, f64)> },
    /// Energy by a meter, with the time of its newest good reading.
    Meter { rule: CounterRule, counter: Counter, kwh_per: f64, last: Option<i64>, taken: Vec<Consumption> },
    /// Whether a condition holds that explains stops: the one in that place among the equipment's.
    Shows { place: usize, condition: Condition, last: Option<Truth>, changes: Vec<(i64, Truth)> },
}

impl Track {
    fn of(role: Role, signal: &SignalDef) -> Self {
        match (role, &signal.running) {
            (Role::State, Some(rule)) => {
                Self::Runs { rule: rule.clone(), debounce: Debounce::new(rule.for_us), records: Vec::new() }
            }
            (Role::State, None) => Self::States { last: None, records: Vec::new() },
            (Role::Energy, _) => {
                let rule = signal.counter;
                // A meter without a unit of energy is a mistake of the plant file.
                let kwh_per = signal.uom.as_deref().and_then(kwh_per).unwrap_or(f64::NAN);
                Self::Meter { rule, counter: Counter::new(rule), kwh_per, last: None, taken: Vec::new() }
            }
            (role, _) => {
                let rule = signal.counter;
                let reason = signal.reason.as_deref().map(Arc::from);
                Self::Steps { role, reason, rule, counter: Counter::new(rule), steps: Vec::new() }
            }
        }
    }

    fn can_begin_with(&self, reading: &Reading<'_>) -> bool {
        match self {
            Self::States { .. } | Self::Runs { .. } | Self::Shows { .. } => true,
            Self::Steps { .. } | Self::Meter { .. } => reading.count().is_some(),
        }
    }

    fn begin(&mut self, plant: &Plant, equipment: &str, reading: &Reading<'_>) {
        match self {
            Self::Steps { rule, counter, .. } => {
                if let Some(value) = reading.count() {
                    *counter = Counter::from_baseline(*rule, value);
                }
            }
            Self::Meter { rule, counter, last, .. } => {
                if let Some(value) = reading.count() {
                    *counter = Counter::from_baseline(*rule, value);
                    *last = Some(reading.time);
                }
            }
            Self::States { .. } | Self::Runs { .. } | Self::Shows { .. } => self.push(plant, equipment, reading),
        }
    }

    fn push(&mut self, plant: &Plant, equipment: &str, reading: &Reading<'_>) {
        match self {
            Self::States { last, records } => {
                let state = reading.state();
                if last.as_ref() != Some(&state) {
                    let value = match &state {
                        Some(state) => plant.classify(equipment, Some(state.as_str()), None, None),
                        None => StateValue::new("unknown", None, None),
                    };
                    records.push(change(reading.time, value));
                    *last = Some(state);
                }
            }
            Self::Runs { rule, debounce, records } => {
                records.extend(debounce.push(reading.time, rule.condition.holds(reading)).map(by_rule));
            }
            Self::Steps { counter, steps, .. } => {
                if let Some(step) = reading.count().and_then(|value| counter.push(value)).filter(|step| *step != 0.0) {
                    steps.push((reading.time, step));
                }
            }
            Self::Meter { counter, kwh_per, last, taken, .. } => {
                let Some(value) = reading.count() else { return };
                let previous = last.replace(reading.time);
                if let (Some(step), Some(previous)) = (counter.push(value).filter(|step| *step != 0.0), previous) {
                    taken.push(Consumption::between(previous, reading.time, step * *kwh_per));
                }
            }
            Self::Shows { condition, last, changes, .. } => {
                let holds = condition.holds(reading);
                if last.replace(holds) != Some(holds) {
                    changes.push((reading.time, holds));
                }
            }
        }
    }
}

/// What a rule says of a machine.
fn by_rule((start, runs): (i64, Truth)) -> StateRecord {
    let (state, category) = match runs {
        Some(true) => ("running", Some(Category::Run)),
        Some(false) => ("stopped", Some(Category::Unplanned)),
        None => ("unknown", None),
    };
    change(start, StateValue::new(state, category, None))
}

fn change(start: i64, value: StateValue) -> StateRecord {
    StateRecord { start, end: None, recorded: start, value }
}

/// What signals have said.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Changes of state.
    pub states: Vec<StateRecord>,
    /// Pieces; none where no signal counts them.
    pub pieces: Option<Vec<Piece>>,
    /// Energy taken; none where no meter is bound.
    pub energy: Option<Vec<Consumption>>,
    /// What explains stops: every rule of the equipment in order, with the changes of its condition.
    pub symptoms: Vec<Symptom>,
}

/// The bound signals of one equipment, as their samples pass by in time order.
#[derive(Debug, Clone, Default)]
pub struct Tracks {
    equipment: String,
    /// By name, so that what several counters say comes in the same order each time.
    tracks: BTreeMap<String, Vec<Track>>,
    /// What explains stops, without the changes.
    symptoms: Vec<Symptom>,
    /// Time of the newest sample of each.
    newest: HashMap<String, i64>,
}

impl Tracks {
    /// The signals that count on an equipment, or explain its stops; none where its states and counts come from records and
    /// nothing explains them.
    #[must_use]
    pub fn of(plant: &Plant, equipment: &str) -> Self {
        let states = plant.state_source(equipment) == Source::Signal;
        let counts = plant.count_source(equipment) == Source::Signal;
        let counted = plant.role_signals(equipment).into_iter().filter(|(role, _)| match role {
            Role::State => states,
            Role::TotalCount | Role::GoodCount | Role::ScrapCount => counts,
            Role::Energy => true,
        });
        let mut tracks: BTreeMap<String, Vec<Track>> = BTreeMap::new();
        for (role, signal) in counted {
            tracks.entry(signal.signal.clone()).or_default().push(Track::of(role, signal));
        }
        let mut symptoms = Vec::new();
        for rule in plant.reason_rules(equipment) {
            let Some(category) = plant.reason_category(&rule.reason) else { continue };
            let condition = rule.condition.clone();
            let track = Track::Shows { place: symptoms.len(), condition, last: None, changes: Vec::new() };
            tracks.entry(rule.signal.clone()).or_default().push(track);
            symptoms.push(Symptom { reason: Arc::from(rule.reason.as_str()), category, changes: Vec::new() });
        }
        Self { equipment: equipment.to_owned(), tracks, symptoms, newest: HashMap::new() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Names of the signals.
    pub fn signals(&self) -> impl Iterator<Item = &str> {
        self.tracks.keys().map(String::as_str)
    }

    /// Whether a signal is among them.
    #[must_use]
    pub fn has(&self, signal: &str) -> bool {
        self.tracks.contains_key(signal)
    }

    /// Time of the newest sample that was pushed of a signal.
    #[must_use]
    pub fn newest(&self, signal: &str) -> Option<i64> {
        self.newest.get(signal).copied()
    }

    /// Whether a sample can be what was in force before the first one: a counter's baseline is a good one.
    #[must_use]
    pub fn can_begin_with(&self, signal: &str, reading: &Reading<'_>) -> bool {
        self.tracks.get(signal).is_some_and(|tracks| tracks.iter().all(|track| track.can_begin_with(reading)))
    }

    /// Begins a signal with the last sample before those to come.
    pub fn begin(&mut self, plant: &Plant, signal: &str, reading: &Reading<'_>) {
        if self.can_begin_with(signal, reading) {
            self.each(signal, reading.time, |track, equipment| track.begin(plant, equipment, reading));
        }
    }

    /// Takes the next sample of a signal.
    pub fn push(&mut self, plant: &Plant, signal: &str, reading: &Reading<'_>) {
        self.each(signal, reading.time, |track, equipment| track.push(plant, equipment, reading));
    }

    /// Calls `take` with each track of a signal of which there is a sample.
    fn each(&mut self, signal: &str, time: i64, take: impl Fn(&mut Track, &str)) {
        let Some(tracks) = self.tracks.get_mut(signal) else { return };
        match self.newest.get_mut(signal) {
            Some(newest) => *newest = time,
            None => {
                self.newest.insert(signal.to_owned(), time);
            }
        }
        tracks.iter_mut().for_each(|track| take(track, &self.equipment));
    }

    /// What they have said since the last call, as of `now`: until when what they said last is known to go on. Where samples
    /// were read up to an earlier time, it is that.
    ///
    /// A state that a rule tells begins before the sample, or the time, that proves it.
    pub fn take(&mut self, now: i64) -> Said {
        let mut states = Vec::new();
        let (mut counters, mut energy) = (CounterSteps::default(), None);
        let mut symptoms = self.symptoms.clone();
        for track in self.tracks.values_mut().flatten() {
            match track {
                Track::States { records, .. } => states.append(records),
                Track::Runs { debounce, records, .. } => {
                    states.append(records);
                    states.extend(debounce.settle(now).map(by_rule));
                }
                Track::Steps { role: Role::TotalCount, steps, .. } => {
                    counters.total.get_or_insert_default().append(steps);
                }
                Track::Steps { role: Role::GoodCount, steps, .. } => {
                    counters.good.get_or_insert_default().append(steps);
                }
                Track::Steps { reason, steps, .. } => {
                    let because = steps.drain(..).map(|(time, step)| (time, step, reason.clone()));
                    counters.scrap.get_or_insert_default().extend(because);
                }
                Track::Meter { taken, .. } => energy = Some(std::mem::take(taken)),
                Track::Shows { place, changes, .. } => {
                    if let Some(symptom) = symptoms.get_mut(*place) {
                        symptom.changes = std::mem::take(changes);
                    }
                }
            }
        }
        Said { states, pieces: counters.pieces(), energy, symptoms }
    }

    /// Whether the state at `time` cannot be told by a rule from the samples pushed so far, so that it takes earlier ones.
    /// All since `known` are among them; where none came before, there are none. To be asked after [`Tracks::take`].
    #[must_use]
    pub fn needs_earlier(&self, time: i64, known: i64) -> bool {
        self.debounced().any(|debounce| debounce.needs_earlier(time, known))
    }

    /// Whether a sample makes undone what was told already, because it went on long enough as far as was known.
    #[must_use]
    pub fn is_undone_by(&self, signal: &str, reading: &Reading<'_>) -> bool {
        self.tracks.get(signal).into_iter().flatten().any(|track| match track {
            Track::Runs { rule, debounce, .. } => debounce.is_undone_by(reading.time, rule.condition.holds(reading)),
            Track::States { .. } | Track::Steps { .. } | Track::Meter { .. } | Track::Shows { .. } => false,
        })
    }

    /// The latest time up to `time` before which no sample to come after it can change anything.
    #[must_use]
    pub fn settled(&self, time: i64) -> i64 {
        let open = self.debounced().filter_map(|debounce| debounce.open_until());
        open.filter(|&(since, until)| since < time && time < until).map(|(since, _)| since).min().unwrap_or(time)
    }

    /// Time of the newest good reading of a meter: what was taken later, no reading has told yet.
    #[must_use]
    pub fn metered_until(&self) -> Option<i64> {
        let mut last = self.tracks.values().flatten().filter_map(|track| match track {
            Track::Meter { last, .. } => *last,
            _ => None,
        });
        last.next()
    }

    fn debounced(&self) -> impl Iterator<Item = &Debounce> {
        self.tracks.values().flatten().filter_map(|track| match track {
            Track::Runs { debounce, .. } => Some(debounce),
            Track::States { .. } | Track::Steps { .. } | Track::Meter { .. } | Track::Shows { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests;
