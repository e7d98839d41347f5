//! Frozen limits: rows of `control_limits`.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::lit;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use oee::calendar::timestamp;
use oee::spc::{Companion, Limits, Parameters, RuleSet};

use super::measured::Series;
use super::{Question, said};
use crate::error::QueryError;
use crate::functions::gather::{Doubles, Integers, Texts, Times};

const CONTROL_LIMITS: &str = "control_limits";
const COLUMNS: [&str; 19] = [
    "equipment",
    "characteristic",
    "product",
    "operation",
    "valid_from",
    "centre",
    "sigma",
    "pooled_sigma",
    "companion",
    "width",
    "lambda",
    "k",
    "h",
    "headstart",
    "span",
    "subgroups",
    "rules",
    "approved_by",
    "reason",
];

/// Limits from a time on.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) valid_from: i64,
    pub(super) limits: Limits,
    /// None: those that the call asks for.
    pub(super) rules: Option<Arc<RuleSet>>,
    /// Which they are, in words.
    pub(super) words: String,
}

/// Names of what limits are of; an empty one is any.
type Names = [String; 4];

/// Frozen limits of one kind of chart.
#[derive(Debug, Default)]
pub(super) struct Frozen(Vec<(Names, Vec<Version>)>);

impl Frozen {
    /// None where the call wants its own limits.
    pub(super) async fn gather(question: &Question<'_>) -> Result<Self, QueryError> {
        let mut found = Self::default();
        if !question.asked.frozen || question.gather.view.table(CONTROL_LIMITS).is_none() {
            return Ok(found);
        }
        let of_kind = ident("chart").eq(lit(question.asked.kind.name()));
        let mut stream = question.gather.rows(CONTROL_LIMITS, of_kind, &COLUMNS, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            found.take(question, &batch)?;
        }
        for (_, versions) in &mut found.0 {
            versions.sort_by_key(|version| version.valid_from);
        }
        // What says more of what it is for comes first.
        found.0.sort_by_key(|(names, _)| names.iter().filter(|name| name.is_empty()).count());
        Ok(found)
    }

    /// The versions for a chart, by time: those that are declared for it most closely.
    pub(super) fn of(&self, series: &Series) -> &[Version] {
        let fits = |names: &Names| {
            names.iter().zip(&series.key).all(|(name, is)| name.is_empty() || Some(name.as_str()) == is.as_deref())
        };
        self.0.iter().find(|(names, _)| fits(names)).map_or(&[], |(_, versions)| versions)
    }

    fn take(&mut self, question: &Question<'_>, batch: &RecordBatch) -> Result<(), QueryError> {
        let texts = |name: &str| Texts::of(batch, name);
        let numbers = |name: &str| Doubles::of(batch, name);
        let of = [texts("equipment")?, texts("characteristic")?, texts("product")?, texts("operation")?];
        let (companion, rules, approver, reason) =
            (texts("companion")?, texts("rules")?, texts("approved_by")?, texts("reason")?);
        let (from, centre, sigma) = (Times::of(batch, "valid_from")?, numbers("centre")?, numbers("sigma")?);
        let (width, lambda, k, h) = (numbers("width")?, numbers("lambda")?, numbers("k")?, numbers("h")?);
        let (headstart, span) = (numbers("headstart")?, Integers::of(batch, "span")?);
        let (subgroups, pooled) = (Integers::of(batch, "subgroups")?, numbers("pooled_sigma")?);
        for row in 0..batch.num_rows() {
            let (Some(valid_from), Some(centre), Some(sigma)) = (from.at(row), centre.at(row), sigma.at(row)) else {
                continue;
            };
            let usual = Parameters::default();
            let parameters = Parameters {
                width: width.at(row).unwrap_or(usual.width),
                lambda: lambda.at(row).unwrap_or(usual.lambda),
                k: k.at(row).unwrap_or(usual.k),
                h: h.at(row).unwrap_or(usual.h),
                headstart: headstart.at(row).unwrap_or(usual.headstart),
                span: span.at(row).and_then(|span| usize::try_from(span).ok()).unwrap_or(usual.span),
                ..usual
            };
            let known = Limits::known(question.asked.kind, centre, sigma, parameters).map_err(said)?;
            let limits = Limits {
                pooled: pooled.at(row) == Some(1.0),
                companion: companion.at(row).map(Companion::parse).transpose().map_err(said)?.or(known.companion),
                subgroups: subgroups.at(row).and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
                ..known
            };
            let rules = rules.at(row).map(RuleSet::parse).transpose().map_err(said)?;
            let words = words(valid_from, approver.at(row), reason.at(row));
            let version = Version { valid_from, limits, rules: rules.map(Arc::new), words };
            let names: Names = of.each_ref().map(|texts| texts.at(row).unwrap_or_default().to_owned());
            match self.0.iter_mut().find(|(known, _)| *known == names) {
                Some((_, versions)) => versions.push(version),
                None => self.0.push((names, vec![version])),
            }
        }
        Ok(())
    }
}

fn words(valid_from: i64, approver: Option<&str>, reason: Option<&str>) -> String {
    let by = approver.map_or(String::new(), |approver| format!(", approved by {approver}"));
    let why = reason.map_or(String::new(), |reason| format!(": {reason}"));
    format!("frozen from {}{by}{why}", timestamp(valid_from))
}
