//! Columns of batches, as functions go through them row by row.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int32Array, PrimitiveArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use crate::error::QueryError;
use crate::types::time_type;

/// A column in the type in which it is wanted.
pub(super) fn typed(batch: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef, QueryError> {
    let column =
        batch.column_by_name(name).ok_or_else(|| QueryError::Layout(format!("rows without their column {name}")))?;
    Ok(if column.data_type() == kind { ArrayRef::clone(column) } else { cast(column, kind)? })
}

/// A text column whose values are few: each is there once, and rows tell its number.
#[derive(Debug)]
pub(crate) struct Names {
    keys: Int32Array,
    values: StringArray,
}

impl Names {
    pub(super) fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let column = typed(batch, name, &kind)?;
        let column = column.as_dictionary::<Int32Type>();
        Ok(Self { keys: column.keys().clone(), values: column.values().as_string::<i32>().clone() })
    }

    /// The number of the value of a row; none only where the row has no value.
    pub(super) fn key(&self, row: usize) -> Option<i32> {
        self.keys.is_valid(row).then(|| self.keys.value(row))
    }

    /// Where the rows end that follow `row`, up to `end`, and have the same number.
    pub(super) fn run_end(&self, row: usize, end: usize) -> usize {
        let same = |other: usize| self.key(other) == self.key(row);
        let differs = match (self.keys.null_count(), self.keys.values().get(row..end)) {
            (0, Some(keys)) => keys.iter().position(|key| Some(key) != keys.first()).map(|place| row + place),
            _ => (row..end).find(|&other| !same(other)),
        };
        differs.unwrap_or(end)
    }

    /// The value of a number.
    pub(super) fn text(&self, key: i32) -> Option<&str> {
        let place = usize::try_from(key).ok()?;
        self.values.is_valid(place).then(|| self.values.value(place))
    }

    pub(super) fn at(&self, row: usize) -> Option<&str> {
        self.key(row).and_then(|key| self.text(key))
    }
}

/// A text column as it comes: names of units are all different, and numbering them would cost more than it saves.
#[derive(Debug)]
pub(crate) enum Texts {
    Numbered(Names),
    Plain(StringArray),
}

impl Texts {
    pub(crate) fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        let column = batch.column_by_name(name);
        let numbered = column.is_some_and(|column| matches!(column.data_type(), DataType::Dictionary(..)));
        Ok(match numbered {
            true => Self::Numbered(Names::of(batch, name)?),
            false => Self::Plain(typed(batch, name, &DataType::Utf8)?.as_string::<i32>().clone()),
        })
    }

    pub(crate) fn at(&self, row: usize) -> Option<&str> {
        match self {
            Self::Numbered(names) => names.at(row),
            Self::Plain(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }
}

/// A column of numbers.
#[derive(Debug)]
pub(super) struct Numbers<T: Kind>(PrimitiveArray<T>);

/// Numbers that tables have.
pub(super) trait Kind: ArrowPrimitiveType {
    /// The type in which columns hold them.
    fn kind() -> DataType {
        Self::DATA_TYPE
    }
}

/// Microseconds UTC.
pub(super) type Times = Numbers<TimestampMicrosecondType>;
pub(super) type Doubles = Numbers<Float64Type>;
pub(super) type Integers = Numbers<Int64Type>;

impl Kind for Float64Type {}
impl Kind for Int64Type {}
impl Kind for TimestampMicrosecondType {
    fn kind() -> DataType {
        time_type()
    }
}

impl<T: Kind> Numbers<T> {
    pub(super) fn of(batch: &RecordBatch, name: &str) -> Result<Self, QueryError> {
        Ok(Self(typed(batch, name, &T::kind())?.as_primitive::<T>().clone()))
    }

    /// The same as text, `otherwise` where there is none.
    pub(super) fn labels(&self, otherwise: T::Native) -> StringArray
    where
        T::Native: std::fmt::Display,
    {
        self.0.iter().map(|number| Some(number.unwrap_or(otherwise).to_string())).collect()
    }

    /// Whether it has a value in any row.
    pub(super) fn any(&self) -> bool {
        self.0.null_count() < self.0.len()
    }

    pub(super) fn at(&self, row: usize) -> Option<T::Native> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}
