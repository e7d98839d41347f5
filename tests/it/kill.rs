//! SIGKILL at random moments: what was acknowledged is there afterwards, exactly once, in SQL and in the files.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{Server, output, python, root, wait_for};
use crate::mosquitto::Mosquitto;
use crate::mqtt::Publisher;

/// Message n carries its own time: n milliseconds after this one.
const START_MS: u64 = 1_735_689_600_000;

fn payload(number: u64) -> Vec<u8> {
    format!("{{\"ts\":{},\"number\":{number}}}", START_MS + number).into_bytes()
}

/// The numbers in SQL: none twice, none that was never sent, every acknowledged one among them.
fn check(server: &Server, sent: u64, acknowledged: &BTreeSet<u64>) -> BTreeSet<u64> {
    let rows = server.sql("SELECT value FROM samples WHERE signal = 'number' ORDER BY time");
    let stored: BTreeSet<u64> = rows.iter().map(|row| row[0].as_f64().unwrap() as u64).collect();
    assert_eq!(stored.len(), rows.len(), "a message is stored twice");
    assert!(stored.iter().all(|number| *number < sent), "a message was never sent");
    let lost: Vec<_> = acknowledged.difference(&stored).take(5).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", acknowledged.len());
    stored
}

/// The same from the Parquet files alone, through the table log, in another implementation.
fn check_files(server: &Server, stored: &BTreeSet<u64>) {
    let table = server.folder.join("data/tables/samples");
    let text = output(python().arg(root().join("tests/it/read_numbers.py")).arg(table));
    let numbers: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a message is in the files twice");
    assert_eq!(&distinct, stored, "files and SQL differ");
}

#[test]
fn acknowledged_messages_survive_sigkill_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("takt.toml"), "[storage]\nflush_interval_s = 1\n").unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let (mut sent, mut acknowledged, mut unacknowledged) = (0, BTreeSet::new(), 0);
    for round in 0..12 {
        let mut server = Server::start_with(folder.path(), &["--config", "takt.toml"]);
        let survived = check(&server, sent, &acknowledged).len();
        unacknowledged += survived - acknowledged.len();
        // Stored but not acknowledged: it counts as stored from now on.
        acknowledged = check(&server, sent, &acknowledged);
        let mut publisher = Publisher::connect(server.mqtt, &format!("round-{round}")).unwrap();
        let life = Duration::from_millis(random.random_range(50..1500));
        let start = Instant::now();
        let killer = std::thread::scope(|scope| {
            let handle = scope.spawn(|| {
                while start.elapsed() < life {
                    std::thread::park_timeout(life.saturating_sub(start.elapsed()));
                }
                server.kill();
            });
            while publisher.publish("flat/press", &payload(sent), sent).is_ok() {
                sent += 1;
                if !publisher.drain(100) {
                    break;
                }
            }
            publisher.drain(0);
            handle.join()
        });
        killer.unwrap();
        acknowledged.extend(publisher.acknowledged);
    }
    let mut server = Server::start(folder.path());
    let stored = check(&server, sent, &acknowledged);
    println!("{sent} sent, {} acknowledged, {unacknowledged} stored before their acknowledgement", acknowledged.len());
    assert!(acknowledged.len() > 1000, "only {} messages in all", acknowledged.len());
    server.stop();
    check_files(&server, &stored);
}

#[test]
fn messages_of_an_external_broker_survive_sigkill_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(folder.path());
    let configuration = format!(
        "[storage]\nflush_interval_s = 1\n\n[[brokers]]\nname = \"floor\"\nurl = \"mqtt://{}\"\ntopics = [\"flat/#\"]\n",
        broker.address
    );
    fs::write(folder.path().join("takt.toml"), configuration).unwrap();
    let arguments = ["--config", "takt.toml"];
    let mut random = StdRng::seed_from_u64(11);
    // The session exists before the first message: the broker queues from then on.
    let mut server = Server::start_with(folder.path(), &arguments);
    let mut publisher = Publisher::connect(broker.address, "machine").unwrap();
    wait_for("the subscription", Duration::from_secs(30), || {
        publisher.publish("flat/press", b"{\"warm\":1}", u64::MAX).unwrap();
        assert!(publisher.drain(0));
        (server.number("SELECT count(*) FROM samples WHERE signal = 'warm'") > 0.0).then_some(())
    });
    publisher.acknowledged.clear();
    let mut sent = 0;
    for round in 0..12 {
        // Killed while messages come, and in some rounds while it works off what came meanwhile.
        let life = Duration::from_millis(random.random_range(5..700));
        let start = Instant::now();
        std::thread::scope(|scope| {
            let killed = scope.spawn(|| {
                while start.elapsed() < life {
                    std::thread::park_timeout(life.saturating_sub(start.elapsed()));
                }
                server.kill();
            });
            while !killed.is_finished() {
                publisher.publish("flat/press", &payload(sent), sent).unwrap();
                sent += 1;
                assert!(publisher.drain(50), "round {round}: the broker is gone");
            }
        });
        server = Server::start_with(folder.path(), &arguments);
    }
    assert!(publisher.drain(0));
    let acknowledged: BTreeSet<u64> = publisher.acknowledged.iter().copied().collect();
    assert_eq!(acknowledged.len() as u64, sent);
    wait_for("the broker's backlog", Duration::from_secs(60), || {
        (server.number("SELECT count(*) FROM samples WHERE signal = 'number'") as u64 >= sent).then_some(())
    });
    let stored = check(&server, sent, &acknowledged);
    server.stop();
    check_files(&server, &stored);
}
