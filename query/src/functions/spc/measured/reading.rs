//! The way of rows into the charts that they belong to, batch by batch.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;
use oee::plant::Plant;
use oee::spc::capability::Spec;
use oee::verdict::Verdict;

use super::{COLUMNS_OF_CHARTS, CONTEXT, Excluded, Kept, Key, Measured, Measurements, PIECE, Place, Series};
use crate::error::QueryError;
use crate::functions::spc::specification::Declared;
use crate::functions::values::{Doubles, Integers, Names, Texts, Times};

/// Reads batches into charts.
pub(super) struct Reading {
    /// Which of [`COLUMNS_OF_CHARTS`] part one chart from another.
    parted: [bool; 4],
    pub(super) series: Vec<Series>,
    places: HashMap<Key, usize>,
    pub(super) kept: Vec<Kept>,
    /// Charts of the present batch by the numbers of their names.
    known: HashMap<[Option<i32>; 4], usize, ahash::RandomState>,
    last: Option<([Option<i32>; 4], usize)>,
    /// Of each chart the one that came after it last time.
    following: Vec<usize>,
    /// When the newest specification of each chart was measured by.
    spec_times: Vec<i64>,
}

impl Reading {
    pub(super) fn new(by: &[&'static str]) -> Self {
        Self {
            parted: COLUMNS_OF_CHARTS.map(|name| by.contains(&name)),
            series: Vec::new(),
            places: HashMap::new(),
            kept: Vec::new(),
            known: HashMap::default(),
            last: None,
            following: Vec::new(),
            spec_times: Vec::new(),
        }
    }

    pub(super) fn keep(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let labels = |name: &'static str| batch.column_by_name(name).map(|_| Names::of(batch, name)).transpose();
        let [equipment, characteristic, product, operation] = COLUMNS_OF_CHARTS.map(labels);
        let mut context = [const { None }; 6];
        for (texts, name) in context.iter_mut().zip(CONTEXT) {
            *texts = batch.column_by_name(name).map(|_| Texts::of(batch, name)).transpose()?;
        }
        let pieces = batch.column_by_name(PIECE).map(|_| Integers::of(batch, PIECE)).transpose()?;
        let targets = batch.column_by_name("target").map(|_| Doubles::of(batch, "target")).transpose()?;
        self.kept.push(Kept {
            charts: [equipment?, characteristic?, product?, operation?],
            context,
            targets,
            pieces,
            piece_labels: OnceLock::new(),
            units: Vec::new(),
        });
        self.known.clear();
        // Numbers of names are those of a batch; no name has a number below 0.
        self.last = self.last.map(|(_, chart)| ([Some(-1); 4], chart));
        Ok(())
    }

    /// Where the rows end that follow a row of a kept batch, up to `end`, and belong to the same chart.
    fn run_end(&self, batch: usize, row: usize, end: usize) -> usize {
        let Some(Kept { charts, .. }) = self.kept.get(batch) else { return end };
        let parted = || charts.iter().zip(self.parted).filter_map(|(names, parted)| names.as_ref().filter(|_| parted));
        // A short run is not looked for in all of a column that says the same of every row.
        let mut reach = 16;
        loop {
            let limit = end.min(row + reach);
            let found = parted().fold(limit, |limit, names| names.run_end(row, limit));
            if found < limit || limit == end {
                return found;
            }
            reach *= 4;
        }
    }

    /// The chart that a row of a kept batch belongs to.
    pub(super) fn chart(&mut self, batch: usize, row: usize) -> usize {
        let Some(Kept { charts, .. }) = self.kept.get(batch) else { return 0 };
        let parted = self.parted;
        let mut numbers = [None; 4];
        for ((number, labels), parted) in numbers.iter_mut().zip(charts).zip(parted) {
            if let (Some(labels), true) = (labels, parted) {
                *number = labels.key(row);
            }
        }
        let before = self.last.map(|(_, chart)| chart);
        if let Some((known, chart)) = self.last
            && known == numbers
        {
            return chart;
        }
        // Files follow each other in days, each with a few values of one chart after the other: mostly the same one as before.
        let guess = before.and_then(|before| self.following.get(before)).copied();
        let chart = match guess.filter(|&guess| self.is_named(guess, charts, numbers)) {
            Some(chart) => chart,
            None => match self.known.get(&numbers) {
                Some(&chart) => chart,
                None => {
                    let mut key = Key::default();
                    for ((name, labels), number) in key.iter_mut().zip(charts).zip(numbers) {
                        if let (Some(labels), Some(number)) = (labels, number) {
                            *name = labels.text(number).map(Arc::from);
                        }
                    }
                    let chart = self.named(key);
                    self.known.insert(numbers, chart);
                    chart
                }
            },
        };
        if let Some(following) = before.and_then(|before| self.following.get_mut(before)) {
            *following = chart;
        }
        self.last = Some((numbers, chart));
        chart
    }

    /// Whether a chart has the names that the numbers of a row stand for.
    fn is_named(&self, chart: usize, charts: &[Option<Names>; 4], numbers: [Option<i32>; 4]) -> bool {
        let Some(series) = self.series.get(chart) else { return false };
        series.key.iter().zip(charts).zip(numbers).all(|((name, labels), number)| {
            let text = labels.as_ref().zip(number).and_then(|(labels, number)| labels.text(number));
            name.as_deref() == text
        })
    }

    /// The chart of that name.
    fn named(&mut self, key: Key) -> usize {
        if let Some(&chart) = self.places.get(&key) {
            return chart;
        }
        let chart = self.series.len();
        self.places.insert(key.clone(), chart);
        self.series.push(Series { key, values: Vec::new(), texts: 0, spec: Spec::default() });
        self.spec_times.push(i64::MIN);
        self.following.push(usize::MAX);
        chart
    }

    /// What both read, the values of `later` behind the own ones.
    pub(super) fn joined(mut self, later: Self) -> Self {
        let batches = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
        self.kept.extend(later.kept);
        for (found, spec_time) in later.series.into_iter().zip(later.spec_times) {
            let chart = self.named(found.key);
            let (Some(series), Some(newest)) = (self.series.get_mut(chart), self.spec_times.get_mut(chart)) else {
                continue;
            };
            if found.spec != Spec::default() && *newest <= spec_time {
                (*newest, series.spec) = (spec_time, found.spec);
            }
            series.texts += found.texts;
            let moved = |value: Measured| {
                let batch = value.place.batch.saturating_add(batches);
                Measured { place: Place { batch, ..value.place }, ..value }
            };
            series.values.extend(found.values.into_iter().map(moved));
        }
        self
    }

    /// `judged`: whether units that do not conform are counted, by what the plant says that results mean.
    pub(super) fn take(
        &mut self,
        batch: &RecordBatch,
        judged: Option<&Plant>,
        excluded: &Excluded,
    ) -> Result<(), QueryError> {
        self.keep(batch)?;
        let at = self.kept.len() - 1;
        let (times, values, pieces) =
            (Times::of(batch, "time")?, Doubles::of(batch, "value")?, Integers::of(batch, "piece")?);
        let [lower, upper, target] = ["lower_limit", "upper_limit", "target"].map(|name| Doubles::of(batch, name));
        let (lower, upper, target) = (lower?, upper?, target?);
        let specified = lower.any() || upper.any() || target.any();
        let mut results = judged.map(|plant| Results::of(plant, batch)).transpose()?;
        let mut next = 0;
        while next < batch.num_rows() {
            // Rows of one chart mostly follow one another.
            let run = next..self.run_end(at, next, batch.num_rows());
            next = run.end;
            let chart = self.chart(at, run.start);
            let (Some(series), Some(newest)) = (self.series.get_mut(chart), self.spec_times.get_mut(chart)) else {
                continue;
            };
            let kept = self.kept.get(at).filter(|_| !excluded.is_empty());
            series.values.reserve(run.len());
            for row in run {
                let Some(time) = times.at(row) else { continue };
                let spec = match specified {
                    true => Spec { lower: lower.at(row), upper: upper.at(row), target: target.at(row) },
                    false => Spec::default(),
                };
                if specified && spec != Spec::default() && *newest <= time {
                    (*newest, series.spec) = (time, spec);
                }
                let number = values.at(row).filter(|value| value.is_finite());
                let value = match &mut results {
                    Some(results) => failure(results.at(row), number, &spec),
                    None => number,
                };
                let Some(value) = value else {
                    series.texts += 1;
                    continue;
                };
                let piece = pieces.at(row).unwrap_or(1);
                let excluded = kept.is_some_and(|kept| excluded.has(kept, row, time, piece));
                series.values.push(Measured { time, value, piece, place: Place::of(at, row), excluded });
            }
        }
        Ok(())
    }

    pub(super) fn done(self) -> Measurements {
        Measurements { series: self.series, kept: self.kept, declared: Declared::default() }
    }
}

/// What the results of a batch mean.
struct Results<'a> {
    plant: &'a Plant,
    equipment: Names,
    results: Names,
    /// By the numbers of equipment and result.
    known: HashMap<[Option<i32>; 2], Option<Verdict>, ahash::RandomState>,
}

