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
    /// Bytes of the answer, roughly. A constant is looked at once: making a column of it could be what is to be prevented.
    fn bytes(self, args: &ScalarFunctionArgs) -> Result<u64> {
        let values = args.args.as_slice();
        let scalar = values.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let numbers = |place: usize| values.get(place).map(|value| held(value, integers)).transpose();
        let texts = |place: usize| values.get(place).map(|value| held(value, lengths)).transpose();
        let row: Box<dyn Fn(usize) -> u64> = match (self, numbers(0)?, numbers(1)?, numbers(2)?) {
            (Self::Repeat, _, Some(counts), _) => {
                let texts = texts(0)?.unwrap_or_default();
                Box::new(move |row| at_least_0(at(&texts, row)).saturating_mul(at_least_0(at(&counts, row))))
            }
            (Self::Pad, _, Some(counts), _) => {
                Box::new(move |row| at_least_0(at(&counts, row)).saturating_mul(CHARACTER_BYTES))
            }
            (Self::Elements | Self::Count, _, Some(counts), _) => {
                let element = values.get(if self == Self::Elements { 0 } else { 2 });
                let bytes = element.map(element_bytes).transpose()?.unwrap_or(ELEMENT_BYTES);
                Box::new(move |row| at_least_0(at(&counts, row)).saturating_mul(bytes.max(ELEMENT_BYTES)))
            }
            (Self::Replace, ..) => {
                let (texts, new) = (texts(0)?.unwrap_or_default(), texts(2)?.unwrap_or_default());
                Box::new(move |row| {
                    let (text, new) = (at_least_0(at(&texts, row)), at_least_0(at(&new, row)));
                    text.saturating_add(1).saturating_mul(new.max(1))
                })
            }
            (Self::Range, Some(first), stops, steps) => Box::new(move |row| {
                let from = at(&first, row).unwrap_or_default();
                let (start, stop) = match &stops {
                    Some(stops) => (from, at(stops, row).unwrap_or(from)),
                    None => (0, from),
                };
                let step = steps.as_ref().and_then(|steps| at(steps, row)).unwrap_or(1).unsigned_abs().max(1);
                (start.abs_diff(stop) / step).saturating_mul(ELEMENT_BYTES)
            }),
            _ => return Ok(0),
        };
        Ok((0..rows).map(row).fold(0, u64::saturating_add))
    }
}

/// What `read` makes of an argument: one value of a constant, one a row of a column.
fn held(value: &ColumnarValue, read: fn(&ArrayRef) -> Result<Vec<Option<i64>>>) -> Result<Vec<Option<i64>>> {
    match value {
        ColumnarValue::Scalar(value) => read(&value.to_array()?),
        ColumnarValue::Array(column) => read(column),
    }
}

/// The value of a row; the only one stands for all.
fn at(values: &[Option<i64>], row: usize) -> Option<i64> {
    if let [only] = values { *only } else { values.get(row).copied().flatten() }
}

/// Bytes of one element, on the average.
fn element_bytes(value: &ColumnarValue) -> Result<u64> {
    let elements = match value {
        ColumnarValue::Scalar(value) => value.to_array()?,
        ColumnarValue::Array(column) => Arc::clone(column),
    };
    Ok(elements.get_array_memory_size() as u64 / elements.len().max(1) as u64)
}

fn at_least_0(count: Option<i64>) -> u64 {
    count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
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

/// Bytes of each text.
fn lengths(column: &ArrayRef) -> Result<Vec<Option<i64>>> {
    let texts = cast(column, &DataType::LargeUtf8)?;
    let texts = texts.as_string::<i64>();
    Ok((0..texts.len()).map(|row| (!texts.is_null(row)).then(|| texts.value_length(row))).collect())
}

#[cfg(test)]
mod tests;
