//! How much a function makes, from the sizes of its arguments.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs};

use super::is_scalar;
use super::size::{Measure, bytes_each, elements_each, groups_each, text_bytes, writings_each, written_each};
use crate::reach::literal;

/// Bytes of one element of a list, roughly.
const ELEMENT_BYTES: u64 = 8;
/// Bytes of a character at most.
const CHARACTER_BYTES: u64 = 4;
/// Bytes that one byte of a time format makes at most, roughly: `%c` is a date and a time.
const FORMATTED_BYTES: u64 = 16;

/// What a row of the answer takes, from the arguments of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// `repeat(text, count)`.
    Repeat,
    /// `lpad(text, length)`: characters.
    Pad,
    /// `array_repeat(element, count)`: elements as large as the first.
    Elements,
    /// `array_resize(list, count, element)`.
    Count,
    /// `replace(text, from, to)`, `regexp_replace(text, pattern, to)`: at most once a byte and once more.
    Replace,
    /// `range(start, stop, step)`: elements.
    Range,
    /// `a || b`: all of it together.
    Sum,
    /// `concat_ws(separator, a, b)`: all of it together, and separators.
    Separated,
    /// `array_to_string(list, delimiter, null)`: elements as text, each with a delimiter, or with what stands for NULL.
    Written,
    /// `array_replace_all(list, from, to)`: at most every element.
    ElementsReplaced,
    /// `arrays_zip(a, b)`: all as long as the longest.
    Zipped,
    /// `overlay(text, other, start, count)`: a negative count says a part of the text twice.
    Overlaid,
    /// `regexp_match(text, pattern)`: at most all of the text in every group.
    Groups,
    /// `string_to_array(text, delimiter)`: at most an element a byte.
    Split,
    /// `quote_ident(name)`: at most twice as long, and in quotes.
    Quoted,
    /// `to_char(time, format)`.
    Formatted,
    /// `arrow_cast(value, type)`: by its type only.
    Typed,
}

/// What is bounded, by the name it has in SQL.
pub(super) const FUNCTIONS: &[(&str, Growth)] = &[
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("array_repeat", Growth::Elements),
    ("array_resize", Growth::Count),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::Replace),
    ("range", Growth::Range),
    ("generate_series", Growth::Range),
    ("||", Growth::Sum),
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Separated),
    ("make_array", Growth::Sum),
    ("array_append", Growth::Sum),
    ("array_prepend", Growth::Sum),
    ("array_concat", Growth::Sum),
    ("array_union", Growth::Sum),
    ("array_replace", Growth::Sum),
    ("array_replace_n", Growth::ElementsReplaced),
    ("array_replace_all", Growth::ElementsReplaced),
    ("arrays_zip", Growth::Zipped),
    ("map", Growth::Sum),
    ("struct", Growth::Sum),
    ("named_struct", Growth::Sum),
    ("arrow_cast", Growth::Typed),
    ("arrow_try_cast", Growth::Typed),
    ("array_to_string", Growth::Written),
    ("string_to_array", Growth::Split),
    ("overlay", Growth::Overlaid),
    ("regexp_match", Growth::Groups),
    ("quote_ident", Growth::Quoted),
    ("to_char", Growth::Formatted),
];

