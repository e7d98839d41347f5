//! How takt keeps rows: a write-ahead log, a hot buffer, sorted Parquet segments and a table log.
//!
//! The crate knows tables, keys and columns; it knows no machine, no protocol and no SQL. What it promises:
//!
//! 1. [`Store::append`] calls back with `Ok` only after the rows are on disk (fsync) and visible to snapshots.
//! 2. A crash at any instruction loses nothing acknowledged and doubles nothing: every table's commit carries the
//!    WAL position it covers, and recovery replays only what lies behind it.
//! 3. A [`Snapshot`] is one consistent view of all tables.
//! 4. A failed fsync poisons the store until it is opened again; a full disk does not.
//!
//! Everything here is synchronous; only `log`, the table log, talks to an async library, on a runtime of its own.

mod backup;
mod codec;
mod cold;
mod dead;
mod disk;
mod error;
mod hot;
mod keys;
mod lock;
mod log;
mod newest;
mod segment;
mod snapshot;
mod sought;
mod spec;
mod store;
mod verify;
mod wal;

pub use backup::{BackupReport, restore};
pub use disk::{Disk, LocalDisk};
pub use error::StoreError;
pub use hot::Hot;
pub use keys::{KeyEncoder, KeySet, TimesOfSeries};
pub use lock::FolderLock;
pub use segment::{Cell, Course, Outline, PageBounds, Segment, SegmentRows, SeriesOutline, Sums};
pub use snapshot::{Snapshot, TableView, open_read_only};
pub use spec::{Derived, TableSpec, Upsert, with_views};
pub use store::{Clock, Health, Options, Receipt, Rows, Store, Tiering, Transform, Write};
pub use verify::{Fault, Verified, verify};

#[cfg(test)]
mod tests;
