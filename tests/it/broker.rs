//! External brokers, with a real one: logins, TLS, both versions, either side gone for a while, too long messages.

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::equipment::{Equipment, Manner, Version};
use crate::harness::{Server, output, root, wait_for};
use crate::mosquitto::{Mosquitto, free_port};

/// What `protocol` can be.
const PROTOCOLS: [&str; 2] = ["3.1.1", "5"];
/// Message n carries its own time: n milliseconds after this one.
const START_MS: u64 = 1_735_689_600_000;
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "pw-floor";
const LOGIN: &str = "user = \"takt\"\npassword_file = \"broker.password\"\n";

/// takt, told to subscribe at `url`; `keys` are what else [[brokers]] is to say.
fn subscribing(folder: &Path, url: &str, protocol: &str, keys: &str) -> Server {
    let section = format!(
        "[[brokers]]\nname = \"floor\"\nurl = \"{url}\"\ntopics = [\"flat/#\"]\nprotocol = \"{protocol}\"\n{keys}"
    );
    fs::write(folder.join("takt.toml"), section).unwrap();
    Server::start_with(folder, &["--config", "takt.toml"])
}

fn plain(broker: &Mosquitto) -> String {
    format!("mqtt://{}", broker.address)
}

/// Publishes until the signal is stored: from then on the broker knows what takt wants.
fn warm(server: &Server, machine: &mut Equipment, signal: &str) {
    let (payload, count) = (json!({signal: 1}), format!("SELECT count(*) FROM samples WHERE signal = '{signal}'"));
    wait_for("the subscription", PATIENCE, || {
        machine.publish("flat/press", 1, false, payload.to_string().as_bytes()).unwrap();
        (server.number(&count) > 0.0).then_some(())
    });
}

fn publish(machine: &mut Equipment, numbers: Range<u64>) {
    for number in numbers {
        let payload = json!({"ts": START_MS + number, "number": number}).to_string();
        machine.publish("flat/press", 1, false, payload.as_bytes()).unwrap();
    }
}

/// The messages before `end` are stored, each once, and nothing beside them.
fn check(server: &Server, end: u64) {
    wait_for("the messages", PATIENCE, || {
        (server.number("SELECT count(*) FROM samples WHERE signal = 'number'") as u64 >= end).then_some(())
    });
    let rows = server.sql("SELECT value FROM samples WHERE signal = 'number' ORDER BY time");
    let stored: Vec<u64> = rows.iter().map(|row| row[0].as_f64().unwrap() as u64).collect();
    assert_eq!(stored, (0..end).collect::<Vec<_>>());
}

/// Waits until the log holds `part` more than `known` times, and gives how often it does.
fn logged(server: &Server, part: &str, known: usize) -> usize {
    wait_for(part, PATIENCE, || Some(server.log().matches(part).count()).filter(|count| *count > known))
}

/// takt is not let in for `reason`: it says so, tries again, stores nothing, and answers all the same.
fn check_kept_out(server: &Server, machine: &mut Equipment, reason: &str) {
    let tried = logged(server, reason, 0);
    publish(machine, 0..10);
    logged(server, reason, tried);
    assert_eq!(server.number("SELECT count(*) FROM samples"), 0.0);
    assert_eq!(server.get("/ready").0, 200);
}

/// A broker that lets in `takt` with its password, and nobody else.
fn asking(folder: &Path) -> (Mosquitto, Equipment) {
    let passwords = folder.join("passwords");
    output(Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["takt", PASSWORD]));
    let lines = format!("allow_anonymous false\npassword_file {}\n", passwords.display());
    let broker = Mosquitto::start_with(folder, &lines);
    assert!(Equipment::connect(Version::V4, broker.address, Manner::default()).is_err());
    let manner = Manner { login: Some(("takt", PASSWORD)), tls: None };
    let machine = Equipment::connect(Version::V4, broker.address, manner).unwrap();
    (broker, machine)
}

#[test]
fn a_broker_that_asks_for_a_login_gets_it() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let (broker, mut machine) = asking(folder.path());
        fs::write(folder.path().join("broker.password"), format!("{PASSWORD}\nonly the first line counts\n")).unwrap();
        let server = subscribing(folder.path(), &plain(&broker), protocol, LOGIN);
        warm(&server, &mut machine, "warm");
        publish(&mut machine, 0..10);
        check(&server, 10);
    }
}

#[test]
fn a_wrong_password_is_told_in_the_log_and_the_server_runs_on() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let (broker, mut machine) = asking(folder.path());
        fs::write(folder.path().join("broker.password"), "pw-of-another-broker\n").unwrap();
        let server = subscribing(folder.path(), &plain(&broker), protocol, LOGIN);
        check_kept_out(&server, &mut machine, "Connection refused, return code: `NotAuthorized`");
        assert!(!server.log().contains("pw-of-another-broker"));
    }
}

/// Of the two self-signed pairs for `localhost` and 127.0.0.1, `one` and `two`.
fn tls_file(name: &str) -> PathBuf {
    root().join("src/tls").join(name)
}

/// A broker with a second listener, for TLS, and the address of that one.
fn encrypting(folder: &Path) -> (Mosquitto, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let broker = Mosquitto::start_with(
        folder,
        &format!(
            "allow_anonymous true\nlistener {} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
            address.port(),
            tls_file("one.crt").display(),
            tls_file("one.key").display()
        ),
    );
    (broker, address)
}

