//! What values should be: as the call says, else as the newest row says, else as the characteristic is declared.

use std::collections::HashMap;

use datafusion::prelude::lit;
use futures::TryStreamExt;
use oee::spc::capability::Spec;
use oee::spc::{SigmaMethod, Subgroup};

use super::Question;
use super::measured::{Measurements, Series};
use crate::error::QueryError;
use crate::functions::values::{Doubles, Texts};

const CHARACTERISTICS: &str = "characteristics";

/// Declared specifications by characteristic, product and operation; an empty name is any.
#[derive(Debug, Default)]
pub(super) struct Declared(Vec<([String; 3], Spec)>);

impl Declared {
    pub(super) async fn gather(question: &Question<'_>) -> Result<Self, QueryError> {
        let mut found = Vec::new();
        if question.gather.view.table(CHARACTERISTICS).is_none() {
            return Ok(Self(found));
        }
        let columns = ["characteristic", "product", "operation", "lower_limit", "upper_limit", "target"];
        let mut stream = question.gather.rows(CHARACTERISTICS, lit(true), &columns, &[]).await?;
        while let Some(batch) = stream.try_next().await? {
            let names = ["characteristic", "product", "operation"].map(|name| Texts::of(&batch, name));
            let [lower, upper, target] = ["lower_limit", "upper_limit", "target"].map(|name| Doubles::of(&batch, name));
            let (lower, upper, target) = (lower?, upper?, target?);
            for row in 0..batch.num_rows() {
                let mut of: [String; 3] = Default::default();
                for (of, texts) in of.iter_mut().zip(&names) {
                    let text = texts.as_ref().ok().and_then(|texts| texts.at(row));
                    *of = text.unwrap_or_default().to_owned();
                }
                found.push((of, Spec { lower: lower.at(row), upper: upper.at(row), target: target.at(row) }));
            }
        }
        Ok(Self(found))
    }

    /// Of the declarations that fit, the one that says most.
    fn find(&self, characteristic: &str, product: Option<&str>, operation: Option<&str>) -> Option<Spec> {
        let fits = |said: &str, is: Option<&str>| said.is_empty() || Some(said) == is;
        let fitting = self.0.iter().filter(|([name, of_product, at], _)| {
            name == characteristic && fits(of_product, product) && fits(at, operation)
        });
        let said = |names: &[String; 3]| names.iter().filter(|name| !name.is_empty()).count();
        fitting.max_by_key(|(names, _)| said(names)).map(|(_, spec)| *spec)
    }

    /// The specification of a chart.
    pub(super) fn of(&self, question: &Question<'_>, series: &Series) -> Spec {
        let [_, characteristic, product, operation] = &series.key;
        let declared = characteristic
            .as_deref()
            .and_then(|name| self.find(name, product.as_deref(), operation.as_deref()))
            .unwrap_or_default();
        let (asked, rows) = (question.asked.spec, series.spec);
        let first = |asked: Option<f64>, row: Option<f64>, declared: Option<f64>| asked.or(row).or(declared);
        Spec {
            lower: first(asked.lower, rows.lower, declared.lower),
            upper: first(asked.upper, rows.upper, declared.upper),
            target: first(asked.target, rows.target, declared.target),
        }
    }
}

/// Short runs: what each product should measure, and its sigma.
pub(super) fn of_parts(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
) -> HashMap<Option<String>, (f64, f64)> {
    let mut values: HashMap<Option<String>, (Vec<f64>, Option<f64>)> = HashMap::new();
    for value in &series.values {
        let product = measurements.label(value.place, "product").map(str::to_owned);
        let target = question.asked.spec.target.or(measurements.target(value.place));
        let of_product = values.entry(product).or_default();
        of_product.0.push(value.value);
        of_product.1 = target.or(of_product.1);
    }
    let sigma = |values: &[f64]| {
        let subgroups: Vec<Subgroup> = values.iter().filter_map(|value| Subgroup::of(&[*value]).ok()).collect();
        SigmaMethod::MovingRange.estimate(&subgroups).map_or(1.0, |sigma| sigma.value)
    };
    values
        .into_iter()
        .filter_map(|(product, (values, target))| {
            let scale = sigma(&values);
            Some((product, (target?, if scale > 0.0 { scale } else { 1.0 })))
        })
        .collect()
}
