//! The write-ahead log: files of CRC-checked frames, preallocated, written in groups, one fsync a group.
//!
//! File: magic, header length, header CRC, header (the tables and columns that its frames speak of, as JSON), frames.
//! Frame: `length u32, crc u32, position u64, group u64, recorded i64, author length u16, author, blocks`; length and CRC cover
//! what follows the CRC. Positions are consecutive over all files; `group` is the first of those that one fsync made
//! durable together. A file is reused once it is covered: frames of its former life carry positions that do not continue the
//! present ones, so they end the scan as zeros would.
//!
//! A crash tears the last group at most, which nobody was told of. A frame of a later group behind a frame that cannot be
//! read is proof of damage: that group was begun only once all before it was durable.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::disk::{Disk, create_folders, sync_error, sync_name};
use crate::error::is_full;
use crate::spec::TableSpec;

const MAGIC: &[u8; 8] = b"TAKTWAL2";
/// As it was before frames named their group.
const MAGIC_WITHOUT_GROUPS: &[u8; 8] = b"TAKTWAL1";
const FRAME_HEAD: usize = 8;
/// Position, group and recorded time.
const STAMPS: usize = 24;
/// The furthest that positions in one file can lie apart: fewer than frames fit.
const MOST_FRAMES: u64 = 1 << 32;
/// Covered files kept for reuse.
const SPARE_FILES: usize = 2;
const SPARE: &str = "spare-";

/// Which tables and columns the frames of a file speak of, in their numbering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dictionary {
    pub(crate) tables: Vec<(String, Vec<String>)>,
}

impl Dictionary {
    pub(crate) fn of(specs: &[TableSpec]) -> Self {
        let columns = |spec: &TableSpec| spec.schema.fields().iter().map(|field| field.name().clone()).collect();
        Self { tables: specs.iter().map(|spec| (spec.name.clone(), columns(spec))).collect() }
    }
}

/// A frame read back.
pub(crate) struct Frame {
    pub(crate) position: u64,
    pub(crate) recorded: i64,
    pub(crate) by: String,
    pub(crate) blocks: Vec<u8>,
}

/// The log being written.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    file_bytes: u64,
    head: Vec<u8>,
    current: Option<Current>,
    /// Closed files with the position of their first frame, oldest first.
    closed: Vec<(u64, PathBuf)>,
    spare: Vec<PathBuf>,
    next: u64,
    spare_number: u64,
}

struct Current {
    file: File,
    path: PathBuf,
    first: u64,
    offset: u64,
    capacity: u64,
}

