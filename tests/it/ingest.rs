//! What equipment says arrives as it was meant: bare values, JSON, UMH and records, over both versions of MQTT and HTTP.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::equipment::{Equipment, Heard, VERSIONS, Version};
use crate::harness::{Server, wait_for};
use crate::mqtt::Publisher;

const PRESS: &str = "cologne/line-1/press";
const PRESS_UMH: &str = "umh/v1/cologne/line-1/press";

/// `signal value text time` of every sample, in order.
fn samples(server: &Server) -> Vec<String> {
    let rows = server.sql("SELECT signal, value, text, time FROM samples ORDER BY signal, time");
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" ")).collect()
}

/// Publishes over one version, with every QoS in turn, and waits until `count` samples are there.
fn published(version: Version, messages: &[(&str, &str)], count: usize) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut machine = Equipment::of(version, server.mqtt);
    for (place, (topic, payload)) in messages.iter().enumerate() {
        let qos = u8::try_from(place % 3).unwrap();
        machine.publish(topic, qos, false, payload.as_bytes()).unwrap();
    }
    // Nobody acknowledges QoS 0: that part may still be under way.
    let found = wait_for("the samples", Duration::from_secs(20), || {
        let found = samples(&server);
        (found.len() >= count).then_some(found)
    });
    assert_eq!(server.sql("SELECT topic, payload, error FROM quarantine"), Vec::<Vec<Value>>::new());
    found
}

