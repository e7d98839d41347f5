//! Bounds on the key columns of hot rows.

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use storage::{StoreError, TableSpec};

use crate::reach::{Reach, Texts};

/// Bounds on key columns, as the hot buffer can check them before it sorts.
pub(crate) struct KeyFilter<'a> {
    texts: Vec<(&'a str, &'a Texts)>,
    times: Vec<(&'a str, (i64, i64))>,
}

impl<'a> KeyFilter<'a> {
    pub(crate) fn of(spec: &'a TableSpec, reach: &'a Reach) -> Self {
        let (mut texts, mut times) = (Vec::new(), Vec::new());
        for name in spec.key.iter().map(|&index| spec.schema.field(index).name().as_str()) {
            texts.extend(reach.texts(name).map(|bounds| (name, bounds)));
            let span = reach.times(name);
            if span != (i64::MIN, i64::MAX) {
                times.push((name, span));
            }
        }
        Self { texts, times }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.times.is_empty()
    }

    pub(crate) fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, StoreError> {
        let mut keep = vec![true; batch.num_rows()];
        for (name, (from, to)) in &self.times {
            if let Some(column) = batch.column_by_name(name) {
                let times = cast(column, &DataType::Int64)?;
                let times = times.as_primitive::<Int64Type>();
                for (keep, time) in keep.iter_mut().zip(times) {
                    *keep &= time.is_some_and(|time| *from <= time && time <= *to);
                }
            }
        }
        for (name, bounds) in &self.texts {
            if let Some(column) = batch.column_by_name(name) {
                keep_texts(column, bounds, &mut keep)?;
            }
        }
        Ok(keep.into())
    }
}

/// Names are judged once per distinct value.
fn keep_texts(column: &ArrayRef, bounds: &Texts, keep: &mut [bool]) -> Result<(), StoreError> {
    let names = cast(column, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))?;
    let names = names.as_dictionary::<Int32Type>();
    let meets: Vec<bool> = names
        .values()
        .as_string::<i32>()
        .iter()
        .map(|value| value.is_some_and(|value| bounds.meets(value, value)))
        .collect();
    for (keep, key) in keep.iter_mut().zip(names.keys()) {
        let key = key.and_then(|key| usize::try_from(key).ok());
        *keep &= key.and_then(|key| meets.get(key)).copied().unwrap_or(false);
    }
    Ok(())
}
