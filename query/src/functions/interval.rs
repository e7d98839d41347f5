//! Intervals as in PostgreSQL.
//!
//! They are compared by their length, and sorted by it: a month counts as 30 days, a day as 24 hours. DataFusion compares months, then days, then
//! nanoseconds, and the difference of two times has nanoseconds only: 36 hours would be less than a day. The parts of such a
//! difference are those of days and a time of day, and its seconds have a fraction; in DataFusion each part is the whole in its
//! unit. And a day with hours is a time: in DataFusion it stays a day, however many are added. Numbers
//! multiply and divide them ([`scaled`]).

mod lengths;
mod scaled;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Field, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, binary_expr, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use oee::bucket::DAY_US;

pub(crate) use self::lengths::LengthsOfIntervals;
use self::scaled::Scaled;
use crate::instant::map_named;
use crate::reach::literal;
use crate::statement::in_words;

/// Days of a month, where an interval has to have a length.
const MONTH_DAYS: i64 = 30;

/// Plans comparisons of intervals as comparisons of their lengths, days with hours as times, and what numbers do to intervals.
#[derive(Debug)]
pub(super) struct Intervals {
    length: Arc<ScalarUDF>,
    product: Arc<ScalarUDF>,
    quotient: Arc<ScalarUDF>,
}

impl Intervals {
    pub(super) fn new() -> Self {
        let [quotient, product] = [true, false].map(Scaled::function);
        Self { length: IntervalLength::function(), product, quotient }
    }
}

impl ExprPlanner for Intervals {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let interval = |side: &Expr| {
            side.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_) | DataType::Duration(_)))
        };
        // A parameter or a NULL of which nothing is known is a number: an interval is multiplied with nothing else.
        let number = |side: &Expr| match side {
            Expr::Placeholder(parameter) if parameter.field.is_none() => true,
            _ => side.get_type(schema).is_ok_and(|kind| kind.is_numeric() || kind.is_null()),
        };
        let scaled = match expr.op {
            BinaryOperator::Multiply if interval(&expr.left) && number(&expr.right) => {
                Some(self.product.call(vec![expr.left.clone(), as_double(&expr.right)]))
            }
            BinaryOperator::Multiply if number(&expr.left) && interval(&expr.right) => {
                Some(self.product.call(vec![expr.right.clone(), as_double(&expr.left)]))
            }
            BinaryOperator::Divide if interval(&expr.left) && number(&expr.right) => {
                Some(self.quotient.call(vec![expr.left.clone(), as_double(&expr.right)]))
            }
            _ => None,
        };
        if let Some(scaled) = scaled {
            return Ok(PlannerResult::Planned(scaled));
        }
        match comparison(&expr.op) {
            Some(operator) if compares(&[&expr.left, &expr.right], schema) => {
                let [left, right] = [expr.left, expr.right].map(|side| self.length.call(vec![as_interval(side)]));
                Ok(PlannerResult::Planned(binary_expr(left, operator, right)))
            }
            _ => Ok(PlannerResult::Original(moved(expr, schema, interval))),
        }
    }
}

/// Whether what is compared are intervals: at least one is, and the others are too, or texts that are written out.
fn compares(parts: &[&Expr], schema: &DFSchema) -> bool {
    let is_one = |part: &&&Expr| is_interval(part, schema) || is_difference(part, schema);
    parts.iter().any(|part| is_one(&part)) && parts.iter().all(|part| is_one(&part) || text(part).is_some())
}

fn is_interval(part: &Expr, schema: &DFSchema) -> bool {
    part.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_)))
}

fn is_difference(part: &Expr, schema: &DFSchema) -> bool {
    part.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Duration(_)))
}

/// The text that is written out where an interval is meant.
fn text(part: &Expr) -> Option<&str> {
    literal(part).and_then(|value| value.try_as_str().flatten())
}

/// A text beside an interval is one, also with a clock time.
fn as_interval(part: Expr) -> Expr {
    let Some(text) = text(&part) else { return part };
    let text = in_words(text).unwrap_or_else(|| text.to_owned());
    Expr::Cast(Cast::new(Box::new(lit(text)), DataType::Interval(IntervalUnit::MonthDayNano)))
}

fn as_double(side: &Expr) -> Expr {
    let mut side = side.clone();
    if let Expr::Placeholder(parameter) = &mut side {
        parameter.field.get_or_insert_with(|| Arc::new(Field::new("", DataType::Float64, true)));
    }
    Expr::Cast(Cast::new(Box::new(side), DataType::Float64))
}

