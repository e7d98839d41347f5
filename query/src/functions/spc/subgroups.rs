//! Rational subgroups.

use std::collections::HashMap;

use oee::spc::{ChartKind, Subgroup};

use super::asked::By;
use super::frozen::Version;
use super::measured::{Measured, Measurements, Place, Series};
use super::{Question, mistaken, said, specification};
use crate::error::QueryError;
use crate::functions::cut::buckets;

/// One subgroup.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) subgroup: Subgroup,
    /// How many values.
    pub(super) n: usize,
    /// When its first value was measured …
    pub(super) first: i64,
    /// … and its last one.
    pub(super) last: i64,
    /// Its last value: what else is known of the subgroup is known of that.
    pub(super) place: Place,
    /// Which piece that is of.
    pub(super) piece: i64,
    /// Its first value, and which piece that is of.
    pub(super) begins: (Place, i64),
    /// What its values agree in.
    pub(super) label: Option<String>,
}

/// How the values of a chart become subgroups: as the call says, else as the newest frozen limits do.
pub(super) fn by(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    versions: &[Version],
) -> Result<By, QueryError> {
    let frozen = || versions.last().and_then(|version| version.subgroup.clone());
    match question.asked.subgroup.clone().or_else(frozen) {
        Some(by) => Ok(by),
        None => by_default(question, measurements, series),
    }
}

/// The same of values that may be single ones too.
pub(super) fn by_or_single(question: &Question<'_>, measurements: &Measurements, series: &Series) -> By {
    let named = || if names_subgroups(measurements, series) { By::Column("subgroup") } else { By::Count(1) };
    question.asked.subgroup.clone().unwrap_or_else(named)
}

fn names_subgroups(measurements: &Measurements, series: &Series) -> bool {
    series.values.first().is_some_and(|value| measurements.label(value.place, "subgroup").is_some())
}

/// The subgroups of a chart, in the order of production.
pub(super) fn of(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    by: &By,
    versions: &[Version],
) -> Result<Vec<Group>, QueryError> {
    let maker = Maker::new(question, measurements, series);
    match by {
        // What is left over is no subgroup yet.
        By::Count(size) => {
            // Counting begins anew with the first frozen limits: whoever judges by them need not know what was before.
            let frozen_from = versions.first().map_or(i64::MIN, |version| version.valid_from);
            let (before, after) =
                series.values.split_at(series.values.partition_point(|value| value.time < frozen_from));
            let parts = [before, after].into_iter().flat_map(|part| part.chunks_exact((*size).max(1)));
            parts.map(|values| maker.group(values, None)).collect()
        }
        By::Time(cut) => {
            let (Some(first), Some(last)) = (series.values.first(), series.values.last()) else {
                return Ok(Vec::new());
            };
            let equipment = series.key.first().and_then(|name| name.as_deref()).unwrap_or_default();
            let plant = &question.gather.plant;
            let mut groups = Vec::new();
            let mut rest = series.values.as_slice();
            for bucket in buckets(plant, equipment, *cut, first.time, last.time.saturating_add(1)) {
                let (values, after) = rest.split_at(
                    rest.partition_point(|value| value.time < bucket.as_ref().map_or(i64::MAX, |bucket| bucket.end)),
                );
                let bucket = bucket?;
                if !values.is_empty() {
                    groups.push(maker.group(values, bucket.shift.or(bucket.production_day))?);
                }
                rest = after;
            }
            Ok(groups)
        }
        By::Column(column) => maker.by_column(column),
    }
}

/// The values of a chart in subgroups: what is left over, and what belongs to no subgroup, is not among them.
pub(super) fn values(measurements: &Measurements, series: &Series, by: &By, groups: &[Group]) -> Vec<f64> {
    let all = || series.values.iter().map(|value| value.value);
    match by {
        By::Time(_) => all().collect(),
        By::Count(size) => all().take(groups.len() * size).collect(),
        By::Column(column) => {
            let groups = in_groups(measurements, series, column);
            groups.into_iter().flat_map(|(_, values)| values).map(|value| value.value).collect()
        }
    }
}

