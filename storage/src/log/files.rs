//! The object store under a table log: files of this machine, written through [`Disk`] so that whatever has a name is whole
//! and durable.
//!
//! An object is written under another name, fsynced, then given its name, whose folder is fsynced: a power cut leaves all of
//! it or nothing, never a commit that cannot be read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Place;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::StoreError;
use crate::disk::{Disk, create_folders};
use crate::error::is_full;

/// What follows the name of an object that is being written; listings leave such names out.
const STAGED: &str = "#1";

/// Objects by their absolute paths.
#[derive(Clone)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    /// For what only reads.
    local: Arc<LocalFileSystem>,
    /// The first fsync that failed: nothing that follows can be relied upon.
    failed: Arc<OnceLock<String>>,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, local: Arc::new(LocalFileSystem::new()), failed: Arc::default() }
    }

    /// # Errors
    /// [`StoreError::Poisoned`] once an fsync has failed.
    pub(super) fn sound(&self) -> std::result::Result<(), StoreError> {
        let poisoned = |reason| StoreError::Poisoned(format!("a commit may not be on the disk: {reason}"));
        self.failed.get().map_or(Ok(()), |reason| Err(poisoned(reason)))
    }

    /// Removes what a crash left half-written in a folder.
    pub(super) fn remove_staged(&self, folder: &Path) -> std::result::Result<(), StoreError> {
        for entry in std::fs::read_dir(folder).map_err(|error| StoreError::io(folder, error))? {
            let path = entry.map_err(|error| StoreError::io(folder, error))?.path();
            if path.to_str().is_some_and(|name| name.ends_with(STAGED)) {
                self.disk.remove(&path).map_err(|error| StoreError::io(&path, error))?;
            }
        }
        Ok(())
    }

    fn write(&self, place: &Place, payload: &PutPayload, overwrite: bool) -> Result<()> {
        let path = self.local.path_to_filesystem(place)?;
        if let Some(folder) = path.parent() {
            create_folders(self.disk.as_ref(), folder).map_err(|error| {
                if let StoreError::Poisoned(reason) = &error {
                    self.failed.get_or_init(|| reason.clone());
                }
                generic(io::Error::other(error))
            })?;
        }
        let staged = PathBuf::from(format!("{}{STAGED}", path.display()));
        let written = self.stage(&staged, payload).and_then(|()| {
            if overwrite {
                return self.disk.rename(&staged, &path).map_err(generic);
            }
            self.disk.link(&staged, &path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    Error::AlreadyExists { path: place.to_string(), source: Box::new(error) }
                }
                _ => generic(error),
            })
        });
        if (written.is_err() || !overwrite)
            && let Err(error) = self.disk.remove(&staged)
        {
            tracing::debug!(path = %staged.display(), %error, "what was half-written stays until restart");
        }
        written?;
        self.sync_folder(&path)
    }

    fn stage(&self, staged: &Path, payload: &PutPayload) -> Result<()> {
        let file = self.disk.create(staged).map_err(generic)?;
        let mut offset = 0;
        for part in payload {
            self.disk.write_at(&file, part, offset).map_err(generic)?;
            offset += part.len() as u64;
        }
        // A full disk may say so only now: the file has no name that counts yet, and is written anew.
        self.disk.sync(&file).map_err(|error| if is_full(&error) { generic(error) } else { self.broken(error) })
    }

    fn sync_folder(&self, path: &Path) -> Result<()> {
        self.disk.sync_folder(path.parent().unwrap_or(path)).map_err(|error| self.broken(error))
    }

    /// Remembers an fsync that failed.
    fn broken(&self, error: io::Error) -> Error {
        self.failed.get_or_init(|| error.to_string());
        generic(error)
    }

    fn remove(&self, place: &Place) -> Result<()> {
        let path = self.local.path_to_filesystem(place)?;
        self.disk.remove(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path: place.to_string(), source: Box::new(error) },
            _ => generic(error),
        })
    }
}

fn generic(error: io::Error) -> Error {
    Error::Generic { store: "files", source: Box::new(error) }
}

impl fmt::Debug for Files {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Files")
    }
}

impl fmt::Display for Files {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "durable files")
    }
}

#[async_trait]
impl ObjectStore for Files {
    async fn put_opts(&self, location: &Place, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Overwrite => self.write(location, &payload, true)?,
            PutMode::Create => self.write(location, &payload, false)?,
            PutMode::Update(_) => return Err(unsupported("a conditional put")),
        }
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Place, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload { files: self.clone(), place: location.clone(), parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Place, options: GetOptions) -> Result<GetResult> {
        self.local.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Place>>) -> BoxStream<'static, Result<Place>> {
        let files = self.clone();
        locations.map(move |place| place.and_then(|place| files.remove(&place).map(|()| place))).boxed()
    }

    fn list(&self, prefix: Option<&Place>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.local.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Place>, offset: &Place) -> BoxStream<'static, Result<ObjectMeta>> {
        self.local.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Place>) -> Result<ListResult> {
        self.local.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Place, to: &Place, options: CopyOptions) -> Result<()> {
        let bytes = self.local.get_opts(from, GetOptions::default()).await?.bytes().await?;
        self.write(to, &bytes.into(), matches!(options.mode, CopyMode::Overwrite))
    }
}

/// An object that comes in parts: written once it is complete. What table logs write is small.
#[derive(Debug)]
struct Upload {
    files: Files,
    place: Place,
    parts: Vec<PutPayload>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.parts.push(part);
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload = std::mem::take(&mut self.parts).into_iter().flatten().collect();
        self.files.write(&self.place, &payload, true)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}

fn unsupported(what: &str) -> Error {
    Error::NotImplemented { operation: what.to_owned(), implementer: "durable files".to_owned() }
}
