//! The three functions as SQL knows them. None of them is ever called: each is a mark that planning takes out, and what
//! is left of them is refused.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::super::time_bucket::coerced;
use crate::types::time_type;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub(super) enum Call {
    /// `time_bucket_gapfill`.
    GapFill,
    /// `locf`: the last value goes on.
    Locf,
    /// `interpolate`: a straight line from the value before to the one after.
    Interpolate,
}

/// The functions, ready to be registered.
pub(in super::super) fn calls() -> [ScalarUDF; 3] {
    [Call::GapFill, Call::Locf, Call::Interpolate].map(|call| {
        ScalarUDF::new_from_impl(Function { call, signature: Signature::user_defined(Volatility::Immutable) })
    })
}

impl Call {
    /// Which one an expression is a call of, with its arguments.
    pub(super) fn of(expr: &Expr) -> Option<(Self, &[Expr])> {
        let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
        let function = func.inner().downcast_ref::<Function>()?;
        Some((function.call, args))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GapFill => "time_bucket_gapfill",
            Self::Locf => "locf",
            Self::Interpolate => "interpolate",
        }
    }

    /// Why a call that is left cannot be, and what to write.
    fn misplaced<T>(self) -> Result<T> {
        match self {
            Self::GapFill => plan_err!(
                "time_bucket_gapfill stands in GROUP BY, once and not inside of another expression: SELECT \
                 time_bucket_gapfill('1 hour', time) AS bucket, avg(value) FROM samples WHERE time >= … AND time < … \
                 GROUP BY bucket; elsewhere write time_bucket"
            ),
            Self::Locf | Self::Interpolate => {
                let table = if self == Self::Interpolate {
                    "; as a table function it stands in FROM: interpolate('1 minute')"
                } else {
                    ""
                };
                let name = self.name();
                plan_err!(
                    "{name} takes what a query with time_bucket_gapfill in GROUP BY aggregates, and stands around the \
                     aggregate in SELECT or HAVING of that query: {name}(avg(value)); to order by it, name it in SELECT \
                     and write the name{table}"
                )
            }
        }
    }
}

/// Whether an expression holds one of the calls that `which` names.
pub(super) fn holds(expr: &Expr, which: impl Fn(Call) -> bool) -> Result<bool> {
    expr.exists(|part| Ok(Call::of(part).is_some_and(|(call, _)| which(call))))
}

/// Whether any statement part of a plan holds a call.
pub(super) fn mentioned(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= holds(expr, |_| true)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

/// Refuses calls that planning could not take out of a node.
pub(super) fn check_none(node: &LogicalPlan) -> Result<()> {
    node.apply_expressions(|expr| {
        expr.apply(|part| match Call::of(part) {
            Some((call, _)) => call.misplaced(),
            None => Ok(TreeNodeRecursion::Continue),
        })
    })?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    call: Call,
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.call.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match (self.call, arg_types) {
            (Call::GapFill, _) => Ok(time_type()),
            (Call::Interpolate, _) => Ok(DataType::Float64),
            (Call::Locf, [kind]) => Ok(kind.clone()),
            (Call::Locf, _) => plan_err!("{}", ONE_VALUE),
        }
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match (self.call, arg_types) {
            (Call::GapFill, _) => coerced(self.name(), arg_types),
            (Call::Locf, [kind]) => Ok(vec![kind.clone()]),
            (Call::Interpolate, [kind]) if kind.is_numeric() || kind.is_null() => Ok(vec![DataType::Float64]),
            (Call::Interpolate, [kind]) => {
                plan_err!("interpolate takes numbers, not {kind}; locf(…) carries values of any type forward")
            }
            (Call::Locf, _) => plan_err!("{}", ONE_VALUE),
            (Call::Interpolate, _) => plan_err!(
                "interpolate takes one value between rows: interpolate(avg(value)); in FROM it takes a step: \
                 interpolate('1 minute')"
            ),
        }
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.call.misplaced()
    }
}

const ONE_VALUE: &str = "locf takes one value: locf(avg(value))";