fn by_default(question: &Question<'_>, measurements: &Measurements, series: &Series) -> Result<By, QueryError> {
    let kind = question.asked.kind;
    let needs = matches!(kind, ChartKind::XbarR | ChartKind::XbarS | ChartKind::P | ChartKind::Np | ChartKind::LaneyP);
    // A record of counts is a subgroup already.
    if kind == ChartKind::IMr || question.asked.counts {
        return Ok(By::Count(1));
    }
    match (names_subgroups(measurements, series), needs) {
        (true, _) => Ok(By::Column("subgroup")),
        (false, false) => Ok(By::Count(1)),
        (false, true) if series.values.is_empty() => Ok(By::Count(1)),
        (false, true) => Err(mistaken(format!(
            "{} is a chart of subgroups, and these measurements name none: write for example 'subgroup=5', \
             'subgroup=1 hour' or 'subgroup=work_order'",
            kind.name()
        ))),
    }
}

struct Maker<'a> {
    kind: ChartKind,
    measurements: &'a Measurements,
    series: &'a Series,
    /// Short runs: nominal and sigma of each product.
    parts: HashMap<Option<String>, (f64, f64)>,
}

impl<'a> Maker<'a> {
    fn new(question: &Question<'_>, measurements: &'a Measurements, series: &'a Series) -> Self {
        let kind = question.asked.kind;
        let parts = match kind {
            ChartKind::ShortRunDeviation | ChartKind::ShortRunZ => {
                specification::of_parts(question, measurements, series)
            }
            _ => HashMap::new(),
        };
        Self { kind, measurements, series, parts }
    }

    fn by_column(&self, column: &str) -> Result<Vec<Group>, QueryError> {
        let groups = in_groups(self.measurements, self.series, column);
        groups.into_iter().map(|(label, values)| self.group(&values, Some(label))).collect()
    }

    fn group(&self, values: &[Measured], label: Option<String>) -> Result<Group, QueryError> {
        let numbers: Vec<f64> = values.iter().map(|value| value.value).collect();
        let subgroup = self.subgroup(values, &numbers)?;
        let excluded = values.iter().any(|value| value.excluded);
        let (first, last) = (values.first(), values.last());
        let place = last.map(|value| value.place).ok_or_else(|| QueryError::Execution("an empty subgroup".into()))?;
        Ok(Group {
            subgroup: if excluded { subgroup.exclude() } else { subgroup },
            n: values.len(),
            first: first.map_or(0, |value| value.time),
            last: last.map_or(0, |value| value.time),
            place,
            piece: last.map_or(1, |value| value.piece),
            begins: first.map_or((place, 1), |value| (value.place, value.piece)),
            label,
        })
    }

    fn subgroup(&self, values: &[Measured], numbers: &[f64]) -> Result<Subgroup, QueryError> {
        let units = values.iter().map(|value| value.units).sum();
        let subgroup = subgroup(self.kind, numbers, units)?;
        if !matches!(self.kind, ChartKind::ShortRunDeviation | ChartKind::ShortRunZ) {
            return Ok(subgroup);
        }
        let product = values.last().and_then(|value| self.measurements.label(value.place, "product"));
        let (nominal, scale) = self.parts.get(&product.map(str::to_owned)).copied().ok_or_else(|| {
            mistaken(format!(
                "a short-run chart needs a target of each product: {} has none; give its measurements or its \
                 characteristic a target",
                product.unwrap_or("a measurement without product")
            ))
        })?;
        subgroup.of_part(nominal, scale).map_err(said)
    }
}

/// What charts need of the values of a subgroup; counts are of so many units.
pub(super) fn subgroup(kind: ChartKind, numbers: &[f64], units: f64) -> Result<Subgroup, QueryError> {
    match kind {
        ChartKind::IMr => Subgroup::of(&[Subgroup::of(numbers).map_err(said)?.value]).map_err(said),
        kind if kind.is_attribute() => Subgroup::count(numbers.iter().sum(), units).map_err(said),
        _ => Subgroup::of(numbers).map_err(said),
    }
}

/// Values that agree in a column, by first appearance. Those of which it says nothing belong to none.
fn in_groups(measurements: &Measurements, series: &Series, column: &str) -> Vec<(String, Vec<Measured>)> {
    let mut order: Vec<(String, Vec<Measured>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for value in &series.values {
        let Some(label) = measurements.label(value.place, column) else { continue };
        let place = match places.get(label) {
            Some(&place) => place,
            None => {
                places.insert(label.to_owned(), order.len());
                order.push((label.to_owned(), Vec::new()));
                order.len() - 1
            }
        };
        if let Some((_, values)) = order.get_mut(place) {
            values.push(*value);
        }
    }
    order
}
