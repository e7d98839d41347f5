//! The embedded MQTT listener: 3.1.1 and 5 on one port, plain or TLS.
//!
//! A publisher's PUBACK or PUBREC is sent after the message is on disk and visible to queries, in the order of its
//! messages. One batch per socket read goes to the store; while it is on its way the next one is read, up to a window
//! per connection and a byte budget for the server. Not reading the socket is the back-pressure. After a failed commit
//! nothing is acknowledged any more and the connection is closed, so that the publisher sends again.
//!
//! Subscribers get what is stored, at QoS 0, with retained messages. Sessions end with their connection, and a connection
//! ends with its login: what is on its way to the disk then is still acknowledged.

mod connection;
mod filter;
mod gather;
mod handshake;
mod hub;
mod notices;
mod packet;
mod reader;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::intake::Intake;
use crate::login::Authenticate;
use hub::Hub;
pub use notices::Notices;

/// Connections at once.
const MAX_CONNECTIONS: usize = 4_096;
/// Bytes of long packets that may be in memory at once, before they are whole and decoded.
const LONG_BYTES: usize = 64 << 20;
/// Passwords checked at once; each costs milliseconds of CPU, and guessing them must not starve ingest.
const PASSWORD_CHECKS: usize = 2;
/// How long a client may take for its TLS handshake, and again for its CONNECT.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections may take to end after shutdown began.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after an accept that failed for want of file handles or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(crate) struct Shared {
    intake: Arc<Intake>,
    auth: Arc<dyn Authenticate>,
    hub: Arc<Hub>,
    /// Bytes of long packets that are being read, all connections together.
    long: Arc<Semaphore>,
    /// Passwords that may be checked at once.
    password_checks: Semaphore,
    shutdown: CancellationToken,
}

/// Serves MQTT on `listener` until `shutdown`; then connections are told, what is on its way is stored and
/// acknowledged, and the call returns. `notices` are told to its subscribers too.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    intake: Arc<Intake>,
    auth: Arc<dyn Authenticate>,
    notices: Notices,
    shutdown: CancellationToken,
) {
    let long = Arc::new(Semaphore::new(LONG_BYTES));
    let shared = Arc::new(Shared {
        intake,
        auth,
        hub: notices.hub,
        long,
        password_checks: Semaphore::new(PASSWORD_CHECKS),
        shutdown: shutdown.clone(),
    });
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    welcome(stream, peer, tls, shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an MQTT connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!(
            left = connections.len(),
            "some MQTT connections did not end in time; what they sent is not acknowledged"
        );
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

async fn welcome(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    metrics::gauge!("takt_mqtt_connections").increment(1.0);
    match tls {
        None => {
            let (reader, writer) = stream.into_split();
            connection::run(reader, writer, peer, shared).await;
        }
        Some(tls) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let (reader, writer) = tokio::io::split(stream);
                connection::run(reader, writer, peer, shared).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        },
    }
    metrics::gauge!("takt_mqtt_connections").decrement(1.0);
}

#[cfg(test)]
mod tests;
