//! The PostgreSQL wire: psql, Grafana, Python, JDBC and ODBC clients ask their questions here.
//!
//! What a client can rely on:
//!
//! 1. A session of its own, that only reads: what would change anything is refused with SQLSTATE 25006.
//! 2. A cancel request and `statement_timeout` end a statement wherever it is: planning, running, or waiting
//!    for a client that does not read.
//! 3. A result is streamed: the server holds a few thousand of its rows, however long it is.
//! 4. Without users only clients on this machine come in; with users every client proves its password by
//!    SCRAM-SHA-256, and nobody learns which names exist. A session ends with its login, whatever it is doing.
//! 5. Where TLS is configured it is offered; where it is not, a client that asks is told so in plain words.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ingest::Login;
use pgwire::api::RandomPidSecretKeyGenerator;
use pgwire::messages::PgWireBackendMessage;
use pgwire::tokio::TlsAcceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Faces;

mod cancel;
mod catalog;
mod connection;
mod copy;
mod failure;
mod lexeme;
mod login;
mod parameters;
mod prepared;
mod rewrite;
mod rows;
mod run;
mod settings;
mod source;
mod startup;
mod statement;
mod transaction;
mod wire;

use cancel::Sessions;
use catalog::Identity;
use connection::Connection;
use failure::{Failure, Trouble, sqlstate};
use login::Strangers;
use run::Runner;
use settings::SharedSettings;
use wire::Wire;

/// Sessions at the same time; `max_connections` says the same.
const MAX_CONNECTIONS: usize = 200;
/// From the first byte to a session, the login included.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);
/// A pause after a failed accept: running out of files must not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The name PostgreSQL clients agree on where they begin with TLS at once.
const ALPN: &[u8] = b"postgresql";

/// What all connections share.
struct Server {
    faces: Arc<Faces>,
    /// Whether a client has to speak TLS: where there is a certificate, all do.
    encrypted: bool,
    sessions: Sessions,
    pids: RandomPidSecretKeyGenerator,
    strangers: Strangers,
    seats: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Serves PostgreSQL clients on `listener` until `shutdown`, then tells those that are connected and returns when
/// they are gone. Network I/O runs where this is called, queries on [`Faces::queries`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    faces: Arc<Faces>,
    shutdown: CancellationToken,
) {
    let tls = tls.map(|config| acceptor(&config));
    let server = Arc::new(Server {
        faces,
        encrypted: tls.is_some(),
        sessions: Sessions::default(),
        pids: RandomPidSecretKeyGenerator::default(),
        strangers: Strangers::default(),
        seats: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        shutdown: shutdown.clone(),
    });
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                connections.spawn(connect(socket, tls.clone(), Arc::clone(&server)));
            }
            Err(error) => {
                tracing::warn!(%error, "a PostgreSQL client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// The listeners share one configuration; each announces its own protocol.
fn acceptor(config: &rustls::ServerConfig) -> TlsAcceptor {
    let mut config = config.clone();
    config.alpn_protocols = vec![ALPN.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// One client, from its first byte to its last.
async fn connect(socket: TcpStream, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    let wire = tokio::select! {
        biased;
        () = server.shutdown.cancelled() => return,
        accepted = tokio::time::timeout(STARTUP_TIMEOUT, Wire::accept(socket, tls)) => accepted,
    };
    let mut wire = match wire {
        Ok(Ok(Some(wire))) => wire,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(error)) => {
            tracing::debug!(%error, "PostgreSQL client: no agreement on encryption");
            return;
        }
    };
    let opened = tokio::select! {
        biased;
        () = server.shutdown.cancelled() => Err(Failure::shutting_down().into()),
        opened = tokio::time::timeout(STARTUP_TIMEOUT, open(&mut wire, &server)) => {
            opened.unwrap_or_else(|_| Err(Trouble::Gone(io::ErrorKind::TimedOut.into())))
        }
    };
    match opened {
        Ok(Some(session)) => session.run(wire, server.shutdown.clone()).await,
        Ok(None) => {}
        Err(Trouble::Gone(error)) => tracing::debug!(%error, "PostgreSQL client left while connecting"),
        Err(Trouble::Failed(failure)) => refuse(&mut wire, failure).await,
    }
}

async fn refuse(wire: &mut Wire, failure: Failure) {
    tracing::info!(peer = %wire.peer(), sqlstate = %failure.sqlstate, reason = failure.message, "PostgreSQL client refused");
    let message = PgWireBackendMessage::ErrorResponse(failure.fatal().into_response());
    if let Err(error) = wire.send(message).await {
        tracing::debug!(%error, "PostgreSQL client left before it was told why");
    }
    if let Err(error) = wire.close().await {
        tracing::debug!(%error, "PostgreSQL connection was not closed cleanly");
    }
}

/// A session that is ready for its first statement.
struct Opened {
    login: Login,
    runner: Runner,
    settings: SharedSettings,
    registered: cancel::Registered,
    /// Its place among [`MAX_CONNECTIONS`].
    _seat: tokio::sync::OwnedSemaphorePermit,
}

impl Opened {
    async fn run(self, wire: Wire, shutdown: CancellationToken) {
        Connection::new(wire, self.runner, self.settings, self.registered, shutdown).run(&self.login).await;
    }
}

/// Logs a client in and opens its session. `None` where it wanted no session.
async fn open(wire: &mut Wire, server: &Server) -> Result<Option<Opened>, Trouble> {
    let Some(startup) = startup::greet(wire, server).await? else { return Ok(None) };
    if server.encrypted && !wire.is_encrypted() {
        let message = "this server takes encrypted connections only; connect with sslmode=require";
        return Err(Failure::new(sqlstate::INVALID_AUTHORIZATION, message).fatal().into());
    }
    let seat = Arc::clone(&server.seats)
        .try_acquire_owned()
        .map_err(|_| Failure::new(sqlstate::TOO_MANY_CONNECTIONS, "sorry, too many clients already").fatal())?;
    let started = startup::start(wire, server, &startup).await?;
    let settings = SharedSettings::new(started.settings);
    let identity = Identity {
        user: settings.read().get("session_authorization")?.to_owned(),
        pid: started.pid,
        settings: settings.clone(),
    };
    // Setting up a session reads the catalogs: work for the queries' runtime.
    let (engine, user) = (Arc::clone(&server.faces.engine), Arc::clone(&started.login.name));
    let session = server
        .faces
        .queries
        .spawn(async move {
            let session = engine.session(&user);
            catalog::install(session.context(), &identity).map(|()| session)
        })
        .await
        .map_err(|error| Failure::new(sqlstate::INTERNAL_ERROR, error.to_string()).fatal())?
        .map_err(|error| Failure::from(error).fatal())?;
    startup::ready(wire).await?;
    let runner = Runner::new(Arc::new(session), settings.clone(), server.faces.queries.clone());
    Ok(Some(Opened { login: started.login, runner, settings, registered: started.registered, _seat: seat }))
}
