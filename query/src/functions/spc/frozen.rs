//! Frozen limits: rows of `control_limits`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::ident;
use futures::TryStreamExt;
use oee::calendar::timestamp;
use oee::spc::t2::T2Limits;
use oee::spc::{ChartKind, Companion, Limits, Parameters, Rational, RuleSet};

use super::Question;
use super::measured::{Key, Series};
use crate::error::QueryError;
use crate::functions::gather::Gather;
use crate::functions::values::{Doubles, Integers, Texts, Times};

const CONTROL_LIMITS: &str = "control_limits";
const COLUMNS: [&str; 24] = [
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
    "steady",
    "span",
    "subgroups",
    "rules",
    "approved_by",
    "reason",
    "subgroup",
    "chart",
    "recorded",
    "model",
];

/// Limits from a time on.
#[derive(Debug, Clone)]
pub(super) struct Version<L = Limits> {
    pub(super) valid_from: i64,
    pub(super) limits: L,
    /// None: those that the call asks for.
    pub(super) rules: Option<Arc<RuleSet>>,
    /// How values become subgroups; none where it is not said, an error where nobody can read it.
    pub(super) subgroup: Option<Result<Rational, String>>,
    /// When they were frozen.
    pub(super) recorded: i64,
    /// Which they are, in words.
    pub(super) words: String,
}

/// Names of what limits are of; an empty one is any.
type Names = [String; 4];

/// Frozen limits of one kind of chart.
#[derive(Debug)]
pub(super) struct Frozen<L = Limits> {
    /// By what they are for, what says more first.
    all: Vec<(Names, Vec<Version<L>>)>,
    /// Places among these by characteristic: there may be thousands, and a chart is of one.
    places: HashMap<String, Vec<usize>>,
}

impl<L> Default for Frozen<L> {
    fn default() -> Self {
        Self { all: Vec::new(), places: HashMap::new() }
    }
}

impl Frozen {
    /// None where the call wants its own limits, or is of a signal: limits are of a characteristic, and a signal alone does not
    /// say what of it was measured.
    pub(super) async fn gather(question: &Question<'_>) -> Result<Self, QueryError> {
        if !question.asked.frozen || question.asked.signal.is_some() {
            return Ok(Self::default());
        }
        let of_kind = ident("chart").eq(lit(question.asked.kind.name()));
        let found = Self::read(question.gather, of_kind).await?;
        Ok(found.into_iter().find(|(kind, _)| *kind == question.asked.kind).map(|(_, found)| found).unwrap_or_default())
    }

    /// All there are.
    pub(super) async fn all(gather: &Gather) -> Result<Vec<(ChartKind, Self)>, QueryError> {
        Self::read(gather, lit(true)).await
    }

    async fn read(gather: &Gather, filter: Expr) -> Result<Vec<(ChartKind, Self)>, QueryError> {
        let mut found: Vec<(ChartKind, HashMap<Names, Vec<Version>>)> = Vec::new();
        if gather.view.table(CONTROL_LIMITS).is_none() {
            return Ok(Vec::new());
        }
        let mut stream = gather.rows(CONTROL_LIMITS, filter, &COLUMNS, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            take(&batch, &mut found)?;
        }
        let of_kind = |(kind, by_names): (ChartKind, HashMap<Names, Vec<Version>>)| (kind, Self::of_names(by_names));
        Ok(found.into_iter().map(of_kind).collect())
    }
}

