//! What can go wrong, told so that the caller knows whether to try again.

use std::path::PathBuf;

/// An error of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// An fsync failed: what the disk holds is unknown, so nothing more is acknowledged. Restart takt; it repairs the
    /// log from what can be read back.
    #[error("the disk refused an fsync ({0}); nothing is acknowledged until takt is restarted, check the disk first")]
    Poisoned(String),
    /// The disk is full. Nothing of this write was kept; the same write may succeed later.
    #[error("the disk is full ({0}); free some space, takt goes on by itself")]
    Full(String),
    /// Rows cannot become segments, and memory for them is used up. Goes away once they can.
    #[error("rows wait in memory, which is used up, because they cannot be written: {0}")]
    Stuck(String),
    /// Another process holds the data folder.
    #[error("{folder} is in use by another takt (process {pid}); stop it, or choose another folder with --data")]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Who holds it, as written in its lock file.
        pid: String,
    },
    /// The data folder, or what a caller handed in, is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// A file cannot be read or written.
    #[error("{path}: {message}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// A file's content does not match its checksum or its own description.
    #[error("{path} is damaged: {message}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The store is closing down.
    #[error("takt is shutting down")]
    Closed,
}

impl StoreError {
    /// Whether the same call may succeed later without a restart.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Stuck(_))
    }

    pub(crate) fn io(path: impl Into<PathBuf>, error: std::io::Error) -> Self {
        let path = path.into();
        if is_full(&error) {
            return Self::Full(format!("{}: {error}", path.display()));
        }
        Self::Io { path, message: error.to_string() }
    }
}

/// ENOSPC and EDQUOT are back-pressure, not damage.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl From<arrow::error::ArrowError> for StoreError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Invalid(format!("rows do not fit their table: {error}"))
    }
}
