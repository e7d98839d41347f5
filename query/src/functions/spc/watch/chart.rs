//! One chart that is watched.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use oee::spc::{ChartKind, Judge, Rational, RuleSet, Verdict};

use super::super::asked::Asked;
use super::super::frozen::Version;
use super::super::measured::{Key, Measured, Measurements, Series};
use super::super::points::violations;
use super::super::subgroups::{self, Group};
use super::super::{Question, in_parts, said};
use super::{Companion, PREFIX, Violation};
use crate::error::QueryError;

/// Where a value stands in the order of production.
type Order = (i64, i64, String, String);

/// A chart, judged up to its newest value.
#[derive(Debug)]
pub(super) struct Watched {
    key: Key,
    kind: ChartKind,
    /// What the identities of its violations begin with.
    prefix: String,
    versions: Vec<Version>,
    part: Part,
    newest: Option<Order>,
    /// When its oldest value was measured: of earlier ones nothing can be said any more.
    oldest: Option<i64>,
    /// What stands, by identity.
    standing: BTreeMap<String, Violation>,
}

/// The values of the version in force.
#[derive(Debug, Default)]
struct Part {
    /// Which version; none before the first, when nothing is judged.
    version: Option<usize>,
    /// How its values become subgroups; none before there is one.
    by: Option<Rational>,
    /// Judges what comes next.
    judge: Option<Judge>,
    /// Values of the subgroup that is not whole yet, and what they agree in.
    open: Vec<Kept>,
    open_label: Option<String>,
    /// Subgroups that are whole, where a column tells them apart.
    closed: HashSet<String>,
}

/// A value with what is known of it.
#[derive(Debug, Clone)]
struct Kept {
    measured: Measured,
    unit: Option<String>,
    run: Option<String>,
    work_order: Option<String>,
    operator: Option<String>,
}

