//! The table log: Delta Lake commits that name a table's segments and carry the WAL position they cover.
//!
//! The only async corner of the crate. Commits go through an object store of its own (`files`): once one has its name, it
//! is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::datatypes::{DataType, Schema};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, PrimitiveType, Remove, StructField, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use tokio::runtime::Runtime;
use url::Url;

use crate::StoreError;
use crate::disk::{Disk, LocalDisk, create_folders, sync_error};
use crate::segment::Segment;
use crate::spec::TableSpec;

mod commits;
mod files;

pub(crate) use commits::complaint;
use files::Files;

const APPLICATION: &str = "takt";
/// A table object chained through many commits grows slow; after this many it is read afresh.
const RELOAD_AFTER: u32 = 50;

/// The log of one table.
pub(crate) struct TableLog {
    runtime: Arc<Runtime>,
    folder: PathBuf,
    files: Files,
    table: DeltaTable,
    commits: u32,
}

/// A file as a table log names it.
pub(crate) struct Named {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) rows: Option<u64>,
}

/// A runtime for table logs.
pub(crate) fn runtime() -> Result<Arc<Runtime>, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(Arc::new(runtime.map_err(|error| StoreError::Invalid(format!("no runtime for the table log: {error}")))?))
}

impl TableLog {
    /// Opens the log in `folder` to write to it; creates the table where there is none, and adds the
    /// columns that it does not have yet.
    pub(crate) fn open_or_create(
        runtime: &Arc<Runtime>,
        disk: &Arc<dyn Disk>,
        folder: &Path,
        spec: &TableSpec,
    ) -> Result<Self, StoreError> {
        create_folders(disk.as_ref(), folder)?;
        let (files, log) = (Files::new(disk.clone()), folder.join("_delta_log"));
        if log.is_dir() {
            files.remove_staged(&log)?;
            // The newest commit may have a name that no fsync made durable: what builds on it must not outlive it.
            disk.sync_folder(&log).map_err(|error| sync_error(&log, &error))?;
        }
        if let Some(mut log) = Self::open(runtime, &files, folder)? {
            log.add_columns(spec)?;
            return Ok(log);
        }
        let url = folder_url(folder)?;
        let columns = columns(&spec.file_schema())?;
        // Other readers take bounds for granted in all columns but those left out here, and skip files that have none.
        let bounded = spec.time.map(|index| spec.schema.field(index).name().clone());
        let created = runtime.block_on(async {
            builder(&files, url)?
                .build()?
                .create()
                .with_table_name(&spec.name)
                .with_columns(columns)
                .with_configuration_property(deltalake_core::TableProperty::CheckpointInterval, Some("50"))
                .with_configuration_property(
                    deltalake_core::TableProperty::LogRetentionDuration,
                    Some("interval 1 hour"),
                )
                .with_configuration_property(deltalake_core::TableProperty::DataSkippingStatsColumns, bounded)
                .await
        });
        files.sound()?;
        let table = created.map_err(|error| wrong(folder, &error))?;
        Ok(Self { runtime: runtime.clone(), folder: folder.to_owned(), files, table, commits: 0 })
    }

    /// Columns that came with a later version of takt than the table: its files read as NULL there.
    fn add_columns(&mut self, spec: &TableSpec) -> Result<(), StoreError> {
        let state = self.table.snapshot().map_err(|error| wrong(&self.folder, &error))?;
        let known = state.schema();
        let mut missing = columns(&spec.file_schema())?;
        missing.retain(|column| known.field(column.name()).is_none());
        if missing.is_empty() {
            return Ok(());
        }
        let table = self.table.clone();
        let added = self.runtime.block_on(async move { table.add_columns().with_fields(missing).await });
        self.sound()?;
        self.table = added.map_err(|error| wrong(&self.folder, &error))?;
        Ok(())
    }

    /// Opens the log in `folder` to read it, `None` where there is none.
    pub(crate) fn read(runtime: &Arc<Runtime>, folder: &Path) -> Result<Option<Self>, StoreError> {
        Self::open(runtime, &Files::new(Arc::new(LocalDisk)), folder)
    }

    fn open(runtime: &Arc<Runtime>, files: &Files, folder: &Path) -> Result<Option<Self>, StoreError> {
        if !folder.join("_delta_log").is_dir() {
            return without_log(folder);
        }
        commits::check(&folder.join("_delta_log"))?;
        let url = folder_url(folder)?;
        let loaded = runtime.block_on(async { builder(files, url)?.load().await });
        let opened = |table| Self {
            runtime: runtime.clone(),
            folder: folder.to_owned(),
            files: files.clone(),
            table,
            commits: 0,
        };
        match loaded {
            Ok(table) => Ok(Some(opened(table))),
            Err(DeltaTableError::NotATable(_)) => without_log(folder),
            Err(error) => Err(wrong(folder, &error)),
        }
    }

