//! The cold folder: another disk, for segments that are read rarely. All that is done to its files is done here.
//!
//! `cold` in the data folder is a symbolic link to it. A segment that has moved keeps its name among the others of its
//! table: there is a symbolic link in its place, `../../cold/tables/<table>/<file>`, so that every reader finds it and the
//! table log stays as it is. A file called `takt-data-folder` says whose the cold folder is: files that no link points to
//! are removed from it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use crate::StoreError;
use crate::backup::children;
use crate::disk::{Disk, create_folders, sync_name};
use crate::error::is_full;
use crate::segment::holds;

/// The link in the data folder.
const LINK: &str = "cold";
/// The file in the cold folder that holds the path of the data folder whose it is.
const OWNER: &str = "takt-data-folder";
const TABLES: &str = "tables";
/// A copy under way.
const COPYING: &str = "copying";
/// A link that is not in its place yet.
const LINKING: &str = "linking";
/// Bytes of a segment that are copied with one call.
const COPIED_AT_ONCE: usize = 1 << 20;
/// What a new file system holds by itself.
const OF_FILE_SYSTEM: &str = "lost+found";

/// Makes sure of the cold folder of the data folder `data` before its tables are opened: the one that it has, or `wanted`.
///
/// # Errors
/// [`StoreError::Invalid`] where it is missing, is not empty, or belongs to another data folder.
pub(crate) fn attach(disk: &dyn Disk, data: &Path, wanted: Option<&Path>) -> Result<(), StoreError> {
    let link = data.join(LINK);
    let present = match fs::read_link(&link) {
        Ok(target) => Some(target),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => {
            let message =
                "takt keeps a link to its cold folder under that name, and something else is there; rename it";
            return Err(StoreError::Invalid(format!("{}: {message}", link.display())));
        }
    };
    match (present, wanted) {
        (None, None) => Ok(()),
        (Some(present), None) => check_owner(data, &present),
        (None, Some(wanted)) => {
            let wanted = created(disk, data, wanted)?;
            claim(disk, data, &wanted)?;
            point(disk, &link, &wanted)
        }
        // Its disk is not mounted: a new folder in its place would take the room of another.
        (Some(present), Some(wanted)) if wanted == present && !present.exists() => check_owner(data, &present),
        (Some(present), Some(wanted)) => {
            // A folder that a refused start had made would be in the way of the disk that belongs there.
            if !wanted.exists() {
                check_left(data, &present, wanted)?;
            }
            let wanted = created(disk, data, wanted)?;
            if wanted == present {
                return check_owner(data, &present);
            }
            // It was moved there with everything in it.
            if owner(&wanted)?.is_some() {
                check_owner(data, &wanted)?;
                return point(disk, &link, &wanted);
            }
            check_left(data, &present, &wanted)?;
            claim(disk, data, &wanted)?;
            point(disk, &link, &wanted)
        }
    }
}

/// Refuses to leave a cold folder for another while segments are in it.
fn check_left(data: &Path, present: &Path, wanted: &Path) -> Result<(), StoreError> {
    check_owner(data, present)?;
    if files(present)?.is_empty() {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "segments lie in the cold folder {}, and `tiering.folder` names {}: stop takt, move the one to the other with \
         everything in it, and start again; or name the first",
        present.display(),
        wanted.display()
    )))
}

/// The folder by its one name, made where it is missing.
fn created(disk: &dyn Disk, data: &Path, folder: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: &dyn std::fmt::Display| {
        StoreError::Invalid(format!("`tiering.folder`, {}, cannot be used: {error}", folder.display()))
    };
    create_folders(disk, folder).map_err(|error| if error.retryable() { error } else { failed(&error) })?;
    let folder = fs::canonicalize(folder).map_err(|error| failed(&error))?;
    if folder.starts_with(data) || data.starts_with(&folder) {
        return Err(StoreError::Invalid(format!(
            "`tiering.folder`, {}, and the data folder {} lie in one another; name a folder on another disk",
            folder.display(),
            data.display()
        )));
    }
    Ok(folder)
}

