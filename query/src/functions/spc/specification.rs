//! What values should be: as the call says, else as the newest row says, else as the characteristic is declared.

use std::collections::HashMap;

use datafusion::prelude::lit;
use futures::TryStreamExt;
use oee::spc::capability::Spec;
use oee::spc::{ChartKind, Subgroup, short_run};

use super::measured::{Measured, Measurements, Series};
use super::{Question, mistaken, said, subgroups};
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
    pub(super) fn find(&self, characteristic: &str, product: Option<&str>, operation: Option<&str>) -> Option<Spec> {
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

/// Short runs: what each product should measure, and its sigma where the chart is about it.
pub(super) fn of_products(
    question: &Question<'_>,
    measurements: &Measurements,
    series: &Series,
    subgroups: &[subgroups::Part<'_>],
) -> Result<HashMap<Option<String>, short_run::Part>, QueryError> {
    let mut targets: HashMap<Option<String>, Option<f64>> = HashMap::new();
    let mut of_product: HashMap<Option<String>, Vec<Subgroup>> = HashMap::new();
    let product_of = |value: &Measured| measurements.label(value.place, "product").map(str::to_owned);
    for value in subgroups.iter().flat_map(|(_, values)| values.iter()) {
        let target = measurements.target(value.place);
        let newest = targets.entry(product_of(value)).or_default();
        *newest = target.or(*newest);
    }
    // What limits are estimated from tells of the products too.
    let phase_i = question.asked.phase_i.unwrap_or(subgroups.len());
    for (_, values) in subgroups.iter().take(phase_i) {
        let Some(last) = values.last() else { continue };
        let numbers: Vec<f64> = values.iter().map(|value| value.value).collect();
        let subgroup = Subgroup::of(&numbers).map_err(said)?;
        let excluded = values.iter().any(|value| value.excluded);
        of_product.entry(product_of(last)).or_default().push(if excluded { subgroup.exclude() } else { subgroup });
    }
    let [_, characteristic, _, operation] = &series.key;
    let mut parts = HashMap::with_capacity(of_product.len());
    for (product, subgroups) in of_product {
        let declared = || {
            let found = measurements.declared();
            found.find(characteristic.as_deref()?, product.as_deref(), operation.as_deref())?.target
        };
        let name = product.as_deref().unwrap_or("a measurement without product");
        // Of values that name none themselves: what is declared, else what another value of the product named.
        let named = targets.get(&product).copied().flatten();
        let target = question.asked.spec.target.or_else(declared).or(named);
        let Some(nominal) = target else {
            return Err(mistaken(format!(
                "a short-run chart needs a target of each product: {name} has none; give its measurements or its \
                 characteristic a target"
            )));
        };
        let part = match question.asked.kind {
            ChartKind::ShortRunZ => short_run::Part::estimate(Some(nominal), &subgroups).map_err(|error| {
                mistaken(format!(
                    "short_run_z needs sigma of each product: of {name} it is not known ({error}); leave the product out, or \
                     draw short_run_deviation"
                ))
            })?,
            _ => short_run::Part { nominal, sigma: 1.0 },
        };
        parts.insert(product, part);
    }
    Ok(parts)
}
