//! What the signals of some executions come to, and what of that is not measured yet.

use std::collections::{BTreeMap, HashMap, HashSet};

use datafusion::logical_expr::Expr;
use oee::OPEN;
use oee::execution::Execution;
use oee::plant::Curve;
use oee::spc::ChartKind;
use oee::spc::capability::Spec;
use oee::tables::{MEASUREMENTS, SAMPLES};

use super::super::asked::Asked;
use super::super::measured::CONTEXT;
use super::super::{NAMES, Question, reduced};
use super::board::Pending;
use super::hull;
use super::row::{Key, Known, Measurement, rows_of, without_deleted};
use crate::context::Context;
use crate::error::QueryError;
use crate::functions::gather::{Gather, among};
use crate::functions::names::Names;

/// Nobody takes a row back sooner after its execution ended, or was recorded, than this, microseconds.
const FIRST_LOOK_US: i64 = 2_000_000;

/// An execution of a unit that has ended.
pub(super) struct Stay<'a> {
    pub(super) execution: &'a Execution,
    pub(super) end: i64,
    /// Its own, or that of the last order meanwhile.
    work_order: Option<String>,
    pub(super) product: Option<String>,
}

/// What there is to write of some executions.
pub(super) async fn measure(
    gather: &Gather,
    context: &Context,
    runs: &[(String, Pending)],
    now: i64,
) -> Result<Vec<Measurement>, QueryError> {
    let executions = runs.iter().filter_map(|(run, _)| context.executions.get(run));
    let stays = stays(gather, context, executions).await?;
    let kept = Kept::of(gather, now);
    let mut wanted: BTreeMap<&str, Vec<(&Stay<'_>, &str, &Curve)>> = BTreeMap::new();
    for stay in stays.values().filter(|stay| kept.whole(stay)) {
        for (name, curve) in gather.plant.curves(stay.product.as_deref(), stay.execution.operation.as_deref()) {
            wanted.entry(&curve.signal).or_default().push((stay, name, curve));
        }
    }
    let mut found = Vec::new();
    for (signal, wanted) in &wanted {
        let curves = curves(gather, signal, wanted.iter().map(|(stay, ..)| *stay)).await?;
        for (stay, name, curve) in wanted {
            for samples in curves.get(stay.execution.run.as_ref()).into_iter().flatten() {
                if let Some((_, value)) = samples.reduced(&gather.plant, signal, curve.reduction) {
                    found.push(stay.measurement(gather, &samples.equipment, name, curve, value));
                }
            }
        }
    }
    let ends = stays.values().map(|stay| (stay.end, stay.end));
    let Some(span) = runs.iter().map(|(_, pending)| pending.rows).chain(ends).reduce(hull) else {
        return Ok(Vec::new());
    };
    let known = rows_of(gather, runs.iter().map(|(run, _)| run.as_str()), span).await?;
    // Of samples that are too old to be there stays what was measured of them, as long as there is the execution.
    let is_left = |row: &Measurement| {
        let run = row.run.as_deref().unwrap_or_default();
        match stays.get(run) {
            Some(stay) => kept.lacks(row.time) || !kept.whole(stay) && row.time == stay.end,
            None => kept.lacks(row.time) && context.executions.get(run).is_some(),
        }
    };
    let (mut changes, news) = changes(found, &known, is_left);
    let could_be_deleted = |row: &Measurement| {
        let stay = row.run.as_deref().and_then(|run| stays.get(run));
        let known = stay.map(|stay| stay.end.min(stay.execution.recorded));
        known.is_none_or(|known| known.saturating_add(FIRST_LOOK_US) < now)
    };
    let (old, new) = news.into_iter().partition(could_be_deleted);
    changes.extend::<Vec<_>>(new);
    changes.extend(without_deleted(gather, old).await?);
    Ok(changes)
}

/// How far back samples are there, and what is measured of them is taken.
pub(super) struct Kept {
    /// As far as their age is a reason for it.
    from: i64,
    /// The first sample.
    first: i64,
}

impl Kept {
    pub(super) fn of(gather: &Gather, now: i64) -> Self {
        let from = |table: &str| gather.view.stored(table)?.kept_from(now);
        let samples = gather.view.stored(SAMPLES.name);
        Self {
            from: [SAMPLES.name, MEASUREMENTS.name].into_iter().filter_map(from).max().unwrap_or(i64::MIN),
            first: samples.and_then(|samples| samples.first_time()).unwrap_or(i64::MIN),
        }
    }

    /// Whether all samples of a stay can be there still.
    pub(super) fn whole(&self, stay: &Stay<'_>) -> bool {
        self.from <= stay.execution.started
    }

    /// Whether there are no samples by then any more. Where rows are kept for longer than they were once, it is the first sample
    /// that tells.
    fn lacks(&self, time: i64) -> bool {
        time < self.from.max(self.first)
    }
}

impl Stay<'_> {
    fn measurement(
        &self,
        gather: &Gather,
        equipment: &str,
        characteristic: &str,
        curve: &Curve,
        value: f64,
    ) -> Measurement {
        let (product, operation) = (self.product.as_deref(), self.execution.operation.as_deref());
        let declared = gather.plant.characteristic(characteristic, product, operation);
        let spec = declared.map_or_else(Spec::default, |declared| Spec {
            lower: declared.lower_limit,
            upper: declared.upper_limit,
            target: declared.target,
        });
        Measurement {
            equipment: equipment.to_owned(),
            characteristic: characteristic.to_owned(),
            time: self.end,
            unit: self.execution.unit.as_deref().map(str::to_owned),
            operation: self.execution.operation.as_deref().map(str::to_owned),
            run: Some(self.execution.run.as_ref().to_owned()),
            work_order: self.work_order.clone(),
            product: self.product.clone(),
            operator: self.execution.operator.as_deref().map(str::to_owned),
            gauge: curve.gauge(),
            spec,
            value: Some(value),
        }
    }
}

