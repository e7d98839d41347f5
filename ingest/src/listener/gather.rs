//! One round: the whole packets in the buffer, messages into a batch, the rest answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmqtt_codec::error::{DecodeError, EncodeError};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{DisconnectReasonCode, ToReasonCode};
use tokio::io::AsyncRead;

use super::connection::Ending;
use super::filter::{is_filter, is_topic};
use super::hub::Message;
use super::packet::{
    Ack, Frame, Granted, Inbound, NOT_AUTHORIZED, QUOTA_EXCEEDED, Version, Wish, complete, frame, pong, subscribed,
    unsubscribed,
};
use super::reader::{MAX_ALIASES, MAX_PACKET_BYTES, Reader};
use crate::batch::Batch;
use crate::intake::{Outcome, now_us};
use crate::login::Role;

/// Messages in one batch.
const MAX_MESSAGES: usize = 256;
/// Messages that make a batch even while another one is on its way.
const ENOUGH_MESSAGES: usize = 64;
/// The longest wait for the batch before: its acknowledgements may be stuck at a client that takes nothing.
const LONGEST_WAIT: Duration = Duration::from_millis(10);
/// Bytes of packets in one batch.
const MAX_BYTES: usize = 256 * 1024;
/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 1_000;

/// What was taken since the last batch.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Messages for the store.
    pub(super) batch: Option<Batch>,
    /// Owed to the client once the batch is durable.
    pub(super) acks: Vec<Ack>,
    /// For subscribers, once the batch is durable.
    pub(super) messages: Vec<Arc<Message>>,
    /// For the client, now.
    pub(super) answers: Vec<Bytes>,
    /// The connection ends after this.
    pub(super) ending: Option<Ending>,
    /// There may be more whole packets in the buffer.
    pub(super) full: bool,
    arrival_us: i64,
    count: usize,
    bytes: usize,
}

impl Round {
    /// Whether its messages need not wait for more.
    pub(super) fn is_worth_a_batch(&self) -> bool {
        self.full || self.count >= ENOUGH_MESSAGES || self.patience().is_some_and(|until| until <= Instant::now())
    }

    /// Until when its messages wait for the batch before; `None` where it holds none.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.batch.as_ref().map(|batch| batch.started() + LONGEST_WAIT)
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Takes whole packets off the buffer into the round.
    pub(super) fn gather(&mut self, round: &mut Round) {
        round.arrival_us = now_us();
        while round.ending.is_none() {
            if round.count >= MAX_MESSAGES || round.bytes >= MAX_BYTES {
                round.full = true;
                break;
            }
            let length = match frame(&self.buffer) {
                Frame::Malformed => {
                    round.ending = Some(Ending::because(DisconnectReasonCode::MalformedPacket));
                    break;
                }
                Frame::Packet { length, .. } if length > MAX_PACKET_BYTES => {
                    tracing::warn!(
                        client = &*self.session.client,
                        length,
                        "a packet is too large; the connection is closed"
                    );
                    round.ending = Some(Ending::because(DisconnectReasonCode::PacketTooLarge));
                    break;
                }
                Frame::Packet { length, .. } if length <= self.buffer.len() => length,
                Frame::Packet { .. } | Frame::Short => break,
            };
            round.bytes += length;
            let packet = self.session.wire.decode(&mut self.buffer);
            self.ahead.consumed(length);
            if let Err(ending) = packet.map_err(malformed).and_then(|packet| self.take(packet, round)) {
                round.ending = Some(ending);
            }
        }
    }

    fn take(&mut self, packet: Inbound, round: &mut Round) -> Result<(), Ending> {
        match packet {
            Inbound::Publish(publish) => self.publish(&publish, round),
            Inbound::Release(id) => {
                self.unreleased.remove(&id.get());
                round.answers.push(complete(id));
                Ok(())
            }
            Inbound::Ping => {
                if self.ahead.owes_pong() {
                    round.answers.push(pong());
                }
                Ok(())
            }
            Inbound::Subscribe { id, wishes } => {
                let granted: Vec<Granted> = wishes.into_iter().map(|wish| self.subscribe(wish)).collect();
                answer(round, subscribed(self.version(), id, &granted))
            }
            Inbound::Unsubscribe { id, filters } => {
                let existed: Vec<bool> = filters.iter().map(|filter| self.unsubscribe(filter)).collect();
                answer(round, unsubscribed(self.version(), id, &existed))
            }
            Inbound::Ignored => Ok(()),
            Inbound::Disconnect { will: true } => Err(Ending::GONE),
            Inbound::Disconnect { will: false } => Err(Ending::GOODBYE),
            Inbound::Unexpected => Err(Ending::because(DisconnectReasonCode::ProtocolError)),
        }
    }

