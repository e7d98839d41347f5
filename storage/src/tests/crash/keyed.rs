//! Samples with a derived column. What a segment says its rows are derived from, they must be, whatever goes wrong between
//! the two: a query derives afresh only what changed since.

use arrow::compute::cast;

use super::super::*;
use super::expected::Ledger;
use crate::spec::Derived;
use crate::{Segment, Transform};

/// What a payload says of the key itself, of this equipment.
const EXPLICIT: &str = "explicit";
const SAYS_ITSELF: &str = "b";

/// Samples with their key, and where it comes from.
pub(super) fn samples() -> TableSpec {
    let spec = super::super::samples();
    let mut fields: Vec<Field> = spec.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let key = fields.len();
    fields.extend(["key", "key_source"].map(|name| Field::new(name, DataType::Utf8, true)));
    let names = [spec.names, vec![key, key + 1]].concat();
    let derived = Some(Derived { columns: vec![key], source: key + 1, explicit: EXPLICIT });
    TableSpec { schema: Arc::new(Schema::new(fields)), names, derived, ..spec }
}

pub(super) fn rows(told: &[(i64, &str, f64)]) -> Rows {
    let said = |value: &'static str| -> ArrayRef {
        names(&told.iter().map(|row| (row.1 == SAYS_ITSELF).then_some(value)).collect::<Vec<_>>())
    };
    let Rows { batch, .. } = sample_rows(told);
    let columns = [batch.columns().to_vec(), vec![said("said"), said(EXPLICIT)]].concat();
    Rows { batch: RecordBatch::try_new(samples().memory_schema(), columns).unwrap(), ..sample_rows(told) }
}

/// Derives of each row how many changes there had been.
pub(super) struct Keyer(pub(super) Ledger);

impl Transform for Keyer {
    fn apply(&self, _table: usize, batch: RecordBatch) -> Result<RecordBatch, StoreError> {
        let Some(place) = batch.schema().index_of("key").ok() else { return Ok(batch) };
        let (keys, known) = (keys(&batch), self.0.lock().changes.to_string());
        let derived = |explicit: &str, value: &str| -> StringArray {
            let of = |(key, source): &(Option<String>, Option<String>)| match source.as_deref() {
                Some(EXPLICIT) if explicit.is_empty() => key.clone(),
                Some(EXPLICIT) => Some(explicit.to_owned()),
                _ => Some(value.to_owned()),
            };
            keys.iter().map(of).collect()
        };
        let mut columns = batch.columns().to_vec();
        for (place, values) in [(place, derived("", &known)), (place + 1, derived(EXPLICIT, "derived"))] {
            columns[place] = cast(&values, batch.schema().field(place).data_type())?;
        }
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    }

    fn watermark(&self) -> i64 {
        self.0.lock().changes
    }
}

/// Key and source of each row.
fn keys(batch: &RecordBatch) -> Vec<(Option<String>, Option<String>)> {
    let texts = |name: &str| -> Vec<Option<String>> {
        let column = cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    };
    texts("key").into_iter().zip(texts("key_source")).collect()
}

/// Whether the rows of all segments are derived from what the segments say, and what payloads said stands.
pub(super) fn check(store: &Store, changes: i64) -> Result<(), String> {
    segments(store).iter().try_for_each(|segment| {
        let rows = segment.read().unwrap();
        let equipment = cast(rows.column_by_name("equipment").unwrap(), &DataType::Utf8).unwrap();
        let equipment = equipment.as_string::<i32>();
        keys(&rows).into_iter().enumerate().try_for_each(|(row, (key, source))| {
            let (said, through) = (equipment.value(row) == SAYS_ITSELF, segment.keyed_through);
            let number = key.as_deref().and_then(|key| key.parse::<i64>().ok());
            let holds = match source.as_deref() {
                Some(EXPLICIT) => said && key.as_deref() == Some("said"),
                Some(_) => !said && number.is_some_and(|known| through <= known && known <= changes),
                // Flushed before anything could be derived: then it is said so.
                None => !said && key.is_none() && through == i64::MIN,
            };
            let path = segment.path.display();
            if holds {
                Ok(())
            } else {
                Err(format!("{path}, row {row}: {key:?} {source:?}, derived through {through}"))
            }
        })
    })
}

/// Whether all rows are derived from all changes, as they are once all is merged.
pub(super) fn is_up_to_date(store: &Store, changes: i64) -> Result<(), String> {
    match segments(store).iter().find(|segment| segment.keyed_through < changes) {
        Some(segment) => Err(format!("{} is not derived afresh", segment.path.display())),
        None => Ok(()),
    }
}

fn segments(store: &Store) -> Vec<Arc<Segment>> {
    let snapshot = store.snapshot();
    store.table("samples").map(|table| snapshot.tables[table].segments.clone()).unwrap_or_default()
}
