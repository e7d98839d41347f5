//! One chart that is watched.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use oee::spc::{ChartKind, Judge, RuleSet};

use super::super::asked::By;
use super::super::frozen::Version;
use super::super::measured::{Key, Measured, Measurements, Series};
use super::super::points::violations;
use super::super::subgroups::{self, Group};
use super::super::{Question, said};
use super::{PREFIX, Violation};
use crate::error::QueryError;

/// Where a value stands in the order of production.
type Order = (i64, i64, String, String);

/// A chart, judged up to its newest value.
#[derive(Debug)]
pub(super) struct Watched {
    key: Key,
    kind: ChartKind,
    versions: Vec<Version>,
    by: By,
    /// Judges what comes next, and by which version.
    judge: Option<(usize, Judge)>,
    /// Values of the subgroup that is not whole yet.
    open: Vec<Kept>,
    /// Subgroups that are whole, where a column tells them apart.
    closed: HashSet<String>,
    newest: Option<Order>,
    /// What stands, by identity.
    standing: BTreeMap<String, Violation>,
}

/// A value with what is known of it.
#[derive(Debug, Clone)]
struct Kept {
    measured: Measured,
    label: Option<String>,
    unit: Option<String>,
    run: Option<String>,
    work_order: Option<String>,
    operator: Option<String>,
}

impl Kept {
    fn of(measurements: &Measurements, by: &By, measured: Measured) -> Self {
        let label = |column: &str| measurements.label(measured.place, column).map(str::to_owned);
        Self {
            measured,
            label: if let By::Column(column) = by { label(column) } else { None },
            unit: label("unit"),
            run: label("run"),
            work_order: label("work_order"),
            operator: label("operator"),
        }
    }

    fn order(&self) -> Order {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        (self.measured.time, self.measured.piece, text(&self.unit), text(&self.run))
    }
}

impl Watched {
    /// A chart from everything that was measured since its first limits.
    pub(super) fn begin(
        question: &Question<'_>,
        measurements: &Measurements,
        series: &Series,
        versions: &[Version],
    ) -> Result<Self, QueryError> {
        let by = subgroups::by(question, measurements, series, versions)?;
        let mut watched = Self {
            key: series.key.clone(),
            kind: question.asked.kind,
            versions: versions.to_vec(),
            by,
            judge: None,
            open: Vec::new(),
            closed: HashSet::new(),
            newest: None,
            standing: BTreeMap::new(),
        };
        if watched.is_stepwise() {
            watched.take(measurements, series)?;
        } else {
            let groups = subgroups::of(question, measurements, series, &watched.by, versions)?;
            for group in &groups {
                watched.judge_group(measurements, group)?;
            }
        }
        Ok(watched)
    }

