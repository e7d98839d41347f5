//! `spc_limits(chart, …)`: one row per control chart, with the limits that hold now.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use oee::spc::{ChartKind, Judge, Limits, Parameters, Point};

use super::frozen::Frozen;
use super::head::{Head, Headed, columns};
use super::measured::Measurements;
use super::{ChartOf, Question};
use crate::error::QueryError;
use crate::functions::columns::{Column, Value, batch};

/// The limits of a chart.
pub(super) struct Row {
    head: Head,
    chart: &'static str,
    values: usize,
    subgroups: usize,
    /// Of every subgroup, where all have as many values.
    pub(super) n: Option<usize>,
    limits: Option<Limits>,
    /// From how many subgroups, or units of several characteristics, they were estimated.
    pub(super) estimated_from: Option<f64>,
    /// Of several characteristics: what their limits follow from.
    pub(super) model: Option<String>,
    pub(super) point: Point,
    below: Point,
    pub(super) origin: Option<String>,
    pub(super) rules: Option<String>,
    /// In words.
    pub(super) parameters: Option<String>,
    pub(super) reason: Option<String>,
}

impl Row {
    /// Of which no limits are known yet.
    pub(super) fn begin(kind: ChartKind, head: Head, values: usize, subgroups: usize) -> Self {
        Self {
            head,
            chart: kind.name(),
            values,
            subgroups,
            n: None,
            limits: None,
            estimated_from: None,
            model: None,
            point: Point::default(),
            below: Point::default(),
            origin: None,
            rules: None,
            parameters: None,
            reason: None,
        }
    }
}

impl Headed for Row {
    fn head(&self) -> &Head {
        &self.head
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "chart", value: Value::Text(|row| Some(row.chart)) },
    Column { name: "measurements", value: Value::Integer(|row| row.values as u64) },
    Column { name: "subgroups", value: Value::Integer(|row| row.subgroups as u64) },
    Column { name: "n", value: Value::Double(|row| Some(row.n? as f64)) },
    Column { name: "centre", value: Value::Double(|row| row.point.centre) },
    Column { name: "lcl", value: Value::Double(|row| row.point.lcl) },
    Column { name: "ucl", value: Value::Double(|row| row.point.ucl) },
    Column { name: "mean", value: Value::Double(|row| row.limits.map(|limits| limits.centre)) },
    Column { name: "sigma", value: Value::Double(|row| row.limits.map(|limits| limits.sigma)) },
    Column { name: "pooled_sigma", value: Value::Flag(|row| row.limits.is_some_and(|limits| limits.pooled)) },
    Column {
        name: "companion",
        value: Value::Text(|row| row.limits.and_then(|limits| limits.companion).map(oee::spc::Companion::name)),
    },
    Column { name: "companion_centre", value: Value::Double(|row| row.below.centre) },
    Column { name: "companion_lcl", value: Value::Double(|row| row.below.lcl) },
    Column { name: "companion_ucl", value: Value::Double(|row| row.below.ucl) },
    Column { name: "estimated_from", value: Value::Double(|row| row.estimated_from) },
    Column { name: "rules", value: Value::Text(|row| row.rules.as_deref()) },
    Column { name: "parameters", value: Value::Text(|row| row.parameters.as_deref()) },
    Column { name: "limits", value: Value::Text(|row| row.origin.as_deref()) },
    Column { name: "model", value: Value::Text(|row| row.model.as_deref()) },
    Column { name: "reason", value: Value::Text(|row| row.reason.as_deref()) },
];

pub(in crate::functions) fn schema() -> SchemaRef {
    crate::functions::columns::schema(columns().iter().chain(COLUMNS))
}

pub(in crate::functions) async fn answer(question: &Question<'_>) -> Result<RecordBatch, QueryError> {
    if question.asked.kind == ChartKind::T2 {
        return batch(columns().iter().chain(COLUMNS), &super::multivariate::limits(question).await?);
    }
    let frozen = Frozen::gather(question).await?;
    let measurements = Measurements::gather(question, &frozen).await?;
    let mut rows = Vec::new();
    for chart in question.charts(&measurements, &frozen) {
        let chart = chart?;
        rows.push(row(question, &measurements, &chart));
        tokio::task::yield_now().await;
    }
    batch(columns().iter().chain(COLUMNS), &rows)
}

fn row(question: &Question<'_>, measurements: &Measurements, chart: &ChartOf<'_>) -> Row {
    let ChartOf { series, parts } = chart;
    let groups = || parts.iter().flat_map(|part| &part.groups);
    let size = groups().next().map(|group| group.subgroup.n);
    let head = Head::of(measurements, series);
    let mut row = Row::begin(question.asked.kind, head, series.values.len(), groups().count());
    row.n = size.filter(|size| groups().all(|group| group.subgroup.n == *size)).map(|size| size as usize);
    match parts.last().map(|part| (&part.judged, part.groups.last())) {
        Some((Err(error), _)) => row.reason = Some(error.to_string()),
        Some((Ok(judged), last)) => {
            row.limits = Some(judged.limits);
            row.estimated_from = Some(judged.limits.subgroups as f64);
            row.origin = Some(judged.origin.clone());
            row.parameters = Some(judged.limits.parameters.words(judged.limits.kind));
            // Limits as they are in the long run; those of subgroups of different sizes are those of the last one.
            let parameters = Parameters { steady: true, ..judged.limits.parameters };
            let judge = Judge::new(Limits { parameters, ..judged.limits }, &judged.rules);
            match (judge, last) {
                (Ok(mut judge), Some(group)) => {
                    row.rules = Some(judge.rules().to_string());
                    let verdict = judge.push(&group.subgroup);
                    row.point = verdict.point;
                    row.below = verdict.companion.unwrap_or_default();
                    row.reason = row.point.reason.map(|reason| reason.to_string());
                }
                (Err(error), _) => row.reason = Some(error.to_string()),
                (Ok(_), None) => row.reason = Some("there is no subgroup".to_owned()),
            }
        }
        None => row.reason = Some("there is no subgroup".to_owned()),
    }
    if series.values.is_empty() && series.texts > 0 {
        row.reason = Some(format!("none of {} measurements is a number", series.texts));
    }
    row
}
