//! The recorder of metrics: one for the process, however many servers it runs.

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of the buckets of everything that ends in `_seconds`.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The recorder is global to the process by the design of the `metrics` crate.
static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// What has been counted and timed, ready to be shown; starts to count with the first call.
pub(super) fn recorder() -> Result<PrometheusHandle, BuildError> {
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*recorder {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    *recorder = Some(handle.clone());
    Ok(handle)
}
