//! Values a client binds to `$1`, `$2`, …: read in PostgreSQL's text or binary format and written as SQL
//! literals, so that a bound statement plans exactly as if they had been typed into it.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use pgwire::api::Type;

use super::failure::{Failure, sqlstate};

#[cfg(test)]
mod tests;

mod binary;

/// Seconds from 1970-01-01 to 2000-01-01, where PostgreSQL's binary times begin.
const PG_EPOCH_S: i64 = 946_684_800;

/// One parameter of a prepared statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) kind: Type,
    /// The client named the type; otherwise it follows from where the parameter stands.
    pub(crate) declared: bool,
}

/// One bound value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a> {
    /// `None` is NULL.
    pub(crate) bytes: Option<&'a [u8]>,
    pub(crate) binary: bool,
}

/// A value between the wire and SQL.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Flag(bool),
    Integer(i64),
    Float(f64),
    /// Digits as they came.
    Decimal(String),
    Text(String),
    /// Text that stands for a value of an SQL type.
    Typed {
        text: String,
        sql_type: &'static str,
    },
    Interval(String),
    Bytes(Vec<u8>),
    Array(Vec<Value>),
}

/// The SQL literal of a bound value. Times without an offset are read in the session's `zone`.
pub(crate) fn literal(bound: Bound<'_>, parameter: &Parameter, zone: &TimeZone) -> Result<String, Failure> {
    let Some(bytes) = bound.bytes else {
        return Ok(null(parameter));
    };
    let value = if bound.binary {
        binary::decode(bytes, &parameter.kind)?
    } else {
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8())?;
        decode_text(text, &parameter.kind, zone)?
    };
    // A type that follows from the context is left to it: a text beside a column becomes what the column is.
    let value = match value {
        Value::Typed { text, .. } if !parameter.declared => Value::Text(text),
        value => value,
    };
    let mut sql = String::new();
    write_sql(&mut sql, &value)?;
    Ok(sql)
}

/// A NULL of the parameter's type, also used where only a statement's shape is asked for.
pub(crate) fn null(parameter: &Parameter) -> String {
    match sql_type(&parameter.kind) {
        Some(sql_type) if parameter.declared => format!("CAST(NULL AS {sql_type})"),
        _ => "NULL".to_owned(),
    }
}

/// What a literal of this type becomes when it is planned. Texts stay untyped, as PostgreSQL's are.
fn sql_type(kind: &Type) -> Option<&'static str> {
    match *kind {
        Type::BOOL => Some("BOOLEAN"),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Some("BIGINT"),
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => Some("DOUBLE PRECISION"),
        Type::TIMESTAMPTZ => Some(TIMESTAMPTZ),
        Type::TIMESTAMP => Some(TIMESTAMP),
        Type::DATE => Some("DATE"),
        Type::TIME => Some("TIME"),
        Type::INTERVAL => Some("INTERVAL"),
        _ => None,
    }
}

/// Microseconds, as the tables hold: a bare TIMESTAMP would be nanoseconds.
const TIMESTAMPTZ: &str = "TIMESTAMP(6) WITH TIME ZONE";
const TIMESTAMP: &str = "TIMESTAMP(6)";

