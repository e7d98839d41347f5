use super::*;
use jiff::tz::TimeZone;

fn declared(kind: Type) -> Parameter {
    Parameter { kind, declared: true }
}

fn text(kind: Type, value: &str) -> Result<String, Failure> {
    literal(Bound { bytes: Some(value.as_bytes()), binary: false }, &declared(kind), &TimeZone::UTC)
}

fn binary(kind: Type, value: &[u8]) -> Result<String, Failure> {
    literal(Bound { bytes: Some(value), binary: true }, &declared(kind), &TimeZone::UTC)
}

fn sql(literal: Result<String, Failure>) -> String {
    literal.expect("a value")
}

#[test]
fn text_values_become_literals() {
    assert_eq!(sql(text(Type::INT4, "42")), "42");
    assert_eq!(sql(text(Type::INT8, "-42")), "(-42)");
    assert_eq!(sql(text(Type::FLOAT8, "3")), "3.0");
    assert_eq!(sql(text(Type::FLOAT8, "NaN")), "CAST('NaN' AS DOUBLE PRECISION)");
    assert_eq!(sql(text(Type::BOOL, "t")), "TRUE");
    assert_eq!(sql(text(Type::NUMERIC, "12.340")), "12.340");
    assert_eq!(sql(text(Type::BYTEA, "\\x0aFF")), "X'0aff'");
    assert_eq!(sql(text(Type::INTERVAL, "5 minutes")), "INTERVAL '5 minutes'");
    assert_eq!(
        sql(text(Type::TIMESTAMPTZ, "2025-01-01T00:00:00Z")),
        "CAST('2025-01-01T00:00:00Z' AS TIMESTAMP(6) WITH TIME ZONE)"
    );
}

#[test]
fn a_text_cannot_leave_its_quotes() {
    assert_eq!(sql(text(Type::TEXT, "x'; DROP TABLE samples; --")), "'x''; DROP TABLE samples; --'");
    assert_eq!(sql(text(Type::VARCHAR, "\\'")), "'\\'''");
    assert_eq!(text(Type::TEXT, "a\0b").expect_err("no such text").sqlstate, sqlstate::CHARACTER_NOT_IN_REPERTOIRE);
}

#[test]
fn what_is_no_value_of_the_type_is_refused() {
    for (kind, value) in [
        (Type::INT4, "4.5"),
        (Type::INT2, "40000"),
        (Type::INT8, "1; SELECT 2"),
        (Type::FLOAT8, "fast"),
        (Type::BOOL, "maybe"),
        (Type::NUMERIC, "1e"),
        (Type::BYTEA, "\\xZZ"),
        (Type::INT4_ARRAY, "{1,x}"),
        (Type::TEXT_ARRAY, "a,b"),
    ] {
        assert_eq!(text(kind, value).expect_err(value).sqlstate, sqlstate::INVALID_TEXT_REPRESENTATION, "{value}");
    }
    let failure = text(Type::INT4, "abc").expect_err("no number");
    assert_eq!(failure.message, "invalid input syntax for type integer: \"abc\"");
}

#[test]
fn nulls_have_the_declared_type() {
    let null_of = |parameter: Parameter| literal(Bound { bytes: None, binary: false }, &parameter, &TimeZone::UTC);
    assert_eq!(sql(null_of(declared(Type::INT8))), "CAST(NULL AS BIGINT)");
    assert_eq!(sql(null_of(Parameter { kind: Type::INT8, declared: false })), "NULL");
    assert_eq!(sql(null_of(declared(Type::TEXT))), "NULL");
}

#[test]
fn an_inferred_time_is_left_to_what_it_is_compared_with() {
    let inferred = Parameter { kind: Type::TIMESTAMPTZ, declared: false };
    let bound = Bound { bytes: Some(b"2025-01-01"), binary: false };
    assert_eq!(sql(literal(bound, &inferred, &TimeZone::UTC)), "'2025-01-01'");
}

#[test]
fn arrays_keep_quotes_and_nulls() {
    assert_eq!(sql(text(Type::TEXT_ARRAY, "{a,\"b,c\",NULL,\"NULL\"}")), "ARRAY['a', 'b,c', NULL, 'NULL']");
    assert_eq!(sql(text(Type::INT8_ARRAY, "{1,-2}")), "ARRAY[1, (-2)]");
    assert_eq!(sql(text(Type::INT8_ARRAY, "{}")), "ARRAY[]");
}

