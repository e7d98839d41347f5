//! A disk that fails, fills up, or loses power at a call of one's choice, and knows what a power cut leaves.
//!
//! Files lie in a real folder. Beside it the disk keeps what is certain: bytes that were synced, names whose folder was
//! synced. Everything else a power cut keeps, drops or tears as the seed says: bytes by sectors, names one by one or up to
//! some point.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{Error, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{Disk, LocalDisk};

const SECTOR_BYTES: usize = 512;
/// "No space left on device" and "input/output error".
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// What goes wrong. Calls are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Nothing,
    /// This call fails.
    Error(u64),
    /// From this call on there is no room, until so many calls were refused.
    Full(u64, u64),
}

/// A disk as above, of one folder. It may as well be several disks, for no name waits for another.
pub(super) struct Faulty {
    state: Mutex<State>,
}

struct State {
    folder: PathBuf,
    random: StdRng,
    fault: Fault,
    calls: u64,
    last: String,
    off: bool,
    /// File and place of a write that was refused just now.
    refused: Option<(usize, u64)>,
    files: Vec<Content>,
    /// What symbolic links point to.
    links: Vec<PathBuf>,
    /// By device and number, as long as a file can be open.
    by_handle: HashMap<(u64, u64), usize>,
    present: BTreeMap<PathBuf, Node>,
    /// What names are durable, and the changes since.
    certain: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
    /// Syncs that it says to have done and does not do.
    lie: Option<Lie>,
    /// Asked before every call: what a power cut there would leave can be had then.
    watcher: Option<Watcher>,
}

/// Whether a sync of this file or folder is left out.
pub(super) type Lie = fn(&Path) -> bool;
/// May take an image of the state between two calls.
pub(super) type Watcher = Box<dyn FnMut(&mut dyn FnMut() -> Image) + Send>;

/// What is in a folder; paths are below its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Image {
    folder: PathBuf,
    names: BTreeMap<PathBuf, Named>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Named {
    Folder,
    File(Vec<u8>),
    Link(PathBuf),
}

