//! Rational subgroups.

use std::borrow::Cow;
use std::collections::HashMap;

use oee::spc::{ChartKind, Rational, Subgroup, short_run};

use super::asked::Asked;
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

impl Group {
    /// None of no values.
    pub(super) fn of(subgroup: Subgroup, values: &[Measured], label: Option<String>) -> Option<Self> {
        let (first, last) = (values.first()?, values.last()?);
        Some(Self {
            subgroup,
            n: values.len(),
            first: first.time,
            last: last.time,
            place: last.place,
            piece: last.piece,
            begins: (first.place, first.piece),
            label,
        })
    }
}

/// How values become subgroups: as the call says, else as their frozen limits do, else as the chart needs it. `named`:
/// whether the measurements name subgroups themselves.
pub(super) fn by(
    asked: &Asked,
    version: Option<&Version>,
    is_empty: bool,
    named: impl FnOnce() -> bool,
) -> Result<Rational, QueryError> {
    if let Some(by) = &asked.subgroup {
        return Ok(by.clone());
    }
    match version.and_then(|version| version.subgroup.as_ref()) {
        Some(Ok(by)) => return Ok(by.clone()),
        Some(Err(error)) => return Err(mistaken(error.clone())),
        None => {}
    }
    let kind = asked.kind;
    let needs = matches!(kind, ChartKind::XbarR | ChartKind::XbarS | ChartKind::P | ChartKind::Np | ChartKind::LaneyP);
    // A record of counts is a subgroup already.
    if kind == ChartKind::IMr || asked.counts || is_empty {
        return Ok(Rational::Count(1));
    }
    match (named(), needs) {
        (true, _) => Ok(Rational::Column("subgroup")),
        (false, false) => Ok(Rational::Count(1)),
        (false, true) => Err(mistaken(format!(
            "{} is a chart of subgroups, and these measurements name none: write for example 'subgroup=5', \
             'subgroup=1 hour' or 'subgroup=work_order'",
            kind.name()
        ))),
    }
}

/// The same of values that may be single ones too.
pub(super) fn by_or_single(asked: &Asked, measurements: &Measurements, values: &[Measured]) -> Rational {
    let named =
        || if names_subgroups(measurements, values) { Rational::Column("subgroup") } else { Rational::Count(1) };
    asked.subgroup.clone().unwrap_or_else(named)
}

/// Whether the first of some values names its subgroup.
pub(super) fn names_subgroups(measurements: &Measurements, values: &[Measured]) -> bool {
    values.first().is_some_and(|value| measurements.label(value.place, "subgroup").is_some())
}

/// The subgroups of values of a chart, in the order of production.
pub(super) fn of(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    values: &[Measured],
    by: &Rational,
) -> Result<Vec<Group>, QueryError> {
    let parts = cut(question, measurements, series, values, by)?;
    let maker = Maker::new(question, measurements, series, &parts)?;
    let mut numbers = Vec::new();
    parts.into_iter().map(|(label, values)| maker.group(&values, label, &mut numbers)).collect()
}

/// Values of a subgroup, and what they agree in.
pub(super) type Part<'v> = (Option<String>, Cow<'v, [Measured]>);

/// Values cut into subgroups. In a short run each is of one product: with another one, another subgroup begins.
pub(super) fn cut<'v>(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    values: &'v [Measured],
    by: &Rational,
) -> Result<Vec<Part<'v>>, QueryError> {
    if !question.asked.kind.is_short_run() {
        return cut_any(question, measurements, series, values, by);
    }
    let products = measurements.labels("product");
    let of_one = |one: &Measured, next: &Measured| products.agree(one.place, next.place);
    let mut parts = Vec::new();
    if let Rational::Count(_) = by {
        for run in values.chunk_by(of_one) {
            parts.extend(cut_any(question, measurements, series, run, by)?);
        }
        return Ok(parts);
    }
    for (label, values) in cut_any(question, measurements, series, values, by)? {
        let runs = values.chunk_by(of_one).map(|run| (label.clone(), Cow::Owned(run.to_vec())));
        parts.extend(runs);
    }
    Ok(parts)
}

