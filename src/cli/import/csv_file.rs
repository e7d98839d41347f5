//! CSV with a header line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};
use oee::tables::{Column, Table};

use super::chunk::{Body, CHUNK_ROWS, Chunk, Chunks, Places, Refusal};
use super::columns::{self, Builder, Cell};
use super::csv_lines::CsvLines;

/// A header is looked at so far, bytes.
const LONGEST_HEADER: u64 = 64 << 10;
/// What can separate cells.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// A CSV file whose header names columns of one table.
pub(super) struct CsvFile {
    reader: Reader<File>,
    lines: CsvLines,
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
        if let Some(name) =
            names.iter().enumerate().find_map(|(place, name)| names[..place].contains(name).then_some(name))
        {
            bail!("the header names `{name}` twice");
        }
        columns::require(table, &names, columns::required(table))?;
        let fields: Vec<Field> = columns.iter().map(|column| columns::field(column)).collect();
        let lines = CsvLines::open(path).context("cannot be opened")?;
        Ok(Self { reader, lines, columns, schema: Arc::new(Schema::new(fields)), size })
    }

    fn row(&self, record: &StringRecord) -> Result<Vec<Cell>, String> {
        self.columns.iter().zip(record).map(|(column, text)| columns::cell(column, text)).collect()
    }

    /// Reads one record. `Ok(None)` is the end of the file, `Ok(Some(Err(..)))` a record that is wrong in itself.
    fn read(&mut self, record: &mut StringRecord) -> anyhow::Result<Option<Result<u64, Refusal>>> {
        match self.reader.read_record(record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let start = record.position().map_or(0, csv::Position::byte);
                let line = self.lines.at(start)?;
                if self.reader.position().byte() >= self.size && self.lines.is_open(start)? {
                    let message =
                        "a quote opens in this row and none closes it: what comes behind it cannot be told apart";
                    return Ok(Some(Err((line.to_string(), message.to_owned()))));
                }
                Ok(Some(Ok(line)))
            }
            Err(error) => {
                let line = error.position().map_or(Ok(0), |position| self.lines.at(position.byte()))?.to_string();
                match error.kind() {
                    ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        Ok(Some(Err((line, format!("{len} cells where the header has {expected_len}")))))
                    }
                    ErrorKind::Utf8 { .. } => Ok(Some(Err((line, "not UTF-8; convert the file first".to_owned())))),
                    _ => Err(error.into()),
                }
            }
        }
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
        while lines.len() + refusals.len() < CHUNK_ROWS {
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
