//! Bad input: nothing good is lost, everything refused is kept with a reason, and comes in once the plant knows it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::equipment::{Equipment, VERSIONS, Version};
use crate::harness::{Server, output, takt};

/// A message nobody can admit: topic, payload, what the reason must say.
fn bad_messages() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let ahead = jiff::Timestamp::now().as_second() + 365 * 24 * 3600;
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("flat/press", text(r#"{"a": 1,"#), "not JSON"),
        ("flat/press", text(r#"{"a": 1} trailing"#), "not JSON"),
        ("plant/press/a", text("\"unterminated"), "not JSON"),
        ("plant/press/a", text("NaN"), "no finite number"),
        ("plant/press/a", text("-Infinity"), "no finite number"),
        ("flat/press", text(r#"{"a": NaN, "ts": 1741000000}"#), "`a` is NaN"),
        ("flat/press", text(r#"{"a": "inf", "ts": 1741000000}"#), "`a` is inf"),
        ("flat/press", format!(r#"{{"a": 1, "ts": {ahead}}}"#).into_bytes(), "more than 600 s ahead"),
        ("flat/press", text(r#"{"a": 1, "ts": 5}"#), "lies before 2000"),
        ("flat/press", text(r#"{"a": 1, "ts": "2025-03-03T10:00:00"}"#), "has no zone"),
        ("flat/press", text(r#"{"a": 1, "ts": "yesterday"}"#), "is no time"),
        ("flat/press", text("71.4"), "names no signal"),
        ("plant/press/a", b"\xff\xfe\x80abc".to_vec(), "not UTF-8 text: byte 0xFF at offset 0"),
        ("plant/press/a", vec![b'7'; 10 << 20], "has 10485760 bytes; a message may have at most"),
        ("nobody/knows/this", text("1"), "no [[topics]] entry"),
        ("plant/drill/a", text("1"), "`cologne/line-1/drill`, which plant.toml does not declare"),
        ("umh/v1/nowhere/_historian/a", text(r#"{"value": 1, "timestamp_ms": 1741000000000}"#), "`nowhere`"),
        ("umh/v1/cologne/line-1/press/_historian/a", text(r#"{"value": 1}"#), "needs `timestamp_ms`"),
        ("takt/records/nothing", text(r#"{"a": 1}"#), "`nothing` takes no records"),
        ("takt/records/units", text(r#"{"unit": "U-1", "colour": "red"}"#), "no field `colour`"),
        ("takt/records/units", text("7"), "object"),
        (
            "takt/records/operations",
            text(r#"{"run": "r", "equipment": "cologne/line-1/press", "started": "x"}"#),
            "`started`: \"x\" is no time",
        ),
        (
            "takt/records/counts",
            text(r#"{"equipment": "cologne/line-1/press", "time": "2025-03-03T10:00:00Z", "total": "many"}"#),
            "`total`",
        ),
    ]
}

fn refused(server: &Server) -> f64 {
    let (_, text) = server.get("/metrics");
    let lines = text.lines().filter(|line| line.starts_with("takt_refused_total{source=\"mqtt\""));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn each_refused_message_is_a_row_with_a_reason_before_its_acknowledgement() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for version in VERSIONS {
        let mut machine = Equipment::of(version, server.mqtt);
        for (number, (topic, payload, reason)) in bad_messages().into_iter().enumerate() {
            let counted = refused(&server);
            machine.publish(topic, 1, false, &payload).unwrap();
            // Whoever got the PUBACK finds the row in the very next query, and the next message is welcome.
            let newest = "SELECT topic, error, length, payload, source FROM quarantine ORDER BY time DESC LIMIT 1";
            let row = &server.sql(newest)[0];
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned();
            assert_eq!(row[0], topic, "{shown}");
            assert!(row[1].as_str().unwrap().contains(reason), "{shown}: {} does not say {reason}", row[1]);
            assert_eq!(row[2], payload.len(), "{shown}");
            let kept = row[3].as_str().unwrap().len();
            assert!(kept <= 64 * 1024 && (kept > 0), "{shown}: {kept} bytes kept");
            if let Ok(text) = std::str::from_utf8(&payload) {
                assert!(text.starts_with(row[3].as_str().unwrap()), "{shown}");
            }
            assert!(refused(&server) > counted, "{shown}: no counter moved");
            machine.publish("plant/weld/beside", 1, false, number.to_string().as_bytes()).unwrap();
        }
    }
    let bad = bad_messages().len() * VERSIONS.len();
    assert_eq!(server.number("SELECT count(*) FROM quarantine"), bad as f64);
    assert_eq!(server.number("SELECT count(DISTINCT value) FROM samples WHERE signal = 'beside'") as usize, bad / 2);
    // The hash of all of it tells the large one apart, though only its beginning is kept.
    let large = server.sql("SELECT sha256, octet_length(payload) FROM quarantine WHERE length = 10485760 LIMIT 1");
    assert_eq!(large[0][1], 64 * 1024);
    assert_eq!(large[0][0].as_str().unwrap().len(), 64);
    // What is no text comes back byte by byte.
    let raw = server.sql("SELECT payload, payload_base64 FROM quarantine WHERE error LIKE '%UTF-8%' LIMIT 1");
    assert_eq!(json!(raw), json!([["\\xff\\xfe\\x80abc", "//6AYWJj"]]));
    assert_eq!(server.get("/ready").0, 200);
}

#[test]
fn good_values_beside_bad_ones_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    let mixed = [
        (
            "flat/press",
            r#"{"good1": 1, "bad": NaN, "also": {"good2": 2, "worse": "Infinity", "far": 1e999}, "ts": 1741000000}"#,
        ),
        ("flat/press", r#"[{"good3": 3, "ts": 1741000000}, {"bad": 1, "ts": 5}, {"good4": 4, "ts": 1741000001}]"#),
        (
            "takt/records/units",
            r#"[{"unit": "U-1"}, {"unit": "U-2", "quantity": "many"}, {"item": "no key"}, {"unit": "U-3"}]"#,
        ),
        ("takt/records/units", r#"[{"unit": "U-4", "quantity": 1e999}, {"unit": "U-5"}]"#),
    ];
    for (topic, payload) in mixed {
        machine.publish(topic, 1, false, payload.as_bytes()).unwrap();
    }
    let signals = server.sql("SELECT signal, value FROM samples ORDER BY signal");
    assert_eq!(json!(signals), json!([["also.good2", 2.0], ["good1", 1.0], ["good3", 3.0], ["good4", 4.0]]));
    assert_eq!(json!(server.sql("SELECT unit FROM units ORDER BY unit")), json!([["U-1"], ["U-3"], ["U-5"]]));
    let kept = server.sql("SELECT error, payload FROM quarantine ORDER BY time");
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert_eq!(kept[0][1], mixed[0].1);
    let said =
        |row: usize, part: &str| assert!(kept[row][0].as_str().unwrap().contains(part), "{part}: {:?}", kept[row]);
    said(0, "`bad` is NaN");
    said(0, "`also.worse` is Infinity");
    said(0, "`also.far` is 1e999, which is beyond what a double can hold");
    said(1, "lies before 2000");
    said(2, "row 1: `quantity`");
    said(2, "row 2: ");
    said(3, "row 0: `quantity` is 1e999, which is beyond what a double can hold");
    // Of a list of records only the refused ones wait for a replay.
    let waiting: Value = serde_json::from_str(kept[2][1].as_str().unwrap()).unwrap();
    assert_eq!(waiting, json!([{"unit": "U-2", "quantity": "many"}, {"item": "no key"}]));
}

fn quarantine(server: &Server, arguments: &[&str]) -> Command {
    let mut command = takt();
    command.args(["quarantine", "--url", &server.url("")]).args(arguments);
    command
}

#[test]
fn mapped_messages_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    for (value, time) in [(1, 1_741_000_000), (2, 1_741_000_001), (3, 1_741_000_002)] {
        let payload = json!({"value": value, "ts": time}).to_string();
        machine.publish("hall/north/temperature", 1, false, payload.as_bytes()).unwrap();
    }
    machine.publish("flat/press", 1, false, b"{").unwrap();

    let listed = output(&mut quarantine(&server, &[]));
    assert!(listed.starts_with("hall/north/temperature   3 messages"), "{listed}");
    assert!(listed.contains("flat/press   1 message,") && listed.contains("not JSON"), "{listed}");
    // What the list proposes is what a person adds to plant.toml, as it stands there, once.
    let first = listed.find("[[equipment]]").unwrap();
    let end = listed.find("flat/press   ").unwrap();
    let proposal = &listed[first..end];
    assert_eq!(proposal.matches("[[topics]]").count(), 1, "{listed}");
    let plant = folder.path().join("plant.toml");
    fs::write(&plant, format!("{}\n{proposal}", fs::read_to_string(&plant).unwrap())).unwrap();
    output(takt().arg("check").arg(&plant));

    server.stop();
    let server = Server::start(folder.path());
    let done = quarantine(&server, &["replay"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "3 replayed, 1 refused again\n");
    assert!(String::from_utf8_lossy(&done.stderr).contains("  1 × the payload is not JSON"));
    assert_eq!(done.status.code(), Some(1));
    let rows = server.sql("SELECT equipment, signal, value, time FROM samples ORDER BY time");
    let row = |value: f64, second: u32| {
        json!(["hall/north", "temperature", value, format!("2025-03-03T11:06:4{second}.000000Z")])
    };
    assert_eq!(json!(rows), json!([row(1.0, 0), row(2.0, 1), row(3.0, 2)]));

    // Only once, and only what was asked for.
    let again = output(&mut quarantine(&server, &["replay", "--topic", "hall/north/temperature"]));
    assert_eq!(again, "0 replayed, 0 refused again\n");
    assert_eq!(server.number("SELECT count(*) FROM samples"), 3.0);
    assert_eq!(server.number("SELECT count(*) FROM quarantine WHERE replayed"), 3.0);
    let listed = output(&mut quarantine(&server, &["list"]));
    assert!(listed.contains("flat/press") && !listed.contains("hall/north"), "{listed}");
}

#[test]
fn each_reason_of_a_topic_is_listed_with_its_count() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    for payload in ["{", "71.4", "{", "72.1", "{"] {
        machine.publish("flat/press", 1, false, payload.as_bytes()).unwrap();
    }
    for number in 0..25 {
        let payload = json!({"a": 1, "ts": format!("no time {number}")}).to_string();
        machine.publish("flat/weld", 1, false, payload.as_bytes()).unwrap();
    }
    let listed = output(&mut quarantine(&server, &[]));
    let newest = |payload: &str| {
        let sql = format!("SELECT max(time) FROM quarantine WHERE topic = 'flat/press' AND payload = '{payload}'");
        server.sql(&sql)[0][0].as_str().unwrap().to_owned()
    };
    for part in [
        format!("flat/press   5 messages, 2 reasons, newest {}\n", newest("{")),
        format!("\n  3 messages, newest {}\n    the payload is not JSON", newest("{")),
        format!("\n  2 messages, newest {}\n    the payload is a bare value", newest("72.1")),
        "flat/weld   25 messages, 25 reasons, newest ".to_owned(),
        "\n  and 5 more reasons; ".to_owned(),
    ] {
        assert!(listed.contains(&part), "{part} is not in\n{listed}");
    }
    let done = quarantine(&server, &["replay"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "0 replayed, 30 refused again\n");
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(told.contains("  3 × the payload is not JSON") && told.contains("  2 × the payload is a bare"), "{told}");
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn discarded_messages_wait_no_longer_and_history_knows_who_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    for payload in ["1", "2", "3"] {
        machine.publish("nobody/knows this?", 1, false, payload.as_bytes()).unwrap();
    }
    machine.publish("flat/press", 1, false, b"{").unwrap();
    assert_eq!(output(&mut quarantine(&server, &["discard", "nobody/knows this?"])), "3 discarded\n");
    assert_eq!(output(&mut quarantine(&server, &["discard", "nobody/knows this?"])), "0 discarded\n");
    // As it was said, and again when all of it is in files.
    for _ in 0..2 {
        let listed = output(&mut quarantine(&server, &["list"]));
        assert!(listed.contains("flat/press   1 message") && !listed.contains("nobody"), "{listed}");
        let rows = "SELECT DISTINCT topic, length, payload, replayed FROM quarantine ORDER BY topic";
        let rows = json!(server.sql(rows));
        assert_eq!(rows, json!([["flat/press", 1, "{", false], ["nobody/knows this?", 1, null, null]]));
        let history = "SELECT payload, replayed, superseded_by FROM quarantine_history ORDER BY payload";
        let history = json!(server.sql(history));
        assert_eq!(history, json!([["1", false, "local"], ["2", false, "local"], ["3", false, "local"]]));
        server.stop();
        server = Server::start(folder.path());
    }
    assert_eq!(server.post("/api/v1/quarantine/discard", "").0, 400, "everything is discarded by no omission");
}

#[test]
fn the_quota_counts_what_waits_whoever_kept_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("takt.toml");
    fs::write(&config, "[admission]\nquarantine_bytes = 1048576\n").unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let mut server = Server::start_with(folder.path(), &arguments);
    let long = vec![b'x'; 64 * 1024];
    let kept = |server: &Server, topic: &str| {
        Equipment::of(Version::V4, server.mqtt).publish(topic, 1, false, &long).unwrap();
        server.number(&format!("SELECT max(octet_length(payload)) FROM quarantine WHERE topic = '{topic}'"))
    };
    for number in 0..15 {
        assert_eq!(kept(&server, "nobody/first"), 65_536.0, "message {number}");
    }
    assert_eq!(kept(&server, "nobody/second"), 256.0);
    server.stop();
    let server = Server::start_with(folder.path(), &arguments);
    assert_eq!(kept(&server, "nobody/third"), 256.0);
    for topic in ["nobody/first", "nobody/second", "nobody/third"] {
        output(&mut quarantine(&server, &["discard", topic]));
    }
    assert_eq!(kept(&server, "nobody/fourth"), 65_536.0);
}
