use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod slow_disk;

use super::*;
use crate::admit::Limits;
use crate::fixture::Fixture;
use crate::login::{Login, Role, ScramSecret};

/// Knows one user: `anna` with the password `secret`.
struct Users {
    required: bool,
    role: Role,
    /// Takes logins back.
    taken_back: Option<CancellationToken>,
}

impl Users {
    fn login(&self, name: &str) -> Login {
        let login = Login::new(name, self.role);
        match &self.taken_back {
            None => login,
            Some(taken_back) => login.until(taken_back.clone()),
        }
    }
}

impl Authenticate for Users {
    fn local(&self) -> Option<Login> {
        (!self.required).then(|| self.login("local"))
    }

    fn password(&self, user: &str, password: &[u8]) -> Option<Login> {
        (user == "anna" && password == b"secret").then(|| self.login("anna"))
    }

    fn token(&self, _token: &str) -> Option<Login> {
        None
    }

    fn scram(&self, _user: &str) -> Option<ScramSecret> {
        None
    }
}

struct Server {
    fixture: Fixture,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

async fn server(users: Users) -> Server {
    serving(Fixture::new(Limits::default()), users).await
}

async fn serving(fixture: Fixture, users: Users) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(
        listener,
        None,
        Arc::clone(&fixture.intake),
        Arc::new(users),
        Notices::default(),
        shutdown.clone(),
    ));
    Server { fixture, address, shutdown, serving }
}

const ANYBODY: Users = Users { required: false, role: Role::Admin, taken_back: None };

impl Server {
    async fn connect(&self, packet: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(packet).await.unwrap();
        stream
    }
}

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut answer = vec![0; expected.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, expected);
}

async fn expect_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset counts as an end too.
    if tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().is_ok() {
        assert_eq!(rest, b"");
    }
}

/// CONNECT of MQTT 3.1.1: clean session, keep-alive 0, the given client, no credentials.
fn connect_v3(client: &str) -> Vec<u8> {
    let mut packet = vec![0x10, 12 + u8::try_from(client.len()).unwrap(), 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0];
    packet.push(u8::try_from(client.len()).unwrap());
    packet.extend_from_slice(client.as_bytes());
    packet
}

fn publish(first: u8, topic: &str, id: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![0, u8::try_from(topic.len()).unwrap()];
    body.extend_from_slice(topic.as_bytes());
    if let Some(id) = id {
        body.extend_from_slice(&[0, id]);
    }
    body.extend_from_slice(payload);
    let mut packet = vec![first, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

const CONNACK: &[u8] = &[0x20, 2, 0, 0];

async fn expect_connack_v5(stream: &mut TcpStream) {
    let mut header = [0; 2];
    stream.read_exact(&mut header).await.unwrap();
    let mut connack = vec![0; usize::from(header[1])];
    stream.read_exact(&mut connack).await.unwrap();
    assert_eq!((header[0], connack[1]), (0x20, 0), "{connack:?}");
}

#[tokio::test]
async fn acknowledged_messages_are_queryable() {
    let server = server(ANYBODY).await;
    let mut client = server.connect(&connect_v3("c")).await;
    expect(&mut client, CONNACK).await;
    let mut packets = publish(0x30, "plant/press/a", None, b"1");
    packets.extend(publish(0x32, "plant/press/b", Some(1), b"2"));
    packets.extend(publish(0x32, "nowhere", Some(2), b"3"));
    packets.extend([0xC0, 0]);
    client.write_all(&packets).await.unwrap();
    // PINGRESP does not wait for the disk.
    let mut answers = [0; 10];
    client.read_exact(&mut answers).await.unwrap();
    let (pong, acks) = if answers[0] == 0xD0 { (&answers[..2], &answers[2..]) } else { (&answers[8..], &answers[..8]) };
    assert_eq!((pong, acks), (&[0xD0, 0][..], &[0x40, 2, 0, 1, 0x40, 2, 0, 2][..]));
    assert_eq!(server.fixture.show("samples", &["signal", "value"]), ["a|1.0", "b|2.0"]);
    assert_eq!(server.fixture.show("quarantine", &["topic", "source"]), ["nowhere|mqtt:local"]);
}

#[tokio::test]
async fn exactly_once_takes_a_repeated_packet_once() {
    let server = server(ANYBODY).await;
    let mut client = server.connect(&connect_v3("c")).await;
    expect(&mut client, CONNACK).await;
    for first in [0x34, 0x3C] {
        client.write_all(&publish(first, "plant/press/a", Some(9), b"1")).await.unwrap();
        expect(&mut client, &[0x50, 2, 0, 9]).await;
    }
    client.write_all(&[0x62, 2, 0, 9]).await.unwrap();
    expect(&mut client, &[0x70, 2, 0, 9]).await;
    assert_eq!(server.fixture.rows("samples").num_rows(), 1);
}

#[tokio::test]
async fn subscribers_hear_what_was_stored_and_what_was_retained() {
    let server = server(ANYBODY).await;
    let mut publisher = server.connect(&connect_v3("p")).await;
    expect(&mut publisher, CONNACK).await;
    publisher.write_all(&publish(0x33, "plant/press/a", Some(1), b"1")).await.unwrap();
    expect(&mut publisher, &[0x40, 2, 0, 1]).await;
    let mut subscriber = server.connect(&connect_v3("s")).await;
    expect(&mut subscriber, CONNACK).await;
    subscriber.write_all(&[0x82, 12, 0, 1, 0, 7, b'p', b'l', b'a', b'n', b't', b'/', b'#', 1]).await.unwrap();
    let mut answers = [0; 5 + 18];
    subscriber.read_exact(&mut answers).await.unwrap();
    let (suback, retained) = ([0x90, 3, 0, 1, 0], publish(0x31, "plant/press/a", None, b"1"));
    assert!(
        answers[..] == [&suback[..], &retained].concat() || answers[..] == [&retained[..], &suback].concat(),
        "{answers:?}"
    );
    publisher.write_all(&publish(0x32, "plant/press/b", Some(2), b"2")).await.unwrap();
    expect(&mut subscriber, &publish(0x30, "plant/press/b", None, b"2")).await;
}

#[tokio::test]
async fn a_newer_connection_of_a_client_ends_the_older() {
    let server = server(ANYBODY).await;
    let mut first = server.connect(&connect_v3("c")).await;
    expect(&mut first, CONNACK).await;
    let mut second = server.connect(&connect_v3("c")).await;
    expect(&mut second, CONNACK).await;
    expect_end(&mut first).await;
    second.write_all(&[0xC0, 0]).await.unwrap();
    expect(&mut second, &[0xD0, 0]).await;
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let server = server(Users { required: true, role: Role::Read, taken_back: None }).await;
    let mut nobody = server.connect(&connect_v3("n")).await;
    expect(&mut nobody, &[0x20, 2, 0, 4]).await;
    expect_end(&mut nobody).await;
    // MQTT 5, user anna, password secret, no properties.
    let mut connect = vec![0x10, 28, 0, 4, b'M', b'Q', b'T', b'T', 5, 0b1100_0010, 0, 0, 0, 0, 1, b'a', 0, 4];
    connect.extend(b"anna\0\x06secret");
    let mut reader = server.connect(&connect).await;
    expect_connack_v5(&mut reader).await;
    reader.write_all(&publish(0x32, "plant/press/a", Some(1), b"\x001")).await.unwrap();
    expect(&mut reader, &[0x40, 3, 0, 1, 0x87]).await;
    assert_eq!(server.fixture.rows("samples").num_rows(), 0);
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let server = server(ANYBODY).await;
    for packet in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 0xFF, 0xFF, 0xFF, 0x7F], &[0x10, 0xFF, 0xFF, 0xFF, 0xFF]] {
        let mut client = server.connect(packet).await;
        expect_end(&mut client).await;
    }
    let mut client = server.connect(&connect_v3("c")).await;
    expect(&mut client, CONNACK).await;
}

