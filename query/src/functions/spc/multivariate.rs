//! `spc('t2', 'characteristics=bore, length')` and its limits: several characteristics of a unit on one chart.

use std::collections::HashMap;
use std::sync::Arc;

use oee::spc::capability::Spec;
use oee::spc::t2::{T2, T2Limits, Units, chart};
use oee::spc::{Point, RuleSet, Subgroup};

use super::asked::Asked;
use super::frozen::{Frozen, Version};
use super::head::Head;
use super::measured::{Measured, Measurements, Place, Series};
use super::points::{Context, Row, violations};
use super::subgroups::{self, Group, by_or_single, cut};
use super::{Question, in_parts, limits, mistaken, said};
use crate::error::QueryError;

/// The points of all charts.
pub(super) async fn points(question: &Question<'_>) -> Result<Vec<Row>, QueryError> {
    let known = Known::gather(question).await?;
    known.refuse_incomplete(question)?;
    let mut rows = Vec::new();
    for (series, whole) in known.charts() {
        let (mut number, versions) = (0, known.frozen.of(series));
        for part in parts(question, &known.measurements, series, whole, &versions)? {
            number += add(question, &known.measurements, series, &part, number, &mut rows)?;
        }
        tokio::task::yield_now().await;
    }
    Ok(rows)
}

/// The limits that hold now: those of units to come.
pub(super) async fn limits(question: &Question<'_>) -> Result<Vec<limits::Row>, QueryError> {
    let known = Known::gather(question).await?;
    known.refuse_incomplete(question)?;
    let names = question.asked.characteristics.join(", ");
    let mut rows = Vec::new();
    for (series, whole) in known.charts() {
        let versions = known.frozen.of(series);
        let parts = parts(question, &known.measurements, series, whole, &versions)?;
        let sizes = || parts.iter().flat_map(|part| &part.units).map(|units| units.n);
        let head = Head::of(&known.measurements, series).of_characteristics(&names);
        let mut row = limits::Row::begin(question.asked.kind, head, series.values.len(), sizes().count());
        row.n = sizes().next().filter(|size| sizes().all(|other| other == *size));
        match parts.into_iter().last().map(|part| (part.drawn, part.units.into_iter().last(), part.origin)) {
            Some((Ok((mut judge, _)), Some(last), origin)) => {
                row.point = judge.point(&last, false).map_err(said)?;
                row.reason = row.point.reason.map(|reason| reason.to_string());
                row.rules = Some(RuleSet::limits().to_string());
                row.parameters = Some(format!("alpha {}", judge.limits().alpha));
                row.origin = Some(origin.to_string());
                row.estimated_from = Some(judge.limits().units);
                row.model = Some(judge.limits().model());
            }
            Some((Err(error), ..)) => row.reason = Some(error.to_string()),
            _ => row.reason = Some("there is no subgroup".to_owned()),
        }
        rows.push(row);
    }
    Ok(rows)
}

/// What was measured, chart by chart, and the limits that were frozen for it.
pub(super) struct Known {
    pub(super) measurements: Measurements,
    pub(super) frozen: Frozen<T2Limits>,
    whole: Vec<Whole>,
}

impl Known {
    pub(super) async fn gather(question: &Question<'_>) -> Result<Self, QueryError> {
        let frozen = Frozen::of_several(question).await?;
        let measurements = Measurements::gather(question, &frozen).await?;
        let whole: Vec<Whole> =
            measurements.series().iter().map(|series| Whole::of(question, &measurements, series)).collect();
        Ok(Self { measurements, frozen, whole })
    }

    /// Says so where nothing can be drawn because no unit has all characteristics.
    fn refuse_incomplete(&self, question: &Question<'_>) -> Result<(), QueryError> {
        let incomplete: usize = self.whole.iter().map(|whole| whole.incomplete).sum();
        if incomplete > 0 && self.whole.iter().all(|whole| whole.units.is_empty()) {
            return Err(mistaken(format!(
                "none of {incomplete} units has all of {}, measured in one run",
                question.asked.characteristics.join(", ")
            )));
        }
        Ok(())
    }

