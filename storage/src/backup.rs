//! Copies of a data folder: consistent, checked, and laid out so that takt and every other reader open them as they are.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::disk::{LocalDisk, sync_name};
use crate::segment::Segment;

const MANIFEST: &str = "backup.json";
/// Where files lie until all of them are found to be sound: a folder that failed half-way must not open as a store.
const RESTORING: &str = "restoring";

/// What a backup holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackupReport {
    /// WAL position of the newest write in it.
    pub position: u64,
    /// Files in it.
    pub files: usize,
    /// Their size, bytes.
    pub bytes: u64,
    /// Those of them that are no longer what takt had written: copied as they are, for most of what they hold may be sound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    report: BackupReport,
    files: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    path: String,
    bytes: u64,
    crc32: u32,
}

/// What a consistent copy of a data folder consists of.
pub(crate) struct Inventory {
    folder: PathBuf,
    position: u64,
    /// Held, so that their files stay while they are copied.
    segments: Vec<Arc<Segment>>,
    /// Files of the table logs, as they were.
    logs: Vec<(PathBuf, Vec<u8>)>,
}

impl Inventory {
    /// Reads the table logs of `folder`. Called by the one thread that commits, so logs stand still.
    pub(crate) fn take(folder: &Path, segments: Vec<Arc<Segment>>, position: u64) -> Result<Self, StoreError> {
        let mut logs = Vec::new();
        for table in children(&folder.join("tables"))? {
            let log = table.join("_delta_log");
            if log.is_dir() {
                for path in children(&log)?.into_iter().filter(|path| path.is_file()) {
                    let bytes = fs::read(&path).map_err(|error| StoreError::io(&path, error))?;
                    logs.push((path, bytes));
                }
            }
        }
        Ok(Self { folder: folder.to_owned(), position, segments, logs })
    }

    /// Copies everything to `to`, which must not exist or be empty, and those files beside the tables that there are.
    pub(crate) fn write(self, to: &Path, beside: &[&str]) -> Result<BackupReport, StoreError> {
        refuse_filled(to)?;
        let written = self.write_files(to, beside);
        if written.is_err()
            && let Err(error) = fs::remove_dir_all(to)
        {
            tracing::warn!(folder = %to.display(), %error, "the beginning of a backup that failed could not be removed");
        }
        written
    }

    fn write_files(&self, to: &Path, beside: &[&str]) -> Result<BackupReport, StoreError> {
        let mut entries = Vec::with_capacity(self.segments.len() + self.logs.len());
        let mut damaged = Vec::new();
        for segment in &self.segments {
            let relative = self.relative(&segment.path)?;
            let source =
                fs::File::open(&segment.path).map_err(|error| crate::cold::open_error(&segment.path, error))?;
            let entry = copy((source, &segment.path), &to.join(relative), relative)?;
            // Of the copy: what it holds is what counts later.
            if entry.bytes != segment.bytes || !is_sound(segment, &to.join(relative))? {
                tracing::warn!(file = %segment.path.display(), "a damaged file was copied into a backup");
                damaged.push(entry.path.clone());
            }
            entries.push(entry);
        }
        for (path, bytes) in &self.logs {
            let relative = self.relative(path)?;
            let entry = copy((bytes.as_slice(), path), &to.join(relative), relative)?;
            if crate::log::complaint(path, bytes).is_some() {
                tracing::warn!(file = %path.display(), "a damaged file of a table log was copied into a backup");
                damaged.push(entry.path.clone());
            }
            entries.push(entry);
        }
        for name in beside {
            let path = self.folder.join(name);
            match fs::File::open(&path) {
                Ok(file) => entries.push(copy((file, &path), &to.join(name), Path::new(name))?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io(&path, error)),
            }
        }
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        let report = BackupReport { position: self.position, files: entries.len(), bytes, damaged };
        let manifest = Manifest { report: report.clone(), files: entries };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| StoreError::Invalid(error.to_string()))?;
        let path = to.join(MANIFEST);
        copy((text.as_slice(), &path), &path, Path::new(MANIFEST))?;
        sync_tree(to)?;
        Ok(report)
    }

    fn relative<'a>(&self, path: &'a Path) -> Result<&'a Path, StoreError> {
        path.strip_prefix(&self.folder)
            .map_err(|_| StoreError::Invalid(format!("{} lies outside the data folder", path.display())))
    }
}

