//! `a || b` as a function: texts, or bytes, one after the other, and NULL where one of them is NULL.

use arrow::array::BooleanArray;
use arrow::buffer::NullBuffer;
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions::string::concat;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::reach::literal;

/// The function.
pub(super) fn join() -> ScalarUDF {
    ScalarUDF::new_from_impl(Join { signature: Signature::user_defined(Volatility::Immutable) })
}

/// The type of all that is joined: what `||` gives for two, and so on.
pub(super) fn joined_type(kinds: &[DataType]) -> Result<DataType> {
    let mut kinds = kinds.iter();
    let Some(first) = kinds.next() else { return plan_err!("|| joins two texts") };
    kinds.try_fold(first.clone(), |joined, kind| {
        if joined.is_null() && kind.is_null() {
            return Ok(DataType::Utf8);
        }
        match BinaryTypeCoercer::new(&joined, &Operator::StringConcat, kind).get_result_type() {
            Ok(DataType::FixedSizeBinary(_)) => Ok(DataType::Binary),
            Ok(kind) => Ok(kind),
            Err(_) => plan_err!("|| joins texts, not {joined} and {kind}; write for example value::text || ' bar'"),
        }
    })
}

/// Any number of arguments: a chain of operators copies each text once.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Join {
    signature: Signature,
}

impl ScalarUDFImpl for Join {
    fn name(&self) -> &str {
        "||"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        joined_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Field::new(self.name(), joined_type(&kinds)?, nullable).into())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![joined_type(arg_types)?; arg_types.len()])
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let null = args.iter().filter_map(literal).find(|value| value.is_null() && !value.data_type().is_null());
        match null.cloned() {
            Some(null) => Ok(ExprSimplifyResult::Simplified(Expr::Literal(null, None))),
            None => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let null = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(value) if value.is_null());
        if args.args.iter().any(null) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(args.return_field.data_type())?));
        }
        let nulls = args.args.iter().fold(None, |nulls: Option<NullBuffer>, value| match value {
            ColumnarValue::Array(column) => NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()),
            ColumnarValue::Scalar(_) => nulls,
        });
        // It leaves NULLs out, where PostgreSQL's operator gives NULL.
        match (concat().invoke_with_args(args)?, nulls) {
            (ColumnarValue::Array(joined), Some(nulls)) => {
                let unknown = BooleanArray::new(!nulls.inner(), None);
                Ok(ColumnarValue::Array(nullif(&joined, &unknown)?))
            }
            (joined, _) => Ok(joined),
        }
    }
}
