//! `takt restore`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use storage::FolderLock;

use super::terminal;
use crate::server::COMPANIONS;

/// Lay out a new data folder from a backup
///
/// Every file is checked against the backup's own list before the folder can be used. Files that were damaged when the
/// backup was taken are laid out as they are and named, and the command ends with 1. Start the server on it with
/// `takt serve --data DIR`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Folder that `takt backup` wrote
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The new data folder; must not exist yet, or be empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(super) fn run(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    refuse_used(&args.data)?;
    let style =
        ProgressStyle::with_template("restoring [{wide_bar}] {percent:>3}%  {bytes} of {total_bytes}  ETA {eta}")?;
    let bar = ProgressBar::new(0).with_style(style);
    let restored = storage::restore(&args.backup, &args.data, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = restored?;
    // Backups of earlier versions do not list them.
    for name in COMPANIONS.into_iter().filter(|name| !args.data.join(name).exists()) {
        copy_companion(&args.backup.join(name), &args.data.join(name))
            .with_context(|| format!("cannot bring {name} back"))?;
    }
    let (data, bytes) = (args.data.display(), HumanBytes(report.bytes));
    if report.damaged.is_empty() {
        terminal::say(format_args!("{data}: {} files, {bytes}, verified", report.files))?;
        terminal::complain(format_args!("Start it with `takt serve --data {data}`."));
        return Ok(ExitCode::SUCCESS);
    }
    terminal::say(format_args!("{data}: {} files, {bytes}, all as the backup has them", report.files))?;
    for path in &report.damaged {
        terminal::complain(format_args!("{path}: it was damaged when the backup was taken"));
    }
    terminal::complain(format_args!(
        "Damaged files: {}. An older backup may have them sound; `takt verify --data {data}` tells what is wrong.",
        report.damaged.len()
    ));
    Ok(ExitCode::FAILURE)
}

/// A copy, with its permissions and on the disk, of a file that may not exist.
fn copy_companion(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Ok(_) => File::open(to)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder in use, or with anything in it, is never touched.
fn refuse_used(data: &Path) -> anyhow::Result<()> {
    let filled = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot look into {}", data.display())),
    };
    if !filled {
        return Ok(());
    }
    if data.join("tables").is_dir() {
        // Says which process has it, where one has.
        drop(FolderLock::take(data)?);
    }
    bail!("{} is not empty; name a folder that does not exist yet", data.display())
}
