//! Questions of the server to itself, in SQL like everybody's.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use query::{Engine, QueryError};

/// Who asks, as sessions show it.
const USER: &str = "takt";

/// Runs one query; gives its columns and all its rows.
///
/// # Errors
/// The query is wrong, or cannot be run.
pub(crate) async fn ask(engine: &Engine, query: &str) -> Result<(SchemaRef, Vec<RecordBatch>), QueryError> {
    let session = engine.session(USER);
    let statement = session.plan(query).await?;
    let schema = statement.schema();
    let batches = session.execute(statement).await?.try_collect().await?;
    Ok((schema, batches))
}
