//! PostgreSQL's binary formats of the types a client may bind.

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use pgwire::api::Type;

use super::super::failure::{Failure, sqlstate};
use super::{PG_EPOCH_S, TIMESTAMP, TIMESTAMPTZ, Value, element_of, not_utf8};

pub(super) fn decode(bytes: &[u8], kind: &Type) -> Result<Value, Failure> {
    if element_of(kind).is_some() {
        return array(bytes);
    }
    match *kind {
        Type::BOOL => Ok(Value::Flag(fixed::<1>(bytes, kind)? != [0])),
        Type::INT2 => Ok(Value::Integer(i16::from_be_bytes(fixed(bytes, kind)?).into())),
        Type::INT4 => Ok(Value::Integer(i32::from_be_bytes(fixed(bytes, kind)?).into())),
        Type::OID => Ok(Value::Integer(u32::from_be_bytes(fixed(bytes, kind)?).into())),
        Type::INT8 => Ok(Value::Integer(i64::from_be_bytes(fixed(bytes, kind)?))),
        Type::FLOAT4 => Ok(Value::Float(f32::from_be_bytes(fixed(bytes, kind)?).into())),
        Type::FLOAT8 => Ok(Value::Float(f64::from_be_bytes(fixed(bytes, kind)?))),
        Type::NUMERIC => numeric(bytes, kind),
        Type::TIMESTAMPTZ => {
            let at = timestamp(i64::from_be_bytes(fixed(bytes, kind)?))?;
            Ok(Value::Typed { text: at.to_string(), sql_type: TIMESTAMPTZ })
        }
        Type::TIMESTAMP => {
            let at = timestamp(i64::from_be_bytes(fixed(bytes, kind)?))?;
            let text = jiff::tz::Offset::UTC.to_datetime(at).to_string();
            Ok(Value::Typed { text, sql_type: TIMESTAMP })
        }
        Type::DATE => day(i32::from_be_bytes(fixed(bytes, kind)?)),
        Type::TIME => clock(i64::from_be_bytes(fixed(bytes, kind)?)),
        Type::INTERVAL => interval(bytes, kind),
        Type::UUID => Ok(Value::Text(uuid(fixed(bytes, kind)?))),
        Type::BYTEA => Ok(Value::Bytes(bytes.to_vec())),
        Type::JSONB => match bytes {
            [1, json @ ..] => text(json),
            _ => Err(malformed(kind)),
        },
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::JSON | Type::UNKNOWN => text(bytes),
        _ => {
            Err(Failure::unsupported(format!("parameters of type {} in binary format are not supported", kind.name()))
                .hint("send it as text"))
        }
    }
}

fn text(bytes: &[u8]) -> Result<Value, Failure> {
    std::str::from_utf8(bytes).map(|text| Value::Text(text.to_owned())).map_err(|_| not_utf8())
}

fn fixed<const N: usize>(bytes: &[u8], kind: &Type) -> Result<[u8; N], Failure> {
    bytes.try_into().map_err(|_| malformed(kind))
}

fn malformed(kind: &Type) -> Failure {
    Failure::new(
        sqlstate::INVALID_BINARY_REPRESENTATION,
        format!("incorrect binary data format for a parameter of type {}", kind.name()),
    )
}