impl<'a> Results<'a> {
    fn of(plant: &'a Plant, batch: &RecordBatch) -> Result<Self, QueryError> {
        let names = |name: &str| Names::of(batch, name);
        Ok(Self { plant, equipment: names("equipment")?, results: names("result")?, known: HashMap::default() })
    }

    fn at(&mut self, row: usize) -> Option<Verdict> {
        let result = self.results.at(row)?;
        let equipment = self.equipment.at(row).unwrap_or_default();
        let numbers = [self.equipment.key(row), self.results.key(row)];
        *self.known.entry(numbers).or_insert_with(|| self.plant.verdict(equipment, result))
    }
}

/// 1 for a unit that does not conform: as the station judged, else as its value lies to its specification, else as the value
/// itself says, which is 0 or 1.
fn failure(result: Option<Verdict>, value: Option<f64>, spec: &Spec) -> Option<f64> {
    match (result, value) {
        // What is sent to rework did not conform.
        (Some(Verdict::Fail | Verdict::Rework), _) => Some(1.0),
        (Some(Verdict::Pass), _) => Some(0.0),
        // Limits that cross tell of no value where it lies.
        (_, Some(_)) if spec.lower.zip(spec.upper).is_some_and(|(lower, upper)| lower >= upper) => None,
        (_, Some(value)) if spec.lower.is_some() || spec.upper.is_some() => {
            let outside =
                spec.lower.is_some_and(|lower| value < lower) || spec.upper.is_some_and(|upper| value > upper);
            Some(if outside { 1.0 } else { 0.0 })
        }
        (_, value) => value.filter(|value| [0.0, 1.0].contains(value)),
    }
}
