//! The socket of one client: PostgreSQL messages in and out, over TLS or not, with a limit on what a client
//! may make the server hold.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use pgwire::api::{ClientInfo, DefaultClient, PgWireConnectionState, PidSecretKeyGenerator};
use pgwire::error::PgWireError;
use pgwire::messages::startup::SecretKey;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use pgwire::tokio::TlsAcceptor;
use pgwire::tokio::server::{MaybeTls, PgWireMessageServerCodec, negotiate_tls};
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder, Framed, FramedParts};

/// What a client may send in one message before it has shown who it is.
const STRANGER_BYTES: usize = 16 << 10;
/// And after: a statement with its parameters.
const MESSAGE_BYTES: usize = 64 << 20;

/// One client's connection.
pub(crate) struct Wire {
    framed: Framed<MaybeTls, Codec>,
    peer: SocketAddr,
}

impl Wire {
    /// Answers the client's wish for encryption. `None` where it insists on TLS and there is none.
    pub(crate) async fn accept(socket: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Option<Wire>> {
        let peer = socket.peer_addr()?;
        let Some(negotiated) = negotiate_tls::<()>(socket, tls).await? else { return Ok(None) };
        let parts = negotiated.into_parts();
        if parts.codec.client_info.is_secure() && !parts.read_buf.is_empty() {
            // Sent in the clear behind the wish for TLS: taking it for the client's would let anybody between
            // put words into its mouth.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "plain bytes before the TLS handshake"));
        }
        let codec = Codec { inner: parts.codec, limit: STRANGER_BYTES };
        let mut parts_with_limit = FramedParts::new::<PgWireBackendMessage>(parts.io, codec);
        parts_with_limit.read_buf = parts.read_buf;
        parts_with_limit.write_buf = parts.write_buf;
        Ok(Some(Wire { framed: Framed::from_parts(parts_with_limit), peer }))
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether nobody between can read along.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.framed.codec().inner.client_info.is_secure()
    }

    /// The next message; `None` where the client has gone.
    pub(crate) async fn receive(&mut self) -> Result<Option<PgWireFrontendMessage>, PgWireError> {
        self.framed.next().await.transpose()
    }

    /// Queues a message. It goes out with the next [`Wire::flush`], or earlier where many are queued.
    pub(crate) async fn feed(&mut self, message: PgWireBackendMessage) -> io::Result<()> {
        self.framed.feed(message).await
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.framed.flush().await
    }

    pub(crate) async fn send(&mut self, message: PgWireBackendMessage) -> io::Result<()> {
        self.framed.send(message).await
    }

    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.framed.close().await
    }

    /// The startup message has come: what follows has the form of ordinary messages.
    pub(crate) fn startup_done(&mut self, version: ProtocolVersion) {
        let client = self.client_mut();
        client.set_protocol_version(version);
        client.set_state(PgWireConnectionState::AuthenticationInProgress);
    }

    /// The client has shown who it is.
    pub(crate) fn trust(&mut self) {
        self.client_mut().set_state(PgWireConnectionState::ReadyForQuery);
        self.framed.codec_mut().limit = MESSAGE_BYTES;
    }

    /// A number and a secret of the form this client's protocol version has room for.
    pub(crate) fn identify(&self, generator: &dyn PidSecretKeyGenerator) -> (i32, SecretKey) {
        generator.generate(&self.framed.codec().inner.client_info)
    }

    fn client_mut(&mut self) -> &mut DefaultClient<()> {
        &mut self.framed.codec_mut().inner.client_info
    }
}

/// `pgwire`'s codec, and a limit: a message's header alone makes it reserve what it claims.
struct Codec {
    inner: PgWireMessageServerCodec<()>,
    limit: usize,
}

impl Codec {
    /// Whether messages carry their type: all but the very first ones do.
    fn is_typed(&self) -> bool {
        !matches!(
            self.inner.client_info.state(),
            PgWireConnectionState::AwaitingSslRequest | PgWireConnectionState::AwaitingStartup
        )
    }
}

impl Decoder for Codec {
    type Item = PgWireFrontendMessage;
    type Error = PgWireError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<PgWireFrontendMessage>, PgWireError> {
        if self.is_typed()
            && let Some(&[_, a, b, c, d]) = bytes.first_chunk::<5>()
        {
            let length = usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            if length < 4 || length > self.limit {
                return Err(PgWireError::MessageTooLarge(self.limit, length));
            }
        }
        self.inner.decode(bytes)
    }
}

impl Encoder<PgWireBackendMessage> for Codec {
    type Error = io::Error;

    fn encode(&mut self, message: PgWireBackendMessage, bytes: &mut BytesMut) -> io::Result<()> {
        self.inner.encode(message, bytes)
    }
}
