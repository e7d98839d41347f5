//! Charts of several characteristics with frozen limits, judged as they come. Each point stands by itself, so the charts are drawn
//! anew as SQL draws them; what takes long is done the less often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use oee::spc::ChartKind;
use oee::tables::CONTROL_LIMITS;

use super::Violation;
use super::chart::{chart_of, distinct, identity, prefix};
use crate::error::QueryError;
use crate::functions::gather::Gather;
use crate::functions::names::Names;
use crate::functions::spc::asked::Asked;
use crate::functions::spc::measured::{CONTEXT, Measured};
use crate::functions::spc::multivariate::{Known, Part, parts};
use crate::functions::spc::{NAMES, Question};
use crate::functions::values::{Texts, Times};

/// Characteristics of a unit that were measured so long before the first limits can still be with others behind them, microseconds.
const MARGIN_US: i64 = 86_400_000_000;
/// So many times as long as a look took, the next one waits.
const REST: u32 = 10;

/// The charts of some characteristics together.
pub(super) struct Several {
    asked: Asked,
    /// When the first of their limits begin to judge.
    first: i64,
    is_touched: bool,
    /// When they were judged last, and how long that took.
    last: Option<(Instant, Duration)>,
    /// The first unit that they know.
    oldest: Option<i64>,
    standing: BTreeMap<String, Violation>,
    /// Why they are not judged.
    trouble: Option<String>,
}

impl Several {
    /// All that have frozen limits, to be judged anew: of those that were there before is known what stands.
    pub(super) async fn all(gather: &Gather, before: Vec<Self>) -> Result<Vec<Self>, QueryError> {
        let mut first: BTreeMap<BTreeSet<String>, (Vec<String>, i64)> = BTreeMap::new();
        if gather.view.table(CONTROL_LIMITS.name).is_none() {
            return Ok(Vec::new());
        }
        let of_kind = ident("chart").eq(lit(ChartKind::T2.name()));
        let mut stream = gather.rows(CONTROL_LIMITS.name, of_kind, &["characteristic", "valid_from"], &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            let (names, from) = (Texts::of(&batch, "characteristic")?, Times::of(&batch, "valid_from")?);
            for row in 0..batch.num_rows() {
                let Some((names, from)) = names.at(row).zip(from.at(row)) else { continue };
                let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
                // In whatever order they are named, they are the same charts.
                let known = first.entry(names.iter().cloned().collect()).or_insert((names, from));
                known.1 = known.1.min(from);
            }
        }
        let mut before: BTreeMap<Vec<String>, Self> =
            before.into_iter().map(|several| (several.asked.characteristics.clone(), several)).collect();
        let begin = |(characteristics, first): (Vec<String>, i64)| {
            let standing = before.remove(&characteristics).map(|before| before.standing).unwrap_or_default();
            let asked = Asked { characteristics, ..Asked::new(ChartKind::T2) };
            Self { asked, first, is_touched: true, last: None, oldest: None, standing, trouble: None }
        };
        Ok(first.into_values().map(begin).collect())
    }

    /// Takes rows that were measured.
    pub(super) fn note(&mut self, rows: &RecordBatch) -> Result<(), QueryError> {
        let names = Texts::of(rows, "characteristic")?;
        let is_one =
            |row: usize| names.at(row).is_some_and(|name| self.asked.characteristics.iter().any(|one| one == name));
        self.is_touched |= (0..rows.num_rows()).any(is_one);
        Ok(())
    }

    /// Whether there is anything new to judge, and it is time to.
    pub(super) fn is_due(&self) -> bool {
        self.is_touched && self.last.is_none_or(|(at, took)| at.elapsed() >= took * REST)
    }