    pub(super) fn charts(&self) -> impl Iterator<Item = (&Series, &Whole)> {
        self.measurements.series().iter().zip(&self.whole)
    }
}

/// The units of a chart of which all characteristics are known.
pub(super) struct Whole {
    /// One value for each, in the order of production: it tells when, and where all else is known.
    pub(super) units: Vec<Measured>,
    /// Their characteristics in the order they are asked for.
    values: HashMap<Place, Vec<f64>>,
    /// How many lack some.
    incomplete: usize,
}

impl Whole {
    /// Of a characteristic that was measured again the last value counts. What names no unit cannot be joined.
    fn of(question: &Question<'_>, measurements: &Measurements, series: &Series) -> Self {
        let names = &question.asked.characteristics;
        let mut found: Vec<(Measured, Vec<Option<f64>>)> = Vec::new();
        let mut places: HashMap<(Option<&str>, Option<&str>, i64), usize> = HashMap::new();
        let mut incomplete = 0;
        for value in &series.values {
            let label = |column: &str| measurements.label(value.place, column);
            let which = label("characteristic").and_then(|name| names.iter().position(|known| known == name));
            let Some(which) = which else { continue };
            if label("unit").is_none() {
                incomplete += 1;
                continue;
            }
            let place = *places.entry((label("unit"), label("run"), value.piece)).or_insert_with(|| {
                found.push((*value, vec![None; names.len()]));
                found.len() - 1
            });
            let Some((newest, values)) = found.get_mut(place) else { continue };
            let excluded = newest.excluded || value.excluded;
            *newest = Measured { excluded, ..*value };
            if let Some(slot) = values.get_mut(which) {
                *slot = Some(value.value);
            }
        }
        let (mut units, mut all) = (Vec::with_capacity(found.len()), HashMap::with_capacity(found.len()));
        for (newest, values) in found {
            match values.into_iter().collect::<Option<Vec<f64>>>() {
                Some(values) => {
                    all.insert(newest.place, values);
                    units.push(newest);
                }
                None => incomplete += 1,
            }
        }
        units.sort_by_key(|unit| unit.time);
        Self { units, values: all, incomplete }
    }

    fn subgroup(&self, units: &[Measured], characteristics: usize) -> Result<Units, oee::spc::Error> {
        let values: Vec<f64> =
            units.iter().filter_map(|unit| self.values.get(&unit.place)).flatten().copied().collect();
        let excluded = units.iter().any(|unit| unit.excluded);
        Ok(Units { excluded, ..Units::of(&values, characteristics)? })
    }
}

/// Units of a stretch of time with the same limits, in subgroups.
pub(super) struct Part<'w> {
    pub(super) groups: Vec<subgroups::Part<'w>>,
    /// The same, as they are judged.
    units: Vec<Units>,
    /// What judges them, and their points; or why nothing does.
    pub(super) drawn: Result<(T2, Vec<Point>), QueryError>,
    /// How many of the subgroups the limits were estimated from; 0 where the limits are frozen ones.
    phase_i: usize,
    origin: Arc<str>,
    /// The limits, where they are frozen ones.
    pub(super) version: Option<&'w Version<T2Limits>>,
}

impl Part<'_> {
    /// Of a subgroup: names of the rules that it violates, and what they say.
    pub(super) fn violated(&self, at: usize, names: &[String]) -> Option<(String, String)> {
        let (judge, points) = self.drawn.as_ref().ok()?;
        let (rules, words) = violations(&RuleSet::limits(), points.get(at)?, None);
        let each = of_each(names, &judge.of_each(self.units.get(at)?));
        Some((rules?, format!("{}; {each}", words?)))
    }
}