impl Wal {
    /// Reads the log in `folder` frame by frame into `replay`, repairs its tail, and opens it for writing. Positions go on
    /// after the last frame, and after `covered`.
    pub(crate) fn recover(
        folder: &Path,
        specs: &[TableSpec],
        (disk, file_bytes): (Arc<dyn Disk>, u64),
        covered: u64,
        mut replay: impl FnMut(&Dictionary, Frame) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        create_folders(disk.as_ref(), folder)?;
        let dictionary =
            serde_json::to_vec(&Dictionary::of(specs)).map_err(|error| StoreError::Invalid(error.to_string()))?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&u32::try_from(dictionary.len()).unwrap_or_default().to_le_bytes());
        head.extend_from_slice(&crc32fast::hash(&dictionary).to_le_bytes());
        head.extend_from_slice(&dictionary);
        let (files, spare) = list(folder)?;
        for path in spare {
            disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
        }
        let mut next = None;
        for (index, (first, path)) in files.iter().enumerate() {
            let last = index + 1 == files.len();
            if next.is_some_and(|next| next != *first) {
                return Err(gap(path, next.unwrap_or_default(), *first));
            }
            let end = scan(path, *first, &mut replay)?;
            next = Some(end.next);
            if last {
                repair(disk.as_ref(), path, &end)?;
            }
        }
        if let Some(message) = next.and_then(|next| behind(next, covered)) {
            return Err(StoreError::Damaged { path: folder.to_owned(), message });
        }
        let next = next.unwrap_or(1).max(covered + 1);
        let mut wal = Self {
            disk,
            folder: folder.to_owned(),
            file_bytes,
            head,
            current: None,
            closed: files,
            spare: Vec::new(),
            next,
            spare_number: 0,
        };
        // A file whose first frame never came would clash with the next one's name.
        if let Some((first, path)) = wal.closed.last().cloned()
            && first == next
        {
            wal.closed.pop();
            wal.disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
        }
        Ok(wal)
    }

    /// Position that the next frame gets.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let closed = u64::try_from(self.closed.len()).unwrap_or_default() * self.file_bytes;
        closed + self.current.as_ref().map_or(0, |current| current.offset)
    }

    /// Writes one frame for each of `frames` (recorded time, author, blocks) and fsyncs them together. Returns the first
    /// position.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was kept, the next group may fare better. Any other error poisons.
    pub(crate) fn append<'a>(
        &mut self,
        frames: impl Iterator<Item = (i64, &'a str, &'a [u8])>,
    ) -> Result<u64, StoreError> {
        let first = self.next;
        let mut position = first;
        let mut group = Vec::new();
        for (recorded, by, blocks) in frames {
            encode(&mut group, (position, first), recorded, by, blocks)?;
            position += 1;
        }
        let needed = group.len() as u64;
        if self.current.as_ref().is_none_or(|current| current.offset + needed > current.capacity) {
            self.rotate(needed)?;
        }
        let Some(current) = &mut self.current else { return Err(StoreError::Closed) };
        if let Err(error) = self.disk.write_at(&current.file, &group, current.offset) {
            let poisoned = |error| StoreError::Poisoned(format!("{}: {error}", current.path.display()));
            if !is_full(&error) {
                return Err(poisoned(error));
            }
            // Whole frames of the group may be there: after a crash they must not come back.
            let emptied = self.disk.write_at(&current.file, &vec![0; group.len()], current.offset);
            emptied.and_then(|()| self.disk.sync(&current.file)).map_err(poisoned)?;
            return Err(StoreError::Full(error.to_string()));
        }
        self.disk
            .sync(&current.file)
            .map_err(|error| StoreError::Poisoned(format!("{}: {error}", current.path.display())))?;
        current.offset += needed;
        self.next = position;
        Ok(first)
    }

    /// Prepares the next file, unless the present one is still empty.
    ///
    /// # Errors
    /// [`StoreError::Full`] while there is no room for it.
    pub(crate) fn make_room(&mut self) -> Result<(), StoreError> {
        if self.current.as_ref().is_some_and(|current| current.first == self.next) {
            return Ok(());
        }
        self.rotate(0)
    }

    fn rotate(&mut self, needed: u64) -> Result<(), StoreError> {
        // A file without frames would get the same name: it is made anew, large enough.
        if self.current.as_ref().is_some_and(|current| current.first == self.next) {
            self.current = None;
        }
        let path = self.folder.join(format!("{:020}.wal", self.next));
        let capacity = self.file_bytes.max(needed + self.head.len() as u64);
        if let Some(spare) = self.spare.pop() {
            self.disk.rename(&spare, &path).map_err(|error| StoreError::io(&spare, error))?;
        }
        let file = self.disk.open(&path).map_err(|error| StoreError::io(&path, error))?;
        let prepared = self
            .disk
            .reserve(&file, capacity)
            .and_then(|()| self.disk.write_at(&file, &self.head, 0))
            // The first frame's place must not hold a frame of the file's former life that happens to fit.
            .and_then(|()| self.disk.write_at(&file, &[0; FRAME_HEAD], self.head.len() as u64));
        if let Err(error) = prepared {
            let removed = self.disk.remove(&path);
            let error = StoreError::io(&path, error);
            return removed.map_err(|error| StoreError::io(&path, error)).and(Err(error));
        }
        let synced = self.disk.sync(&file).map_err(|error| sync_error(&path, &error));
        let synced = synced.and_then(|()| sync_name(self.disk.as_ref(), &path));
        if let Err(error) = synced {
            // What a failed fsync left of it is unknown: nothing builds on it, and a later start must not find it.
            self.disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
            return Err(error);
        }
        let opened = Current { file, path, first: self.next, offset: self.head.len() as u64, capacity };
        if let Some(former) = self.current.replace(opened) {
            self.closed.push((former.first, former.path));
        }
        Ok(())
    }

    /// Lets go of every file whose frames all lie at or before `covered`.
    pub(crate) fn truncate(&mut self, covered: u64) -> Result<(), StoreError> {
        let current_first = self.current.as_ref().map_or(self.next, |current| current.first);
        while let Some((_, path)) = self.closed.first() {
            let following = self.closed.get(1).map_or(current_first, |(first, _)| *first);
            if following > covered + 1 {
                break;
            }
            let path = path.clone();
            if self.spare.len() < SPARE_FILES {
                self.spare_number += 1;
                let spare = self.folder.join(format!("{SPARE}{}", self.spare_number));
                self.disk.rename(&path, &spare).map_err(|error| StoreError::io(&path, error))?;
                self.spare.push(spare);
            } else {
                self.disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
            }
            self.closed.remove(0);
            // One after another: after a power cut a file that is left must not have lost the one before or behind it.
            sync_name(self.disk.as_ref(), &path)?;
        }
        Ok(())
    }
}

