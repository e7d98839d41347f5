//! Operators and literals that stand for functions which are bounded.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::utils::list_ndims;
use datafusion::common::{DFSchema, Result};
use datafusion::functions::core::{named_struct, overlay, r#struct};
use datafusion::functions_nested::concat::{array_append_udf, array_concat_udf, array_prepend_udf};
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::functions_nested::map::map_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::Bounded;
use super::join::{join, joined_type};

/// Plans `||`, `ARRAY[…]`, `(a, b)`, `make_map(…)` and `OVERLAY(…)`.
#[derive(Debug)]
pub(super) struct Operators {
    most_bytes: u64,
    join: Arc<ScalarUDF>,
}

impl Operators {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self { most_bytes, join: Bounded::of(Arc::new(join()), most_bytes) }
    }

    fn call(&self, function: Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Bounded::of(function, self.most_bytes), args))
    }

    fn is_join(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::ScalarFunction(call) if Arc::ptr_eq(&call.func, &self.join))
    }

    /// Joins two sides, a side that is joined already without looking at it again: a chain can be as long as a statement.
    fn joined(&self, left: Expr, right: Expr) -> Expr {
        let mut args = match left {
            Expr::ScalarFunction(call) if Arc::ptr_eq(&call.func, &self.join) => call.args,
            left => vec![as_text(left)],
        };
        args.push(as_text(right));
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.join), args))
    }
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(expr));
        }
        let RawBinaryExpr { left, right, .. } = expr;
        let left_kind = if self.is_join(&left) { DataType::Utf8 } else { left.get_type(schema)? };
        let right_kind = right.get_type(schema)?;
        let (left_depth, right_depth) = (list_ndims(&left_kind), list_ndims(&right_kind));
        if left_depth == 0 && right_depth == 0 {
            joined_type(&[left_kind, right_kind])?;
            return Ok(PlannerResult::Planned(self.joined(left, right)));
        }
        let function = match left_depth.cmp(&right_depth) {
            std::cmp::Ordering::Equal => array_concat_udf(),
            std::cmp::Ordering::Greater => array_append_udf(),
            std::cmp::Ordering::Less => array_prepend_udf(),
        };
        Ok(PlannerResult::Planned(self.call(function, vec![left, right])))
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, _schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(self.call(make_array_udf(), exprs)))
    }

    fn plan_make_map(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        if !args.len().is_multiple_of(2) {
            return Ok(PlannerResult::Original(args));
        }
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (place, arg) in args.into_iter().enumerate() {
            if place.is_multiple_of(2) { keys.push(arg) } else { values.push(arg) }
        }
        let lists = [keys, values].map(|list| self.call(make_array_udf(), list));
        Ok(PlannerResult::Planned(self.call(map_udf(), lists.into())))
    }

    fn plan_struct_literal(&self, args: Vec<Expr>, is_named_struct: bool) -> Result<PlannerResult<Vec<Expr>>> {
        let function = if is_named_struct { named_struct() } else { r#struct() };
        Ok(PlannerResult::Planned(self.call(function, args)))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(self.call(overlay(), args)))
    }
}

/// A parameter without a type is a text here.
fn as_text(mut side: Expr) -> Expr {
    if let Expr::Placeholder(parameter) = &mut side
        && parameter.field.is_none()
    {
        parameter.field = Some(Arc::new(Field::new("", DataType::Utf8, true)));
    }
    side
}
