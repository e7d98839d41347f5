//! Asking a data folder that no server needs to have open.

use std::path::Path;
use std::sync::Arc;

use query::{Engine, Limits, QueryError};
use tokio::runtime;

use crate::server::PlantFile;

/// An engine over the folder as it is now; nothing in it is changed.
pub(super) fn engine(data: &Path) -> anyhow::Result<Engine> {
    anyhow::ensure!(data.join("tables").is_dir(), "{} is no data folder of takt; --data names one", data.display());
    let plant = PlantFile::kept(data)?.plant;
    let snapshot = storage::open_read_only(data, ingest::table_specs())?;
    Ok(Engine::new(Arc::new(snapshot), Arc::new(plant), Limits::default())?)
}

/// Runs `task` on a runtime as wide as the machine.
pub(super) fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime::Builder::new_multi_thread().enable_all().build()?.block_on(task)
}

/// Line and column of the mistake in the query, from 1, where they are known.
pub(super) fn position(error: &anyhow::Error) -> Option<(usize, usize)> {
    let (line, column) = error.downcast_ref::<QueryError>()?.position()?;
    Some((usize::try_from(line).ok()?, usize::try_from(column).ok()?))
}
