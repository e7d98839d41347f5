//! `capability(…)`: how the spread of each characteristic fits into its specification.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use oee::spc::SigmaMethod;
use oee::spc::capability::{Capability, Indices, Interval, Ppm, Spec};
use oee::spc::nonnormal::{Family, Nonnormal, Shape};

use super::frozen::Frozen;
use super::head::{Head, Headed, columns};
use super::measured::{Measurements, Series};
use super::specification::Declared;
use super::{Question, subgroups};
use crate::error::QueryError;
use crate::functions::columns::{Column, Value, batch};

/// Figures of one characteristic.
struct Row {
    head: Head,
    /// How many values there are, whatever can be said of them.
    n: usize,
    spec: Spec,
    capability: Option<Capability>,
    nonnormal: Option<Nonnormal>,
    sigma_method: &'static str,
    distribution: Family,
    /// The distribution that was fitted, with its parameters.
    fitted: Option<String>,
    reason: Option<String>,
}

impl Row {
    fn within(&self) -> Option<Indices> {
        if let Some(nonnormal) = &self.nonnormal {
            return nonnormal.transformed.as_ref()?.within.as_ref().ok().map(|(_, indices)| *indices);
        }
        self.capability.as_ref()?.within.as_ref().ok().map(|(_, indices)| *indices)
    }

    fn overall(&self) -> Option<Indices> {
        if let Some(nonnormal) = &self.nonnormal {
            return Some(nonnormal.overall);
        }
        self.capability.as_ref()?.overall.as_ref().ok().map(|(_, indices)| *indices)
    }

    fn normal(&self) -> Option<&Capability> {
        self.capability.as_ref()
    }

    fn expected(&self) -> Option<Ppm> {
        match &self.nonnormal {
            Some(nonnormal) => Some(nonnormal.expected_ppm),
            None => self.overall().map(|overall| overall.expected_ppm),
        }
    }

    fn cpm(&self) -> Option<(f64, Interval)> {
        if self.nonnormal.is_some() { None } else { self.normal()?.cpm }
    }
}

impl Headed for Row {
    fn head(&self) -> &Head {
        &self.head
    }
}

macro_rules! number {
    ($name:literal, $value:expr) => {
        Column { name: $name, value: Value::Double($value) }
    };
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "n", value: Value::Integer(|row| row.n as u64) },
    Column { name: "n_within", value: Value::Integer(|row| row.normal().map_or(0, |found| found.n_within as u64)) },
    number!("mean", |row| row.normal().map(|found| found.mean)),
    number!("min", |row| row.normal().map(|found| found.min)),
    number!("max", |row| row.normal().map(|found| found.max)),
    number!("lower_limit", |row| row.spec.lower),
    number!("upper_limit", |row| row.spec.upper),
    number!("target", |row| row.spec.target),
    number!("sigma_within", |row| row.normal()?.within.as_ref().ok().map(|(sigma, _)| sigma.value)),
    Column { name: "sigma_method", value: Value::Text(|row| Some(row.sigma_method)) },
    number!("sigma_overall", |row| row.normal()?.overall.as_ref().ok().map(|(sigma, _)| *sigma)),
    number!("cp", |row| row.within()?.potential),
    number!("cp_low", |row| Some(row.within()?.potential_95?.low)),
    number!("cp_high", |row| Some(row.within()?.potential_95?.high)),
    number!("cpl", |row| row.within()?.lower),
    number!("cpu", |row| row.within()?.upper),
    number!("cpk", |row| row.within()?.smaller),
    number!("cpk_low", |row| Some(row.within()?.smaller_95?.low)),
    number!("cpk_high", |row| Some(row.within()?.smaller_95?.high)),
    number!("pp", |row| row.overall()?.potential),
    number!("pp_low", |row| Some(row.overall()?.potential_95?.low)),
    number!("pp_high", |row| Some(row.overall()?.potential_95?.high)),
    number!("ppl", |row| row.overall()?.lower),
    number!("ppu", |row| row.overall()?.upper),
    number!("ppk", |row| row.overall()?.smaller),
    number!("ppk_low", |row| Some(row.overall()?.smaller_95?.low)),
    number!("ppk_high", |row| Some(row.overall()?.smaller_95?.high)),
    number!("cpm", |row| row.cpm().map(|(cpm, _)| cpm)),
    number!("cpm_low", |row| row.cpm().map(|(_, interval)| interval.low)),
    number!("cpm_high", |row| row.cpm().map(|(_, interval)| interval.high)),
    number!("observed_ppm", |row| row.normal()?.observed_ppm.total),
    number!("observed_ppm_below", |row| row.normal()?.observed_ppm.below),
    number!("observed_ppm_above", |row| row.normal()?.observed_ppm.above),
    number!("expected_ppm_within", |row| row.within()?.expected_ppm.total),
    number!("expected_ppm", |row| row.expected()?.total),
    number!("expected_ppm_below", |row| row.expected()?.below),
    number!("expected_ppm_above", |row| row.expected()?.above),
    number!("anderson_darling", |row| Some(row.normal()?.normality.as_ref()?.a2)),
    number!("anderson_darling_p", |row| Some(row.normal()?.normality.as_ref()?.p)),
    Column { name: "looks_normal", value: Value::Text(|row| looks_normal(row)) },
    Column { name: "distribution", value: Value::Text(|row| Some(row.distribution.name())) },
    Column { name: "fitted", value: Value::Text(|row| row.fitted.as_deref()) },
    number!("fit_anderson_darling", |row| Some(row.nonnormal.as_ref()?.fit.goodness.a2)),
    number!("fit_anderson_darling_p", |row| row.nonnormal.as_ref()?.fit.goodness.p),
    Column { name: "method", value: Value::Text(|row| Some(method(row))) },
    Column { name: "reason", value: Value::Text(|row| row.reason.as_deref()) },
];

