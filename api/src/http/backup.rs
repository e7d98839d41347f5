//! `POST /api/v1/backup?to=DIR`: a consistent copy of the running store, in a folder of the server's machine.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Front;
use super::access::Admin;
use super::asked::Asked;
use super::refusal::Refusal;
use crate::faces::{Backup, BackupError};

/// Where the copy goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    to: PathBuf,
}

/// What was copied.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    folder: String,
    files: u64,
    bytes: u64,
    /// Files that were damaged before they were copied, relative to the folder.
    damaged: Vec<String>,
}

pub(super) async fn take(
    State(front): State<Arc<Front>>,
    Admin(login): Admin,
    Asked(target): Asked<Target>,
) -> Result<Json<Taken>, Refusal> {
    if !target.to.is_absolute() {
        return Err(Refusal::bad_request(
            "`to` must be an absolute path: the server's current folder is not the caller's",
        ));
    }
    tracing::info!(by = %login.name, to = %target.to.display(), "backup");
    let administration = Arc::clone(&front.faces.administration);
    let backup = tokio::task::spawn_blocking(move || administration.backup(&target.to))
        .await
        .map_err(|error| Refusal::internal("the backup broke off", &error))?
        .map_err(|error| match error {
            BackupError::Target(_) => Refusal::bad_request(error.to_string()),
            BackupError::Failed(_) => Refusal::internal("no backup was taken", &error),
        })?;
    let Backup { folder, files, bytes, damaged } = backup;
    Ok(Json(Taken { folder: folder.display().to_string(), files, bytes, damaged }))
}