/// A day that hours are added to, or taken from, is its midnight. With whole days it stays a day: series of days are made so.
fn moved(expr: RawBinaryExpr, schema: &DFSchema, interval: impl Fn(&Expr) -> bool) -> RawBinaryExpr {
    let RawBinaryExpr { op, left, right } = expr;
    let is_day = |side: &Expr| side.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Date32));
    let has_hours = |side: &Expr| match literal(side) {
        Some(ScalarValue::IntervalMonthDayNano(Some(span))) => span.nanoseconds != 0,
        _ => interval(side),
    };
    let midnight = |side: Expr| Expr::Cast(Cast::new(Box::new(side), DataType::Timestamp(TimeUnit::Microsecond, None)));
    match op {
        BinaryOperator::Plus | BinaryOperator::Minus if is_day(&left) && has_hours(&right) => {
            RawBinaryExpr { op, left: midnight(left), right }
        }
        BinaryOperator::Plus if has_hours(&left) && is_day(&right) => {
            RawBinaryExpr { op, left, right: midnight(right) }
        }
        _ => RawBinaryExpr { op, left, right },
    }
}

/// Takes differences of times apart as days and a time of day.
#[derive(Debug)]
pub(crate) struct Differences {
    days_and_time: Arc<ScalarUDF>,
}

impl Differences {
    pub(crate) fn new() -> Self {
        let signature = Signature::any(1, Volatility::Immutable);
        Self { days_and_time: Arc::new(ScalarUDF::new_from_impl(DaysAndTime { signature })) }
    }
}

impl Differences {
    /// Has `date_part` see days and a time of day; says whether it is of a difference.
    fn taken_apart(&self, arguments: &mut [Expr], schema: &DFSchema) -> bool {
        let is_difference =
            |part: &&mut Expr| part.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Duration(_)));
        let Some(difference) = arguments.get_mut(1).filter(is_difference) else { return false };
        *difference = self.days_and_time.call(vec![std::mem::take(difference)]);
        true
    }
}

impl AnalyzerRule for Differences {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            map_named(node, |expr| {
                expr.transform_up(|part| match part {
                    Expr::ScalarFunction(mut call) if call.func.name() == "date_part" => {
                        let is_changed = self.taken_apart(&mut call.args, &schema);
                        Ok(Transformed::new_transformed(Expr::ScalarFunction(call), is_changed))
                    }
                    other => Ok(Transformed::no(other)),
                })
            })
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &str {
        "differences"
    }
}

/// A difference of times as an interval of days, and of a time within a day.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DaysAndTime {
    signature: Signature,
}

impl ScalarUDFImpl for DaysAndTime {
    fn name(&self) -> &str {
        "days_and_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(difference) = args.args.first() else { return plan_err!("days_and_time takes a difference") };
        let difference = difference.cast_to(&DataType::Duration(TimeUnit::Microsecond), None)?;
        mapped(&difference, |differences| Arc::new(days_and_times(differences)))
    }
}

fn days_and_times(differences: &ArrayRef) -> IntervalMonthDayNanoArray {
    differences.as_primitive::<DurationMicrosecondType>().unary(|us| {
        // There are fewer days than that in all microseconds that can be counted.
        let days = i32::try_from(us / DAY_US).unwrap_or(i32::MAX);
        IntervalMonthDayNano::new(0, days, us % DAY_US * 1_000)
    })
}

/// A constant stays one.
fn mapped(value: &ColumnarValue, change: impl Fn(&ArrayRef) -> ArrayRef) -> Result<ColumnarValue> {
    Ok(match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(change(values)),
        ColumnarValue::Scalar(value) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&change(&value.to_array()?), 0)?)
        }
    })
}

fn comparison(operator: &BinaryOperator) -> Option<Operator> {
    Some(match operator {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

/// The length of an interval, microseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IntervalLength {
    signature: Signature,
}

impl IntervalLength {
    fn function() -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self { signature: Signature::user_defined(Volatility::Immutable) }))
    }
}

impl ScalarUDFImpl for IntervalLength {
    fn name(&self) -> &str {
        "interval_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [DataType::Interval(_)] => Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano)]),
            // A difference of times can be longer than nanoseconds count.
            [DataType::Duration(_)] => Ok(vec![DataType::Duration(TimeUnit::Microsecond)]),
            _ => plan_err!("interval_length takes one interval"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(intervals) => mapped(intervals, |intervals| Arc::new(lengths(intervals))),
            None => plan_err!("interval_length takes one interval"),
        }
    }
}

fn lengths(intervals: &ArrayRef) -> Int64Array {
    if let Some(differences) = intervals.as_primitive_opt::<DurationMicrosecondType>() {
        return differences.unary::<_, Int64Type>(|us| us);
    }
    intervals.as_primitive::<IntervalMonthDayNanoType>().unary::<_, Int64Type>(length_us)
}

/// The length of an interval, microseconds.
pub(crate) fn length_us(interval: IntervalMonthDayNano) -> i64 {
    let days = i64::from(interval.months) * MONTH_DAYS + i64::from(interval.days);
    days.saturating_mul(DAY_US).saturating_add(interval.nanoseconds / 1_000)
}
