//! The whole way over MQTT: messages per second, samples per second, CPU, memory, and latencies.
//!
//! `cargo bench --bench mqtt` runs everything on a release build: a flood at full speed through takt's own listener, a
//! paced run that measures publish to PUBACK and publish to SQL, and the same flood through mosquitto (where it is
//! installed) into takt and into a bare subscriber. Publishers run on the same cores. `cargo bench --bench mqtt -- quick`
//! is a short one.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

const CONNECTIONS: usize = 16;
/// Unacknowledged messages of one connection.
const WINDOW: u64 = 4_096;
const PLANT: &str = r#"
[plant]
name = "bench"
zone = "UTC"
[[equipment]]
path = "site"
[[topics]]
pattern = "bench/{machine}/data"
equipment = "site/{machine}"
"#;

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let (flood, seconds) = if quick { (200_000, 3) } else { (6_000_000, 20) };
    println!("machine: {}", machine());
    own_listener(flood, 1);
    own_listener(flood / 2, 5);
    paced(20_000, seconds);
    match mosquitto() {
        Some(program) => through_mosquitto(&program, if quick { 50_000 } else { 600_000 }),
        None => println!("mosquitto is not installed: its runs are left out"),
    }
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':'])
        .to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores")
}

/// A release server on a folder of its own.
struct Server {
    child: Child,
    mqtt: SocketAddr,
    http: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(broker: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machines = (0..CONNECTIONS).map(|number| format!("[[equipment]]\npath = \"site/m{number}\"\n"));
        fs::write(folder.path().join("plant.toml"), format!("{PLANT}{}", machines.collect::<String>())).unwrap();
        let settings = broker.map_or_else(String::new, |port| {
            format!("[[brokers]]\nname = \"bench\"\nurl = \"mqtt://127.0.0.1:{port}\"\ntopics = [\"bench/#\"]\n")
        });
        fs::write(folder.path().join("takt.toml"), settings).unwrap();
        let any = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_takt"))
            .args([
                "serve",
                "--config",
                "takt.toml",
                "--data",
                "data",
                "--plant",
                "plant.toml",
                "--mqtt",
                any,
                "--http",
                any,
                "--pg",
                any,
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let path = folder.path().join("data/listening.json");
        let found = wait(Duration::from_secs(60), || {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the server ended: {}",
                fs::read_to_string(folder.path().join("log")).unwrap()
            );
            serde_json::from_slice::<serde_json::Value>(&fs::read(&path).ok()?).ok()
        });
        let address = |name: &str| found[name].as_str().unwrap().parse().unwrap();
        Self { child, mqtt: address("mqtt"), http: address("http"), _folder: folder }
    }

    fn sql(&self, sql: &str) -> f64 {
        let mut stream = TcpStream::connect(self.http).unwrap();
        let head = format!(
            "POST /api/v1/sql?format=csv HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{sql}",
            self.http,
            sql.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let number = body.lines().find_map(|line| line.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no number in {answer}"))
    }

    fn cpu_s(&self) -> f64 {
        cpu_s(self.child.id())
    }

    fn peak_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let ended = child.kill().and_then(|()| child.wait());
    if let Err(error) = ended {
        println!("process {} did not end: {error}", child.id());
    }
}

/// User and system time of a process; the kernel counts in hundredths of a second.
fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn wait<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn now_us() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// About 100 bytes of flat JSON with its own time: one value, or five.
fn payload(values: u64, time_us: u64, number: u64) -> String {
    if values == 1 {
        let signal = "temperature_of_the_upper_left_clamping_plate_behind_the_guard_door";
        return format!("{{\"ts\":{time_us},\"{signal}\":71.{:02}}}", number % 100);
    }
    let (hundredth, thousandth, count) = (number % 100, number % 1000, number % 97);
    format!(
        "{{\"ts\":{time_us},\"n\":{number},\"temperature\":71.{hundredth:02},\"pressure\":3.{thousandth:03},\"speed\":118.5,\"count\":{count}}}"
    )
}

fn connect(address: SocketAddr, client: &str) -> TcpStream {
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

fn publish(out: &mut Vec<u8>, topic: &str, id: u16, payload: &[u8]) {
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

fn packet_id(number: u64) -> u16 {
    u16::try_from(number % 60_000 + 1).unwrap()
}

/// Acknowledgements counted by a reader, waited for by a writer.
#[derive(Default)]
struct Acks {
    count: Mutex<u64>,
    moved: Condvar,
}

impl Acks {
    fn wait_for(&self, at_least: u64) {
        let mut count = self.count.lock().unwrap();
        while *count < at_least {
            count = self.moved.wait(count).unwrap();
        }
    }

    /// Reads PUBACKs, four bytes each and in order, calling `each` with the number of messages acknowledged so far.
    fn read(&self, mut stream: TcpStream, total: u64, mut each: impl FnMut(u64, u64)) {
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

/// Publishes `total` messages over one connection with a window; returns once all are acknowledged.
fn flood(address: SocketAddr, machine: usize, total: u64, (values, time_us): (u64, u64)) {
    let mut stream = connect(address, &format!("bench-{machine}"));
    let topic = format!("bench/m{machine}/data");
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
                publish(&mut out, &topic, packet_id(number), payload(values, time_us + number * 10, number).as_bytes());
            }
            sent = (sent + 256).min(total);
            stream.write_all(&out).unwrap();
        }
    });
}

fn flood_all(address: SocketAddr, total: u64, values: u64) -> f64 {
    let start = Instant::now();
    let time_us = now_us() - total * 10 - 1_000_000;
    std::thread::scope(|scope| {
        for machine in 0..CONNECTIONS {
            scope.spawn(move || flood(address, machine, total / CONNECTIONS as u64, (values, time_us)));
        }
    });
    start.elapsed().as_secs_f64()
}

fn own_listener(total: u64, values: u64) {
    let server = Server::start(None);
    let seconds = flood_all(server.mqtt, total, values);
    let stored = server.sql("SELECT count(*) FROM samples");
    let cpu = server.cpu_s();
    let expected = (total * values) as f64;
    assert!((stored - expected).abs() < 0.5, "{stored} samples stored of {expected}");
    let bytes = payload(values, now_us(), 1).len();
    println!("own listener, QoS 1, {CONNECTIONS} connections, {total} messages of {bytes} B, {values} values each:");
    println!(
        "  {:.0} messages/s, {:.0} samples/s, {:.2} CPU s per M messages, {:.2} CPU s per M samples, peak memory {:.0} MB",
        total as f64 / seconds,
        expected / seconds,
        cpu / (total as f64 / 1e6),
        cpu / (expected / 1e6),
        server.peak_mb()
    );
}

fn paced(rate: u64, seconds: u64) {
    let server = Server::start(None);
    let per_connection = rate / CONNECTIONS as u64;
    let total = per_connection * seconds;
    let latencies = Mutex::new(Histogram::<u64>::new(3).unwrap());
    let visible = Mutex::new(Histogram::<u64>::new(3).unwrap());
    let running = AtomicBool::new(true);
    let late = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..CONNECTIONS)
            .map(|machine| {
                let (latencies, late, address) = (&latencies, &late, server.mqtt);
                scope.spawn(move || pace(address, machine, total, per_connection, latencies, late))
            })
            .collect();
        scope.spawn(|| probe(&server, &running, &visible));
        for publisher in publishers {
            publisher.join().unwrap();
        }
        running.store(false, Ordering::Release);
    });
    let (acks, sql) = (latencies.into_inner().unwrap(), visible.into_inner().unwrap());
    let ms = |histogram: &Histogram<u64>, quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "paced at {rate} messages/s for {seconds} s, {CONNECTIONS} connections ({} ticks began late):",
        late.load(Ordering::Relaxed)
    );
    println!(
        "  publish to PUBACK: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        ms(&acks, 0.5),
        ms(&acks, 0.9),
        ms(&acks, 0.99),
        ms(&acks, 1.0)
    );
    println!(
        "  publish to SQL: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({} probes)",
        ms(&sql, 0.5),
        ms(&sql, 0.99),
        ms(&sql, 1.0),
        sql.len()
    );
    println!(
        "  {:.2} CPU s per M messages, peak memory {:.0} MB",
        server.cpu_s() / ((total * CONNECTIONS as u64) as f64 / 1e6),
        server.peak_mb()
    );
}

