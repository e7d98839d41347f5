use super::*;
use crate::decode::line::Precision;
use crate::fixture::Fixture;

fn fixture() -> Fixture {
    Fixture::new(Limits::default())
}

async fn send(fixture: &Fixture, messages: &[(&str, &[u8])]) -> Vec<Outcome> {
    let intake = &fixture.intake;
    let mut feed = intake.feed(Source::new("mqtt", &"press".into()));
    let mut batch = feed.batch();
    let outcomes = messages
        .iter()
        .map(|(topic, payload)| intake.message(&mut feed, topic, payload, now_us(), &mut batch))
        .collect();
    intake.commit(batch).await.unwrap();
    outcomes
}

#[tokio::test]
async fn messages_become_samples_and_what_is_bad_goes_to_quarantine() {
    let fixture = fixture();
    let outcomes = send(
        &fixture,
        &[
            ("plant/press/temp", b"71.4"),
            ("flat/press", br#"{"a":1,"b":"NaN","c":"RUN","ts":1700000000}"#),
            ("plant/press/temp", b"\xff\xfe"),
            ("nowhere", b"1"),
            ("plant/lathe/temp", b"1"),
            ("plant/press/temp", br#"{"value":1,"ts":99999999999}"#),
            ("plant/press/temp", b""),
        ],
    )
    .await;
    use Outcome::{Accepted, Quarantined};
    assert_eq!(outcomes, [Accepted, Quarantined, Quarantined, Quarantined, Quarantined, Quarantined, Accepted]);
    let samples = fixture.show("samples", &["equipment", "signal", "value", "text"]);
    assert_eq!(samples, ["cologne/press|a|1.0|-", "cologne/press|c|-|RUN", "cologne/press|temp|71.4|-"]);
    let mut refused = fixture.show("quarantine", &["topic", "error"]);
    refused.sort();
    for (row, (topic, part)) in refused.iter().zip([
        ("flat/press|", "`b` is NaN"),
        ("nowhere|", "no [[topics]] entry"),
        ("plant/lathe/temp|", "equipment `cologne/lathe`, which plant.toml does not declare"),
        ("plant/press/temp|", "not UTF-8 text: byte 0xFF at offset 0"),
        ("plant/press/temp|", "ahead of the server's"),
    ]) {
        assert!(row.starts_with(topic) && row.contains(part), "{row}");
    }
    assert_eq!(refused.len(), 5);
    let counters = fixture.intake.counters();
    assert_eq!((counters.messages, counters.samples, counters.refused), (7, 3, 5));
    assert_eq!(fixture.intake.latency().stage(crate::Stage::Queryable).len(), 7);
}

#[tokio::test]
async fn a_long_payload_is_refused_with_its_beginning_length_and_hash() {
    let fixture = fixture();
    let payload = vec![b'7'; 10 << 20];
    assert_eq!(send(&fixture, &[("plant/press/temp", &payload)]).await, [Outcome::Quarantined]);
    assert_eq!(fixture.show("quarantine", &["length"]), ["10485760"]);
    assert_eq!(fixture.show("quarantine", &["payload"])[0].len(), crate::quarantine::KEPT_BYTES);
    assert_eq!(fixture.show("quarantine", &["sha256"])[0].len(), 64);
}

#[tokio::test]
async fn equal_messages_that_arrive_together_are_rows_of_their_own_in_their_order() {
    let fixture = fixture();
    send(&fixture, &[("nowhere", b"x"), ("nowhere", b"y"), ("nowhere", b"x")]).await;
    let mut rows = fixture.show("quarantine", &["time", "payload"]);
    rows.sort();
    let payloads: Vec<&str> = rows.iter().filter_map(|row| row.split('|').nth(1)).collect();
    assert_eq!(payloads, ["x", "y", "x"]);
}

#[tokio::test]
async fn many_refused_lines_and_rows_are_counted_and_the_first_are_named() {
    let fixture = fixture();
    let lines = "no field\n".repeat(5_000) + "machine,machine=press force=1\n";
    let receipt = fixture.intake.line_protocol(&Login::local(), lines.as_bytes(), Precision::default()).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused, receipt.first_refused.len()), (1, 5_000, 100));
    let rows = format!("[{}{{\"unit\":\"u\"}}]", "1,".repeat(5_000));
    let receipt = fixture.intake.records(&Login::local(), "units", rows.as_bytes()).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused, receipt.first_refused.len()), (1, 5_000, 100));
    assert_eq!(fixture.intake.counters().refused, 10_000);
    for error in fixture.show("quarantine", &["error"]) {
        assert_eq!((error.lines().count(), error.lines().last()), (21, Some("and 4980 more")), "{error}");
    }
}