/// CONNECT of client `w` with a will: `0` on `plant/press/w`.
fn connect_with_will() -> Vec<u8> {
    let mut connect = vec![0x10, 31, 0, 4, b'M', b'Q', b'T', b'T', 4, 0b0000_0110, 0, 0, 0, 1, b'w', 0, 13];
    connect.extend(b"plant/press/w\0\x01");
    connect.push(b'0');
    connect
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_its_will() {
    let server = server(ANYBODY).await;
    let mut subscriber = server.connect(&connect_v3("s")).await;
    expect(&mut subscriber, CONNACK).await;
    subscriber.write_all(&[0x82, 6, 0, 1, 0, 1, b'#', 0]).await.unwrap();
    expect(&mut subscriber, &[0x90, 3, 0, 1, 0]).await;
    let mut client = server.connect(&connect_with_will()).await;
    expect(&mut client, CONNACK).await;
    drop(client);
    expect(&mut subscriber, &publish(0x30, "plant/press/w", None, b"0")).await;
    assert_eq!(server.fixture.show("samples", &["signal"]), ["w"]);
}

#[tokio::test]
async fn a_login_that_is_taken_back_ends_its_connections_and_says_no_will() {
    let taken_back = CancellationToken::new();
    let server = server(Users { taken_back: Some(taken_back.clone()), ..ANYBODY }).await;
    let mut client = server.connect(&connect_with_will()).await;
    expect(&mut client, CONNACK).await;
    client.write_all(&publish(0x32, "plant/press/a", Some(1), b"1")).await.unwrap();
    expect(&mut client, &[0x40, 2, 0, 1]).await;
    taken_back.cancel();
    expect_end(&mut client).await;
    server.shutdown.cancel();
    server.serving.await.unwrap();
    assert_eq!(server.fixture.show("samples", &["signal"]), ["a"]);
}

#[tokio::test]
async fn shutdown_acknowledges_what_was_stored_and_returns() {
    let server = server(ANYBODY).await;
    let mut client = server.connect(&connect_v3("c")).await;
    expect(&mut client, CONNACK).await;
    client.write_all(&publish(0x32, "plant/press/a", Some(1), b"1")).await.unwrap();
    expect(&mut client, &[0x40, 2, 0, 1]).await;
    server.shutdown.cancel();
    expect_end(&mut client).await;
    server.serving.await.unwrap();
}
