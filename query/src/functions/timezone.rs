//! `timezone(zone, time)`, which `time AT TIME ZONE zone` stands for, as PostgreSQL defines it: an instant becomes wall time
//! in the zone, wall time in the zone becomes an instant.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{Expr, Value, VisitorMut};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::call::call;
use crate::types::time_type;
use oee::bucket::zone;

const NAME: &str = "timezone";

/// The function, ready to be registered.
pub(crate) fn timezone() -> ScalarUDF {
    ScalarUDF::new_from_impl(AtTimeZone { signature: Signature::user_defined(Volatility::Immutable) })
}

/// Writes `time AT TIME ZONE zone` as a call of the function.
pub(crate) struct AtTimeZoneCalls;

impl VisitorMut for AtTimeZoneCalls {
    type Break = std::convert::Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::AtTimeZone { timestamp, time_zone } = expr {
            let time = std::mem::replace(timestamp.as_mut(), Expr::Value(Value::Null.into()));
            let zone = std::mem::replace(time_zone.as_mut(), Expr::Value(Value::Null.into()));
            *expr = call(NAME, [zone, time]);
        }
        ControlFlow::Continue(())
    }
}

fn wall_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [_, DataType::Timestamp(_, None)] => Ok(time_type()),
            _ => Ok(wall_type()),
        }
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [zone, time] = arg_types else {
            return plan_err!("AT TIME ZONE takes a time and the name of a zone");
        };
        if !zone.is_string() && !zone.is_null() {
            return plan_err!("the zone of AT TIME ZONE is a name such as 'Europe/Berlin', not {zone}");
        }
        match time {
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => Ok(vec![DataType::Utf8, wall_type()]),
            DataType::Timestamp(_, Some(_)) | DataType::Null => Ok(vec![DataType::Utf8, time_type()]),
            kind if kind.is_string() => Ok(vec![DataType::Utf8, time_type()]),
            other => plan_err!("AT TIME ZONE takes a time, not {other}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [name, time] = args.args.as_slice() else {
            return plan_err!("AT TIME ZONE takes a time and the name of a zone");
        };
        let scalar = matches!((name, time), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let (names, times) = (name.to_array(rows)?, time.to_array(rows)?);
        let (names, times) = (names.as_string::<i32>(), times.as_primitive::<TimestampMicrosecondType>());
        let wall = times.timezone().is_none();
        let mut known: Option<(&str, TimeZone)> = None;
        let mut moved = TimestampMicrosecondArray::builder(rows);
        for row in 0..rows {
            if names.is_null(row) || times.is_null(row) {
                moved.append_null();
                continue;
            }
            let name = names.value(row);
            if known.as_ref().is_none_or(|(known, _)| *known != name) {
                known = Some((name, named(name)?));
            }
            if let Some((_, zone)) = &known {
                match shift(times.value(row), zone, wall) {
                    Some(us) => moved.append_value(us),
                    None => return plan_err!("a time is out of range"),
                }
            }
        }
        let moved = moved.finish();
        let moved: ArrayRef = Arc::new(if wall { moved.with_timezone("UTC") } else { moved });
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&moved, 0)?));
        }
        Ok(ColumnarValue::Array(moved))
    }
}

fn named(name: &str) -> Result<TimeZone> {
    zone(name).or_else(|error| plan_err!("{error}"))
}

/// Wall time to the instant, or the instant to wall time; microseconds.
fn shift(us: i64, zone: &TimeZone, wall: bool) -> Option<i64> {
    let at = Timestamp::from_microsecond(us).ok()?;
    if wall {
        return Some(Offset::UTC.to_datetime(at).to_zoned(zone.clone()).ok()?.timestamp().as_microsecond());
    }
    Some(Offset::UTC.to_timestamp(zone.to_datetime(at)).ok()?.as_microsecond())
}
