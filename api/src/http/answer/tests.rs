use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::ipc::reader::StreamReader;

use super::*;

fn batch() -> RecordBatch {
    let time = TimestampMicrosecondArray::from(vec![Some(1_700_000_000_000_001), None]).with_timezone("+02:00");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(time)),
        ("value", Arc::new(Float64Array::from(vec![1.5, f64::NAN]))),
        ("text", Arc::new(StringArray::from(vec![Some("a\"b,c"), None]))),
        ("count", Arc::new(Int64Array::from(vec![Some(7), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn encode(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
    let mut encoder = Encoder::new(format, &batch().schema()).expect("an encoder");
    let mut all = Vec::new();
    for batch in batches {
        encoder.write(batch).expect("a batch");
        all.append(&mut encoder.take());
    }
    encoder.finish().expect("the end");
    all.append(&mut encoder.take());
    all
}

#[test]
fn json_is_one_document_of_columns_and_rows() {
    let answer: serde_json::Value = serde_json::from_slice(&encode(Format::Json, &[batch(), batch()])).expect("JSON");
    let kinds: Vec<_> = answer["columns"].as_array().expect("columns").iter().map(|c| c["type"].clone()).collect();
    assert_eq!(kinds, ["timestamptz", "double precision", "text", "bigint", "boolean"]);
    let first = serde_json::json!(["2023-11-14T22:13:20.000001Z", 1.5, "a\"b,c", 7, true]);
    let second = serde_json::json!([null, null, null, null, null]);
    assert_eq!(answer["rows"], serde_json::json!([first, second, first, second]));
}

#[test]
fn csv_has_one_header_and_empty_fields_for_null() {
    let answer = String::from_utf8(encode(Format::Csv, &[batch(), batch()])).expect("UTF-8");
    let lines: Vec<_> = answer.lines().collect();
    assert_eq!(lines[0], "time,value,text,count,flag");
    assert_eq!(lines[1], "2023-11-14T22:13:20.000001Z,1.5,\"a\"\"b,c\",7,true");
    assert_eq!(lines[2], ",NaN,,,");
    assert_eq!(lines.len(), 5);
}

#[test]
fn arrow_answers_read_back() {
    let bytes = encode(Format::Arrow, &[batch(), batch()]);
    let read: Vec<_> =
        StreamReader::try_new(bytes.as_slice(), None).expect("a stream").collect::<Result<_, _>>().expect("batches");
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
}

#[test]
fn results_without_rows_show_their_columns() {
    let answer: serde_json::Value = serde_json::from_slice(&encode(Format::Json, &[])).expect("JSON");
    assert_eq!(answer["rows"], serde_json::json!([]));
    assert_eq!(encode(Format::Csv, &[]), b"time,value,text,count,flag\n");
    assert!(StreamReader::try_new(encode(Format::Arrow, &[]).as_slice(), None).expect("a stream").next().is_none());
}

#[test]
fn the_accept_header_chooses() {
    let accepted = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, text.parse().expect("a header value"));
        Format::accepted(&headers)
    };
    assert_eq!(accepted("text/csv"), Format::Csv);
    assert_eq!(accepted("text/html, application/vnd.apache.arrow.stream;q=0.9, */*"), Format::Arrow);
    assert_eq!(accepted("*/*"), Format::Json);
}