/// Reads the log in `folder` without changing it; returns the position that would come next, `None` where there is no log.
pub(crate) fn read(
    folder: &Path,
    mut replay: impl FnMut(&Dictionary, Frame) -> Result<(), StoreError>,
) -> Result<Option<u64>, StoreError> {
    let mut next = None;
    if folder.is_dir() {
        for (first, path) in list(folder)?.0 {
            if next.is_some_and(|next| next != first) {
                return Err(gap(&path, next.unwrap_or_default(), first));
            }
            next = Some(scan(&path, first, &mut replay)?.next);
        }
    }
    Ok(next)
}

/// What is wrong where the log ends before the tables do, of which one has all writes up to `covered`: no crash leaves that.
pub(crate) fn behind(next: u64, covered: u64) -> Option<String> {
    let message = format!(
        "its last write is {}, and a table says that it has all up to {covered}: one of the two is not what takt wrote. Restore a \
         backup. To start with what the tables have, move the whole log away: what it holds and some table does not have is lost then",
        next.saturating_sub(1)
    );
    (next <= covered).then_some(message)
}

fn encode(
    group: &mut Vec<u8>,
    (position, first): (u64, u64),
    recorded: i64,
    by: &str,
    blocks: &[u8],
) -> Result<(), StoreError> {
    let author = by.as_bytes().get(..by.len().min(usize::from(u16::MAX))).unwrap_or_default();
    let length = STAMPS + 2 + author.len() + blocks.len();
    let length = u32::try_from(length).map_err(|_| StoreError::Invalid("a write holds at most 4 GB".into()))?;
    let start = group.len();
    group.extend_from_slice(&length.to_le_bytes());
    group.extend_from_slice(&[0; 4]);
    group.extend_from_slice(&position.to_le_bytes());
    group.extend_from_slice(&first.to_le_bytes());
    group.extend_from_slice(&recorded.to_le_bytes());
    group.extend_from_slice(&u16::try_from(author.len()).unwrap_or_default().to_le_bytes());
    group.extend_from_slice(author);
    group.extend_from_slice(blocks);
    let crc = crc32fast::hash(group.get(start + FRAME_HEAD..).unwrap_or_default());
    if let Some(place) = group.get_mut(start + 4..start + FRAME_HEAD) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    Ok(())
}

