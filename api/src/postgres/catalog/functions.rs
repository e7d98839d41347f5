//! Functions that clients call about the server, the session and the catalogs.

use std::hash::{Hash, Hasher};

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::pg_catalog as provided;

use super::super::settings::{SharedSettings, version};
use super::Identity;

/// Who owns what there is: nobody may change it, so the server itself.
pub(super) const OWNER: &str = "takt";

/// Functions that ask whether a name is in the search path, or a right is held: everything readable is.
const TRUE: &[&str] = &[
    "has_column_privilege",
    "has_foreign_data_wrapper_privilege",
    "has_function_privilege",
    "has_language_privilege",
    "has_sequence_privilege",
    "has_server_privilege",
    "has_tablespace_privilege",
    "has_type_privilege",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_has_role",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_type_is_visible",
];

/// Functions that look up a text this server has none of.
const NO_TEXT: &[&str] = &[
    "col_description",
    "obj_description",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_partition_constraintdef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_tablespace_location",
    "shobj_description",
    "inet_client_addr",
    "inet_server_addr",
];

/// Functions that look up a number this server has none of.
const NO_NUMBER: &[&str] = &["to_regclass", "to_regproc", "to_regtype", "inet_client_port", "inet_server_port"];

pub(super) fn register(context: &SessionContext, database: &str, identity: &Identity) {
    for function in provided_functions(database) {
        context.register_udf(function);
    }
    let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
    let answers = [
        ("version", text(&version())),
        ("current_role", text(&identity.user)),
        ("session_user", text(&identity.user)),
        ("user", text(&identity.user)),
        ("pg_get_userbyid", text(OWNER)),
        ("pg_client_encoding", text("UTF8")),
        ("getdatabaseencoding", text("UTF8")),
        ("pg_backend_pid", ScalarValue::Int32(Some(identity.pid))),
        ("pg_my_temp_schema", ScalarValue::Int32(Some(0))),
        ("pg_is_in_recovery", ScalarValue::Boolean(Some(false))),
    ];
    let truths = TRUE.iter().map(|name| (*name, ScalarValue::Boolean(Some(true))));
    let no_texts = NO_TEXT.iter().map(|name| (*name, ScalarValue::Utf8(None)));
    let no_numbers = NO_NUMBER.iter().map(|name| (*name, ScalarValue::Int32(None)));
    for (name, value) in answers.into_iter().chain(truths).chain(no_texts).chain(no_numbers) {
        context.register_udf(ScalarUDF::new_from_impl(Answer::new(name, value)));
    }
    context.register_udf(ScalarUDF::new_from_impl(Setting::reading(&identity.settings)));
    context.register_udf(ScalarUDF::new_from_impl(Setting::writing(&identity.settings)));
}

/// What the catalog crate brings along.
fn provided_functions(database: &str) -> Vec<ScalarUDF> {
    let mut functions = vec![
        provided::create_current_database_udf(database),
        provided::create_current_schema_udf(),
        provided::create_current_schemas_udf(),
        provided::create_pg_table_is_visible(),
        provided::format_type::create_format_type_udf(),
        provided::pg_get_expr_udf::create_pg_get_expr_udf(),
        provided::create_pg_get_partkeydef_udf(),
        provided::create_pg_relation_is_publishable_udf(),
        provided::create_pg_get_statisticsobjdef_columns_udf(),
        provided::create_pg_encoding_to_char_udf(),
        provided::create_pg_relation_size_udf(),
        provided::create_pg_total_relation_size_udf(),
        provided::create_pg_stat_get_numscans(),
        provided::create_pg_get_constraintdef(),
        provided::create_pg_get_partition_ancestors_udf(),
        provided::quote_ident_udf::create_quote_ident_udf(),
        provided::quote_ident_udf::create_parse_ident_udf(),
        provided::array_bounds_udf::create_array_upper_udf(),
        provided::array_bounds_udf::create_array_lower_udf(),
    ];
    for name in ["has_table_privilege", "has_schema_privilege", "has_database_privilege", "has_any_column_privilege"] {
        functions.push(provided::has_privilege_udf::create_has_privilege_udf(name));
    }
    functions
}

/// A function that answers the same whatever it is asked.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Answer {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl Answer {
    fn new(name: &'static str, value: ScalarValue) -> Answer {
        let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        Answer { name, value, signature: Signature::one_of(any, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for Answer {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `current_setting(name [, missing_ok])` and `set_config(name, value, is_local)`.
#[derive(Debug)]
struct Setting {
    settings: SharedSettings,
    writes: bool,
    signature: Signature,
}

impl PartialEq for Setting {
    fn eq(&self, other: &Setting) -> bool {
        self.writes == other.writes && self.settings.is_same(&other.settings)
    }
}

impl Eq for Setting {}

impl Hash for Setting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.writes.hash(state);
    }
}

impl Setting {
    fn reading(settings: &SharedSettings) -> Setting {
        let forms = vec![
            TypeSignature::Exact(vec![DataType::Utf8]),
            TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]),
        ];
        let signature = Signature::one_of(forms, Volatility::Stable);
        Setting { settings: settings.clone(), writes: false, signature }
    }

    fn writing(settings: &SharedSettings) -> Setting {
        let form = vec![DataType::Utf8, DataType::Utf8, DataType::Boolean];
        // Volatile: it must run once per execution, and never while a statement is only planned.
        let signature = Signature::exact(form, Volatility::Volatile);
        Setting { settings: settings.clone(), writes: true, signature }
    }

    fn answer(&self, name: &str, arguments: &[ColumnarValue]) -> Result<Option<String>> {
        if self.writes {
            let value = constant(arguments.get(1))?.and_then(string);
            let local = matches!(constant(arguments.get(2))?, Some(ScalarValue::Boolean(Some(true))));
            self.settings.write().set(name, value.as_deref(), local).map_err(|failure| execution(failure.message))?;
        }
        let missing_ok = !self.writes && matches!(constant(arguments.get(1))?, Some(ScalarValue::Boolean(Some(true))));
        match self.settings.read().get(name) {
            Ok(value) => Ok(Some(value.to_owned())),
            Err(_) if missing_ok => Ok(None),
            Err(failure) => Err(execution(failure.message)),
        }
    }
}

impl ScalarUDFImpl for Setting {
    fn name(&self) -> &str {
        if self.writes { "set_config" } else { "current_setting" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let name = constant(arguments.args.first())?.and_then(string);
        let value = match name {
            Some(name) => self.answer(&name, &arguments.args)?,
            None => None,
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value)))
    }
}

/// An argument as one value: settings are not asked for row by row.
fn constant(argument: Option<&ColumnarValue>) -> Result<Option<ScalarValue>> {
    match argument {
        None => Ok(None),
        Some(ColumnarValue::Scalar(value)) => Ok(Some(value.clone())),
        Some(ColumnarValue::Array(values)) if values.is_empty() => Ok(None),
        Some(ColumnarValue::Array(values)) => ScalarValue::try_from_array(values, 0).map(Some),
    }
}

fn string(value: ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => text,
        _ => None,
    }
}

fn execution(message: String) -> DataFusionError {
    DataFusionError::Execution(message)
}