    fn version(&self) -> Version {
        self.session.wire.version()
    }

    fn publish(&mut self, publish: &Publish, round: &mut Round) -> Result<(), Ending> {
        let aliased = self.resolve_alias(publish)?;
        let topic = aliased.as_deref().unwrap_or(&publish.topic);
        if !is_topic(topic) {
            return Err(Ending::because(DisconnectReasonCode::TopicNameInvalid));
        }
        let batch = round.batch.get_or_insert_with(|| self.feed.batch());
        round.count += 1;
        let duplicate = match publish.packet_id {
            Some(id) if publish.qos == QoS::ExactlyOnce => !self.unreleased.insert(id.get()),
            _ => false,
        };
        let reason = if self.session.login.role < Role::Write {
            tracing::debug!(
                client = &*self.session.client,
                topic,
                "a message of a client that may only read was not taken"
            );
            NOT_AUTHORIZED
        } else if duplicate {
            0
        } else {
            let outcome = self.shared.intake.message(&mut self.feed, topic, &publish.payload, round.arrival_us, batch);
            if self.shared.hub.wants(publish.retain) {
                // Copied: a slice would keep the whole read buffer alive.
                let payload = Bytes::copy_from_slice(&publish.payload);
                round.messages.push(Arc::new(Message { topic: topic.into(), payload, retain: publish.retain }));
            }
            if outcome == Outcome::Dropped { QUOTA_EXCEEDED } else { 0 }
        };
        if reason == NOT_AUTHORIZED && self.version() == Version::V3 {
            // MQTT 3.1.1 has no way to say no but to hang up.
            return Err(Ending::because(DisconnectReasonCode::NotAuthorized));
        }
        if let Some(id) = publish.packet_id {
            if reason != 0 {
                self.unreleased.remove(&id.get());
            }
            round.acks.push(Ack { id, qos: publish.qos, reason });
        }
        Ok(())
    }

    /// The topic that an alias stands for; remembers a new one.
    fn resolve_alias(&mut self, publish: &Publish) -> Result<Option<Arc<str>>, Ending> {
        let Some(alias) = publish.properties.as_ref().and_then(|properties| properties.topic_alias) else {
            return Ok(None);
        };
        let place = usize::from(alias.get()) - 1;
        if alias.get() > MAX_ALIASES {
            return Err(Ending::because(DisconnectReasonCode::TopicAliasInvalid));
        }
        if publish.topic.is_empty() {
            let known = self.aliases.get(place).cloned().flatten();
            return known.map(Some).ok_or(Ending::because(DisconnectReasonCode::ProtocolError));
        }
        if self.aliases.len() <= place {
            self.aliases.resize(place + 1, None);
        }
        if let Some(slot) = self.aliases.get_mut(place) {
            *slot = Some((&*publish.topic).into());
        }
        Ok(None)
    }

    fn subscribe(&mut self, wish: Wish) -> Granted {
        if wish.filter.starts_with("$share/") {
            return Granted::Shared;
        }
        if !is_filter(&wish.filter) {
            return Granted::Invalid;
        }
        if self.filters.len() >= MAX_SUBSCRIPTIONS && !self.filters.contains(&wish.filter) {
            return Granted::TooMany;
        }
        self.shared.hub.subscribe(self.session.connection, &wish, &self.outbox);
        self.filters.insert(wish.filter);
        Granted::Yes
    }

    fn unsubscribe(&mut self, filter: &str) -> bool {
        self.filters.remove(filter);
        self.shared.hub.unsubscribe(self.session.connection, filter)
    }
}

fn malformed(error: DecodeError) -> Ending {
    Ending::because(error.to_reason_code())
}

fn answer(round: &mut Round, encoded: Result<Bytes, EncodeError>) -> Result<(), Ending> {
    let answer = encoded.map_err(|error| Ending::because(error.to_reason_code()))?;
    round.answers.push(answer);
    Ok(())
}
