//! Rows on the wire: Arrow columns as PostgreSQL types, values in PostgreSQL's text or binary format.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_pg::datatypes::field_into_pg_type;
use arrow_pg::encoder::{Encoder, encode_value};
use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit, TimestampMicrosecondType};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::{Offset, TimeZone};
use pgwire::api::Type;
use pgwire::api::results::{FieldFormat, FieldInfo};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::data::{DataRow, RowDescription};
use pgwire::types::ToSqlText;
use postgres_types::{IsNull, ToSql};

use super::failure::{Failure, sqlstate};

#[cfg(test)]
mod tests;

/// Fields of a row begin with their length.
const LENGTH_BYTES: usize = 4;
/// What a field takes as a rule, its length included.
const FIELD_BYTES: usize = 24;
/// Dates and times as PostgreSQL separates them; the fraction is as long as needed.
static PRINTER: DateTimePrinter = DateTimePrinter::new().separator(b' ');

/// One column of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// What its values are brought to before they are encoded.
    data_type: DataType,
}

impl Column {
    /// A column of texts.
    pub(crate) fn text(name: &str) -> Column {
        Column { name: name.to_owned(), kind: Type::TEXT, data_type: DataType::Utf8 }
    }
}

/// The columns of a plan's result.
pub(crate) fn columns(schema: &Schema) -> Result<Vec<Column>, Failure> {
    schema.fields().iter().map(column).collect()
}

fn column(field: &FieldRef) -> Result<Column, Failure> {
    let data_type = portable(field.data_type());
    let field = Arc::new(field.as_ref().clone().with_data_type(data_type.clone()));
    let kind = field_into_pg_type(&field).map_err(|_| {
        Failure::unsupported(format!("column \"{}\" has type {data_type}, which PostgreSQL has not", field.name()))
            .hint("cast it to text")
    })?;
    Ok(Column { name: field.name().clone(), kind, data_type })
}

/// The nearest Arrow type that has a PostgreSQL type of its own.
fn portable(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Utf8,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::Float16 => DataType::Float32,
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Dictionary(_, values) => portable(values),
        DataType::List(item) => {
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(portable(item.data_type()))))
        }
        other => other.clone(),
    }
}

/// The format of each column, from the codes of a `Bind`: none means text, one counts for all.
pub(crate) fn formats(codes: &[i16], columns: usize) -> Result<Vec<FieldFormat>, Failure> {
    let format = |code: &i16| match code {
        0 => Ok(FieldFormat::Text),
        1 => Ok(FieldFormat::Binary),
        other => Err(Failure::protocol(format!("unsupported format code: {other}"))),
    };
    match codes {
        [] => Ok(vec![FieldFormat::Text; columns]),
        [code] => Ok(vec![format(code)?; columns]),
        codes if codes.len() == columns => codes.iter().map(format).collect(),
        codes => Err(Failure::protocol(format!("bind message has {} format codes for {columns} values", codes.len()))),
    }
}

/// What a client is told of a result's columns.
pub(crate) fn fields(columns: &[Column], formats: &[FieldFormat]) -> Vec<FieldInfo> {
    columns
        .iter()
        .zip(formats)
        .map(|(column, format)| {
            FieldInfo::new(column.name.clone(), None, None, column.kind.clone(), *format)
                .with_type_size(type_size(&column.kind))
        })
        .collect()
}

pub(crate) fn description(fields: &[FieldInfo]) -> RowDescription {
    RowDescription::new(fields.iter().map(Into::into).collect())
}

/// `pg_type.typlen`: -1 for what has no fixed width.
fn type_size(kind: &Type) -> i16 {
    match *kind {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::OID | Type::FLOAT4 | Type::DATE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::INTERVAL => 16,
        Type::NAME => 64,
        _ => -1,
    }
}

/// Encodes every row of a batch. Its columns are first brought to the types the client was told of.
pub(crate) fn encode(
    batch: &RecordBatch,
    columns: &[Column],
    fields: &Arc<Vec<FieldInfo>>,
    zone: &TimeZone,
) -> Result<Vec<DataRow>, Failure> {
    if batch.num_columns() != columns.len() {
        return Err(changed_shape());
    }
    let arrays = batch
        .columns()
        .iter()
        .zip(batch.schema_ref().fields())
        .zip(columns.iter().zip(fields.iter()))
        .map(|((array, field), (column, info))| Cells::new(array, field, column, info))
        .collect::<Result<Vec<_>, _>>()?;
    let mut writer = RowWriter::new(batch.num_rows() * columns.len());
    let mut text = String::new();
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        for (cells, info) in arrays.iter().zip(fields.iter()) {
            cells.encode(row, info, zone, &mut writer, &mut text)?;
        }
        rows.push(writer.take_row());
    }
    Ok(rows)
}

