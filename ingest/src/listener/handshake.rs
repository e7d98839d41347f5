//! From the first byte to CONNACK.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use rmqtt_codec::{v3, v5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::Decoder;

use super::filter::is_topic;
use super::packet::{Frame, Wire, encode_v3, encode_v5, frame};
use super::reader::{MAX_ALIASES, MAX_PACKET_BYTES, RECEIVE_MAXIMUM};
use super::{HANDSHAKE_TIMEOUT, Shared};
use crate::login::{Login, Role};

/// First byte of a CONNECT.
const CONNECT: u8 = 0x10;
/// Longest CONNECT: before a client is known, it may not take more memory than this.
const MAX_CONNECT_BYTES: usize = 64 * 1024;

/// What to publish when a client is gone without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Will {
    pub(super) topic: Box<str>,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
}

/// A client that has been let in.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) connection: u64,
    pub(super) client: Arc<str>,
    pub(super) login: Login,
    /// The longest silence; `None` for any.
    pub(super) keep_alive: Option<Duration>,
    pub(super) will: Option<Will>,
    /// Largest packet that the client takes.
    pub(super) max_packet: usize,
}

/// What both versions' CONNECT says.
struct Greeting {
    wire: Wire,
    client: String,
    user: Option<String>,
    password: Option<Bytes>,
    keep_alive: u16,
    will: Option<Will>,
    max_packet: usize,
    /// Enhanced authentication, which is not offered.
    method: bool,
    /// The client asked for a session that outlives its connection.
    lasting: bool,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    Version,
    Malformed,
    ClientId,
    Login,
    Role,
    Method,
    Unavailable,
    Will,
}

/// Reads CONNECT and answers it. `None` where the client was not let in; it has been told why, where it can be.
pub(super) async fn greet<R, W>(
    reader: &mut R,
    writer: &mut W,
    buffer: &mut BytesMut,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) -> Option<Session>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let read = tokio::time::timeout(HANDSHAKE_TIMEOUT, first_packet(reader, buffer)).await;
    if !matches!(read, Ok(Ok(true))) {
        tracing::debug!(%peer, "no CONNECT came");
        return None;
    }
    let version = VersionCodec.decode(buffer);
    let decoded = match version {
        Ok(Some(ProtocolVersion::MQTT3)) => greeting_v3(buffer),
        Ok(Some(ProtocolVersion::MQTT5)) => greeting_v5(buffer),
        Ok(None) | Err(_) => Err(Denied::Version),
    };
    let v5 = matches!(version, Ok(Some(ProtocolVersion::MQTT5)));
    let connection = shared.hub.number();
    let admitted = match decoded {
        Ok(greeting) => admit(greeting, peer, shared).await,
        Err(denied) => Err(denied),
    };
    let (answer, session) = match admitted {
        Err(denied) => {
            tracing::info!(%peer, ?denied, "an MQTT client was not let in");
            metrics::counter!("takt_mqtt_denied_total").increment(1);
            (refuse(v5, denied), None)
        }
        Ok((greeting, login)) => {
            let assigned = greeting.client.is_empty().then(|| format!("takt-{connection}"));
            let answer = accept(&greeting, assigned.as_deref());
            (answer, Some(session(greeting, login, connection, assigned)))
        }
    };
    let answer = answer.ok()?;
    let sent = tokio::time::timeout(HANDSHAKE_TIMEOUT, async {
        writer.write_all(&answer).await?;
        writer.flush().await
    });
    matches!(sent.await, Ok(Ok(()))).then_some(session)?
}

/// Reads until CONNECT is there as a whole; `false` where it is not to be expected.
async fn first_packet<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut) -> io::Result<bool> {
    loop {
        match frame(buffer) {
            Frame::Malformed => return Ok(false),
            Frame::Packet { length, first } if first != CONNECT || length > MAX_CONNECT_BYTES => return Ok(false),
            Frame::Packet { length, .. } if buffer.len() >= length => return Ok(true),
            Frame::Packet { .. } | Frame::Short => {}
        }
        buffer.reserve(4096);
        if reader.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
}

fn denied(error: DecodeError) -> Denied {
    match error {
        DecodeError::InvalidClientId => Denied::ClientId,
        DecodeError::InvalidProtocol | DecodeError::UnsupportedProtocolLevel => Denied::Version,
        _ => Denied::Malformed,
    }
}

fn greeting_v3(buffer: &mut BytesMut) -> Result<Greeting, Denied> {
    let mut codec = v3::Codec::new(packet_limit());
    let Some((v3::Packet::Connect(connect), _)) = codec.decode(buffer).map_err(denied)? else {
        return Err(Denied::Malformed);
    };
    Ok(Greeting {
        wire: Wire::V3(codec),
        client: connect.client_id.to_string(),
        user: connect.username.map(|user| user.to_string()),
        password: connect.password,
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            topic: will.topic.to_string().into(),
            payload: Bytes::copy_from_slice(&will.message),
            retain: will.retain,
        }),
        max_packet: usize::MAX,
        method: false,
        lasting: false,
    })
}