#[tokio::test]
async fn over_quota_refusals_are_only_counted() {
    let fixture = Fixture::new(Limits { quarantine_bytes: 1, ..Limits::default() });
    let outcomes = send(&fixture, &[("nowhere", b"1"), ("nowhere", b"2")]).await;
    assert_eq!(outcomes, [Outcome::Quarantined, Outcome::Dropped]);
    assert_eq!(fixture.rows("quarantine").num_rows(), 1);
    assert_eq!(fixture.intake.counters().refused, 2);
}

#[tokio::test]
async fn records_over_mqtt_keep_their_good_rows() {
    let fixture = fixture();
    let payload = br#"[{"equipment":"cologne/press","start":1700000000,"state":"run"},{"equipment":"x","start":1}]"#;
    assert_eq!(send(&fixture, &[("takt/records/states", payload)]).await, [Outcome::Quarantined]);
    assert_eq!(fixture.show("states", &["equipment", "state", "recorded_by"]), ["cologne/press|run|press"]);
    let refused = fixture.show("quarantine", &["payload", "error"]);
    assert!(
        refused[0].starts_with(r#"[{"equipment":"x","start":1}]|row 1: plant.toml declares no equipment `x`"#),
        "{refused:?}"
    );
}

#[tokio::test]
async fn executions_are_known_as_soon_as_they_are_durable() {
    let fixture = fixture();
    let payload = br#"{"equipment":"cologne","operation":"press","unit":"SN1","started":1700000000}"#;
    send(&fixture, &[("takt/records/operations", payload)]).await;
    let at = 1_700_000_001_000_000;
    assert_eq!(fixture.intake.keyer().executions().key_at("cologne/press", at).unit, Some("SN1"));
    let again = Keyer::load(fixture.intake.store()).unwrap();
    assert_eq!(again.executions().key_at("cologne/press", at).unit, Some("SN1"));
}

#[tokio::test]
async fn line_protocol_stores_good_lines_and_names_bad_ones() {
    let fixture = fixture();
    let body = "machine,machine=press speed=1.5,big=9007199254740993i 1700000000\n\
                machine,machine=lathe speed=1 1700000000\n\
                machine speed=1\n\
                samples,equipment=cologne/press,signal=s,unit=SN1 value=2 1700000001\n\
                cpu,equipment=cologne/press,signal=cpu value=3,idle=4 1700000002\n\
                cpu,equipment=cologne/press load=NaN\n";
    let receipt = fixture.intake.line_protocol(&Login::local(), body.as_bytes(), Precision::Seconds).await.unwrap();
    assert_eq!(receipt.accepted, 3);
    let parts = ["declares no equipment `cologne/lathe`", "needs the tag `machine`", "no number"];
    for ((number, reason), (expected, part)) in receipt.first_refused.iter().zip([2, 3, 6].into_iter().zip(parts)) {
        assert_eq!(*number, expected);
        assert!(reason.contains(part), "{reason}");
    }
    let samples = fixture.show("samples", &["signal", "text", "unit", "key_source"]);
    assert_eq!(samples, ["big|9007199254740993|-|-", "cpu|-|-|-", "cpu.idle|-|-|-", "s|-|SN1|explicit", "speed|-|-|-"]);
    assert_eq!(fixture.show("quarantine", &["topic", "source"]), ["/api/v2/write?precision=s|http:local"]);
}

#[tokio::test]
async fn records_over_http_include_samples() {
    let fixture = fixture();
    let rows = br#"[{"equipment":"cologne/press","signal":"t","value":1,"time":1700000000,"operation":"press"},{"signal":"t"}]"#;
    let receipt = fixture.intake.records(&Login::local(), "samples", rows).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused, receipt.first_refused[0].row), (1, 1, 1));
    assert_eq!(fixture.show("samples", &["operation", "key_source"]), ["press|explicit"]);
    // Texts are those of records: none is lost for being written as a number.
    let rows = br#"[{"equipment":"cologne/press","signal":"u","text":5,"unit":7,"time":1700000000},{"equipment":"cologne/press","signal":"v","text":"","time":1700000000}]"#;
    assert_eq!(fixture.intake.records(&Login::local(), "samples", rows).await.unwrap().accepted, 2);
    let texts = fixture.show("samples", &["signal", "text", "unit", "key_source"]);
    assert_eq!(texts, ["t|-|-|explicit", "u|5|7|explicit", "v||-|-"]);
    let receipt = fixture.intake.records(&Login::local(), "nonsense", b"{}").await.unwrap();
    assert!(receipt.first_refused[0].reason.contains("takes no records"));
}