impl Image {
    /// Writes it to another folder, as though it had been there all along.
    pub(super) fn lay_out(&self, to: &Path) {
        let to = &to.canonicalize().unwrap();
        let (former, present) = (self.folder.to_str().unwrap(), to.to_str().unwrap());
        for (path, named) in &self.names {
            let place = to.join(path);
            match named {
                Named::Folder => fs::create_dir_all(place).unwrap(),
                // It says whose the cold folder is.
                Named::File(bytes) if path.parent() == Some(Path::new("cold")) => {
                    fs::write(place, String::from_utf8_lossy(bytes).replace(former, present)).unwrap();
                }
                Named::File(bytes) => fs::write(place, bytes).unwrap(),
                Named::Link(target) => {
                    let target = target.strip_prefix(&self.folder).map_or(target.clone(), |below| to.join(below));
                    std::os::unix::fs::symlink(target, place).unwrap();
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
    Link(usize),
}

/// A file: what is durable, and what was done since.
#[derive(Default)]
struct Content {
    certain: Vec<u8>,
    changes: Vec<Edit>,
}

enum Edit {
    Empty,
    Extend(usize),
    Write(usize, Vec<u8>),
}

/// A name that came, went, or both at once.
struct Change {
    gone: Option<(PathBuf, Node)>,
    new: Option<(PathBuf, Node)>,
}

impl Change {
    fn folder(&self) -> Option<&Path> {
        self.gone.as_ref().or(self.new.as_ref())?.0.parent()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        if let Some((path, node)) = &self.gone
            && names.get(path) == Some(node)
        {
            names.remove(path);
        }
        if let Some((path, node)) = &self.new {
            names.insert(path.clone(), *node);
        }
    }
}

impl Edit {
    /// Does it, of a write only the sectors that `kept` says.
    fn apply(&self, bytes: &mut Vec<u8>, mut kept: impl FnMut() -> bool) {
        match self {
            Self::Empty if kept() => bytes.clear(),
            Self::Extend(length) if kept() => bytes.resize((*length).max(bytes.len()), 0),
            Self::Empty | Self::Extend(_) => {}
            Self::Write(offset, written) => {
                let (mut start, end) = (*offset, offset + written.len());
                while start < end {
                    let next = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
                    if kept() {
                        bytes.resize(bytes.len().max(next), 0);
                        bytes[start..next].copy_from_slice(&written[start - offset..next - offset]);
                    }
                    start = next;
                }
            }
        }
    }
}

/// How much of what is uncertain a power cut keeps.
fn keeping(random: &mut StdRng) -> f64 {
    [0.0, 1.0, 0.5, 0.9][random.random_range(0..4)]
}

impl Content {
    fn after_power_cut(&self, random: &mut StdRng) -> Vec<u8> {
        let (mut bytes, kept) = (self.certain.clone(), keeping(random));
        self.changes.iter().for_each(|edit| edit.apply(&mut bytes, || random.random_bool(kept)));
        bytes
    }

    fn sync(&mut self) {
        self.changes.drain(..).for_each(|edit| edit.apply(&mut self.certain, || true));
    }
}

/// What becomes of a call.
enum Verdict {
    Done,
    /// Done in part, with an error.
    Torn(Error),
    /// With an error.
    Refused(Error),
}

impl State {
    fn next(&mut self, allocates: bool, what: &str, path: &Path) -> Verdict {
        if self.off {
            return Verdict::Refused(Error::from_raw_os_error(EIO));
        }
        if let Some(mut watcher) = self.watcher.take() {
            watcher(&mut || self.image());
            self.watcher = Some(watcher);
        }
        self.calls += 1;
        match self.fault {
            Fault::Error(call) if call == self.calls => {
                self.note(what, path);
                Verdict::Torn(Error::from_raw_os_error(EIO))
            }
            Fault::Full(from, refusals) if from <= self.calls && refusals > 0 && allocates => {
                self.note(what, path);
                self.fault = Fault::Full(from, refusals - 1);
                Verdict::Torn(Error::from_raw_os_error(ENOSPC))
            }
            _ => Verdict::Done,
        }
    }

    fn lies(&self, path: &Path) -> bool {
        self.lie.is_some_and(|lie| lie(&self.relative(path)))
    }

    fn note(&mut self, what: &str, path: &Path) {
        self.last = format!("call {}, {what} {}", self.calls, path.display());
    }

    fn file(&mut self, file: &File) -> (usize, PathBuf) {
        let metadata = file.metadata().unwrap();
        let number = self.by_handle[&(metadata.dev(), metadata.ino())];
        let path = self.present.iter().find(|(_, node)| **node == Node::File(number)).map(|(path, _)| path.clone());
        (number, path.unwrap_or_default())
    }

    /// Takes note of a file that was opened, new or not.
    fn opened(&mut self, path: &Path, file: &File) -> usize {
        if let Some(Node::File(number)) = self.present.get(path) {
            return *number;
        }
        let metadata = file.metadata().unwrap();
        let number = self.files.len();
        self.files.push(Content::default());
        self.by_handle.insert((metadata.dev(), metadata.ino()), number);
        self.change(None, Some((path.to_owned(), Node::File(number))));
        number
    }

    fn link(&mut self, target: PathBuf) -> Node {
        self.links.push(target);
        Node::Link(self.links.len() - 1)
    }

    fn change(&mut self, gone: Option<(PathBuf, Node)>, new: Option<(PathBuf, Node)>) {
        let change = Change { gone, new };
        change.apply(&mut self.present);
        self.changes.push(change);
    }

    fn node(&self, path: &Path) -> Option<(PathBuf, Node)> {
        Some((path.to_owned(), *self.present.get(path)?))
    }

    fn sync_folder(&mut self, folder: &Path) {
        let (synced, others) = self.changes.drain(..).partition(|change| change.folder() == Some(folder));
        let synced: Vec<Change> = synced;
        self.changes = others;
        synced.iter().for_each(|change| change.apply(&mut self.certain));
    }
}

impl Faulty {
    /// Of a folder as it is: everything in it is durable.
    pub(super) fn new(folder: &Path, seed: u64, fault: Fault) -> Self {
        let folder = folder.canonicalize().unwrap();
        let mut state = State {
            folder: folder.clone(),
            random: StdRng::seed_from_u64(seed),
            fault,
            calls: 0,
            last: String::new(),
            off: false,
            refused: None,
            files: Vec::new(),
            links: Vec::new(),
            by_handle: HashMap::new(),
            present: BTreeMap::new(),
            certain: BTreeMap::new(),
            changes: Vec::new(),
            lie: None,
            watcher: None,
        };
        state.take_in(&folder);
        state.certain = state.present.clone();
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Whether a call went wrong.
    pub(super) fn has_failed(&self) -> bool {
        !self.state().last.is_empty()
    }

    /// The call that went wrong last.
    pub(super) fn last_fault(&self) -> String {
        self.state().last.clone()
    }

    /// A process begins: calls are counted anew, and this goes wrong.
    pub(super) fn begin(&self, fault: Fault) {
        let state = &mut *self.state();
        (state.fault, state.calls, state.off) = (fault, 0, false);
        state.last.clear();
    }

    pub(super) fn lie(&self, lie: Lie) {
        self.state().lie = Some(lie);
    }

    pub(super) fn watch(&self, watcher: Watcher) {
        self.state().watcher = Some(watcher);
    }

    /// The power goes now: nothing more is done, and this is what the machine finds later.
    pub(super) fn power_cut(&self) -> Image {
        let state = &mut *self.state();
        state.off = true;
        state.image()
    }

    /// The folder as it can be read now.
    pub(super) fn present(&self) -> Image {
        let state = self.state();
        let named = |path: &Path, node: &Node| match node {
            Node::Folder => Named::Folder,
            Node::File(_) => Named::File(fs::read(path).unwrap()),
            Node::Link(number) => Named::Link(state.links[*number].clone()),
        };
        let names = state.present.iter().map(|(path, node)| (state.relative(path), named(path, node)));
        Image { folder: state.folder.clone(), names: names.collect() }
    }
}

impl State {
    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.folder).unwrap().to_owned()
    }

    /// What a power cut leaves: all that is certain, and of the rest what chance says.
    fn image(&mut self) -> Image {
        let mut names = self.certain.clone();
        let kept = keeping(&mut self.random);
        if self.random.random_bool(0.5) {
            let count = (self.changes.len() as f64 * kept).round() as usize;
            self.changes.iter().take(count).for_each(|change| change.apply(&mut names));
        } else {
            let (random, changes) = (&mut self.random, &self.changes);
            changes.iter().filter(|_| random.random_bool(kept)).for_each(|change| change.apply(&mut names));
        }
        // What was synced in a folder is lost with the folder's own name, and not before.
        let mut reached = BTreeSet::from([self.folder.clone()]);
        names.retain(|path, node| {
            let is_reached = *path == self.folder || path.parent().is_some_and(|folder| reached.contains(folder));
            if is_reached && *node == Node::Folder {
                reached.insert(path.clone());
            }
            is_reached
        });
        let mut image = BTreeMap::new();
        let mut contents: HashMap<usize, Vec<u8>> = HashMap::new();
        for (path, node) in &names {
            let named = match node {
                Node::Folder => Named::Folder,
                Node::Link(number) => Named::Link(self.links[*number].clone()),
                Node::File(number) => {
                    let random = &mut self.random;
                    let content =
                        contents.entry(*number).or_insert_with(|| self.files[*number].after_power_cut(random));
                    Named::File(content.clone())
                }
            };
            image.insert(self.relative(path), named);
        }
        Image { folder: self.folder.clone(), names: image }
    }
}

impl State {
    fn take_in(&mut self, folder: &Path) {
        self.present.insert(folder.to_owned(), Node::Folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                self.take_in(&path);
                continue;
            }
            if metadata.is_symlink() {
                let link = self.link(fs::read_link(&path).unwrap());
                self.present.insert(path, link);
                continue;
            }
            let files = self.files.len();
            let number = *self.by_handle.entry((metadata.dev(), metadata.ino())).or_insert(files);
            if number == files {
                self.files.push(Content { certain: fs::read(&path).unwrap(), changes: Vec::new() });
            }
            self.present.insert(path, Node::File(number));
        }
    }
}

/// A path whose folders are not links.
fn real(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    folder.zip(path.file_name()).map_or(path.to_owned(), |(folder, name)| folder.join(name))
}

impl Disk for Faulty {
    fn open(&self, path: &Path) -> Result<File> {
        let path = &real(path);
        let state = &mut *self.state();
        let is_new = !state.present.contains_key(path);
        match state.next(is_new, "open", path) {
            Verdict::Done => {
                let file = LocalDisk.open(path)?;
                state.opened(path, &file);
                Ok(file)
            }
            Verdict::Torn(error) | Verdict::Refused(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> Result<File> {
        let path = &real(path);
        let state = &mut *self.state();
        match state.next(true, "create", path) {
            Verdict::Done => {
                let file = LocalDisk.create(path)?;
                let number = state.opened(path, &file);
                state.files[number].changes.push(Edit::Empty);
                Ok(file)
            }
            Verdict::Torn(error) | Verdict::Refused(error) => Err(error),
        }
    }

    fn reserve(&self, file: &File, bytes: u64) -> Result<()> {
        let state = &mut *self.state();
        let (number, path) = state.file(file);
        match state.next(true, "reserve", &path) {
            Verdict::Done => {
                LocalDisk.reserve(file, bytes)?;
                state.files[number].changes.push(Edit::Extend(bytes as usize));
                Ok(())
            }
            Verdict::Torn(error) | Verdict::Refused(error) => Err(error),
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> Result<()> {
        let state = &mut *self.state();
        let (number, path) = state.file(file);
        // What was refused there once can be written over: by zeros, as it happens.
        let again = state.refused.take() == Some((number, offset));
        let (written, outcome) = match state.next(!again, "write", &path) {
            Verdict::Done => (bytes, Ok(())),
            // Often all of it is there though it was refused: the worst for whoever wrote it.
            Verdict::Torn(error) => {
                let written = if state.random.random_bool(0.3) {
                    bytes.len()
                } else {
                    state.random.random_range(0..=bytes.len())
                };
                (&bytes[..written], Err(error))
            }
            Verdict::Refused(error) => return Err(error),
        };
        LocalDisk.write_at(file, written, offset)?;
        state.files[number].changes.push(Edit::Write(offset as usize, written.to_vec()));
        state.refused = outcome.is_err().then_some((number, offset));
        outcome
    }

    fn sync(&self, file: &File) -> Result<()> {
        let state = &mut *self.state();
        let (number, path) = state.file(file);
        match state.next(false, "sync", &path) {
            Verdict::Done => {
                if !state.lies(&path) {
                    state.files[number].sync();
                }
                Ok(())
            }
            Verdict::Torn(error) => {
                // What did not reach the disk now never will, though it can be read until then.
                let content = &mut state.files[number];
                content.certain = content.after_power_cut(&mut state.random);
                content.changes.clear();
                Err(error)
            }
            Verdict::Refused(error) => Err(error),
        }
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        let path = &real(path);
        self.name(true, "create folder", path, |state| {
            LocalDisk.create_folder(path)?;
            state.change(None, Some((path.to_owned(), Node::Folder)));
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (&real(from), &real(to));
        self.name(true, "rename", from, |state| {
            LocalDisk.rename(from, to)?;
            let gone = state.node(from);
            state.change(gone.clone(), gone.map(|(_, node)| (to.to_owned(), node)));
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (&real(from), &real(to));
        self.name(true, "link", to, |state| {
            LocalDisk.link(from, to)?;
            let node = state.node(from);
            state.change(None, node.map(|(_, node)| (to.to_owned(), node)));
            Ok(())
        })
    }

    fn symlink(&self, target: &Path, path: &Path) -> Result<()> {
        let path = &real(path);
        self.name(true, "symlink", path, |state| {
            LocalDisk.symlink(target, path)?;
            let link = state.link(target.to_owned());
            state.change(None, Some((path.to_owned(), link)));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let path = &real(path);
        self.name(false, "remove", path, |state| {
            LocalDisk.remove(path)?;
            let gone = state.node(path);
            state.change(gone, None);
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        let folder = &folder.canonicalize()?;
        self.name(false, "sync folder", folder, |state| {
            if !state.lies(folder) {
                state.sync_folder(folder);
            }
            Ok(())
        })
    }
}

impl Faulty {
    /// A call that is done or not.
    fn name(
        &self,
        allocates: bool,
        what: &str,
        path: &Path,
        call: impl FnOnce(&mut State) -> Result<()>,
    ) -> Result<()> {
        let state = &mut *self.state();
        match state.next(allocates, what, path) {
            Verdict::Done => call(state),
            Verdict::Torn(error) | Verdict::Refused(error) => Err(error),
        }
    }
}
