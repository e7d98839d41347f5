use super::*;
use crate::postgres::statement::split;

fn copy(sql: &str) -> CopyOut {
    let mut statements = split(sql).expect("the statement is understood");
    match statements.remove(0).command {
        Command::Copy(copy) => *copy,
        other => panic!("{sql}: {other:?}"),
    }
}

fn row(values: &[Option<&str>]) -> DataRow {
    let mut data = BytesMut::new();
    for value in values {
        match value {
            Some(value) => {
                data.put_i32(i32::try_from(value.len()).expect("short"));
                data.put_slice(value.as_bytes());
            }
            None => data.put_i32(-1),
        }
    }
    DataRow::new(data, i16::try_from(values.len()).expect("few"))
}

#[test]
fn text_escapes_what_would_end_a_value() {
    let line = copy("COPY samples TO STDOUT").row(row(&[Some("a\tb\\c\nd"), None, Some("")]), true);
    assert_eq!(line, "a\\tb\\\\c\\nd\t\\N\t\n");
}

#[test]
fn csv_tells_an_empty_text_from_null() {
    let line = copy("COPY samples TO STDOUT CSV").row(row(&[Some(""), None, Some("a,b"), Some("say \"x\"")]), true);
    assert_eq!(line, "\"\",,\"a,b\",\"say \"\"x\"\"\"\n");
}

#[test]
fn csv_writes_its_header_like_a_row() {
    let copy = copy("COPY samples TO STDOUT WITH (FORMAT csv, HEADER true, DELIMITER ';')");
    let header = copy.column_names(&["time".to_owned(), "a;b".to_owned()]);
    assert_eq!(header.expect("a header"), "time;\"a;b\"\n");
    assert_eq!(copy.ending(false), None);
}

#[test]
fn binary_frames_the_row_as_it_is() {
    let copy = copy("COPY samples TO STDOUT (FORMAT binary)");
    assert_eq!(copy.column_names(&["a".to_owned()]), None);
    let next = copy.row(row(&[Some("x"), None]), false);
    assert_eq!(next.as_ref(), b"\0\x02\0\0\0\x01x\xff\xff\xff\xff");
    // The header is in the message of what comes first.
    let first = copy.row(row(&[Some("x"), None]), true);
    assert!(first.starts_with(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"));
    assert_eq!(first.get(19..), Some(next.as_ref()));
    assert_eq!(copy.ending(false).expect("a trailer").as_ref(), [0xff, 0xff]);
    assert_eq!(copy.ending(true).expect("all of an empty result"), [&first[..19], &[0xff, 0xff]].concat());
}

#[test]
fn an_unknown_option_is_named() {
    let failure = split("COPY samples TO STDOUT (FORMAT xml)").expect_err("no such format");
    assert!(failure.message.contains("xml"), "{failure:?}");
    assert!(split("COPY samples TO STDOUT (DELIMITER 'ab')").is_err());
}
