//! The receiving half of a connection: reads, hands batches to the store, and stops reading where that takes long.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

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
use super::writer::{Committing, InFlight};
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
    in_flight: Arc<InFlight>,
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
        in_flight: Arc<InFlight>,
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
            in_flight,
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
    ///
    /// While a batch is on its way to the disk, few messages wait for it and for company: a batch costs the same whether
    /// it holds two messages or fifty.
    pub(super) async fn run(&mut self) -> Ending {
        let mut round = Round::default();
        loop {
            // Also where there is always more in the buffer: what was not taken yet is not taken any more.
            if !self.session.login.stands() {
                return self.finish(round, Ending::NO_LONGER_ALLOWED).await;
            }
            self.gather(&mut round);
            for answer in std::mem::take(&mut round.answers) {
                if self.answers.send(answer).await.is_err() {
                    return self.finish(round, Ending::GONE).await;
                }
            }
            if let Some(ending) = round.ending {
                return self.finish(round, ending).await;
            }
            let (mut more, gathered) = (round.full, self.buffer.len());
            if round.is_worth_a_batch() || self.in_flight.is_none() {
                let handed_over = self.hand_over(std::mem::take(&mut round)).await;
                if let Err(ending) = handed_over {
                    return ending;
                }
                // What was read ahead meanwhile may be all that the client sends for long.
                more |= self.buffer.len() > gathered;
            }
            if !more && let Err(ending) = self.fill(round.patience()).await {
                return self.finish(round, ending).await;
            }
        }
    }

    /// Hands over what was taken before the connection ends.
    async fn finish(&mut self, round: Round, ending: Ending) -> Ending {
        self.hand_over(round).await.err().unwrap_or(ending)
    }

    /// Ends all subscriptions.
    pub(super) fn unsubscribe_all(&mut self) {
        for filter in self.filters.drain() {
            self.shared.hub.unsubscribe(self.session.connection, &filter);
        }
    }

    /// Gives a round's batch to the store. While that waits, for the window of this connection or the byte budget of all,
    /// only a little is read ahead, so that PINGREQs are answered.
    async fn hand_over(&mut self, round: Round) -> Result<(), Ending> {
        let Round { batch: Some(batch), acks, messages, .. } = round else { return Ok(()) };
        let (commits, intake, in_flight) =
            (self.commits.clone(), Arc::clone(&self.shared.intake), Arc::clone(&self.in_flight));
        let handing_over = async move {
            // Where the writer is gone, what has no acknowledgement is stored all the same.
            let place = commits.reserve().await;
            let submitted = intake.submit(batch).await.map_err(|error| {
                tracing::warn!(%error, "a batch was not stored: the connection is closed and nothing of it acknowledged");
                Ending::because(DisconnectReasonCode::UnspecifiedError)
            })?;
            let place = place.map_err(|_| Ending::GONE)?;
            in_flight.enter();
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
                () = self.session.login.ended() => return Err(Ending::NO_LONGER_ALLOWED),
                read = self.stream.read_buf(&mut self.buffer), if room => {
                    // An end or an error shows again once this batch is on its way.
                    open = matches!(read, Ok(bytes) if bytes > 0);
                    self.ahead.scan(&self.buffer, &self.answers);
                    self.buffer.reserve(READ_BYTES);
                }
            }
        }
    }

    /// Reads more, for the packet at the front or whatever comes; where messages wait for the batch before them, no longer
    /// than that takes.
    async fn fill(&mut self, patience: Option<Instant>) -> Result<(), Ending> {
        let waiting = patience.is_some();
        self.make_room(waiting).await?;
        let Self { stream, buffer, session, shared, broken, displaced, in_flight, .. } = self;
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
            () = enough(in_flight, patience), if waiting => Ok(()),
            () = broken.cancelled() => Err(Ending::GONE),
            () = displaced.cancelled() => Err(Ending::because(DisconnectReasonCode::SessionTakenOver)),
            () = shared.shutdown.cancelled() => Err(Ending::because(DisconnectReasonCode::ServerShuttingDown)),
            () = session.login.ended() => Err(Ending::NO_LONGER_ALLOWED),
        }
    }

    /// Room for the rest of the packet at the front; a long one waits until all connections' long packets leave it some.
    async fn make_room(&mut self, waiting: bool) -> Result<(), Ending> {
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
                () = self.in_flight.none(), if waiting => return Ok(()),
                () = self.displaced.cancelled() => return Err(Ending::because(DisconnectReasonCode::SessionTakenOver)),
                () = self.shared.shutdown.cancelled() => return Err(Ending::because(DisconnectReasonCode::ServerShuttingDown)),
                () = self.session.login.ended() => return Err(Ending::NO_LONGER_ALLOWED),
            };
            self.long = Some(permit.map_err(|_| Ending::because(DisconnectReasonCode::ServerShuttingDown))?);
            self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        }
        Ok(())
    }
}

/// Resolves once messages have waited enough for the batch before them.
async fn enough(in_flight: &InFlight, until: Option<Instant>) {
    let Some(until) = until else { return };
    // In time or not: they are handed over now.
    drop(tokio::time::timeout_at(until.into(), in_flight.none()).await);
}

#[cfg(test)]
mod tests;
