//! One column of a row group on its way into a file: pages of compressed values, their bounds and places.
//!
//! Written here and not by the Parquet library's own column writers: those look every row up in a dictionary, where rows
//! sorted by key come in runs, and pack to single bits, which hides from the compression what comes again.

use std::ops::Range;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::flags::Flags;
use super::numbers::Numbers;
use super::texts::Texts;
use super::times::Times;
use super::{ROWS_PER_PAGE, hybrid};

/// Rows of a page of times or of measured values. An hour of a signal by the second: a reader of a short time decodes
/// little beside it. Half of it would read a little faster and take a twentieth more room. Names come in runs that are
/// decoded as runs, and have larger pages.
const FINE: usize = 4_096;

/// What a kind of column makes of its values.
pub(super) trait Encode: Send {
    /// Takes rows of `column`, none of them NULL, into the present page, and gives how many: fewer where it is full.
    fn take(&mut self, column: &ArrayRef, rows: Range<usize>) -> Result<usize, ParquetError>;
    /// Whether the present page ends whatever its number of rows.
    fn is_full(&self) -> bool {
        false
    }
    /// Appends the values of the present page to `out` and begins another.
    fn end_page(&mut self, out: &mut Vec<u8>) -> Page;
    /// The dictionary that pages refer to, where there is one.
    fn dictionary(&mut self) -> Option<Dictionary>;
    /// Bounds of all values.
    fn statistics(&self, nulls: u64) -> Statistics;
    /// Memory that values take which are not in a page yet.
    fn bytes(&self) -> usize;
    /// What tells which values are not there.
    fn bloom(&mut self) -> Option<Sbbf> {
        None
    }
}

/// What is known of a page.
pub(super) struct Page {
    pub(super) encoding: Encoding,
    /// The smallest and the largest value as Parquet writes them; `None` where there is none, or no order.
    pub(super) bounds: Option<(Vec<u8>, Vec<u8>)>,
    /// Neither bound is below that of the page before.
    pub(super) follows: bool,
}

/// The bounds of the page before, and of all pages.
#[derive(Default)]
pub(super) struct Extremes<T> {
    before: Option<(T, T)>,
    pub(super) all: Option<(T, T)>,
}

impl<T: Copy + Ord> Extremes<T> {
    /// Takes the values of a page in; gives their bounds, and whether neither is below that of the page before.
    pub(super) fn note(&mut self, page: &[T]) -> (Option<(T, T)>, bool) {
        let bounds = page.iter().min().zip(page.iter().max()).map(|(low, high)| (*low, *high));
        let Some((low, high)) = bounds else { return (None, true) };
        let follows = self.before.is_none_or(|before| before.0 <= low && before.1 <= high);
        self.before = bounds;
        self.all = Some(self.all.map_or((low, high), |all| (all.0.min(low), all.1.max(high))));
        (bounds, follows)
    }
}

pub(super) struct Dictionary {
    pub(super) entries: usize,
    pub(super) page: Vec<u8>,
}

/// How much work a file is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Rows wait for it.
    Quick,
    /// It is read more often than written.
    Thorough,
}

