//! The progress bar of an import.

use std::fmt::Display;
use std::path::Path;
use std::time::Instant;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::cli::terminal;

/// How far the import is, with rows per second. Nothing is drawn where stderr is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// For files of `size` bytes together.
    pub(super) fn new(size: u64) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {percent:>3}%  {msg}  ETA {eta}")?;
        Ok(Self { bar: ProgressBar::new(size).with_style(style), started: Instant::now() })
    }

    /// Shows the name of the file under way.
    pub(super) fn open(&self, path: &Path) {
        let name = path.file_name().unwrap_or(path.as_os_str());
        self.bar.set_prefix(name.to_string_lossy().into_owned());
    }

    /// Moves on by `size` bytes; `stored` rows are in.
    pub(super) fn advance(&self, size: u64, stored: u64) {
        self.bar.inc(size);
        self.bar.set_message(format!("{} rows, {} rows/s", HumanCount(stored), HumanCount(self.rate(stored))));
    }

    /// Prints a line beside the bar.
    pub(super) fn complain(&self, line: impl Display) {
        self.bar.suspend(|| terminal::complain(line));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// What became of the whole import.
    pub(super) fn summary(&self, stored: u64, refused: u64) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = HumanCount(self.rate(stored));
        let refused = if refused == 0 { String::new() } else { format!(", {} refused", HumanCount(refused)) };
        format!("{} rows stored{refused}, {seconds:.1} s, {rate} rows/s", HumanCount(stored))
    }

    fn rate(&self, rows: u64) -> u64 {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        (rows as f64 / seconds) as u64
    }
}