fn looks_normal(row: &Row) -> Option<&str> {
    row.normal()?.normality.as_ref()?.normal.map(|normal| if normal { "yes" } else { "no" })
}

fn method(row: &Row) -> &str {
    row.nonnormal.as_ref().map_or("normal distribution", |nonnormal| nonnormal.method.as_str())
}

pub(in crate::functions) fn schema() -> SchemaRef {
    crate::functions::columns::schema(columns().iter().chain(COLUMNS))
}

pub(in crate::functions) async fn answer(question: &Question<'_>) -> Result<RecordBatch, QueryError> {
    let measurements = Measurements::gather(question, &<Frozen>::default()).await?;
    let declared = Declared::gather(question).await?;
    let mut rows = Vec::new();
    for series in measurements.series() {
        let by = subgroups::by_or_single(question.asked, &measurements, &series.values);
        let groups = subgroups::of(question, &measurements, series, &series.values, &by)?;
        let values = subgroups::values(&measurements, &series.values, &by);
        let sizes: Vec<usize> = groups.iter().map(|group| group.n).collect();
        let head = Head::of(&measurements, series);
        rows.push(row(question, head, series, (&values, &sizes), declared.of(question, series)));
        tokio::task::yield_now().await;
    }
    batch(columns().iter().chain(COLUMNS), &rows)
}

/// Why indices are missing that a fitted distribution does not have.
fn of_percentiles(found: &Nonnormal, spec: &Spec) -> Option<String> {
    let why = match (&found.transformed, spec.lower, spec.upper) {
        (_, None, None) => "there are no specification limits",
        (None, ..) => "a fitted distribution has Pp and Ppk, and no Cp, Cpk and Cpm",
        (Some(_), ..) => "transformed values have no Cpm",
    };
    Some(why.to_owned())
}

fn row(question: &Question<'_>, head: Head, series: &Series, (values, sizes): (&[f64], &[usize]), spec: Spec) -> Row {
    let method = question.asked.sigma_method.unwrap_or_else(|| SigmaMethod::usual(sizes));
    let mut row = Row {
        head,
        n: values.len(),
        spec,
        capability: None,
        nonnormal: None,
        sigma_method: method.name(),
        distribution: question.asked.distribution,
        fitted: None,
        reason: None,
    };
    let spec = match Spec::new(spec.lower, spec.upper, spec.target) {
        Ok(spec) => spec,
        Err(error) => {
            row.reason = Some(error.to_string());
            return row;
        }
    };
    match Capability::of(values, sizes, spec, method) {
        Ok(found) => {
            let within = found.within.as_ref().err().map(ToString::to_string);
            let left_out = (found.n_within < found.n).then(|| {
                let left = found.n - found.n_within;
                format!("{left} of {} values are in no whole subgroup, so Cp and Cpk are without them", found.n)
            });
            let texts = (series.texts > 0).then(|| format!("{} rows are left out that hold no number", series.texts));
            let words: Vec<String> =
                within.or_else(|| found.reason.map(str::to_owned)).into_iter().chain(left_out).chain(texts).collect();
            row.reason = (!words.is_empty()).then(|| words.join("; "));
            let sigma = found.overall.as_ref().ok().map(|(sigma, _)| *sigma).filter(|sigma| *sigma > 0.0);
            row.fitted = sigma.map(|sigma| Shape::Normal { mean: found.mean, sigma }.to_string());
            row.capability = Some(found);
        }
        Err(error) => row.reason = Some(error.to_string()),
    }
    if series.values.is_empty() && series.texts > 0 {
        row.reason = Some(format!("none of {} measurements is a number", series.texts));
    }
    if row.distribution != Family::Normal && row.capability.is_some() {
        match Nonnormal::of(values, sizes, spec, method, row.distribution) {
            Ok(found) => {
                row.reason = found.reason.map(str::to_owned).or_else(|| of_percentiles(&found, &spec));
                row.fitted = Some(found.fit.shape.to_string());
                row.nonnormal = Some(found);
            }
            // Figures of a normal distribution would not be what was asked for.
            Err(error) => (row.reason, row.capability, row.fitted) = (Some(error.to_string()), None, None),
        }
    }
    row
}
