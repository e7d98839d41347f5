//! The messages of the demo plant's simulator, records among them, through takt's own listener.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value};
use takt::demo::{Message, PLANT, Simulation};

use crate::client::{flood, packet_id, publish};
use crate::report;
use crate::server::Server;

/// 2026-03-02 05:00 UTC, when the early shift begins.
const START_US: i64 = 1_772_427_600_000_000;

/// Simulated `seconds` of a real line, about 41 messages each, at full speed.
pub(crate) fn own_listener(seconds: i64) {
    let connections = connections(seconds);
    let all = || connections.values().flatten();
    let (messages, samples) = (all().count() as u64, all().map(samples_in).sum::<u64>());
    let bytes = all().map(|message| message.payload.len() as u64).sum::<u64>() / messages;
    let server = Server::start(PLANT, None);
    let address = server.mqtt;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (name, messages) in &connections {
            scope.spawn(move || {
                flood(address, name, messages.len() as u64, |out, number| {
                    let message = &messages[usize::try_from(number).unwrap()];
                    let head = out.len();
                    publish(out, &message.topic, packet_id(number), &message.payload);
                    out[head] |= u8::from(message.retain);
                });
            });
        }
    });
    let taken = start.elapsed().as_secs_f64();
    println!("demo plant, QoS 1, {} connections, {messages} messages of {bytes} B on average:", connections.len());
    report(&server, messages, samples, taken);
    let refused = server.sql("SELECT count(*) FROM quarantine");
    assert!(refused < 0.5, "{refused} messages were refused");
}

/// The readings of each equipment on a connection of its own, and all records on one: what belongs together stays in
/// order.
fn connections(seconds: i64) -> BTreeMap<String, Vec<Message>> {
    let mut simulation = Simulation::new(1, START_US);
    simulation.set_bare_scalars(false);
    let mut connections: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for message in simulation.advance_to(START_US + seconds * 1_000_000) {
        let name = if is_record(&message) { "records" } else { message.topic.as_str() };
        connections.entry(name.to_owned()).or_default().push(message);
    }
    assert_eq!(connections.len(), 8, "six stations, the compressor and the records");
    connections
}

fn is_record(message: &Message) -> bool {
    message.topic.starts_with("takt/records/")
}

/// All fields of a reading but its time are samples.
fn samples_in(message: &Message) -> u64 {
    if is_record(message) {
        return 0;
    }
    serde_json::from_slice::<Map<String, Value>>(&message.payload).unwrap().len() as u64 - 1
}
