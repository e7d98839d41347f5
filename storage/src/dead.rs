//! Keys whose rows in older segments are superseded: what the history says, in the form that a scan needs.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;

use crate::StoreError;
use crate::keys::{KeySet, pick};
use crate::segment::{Segment, damaged, day_of};
use crate::spec::{SUPERSEDED, TableSpec};

/// Keys of one day whose rows in segments of a lower sequence are superseded; of all times where keys hold none.
#[derive(Debug)]
pub(crate) struct Dead {
    pub(crate) sequence: u64,
    pub(crate) keys: Arc<KeySet>,
    day: i64,
}

impl Dead {
    /// The keys of `rows`, whose rows in segments before `sequence` are superseded.
    pub(crate) fn of(spec: &TableSpec, rows: &RecordBatch, sequence: u64) -> Result<Vec<Arc<Self>>, StoreError> {
        let mut by_day: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        let name = spec.time.map(|index| spec.schema.field(index).name());
        let times = name.and_then(|name| rows.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>());
        for row in 0..rows.num_rows() {
            // A key without a time may lie in segments of any day.
            let day = times.map_or(0, |times| if times.is_valid(row) { day_of(times.value(row)) } else { i64::MIN });
            by_day.entry(day).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        let dead = by_day.into_iter().map(|(day, of_day)| {
            let mut keys = KeySet::new(spec);
            keys.extend(&pick(rows, of_day)?)?;
            Ok(Arc::new(Self { sequence, keys: Arc::new(keys), day }))
        });
        dead.collect()
    }

    /// Whether it may hide rows of a segment.
    pub(crate) fn hides_in(&self, segment: &Segment) -> bool {
        self.sequence > segment.sequence && segment.meets(self.keys.span())
    }

    /// What a history segment says of `segments`, which are in the order of their sequences; of its rows, those that were
    /// superseded within `times`, microseconds UTC.
    ///
    /// A row was superseded in every segment that was recorded before it was: so a history segment may span many flushes.
    pub(crate) fn read(
        spec: &TableSpec,
        history_spec: &TableSpec,
        history: &Segment,
        segments: &[Arc<Segment>],
        times: &impl RangeBounds<i64>,
    ) -> Result<Vec<Arc<Self>>, StoreError> {
        let rows = history.read_named(history_spec.key_names())?;
        let mut by_reach: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, time) in (0..).zip(superseded(history, &rows)?).filter(|(_, time)| times.contains(*time)) {
            let reach = segments.partition_point(|segment| segment.recorded_through < *time);
            by_reach.entry(reach).or_default().push(row);
        }
        let mut dead = Vec::new();
        for (reach, reached) in by_reach {
            // What no segment is older than hides nothing any more.
            let Some(newest) = reach.checked_sub(1).and_then(|place| segments.get(place)) else { continue };
            dead.extend(Self::of(spec, &pick(&rows, reached)?, newest.sequence + 1)?);
        }
        Ok(dead)
    }

    /// The same for these `segments`, in the order of their sequences, in few sets: those of a day that reach as far are
    /// one, and where no older segment is of that day they are gone.
    pub(crate) fn settle(spec: &TableSpec, segments: &[Arc<Segment>], dead: &[Arc<Self>]) -> Vec<Arc<Self>> {
        let mut alike: BTreeMap<(i64, usize), Vec<&Arc<Self>>> = BTreeMap::new();
        for dead in dead {
            let reach = segments.partition_point(|segment| segment.sequence < dead.sequence);
            if segments.iter().take(reach).any(|segment| segment.meets(dead.keys.span())) {
                alike.entry((dead.day, reach)).or_default().push(dead);
            }
        }
        let joined = alike.into_iter().map(|((day, _), alike)| match alike.as_slice() {
            [only] => Arc::clone(only),
            alike => {
                let keys: Vec<Arc<KeySet>> = alike.iter().map(|dead| Arc::clone(&dead.keys)).collect();
                let sequence = alike.iter().map(|dead| dead.sequence).max().unwrap_or_default();
                Arc::new(Self { sequence, keys: Arc::new(KeySet::union(spec, &keys)), day })
            }
        });
        joined.collect()
    }
}

/// When each row of a history was superseded, microseconds UTC.
fn superseded<'a>(history: &Segment, rows: &'a RecordBatch) -> Result<&'a [i64], StoreError> {
    let column = rows.column_by_name(SUPERSEDED).filter(|column| column.null_count() == 0);
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    Ok(times.ok_or_else(|| damaged(&history.path, &"a row does not say when it was superseded"))?.values())
}
