//! The engine without a network: decode, key, log and buffer; flush; scan. `cargo bench --bench engine`.
//!
//! Twice: synthetic messages, all alike and with one execution a machine, and those of the demo plant's simulator, with
//! its executions, measurements and corrections among them.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use ingest::{Intake, Limits, Source, now_us, table_specs};
use oee::plant::Plant;
use query::Engine;
use serde_json::{Map, Value};
use storage::{LocalDisk, Options, Store};
use takt::demo::{Message, PLANT, Simulation};
use tokio::runtime::Runtime;

const MACHINES: u64 = 16;
const MESSAGES: u64 = 2_000_000;
/// Samples of one synthetic message.
const VALUES: u64 = 5;
/// Simulated hours of the demo plant, at the rate of a real line: about 1.2 million messages.
const DEMO_HOURS: i64 = 8;
/// 2026-03-02 05:00 UTC, when the early shift begins.
const DEMO_START_US: i64 = 1_772_427_600_000_000;
/// Messages of one commit.
const BATCH: usize = 256;

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    synthetic(if quick { MESSAGES / 20 } else { MESSAGES });
    demo_plant(if quick { 1 } else { DEMO_HOURS });
}

fn synthetic(messages: u64) {
    let bench = Bench::open(&plant());
    bench.runtime.block_on(executions(&bench.intake));
    println!("synthetic: {messages} messages of {VALUES} values, {BATCH} a commit");
    let samples = messages * VALUES;
    measure("decode, key, log, buffer", samples, || bench.fill((0..messages).map(message)));
    bench.scan_and_flush(samples);
    bench.scan("scan of one signal", "equipment = 'site/m3' AND signal = 'n'", messages / MACHINES);
    bench.scan("scan of one unit", "unit = 'unit-3'", samples / MACHINES);
    bench.close(samples);
}

fn demo_plant(hours: i64) {
    let mut simulation = Simulation::new(1, DEMO_START_US);
    simulation.set_bare_scalars(false);
    let messages = simulation.advance_to(DEMO_START_US + hours * 3_600_000_000);
    let samples: u64 = messages.iter().map(samples_in).sum();
    let unit = unit_in(&messages[messages.len() / 2..]);
    let bench = Bench::open(PLANT);
    println!("demo plant: {} messages with {samples} samples and the records of {hours} h", messages.len());
    let sent = messages.iter().map(|message| (message.topic.as_str(), message.payload.as_slice()));
    measure("decode, key, log, buffer", samples, || bench.fill(sent));
    assert_eq!(bench.count("SELECT count(*) FROM quarantine"), 0);
    let conditions = [
        ("scan of one signal", "equipment = 'cologne/line-1/press' AND signal = 'force'"),
        ("scan of one unit", unit.as_str()),
    ];
    // What is found in memory is what must be found in segments.
    let in_memory = conditions.map(|(_, condition)| bench.count(&samples_where(condition)));
    assert!(in_memory.iter().all(|found| *found > 0), "{in_memory:?}");
    bench.scan_and_flush(samples);
    for ((what, condition), expected) in conditions.into_iter().zip(in_memory) {
        bench.scan(what, condition, expected);
    }
    bench.close(samples);
}

/// A store with all that stands around it, in a folder of its own.
struct Bench {
    runtime: Runtime,
    intake: Arc<Intake>,
    engine: Engine,
    store: Arc<Store>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn open(plant: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            linger: Duration::from_millis(1),
            wal_file_bytes: 64 << 20,
            flush_interval: Duration::from_secs(3_600),
            flush_rows: usize::MAX,
            hot_bytes: usize::MAX,
            segment_rows: 4 << 20,
            clock: Arc::new(now_us),
            disk: Arc::new(LocalDisk),
            retention: std::collections::BTreeMap::new(),
            tiering: None,
        };
        let store = Arc::new(Store::open(folder.path(), table_specs(), options).unwrap());
        let plant = Arc::new(Plant::parse(plant).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let intake = Intake::start(Arc::clone(&store), Arc::clone(&plant), Limits::default()).unwrap();
        let source = Arc::clone(&store) as Arc<dyn query::SnapshotSource>;
        let engine = Engine::new(source, plant, query::Limits::default()).unwrap();
        Self { runtime, intake, engine, store, folder }
    }

