//! The receiving half of a connection: reads, hands batches to the store, and stops reading where that takes long.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rmqtt_codec::v5::DisconnectReasonCode;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::connection::Ending;
use super::gather::Round;
use super::handshake::Session;
use super::hub::Outbox;
use super::packet::{Frame, PINGREQ, frame, pong};
use super::writer::Committing;
use crate::intake::Feed;

/// Messages at QoS 1 and 2 that a client may have unacknowledged: 32 batches of 256.
pub(super) const RECEIVE_MAXIMUM: u16 = 8_192;
/// Topic aliases that a client may use.
pub(super) const MAX_ALIASES: u16 = 1_024;
/// Largest packet; longer payloads than admission allows are read all the same, to be kept in `quarantine`.
pub(super) const MAX_PACKET_BYTES: usize = 16 << 20;
/// Read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Packets above this size count against a budget of all connections while they are read.
const LONG_PACKET_BYTES: usize = 256 * 1024;
/// Read while a batch waits for the store, to find PINGREQs.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// The receiving half.
pub(super) struct Reader<R> {
    stream: R,
    pub(super) buffer: BytesMut,
    pub(super) session: Session,
    pub(super) feed: Feed,
    pub(super) shared: Arc<Shared>,
    commits: mpsc::Sender<Committing>,
    answers: mpsc::Sender<Bytes>,
    pub(super) outbox: Outbox,
    broken: CancellationToken,
    displaced: CancellationToken,
    pub(super) ahead: Ahead,
    pub(super) aliases: Vec<Option<Arc<str>>>,
    /// QoS 2 packets whose PUBREL has not come.
    pub(super) unreleased: HashSet<u16>,
    pub(super) filters: HashSet<String>,
    long: Option<OwnedSemaphorePermit>,
}

/// How far the buffer was looked through while its packets could not be decoded yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    scanned: usize,
    /// PINGREQs in that part, which are answered already.
    pings: usize,
}

impl Ahead {
    /// Looks through whole packets that are new in the buffer and answers PINGREQs.
    fn scan(&mut self, buffer: &[u8], answers: &mpsc::Sender<Bytes>) {
        while let Frame::Packet { length, first } = frame(buffer.get(self.scanned..).unwrap_or_default())
            && self.scanned + length <= buffer.len()
        {
            if first == PINGREQ {
                if answers.try_send(pong()).is_err() {
                    return;
                }
                self.pings += 1;
            }
            self.scanned += length;
        }
    }

    /// A packet has been taken off the buffer.
    pub(super) fn consumed(&mut self, length: usize) {
        self.scanned = self.scanned.saturating_sub(length);
    }

