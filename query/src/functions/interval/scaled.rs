//! An interval times a number, or divided by one.
//!
//! As PostgreSQL does it: the fraction of a month goes on as days, 30 a month, and that of a day as time, 24 hours a day; nothing
//! goes the other way, so 24 hours never become a day.

use std::sync::Arc;

use super::{MONTH_DAYS, days_and_times};
use arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

const DAY_S: f64 = 86_400.0;
const OUT_OF_RANGE: &str = "the interval is out of range";

/// `interval * number`, and `interval / number`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Scaled {
    divides: bool,
    signature: Signature,
}

impl Scaled {
    pub(super) fn function(divides: bool) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { divides, signature }))
    }
}

impl ScalarUDFImpl for Scaled {
    fn name(&self) -> &str {
        if self.divides { "interval_quotient" } else { "interval_product" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [DataType::Duration(_), _] => Ok(vec![DataType::Duration(TimeUnit::Microsecond), DataType::Float64]),
            [DataType::Interval(_), _] => Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano), DataType::Float64]),
            _ => plan_err!("{} takes an interval and a number", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let [intervals, numbers] = ColumnarValue::values_to_arrays(&args.args)?
            .try_into()
            .or_else(|_| plan_err!("{} takes an interval and a number", self.name()))?;
        let scaled: ArrayRef = Arc::new(self.scaled(&intervals, &numbers)?);
        Ok(match is_constant {
            true => ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&scaled, 0)?),
            false => ColumnarValue::Array(scaled),
        })
    }
}

impl Scaled {
    fn scaled(&self, intervals: &ArrayRef, numbers: &ArrayRef) -> Result<IntervalMonthDayNanoArray> {
        let differences = matches!(intervals.data_type(), DataType::Duration(_)).then(|| days_and_times(intervals));
        let intervals = differences.as_ref().unwrap_or_else(|| intervals.as_primitive::<IntervalMonthDayNanoType>());
        let numbers = numbers.as_primitive::<Float64Type>();
        let pairs = intervals.iter().zip(numbers);
        pairs
            .map(|(interval, number)| {
                interval.zip(number).map(|(interval, number)| self.one(interval, number)).transpose()
            })
            .collect()
    }

    fn one(&self, interval: IntervalMonthDayNano, number: f64) -> Result<IntervalMonthDayNano> {
        if self.divides && number == 0.0 {
            return Err(arrow::error::ArrowError::DivideByZero.into());
        }
        let scale = |value: f64| if self.divides { value / number } else { value * number };
        let whole = |value: f64| {
            let inside = value.abs() <= f64::from(i32::MAX);
            if inside { Ok(value as i32) } else { exec_err!("{OUT_OF_RANGE}") }
        };
        let (months, days) = (scale(f64::from(interval.months)), scale(f64::from(interval.days)));
        let more_days = rounded((months - months.trunc()) * MONTH_DAYS as f64);
        let seconds = rounded((days - days.trunc() + more_days - more_days.trunc()) * DAY_S);
        // Fractions of a month and of a day can be a day together.
        let (carried, seconds) = ((seconds / DAY_S).trunc(), seconds % DAY_S);
        let days = whole(days.trunc() + carried + more_days.trunc())?;
        let us = (scale(interval.nanoseconds as f64 / 1_000.0) + seconds * 1_000_000.0).round_ties_even();
        if !(us.abs() * 1_000.0 < i64::MAX as f64) {
            return exec_err!("{OUT_OF_RANGE}");
        }
        Ok(IntervalMonthDayNano::new(whole(months)?, days, us as i64 * 1_000))
    }
}

/// To a millionth, as PostgreSQL rounds both days and seconds: a third of a month has no 0.0000000001 s.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round_ties_even() / 1e6
}
