//! Sizes of the rows of a column, as they are and as they would be written.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};

/// Bytes that a number with a fraction takes as text at most: the smallest one has 324 digits.
const FRACTION_TEXT_BYTES: u64 = 330;
/// Bytes that anything else but a text takes as text at most, roughly: an interval.
const OTHER_TEXT_BYTES: u64 = 96;

/// One size for each row of a column.
pub(super) type Measure = fn(&ArrayRef) -> Result<Vec<u64>>;

/// Bytes of each row.
pub(super) fn bytes_each(column: &ArrayRef) -> Result<Vec<u64>> {
    Ok(folded(column, width_each))
}

/// Elements of each row of lists; none where the column holds no lists.
pub(super) fn elements_each(column: &ArrayRef) -> Result<Vec<u64>> {
    Ok(list(column).map_or_else(|| vec![0; column.len()], |(ends, _)| sums(&ends, |from, to| (to - from) as u64)))
}

/// What each row has to write: its elements, those of inner lists too.
pub(super) fn writings_each(column: &ArrayRef) -> Result<Vec<u64>> {
    Ok(folded(column, |column| vec![1; column.len()]))
}

/// Bytes of each row as text.
pub(super) fn written_each(column: &ArrayRef) -> Result<Vec<u64>> {
    Ok(folded(column, |column| match column.data_type() {
        kind if kind.is_string() => width_each(column),
        kind if kind.is_floating() => vec![FRACTION_TEXT_BYTES; column.len()],
        _ => vec![OTHER_TEXT_BYTES; column.len()],
    }))
}

/// What a pattern can match at most: as a whole, and once for each group.
pub(super) fn groups_each(column: &ArrayRef) -> Result<Vec<u64>> {
    let patterns = cast(column, &DataType::LargeUtf8)?;
    let groups = |pattern: Option<&str>| 1 + pattern.map_or(0, |pattern| pattern.matches('(').count() as u64);
    Ok(patterns.as_string::<i64>().iter().map(groups).collect())
}

/// Bytes of a constant, where it is a text or bytes.
pub(super) fn text_bytes(value: &ScalarValue) -> u64 {
    let bytes = match value {
        ScalarValue::Binary(bytes) | ScalarValue::LargeBinary(bytes) | ScalarValue::BinaryView(bytes) => {
            bytes.as_ref().map(Vec::len)
        }
        value => value.try_as_str().flatten().map(str::len),
    };
    bytes.unwrap_or_default() as u64
}

/// What `measure` finds in each row; of a list, in all its elements.
fn folded(column: &ArrayRef, measure: fn(&ArrayRef) -> Vec<u64>) -> Vec<u64> {
    let Some((ends, elements)) = list(column) else { return measure(column) };
    let each = folded(&elements, measure);
    sums(&ends, |from, to| each.get(from..to).unwrap_or_default().iter().copied().fold(0, u64::saturating_add))
}

fn sums(ends: &[usize], sum: impl Fn(usize, usize) -> u64) -> Vec<u64> {
    ends.iter().zip(ends.iter().skip(1)).map(|(from, to)| sum(*from, *to)).collect()
}

/// Where the lists of a column end in their elements, from 0, and the elements.
fn list(column: &ArrayRef) -> Option<(Vec<usize>, ArrayRef)> {
    match column.data_type() {
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            Some(shown(lists.offsets(), lists.values()))
        }
        DataType::LargeList(_) => {
            let lists = column.as_list::<i64>();
            Some(shown(lists.offsets(), lists.values()))
        }
        DataType::Map(..) => {
            let maps = column.as_map();
            let entries: ArrayRef = Arc::new(maps.entries().clone());
            Some(shown(maps.offsets(), &entries))
        }
        DataType::FixedSizeList(_, length) => {
            let length = usize::try_from(*length).unwrap_or_default();
            let ends = (0..=column.len()).map(|row| row * length).collect();
            Some((ends, Arc::clone(column.as_fixed_size_list().values())))
        }
        _ => None,
    }
}

/// A column can be a part of a larger one: only its own elements count.
fn shown<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, elements: &ArrayRef) -> (Vec<usize>, ArrayRef) {
    let first = offsets.first().map_or(0, |first| first.as_usize());
    let ends: Vec<usize> = offsets.iter().map(|end| end.as_usize() - first).collect();
    let length = ends.last().copied().unwrap_or_default();
    (ends, elements.slice(first, length))
}

/// Bytes of each row of a column that holds no lists.
fn width_each(column: &ArrayRef) -> Vec<u64> {
    let rows = column.len();
    let lengths = |lengths: &mut dyn Iterator<Item = usize>| lengths.map(|length| length as u64).collect();
    match column.data_type() {
        DataType::Null => vec![0; rows],
        DataType::Boolean => vec![1; rows],
        DataType::Utf8 => lengths(&mut column.as_string::<i32>().offsets().lengths()),
        DataType::LargeUtf8 => lengths(&mut column.as_string::<i64>().offsets().lengths()),
        DataType::Utf8View => column.as_string_view().lengths().map(u64::from).collect(),
        DataType::Binary => lengths(&mut column.as_binary::<i32>().offsets().lengths()),
        DataType::LargeBinary => lengths(&mut column.as_binary::<i64>().offsets().lengths()),
        DataType::BinaryView => column.as_binary_view().lengths().map(u64::from).collect(),
        DataType::Struct(_) => {
            let fields: Vec<Vec<u64>> =
                column.as_struct().columns().iter().map(|field| folded(field, width_each)).collect();
            let of_row =
                |row: usize| fields.iter().filter_map(|field| field.get(row)).fold(0, |a: u64, b| a.saturating_add(*b));
            (0..rows).map(of_row).collect()
        }
        DataType::Dictionary(..) if !column.as_any_dictionary().values().is_empty() => {
            let words = column.as_any_dictionary();
            let each = folded(words.values(), width_each);
            words.normalized_keys().into_iter().map(|word| each.get(word).copied().unwrap_or_default()).collect()
        }
        kind => {
            let average = || column.get_array_memory_size() / rows.max(1);
            vec![kind.primitive_width().unwrap_or_else(average) as u64; rows]
        }
    }
}
