use super::*;

/// Every line of a body, and what was read of it.
fn all(body: &str) -> Vec<(Numbered<'_>, Line<'_>)> {
    let (mut lines, mut found) = (Lines::new(body), Vec::new());
    let mut line = Line::default();
    while let Some(numbered) = lines.next(&mut line) {
        found.push((numbered, line.clone()));
    }
    found
}

fn one(text: &str) -> (Head<'_>, Line<'_>) {
    let lines = all(text);
    let [(numbered, line)] = lines.as_slice() else { panic!("{lines:?}") };
    numbered.read.as_ref().unwrap_or_else(|error| panic!("{text}: {error}"));
    (Head::read(line.head).unwrap_or_else(|error| panic!("{text}: {error}")), line.clone())
}

fn pairs<'a>(pairs: &'a [(Cow<'a, str>, Cow<'a, str>)]) -> Vec<(&'a str, &'a str)> {
    pairs.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect()
}

#[test]
fn a_full_line() {
    let (head, line) = one(
        "machine,site=cologne,machine=filler-01 state=\"RUN\",good=10482i,n=17u,speed=118.5,running=true,big=1e5 1795248000123000000",
    );
    assert_eq!(head.measurement, "machine");
    assert_eq!(pairs(&head.tags), [("site", "cologne"), ("machine", "filler-01")]);
    let fields: Vec<(&str, &Field<'_>)> = line.fields.iter().map(|(key, value)| (key.as_ref(), value)).collect();
    assert_eq!(
        fields,
        [
            ("state", &Field::Text("RUN".into())),
            ("good", &Field::Integer(10482)),
            ("n", &Field::Unsigned(17)),
            ("speed", &Field::Float(118.5)),
            ("running", &Field::Flag(true)),
            ("big", &Field::Float(100_000.0)),
        ]
    );
    assert_eq!(line.time, Some(1_795_248_000_123_000_000));
}

#[test]
fn escapes() {
    let (head, line) = one(r#"opcua,id=ns\=3;s\="DB1"."Temp" value=71.4,Quality="The operation, \"ok\" \\ (0x0)" 1"#);
    assert_eq!(pairs(&head.tags), [("id", r#"ns=3;s="DB1"."Temp""#)]);
    assert_eq!(line.fields[1].1, Field::Text(r#"The operation, "ok" \ (0x0)"#.into()));
    let (head, line) = one(r"en\ er\,gy,me\=ter=E\ 12 k\ wh=8123.25");
    assert_eq!(head.measurement, "en er,gy");
    assert_eq!(pairs(&head.tags), [("me=ter", "E 12")]);
    assert_eq!(line.fields[0].0, "k wh");
    assert_eq!(one(r"a,path=C:\dir v=1").0.tag("path").map(Cow::as_ref), Some(r"C:\dir"));
}

#[test]
fn strings_may_hold_line_breaks_and_numbers_count_them() {
    let lines = all("# comment\n\na s=\"x\ny\" 1\nb v=1i\n  # more\nc v=2\r\n");
    let numbers: Vec<usize> = lines.iter().map(|(line, _)| line.number).collect();
    assert_eq!(numbers, [3, 5, 7]);
    assert_eq!(lines[0].1.fields[0].1, Field::Text("x\ny".into()));
    assert_eq!(lines[2].1.time, None);
}

#[test]
fn a_bad_line_costs_itself_only() {
    let cases = [
        ("m", "no fields"),
        ("m,t=1", "no fields"),
        ("m,t v=1", "not of the form key=value"),
        ("m,t= v=1", "has no value"),
        ("m v", "not of the form key=value"),
        ("m v=", "no number, boolean or quoted text"),
        ("m v=NaN", "no number, boolean or quoted text"),
        ("m v=-inf", "no number, boolean or quoted text"),
        ("m v=1.5i", "no number, boolean or quoted text"),
        ("m v=1e999", "no number, boolean or quoted text"),
        ("m v=1 12x", "is no time"),
        ("m v=1 1 2", "unexpected `2`"),
        (",t=1 v=1", "the measurement is missing"),
    ];
    for (text, part) in cases {
        let body = format!("a v=1\n{text}\nb v=2\n");
        let lines = all(&body);
        assert_eq!(lines.len(), 3, "{text}: {lines:?}");
        let (numbered, line) = &lines[1];
        let read = numbered.read.clone().and_then(|()| Head::read(line.head).map(drop));
        let error = read.unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
        assert_eq!((lines[1].0.number, lines[1].0.raw), (2, text));
        assert!(lines[0].0.read.is_ok() && lines[2].0.read.is_ok());
    }
}

#[test]
fn an_open_string_costs_its_line() {
    let lines = all("a s=\"x\nb v=2");
    assert!(lines[0].0.read.as_ref().unwrap_err().contains("does not end"));
    assert!(lines[1].0.read.is_ok());
}

#[test]
fn a_quote_behind_a_bad_head_does_not_take_the_lines_that_follow() {
    for head in [",t=1", "m,t"] {
        let body = format!("{head} v=\"x\nb v=2\nc s=\"y\"\n");
        let lines = all(&body);
        let numbers: Vec<usize> = lines.iter().map(|(line, _)| line.number).collect();
        assert_eq!(numbers, [1, 2, 3], "{lines:?}");
        assert!(lines[0].0.read.is_err() && lines[1].0.read.is_ok() && lines[2].0.read.is_ok(), "{lines:?}");
    }
}

#[test]
fn times_become_microseconds() {
    assert_eq!(Precision::Nanoseconds.microseconds(1_999), Some(1));
    assert_eq!(Precision::Nanoseconds.microseconds(-1), Some(-1));
    assert_eq!(Precision::Milliseconds.microseconds(5), Some(5_000));
    assert_eq!(Precision::Seconds.microseconds(i64::MAX), None);
    assert_eq!("ms".parse(), Ok(Precision::Milliseconds));
    assert_eq!("h".parse::<Precision>().unwrap_err().to_string(), "`h` is no precision; use ns, us, ms or s");
}
