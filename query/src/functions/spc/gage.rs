//! `gage_rr(…)`: how much of what is measured is the measuring.
//!
//! The appraiser is the operator, the part is the unit; every row is a trial.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use oee::spc::gage::{Components, Constants, Shares, Study, percent_of_tolerance};

use super::Question;
use super::frozen::Frozen;
use super::head::{Head, Headed, columns};
use super::measured::{Measurements, Series};
use super::specification::Declared;
use crate::error::QueryError;
use crate::functions::columns::{Column, Value, batch};

struct Row {
    head: Head,
    layout: (usize, usize, usize),
    method: &'static str,
    chosen: bool,
    component: &'static str,
    sigma: Option<f64>,
    percent: Option<f64>,
    contribution: Option<f64>,
    tolerance: Option<f64>,
    ndc: Option<f64>,
    interaction_p: Option<f64>,
    reason: Option<String>,
}

impl Headed for Row {
    fn head(&self) -> &Head {
        &self.head
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "appraisers", value: Value::Integer(|row| row.layout.0 as u64) },
    Column { name: "parts", value: Value::Integer(|row| row.layout.1 as u64) },
    Column { name: "trials", value: Value::Integer(|row| row.layout.2 as u64) },
    Column { name: "method", value: Value::Text(|row| Some(row.method)) },
    Column { name: "chosen", value: Value::Flag(|row| row.chosen) },
    Column { name: "component", value: Value::Text(|row| Some(row.component)) },
    Column { name: "sigma", value: Value::Double(|row| row.sigma) },
    Column { name: "percent_study", value: Value::Double(|row| row.percent) },
    Column { name: "percent_contribution", value: Value::Double(|row| row.contribution) },
    Column { name: "percent_tolerance", value: Value::Double(|row| row.tolerance) },
    Column { name: "ndc", value: Value::Double(|row| row.ndc) },
    Column { name: "interaction_p", value: Value::Double(|row| row.interaction_p) },
    Column { name: "reason", value: Value::Text(|row| row.reason.as_deref()) },
];

pub(in crate::functions) fn schema() -> SchemaRef {
    crate::functions::columns::schema(columns().iter().chain(COLUMNS))
}

pub(in crate::functions) async fn answer(question: &Question<'_>) -> Result<RecordBatch, QueryError> {
    let measurements = Measurements::gather(question, &<Frozen>::default()).await?;
    let declared = Declared::gather(question).await?;
    let mut rows = Vec::new();
    for series in measurements.series() {
        let spec = declared.of(question, series);
        let tolerance = spec.both().map(|(lower, upper)| upper - lower).filter(|tolerance| *tolerance > 0.0);
        add(question, &measurements, series, tolerance, &mut rows);
        tokio::task::yield_now().await;
    }
    batch(columns().iter().chain(COLUMNS), &rows)
}

/// Numbers for names, by first appearance.
#[derive(Default)]
struct Numbers<'a>(HashMap<&'a str, usize>);

impl<'a> Numbers<'a> {
    fn of(&mut self, name: &'a str) -> usize {
        let next = self.0.len();
        *self.0.entry(name).or_insert(next)
    }
}

fn study(measurements: &Measurements, series: &Series) -> Result<Study, String> {
    let (mut appraisers, mut parts) = (Numbers::default(), Numbers::default());
    let mut trials = Vec::with_capacity(series.values.len());
    for value in &series.values {
        let Some(operator) = measurements.label(value.place, "operator") else {
            return Err("a measurement has no operator: the operator is the appraiser of a study".to_owned());
        };
        let Some(unit) = measurements.label(value.place, "unit") else {
            return Err("a measurement has no unit: the unit is the part of a study".to_owned());
        };
        trials.push((appraisers.of(operator), parts.of(unit), value.value));
    }
    Study::of_rows(trials).map_err(|error| error.to_string())
}

fn add(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    tolerance: Option<f64>,
    rows: &mut Vec<Row>,
) {
    let head = Head::of(measurements, series);
    let row = |method: &'static str, component: &'static str| Row {
        head: head.clone(),
        layout: (0, 0, 0),
        method,
        chosen: false,
        component,
        sigma: None,
        percent: None,
        contribution: None,
        tolerance: None,
        ndc: None,
        interaction_p: None,
        reason: None,
    };
    let study = match study(measurements, series) {
        Ok(study) => study,
        // Whoever asks for the chosen method is to hear of it.
        Err(reason) => return rows.push(Row { reason: Some(reason), chosen: true, ..row("anova", "gage_rr") }),
    };
    let constants = if question.asked.manual_constants { Constants::Manual } else { Constants::Exact };
    let anova = study.anova();
    let methods = [
        ("average_range", study.average_range(constants).components, false),
        ("anova", anova.with_interaction.components, !anova.pools),
        ("anova_pooled", anova.pooled.components, anova.pools),
    ];
    for (method, components, chosen) in methods {
        for (component, sigma, share) in parts_of(&components) {
            let percent = |shares: Option<Shares>| shares.and_then(|shares| share(&shares));
            rows.push(Row {
                layout: study.layout(),
                chosen,
                sigma: Some(sigma),
                percent: percent(components.percent()),
                contribution: percent(components.contribution()),
                tolerance: tolerance.map(|tolerance| percent_of_tolerance(sigma, tolerance)),
                ndc: components.categories().map(|categories| categories.ndc as f64),
                interaction_p: anova.interaction.p,
                ..row(method, component)
            });
        }
    }
}

type Share = fn(&Shares) -> Option<f64>;

fn parts_of(components: &Components) -> [(&'static str, f64, Share); 5] {
    [
        ("repeatability", components.ev, |shares| Some(shares.ev)),
        ("reproducibility", components.av, |shares| Some(shares.av)),
        ("gage_rr", components.grr, |shares| Some(shares.grr)),
        ("part_to_part", components.pv, |shares| Some(shares.pv)),
        ("total", components.tv, |_| Some(100.0)),
    ]
}
