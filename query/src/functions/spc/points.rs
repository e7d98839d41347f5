//! `spc(chart, …)`: the points of control charts, each with its limits and the rules it violates.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use oee::spc::capability::Spec;
use oee::spc::{Chart, ChartKind, Companion, Point, Reason, RuleSet, Subgroup};

use super::frozen::Frozen;
use super::measured::{Key, Measurements};
use super::specification::Declared;
use super::subgroups::Group;
use super::{ChartOf, Judged, Question, said};
use crate::error::QueryError;
use crate::functions::columns::{Column, Value, batch};

/// What is known of a subgroup by its last value.
#[derive(Default)]
pub(super) struct Context {
    equipment: Option<Arc<str>>,
    product: Option<Arc<str>>,
    operation: Option<Arc<str>>,
    pub(super) characteristic: Option<Arc<str>>,
    work_order: Option<String>,
    unit: Option<String>,
    operator: Option<String>,
    gauge: Option<String>,
    run: Option<String>,
}

pub(super) struct Row {
    pub(super) context: Context,
    pub(super) group: Group,
    /// From 1.
    pub(super) number: u64,
    pub(super) point: Point,
    pub(super) companion: Option<(Companion, Point)>,
    pub(super) spec: Spec,
    pub(super) phase: &'static str,
    pub(super) rules: Option<String>,
    pub(super) message: Option<String>,
    pub(super) origin: Arc<str>,
    pub(super) reason: Option<String>,
}

macro_rules! context {
    ($name:literal, $field:ident) => {
        Column { name: $name, value: Value::Text(|row: &Row| row.context.$field.as_deref()) }
    };
}

macro_rules! below {
    ($name:literal, $field:ident) => {
        Column {
            name: $name,
            value: Value::Double(|row: &Row| row.companion.as_ref().and_then(|below| below.1.$field)),
        }
    };
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "time", value: Value::Time(|row| row.group.last) },
    Column { name: "start", value: Value::Time(|row| row.group.first) },
    context!("equipment", equipment),
    context!("characteristic", characteristic),
    context!("product", product),
    context!("operation", operation),
    context!("work_order", work_order),
    context!("unit", unit),
    context!("operator", operator),
    context!("gauge", gauge),
    context!("run", run),
    Column { name: "piece", value: Value::Whole(|row| u64::try_from(row.group.piece).ok()) },
    Column { name: "point", value: Value::Integer(|row| row.number) },
    Column { name: "subgroup", value: Value::Text(|row| row.group.label.as_deref()) },
    Column { name: "n", value: Value::Integer(|row| row.group.n as u64) },
    Column { name: "value", value: Value::Double(|row| row.point.plotted) },
    Column { name: "centre", value: Value::Double(|row| row.point.centre) },
    Column { name: "lcl", value: Value::Double(|row| row.point.lcl) },
    Column { name: "ucl", value: Value::Double(|row| row.point.ucl) },
    Column { name: "sigma", value: Value::Double(|row| row.point.sigma) },
    Column { name: "z", value: Value::Double(|row| row.point.z) },
    Column { name: "companion", value: Value::Text(|row| row.companion.as_ref().map(|below| below.0.name())) },
    below!("companion_value", plotted),
    below!("companion_centre", centre),
    below!("companion_lcl", lcl),
    below!("companion_ucl", ucl),
    Column { name: "phase", value: Value::Text(|row| Some(row.phase)) },
    Column { name: "excluded", value: Value::Flag(|row| row.group.subgroup.excluded) },
    Column { name: "violated", value: Value::Flag(|row| row.rules.is_some()) },
    Column { name: "rules", value: Value::Text(|row| row.rules.as_deref()) },
    Column { name: "message", value: Value::Text(|row| row.message.as_deref()) },
    Column { name: "lower_limit", value: Value::Double(|row| row.spec.lower) },
    Column { name: "upper_limit", value: Value::Double(|row| row.spec.upper) },
    Column { name: "target", value: Value::Double(|row| row.spec.target) },
    Column { name: "limits", value: Value::Text(|row| Some(&row.origin)) },
    Column { name: "reason", value: Value::Text(|row| row.reason.as_deref()) },
];

pub(in crate::functions) fn schema() -> SchemaRef {
    crate::functions::columns::schema(COLUMNS)
}