/// Rows of texts; a text looks the same in both formats.
pub(crate) fn text_rows(values: &[Vec<String>]) -> Result<Vec<DataRow>, Failure> {
    let mut writer = RowWriter::new(values.iter().map(Vec::len).sum());
    let row = |row: &Vec<String>| {
        row.iter().try_for_each(|value| writer.put_text(value))?;
        Ok(writer.take_row())
    };
    values.iter().map(row).collect()
}

/// Writes rows one after another into memory that is asked for once: `pgwire`'s own asks several times for each row.
struct RowWriter {
    bytes: BytesMut,
    fields: i16,
}

impl RowWriter {
    /// With room for so many fields of the usual size; more is found where they are larger.
    fn new(fields: usize) -> RowWriter {
        RowWriter { bytes: BytesMut::with_capacity(fields * FIELD_BYTES), fields: 0 }
    }

    fn put_text(&mut self, text: &str) -> Result<(), Failure> {
        let length = i32::try_from(text.len()).map_err(|_| too_long())?;
        self.bytes.put_i32(length);
        self.bytes.put_slice(text.as_bytes());
        self.fields = self.fields.saturating_add(1);
        Ok(())
    }

    fn put_null(&mut self) {
        self.bytes.put_i32(-1);
        self.fields = self.fields.saturating_add(1);
    }
}

impl Encoder for RowWriter {
    type Item = DataRow;

    fn encode_field<T: ToSql + ToSqlText>(&mut self, value: &T, info: &FieldInfo) -> PgWireResult<()> {
        let start = self.bytes.len();
        self.put_null();
        let is_null = match info.format() {
            FieldFormat::Text => value.to_sql_text(info.datatype(), &mut self.bytes, info.format_options())?,
            FieldFormat::Binary => value.to_sql(info.datatype(), &mut self.bytes)?,
        };
        let length = i32::try_from(self.bytes.len() - start - LENGTH_BYTES);
        let length = length.map_err(|error| PgWireError::ApiError(Box::new(error)))?;
        if let (IsNull::No, Some(place)) = (is_null, self.bytes.get_mut(start..start + LENGTH_BYTES)) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn take_row(&mut self) -> DataRow {
        DataRow::new(self.bytes.split(), std::mem::take(&mut self.fields))
    }
}

fn too_long() -> Failure {
    Failure::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "a value has more than 2 GiB, which a row has no room for")
}

fn changed_shape() -> Failure {
    Failure::unsupported("cached plan must not change result type")
}

/// One column of a batch, ready to be encoded.
enum Cells {
    /// Times in text: written here, as PostgreSQL writes them.
    Times {
        values: TimestampMicrosecondArray,
        zoned: bool,
    },
    /// Numbers and texts in text: most of what is ever asked for, looked at once for each column instead of each value.
    Doubles(Float64Array),
    Singles(Float32Array),
    Integers(Int64Array),
    Texts(StringArray),
    Other {
        values: ArrayRef,
        field: Field,
    },
}

