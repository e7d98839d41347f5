//! One process writes a data folder: whoever holds its lock file.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::StoreError;
use crate::disk::{LocalDisk, create_folders};

/// A folder by its one name, without `..`: table logs and readers take no other.
pub(crate) fn canonical(folder: &Path) -> Result<PathBuf, StoreError> {
    std::fs::canonicalize(folder).map_err(|error| StoreError::io(folder, error))
}

/// An advisory lock on a data folder; released when dropped, or by the system when the process dies.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    folder: PathBuf,
}

impl FolderLock {
    /// Takes the lock of `folder`, creating the folder where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the process that holds it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        create_folders(&LocalDisk, folder)?;
        let folder = &canonical(folder)?;
        let path = folder.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::io(&path, error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid);
            let pid = if read.is_ok() && !pid.trim().is_empty() { pid.trim().to_owned() } else { "unknown".to_owned() };
            return Err(StoreError::Locked { folder: folder.to_owned(), pid });
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| StoreError::io(&path, error))?;
        Ok(Self { _file: file, folder: folder.to_owned() })
    }

    /// The locked folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
