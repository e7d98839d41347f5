//! What the write-ahead log asks of a disk. Tests hand in one that is slow, full, or fails.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A disk, as the write-ahead log uses it.
pub trait Disk: Send + Sync {
    /// Makes room for `bytes` bytes of a file.
    ///
    /// # Errors
    /// What the system says; `StorageFull` and `QuotaExceeded` count as a full disk.
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()>;

    /// Writes all of `bytes` at a place of a file.
    ///
    /// # Errors
    /// As [`Disk::reserve`].
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes what was written to a file durable.
    ///
    /// # Errors
    /// What the system says; what the disk holds is unknown then.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)?)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
