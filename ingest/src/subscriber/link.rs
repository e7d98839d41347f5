//! A client's connection, of either protocol version.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5 as packets;
use rumqttc::{
    AsyncClient, ClientError, EventLoop, MqttOptions, QoS, SubscribeFilter, TlsConfiguration, Transport, v5,
};

use super::{Broker, Protocol};

/// Requests to the polling task: more than there are packet ids, so that acknowledgements always find room.
const REQUESTS: usize = 66_000;
/// Largest packet that is taken from a broker: the largest there is. A broker sends what was not acknowledged again, so one
/// that were refused here would come for ever, and nothing after it. Admission has limits of its own.
const MAX_PACKET_BYTES: u32 = 268_435_460;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long an MQTT 5 broker keeps the session, seconds: for ever, as 3.1.1 brokers do.
const SESSION_EXPIRY_S: u32 = u32::MAX;

/// The connection.
pub(super) enum Link {
    V4(AsyncClient, Box<EventLoop>),
    V5(v5::AsyncClient, Box<v5::EventLoop>),
}

/// Where acknowledgements go.
pub(super) enum Acks {
    V4(AsyncClient),
    V5(v5::AsyncClient),
}

/// A message.
#[derive(Debug)]
pub(super) enum Received {
    V4(rumqttc::Publish),
    V5(packets::Publish),
}

/// What the connection says.
#[derive(Debug)]
pub(super) enum Event {
    /// The broker let takt in; `resumed` where it still knew the session.
    Connected {
        resumed: bool,
    },
    Message(Received),
    /// A subscription was refused.
    Refused(String),
    Other,
}

/// An acknowledgement that could not be queued.
#[derive(Debug, thiserror::Error)]
pub(super) enum AckError {
    #[error(transparent)]
    V4(#[from] ClientError),
    #[error(transparent)]
    V5(#[from] v5::ClientError),
}

impl Received {
    pub(super) fn topic(&self) -> Cow<'_, str> {
        match self {
            Self::V4(publish) => Cow::Borrowed(&publish.topic),
            Self::V5(publish) => String::from_utf8_lossy(&publish.topic),
        }
    }

    /// Whether the broker sends what it had kept because of a subscription, for the first time on this session. An MQTT 5 broker
    /// does so for new subscriptions only.
    pub(super) fn retained(&self) -> bool {
        match self {
            Self::V4(publish) => publish.retain && !publish.dup,
            Self::V5(_) => false,
        }
    }

    pub(super) fn payload(&self) -> &Bytes {
        match self {
            Self::V4(publish) => &publish.payload,
            Self::V5(publish) => &publish.payload,
        }
    }
}

impl Acks {
    /// Queues the acknowledgement of a message; never waits.
    pub(super) fn send(&self, received: &Received) -> Result<(), AckError> {
        match (self, received) {
            (Self::V4(client), Received::V4(publish)) => Ok(client.try_ack(publish)?),
            (Self::V5(client), Received::V5(publish)) => Ok(client.try_ack(publish)?),
            // A link speaks one version for ever.
            _ => Ok(()),
        }
    }
}

impl Link {
    pub(super) fn new(broker: &Broker) -> (Self, Acks) {
        match broker.protocol {
            Protocol::V4 => {
                let (client, connection) = AsyncClient::new(options_v4(broker), REQUESTS);
                (Self::V4(client.clone(), Box::new(connection)), Acks::V4(client))
            }
            Protocol::V5 => {
                let (client, connection) = v5::AsyncClient::new(options_v5(broker), REQUESTS);
                (Self::V5(client.clone(), Box::new(connection)), Acks::V5(client))
            }
        }
    }

    /// Waits for what comes next; connects where there is no connection.
    pub(super) async fn next(&mut self) -> Result<Event, String> {
        match self {
            Self::V4(_, connection) => connection.poll().await.map(from_v4).map_err(|error| error.to_string()),
            Self::V5(_, connection) => connection.poll().await.map(from_v5).map_err(|error| error.to_string()),
        }
    }

    /// Queues the subscriptions.
    pub(super) fn subscribe(&self, topics: &[String]) {
        let queued = match self {
            Self::V4(client, _) => {
                let filters = topics.iter().map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
                client.try_subscribe_many(filters).map_err(AckError::from)
            }
            Self::V5(client, _) => {
                let filters = topics.iter().map(|topic| packets::Filter {
                    retain_forward_rule: packets::RetainForwardRule::OnNewSubscribe,
                    ..packets::Filter::new(topic.clone(), v5::mqttbytes::QoS::AtLeastOnce)
                });
                client.try_subscribe_many(filters).map_err(AckError::from)
            }
        };
        if let Err(error) = queued {
            tracing::error!(%error, "the topics of a broker could not be subscribed to");
        }
    }

    /// Drops acknowledgements that are still queued, and messages of the old connection that were read and not handed out:
    /// their packet ids mean something else on the next one.
    pub(super) fn forget(&mut self) {
        match self {
            Self::V4(_, connection) => {
                connection.clean();
                connection.state.events.clear();
            }
            Self::V5(_, connection) => {
                connection.clean();
                connection.state.events.clear();
            }
        }
    }
}

fn from_v4(event: rumqttc::Event) -> Event {
    match event {
        rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(ack)) => Event::Connected { resumed: ack.session_present },
        rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) => Event::Message(Received::V4(publish)),
        rumqttc::Event::Incoming(rumqttc::Packet::SubAck(ack))
            if ack.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure) =>
        {
            Event::Refused(format!("{:?}", ack.return_codes))
        }
        _ => Event::Other,
    }
}

fn from_v5(event: v5::Event) -> Event {
    use packets::{Packet, SubscribeReasonCode};
    match event {
        v5::Event::Incoming(Packet::ConnAck(ack)) => Event::Connected { resumed: ack.session_present },
        v5::Event::Incoming(Packet::Publish(publish)) => Event::Message(Received::V5(publish)),
        v5::Event::Incoming(Packet::SubAck(ack))
            if !ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))) =>
        {
            Event::Refused(format!("{:?}", ack.return_codes))
        }
        _ => Event::Other,
    }
}

fn transport(broker: &Broker) -> Transport {
    match &broker.tls {
        None => Transport::Tcp,
        Some(tls) => Transport::Tls(TlsConfiguration::Rustls(std::sync::Arc::clone(tls))),
    }
}

fn options_v4(broker: &Broker) -> MqttOptions {
    let mut options = MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    let largest = usize::try_from(MAX_PACKET_BYTES).unwrap_or(usize::MAX);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_session(false)
        .set_manual_acks(true)
        .set_max_packet_size(largest, largest)
        .set_request_channel_capacity(REQUESTS)
        .set_transport(transport(broker));
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user, password);
    }
    options
}

fn options_v5(broker: &Broker) -> v5::MqttOptions {
    let mut options = v5::MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(false)
        .set_session_expiry_interval(Some(SESSION_EXPIRY_S))
        .set_manual_acks(true)
        .set_max_packet_size(Some(MAX_PACKET_BYTES))
        .set_request_channel_capacity(REQUESTS)
        .set_transport(transport(broker));
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user, password);
    }
    options
}