    /// Whether a PINGREQ that is being decoded still has to be answered.
    pub(super) fn owes_pong(&mut self) -> bool {
        match self.pings.checked_sub(1) {
            Some(left) => {
                self.pings = left;
                false
            }
            None => true,
        }
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    #[expect(clippy::too_many_arguments, reason = "these are the ends of a connection's queues, joined in one place")]
    pub(super) fn new(
        stream: R,
        buffer: BytesMut,
        session: Session,
        feed: Feed,
        shared: Arc<Shared>,
        commits: mpsc::Sender<Committing>,
        answers: mpsc::Sender<Bytes>,
        outbox: Outbox,
        broken: CancellationToken,
        displaced: CancellationToken,
    ) -> Self {
        Self {
            stream,
            buffer,
            session,
            feed,
            shared,
            commits,
            answers,
            outbox,
            broken,
            displaced,
            ahead: Ahead::default(),
            aliases: Vec::new(),
            unreleased: HashSet::new(),
            filters: HashSet::new(),
            long: None,
        }
    }

    /// Reads until the connection is to end.
    pub(super) async fn run(&mut self) -> Ending {
        loop {
            let round = self.gather();
            let Round { batch, acks, messages, answers, ending, full, .. } = round;
            for answer in answers {
                if self.answers.send(answer).await.is_err() {
                    return Ending::GONE;
                }
            }
            if let Some(batch) = batch {
                let committed = self.hand_over(batch, acks, messages).await;
                if let Err(ending) = committed {
                    return ending;
                }
            }
            if let Some(ending) = ending {
                return ending;
            }
            if !full && let Err(ending) = self.fill().await {
                return ending;
            }
        }
    }

    /// Ends all subscriptions.
    pub(super) fn unsubscribe_all(&mut self) {
        for filter in self.filters.drain() {
            self.shared.hub.unsubscribe(self.session.connection, &filter);
        }
    }

    /// Gives a batch to the store. While that waits, for the window of this connection or the byte budget of all, only a
    /// little is read ahead, so that PINGREQs are answered.
    async fn hand_over(
        &mut self,
        batch: crate::Batch,
        acks: Vec<super::packet::Ack>,
        messages: Vec<Arc<super::hub::Message>>,
    ) -> Result<(), Ending> {
        let (commits, intake) = (self.commits.clone(), Arc::clone(&self.shared.intake));
        let handing_over = async move {
            let place = commits.reserve().await.map_err(|_| Ending::GONE)?;
            let submitted = intake.submit(batch).await.map_err(|error| {
                tracing::warn!(%error, "a batch was not stored: the connection is closed and nothing of it acknowledged");
                Ending::because(DisconnectReasonCode::UnspecifiedError)
            })?;
            place.send(Committing { submitted, acks, messages });
            Ok::<(), Ending>(())
        };
        tokio::pin!(handing_over);
        let mut open = true;
        loop {
            let room = open && self.buffer.len() < READ_AHEAD_BYTES;
            tokio::select! {
                biased;
                done = &mut handing_over => return done,
                () = self.broken.cancelled() => return Err(Ending::GONE),
                () = self.displaced.cancelled() => return Err(Ending::because(DisconnectReasonCode::SessionTakenOver)),
                () = self.shared.shutdown.cancelled() => return Err(Ending::because(DisconnectReasonCode::ServerShuttingDown)),
                read = self.stream.read_buf(&mut self.buffer), if room => {
                    // An end or an error shows again once this batch is on its way.
                    open = matches!(read, Ok(bytes) if bytes > 0);
                    self.ahead.scan(&self.buffer, &self.answers);
                    self.buffer.reserve(READ_BYTES);
                }
            }
        }
    }

    /// Reads more, for the packet at the front or whatever comes.
    async fn fill(&mut self) -> Result<(), Ending> {
        self.make_room().await?;
        let Self { stream, buffer, session, shared, broken, displaced, .. } = self;
        let silence = session.keep_alive;
        let read = async {
            match silence {
                None => Some(stream.read_buf(buffer).await),
                Some(silence) => tokio::time::timeout(silence, stream.read_buf(buffer)).await.ok(),
            }
        };
        tokio::select! {
            read = read => match read {
                None => Err(Ending::because(DisconnectReasonCode::KeepAliveTimeout)),
                Some(Ok(0)) => Err(Ending::GONE),
                Some(Ok(_)) => Ok(()),
                Some(Err(error)) => {
                    tracing::debug!(%error, client = &*session.client, "reading failed");
                    Err(Ending::GONE)
                }
            },
            () = broken.cancelled() => Err(Ending::GONE),
            () = displaced.cancelled() => Err(Ending::because(DisconnectReasonCode::SessionTakenOver)),
            () = shared.shutdown.cancelled() => Err(Ending::because(DisconnectReasonCode::ServerShuttingDown)),
        }
    }

    /// Room for the rest of the packet at the front; a long one waits until all connections' long packets leave it some.
    async fn make_room(&mut self) -> Result<(), Ending> {
        let length = match frame(&self.buffer) {
            Frame::Packet { length, .. } => length,
            Frame::Short | Frame::Malformed => 0,
        };
        if length <= LONG_PACKET_BYTES {
            self.long = None;
            self.buffer.reserve(READ_BYTES.max(length.saturating_sub(self.buffer.len())));
            return Ok(());
        }
        if self.long.is_none() {
            let bytes = u32::try_from(length).unwrap_or(u32::MAX);
            let long = Arc::clone(&self.shared.long);
            let permit = tokio::select! {
                permit = long.acquire_many_owned(bytes) => permit,
                () = self.displaced.cancelled() => return Err(Ending::because(DisconnectReasonCode::SessionTakenOver)),
                () = self.shared.shutdown.cancelled() => return Err(Ending::because(DisconnectReasonCode::ServerShuttingDown)),
            };
            self.long = Some(permit.map_err(|_| Ending::because(DisconnectReasonCode::ServerShuttingDown))?);
            self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
