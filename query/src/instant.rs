//! Times as people write them: with an offset, or without one, in the session's time zone.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, not};
use datafusion::optimizer::AnalyzerRule;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::catalog::Current;
use crate::reach::literal;

/// The instant that a text names: a date, with or without a time of day (seconds may be left out) and an offset. Without an
/// offset it is wall time in `zone`; of two instants with the same wall time it is the earlier one.
///
/// `None` where the text is no such time.
#[must_use]
pub fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(instant) = text.parse() {
        return Some(instant);
    }
    // What has an offset and is no instant is no wall time either.
    let clock = text.get(10..).unwrap_or_default();
    if clock.contains(['+', '-', 'Z', 'z', '[']) {
        return None;
    }
    Some(text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp())
}

/// Reads text constants that stand for times. DataFusion reads them in UTC, and wants seconds.
#[derive(Debug)]
pub(crate) struct TimeConstants {
    current: Arc<Current>,
}

impl TimeConstants {
    pub(crate) fn new(current: Arc<Current>) -> Self {
        Self { current }
    }
}

impl AnalyzerRule for TimeConstants {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = self.current.zone();
        let read = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            map_named(node, |expr| {
                expr.transform_up(|part| {
                    Ok(match constant(&part, &zone) {
                        Some(value) => Transformed::yes(Expr::Literal(value, None)),
                        None => with_far_bounds(part, &schema, &zone),
                    })
                })
            })
        })?;
        Ok(read.data)
    }

    fn name(&self) -> &str {
        "time_constants"
    }
}

/// Changes the expressions of a node; columns keep their names.
pub(crate) fn map_named(
    node: LogicalPlan,
    change: impl Fn(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&node);
    let named = |expr: Expr| -> Result<Transformed<Expr>> {
        let name = names.save(&expr);
        let changed = change(expr)?;
        Ok(if changed.transformed { changed.update_data(|expr| name.restore(expr)) } else { changed })
    };
    node.map_expressions(|expr| match expr {
        // The columns are those inside; the set itself must stay one.
        Expr::GroupingSet(_) => expr.map_children(&named),
        expr => named(expr),
    })
}

/// The value of a text that is cast to a time.
fn constant(expr: &Expr, zone: &TimeZone) -> Option<ScalarValue> {
    let Expr::Cast(cast) = expr else { return None };
    let text = literal(&cast.expr)?.try_as_str()??;
    let DataType::Timestamp(unit, target) = cast.field.data_type() else { return None };
    // A time without a zone is wall time: it is kept as if it were UTC.
    let at = instant(text, &target.as_ref().map_or(TimeZone::UTC, |_| zone.clone()))?;
    let target = target.clone();
    Some(match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(at.as_second()), target),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(at.as_millisecond()), target),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(at.as_microsecond()), target),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(i64::try_from(at.as_nanosecond()).ok()?), target),
    })
}

/// A comparison of times with a text that names one for which nanoseconds have no room, as which DataFusion would compare it:
/// `time < '9999-12-31'` means all that is from some time on. The times themselves are microseconds.
fn with_far_bounds(expr: Expr, schema: &DFSchema, zone: &TimeZone) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let (one, other) = (far_bound(&left, &right, schema, zone), far_bound(&right, &left, schema, zone));
            match (one, other) {
                (Some((bound, time)), _) => Transformed::yes(compared(bound, op, time)),
                (_, Some((bound, time))) => Transformed::yes(compared(time, op, bound)),
                (None, None) => Transformed::no(compared(*left, op, *right)),
            }
        }
        Expr::Between(Between { expr, negated, low, high })
            if [&low, &high].into_iter().any(|bound| far_bound(bound, &expr, schema, zone).is_some()) =>
        {
            let side = |op, bound: Expr| with_far_bounds(compared(expr.as_ref().clone(), op, bound), schema, zone).data;
            let within = side(Operator::GtEq, *low).and(side(Operator::LtEq, *high));
            Transformed::yes(if negated { not(within) } else { within })
        }
        other => Transformed::no(other),
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn compared(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// The far bound that a text is, and the times that are compared with it, both in microseconds.
fn far_bound(text: &Expr, times: &Expr, schema: &DFSchema, zone: &TimeZone) -> Option<(Expr, Expr)> {
    let cast_to_nanos = |expr: &Expr| match expr {
        Expr::Cast(Cast { expr, field }) => match field.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(expr.as_ref().clone()),
            _ => None,
        },
        _ => None,
    };
    let (text, times) = (cast_to_nanos(text)?, cast_to_nanos(times)?);
    let text = literal(&text)?.try_as_str()??;
    let DataType::Timestamp(TimeUnit::Microsecond, target) = times.get_type(schema).ok()? else { return None };
    let zone = target.as_ref().map_or(TimeZone::UTC, |_| zone.clone());
    let at = instant(text, &zone).or_else(|| {
        // The last days that are written are no instants in every zone: as a bound they are the last instant that there is.
        let rest = text.trim().strip_prefix("9999-")?;
        instant(&format!("9995-{rest}"), &zone).map(|_| Timestamp::MAX)
    })?;
    let bound = ScalarValue::TimestampMicrosecond(Some(at.as_microsecond()), target);
    Some((Expr::Literal(bound, None), times))
}

#[cfg(test)]
mod tests;
