//! Parquet, as pandas, Polars, DuckDB, Spark and takt itself write it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, filter_record_batch, take};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
    UInt64Type,
};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use oee::tables::{Column, ColumnType, SAMPLES, Table};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::chunk::{Body, CHUNK_BYTES, CHUNK_ROWS, Chunk, Chunks, Places, too_long};
use super::columns::{self, Builder, Cell};

/// A Parquet file whose columns are columns of one table.
pub(super) struct ParquetFile {
    reader: ParquetRecordBatchReader,
    table: &'static Table,
    columns: Vec<&'static Column>,
    schema: SchemaRef,
    next_row: u64,
    rows: u64,
    size: u64,
    /// What was read of the file and not given out.
    parts: VecDeque<Body>,
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
        for (column, field) in columns.iter().zip(builder.schema().fields()) {
            check(column, field.data_type())?;
        }
        let fields: Vec<Field> = columns.iter().map(|column| field(table, column)).collect();
        let reader = builder.with_batch_size(CHUNK_ROWS).build()?;
        Ok(Self {
            reader,
            table,
            columns,
            schema: Arc::new(Schema::new(fields)),
            next_row: 1,
            rows,
            size,
            parts: VecDeque::new(),
        })
    }
}

impl Chunks for ParquetFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        if let Some(batch) = self.parts.pop_front() {
            return Ok(Some(Chunk { batch, refusals: Vec::new(), size: 0 }));
        }
        let Some(batch) = self.reader.next().transpose()? else { return Ok(None) };
        let mut refused: BTreeMap<usize, String> = BTreeMap::new();
        let converted = self.columns.iter().zip(batch.columns()).map(|(column, array)| {
            convert(self.table, column, array, |row, message| {
                refused.entry(row).or_insert(message);
            })
        });
        let mut rows = RecordBatch::try_new(self.schema.clone(), converted.collect::<anyhow::Result<_>>()?)?;
        let (first, count) = (self.next_row, rows.num_rows());
        let place = |row: usize| first + row as u64;
        self.next_row = place(count);
        if !refused.is_empty() {
            let good = (0..count).map(|row| Some(!refused.contains_key(&row))).collect();
            rows = filter_record_batch(&rows, &good)?;
        }
        let places = (0..count).filter(|row| !refused.contains_key(row)).map(place).collect();
        let refusals = refused.into_iter().map(|(row, message)| (format!("row {}", place(row)), message)).collect();
        let size = self.size * count as u64 / self.rows.max(1);
        parted(rows, Places::Rows(places), &mut self.parts);
        Ok(self.parts.pop_front().map(|batch| Chunk { batch, refusals, size }))
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

/// Refuses a column of a type that never becomes the table's, before anything is sent.
fn check(column: &Column, found: &DataType) -> anyhow::Result<()> {
    let value = value_type(found);
    let fits = match column.kind {
        ColumnType::Time => {
            matches!(value, DataType::Timestamp(..)) || value.is_integer() || value.is_string() || value.is_null()
        }
        ColumnType::Double | ColumnType::Integer | ColumnType::Flag if value.is_temporal() => false,
        kind => can_cast_types(value, &columns::arrow_type(kind)),
    };
    if !fits {
        let wanted = match column.kind {
            ColumnType::Time => {
                "a time, a whole number since 1970 or a text such as 2025-06-01T06:00:00+02:00".to_owned()
            }
            kind => format!("{}, nor becomes it", columns::arrow_type(kind)),
        };
        bail!("the column `{}` is {found}, which is not {wanted}", column.name);
    }
    Ok(())
}

/// What a column has values of, in a dictionary or not.
fn value_type(found: &DataType) -> &DataType {
    match found {
        DataType::Dictionary(_, values) => values,
        plain => plain,
    }
}