#[tokio::test]
async fn the_plant_becomes_master_data() {
    let fixture = fixture();
    fixture.intake.load_plant().await.unwrap();
    fixture.intake.load_plant().await.unwrap();
    assert_eq!(
        fixture.show("equipment", &["equipment", "recorded_by"]),
        ["cologne|plant.toml", "cologne/press|plant.toml"]
    );
}

#[tokio::test]
async fn a_replay_stores_what_is_good_now() {
    let fixture = fixture();
    send(&fixture, &[("nowhere", b"1"), ("plant/lathe/temp", b"2")]).await;
    let kept = fixture.rows("quarantine");
    let receipt = fixture.intake.replay(&Login::local()).await.take(&kept).await.unwrap();
    assert_eq!((receipt.replayed, receipt.refused.len()), (0, 2));
    // The same rows, as if the first one's topic had been mapped since.
    let topics: arrow::array::ArrayRef =
        Arc::new(arrow::array::StringArray::from(vec!["plant/press/temp"; kept.num_rows()]));
    let place = kept.schema().index_of("topic").unwrap();
    let mut columns = kept.columns().to_vec();
    columns[place] = topics;
    let mapped = RecordBatch::try_new(kept.schema(), columns).unwrap();
    let receipt = fixture.intake.replay(&Login::local()).await.take(&mapped).await.unwrap();
    assert_eq!((receipt.replayed, receipt.refused.len()), (2, 0));
    let mut values = fixture.show("samples", &["signal", "value"]);
    values.sort();
    assert_eq!(values, ["temp|1.0", "temp|2.0"]);
    assert_eq!(fixture.show("quarantine", &["replayed"]), ["true", "true"]);
}