impl Kept {
    fn of(measurements: &Measurements, measured: Measured) -> Self {
        let label = |column: &str| measurements.label(measured.place, column).map(str::to_owned);
        Self {
            measured,
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
    /// A chart from everything that was measured since its first limits: as `spc` draws it.
    pub(super) fn begin(
        question: &Question<'_>,
        measurements: &Measurements,
        series: &Series,
        versions: Vec<Version>,
    ) -> Result<Self, QueryError> {
        let mut watched = Self {
            key: series.key.clone(),
            kind: question.asked.kind,
            prefix: prefix(&series.key, question.asked.kind),
            versions: Vec::new(),
            part: Part::default(),
            newest: series.values.last().map(|value| Kept::of(measurements, *value).order()),
            oldest: series.values.first().map(|value| value.time),
            standing: BTreeMap::new(),
        };
        let parts = in_parts(&series.values, &versions);
        watched.versions.clone_from(&versions);
        for (place, (version, values)) in parts.into_iter().enumerate() {
            // Versions of a time to come judge nothing yet: the part before them goes on.
            if version.is_some() && !values.is_empty() {
                watched.judge_part(question, measurements, series, place - 1, values)?;
            }
        }
        Ok(watched)
    }

    fn judge_part(
        &mut self,
        question: &Question<'_>,
        measurements: &Measurements,
        series: &Series,
        version: usize,
        values: &[Measured],
    ) -> Result<(), QueryError> {
        self.part = Part { version: Some(version), ..Part::default() };
        let by = self.by(measurements, version, values)?;
        let groups = subgroups::of(question, measurements, series, values, &by)?;
        // A subgroup that a column tells apart can go on.
        let whole = if let Rational::Column(_) = by { groups.len().saturating_sub(1) } else { groups.len() };
        let members = subgroups::cut(question, measurements, series, values, &by)?;
        for (place, (group, (_, values))) in groups.iter().zip(&members).enumerate() {
            self.judge_group(measurements, version, (group, values), place < whole)?;
        }
        let rest: Vec<Measured> = match &by {
            Rational::Count(size) => values.get(groups.len() * size..).unwrap_or_default().to_vec(),
            Rational::Column(column) => {
                let mut named = subgroups::in_groups(measurements, values, column);
                let (label, last) = named.pop().unzip();
                self.part.closed = named.into_iter().map(|(label, _)| label.to_owned()).collect();
                self.part.open_label = label.map(str::to_owned);
                last.map(Cow::into_owned).unwrap_or_default()
            }
            Rational::Time(_) => Vec::new(),
        };
        self.part.open = rest.into_iter().map(|value| Kept::of(measurements, value)).collect();
        self.part.by = Some(by);
        Ok(())
    }

    fn by(&self, measurements: &Measurements, version: usize, values: &[Measured]) -> Result<Rational, QueryError> {
        let named = || subgroups::names_subgroups(measurements, values);
        subgroups::by(&Asked::new(self.kind), self.versions.get(version), values.is_empty(), named)
    }

    /// What stands.
    pub(super) fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.standing.values()
    }

    /// The chart, begun anew for rows that were written: what it knew of before was taken back by those, not by its age.
    pub(super) fn going_back_as_far_as(mut self, before: &Self) -> Self {
        self.oldest = self.oldest.into_iter().chain(before.oldest).min();
        self
    }

    /// The chart without any value.
    pub(super) fn emptied(mut self) -> Self {
        (self.part, self.newest, self.standing) = (Part::default(), None, BTreeMap::new());
        self
    }

    /// Whether a violation is of this chart.
    pub(super) fn is_of(&self, violation: &Violation) -> bool {
        violation.id.starts_with(&self.prefix)
    }

    /// Whether a violation that was said can be compared with what is measured: it is not older than the oldest measurement
    /// that is still kept.
    pub(super) fn knows(&self, violation: &Violation) -> bool {
        self.oldest.is_some_and(|oldest| oldest <= violation.time)
    }

    /// Whether it holds values of those times, or could.
    pub(super) fn reaches_into(&self, (first, last): (i64, i64)) -> bool {
        let newest = self.newest.as_ref().map(|(newest, ..)| *newest);
        self.oldest.zip(newest).is_some_and(|(oldest, newest)| oldest <= last && first <= newest)
    }

    /// Takes values that came; false where the chart has to be begun anew for them.
    pub(super) fn take(&mut self, measurements: &Measurements, series: &Series) -> Result<bool, QueryError> {
        // Short runs take all values to know the parts, subgroups by time a calendar.
        if self.kind.is_short_run() || series.texts > 0 {
            return Ok(false);
        }
        for measured in &series.values {
            let value = Kept::of(measurements, *measured);
            let order = value.order();
            // Late, or another version of a value that was judged.
            if self.newest.as_ref().is_some_and(|newest| order <= *newest) {
                return Ok(false);
            }
            self.newest = Some(order);
            self.oldest = self.oldest.or(Some(measured.time));
            if !self.add(measurements, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add(&mut self, measurements: &Measurements, value: Kept) -> Result<bool, QueryError> {
        let time = value.measured.time;
        let Some(version) = self.versions.partition_point(|known| known.valid_from <= time).checked_sub(1) else {
            return Ok(true);
        };
        if self.part.version != Some(version) {
            self.part = Part { version: Some(version), ..Part::default() };
        }
        let by = match self.part.by.take() {
            Some(by) => by,
            None => self.by(measurements, version, &[value.measured])?,
        };
        let taken = self.add_by(measurements, version, &by, value);
        self.part.by = Some(by);
        taken
    }

    fn add_by(
        &mut self,
        measurements: &Measurements,
        version: usize,
        by: &Rational,
        value: Kept,
    ) -> Result<bool, QueryError> {
        match by {
            Rational::Time(_) => return Ok(false),
            Rational::Count(size) => {
                self.part.open.push(value);
                if self.part.open.len() >= *size {
                    let whole = std::mem::take(&mut self.part.open);
                    self.judge_values(version, &whole, true)?;
                }
            }
            Rational::Column(column) => {
                let label_of = |value: &Kept| measurements.label(value.measured.place, column).map(str::to_owned);
                let Some(label) = label_of(&value) else { return Ok(true) };
                let open = self.part.open_label.take();
                if self.part.closed.contains(&label) {
                    return Ok(false);
                }
                if let Some(open) = open.filter(|open| *open != label) {
                    let whole = std::mem::take(&mut self.part.open);
                    self.part.closed.insert(open);
                    self.judge_values(version, &whole, true)?;
                }
                self.part.open_label = Some(label);
                self.part.open.push(value);
                // What the subgroup says so far.
                let open = std::mem::take(&mut self.part.open);
                let judged = self.judge_values(version, &open, false);
                self.part.open = open;
                judged?;
            }
        }
        Ok(true)
    }

    /// Judges a subgroup. One that is not whole leaves the judge as it was.
    fn judge_values(&mut self, version: usize, values: &[Kept], whole: bool) -> Result<(), QueryError> {
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return Ok(()) };
        let numbers: Vec<f64> = values.iter().map(|value| value.measured.value).collect();
        // Each measurement is of one unit.
        let subgroup = subgroups::subgroup(self.kind, &numbers, numbers.len() as f64)?;
        let excluded = values.iter().any(|value| value.measured.excluded);
        let subgroup = if excluded { subgroup.exclude() } else { subgroup };
        let (rules, verdict) = self.judge(version, &subgroup, whole)?;
        let id = self.identity(&first.order());
        let units = distinct(values.iter().filter_map(|value| value.unit.as_deref()));
        self.settle(id, (&rules, &verdict), version, last, units);
        Ok(())
    }

    fn judge_group(
        &mut self,
        measurements: &Measurements,
        version: usize,
        (group, values): (&Group, &[Measured]),
        whole: bool,
    ) -> Result<(), QueryError> {
        let (rules, verdict) = self.judge(version, &group.subgroup, whole)?;
        let (place, piece) = group.begins;
        let text = |column: &str| measurements.label(place, column).unwrap_or_default().to_owned();
        let id = self.identity(&(group.first, piece, text("unit"), text("run")));
        let place = group.place;
        let last = Measured { time: group.last, value: 0.0, piece, place, excluded: false };
        let units = values.iter().filter_map(|value| measurements.label(value.place, "unit"));
        self.settle(id, (&rules, &verdict), version, &Kept::of(measurements, last), distinct(units));
        Ok(())
    }

    fn judge(
        &mut self,
        version: usize,
        subgroup: &oee::spc::Subgroup,
        whole: bool,
    ) -> Result<(Arc<RuleSet>, Verdict), QueryError> {
        let mut judge = match (&self.part.judge, self.versions.get(version)) {
            (Some(judge), _) => judge.clone(),
            (None, Some(version)) => {
                let rules = version.rules.clone().unwrap_or_else(|| Arc::new(RuleSet::nelson()));
                Judge::new(version.limits, &rules).map_err(said)?
            }
            (None, None) => return Err(QueryError::Execution("a chart without its limits".to_owned())),
        };
        let verdict = judge.push(subgroup);
        let rules = Arc::clone(judge.rules());
        if whole {
            self.part.judge = Some(judge);
        }
        Ok((rules, verdict))
    }

    fn identity(&self, (time, piece, unit, run): &Order) -> String {
        identity(&self.prefix, (*time, *piece), unit, run)
    }

    fn settle(
        &mut self,
        id: String,
        (rules, verdict): (&RuleSet, &Verdict),
        version: usize,
        last: &Kept,
        units: Vec<String>,
    ) {
        let limits = self.versions.get(version);
        let companion = limits.and_then(|version| version.limits.companion).zip(verdict.companion);
        let (Some(names), Some(message)) = violations(rules, &verdict.point, companion) else {
            self.standing.remove(&id);
            return;
        };
        let [equipment, characteristic, product, operation] =
            self.key.each_ref().map(|name| name.as_deref().map(str::to_owned));
        let beyond = |point: &oee::spc::Point| point.is_beyond_limits();
        let violation = Violation {
            id: id.clone(),
            time: last.measured.time,
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
            companion: companion.map(|(below, point)| Companion {
                name: below.name(),
                value: point.plotted,
                lcl: point.lcl,
                ucl: point.ucl,
            }),
            units,
            more_units: Vec::new(),
            is_fresh: limits.is_some_and(|version| version.recorded <= last.measured.time),
            is_beyond: beyond(&verdict.point) || verdict.companion.as_ref().is_some_and(beyond),
            rules: names,
            message,
            limits: limits.map(|version| version.words.clone()).unwrap_or_default(),
        };
        self.standing.insert(id, violation);
    }
}

/// Of a violation: the chart, and the first value of the subgroup.
pub(super) fn identity(prefix: &str, (time, piece): (i64, i64), unit: &str, run: &str) -> String {
    format!("{prefix}{time}|{}|{}|{piece}", escaped(unit), escaped(run))
}

pub(super) fn prefix(key: &Key, kind: ChartKind) -> String {
    let [equipment, characteristic, product, operation] =
        key.each_ref().map(|name| escaped(name.as_deref().unwrap_or_default()));
    format!("{PREFIX}{}|{characteristic}|{equipment}|{product}|{operation}|", kind.name())
}

/// Names, each once, in order.
pub(super) fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The chart that the identity of a violation names.
pub(super) fn chart_of(id: &str) -> Option<(Key, ChartKind)> {
    let mut parts = id.strip_prefix(PREFIX)?.split('|');
    let kind = ChartKind::parse(parts.next()?).ok()?;
    let mut name = || {
        let name = parts.next()?.replace("%7C", "|").replace("%25", "%");
        Some((!name.is_empty()).then(|| Arc::from(name)))
    };
    let [characteristic, equipment, product, operation] = [name()?, name()?, name()?, name()?];
    Some(([equipment, characteristic, product, operation], kind))
}

fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('|', "%7C")
}