    /// The WAL position that the table covers, 0 where nothing was committed.
    pub(crate) fn covered(&self) -> Result<u64, StoreError> {
        let state = self.table.snapshot().map_err(|error| wrong(&self.folder, &error))?;
        let store = self.table.log_store();
        let version = self.runtime.block_on(state.transaction_version(store.as_ref(), APPLICATION));
        let version = version.map_err(|error| wrong(&self.folder, &error))?.unwrap_or_default();
        Ok(u64::try_from(version).unwrap_or_default())
    }

    /// The files that make up the table now.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let state = self.table.snapshot().map_err(|error| wrong(&self.folder, &error))?;
        let paths = state.log_data().iter().map(|file| self.folder.join(file.path().as_ref())).collect();
        Ok(paths)
    }

    /// The files that make up the table now, and what the log says of them.
    pub(crate) fn named(&self) -> Result<Vec<Named>, StoreError> {
        let state = self.table.snapshot().map_err(|error| wrong(&self.folder, &error))?;
        let files = state.log_data();
        let named = files.iter().map(|file| Named {
            path: self.folder.join(file.path().as_ref()),
            bytes: u64::try_from(file.size()).unwrap_or_default(),
            rows: file.num_records().map(|rows| rows as u64),
        });
        Ok(named.collect())
    }

    /// Adds `segment`, and records that the table now covers the WAL up to `position`.
    pub(crate) fn commit(&mut self, segment: &Segment, spec: &TableSpec, position: u64) -> Result<(), StoreError> {
        let version = i64::try_from(position).map_err(|_| StoreError::Invalid("WAL position out of range".into()))?;
        let action = Action::Add(add(segment, spec)?);
        let runtime = self.runtime.clone();
        let result = runtime.block_on(self.append(vec![action], writing(), Some(version)));
        self.sound()?;
        if let Err(error) = result {
            // It may have landed all the same: only what a fresh look shows counts.
            if self.look_again(|log| log.covered())? < position {
                return Err(wrong(&self.folder, &error));
            }
        }
        self.committed();
        Ok(())
    }

    /// What follows a commit that has landed. It must not be tried again, so an error here only costs time.
    fn committed(&mut self) {
        self.commits += 1;
        if self.commits >= RELOAD_AFTER
            && let Err(error) = self.reload()
        {
            tracing::warn!(%error, "a table log could not be read afresh; it is tried after the next commit");
        }
    }

    /// Nothing may follow an fsync that failed.
    fn sound(&self) -> Result<(), StoreError> {
        self.files.sound()
    }

    /// Puts `merged` in the place of `parts`: they hold the same current rows, or where `rows_go` fewer.
    pub(crate) fn replace(
        &mut self,
        merged: &[Segment],
        spec: &TableSpec,
        parts: &[Arc<Segment>],
        rows_go: bool,
    ) -> Result<(), StoreError> {
        let mut actions = Vec::new();
        for segment in merged {
            let mut new = add(segment, spec)?;
            new.data_change = rows_go;
            actions.push(Action::Add(new));
        }
        for part in parts {
            actions.push(Action::Remove(remove(&add(part, spec)?, rows_go)));
        }
        let runtime = self.runtime.clone();
        let operation = if rows_go { DeltaOperation::Delete { predicate: None } } else { writing() };
        let result = runtime.block_on(self.append(actions, operation, None));
        self.sound()?;
        if let Err(error) = result {
            // It may have landed all the same: only what a fresh look shows counts.
            let files = self.look_again(|log| log.files())?;
            if parts.iter().any(|part| files.contains(&part.path)) {
                return Err(wrong(&self.folder, &error));
            }
        }
        self.committed();
        Ok(())
    }

    async fn append(
        &mut self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        covers: Option<i64>,
    ) -> Result<(), DeltaTableError> {
        let mut properties = CommitProperties::default().with_max_retries(0);
        if let Some(version) = covers {
            properties = properties.with_application_transaction(Transaction::new(APPLICATION, version));
        }
        let commit = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(self.table.snapshot()?), self.table.log_store(), operation)
            .await?;
        self.table.update_state().await?;
        debug_assert!(Some(commit.version()) <= self.table.version());
        Ok(())
    }

    /// Looks at the log afresh after a commit that failed. While nobody can tell whether it landed, nothing may follow.
    fn look_again<T>(&mut self, look: impl FnOnce(&Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let seen = self.reload().and_then(|()| look(self));
        seen.map_err(|error| StoreError::Poisoned(format!("a commit may or may not have landed: {error}")))
    }

    fn reload(&mut self) -> Result<(), StoreError> {
        if let Some(fresh) = Self::open(&self.runtime, &self.files, &self.folder)? {
            self.table = fresh.table;
            self.commits = 0;
        }
        Ok(())
    }
}

