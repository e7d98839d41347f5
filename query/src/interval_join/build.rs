//! The build side of a join, by key and time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::compute::{SortOptions, cast, sort_to_indices};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DataFusionError, JoinSide, Result, ScalarValue};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::HashMap;

use super::stretches::Stretches;
use super::{Bound, Condition};

/// What a row of the build side takes besides itself until it can be looked up, bytes, roughly: its bounds, twice.
pub(super) const ROW_BYTES: usize = 64;
/// What the stretches of a key take besides their rows, bytes, roughly.
const STRETCHES_BYTES: usize = 128;

/// Of each key the least and the greatest; none where there is nothing.
pub(super) type KeySpans = Option<Vec<(ScalarValue, ScalarValue)>>;

/// The build side, ready to be asked.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) rows: RecordBatch,
    pub(super) keys: RowConverter,
    pub(super) by_key: HashMap<Box<[u8]>, Stretches>,
    /// Where rows that nothing lies in stay: which are not such.
    pub(super) met: Option<Met>,
    _memory: MemoryReservation,
}

/// Which rows of the build side something was found to lie in.
#[derive(Debug)]
pub(super) struct Met {
    rows: Mutex<Vec<bool>>,
    /// So many parts of the probe side are still to be read.
    left: AtomicUsize,
}

impl Met {
    pub(super) fn note(&self, of_build: &UInt32Array) {
        let mut met = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for &row in of_build.values() {
            if let Some(met) = met.get_mut(row as usize) {
                *met = true;
            }
        }
    }

    /// A part of the probe side has ended: after the last one, the rows that nothing lies in.
    pub(super) fn ended(&self) -> Vec<u32> {
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Vec::new();
        }
        let met = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        met.iter().zip(0..).filter(|(met, _)| !**met).map(|(_, row)| row).collect()
    }
}

/// The values of some expressions.
pub(super) fn evaluated(of: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
    of.iter().map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows())).collect()
}

pub(super) fn key_spans(keys: &[ArrayRef]) -> Result<KeySpans> {
    let end = |values: &ArrayRef, descending| -> Result<Option<ScalarValue>> {
        let order = SortOptions { descending, nulls_first: false };
        let place = sort_to_indices(values, Some(order), Some(1))?;
        let place = place.iter().flatten().next().map(|place| place as usize);
        let value = place.map(|place| ScalarValue::try_from_array(values, place)).transpose()?;
        Ok(value.filter(|value| !value.is_null()))
    };
    keys.iter().map(|values| Ok(end(values, false)?.zip(end(values, true)?))).collect()
}

/// The moments of a bound's side, microseconds or whatever unit the column has.
pub(super) fn moments(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<Int64Array> {
    let values = expr.evaluate(rows)?.into_array(rows.num_rows())?;
    Ok(cast(&values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Whether a row has no NULL in any key: nothing equals that.
pub(super) fn has_key(keys: &[ArrayRef], row: usize) -> bool {
    keys.iter().all(|key| key.is_valid(row))
}

impl Built {
    /// `parts`: of how many the probe side is, where rows that nothing lies in stay.
    pub(super) fn new(
        rows: RecordBatch,
        keys: &[ArrayRef],
        condition: &Condition,
        parts: Option<usize>,
        memory: MemoryReservation,
    ) -> Result<Self> {
        if u32::try_from(rows.num_rows()).is_err() {
            let message = "a side of a join by time has more than 4 billion rows: narrow it by time or equipment";
            return Err(DataFusionError::ResourcesExhausted(message.to_owned()));
        }
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let named = converter.convert_columns(keys)?;
        let (froms, tos) = (moments(&condition.from.build, &rows)?, moments(&condition.to.build, &rows)?);
        let mut by_key: HashMap<Box<[u8]>, Vec<(i64, i64, u32)>> = HashMap::new();
        for (row, number) in (0..rows.num_rows()).zip(0..).filter(|(row, _)| has_key(keys, *row)) {
            let from = condition.from.first(froms.is_valid(row).then(|| froms.value(row)));
            let to = condition.to.last(tos.is_valid(row).then(|| tos.value(row)));
            let Some((from, to)) = from.zip(to) else { continue };
            let key = named.row(row);
            let key: &[u8] = key.as_ref();
            match by_key.get_mut(key) {
                Some(known) => known.push((from, to, number)),
                None => drop(by_key.insert(key.into(), vec![(from, to, number)])),
            }
        }
        let by_key: HashMap<Box<[u8]>, Stretches> =
            by_key.into_iter().map(|(key, all)| (key, Stretches::new(all))).collect();
        memory.try_grow(by_key.keys().map(|key| key.len() + STRETCHES_BYTES).sum())?;
        let met =
            parts.map(|parts| Met { rows: Mutex::new(vec![false; rows.num_rows()]), left: AtomicUsize::new(parts) });
        Ok(Self { rows, keys: converter, by_key, met, _memory: memory })
    }
}

impl Bound {
    /// The first moment that is not before it; none where nothing is within.
    fn first(&self, bound: Option<i64>) -> Option<i64> {
        match bound {
            Some(bound) if self.strict => bound.checked_add(1),
            None => (self.open == Some(JoinSide::Left)).then_some(i64::MIN),
            bound => bound,
        }
    }

    /// The moment of a row of the probe side; `free` where it has none and that is no bound.
    pub(super) fn asked(&self, moments: &Int64Array, row: usize, free: i64) -> Option<i64> {
        match moments.is_valid(row) {
            true => Some(moments.value(row)),
            false => (self.open == Some(JoinSide::Right)).then_some(free),
        }
    }

    /// The last moment that is not after it.
    fn last(&self, bound: Option<i64>) -> Option<i64> {
        match bound {
            Some(bound) if self.strict => bound.checked_sub(1),
            None => (self.open == Some(JoinSide::Left)).then_some(i64::MAX),
            bound => bound,
        }
    }
}
