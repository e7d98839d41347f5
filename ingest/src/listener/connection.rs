//! One connection from accept to close.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use rmqtt_codec::v5::DisconnectReasonCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::handshake::{Will, greet};
use super::hub::Message;
use super::packet::disconnect;
use super::reader::Reader;
use super::writer::{InFlight, Writer};
use crate::intake::{Source, now_us};
use crate::login::Login;

/// Batches of a connection that are on their way to the disk at once. With 256 messages each, they make the receive
/// maximum.
const COMMITS: usize = 32;
/// Answers (SUBACK, PINGRESP …) that wait to be sent.
const ANSWERS: usize = 256;
/// Deliveries that wait to be sent; more are lost.
const DELIVERIES: usize = 4_096;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    /// Whether the will is to be published.
    pub(super) will: bool,
    /// What an MQTT 5 client is told.
    pub(super) reason: Option<DisconnectReasonCode>,
}

impl Ending {
    /// The client said goodbye.
    pub(super) const GOODBYE: Self = Self { will: false, reason: None };
    /// The client is gone.
    pub(super) const GONE: Self = Self { will: true, reason: None };

    /// The client's login was taken back: what it may no longer publish, its will may not say either.
    pub(super) const NO_LONGER_ALLOWED: Self = Self { will: false, reason: Some(DisconnectReasonCode::NotAuthorized) };

    /// The server ends it.
    pub(super) fn because(reason: DisconnectReasonCode) -> Self {
        Self { will: true, reason: Some(reason) }
    }
}

/// Serves a client until it leaves, fails, or the server shuts down.
pub(super) async fn run<R, W>(mut reader: R, mut writer: W, peer: SocketAddr, shared: Arc<Shared>)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut buffer = BytesMut::new();
    let Some(session) = greet(&mut reader, &mut writer, &mut buffer, peer, &shared).await else { return };
    let (connection, client, login) = (session.connection, Arc::clone(&session.client), session.login.clone());
    let (version, will, max_packet) = (session.wire.version(), session.will.clone(), session.max_packet);
    let displaced = shared.hub.enter(&client, connection);
    tracing::debug!(%peer, client = &*client, login = &*login.name, "an MQTT client connected");

    let (commits, committing) = mpsc::channel(COMMITS);
    let in_flight = Arc::new(InFlight::default());
    let (answers, answering) = mpsc::channel(ANSWERS);
    let (outbox, deliveries) = mpsc::channel(DELIVERIES);
    let broken = CancellationToken::new();
    let sending = tokio::spawn(
        Writer {
            stream: writer,
            version,
            max_packet,
            connection,
            commits: committing,
            in_flight: Arc::clone(&in_flight),
            answers: answering,
            deliveries,
            hub: Arc::clone(&shared.hub),
            broken: broken.clone(),
        }
        .run(),
    );
    let feed = shared.intake.feed(Source::new("mqtt", &login.name));
    let mut reading = Reader::new(
        reader,
        buffer,
        session,
        feed,
        Arc::clone(&shared),
        commits,
        in_flight,
        answers,
        outbox,
        broken,
        displaced,
    );
    let ending = reading.run().await;
    reading.unsubscribe_all();
    shared.hub.leave(&client, connection);
    // The writer ends when the reader's ends of its queues are gone and everything on its way was acknowledged.
    drop(reading);
    let stream = sending.await.ok().flatten();
    tracing::debug!(%peer, client = &*client, ?ending, "an MQTT client left");
    if let Some(stream) = stream {
        say_goodbye(stream, ending, version).await;
    }
    if let Some(will) = will.filter(|_| ending.will && login.stands()) {
        publish_will(will, connection, &login, &shared).await;
    }
}

async fn say_goodbye<W: AsyncWrite + Unpin>(mut stream: W, ending: Ending, version: super::packet::Version) {
    let farewell = ending.reason.and_then(|reason| disconnect(version, reason));
    let closed = async {
        if let Some(farewell) = farewell {
            stream.write_all(&farewell).await?;
        }
        stream.shutdown().await
    };
    // The client may be gone already, or take nothing any more; there is nothing left to save.
    if let Ok(Err(error)) = tokio::time::timeout(super::HANDSHAKE_TIMEOUT, closed).await {
        tracing::trace!(%error, "a connection did not close cleanly");
    }
}

/// Stores the will like any message, then tells subscribers.
async fn publish_will(will: Will, connection: u64, login: &Login, shared: &Shared) {
    let mut feed = shared.intake.feed(Source::new("mqtt", &login.name));
    let mut batch = feed.batch();
    shared.intake.message(&mut feed, &will.topic, &will.payload, now_us(), &mut batch);
    match shared.intake.commit(batch).await {
        Ok(()) => {
            let message = Message { topic: will.topic, payload: will.payload, retain: will.retain };
            shared.hub.publish(connection, &[Arc::new(message)]);
        }
        Err(error) => tracing::warn!(%error, topic = &*will.topic, "a will was not stored"),
    }
}