/// Units before the first frozen limits, and those that each version judges.
pub(super) fn parts<'w>(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    whole: &'w Whole,
    versions: &'w [Version<T2Limits>],
) -> Result<Vec<Part<'w>>, QueryError> {
    let asked = question.asked;
    let left_out = match whole.incomplete {
        0 => String::new(),
        count => format!("; {count} units without all characteristics are left out"),
    };
    let mut parts = Vec::with_capacity(versions.len() + 1);
    for (version, units) in in_parts(&whole.units, versions).into_iter().filter(|(_, units)| !units.is_empty()) {
        let said_by = version.or(versions.first()).and_then(|version| version.subgroup.as_ref());
        let by = match said_by.filter(|_| asked.subgroup.is_none()) {
            Some(Ok(by)) => by.clone(),
            Some(Err(error)) => return Err(mistaken(error.clone())),
            None => by_or_single(asked, measurements, units),
        };
        let groups = cut(question, measurements, series, units, &by)?;
        let units: Result<Vec<Units>, _> =
            groups.iter().map(|(_, units)| whole.subgroup(units, asked.characteristics.len())).collect();
        let units = units.map_err(said)?;
        let (drawn, phase_i) = match version {
            Some(version) => {
                question.refuse_own(&version.words)?;
                (frozen(version, &units), 0)
            }
            None => (own(asked, &units), asked.phase_i.unwrap_or(units.len()).min(units.len())),
        };
        let origin = match (version, &drawn) {
            (_, Err(_)) => "none".to_owned(),
            (Some(version), Ok(_)) => format!("{}{left_out}", version.words),
            (None, Ok((judge, _))) => format!("estimated from {} units{left_out}", judge.limits().units),
        };
        parts.push(Part { groups, units, drawn, phase_i, origin: origin.into(), version });
    }
    Ok(parts)
}

fn own(asked: &Asked, units: &[Units]) -> Result<(T2, Vec<Point>), QueryError> {
    let (limits, points) = chart(asked.alpha, units, asked.phase_i).map_err(said)?;
    Ok((T2::new(limits).map_err(said)?, points))
}

fn frozen(version: &Version<T2Limits>, units: &[Units]) -> Result<(T2, Vec<Point>), QueryError> {
    let mut judge = T2::new(version.limits.clone()).map_err(said)?;
    let points: Result<Vec<Point>, _> = units.iter().map(|units| judge.point(units, false)).collect();
    Ok((judge, points.map_err(said)?))
}

/// Adds the points of a part behind `before` others of its chart; gives how many.
fn add(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    part: &Part<'_>,
    before: usize,
    rows: &mut Vec<Row>,
) -> Result<usize, QueryError> {
    let names = &question.asked.characteristics;
    for (at, (label, units)) in part.groups.iter().enumerate() {
        let point = part.drawn.as_ref().ok().and_then(|(_, points)| points.get(at)).copied().unwrap_or_default();
        // T² is none of one characteristic: what is known of the subgroup is all that is taken over.
        let one = Subgroup::of(&[point.plotted.unwrap_or_default()]).map_err(said)?;
        let one = if units.iter().any(|unit| unit.excluded) { one.exclude() } else { one };
        let Some(group) = Group::of(one, units, label.clone()) else { continue };
        let (violated, message) = part.violated(at, names).unzip();
        let reason = match &part.drawn {
            Ok(_) => point.reason.map(|reason| reason.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let mut context = Context::of(measurements, &series.key, &group);
        context.characteristic = Some(Arc::from(names.join(", ")));
        rows.push(Row {
            context,
            group,
            number: (before + at) as u64 + 1,
            point,
            companion: None,
            spec: Spec::default(),
            phase: if at < part.phase_i { "I" } else { "II" },
            rules: violated,
            message,
            origin: Arc::clone(&part.origin),
            reason,
        });
    }
    Ok(part.groups.len())
}

/// What each characteristic is by itself, the largest first: it says what to look at.
fn of_each(names: &[String], each: &[f64]) -> String {
    let mut parts: Vec<(&String, f64)> = names.iter().zip(each.iter().copied()).collect();
    parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let parts: Vec<String> = parts.iter().map(|(name, alone)| format!("{name} {alone:.1}")).collect();
    format!("of each alone: {}", parts.join(", "))
}