/// Takes an empty folder for `data`.
fn claim(disk: &dyn Disk, data: &Path, folder: &Path) -> Result<(), StoreError> {
    // A start that broke off may have come as far as this; what it has half-written is nobody's.
    let is_ours = owner(folder)?.as_deref() == Some(data);
    let (path, new) = (folder.join(OWNER), folder.join(OWNER).with_extension(COPYING));
    let is_known = |found: &PathBuf| found.ends_with(OF_FILE_SYSTEM) || *found == new || is_ours && *found == path;
    if !children(folder)?.iter().all(is_known) {
        return Err(StoreError::Invalid(format!(
            "`tiering.folder`, {}, is not empty, and nothing in the data folder {} points to it: name a new folder, or \
             move away what is in it",
            folder.display(),
            data.display()
        )));
    }
    let text = data.to_str().ok_or_else(|| StoreError::Invalid(format!("{} is not UTF-8", data.display())))?;
    let written = disk.create(&new).and_then(|file| {
        disk.write_at(&file, format!("{text}\n").as_bytes(), 0)?;
        disk.sync(&file)?;
        disk.rename(&new, &path)?;
        disk.sync_folder(folder)
    });
    written.map_err(|error| StoreError::io(&path, error))
}

/// The data folder whose cold folder this is; `None` where it is nobody's.
fn owner(folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    let path = folder.join(OWNER);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(PathBuf::from(text.trim_end_matches('\n')))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(StoreError::io(&path, error)),
    }
}

fn check_owner(data: &Path, folder: &Path) -> Result<(), StoreError> {
    match owner(folder)? {
        Some(owner) if owner == data => Ok(()),
        Some(owner) => Err(StoreError::Invalid(format!(
            "the cold folder {} belongs to the data folder {}: a copy of a data folder comes from `takt backup`; if the \
             data folder was moved to {}, write this path into {}",
            folder.display(),
            owner.display(),
            data.display(),
            folder.join(OWNER).display()
        ))),
        None => Err(StoreError::Invalid(format!(
            "the cold folder {} is not there, or is not takt's: mount the disk that segments were moved to, and start \
             again. If it is lost, restore a backup into a new folder",
            folder.display()
        ))),
    }
}

/// Puts a link to `target` at `link`, at once and for good.
fn point(disk: &dyn Disk, link: &Path, target: &Path) -> Result<(), StoreError> {
    let new = link.with_extension(LINKING);
    remove_if_there(disk, &new).map_err(|error| StoreError::io(&new, error))?;
    disk.symlink(target, &new).map_err(|error| StoreError::io(&new, error))?;
    disk.rename(&new, link).map_err(|error| StoreError::io(link, error))?;
    sync_name(disk, link)
}

