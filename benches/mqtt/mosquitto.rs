//! The same messages through mosquitto, which stands between publishers and takt.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{connect, flood_all, publish};
use crate::plant;
use crate::server::{Server, end, wait};

/// The installed program.
pub(crate) fn mosquitto() -> Option<String> {
    ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|path| Path::new(path).exists()).map(str::to_owned)
}

struct Mosquitto {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    fn start(program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path().join("conf");
        fs::write(
            &path,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 4096\n"
            ),
        )
        .unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait(Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port, _folder: folder }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The same messages through one mosquitto, to a bare QoS 1 subscriber, then to takt.
pub(crate) fn through_mosquitto(program: &str, total: u64) {
    let bare = {
        let broker = Mosquitto::start(program);
        bare_subscriber(broker.port, total)
    };
    let broker = Mosquitto::start(program);
    let server = Server::start(&plant(), Some(broker.port));
    wait(Duration::from_secs(30), || (server.sql("SELECT count(*) FROM samples") < 1.0).then_some(()));
    // The subscription stands once a message comes through.
    let mut stream = connect(([127, 0, 0, 1], broker.port).into(), "first");
    wait(Duration::from_secs(30), || {
        let mut out = Vec::new();
        publish(&mut out, "bench/m0/data", 1, b"{\"first\":1}");
        stream.write_all(&out).unwrap();
        (server.sql("SELECT count(*) FROM samples") > 0.0).then_some(())
    });
    let before = server.cpu_s();
    let start = Instant::now();
    flood_all(([127, 0, 0, 1], broker.port).into(), total, 1);
    let expected = total as f64;
    wait(Duration::from_secs(300), || {
        (server.sql("SELECT count(*) FROM samples WHERE signal <> 'first'") >= expected - 0.5).then_some(())
    });
    let rate = total as f64 / start.elapsed().as_secs_f64();
    println!(
        "through mosquitto, {total} messages: bare subscriber {bare:.0} messages/s, takt {rate:.0} messages/s, ratio {:.2}",
        rate / bare
    );
    println!(
        "  takt {:.2} CPU s per M messages, peak memory {:.0} MB",
        (server.cpu_s() - before) / (total as f64 / 1e6),
        server.peak_mb()
    );
}

/// Rate at which mosquitto feeds a subscriber that only acknowledges.
fn bare_subscriber(port: u16, total: u64) -> f64 {
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let mut stream = connect(address, "bare");
    stream.write_all(&[0x82, 12, 0, 1, 0, 7, b'b', b'e', b'n', b'c', b'h', b'/', b'#', 1]).unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x90, 3, 0, 1, 1]);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || acknowledge_all(stream, total));
        flood_all(address, total, 1);
        reader.join().unwrap();
    });
    total as f64 / start.elapsed().as_secs_f64()
}

fn acknowledge_all(mut stream: TcpStream, total: u64) {
    let (mut buffer, mut unread, mut acks) = (vec![0; 1 << 16], Vec::new(), Vec::new());
    let mut done = 0;
    while done < total {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "mosquitto closed the connection");
        unread.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        acks.clear();
        while let Some((id, end)) = received(&unread[at..]) {
            acks.extend_from_slice(&[0x40, 2, id[0], id[1]]);
            at += end;
            done += 1;
        }
        unread.drain(..at);
        stream.write_all(&acks).unwrap();
    }
}

/// Packet id and length of a QoS 1 PUBLISH at the head of `bytes`.
fn received(bytes: &[u8]) -> Option<([u8; 2], usize)> {
    assert!(bytes.first().is_none_or(|head| head & 0xf6 == 0x32), "not a QoS 1 PUBLISH");
    let (mut length, mut shift, mut at) = (0, 0, 1);
    loop {
        let digit = *bytes.get(at)?;
        length |= usize::from(digit & 0x7f) << shift;
        at += 1;
        if digit & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let end = at + length;
    let topic = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let id = [*bytes.get(at + 2 + topic)?, *bytes.get(at + 3 + topic)?];
    (bytes.len() >= end).then_some((id, end))
}