/// Publishes at an even rate, in ticks of two milliseconds, and measures each message from its write to its PUBACK.
fn pace(
    address: SocketAddr,
    machine: usize,
    total: u64,
    rate: u64,
    latencies: &Mutex<Histogram<u64>>,
    late: &AtomicU64,
) {
    let mut stream = connect(address, &format!("paced-{machine}"));
    let topic = format!("bench/m{machine}/data");
    let sent_at: Vec<AtomicU64> = (0..total).map(|_| AtomicU64::new(0)).collect();
    let start = Instant::now();
    let acks = Acks::default();
    let reader = stream.try_clone().unwrap();
    let mut own = Histogram::<u64>::new(3).unwrap();
    std::thread::scope(|scope| {
        let (sent_at, acks) = (&sent_at, &acks);
        let own = &mut own;
        scope.spawn(move || {
            acks.read(reader, total, |from, to| {
                let now = u64::try_from(start.elapsed().as_micros()).unwrap();
                for number in from..to {
                    let at = sent_at[usize::try_from(number).unwrap()].load(Ordering::Acquire);
                    own.record(now.saturating_sub(at).max(1)).unwrap();
                }
            });
        });
        let mut sent = 0;
        let mut out = Vec::new();
        while sent < total {
            let due = (start.elapsed().as_micros() as u64 * rate / 1_000_000).min(total);
            if due == sent {
                std::thread::park_timeout(Duration::from_millis(2));
                continue;
            }
            if due - sent > rate / 50 {
                late.fetch_add(1, Ordering::Relaxed);
            }
            out.clear();
            for number in sent..due {
                publish(&mut out, &topic, packet_id(number), payload(5, now_us(), number).as_bytes());
                sent_at[usize::try_from(number).unwrap()]
                    .store(u64::try_from(start.elapsed().as_micros()).unwrap(), Ordering::Release);
            }
            sent = due;
            stream.write_all(&out).unwrap();
        }
    });
    latencies.lock().unwrap().add(own).unwrap();
}