impl Frozen<T2Limits> {
    /// Those of several characteristics, in the order in which they are asked for.
    pub(super) async fn of_several(question: &Question<'_>) -> Result<Self, QueryError> {
        let gather = question.gather;
        if !question.asked.frozen || gather.view.table(CONTROL_LIMITS).is_none() {
            return Ok(Self::default());
        }
        let asked = &question.asked.characteristics;
        let filter = ident("chart").eq(lit(ChartKind::T2.name()));
        let mut found: HashMap<Names, Vec<Version<T2Limits>>> = HashMap::new();
        let mut stream = gather.rows(CONTROL_LIMITS, filter, &COLUMNS, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            let said = Said::of(&batch)?;
            let models = Texts::of(&batch, "model")?;
            for row in 0..batch.num_rows() {
                let (Some(valid_from), Some(model)) = (said.from.at(row), models.at(row)) else { continue };
                let mut names = said.names(row);
                let known: Vec<&str> = names[1].split(',').map(str::trim).collect();
                let places = asked.iter().map(|name| known.iter().position(|known| known == name));
                let Some(places) = places.collect::<Option<Vec<usize>>>().filter(|_| known.len() == asked.len()) else {
                    continue;
                };
                let limits = match T2Limits::parse(model) {
                    Ok(limits) if limits.means.len() == known.len() => limits.in_order(&places),
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::warn!(%error, characteristics = names[1], "frozen limits that nothing can be judged by");
                        continue;
                    }
                };
                names[1] = String::new();
                found.entry(names).or_default().push(said.version(row, valid_from, limits));
            }
        }
        Ok(Self::of_names(found))
    }
}

impl<L: Clone + PartialEq> Frozen<L> {
    fn of_names(by_names: HashMap<Names, Vec<Version<L>>>) -> Self {
        let mut all: Vec<(Names, Vec<Version<L>>)> = by_names.into_iter().collect();
        for (_, versions) in &mut all {
            versions.sort_by_key(|version| version.valid_from);
        }
        // What says more of what it is for comes first.
        all.sort_by_cached_key(|(names, _)| (names.iter().filter(|name| name.is_empty()).count(), names.clone()));
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, ([_, characteristic, ..], _)) in all.iter().enumerate() {
            places.entry(characteristic.clone()).or_default().push(place);
        }
        Self { all, places }
    }

    /// Those that are for a chart, what says more first.
    fn fitting<'f>(&'f self, key: &Key) -> impl Iterator<Item = &'f [Version<L>]> {
        let of = |name: &str| self.places.get(name).map(Vec::as_slice).unwrap_or_default();
        let named = key[1].as_deref().filter(|name| !name.is_empty()).map(of).unwrap_or_default();
        let mut places: Vec<usize> = named.iter().chain(of("")).copied().collect();
        places.sort_unstable();
        let found = places.into_iter().filter_map(|place| self.all.get(place));
        let fitting: Vec<&[Version<L>]> =
            found.filter(|(names, _)| fits(names, key)).map(|(_, versions)| versions.as_slice()).collect();
        fitting.into_iter()
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When the first of all limits begins to judge.
    pub(super) fn first(&self) -> Option<i64> {
        self.all.iter().filter_map(|(_, versions)| versions.first()).map(|version| version.valid_from).min()
    }

    /// Whether there are limits for a chart.
    pub(super) fn governs(&self, key: &Key) -> bool {
        self.fitting(key).next().is_some()
    }

    /// The versions for a chart, by time. At each time those that say most of what they are for are in force, the newest of
    /// them.
    pub(super) fn of(&self, series: &Series) -> Vec<Version<L>> {
        if self.is_empty() {
            return Vec::new();
        }
        let fitting: Vec<&[Version<L>]> = self.fitting(&series.key).collect();
        let mut starts: Vec<i64> = fitting.iter().copied().flatten().map(|version| version.valid_from).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut found: Vec<Version<L>> = Vec::new();
        for start in starts {
            let begun = |versions: &&[Version<L>]| versions.partition_point(|version| version.valid_from <= start);
            let in_force = fitting.iter().find_map(|versions| versions.get(begun(versions).checked_sub(1)?));
            let Some(version) = in_force else { continue };
            // A general one begins behind a closer one: that goes on.
            if found.last().is_none_or(|last| last.words != version.words || last.limits != version.limits) {
                found.push(Version { valid_from: start, ..version.clone() });
            }
        }
        found
    }

    /// Columns that make subgroups of values.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        let versions = self.all.iter().flat_map(|(_, versions)| versions);
        versions.filter_map(|version| match &version.subgroup {
            Some(Ok(Rational::Column(column))) => Some(*column),
            _ => None,
        })
    }
}

fn fits(names: &Names, key: &Key) -> bool {
    names.iter().zip(key).all(|(name, is)| name.is_empty() || Some(name.as_str()) == is.as_deref())
}

