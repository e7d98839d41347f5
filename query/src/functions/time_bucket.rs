//! `time_bucket(width, time [, zone | origin])`: the start of the bucket that a time falls into.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::types::time_type;
use oee::bucket::{Anchor, BucketError, Buckets, Width, zone};

/// The function, ready to be registered.
pub(crate) fn time_bucket() -> ScalarUDF {
    ScalarUDF::new_from_impl(TimeBucket { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeBucket {
    signature: Signature,
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(time_type())
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerced(self.name(), arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { args.number_rows };
        let width = Argument::of(args.args.first())?;
        let time = Argument::of(args.args.get(1))?;
        let anchor = args.args.get(2).map(|arg| Argument::of(Some(arg))).transpose()?;
        let times = time.values.as_primitive::<TimestampMicrosecondType>();
        let constant = width.constant && anchor.as_ref().is_none_or(|anchor| anchor.constant);
        let is_described = |row: usize| {
            let is_null = |argument: &Argument| argument.values.is_null(if argument.constant { 0 } else { row });
            !is_null(&width) && !anchor.as_ref().is_some_and(is_null)
        };
        let buckets_of = |row: usize| -> Result<Buckets> {
            let row_of = |argument: &Argument| if argument.constant { 0 } else { row };
            let anchor = anchor.as_ref().map(|anchor| (&anchor.values, row_of(anchor)));
            Ok(Buckets::new(width_at(&width.values, row_of(&width))?, anchor_at(anchor)?))
        };
        let starts = if constant && !time.constant && is_described(0) && times.null_count() < rows {
            // Nearly all that is ever asked: width and anchor are looked at once.
            let mut buckets = buckets_of(0)?;
            match times.nulls() {
                None => TimestampMicrosecondArray::from(buckets.starts(times.values()).map_err(refuse)?),
                Some(nulls) => {
                    let rows = times.values().iter().zip(nulls);
                    let starts = rows.map(|(at_us, valid)| if valid { buckets.start(*at_us) } else { Ok(0) });
                    let starts: Vec<i64> = starts.collect::<Result<_, _>>().map_err(refuse)?;
                    TimestampMicrosecondArray::new(starts.into(), Some(nulls.clone()))
                }
            }
        } else {
            let mut starts = TimestampMicrosecondArray::builder(rows);
            for row in 0..rows {
                let at = if time.constant { 0 } else { row };
                if times.is_null(at) || !is_described(row) {
                    starts.append_null();
                } else {
                    starts.append_value(buckets_of(row)?.start(times.value(at)).map_err(refuse)?);
                }
            }
            starts.finish()
        };
        let starts: ArrayRef = Arc::new(starts.with_timezone("UTC"));
        if all_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&starts, 0)?));
        }
        Ok(ColumnarValue::Array(starts))
    }

    /// Later times never fall into earlier buckets, so sorted input stays sorted.
    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        let [width, time, rest @ ..] = inputs else { return Ok(SortProperties::Unordered) };
        let constant = |input: &ExprProperties| input.sort_properties == SortProperties::Singleton;
        if constant(width) && rest.iter().all(constant) {
            Ok(time.sort_properties)
        } else {
            Ok(SortProperties::Unordered)
        }
    }
}

/// The types that a function of buckets takes its arguments as.
pub(super) fn coerced(name: &str, arg_types: &[DataType]) -> Result<Vec<DataType>> {
    let ([width, time] | [width, time, _]) = arg_types else {
        return plan_err!(
            "{name} takes a width, a time, and a zone or an origin: {name}('1 hour', time, 'Europe/Berlin')"
        );
    };
    let mut types = Vec::with_capacity(arg_types.len());
    types.push(match width {
        kind if kind.is_string() || kind.is_null() => DataType::Utf8,
        DataType::Interval(_) | DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        other => {
            return plan_err!("the width of {name} is text or an interval, such as '1 hour', not {other}");
        }
    });
    types.push(match time {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => time_type(),
        kind if kind.is_string() => time_type(),
        other => return plan_err!("the second argument of {name} is a time, not {other}"),
    });
    match arg_types.get(2) {
        None => {}
        Some(kind) if kind.is_string() || kind.is_null() => types.push(DataType::Utf8),
        Some(DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) => types.push(time_type()),
        Some(other) => {
            return plan_err!("the third argument of {name} is a zone name or an origin time, not {other}");
        }
    }
    Ok(types)
}

/// The buckets that constants describe: a width, and a zone or an origin. None where one of them is NULL.
pub(super) fn described(width: &ScalarValue, anchor: Option<&ScalarValue>) -> Result<Option<(Width, Buckets)>> {
    if width.is_null() || anchor.is_some_and(ScalarValue::is_null) {
        return Ok(None);
    }
    let width = width_at(&width.to_array()?, 0)?;
    let anchor = anchor.map(ScalarValue::to_array).transpose()?;
    Ok(Some((width, Buckets::new(width, anchor_at(anchor.as_ref().map(|anchor| (anchor, 0)))?))))
}

/// An argument as an array; a constant one has one row.
struct Argument {
    values: ArrayRef,
    constant: bool,
}

impl Argument {
    fn of(value: Option<&ColumnarValue>) -> Result<Self> {
        match value {
            Some(ColumnarValue::Array(values)) => Ok(Self { values: Arc::clone(values), constant: false }),
            Some(ColumnarValue::Scalar(value)) => Ok(Self { values: value.to_array()?, constant: true }),
            None => plan_err!("time_bucket takes a width and a time"),
        }
    }
}

fn width_at(values: &ArrayRef, row: usize) -> Result<Width> {
    let width = match values.data_type() {
        DataType::Utf8 => Width::parse(values.as_string::<i32>().value(row)),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let width = values.as_primitive::<IntervalMonthDayNanoType>().value(row);
            Width::of(width.months.into(), width.days.into(), width.nanoseconds / 1_000)
        }
        other => return plan_err!("the width of time_bucket is text or an interval, not {other}"),
    };
    width.map_err(refuse)
}

fn anchor_at(argument: Option<(&ArrayRef, usize)>) -> Result<Anchor> {
    let Some((values, row)) = argument else { return Ok(Anchor::Zone(jiff::tz::TimeZone::UTC)) };
    match values.data_type() {
        DataType::Utf8 => Ok(Anchor::Zone(zone(values.as_string::<i32>().value(row)).map_err(refuse)?)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(Anchor::Instant(values.as_primitive::<TimestampMicrosecondType>().value(row)))
        }
        other => plan_err!("the third argument of time_bucket is a zone name or an origin time, not {other}"),
    }
}

/// As an error of the statement.
pub(super) fn refuse(error: BucketError) -> DataFusionError {
    DataFusionError::Plan(error.to_string())
}
