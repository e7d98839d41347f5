//! Pages of a segment as its columns are read.
//!
//! The Parquet library makes a context to compress and another to decompress for every column of every row group that it
//! opens, which takes longer than a page. Here a thread has one for all that it reads; everything else is the library's.
//! Dictionaries that were read last are kept: whoever wants one row needs all of the dictionary.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

use super::recent::{ChunkKey, Recent};

/// Bytes of dictionaries that are kept.
const DICTIONARY_BYTES: usize = 32 << 20;
/// A smaller dictionary is decompressed as fast as it is found.
const SMALL_BYTES: usize = 8 << 10;

/// Dictionaries that were read last, decompressed.
static DICTIONARIES: LazyLock<Mutex<Recent<Bytes>>> = LazyLock::new(|| Mutex::new(Recent::new(DICTIONARY_BYTES)));

fn dictionaries() -> MutexGuard<'static, Recent<Bytes>> {
    DICTIONARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Some row groups of a segment.
pub(super) struct Groups {
    segment: u64,
    source: Arc<Source>,
    metadata: Arc<ParquetMetaData>,
    groups: Vec<usize>,
    /// Whether little of them is read: their dictionaries are worth keeping.
    keeps: bool,
}

impl Groups {
    /// The row groups that hold rows of `ranges`, which are in order and apart, and these as places in what the groups hold.
    /// `segment` is a number that no other file has.
    pub(super) fn of(
        segment: u64,
        file: File,
        metadata: &Arc<ParquetMetaData>,
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Result<(Self, Vec<Range<usize>>)> {
        let (mut groups, mut within, mut skipped) = (Vec::new(), Vec::new(), 0);
        let mut bounds = Bounds::of(metadata);
        for range in ranges {
            let mut start = range.start;
            while start < range.end {
                let Some((group, rows)) = bounds.around(start) else { break };
                if groups.last() != Some(&group) {
                    // What lies between the row groups that are read is no row of theirs.
                    skipped = rows.start - groups.iter().map(|&group| rows_of(metadata, group)).sum::<usize>();
                    groups.push(group);
                }
                let end = range.end.min(rows.end);
                within.push(start - skipped..end - skipped);
                start = end;
            }
        }
        let (source, metadata) = (Arc::new(Source::of(file)?), Arc::clone(metadata));
        let all: usize = groups.iter().map(|&group| rows_of(&metadata, group)).sum();
        let keeps = 2 * within.iter().map(ExactSizeIterator::len).sum::<usize>() <= all;
        Ok((Self { segment, source, metadata, groups, keeps }, within))
    }
}

/// Goes through the row groups of a file.
struct Bounds<'a> {
    metadata: &'a ParquetMetaData,
    group: usize,
    start: usize,
}

impl<'a> Bounds<'a> {
    fn of(metadata: &'a ParquetMetaData) -> Self {
        Self { metadata, group: 0, start: 0 }
    }

    /// The row group of a row that is not before the last one asked for, and which rows it has.
    fn around(&mut self, row: usize) -> Option<(usize, Range<usize>)> {
        while self.group < self.metadata.num_row_groups() {
            let end = self.start + rows_of(self.metadata, self.group);
            if row < end {
                return Some((self.group, self.start..end));
            }
            (self.group, self.start) = (self.group + 1, end);
        }
        None
    }
}

fn rows_of(metadata: &ParquetMetaData, group: usize) -> usize {
    let rows = metadata.row_groups().get(group).map_or(0, RowGroupMetaData::num_rows);
    usize::try_from(rows).unwrap_or_default()
}

