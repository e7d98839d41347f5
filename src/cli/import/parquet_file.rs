//! Parquet, as pandas, Polars, DuckDB, Spark and takt itself write it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use oee::tables::{Column, ColumnType, Table};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::chunk::{Body, CHUNK_ROWS, Chunk, Chunks, Places};
use super::columns;

/// A Parquet file whose columns are columns of one table.
pub(super) struct ParquetFile {
    reader: ParquetRecordBatchReader,
    columns: Vec<&'static Column>,
    schema: SchemaRef,
    next_row: u64,
    rows: u64,
    size: u64,
}

impl ParquetFile {
    pub(super) fn open(path: &Path, table: &'static Table) -> anyhow::Result<Self> {
        let file = File::open(path).context("cannot be opened")?;
        let size = file.metadata()?.len();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).context("is no Parquet file")?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
        let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let columns: Vec<&'static Column> =
            names.iter().map(|name| columns::named(table, name)).collect::<anyhow::Result<_>>()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        columns::require(table, &names, columns::required(table))?;
        let fields: Vec<Field> = columns.iter().map(|column| columns::field(column)).collect();
        let reader = builder.with_batch_size(CHUNK_ROWS).build()?;
        Ok(Self { reader, columns, schema: Arc::new(Schema::new(fields)), next_row: 1, rows, size })
    }
}

impl Chunks for ParquetFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let Some(batch) = self.reader.next().transpose()? else { return Ok(None) };
        let converted = self.columns.iter().zip(batch.columns()).map(|(column, array)| convert(column, array));
        let rows = RecordBatch::try_new(self.schema.clone(), converted.collect::<anyhow::Result<_>>()?)?;
        let first = self.next_row;
        self.next_row += rows.num_rows() as u64;
        let size = self.size * rows.num_rows() as u64 / self.rows.max(1);
        Ok(Some(Chunk { batch: Body::Rows { rows, places: Places::From(first) }, refusals: Vec::new(), size }))
    }
}

/// One column of the file as the table's type.
fn convert(column: &Column, array: &ArrayRef) -> anyhow::Result<ArrayRef> {
    if column.kind == ColumnType::Time {
        return times(column.name, array);
    }
    exactly(array, &columns::arrow_type(column.kind))
        .with_context(|| format!("the column `{}` is {}", column.name, array.data_type()))
}

/// A cast in which a value that does not fit is an error.
fn exactly(array: &ArrayRef, wanted: &DataType) -> anyhow::Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(array, wanted, &options)?)
}

fn times(name: &str, array: &ArrayRef) -> anyhow::Result<ArrayRef> {
    let times: TimestampMicrosecondArray = match array.data_type() {
        DataType::Timestamp(_, zone) => {
            let wanted = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            exactly(array, &wanted)?.as_primitive::<TimestampMicrosecondType>().clone()
        }
        kind if kind.is_integer() => exactly(array, &DataType::Int64)?
            .as_primitive::<Int64Type>()
            .iter()
            .map(|number| number.map(columns::epoch_us))
            .collect(),
        _ => {
            let texts = exactly(array, &DataType::Utf8)?;
            let time = |text: &str| {
                columns::time_us(text).ok_or_else(|| anyhow!("`{name}` is `{text}`, which is not a time with its zone"))
            };
            let texts = texts.as_string::<i32>();
            texts.iter().map(|text| text.map(time).transpose()).collect::<anyhow::Result<_>>()?
        }
    };
    // An instant without a zone is taken as UTC, as pandas and Parquet do.
    Ok(Arc::new(times.with_timezone("UTC")))
}