fn cut_any<'v>(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    values: &'v [Measured],
    by: &Rational,
) -> Result<Vec<Part<'v>>, QueryError> {
    match by {
        // What is left over is no subgroup yet.
        Rational::Count(size) => {
            Ok(values.chunks_exact((*size).max(1)).map(|values| (None, Cow::Borrowed(values))).collect())
        }
        Rational::Time(cut) => {
            let equipment = series.key.first().and_then(|name| name.as_deref()).unwrap_or_default();
            let Some(end) = values.last().map(|last| last.time.saturating_add(1)) else { return Ok(Vec::new()) };
            let mut parts = Vec::new();
            let mut rest = values;
            // From value to value: most of the time nothing may have been measured.
            while let Some(first) = rest.first() {
                let bucket = buckets(&question.gather.plant, equipment, *cut, first.time, end).next().transpose()?;
                let Some(bucket) = bucket else { break };
                let (within, after) = rest.split_at(rest.partition_point(|value| value.time < bucket.end).max(1));
                parts.push((bucket.shift.or(bucket.production_day), Cow::Borrowed(within)));
                rest = after;
            }
            Ok(parts)
        }
        Rational::Column(column) => {
            let groups = in_groups(measurements, values, column);
            Ok(groups.into_iter().map(|(label, values)| (Some(label.to_owned()), values)).collect())
        }
    }
}

/// The values in their subgroups, and behind them what is left over, and what belongs to no subgroup.
pub(super) fn values(measurements: &Measurements, values: &[Measured], by: &Rational) -> Vec<f64> {
    let all = values.iter().map(|value| value.value);
    let Rational::Column(column) = by else { return all.collect() };
    let groups = in_groups(measurements, values, column);
    let labels = measurements.labels(column);
    let of_none = values.iter().filter(|value| labels.at(value.place).is_none());
    groups.iter().flat_map(|(_, values)| values.iter()).chain(of_none).map(|value| value.value).collect()
}

struct Maker<'a> {
    kind: ChartKind,
    measurements: &'a Measurements,
    /// What the call says that all should measure.
    target: Option<f64>,
    /// Short runs: what is known of each product.
    parts: HashMap<Option<String>, short_run::Part>,
}

impl<'a> Maker<'a> {
    fn new(
        question: &Question<'_>,
        measurements: &'a Measurements,
        series: &Series,
        subgroups: &[Part<'_>],
    ) -> Result<Self, QueryError> {
        let kind = question.asked.kind;
        let parts = match kind.is_short_run() {
            true => specification::of_products(question, measurements, series, subgroups)?,
            false => HashMap::new(),
        };
        Ok(Self { kind, measurements, target: question.asked.spec.target, parts })
    }

    /// `numbers` is room for values, which need not be made anew for each subgroup.
    fn group(&self, values: &[Measured], label: Option<String>, numbers: &mut Vec<f64>) -> Result<Group, QueryError> {
        numbers.clear();
        numbers.extend(values.iter().map(|value| value.value));
        let subgroup = self.subgroup(values, numbers)?;
        let excluded = values.iter().any(|value| value.excluded);
        let subgroup = if excluded { subgroup.exclude() } else { subgroup };
        Group::of(subgroup, values, label).ok_or_else(|| QueryError::Execution("an empty subgroup".into()))
    }

    fn subgroup(&self, values: &[Measured], numbers: &[f64]) -> Result<Subgroup, QueryError> {
        let counted = values.iter().filter(|_| self.kind.is_attribute());
        let units = counted.map(|value| self.measurements.units(value.place)).sum();
        let subgroup = subgroup(self.kind, numbers, units)?;
        if !self.kind.is_short_run() {
            return Ok(subgroup);
        }
        let product = values.last().and_then(|value| self.measurements.label(value.place, "product"));
        match self.parts.get(&product.map(str::to_owned)) {
            Some(part) => {
                // A row's own target is the one in force when it was measured.
                let own = values.last().and_then(|value| self.measurements.target(value.place));
                let nominal = self.target.or(own).unwrap_or(part.nominal);
                short_run::Part { nominal, ..*part }.apply(subgroup).map_err(said)
            }
            None => Err(mistaken(format!(
                "nothing was measured of {} where limits are estimated from",
                product.unwrap_or("values without product")
            ))),
        }
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
pub(super) fn in_groups<'m, 'v>(
    measurements: &'m Measurements,
    values: &'v [Measured],
    column: &str,
) -> Vec<(&'m str, Cow<'v, [Measured]>)> {
    let labels = measurements.labels(column);
    let mut order: Vec<(&str, Cow<'v, [Measured]>)> = Vec::new();
    let mut places: HashMap<&str, usize, ahash::RandomState> = HashMap::default();
    // Most follow others of their own.
    for run in values.chunk_by(|one, next| labels.agree(one.place, next.place)) {
        let Some(label) = run.first().and_then(|first| labels.at(first.place)) else { continue };
        match places.get(label).and_then(|place| order.get_mut(*place)) {
            Some((_, values)) => values.to_mut().extend_from_slice(run),
            None => {
                places.insert(label, order.len());
                order.push((label, Cow::Borrowed(run)));
            }
        }
    }
    order
}