fn take(batch: &RecordBatch, found: &mut Vec<(ChartKind, HashMap<Names, Vec<Version>>)>) -> Result<(), QueryError> {
    let texts = |name: &str| Texts::of(batch, name);
    let numbers = |name: &str| Doubles::of(batch, name);
    let said = Said::of(batch)?;
    let (companion, charts) = (texts("companion")?, texts("chart")?);
    let (centre, sigma) = (numbers("centre")?, numbers("sigma")?);
    let (width, lambda, k, h) = (numbers("width")?, numbers("lambda")?, numbers("k")?, numbers("h")?);
    let (headstart, span) = (numbers("headstart")?, Integers::of(batch, "span")?);
    let steady = numbers("steady")?;
    let (subgroups, pooled) = (Integers::of(batch, "subgroups")?, numbers("pooled_sigma")?);
    for row in 0..batch.num_rows() {
        let (Some(valid_from), Some(centre), Some(sigma)) = (said.from.at(row), centre.at(row), sigma.at(row)) else {
            continue;
        };
        let Ok(kind) = ChartKind::parse(charts.at(row).unwrap_or_default()) else { continue };
        let usual = Parameters::default();
        let parameters = Parameters {
            width: width.at(row).unwrap_or(usual.width),
            lambda: lambda.at(row).unwrap_or(usual.lambda),
            k: k.at(row).unwrap_or(usual.k),
            h: h.at(row).unwrap_or(usual.h),
            headstart: headstart.at(row).unwrap_or(usual.headstart),
            span: span.at(row).and_then(|span| usize::try_from(span).ok()).unwrap_or(usual.span),
            steady: steady.at(row) == Some(1.0),
            ..usual
        };
        let known = match Limits::known(kind, centre, sigma, parameters) {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, characteristic = said.of[1].at(row), "frozen limits that nothing can be judged by");
                continue;
            }
        };
        let limits = Limits {
            pooled: pooled.at(row) == Some(1.0),
            companion: companion.at(row).and_then(|name| Companion::parse(name).ok()).or(known.companion),
            subgroups: subgroups.at(row).and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
            ..known
        };
        let version = said.version(row, valid_from, limits);
        let place = found.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            found.push((kind, HashMap::new()));
            found.len() - 1
        });
        let Some((_, by_names)) = found.get_mut(place) else { continue };
        by_names.entry(said.names(row)).or_default().push(version);
    }
    Ok(())
}

/// What rows say of limits, apart from figures.
struct Said {
    /// In the order of [`Names`].
    of: [Texts; 4],
    from: Times,
    rules: Texts,
    subgroup: Texts,
    approver: Texts,
    reason: Texts,
    recorded: Times,
}

impl Said {
    fn of(batch: &RecordBatch) -> Result<Self, QueryError> {
        let texts = |name: &str| Texts::of(batch, name);
        Ok(Self {
            of: [texts("equipment")?, texts("characteristic")?, texts("product")?, texts("operation")?],
            from: Times::of(batch, "valid_from")?,
            rules: texts("rules")?,
            subgroup: texts("subgroup")?,
            approver: texts("approved_by")?,
            reason: texts("reason")?,
            recorded: Times::of(batch, "recorded")?,
        })
    }

    fn names(&self, row: usize) -> Names {
        self.of.each_ref().map(|texts| texts.at(row).unwrap_or_default().to_owned())
    }

    fn version<L>(&self, row: usize, valid_from: i64, limits: L) -> Version<L> {
        let rules = self.rules.at(row).and_then(|rules| RuleSet::parse(rules).ok());
        Version {
            valid_from,
            limits,
            rules: rules.map(Arc::new),
            subgroup: self.subgroup.at(row).map(|word| Rational::parse(word).map_err(|error| error.to_string())),
            recorded: self.recorded.at(row).unwrap_or(valid_from),
            words: words(valid_from, self.approver.at(row), self.reason.at(row)),
        }
    }
}

fn words(valid_from: i64, approver: Option<&str>, reason: Option<&str>) -> String {
    let by = approver.map_or(String::new(), |approver| format!(", approved by {approver}"));
    let why = reason.map_or(String::new(), |reason| format!(": {reason}"));
    format!("frozen from {}{by}{why}", timestamp(valid_from))
}
