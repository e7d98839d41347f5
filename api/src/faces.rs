//! What every face needs of the server behind it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest::{Authenticate, Intake};
use metrics_exporter_prometheus::PrometheusHandle;
use oee::plant::Plant;
use query::Engine;
use tokio::runtime::Handle;
use tokio::sync::broadcast;

/// The server as HTTP and PostgreSQL clients reach it.
pub struct Faces {
    /// The only way out: SQL.
    pub engine: Arc<Engine>,
    /// The only way in: samples and records.
    pub intake: Arc<Intake>,
    /// The plant that is served.
    pub plant: Arc<Plant>,
    /// Who may connect.
    pub auth: Arc<dyn Authenticate>,
    /// Running the store: its health, backups and compaction.
    pub administration: Arc<dyn Administer>,
    /// Where queries run: away from network I/O, so that a heavy one delays no acknowledgement.
    pub queries: Handle,
    /// Violations of control charts, raised and withdrawn, as JSON: for whoever listens.
    pub violations: broadcast::Sender<Arc<str>>,
    /// What has been counted and timed, as Prometheus text.
    pub metrics: PrometheusHandle,
    /// Version of takt, as `/health` and PostgreSQL clients are told it.
    pub version: &'static str,
}

/// What an operator does to the store. The root package hands it in, for this crate does not know the store.
pub trait Administer: Send + Sync {
    /// Whether the store takes writes and answers queries. Asked often: must be quick.
    fn readiness(&self) -> Readiness;

    /// Figures of the store for `/metrics`: name and value. Must be quick.
    fn gauges(&self) -> Vec<(&'static str, f64)>;

    /// Copies a consistent state of the running store into `to`, a folder of the server's machine that does not
    /// exist yet or is empty. Blocks for as long as the copy takes; called off the reactor.
    fn backup(&self, to: &Path) -> Result<Backup, BackupError>;

    /// Merges all segments, so that the plain files hold what queries show now, and says how many rows that took. Blocks
    /// for as long as it takes; called off the reactor.
    ///
    /// # Errors
    /// Why it broke off, for a person. What was merged before stays merged.
    fn compact(&self) -> Result<u64, String>;

    /// Rows that the present compaction has merged, and of how many. Must be quick.
    fn compaction(&self) -> (u64, u64);
}

/// Whether the server can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Recovered and healthy.
    Ready,
    /// Not, and why, for a person.
    NotReady(String),
}

/// A backup that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it lies.
    pub folder: PathBuf,
    /// Files in it.
    pub files: u64,
    /// Their size together, bytes.
    pub bytes: u64,
    /// Those of them that were damaged before they were copied, relative to the folder.
    pub damaged: Vec<String>,
}

/// Why a backup was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder cannot take a backup; the caller names another one.
    #[error("{0}")]
    Target(String),
    /// The copy failed.
    #[error("the backup failed: {0}")]
    Failed(String),
}
