//! Keys of rows: as sortable ranks for sorting, as bytes for look-ups.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};

use crate::StoreError;
use crate::spec::TableSpec;

/// Turns the key columns of any batch of a table into bytes; NULLs compare equal.
#[derive(Debug)]
pub struct KeyEncoder {
    names: Vec<String>,
    kinds: Vec<DataType>,
}

impl KeyEncoder {
    /// The encoder of a table's key.
    pub fn new(spec: &TableSpec) -> Self {
        let names = spec.key_names().into_iter().map(str::to_owned).collect();
        let kinds = spec.key.iter().map(|&index| spec.schema.field(index).data_type().clone()).collect();
        Self { names, kinds }
    }

    /// The key of every row of `batch`, which holds the key columns by name, in any string type.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where a key column is missing or of a foreign type.
    pub fn encode(&self, batch: &RecordBatch) -> Result<arrow::row::Rows, StoreError> {
        let (mut columns, mut fields): (Vec<ArrayRef>, Vec<SortField>) = Default::default();
        for (name, kind) in self.names.iter().zip(&self.kinds) {
            let column = batch
                .column_by_name(name)
                .ok_or_else(|| StoreError::Invalid(format!("rows without their key column {name}")))?;
            // Views of texts have the bytes of texts, without a copy of each.
            let as_is =
                column.data_type() == kind || *kind == DataType::Utf8 && *column.data_type() == DataType::Utf8View;
            let column = if as_is { column.clone() } else { cast(column, kind)? };
            fields.push(SortField::new(column.data_type().clone()));
            columns.push(column);
        }
        Ok(RowConverter::new(fields)?.convert_columns(&columns)?)
    }
}

/// Times by series: by the values of the key columns but the time.
pub type TimesOfSeries = HashMap<Vec<Option<Arc<str>>>, Vec<i64>>;

/// A set of keys of one table.
#[derive(Debug)]
pub struct KeySet {
    encoder: KeyEncoder,
    time: Option<String>,
    keys: HashSet<Box<[u8]>>,
    /// Earliest and latest time among the keys, where the key holds a time.
    span: Option<(i64, i64)>,
}

impl KeySet {
    /// An empty set of keys of `spec`.
    pub fn new(spec: &TableSpec) -> Self {
        let time = spec.time.map(|index| spec.schema.field(index).name().clone());
        Self { encoder: KeyEncoder::new(spec), time, keys: HashSet::new(), span: None }
    }

