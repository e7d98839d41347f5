//! Planning and running statements on their own runtime: a heavy one delays no acknowledgement and no cancel
//! request. What is dropped here stops there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use futures::StreamExt;
use jiff::tz::TimeZone;
use pgwire::api::results::FieldInfo;
use pgwire::messages::data::DataRow;
use query::Session;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{Failure, sqlstate};
use super::rows::{self, Column};
use super::settings::SharedSettings;
use super::source::Source;

/// Encoded chunks that may wait for a slow client. With [`CHUNK_ROWS`] this bounds what a result holds.
const CHUNKS_AHEAD: usize = 2;
const CHUNK_ROWS: usize = 4096;

/// One session's way to the engine.
#[derive(Clone)]
pub(crate) struct Runner {
    session: Arc<Session>,
    settings: SharedSettings,
    queries: Handle,
}

/// A statement that is ready to run.
pub(crate) struct Planned {
    statement: query::Statement,
    pub(crate) columns: Vec<Column>,
}

/// What a statement gives and takes, before its parameters have values.
pub(crate) struct Described {
    pub(crate) columns: Vec<Column>,
    /// The inferred types of `$1`, `$2`, … where the statement tells them.
    pub(crate) parameters: Vec<Option<DataType>>,
}

impl Runner {
    pub(crate) fn new(session: Arc<Session>, settings: SharedSettings, queries: Handle) -> Runner {
        Runner { session, settings, queries }
    }

    /// The session, with the time zone and the time as of which it is asked that its client has set.
    fn session(&self) -> Arc<Session> {
        let settings = self.settings.read();
        self.session.set_time_zone(settings.zone().clone());
        self.session.set_as_of(settings.as_of());
        Arc::clone(&self.session)
    }

    pub(crate) async fn describe(&self, source: &Source) -> Result<Described, Failure> {
        let (session, text) = (self.session(), source.text().to_owned());
        let description = self
            .away(async move { session.describe(&text).await.map_err(Failure::from) })
            .await
            .map_err(|failure| source.place(failure))?;
        let columns = if description.gives_rows { rows::columns(&description.schema)? } else { Vec::new() };
        Ok(Described { columns, parameters: description.parameters })
    }

    pub(crate) async fn plan(&self, source: &Source) -> Result<Planned, Failure> {
        let (session, text) = (self.session(), source.text().to_owned());
        let statement = self
            .away(async move { session.plan(&text).await.map_err(Failure::from) })
            .await
            .map_err(|failure| source.place(failure))?;
        if !statement.gives_rows() {
            return Err(Failure::unsupported("this statement cannot be run over the PostgreSQL protocol"));
        }
        let columns = rows::columns(&statement.schema())?;
        Ok(Planned { statement, columns })
    }

    /// Starts a planned statement. `columns` are those the client was told of.
    pub(crate) fn start(
        &self,
        planned: Planned,
        columns: Vec<Column>,
        format_codes: &[i16],
        zone: TimeZone,
    ) -> Result<Rows, Failure> {
        let formats = rows::formats(format_codes, columns.len())?;
        let fields = Arc::new(rows::fields(&columns, &formats));
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let producer = Producer {
            session: Arc::clone(&self.session),
            columns: columns.clone(),
            fields: Arc::clone(&fields),
            zone,
            chunks: sender,
        };
        let task = AbortOnDropHandle::new(self.queries.spawn(producer.run(planned.statement)));
        Ok(Rows { columns, fields, pending: VecDeque::new(), feed: Some(Feed { chunks, _task: task }) })
    }

    /// Runs work on the queries' runtime; dropping the future stops the work.
    async fn away<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        AbortOnDropHandle::new(self.queries.spawn(work)).await.unwrap_or_else(|_| Err(ended_unexpectedly()))
    }
}

fn ended_unexpectedly() -> Failure {
    Failure::new(sqlstate::INTERNAL_ERROR, "the query ended unexpectedly; the server's log says more")
}

/// Runs on the queries' runtime: reads batches, encodes them, and waits for the client to take them.
struct Producer {
    session: Arc<Session>,
    columns: Vec<Column>,
    fields: Arc<Vec<FieldInfo>>,
    zone: TimeZone,
    chunks: mpsc::Sender<Chunk>,
}

enum Chunk {
    Rows(Vec<DataRow>),
    Failed(Failure),
    /// Every row has been sent. Without it, a task that died would look like a short result.
    End,
}

impl Producer {
    async fn run(self, statement: query::Statement) {
        let last = match self.produce(statement).await {
            Ok(()) => Chunk::End,
            Err(failure) => Chunk::Failed(failure),
        };
        // Fails only where nobody waits any more.
        let _gone = self.chunks.send(last).await;
    }

    async fn produce(&self, statement: query::Statement) -> Result<(), Failure> {
        let mut batches = self.session.execute(statement).await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            for start in (0..batch.num_rows()).step_by(CHUNK_ROWS) {
                let part = batch.slice(start, CHUNK_ROWS.min(batch.num_rows() - start));
                if self.chunks.send(Chunk::Rows(self.encode(&part)?)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn encode(&self, batch: &RecordBatch) -> Result<Vec<DataRow>, Failure> {
        rows::encode(batch, &self.columns, &self.fields, &self.zone)
    }
}

/// A result on its way to the client.
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) fields: Arc<Vec<FieldInfo>>,
    pending: VecDeque<DataRow>,
    feed: Option<Feed>,
}

struct Feed {
    chunks: mpsc::Receiver<Chunk>,
    /// Dropped with the result: that stops the query.
    _task: AbortOnDropHandle<()>,
}

impl Rows {
    /// Rows that are known already: answers of the server itself.
    pub(crate) fn ready(columns: Vec<Column>, fields: Arc<Vec<FieldInfo>>, rows: Vec<DataRow>) -> Rows {
        Rows { columns, fields, pending: rows.into(), feed: None }
    }

    /// The next row; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<DataRow>, Failure> {
        loop {
            if let Some(row) = self.pending.pop_front() {
                return Ok(Some(row));
            }
            let Some(feed) = &mut self.feed else { return Ok(None) };
            match feed.chunks.recv().await {
                Some(Chunk::Rows(rows)) => self.pending = rows.into(),
                Some(Chunk::End) => self.feed = None,
                Some(Chunk::Failed(failure)) => {
                    self.feed = None;
                    return Err(failure);
                }
                None => {
                    self.feed = None;
                    return Err(ended_unexpectedly());
                }
            }
        }
    }
}

/// What ends a statement early: its client, its timeout, or the server's end.
pub(crate) struct Clock {
    stop: CancellationToken,
    shutdown: CancellationToken,
    deadline: Option<Instant>,
}

impl Clock {
    pub(crate) fn start(shutdown: &CancellationToken, timeout: Option<Duration>) -> Clock {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Clock { stop: CancellationToken::new(), shutdown: shutdown.clone(), deadline }
    }

    /// Cancelling it ends the statement at its client's wish.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Does work until it is done or has to end.
    pub(crate) async fn watch<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Failure::cancelled()),
            () = self.shutdown.cancelled() => Err(Failure::shutting_down()),
            () = self.expired() => Err(Failure::timed_out()),
            done = work => Ok(done),
        }
    }

    async fn expired(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}