/// Those of some executions that are of a unit and have ended, by run.
pub(super) async fn stays<'a>(
    gather: &Gather,
    context: &'a Context,
    executions: impl Iterator<Item = &'a Execution>,
) -> Result<HashMap<&'a str, Stay<'a>>, QueryError> {
    let mut stays = HashMap::new();
    for execution in executions.filter(|execution| execution.unit.is_some()) {
        let Some(end) = context.executions.effective_end(&execution.run).filter(|end| *end < OPEN) else { continue };
        let (work_order, product) = context.executions.order_of(execution, end);
        let (work_order, product) = (work_order.map(str::to_owned), product.map(str::to_owned));
        stays.insert(execution.run.as_ref(), Stay { execution, end, work_order, product });
    }
    let without = stays.values().filter(|stay| stay.product.is_none());
    let orders: HashSet<String> = without.filter_map(|stay| stay.work_order.clone()).collect();
    let orders = gather.work_orders(&orders).await?;
    for stay in stays.values_mut().filter(|stay| stay.product.is_none()) {
        stay.product = stay.work_order.as_ref().and_then(|order| orders.get(order)?.product.clone());
    }
    Ok(stays)
}

/// The samples of a signal while some executions lasted, by run: one curve for each equipment that they are from.
async fn curves<'a>(
    gather: &Gather,
    signal: &str,
    stays: impl Iterator<Item = &'a Stay<'a>>,
) -> Result<HashMap<String, Vec<reduced::Curve>>, QueryError> {
    let stays: Vec<&Stay<'_>> = stays.collect();
    let spans = stays.iter().map(|stay| (stay.execution.started, stay.end));
    let window = spans.reduce(hull).unwrap_or_default();
    let filters: [Expr; 1] = [among("unit", stays.iter().filter_map(|stay| stay.execution.unit.as_deref()))];
    let names = Names::of(&gather.session, &filters, NAMES)?;
    let asked = Asked::new(ChartKind::IMr);
    let question = Question { gather, asked: &asked, names: &names, window, context: &CONTEXT };
    let runs: HashSet<&str> = stays.iter().map(|stay| stay.execution.run.as_ref()).collect();
    let is_wanted = |run: Option<&str>| run.is_some_and(|run| runs.contains(run));
    let mut found: HashMap<String, Vec<reduced::Curve>> = HashMap::new();
    for curve in reduced::curves(&question, signal, is_wanted).await? {
        if let Some(run) = curve.run.clone() {
            found.entry(run).or_default().push(curve);
        }
    }
    Ok(found)
}

/// What is known of rows of takt and not found any more, or found to be otherwise, and what is found and not known: rows that somebody
/// sent stay as they are, and so do those that `is_left` says it of.
fn changes(
    found: Vec<Measurement>,
    known: &[Known],
    is_left: impl Fn(&Measurement) -> bool,
) -> (Vec<Measurement>, Vec<Measurement>) {
    let mut changes = Vec::new();
    let of_found: HashSet<Key<'_>> = found.iter().map(Measurement::key).collect();
    for Known { row, is_own } in known {
        if *is_own && !of_found.contains(&row.key()) && !is_left(row) {
            changes.push(Measurement { value: None, ..row.clone() });
        }
    }
    drop(of_found);
    let of_known: HashMap<Key<'_>, &Known> = known.iter().map(|known| (known.row.key(), known)).collect();
    let mut news = Vec::new();
    for row in found {
        match of_known.get(&row.key()) {
            Some(known) if known.is_own && !known.row.says_the_same(&row) => changes.push(row),
            Some(_) => {}
            None => news.push(row),
        }
    }
    (changes, news)
}