#[test]
fn json_with_its_own_time() {
    let t = "2025-03-03T11:06:40.000000Z";
    let expected = [
        "arr.0 1.0 null T",
        "arr.1 2.5 null T",
        "arr.2 null three T",
        "comma 71.4 null T",
        "flag 1.0 null T",
        "iso 1.0 null 2025-03-03T11:06:40.123000Z",
        "k 1.0 null 2025-03-03T11:06:41.000000Z",
        "k 2.0 null 2025-03-03T11:06:42.000000Z",
        "lot null 007 T",
        "ms 1.0 null 2025-03-03T11:06:40.123000Z",
        "nested.deep.er null x T",
        "nested.flat 3.0 null T",
        "nothing null null T",
        "ns 1.0 null 2025-03-03T11:06:40.123456Z",
        "off 0.0 null T",
        "offset 1.0 null 2025-03-03T10:06:40.000000Z",
        "speed 118.5 null T",
        "state null RUN T",
        "us 1.0 null 2025-03-03T11:06:40.123456Z",
        "whole 3.0 null T",
    ]
    .map(|line| line.replace(" T", &format!(" {t}")));
    let messages = [
        ("flat/press", r#"{"state": "RUN", "whole": 3, "speed": 118.5, "ts": 1741000000}"#),
        ("flat/press", r#"{"comma": "71,4", "lot": "007", "flag": true, "off": false, "ts": 1741000000}"#),
        ("flat/press", r#"{"nested": {"flat": 3, "deep": {"er": "x"}}, "nothing": null, "ts": 1741000000}"#),
        ("flat/press", r#"{"arr": [1, 2.5, "three"], "ts": 1741000000}"#),
        ("flat/press", r#"[{"k": 1, "ts": 1741000001}, {"k": 2, "ts": 1741000002}]"#),
        ("flat/press", r#"{"ms": 1, "ts": 1741000000123}"#),
        ("flat/press", r#"{"us": 1, "timestamp": 1741000000123456}"#),
        ("flat/press", r#"{"ns": 1, "time": 1741000000123456789}"#),
        ("flat/press", r#"{"iso": 1, "ts": "2025-03-03T11:06:40.123Z"}"#),
        ("flat/press", r#"{"offset": 1, "ts": "2025-03-03T11:06:40+01:00"}"#),
    ];
    for version in VERSIONS {
        assert_eq!(published(version, &messages, expected.len()), expected, "{version:?}");
    }
}

#[test]
fn bare_values_take_the_time_of_their_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let bare = [
        ("temperature", "71.4", json!([71.4, null])),
        ("comma", "71,4", json!([71.4, null])),
        ("negative", "-3", json!([-3.0, null])),
        ("on", "true", json!([1.0, null])),
        ("off", "false", json!([0.0, null])),
        ("word", "RUN", json!([null, "RUN"])),
        ("quoted", "\"RUN\"", json!([null, "RUN"])),
        ("deep.er", "5", json!([5.0, null])),
    ];
    for (signal, payload, expected) in bare {
        for version in VERSIONS {
            let mut machine = Equipment::of(version, server.mqtt);
            let topic = format!("plant/press/{}", signal.replace('.', "/"));
            machine.publish(&topic, 1, false, payload.as_bytes()).unwrap();
        }
        let condition = format!("equipment = '{PRESS}' AND signal = '{signal}'");
        let rows = server.sql(&format!("SELECT value, text FROM samples WHERE {condition}"));
        assert_eq!(json!(rows), json!([expected, expected]), "{signal}");
        // Twice the same value is two rows, both of just now.
        let age = format!("now() - time < interval '1 minute' AND time <= now() AND {condition}");
        assert_eq!(server.number(&format!("SELECT count(DISTINCT time) FROM samples WHERE {age}")), 2.0, "{signal}");
    }
    // Nothing at all deletes a retained message; it is no value and no mistake.
    Equipment::of(Version::V4, server.mqtt).publish("plant/press/temperature", 1, true, b"").unwrap();
    assert_eq!(server.number("SELECT count(*) FROM samples WHERE signal = 'temperature'"), 2.0);
    assert_eq!(server.number("SELECT count(*) FROM quarantine"), 0.0);
}

#[test]
fn umh_core_and_classic() {
    let (core, classic) = (format!("{PRESS_UMH}/_historian/process/temperature"), format!("{PRESS_UMH}/_historian/in"));
    let messages = [
        (core.as_str(), r#"{"value": 71.4, "timestamp_ms": 1741000000123}"#),
        (
            classic.as_str(),
            r#"{"timestamp_ms": 1741000000123, "temperature": 70, "pressure": {"inlet": 3.1, "outlet": 2.7}, "state": "running"}"#,
        ),
    ];
    let time = "2025-03-03T11:06:40.123000Z";
    let expected = [
        format!("in.pressure.inlet 3.1 null {time}"),
        format!("in.pressure.outlet 2.7 null {time}"),
        format!("in.state null running {time}"),
        format!("in.temperature 70.0 null {time}"),
        format!("process.temperature 71.4 null {time}"),
    ];
    for version in VERSIONS {
        assert_eq!(published(version, &messages, expected.len()), expected, "{version:?}");
    }
}

#[test]
fn integers_beyond_a_double_come_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let integers = ["9007199254740993", "-9007199254740993", "18446744073709551615", "9223372036854775807"];
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    for (place, integer) in integers.iter().enumerate() {
        let quoted = format!(r#"{{"json.{place}": {integer}, "text.{place}": "{integer}", "ts": 1741000000}}"#);
        machine.publish("flat/press", 1, false, quoted.as_bytes()).unwrap();
        machine.publish(&format!("plant/press/bare.{place}"), 1, false, integer.as_bytes()).unwrap();
    }
    machine.publish("flat/press", 1, false, br#"{"small": 9007199254740992, "ts": 1741000000}"#).unwrap();
    for round in ["in memory", "in segments"] {
        for (place, integer) in integers.iter().enumerate() {
            let signals = format!("'json.{place}', 'text.{place}', 'bare.{place}'");
            let rows = server.sql(&format!("SELECT text, value FROM samples WHERE signal IN ({signals})"));
            let row = json!([integer, integer.parse::<f64>().unwrap()]);
            assert_eq!(json!(rows), json!([row, row, row]), "{integer} {round}");
        }
        let small = server.sql("SELECT value, text FROM samples WHERE signal = 'small'");
        assert_eq!(json!(small), json!([[9_007_199_254_740_992.0, null]]));
        server.stop();
        server = Server::start(folder.path());
    }
}

#[test]
fn subscribers_hear_what_equipment_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let heard = |topic: &str, payload: &str, retain| Heard { topic: topic.into(), payload: payload.into(), retain };
    for version in VERSIONS {
        for other in VERSIONS {
            let mut page = Equipment::of(version, server.mqtt);
            page.subscribe("plant/+/temperature").unwrap();
            page.subscribe("takt/records/#").unwrap();
            let mut machine = Equipment::of(other, server.mqtt);
            machine.publish("plant/press/pressure", 1, false, b"1").unwrap();
            for qos in 0..3_u8 {
                machine.publish("plant/press/temperature", qos, false, format!("7{qos}").as_bytes()).unwrap();
            }
            machine.publish("takt/records/units", 1, false, br#"{"unit": "U-1"}"#).unwrap();
            for qos in 0..3 {
                assert_eq!(page.hear().unwrap(), heard("plant/press/temperature", &format!("7{qos}"), false));
            }
            assert_eq!(page.hear().unwrap(), heard("takt/records/units", r#"{"unit": "U-1"}"#, false));
        }
    }
}

#[test]
fn retained_messages_wait_for_whoever_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    machine.publish("plant/press/state", 1, true, b"STOP").unwrap();
    machine.publish("plant/press/state", 1, true, b"RUN").unwrap();
    machine.publish("plant/weld/state", 1, true, b"STOP").unwrap();
    machine.publish("plant/weld/state", 1, true, b"").unwrap();
    for version in VERSIONS {
        let mut late = Equipment::of(version, server.mqtt);
        late.subscribe("plant/#").unwrap();
        let expected = Heard { topic: "plant/press/state".into(), payload: "RUN".into(), retain: true };
        assert_eq!(late.hear().unwrap(), expected, "{version:?}");
        // The deleted one is not the next to come.
        machine.publish("plant/press/pressure", 1, false, b"1").unwrap();
        assert_eq!(late.hear().unwrap().topic, "plant/press/pressure", "{version:?}");
    }
}

/// A row of each table that context comes in, and what a query finds of it.
fn records() -> Vec<(&'static str, Value, &'static str)> {
    let start = "2025-03-03T10:00:00Z";
    vec![
        (
            "work_orders",
            json!({"work_order": "WO-1", "product": "P-1", "planned_quantity": 100}),
            "work_order = 'WO-1'",
        ),
        (
            "operations",
            json!({"run": "r1", "equipment": PRESS, "work_order": "WO-1", "operation": "press", "started": start}),
            "run = 'r1' AND completed IS NULL",
        ),
        (
            "states",
            json!({"equipment": PRESS, "source": "mes", "kind": "change", "state": "RUN", "start": start}),
            "source = 'mes' AND state = 'RUN'",
        ),
        ("counts", json!({"equipment": PRESS, "source": "mes", "time": start, "total": 10, "good": 9}), "good = 9"),
        (
            "measurements",
            json!({"time": 1_741_000_000_000_u64, "unit": "U-1", "operation": "press", "equipment": PRESS,
                   "characteristic": "force", "value": 12.5}),
            "value = 12.5 AND unit = 'U-1'",
        ),
        (
            "units",
            json!([{"unit": "U-1", "item": "P-1"}, {"unit": "LOT-9", "kind": "lot"}]),
            "unit IN ('U-1', 'LOT-9')",
        ),
        (
            "materials",
            json!({"event_id": "m1", "parent": "LOT-9", "child": "U-1", "time": start}),
            "parent = 'LOT-9' AND child = 'U-1'",
        ),
    ]
}

#[test]
fn records_over_mqtt_and_http() {
    let mut counts = Vec::new();
    for over_mqtt in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let mut mes = Equipment::of(Version::V5, server.mqtt);
        for (table, row, condition) in records() {
            let text = row.to_string();
            // Twice: the same row is a no-op the second time.
            for _ in 0..2 {
                if over_mqtt {
                    mes.publish(&format!("takt/records/{table}"), 1, false, text.as_bytes()).unwrap();
                } else {
                    let (status, body) = server.post(&format!("/api/v1/{table}"), &text);
                    assert_eq!(status, 200, "{table}: {body}");
                }
            }
            let rows = row.as_array().map_or(1, Vec::len) as f64;
            assert_eq!(server.number(&format!("SELECT count(*) FROM {table} WHERE {condition}")), rows, "{table}");
            assert_eq!(server.number(&format!("SELECT count(*) FROM {table}")), rows, "{table}");
            counts.push((table, server.number(&format!("SELECT count(*) FROM {table}_history"))));
        }
        assert_eq!(server.number("SELECT count(*) FROM quarantine"), 0.0);
    }
    assert!(counts.iter().all(|(_, versions)| *versions == 0.0), "a repeated row is no correction: {counts:?}");
}

/// The value of a metric whose line begins with `name`; 0 where nothing has moved it yet.
fn metric(server: &Server, name: &str) -> f64 {
    let (status, text) = server.get("/metrics");
    assert_eq!(status, 200);
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn metrics_count_and_time_what_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let names = ["takt_messages_total{source=\"mqtt\"}", "takt_samples_total{source=\"mqtt\"}"];
    let stages = ["received_to_admitted", "admitted_to_durable", "received_to_queryable"];
    let timed = |stage: &str| metric(&server, &format!("takt_ingest_seconds_count{{stage=\"{stage}\"}}"));
    let before = names.map(|name| metric(&server, name));
    let timed_before = stages.map(timed);
    let mut machine = Equipment::of(Version::V4, server.mqtt);
    for number in 0..7 {
        let payload = json!({"a": number, "b": number, "ts": 1_741_000_000 + number});
        machine.publish("flat/press", 1, false, payload.to_string().as_bytes()).unwrap();
    }
    let after = names.map(|name| metric(&server, name));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [7.0, 14.0]);
    for (stage, before) in stages.iter().zip(timed_before) {
        let count = timed(stage);
        assert!(count > before, "{stage}: {before} before, {count} after");
        let bucket =
            |bound: &str| metric(&server, &format!("takt_ingest_seconds_bucket{{stage=\"{stage}\",le=\"{bound}\"}}"));
        assert_eq!(bucket("+Inf"), count, "{stage}");
        let seconds = metric(&server, &format!("takt_ingest_seconds_sum{{stage=\"{stage}\"}}"));
        assert!(seconds > 0.0 && seconds < 60.0, "{stage}: {seconds} s");
    }
}

/// The most memory the server ever had, bytes.
fn peak_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_burst_from_a_deaf_sender_stays_out_of_memory() {
    const MESSAGES: u64 = 50_000;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let before = peak_bytes(&server);
    // 200 MB in all. A sample of each is a few bytes; the rest only weighs while it is under way.
    let filler = " ".repeat(4_000);
    let mut machine = Publisher::connect(server.mqtt, "deaf").unwrap();
    for number in 0..MESSAGES {
        let payload = format!(r#"{{"burst": {number},{filler} "ts": {}}}"#, 1_741_000_000_000 + number);
        machine.publish("flat/press", payload.as_bytes(), number).unwrap();
    }
    assert!(machine.drain(0), "the connection went away");
    assert_eq!(machine.acknowledged.len() as u64, MESSAGES);
    assert_eq!(server.number("SELECT count(*) FROM samples WHERE signal = 'burst'"), MESSAGES as f64);
    let grown = peak_bytes(&server) - before;
    assert!(grown < 150 << 20, "memory grew by {} MiB", grown >> 20);
}
