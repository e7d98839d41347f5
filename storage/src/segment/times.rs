//! Time columns: differences, in whole bytes and from one base for a whole series, so that equal differences look equal to
//! the compression.
//!
//! Source: Parquet format, "Delta Encoding (DELTA_BINARY_PACKED = 5)".

use std::ops::Range;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;

use super::chunk::{Dictionary, Encode, Extremes, Page, foreign};
use super::hybrid::{varint, zigzag};

const BLOCK: usize = 256;
const PARTS: usize = 4;

#[derive(Default)]
pub(super) struct Times {
    /// The present page: microseconds UTC.
    page: Vec<i64>,
    extremes: Extremes<i64>,
}

impl Encode for Times {
    fn take(&mut self, column: &ArrayRef, rows: Range<usize>) -> Result<usize, ParquetError> {
        let times = column.as_primitive_opt::<TimestampMicrosecondType>();
        let Some(times) = times else { return Err(foreign(column.as_ref())) };
        self.page.extend(times.values().get(rows.clone()).unwrap_or_default());
        Ok(rows.len())
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> Page {
        write_deltas(&self.page, out);
        let (page, follows) = self.extremes.note(&self.page);
        self.page.clear();
        let bytes = |time: i64| time.to_le_bytes().to_vec();
        let bounds = page.map(|(low, high)| (bytes(low), bytes(high)));
        Page { encoding: Encoding::DELTA_BINARY_PACKED, bounds, follows }
    }

    fn dictionary(&mut self) -> Option<Dictionary> {
        None
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let (low, high) = self.extremes.all.unzip();
        Statistics::int64(low, high, None, Some(nulls), false)
    }

    fn bytes(&self) -> usize {
        self.page.len() * size_of::<i64>()
    }
}

fn write_deltas(times: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint(PARTS as u64, out);
    varint(times.len() as u64, out);
    zigzag(times.first().copied().unwrap_or_default(), out);
    let deltas: Vec<i64> = times.iter().zip(times.iter().skip(1)).map(|(one, next)| next.wrapping_sub(*one)).collect();
    let blocks: Vec<(&[i64], i64)> =
        deltas.chunks(BLOCK).map(|block| (block, block.iter().copied().min().unwrap_or_default())).collect();
    // Within a series times only grow; a block in which they fall holds the end of one, and has its own base.
    for series in blocks.chunk_by(|(_, one), (_, next)| (*one < 0) == (*next < 0)) {
        let base = series.iter().map(|(_, least)| *least).min().unwrap_or_default();
        for (block, least) in series {
            write_block(block, if base < 0 { *least } else { base }, out);
        }
    }
}

fn write_block(deltas: &[i64], base: i64, out: &mut Vec<u8>) {
    zigzag(base, out);
    let above = |delta: &i64| delta.wrapping_sub(base).cast_unsigned();
    let widths = out.len();
    out.extend([0; PARTS]);
    for (part, deltas) in deltas.chunks(BLOCK / PARTS).enumerate() {
        let highest = deltas.iter().map(above).max().unwrap_or_default();
        let bytes = (u64::BITS - highest.leading_zeros()).div_ceil(8) as usize;
        if let Some(width) = out.get_mut(widths + part) {
            *width = u8::try_from(bytes * 8).unwrap_or(64);
        }
        let start = out.len();
        for delta in deltas {
            // Eight bytes at once, of which those that count nothing are cut off again.
            out.extend_from_slice(&above(delta).to_le_bytes());
            out.truncate(out.len() + bytes - size_of::<u64>());
        }
        out.resize(start + bytes * (BLOCK / PARTS), 0);
    }
}