    /// Sends messages, and waits until the last of them is durable.
    fn fill<T: AsRef<str>, P: AsRef<[u8]>>(&self, messages: impl Iterator<Item = (T, P)>) {
        let mut feed = self.intake.feed(Source::new("bench", &"bench".into()));
        let mut under_way = std::collections::VecDeque::new();
        let mut messages = messages.peekable();
        self.runtime.block_on(async {
            while messages.peek().is_some() {
                let mut batch = feed.batch();
                for (topic, payload) in messages.by_ref().take(BATCH) {
                    self.intake.message(&mut feed, topic.as_ref(), payload.as_ref(), now_us(), &mut batch);
                }
                under_way.push_back(self.intake.submit(batch).await.unwrap());
                if under_way.len() >= 16 {
                    under_way.pop_front().unwrap().stored().await.unwrap();
                }
            }
            for mut submitted in under_way {
                submitted.stored().await.unwrap();
            }
        });
    }

    /// The one number that a statement gives.
    fn count(&self, sql: &str) -> u64 {
        let session = self.engine.session("bench");
        let batches = self.runtime.block_on(session.query(sql)).unwrap();
        let counted: i64 = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0)).sum();
        u64::try_from(counted).unwrap()
    }

    fn scan(&self, what: &str, condition: &str, expected: u64) {
        measure(what, expected, || assert_eq!(self.count(&samples_where(condition)), expected));
    }

    fn scan_and_flush(&self, samples: u64) {
        self.scan("scan, all in the hot buffer", "true", samples);
        measure("flush", samples, || self.store.flush().unwrap());
        self.scan("scan, all in segments", "true", samples);
    }

    fn close(self, samples: u64) {
        let files = fs::read_dir(self.folder.path().join("tables/samples")).unwrap();
        let bytes: u64 = files.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        println!("{:.2} bytes a sample in segments", bytes as f64 / samples as f64);
        self.store.close().unwrap();
    }
}

fn samples_where(condition: &str) -> String {
    format!("SELECT count(value) FROM samples WHERE {condition}")
}

fn plant() -> String {
    let machines = (0..MACHINES).map(|number| format!("[[equipment]]\npath = \"site/m{number}\"\n"));
    let head = "[plant]\nname = \"bench\"\nzone = \"UTC\"\n[[equipment]]\npath = \"site\"\n";
    let topics = "[[topics]]\npattern = \"bench/{machine}/data\"\nequipment = \"site/{machine}\"\n";
    format!("{head}{}{topics}", machines.collect::<String>())
}

fn first_us() -> i64 {
    1_735_689_600_000_000
}

/// One open execution a machine.
async fn executions(intake: &Arc<Intake>) {
    for number in 0..MACHINES {
        let record = format!(
            "{{\"equipment\":\"site/m{number}\",\"operation\":\"run\",\"unit\":\"unit-{number}\",\"started\":{}}}",
            first_us()
        );
        let receipt = intake.records(&ingest::Login::local(), "operations", record.as_bytes()).await.unwrap();
        assert_eq!(receipt.accepted, 1);
    }
}

/// Topic and payload of a synthetic message.
fn message(number: u64) -> (String, String) {
    let time_us = first_us() + i64::try_from(number / MACHINES).unwrap() * 1_000;
    let payload = format!(
        "{{\"ts\":{time_us},\"n\":{number},\"temperature\":71.{:02},\"pressure\":3.{:03},\"speed\":118.5,\"pad\":0.{:016}}}",
        number % 100,
        number % 1000,
        number % 97
    );
    (format!("bench/m{}/data", number % MACHINES), payload)
}

/// Samples in a message of the demo plant: all fields of a reading but its time.
fn samples_in(message: &Message) -> u64 {
    if message.topic.starts_with("takt/records/") {
        return 0;
    }
    serde_json::from_slice::<Map<String, Value>>(&message.payload).unwrap().len() as u64 - 1
}

/// The condition for the first unit that is worked on in `messages`.
fn unit_in(messages: &[Message]) -> String {
    let mut operations = messages.iter().filter(|message| message.topic == "takt/records/operations");
    let unit = operations.find_map(|message| {
        let record: Value = serde_json::from_slice(&message.payload).unwrap();
        Some(record["unit"].as_str()?.to_owned())
    });
    format!("unit = '{}'", unit.unwrap())
}

/// User and system time of this process; the kernel counts in hundredths of a second.
fn cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn measure(what: &str, rows: u64, work: impl FnOnce()) {
    let (cpu, start) = (cpu_s(), Instant::now());
    work();
    let (cpu, seconds) = (cpu_s() - cpu, start.elapsed().as_secs_f64());
    let millions = rows as f64 / 1e6;
    println!(
        "{what:<28} {:>10.1} ms  {:>8.2} M rows/s  {:>6.3} CPU s per M",
        seconds * 1e3,
        millions / seconds,
        cpu / millions
    );
}
