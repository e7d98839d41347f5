//! MQTT as equipment speaks it: the usual client library, in versions 3.1.1 and 5.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{TlsConfiguration, Transport, v5};
use rustls::ClientConfig;

/// How long one answer of the server may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Larger than anything the tests send.
const PACKET_BYTES: u32 = 32 << 20;

/// The protocol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V4,
    V5,
}

pub const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

/// A message that a subscriber heard.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    pub topic: String,
    pub payload: String,
    pub retain: bool,
}

/// How a client presents itself.
#[derive(Default)]
pub struct Manner<'a> {
    pub login: Option<(&'a str, &'a str)>,
    pub tls: Option<Arc<ClientConfig>>,
}

enum Side {
    V4(rumqttc::Client, Box<rumqttc::Connection>),
    V5(v5::Client, Box<v5::Connection>),
}

enum Event {
    Connected,
    /// A message has gone out as QoS 0, or was acknowledged.
    Delivered,
    Subscribed,
    Heard(Heard),
    Refused(String),
    Other,
}

/// One connection.
pub struct Equipment {
    side: Side,
    heard: VecDeque<Heard>,
}

impl Equipment {
    /// Connects, and waits until the server has let the client in.
    pub fn connect(version: Version, address: SocketAddr, manner: Manner<'_>) -> Result<Self, String> {
        let name = format!("{version:?}-{:x}", rand::random::<u64>());
        let (host, port) = (address.ip().to_string(), address.port());
        let transport = manner.tls.map(|config| Transport::tls_with_config(TlsConfiguration::Rustls(config)));
        let side = match version {
            Version::V4 => {
                let mut options = rumqttc::MqttOptions::new(name, host, port);
                options.set_max_packet_size(PACKET_BYTES as usize, PACKET_BYTES as usize);
                manner.login.map(|(user, password)| options.set_credentials(user, password));
                transport.map(|transport| options.set_transport(transport));
                let (client, connection) = rumqttc::Client::new(options, 100);
                Side::V4(client, Box::new(connection))
            }
            Version::V5 => {
                let mut options = v5::MqttOptions::new(name, host, port);
                options.set_max_packet_size(Some(PACKET_BYTES));
                manner.login.map(|(user, password)| options.set_credentials(user, password));
                transport.map(|transport| options.set_transport(transport));
                let (client, connection) = v5::Client::new(options, 100);
                Side::V5(client, Box::new(connection))
            }
        };
        let mut equipment = Self { side, heard: VecDeque::new() };
        equipment.wait(|event| matches!(event, Event::Connected))?;
        Ok(equipment)
    }

    /// As [`Equipment::connect`], on a server that lets everybody in.
    pub fn of(version: Version, address: SocketAddr) -> Self {
        Self::connect(version, address, Manner::default()).unwrap()
    }

    /// Publishes, and waits for the acknowledgement that the QoS asks for.
    pub fn publish(&mut self, topic: &str, qos: u8, retain: bool, payload: &[u8]) -> Result<(), String> {
        match &self.side {
            Side::V4(client, _) => {
                let qos = rumqttc::qos(qos).unwrap();
                client.publish(topic, qos, retain, payload).map_err(shown)?;
            }
            Side::V5(client, _) => {
                let qos = v5::mqttbytes::qos(qos).unwrap();
                client.publish(topic, qos, retain, payload.to_vec()).map_err(shown)?;
            }
        }
        self.wait(|event| matches!(event, Event::Delivered))
    }

    /// Subscribes, and waits for the server's word.
    pub fn subscribe(&mut self, filter: &str) -> Result<(), String> {
        match &self.side {
            Side::V4(client, _) => client.subscribe(filter, rumqttc::QoS::AtLeastOnce).map_err(shown)?,
            Side::V5(client, _) => client.subscribe(filter, v5::mqttbytes::QoS::AtLeastOnce).map_err(shown)?,
        }
        self.wait(|event| matches!(event, Event::Subscribed))
    }

    /// The next message that a subscription brings.
    pub fn hear(&mut self) -> Result<Heard, String> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(heard);
            }
            let event = self.next()?;
            self.keep(event)?;
        }
    }

    fn wait(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<(), String> {
        loop {
            let event = self.next()?;
            if wanted(&event) {
                return Ok(());
            }
            self.keep(event)?;
        }
    }

    fn keep(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Heard(heard) => self.heard.push_back(heard),
            Event::Refused(reason) => return Err(reason),
            _ => {}
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Event, String> {
        match &mut self.side {
            Side::V4(_, connection) => {
                let event = connection.recv_timeout(PATIENCE).map_err(shown)?.map_err(shown)?;
                Ok(old_event(event))
            }
            Side::V5(_, connection) => {
                let event = connection.recv_timeout(PATIENCE).map_err(shown)?.map_err(shown)?;
                Ok(new_event(event))
            }
        }
    }
}

fn shown(error: impl Debug) -> String {
    format!("{error:?}")
}

fn old_event(event: rumqttc::Event) -> Event {
    use rumqttc::{Outgoing, Packet};
    match event {
        rumqttc::Event::Outgoing(Outgoing::Publish(0)) => Event::Delivered,
        rumqttc::Event::Incoming(packet) => match packet {
            Packet::ConnAck(_) => Event::Connected,
            Packet::PubAck(_) | Packet::PubComp(_) => Event::Delivered,
            Packet::SubAck(answer) => {
                let refused = answer.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure);
                if refused { Event::Refused(shown(answer)) } else { Event::Subscribed }
            }
            Packet::Publish(message) => Event::Heard(Heard {
                topic: message.topic,
                payload: String::from_utf8(message.payload.to_vec()).unwrap(),
                retain: message.retain,
            }),
            _ => Event::Other,
        },
        rumqttc::Event::Outgoing(_) => Event::Other,
    }
}

fn new_event(event: v5::Event) -> Event {
    use v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
    match event {
        v5::Event::Outgoing(rumqttc::Outgoing::Publish(0)) => Event::Delivered,
        v5::Event::Incoming(packet) => match packet {
            Packet::ConnAck(_) => Event::Connected,
            Packet::PubAck(answer) => match answer.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Event::Delivered,
                reason => Event::Refused(shown(reason)),
            },
            Packet::PubComp(_) => Event::Delivered,
            Packet::SubAck(answer) => {
                let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                let granted = answer.return_codes.iter().all(granted);
                if granted { Event::Subscribed } else { Event::Refused(shown(answer)) }
            }
            Packet::Publish(message) => Event::Heard(Heard {
                topic: String::from_utf8(message.topic.to_vec()).unwrap(),
                payload: String::from_utf8(message.payload.to_vec()).unwrap(),
                retain: message.retain,
            }),
            _ => Event::Other,
        },
        v5::Event::Outgoing(_) => Event::Other,
    }
}
