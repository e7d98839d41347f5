//! The schema `public`: every table of the snapshot that the running statement sees.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::TableType;
use jiff::tz::TimeZone;
use storage::Snapshot;

use crate::context::ContextCache;
use crate::table::SnapshotTable;

/// Where snapshots come from: a running store, or a data folder that is only read.
pub trait SnapshotSource: Send + Sync {
    /// The newest consistent view of all tables.
    fn snapshot(&self) -> Arc<Snapshot>;
}

impl SnapshotSource for storage::Store {
    fn snapshot(&self) -> Arc<Snapshot> {
        storage::Store::snapshot(self)
    }
}

/// A data folder opened with [`storage::open_read_only`].
impl SnapshotSource for Arc<Snapshot> {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self)
    }
}

/// The snapshot of the statement that a session is planning, and the time zone it is written in.
#[derive(Debug)]
pub(crate) struct Current {
    snapshot: RwLock<Arc<Snapshot>>,
    zone: RwLock<TimeZone>,
    pub(crate) contexts: Arc<ContextCache>,
}

impl Current {
    pub(crate) fn new(snapshot: Arc<Snapshot>, contexts: Arc<ContextCache>) -> Self {
        Self { snapshot: RwLock::new(snapshot), zone: RwLock::new(TimeZone::UTC), contexts }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn zone(&self) -> TimeZone {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_zone(&self, zone: TimeZone) {
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    pub(crate) fn replace(&self, snapshot: Arc<Snapshot>) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

/// The tables as SQL sees them.
#[derive(Debug)]
pub(crate) struct PublicSchema {
    current: Arc<Current>,
}

impl PublicSchema {
    pub(crate) fn new(current: Arc<Current>) -> Self {
        Self { current }
    }

    fn find(&self, name: &str) -> Option<SnapshotTable> {
        SnapshotTable::find(&self.current.snapshot(), name, &self.current.contexts)
    }
}

#[async_trait]
impl SchemaProvider for PublicSchema {
    fn table_names(&self) -> Vec<String> {
        SnapshotTable::names(&self.current.snapshot())
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        Ok(self.find(name).map(|table| Arc::new(table) as Arc<dyn TableProvider>))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