impl RowGroups for Groups {
    fn num_rows(&self) -> usize {
        self.groups.iter().map(|&group| rows_of(&self.metadata, group)).sum()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let (source, metadata) = (Arc::clone(&self.source), Arc::clone(&self.metadata));
        let groups = self.groups.clone().into_iter();
        Ok(Box::new(Chunks { segment: self.segment, source, metadata, groups, column, keeps: self.keeps }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.groups.iter().filter_map(|&group| self.metadata.row_groups().get(group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// One column of some row groups.
struct Chunks {
    segment: u64,
    source: Arc<Source>,
    metadata: Arc<ParquetMetaData>,
    groups: IntoIter<usize>,
    column: usize,
    keeps: bool,
}

impl Iterator for Chunks {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = (self.segment, self.groups.next()?, self.column);
        let pages = Pages::of(&self.source, &self.metadata, key, self.keeps);
        Some(pages.map(|pages| Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Chunks {}

/// The pages of one column of one row group.
struct Pages {
    key: ChunkKey,
    keeps: bool,
    /// Where they are compressed by Zstandard it is told that they are not compressed.
    reader: SerializedPageReader<Source>,
    is_compressed: bool,
}

impl Pages {
    fn of(source: &Arc<Source>, metadata: &ParquetMetaData, key: ChunkKey, keeps: bool) -> Result<Self> {
        let (_, group, column) = key;
        let chunk = metadata.row_groups().get(group).and_then(|group| group.columns().get(column));
        let chunk = chunk.ok_or_else(|| ParquetError::General(format!("no column {column} in row group {group}")))?;
        let places = metadata.offset_index().and_then(|places| places.get(group)?.get(column));
        let places = places.map(|places| places.page_locations().clone());
        let is_compressed = matches!(chunk.compression(), Compression::ZSTD(_));
        let plain = if is_compressed { Some(uncompressed(chunk)?) } else { None };
        let rows = rows_of(metadata, group);
        let reader = SerializedPageReader::new(Arc::clone(source), plain.as_ref().unwrap_or(chunk), rows, places)?;
        Ok(Self { key, keeps, reader, is_compressed })
    }

    fn opened(&self, page: Page) -> Result<Page> {
        Ok(match page {
            page if !self.is_compressed => page,
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
                let buf = decompressed(&buf, 0)?;
                Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics }
            }
            Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
                let known = dictionaries().find(self.key);
                let buf = match known {
                    Some(page) => page,
                    None => {
                        let page = decompressed(&buf, 0)?;
                        if self.keeps && page.len() >= SMALL_BYTES {
                            dictionaries().keep(self.key, page.clone(), page.len());
                        }
                        page
                    }
                };
                Page::DictionaryPage { buf, num_values, encoding, is_sorted }
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed,
                statistics,
            } => {
                let levels = def_levels_byte_len as usize + rep_levels_byte_len as usize;
                let buf = if is_compressed { decompressed(&buf, levels)? } else { buf };
                Page::DataPageV2 {
                    buf,
                    num_values,
                    encoding,
                    num_nulls,
                    num_rows,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    is_compressed: false,
                    statistics,
                }
            }
        })
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.reader.get_next_page()?.map(|page| self.opened(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.reader.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.reader.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.reader.at_record_boundary()
    }
}

/// What a reader of pages asks of a chunk, said of one that is not compressed.
fn uncompressed(chunk: &ColumnChunkMetaData) -> Result<ColumnChunkMetaData> {
    ColumnChunkMetaData::builder(chunk.column_descr_ptr())
        .set_compression(Compression::UNCOMPRESSED)
        .set_num_values(chunk.num_values())
        .set_data_page_offset(chunk.data_page_offset())
        .set_dictionary_page_offset(chunk.dictionary_page_offset())
        .set_total_compressed_size(chunk.compressed_size())
        .build()
}

/// `page` with all behind its first `plain` bytes decompressed.
fn decompressed(page: &Bytes, plain: usize) -> Result<Bytes> {
    let general =
        |error: &dyn std::fmt::Display| ParquetError::General(format!("a page cannot be decompressed: {error}"));
    let Some((levels, pressed)) = page.split_at_checked(plain) else {
        return Err(general(&"it is shorter than its levels"));
    };
    // Behind levels there may be no value.
    if pressed.is_empty() && plain > 0 {
        return Ok(page.clone());
    }
    let length = get_frame_content_size(pressed).map_err(|_| general(&"it is no Zstandard frame"))?;
    let length = length.filter(|length| *length <= i32::MAX as u64).and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or_else(|| general(&"it does not say how long it is"))?;
    let values = DECOMPRESSOR.with(|decompressor| {
        let mut decompressor = decompressor.borrow_mut();
        let decompressor = match &mut *decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        decompressor.decompress(pressed, length)
    });
    let values = values.map_err(|error| general(&error))?;
    Ok(if levels.is_empty() { values.into() } else { [levels, &values].concat().into() })
}

/// A file that many read at once.
struct Source {
    file: File,
    length: u64,
}

impl Source {
    fn of(file: File) -> Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Source {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| self.length < end) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.length)));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests;
