//! What the store asks of its disks: every call that changes its log, its segments, its table logs and its cold folder, which
//! lies on a disk of its own. Tests hand in a disk that is slow, full, fails, or loses power. Backups and the lock go past it.
//!
//! A file's bytes are certain once [`Disk::sync`] has returned, its name once [`Disk::sync_folder`] has: until then a power
//! cut may leave either, in part, in any order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::StoreError;
use crate::error::is_full;

/// A disk. What an implementation leaves out is the machine's own.
///
/// Errors are what the system says; `StorageFull` and `QuotaExceeded` count as a full disk.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing as it is, an empty one where there is none.
    fn open(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(false).open(path)
    }

    /// Opens an empty file for reading and writing; what was in it is gone.
    fn create(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(true).open(path)
    }

    /// Makes room for `bytes` bytes of a file.
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)?)
    }

    /// Writes all of `bytes` at a place of a file.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Makes what was written to a file durable. After an error it is unknown what the disk holds.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Makes a folder in one that is there.
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    /// Gives a file another name in its folder, which is free or whose file goes.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Gives a file a second name; an error where that name is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    /// Makes a symbolic link to `target`, as it is written there; an error where the name is taken.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    /// Takes a file's name away, or a link's.
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {}

/// Makes a folder and those above it durably, as far as they are missing.
pub(crate) fn create_folders(disk: &dyn Disk, folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_folders(disk, above)?;
    }
    match disk.create_folder(folder) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made.map_err(|error| StoreError::io(folder, error))?,
    }
    sync_name(disk, folder)
}

/// Makes the name of a file or folder durable.
pub(crate) fn sync_name(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.sync_folder(folder).map_err(|error| sync_error(folder, &error))
}

/// An fsync that fails leaves the disk in an unknown state.
pub(crate) fn sync_error(path: &Path, error: &io::Error) -> StoreError {
    if is_full(error) {
        return StoreError::Full(format!("{}: {error}", path.display()));
    }
    StoreError::Poisoned(format!("{}: {error}", path.display()))
}

/// Removes a file that no table names; one that cannot be removed now goes at the next start.
pub(crate) fn discard(disk: &dyn Disk, path: &Path) {
    if let Err(error) = crate::cold::remove(disk, path) {
        tracing::warn!(path = %path.display(), %error, "a file that no table names stays until restart");
    }
}
