//! Statistical process control: control charts, their limits, capability and gage studies, over measurements and over
//! signals of units at operations.
//!
//! Values are read, brought into the order of production, and cut into charts and subgroups here; every figure comes from
//! [`oee::spc`].

mod asked;
pub(super) mod bias;
pub(super) mod capability;
mod curves;
mod frozen;
pub(super) mod gage;
mod head;
pub(super) mod limits;
pub(super) mod linearity;
mod measured;
mod multivariate;
pub(super) mod points;
mod reduced;
mod specification;
mod subgroups;
mod watch;

pub(crate) use asked::Asked;
pub(super) use asked::read;
pub use curves::{AUTHOR, CurveWatch, Measurement};
pub(super) use measured::CONTEXT;
pub use watch::{Change, Companion, SpcWatch, VIOLATION, Violation};

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::logical_expr::Expr;
use datafusion::prelude::ident;
use oee::spc::{Limits, RuleSet, Subgroup};

use super::gather::{Gather, at};
use super::names::Names;
use crate::error::QueryError;
use frozen::{Frozen, Version};
use measured::{Measured, Measurements, Series, counts_failures};
use subgroups::Group;

/// Columns by which WHERE chooses the values that are charted.
pub(super) const NAMES: &[&str] =
    &["equipment", "characteristic", "product", "operation", "work_order", "unit", "operator", "gauge"];

/// What functions that tell nothing of single values have to know of them: in which order they were produced, and which
/// belong together.
pub(super) const FEW: &[&str] = &["unit", "run", "subgroup"];
/// What a study of a gage has to know.
pub(super) const APPRAISED: &[&str] = &["unit", "run", "operator"];

/// What a call sees.
pub(super) struct Question<'a> {
    pub(super) gather: &'a Gather,
    pub(super) asked: &'a Asked,
    /// What WHERE says of the values that are charted.
    pub(super) names: &'a Names,
    /// `[from, to)`.
    pub(super) window: (i64, i64),
    /// What has to be known of each value, apart from its chart.
    pub(super) context: &'a [&'static str],
}

/// The values of one chart, in stretches of time with the same limits.
struct ChartOf<'a> {
    series: &'a Series,
    parts: Vec<Part>,
}

impl ChartOf<'_> {
    /// Whether there are values, and none could be brought into a subgroup.
    fn is_uncut(&self) -> bool {
        let nothing = |part: &Part| part.groups.is_empty() && part.judged.is_err();
        !self.parts.is_empty() && !self.series.values.is_empty() && self.parts.iter().all(nothing)
    }
}

/// Values that are judged by the same limits, in subgroups. No subgroup reaches from one part into another.
struct Part {
    groups: Vec<Group>,
    /// What judges them, or why nothing does.
    judged: Result<Judged, QueryError>,
}

/// What judges subgroups.
struct Judged {
    limits: Limits,
    rules: Arc<RuleSet>,
    /// How many of the subgroups the limits were estimated from; 0 where the limits are frozen ones.
    phase_i: usize,
    /// Where the limits come from, in words.
    origin: String,
}

