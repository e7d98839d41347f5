//! Limits of a T² chart as text, so that they can be kept and frozen.

use serde_json::{Map, Value, json};

use super::{T2, T2Limits};
use crate::spc::Error;

impl T2Limits {
    /// As JSON: `means`, `covariance` row by row, degrees of freedom `df`, `units` that it was estimated from, whether these were
    /// `single`, and `alpha`.
    #[must_use]
    pub fn model(&self) -> String {
        let rows: Vec<&[f64]> = self.covariance.chunks(self.means.len().max(1)).collect();
        let Self { means, df, units, single, alpha, .. } = self;
        json!({"means": means, "covariance": rows, "df": df, "units": units, "single": single, "alpha": alpha})
            .to_string()
    }

    /// The same back.
    ///
    /// # Errors
    ///
    /// Where it is none, and as [`T2::new`].
    pub fn parse(model: &str) -> Result<Self, Error> {
        let read: Option<Map<String, Value>> = serde_json::from_str(model).ok();
        let limits = read.as_ref().and_then(limits).ok_or_else(|| Error::Model { model: model.to_owned() })?;
        let alpha = limits.alpha;
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(Error::Parameter { name: "alpha", value: alpha, must: "be between 0 and 1" });
        }
        Ok(T2::new(limits)?.limits)
    }

    /// The same of the characteristics in another order: `places` says of each where it is now.
    #[must_use]
    pub fn in_order(&self, places: &[usize]) -> Self {
        let p = self.means.len();
        let pairs = places.iter().flat_map(|row| places.iter().map(move |column| (row, column)));
        Self {
            means: places.iter().map(|place| self.means[*place]).collect(),
            covariance: pairs.map(|(row, column)| self.covariance[row * p + column]).collect(),
            ..self.clone()
        }
    }
}

fn limits(read: &Map<String, Value>) -> Option<T2Limits> {
    let number = |name: &str| read.get(name)?.as_f64();
    let numbers = |of: &Value| of.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
    let means = numbers(read.get("means")?)?;
    let rows: Option<Vec<Vec<f64>>> = read.get("covariance")?.as_array()?.iter().map(numbers).collect();
    let rows = rows.filter(|rows| rows.iter().all(|row| row.len() == means.len()))?;
    let is_symmetric = |(at, row): (usize, &Vec<f64>)| row.iter().zip(&rows).all(|(one, other)| *one == other[at]);
    if !rows.iter().enumerate().all(is_symmetric) {
        return None;
    }
    Some(T2Limits {
        covariance: rows.concat(),
        df: number("df")?,
        units: number("units").filter(|units| *units > 0.0)?,
        single: read.get("single")?.as_bool()?,
        alpha: number("alpha")?,
        means,
    })
}
