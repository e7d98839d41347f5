//! Lines of a CSV file: the parser counts one too few where lines end in CR LF, and none of those that are empty (csv 1).

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Counts lines beside the parser, which is ahead.
pub(super) struct CsvLines {
    file: BufReader<File>,
    byte: u64,
    line: u64,
}

impl CsvLines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 20, File::open(path)?), byte: 0, line: 1 })
    }

    /// The line of the row that the parser found at this byte, which is not before the one asked for last. What is left there of
    /// the line before, and empty lines, are passed over.
    pub(super) fn at(&mut self, start: u64) -> io::Result<u64> {
        while self.byte < start {
            let wanted = usize::try_from(start - self.byte).unwrap_or(usize::MAX);
            let block = self.file.fill_buf()?;
            let part = block.get(..wanted.min(block.len())).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            let (count, lines) = (part.len(), part.iter().filter(|byte| **byte == b'\n').count());
            self.pass(count, lines);
        }
        while let Some(byte @ (b'\r' | b'\n')) = self.file.fill_buf()?.first().copied() {
            self.pass(1, usize::from(byte == b'\n'));
        }
        Ok(self.line)
    }

    fn pass(&mut self, bytes: usize, lines: usize) {
        self.file.consume(bytes);
        self.byte += bytes as u64;
        self.line += lines as u64;
    }
}
