//! The engine without a network: decode, key, log and buffer; flush; scan. `cargo bench --bench engine`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use ingest::{Intake, Limits, Source, now_us, table_specs};
use oee::plant::Plant;
use query::Engine;
use storage::{Options, Store};

const MACHINES: u64 = 16;
const MESSAGES: u64 = 2_000_000;
/// Samples of one message.
const VALUES: u64 = 5;
/// Messages of one commit.
const BATCH: u64 = 256;

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let messages = if quick { MESSAGES / 20 } else { MESSAGES };
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(now_us);
    let options = Options {
        linger: Duration::from_millis(1),
        wal_file_bytes: 64 << 20,
        flush_interval: Duration::from_secs(3_600),
        flush_rows: usize::MAX,
        hot_bytes: usize::MAX,
        clock,
    };
    let store = Arc::new(Store::open(folder.path(), table_specs(), options).unwrap());
    let plant = Arc::new(Plant::parse(&plant()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let entered = runtime.enter();
    let intake = Intake::start(Arc::clone(&store), Arc::clone(&plant), Limits::default()).unwrap();
    drop(entered);
    runtime.block_on(executions(&intake));
    println!("{messages} messages of {VALUES} values, {BATCH} a commit");
    let samples = messages * VALUES;
    measure("decode, key, log, buffer", samples, || runtime.block_on(fill(&intake, messages)));
    let engine = Arc::new(
        Engine::new(store.clone() as Arc<dyn query::SnapshotSource>, plant, query::Limits::default()).unwrap(),
    );
    let count = |sql: &str| runtime.block_on(ask(&engine, sql));
    measure("scan, all in the hot buffer", samples, || assert_eq!(count("SELECT count(value) FROM samples"), samples));
    measure("flush", samples, || store.flush().unwrap());
    measure("scan, all in segments", samples, || assert_eq!(count("SELECT count(value) FROM samples"), samples));
    measure("scan of one signal", messages / MACHINES, || {
        let found = count("SELECT count(value) FROM samples WHERE equipment = 'site/m3' AND signal = 'n'");
        assert_eq!(found, messages / MACHINES);
    });
    measure("scan of one unit", samples / MACHINES, || {
        assert_eq!(count("SELECT count(value) FROM samples WHERE unit = 'unit-3'"), samples / MACHINES);
    });
    let bytes: u64 = fs::read_dir(folder.path().join("tables/samples"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!("{:.2} bytes a sample in segments", bytes as f64 / samples as f64);
    drop(engine);
    drop(intake);
    store.close().unwrap();
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

async fn fill(intake: &Arc<Intake>, messages: u64) {
    let mut feed = intake.feed(Source::new("bench", &"bench".into()));
    let mut under_way = std::collections::VecDeque::new();
    let mut number = 0;
    while number < messages {
        let mut batch = feed.batch();
        for _ in 0..BATCH.min(messages - number) {
            let time_us = first_us() + i64::try_from(number / MACHINES).unwrap() * 1_000;
            let payload = format!(
                "{{\"ts\":{time_us},\"n\":{number},\"temperature\":71.{:02},\"pressure\":3.{:03},\"speed\":118.5,\"pad\":{:018}}}",
                number % 100,
                number % 1000,
                number % 97
            );
            let topic = format!("bench/m{}/data", number % MACHINES);
            intake.message(&mut feed, &topic, payload.as_bytes(), now_us(), &mut batch);
            number += 1;
        }
        under_way.push_back(intake.submit(batch).await.unwrap());
        if under_way.len() >= 16 {
            under_way.pop_front().unwrap().stored().await.unwrap();
        }
    }
    for mut submitted in under_way {
        submitted.stored().await.unwrap();
    }
}

async fn ask(engine: &Arc<Engine>, sql: &str) -> u64 {
    let batches = engine.session("bench").query(sql).await.unwrap();
    let counted: i64 = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0)).sum();
    u64::try_from(counted).unwrap()
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
