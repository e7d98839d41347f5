use bytes::{Buf, Bytes};
use datafusion::arrow::array::{
    BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int8Array, Int64Array, NullArray, StringArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::Int32Type;

use super::*;

/// The fields of the only row, as they go over the wire.
fn row(array: ArrayRef, format: FieldFormat, zone: &TimeZone) -> (Type, Vec<Option<Bytes>>) {
    let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    let columns = columns(&schema).expect("the type is known");
    let fields = Arc::new(fields(&columns, &vec![format; columns.len()]));
    let batch = RecordBatch::try_new(schema, vec![array]).expect("one column");
    let rows = encode(&batch, &columns, &fields, zone).expect("encoded");
    let fields = rows
        .into_iter()
        .map(|row| {
            let mut data = row.data.freeze();
            let length = data.get_i32();
            usize::try_from(length).ok().map(|length| data.split_to(length))
        })
        .collect();
    (columns[0].kind.clone(), fields)
}

fn text(array: ArrayRef) -> (Type, Option<String>) {
    let (kind, mut fields) = row(array, FieldFormat::Text, &TimeZone::UTC);
    (kind, fields.remove(0).map(|field| String::from_utf8(field.to_vec()).expect("text")))
}

fn some(kind: Type, text: &str) -> (Type, Option<String>) {
    (kind, Some(text.to_owned()))
}

#[test]
fn values_are_written_as_postgresql_writes_them() {
    assert_eq!(text(Arc::new(Int64Array::from(vec![-7]))), some(Type::INT8, "-7"));
    assert_eq!(text(Arc::new(Float64Array::from(vec![0.5]))), some(Type::FLOAT8, "0.5"));
    assert_eq!(text(Arc::new(BooleanArray::from(vec![true]))), some(Type::BOOL, "t"));
    assert_eq!(text(Arc::new(StringArray::from(vec!["Köln"]))), some(Type::TEXT, "Köln"));
    assert_eq!(text(Arc::new(Int8Array::from(vec![3]))), some(Type::INT2, "3"));
    let names: DictionaryArray<Int32Type> = vec!["press"].into_iter().collect();
    assert_eq!(text(Arc::new(names)), some(Type::TEXT, "press"));
}

#[test]
fn numbers_have_the_fewest_digits_that_tell_them_apart() {
    let written = |value: f64| text(Arc::new(Float64Array::from(vec![value]))).1.expect("a number");
    let values = [7.0, -0.0, 0.1 + 0.2, 1e-7, -1.5e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let expected = ["7.0", "-0", "0.30000000000000004", "1e-7", "-1.5e300", "NaN", "Infinity", "-Infinity"];
    assert_eq!(values.map(written), expected);
    assert_eq!(text(Arc::new(Int64Array::from(vec![i64::MIN]))), some(Type::INT8, "-9223372036854775808"));
}

#[test]
fn null_is_no_text() {
    assert_eq!(text(Arc::new(NullArray::new(1))), (Type::TEXT, None));
    assert_eq!(text(Arc::new(StringArray::from(vec![None::<&str>]))), (Type::TEXT, None));
    let time = TimestampMicrosecondArray::from(vec![None]).with_timezone("UTC");
    assert_eq!(text(Arc::new(time)), (Type::TIMESTAMPTZ, None));
}

#[test]
fn times_follow_the_session_zone() {
    let written = |at_us: i64, zone: &str| {
        let zone = TimeZone::get(zone).expect("a zone");
        let mut text = String::new();
        write_time(&mut text, at_us, Some(&zone)).expect("in range");
        text
    };
    let noon = 1_735_732_800_000_000;
    assert_eq!(written(noon, "UTC"), "2025-01-01 12:00:00+00");
    assert_eq!(written(noon + 500_000, "Europe/Berlin"), "2025-01-01 13:00:00.5+01");
    assert_eq!(written(noon, "Asia/Kolkata"), "2025-01-01 17:30:00+05:30");
    assert_eq!(written(noon + 10, "America/New_York"), "2025-01-01 07:00:00.00001-05");
    assert_eq!(written(0, "UTC"), "1970-01-01 00:00:00+00");
    // As PostgreSQL shows '0001-02-29 12:34:56.5 BC' and the last moment that both know.
    let leap_day = jiff::civil::date(0, 2, 29).at(12, 34, 56, 500_000_000).to_zoned(TimeZone::UTC).expect("in range");
    assert_eq!(written(leap_day.timestamp().as_microsecond(), "UTC"), "0001-02-29 12:34:56.5+00 BC");
    assert_eq!(written(leap_day.timestamp().as_microsecond(), "Asia/Kolkata"), "0001-02-29 18:28:24.5+05:53:28 BC");
    assert_eq!(written(253_402_207_199_999_999, "UTC"), "9999-12-30 21:59:59.999999+00");
}

#[test]
fn a_time_without_a_zone_has_no_offset() {
    let time = TimestampNanosecondArray::from(vec![1_500_000_000]);
    assert_eq!(text(Arc::new(time)), some(Type::TIMESTAMP, "1970-01-01 00:00:01.5"));
}

#[test]
fn binary_times_count_from_2000() {
    let time = TimestampMicrosecondArray::from(vec![946_684_800_000_001]).with_timezone("UTC");
    let (kind, fields) = row(Arc::new(time), FieldFormat::Binary, &TimeZone::UTC);
    assert_eq!(kind, Type::TIMESTAMPTZ);
    assert_eq!(fields, vec![Some(Bytes::copy_from_slice(&1_i64.to_be_bytes()))]);
}

#[test]
fn formats_count_for_all_or_for_each() {
    use FieldFormat::{Binary, Text};
    assert_eq!(formats(&[], 2), Ok(vec![Text, Text]));
    assert_eq!(formats(&[1], 2), Ok(vec![Binary, Binary]));
    assert_eq!(formats(&[0, 1], 2), Ok(vec![Text, Binary]));
    assert_eq!(formats(&[0, 1], 3).expect_err("one is missing").sqlstate, sqlstate::PROTOCOL_VIOLATION);
    assert_eq!(formats(&[2], 1).expect_err("no such format").sqlstate, sqlstate::PROTOCOL_VIOLATION);
}

#[test]
fn a_batch_is_brought_to_the_promised_types() {
    let promised = columns(&Schema::new(vec![Field::new("c", DataType::Int64, true)])).expect("known");
    let info = Arc::new(fields(&promised, &[FieldFormat::Text]));
    let schema = Arc::new(Schema::new(vec![Field::new("c", DataType::Int8, true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(Int8Array::from(vec![5]))]).expect("one column");
    let rows = encode(&batch, &promised, &info, &TimeZone::UTC).expect("castable");
    assert_eq!(rows[0].data.as_ref(), b"\0\0\0\x015");
}

#[test]
fn what_does_not_fit_the_promised_type_is_refused() {
    let promised = columns(&Schema::new(vec![Field::new("c", DataType::Utf8, true)])).expect("known");
    let info = Arc::new(fields(&promised, &[FieldFormat::Text]));
    let schema = Arc::new(Schema::new(vec![Field::new("c", DataType::Binary, true)]));
    let batch =
        RecordBatch::try_new(schema, vec![Arc::new(BinaryArray::from(vec![&b"\xff"[..]]))]).expect("one column");
    let failure = encode(&batch, &promised, &info, &TimeZone::UTC).expect_err("no text");
    assert_eq!(failure.sqlstate, sqlstate::DATA_EXCEPTION);
    assert!(failure.hint.is_some_and(|hint| hint.contains("$1::bytea")));
}
