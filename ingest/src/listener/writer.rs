//! The sending half of a connection: acknowledgements in order, answers at once, deliveries when there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use storage::StoreError;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::hub::{Delivery, Hub, Message};
use super::packet::{Ack, Version, put_ack, put_publish};
use crate::intake::Submitted;

/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 64 * 1024;
/// A client that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// A batch on its way to the disk, and what is owed to the client for it.
#[derive(Debug)]
pub(super) struct Committing {
    pub(super) submitted: Submitted,
    pub(super) acks: Vec<Ack>,
    pub(super) messages: Vec<Arc<Message>>,
}

/// How many batches of a connection are not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    count: AtomicUsize,
    left: Notify,
}

impl InFlight {
    pub(super) fn enter(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn leave(&self, batches: usize) {
        if batches > 0 {
            self.count.fetch_sub(batches, Ordering::AcqRel);
            self.left.notify_one();
        }
    }

    pub(super) fn is_none(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Resolves once all are acknowledged. Only one task may wait. Cancel-safe.
    pub(super) async fn none(&self) {
        while !self.is_none() {
            self.left.notified().await;
        }
    }
}

/// What a writer works on.
pub(super) struct Writer<W> {
    pub(super) stream: W,
    pub(super) version: Version,
    /// Largest packet that the client takes.
    pub(super) max_packet: usize,
    pub(super) connection: u64,
    pub(super) commits: mpsc::Receiver<Committing>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) answers: mpsc::Receiver<Bytes>,
    pub(super) deliveries: mpsc::Receiver<Delivery>,
    pub(super) hub: Arc<Hub>,
    /// Tells the reader that it is over.
    pub(super) broken: CancellationToken,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Runs until the reader has ended and everything it left was stored and acknowledged; gives the stream back. After a
    /// failed commit or write it ends at once: what was not acknowledged then is sent again by its publisher.
    pub(super) async fn run(mut self) -> Option<W> {
        let mut out = BytesMut::with_capacity(WRITE_BYTES);
        let mut current = None;
        let (mut committing, mut answering) = (true, true);
        while committing || answering {
            let mut acknowledged = 0;
            tokio::select! {
                biased;
                answer = self.answers.recv(), if answering => match answer {
                    Some(answer) => out.extend_from_slice(&answer),
                    None => answering = false,
                },
                committed = next(&mut self.commits, &mut current), if committing => match committed {
                    None => committing = false,
                    Some(Ok(committed)) => {
                        self.acknowledge(&committed, &mut out);
                        acknowledged = 1;
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "a batch was not stored: the connection is closed and nothing of it acknowledged");
                        self.broken.cancel();
                        return None;
                    }
                },
                Some(delivery) = self.deliveries.recv() => self.deliver(&delivery, &mut out),
            }
            while out.len() < WRITE_BYTES
                && let Ok(delivery) = self.deliveries.try_recv()
            {
                self.deliver(&delivery, &mut out);
            }
            if !self.write(&mut out).await {
                self.broken.cancel();
                return None;
            }
            self.in_flight.leave(acknowledged);
        }
        Some(self.stream)
    }

    fn acknowledge(&self, committed: &Committing, out: &mut BytesMut) {
        for &ack in &committed.acks {
            put_ack(self.version, ack, out);
        }
        if !committed.messages.is_empty() {
            self.hub.publish(self.connection, &committed.messages);
        }
    }

    fn deliver(&self, delivery: &Delivery, out: &mut BytesMut) {
        let Message { topic, payload, .. } = &*delivery.message;
        // The fixed header takes at most five bytes, topic length and empty properties three.
        if topic.len() + payload.len() + 8 <= self.max_packet {
            put_publish(self.version, topic, payload, delivery.retain, out);
        }
    }

    async fn write(&mut self, out: &mut BytesMut) -> bool {
        if out.is_empty() {
            return true;
        }
        let written = tokio::time::timeout(WRITE_TIMEOUT, async {
            self.stream.write_all(out).await?;
            self.stream.flush().await
        });
        let written = matches!(written.await, Ok(Ok(())));
        out.clear();
        written
    }
}

/// The outcome of the oldest commit; `None` where there will be no more. Cancel-safe: `current` holds what was begun.
async fn next(
    commits: &mut mpsc::Receiver<Committing>,
    current: &mut Option<Committing>,
) -> Option<Result<Committing, StoreError>> {
    if current.is_none() {
        *current = commits.recv().await;
    }
    let outcome = current.as_mut()?.submitted.stored().await;
    let committed = current.take()?;
    Some(outcome.map(|()| committed))
}
