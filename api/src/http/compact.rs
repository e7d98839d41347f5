//! `POST /api/v1/compact`: merges all segments. The answer is JSON lines: how far it is, then how it ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use tokio::task::JoinHandle;

use super::Front;
use super::access::Admin;

/// How often the answer says how far the work is.
const TICK: Duration = Duration::from_millis(200);

/// One line of the answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// So many rows of so many are merged.
    Merged { rows: u64, of: u64 },
    /// The last line: so many rows were merged, and nothing is left to merge.
    Done { rows: u64 },
    /// The last line: it broke off.
    Failed(String),
}

/// Goes on where the caller hangs up.
pub(super) async fn run(State(front): State<Arc<Front>>, Admin(login): Admin) -> Response {
    tracing::info!(by = %login.name, "compaction");
    let administration = Arc::clone(&front.faces.administration);
    let work = tokio::task::spawn_blocking(move || administration.compact());
    let lines = stream::unfold(Some((front, work)), |state| async move {
        let (front, mut work) = state?;
        let line = next(&front, &mut work).await;
        let over = !matches!(line, Line::Merged { .. });
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(text)), (!over).then_some((front, work))))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

async fn next(front: &Front, work: &mut JoinHandle<Result<u64, String>>) -> Line {
    match tokio::time::timeout(TICK, work).await {
        Err(_) => {
            let (rows, of) = front.faces.administration.compaction();
            Line::Merged { rows, of }
        }
        Ok(Ok(Ok(rows))) => Line::Done { rows },
        Ok(Ok(Err(reason))) => Line::Failed(reason),
        Ok(Err(error)) => Line::Failed(error.to_string()),
    }
}