/// Publishes a numbered message, asks SQL until it shows, and measures how long that took.
fn probe(server: &Server, running: &AtomicBool, visible: &Mutex<Histogram<u64>>) {
    let mut stream = connect(server.mqtt, "probe");
    let mut number = 0;
    let mut out = Vec::new();
    while running.load(Ordering::Acquire) {
        number += 1;
        let time_us = now_us();
        out.clear();
        publish(
            &mut out,
            "bench/m0/data",
            packet_id(number),
            format!("{{\"ts\":{time_us},\"probe\":{number}}}").as_bytes(),
        );
        let start = Instant::now();
        stream.write_all(&out).unwrap();
        let sql = format!(
            "SELECT coalesce(max(value), 0) FROM samples WHERE equipment = 'site/m0' AND signal = 'probe' AND time >= to_timestamp_micros({time_us})"
        );
        while server.sql(&sql) < number as f64 {
            assert!(start.elapsed() < Duration::from_secs(10), "a message never showed in SQL");
        }
        visible.lock().unwrap().record(u64::try_from(start.elapsed().as_micros()).unwrap()).unwrap();
        let mut ack = [0; 4];
        stream.read_exact(&mut ack).unwrap();
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn mosquitto() -> Option<String> {
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
fn through_mosquitto(program: &str, total: u64) {
    let bare = {
        let broker = Mosquitto::start(program);
        bare_subscriber(broker.port, total)
    };
    let broker = Mosquitto::start(program);
    let server = Server::start(Some(broker.port));
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