impl Cells {
    fn new(array: &ArrayRef, field: &Field, column: &Column, info: &FieldInfo) -> Result<Cells, Failure> {
        let values = conform(array, &column.data_type)?;
        if info.format() == FieldFormat::Text {
            match values.data_type() {
                DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                    let zoned = zone.is_some();
                    return Ok(Cells::Times {
                        values: values.as_primitive::<TimestampMicrosecondType>().clone(),
                        zoned,
                    });
                }
                DataType::Float64 => return Ok(Cells::Doubles(values.as_primitive().clone())),
                DataType::Float32 => return Ok(Cells::Singles(values.as_primitive().clone())),
                DataType::Int64 => return Ok(Cells::Integers(values.as_primitive().clone())),
                DataType::Utf8 => return Ok(Cells::Texts(values.as_string().clone())),
                _ => {}
            }
        }
        let field = field.clone().with_data_type(values.data_type().clone());
        Ok(Cells::Other { values, field })
    }

    fn encode(
        &self,
        row: usize,
        info: &FieldInfo,
        zone: &TimeZone,
        writer: &mut RowWriter,
        text: &mut String,
    ) -> Result<(), Failure> {
        let values: &dyn Array = match self {
            Cells::Times { values, .. } => values,
            Cells::Doubles(values) => values,
            Cells::Singles(values) => values,
            Cells::Integers(values) => values,
            Cells::Texts(values) => values,
            Cells::Other { values, .. } => values,
        };
        if values.is_null(row) {
            writer.put_null();
            return Ok(());
        }
        match self {
            Cells::Times { values, zoned } => {
                text.clear();
                write_time(text, values.value(row), zoned.then_some(zone))?;
                writer.put_text(text)
            }
            Cells::Doubles(values) => writer.put_text(number(values.value(row), &mut ryu::Buffer::new())),
            Cells::Singles(values) => writer.put_text(number(values.value(row), &mut ryu::Buffer::new())),
            Cells::Integers(values) => writer.put_text(itoa::Buffer::new().format(values.value(row))),
            Cells::Texts(values) => writer.put_text(values.value(row)),
            Cells::Other { values, field } => encode_value(writer, values, row, field, info).map_err(Failure::from),
        }
    }
}

/// The fewest digits that tell a number from its neighbours.
fn number<N: ryu::Float + Into<f64>>(value: N, digits: &mut ryu::Buffer) -> &str {
    match value.into() {
        zero if zero == 0.0 => {
            if zero.is_sign_negative() {
                "-0"
            } else {
                "0"
            }
        }
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        same if same.is_nan() => "NaN",
        _ => digits.format_finite(value),
    }
}

/// A column in the type that was promised. Times with another zone only change its name.
fn conform(array: &ArrayRef, promised: &DataType) -> Result<ArrayRef, Failure> {
    match (array.data_type(), promised) {
        (found, promised) if found == promised => Ok(Arc::clone(array)),
        (
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)),
        ) => {
            let times = array.as_primitive::<TimestampMicrosecondType>().clone();
            Ok(Arc::new(times.with_timezone(Arc::clone(zone))))
        }
        // What has no place in the promised type is an error, never a NULL.
        (found, promised) if can_cast_types(found, promised) => {
            cast_with_options(array, promised, &CastOptions { safe: false, ..CastOptions::default() }).map_err(
                |error| {
                    Failure::new(
                        sqlstate::DATA_EXCEPTION,
                        format!("a value is no {promised}, as the column was described: {error}"),
                    )
                    .hint("give parameters their type: $1::bytea")
                },
            )
        }
        _ => Err(changed_shape()),
    }
}

/// A time as PostgreSQL writes it in ISO style: `2025-01-01 12:00:00.5+01`, the fraction as long as needed.
pub(crate) fn write_time(out: &mut String, at_us: i64, zone: Option<&TimeZone>) -> Result<(), Failure> {
    let at = Timestamp::from_microsecond(at_us)
        .map_err(|_| Failure::new(sqlstate::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))?;
    let offset = match zone {
        Some(zone) if *zone != TimeZone::UTC => zone.to_offset(at),
        _ => Offset::UTC,
    };
    let local = offset.to_datetime(at);
    let era = if local.year() > 0 { "" } else { " BC" };
    // Writing into a `String` cannot fail.
    let _infallible = if local.year() > 0 {
        PRINTER.print_datetime(&local, &mut *out)
    } else {
        append(out, format_args!("{:04}-{:02}-{:02} ", 1 - local.year(), local.month(), local.day()));
        PRINTER.print_time(&local.time(), &mut *out)
    };
    if zone.is_some() {
        write_offset(out, offset.seconds());
    }
    out.push_str(era);
    Ok(())
}

/// Hours, and minutes and seconds only where there are any.
fn write_offset(out: &mut String, offset_s: i32) {
    let size_s = offset_s.unsigned_abs();
    out.push(if offset_s < 0 { '-' } else { '+' });
    append(out, format_args!("{:02}", size_s / 3600));
    if size_s % 3600 != 0 {
        append(out, format_args!(":{:02}", size_s / 60 % 60));
    }
    if size_s % 60 != 0 {
        append(out, format_args!(":{:02}", size_s % 60));
    }
}

/// Text written into a `String` cannot fail.
fn append(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(arguments);
}