/// A folder without a log is a new table, unless there are rows in it: those are not thrown away.
fn without_log(folder: &Path) -> Result<Option<TableLog>, StoreError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    for entry in entries {
        let path = entry.map_err(|error| StoreError::io(folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let message = "it holds Parquet files and no readable _delta_log; restore the log from a backup";
            return Err(StoreError::Damaged { path: folder.to_owned(), message: message.to_owned() });
        }
    }
    Ok(None)
}

/// A table whose log is written through `files`.
fn builder(files: &Files, url: Url) -> Result<DeltaTableBuilder, DeltaTableError> {
    Ok(DeltaTableBuilder::from_url(url.clone())?.with_storage_backend(Arc::new(files.clone()), url))
}

fn folder_url(folder: &Path) -> Result<Url, StoreError> {
    let absolute = std::path::absolute(folder).map_err(|error| StoreError::io(folder, error))?;
    Url::from_directory_path(&absolute)
        .map_err(|()| StoreError::Invalid(format!("{} is no usable path", folder.display())))
}

fn columns(schema: &Schema) -> Result<Vec<StructField>, StoreError> {
    let mut columns = Vec::new();
    for field in schema.fields() {
        let kind = match field.data_type() {
            DataType::Timestamp(..) => PrimitiveType::Timestamp,
            DataType::Float64 => PrimitiveType::Double,
            DataType::Int64 => PrimitiveType::Long,
            DataType::Boolean => PrimitiveType::Boolean,
            DataType::Utf8 => PrimitiveType::String,
            other => return Err(StoreError::Invalid(format!("a table cannot have a column of type {other}"))),
        };
        columns.push(StructField::new(field.name(), deltalake_core::kernel::DataType::Primitive(kind), true));
    }
    Ok(columns)
}

fn add(segment: &Segment, spec: &TableSpec) -> Result<Add, StoreError> {
    let name = segment.path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| StoreError::Invalid("a segment without a name".into()))?;
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
    Ok(Add {
        path: name.to_owned(),
        size: i64::try_from(segment.bytes).unwrap_or(i64::MAX),
        partition_values: std::collections::HashMap::new(),
        modification_time: now_ms,
        data_change: true,
        stats: Some(statistics(segment, spec).to_string()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}

fn writing() -> DeltaOperation {
    DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
}

fn remove(part: &Add, data_change: bool) -> Remove {
    Remove {
        path: part.path.clone(),
        data_change,
        deletion_timestamp: Some(part.modification_time),
        extended_file_metadata: Some(true),
        partition_values: Some(part.partition_values.clone()),
        size: Some(part.size),
        ..Remove::default()
    }
}

/// Row count and, where the key holds a time, its bounds: enough for other readers to skip files.
fn statistics(segment: &Segment, spec: &TableSpec) -> serde_json::Value {
    let (Some(index), Some(min), Some(max)) = (spec.time, segment.min_time, segment.max_time) else {
        return serde_json::json!({ "numRecords": segment.rows });
    };
    let name = spec.schema.field(index).name();
    let (low, high) = (iso_ms(min.div_euclid(1000)), iso_ms(max.div_euclid(1000) + 1));
    serde_json::json!({
        "numRecords": segment.rows, "minValues": { name: low }, "maxValues": { name: high }, "nullCount": { name: 0 },
    })
}

/// Delta's statistics carry milliseconds: bounds are widened to whole ones.
fn iso_ms(ms: i64) -> String {
    let text = arrow::temporal_conversions::timestamp_ms_to_datetime(ms);
    text.map_or_else(String::new, |time| format!("{}Z", time.format("%Y-%m-%dT%H:%M:%S%.3f")))
}

fn wrong(folder: &Path, error: &DeltaTableError) -> StoreError {
    let message = error.to_string();
    if message.contains("os error 28") || message.contains("os error 122") {
        return StoreError::Full(message);
    }
    StoreError::Io { path: folder.to_owned(), message: format!("table log: {message}") }
}
