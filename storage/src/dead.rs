//! Keys whose rows in older segments are superseded: what the history says, in the form that a scan needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;

use crate::StoreError;
use crate::keys::{KeySet, indices};
use crate::segment::Segment;
use crate::spec::{SUPERSEDED, TableSpec};

/// Keys whose rows in segments of a lower sequence are superseded.
#[derive(Debug)]
pub(crate) struct Dead {
    pub(crate) sequence: u64,
    pub(crate) keys: Arc<KeySet>,
}

impl Dead {
    /// What a history segment says of `segments`, which are in the order of their sequences.
    ///
    /// A row was superseded in every segment that was recorded before it was: so a history segment may span many flushes.
    pub(crate) fn read(
        spec: &TableSpec,
        history_spec: &TableSpec,
        history: &Segment,
        segments: &[Arc<Segment>],
    ) -> Result<Vec<Arc<Self>>, StoreError> {
        let rows = history.read_named(history_spec.key_names())?;
        let mut by_reach: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, reach) in (0..).zip(reaches(&rows, segments)) {
            by_reach.entry(reach).or_default().push(row);
        }
        let mut dead = Vec::new();
        for (reach, reached) in by_reach {
            // What no segment is older than hides nothing any more.
            let Some(newest) = reach.checked_sub(1).and_then(|place| segments.get(place)) else { continue };
            let mut keys = KeySet::new(spec);
            keys.extend(&take_record_batch(&rows, &indices(reached))?)?;
            dead.push(Arc::new(Self { sequence: newest.sequence + 1, keys: Arc::new(keys) }));
        }
        Ok(dead)
    }

    /// The same for these `segments`, in the order of their sequences, in few sets: those that reach as far are one, and
    /// what no segment is older than is gone.
    pub(crate) fn settle(spec: &TableSpec, segments: &[Arc<Segment>], dead: &[Arc<Self>]) -> Vec<Arc<Self>> {
        let mut by_reach: BTreeMap<usize, Vec<&Arc<Self>>> = BTreeMap::new();
        for dead in dead {
            let reach = segments.partition_point(|segment| segment.sequence < dead.sequence);
            by_reach.entry(reach).or_default().push(dead);
        }
        by_reach.remove(&0);
        let joined = by_reach.into_values().map(|alike| match alike.as_slice() {
            [only] => Arc::clone(only),
            alike => {
                let keys: Vec<Arc<KeySet>> = alike.iter().map(|dead| Arc::clone(&dead.keys)).collect();
                let sequence = alike.iter().map(|dead| dead.sequence).max().unwrap_or_default();
                Arc::new(Self { sequence, keys: Arc::new(KeySet::union(spec, &keys)) })
            }
        });
        joined.collect()
    }
}

/// For each row of a history: how many of `segments` were recorded before it was superseded.
fn reaches(rows: &RecordBatch, segments: &[Arc<Segment>]) -> Vec<usize> {
    let superseded = rows.column_by_name(SUPERSEDED);
    let Some(times) = superseded.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>()) else {
        return vec![segments.len(); rows.num_rows()];
    };
    let reach = |time: Option<i64>| {
        time.map_or(segments.len(), |time| segments.partition_point(|segment| segment.recorded_through < time))
    };
    times.iter().map(reach).collect()
}
