//! Query results as bytes: JSON, CSV or an Arrow IPC stream, encoded batch by batch.
//!
//! Instants leave as RFC 3339 in UTC with microseconds and `Z`; in JSON, NaN and infinities become null,
//! for JSON has no word for them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::StructMode;
use arrow::json::writer::{JsonArray, Writer as JsonWriter, WriterBuilder as JsonWriterBuilder};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use serde::Serialize;

const UTC_MICROSECONDS: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
const LOCAL_MICROSECONDS: &str = "%Y-%m-%dT%H:%M:%S%.6f";

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
    Arrow,
}

impl Format {
    /// The format with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "arrow" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// The first format that the `Accept` header names; JSON where it names none.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        accept
            .split(',')
            .filter_map(|range| match range.split(';').next().unwrap_or_default().trim() {
                "application/json" => Some(Self::Json),
                "text/csv" => Some(Self::Csv),
                "application/vnd.apache.arrow.stream" => Some(Self::Arrow),
                _ => None,
            })
            .next()
            .unwrap_or(Self::Json)
    }

    /// The media type of an answer in this format.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// Turns the batches of one result into bytes.
pub(super) struct Encoder {
    schema: SchemaRef,
    sink: Sink,
}

enum Sink {
    Json(JsonWriter<Vec<u8>, JsonArray>),
    /// The text so far, and whether the header line is in it already.
    Csv {
        text: Vec<u8>,
        headed: bool,
    },
    Arrow(StreamWriter<Vec<u8>>),
}

impl Encoder {
    /// An encoder for results of `schema`; what opens the answer is in the first [`Self::take`].
    pub(super) fn new(format: Format, schema: &Schema) -> Result<Self, ArrowError> {
        let schema = Arc::new(as_clients_know(schema));
        let sink = match format {
            Format::Json => {
                let mut opening = b"{\"columns\":".to_vec();
                serde_json::to_writer(&mut opening, &columns(&schema))
                    .map_err(|error| ArrowError::JsonError(error.to_string()))?;
                opening.extend_from_slice(b",\"rows\":");
                Sink::Json(json_writer().build(opening))
            }
            Format::Csv => Sink::Csv { text: Vec::new(), headed: false },
            Format::Arrow => Sink::Arrow(StreamWriter::try_new(Vec::new(), &schema)?),
        };
        Ok(Self { schema, sink })
    }

    /// Adds the rows of `batch`.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let batch = self.as_clients_know(batch)?;
        match &mut self.sink {
            Sink::Json(writer) => writer.write(&batch),
            Sink::Csv { text, headed } => {
                let with_header = !std::mem::replace(headed, true);
                csv_writer().with_header(with_header).build(text).write(&batch)
            }
            Sink::Arrow(writer) => writer.write(&batch),
        }
    }

    /// Adds what closes the answer.
    pub(super) fn finish(&mut self) -> Result<(), ArrowError> {
        match &mut self.sink {
            Sink::Json(writer) => {
                writer.finish()?;
                writer.get_mut().push(b'}');
                Ok(())
            }
            // A result without rows still shows its columns.
            Sink::Csv { text, headed: false } => {
                csv_writer().with_header(true).build(text).write(&RecordBatch::new_empty(Arc::clone(&self.schema)))
            }
            Sink::Csv { headed: true, .. } => Ok(()),
            Sink::Arrow(writer) => writer.finish(),
        }
    }

    /// Bytes waiting to be taken.
    pub(super) fn pending(&self) -> usize {
        match &self.sink {
            Sink::Json(writer) => writer.get_ref().len(),
            Sink::Csv { text, .. } => text.len(),
            Sink::Arrow(writer) => writer.get_ref().len(),
        }
    }

    /// Takes the bytes encoded since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.sink {
            Sink::Json(writer) => writer.get_mut(),
            Sink::Csv { text, .. } => text,
            Sink::Arrow(writer) => writer.get_mut(),
        })
    }

    fn as_clients_know(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| match field.data_type() {
                wanted if wanted != column.data_type() => cast(column, wanted),
                _ => Ok(Arc::clone(column)),
            })
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// The same schema in types that every Arrow client has: instants in UTC, microseconds, for a zone is how an instant is shown
/// and not what it is; texts as plain texts.
fn as_clients_know(schema: &Schema) -> Schema {
    // Nullability is a planner's promise about its own columns; readers need not rely on it.
    let known = |field: &Arc<Field>| known(field).with_nullable(true);
    Schema::new(schema.fields().iter().map(known).collect::<Vec<_>>())
}

fn known(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(Arc::new(known(item))),
        DataType::LargeList(item) => DataType::LargeList(Arc::new(known(item))),
        DataType::Struct(parts) => DataType::Struct(parts.iter().map(|part| known(part)).collect()),
        other => other.clone(),
    };
    field.clone().with_data_type(kind)
}

fn json_writer() -> JsonWriterBuilder {
    JsonWriterBuilder::new()
        .with_struct_mode(StructMode::ListOnly)
        .with_timestamp_tz_format(UTC_MICROSECONDS.to_owned())
        .with_timestamp_format(LOCAL_MICROSECONDS.to_owned())
}

fn csv_writer() -> csv::WriterBuilder {
    csv::WriterBuilder::new()
        .with_timestamp_tz_format(UTC_MICROSECONDS.to_owned())
        .with_timestamp_format(LOCAL_MICROSECONDS.to_owned())
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: String,
}

fn columns(schema: &Schema) -> Vec<Column<'_>> {
    schema.fields().iter().map(|field| Column { name: field.name(), kind: sql_type(field.data_type()) }).collect()
}

/// The name PostgreSQL gives this type, where it has one.
fn sql_type(kind: &DataType) -> String {
    match kind {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 => "bigint".to_owned(),
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => "numeric".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => "text".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Dictionary(_, value) => sql_type(value),
        DataType::List(item) | DataType::LargeList(item) => format!("{}[]", sql_type(item.data_type())),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
