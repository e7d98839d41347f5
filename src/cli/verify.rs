//! `takt verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use storage::TableSpec;

use super::terminal;

/// Check every file of a data folder
///
/// Decodes all rows of all tables and compares checksums, counts, bounds and order with what the files and the table
/// logs say. Changes nothing; a server may be running. Ends with 1 where something is wrong.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Data folder
    #[arg(long, value_name = "DIR", env = "TAKT_DATA", default_value = "takt-data")]
    data: PathBuf,
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let style =
        ProgressStyle::with_template("verifying [{wide_bar}] {percent:>3}%  {bytes} of {total_bytes}  ETA {eta}")?;
    let bar = ProgressBar::new(0).with_style(style);
    let verified = storage::verify(&args.data, &specs_of(&args.data), &mut |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let verified = verified?;
    terminal::say(format_args!(
        "{} files, {} rows, {}; {} writes in the log",
        HumanCount(verified.files),
        HumanCount(verified.rows),
        HumanBytes(verified.bytes),
        HumanCount(verified.writes)
    ))?;
    if verified.without_checksum > 0 {
        terminal::say(format_args!(
            "files from before takt wrote checksums, looked through without: {}",
            HumanCount(verified.without_checksum)
        ))?;
    }
    if !verified.unnamed.is_empty() {
        terminal::say(format_args!(
            "files that no table names, so nobody reads them: {}. Merges and removals leave them for ten minutes, a crash \
             until the next start.",
            HumanCount(u64::try_from(verified.unnamed.len()).unwrap_or(u64::MAX))
        ))?;
    }
    for path in &verified.unnamed {
        terminal::say(format_args!("{}: not named by any table", path.display()))?;
    }
    for fault in &verified.faults {
        terminal::say(format_args!("{}: {}", fault.path.display(), fault.message))?;
    }
    if verified.faults.is_empty() {
        terminal::say("nothing is wrong")?;
        return Ok(ExitCode::SUCCESS);
    }
    terminal::complain(format_args!(
        "Faults: {}. Take what is sound from a backup: `takt restore BACKUP --data NEW_FOLDER`.",
        verified.faults.len()
    ));
    Ok(ExitCode::FAILURE)
}

/// The tables of a data folder. One that no server of this version has opened lacks those that are newer than it.
fn specs_of(folder: &Path) -> Vec<TableSpec> {
    let is_there = |name: &str| folder.join("tables").join(name).exists();
    let mut specs = ingest::table_specs();
    specs.retain(|spec| {
        !oee::tables::LATER.contains(&spec.name.as_str()) || is_there(&spec.name) || is_there(&spec.history().name)
    });
    specs
}