fn decode_text(text: &str, kind: &Type, zone: &TimeZone) -> Result<Value, Failure> {
    if let Some(element) = element_of(kind) {
        return query::array_items(text)?
            .into_iter()
            .map(|item| item.map_or(Ok(Value::Null), |item| decode_text(&item, &element, zone)))
            .collect::<Result<_, _>>()
            .map(Value::Array);
    }
    let trimmed = text.trim();
    let invalid = || invalid_text(kind, text);
    match *kind {
        Type::BOOL => flag(trimmed).map(Value::Flag).ok_or_else(invalid),
        Type::INT2 => integer::<i16>(trimmed).ok_or_else(invalid),
        Type::INT4 => integer::<i32>(trimmed).ok_or_else(invalid),
        Type::OID => integer::<u32>(trimmed).ok_or_else(invalid),
        Type::INT8 => integer::<i64>(trimmed).ok_or_else(invalid),
        Type::FLOAT4 | Type::FLOAT8 => float(trimmed).map(Value::Float).ok_or_else(invalid),
        Type::NUMERIC => decimal(trimmed).ok_or_else(invalid),
        Type::TIMESTAMPTZ => Ok(Value::Typed { text: in_zone(trimmed, zone), sql_type: TIMESTAMPTZ }),
        Type::TIMESTAMP => Ok(Value::Typed { text: trimmed.to_owned(), sql_type: TIMESTAMP }),
        Type::DATE => Ok(Value::Typed { text: trimmed.to_owned(), sql_type: "DATE" }),
        Type::TIME => Ok(Value::Typed { text: trimmed.to_owned(), sql_type: "TIME" }),
        Type::INTERVAL => Ok(Value::Interval(trimmed.to_owned())),
        Type::BYTEA => bytes_text(trimmed).map(Value::Bytes).ok_or_else(invalid),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

fn integer<T: std::str::FromStr + Into<i64>>(text: &str) -> Option<Value> {
    text.parse::<T>().ok().map(|value| Value::Integer(value.into()))
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Digits are kept as they are: only their form is checked.
fn decimal(text: &str) -> Option<Value> {
    let value = float(text)?;
    Some(if value.is_finite() { Value::Decimal(text.to_owned()) } else { Value::Float(value) })
}

/// `\x0aff`, PostgreSQL's hex form of bytes.
fn bytes_text(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    if digits.len() % 2 != 0 || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// The instant that a text names in the session's zone. What the planner reads in UTC by itself is left to it, and so is what
/// is no such time.
fn in_zone(text: &str, zone: &TimeZone) -> String {
    let instant = if *zone == TimeZone::UTC { None } else { query::instant(text, zone) };
    instant.map_or_else(|| text.to_owned(), |instant| instant.to_string())
}

/// The element type of an array type.
fn element_of(kind: &Type) -> Option<Type> {
    match *kind {
        Type::BOOL_ARRAY => Some(Type::BOOL),
        Type::INT2_ARRAY => Some(Type::INT2),
        Type::INT4_ARRAY => Some(Type::INT4),
        Type::INT8_ARRAY => Some(Type::INT8),
        Type::OID_ARRAY => Some(Type::OID),
        Type::FLOAT4_ARRAY => Some(Type::FLOAT4),
        Type::FLOAT8_ARRAY => Some(Type::FLOAT8),
        Type::NUMERIC_ARRAY => Some(Type::NUMERIC),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY | Type::NAME_ARRAY => Some(Type::TEXT),
        Type::CHAR_ARRAY => Some(Type::TEXT),
        Type::UUID_ARRAY => Some(Type::UUID),
        Type::TIMESTAMP_ARRAY => Some(Type::TIMESTAMP),
        Type::TIMESTAMPTZ_ARRAY => Some(Type::TIMESTAMPTZ),
        Type::DATE_ARRAY => Some(Type::DATE),
        _ => None,
    }
}

/// Writes a value as SQL. Negative numbers are put in parentheses: `x -$1` must not become a comment.
fn write_sql(sql: &mut String, value: &Value) -> Result<(), Failure> {
    match value {
        Value::Null => sql.push_str("NULL"),
        Value::Flag(true) => sql.push_str("TRUE"),
        Value::Flag(false) => sql.push_str("FALSE"),
        Value::Integer(number) => number_sql(sql, &number.to_string()),
        Value::Float(number) if number.is_finite() => number_sql(sql, &format!("{number:?}")),
        Value::Float(number) => {
            let text = if number.is_nan() {
                "NaN"
            } else if *number > 0.0 {
                "inf"
            } else {
                "-inf"
            };
            append(sql, format_args!("CAST('{text}' AS DOUBLE PRECISION)"));
        }
        Value::Decimal(digits) => number_sql(sql, digits),
        Value::Text(text) => quote(sql, text)?,
        Value::Typed { text, sql_type } => {
            sql.push_str("CAST(");
            quote(sql, text)?;
            append(sql, format_args!(" AS {sql_type})"));
        }
        Value::Interval(text) => {
            sql.push_str("INTERVAL ");
            quote(sql, text)?;
        }
        Value::Bytes(bytes) => {
            sql.push_str("X'");
            for byte in bytes {
                append(sql, format_args!("{byte:02x}"));
            }
            sql.push('\'');
        }
        Value::Array(items) => {
            sql.push_str("ARRAY[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    sql.push_str(", ");
                }
                write_sql(sql, item)?;
            }
            sql.push(']');
        }
    }
    Ok(())
}

/// Text written into a `String` cannot fail.
fn append(sql: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _infallible = sql.write_fmt(arguments);
}

fn number_sql(sql: &mut String, digits: &str) {
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.starts_with('-') {
        append(sql, format_args!("({digits})"));
    } else {
        sql.push_str(digits);
    }
}

fn quote(sql: &mut String, text: &str) -> Result<(), Failure> {
    if text.contains('\0') {
        return Err(not_utf8());
    }
    sql.push('\'');
    sql.push_str(&text.replace('\'', "''"));
    sql.push('\'');
    Ok(())
}

fn not_utf8() -> Failure {
    Failure::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
}

fn invalid_text(kind: &Type, text: &str) -> Failure {
    Failure::new(
        sqlstate::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {}: \"{text}\"", sql_name(kind)),
    )
}

/// The name people know a type by.
fn sql_name(kind: &Type) -> &str {
    match *kind {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        _ => kind.name(),
    }
}
