//! A bare MQTT 3.1.1 client, and the synthetic messages.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Connections of the synthetic runs, one a machine.
pub(crate) const CONNECTIONS: usize = 16;
/// Unacknowledged messages of one connection.
const WINDOW: u64 = 4_096;

pub(crate) fn now_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// About 100 bytes of flat JSON with its own time: one value, or five.
pub(crate) fn payload(values: u64, time_us: u64, number: u64) -> String {
    if values == 1 {
        let signal = "temperature_of_the_upper_left_clamping_plate_behind_the_guard_door";
        return format!("{{\"ts\":{time_us},\"{signal}\":71.{:02}}}", number % 100);
    }
    let (hundredth, thousandth, count) = (number % 100, number % 1000, number % 97);
    format!(
        "{{\"ts\":{time_us},\"n\":{number},\"temperature\":71.{hundredth:02},\"pressure\":3.{thousandth:03},\"speed\":118.5,\"count\":{count}}}"
    )
}

pub(crate) fn connect(address: SocketAddr, client: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut packet = vec![0x10, u8::try_from(12 + client.len()).unwrap(), 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60];
    packet.extend_from_slice(&u16::try_from(client.len()).unwrap().to_be_bytes());
    packet.extend_from_slice(client.as_bytes());
    stream.write_all(&packet).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    stream
}

pub(crate) fn publish(out: &mut Vec<u8>, topic: &str, id: u16, payload: &[u8]) {
    let length = 2 + topic.len() + 2 + payload.len();
    out.push(0x32);
    let mut rest = length;
    loop {
        let digit = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        out.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(payload);
}

pub(crate) fn packet_id(number: u64) -> u16 {
    u16::try_from(number % 60_000 + 1).unwrap()
}

/// Acknowledgements counted by a reader, waited for by a writer.
#[derive(Default)]
pub(crate) struct Acks {
    count: Mutex<u64>,
    moved: Condvar,
}

impl Acks {
    pub(crate) fn wait_for(&self, at_least: u64) {
        let mut count = self.count.lock().unwrap();
        while *count < at_least {
            count = self.moved.wait(count).unwrap();
        }
    }

    /// Reads PUBACKs, four bytes each and in order, calling `each` with the number of messages acknowledged so far.
    pub(crate) fn read(&self, mut stream: TcpStream, total: u64, mut each: impl FnMut(u64, u64)) {
        let mut buffer = vec![0; 1 << 16];
        let mut rest = 0;
        let mut done = 0;
        while done < total {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the server closed the connection after {done} of {total}");
            let acks = ((rest + count) / 4) as u64;
            rest = (rest + count) % 4;
            each(done, done + acks);
            done += acks;
            *self.count.lock().unwrap() = done;
            self.moved.notify_one();
        }
    }
}

/// Publishes `total` messages over one connection with a window, each as `write` appends it; returns once all are
/// acknowledged.
pub(crate) fn flood(address: SocketAddr, client: &str, total: u64, write: impl Fn(&mut Vec<u8>, u64)) {
    let mut stream = connect(address, client);
    let acks = Acks::default();
    let reader = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| acks.read(reader, total, |_, _| {}));
        let mut out = Vec::with_capacity(1 << 17);
        let mut sent = 0;
        while sent < total {
            acks.wait_for(sent.saturating_sub(WINDOW - 256));
            out.clear();
            for number in sent..(sent + 256).min(total) {
                write(&mut out, number);
            }
            sent = (sent + 256).min(total);
            stream.write_all(&out).unwrap();
        }
    });
}

/// Publishes `total` messages over all connections at full speed; seconds until all are acknowledged.
pub(crate) fn flood_all(address: SocketAddr, total: u64, values: u64) -> f64 {
    let start = Instant::now();
    let time_us = now_us() - total * 10 - 1_000_000;
    std::thread::scope(|scope| {
        for machine in 0..CONNECTIONS {
            scope.spawn(move || {
                let topic = format!("bench/m{machine}/data");
                flood(address, &format!("bench-{machine}"), total / CONNECTIONS as u64, |out, number| {
                    let payload = payload(values, time_us + number * 10, number);
                    publish(out, &topic, packet_id(number), payload.as_bytes());
                });
            });
        }
    });
    start.elapsed().as_secs_f64()
}
