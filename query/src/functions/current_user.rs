//! `current_user`, `session_user` and `user`: who the session belongs to, as PostgreSQL names it.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const NAMES: [&str; 3] = ["current_user", "session_user", "user"];

/// The functions, ready to be registered.
pub(super) fn current_user(user: &str) -> [ScalarUDF; 3] {
    NAMES.map(|name| {
        let signature = Signature::nullary(Volatility::Stable);
        ScalarUDF::new_from_impl(CurrentUser { name, user: user.to_owned(), signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentUser {
    name: &'static str,
    user: String,
    signature: Signature,
}

impl ScalarUDFImpl for CurrentUser {
    fn name(&self) -> &str {
        self.name
    }

    /// It is written without parentheses.
    fn schema_name(&self, _args: &[Expr]) -> Result<String> {
        Ok(self.name.to_owned())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::from(self.user.as_str())))
    }
}
