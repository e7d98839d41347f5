//! A whole chart: limits, and a point for each subgroup.

use std::sync::Arc;

use super::{ChartKind, Error, Judge, Limits, Parameters, Point, RuleSet, Subgroup};

/// A chart that was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The limits that were used, given or estimated.
    pub limits: Limits,
    /// The rules that were used; flags of points are places in them.
    pub rules: Arc<RuleSet>,
    /// A point for each subgroup.
    pub points: Vec<Point>,
    /// A point for each subgroup on the chart below; empty where there is no such chart. Their only flag is
    /// [`RuleSet::limits`].
    pub companion: Vec<Point>,
}

impl Chart {
    /// Draws subgroups between limits that are given, frozen ones say: nothing is estimated.
    ///
    /// # Errors
    ///
    /// As [`Judge::new`].
    pub fn draw(limits: Limits, rules: &Arc<RuleSet>, subgroups: &[Subgroup]) -> Result<Self, Error> {
        let mut judge = Judge::new(limits, rules)?;
        let mut points = Vec::with_capacity(subgroups.len());
        let below = if limits.companion.is_some() { subgroups.len() } else { 0 };
        let mut companion = Vec::with_capacity(below);
        for subgroup in subgroups {
            let verdict = judge.push(subgroup);
            points.push(verdict.point);
            companion.extend(verdict.companion);
        }
        Ok(Self { limits, rules: Arc::clone(judge.rules()), points, companion })
    }

    /// Estimates limits from the first `phase_i` subgroups, or from all, and draws all of them.
    ///
    /// # Errors
    ///
    /// As [`Limits::estimate`].
    pub fn estimate(
        kind: ChartKind,
        parameters: Parameters,
        rules: &Arc<RuleSet>,
        subgroups: &[Subgroup],
        phase_i: Option<usize>,
    ) -> Result<Self, Error> {
        let first = phase_i.and_then(|first| subgroups.get(..first)).unwrap_or(subgroups);
        Self::draw(Limits::estimate(kind, parameters, first)?, rules, subgroups)
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
