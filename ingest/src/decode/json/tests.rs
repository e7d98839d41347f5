use crate::decode::payload;
use crate::decode::reading::{Readings, Value};
use crate::quarantine::Refusal;

/// Readings as text: `signal=value@time[work_order/operation/unit]`.
fn read(text: &str, signal: Option<&str>) -> Result<(Vec<String>, Vec<Refusal>), Refusal> {
    let mut readings = Readings::new(16, 10_000);
    payload(text.as_bytes(), signal, &mut readings)?;
    let mut shown = Vec::new();
    for group in &readings.groups {
        let keys = readings.keys(group);
        for reading in &readings.list[group.start..group.end] {
            let value = match reading.value {
                Value::Null => "null".to_owned(),
                Value::Number(value) => value.to_string(),
                Value::Exact(value, digits) => format!("{value}~{}", readings.text(digits)),
                Value::Text(text) => format!("'{}'", readings.text(text)),
            };
            let time = group.time.map_or(String::new(), |time| format!("@{time}"));
            let keys =
                if keys.any() { format!("{:?}", [keys.work_order, keys.operation, keys.unit]) } else { String::new() };
            shown.push(format!("{}={value}{time}{keys}", readings.text(reading.signal)));
        }
    }
    Ok((shown, readings.refused.clone()))
}

fn check(text: &str, signal: Option<&str>, expected: &[&str]) {
    let (shown, refused) = read(text, signal).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
    assert_eq!(shown, expected, "{text}");
    assert_eq!(refused, [], "{text}");
}

#[test]
fn bare_values() {
    check("71.4", Some("t"), &["t=71.4"]);
    check("71,4", Some("t"), &["t=71.4"]);
    check("true", Some("t"), &["t=1"]);
    check("FALSE", Some("t"), &["t=0"]);
    check("RUN", Some("t"), &["t='RUN'"]);
    check("\"RUN\"", Some("t"), &["t='RUN'"]);
    check("null", Some("t"), &["t=null"]);
    check("on", Some("t"), &["t='on'"]);
    check("  ", Some("t"), &[]);
    check("", None, &[]);
}

