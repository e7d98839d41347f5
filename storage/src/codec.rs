//! Rows as bytes in the WAL: column after column, little-endian, only what is there.
//!
//! A block is one table's rows of one write: `table u16, rows u32, flags u8, [presence], [deleted], columns`.
//! A column is one tag byte, its validity bits where it has nulls, and its values. An all-null column is its tag alone,
//! so a plain sample costs about 30 bytes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use crate::StoreError;
use crate::store::Rows;

const NULLS: u8 = 0x80;
const ALL_NULL: u8 = 0;
const FIXED: u8 = 1;
const FLAGS: u8 = 2;
const TEXT: u8 = 3;
const NAMES: u8 = 4;

const HAS_PRESENT: u8 = 1;
const HAS_DELETED: u8 = 2;

/// Appends one block to `out`.
pub(crate) fn encode(rows: &Rows, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let count = rows.batch.num_rows();
    let table = u16::try_from(rows.table).map_err(|_| StoreError::Invalid("too many tables".into()))?;
    let count_u32 = u32::try_from(count).map_err(|_| StoreError::Invalid("a write holds at most 4 G rows".into()))?;
    out.extend_from_slice(&table.to_le_bytes());
    out.extend_from_slice(&count_u32.to_le_bytes());
    let flags =
        if rows.present.is_some() { HAS_PRESENT } else { 0 } | if rows.deleted.is_empty() { 0 } else { HAS_DELETED };
    out.push(flags);
    for mask in rows.present.iter().flatten() {
        out.extend_from_slice(&mask.to_le_bytes());
    }
    out.extend(rows.deleted.iter().map(|&deleted| u8::from(deleted)));
    for column in rows.batch.columns() {
        encode_column(column, out)?;
    }
    Ok(())
}

fn encode_column(column: &ArrayRef, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let rows = column.len();
    if column.null_count() == rows {
        out.push(ALL_NULL);
        return Ok(());
    }
    let tag = match column.data_type() {
        DataType::Timestamp(..) | DataType::Int64 | DataType::Float64 => FIXED,
        DataType::Boolean => FLAGS,
        DataType::Utf8 => TEXT,
        DataType::Dictionary(..) => NAMES,
        other => return Err(StoreError::Invalid(format!("the log cannot hold a column of type {other}"))),
    };
    out.push(tag | if column.null_count() > 0 { NULLS } else { 0 });
    if column.null_count() > 0
        && let Some(nulls) = column.nulls()
    {
        out.extend_from_slice(nulls.inner().sliced().as_slice().get(..rows.div_ceil(8)).unwrap_or_default());
    }
    match column.data_type() {
        DataType::Timestamp(..) => {
            out.extend_from_slice(column.as_primitive::<TimestampMicrosecondType>().values().inner().as_slice())
        }
        DataType::Int64 => out.extend_from_slice(column.as_primitive::<Int64Type>().values().inner().as_slice()),
        DataType::Float64 => out.extend_from_slice(column.as_primitive::<Float64Type>().values().inner().as_slice()),
        DataType::Boolean => {
            let bits = column.as_boolean().values().sliced();
            out.extend_from_slice(bits.as_slice().get(..rows.div_ceil(8)).unwrap_or_default());
        }
        DataType::Utf8 => encode_text(column.as_string::<i32>(), out),
        _ => encode_names(column.as_dictionary::<Int32Type>(), out),
    }
    Ok(())
}