#[tokio::test]
async fn discarded_messages_keep_all_but_their_payload() {
    let fixture = fixture();
    send(&fixture, &[("nowhere", b"\xff\xfe"), ("plant/lathe/temp", b"2")]).await;
    let kept = fixture.rows("quarantine");
    let discarded = fixture.intake.discard(&Login::local()).await.take(&kept).await.unwrap();
    assert_eq!(discarded, 2);
    let mut rows = fixture.show("quarantine", &["topic", "source", "length", "payload", "payload_base64", "replayed"]);
    rows.sort();
    assert_eq!(rows, ["nowhere|mqtt:press|2|-|-|-", "plant/lathe/temp|mqtt:press|1|-|-|-"]);
    let errors = fixture.show("quarantine", &["error"]);
    assert!(errors.iter().any(|error| error.contains("no [[topics]] entry")), "{errors:?}");
    let history = fixture.intake.store().snapshot().table("quarantine").unwrap().pending_history().unwrap();
    let text = |name: &str| {
        let column = arrow::compute::cast(history.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Utf8);
        let column = arrow::array::AsArray::as_string::<i32>(&column.unwrap()).clone();
        column.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(text("superseded_by"), ["local", "local"]);
    assert!(text("payload").contains(&"2".to_owned()));
}

/// Sends a long message that nobody can admit, and says how much of it was kept.
async fn kept_of_long(fixture: &Fixture, topic: &str) -> usize {
    let payload = vec![b'x'; 1_000];
    assert_eq!(send(fixture, &[(topic, &payload)]).await, [Outcome::Quarantined]);
    let rows = fixture.show("quarantine", &["topic", "payload"]);
    let beginning = format!("{topic}|");
    rows.iter().find_map(|row| row.strip_prefix(&beginning)).unwrap().len()
}

#[tokio::test]
async fn messages_that_wait_no_longer_make_room_in_the_quota() {
    let fixture = Fixture::new(Limits { quarantine_bytes: 1_600, ..Limits::default() });
    assert_eq!(kept_of_long(&fixture, "one").await, 1_000);
    assert_eq!(kept_of_long(&fixture, "two").await, 256);
    let waiting = fixture.rows("quarantine");
    // Refused again: nothing is gained.
    fixture.intake.replay(&Login::local()).await.take(&waiting).await.unwrap();
    assert_eq!(kept_of_long(&fixture, "three").await, 256);
    let waiting = fixture.rows("quarantine");
    fixture.intake.discard(&Login::local()).await.take(&waiting).await.unwrap();
    assert_eq!(kept_of_long(&fixture, "four").await, 1_000);
}

#[tokio::test]
async fn replayed_messages_make_room_in_the_quota() {
    let fixture = Fixture::new(Limits { quarantine_bytes: 1_600, ..Limits::default() });
    assert_eq!(kept_of_long(&fixture, "one").await, 1_000);
    let kept = fixture.rows("quarantine");
    let topics: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["plant/press/note"]));
    let mut columns = kept.columns().to_vec();
    columns[kept.schema().index_of("topic").unwrap()] = topics;
    let mapped = RecordBatch::try_new(kept.schema(), columns).unwrap();
    let receipt = fixture.intake.replay(&Login::local()).await.take(&mapped).await.unwrap();
    assert_eq!((receipt.replayed, receipt.refused.len()), (1, 0));
    assert_eq!(kept_of_long(&fixture, "two").await, 1_000);
}

#[tokio::test]
async fn what_an_earlier_process_left_counts() {
    let fixture = Fixture::new(Limits { quarantine_bytes: 1_600, ..Limits::default() });
    fixture.intake.count_quarantine(1, 1_000);
    assert_eq!(kept_of_long(&fixture, "one").await, 256);
}