impl Growth {
    /// How a function grows, where it does.
    pub(super) fn of(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, growth)| *growth)
    }

    /// Bytes of the answer, roughly. A constant is looked at once: making a column of it could be what is to be prevented.
    pub(super) fn bytes(self, args: &ScalarFunctionArgs) -> Result<u64> {
        let values = args.args.as_slice();
        let rows = if values.iter().all(is_scalar) { 1 } else { args.number_rows };
        let measured = |place: usize, measure: Measure| match values.get(place) {
            Some(value) => Ok(Sizes(measure(&column(value)?)?)),
            None => Ok(Sizes(Vec::new())),
        };
        let bytes = |place: usize| measured(place, bytes_each);
        let numbers = |place: usize| values.get(place).map(|value| integers(&column(value)?)).transpose();
        let row: Box<dyn Fn(usize) -> u64> = match self {
            Self::Repeat => {
                let (texts, counts) = (bytes(0)?, numbers(1)?.unwrap_or_default());
                Box::new(move |row| texts.at(row).saturating_mul(count(&counts, row)))
            }
            Self::Pad => {
                let counts = numbers(1)?.unwrap_or_default();
                Box::new(move |row| count(&counts, row).saturating_mul(CHARACTER_BYTES))
            }
            Self::Elements | Self::Count => {
                let element = bytes(if self == Self::Elements { 0 } else { 2 })?;
                let counts = numbers(1)?.unwrap_or_default();
                Box::new(move |row| count(&counts, row).saturating_mul(element.at(row).max(ELEMENT_BYTES)))
            }
            Self::Replace => {
                let (texts, new) = (bytes(0)?, bytes(2)?);
                Box::new(move |row| texts.at(row).saturating_add(1).saturating_mul(new.at(row).max(1)))
            }
            Self::Range => {
                let (first, stops, steps) = (numbers(0)?.unwrap_or_default(), numbers(1)?, numbers(2)?);
                Box::new(move |row| range_bytes(&first, stops.as_deref(), steps.as_deref(), row))
            }
            Self::Sum => {
                let all = (0..values.len()).map(bytes).collect::<Result<Vec<_>>>()?;
                Box::new(move |row| sum(&all, row))
            }
            Self::Separated => {
                let (separators, all) = (bytes(0)?, (1..values.len()).map(bytes).collect::<Result<Vec<_>>>()?);
                let between = all.len() as u64;
                Box::new(move |row| separators.at(row).saturating_mul(between).saturating_add(sum(&all, row)))
            }
            Self::Written => {
                let (written, writings) = (measured(0, written_each)?, measured(0, writings_each)?);
                let (delimiters, nulls) = (bytes(1)?, bytes(2)?);
                Box::new(move |row| {
                    let each = delimiters.at(row).saturating_add(nulls.at(row));
                    writings.at(row).saturating_mul(each).saturating_add(written.at(row))
                })
            }
            Self::ElementsReplaced => {
                let (lists, elements, new) = (bytes(0)?, measured(0, elements_each)?, bytes(2)?);
                Box::new(move |row| elements.at(row).saturating_mul(new.at(row)).saturating_add(lists.at(row)))
            }
            Self::Zipped => {
                let all = (0..values.len()).map(bytes).collect::<Result<Vec<_>>>()?;
                let lengths = (0..values.len()).map(|place| measured(place, elements_each));
                let lengths = lengths.collect::<Result<Vec<_>>>()?;
                Box::new(move |row| {
                    let longest = lengths.iter().map(|length| length.at(row)).max().unwrap_or_default();
                    longest.saturating_mul(ELEMENT_BYTES * lengths.len() as u64).saturating_add(sum(&all, row))
                })
            }
            Self::Overlaid => {
                let (texts, others) = (bytes(0)?, bytes(1)?);
                Box::new(move |row| texts.at(row).saturating_mul(2).saturating_add(others.at(row)))
            }
            Self::Groups => {
                let (texts, groups) = (bytes(0)?, measured(1, groups_each)?);
                Box::new(move |row| texts.at(row).saturating_mul(groups.at(row)))
            }
            Self::Split => {
                let texts = bytes(0)?;
                Box::new(move |row| texts.at(row).saturating_mul(ELEMENT_BYTES))
            }
            Self::Quoted => {
                let names = bytes(0)?;
                Box::new(move |row| names.at(row).saturating_mul(2).saturating_add(2))
            }
            Self::Formatted => {
                let formats = bytes(1)?;
                Box::new(move |row| formats.at(row).saturating_mul(FORMATTED_BYTES))
            }
            Self::Typed => return Ok(0),
        };
        Ok((0..rows).map(row).fold(0, u64::saturating_add))
    }

    /// Bytes of the constants among the arguments that may be joined before a row is read.
    pub(super) fn constant_bytes(self, args: &[Expr]) -> u64 {
        let bytes = |arg: &Expr| literal(arg).map_or(0, text_bytes);
        let all = || args.iter().map(bytes).fold(0, u64::saturating_add);
        match self {
            Self::Sum => all(),
            Self::Separated => args.first().map_or(0, bytes).saturating_mul(args.len() as u64).saturating_add(all()),
            _ => 0,
        }
    }
}

/// A size for each row; the only one stands for all, and where there is none it is 0.
struct Sizes(Vec<u64>);

impl Sizes {
    fn at(&self, row: usize) -> u64 {
        if let [only] = self.0.as_slice() { *only } else { self.0.get(row).copied().unwrap_or_default() }
    }
}

fn sum(all: &[Sizes], row: usize) -> u64 {
    all.iter().map(|sizes| sizes.at(row)).fold(0, u64::saturating_add)
}

/// A column as it is; of a constant one row.
fn column(value: &ColumnarValue) -> Result<ArrayRef> {
    match value {
        ColumnarValue::Scalar(value) => value.to_array(),
        ColumnarValue::Array(column) => Ok(ArrayRef::clone(column)),
    }
}

/// The value of a row; the only one stands for all.
fn at(values: &[Option<i64>], row: usize) -> Option<i64> {
    if let [only] = values { *only } else { values.get(row).copied().flatten() }
}

fn count(values: &[Option<i64>], row: usize) -> u64 {
    at(values, row).and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

fn range_bytes(first: &[Option<i64>], stops: Option<&[Option<i64>]>, steps: Option<&[Option<i64>]>, row: usize) -> u64 {
    let from = at(first, row).unwrap_or_default();
    let (start, stop) = match stops {
        Some(stops) => (from, at(stops, row).unwrap_or(from)),
        None => (0, from),
    };
    let step = steps.and_then(|steps| at(steps, row)).unwrap_or(1).unsigned_abs().max(1);
    (start.abs_diff(stop) / step).saturating_mul(ELEMENT_BYTES)
}

/// A column as integers: numbers as they are, times and intervals in microseconds; nothing where it is neither.
fn integers(column: &ArrayRef) -> Result<Vec<Option<i64>>> {
    const DAY_US: i64 = 86_400_000_000;
    let kind = match column.data_type() {
        kind if kind.is_integer() => DataType::Int64,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Interval(_) => {
            let spans = cast(column, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
            let micros = |span: IntervalMonthDayNano| {
                let days = i64::from(span.months).saturating_mul(28).saturating_add(i64::from(span.days));
                days.saturating_mul(DAY_US).saturating_add(span.nanoseconds / 1_000)
            };
            return Ok(spans.iter().map(|span| span.map(micros)).collect());
        }
        _ => return Ok(Vec::new()),
    };
    let column = cast(&cast(column, &kind)?, &DataType::Int64)?;
    Ok(column.as_primitive::<Int64Type>().iter().collect())
}
