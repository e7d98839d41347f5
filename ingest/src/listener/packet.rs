//! Packets of both protocol versions, seen alike.

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes, BytesMut};
use rmqtt_codec::error::{DecodeError, EncodeError};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{DisconnectReasonCode, RetainHandling, SubscribeAckReason, UnsubscribeAckReason};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder, Encoder};

/// What stands at the beginning of a read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Too little to tell.
    Short,
    /// A packet of this many bytes, header included, of which this first byte is there; it may not all be.
    Packet { length: usize, first: u8 },
    /// No packet.
    Malformed,
}

/// Reads the fixed header.
pub(super) fn frame(buffer: &[u8]) -> Frame {
    let Some((&first, rest)) = buffer.split_first() else { return Frame::Short };
    let mut remaining = 0_usize;
    for (place, &byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Frame::Packet { length: remaining + place + 2, first };
        }
    }
    if rest.len() >= 4 { Frame::Malformed } else { Frame::Short }
}

/// First byte of a PINGREQ.
pub(super) const PINGREQ: u8 = 0xC0;

/// A packet from the client, after its CONNECT.
#[derive(Debug)]
pub(super) enum Inbound {
    /// A message.
    Publish(Box<Publish>),
    /// PUBREL: the second half of QoS 2.
    Release(NonZeroU16),
    /// SUBSCRIBE.
    Subscribe { id: NonZeroU16, wishes: Vec<Wish> },
    /// UNSUBSCRIBE.
    Unsubscribe { id: NonZeroU16, filters: Vec<String> },
    /// PINGREQ.
    Ping,
    /// DISCONNECT; whether the will is to be published all the same.
    Disconnect { will: bool },
    /// Answers to what this listener never sends (PUBACK …).
    Ignored,
    /// What a client must not send here.
    Unexpected,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) filter: String,
    /// Not what the client itself publishes.
    pub(super) no_local: bool,
    /// With the retain flag as it was published.
    pub(super) retain_as_published: bool,
    /// Whether retained messages are sent now.
    pub(super) retained: Retained,
}

/// When retained messages are sent on SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    IfNew,
    Never,
}

/// What became of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granted {
    /// At QoS 0.
    Yes,
    /// It is no filter.
    Invalid,
    /// Shared subscriptions are not offered.
    Shared,
    /// There are too many.
    TooMany,
}

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V5,
}

/// Decodes what comes after CONNECT.
#[derive(Debug)]
pub(super) enum Wire {
    V3(v3::Codec),
    V5(v5::Codec),
}

impl Wire {
    pub(super) fn version(&self) -> Version {
        match self {
            Self::V3(_) => Version::V3,
            Self::V5(_) => Version::V5,
        }
    }

    /// Takes one packet, which must be there as a whole, off the buffer.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Inbound, DecodeError> {
        let short = DecodeError::InvalidLength;
        match self {
            Self::V3(codec) => codec.decode(buffer)?.map(|(packet, _)| from_v3(packet)).ok_or(short),
            Self::V5(codec) => codec.decode(buffer)?.map(|(packet, _)| from_v5(packet)).ok_or(short),
        }
    }
}

fn from_v3(packet: v3::Packet) -> Inbound {
    match packet {
        v3::Packet::Publish(publish) => Inbound::Publish(publish),
        v3::Packet::PublishRelease { packet_id } => Inbound::Release(packet_id),
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let wishes = topic_filters.into_iter().map(|(filter, _)| Wish {
                filter: filter.to_string(),
                no_local: false,
                retain_as_published: false,
                retained: Retained::Always,
            });
            Inbound::Subscribe { id: packet_id, wishes: wishes.collect() }
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Inbound::Unsubscribe { id: packet_id, filters: topic_filters.iter().map(ToString::to_string).collect() }
        }
        v3::Packet::PingRequest => Inbound::Ping,
        v3::Packet::Disconnect => Inbound::Disconnect { will: false },
        v3::Packet::PublishAck { .. } | v3::Packet::PublishReceived { .. } | v3::Packet::PublishComplete { .. } => {
            Inbound::Ignored
        }
        _ => Inbound::Unexpected,
    }
}

fn from_v5(packet: v5::Packet) -> Inbound {
    match packet {
        v5::Packet::Publish(publish) => Inbound::Publish(publish),
        v5::Packet::PublishRelease(release) => Inbound::Release(release.packet_id),
        v5::Packet::Subscribe(subscribe) => {
            let wishes = subscribe.topic_filters.into_iter().map(|(filter, options)| Wish {
                filter: filter.to_string(),
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                retained: match options.retain_handling {
                    RetainHandling::AtSubscribe => Retained::Always,
                    RetainHandling::AtSubscribeNew => Retained::IfNew,
                    RetainHandling::NoAtSubscribe => Retained::Never,
                },
            });
            Inbound::Subscribe { id: subscribe.packet_id, wishes: wishes.collect() }
        }
        v5::Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.topic_filters.iter().map(ToString::to_string).collect();
            Inbound::Unsubscribe { id: unsubscribe.packet_id, filters }
        }
        v5::Packet::PingRequest => Inbound::Ping,
        v5::Packet::Disconnect(disconnect) => {
            Inbound::Disconnect { will: disconnect.reason_code == DisconnectReasonCode::DisconnectWithWillMessage }
        }
        v5::Packet::PublishAck(_) | v5::Packet::PublishReceived(_) | v5::Packet::PublishComplete(_) => Inbound::Ignored,
        _ => Inbound::Unexpected,
    }
}