#[tokio::test]
async fn what_is_older_than_its_table_keeps_it_goes_to_quarantine_whichever_way_it_comes() {
    let kept = |table: &str| matches!(table, "samples" | "counts");
    let retention = crate::Retention::new(|table| kept(table).then(|| std::time::Duration::from_secs(30 * 86_400)));
    let fixture = Fixture::new(Limits { retention, ..Limits::default() });
    let day_us = 86_400_000_000;
    let (old, new) = (now_us() - 31 * day_us, now_us() - 29 * day_us);
    let [old_message, new_message] = [old, new].map(|time| format!(r#"{{"value":1,"ts":{}}}"#, time / 1000));
    let messages = [("plant/press/temp", old_message.as_bytes()), ("plant/press/temp", new_message.as_bytes())];
    assert_eq!(send(&fixture, &messages).await, [Outcome::Quarantined, Outcome::Accepted]);
    for (table, rest) in
        [("samples", r#""signal":"s","value":1"#), ("counts", r#""good":1"#), ("states", r#""state":"run""#)]
    {
        let time = if table == "states" { "start" } else { "time" };
        let row = |us: i64| format!(r#"{{"equipment":"cologne/press","{time}":{us},{rest}}}"#);
        let rows = format!("[{},{}]", row(old), row(new));
        let receipt = fixture.intake.records(&Login::local(), table, rows.as_bytes()).await.unwrap();
        let refused = usize::from(kept(table));
        assert_eq!((receipt.accepted, receipt.refused), (2 - refused, refused), "{table}: {receipt:?}");
    }
    let line = |us: i64| format!("samples,equipment=cologne/press,signal=l value=1 {us}000\n");
    let lines = line(old) + &line(new);
    let receipt =
        fixture.intake.line_protocol(&Login::local(), lines.as_bytes(), Precision::Nanoseconds).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused), (1, 1), "{receipt:?}");
    let errors = fixture.show("quarantine", &["error"]);
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors.iter().all(|error| error.contains("longer ago than rows of")), "{errors:?}");
    assert_eq!(fixture.rows("samples").num_rows(), 3);
}

#[tokio::test]
async fn lines_of_a_long_body_keep_their_signals_whatever_order_they_come_in() {
    let fixture = Fixture::new(Limits { earliest_year: 1970, ..Limits::default() });
    // More than one piece takes; the signals of a later piece come in another order.
    let (count, bad) = (70_000, 1_000);
    let lines = (0..count).map(|row| {
        let signal = if row < 60_000 { row % 7 } else { (row * 3) % 11 };
        match row % bad {
            0 => format!("samples,equipment=cologne/lathe,signal=s{signal} value=1 {row}\n"),
            1 => format!(
                "samples,equipment=cologne/press,signal=s{signal},unit=tag value={signal},value=99,unit=\"field\" {row}\n"
            ),
            2 => format!("samples,equipment=cologne/press,signal=s{signal},unit=tag value={signal}i {row}\n"),
            _ => format!("samples,equipment=cologne/press,signal=s{signal} value={signal} {row}\n"),
        }
    });
    let body = lines.collect::<String>();
    let receipt = fixture.intake.line_protocol(&Login::local(), body.as_bytes(), Precision::Seconds).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused), (count - count / bad, count / bad));
    assert!(receipt.first_refused.iter().all(|(_, reason)| reason.contains("declares no equipment `cologne/lathe`")));
    let rows = fixture.show("samples", &["signal", "value", "unit"]);
    assert_eq!(rows.len(), receipt.accepted);
    for row in &rows {
        let [signal, value, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        assert_eq!(format!("{signal}.0"), format!("s{value}"));
    }
    for (unit, expected) in [("field", count / bad), ("tag", count / bad)] {
        assert_eq!(rows.iter().filter(|row| row.ends_with(unit)).count(), expected, "{unit}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_cost_their_own_line_only() {
    let fixture = fixture();
    let head = b"samples,equipment=cologne/press,signal=";
    let mut body = Vec::new();
    for rest in [
        &b"a value=1 1700000000\n"[..],
        b"b\xff value=1 1700000000\n",
        b"c text=\"x\n\xfe\" 1700000000\n",
        b"d value=1 1700000000",
    ] {
        body.extend([&head[..], rest].concat());
    }
    let receipt = fixture.intake.line_protocol(&Login::local(), &body, Precision::Seconds).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused), (2, 2));
    let numbers: Vec<usize> = receipt.first_refused.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [2, 3]);
    assert!(receipt.first_refused.iter().all(|(_, reason)| reason.contains("not UTF-8")), "{receipt:?}");
    assert_eq!(fixture.show("samples", &["signal"]), ["a", "d"]);
    // What is kept are the bytes as they came.
    let length = (2 * head.len() + b"b\xff value=1 1700000000\nc text=\"x\n\xfe\" 1700000000\n".len()).to_string();
    assert_eq!(fixture.show("quarantine", &["length"]), [length]);
}

#[tokio::test]
async fn many_lines_that_are_no_text_are_refused_one_by_one_in_time() {
    let fixture = fixture();
    let count = 200_000;
    let body = b"\xff\n\n".repeat(count);
    let receipt = fixture.intake.line_protocol(&Login::local(), &body, Precision::Seconds).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused), (0, count));
    assert_eq!(receipt.first_refused.last().map(|(number, _)| *number), Some(199));
}