/// Whether the copy of a segment holds what was written; one from before segments had checksums is taken to.
fn is_sound(segment: &Segment, copy: &Path) -> Result<bool, StoreError> {
    let holds = fs::File::open(copy).and_then(|file| crate::segment::holds(&file));
    Ok(holds.map_err(|error| StoreError::io(copy, error))?.unwrap_or_else(|| !segment.has_checksum()))
}

/// Lays the backup at `from` out as a new data folder at `to`, checking every file; `progress` is told bytes done and bytes
/// in all. Files that were damaged when the backup was taken are laid out as they are, and named by the report.
///
/// # Errors
/// [`StoreError::Damaged`] names the first file that is not as the backup wrote it; `to` must be missing or empty.
pub fn restore(from: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<BackupReport, StoreError> {
    let path = from.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| {
        StoreError::Invalid(format!("{} is no takt backup: {}: {error}", from.display(), path.display()))
    })?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| StoreError::Damaged { path, message: error.to_string() })?;
    refuse_filled(to)?;
    let staging = to.join(RESTORING);
    let laid_out =
        lay_out(&manifest, from, &staging, &mut progress).and_then(|()| sync_tree(&staging)).and_then(|()| {
            for path in children(&staging)? {
                let place = to.join(path.file_name().unwrap_or_default());
                fs::rename(&path, &place).map_err(|error| StoreError::io(&place, error))?;
                sync_name(&LocalDisk, &place)?;
            }
            Ok(())
        });
    // What is wrong with the backup counts more than what is wrong with the rest of it.
    let swept = fs::remove_dir_all(&staging).map_err(|error| StoreError::io(&staging, error));
    laid_out.and(swept)?;
    Ok(manifest.report)
}

fn lay_out(manifest: &Manifest, from: &Path, to: &Path, progress: &mut impl FnMut(u64, u64)) -> Result<(), StoreError> {
    fs::create_dir_all(to).map_err(|error| StoreError::io(to, error))?;
    let mut done = 0;
    for entry in &manifest.files {
        let relative = Path::new(&entry.path);
        let source = from.join(relative);
        let file = fs::File::open(&source).map_err(|error| StoreError::io(&source, error))?;
        let copied = copy((file, &source), &to.join(relative), relative)?;
        if copied.crc32 != entry.crc32 || copied.bytes != entry.bytes {
            return Err(StoreError::Damaged {
                path: source,
                message: "its checksum differs from the backup's list".into(),
            });
        }
        done += entry.bytes;
        progress(done, manifest.report.bytes);
    }
    Ok(())
}

fn refuse_filled(folder: &Path) -> Result<(), StoreError> {
    if folder.exists() && !children(folder)?.is_empty() {
        return Err(StoreError::Invalid(format!("{} is not empty; name a new folder", folder.display())));
    }
    fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))
}

/// Makes the names in a folder, and in all folders below it, durable.
fn sync_tree(folder: &Path) -> Result<(), StoreError> {
    for child in children(folder)?.iter().filter(|child| child.is_dir()) {
        sync_tree(child)?;
    }
    sync_name(&LocalDisk, &folder.join(MANIFEST))
}

/// What is in a folder, by name.
pub(crate) fn children(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(folder).map_err(|error| StoreError::io(folder, error))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::io(folder, error))?;
    paths.sort();
    Ok(paths)
}

fn copy((mut source, from): (impl Read, &Path), to: &Path, relative: &Path) -> Result<Entry, StoreError> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(|error| StoreError::io(parent, error))?;
    }
    let mut new = fs::OpenOptions::new();
    // Nobody may read the copy who may not read the file. One of a table log may have gone since it was read.
    if let Ok(known) = fs::metadata(from) {
        new.mode(known.permissions().mode());
    }
    let mut target = new.write(true).create_new(true).open(to).map_err(|error| StoreError::io(to, error))?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = source.read(&mut buffer).map_err(|error| StoreError::io(from, error))?;
        let Some(block) = buffer.get(..count).filter(|block| !block.is_empty()) else { break };
        hasher.update(block);
        io::Write::write_all(&mut target, block).map_err(|error| StoreError::io(to, error))?;
        bytes += count as u64;
    }
    target.sync_all().map_err(|error| StoreError::io(to, error))?;
    let path = relative.to_str().ok_or_else(|| StoreError::Invalid(format!("{} is not UTF-8", relative.display())))?;
    Ok(Entry { path: path.to_owned(), bytes, crc32: hasher.finalize() })
}
