//! How long messages take, by stage.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// A stretch of a message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From received (its socket read, or the arrival of its request) until it was decoded, admitted and handed to the
    /// store, waiting for the byte budget included.
    Admitted,
    /// From handed to the store until fsynced and visible to queries, which the store reports at once.
    Durable,
    /// From received until queryable: the whole way before the acknowledgement.
    Queryable,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 3] = [Self::Admitted, Self::Durable, Self::Queryable];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "received_to_admitted",
            Self::Durable => "admitted_to_durable",
            Self::Queryable => "received_to_queryable",
        }
    }
}

/// Histograms of microseconds by stage, counted per message.
#[derive(Debug)]
pub struct Latency {
    stages: Mutex<[Histogram<u64>; 3]>,
}

/// The longest latency told apart from longer ones: ten minutes.
const HIGHEST_US: u64 = 600_000_000;

impl Latency {
    pub(crate) fn new() -> Self {
        Self { stages: Mutex::new([histogram(), histogram(), histogram()]) }
    }

    /// A copy of a stage's histogram, in microseconds.
    pub fn stage(&self, stage: Stage) -> Histogram<u64> {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let [admitted, durable, queryable] = &*stages;
        match stage {
            Stage::Admitted => admitted.clone(),
            Stage::Durable => durable.clone(),
            Stage::Queryable => queryable.clone(),
        }
    }

    /// Records a batch of `messages`.
    pub(crate) fn record(&self, messages: u64, received: Instant, admitted: Instant, queryable: Instant) {
        let spans = [admitted - received, queryable - admitted, queryable - received];
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        for (histogram, span) in stages.iter_mut().zip(spans) {
            histogram.saturating_record_n(micros(span), messages);
        }
        drop(stages);
        for (stage, span) in Stage::ALL.into_iter().zip(spans) {
            metrics::histogram!("takt_ingest_seconds", "stage" => stage.as_str()).record(span.as_secs_f64());
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(HIGHEST_US).clamp(1, HIGHEST_US)
}

#[expect(clippy::expect_used, reason = "the bounds are constants, and valid")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(HIGHEST_US, 3).expect("1 µs to ten minutes with three digits is a valid range")
}
