//! What is wrong with a settings file, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// One mistake in a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl Mistake {
    /// The mistake at byte `offset` of `text`.
    pub(super) fn at(text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1, message }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Why a settings file could not be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It could not be read.
    #[error("cannot read the settings file {path}: {source}; give another with --config FILE")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has mistakes.
    #[error("{}", listing(.path, .mistakes))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// All of them, in file order.
        mistakes: Vec<Mistake>,
    },
}

fn listing(path: &Path, mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(|mistake| format!("{}:{mistake}", path.display())).collect();
    lines.join("\n")
}

/// Mistakes gathered while a text is read.
#[derive(Debug)]
pub(super) struct Mistakes<'t> {
    text: &'t str,
    found: Vec<(usize, String)>,
}

impl<'t> Mistakes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(super) fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.found.push((span.start, message.into()));
    }

    /// All mistakes, in file order.
    pub(super) fn finish(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|(offset, _)| *offset);
        self.found.into_iter().map(|(offset, message)| Mistake::at(self.text, offset, message)).collect()
    }
}
