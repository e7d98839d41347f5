//! Days and hours as people count them: where a statement takes a time apart, shortens it to a day, adds days or months to it,
//! or compares it with a date, the session's time zone counts, as in PostgreSQL. DataFusion counts in UTC.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::expr_fn::now;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, TryCast, lit};
use datafusion::optimizer::AnalyzerRule;
use jiff::tz::TimeZone;

use crate::catalog::Current;
use crate::functions::timezone;
use crate::instant::map_named;
use crate::reach::literal;
use crate::types::time_type;

/// Puts `timezone(zone, …)` where an instant is taken apart, or wall time meets instants.
#[derive(Debug)]
pub(crate) struct WallTimes {
    current: Arc<Current>,
    timezone: Arc<ScalarUDF>,
}

impl WallTimes {
    pub(crate) fn new(current: Arc<Current>) -> Self {
        Self { current, timezone: Arc::new(timezone()) }
    }
}

impl AnalyzerRule for WallTimes {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = self.current.zone();
        let Some(zone) = name_of(&zone) else { return Ok(plan) };
        let moved = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            map_named(node, |expr| expr.transform_up(|part| Ok(self.moved(part, &schema, &zone))))
        })?;
        Ok(moved.data)
    }

    fn name(&self) -> &str {
        "wall_times"
    }
}

impl WallTimes {
    fn moved(&self, expr: Expr, schema: &DFSchema, zone: &str) -> Transformed<Expr> {
        match expr {
            Expr::ScalarFunction(call) => self.call_moved(call, schema, zone),
            Expr::BinaryExpr(sum) => match self.calendar_moved(&sum, schema, zone) {
                Some(expr) => Transformed::yes(expr),
                None => Transformed::no(Expr::BinaryExpr(sum)),
            },
            Expr::Cast(cast) => match self.cast_moved(&cast.expr, cast.field.data_type(), schema, zone) {
                Some(Moved::Whole(expr)) => Transformed::yes(expr),
                Some(Moved::Argument(expr)) => {
                    Transformed::yes(Expr::Cast(Cast::new_from_field(Box::new(expr), cast.field)))
                }
                None => Transformed::no(Expr::Cast(cast)),
            },
            Expr::TryCast(cast) => match self.cast_moved(&cast.expr, cast.field.data_type(), schema, zone) {
                Some(Moved::Whole(expr)) => Transformed::yes(expr),
                Some(Moved::Argument(expr)) => {
                    Transformed::yes(Expr::TryCast(TryCast::new_from_field(Box::new(expr), cast.field)))
                }
                None => Transformed::no(Expr::TryCast(cast)),
            },
            other => Transformed::no(other),
        }
    }

    fn call_moved(&self, mut call: ScalarFunction, schema: &DFSchema, zone: &str) -> Transformed<Expr> {
        if call.func.name() == "current_date" {
            let wall = self.timezone(instants(now()), zone);
            return Transformed::yes(cast(wall, DataType::Date32));
        }
        let place = usize::from(call.func.name() != "to_char");
        let Some(kind) = call.args.get(place).and_then(|time| instant_type(time, schema)) else {
            return Transformed::no(Expr::ScalarFunction(call));
        };
        let part = call.args.first().and_then(literal).and_then(|part| part.try_as_str().flatten());
        let part = part.map(str::to_ascii_lowercase).unwrap_or_default();
        let Some(time) = call.args.get_mut(place) else { return Transformed::no(Expr::ScalarFunction(call)) };
        match (call.func.name(), part.as_str()) {
            // Shown in the zone, offset and all.
            ("to_char", _) => {
                *time =
                    cast(std::mem::take(time), DataType::Timestamp(TimeUnit::Microsecond, Some(shown(zone).into())));
                Transformed::yes(Expr::ScalarFunction(call))
            }
            // Seconds since 1970 are counted from the instant.
            ("date_part", "epoch") => Transformed::no(Expr::ScalarFunction(call)),
            ("date_part", _) => {
                *time = self.timezone(instants(std::mem::take(time)), zone);
                Transformed::yes(Expr::ScalarFunction(call))
            }
            ("date_trunc", "hour") => {
                // Of an hour that the clocks repeat, each instant stays in its own: what is cut off is taken off the instant.
                let instant = instants(time.clone());
                let wall = self.timezone(instant.clone(), zone);
                *time = wall.clone();
                let cut_off = minus(wall, Expr::ScalarFunction(call));
                Transformed::yes(cast(minus(instant, cut_off), kind))
            }
            ("date_trunc", "day" | "week" | "month" | "quarter" | "year") => {
                *time = self.timezone(instants(std::mem::take(time)), zone);
                Transformed::yes(cast(self.timezone(Expr::ScalarFunction(call), zone), kind))
            }
            // Offsets are whole minutes: shorter units are the same in every zone.
            _ => Transformed::no(Expr::ScalarFunction(call)),
        }
    }