fn overflow() -> Failure {
    Failure::new(sqlstate::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// Microseconds since 2000-01-01.
fn timestamp(since_2000_us: i64) -> Result<Timestamp, Failure> {
    let since_1970_us = since_2000_us.checked_add(PG_EPOCH_S * 1_000_000).ok_or_else(overflow)?;
    Timestamp::from_microsecond(since_1970_us).map_err(|_| overflow())
}

/// Days since 2000-01-01.
fn day(since_2000_d: i32) -> Result<Value, Failure> {
    let span = SignedDuration::from_hours(i64::from(since_2000_d) * 24);
    let day = date(2000, 1, 1).checked_add(span).map_err(|_| overflow())?;
    Ok(Value::Typed { text: day.to_string(), sql_type: "DATE" })
}

/// Microseconds since midnight.
fn clock(since_midnight_us: i64) -> Result<Value, Failure> {
    let us = u64::try_from(since_midnight_us).map_err(|_| overflow())?;
    let seconds = us / 1_000_000;
    let text = format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, us % 1_000_000);
    Ok(Value::Typed { text, sql_type: "TIME" })
}

fn interval(bytes: &[u8], kind: &Type) -> Result<Value, Failure> {
    let mut reader = Reader { bytes, kind };
    let us = i64::from_be_bytes(reader.take()?);
    let days = i32::from_be_bytes(reader.take()?);
    let months = i32::from_be_bytes(reader.take()?);
    let sign = if us < 0 { "-" } else { "" };
    let (seconds, rest_us) = (us.unsigned_abs() / 1_000_000, us.unsigned_abs() % 1_000_000);
    Ok(Value::Interval(format!("{months} months {days} days {sign}{seconds}.{rest_us:06} seconds")))
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

/// Groups of four decimal digits: count, weight of the first, sign, digits after the point, groups.
fn numeric(bytes: &[u8], kind: &Type) -> Result<Value, Failure> {
    let mut reader = Reader { bytes, kind };
    let count = u16::from_be_bytes(reader.take()?);
    let weight = i16::from_be_bytes(reader.take()?);
    let sign = u16::from_be_bytes(reader.take()?);
    let scale = u16::from_be_bytes(reader.take()?);
    match sign {
        0xC000 => return Ok(Value::Float(f64::NAN)),
        0xD000 => return Ok(Value::Float(f64::INFINITY)),
        0xF000 => return Ok(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    let mut groups = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        groups.push(u16::from_be_bytes(reader.take()?));
    }
    let group =
        |position: i32| usize::try_from(position).ok().and_then(|index| groups.get(index)).copied().unwrap_or_default();
    let mut digits = if sign == 0x4000 { "-".to_owned() } else { String::new() };
    if weight < 0 {
        digits.push('0');
    }
    for position in 0..=i32::from(weight) {
        let value = group(position);
        digits.push_str(&if position == 0 { value.to_string() } else { format!("{value:04}") });
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut position = i32::from(weight) + 1;
        while fraction.len() < usize::from(scale) {
            fraction.push_str(&format!("{:04}", group(position)));
            position += 1;
        }
        fraction.truncate(usize::from(scale));
        digits.push('.');
        digits.push_str(&fraction);
    }
    Ok(Value::Decimal(digits))
}

/// Dimensions, whether there are NULLs, the elements' type, each dimension's length and first index, elements.
fn array(bytes: &[u8]) -> Result<Value, Failure> {
    let kind = Type::ANYARRAY;
    let mut reader = Reader { bytes, kind: &kind };
    let dimensions = i32::from_be_bytes(reader.take()?);
    let _has_nulls: [u8; 4] = reader.take()?;
    let element = u32::from_be_bytes(reader.take()?);
    match dimensions {
        0 => return Ok(Value::Array(Vec::new())),
        1 => {}
        _ => return Err(Failure::unsupported("arrays of more than one dimension are not supported")),
    }
    let element = Type::from_oid(element).ok_or_else(|| malformed(&kind))?;
    let length = i32::from_be_bytes(reader.take()?);
    let _first_index: [u8; 4] = reader.take()?;
    let mut items = Vec::new();
    for _ in 0..length {
        let size = i32::from_be_bytes(reader.take()?);
        items.push(match usize::try_from(size) {
            Ok(size) => decode(reader.take_slice(size)?, &element)?,
            Err(_) => Value::Null,
        });
    }
    Ok(Value::Array(items))
}

struct Reader<'a> {
    bytes: &'a [u8],
    kind: &'a Type,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(|| malformed(self.kind))?;
        self.bytes = rest;
        Ok(*head)
    }

    fn take_slice(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let (head, rest) = self.bytes.split_at_checked(length).ok_or_else(|| malformed(self.kind))?;
        self.bytes = rest;
        Ok(head)
    }
}
