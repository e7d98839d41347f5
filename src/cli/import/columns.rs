//! Columns of a file as columns of a table.

use std::fmt::Display;
use std::sync::Arc;

use anyhow::bail;
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};
use jiff::Timestamp;
use oee::tables::{Column, ColumnType, RECORD_COLUMNS, Table, Upsert};

use crate::config::nearest;

/// The column of `table` that a file calls `name`.
pub(super) fn named(table: &'static Table, name: &str) -> anyhow::Result<&'static Column> {
    let recorded: &'static [Column] = if table.upsert == Upsert::Record { RECORD_COLUMNS } else { &[] };
    if let Some(column) = table.columns.iter().chain(recorded).find(|column| column.name == name) {
        return Ok(column);
    }
    let names = || table.columns.iter().map(|column| column.name);
    match nearest(name, names()) {
        Some(known) => bail!("`{name}` is no column of {}; did you mean `{known}`?", table.name),
        None => {
            bail!("`{name}` is no column of {}; its columns are {}", table.name, names().collect::<Vec<_>>().join(", "))
        }
    }
}

/// Refuses a file that lacks one of the `required` columns, or has one twice.
pub(super) fn require(table: &'static Table, names: &[&str], required: &[&str]) -> anyhow::Result<()> {
    let before = |place: usize| names.get(..place).unwrap_or_default();
    if let Some((_, name)) = names.iter().enumerate().find(|(place, name)| before(*place).contains(name)) {
        bail!("it names the column `{name}` twice");
    }
    for column in required {
        if !names.contains(column) {
            bail!("the column `{column}` is missing; every row of {} needs it", table.name);
        }
    }
    Ok(())
}

/// Columns without which a row of `table` says nothing.
pub(super) fn required(table: &Table) -> &'static [&'static str] {
    match table.name {
        "samples" => &["time", "equipment", "signal"],
        "measurements" => &["time", "characteristic"],
        "states" => &["equipment", "start"],
        "counts" => &["equipment", "time"],
        _ => &[],
    }
}

/// The Arrow type of a column.
pub(super) fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Double => DataType::Float64,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Text | ColumnType::Name => DataType::Utf8,
        ColumnType::Flag => DataType::Boolean,
    }
}

/// The Arrow field of a column.
pub(super) fn field(column: &Column) -> Field {
    Field::new(column.name, arrow_type(column.kind), true)
}

/// A cell of a CSV file, read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Empty,
    Time(i64),
    Double(f64),
    Integer(i64),
    Text(String),
    Flag(bool),
}

/// Reads one cell of `column`; an empty one is NULL.
pub(super) fn cell(column: &Column, text: &str) -> Result<Cell, String> {
    if text.is_empty() {
        return Ok(Cell::Empty);
    }
    let wrong = |what: &str| wrong(column, text, what);
    match column.kind {
        ColumnType::Text | ColumnType::Name => Ok(Cell::Text(text.to_owned())),
        ColumnType::Time => time_us(text)
            .map(Cell::Time)
            .ok_or_else(|| wrong("a time with its zone, such as 2025-06-01T06:00:00+02:00, or a number since 1970")),
        ColumnType::Double => match number(text) {
            Some(number) if !number.is_finite() => Err(infinite(column, text)),
            Some(number) if is_inexact(text.trim()) => Err(inexact(column, text, number)),
            Some(number) => Ok(Cell::Double(number)),
            None if text == "true" => Ok(Cell::Double(1.0)),
            None if text == "false" => Ok(Cell::Double(0.0)),
            None => Err(wrong("a number; text belongs in a column of text")),
        },
        ColumnType::Integer => text.trim().parse().map(Cell::Integer).map_err(|_| wrong("a whole number")),
        ColumnType::Flag => match text {
            "true" | "t" | "1" => Ok(Cell::Flag(true)),
            "false" | "f" | "0" => Ok(Cell::Flag(false)),
            _ => Err(wrong("true or false")),
        },
    }
}

fn wrong(column: &Column, value: impl Display, what: &str) -> String {
    format!("`{}` is `{value}`, which is not {what}", column.name)
}

/// Whether a double holds a whole number with all its digits.
pub(super) fn is_exact(whole: i128) -> bool {
    whole.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS || whole as f64 as i128 == whole
}

/// Whether a text is a whole number of which a double loses digits.
fn is_inexact(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && !text.parse().is_ok_and(is_exact)
}

/// Says that a number is none to calculate with.
pub(super) fn infinite(column: &Column, value: impl Display) -> String {
    wrong(column, value, "a finite number; leave it empty where there is none")
}

/// Says that a double would not hold what the file has.
pub(super) fn inexact(column: &Column, value: impl Display, number: f64) -> String {
    let name = column.name;
    format!("`{name}` is `{value}`, of which a double keeps {number}; digits that all count belong in a column of text")
}

/// Says that a value does not become one of its column.
pub(super) fn unfit(column: &Column, value: impl Display) -> String {
    let what = match column.kind {
        ColumnType::Time => "a time between the years -290307 and 294247",
        ColumnType::Double => "a number",
        ColumnType::Integer => "a whole number of 64 bits",
        ColumnType::Text | ColumnType::Name => "text",
        ColumnType::Flag => "true or false",
    };
    wrong(column, value, what)
}

/// A number; a decimal comma counts as a point, as in a message.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let pointed = || if text.contains('.') { None } else { text.replacen(',', ".", 1).parse().ok() };
    text.parse().ok().or_else(pointed)
}

/// A time as microseconds UTC.
pub(super) fn time_us(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(number) => Some(epoch_us(number)),
        Err(_) => text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond),
    }
}

/// A number since 1970 as microseconds; its size says whether it is s, ms, µs or ns: no plant reports from before 1973.
pub(super) fn epoch_us(number: i64) -> i64 {
    match number.unsigned_abs() {
        0..100_000_000_000 => number * 1_000_000,
        100_000_000_000..100_000_000_000_000 => number * 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number.div_euclid(1_000),
    }
}

/// Gathers the cells of one column.
#[derive(Debug)]
pub(super) enum Builder {
    Time(TimestampMicrosecondBuilder),
    Double(Float64Builder),
    Integer(Int64Builder),
    Text(StringBuilder),
    Flag(BooleanBuilder),
}

impl Builder {
    pub(super) fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::Double => Self::Double(Float64Builder::new()),
            ColumnType::Integer => Self::Integer(Int64Builder::new()),
            ColumnType::Text | ColumnType::Name => Self::Text(StringBuilder::new()),
            ColumnType::Flag => Self::Flag(BooleanBuilder::new()),
        }
    }

    /// Adds a cell; one of another type, which [`cell`] never gives, counts as empty.
    pub(super) fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Time(builder), Cell::Time(time_us)) => builder.append_value(time_us),
            (Self::Double(builder), Cell::Double(number)) => builder.append_value(number),
            (Self::Integer(builder), Cell::Integer(number)) => builder.append_value(number),
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Flag(builder), Cell::Flag(flag)) => builder.append_value(flag),
            (Self::Time(builder), _) => builder.append_null(),
            (Self::Double(builder), _) => builder.append_null(),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Flag(builder), _) => builder.append_null(),
        }
    }

    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Self::Time(mut builder) => Arc::new(builder.finish()),
            Self::Double(mut builder) => Arc::new(builder.finish()),
            Self::Integer(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Flag(mut builder) => Arc::new(builder.finish()),
        }
    }
}
