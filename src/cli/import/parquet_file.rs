//! Parquet, as pandas, Polars, DuckDB, Spark and takt itself write it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use oee::tables::{Column, ColumnType, SAMPLES, Table};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::chunk::{Body, CHUNK_ROWS, Chunk, Chunks, Places};
use super::columns;

/// A Parquet file whose columns are columns of one table.
pub(super) struct ParquetFile {
    reader: ParquetRecordBatchReader,
    table: &'static Table,
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
        let builder = builder(file, table)?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
        let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let columns: Vec<&'static Column> =
            names.iter().map(|name| columns::named(table, name)).collect::<anyhow::Result<_>>()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        columns::require(table, &names, columns::required(table))?;
        let fields: Vec<Field> = columns.iter().map(|column| field(table, column)).collect();
        let reader = builder.with_batch_size(CHUNK_ROWS).build()?;
        Ok(Self { reader, table, columns, schema: Arc::new(Schema::new(fields)), next_row: 1, rows, size })
    }
}

impl Chunks for ParquetFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let Some(batch) = self.reader.next().transpose()? else { return Ok(None) };
        let converted =
            self.columns.iter().zip(batch.columns()).map(|(column, array)| convert(self.table, column, array));
        let rows = RecordBatch::try_new(self.schema.clone(), converted.collect::<anyhow::Result<_>>()?)?;
        let first = self.next_row;
        self.next_row += rows.num_rows() as u64;
        let size = self.size * rows.num_rows() as u64 / self.rows.max(1);
        Ok(Some(Chunk { batch: Body::Rows { rows, places: Places::From(first) }, refusals: Vec::new(), size }))
    }
}

/// Reads the file. Names of samples come in the dictionaries that the file has of them.
fn builder(file: File, table: &'static Table) -> anyhow::Result<ParquetRecordBatchReaderBuilder<File>> {
    let plain = ParquetRecordBatchReaderBuilder::try_new(file.try_clone()?).context("is no Parquet file")?;
    let is_name = |name: &str| columns::named(table, name).is_ok_and(|column| column.kind == ColumnType::Name);
    let fields = plain.schema().fields().iter().map(|field| match field.data_type().is_string() {
        true if table.name == SAMPLES.name && is_name(field.name()) => {
            Arc::new(field.as_ref().clone().with_data_type(names_type()))
        }
        _ => Arc::clone(field),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    Ok(ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap_or(plain))
}

fn names_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The field that goes to the server.
fn field(table: &Table, column: &Column) -> Field {
    match column.kind == ColumnType::Name && table.name == SAMPLES.name {
        true => Field::new(column.name, names_type(), true),
        false => columns::field(column),
    }
}

/// Names without those that no row has: a file has one dictionary for many chunks.
fn only_used(names: &DictionaryArray<Int32Type>) -> anyhow::Result<ArrayRef> {
    let mut numbers: Vec<Option<i32>> = vec![None; names.values().len()];
    let mut used: Vec<i32> = Vec::new();
    let mut number_of = |key: i32| {
        let number = numbers.get_mut(usize::try_from(key).ok()?)?;
        Some(*number.get_or_insert_with(|| {
            used.push(key);
            i32::try_from(used.len() - 1).unwrap_or(i32::MAX)
        }))
    };
    let keys: Int32Array = names.keys().iter().map(|key| number_of(key?)).collect();
    let values = take(names.values(), &Int32Array::from(used), None)?;
    Ok(Arc::new(DictionaryArray::try_new(keys, values)?))
}

/// One column of the file as the table's type; names of samples as dictionaries.
fn convert(table: &Table, column: &Column, array: &ArrayRef) -> anyhow::Result<ArrayRef> {
    if column.kind == ColumnType::Name && table.name == SAMPLES.name {
        let names = exactly(array, &names_type())
            .with_context(|| format!("the column `{}` is {}", column.name, array.data_type()))?;
        return only_used(names.as_dictionary::<Int32Type>());
    }
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
