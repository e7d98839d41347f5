//! The store's health, backups and compaction, as the HTTP face asks for them.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use api::{Administer, Backup, BackupError, Readiness};
use storage::Store;

/// Files of the data folder beside the tables that a backup carries where they exist: users, and the plant as it was.
pub(crate) const COMPANIONS: [&str; 2] = ["users.toml", "plant.toml"];

/// Answers for one store.
pub(super) struct Administration {
    store: Arc<Store>,
}

impl Administration {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl Administer for Administration {
    fn readiness(&self) -> Readiness {
        let health = self.store.health();
        // A full disk refuses writes but answers queries; what is refused now is told to whoever sends it.
        match health.poisoned.or(health.trouble) {
            Some(reason) => Readiness::NotReady(reason),
            None => Readiness::Ready,
        }
    }

    fn gauges(&self) -> Vec<(&'static str, f64)> {
        let health = self.store.health();
        let flag = |set: bool| f64::from(u8::from(set));
        vec![
            ("takt_store_hot_rows", health.hot_rows as f64),
            ("takt_store_hot_bytes", health.hot_bytes as f64),
            ("takt_store_wal_bytes", health.wal_bytes as f64),
            ("takt_store_segments", health.segments as f64),
            ("takt_store_corrections", health.corrections as f64),
            ("takt_store_thinned_rows", health.thinned_rows as f64),
            ("takt_store_joined_rows", health.joined_rows as f64),
            ("takt_store_logged_bytes", health.logged_bytes as f64),
            ("takt_store_flushed_bytes", health.flushed_bytes as f64),
            ("takt_store_joined_bytes", health.joined_bytes as f64),
            ("takt_store_expired_rows", health.expired_rows as f64),
            ("takt_store_expired_bytes", health.expired_bytes as f64),
            ("takt_store_expired_segments", health.expired_segments as f64),
            ("takt_store_cold_segments", health.cold_segments as f64),
            ("takt_store_cold_bytes", health.cold_bytes as f64),
            ("takt_store_tiering_failed", flag(health.tiering_trouble.is_some())),
            ("takt_store_position", health.position as f64),
            ("takt_store_full", flag(health.trouble.is_some())),
            ("takt_store_poisoned", flag(health.poisoned.is_some())),
        ]
    }

    fn backup(&self, to: &Path) -> Result<Backup, BackupError> {
        if !is_free(to).map_err(|error| BackupError::Target(format!("{}: {error}", to.display())))? {
            return Err(BackupError::Target(format!(
                "{} is not empty; name a folder that does not exist yet",
                to.display()
            )));
        }
        let report = self.store.backup(to, &COMPANIONS).map_err(|error| BackupError::Failed(error.to_string()))?;
        let files = u64::try_from(report.files).unwrap_or(u64::MAX);
        Ok(Backup { folder: to.to_owned(), files, bytes: report.bytes, damaged: report.damaged })
    }

    fn compact(&self) -> Result<u64, String> {
        self.store.compact().map_err(|error| error.to_string())
    }

    fn compaction(&self) -> (u64, u64) {
        self.store.health().compaction
    }
}

/// Whether a backup may be laid out there.
fn is_free(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
