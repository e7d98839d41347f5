//! The schema `public`: every table of the snapshot that the running statement sees.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::TableType;
use jiff::tz::TimeZone;
use storage::{Snapshot, TableView};

use crate::as_of::AsOfTable;
use crate::context::{Context, ContextCache, OPERATIONS};
use crate::error::QueryError;
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

/// What one statement sees: a snapshot, as it was known at an earlier recorded time where `as_of` names one.
#[derive(Debug, Clone)]
pub(crate) struct View {
    snapshot: Arc<Snapshot>,
    contexts: Arc<ContextCache>,
    /// Microseconds UTC.
    pub(crate) as_of: Option<i64>,
}

impl View {
    /// A snapshot as it is.
    pub(crate) fn new(snapshot: Arc<Snapshot>, contexts: Arc<ContextCache>) -> Self {
        Self { snapshot, contexts, as_of: None }
    }

    /// A table, or its history.
    pub(crate) fn table(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        let table = SnapshotTable::find(&self.snapshot, name, &self.contexts)?;
        Some(match self.as_of {
            None => Arc::new(table),
            Some(as_of) => Arc::new(AsOfTable::new(table, as_of)),
        })
    }

    /// A table, where all that is asked for is its present rows.
    pub(crate) fn present(&self, name: &str) -> Option<SnapshotTable> {
        let table = SnapshotTable::find(&self.snapshot, name, &self.contexts)?;
        self.as_of.is_none().then_some(table)
    }

    /// The same of a table of records.
    pub(crate) fn records(&self, name: &str) -> Option<SnapshotTable> {
        self.present(name).filter(SnapshotTable::hides_deleted)
    }

    /// A table as it is stored now, whatever earlier time is asked for.
    pub(crate) fn stored(&self, name: &str) -> Option<Arc<TableView>> {
        self.snapshot.table(name).cloned()
    }

    /// The executions that keys follow from; none without a table of them.
    pub(crate) async fn context(&self) -> Result<Option<Arc<Context>>, QueryError> {
        match self.snapshot.table(OPERATIONS) {
            Some(operations) => Ok(Some(self.contexts.shared(operations, self.as_of).await?)),
            None => Ok(None),
        }
    }
}

/// The view of the statement that a session is planning, and the time zone it is written in.
#[derive(Debug)]
pub(crate) struct Current {
    view: RwLock<View>,
    zone: RwLock<TimeZone>,
}

impl Current {
    pub(crate) fn new(snapshot: Arc<Snapshot>, contexts: Arc<ContextCache>) -> Self {
        Self { view: RwLock::new(View::new(snapshot, contexts)), zone: RwLock::new(TimeZone::UTC) }
    }

    pub(crate) fn view(&self) -> View {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn zone(&self) -> TimeZone {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_zone(&self, zone: TimeZone) {
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    pub(crate) fn set_as_of(&self, as_of: Option<i64>) {
        self.view.write().unwrap_or_else(PoisonError::into_inner).as_of = as_of;
    }

    pub(crate) fn replace(&self, snapshot: Arc<Snapshot>) {
        self.view.write().unwrap_or_else(PoisonError::into_inner).snapshot = snapshot;
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
}

#[async_trait]
impl SchemaProvider for PublicSchema {
    fn table_names(&self) -> Vec<String> {
        SnapshotTable::names(&self.current.view().snapshot)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        Ok(self.current.view().table(name))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.current.view().table(name).is_some()
    }
}
