//! Query results for a person or the next program: an aligned table, CSV or JSON.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, Writer as JsonWriter, WriterBuilder as JsonWriterBuilder};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::ValueEnum;
use console::measure_text_width;
use jiff::Timestamp;

use super::terminal;

const NULL: &str = "NULL";

/// How a result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// An aligned table
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// A list of objects
    Json,
}

/// Takes the batches of one result and writes them to `W`.
pub(super) enum Rendering<W: Write> {
    Table { out: W, rows: Vec<Vec<String>>, schema: SchemaRef },
    Csv { out: csv::Writer<W>, headed: bool },
    Json(JsonWriter<W, JsonArray>),
}

impl Rendering<BufWriter<io::Stdout>> {
    /// A rendering to standard output.
    pub(super) fn on_terminal(format: Format) -> Self {
        Self::new(format, terminal::output())
    }
}

impl<W: Write> Rendering<W> {
    fn new(format: Format, out: W) -> Self {
        match format {
            Format::Table => Self::Table { out, rows: Vec::new(), schema: Arc::new(Schema::empty()) },
            Format::Csv => Self::Csv { out: csv::Writer::from_writer(out), headed: false },
            Format::Json => Self::Json(JsonWriterBuilder::new().with_explicit_nulls(true).build(out)),
        }
    }

    /// Adds the rows of `batch`. CSV and JSON go out at once, a table once its widths are known.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let batch = readable(batch)?;
        match self {
            Self::Table { rows, schema, .. } => {
                *schema = batch.schema();
                rows.extend(cells(&batch, NULL)?);
            }
            Self::Csv { out, headed } => {
                head(out, headed, &batch.schema())?;
                for row in cells(&batch, "")? {
                    out.write_record(row).map_err(io::Error::from)?;
                }
            }
            Self::Json(writer) => writer.write(&batch)?,
        }
        Ok(())
    }

    /// Ends the result; `schema` shows the columns of one without rows.
    pub(super) fn finish(self, schema: &SchemaRef) -> anyhow::Result<()> {
        match self {
            Self::Table { mut out, rows, schema: seen } => {
                let schema = if rows.is_empty() { schema } else { &seen };
                write_table(&mut out, schema, &rows)?;
                out.flush()?;
            }
            Self::Csv { mut out, mut headed } => {
                head(&mut out, &mut headed, schema)?;
                out.flush()?;
            }
            Self::Json(mut writer) => {
                writer.finish()?;
                let out = writer.get_mut();
                writeln!(out)?;
                out.flush()?;
            }
        }
        Ok(())
    }
}

fn head<W: Write>(out: &mut csv::Writer<W>, headed: &mut bool, schema: &SchemaRef) -> io::Result<()> {
    if std::mem::replace(headed, true) {
        return Ok(());
    }
    out.write_record(schema.fields().iter().map(|field| field.name())).map_err(io::Error::from)
}

/// The same rows with instants as RFC 3339 texts, as short as they are exact.
fn readable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let DataType::Timestamp(_, zone) = field.data_type() else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        };
        let instants = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
        let texts: StringArray = instants
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .map(|instant| instant.map(|time_us| instant_text(time_us, zone.is_some())))
            .collect();
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        columns.push(Arc::new(texts));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn instant_text(time_us: i64, zoned: bool) -> String {
    let Ok(instant) = Timestamp::from_microsecond(time_us) else { return format!("{time_us} µs") };
    let text = instant.to_string();
    if zoned { text } else { text.trim_end_matches('Z').to_owned() }
}

/// The cells of a batch, row by row.
fn cells(batch: &RecordBatch, null: &str) -> Result<Vec<Vec<String>>, ArrowError> {
    let options = FormatOptions::default();
    let columns = batch
        .columns()
        .iter()
        .map(|column| Ok((column, ArrayFormatter::try_new(column.as_ref(), &options)?)))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    let cell = |row: usize, column: &ArrayRef, formatter: &ArrayFormatter<'_>| {
        if column.is_null(row) { Ok(null.to_owned()) } else { formatter.value(row).try_to_string() }
    };
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|(column, formatter)| cell(row, column, formatter)).collect())
        .collect()
}

fn write_table(out: &mut impl Write, schema: &SchemaRef, rows: &[Vec<String>]) -> io::Result<()> {
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let rights: Vec<bool> = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
    let mut widths: Vec<usize> = names.iter().map(|name| measure_text_width(name)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    write_row(out, &names, &widths, &rights)?;
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    writeln!(out, "{}", rules.join("  "))?;
    for row in rows {
        write_row(out, row, &widths, &rights)?;
    }
    let noun = if rows.len() == 1 { "row" } else { "rows" };
    writeln!(out, "({} {noun})", rows.len())
}

fn write_row(out: &mut impl Write, cells: &[String], widths: &[usize], rights: &[bool]) -> io::Result<()> {
    let mut line = String::new();
    for ((cell, width), right) in cells.iter().zip(widths).zip(rights) {
        let padding = " ".repeat(width.saturating_sub(measure_text_width(cell)));
        let (before, after) = if *right { (padding.as_str(), "") } else { ("", padding.as_str()) };
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(before);
        line.push_str(cell);
        line.push_str(after);
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests;