/// The log's files by the position of their first frame, and files kept for reuse.
fn list(folder: &Path) -> Result<(Vec<(u64, PathBuf)>, Vec<PathBuf>), StoreError> {
    let (mut files, mut spare) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(|error| StoreError::io(folder, error))? {
        let path = entry.map_err(|error| StoreError::io(folder, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(first) = name.strip_suffix(".wal").and_then(|number| number.parse().ok()) {
            files.push((first, path));
        } else if name.starts_with(SPARE) {
            spare.push(path);
        }
    }
    files.sort();
    Ok((files, spare))
}

struct End {
    next: u64,
    bytes: Vec<u8>,
    offset: usize,
}

/// Reads frames from `first` on until one does not continue the sequence.
fn scan(
    path: &Path,
    first: u64,
    replay: &mut impl FnMut(&Dictionary, Frame) -> Result<(), StoreError>,
) -> Result<End, StoreError> {
    let bytes = std::fs::read(path).map_err(|error| StoreError::io(path, error))?;
    let Some((dictionary, mut offset)) = header(&bytes) else {
        // The crash came before the header was on disk, so that nothing of this file was ever acknowledged: it has no frames.
        if let Some(found) = later_group(&bytes, 0, first) {
            return Err(rotten(path, first, found));
        }
        return Ok(End { next: first, offset: 0, bytes });
    };
    let grouped = bytes.starts_with(MAGIC);
    let mut next = first;
    while let Some((frame, _, end)) = frame(&bytes, offset, grouped).filter(|(frame, ..)| frame.position == next) {
        replay(&dictionary, frame)?;
        offset = end;
        next += 1;
    }
    if grouped && let Some(found) = later_group(&bytes, offset, next + 1) {
        return Err(rotten(path, next, found));
    }
    Ok(End { next, bytes, offset })
}

fn header(bytes: &[u8]) -> Option<(Dictionary, usize)> {
    let length = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
    let text = bytes.get(16..16 + length)?;
    let magic = bytes.get(..8)?;
    if magic != MAGIC && magic != MAGIC_WITHOUT_GROUPS || crc32fast::hash(text) != crc {
        return None;
    }
    Some((serde_json::from_slice(text).ok()?, 16 + length))
}

/// The whole frame at `offset`, its group, and where it ends.
fn frame(bytes: &[u8], offset: usize, grouped: bool) -> Option<(Frame, u64, usize)> {
    let head = bytes.get(offset..offset + FRAME_HEAD)?;
    let length = u32::from_le_bytes(head.get(..4)?.try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(head.get(4..)?.try_into().ok()?);
    let end = offset + FRAME_HEAD + length;
    let body = bytes.get(offset + FRAME_HEAD..end)?;
    let stamps = if grouped { STAMPS } else { STAMPS - size_of::<u64>() };
    if length < stamps + 2 || crc32fast::hash(body) != crc {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let position = number(0)?;
    let group = if grouped { number(8)? } else { position };
    let recorded = number(stamps - 8)?.cast_signed();
    let author = stamps + 2;
    let blocks = author + usize::from(u16::from_le_bytes(body.get(stamps..author)?.try_into().ok()?));
    let by = String::from_utf8_lossy(body.get(author..blocks)?).into_owned();
    let blocks = body.get(blocks..)?.to_vec();
    Some((Frame { position, recorded, by, blocks }, group, end))
}

/// The position of a whole frame behind `offset` whose group begins at `from` or later.
fn later_group(bytes: &[u8], offset: usize, from: u64) -> Option<u64> {
    let stamps = offset + FRAME_HEAD..;
    let stamps = bytes.get(stamps)?.windows(size_of::<u64>() * 2).zip(offset..);
    stamps
        .filter(|(stamps, _)| {
            let number =
                |at: usize| stamps.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
            let (position, group) = (number(0).unwrap_or_default(), number(8).unwrap_or_default());
            from <= group && group <= position && position - from < MOST_FRAMES
        })
        .find_map(|(_, offset)| Some(frame(bytes, offset, true)?.0.position))
}

fn rotten(path: &Path, broken: u64, found: u64) -> StoreError {
    let what = if found == broken { "its beginning".to_owned() } else { format!("write {broken}") };
    let message = format!(
        "{what} cannot be read, and write {found}, acknowledged later, can: acknowledged rows may be lost. Restore a backup, or move the file away to go on without its writes; after a clean stop all of them are in the tables"
    );
    StoreError::Damaged { path: path.to_owned(), message }
}

/// Writes back what was read and ends it with zeros: after a failed fsync the page cache may show what the disk never got.
fn repair(disk: &dyn Disk, path: &Path, end: &End) -> Result<(), StoreError> {
    let file = disk.open(path).map_err(|error| StoreError::io(path, error))?;
    let kept = end.bytes.get(..end.offset).unwrap_or_default();
    disk.write_at(&file, kept, 0).map_err(|error| StoreError::io(path, error))?;
    let rest = end.bytes.len().saturating_sub(end.offset).min(FRAME_HEAD);
    disk.write_at(&file, &[0; FRAME_HEAD][..rest], end.offset as u64).map_err(|error| StoreError::io(path, error))?;
    disk.sync(&file).map_err(|error| sync_error(path, &error))
}

fn gap(path: &Path, expected: u64, found: u64) -> StoreError {
    let message = format!(
        "its frames begin at {found}, the file before it ends at {}: acknowledged rows are missing. Restore a backup, or move the files before it away to go on without them",
        expected.saturating_sub(1)
    );
    StoreError::Damaged { path: path.to_owned(), message }
}