/// The compression of one file.
pub(super) struct Press(zstd::bulk::Compressor<'static>);

impl Press {
    pub(super) fn new(effort: Effort) -> Result<Self, ParquetError> {
        let mut compressor = zstd::bulk::Compressor::new(match effort {
            Effort::Quick => 1,
            // Measured: 1.3 to 1.0 bytes of a time; higher levels gain a hundredth for twice the work.
            Effort::Thorough => 3,
        })?;
        // A reader that decompresses a page then also checks it.
        compressor.include_checksum(true)?;
        Ok(Self(compressor))
    }

    pub(super) fn compress(&mut self, page: &[u8]) -> Result<Bytes, ParquetError> {
        Ok(self.0.compress(page)?.into())
    }
}

pub(super) struct Chunk {
    descriptor: ColumnDescPtr,
    values: Box<dyn Encode>,
    /// Rows of a page.
    page_rows: usize,
    /// The present page: whether there is a value, and in how many rows.
    levels: Vec<(u32, usize)>,
    rows: usize,
    nulls: usize,
    /// The pages before.
    body: TrackedWrite<Vec<u8>>,
    /// Their bytes before compression.
    uncompressed: usize,
    bounds: ColumnIndexBuilder,
    places: OffsetIndexBuilder,
    pages: Vec<PageEncodingStats>,
    ascending: bool,
    total_rows: usize,
    total_nulls: usize,
}

impl Chunk {
    /// A column of texts (plain or as dictionaries), doubles, 64-bit integers, microseconds or flags.
    pub(super) fn new(
        descriptor: ColumnDescPtr,
        kind: &DataType,
        bloom: bool,
        effort: Effort,
    ) -> Result<Self, ParquetError> {
        let values: Box<dyn Encode> = match kind {
            DataType::Utf8 | DataType::Dictionary(..) => Box::new(Texts::new(bloom)?),
            DataType::Float64 | DataType::Int64 => Box::new(Numbers::new(kind, effort)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Box::new(Times::default()),
            DataType::Boolean => Box::new(Flags::default()),
            other => return Err(ParquetError::General(format!("no segment holds a column of {other}"))),
        };
        Ok(Self {
            bounds: ColumnIndexBuilder::new(descriptor.physical_type()),
            descriptor,
            values,
            page_rows: if matches!(kind, DataType::Timestamp(..) | DataType::Float64) { FINE } else { ROWS_PER_PAGE },
            levels: Vec::new(),
            rows: 0,
            nulls: 0,
            body: TrackedWrite::new(Vec::new()),
            uncompressed: 0,
            places: OffsetIndexBuilder::new(),
            pages: Vec::new(),
            ascending: true,
            total_rows: 0,
            total_nulls: 0,
        })
    }

    /// Bytes of it in memory.
    pub(super) fn bytes(&self) -> usize {
        self.body.bytes_written() + self.values.bytes()
    }

    pub(super) fn append(&mut self, column: &ArrayRef, press: &mut Press) -> Result<(), ParquetError> {
        let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
            return self.append_values(column, 0..column.len(), press);
        };
        let mut end = 0;
        for (start, next) in nulls.valid_slices() {
            self.append_nulls(start - end, press)?;
            self.append_values(column, start..next, press)?;
            end = next;
        }
        self.append_nulls(column.len() - end, press)
    }

    fn append_nulls(&mut self, mut count: usize, press: &mut Press) -> Result<(), ParquetError> {
        while count > 0 {
            let taken = count.min(self.page_rows - self.rows);
            self.nulls += taken;
            self.add_rows(0, taken, press)?;
            count -= taken;
        }
        Ok(())
    }

    fn append_values(&mut self, column: &ArrayRef, rows: Range<usize>, press: &mut Press) -> Result<(), ParquetError> {
        let mut start = rows.start;
        while start < rows.end {
            let end = rows.end.min(start + self.page_rows - self.rows);
            let taken = self.values.take(column, start..end)?;
            if taken == 0 && self.rows == 0 {
                return Err(ParquetError::General("a page takes no row".to_owned()));
            }
            self.add_rows(1, taken, press)?;
            start += taken;
        }
        Ok(())
    }

    fn add_rows(&mut self, level: u32, count: usize, press: &mut Press) -> Result<(), ParquetError> {
        match self.levels.last_mut() {
            Some((last, so_far)) if *last == level => *so_far += count,
            _ => self.levels.push((level, count)),
        }
        self.rows += count;
        if self.rows >= self.page_rows || self.values.is_full() {
            self.end_page(press)?;
        }
        Ok(())
    }

    fn end_page(&mut self, press: &mut Press) -> Result<(), ParquetError> {
        let mut page = Vec::new();
        if self.descriptor.max_def_level() > 0 {
            page.extend([0; 4]);
            hybrid::encode(self.levels.iter().copied(), 1, &mut page);
            let length = u32::try_from(page.len() - 4).unwrap_or_default().to_le_bytes();
            page.iter_mut().zip(length).for_each(|(byte, length)| *byte = length);
        }
        let Page { encoding, bounds, follows } = self.values.end_page(&mut page);
        let (rows, nulls) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.nulls));
        self.levels.clear();
        match bounds {
            Some((low, high)) => self.bounds.append(false, low, high, count(nulls)),
            None if nulls == rows => self.bounds.append(true, Vec::new(), Vec::new(), count(nulls)),
            // Nothing but NaN: no bounds say so, and those of a whole column are complete or none.
            None => self.bounds.to_invalid(),
        }
        self.ascending &= follows;
        let size = page.len();
        let page = parquet::column::page::Page::DataPage {
            buf: press.compress(&page)?,
            num_values: u32::try_from(rows).unwrap_or_default(),
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = SerializedPageWriter::new(&mut self.body).write_page(CompressedPage::new(page, size))?;
        self.uncompressed += page.uncompressed_size;
        let compressed = i32::try_from(page.compressed_size).unwrap_or(i32::MAX);
        self.places.append_offset_and_size(i64::try_from(page.offset).unwrap_or(i64::MAX), compressed);
        self.places.append_row_count(count(rows));
        self.note_page(PageType::DATA_PAGE, encoding);
        self.total_rows += rows;
        self.total_nulls += nulls;
        Ok(())
    }

    fn note_page(&mut self, page_type: PageType, encoding: Encoding) {
        match self.pages.iter_mut().find(|pages| pages.page_type == page_type && pages.encoding == encoding) {
            Some(pages) => pages.count += 1,
            None => self.pages.push(PageEncodingStats { page_type, encoding, count: 1 }),
        }
    }

    /// Ends the chunk: its bytes, and what a row group says of them.
    pub(super) fn finish(mut self, press: &mut Press) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        if self.rows > 0 {
            self.end_page(press)?;
        }
        let mut start = TrackedWrite::new(Vec::new());
        let dictionary = self.values.dictionary();
        if let Some(Dictionary { entries, page }) = dictionary {
            let size = page.len();
            let page = parquet::column::page::Page::DictionaryPage {
                buf: press.compress(&page)?,
                num_values: u32::try_from(entries).unwrap_or_default(),
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let page = SerializedPageWriter::new(&mut start).write_page(CompressedPage::new(page, size))?;
            self.uncompressed += page.uncompressed_size;
            self.note_page(PageType::DICTIONARY_PAGE, Encoding::PLAIN);
        }
        let dictionary_bytes = start.bytes_written();
        let mut bytes = start.into_inner()?;
        bytes.append(&mut self.body.into_inner()?);
        let mut encodings: Vec<Encoding> = self.pages.iter().map(|pages| pages.encoding).collect();
        encodings.push(Encoding::RLE);
        if self.ascending {
            self.bounds.set_boundary_order(BoundaryOrder::ASCENDING);
        }
        let metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(encodings)
            .set_page_encoding_stats(self.pages)
            .set_total_compressed_size(count(bytes.len()))
            .set_total_uncompressed_size(count(self.uncompressed))
            .set_num_values(count(self.total_rows))
            .set_data_page_offset(0)
            .set_statistics(self.values.statistics(self.total_nulls as u64))
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.total_rows as u64,
            metadata,
            bloom_filter: self.values.bloom(),
            column_index: if self.bounds.valid() { Some(self.bounds.build()?) } else { None },
            offset_index: Some(self.places.build()),
        };
        Ok((bytes.into(), closed.update_dictionary_location(dictionary_bytes)?))
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An array that is not of its column's type.
pub(super) fn foreign(array: &dyn Array) -> ParquetError {
    ParquetError::General(format!("a column changed its type to {}", array.data_type()))
}