    /// Takes in the keys of rows, which carry the key columns.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where they do not.
    pub fn extend(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        for row in &self.encoder.encode(batch)? {
            self.keys.insert(row.as_ref().into());
        }
        if let Some(name) = &self.time
            && let Some((low, high)) = time_span(batch, name)
        {
            self.span = Some(self.span.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
        }
        Ok(())
    }

    pub(crate) fn union(spec: &TableSpec, sets: &[Arc<KeySet>]) -> Self {
        let mut all = Self::new(spec);
        for set in sets {
            all.keys.extend(set.keys.iter().cloned());
            all.span = [all.span, set.span].into_iter().flatten().reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
        }
        all
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The times of the keys of each series ([`TableSpec::has_series`]), in order, by the other columns of the key.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where keys hold something else than texts and a time.
    pub fn times_of_series(&self) -> Result<TimesOfSeries, StoreError> {
        let fields = self.encoder.kinds.iter().map(|kind| SortField::new(kind.clone()));
        let converter = RowConverter::new(fields.collect())?;
        let parser = converter.parser();
        let columns = converter.convert_rows(self.keys.iter().map(|key| parser.parse(key)))?;
        let mut found = TimesOfSeries::new();
        for row in 0..self.keys.len() {
            let (mut series, mut time) = (Vec::new(), None);
            for (column, name) in columns.iter().zip(&self.encoder.names) {
                match (column.as_string_opt::<i32>(), column.as_primitive_opt::<TimestampMicrosecondType>()) {
                    (Some(names), _) => series.push(names.is_valid(row).then(|| Arc::from(names.value(row)))),
                    (_, Some(times)) => time = times.is_valid(row).then(|| times.value(row)),
                    _ => return Err(StoreError::Invalid(format!("{name} is no part of a series"))),
                }
            }
            found.entry(series).or_default().extend(time);
        }
        found.values_mut().for_each(|times| times.sort_unstable());
        Ok(found)
    }

    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// For each row of `batch`: whether its key is in the set.
    pub(crate) fn contains(&self, batch: &RecordBatch) -> Result<BooleanArray, StoreError> {
        let rows = self.encoder.encode(batch)?;
        Ok(rows.iter().map(|row| Some(self.keys.contains(row.as_ref()))).collect())
    }

    /// For each row of `batch`, which holds the key columns by name: true where the row is still current, that is, its
    /// key is not in the set.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where a key column is missing.
    pub fn filter(&self, batch: &RecordBatch) -> Result<BooleanArray, StoreError> {
        let rows = self.encoder.encode(batch)?;
        Ok(rows.iter().map(|row| Some(!self.keys.contains(row.as_ref()))).collect())
    }
}

/// Earliest and latest value of a time column, `None` where there is none.
pub(crate) fn time_span(batch: &RecordBatch, name: &str) -> Option<(i64, i64)> {
    let times = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some((arrow::compute::min(times)?, arrow::compute::max(times)?))
}

/// Row numbers of a batch in key order, equal keys in their given order, and where each run of equal keys begins.
pub(crate) struct KeyOrder {
    pub(crate) rows: Vec<u32>,
    /// Start of each run in `rows`; the last entry is the end.
    pub(crate) runs: Vec<usize>,
}

impl KeyOrder {
    /// Sorts by rank: names are ranked once per distinct value, so the sort itself compares integers only.
    pub(crate) fn of(batch: &RecordBatch, key: &[usize]) -> Result<Self, StoreError> {
        let packed = pack(key.iter().map(|&index| ranks(batch.column(index))).collect::<Result<_, _>>()?);
        let count =
            u32::try_from(batch.num_rows()).map_err(|_| StoreError::Invalid("more than 4 G rows at once".into()))?;
        let mut rows: Vec<u32> = (0..count).collect();
        let at = |column: &[u64], row: u32| column.get(row as usize).copied().unwrap_or_default();
        let mut runs = vec![0];
        match packed.as_slice() {
            [a] => rows.sort_by_key(|&row| at(a, row)),
            [a, b] => {
                let mut keyed: Vec<(u64, u64, u32)> = rows.iter().map(|&row| (at(a, row), at(b, row), row)).collect();
                keyed.sort_unstable();
                rows = keyed.iter().map(|entry| entry.2).collect();
            }
            columns => rows.sort_by(|&x, &y| {
                columns
                    .iter()
                    .map(|column| at(column, x).cmp(&at(column, y)))
                    .find(|order| order.is_ne())
                    .unwrap_or(std::cmp::Ordering::Equal)
            }),
        }
        for (place, pair) in rows.windows(2).enumerate() {
            let [x, y] = pair else { continue };
            if packed.iter().any(|column| at(column, *x) != at(column, *y)) {
                runs.push(place + 1);
            }
        }
        if !rows.is_empty() {
            runs.push(rows.len());
        }
        Ok(Self { rows, runs })
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &[u32]> {
        self.runs.windows(2).filter_map(|pair| self.rows.get(*pair.first()?..*pair.last()?))
    }
}

/// A column's values as integers in the same order; NULL is 0 and comes first.
fn ranks(column: &ArrayRef) -> Result<(Vec<u64>, u32), StoreError> {
    const SIGN: u64 = 1 << 63;
    match column.data_type() {
        DataType::Timestamp(..) | DataType::Int64 => {
            let values = cast(column, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            // Times before the year -290,000 do not occur, so NULL may take the lowest rank.
            let ranked = values.iter().map(|value| value.map_or(0, |value| value.cast_unsigned() ^ SIGN)).collect();
            Ok((ranked, 64))
        }
        DataType::Dictionary(..) => {
            let names = column.as_dictionary::<Int32Type>();
            let distinct = names.values().as_string::<i32>();
            let mut order: Vec<usize> = (0..distinct.len()).collect();
            order.sort_by(|&x, &y| distinct.value(x).cmp(distinct.value(y)));
            let mut rank_of = vec![0_u64; distinct.len()];
            let mut rank = 0;
            let mut previous: Option<&str> = None;
            for place in order {
                if previous != Some(distinct.value(place)) {
                    rank += 1;
                    previous = Some(distinct.value(place));
                }
                if let Some(slot) = rank_of.get_mut(place) {
                    *slot = rank;
                }
            }
            let of = |key: i32| usize::try_from(key).ok().and_then(|key| rank_of.get(key)).copied().unwrap_or_default();
            let ranked = names.keys().iter().map(|key| key.map_or(0, of)).collect();
            Ok((ranked, u64::BITS - rank.leading_zeros()))
        }
        _ => {
            let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            ranks(&cast(column, &names)?)
        }
    }
}

/// Packs neighbouring columns into as few 64-bit words as their widths allow.
fn pack(columns: Vec<(Vec<u64>, u32)>) -> Vec<Vec<u64>> {
    let mut packed: Vec<(Vec<u64>, u32)> = Vec::new();
    for (column, bits) in columns {
        match packed.last_mut() {
            Some((words, used)) if *used + bits <= 64 && bits < 64 => {
                for (word, value) in words.iter_mut().zip(&column) {
                    *word = (*word << bits) | value;
                }
                *used += bits;
            }
            _ => packed.push((column, bits)),
        }
    }
    packed.into_iter().map(|(words, _)| words).collect()
}

/// Row numbers as an index array.
pub(crate) fn indices(rows: Vec<u32>) -> UInt32Array {
    UInt32Array::from(rows)
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn a_key_has_the_same_bytes_in_whatever_texts_it_comes() {
        let texts = [Some("a"), None, Some(""), Some("a name that is longer than a view holds"), Some("ö")];
        let plain: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let encoder = KeyEncoder { names: vec!["name".to_owned()], kinds: vec![DataType::Utf8] };
        let bytes = |column: ArrayRef| -> Vec<Vec<u8>> {
            let schema = Schema::new(vec![Field::new("name", column.data_type().clone(), true)]);
            let batch = RecordBatch::try_new(Arc::new(schema), vec![column]).expect("one column");
            let rows = encoder.encode(&batch).expect("keys");
            rows.iter().map(|row| row.as_ref().to_vec()).collect()
        };
        let names: DictionaryArray<Int32Type> = texts.into_iter().collect();
        let expected = bytes(plain.clone());
        assert_eq!(bytes(cast(&plain, &DataType::Utf8View).expect("views")), expected);
        assert_eq!(bytes(Arc::new(names)), expected);
    }
}
