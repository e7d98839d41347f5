//! The way a connection comes in: plain TCP, or TLS with its handshake kept out of everybody else's way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A handshake that takes longer is dropped: it holds a socket and has not said who it is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way at once; further connections wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 256;

/// Address of the client at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsDoor>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsDoor>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A TCP listener whose connections speak TLS.
///
/// A client that connects and says nothing must not delay the next one, so handshakes run side by side
/// and `accept` hands out whichever finishes first.
pub(super) struct TlsDoor {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<(TlsStream<TcpStream>, SocketAddr)>>>,
}

impl TlsDoor {
    /// A door over `listener` that presents the certificate of `config`.
    pub(super) fn new(listener: TcpListener, config: Arc<rustls::ServerConfig>) -> Self {
        Self { listener, acceptor: TlsAcceptor::from(config), handshakes: FuturesUnordered::new() }
    }

    fn greet(&self, stream: TcpStream, peer: SocketAddr) {
        let handshake = self.acceptor.accept(stream);
        self.handshakes.push(Box::pin(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => Some((stream, peer)),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "TLS handshake failed");
                    None
                }
                Err(_elapsed) => {
                    tracing::debug!(%peer, "TLS handshake timed out");
                    None
                }
            }
        }));
    }
}

impl Listener for TlsDoor {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let room = self.handshakes.len() < MAX_HANDSHAKES;
            tokio::select! {
                // The plain listener's `accept` logs and retries on its own errors.
                (stream, peer) = Listener::accept(&mut self.listener), if room => self.greet(stream, peer),
                Some(done) = self.handshakes.next() => {
                    if let Some(connection) = done {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
