//! Keys of rows: as sortable ranks for sorting, as bytes for look-ups.

mod columns;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, MutableArrayData, RecordBatchOptions, UInt32Array, make_array,
    new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};

use crate::StoreError;
use crate::spec::TableSpec;
pub(crate) use columns::{Key, KeyColumns};

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
    keys: HashSet<Box<[u8]>, RandomState>,
    /// Earliest and latest time among the keys, where the key holds a time.
    span: Option<(i64, i64)>,
}

impl KeySet {
    /// An empty set of keys of `spec`.
    pub fn new(spec: &TableSpec) -> Self {
        let time = spec.time.map(|index| spec.schema.field(index).name().clone());
        Self { encoder: KeyEncoder::new(spec), time, keys: HashSet::default(), span: None }
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

/// Of fewer rows than this, as many series may be counted out.
const MOST_COUNTED: usize = 1 << 12;
/// Rows that follow one another this often, on average, are copied as stretches.
const STRETCH: usize = 8;

/// Row numbers of a batch in key order, equal keys in their given order.
pub(crate) struct KeyOrder {
    pub(crate) rows: Vec<u32>,
    /// Where a row has the key of the one before it: places in `rows`, in order.
    repeated: Vec<usize>,
}

impl KeyOrder {
    /// Sorts by rank: names are ranked once per distinct value, so the sort itself compares integers only. Rows of few
    /// series are counted out into their series, where they mostly are in order of time already.
    pub(crate) fn of(batch: &RecordBatch, key: &[usize]) -> Result<Self, StoreError> {
        let packed = pack(key.iter().map(|&index| ranks(batch.column(index))).collect::<Result<_, _>>()?);
        let count =
            u32::try_from(batch.num_rows()).map_err(|_| StoreError::Invalid("more than 4 G rows at once".into()))?;
        if let [series, times] = packed.as_slice()
            && let Some(counted) = counted_out(series)
        {
            return Ok(counted.sorted_by(times));
        }
        let mut rows: Vec<u32> = (0..count).collect();
        let at = |column: &[u64], row: u32| column.get(row as usize).copied().unwrap_or_default();
        let compare = |x: u32, y: u32| {
            let orders = packed.iter().map(|column| at(column, x).cmp(&at(column, y)));
            orders.fold(Ordering::Equal, Ordering::then)
        };
        match packed.as_slice() {
            [a] => rows.sort_by_key(|&row| at(a, row)),
            [a, b] => {
                let mut keyed: Vec<(u64, u64, u32)> = rows.iter().map(|&row| (at(a, row), at(b, row), row)).collect();
                keyed.sort_unstable();
                rows = keyed.iter().map(|entry| entry.2).collect();
            }
            _ => rows.sort_by(|&x, &y| compare(x, y)),
        }
        let is_repeated = |&(_, pair): &(usize, &[u32])| matches!(pair, [x, y] if compare(*x, *y).is_eq());
        let repeated = rows.windows(2).enumerate().filter(is_repeated).map(|(place, _)| place + 1).collect();
        Ok(Self { rows, repeated })
    }

    /// Whether no two rows have the same key.
    pub(crate) fn is_unique(&self) -> bool {
        self.repeated.is_empty()
    }

    /// The rows of each key.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[u32]> {
        let (mut repeated, mut start) = (self.repeated.iter().peekable(), 0);
        std::iter::from_fn(move || {
            let mut end = start + 1;
            while repeated.next_if_eq(&&end).is_some() {
                end += 1;
            }
            let run = self.rows.get(start..end)?;
            start = end;
            Some(run)
        })
    }
}

/// Row numbers by one value of each, equal values in their given order.
struct Counted {
    rows: Vec<u32>,
    /// Where the rows of each value end.
    ends: Vec<u32>,
}

/// Rows counted out by `values`, where those are few and small numbers.
fn counted_out(values: &[u64]) -> Option<Counted> {
    let highest = usize::try_from(values.iter().max().copied()?).ok()?;
    if highest >= values.len().max(MOST_COUNTED) {
        return None;
    }
    // The next free place of each value: at first where its rows begin.
    let mut places = vec![0_u32; highest + 2];
    let place_of = |value: u64| usize::try_from(value).unwrap_or(highest);
    for &value in values {
        if let Some(count) = places.get_mut(place_of(value) + 1) {
            *count += 1;
        }
    }
    let mut begin = 0;
    for place in &mut places {
        begin += *place;
        *place = begin;
    }
    let mut rows = vec![0_u32; values.len()];
    for (row, &value) in (0_u32..).zip(values) {
        if let Some(place) = places.get_mut(place_of(value)) {
            if let Some(slot) = rows.get_mut(*place as usize) {
                *slot = row;
            }
            *place += 1;
        }
    }
    places.pop();
    Some(Counted { rows, ends: places })
}

impl Counted {
    /// All rows, those of one value sorted by `second`, where they are not yet.
    fn sorted_by(mut self, second: &[u64]) -> KeyOrder {
        let at = |row: &u32| second.get(*row as usize).copied().unwrap_or_default();
        let (mut start, mut repeated) = (0, Vec::new());
        for end in self.ends {
            let end = end as usize;
            let Some(rows) = self.rows.get_mut(start..end) else { break };
            if !rows.is_sorted_by_key(at) {
                rows.sort_by_key(at);
            }
            let mut before = None;
            for (place, row) in (start..).zip(rows.iter()) {
                let value = Some(at(row));
                if value == before {
                    repeated.push(place);
                }
                before = value;
            }
            start = end;
        }
        KeyOrder { rows: self.rows, repeated }
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

/// The rows at which the values of `columns` are others than in the row before: the first row is one of them.
///
/// # Errors
/// [`StoreError::Invalid`] where a column is no text.
pub(crate) fn begins(columns: &[ArrayRef]) -> Result<Vec<usize>, StoreError> {
    let mut found = vec![0];
    for column in columns {
        if let Some(names) = column.as_dictionary_opt::<Int32Type>() {
            let texts = names.values().as_string_opt::<i32>().ok_or_else(|| no_text(column))?;
            let text = |row: usize| names.key(row).map(|key| texts.value(key));
            // Names that were put together from several places can stand there twice, so numbers only tell where to look.
            let keys = names.keys().values();
            let may_differ = |&row: &usize| names.null_count() > 0 || keys.get(row - 1) != keys.get(row);
            found.extend((1..names.len()).filter(may_differ).filter(|&row| text(row - 1) != text(row)));
        } else {
            let texts = cast(column, &DataType::Utf8)?;
            let texts = texts.as_string_opt::<i32>().ok_or_else(|| no_text(column))?;
            let text = |row: usize| texts.is_valid(row).then(|| texts.value(row));
            found.extend((1..texts.len()).filter(|&row| text(row - 1) != text(row)));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn no_text(column: &ArrayRef) -> StoreError {
    StoreError::Invalid(format!("a part of a key is a {} and no text", column.data_type()))
}

/// The rows of a batch with these numbers.
pub(crate) fn pick(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch, StoreError> {
    let stretches = stretches(&rows);
    if let [whole] = stretches.as_slice() {
        return Ok(batch.slice(whole.start, whole.len()));
    }
    let count = rows.len();
    let indices = UInt32Array::from(rows);
    let columns = batch.columns().iter().map(|column| -> Result<ArrayRef, StoreError> {
        if column.null_count() == column.len() {
            return Ok(new_null_array(column.data_type(), count));
        }
        if stretches.len() * STRETCH > count {
            return Ok(take(column, &indices, None)?);
        }
        let data = column.to_data();
        let mut picked = MutableArrayData::new(vec![&data], false, count);
        for stretch in &stretches {
            picked.try_extend(0, stretch.start, stretch.end)?;
        }
        Ok(make_array(picked.freeze()))
    });
    let columns = columns.collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new_with_options(
        batch.schema(),
        columns,
        &RecordBatchOptions::new().with_row_count(Some(count)),
    )?)
}

/// Rows that follow one another.
fn stretches(rows: &[u32]) -> Vec<Range<usize>> {
    let follows = |one: &u32, next: &u32| one.checked_add(1) == Some(*next);
    rows.chunk_by(follows).filter_map(|run| Some(*run.first()? as usize..*run.last()? as usize + 1)).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::compute::take_record_batch;
    use arrow::datatypes::{Field, Schema};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

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

    /// Rows of some signals in no order, NULL among their names and times.
    fn random_rows(random: &mut StdRng, count: usize, series: usize) -> RecordBatch {
        let name =
            |random: &mut StdRng| random.random_bool(0.9).then(|| format!("s{}", random.random_range(0..series)));
        let names: DictionaryArray<Int32Type> =
            (0..count).map(|_| name(random)).collect::<Vec<_>>().iter().map(Option::as_deref).collect();
        let mut now = 0;
        let times = (0..count).map(|_| {
            // Mostly onwards, as sources send; sometimes again the same, or late.
            now += if random.random_bool(0.8) { random.random_range(0..3) } else { -random.random_range(0..9) };
            random.random_bool(0.95).then_some(now)
        });
        let times: TimestampMicrosecondArray = times.collect();
        let text: StringArray = (0..count).map(|row| (row % 3 == 0).then(|| row.to_string())).collect();
        let empty = new_null_array(&DataType::Float64, count);
        let numbers = Int64Array::from_iter_values(0..i64::try_from(count).expect("few"));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("name", Arc::new(names)),
            ("time", Arc::new(times)),
            ("text", Arc::new(text)),
            ("empty", empty),
            ("number", Arc::new(numbers)),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    #[test]
    fn rows_are_in_the_order_of_a_stable_sort() {
        let mut random = StdRng::seed_from_u64(7);
        for (count, series) in [(0, 1), (1, 1), (50, 3), (600, 400), (6_000, 20), (9_000, 20_000)] {
            let rows = random_rows(&mut random, count, series);
            let order = KeyOrder::of(&rows, &[0, 1]).expect("an order");
            let names = cast(rows.column(0), &DataType::Utf8).expect("texts");
            let (names, times) = (names.as_string::<i32>(), rows.column(1).as_primitive::<TimestampMicrosecondType>());
            let key = |row: u32| {
                let row = row as usize;
                (names.is_valid(row).then(|| names.value(row)), times.is_valid(row).then(|| times.value(row)))
            };
            let mut expected: Vec<u32> = (0..u32::try_from(count).expect("few")).collect();
            expected.sort_by(|one, other| key(*one).cmp(&key(*other)));
            assert_eq!(order.rows, expected, "{count} rows of {series} signals");
            let runs: Vec<Vec<u32>> = order.runs().map(<[u32]>::to_vec).collect();
            let expected: Vec<Vec<u32>> =
                expected.chunk_by(|one, next| key(*one) == key(*next)).map(<[u32]>::to_vec).collect();
            assert_eq!(runs, expected, "{count} rows of {series} signals");
        }
    }

    #[test]
    fn keys_compare_as_a_stable_sort_has_them() {
        let mut random = StdRng::seed_from_u64(17);
        let rows = random_rows(&mut random, 300, 7);
        let order = KeyOrder::of(&rows, &[0, 1, 2]).expect("an order");
        let columns = KeyColumns::of(&rows, &[0, 1, 2]).expect("key columns");
        let keys: Vec<Key> = order.rows.iter().map(|row| columns.at(*row as usize)).collect();
        assert!(keys.is_sorted());
        for (row, key) in order.rows.iter().zip(&keys) {
            for (other, at) in order.rows.iter().zip(&keys) {
                assert_eq!(columns.compare(*row as usize, at), key.cmp(at), "{row} and {other}");
            }
        }
        let equal = keys.iter().zip(keys.iter().skip(1)).filter(|(one, next)| one == next).count();
        assert_eq!(equal, order.repeated.len());
    }

    #[test]
    fn picked_rows_are_those_of_their_numbers() {
        let mut random = StdRng::seed_from_u64(11);
        let rows = random_rows(&mut random, 500, 9);
        let part = rows.slice(100, 300);
        let all: Vec<u32> = (0..300).collect();
        let single: Vec<u32> = (0..200).map(|_| random.random_range(0..300)).collect();
        let long: Vec<u32> = [200..290, 10..60, 150..299].into_iter().flatten().collect();
        for numbers in [all, single, long, vec![299, 0], vec![7], Vec::new()] {
            let expected = take_record_batch(&part, &UInt32Array::from(numbers.clone())).expect("rows");
            let picked = pick(&part, numbers.clone()).expect("rows");
            assert_eq!(picked.schema(), part.schema());
            assert_eq!(picked, expected, "{numbers:?}");
        }
    }

    #[test]
    fn a_run_begins_where_a_text_differs_and_not_where_it_only_has_another_number() {
        let mut random = StdRng::seed_from_u64(5);
        for _ in 0..200 {
            // The same few texts several times, as in dictionaries that were put together.
            let values = StringArray::from_iter_values((0..6).map(|place| format!("s{}", place % 3)));
            let keys = (0..40).map(|_| random.random_bool(0.8).then(|| random.random_range(0..6)));
            let names = DictionaryArray::new(keys.collect::<Int32Array>(), Arc::new(values));
            let other: StringArray =
                (0..40).map(|row| (row < 30).then_some(if row < 20 { "a" } else { "b" })).collect();
            let columns: [ArrayRef; 2] = [Arc::new(names), Arc::new(other)];
            let shown: Vec<ArrayRef> =
                columns.iter().map(|column| cast(column, &DataType::Utf8).expect("texts")).collect();
            let key = |row: usize| {
                let text = |column: &ArrayRef| {
                    let column = column.as_string::<i32>();
                    column.is_valid(row).then(|| column.value(row).to_owned())
                };
                shown.iter().map(text).collect::<Vec<_>>()
            };
            let expected: Vec<usize> = (0..40).filter(|&row| row == 0 || key(row) != key(row - 1)).collect();
            assert_eq!(begins(&columns).expect("texts"), expected);
        }
    }
}