pub(in crate::functions) async fn answer(question: &Question<'_>) -> Result<RecordBatch, QueryError> {
    if question.asked.kind == ChartKind::T2 {
        return batch(COLUMNS, &super::multivariate::points(question).await?);
    }
    let frozen = Frozen::gather(question).await?;
    let measurements = Measurements::gather(question, &frozen).await?;
    let declared = Declared::gather(question).await?;
    let mut rows = Vec::new();
    for chart in question.charts(&measurements, &frozen) {
        let chart = chart?;
        let spec = declared.of(question, chart.series);
        add(question.asked.kind, &measurements, &chart, spec, &mut rows)?;
        tokio::task::yield_now().await;
    }
    batch(COLUMNS, &rows)
}

/// The points of one chart. Where there are no limits the values are shown, and why nothing judges them.
fn add(
    kind: ChartKind,
    measurements: &Measurements,
    chart: &ChartOf<'_>,
    spec: Spec,
    rows: &mut Vec<Row>,
) -> Result<(), QueryError> {
    let is_short_run = kind.is_short_run();
    let mut number = 0;
    for part in &chart.parts {
        let drawn = part.judged.as_ref().ok().map(|judged| draw(judged, &part.groups)).transpose()?;
        let origin: Arc<str> = Arc::from(part.judged.as_ref().map_or("none", |judged| judged.origin.as_str()));
        let phase_i = part.judged.as_ref().map_or(usize::MAX, |judged| judged.phase_i);
        for (at, group) in part.groups.iter().enumerate() {
            number += 1;
            let unjudged = Point { plotted: Some(group.subgroup.value), ..Point::default() };
            let point = drawn.as_ref().and_then(|drawn| drawn.points.get(at)).copied().unwrap_or(unjudged);
            let companion =
                drawn.as_ref().and_then(|drawn| drawn.limits.companion.zip(drawn.companion.get(at).copied()));
            let (rules, message) = match &drawn {
                Some(drawn) => violations(&drawn.rules, &point, companion),
                None => (None, None),
            };
            let reason = match &part.judged {
                Ok(_) => {
                    let below =
                        companion.and_then(|(_, below)| below.reason).filter(|why| *why != Reason::NoValueBefore);
                    point.reason.or(below).map(|reason| reason.to_string())
                }
                Err(error) => Some(error.to_string()),
            };
            rows.push(Row {
                context: Context::of(measurements, &chart.series.key, group),
                group: group.clone(),
                number,
                point,
                companion,
                spec: match is_short_run {
                    // Each product has its own.
                    true => Spec { target: Some(group.subgroup.nominal), ..Spec::default() },
                    false => spec,
                },
                phase: if at < phase_i { "I" } else { "II" },
                rules,
                message,
                origin: Arc::clone(&origin),
                reason,
            });
        }
    }
    Ok(())
}

fn draw(judged: &Judged, groups: &[Group]) -> Result<Chart, QueryError> {
    let subgroups: Vec<Subgroup> = groups.iter().map(|group| group.subgroup).collect();
    Chart::draw(judged.limits, &judged.rules, &subgroups).map_err(said)
}

/// Names of the violated rules, and what they say.
pub(super) fn violations(
    rules: &RuleSet,
    point: &Point,
    companion: Option<(Companion, Point)>,
) -> (Option<String>, Option<String>) {
    let mut names: Vec<String> = rules.violated(point.flags).map(|rule| rule.name.to_owned()).collect();
    let mut words: Vec<String> = rules.violated(point.flags).map(oee::spc::Rule::sentence).collect();
    if let Some((below, point)) = companion.filter(|(_, point)| !point.flags.is_empty()) {
        let side = match below {
            Companion::LowerSum => "beyond the decision interval",
            _ if point.plotted > point.ucl => "above its upper control limit",
            _ => "below its lower control limit",
        };
        names.push(format!("{} limits", below.name()));
        words.push(format!("{} {side}", below.name()));
    }
    ((!names.is_empty()).then(|| names.join(", ")), (!words.is_empty()).then(|| words.join("; ")))
}

impl Context {
    pub(super) fn of(measurements: &Measurements, key: &Key, group: &Group) -> Self {
        let label = |column: &str| measurements.label(group.place, column).map(str::to_owned);
        let [equipment, characteristic, product, operation] = key;
        let or = |known: &Option<Arc<str>>, column: &str| {
            known.clone().or_else(|| measurements.label(group.place, column).map(Arc::from))
        };
        Self {
            equipment: or(equipment, "equipment"),
            characteristic: or(characteristic, "characteristic"),
            product: or(product, "product"),
            operation: or(operation, "operation"),
            work_order: label("work_order"),
            unit: label("unit"),
            operator: label("operator"),
            gauge: label("gauge"),
            run: label("run"),
        }
    }
}