impl Question<'_> {
    /// The rows that are asked for: of the window, and of the names that WHERE leaves. `known` are those that `table` has.
    fn filter(&self, table: &str, known: &[&str]) -> Result<Expr, QueryError> {
        let (from, to) = self.window;
        let before = ident("time").lt(at(to));
        let within = if from > i64::MIN { before.and(ident("time").gt_eq(at(from))) } else { before };
        let Some(names) = self.names.filter() else { return Ok(within) };
        let unknown = names.column_refs().into_iter().find(|column| !known.contains(&column.name.as_str()));
        match unknown {
            Some(column) => Err(mistaken(format!(
                "rows of {table} know no {}: WHERE can choose them by {}",
                column.name,
                known.join(", ")
            ))),
            None => Ok(within.and(names)),
        }
    }

    /// The charts that are asked for, one after the other: the subgroups of all would take much memory. One that cannot be
    /// cut into subgroups says so in its place, unless none can.
    fn charts<'m>(
        &'m self,
        measurements: &'m Measurements,
        frozen: &'m Frozen,
    ) -> impl Iterator<Item = Result<ChartOf<'m>, QueryError>> {
        let mut all = measurements.series().iter();
        // Charts that cannot be cut wait until one can.
        let (mut waiting, mut any_cut) = (VecDeque::new(), false);
        std::iter::from_fn(move || {
            while !any_cut || waiting.is_empty() {
                let Some(series) = all.next() else { break };
                match self.chart(measurements, series, &frozen.of(series)) {
                    Ok(chart) => {
                        any_cut |= !chart.is_uncut();
                        waiting.push_back(chart);
                    }
                    Err(error) => return Some(Err(error)),
                }
            }
            if !any_cut {
                let refused = waiting.drain(..).flat_map(|chart: ChartOf<'_>| chart.parts);
                return refused.filter_map(|part| part.judged.err()).next().map(Err);
            }
            waiting.pop_front().map(Ok)
        })
    }

    fn chart<'m>(
        &self,
        measurements: &'m Measurements,
        series: &'m Series,
        versions: &[Version],
    ) -> Result<ChartOf<'m>, QueryError> {
        let mut parts = Vec::with_capacity(versions.len() + 1);
        for (version, values) in in_parts(&series.values, versions) {
            if values.is_empty() && !(series.values.is_empty() && version.is_none()) {
                continue;
            }
            let named = || subgroups::names_subgroups(measurements, values);
            // Before the first frozen limits values are cut as those cut them.
            let cut_by = version.or(versions.first());
            let by = match subgroups::by(self.asked, cut_by, values.is_empty(), named) {
                Ok(by) => by,
                Err(error) => {
                    parts.push(Part { groups: Vec::new(), judged: Err(error) });
                    continue;
                }
            };
            let part = match subgroups::of(self, measurements, series, values, &by) {
                // Fewer values than a subgroup has, before the first frozen limits: nothing to chart, and no mistake.
                Ok(groups) if groups.is_empty() && version.is_none() && cut_by.is_some() => continue,
                Ok(groups) if groups.is_empty() && !values.is_empty() && version.is_none() => {
                    let judged = Err(mistaken(format!("{} values make no whole subgroup {by}", values.len())));
                    Part { groups, judged }
                }
                Ok(groups) => {
                    let mut judged = self.judged(&groups, version);
                    if let Ok(judged) = &mut judged {
                        judged.origin.push_str(&self.left_out(series, values, &groups));
                    }
                    Part { judged, groups }
                }
                Err(error) if matches!(error, QueryError::Statement { .. }) => {
                    Part { groups: Vec::new(), judged: Err(error) }
                }
                Err(error) => return Err(error),
            };
            parts.push(part);
        }
        Ok(ChartOf { series, parts })
    }

    /// What the points do not show of what was measured, in words.
    fn left_out(&self, series: &Series, values: &[Measured], groups: &[Group]) -> String {
        let grouped: usize = groups.iter().map(|group| group.n).sum();
        let mut words = String::new();
        if grouped < values.len() {
            words.push_str(&format!(
                "; {} of {} values are in no whole subgroup",
                values.len() - grouped,
                values.len()
            ));
        }
        match (series.texts, counts_failures(self.asked.kind)) {
            (0, _) => {}
            (rows, true) => words.push_str(&format!(
                "; {rows} rows are left out that say neither pass nor fail (results in plant.toml say what words mean) or \
                 more failures than pieces"
            )),
            (rows, false) => words.push_str(&format!("; {rows} rows are left out that hold no number")),
        }
        words
    }

    /// Frozen limits where there are any. Else those of the subgroups themselves.
    fn judged(&self, groups: &[Group], version: Option<&Version>) -> Result<Judged, QueryError> {
        let Some(version) = version else { return self.own(groups) };
        self.refuse_own(&version.words)?;
        Ok(Judged {
            limits: version.limits,
            rules: version.rules.clone().unwrap_or_else(|| Arc::clone(&self.asked.rules)),
            phase_i: 0,
            origin: match &version.rules {
                Some(rules) if self.asked.names_rules && **rules != *self.asked.rules => {
                    format!("{}; its rules are {rules}", version.words)
                }
                _ => version.words.clone(),
            },
        })
    }

    /// What is said of limits of a chart's own says nothing of frozen ones, which are told by `words`.
    fn refuse_own(&self, words: &str) -> Result<(), QueryError> {
        match self.asked.of_own_limits {
            Some(word) => Err(mistaken(format!(
                "{word}= is about limits of the chart's own, and these are {words}: leave it out, or write 'limits=own' as well"
            ))),
            None => Ok(()),
        }
    }

    fn own(&self, groups: &[Group]) -> Result<Judged, QueryError> {
        let asked = self.asked;
        let phase_i = asked.phase_i.unwrap_or(groups.len()).min(groups.len());
        let first: Vec<Subgroup> = groups.iter().take(phase_i).map(|group| group.subgroup).collect();
        let limits = Limits::estimate(asked.kind, asked.parameters, &first).map_err(said)?;
        let origin = match limits.subgroups {
            0 => "given mean and sigma".to_owned(),
            count if count == groups.len() => format!("estimated from these {count} subgroups"),
            count if phase_i == groups.len() => format!("estimated from {count} of these {phase_i} subgroups"),
            count if count == phase_i => format!("estimated from the first {count} subgroups"),
            count => format!("estimated from {count} of the first {phase_i} subgroups"),
        };
        Ok(Judged { limits, rules: Arc::clone(&asked.rules), phase_i, origin })
    }
}

/// Values before the first version, and those of each version: from its time on, until the next one's.
fn in_parts<'v, L>(
    values: &'v [Measured],
    versions: &'v [Version<L>],
) -> Vec<(Option<&'v Version<L>>, &'v [Measured])> {
    let mut parts = Vec::with_capacity(versions.len() + 1);
    let (mut rest, mut version) = (values, None);
    for next in versions {
        let (before, after) = rest.split_at(rest.partition_point(|value| value.time < next.valid_from));
        parts.push((version, before));
        (rest, version) = (after, Some(next));
    }
    parts.push((version, rest));
    parts
}

/// Whether two figures are one: as JSON a number can lose its last digit.
fn is_same_figure(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-12 * one.abs().max(other.abs()),
        (one, other) => one == other,
    }
}

/// An error of the calculation, as one of the statement.
fn said(error: oee::spc::Error) -> QueryError {
    mistaken(error.to_string())
}

/// What was asked for cannot be calculated from what was measured.
fn mistaken(message: String) -> QueryError {
    QueryError::Statement { message, at: None }
}
