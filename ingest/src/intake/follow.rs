//! Who follows what becomes durable.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use oee::tables::SAMPLES;
use storage::{Receipt, Write};
use tokio::sync::broadcast;

use crate::schema::table_index;

/// Writes that a follower may be behind.
const BEHIND: usize = 8_192;

/// A durable write.
#[derive(Debug)]
pub struct Committed {
    /// Its place in the log.
    pub position: u64,
    /// Samples as they came, and the rows of record tables as they are now; each with the place of its table.
    pub rows: Vec<(usize, RecordBatch)>,
}

/// Those who follow.
#[derive(Debug)]
pub(super) struct Followers {
    sender: broadcast::Sender<Arc<Committed>>,
    samples: Option<usize>,
}

impl Default for Followers {
    fn default() -> Self {
        Self { sender: broadcast::channel(BEHIND).0, samples: table_index(SAMPLES.name) }
    }
}

impl Followers {
    pub(super) fn follow(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.sender.subscribe()
    }

    /// The samples of a write, where anybody wants to know.
    pub(super) fn samples_of(&self, write: &Write) -> Option<(usize, RecordBatch)> {
        if self.sender.receiver_count() == 0 {
            return None;
        }
        let samples = write.rows.iter().find(|rows| Some(rows.table) == self.samples)?;
        Some((samples.table, samples.batch.clone()))
    }

    /// Tells of a write. Called in the order of the log.
    pub(super) fn tell(&self, samples: Option<(usize, RecordBatch)>, receipt: &Receipt) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let rows: Vec<(usize, RecordBatch)> = samples.into_iter().chain(receipt.records.iter().cloned()).collect();
        // Nobody may have begun, or ceased, to follow meanwhile.
        drop(self.sender.send(Arc::new(Committed { position: receipt.position, rows })));
    }
}
