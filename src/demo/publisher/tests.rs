//! The publisher against a listener that loses connections.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use super::{Publisher, now_us};
use crate::demo::{SECOND_US, Simulation};

const SUCCESS: u8 = 0;
const NOT_AUTHORIZED: u8 = 5;

/// One MQTT packet: its first byte, and what follows the length.
async fn read_packet(socket: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = socket.read_u8().await?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = socket.read_u8().await?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    Ok((kind, body))
}

/// Topic and payload of a QoS 1 PUBLISH, and its packet identifier.
fn publish(body: &[u8]) -> ((String, Vec<u8>), [u8; 2]) {
    let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let topic = String::from_utf8(body[2..topic_end].to_vec()).unwrap();
    ((topic, body[topic_end + 2..].to_vec()), [body[topic_end], body[topic_end + 1]])
}

type Received = Arc<Mutex<HashSet<(String, Vec<u8>)>>>;

/// A listener whose first connection dies after 700 messages, of which it acknowledges 400.
async fn forgetful_listener(listener: TcpListener, received: Received) {
    for connection in 0.. {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_packet(&mut socket).await.unwrap();
        socket.write_all(&[0x20, 2, 0, SUCCESS]).await.unwrap();
        let mut messages = 0;
        while let Ok((kind, body)) = read_packet(&mut socket).await {
            if kind >> 4 != 3 {
                continue;
            }
            messages += 1;
            let (message, id) = publish(&body);
            // What the dying connection does not acknowledge, it does not keep either.
            if connection > 0 || messages <= 400 {
                received.lock().unwrap().insert(message);
                socket.write_all(&[0x40, 2, id[0], id[1]]).await.unwrap();
            }
            if connection == 0 && messages == 700 {
                break;
            }
        }
    }
}

async fn local_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_lost_connection_loses_nothing() {
    let (listener, address) = local_listener().await;
    let received = Received::default();
    let server = tokio::spawn(forgetful_listener(listener, Arc::clone(&received)));

    let begun_us = now_us();
    let start_us = begun_us - 900 * SECOND_US;
    let live = Notify::new();
    let totals = Publisher::new(address)
        .run(
            Simulation::new(1, start_us),
            |progress| {
                if progress.history >= 1.0 && progress.sent > 0 {
                    live.notify_one();
                }
            },
            live.notified(),
        )
        .await
        .unwrap();
    server.abort();

    assert_eq!(totals.reconnects, 1);
    assert_eq!(totals.acknowledged, totals.messages);
    assert!(totals.history_messages > 2_000, "{totals:?}");
    // The first minutes again, as the publisher set the simulation up.
    let mut twin = Simulation::new(1, start_us).with_rate(Simulation::live_rate_hz() / super::HISTORY_SLOWDOWN);
    twin.relieve_breaks(begun_us, begun_us + super::RELIEF_US);
    twin.set_bare_scalars(false);
    let received = received.lock().unwrap();
    for message in twin.advance_to(start_us + 600 * SECOND_US) {
        assert!(received.contains(&(message.topic.clone(), message.payload.clone())), "{message:?} is missing");
    }
}

#[tokio::test]
async fn a_refused_login_is_an_error() {
    let (listener, address) = local_listener().await;
    let (login, seen) = oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (_, connect) = read_packet(&mut socket).await.unwrap();
        login.send(connect).unwrap();
        socket.write_all(&[0x20, 2, 0, NOT_AUTHORIZED]).await.unwrap();
    });
    let publisher = Publisher::new(address).with_login("press", "wrong");
    let refused = publisher.run(Simulation::new(1, now_us()), |_| {}, std::future::pending()).await;
    assert!(refused.unwrap_err().to_string().contains("refused the demo plant's login"));
    let connect = seen.await.unwrap();
    assert!(connect.ends_with(b"\x00\x05press\x00\x05wrong"));
}
