//! A bare MQTT 3.1.1 client, so that a test sees every PUBACK with its own eyes.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A QoS 1 publisher that tells which of its messages were acknowledged.
pub struct Publisher {
    stream: TcpStream,
    unread: Vec<u8>,
    next_id: u16,
    pending: HashMap<u16, u64>,
    pub acknowledged: Vec<u64>,
}

impl Publisher {
    /// Connects; `None` where nobody listens or the connection ends before its CONNACK.
    pub fn connect(address: SocketAddr, client: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut publisher =
            Self { stream, unread: Vec::new(), next_id: 1, pending: HashMap::new(), acknowledged: Vec::new() };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60];
        text(&mut body, client);
        publisher.send(0x10, &body).ok()?;
        let (kind, body) = publisher.packet().ok()??;
        (kind == 0x20 && body == [0, 0]).then_some(publisher)
    }

    /// Sends message `number`; an error means the connection is gone.
    pub fn publish(&mut self, topic: &str, payload: &[u8], number: u64) -> std::io::Result<()> {
        let id = self.next_id;
        self.next_id = if id == u16::MAX { 1 } else { id + 1 };
        let mut body = Vec::new();
        text(&mut body, topic);
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(payload);
        self.pending.insert(id, number);
        self.send(0x32, &body)
    }

    /// Reads until at most `window` messages are unacknowledged. `false`: the connection is gone.
    ///
    /// # Panics
    /// Where the server stays silent for a minute while it owes acknowledgements.
    pub fn drain(&mut self, window: usize) -> bool {
        while self.pending.len() > window {
            match self.packet() {
                Ok(Some((0x40, body))) => {
                    let id = u16::from_be_bytes([body[0], body[1]]);
                    self.acknowledged.push(self.pending.remove(&id).expect("an acknowledgement of what was sent"));
                }
                Ok(Some((kind, body))) => panic!("unexpected packet {kind:#x} {body:?}"),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the server owes {} acknowledgements and says nothing", self.pending.len())
                }
                Ok(None) | Err(_) => return false,
            }
        }
        true
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> std::io::Result<()> {
        let mut packet = vec![kind];
        let mut rest = body.len();
        loop {
            let digit = u8::try_from(rest % 128).unwrap();
            rest /= 128;
            packet.push(if rest > 0 { digit | 0x80 } else { digit });
            if rest == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.stream.write_all(&packet)
    }

    /// The next packet, `None` at the end of the stream.
    fn packet(&mut self) -> std::io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((kind, body, used)) = parse(&self.unread) {
                self.unread.drain(..used);
                return Ok(Some((kind, body)));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn parse(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let kind = *bytes.first()?;
    let (mut length, mut shift, mut place) = (0_usize, 0, 1);
    loop {
        let digit = *bytes.get(place)?;
        length |= usize::from(digit & 0x7f) << shift;
        place += 1;
        if digit & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let body = bytes.get(place..place + length)?;
    Some((kind, body.to_vec(), place + length))
}
