//! `takt import`.

mod chunk;
mod columns;
mod csv_file;
mod csv_lines;
mod csv_quotes;
mod line_file;
mod parquet_file;
mod progress;
mod upload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use oee::tables::{SAMPLES, TABLES, Table};

use self::chunk::{Chunk, Chunks};
use self::csv_file::CsvFile;
use self::line_file::LineFile;
use self::parquet_file::ParquetFile;
use self::progress::Progress;
use self::upload::Upload;
use super::client::{ServerArgs, block_on};
use super::terminal;
use crate::config::nearest;

/// So many refused rows are shown one by one; the others are counted.
const SHOWN: u64 = 20;

/// Bring files into a running server
///
/// CSV: the header names columns of the table; commas, semicolons or tabs separate. Parquet: the same, by column names.
/// Line protocol (.lp): as Telegraf writes it. Times are RFC 3339 with a zone, or numbers since 1970 in s, ms, µs or ns.
///
/// Importing the same file twice stores it once. Rows that cannot be stored are named by line or row and the exit code is 1;
/// all others are stored.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  takt import history.csv
  takt import --table measurements leak_tests.parquet")]
pub(super) struct ImportArgs {
    /// The files; their endings say what they are: .csv, .parquet, .lp
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The table that CSV and Parquet rows belong to
    #[arg(long, value_name = "TABLE", default_value = "samples")]
    table: String,
    /// Unit of the times in line protocol files
    #[arg(long, value_enum, default_value_t = Precision::Ns)]
    precision: Precision,
    #[command(flatten)]
    server: ServerArgs,
}

/// Unit of the times in line protocol.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Precision {
    /// Nanoseconds
    Ns,
    /// Microseconds
    Us,
    /// Milliseconds
    Ms,
    /// Seconds
    S,
}

impl Precision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Us => "us",
            Self::Ms => "ms",
            Self::S => "s",
        }
    }
}

pub(super) fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let table = table_named(&args.table)?;
    // Every file is opened first: a typing mistake in the last name must not show after an hour.
    let mut files = Vec::new();
    for path in &args.files {
        files.push((path, open(path, table)?));
    }
    let upload = Upload::new(&args.server, table, args.precision.as_str())?;
    block_on(import(files, upload))
}

fn table_named(name: &str) -> anyhow::Result<&'static Table> {
    if let Some(table) = TABLES.iter().find(|table| table.name == name) {
        return Ok(table);
    }
    let names = || TABLES.iter().map(|table| table.name);
    match nearest(name, names()) {
        Some(known) => bail!("there is no table `{name}`; did you mean `{known}`?"),
        None => bail!("there is no table `{name}`; there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

fn open(path: &Path, table: &'static Table) -> anyhow::Result<Box<dyn Chunks>> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let opened: anyhow::Result<Box<dyn Chunks>> = match ending.as_str() {
        "csv" => CsvFile::open(path, table).map(|file| Box::new(file) as Box<dyn Chunks>),
        "parquet" => ParquetFile::open(path, table).map(|file| Box::new(file) as Box<dyn Chunks>),
        "lp" if table.name == SAMPLES.name => LineFile::open(path).map(|file| Box::new(file) as Box<dyn Chunks>),
        "lp" => bail!("{}: line protocol brings samples only; leave --table away", path.display()),
        _ => bail!("{}: cannot tell what it is; the ending must be .csv, .parquet or .lp", path.display()),
    };
    opened.with_context(|| path.display().to_string())
}

async fn import(files: Vec<(&PathBuf, Box<dyn Chunks>)>, mut upload: Upload) -> anyhow::Result<ExitCode> {
    let progress = Progress::new(files.iter().map(|(_, file)| file.size()).sum())?;
    let (mut stored, mut refused, mut shown) = (0, 0, 0);
    for (path, mut file) in files {
        progress.open(path);
        loop {
            let stopped = || {
                format!(
                    "{}: stopped after {stored} rows were stored; the same command goes on, nothing is stored twice",
                    path.display()
                )
            };
            let unread = || format!("{}: cannot be read on; {stored} rows were stored before", path.display());
            let Some(chunk) = file.next().with_context(unread)? else { break };
            let Chunk { batch, refusals, size } = chunk;
            let receipt = upload.send(batch).await.with_context(stopped)?;
            stored += receipt.stored;
            refused += refusals.len() as u64 + receipt.refused;
            for (place, message) in refusals.into_iter().chain(receipt.refusals) {
                if shown < SHOWN {
                    shown += 1;
                    progress.complain(format_args!("{}:{place}: {message}", path.display()));
                }
            }
            progress.advance(size, stored);
        }
    }
    progress.finish();
    if refused > shown {
        terminal::complain(format_args!(
            "… and {} more; all that the server refused is in `takt quarantine`",
            refused - shown
        ));
    }
    terminal::say(progress.summary(stored, refused))?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
