//! `spc('t2', 'characteristics=bore, length')`: several characteristics of a unit on one chart.

use std::collections::HashMap;
use std::sync::Arc;

use oee::spc::capability::Spec;
use oee::spc::t2::{T2, Units, chart};
use oee::spc::{RuleSet, Subgroup};

use super::frozen::Frozen;
use super::measured::{Measured, Measurements, Place, Series};
use super::points::{Context, Row, violations};
use super::subgroups::{Group, by_or_single, cut};
use super::{Question, mistaken, said};
use crate::error::QueryError;

/// The points of all charts.
pub(super) async fn points(question: &Question<'_>) -> Result<Vec<Row>, QueryError> {
    let measurements = Measurements::gather(question, &Frozen::default()).await?;
    let mut rows = Vec::new();
    let mut incomplete = 0;
    for series in measurements.series() {
        let whole = Whole::of(question, &measurements, series);
        incomplete += whole.incomplete;
        add(question, &measurements, series, &whole, &mut rows)?;
        tokio::task::yield_now().await;
    }
    if rows.is_empty() && incomplete > 0 {
        return Err(mistaken(format!(
            "none of {incomplete} units has all of {}, measured in one run",
            question.asked.characteristics.join(", ")
        )));
    }
    Ok(rows)
}

/// The units of a chart of which all characteristics are known.
struct Whole {
    /// One value for each, in the order of production: it tells when, and where all else is known.
    units: Vec<Measured>,
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

fn add(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    whole: &Whole,
    rows: &mut Vec<Row>,
) -> Result<(), QueryError> {
    let asked = question.asked;
    let names = asked.characteristics.join(", ");
    let by = by_or_single(asked, measurements, &whole.units);
    let parts = cut(question, measurements, series, &whole.units, &by)?;
    let subgroups: Result<Vec<Units>, _> =
        parts.iter().map(|(_, units)| whole.subgroup(units, asked.characteristics.len())).collect();
    let phase_i = asked.phase_i.unwrap_or(parts.len()).min(parts.len());
    let drawn = subgroups.and_then(|subgroups| {
        let (limits, points) = chart(asked.alpha, &subgroups, asked.phase_i)?;
        Ok((T2::new(limits)?, subgroups, points))
    });
    let origin: Arc<str> = match &drawn {
        Ok((judge, ..)) => {
            let left_out = match whole.incomplete {
                0 => String::new(),
                count => format!("; {count} units without all characteristics are left out"),
            };
            format!("estimated from {} units{left_out}", judge.limits().units).into()
        }
        Err(_) => "none".into(),
    };
    let rules = RuleSet::limits();
    for (at, (label, units)) in parts.into_iter().enumerate() {
        let point = drawn.as_ref().ok().and_then(|(.., points)| points.get(at)).copied().unwrap_or_default();
        // T² is none of one characteristic: what is known of the subgroup is all that is taken over.
        let one = Subgroup::of(&[point.plotted.unwrap_or_default()]).map_err(said)?;
        let one = if units.iter().any(|unit| unit.excluded) { one.exclude() } else { one };
        let Some(group) = Group::of(one, &units, label) else { continue };
        let (violated, words) = violations(&rules, &point, None);
        let each = drawn.as_ref().ok().and_then(|(judge, subgroups, _)| Some(judge.of_each(subgroups.get(at)?)));
        let message =
            words.zip(each).map(|(words, each)| format!("{words}; {}", of_each(&asked.characteristics, &each)));
        let reason = match &drawn {
            Ok(_) => point.reason.map(|reason| reason.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let mut context = Context::of(measurements, &series.key, &group);
        context.characteristic = Some(Arc::from(names.as_str()));
        rows.push(Row {
            context,
            group,
            number: at as u64 + 1,
            point,
            companion: None,
            spec: Spec::default(),
            phase: if at < phase_i { "I" } else { "II" },
            rules: violated,
            message,
            origin: Arc::clone(&origin),
            reason,
        });
    }
    Ok(())
}

/// What each characteristic is by itself, the largest first: it says what to look at.
fn of_each(names: &[String], each: &[f64]) -> String {
    let mut parts: Vec<(&String, f64)> = names.iter().zip(each.iter().copied()).collect();
    parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let parts: Vec<String> = parts.iter().map(|(name, alone)| format!("{name} {alone:.1}")).collect();
    format!("of each alone: {}", parts.join(", "))
}
