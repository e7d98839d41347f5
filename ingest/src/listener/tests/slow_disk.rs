//! A disk that takes its time holds senders back; it does not fill memory.

use std::fs::File;
use std::sync::{Condvar, Mutex};

use storage::{Disk, LocalDisk};
use tokio::time::timeout;

use super::*;

const MESSAGES: usize = 40_000;
const BUDGET_BYTES: usize = 1 << 20;
/// Without progress for this long, a sender counts as held back.
const STANDSTILL: Duration = Duration::from_millis(500);
/// What sockets, windows and the budget may hold together: far less than is sent.
const HELD_BYTES: usize = 24 << 20;

/// A disk whose fsyncs wait while it is closed.
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn close(&self) {
        *self.open.lock().unwrap() = false;
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Disk for Gate {
    fn sync(&self, file: &File) -> io::Result<()> {
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
        LocalDisk.sync(file)
    }
}

/// Opens the gate however the test ends: the store's thread must not wait for ever.
struct OpenedAtTheEnd(Arc<Gate>);

impl Drop for OpenedAtTheEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A server that can store nothing until its gate is opened.
async fn on_closed_gate(users: Users) -> (Server, OpenedAtTheEnd) {
    let gate = Arc::new(Gate { open: Mutex::new(true), opened: Condvar::new() });
    let limits = Limits { budget_bytes: BUDGET_BYTES, ..Limits::default() };
    let fixture = Fixture::on(gate.clone(), limits);
    // The store's own files are made by now.
    gate.close();
    (serving(fixture, users).await, OpenedAtTheEnd(gate))
}

/// Message `number`, about a kilobyte, with a time of its own.
fn long_message(number: usize) -> Vec<u8> {
    let topic = "flat/press";
    let payload = format!("{{\"ts\":{},\"note\":\"{:01000}\"}}", 1_735_689_600_000_usize + number, number);
    let length = 2 + topic.len() + 2 + payload.len();
    let mut packet = vec![0x32, u8::try_from(length % 128 + 128).unwrap(), u8::try_from(length / 128).unwrap()];
    packet.extend_from_slice(&[0, u8::try_from(topic.len()).unwrap()]);
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(&u16::try_from(number % 60_000 + 1).unwrap().to_be_bytes());
    packet.extend_from_slice(payload.as_bytes());
    packet
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_holds_senders_back_and_loses_nothing() {
    let (server, opened) = on_closed_gate(ANYBODY).await;
    let mut client = server.connect(&connect_v3("c")).await;
    expect(&mut client, CONNACK).await;
    let (mut receiving, mut sending) = client.into_split();
    let bytes: Vec<u8> = (0..MESSAGES).flat_map(long_message).collect();
    let mut sent = 0;
    while sent < bytes.len() {
        match timeout(STANDSTILL, sending.write(&bytes[sent..])).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => break,
        }
    }
    assert!(sent < HELD_BYTES, "{sent} of {} bytes were taken while nothing could be stored", bytes.len());
    assert_eq!(server.fixture.rows("samples").num_rows(), 0);
    let mut ack = [0; 4];
    assert!(timeout(STANDSTILL, receiving.read_exact(&mut ack)).await.is_err(), "acknowledged before the fsync");
    opened.0.open();
    let writing = tokio::spawn(async move {
        sending.write_all(&bytes[sent..]).await.unwrap();
        sending
    });
    for number in 0..MESSAGES {
        let id = u16::try_from(number % 60_000 + 1).unwrap().to_be_bytes();
        receiving.read_exact(&mut ack).await.unwrap();
        assert_eq!(ack, [0x40, 2, id[0], id[1]]);
    }
    drop(writing.await.unwrap());
    assert_eq!(server.fixture.rows("samples").num_rows(), MESSAGES);
    assert_eq!(server.fixture.intake.free_bytes(), BUDGET_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_ahead_is_stored_though_nothing_follows_it() {
    let (server, opened) = on_closed_gate(ANYBODY).await;
    let mut client = server.connect(&connect_v3("c")).await;
    expect(&mut client, CONNACK).await;
    let mut sent = 0;
    // Until the reader finds no room for what it holds.
    loop {
        let free = server.fixture.intake.free_bytes();
        let burst: Vec<u8> = (sent..sent + 64).flat_map(long_message).collect();
        client.write_all(&burst).await.unwrap();
        sent += 64;
        let taken = async {
            while server.fixture.intake.free_bytes() == free {
                tokio::task::yield_now().await;
            }
        };
        if timeout(STANDSTILL, taken).await.is_err() {
            break;
        }
    }
    let mut last: Vec<u8> = (sent..sent + 5).flat_map(long_message).collect();
    sent += 5;
    last.extend([0xC0, 0]);
    client.write_all(&last).await.unwrap();
    expect(&mut client, &[0xD0, 0]).await;
    opened.0.open();
    for number in 0..sent {
        let id = u16::try_from(number + 1).unwrap().to_be_bytes();
        expect(&mut client, &[0x40, 2, id[0], id[1]]).await;
    }
    assert_eq!(server.fixture.rows("samples").num_rows(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_is_acknowledged_before_a_login_that_was_taken_back_is_told() {
    let taken_back = CancellationToken::new();
    let (server, opened) = on_closed_gate(Users { taken_back: Some(taken_back.clone()), ..ANYBODY }).await;
    // MQTT 5, clean start, client `c`, no properties.
    let connect = [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 1, b'c'];
    let mut client = server.connect(&connect).await;
    expect_connack_v5(&mut client).await;
    client.write_all(&publish(0x32, "plant/press/a", Some(1), b"\x001")).await.unwrap();
    let handed_over = async {
        while server.fixture.intake.free_bytes() == BUDGET_BYTES {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), handed_over).await.unwrap();
    taken_back.cancel();
    let mut first = [0];
    assert!(timeout(STANDSTILL, client.read_exact(&mut first)).await.is_err(), "told before the fsync: {first:?}");
    opened.0.open();
    expect(&mut client, &[0x40, 2, 0, 1]).await;
    expect(&mut client, &[0xE0, 2, 0x87, 0]).await;
    expect_end(&mut client).await;
    assert_eq!(server.fixture.show("samples", &["signal"]), ["a"]);
}
