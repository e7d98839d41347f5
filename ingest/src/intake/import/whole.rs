//! Rows of which none has to be looked at by itself: their columns are taken as they are, and a name is looked at once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, StringArray};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use super::{column, spoilt};
use crate::intake::Intake;
use crate::sample::GOOD;
use crate::schema::{DERIVED, EXPLICIT};

/// Names of rows, each of them once.
type Names = DictionaryArray<Int32Type>;

/// The rows as columns of `schema`, which are those of `samples`; `None` where one of them may have to be refused, or says
/// what only a look at it tells.
pub(super) fn whole(intake: &Intake, rows: &RecordBatch, schema: &SchemaRef, now: i64) -> Option<RecordBatch> {
    let kept =
        |name: &str, kind: &DataType| column(rows, name, kind).ok().filter(|read| spoilt(rows, name, read).is_none());
    let time = kept("time", &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
    let times = time.as_primitive::<TimestampMicrosecondType>();
    let (first, last) = (min(times)?, max(times)?);
    intake.window.check(first, now).and_then(|()| intake.window.check(last, now)).ok()?;
    intake.window.check_kept(oee::tables::SAMPLES.name, first, || now).ok()?;

    let [equipment, signal, work_order, operation, unit, key_source] =
        ["equipment", "signal", "work_order", "operation", "unit", "key_source"].map(|name| names(rows, name));
    let (equipment, signal) = (equipment?, signal?);
    let of_all = times.null_count() == 0 && equipment.null_count() == 0 && signal.null_count() == 0;
    let is_known = |path: Option<&str>| path.is_some_and(|path| intake.plant.equipment(path).is_some());
    let is_derived = |source: Option<&str>| source == Some(DERIVED);
    if !of_all || !texts(&equipment).iter().all(is_known) || texts(&key_source?).iter().any(is_derived) {
        return None;
    }
    let value = kept("value", &DataType::Float64)?;
    if !value.as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite) {
        return None;
    }
    let quality = kept("quality", &DataType::Int64)?;
    let codes = quality.as_primitive::<Int64Type>();
    let quality: ArrayRef = match codes.null_count() {
        0 => quality,
        _ => Arc::new(codes.iter().map(|code| code.unwrap_or(GOOD)).collect::<Int64Array>()),
    };
    let keys = [work_order?, operation?, unit?];
    let named = |row: usize| keys.iter().any(|names| names.is_valid(row)).then_some(0);
    let sources = StringArray::from(vec![EXPLICIT]);
    let key_source = Names::try_new((0..rows.num_rows()).map(named).collect::<Int32Array>(), Arc::new(sources)).ok()?;
    let [work_order, operation, unit] = keys;
    let columns: Vec<ArrayRef> = vec![
        time,
        Arc::new(equipment),
        Arc::new(signal),
        value,
        kept("text", &DataType::Utf8)?,
        quality,
        Arc::new(work_order),
        Arc::new(operation),
        Arc::new(unit),
        Arc::new(key_source),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).ok()
}

/// A column as names; none where an empty one is among them, or one comes twice, or there are more of them than rows.
fn names(rows: &RecordBatch, name: &str) -> Option<Names> {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let names = column(rows, name, &kind).ok()?;
    let names = names.as_dictionary_opt::<Int32Type>()?.clone();
    let known = texts(&names);
    let mut seen = HashSet::with_capacity(known.len());
    let is_plain = |name: Option<&'_ str>| name.is_some_and(|name| !name.is_empty());
    let few = known.len() <= rows.num_rows().max(1);
    (few && known.iter().all(|name| is_plain(name) && seen.insert(name))).then(|| names.clone())
}

fn texts(names: &Names) -> &StringArray {
    names.values().as_string::<i32>()
}