/// An acknowledgement of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) id: NonZeroU16,
    pub(super) qos: QoS,
    /// MQTT 5 reason; 0 is success.
    pub(super) reason: u8,
}

/// Reason codes of MQTT 5 that acknowledgements carry.
pub(super) const NOT_AUTHORIZED: u8 = 0x87;
pub(super) const QUOTA_EXCEEDED: u8 = 0x97;

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBCOMP: u8 = 0x70;

/// Appends PUBACK or PUBREC. MQTT 3.1.1 knows no reasons.
pub(super) fn put_ack(version: Version, ack: Ack, out: &mut BytesMut) {
    let first = if ack.qos == QoS::ExactlyOnce { PUBREC } else { PUBACK };
    match version {
        Version::V5 if ack.reason != 0 => {
            out.put_slice(&[first, 3]);
            out.put_u16(ack.id.get());
            out.put_u8(ack.reason);
        }
        Version::V3 | Version::V5 => {
            out.put_slice(&[first, 2]);
            out.put_u16(ack.id.get());
        }
    }
}

/// PUBCOMP.
pub(super) fn complete(id: NonZeroU16) -> Bytes {
    let [high, low] = id.get().to_be_bytes();
    Bytes::copy_from_slice(&[PUBCOMP, 2, high, low])
}

/// PINGRESP.
pub(super) fn pong() -> Bytes {
    Bytes::from_static(&[0xD0, 0])
}

/// Appends a PUBLISH at QoS 0.
pub(super) fn put_publish(version: Version, topic: &str, payload: &[u8], retain: bool, out: &mut BytesMut) {
    let properties = usize::from(version == Version::V5);
    let mut remaining = 2 + topic.len() + properties + payload.len();
    out.reserve(remaining + 5);
    out.put_u8(0x30 | u8::from(retain));
    loop {
        let low = u8::try_from(remaining & 0x7F).unwrap_or_default();
        remaining >>= 7;
        out.put_u8(if remaining > 0 { low | 0x80 } else { low });
        if remaining == 0 {
            break;
        }
    }
    // A topic came in with a length of 16 bits.
    out.put_u16(u16::try_from(topic.len()).unwrap_or(u16::MAX));
    out.put_slice(topic.as_bytes());
    if version == Version::V5 {
        out.put_u8(0);
    }
    out.put_slice(payload);
}

/// SUBACK.
pub(super) fn subscribed(version: Version, id: NonZeroU16, granted: &[Granted]) -> Result<Bytes, EncodeError> {
    match version {
        Version::V3 => {
            let status = granted.iter().map(|granted| match granted {
                Granted::Yes => v3::SubscribeReturnCode::Success(QoS::AtMostOnce),
                Granted::Invalid | Granted::Shared | Granted::TooMany => v3::SubscribeReturnCode::Failure,
            });
            encode_v3(v3::Packet::SubscribeAck { packet_id: id, status: status.collect() })
        }
        Version::V5 => {
            let status = granted.iter().map(|granted| match granted {
                Granted::Yes => SubscribeAckReason::GrantedQos0,
                Granted::Invalid => SubscribeAckReason::TopicFilterInvalid,
                Granted::Shared => SubscribeAckReason::SharedSubscriptionNotSupported,
                Granted::TooMany => SubscribeAckReason::QuotaExceeded,
            });
            let ack = v5::SubscribeAck {
                packet_id: id,
                properties: Vec::new(),
                reason_string: None,
                status: status.collect(),
            };
            encode_v5(v5::Packet::SubscribeAck(ack))
        }
    }
}

/// UNSUBACK; for each filter whether there was such a subscription.
pub(super) fn unsubscribed(version: Version, id: NonZeroU16, existed: &[bool]) -> Result<Bytes, EncodeError> {
    match version {
        Version::V3 => encode_v3(v3::Packet::UnsubscribeAck { packet_id: id }),
        Version::V5 => {
            let status = existed.iter().map(|existed| match existed {
                true => UnsubscribeAckReason::Success,
                false => UnsubscribeAckReason::NoSubscriptionExisted,
            });
            let ack = v5::UnsubscribeAck {
                packet_id: id,
                properties: Vec::new(),
                reason_string: None,
                status: status.collect(),
            };
            encode_v5(v5::Packet::UnsubscribeAck(ack))
        }
    }
}

/// DISCONNECT from the server; MQTT 3.1.1 has none.
pub(super) fn disconnect(version: Version, reason: DisconnectReasonCode) -> Option<Bytes> {
    match version {
        Version::V3 => None,
        // The length of no properties may be left out, but there are clients that wait for it and never see the reason.
        Version::V5 => Some(Bytes::copy_from_slice(&[0xE0, 2, u8::from(reason), 0])),
    }
}

/// Any packet of MQTT 3.1.1.
pub(super) fn encode_v3(packet: v3::Packet) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    v3::Codec::new(0).encode(packet, &mut out)?;
    Ok(out.freeze())
}

/// Any packet of MQTT 5.
pub(super) fn encode_v5(packet: v5::Packet) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    v5::Codec::new(0, 0).encode(packet, &mut out)?;
    Ok(out.freeze())
}

#[cfg(test)]
mod tests;
