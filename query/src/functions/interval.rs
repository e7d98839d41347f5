//! Comparisons of intervals by their length, as in PostgreSQL: a month counts as 30 days, a day as 24 hours.
//!
//! DataFusion compares months, then days, then nanoseconds, and the difference of two times has nanoseconds only: 36 hours
//! would be less than a day.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    binary_expr,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use oee::bucket::DAY_US;

/// Days of a month, where an interval has to have a length.
const MONTH_DAYS: i64 = 30;

/// Plans comparisons of intervals as comparisons of their lengths.
#[derive(Debug)]
pub(super) struct IntervalComparison {
    length: Arc<ScalarUDF>,
}

impl IntervalComparison {
    pub(super) fn new() -> Self {
        let length = IntervalLength { signature: Signature::user_defined(Volatility::Immutable) };
        Self { length: Arc::new(ScalarUDF::new_from_impl(length)) }
    }
}

impl ExprPlanner for IntervalComparison {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let interval = |side: &Expr| {
            side.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_) | DataType::Duration(_)))
        };
        match comparison(&expr.op) {
            Some(operator) if interval(&expr.left) && interval(&expr.right) => {
                let [left, right] = [expr.left, expr.right].map(|side| self.length.call(vec![side]));
                Ok(PlannerResult::Planned(binary_expr(left, operator, right)))
            }
            _ => Ok(PlannerResult::Original(expr)),
        }
    }
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
            [DataType::Interval(_) | DataType::Duration(_)] => Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano)]),
            _ => plan_err!("interval_length takes one interval"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(ColumnarValue::Array(intervals)) => Ok(ColumnarValue::Array(Arc::new(lengths(intervals)))),
            Some(ColumnarValue::Scalar(interval)) => {
                let length = lengths(&interval.to_array()?);
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&length, 0)?))
            }
            None => plan_err!("interval_length takes one interval"),
        }
    }
}

fn lengths(intervals: &ArrayRef) -> Int64Array {
    intervals.as_primitive::<IntervalMonthDayNanoType>().unary::<_, Int64Type>(|interval| {
        let days = i64::from(interval.months) * MONTH_DAYS + i64::from(interval.days);
        days.saturating_mul(DAY_US).saturating_add(interval.nanoseconds / 1_000)
    })
}
