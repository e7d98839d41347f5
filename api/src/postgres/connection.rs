//! One client's connection: its messages in order, its session, and what the session keeps between them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ingest::Login;
use pgwire::error::ErrorInfo;
use pgwire::messages::data::NoData;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ErrorResponse, NoticeResponse, ReadyForQuery};
use pgwire::messages::startup::ParameterStatus;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use tokio_util::sync::CancellationToken;

use super::cancel::Registered;
use super::failure::{Failure, Trouble};
use super::prepared::{Portal, Prepared};
use super::run::{Clock, Runner};
use super::settings::SharedSettings;
use super::statement::{Statement, split};
use super::transaction::Transaction;
use super::wire::Wire;

mod commands;
mod extended;

use extended::bound_source;

/// A client that takes nothing for so long is not told why its connection ends.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that has been let in, and its session.
pub(crate) struct Connection {
    wire: Wire,
    runner: Runner,
    settings: SharedSettings,
    /// What the client was told of the settings it has to be told of.
    reported: BTreeMap<&'static str, String>,
    transaction: Transaction,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    registered: Registered,
    shutdown: CancellationToken,
}

impl Connection {
    pub(crate) fn new(
        wire: Wire,
        runner: Runner,
        settings: SharedSettings,
        registered: Registered,
        shutdown: CancellationToken,
    ) -> Connection {
        let reported = settings.read().reports().map(|(name, value)| (name, value.to_owned())).collect();
        Connection {
            wire,
            runner,
            settings,
            reported,
            transaction: Transaction::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            registered,
            shutdown,
        }
    }

    /// Serves the client until it leaves, the server or its login ends, or the connection breaks.
    pub(crate) async fn run(mut self, login: &Login) {
        let ended = tokio::select! {
            // Looked at first: no statement begins once the login has ended, and what runs stops with it.
            biased;
            () = login.ended() => Err(Failure::login_ended().into()),
            ended = self.serve() => ended,
        };
        if tokio::time::timeout(FAREWELL_TIMEOUT, self.say_goodbye(ended)).await.is_err() {
            tracing::debug!("PostgreSQL client took nothing any more; its connection was cut off");
        }
    }

    async fn say_goodbye(&mut self, ended: Result<(), Trouble>) {
        if let Err(Trouble::Failed(failure)) = ended {
            let message = PgWireBackendMessage::ErrorResponse(failure.fatal().into_response());
            if let Err(error) = self.wire.send(message).await {
                tracing::debug!(%error, "PostgreSQL client left before it was told why");
            }
        }
        if let Err(error) = self.wire.close().await {
            tracing::debug!(%error, "PostgreSQL connection was not closed cleanly");
        }
    }

    async fn serve(&mut self) -> Result<(), Trouble> {
        // After a failure in the extended protocol everything up to the next Sync is left out.
        let mut skipping = false;
        while let Some(message) = self.next_message().await? {
            match message {
                PgWireFrontendMessage::Terminate(_) => return Ok(()),
                PgWireFrontendMessage::Sync(_) => {
                    skipping = false;
                    self.sync().await?;
                }
                _ if skipping => {}
                PgWireFrontendMessage::Query(query) => self.simple_query(&query.query).await?,
                message => {
                    if let Err(trouble) = self.extended(message).await {
                        self.tell(trouble).await?;
                        self.wire.flush().await?;
                        skipping = true;
                    }
                }
            }
        }
        Ok(())
    }

    async fn next_message(&mut self) -> Result<Option<PgWireFrontendMessage>, Trouble> {
        let received = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(Failure::shutting_down().into()),
            received = self.wire.receive() => received,
        };
        received.map_err(|error| Failure::from(error).fatal().into())
    }

    /// A query string: its statements one after another, up to the first that fails.
    async fn simple_query(&mut self, text: &str) -> Result<(), Trouble> {
        self.portals.remove("");
        if let Err(trouble) = self.simple_statements(text).await {
            self.tell(trouble).await?;
        }
        self.ready().await
    }

    async fn simple_statements(&mut self, text: &str) -> Result<(), Trouble> {
        let statements = split(text)?;
        if statements.is_empty() {
            self.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for statement in &statements {
            let clock = self.start_clock();
            let done = clock.watch(self.simple_statement(statement)).await;
            self.stop_clock(done).await?;
        }
        Ok(())
    }

    async fn simple_statement(&mut self, statement: &Statement) -> Result<(), Trouble> {
        let source = bound_source(Some(statement), &[])?;
        let answer = self.begin(&statement.command, source, &[]).await?;
        self.answer(answer, true).await
    }

    /// A statement's work begins: from here a cancel request finds it.
    fn start_clock(&mut self) -> Clock {
        let timeout = self.settings.read().statement_timeout();
        let clock = Clock::start(&self.shutdown, timeout);
        self.registered.begin(clock.stop());
        clock
    }

    /// The work is done, or was ended by its clock.
    async fn stop_clock<T>(&mut self, done: Result<Result<T, Trouble>, Failure>) -> Result<T, Trouble> {
        self.registered.end();
        self.report_settings().await?;
        done?
    }

    /// Tells the client of a failure; fails itself where the connection cannot go on.
    async fn tell(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match trouble {
            Trouble::Failed(failure) if !failure.fatal => {
                self.transaction.fail();
                tracing::debug!(sqlstate = %failure.sqlstate, reason = failure.message.as_str(), "statement failed");
                let response: ErrorResponse = failure.into_response();
                self.feed(PgWireBackendMessage::ErrorResponse(response)).await
            }
            trouble => Err(trouble),
        }
    }

    async fn warn(&mut self, sqlstate: &str, message: &str) -> Result<(), Trouble> {
        let info = ErrorInfo::new("WARNING".to_owned(), sqlstate.to_owned(), message.to_owned());
        self.feed(PgWireBackendMessage::NoticeResponse(NoticeResponse::from(info))).await
    }

    /// Tells the client of settings that have changed since it was last told.
    async fn report_settings(&mut self) -> Result<(), Trouble> {
        let changed: Vec<(&'static str, String)> = self
            .settings
            .read()
            .reports()
            .filter(|(name, value)| self.reported.get(name).map(String::as_str) != Some(*value))
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        for (name, value) in changed {
            self.reported.insert(name, value.clone());
            self.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name.to_owned(), value))).await?;
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<(), Trouble> {
        let status = self.transaction.status();
        self.feed(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status))).await?;
        self.wire.flush().await?;
        Ok(())
    }

    async fn complete(&mut self, tag: impl Into<String>) -> Result<(), Trouble> {
        self.feed(PgWireBackendMessage::CommandComplete(CommandComplete::new(tag.into()))).await
    }

    async fn no_data(&mut self) -> Result<(), Trouble> {
        self.feed(PgWireBackendMessage::NoData(NoData::new())).await
    }

    async fn feed(&mut self, message: PgWireBackendMessage) -> Result<(), Trouble> {
        self.wire.feed(message).await.map_err(Trouble::from)
    }
}