/// Whether there is a link in the place of a segment.
pub(crate) fn is_cold(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Why a segment's file cannot be opened.
pub(crate) fn open_error(path: &Path, error: io::Error) -> StoreError {
    match fs::read_link(path) {
        Ok(target) if error.kind() == ErrorKind::NotFound => StoreError::Io {
            path: path.to_owned(),
            message: format!(
                "it was moved to the cold folder, as {}, and is not there: mount the disk that has it, or restore a backup",
                path.parent().unwrap_or(path).join(target).display()
            ),
        },
        _ => StoreError::io(path, error),
    }
}

/// Moves a segment's file from the data folder `data` to its cold folder: copies it, looks the copy through, and only then
/// puts a link in its place.
///
/// # Errors
/// [`StoreError::Poisoned`] where nobody knows what the data folder's disk holds; otherwise the file is where it was.
pub(crate) fn move_file(disk: &dyn Disk, data: &Path, path: &Path) -> Result<(), StoreError> {
    let outside = |_| StoreError::Invalid(format!("{} lies outside the data folder", path.display()));
    let relative = path.strip_prefix(data).map_err(outside)?;
    let target = data.join(LINK).join(relative);
    let link_to = Path::new("../..").join(LINK).join(relative);
    let moved = copy(disk, path, &target).and_then(|()| point(disk, path, &link_to));
    if moved.is_err() && !is_cold(path) {
        for left in [target.with_extension(COPYING), target, path.with_extension(LINKING)] {
            forget(disk, &left);
        }
    }
    moved
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| {
        if is_full(&error) {
            return StoreError::Full(format!("{}: {error}", to.display()));
        }
        StoreError::Io { path: to.to_owned(), message: format!("it cannot be written to the cold folder: {error}") }
    };
    let folder = to.parent().unwrap_or(to);
    // Where an fsync fails there, nothing depends on it yet: that poisons nothing.
    create_folders(disk, folder)
        .map_err(|error| if error.retryable() { error } else { failed(io::Error::other(error)) })?;
    let new = to.with_extension(COPYING);
    let file = disk.create(&new).map_err(failed)?;
    let bytes = copy_bytes(disk, from, &file).map_err(failed)?;
    disk.sync(&file).map_err(failed)?;
    let is_whole = bytes == fs::metadata(from).map_err(failed)?.len() && holds(&file).map_err(failed)? != Some(false);
    if !is_whole {
        return Err(failed(io::Error::other("the copy's bytes are not those of the file")));
    }
    disk.rename(&new, to).map_err(failed)?;
    // The names of folders too, cold/tables/<table>: a former process may have made them and come no further.
    folder.ancestors().take(3).try_for_each(|folder| disk.sync_folder(folder)).map_err(failed)
}

/// Says how many there were.
fn copy_bytes(disk: &dyn Disk, from: &Path, to: &File) -> io::Result<u64> {
    let (mut from, mut buffer, mut copied) = (File::open(from)?, vec![0; COPIED_AT_ONCE], 0);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(copied);
        }
        disk.write_at(to, buffer.get(..read).unwrap_or_default(), copied)?;
        copied += read as u64;
    }
}

/// Removes a segment's file, and what it points to where it has moved.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let target = fs::read_link(path).ok();
    disk.remove(path)?;
    // A link that somebody else has put there is not takt's to follow.
    let is_ours = |target: &PathBuf| {
        let names = target.components().skip_while(|part| *part == Component::ParentDir);
        target.starts_with("../..") && names.take(2).eq([LINK, TABLES].map(|name| Component::Normal(name.as_ref())))
    };
    match (target.filter(is_ours), path.parent()) {
        (Some(target), Some(folder)) => remove_if_there(disk, &folder.join(target)),
        _ => Ok(()),
    }
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn forget(disk: &dyn Disk, path: &Path) {
    if let Err(error) = remove_if_there(disk, path) {
        tracing::warn!(path = %path.display(), %error, "what is left of a move that failed stays until restart");
    }
}

/// Whether a crash may have left this file beside segments: a link that was not in its place yet.
pub(crate) fn is_left_over(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == LINKING)
}

/// Removes files that no link of the data folder points to: what a crash left behind of copies and of removals.
pub(crate) fn sweep(disk: &dyn Disk, data: &Path) -> Result<(), StoreError> {
    for path in unlinked(data)? {
        disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
    }
    Ok(())
}

/// Files of the cold folder that no link of the data folder points to.
pub(crate) fn unlinked(data: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let cold = data.join(LINK);
    let mut files = files(&cold)?;
    files.retain(|path| path.strip_prefix(&cold).is_ok_and(|relative| !is_cold(&data.join(relative))));
    Ok(files)
}

/// All files of tables in a cold folder; none where there is no such folder.
fn files(cold: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    let tables = cold.join(TABLES);
    if tables.is_dir() {
        for table in children(&tables)? {
            files.extend(children(&table)?);
        }
    }
    Ok(files)
}
