//! Functions and operators whose answer can be far larger than their arguments: `repeat('x', 2000000000)`, or `x || x` over
//! and over. DataFusion's memory pool does not see what a scalar function makes, so these are asked for its size first.

mod growth;
mod join;
mod operators;
mod shape;
mod size;

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    StructFieldMapping,
};

use growth::{FUNCTIONS, Growth};
use operators::Operators;
pub(crate) use shape::check_shape;

/// A constant may have this part of what a batch may: it is copied wherever a plan names it, and may be written out once a
/// row.
const CONSTANT_PART: u64 = 1_024;

/// Builds a state whose functions and operators make at most `most_bytes` at once: with the rows of one batch.
pub(crate) fn build(mut builder: SessionStateBuilder, most_bytes: u64) -> SessionState {
    // The first planner that knows an operator plans it, and DataFusion knows some of these too.
    builder.expr_planners().get_or_insert_default().insert(0, Arc::new(Operators::new(most_bytes)));
    let mut state = builder.build();
    bound(&mut state, most_bytes);
    state
}

/// Bounds the functions that a state knows by name, also those that were added to it since it was built.
pub(crate) fn bound(state: &mut SessionState, most_bytes: u64) {
    for (name, _) in FUNCTIONS {
        let Some(function) = state.scalar_functions().get(*name).cloned() else { continue };
        if function.inner().is::<Bounded>() {
            continue;
        }
        if let Err(error) = state.register_udf(Bounded::of(function, most_bytes)) {
            tracing::error!(%error, "{name} could not be bounded");
        }
    }
}

/// A function that refuses to make more than it may.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    most_bytes: u64,
}

impl Bounded {
    /// The function with its bound, where it needs one.
    fn of(function: Arc<ScalarUDF>, most_bytes: u64) -> Arc<ScalarUDF> {
        match Growth::of(function.name()) {
            Some(growth) if !function.inner().is::<Self>() => {
                Arc::new(ScalarUDF::new_from_impl(Self { inner: function, growth, most_bytes }))
            }
            _ => function,
        }
    }

    fn refuse_beyond(&self, bytes: u64, most_bytes: u64, what: &str) -> Result<()> {
        if bytes <= most_bytes {
            return Ok(());
        }
        let (shift, unit) = if most_bytes >> 20 == 0 { (10, "KiB") } else { (20, "MiB") };
        plan_err!(
            "{} would make {what} of {} {unit}, more than the {} {unit} that it may have; ask for less of it, or raise \
             `memory_bytes` in [query]",
            self.name(),
            (bytes >> shift) + 1,
            most_bytes >> shift
        )
    }

    fn refuse_large_constant(&self, bytes: u64) -> Result<()> {
        self.refuse_beyond(bytes, self.most_bytes / CONSTANT_PART, "a constant")
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        check_shape(field.data_type())?;
        Ok(field)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    /// What a call becomes is bounded too, and so are the constants that are joined here.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.refuse_large_constant(self.growth.constant_bytes(&args))?;
        let expr = match self.inner.simplify(args, info)? {
            ExprSimplifyResult::Original(args) => return Ok(ExprSimplifyResult::Original(args)),
            ExprSimplifyResult::Simplified(expr) => expr,
        };
        let bounded = expr.transform_up(|part| {
            Ok(match part {
                Expr::ScalarFunction(ScalarFunction { func, args }) => {
                    let func = Self::of(func, self.most_bytes);
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
                }
                part => Transformed::no(part),
            })
        })?;
        Ok(ExprSimplifyResult::Simplified(bounded.data))
    }

    fn struct_field_mapping(&self, literal_args: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(literal_args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.growth.bytes(&args)?;
        let kind = args.return_field.data_type();
        if args.args.iter().all(is_scalar) && (kind.is_string() || kind.is_binary()) {
            self.refuse_large_constant(bytes)?;
        }
        self.refuse_beyond(bytes, self.most_bytes, "an answer")?;
        self.inner.invoke_with_args(args)
    }
}

fn is_scalar(value: &ColumnarValue) -> bool {
    matches!(value, ColumnarValue::Scalar(_))
}

#[cfg(test)]
mod tests;