    /// Where they cannot be judged that is told, and stands alone with them.
    pub(super) async fn judge(&mut self, gather: &Gather) -> Result<(), QueryError> {
        let begun = Instant::now();
        let trouble = match self.draw(gather).await {
            Ok(()) => None,
            Err(QueryError::Statement { message, .. }) => Some(message),
            Err(error) => return Err(error),
        };
        if let Some(error) = trouble.as_ref().filter(|_| trouble != self.trouble) {
            tracing::warn!(characteristics = self.asked.characteristics.join(", "), error, "t2 is not judged");
        }
        (self.trouble, self.is_touched, self.last) = (trouble, false, Some((Instant::now(), begun.elapsed())));
        Ok(())
    }

    async fn draw(&mut self, gather: &Gather) -> Result<(), QueryError> {
        let names = Names::of(&gather.session, &[], NAMES)?;
        let window = (self.first.saturating_sub(MARGIN_US), i64::MAX);
        let question = Question { gather, asked: &self.asked, names: &names, window, context: &CONTEXT };
        let known = Known::gather(&question).await?;
        let (mut standing, mut oldest) = (BTreeMap::new(), None);
        for (series, whole) in known.charts() {
            let versions = known.frozen.of(series);
            oldest = [oldest, whole.units.first().map(|unit| unit.time)].into_iter().flatten().min();
            for part in parts(&question, &known.measurements, series, whole, &versions)? {
                self.violated(&known, &part, &mut standing);
            }
            tokio::task::yield_now().await;
        }
        (self.standing, self.oldest) = (standing, oldest);
        Ok(())
    }

    fn violated(&self, known: &Known, part: &Part<'_>, standing: &mut BTreeMap<String, Violation>) {
        let (Some(version), Ok((_, points))) = (part.version, &part.drawn) else { return };
        for (at, (point, (_, units))) in points.iter().zip(&part.groups).enumerate() {
            let Some((rules, message)) = part.violated(at, &self.asked.characteristics) else { continue };
            let (Some(first), Some(last)) = (units.first(), units.last()) else { continue };
            let label = |of: &Measured, column: &str| known.measurements.label(of.place, column).map(str::to_owned);
            let names = Arc::from(self.asked.characteristics.join(", "));
            let [equipment, product, operation] =
                ["equipment", "product", "operation"].map(|column| label(last, column));
            let name = |text: &Option<String>| text.as_deref().map(Arc::from);
            let key = [name(&equipment), Some(names), name(&product), name(&operation)];
            let (unit, run) = (label(first, "unit").unwrap_or_default(), label(first, "run").unwrap_or_default());
            let id = identity(&prefix(&key, ChartKind::T2), (first.time, first.piece), &unit, &run);
            let of_units = units.iter().filter_map(|unit| known.measurements.label(unit.place, "unit"));
            let violation = Violation {
                id: id.clone(),
                time: last.time,
                chart: ChartKind::T2.name().to_owned(),
                equipment,
                characteristic: key[1].as_deref().map(str::to_owned),
                product,
                operation,
                unit: label(last, "unit"),
                work_order: label(last, "work_order"),
                operator: label(last, "operator"),
                value: point.plotted,
                centre: point.centre,
                lcl: point.lcl,
                ucl: point.ucl,
                is_beyond: point.is_beyond_limits(),
                units: distinct(of_units),
                is_fresh: version.recorded <= last.time,
                rules,
                message,
                limits: version.words.clone(),
                ..Violation::default()
            };
            standing.insert(id, violation);
        }
    }

    pub(super) fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.standing.values()
    }

    /// Whether a violation is of these charts.
    pub(super) fn is_of(&self, violation: &Violation) -> bool {
        let of = chart_of(&violation.id).filter(|(_, kind)| *kind == ChartKind::T2);
        let names = of.and_then(|(key, _)| key[1].clone());
        names.is_some_and(|names| *names == *self.asked.characteristics.join(", "))
    }

    /// Whether they reach back to it: what is older than the measurements that are kept stands as it was said.
    pub(super) fn knows(&self, violation: &Violation) -> bool {
        !self.is_touched && self.oldest.is_none_or(|oldest| oldest <= violation.time)
    }
}