/// One column of the file as the table's type; names of samples as dictionaries. Rows whose value does not become one are told
/// to `refuse`, and NULL.
fn convert(
    table: &Table,
    column: &'static Column,
    array: &ArrayRef,
    mut refuse: impl FnMut(usize, String),
) -> anyhow::Result<ArrayRef> {
    let wanted = columns::arrow_type(column.kind);
    // What has no type has no values: so a column that is empty comes from pandas.
    if value_type(array.data_type()).is_null() {
        let of_names = column.kind == ColumnType::Name && table.name == SAMPLES.name;
        return Ok(new_null_array(&if of_names { names_type() } else { wanted }, array.len()));
    }
    if column.kind == ColumnType::Name && table.name == SAMPLES.name {
        let names = cast(array, &names_type())?;
        tell_unfit(column, array, &names, &mut refuse)?;
        let known = names.as_dictionary::<Int32Type>();
        for (row, key) in known.keys().iter().enumerate() {
            let texts = known.values().as_string::<i32>();
            let bytes =
                key.and_then(|key| usize::try_from(key).ok()).map_or(0, |key| texts.value_length(key).unsigned_abs());
            if u64::from(bytes) > CHUNK_BYTES {
                refuse(row, too_long(bytes.into()));
            }
        }
        return only_used(names.as_dictionary::<Int32Type>());
    }
    // A decimal divided by a power of ten would be rounded twice; its digits are not.
    let is_decimal = value_type(array.data_type()).is_decimal() && column.kind == ColumnType::Double;
    if is_decimal || value_type(array.data_type()).is_string() && wanted != DataType::Utf8 {
        return Ok(texts(column, &cast(array, &DataType::Utf8)?, refuse));
    }
    let array = match value_type(array.data_type()) {
        plain if plain != array.data_type() => cast(array, plain)?,
        _ => Arc::clone(array),
    };
    let converted = match array.data_type() {
        kind if column.kind == ColumnType::Time && kind.is_integer() => {
            let numbers = cast(&array, &DataType::Int64)?;
            let times = numbers.as_primitive::<Int64Type>().unary::<_, TimestampMicrosecondType>(columns::epoch_us);
            Arc::new(times.with_timezone("UTC"))
        }
        // An instant without a zone is taken as UTC, as pandas and Parquet do.
        DataType::Timestamp(_, None) if column.kind == ColumnType::Time => {
            let times = cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            Arc::new(times.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC"))
        }
        _ => cast(&array, &wanted)?,
    };
    tell_unfit(column, &array, &converted, &mut refuse)?;
    match (column.kind, array.data_type()) {
        (ColumnType::Double, DataType::Int64) => {
            let whole = array.as_primitive::<Int64Type>().iter().map(|whole| whole.map(i128::from));
            tell_inexact(column, whole, &converted, refuse);
        }
        (ColumnType::Double, DataType::UInt64) => {
            let whole = array.as_primitive::<UInt64Type>().iter().map(|whole| whole.map(i128::from));
            tell_inexact(column, whole, &converted, refuse);
        }
        (ColumnType::Integer, kind) if !kind.is_integer() => {
            let (written, whole) = (cast(&array, &DataType::Float64)?, cast(&converted, &DataType::Float64)?);
            let pairs = written.as_primitive::<Float64Type>().iter().zip(whole.as_primitive::<Float64Type>());
            for (row, (written, whole)) in pairs.enumerate() {
                if let (Some(written), Some(whole)) = (written, whole)
                    && written != whole
                {
                    refuse(row, columns::unfit(column, written));
                }
            }
        }
        (ColumnType::Double, _) => {
            for (row, number) in converted.as_primitive::<Float64Type>().iter().enumerate() {
                if let Some(number) = number.filter(|number| !number.is_finite()) {
                    refuse(row, columns::infinite(column, number));
                }
            }
        }
        (ColumnType::Text | ColumnType::Name, _) => {
            let texts = converted.as_string_opt::<i32>();
            for (row, text) in texts.into_iter().flatten().enumerate() {
                if let Some(bytes) = text.map(|text| text.len() as u64).filter(|bytes| *bytes > CHUNK_BYTES) {
                    refuse(row, too_long(bytes));
                }
            }
        }
        _ => {}
    }
    Ok(converted)
}

/// Halves rows until each part can be sent.
fn parted(rows: RecordBatch, mut places: Places, into: &mut VecDeque<Body>) {
    // The names of a dictionary do not become fewer by halves.
    let plain = rows.columns().iter().filter(|column| column.as_any_dictionary_opt().is_none());
    let bytes: usize = plain.filter_map(|column| column.to_data().get_slice_memory_size().ok()).sum();
    let count = rows.num_rows();
    if count < 2 || bytes as u64 <= CHUNK_BYTES {
        return into.push_back(Body::Rows { rows, places });
    }
    let behind = places.split_off(count / 2);
    parted(rows.slice(0, count / 2), places, into);
    parted(rows.slice(count / 2, count - count / 2), behind, into);
}

/// Tells of rows whose value has become none.
fn tell_unfit(
    column: &Column,
    array: &ArrayRef,
    converted: &ArrayRef,
    refuse: &mut impl FnMut(usize, String),
) -> anyhow::Result<()> {
    if converted.logical_null_count() == array.logical_null_count() {
        return Ok(());
    }
    let (before, after) = (array.logical_nulls(), converted.logical_nulls());
    let is_null = |nulls: &Option<NullBuffer>, row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    // A time beyond the calendar has no date to show, and a text that is none no letters.
    let plain = match array.data_type() {
        kind if kind.is_temporal() => cast(array, &DataType::Int64)?,
        _ => Arc::clone(array),
    };
    let shown = ArrayFormatter::try_new(&plain, &FormatOptions::default())?;
    for row in (0..array.len()).filter(|row| !is_null(&before, *row) && is_null(&after, *row)) {
        refuse(row, columns::unfit(column, shown.value(row)));
    }
    Ok(())
}

/// Tells of rows with whole numbers that a double does not hold.
fn tell_inexact(
    column: &Column,
    whole: impl Iterator<Item = Option<i128>>,
    converted: &ArrayRef,
    mut refuse: impl FnMut(usize, String),
) {
    let numbers = converted.as_primitive::<Float64Type>();
    for (row, whole) in whole.enumerate() {
        if let Some(whole) = whole.filter(|whole| !columns::is_exact(*whole)) {
            refuse(row, columns::inexact(column, whole, numbers.value(row)));
        }
    }
}

/// A cast that gives NULL for a value that does not fit.
fn cast(array: &ArrayRef, wanted: &DataType) -> anyhow::Result<ArrayRef> {
    Ok(cast_with_options(array, wanted, &CastOptions::default())?)
}

/// Texts in a column of something else: read as those of a CSV file.
fn texts(column: &Column, texts: &ArrayRef, mut refuse: impl FnMut(usize, String)) -> ArrayRef {
    let mut builder = Builder::new(column.kind);
    for (row, text) in texts.as_string::<i32>().iter().enumerate() {
        builder.push(columns::cell(column, text.unwrap_or_default()).unwrap_or_else(|message| {
            refuse(row, message);
            Cell::Empty
        }));
    }
    builder.finish()
}