fn greeting_v5(buffer: &mut BytesMut) -> Result<Greeting, Denied> {
    let mut codec = v5::Codec::new(packet_limit(), 0);
    let Some((v5::Packet::Connect(connect), _)) = codec.decode(buffer).map_err(denied)? else {
        return Err(Denied::Malformed);
    };
    let max_packet = connect.max_packet_size.and_then(|size| usize::try_from(size.get()).ok());
    Ok(Greeting {
        wire: Wire::V5(codec),
        client: connect.client_id.to_string(),
        user: connect.username.map(|user| user.to_string()),
        password: connect.password,
        keep_alive: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            topic: will.topic.to_string().into(),
            payload: Bytes::copy_from_slice(&will.message),
            retain: will.retain,
        }),
        max_packet: max_packet.unwrap_or(usize::MAX),
        method: connect.auth_method.is_some(),
        lasting: connect.session_expiry_interval_secs > 0,
    })
}

fn packet_limit() -> u32 {
    u32::try_from(MAX_PACKET_BYTES).unwrap_or(u32::MAX)
}

async fn admit(greeting: Greeting, peer: SocketAddr, shared: &Arc<Shared>) -> Result<(Greeting, Login), Denied> {
    if greeting.method {
        return Err(Denied::Method);
    }
    let (user, password) = (greeting.user.clone(), greeting.password.clone());
    let _check = shared.password_checks.acquire().await.map_err(|_| Denied::Unavailable)?;
    let shared = Arc::clone(shared);
    // Checking a password takes a while, and the store's health waits for its locks.
    let checked = tokio::task::spawn_blocking(move || {
        if shared.intake.store().health().poisoned.is_some() {
            return Err(Denied::Unavailable);
        }
        check(&shared, user.as_deref(), password.as_deref(), peer)
    });
    let login = checked.await.unwrap_or(Err(Denied::Unavailable))?;
    match &greeting.will {
        Some(will) if !is_topic(&will.topic) => Err(Denied::Will),
        Some(_) if login.role < Role::Write => Err(Denied::Role),
        _ => Ok((greeting, login)),
    }
}

fn check(shared: &Shared, user: Option<&str>, password: Option<&[u8]>, peer: SocketAddr) -> Result<Login, Denied> {
    if let Some(local) = shared.auth.local() {
        return if peer.ip().to_canonical().is_loopback() { Ok(local) } else { Err(Denied::Role) };
    }
    let Some(password) = password else { return Err(Denied::Login) };
    let known = user.and_then(|user| shared.auth.password(user, password));
    // A token stands where a password would; the user's name then does not matter.
    let known = known.or_else(|| std::str::from_utf8(password).ok().and_then(|token| shared.auth.token(token)));
    known.ok_or(Denied::Login)
}

fn session(greeting: Greeting, login: Login, connection: u64, assigned: Option<String>) -> Session {
    let keep_alive = Some(greeting.keep_alive).filter(|&seconds| seconds > 0);
    Session {
        wire: greeting.wire,
        connection,
        client: assigned.unwrap_or(greeting.client).into(),
        login,
        // The standard gives one and a half times the interval.
        keep_alive: keep_alive.map(|seconds| Duration::from_millis(u64::from(seconds) * 1_500)),
        will: greeting.will,
        max_packet: greeting.max_packet,
    }
}

fn accept(greeting: &Greeting, assigned: Option<&str>) -> Result<Bytes, rmqtt_codec::error::EncodeError> {
    match greeting.wire {
        Wire::V3(_) => {
            let accepted =
                v3::ConnectAck { return_code: v3::ConnectAckReason::ConnectionAccepted, session_present: false };
            encode_v3(v3::Packet::ConnectAck(accepted))
        }
        Wire::V5(_) => encode_v5(v5::Packet::ConnectAck(Box::new(v5::ConnectAck {
            session_expiry_interval_secs: greeting.lasting.then_some(0),
            receive_max: NonZeroU16::new(RECEIVE_MAXIMUM).unwrap_or(NonZeroU16::MAX),
            max_packet_size: Some(packet_limit()),
            assigned_client_id: assigned.map(Into::into),
            topic_alias_max: MAX_ALIASES,
            subscription_identifiers_available: false,
            shared_subscription_available: false,
            ..v5::ConnectAck::default()
        }))),
    }
}

fn refuse(v5: bool, denied: Denied) -> Result<Bytes, rmqtt_codec::error::EncodeError> {
    use v3::ConnectAckReason as V3;
    use v5::ConnectAckReason as V5;
    let (old, new) = match denied {
        Denied::Version => (V3::UnacceptableProtocolVersion, V5::UnsupportedProtocolVersion),
        Denied::Malformed => (V3::IdentifierRejected, V5::MalformedPacket),
        Denied::ClientId => (V3::IdentifierRejected, V5::ClientIdentifierNotValid),
        Denied::Login => (V3::BadUserNameOrPassword, V5::BadUserNameOrPassword),
        Denied::Role => (V3::NotAuthorized, V5::NotAuthorized),
        Denied::Method => (V3::NotAuthorized, V5::BadAuthenticationMethod),
        Denied::Unavailable => (V3::ServiceUnavailable, V5::ServerUnavailable),
        Denied::Will => (V3::NotAuthorized, V5::TopicNameInvalid),
    };
    if v5 {
        encode_v5(v5::Packet::ConnectAck(Box::new(v5::ConnectAck { reason_code: new, ..v5::ConnectAck::default() })))
    } else {
        encode_v3(v3::Packet::ConnectAck(v3::ConnectAck { return_code: old, session_present: false }))
    }
}
