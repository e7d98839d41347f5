//! The checksums of a segment: of every byte of the file, and of its end, which is what is read when it is opened: the index of its
//! pages and the footer. The eight digits of both are taken as zeros.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::disk::Disk;

/// What the digits follow in the footer: their key, and how Thrift begins a text of fourteen bytes in the next field.
const MARK: &[u8] = b"takt.sum\x18\x0ecrc32=";
/// Those of the end of the file.
const END_MARK: &[u8] = b"takt.end_sum\x18\x0ecrc32=";
/// What the place of the end follows in the footer, and the length of its text.
const END_PLACE: &[u8] = b"takt.end\x18";
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
    /// Where the end begins.
    end: u64,
    end_crc: crc32fast::Hasher,
}

impl Summed {
    /// Of an empty file.
    pub(super) fn new(disk: Arc<dyn Disk>, file: File) -> Self {
        Self { disk, file, written: 0, crc: crc32fast::Hasher::new(), end: u64::MAX, end_crc: crc32fast::Hasher::new() }
    }

    /// What is written from this byte on is the end of the file; it has not been written yet, or is still held back.
    pub(super) fn end_at(&mut self, end: u64) {
        self.end = end;
    }

    /// What the footer says until the file is complete.
    pub(super) fn placeholder() -> String {
        String::from_utf8_lossy(&[NAME, ZEROS].concat()).into_owned()
    }

    /// Puts the checksum into the complete file.
    pub(super) fn seal(self) -> io::Result<File> {
        let footer = Footer::read(&self.file)?;
        for (mark, crc) in [(MARK, self.crc), (END_MARK, self.end_crc)] {
            let place = footer.as_ref().and_then(|footer| footer.digits(mark));
            let place = place.ok_or_else(|| io::Error::other("the footer has no place for its checksum"))?;
            self.disk.write_at(&self.file, format!("{:08x}", crc.finalize()).as_bytes(), place)?;
        }
        Ok(self.file)
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write_at(&self.file, bytes, self.written)?;
        let before_end = usize::try_from(self.end.saturating_sub(self.written)).unwrap_or(usize::MAX);
        self.end_crc.update(bytes.get(before_end..).unwrap_or_default());
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
    let Some(footer) = Footer::read(file)? else { return Ok(None) };
    footer.digits(MARK).map(|said| footer.holds_from(file, 0, said)).transpose()
}

/// Whether the end of a file still is what was written; `None` where it has no checksum of it.
pub(super) fn end_holds(file: &File) -> io::Result<Option<bool>> {
    let Some(footer) = Footer::read(file)? else { return Ok(None) };
    match (footer.end(), footer.digits(END_MARK)) {
        (None, None) => Ok(None),
        (Some(end), Some(said)) => footer.holds_from(file, end, said).map(Some),
        _ => Ok(Some(false)),
    }
}

/// The footer of a Parquet file.
struct Footer {
    start: u64,
    bytes: Vec<u8>,
    /// Length of the file.
    length: u64,
}

impl Footer {
    fn read(file: &File) -> io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        let mut tail = [0; 4];
        let Some(tail_at) = length.checked_sub(TAIL) else { return Ok(None) };
        file.read_exact_at(&mut tail, tail_at)?;
        let footer = u64::from(u32::from_le_bytes(tail));
        let Some(start) = tail_at.checked_sub(footer) else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(footer).unwrap_or_default()];
        file.read_exact_at(&mut bytes, start)?;
        Ok(Some(Self { start, bytes, length }))
    }

    /// Where the digits behind a mark are.
    fn digits(&self, mark: &[u8]) -> Option<u64> {
        let found = self.bytes.windows(mark.len() + ZEROS.len()).rposition(|window| window.starts_with(mark));
        found.map(|found| self.start + (found + mark.len()) as u64)
    }

    /// Where the end of the file begins.
    fn end(&self) -> Option<u64> {
        let found = self.bytes.windows(END_PLACE.len()).rposition(|window| window == END_PLACE)?;
        let (length, rest) = self.bytes.get(found + END_PLACE.len()..)?.split_first()?;
        std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?.parse().ok()
    }

    /// Whether what stands from a byte on has the checksum whose digits are `said` there.
    fn holds_from(&self, file: &File, mut offset: u64, said: u64) -> io::Result<bool> {
        let mut zeroed: Vec<u64> = [MARK, END_MARK].iter().filter_map(|mark| self.digits(mark)).collect();
        zeroed.sort_unstable();
        let (mut crc, mut digits) = (crc32fast::Hasher::new(), [0; 8]);
        file.read_exact_at(&mut digits, said)?;
        let mut buffer = vec![0; 1 << 20];
        while offset < self.length {
            let next = zeroed.iter().copied().find(|place| *place >= offset).unwrap_or(self.length);
            let end = if offset == next { next + 8 } else { next.min(offset + buffer.len() as u64) };
            let part = buffer.get_mut(..usize::try_from(end - offset).unwrap_or_default()).unwrap_or_default();
            file.read_exact_at(part, offset)?;
            crc.update(if offset == next { ZEROS } else { part });
            offset = end;
        }
        Ok(format!("{:08x}", crc.finalize()).as_bytes() == digits)
    }
}