#[test]
fn flat_objects_and_their_times() {
    check(
        r#"{"state": 3, "good": 10482, "speed": 118.5, "ts": 1795248000}"#,
        None,
        &["state=3@1795248000000000", "good=10482@1795248000000000", "speed=118.5@1795248000000000"],
    );
    check(r#"{"Timestamp":"2026-11-21T08:00:00.123Z","a":1}"#, None, &["a=1@1795248000123000"]);
    check(r#"{"a":1,"timestamp_ms":1795248000123}"#, Some("x"), &["x.a=1@1795248000123000"]);
    check(r#"{"a":true,"b":"71,4","c":"off","d":null}"#, None, &["a=1", "b=71.4", "c='off'", "d=null"]);
}

#[test]
fn nested_objects_and_arrays() {
    check(
        r#"{"pressure":{"inlet":3.1,"outlet":2.7},"vibration":[1,2.5],"ts":1795248000}"#,
        None,
        &[
            "pressure.inlet=3.1@1795248000000000",
            "pressure.outlet=2.7@1795248000000000",
            "vibration.0=1@1795248000000000",
            "vibration.1=2.5@1795248000000000",
        ],
    );
    check("[1,2]", Some("v"), &["v.0=1", "v.1=2"]);
    check(
        r#"[{"ts":1795248000,"a":1},{"ts":1795248001,"a":2}]"#,
        None,
        &["a=1@1795248000000000", "a=2@1795248001000000"],
    );
}

#[test]
fn value_is_the_signal_that_the_topic_names() {
    check(
        r#"{"value":71.4,"timestamp_ms":1795248000123}"#,
        Some("temperature"),
        &["temperature=71.4@1795248000123000"],
    );
    check(r#"{"value":71.4}"#, None, &["value=71.4"]);
}

#[test]
fn integers_that_a_double_cannot_hold_keep_their_digits() {
    check("9007199254740993", Some("n"), &["n=9007199254740992~9007199254740993"]);
    check(
        r#"{"n":18446744073709551615,"m":"9007199254740993","k":-9007199254740993}"#,
        None,
        &[
            "n=18446744073709552000~18446744073709551615",
            "m=9007199254740992~9007199254740993",
            "k=-9007199254740992~-9007199254740993",
        ],
    );
}

fn refuses(text: &str, expected: &[&str], reasons: &[&str]) {
    let (shown, refused) = read(text, None).unwrap();
    assert_eq!(shown, expected, "{text}");
    let said: Vec<_> = refused.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(said, reasons, "{text}");
}

#[test]
fn a_name_that_cannot_be_costs_its_own_value_only() {
    let empty = |place: &str| format!("a key below {place} is empty, which names no signal; its value was left out");
    refuses(r#"{"":4,"ok":1}"#, &["ok=1"], &[&empty("the top")]);
    refuses(r#"{"a":{"":{"b":1},"c":2}}"#, &["a.c=2"], &[&empty("a")]);
    let long = "x".repeat(600);
    let reason = format!("the name {}… is longer than 512 bytes; its value was left out", &long[..40]);
    refuses(&format!(r#"{{"{long}":[1,2],"ok":1}}"#), &["ok=1"], &[&reason]);
}

#[test]
fn two_values_of_one_signal_in_one_message_are_no_correction() {
    let twice = |name: &str| format!("`{name}` stands twice in one message; the first value was kept");
    refuses(r#"{"a":1,"b":2,"a":3}"#, &["a=1", "b=2"], &[&twice("a")]);
    refuses(r#"{"a.b":1,"a":{"b":2}}"#, &["a.b=1"], &[&twice("a.b")]);
    refuses(r#"[{"a":1},{"a":2,"a":4}]"#, &["a=1", "a=2"], &[&twice("a")]);
    let other = "`timestamp` is another time of the same message; the first one counts";
    refuses(r#"{"ts":1795248000,"timestamp":5,"a":1}"#, &["a=1@1795248000000000"], &[other]);
    refuses(
        r#"{"ts":1795248000,"timestamp":"2026-11-21T08:00:00Z","time":null,"a":1}"#,
        &["a=1@1795248000000000"],
        &[],
    );
    let many: Vec<String> = (0..40).map(|number| format!("\"s{}\":{number}", number % 39)).collect();
    let (shown, refused) = read(&format!("{{{}}}", many.join(",")), None).unwrap();
    assert_eq!((shown.len(), refused.len()), (39, 1));
    assert_eq!(shown[0], "s0=0");
}

#[test]
fn explicit_keys() {
    check(
        r#"{"work_order":"WO-1","operation":"press","unit":"SN1","force":4}"#,
        None,
        &["force=4[Some(\"WO-1\"), Some(\"press\"), Some(\"SN1\")]"],
    );
    check(r#"{"value":23.5,"unit":"C"}"#, Some("t"), &["t=23.5", "t.unit='C'"]);
    check(r#"{"force":4,"work_order":4711}"#, None, &["force=4[Some(\"4711\"), None, None]"]);
}

#[test]
fn not_finite_values_are_refused_by_name_and_the_others_stay() {
    for text in [r#"{"a":1,"b":"NaN","c":2}"#, r#"{"a":1,"b":NaN,"c":2}"#, r#"{"a":1,"b":-Infinity,"c":2}"#] {
        let (shown, refused) = read(text, None).unwrap();
        assert_eq!(shown, ["a=1", "c=2"], "{text}");
        assert_eq!(refused.len(), 1, "{text}");
        assert!(refused[0].reason.starts_with("`b` is "), "{}", refused[0].reason);
    }
    let (shown, refused) = read(r#"{"note":"the word NaN","x":1}"#, None).unwrap();
    assert_eq!((shown.len(), refused.len()), (2, 0));
}

#[test]
fn numbers_beyond_a_double_are_refused_by_name_and_the_others_stay() {
    let long = "9".repeat(400);
    for number in ["1e999", "-1e999", "1E+400", "123.5e310", long.as_str()] {
        for (text, kept) in [
            (format!(r#"{{"a":1,"b":{number},"c":"1e999"}}"#), ["a=1", "c='1e999'"]),
            (format!(r#"{{"a": 1.5 ,"b" : {number} ,"n":"a \" {number} "}}"#), ["a=1.5", ""]),
        ] {
            let (shown, refused) = read(&text, None).unwrap();
            assert_eq!(shown[0], kept[0], "{text}");
            assert_eq!(shown.len(), 2, "{text}: {shown:?}");
            if !kept[1].is_empty() {
                assert_eq!(shown[1], kept[1], "{text}");
            }
            let [refusal] = refused.as_slice() else { panic!("{text}: {refused:?}") };
            assert_eq!(refusal.kind, "not_finite", "{text}");
            let expected = format!("`b` is {}", &number[..number.len().min(40)]);
            assert!(refusal.reason.starts_with(&expected), "{}", refusal.reason);
            assert!(refusal.reason.contains("beyond what a double can hold; send null"), "{}", refusal.reason);
            assert!(refusal.reason.len() < 150, "{}", refusal.reason);
        }
    }
    let nested = r#"[{"ts":1795248000,"p":{"in":1e999,"out":[2,1e999]}},{"ts":1e999,"a":1},{"a":3,"b":NaN}]"#;
    let (shown, refused) = read(nested, None).unwrap();
    assert_eq!(shown, ["p.out.0=2@1795248000000000", "a=3"]);
    let reasons: Vec<&str> = refused.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert!(reasons[0].starts_with("`p.in` is 1e999"), "{reasons:?}");
    assert!(reasons[1].starts_with("`p.out.1` is 1e999"), "{reasons:?}");
    assert_eq!(reasons[2], "`ts`: 1e999 is no time");
    assert!(reasons[3].starts_with("`b` is NaN, which is no finite number"), "{reasons:?}");
    assert_eq!(reasons.len(), 4);
}

#[test]
fn a_key_that_is_no_text_is_left_out() {
    let (shown, refused) = read(r#"{"unit":NaN,"operation":1e999,"work_order":"WO-1","a":1}"#, None).unwrap();
    assert_eq!(shown, ["a=1[Some(\"WO-1\"), None, None]"]);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].reason.ends_with("are text; NaN there was left out"), "{}", refused[0].reason);
}

#[test]
fn a_text_that_looks_like_a_mark_is_a_text() {
    check(r#"{"a":"\u0000x","b":"\u0000"}"#, None, &["a='\0x'", "b='\0'"]);
}

#[test]
fn what_is_no_json_stays_refused_whole() {
    for text in [r#"{"a":1e999"#, r#"{"a":1e999,}"#, r#"{"a":1e999 "b":1}"#, r#"{"a":1e999-1}"#] {
        let refusal = read(text, None).unwrap_err();
        assert_eq!(refusal.kind, "malformed", "{text}");
    }
}

#[test]
fn a_bad_time_costs_its_own_object_only() {
    let (shown, refused) = read(r#"[{"ts":"2026-11-21T08:00:00","a":1},{"a":2}]"#, None).unwrap();
    assert_eq!(shown, ["a=2"]);
    assert!(refused[0].reason.contains("has no zone"), "{}", refused[0].reason);
}

#[test]
fn what_cannot_be_read_is_refused_whole() {
    for (text, signal, part) in [
        ("{\"a\":", None, "not JSON"),
        ("{\"a\":1} x", None, "trailing characters"),
        ("71.4", None, "names no signal"),
        ("a\u{0}b", Some("s"), "control character"),
        ("[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", Some("s"), "nested more than 16"),
    ] {
        let refusal = read(text, signal).unwrap_err();
        assert!(refusal.reason.contains(part), "{text}: {}", refusal.reason);
    }
    let many = format!("[{}]", vec!["1"; 10_001].join(","));
    assert!(read(&many, Some("s")).unwrap_err().reason.contains("more than 10000 values"));
    let mut readings = Readings::new(16, 10);
    let refusal = payload(b"ab\xffcd", Some("s"), &mut readings).unwrap_err();
    assert_eq!(refusal.reason, "the payload is not UTF-8 text: byte 0xFF at offset 2");
}
