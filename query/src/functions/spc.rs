//! Statistical process control: control charts, their limits, capability and gage studies, over measurements and over
//! signals of units at operations.
//!
//! Values are read, brought into the order of production, and cut into charts and subgroups here; every figure comes from
//! [`oee::spc`].

mod asked;
pub(super) mod capability;
mod frozen;
pub(super) mod gage;
pub(super) mod limits;
mod measured;
pub(super) mod points;
mod reduced;
mod specification;
mod subgroups;
mod watch;

pub(crate) use asked::Asked;
pub(super) use asked::read;
pub(super) use measured::CONTEXT;
pub use watch::{Change, SpcWatch, VIOLATION, Violation};

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use datafusion::prelude::ident;
use oee::spc::{Limits, RuleSet, Subgroup};

use super::gather::{Gather, at};
use super::names::Names;
use crate::error::QueryError;
use frozen::{Frozen, Version};
use measured::{Measurements, Series};
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

/// The values of one chart, in subgroups, and the limits that judge them.
struct ChartOf<'a> {
    series: &'a Series,
    groups: Vec<Group>,
    /// Which limits hold from which subgroup on; the first one from the first. Or why there are none.
    limits: Result<Vec<Stretch>, QueryError>,
}

/// Subgroups that are judged by the same limits.
struct Stretch {
    /// The first of them.
    first: usize,
    limits: Limits,
    rules: Arc<RuleSet>,
    /// How many of them the limits were estimated from; 0 where the limits are frozen ones.
    phase_i: usize,
    /// Where the limits come from, in words.
    origin: String,
}

impl Question<'_> {
    /// The rows that are asked for: of the window, and of the names that WHERE leaves.
    fn filter(&self) -> Expr {
        let (from, to) = self.window;
        let before = ident("time").lt(at(to));
        let within = if from > i64::MIN { before.and(ident("time").gt_eq(at(from))) } else { before };
        match self.names.filter() {
            Some(names) => within.and(names),
            None => within,
        }
    }

    /// The charts that are asked for, one after the other.
    fn charts<'m>(&self, measurements: &'m Measurements, frozen: &Frozen) -> Result<Vec<ChartOf<'m>>, QueryError> {
        measurements.series().iter().map(|series| self.chart(measurements, series, frozen)).collect()
    }

    fn chart<'m>(
        &self,
        measurements: &'m Measurements,
        series: &'m Series,
        frozen: &Frozen,
    ) -> Result<ChartOf<'m>, QueryError> {
        let versions = frozen.of(series);
        let by = subgroups::by(self, measurements, series, versions)?;
        let groups = subgroups::of(self, measurements, series, &by, versions)?;
        let limits = self.stretches(&groups, versions);
        Ok(ChartOf { series, groups, limits })
    }

    /// Frozen limits where there are any: each from its time on. Else, and before the first of them, those of the subgroups
    /// themselves.
    fn stretches(&self, groups: &[Group], versions: &[Version]) -> Result<Vec<Stretch>, QueryError> {
        let mut stretches = Vec::new();
        let first_frozen = versions.first().map_or(groups.len(), |version| starts(groups, version));
        let own = groups.get(..first_frozen).unwrap_or_default();
        if !own.is_empty() || versions.is_empty() {
            stretches.push(self.own(own)?);
        }
        for (place, version) in versions.iter().enumerate() {
            let first = starts(groups, version);
            let next = versions.get(place + 1).map_or(groups.len(), |next| starts(groups, next));
            if first < next {
                stretches.push(Stretch {
                    first,
                    limits: version.limits,
                    rules: version.rules.clone().unwrap_or_else(|| Arc::clone(&self.asked.rules)),
                    phase_i: 0,
                    origin: version.words.clone(),
                });
            }
        }
        Ok(stretches)
    }

    fn own(&self, groups: &[Group]) -> Result<Stretch, QueryError> {
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
        Ok(Stretch { first: 0, limits, rules: Arc::clone(&asked.rules), phase_i, origin })
    }
}

/// The first subgroup that a version judges.
fn starts(groups: &[Group], version: &Version) -> usize {
    groups.partition_point(|group| group.last < version.valid_from)
}

/// An error of the calculation, as one of the statement.
fn said(error: oee::spc::Error) -> QueryError {
    mistaken(error.to_string())
}

/// What was asked for cannot be calculated from what was measured.
fn mistaken(message: String) -> QueryError {
    QueryError::Statement { message, at: None }
}