    /// An instant and days or months: they are counted on the calendar, hours from the instant.
    fn calendar_moved(&self, sum: &BinaryExpr, schema: &DFSchema, zone: &str) -> Option<Expr> {
        let span = |expr: &Expr| match literal(expr)? {
            ScalarValue::IntervalMonthDayNano(Some(span)) if (span.months, span.days) != (0, 0) => Some(*span),
            _ => None,
        };
        let (time, span) = match sum.op {
            Operator::Plus | Operator::Minus if span(&sum.right).is_some() => (&sum.left, span(&sum.right)?),
            Operator::Plus => (&sum.right, span(&sum.left)?),
            _ => return None,
        };
        let kind = instant_type(time, schema)?;
        let part = |months, days, nanoseconds| {
            let span = IntervalMonthDayNano::new(months, days, nanoseconds);
            Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), None)
        };
        let moved = |time: Expr, span: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(time), sum.op, Box::new(span)));
        let wall = self.timezone(instants(time.as_ref().clone()), zone);
        let mut instant = self.timezone(moved(wall, part(span.months, span.days, 0)), zone);
        if span.nanoseconds != 0 {
            instant = moved(instant, part(0, 0, span.nanoseconds));
        }
        Some(cast(instant, kind))
    }

    fn cast_moved(&self, expr: &Expr, target: &DataType, schema: &DFSchema, zone: &str) -> Option<Moved> {
        let source = expr.get_type(schema).ok()?;
        match (&source, target) {
            (
                DataType::Timestamp(_, Some(_)),
                DataType::Date32 | DataType::Date64 | DataType::Time64(_) | DataType::Timestamp(_, None),
            ) => Some(Moved::Argument(self.timezone(instants(expr.clone()), zone))),
            (DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_))) => {
                let wall = cast(expr.clone(), DataType::Timestamp(TimeUnit::Microsecond, None));
                Some(Moved::Whole(cast(self.timezone(wall, zone), target.clone())))
            }
            _ => None,
        }
    }

    fn timezone(&self, time: Expr, zone: &str) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.timezone), vec![lit(zone), time]))
    }
}

/// What becomes of a cast.
enum Moved {
    /// It is replaced.
    Whole(Expr),
    /// Something else is cast.
    Argument(Expr),
}

/// The zone as `timezone` takes it; `None` for UTC, where nothing has to be moved.
fn name_of(zone: &TimeZone) -> Option<String> {
    if *zone == TimeZone::UTC {
        return None;
    }
    if let Some(name) = zone.iana_name() {
        return Some(name.to_owned());
    }
    let east = zone.to_fixed_offset().ok()?.seconds();
    // POSIX counts west of Greenwich.
    let sign = if east < 0 { '+' } else { '-' };
    let east = east.unsigned_abs();
    Some(format!("<FIX>{sign}{:02}:{:02}:{:02}", east / 3_600, east / 60 % 60, east % 60))
}

/// A zone's name as a type names it.
fn shown(zone: &str) -> String {
    // A fixed offset: POSIX counts west of Greenwich, and types name no seconds.
    match zone.strip_prefix("<FIX>").map(|west| west.split_at(1)) {
        Some((sign, west)) => {
            format!("{}{}", if sign == "-" { '+' } else { '-' }, west.get(..5).unwrap_or_default())
        }
        None => zone.to_owned(),
    }
}

fn minus(left: Expr, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Minus, Box::new(right)))
}

/// The type of an expression, where that is an instant.
fn instant_type(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    expr.get_type(schema).ok().filter(|kind| matches!(kind, DataType::Timestamp(_, Some(_))))
}

/// Instants as `timezone` takes them.
fn instants(expr: Expr) -> Expr {
    cast(expr, time_type())
}

fn cast(expr: Expr, kind: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), kind))
}

#[cfg(test)]
mod tests;
