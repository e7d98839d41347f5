//! CSV with a header line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};
use oee::tables::{Column, Table};

use super::chunk::{Body, CHUNK_BYTES, CHUNK_ROWS, Chunk, Chunks, Places, Refusal, too_long};
use super::columns::{self, Builder, Cell};
use super::csv_lines::CsvLines;
use super::csv_quotes::Quotes;

/// A header is looked at so far, bytes.
const LONGEST_HEADER: u64 = 64 << 10;
/// What can separate cells.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// A CSV file whose header names columns of one table.
pub(super) struct CsvFile {
    reader: Reader<File>,
    lines: CsvLines,
    /// The same file, to look at what the parser has read.
    raw: File,
    separator: u8,
    columns: Vec<&'static Column>,
    schema: SchemaRef,
    size: u64,
}

impl CsvFile {
    pub(super) fn open(path: &Path, table: &'static Table) -> anyhow::Result<Self> {
        let mut file = File::open(path).context("cannot be opened")?;
        let size = file.metadata()?.len();
        let separator = separator(&mut file).context("the header line cannot be read")?;
        let mut reader = ReaderBuilder::new().delimiter(separator).buffer_capacity(1 << 20).from_reader(file);
        let headers = reader.headers().context("the header line cannot be read")?.clone();
        // Spreadsheets put a byte order mark before the first name.
        let names: Vec<&str> = headers.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
        let columns: Vec<&'static Column> =
            names.iter().map(|name| columns::named(table, name)).collect::<anyhow::Result<_>>()?;
        columns::require(table, &names, columns::required(table))?;
        let fields: Vec<Field> = columns.iter().map(|column| columns::field(column)).collect();
        let lines = CsvLines::open(path).context("cannot be opened")?;
        let raw = File::open(path).context("cannot be opened")?;
        Ok(Self { reader, lines, raw, separator, columns, schema: Arc::new(Schema::new(fields)), size })
    }

    fn row(&self, record: &StringRecord) -> Result<Vec<Cell>, String> {
        self.columns.iter().zip(record).map(|(column, text)| columns::cell(column, text)).collect()
    }

    /// Reads one record. `Ok(None)` is the end of the file, `Ok(Some(Err(..)))` a record that is wrong in itself.
    fn read(&mut self, record: &mut StringRecord) -> anyhow::Result<Option<Result<u64, Refusal>>> {
        let wrong = match self.reader.read_record(record) {
            Ok(false) => return Ok(None),
            Ok(true) => {
                let row = record.position().map_or(0, csv::Position::byte)..self.reader.position().byte();
                let line = self.lines.at(row.start)?;
                let (bytes, end) = (row.end - row.start, row.end);
                let may_be_several = record.as_byte_record().as_slice().contains(&b'\n') || end >= self.size;
                let complaint = if may_be_several { self.complaint(row)? } else { None };
                let complaint = complaint.or_else(|| (bytes > CHUNK_BYTES).then(|| too_long(bytes)));
                return Ok(Some(complaint.map_or(Ok(line), |message| Err((line.to_string(), message)))));
            }
            Err(error) => error,
        };
        let message = match wrong.kind() {
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} cells where the header has {expected_len}")
            }
            ErrorKind::Utf8 { .. } => "not UTF-8; convert the file first".to_owned(),
            _ => return Err(wrong.into()),
        };
        let row = wrong.position().map_or(0, csv::Position::byte)..self.reader.position().byte();
        let line = self.lines.at(row.start)?.to_string();
        Ok(Some(Err((line, self.complaint(row)?.unwrap_or(message)))))
    }

    /// Why the rows in these bytes, of which the parser made one, cannot be told apart.
    fn complaint(&mut self, row: Range<u64>) -> io::Result<Option<String>> {
        Ok(Quotes::of(&mut self.raw, row, self.separator)?.complaint())
    }
}

/// What separates the names of the header: a comma, or a semicolon or tab as spreadsheets write where the decimal sign is a
/// comma. The file is left at its beginning.
fn separator(file: &mut File) -> io::Result<u8> {
    let mut header = Vec::new();
    BufReader::new(file.by_ref().take(LONGEST_HEADER)).read_until(b'\n', &mut header)?;
    file.rewind()?;
    let mut quoted = false;
    let mut counts = SEPARATORS.map(|separator| (separator, 0));
    for byte in header {
        quoted ^= byte == b'"';
        for (_, count) in counts.iter_mut().filter(|(separator, _)| *separator == byte && !quoted) {
            *count += 1;
        }
    }
    // Of those that stand equally often the first one.
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    Ok(most.map_or(b',', |(separator, _)| separator))
}

impl Chunks for CsvFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let start = self.reader.position().byte();
        let mut builders: Vec<Builder> = self.columns.iter().map(|column| Builder::new(column.kind)).collect();
        let (mut lines, mut refusals) = (Vec::new(), Vec::new());
        let mut record = StringRecord::new();
        while lines.len() + refusals.len() < CHUNK_ROWS && self.reader.position().byte() - start < CHUNK_BYTES {
            let line = match self.read(&mut record)? {
                None => break,
                Some(Ok(line)) => line,
                Some(Err(refusal)) => {
                    refusals.push(refusal);
                    continue;
                }
            };
            match self.row(&record) {
                Ok(cells) => {
                    builders.iter_mut().zip(cells).for_each(|(builder, cell)| builder.push(cell));
                    lines.push(line);
                }
                Err(message) => refusals.push((line.to_string(), message)),
            }
        }
        if lines.is_empty() && refusals.is_empty() {
            return Ok(None);
        }
        let rows = RecordBatch::try_new(self.schema.clone(), builders.into_iter().map(Builder::finish).collect())?;
        let size = self.reader.position().byte() - start;
        Ok(Some(Chunk { batch: Body::Rows { rows, places: Places::Lines(lines) }, refusals, size }))
    }
}
