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
    let line = copy("COPY samples TO STDOUT").row(row(&[Some("a\tb\\c\nd"), None, Some("")]));
    assert_eq!(line, "a\\tb\\\\c\\nd\t\\N\t\n");
}

#[test]
fn csv_tells_an_empty_text_from_null() {
    let line = copy("COPY samples TO STDOUT CSV").row(row(&[Some(""), None, Some("a,b"), Some("say \"x\"")]));
    assert_eq!(line, "\"\",,\"a,b\",\"say \"\"x\"\"\"\n");
}

#[test]
fn csv_writes_its_header_like_a_row() {
    let copy = copy("COPY samples TO STDOUT WITH (FORMAT csv, HEADER true, DELIMITER ';')");
    let header = copy.beginning(&["time".to_owned(), "a;b".to_owned()]);
    assert_eq!(header.expect("a header"), "time;\"a;b\"\n");
    assert_eq!(copy.ending(), None);
}

#[test]
fn binary_frames_the_row_as_it_is() {
    let copy = copy("COPY samples TO STDOUT (FORMAT binary)");
    let header = copy.beginning(&[]).expect("a header");
    assert_eq!(header.len(), 19);
    assert!(header.starts_with(b"PGCOPY\n\xff\r\n\0"));
    assert_eq!(copy.row(row(&[Some("x"), None])).as_ref(), b"\0\x02\0\0\0\x01x\xff\xff\xff\xff");
    assert_eq!(copy.ending().expect("a trailer").as_ref(), [0xff, 0xff]);
}

#[test]
fn an_unknown_option_is_named() {
    let failure = split("COPY samples TO STDOUT (FORMAT xml)").expect_err("no such format");
    assert!(failure.message.contains("xml"), "{failure:?}");
    assert!(split("COPY samples TO STDOUT (DELIMITER 'ab')").is_err());
}
