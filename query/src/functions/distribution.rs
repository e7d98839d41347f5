//! `distribution_density`, `distribution_share` and `distribution_quantile`: what a distribution that `capability` fitted says
//! of a value. They compute what [`oee::spc::nonnormal::Shape`] does, so that a curve is drawn of the same definition.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use oee::spc::nonnormal::Shape;

/// What is asked of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    /// Density at a value, per unit of the values.
    Density,
    /// Share of values that are not above a value.
    Share,
    /// The value that a share of values is not above.
    Quantile,
}

impl Asked {
    fn of(self, shape: &Shape, number: f64) -> Result<f64> {
        match self {
            Self::Density => Ok(shape.density(number)),
            Self::Share => Ok(shape.lower(number)),
            Self::Quantile if number > 0.0 && number < 1.0 => Ok(shape.quantile(number)),
            Self::Quantile => plan_err!("a share of {number} has no quantile: it must be above 0 and below 1"),
        }
    }
}

/// The functions, ready to be registered.
pub(super) fn distribution() -> [ScalarUDF; 3] {
    [Asked::Density, Asked::Share, Asked::Quantile].map(|asked| {
        ScalarUDF::new_from_impl(OfDistribution { asked, signature: Signature::user_defined(Volatility::Immutable) })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfDistribution {
    asked: Asked,
    signature: Signature,
}

impl ScalarUDFImpl for OfDistribution {
    fn name(&self) -> &str {
        match self.asked {
            Asked::Density => "distribution_density",
            Asked::Share => "distribution_share",
            Asked::Quantile => "distribution_quantile",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [distribution, number]
                if (distribution.is_string() || distribution.is_null())
                    && (number.is_numeric() || number.is_null()) =>
            {
                Ok(vec![DataType::Utf8, DataType::Float64])
            }
            _ => plan_err!(
                "{} takes a distribution as `fitted` of capability has it, such as 'weibull(shape=2.5, scale=10)', and a number",
                self.name()
            ),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [distribution, number] = args.args.as_slice() else {
            return plan_err!("{} takes a distribution and a number", self.name());
        };
        let scalar = matches!((distribution, number), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let (distributions, numbers) = (distribution.to_array(rows)?, number.to_array(rows)?);
        let (distributions, numbers) = (distributions.as_string::<i32>(), numbers.as_primitive::<Float64Type>());
        let mut known: Option<(&str, Shape)> = None;
        let mut said = Float64Array::builder(rows);
        for row in 0..rows {
            if distributions.is_null(row) || numbers.is_null(row) {
                said.append_null();
                continue;
            }
            let text = distributions.value(row);
            let shape = match known {
                Some((known, shape)) if known == text => shape,
                _ => text.parse().or_else(|error| plan_err!("{error}"))?,
            };
            known = Some((text, shape));
            said.append_value(self.asked.of(&shape, numbers.value(row))?);
        }
        let said: ArrayRef = Arc::new(said.finish());
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&said, 0)?));
        }
        Ok(ColumnarValue::Array(said))
    }
}

#[cfg(test)]
mod tests;
