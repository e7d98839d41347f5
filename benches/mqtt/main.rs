//! The whole way over MQTT: messages per second, samples per second, CPU, memory, and latencies.
//!
//! `cargo bench --bench mqtt` runs everything on a release build: a flood at full speed through takt's own listener,
//! the same with the messages of the demo plant's simulator, a paced run that measures publish to PUBACK and publish to
//! SQL, and a flood through mosquitto (where it is installed) into takt and into a bare subscriber. Publishers run on
//! the same cores. `cargo bench --bench mqtt -- quick` is a short one; `flood`, `demo`, `paced`, `probed` or `mosquitto` runs
//! that one alone.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

mod client;
mod demo_plant;
mod mosquitto;
mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::{Acks, CONNECTIONS, connect, flood_all, now_us, packet_id, payload, publish};
use hdrhistogram::Histogram;
use server::Server;

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
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let quick = words.iter().any(|word| word == "quick");
    // Without the name of a run, all of them.
    let named = words.iter().any(|word| word != "quick");
    let wanted = |run: &str| !named || words.iter().any(|word| word == run);
    let (messages, seconds) = if quick { (200_000, 3) } else { (6_000_000, 20) };
    println!("machine: {}", machine());
    if wanted("flood") {
        own_listener(messages, 1);
        own_listener(messages / 2, 5);
    }
    if wanted("demo") {
        demo_plant::own_listener(if quick { 1_200 } else { 12_000 });
    }
    if wanted("paced") {
        paced(20_000, seconds, false);
    }
    if wanted("probed") {
        paced(20_000, seconds, true);
    }
    if wanted("mosquitto") {
        match mosquitto::mosquitto() {
            Some(program) => mosquitto::through_mosquitto(&program, if quick { 50_000 } else { 600_000 }),
            None => println!("mosquitto is not installed: its runs are left out"),
        }
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

/// A machine for each connection.
fn plant() -> String {
    let machines = (0..CONNECTIONS).map(|number| format!("[[equipment]]\npath = \"site/m{number}\"\n"));
    format!("{PLANT}{}", machines.collect::<String>())
}

fn own_listener(total: u64, values: u64) {
    let server = Server::start(&plant(), None);
    let seconds = flood_all(server.mqtt, total, values);
    let bytes = payload(values, now_us(), 1).len();
    println!("own listener, QoS 1, {CONNECTIONS} connections, {total} messages of {bytes} B, {values} values each:");
    report(&server, total, total * values, seconds);
}

/// What a flood of `messages` came to; all `samples` in them must be stored.
fn report(server: &Server, messages: u64, samples: u64, seconds: f64) {
    let stored = server.sql("SELECT count(*) FROM samples");
    let cpu = server.cpu_s();
    let (messages, samples) = (messages as f64, samples as f64);
    assert!((stored - samples).abs() < 0.5, "{stored} samples stored of {samples}");
    println!(
        "  {:.0} messages/s, {:.0} samples/s, {:.2} CPU s per M messages, {:.2} CPU s per M samples, peak memory {:.0} MB",
        messages / seconds,
        samples / seconds,
        cpu / (messages / 1e6),
        cpu / (samples / 1e6),
        server.peak_mb()
    );
}

/// `probed`: all the while SQL is asked for what was just published, which takes its share of the cores.
fn paced(rate: u64, seconds: u64, probed: bool) {
    let server = Server::start(&plant(), None);
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
        if probed {
            scope.spawn(|| probe(&server, &running, &visible));
        }
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
    if probed {
        println!(
            "  publish to SQL: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({} probes)",
            ms(&sql, 0.5),
            ms(&sql, 0.99),
            ms(&sql, 1.0),
            sql.len()
        );
    }
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
