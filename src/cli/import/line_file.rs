//! Line protocol.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;

use super::chunk::{Body, Chunk, Chunks};

/// Lines in one request …
const CHUNK_LINES: u64 = 10_000;
/// … and bytes.
const CHUNK_BYTES: usize = 4 << 20;

/// A file of line protocol.
pub(super) struct LineFile {
    reader: BufReader<File>,
    next_line: u64,
    size: u64,
}

impl LineFile {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).context("cannot be opened")?;
        let size = file.metadata()?.len();
        Ok(Self { reader: BufReader::with_capacity(1 << 20, file), next_line: 1, size })
    }
}

impl Chunks for LineFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn next(&mut self) -> anyhow::Result<Option<Chunk>> {
        let first = self.next_line;
        let mut text = Vec::new();
        while self.next_line - first < CHUNK_LINES && text.len() < CHUNK_BYTES {
            if self.reader.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            self.next_line += 1;
        }
        if text.is_empty() {
            return Ok(None);
        }
        let size = text.len() as u64;
        Ok(Some(Chunk { batch: Body::Lines { text, first }, refusals: Vec::new(), size }))
    }
}
