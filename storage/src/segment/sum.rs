//! The checksum of a segment: of every byte of the file, its own eight digits taken as zeros.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::disk::Disk;

/// What the digits follow in the footer: their key, and how Thrift begins a text of fourteen bytes in the next field.
const MARK: &[u8] = b"takt.sum\x18\x0ecrc32=";
/// What of it is in the value.
const NAME: &[u8] = b"crc32=";
/// The digits until they are known.
const ZEROS: &[u8; 8] = b"00000000";
/// The end of a Parquet file: length of its footer, and a word.
const TAIL: u64 = 8;

/// A file that is being written, and the checksum of what was written so far.
pub(super) struct Summed {
    disk: Arc<dyn Disk>,
    file: File,
    written: u64,
    crc: crc32fast::Hasher,
}

impl Summed {
    /// Of an empty file.
    pub(super) fn new(disk: Arc<dyn Disk>, file: File) -> Self {
        Self { disk, file, written: 0, crc: crc32fast::Hasher::new() }
    }

    /// What the footer says until the file is complete.
    pub(super) fn placeholder() -> String {
        String::from_utf8_lossy(&[NAME, ZEROS].concat()).into_owned()
    }

    /// Puts the checksum into the complete file.
    pub(super) fn seal(self) -> io::Result<File> {
        let Some(place) = digits(&self.file)? else {
            return Err(io::Error::other("the footer has no place for its checksum"));
        };
        self.disk.write_at(&self.file, format!("{:08x}", self.crc.finalize()).as_bytes(), place)?;
        Ok(self.file)
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write_at(&self.file, bytes, self.written)?;
        self.written += bytes.len() as u64;
        self.crc.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a file still is what was written; `None` where it has no checksum.
pub(crate) fn holds(file: &File) -> io::Result<Option<bool>> {
    let Some(place) = digits(file)? else { return Ok(None) };
    let length = file.metadata()?.len();
    let (mut crc, mut offset, mut said) = (crc32fast::Hasher::new(), 0, [0; 8]);
    file.read_exact_at(&mut said, place)?;
    let mut buffer = vec![0; 1 << 20];
    while offset < length {
        let end = if offset == place { place + 8 } else { length.min(offset + buffer.len() as u64) };
        let end = if offset < place { end.min(place) } else { end };
        let part = buffer.get_mut(..usize::try_from(end - offset).unwrap_or_default()).unwrap_or_default();
        file.read_exact_at(part, offset)?;
        crc.update(if offset == place { ZEROS } else { part });
        offset = end;
    }
    Ok(Some(format!("{:08x}", crc.finalize()).as_bytes() == said))
}

/// Where the digits are.
fn digits(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut tail = [0; 4];
    let Some(tail_at) = length.checked_sub(TAIL) else { return Ok(None) };
    file.read_exact_at(&mut tail, tail_at)?;
    let footer = u64::from(u32::from_le_bytes(tail));
    let Some(start) = tail_at.checked_sub(footer) else { return Ok(None) };
    let mut bytes = vec![0; usize::try_from(footer).unwrap_or_default()];
    file.read_exact_at(&mut bytes, start)?;
    let mark = bytes.windows(MARK.len() + ZEROS.len()).rposition(|window| window.starts_with(MARK));
    Ok(mark.map(|mark| start + (mark + MARK.len()) as u64))
}
