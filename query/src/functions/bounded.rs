//! Functions whose answer can be far larger than their arguments: `repeat('x', 2000000000)`. DataFusion's memory pool does
//! not see what a scalar function makes, so these are asked for their size first.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, plan_err};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Bytes of one element of a list, roughly.
const ELEMENT_BYTES: u64 = 8;
/// Bytes of a character at most.
const CHARACTER_BYTES: u64 = 4;

/// What a row of the answer takes, from the arguments of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
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
}

const FUNCTIONS: &[(&str, Growth)] = &[
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("array_repeat", Growth::Elements),
    ("array_resize", Growth::Count),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::Replace),
    ("range", Growth::Range),
    ("generate_series", Growth::Range),
];

/// Bounds what these functions of a session make at once: the rows of one batch, in bytes.
pub(crate) fn bound(state: &mut SessionState, most_bytes: u64) {
    for (name, growth) in FUNCTIONS {
        let Ok(inner) = state.udf(name) else { continue };
        let bounded = ScalarUDF::new_from_impl(Bounded { inner, growth: *growth, most_bytes });
        if let Err(error) = state.register_udf(Arc::new(bounded)) {
            tracing::error!(%error, "{name} could not be bounded");
        }
    }
}

/// A function that refuses to make more than it may.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    most_bytes: u64,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.growth.bytes(&args)?;
        if bytes > self.most_bytes {
            return plan_err!(
                "{} would make {} MiB at once, more than the {} MiB that a query may; ask for less of it",
                self.name(),
                bytes >> 20,
                self.most_bytes >> 20
            );
        }
        self.inner.invoke_with_args(args)
    }
}

impl Growth {
    /// Bytes of the answer, roughly.
    fn bytes(self, args: &ScalarFunctionArgs) -> Result<u64> {
        // One row stands for all where no argument is a column.
        let scalar = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let column = |place: usize| args.args.get(place).map(|value| value.to_array(rows)).transpose();
        let numbers =
            |place: usize| -> Result<Option<Vec<Option<i64>>>> { Ok(column(place)?.and_then(|c| integers(&c))) };
        match self {
            Self::Repeat => {
                let (Some(texts), Some(counts)) = (column(0)?, numbers(1)?) else { return Ok(0) };
                let lengths = lengths(&texts)?;
                Ok(total(lengths.iter().zip(&counts).map(|(length, count)| length.saturating_mul(at_least_0(*count)))))
            }
            Self::Pad => {
                let counts = numbers(1)?.unwrap_or_default();
                Ok(total(counts.iter().map(|count| at_least_0(*count).saturating_mul(CHARACTER_BYTES))))
            }
            Self::Count => {
                let counts = numbers(1)?.unwrap_or_default();
                Ok(total(counts.iter().map(|count| at_least_0(*count).saturating_mul(ELEMENT_BYTES))))
            }
            Self::Elements => {
                let (Some(elements), Some(counts)) = (column(0)?, numbers(1)?) else { return Ok(0) };
                let held = elements.get_array_memory_size() as u64 / rows.max(1) as u64;
                Ok(total(counts.iter().map(|count| at_least_0(*count).saturating_mul(held.max(ELEMENT_BYTES)))))
            }
            Self::Replace => {
                let (Some(texts), Some(new)) = (column(0)?, column(2)?) else { return Ok(0) };
                let (texts, new) = (lengths(&texts)?, lengths(&new)?);
                Ok(total(
                    texts.iter().zip(&new).map(|(text, new)| text.saturating_add(1).saturating_mul((*new).max(1))),
                ))
            }
            Self::Range => {
                let Some(first) = numbers(0)? else { return Ok(0) };
                let (stops, steps) = (numbers(1)?, numbers(2)?);
                let row = |row: usize| {
                    let at = |column: &Option<Vec<Option<i64>>>| column.as_ref().and_then(|c| c.get(row).copied());
                    let first = first.get(row).copied().flatten().unwrap_or_default();
                    let (start, stop) = match at(&stops) {
                        Some(stop) => (first, stop.unwrap_or(first)),
                        None => (0, first),
                    };
                    let step = at(&steps).flatten().unwrap_or(1).unsigned_abs().max(1);
                    (start.abs_diff(stop) / step).saturating_mul(ELEMENT_BYTES)
                };
                Ok(total((0..rows).map(row)))
            }
        }
    }
}

fn total(rows: impl Iterator<Item = u64>) -> u64 {
    rows.fold(0, u64::saturating_add)
}

fn at_least_0(count: Option<i64>) -> u64 {
    count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

/// A column as integers: numbers as they are, times and intervals in microseconds. `None` where it is neither.
fn integers(column: &ArrayRef) -> Option<Vec<Option<i64>>> {
    const DAY_US: i64 = 86_400_000_000;
    let kind = match column.data_type() {
        kind if kind.is_integer() => DataType::Int64,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Interval(_) => {
            let spans = cast(column, &DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
            let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
            let micros = |span: IntervalMonthDayNano| {
                let days = i64::from(span.months).saturating_mul(28).saturating_add(i64::from(span.days));
                days.saturating_mul(DAY_US).saturating_add(span.nanoseconds / 1_000)
            };
            return Some(spans.iter().map(|span| span.map(micros)).collect());
        }
        _ => return None,
    };
    let column = cast(column, &kind).and_then(|column| cast(&column, &DataType::Int64)).ok()?;
    Some(column.as_primitive::<Int64Type>().iter().collect())
}

/// Bytes of each text.
fn lengths(column: &ArrayRef) -> Result<Vec<u64>> {
    let texts = cast(column, &DataType::LargeUtf8)?;
    let texts = texts.as_string::<i64>();
    let length = |row: usize| if texts.is_null(row) { 0 } else { texts.value_length(row).unsigned_abs() };
    Ok((0..texts.len()).map(length).collect())
}

#[cfg(test)]
mod tests;
