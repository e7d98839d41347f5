//! Where a report takes its figures from: SQL, in the session of who asked.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use jiff::Timestamp;
use query::{Engine, QueryError, Session};

use super::Failure;

/// A session that answers questions of one report.
pub(crate) struct Source(Session);

impl Source {
    /// All its questions see one snapshot, as it was known at `as_of` where that is named: the parts of a report fit together,
    /// whatever comes while it is made.
    pub(crate) async fn new(engine: &Engine, user: &str, as_of: Option<Timestamp>) -> Self {
        let session = engine.session(user);
        session.set_as_of(as_of);
        session.hold_snapshot().await;
        Self(session)
    }

    /// All rows of an answer.
    pub(crate) async fn ask(&self, sql: &str) -> Result<RecordBatch, Failure> {
        let statement = self.0.plan(sql).await?;
        let schema = statement.schema();
        let batches: Vec<RecordBatch> =
            self.0.execute(statement).await?.try_collect().await.map_err(QueryError::from)?;
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        Ok(concat_batches(&schema, &batches).map_err(QueryError::from)?)
    }
}