#[test]
fn a_broker_is_heard_by_tls_where_its_certificate_is_trusted() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let (broker, encrypted) = encrypting(folder.path());
        let mut machine = Equipment::of(Version::V4, broker.address);
        let trust = format!("ca = {:?}\n", tls_file("one.crt"));
        let server = subscribing(folder.path(), &format!("mqtts://{encrypted}"), protocol, &trust);
        warm(&server, &mut machine, "warm");
        publish(&mut machine, 0..10);
        check(&server, 10);
    }
}

#[test]
fn a_broker_with_a_foreign_certificate_is_not_heard_and_the_log_says_why() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let (broker, encrypted) = encrypting(folder.path());
        let mut machine = Equipment::of(Version::V4, broker.address);
        let trust = format!("ca = {:?}\n", tls_file("two.crt"));
        let server = subscribing(folder.path(), &format!("mqtts://{encrypted}"), protocol, &trust);
        check_kept_out(&server, &mut machine, "invalid peer certificate");
    }
}

#[test]
fn what_is_published_while_takt_is_stopped_arrives_afterwards_once() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let broker = Mosquitto::start(folder.path());
        let mut machine = Equipment::of(Version::V4, broker.address);
        let mut server = subscribing(folder.path(), &plain(&broker), protocol, "");
        warm(&server, &mut machine, "warm");
        publish(&mut machine, 0..50);
        server.stop();
        publish(&mut machine, 50..100);
        let server = subscribing(folder.path(), &plain(&broker), protocol, "");
        publish(&mut machine, 100..150);
        check(&server, 150);
    }
}

/// Stops the broker until takt has seen it go and has failed to reach it.
fn restart(broker: &mut Mosquitto, server: &Server) {
    broker.stop();
    let lost = logged(server, "the broker's connection ended", 0);
    logged(server, "the broker's connection ended", lost);
    broker.start_again();
}

#[test]
fn a_broker_that_comes_back_is_found_again_and_nothing_is_lost_or_stored_twice() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let lines =
            format!("allow_anonymous true\npersistence true\npersistence_location {}/\n", folder.path().display());
        let mut broker = Mosquitto::start_with(folder.path(), &lines);
        let mut machine = Equipment::of(Version::V4, broker.address);
        let server = subscribing(folder.path(), &plain(&broker), protocol, "");
        warm(&server, &mut machine, "warm");
        // Not waited for: some may be on their way when the broker ends.
        publish(&mut machine, 0..200);
        restart(&mut broker, &server);
        publish(&mut Equipment::of(Version::V4, broker.address), 200..400);
        check(&server, 400);
    }
}

#[test]
fn a_broker_that_comes_back_without_its_memory_is_subscribed_to_anew() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Mosquitto::start(folder.path());
        let mut machine = Equipment::of(Version::V4, broker.address);
        let server = subscribing(folder.path(), &plain(&broker), protocol, "");
        warm(&server, &mut machine, "warm");
        publish(&mut machine, 0..50);
        check(&server, 50);
        restart(&mut broker, &server);
        let mut machine = Equipment::of(Version::V4, broker.address);
        warm(&server, &mut machine, "warm_again");
        publish(&mut machine, 50..100);
        check(&server, 100);
    }
}

/// Publishes a payload of so many bytes among ordinary messages, all of which are to be stored.
fn check_around(folder: &Path, protocol: &str, bytes: usize) -> Server {
    let broker = Mosquitto::start(folder);
    let mut machine = Equipment::of(Version::V4, broker.address);
    let server = subscribing(folder, &plain(&broker), protocol, "");
    warm(&server, &mut machine, "warm");
    publish(&mut machine, 0..10);
    machine.publish("flat/press", 1, false, &vec![b'7'; bytes]).unwrap();
    publish(&mut machine, 10..20);
    check(&server, 20);
    server
}

#[test]
fn a_payload_that_is_too_long_goes_to_quarantine_and_the_next_messages_are_stored() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let server = check_around(folder.path(), protocol, 5_000_000);
        let kept = server.sql("SELECT topic, source, length, octet_length(payload), error FROM quarantine");
        let reason = "the payload has 5000000 bytes; a message may have at most 4194304";
        assert_eq!(json!(kept), json!([["flat/press", "broker:floor", 5_000_000, 65_536, reason]]), "{protocol}");
    }
}

#[test]
fn a_packet_that_is_longer_than_any_does_not_keep_the_next_messages_away() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let server = check_around(folder.path(), protocol, 17_000_000);
        assert_eq!(json!(server.sql("SELECT length FROM quarantine")), json!([[17_000_000]]), "{protocol}");
    }
}

#[test]
fn what_the_broker_retains_is_stored_once_and_not_again_at_each_subscription() {
    for protocol in PROTOCOLS {
        let folder = tempfile::tempdir().unwrap();
        let broker = Mosquitto::start(folder.path());
        let mut machine = Equipment::of(Version::V4, broker.address);
        // Without a time of its own: stored again it would look like a reading of now.
        machine.publish("flat/press", 1, true, b"{\"kept\":1}").unwrap();
        let count = |server: &Server| server.number("SELECT count(*) FROM samples WHERE signal = 'kept'") as u64;
        let mut server = subscribing(folder.path(), &plain(&broker), protocol, "");
        wait_for("the retained message", PATIENCE, || (count(&server) == 1).then_some(()));
        for round in 1..3 {
            server.stop();
            machine.publish("flat/press", 1, true, b"{\"kept\":2}").unwrap();
            server = subscribing(folder.path(), &plain(&broker), protocol, "");
            // What was published meanwhile comes, by the session, and the retained copy of it comes before this marker.
            warm(&server, &mut machine, &format!("warm{round}"));
            assert_eq!(count(&server), 1 + round, "{protocol}");
        }
    }
}