    /// What stands.
    pub(super) fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.standing.values()
    }

    /// Whether values can be judged one by one as they come. Subgroups by time, and short runs, need all of them.
    fn is_stepwise(&self) -> bool {
        let short_run = matches!(self.kind, ChartKind::ShortRunDeviation | ChartKind::ShortRunZ);
        !short_run && !matches!(self.by, By::Time(_))
    }

    /// Takes values that came; false where the chart has to be begun anew for them.
    pub(super) fn take(&mut self, measurements: &Measurements, series: &Series) -> Result<bool, QueryError> {
        if !self.is_stepwise() {
            return Ok(false);
        }
        for measured in &series.values {
            let value = Kept::of(measurements, &self.by, *measured);
            let order = value.order();
            // Late, or another version of a value that was judged; or one that nobody should judge by.
            let again = self.newest.as_ref().is_some_and(|newest| order <= *newest);
            if again || value.label.as_ref().is_some_and(|label| self.closed.contains(label)) {
                return Ok(false);
            }
            self.newest = Some(order);
            self.add(value)?;
        }
        Ok(true)
    }

    fn add(&mut self, value: Kept) -> Result<(), QueryError> {
        match self.by {
            By::Count(size) => {
                self.open.push(value);
                if self.open.len() >= size {
                    let whole = std::mem::take(&mut self.open);
                    self.judge_values(&whole, true)?;
                }
            }
            By::Column(_) => {
                if value.label.is_none() {
                    return Ok(());
                }
                if self.open.first().is_some_and(|first| first.label != value.label) {
                    let whole = std::mem::take(&mut self.open);
                    self.closed.extend(whole.first().and_then(|first| first.label.clone()));
                    self.judge_values(&whole, true)?;
                }
                self.open.push(value);
                // What the subgroup says so far.
                let open = self.open.clone();
                self.judge_values(&open, false)?;
            }
            By::Time(_) => {}
        }
        Ok(())
    }

    /// Judges a subgroup. One that is not whole leaves the judge as it was.
    fn judge_values(&mut self, values: &[Kept], whole: bool) -> Result<(), QueryError> {
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return Ok(()) };
        let numbers: Vec<f64> = values.iter().map(|value| value.measured.value).collect();
        let units = values.iter().map(|value| value.measured.units).sum();
        let subgroup = subgroups::subgroup(self.kind, &numbers, units)?;
        let excluded = values.iter().any(|value| value.measured.excluded);
        let subgroup = if excluded { subgroup.exclude() } else { subgroup };
        let time = last.measured.time;
        let Some((mut judge, version)) = self.judge_at(time)? else { return Ok(()) };
        let verdict = judge.push(&subgroup);
        let rules = Arc::clone(judge.rules());
        if whole {
            self.judge = Some((version, judge));
        }
        let id = self.identity(&first.order());
        self.settle(id, &rules, &verdict, version, (last, time));
        Ok(())
    }

    fn judge_group(&mut self, measurements: &Measurements, group: &Group) -> Result<(), QueryError> {
        let Some((mut judge, version)) = self.judge_at(group.last)? else { return Ok(()) };
        let verdict = judge.push(&group.subgroup);
        let rules = Arc::clone(judge.rules());
        self.judge = Some((version, judge));
        let label = |place, column: &str| measurements.label(place, column).map(str::to_owned);
        let (place, piece) = group.begins;
        let text = |column: &str| label(place, column).unwrap_or_default();
        let id = self.identity(&(group.first, piece, text("unit"), text("run")));
        let last = Kept {
            measured: Measured { time: group.last, value: 0.0, units: 1.0, piece, place: group.place, excluded: false },
            label: None,
            unit: label(group.place, "unit"),
            run: label(group.place, "run"),
            work_order: label(group.place, "work_order"),
            operator: label(group.place, "operator"),
        };
        self.settle(id, &rules, &verdict, version, (&last, group.last));
        Ok(())
    }

    /// The judge of a subgroup that ends at `time`; none before the first limits hold.
    fn judge_at(&self, time: i64) -> Result<Option<(Judge, usize)>, QueryError> {
        let begun = self.versions.partition_point(|version| version.valid_from <= time);
        let Some(place) = begun.checked_sub(1) else { return Ok(None) };
        if let Some((known, judge)) = &self.judge
            && *known == place
        {
            return Ok(Some((judge.clone(), place)));
        }
        let Some(version) = self.versions.get(place) else { return Ok(None) };
        let rules = version.rules.clone().unwrap_or_else(|| Arc::new(RuleSet::nelson()));
        Ok(Some((Judge::new(version.limits, &rules).map_err(said)?, place)))
    }

    fn identity(&self, (time, piece, unit, run): &Order) -> String {
        let [equipment, characteristic, product, operation] =
            self.key.each_ref().map(|name| name.as_deref().unwrap_or_default().replace('%', "%25").replace('|', "%7C"));
        let chart = self.kind.name();
        let of = format!("{chart}|{characteristic}|{equipment}|{product}|{operation}");
        let [unit, run] = [unit, run].map(|name| name.replace('%', "%25").replace('|', "%7C"));
        format!("{PREFIX}{of}|{time}|{unit}|{run}|{piece}")
    }

    fn settle(
        &mut self,
        id: String,
        rules: &RuleSet,
        verdict: &oee::spc::Verdict,
        version: usize,
        (last, time): (&Kept, i64),
    ) {
        let limits = self.versions.get(version);
        let companion = limits.and_then(|version| version.limits.companion).zip(verdict.companion);
        let (Some(names), Some(message)) = violations(rules, &verdict.point, companion) else {
            self.standing.remove(&id);
            return;
        };
        let [equipment, characteristic, product, operation] =
            self.key.each_ref().map(|name| name.as_deref().map(str::to_owned));
        let violation = Violation {
            id: id.clone(),
            time,
            chart: self.kind.name().to_owned(),
            equipment,
            characteristic,
            product,
            operation,
            unit: last.unit.clone(),
            work_order: last.work_order.clone(),
            operator: last.operator.clone(),
            value: verdict.point.plotted,
            centre: verdict.point.centre,
            lcl: verdict.point.lcl,
            ucl: verdict.point.ucl,
            rules: names,
            message,
            limits: limits.map(|version| version.words.clone()).unwrap_or_default(),
        };
        self.standing.insert(id, violation);
    }
}