#[test]
fn binary_numbers_are_big_endian() {
    assert_eq!(sql(binary(Type::INT2, &[0xff, 0xfe])), "(-2)");
    assert_eq!(sql(binary(Type::INT4, &[0, 0, 1, 0])), "256");
    assert_eq!(sql(binary(Type::INT8, &i64::MIN.to_be_bytes())), "(-9223372036854775808)");
    assert_eq!(sql(binary(Type::FLOAT8, &0.1_f64.to_be_bytes())), "0.1");
    assert_eq!(sql(binary(Type::BOOL, &[1])), "TRUE");
    assert_eq!(sql(binary(Type::OID, &u32::MAX.to_be_bytes())), "4294967295");
    assert_eq!(binary(Type::INT4, &[1]).expect_err("too short").sqlstate, sqlstate::INVALID_BINARY_REPRESENTATION);
}

#[test]
fn binary_times_count_from_2000() {
    let zero = 0_i64.to_be_bytes();
    assert_eq!(sql(binary(Type::TIMESTAMPTZ, &zero)), "CAST('2000-01-01T00:00:00Z' AS TIMESTAMP(6) WITH TIME ZONE)");
    assert_eq!(
        sql(binary(Type::TIMESTAMP, &1_500_000_i64.to_be_bytes())),
        "CAST('2000-01-01T00:00:01.5' AS TIMESTAMP(6))"
    );
    assert_eq!(sql(binary(Type::DATE, &(-1_i32).to_be_bytes())), "CAST('1999-12-31' AS DATE)");
    assert_eq!(sql(binary(Type::TIME, &3_661_000_001_i64.to_be_bytes())), "CAST('01:01:01.000001' AS TIME)");
    assert_eq!(
        binary(Type::TIMESTAMPTZ, &i64::MAX.to_be_bytes()).expect_err("infinity").sqlstate,
        sqlstate::DATETIME_FIELD_OVERFLOW
    );
}

#[test]
fn binary_decimals_are_groups_of_four_digits() {
    let numeric = |count: u16, weight: i16, sign: u16, scale: u16, groups: &[u16]| {
        let mut bytes = Vec::new();
        bytes.extend(count.to_be_bytes());
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(scale.to_be_bytes());
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        sql(binary(Type::NUMERIC, &bytes))
    };
    assert_eq!(numeric(3, 1, 0, 2, &[1, 2345, 6700]), "12345.67");
    assert_eq!(numeric(1, -1, 0x4000, 3, &[50]), "(-0.005)");
    assert_eq!(numeric(1, 2, 0, 0, &[7]), "700000000");
    assert_eq!(numeric(0, 0, 0, 0, &[]), "0");
    assert_eq!(numeric(0, 0, 0xC000, 0, &[]), "CAST('NaN' AS DOUBLE PRECISION)");
}

#[test]
fn a_binary_array_carries_its_element_type() {
    let mut bytes = Vec::new();
    for number in [1_i32, 1, 25, 2, 1, 1] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.push(b'x');
    bytes.extend((-1_i32).to_be_bytes());
    assert_eq!(sql(binary(Type::TEXT_ARRAY, &bytes)), "ARRAY['x', NULL]");
}

#[test]
fn a_binary_interval_has_three_parts() {
    let mut bytes = Vec::new();
    bytes.extend((-1_500_000_i64).to_be_bytes());
    bytes.extend(2_i32.to_be_bytes());
    bytes.extend(3_i32.to_be_bytes());
    assert_eq!(sql(binary(Type::INTERVAL, &bytes)), "INTERVAL '3 months 2 days -1.500000 seconds'");
}

#[test]
fn a_binary_uuid_is_written_out() {
    let bytes: Vec<u8> = (0..16).collect();
    assert_eq!(sql(binary(Type::UUID, &bytes)), "'00010203-0405-0607-0809-0a0b0c0d0e0f'");
}

#[test]
fn a_time_without_an_offset_is_read_in_the_session_zone() {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    assert_eq!(in_zone("2025-07-01 12:00", &zone), "2025-07-01T10:00:00Z");
    assert_eq!(in_zone("2025-07-01T12:00:00Z", &zone), "2025-07-01T12:00:00Z");
    assert_eq!(in_zone("yesterday", &zone), "yesterday");
}
