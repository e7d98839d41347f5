//! Keys of rows in their order, without making bytes of them: for a merge, which compares a few of many.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, Int32Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;

use crate::StoreError;

/// The key columns of some rows, to be compared in the order of keys without making bytes of them.
pub(crate) struct KeyColumns(Vec<KeyColumn>);

enum KeyColumn {
    Names(Int32Array, StringArray),
    Numbers(Int64Array),
}

/// A key, apart from its rows. NULL comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<KeyPart>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum KeyPart {
    Name(Option<Box<str>>),
    Number(Option<i64>),
}

impl KeyColumns {
    /// `key` are places of columns, in sort order.
    pub(crate) fn of(rows: &RecordBatch, key: &[usize]) -> Result<Self, StoreError> {
        let column = |place: &usize| -> Result<KeyColumn, StoreError> {
            let column = rows.column(*place);
            if matches!(column.data_type(), DataType::Timestamp(..) | DataType::Int64) {
                return Ok(KeyColumn::Numbers(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone()));
            }
            let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let names = if *column.data_type() == names { column.clone() } else { cast(column, &names)? };
            let names = names.as_dictionary::<Int32Type>();
            Ok(KeyColumn::Names(names.keys().clone(), names.values().as_string::<i32>().clone()))
        };
        Ok(Self(key.iter().map(column).collect::<Result<_, _>>()?))
    }

    pub(crate) fn at(&self, row: usize) -> Key {
        let part = |column: &KeyColumn| match column {
            KeyColumn::Names(keys, values) => KeyPart::Name(name(keys, values, row).map(Into::into)),
            KeyColumn::Numbers(numbers) => KeyPart::Number(numbers.is_valid(row).then(|| numbers.value(row))),
        };
        Key(self.0.iter().map(part).collect())
    }

    pub(crate) fn compare(&self, row: usize, key: &Key) -> Ordering {
        let orders = self.0.iter().zip(&key.0).map(|(column, part)| match (column, part) {
            (KeyColumn::Names(keys, values), KeyPart::Name(other)) => name(keys, values, row).cmp(&other.as_deref()),
            (KeyColumn::Numbers(numbers), KeyPart::Number(other)) => {
                numbers.is_valid(row).then(|| numbers.value(row)).cmp(other)
            }
            (KeyColumn::Names(..), KeyPart::Number(_)) => Ordering::Greater,
            (KeyColumn::Numbers(_), KeyPart::Name(_)) => Ordering::Less,
        });
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

fn name<'a>(keys: &Int32Array, values: &'a StringArray, row: usize) -> Option<&'a str> {
    let key = keys.is_valid(row).then(|| usize::try_from(keys.value(row)).ok())??;
    values.is_valid(key).then(|| values.value(key))
}
