//! Comparisons in the one form that the library's rules take rightly.
//!
//! They give wrong rows in two others (DataFusion 55). Of `x = 'a' AND 'a' = x` they make false, so constants stand on the right here.
//! And they look through casts as if nothing were lost: of `time::date = '2025-03-03'` they conclude that all times are equal, and
//! leave out a sort by time; `quality::text = '0' AND quality = 0` they take for two equalities that cannot both hold. Casts after
//! which values differ are hidden from them by a function that changes nothing.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

/// Turns comparisons round, and hides casts, in conditions.
#[derive(Debug)]
pub(crate) struct Comparisons {
    as_is: Arc<ScalarUDF>,
}

impl Comparisons {
    pub(crate) fn new() -> Self {
        Self { as_is: Arc::new(AsIs { signature: Signature::any(1, Volatility::Immutable) }.into()) }
    }

    fn hidden(&self, part: Expr, schema: &DFSchema) -> Transformed<Expr> {
        match &part {
            Expr::Cast(cast) if loses(&cast.expr, cast.field.data_type(), schema) => {
                let hidden = ScalarFunction::new_udf(Arc::clone(&self.as_is), vec![part]);
                Transformed::new(Expr::ScalarFunction(hidden), true, TreeNodeRecursion::Jump)
            }
            _ => Transformed::no(part),
        }
    }
}

impl AnalyzerRule for Comparisons {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| {
            if !matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
                return Ok(Transformed::no(node));
            }
            let schema = merge_schema(&node.inputs());
            node.map_expressions(|expr| {
                expr.transform_up(|part| Ok(turned(part)))?
                    .transform_data(|expr| expr.transform_down(|part| Ok(self.hidden(part, &schema))))
            })
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &'static str {
        "comparisons"
    }
}

/// A comparison with its constant on the right.
fn turned(part: Expr) -> Transformed<Expr> {
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if op.swap().is_some() && is_constant(&left) && !is_constant(&right) =>
        {
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: right, op: op.swap().unwrap_or(op), right: left }))
        }
        other => Transformed::no(other),
    }
}

fn is_constant(expr: &Expr) -> bool {
    expr.column_refs().is_empty() && !expr.contains_outer() && !expr.is_volatile()
}

/// Whether a cast of something that differs from row to row can make equal what was not, or other values of the same.
fn loses(inner: &Expr, to: &DataType, schema: &DFSchema) -> bool {
    !inner.column_refs().is_empty() && !inner.get_type(schema).is_ok_and(|from| keeps(&from, to))
}

/// Whether all values of a type are the same, and as many, in another.
fn keeps(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Dictionary, Float32, Float64, Null, Timestamp};
    match (from, to) {
        (Dictionary(_, from), to) => keeps(from, to),
        (from, Dictionary(_, to)) => keeps(from, to),
        (Timestamp(one, _), Timestamp(other, _)) => fineness(other) >= fineness(one),
        (Date32, Timestamp(..)) | (Null, _) | (Float32, Float64) => true,
        _ if from.is_string() => to.is_string(),
        _ if from.is_integer() => to.is_floating() || to.is_decimal() || to.is_integer(),
        _ => from == to,
    }
}

fn fineness(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

/// Its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsIs {
    signature: Signature,
}

impl ScalarUDFImpl for AsIs {
    fn name(&self) -> &'static str {
        "as_is"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [only] => Ok(only.clone()),
            _ => internal_err!("as_is takes one argument"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.pop() {
            Some(only) => Ok(only),
            None => internal_err!("as_is takes one argument"),
        }
    }
}

#[cfg(test)]
mod tests;