fn encode_text(column: &StringArray, out: &mut Vec<u8>) {
    for index in 0..column.len() {
        let length = u32::try_from(column.value(index).len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
    }
    for index in 0..column.len() {
        out.extend_from_slice(column.value(index).as_bytes());
    }
}

/// Only the names in use are written: a batch may share a dictionary of thousands.
fn encode_names(column: &DictionaryArray<Int32Type>, out: &mut Vec<u8>) {
    let values = column.values().as_string::<i32>();
    // Place of each name of the dictionary plus one; 0 is not in use.
    let mut places: Vec<u32> = vec![0; values.len()];
    let mut used: Vec<&str> = Vec::new();
    let mut keys: Vec<u32> = Vec::with_capacity(column.len());
    for index in 0..column.len() {
        let key = if column.is_null(index) { None } else { usize::try_from(column.keys().value(index)).ok() };
        let Some((key, place)) = key.and_then(|key| Some((key, places.get_mut(key)?))) else {
            keys.push(0);
            continue;
        };
        if *place == 0 {
            used.push(values.value(key));
            *place = u32::try_from(used.len()).unwrap_or(u32::MAX);
        }
        keys.push(*place - 1);
    }
    out.extend_from_slice(&u32::try_from(used.len()).unwrap_or(u32::MAX).to_le_bytes());
    for name in &used {
        out.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
    }
    for key in keys {
        match used.len() {
            0..=256 => out.push(u8::try_from(key).unwrap_or_default()),
            257..=65_536 => out.extend_from_slice(&u16::try_from(key).unwrap_or_default().to_le_bytes()),
            _ => out.extend_from_slice(&key.to_le_bytes()),
        }
    }
}

/// Reads blocks back, one after another.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The table number that the next block names.
    pub(crate) fn table(&self) -> Result<usize, StoreError> {
        let bytes = self.rest.get(..2).ok_or_else(short)?;
        Ok(usize::from(u16::from_le_bytes(bytes.try_into().map_err(|_| short())?)))
    }

    /// The next block, as rows of `schema`.
    pub(crate) fn block(&mut self, schema: &SchemaRef) -> Result<Rows, StoreError> {
        let table = usize::from(u16::from_le_bytes(self.array()?));
        let count = u32::from_le_bytes(self.array()?) as usize;
        let [flags] = self.array()?;
        let present = if flags & HAS_PRESENT != 0 {
            let masks: Result<Vec<u64>, StoreError> =
                (0..count).map(|_| Ok(u64::from_le_bytes(self.array()?))).collect();
            Some(masks?)
        } else {
            None
        };
        let deleted = if flags & HAS_DELETED != 0 {
            self.take(count)?.iter().map(|&byte| byte != 0).collect()
        } else {
            Vec::new()
        };
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            columns.push(self.column(field.data_type(), count)?);
        }
        Ok(Rows { table, batch: RecordBatch::try_new(schema.clone(), columns)?, present, deleted })
    }

    fn column(&mut self, kind: &DataType, count: usize) -> Result<ArrayRef, StoreError> {
        let [tag] = self.array()?;
        if tag == ALL_NULL {
            return Ok(new_null_array(kind, count));
        }
        let nulls = if tag & NULLS != 0 {
            let bits = Buffer::from(self.take(count.div_ceil(8))?);
            Some(NullBuffer::new(BooleanBuffer::new(bits, 0, count)))
        } else {
            None
        };
        match (tag & !NULLS, kind) {
            (FIXED, DataType::Float64) => Ok(Arc::new(Float64Array::new(self.fixed(count)?, nulls))),
            (FIXED, DataType::Int64) => Ok(Arc::new(Int64Array::new(self.fixed(count)?, nulls))),
            (FIXED, DataType::Timestamp(_, zone)) => {
                let array = arrow::array::TimestampMicrosecondArray::new(self.fixed(count)?, nulls);
                Ok(Arc::new(array.with_timezone_opt(zone.clone())))
            }
            (FLAGS, DataType::Boolean) => {
                let bits = Buffer::from(self.take(count.div_ceil(8))?);
                Ok(Arc::new(BooleanArray::new(BooleanBuffer::new(bits, 0, count), nulls)))
            }
            (TEXT, DataType::Utf8) => self.text(count, nulls),
            (NAMES, DataType::Dictionary(..)) => self.names(count, nulls),
            (tag, kind) => {
                Err(StoreError::Invalid(format!("the log holds encoding {tag} for a column of type {kind}")))
            }
        }
    }

    fn fixed<T: arrow::datatypes::ArrowNativeType>(&mut self, count: usize) -> Result<ScalarBuffer<T>, StoreError> {
        let bytes = self.take(count * 8)?;
        Ok(ScalarBuffer::new(Buffer::from(bytes), 0, count))
    }

    fn text(&mut self, count: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef, StoreError> {
        let mut lengths = Vec::with_capacity(count);
        for _ in 0..count {
            lengths.push(u32::from_le_bytes(self.array()?) as usize);
        }
        let bytes = self.take(lengths.iter().sum())?;
        let text = StringArray::try_new(OffsetBuffer::from_lengths(lengths), Buffer::from(bytes), nulls)?;
        Ok(Arc::new(text))
    }

    fn names(&mut self, count: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef, StoreError> {
        let used = u32::from_le_bytes(self.array()?) as usize;
        let mut values = Vec::with_capacity(used.min(65_536));
        for _ in 0..used {
            let length = u32::from_le_bytes(self.array()?) as usize;
            let name = std::str::from_utf8(self.take(length)?)
                .map_err(|_| StoreError::Invalid("a name in the log is not UTF-8".into()))?;
            values.push(name);
        }
        let mut keys: Vec<i32> = Vec::with_capacity(count);
        for _ in 0..count {
            let key = match used {
                0..=256 => i32::from(self.array::<1>()?[0]),
                257..=65_536 => i32::from(u16::from_le_bytes(self.array()?)),
                _ => i32::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| short())?,
            };
            keys.push(key);
        }
        let keys = Int32Array::new(keys.into(), nulls);
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(values)))?))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], StoreError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.take(N)?.try_into().map_err(|_| short())
    }
}

fn short() -> StoreError {
    StoreError::Invalid("a frame of the log ends early".into())
}
