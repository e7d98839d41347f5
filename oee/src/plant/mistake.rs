//! What is wrong in a plant file, where, and what to do about it.

use std::fmt;

pub(super) use crate::spelling::nearest;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// Line, 1 is the first.
    pub line: usize,
    /// Column in characters, 1 is the first.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.line, self.column, self.message, self.remedy)
    }
}

/// A value and where it stands in the file, as a byte offset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// Collects mistakes while a file is read.
#[derive(Debug)]
pub(super) struct Mistakes<'t> {
    text: &'t str,
    found: Vec<Mistake>,
    /// After a syntax error what is absent may only have been unreadable: such mistakes are left out.
    torn: bool,
}

impl<'t> Mistakes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new(), torn: false }
    }

    pub(super) fn add(&mut self, at: usize, message: impl Into<String>, remedy: impl Into<String>) {
        let (line, column) = self.place(at);
        let mistake = Mistake { line, column, message: message.into(), remedy: remedy.into() };
        if !self.found.contains(&mistake) {
            self.found.push(mistake);
        }
    }

    /// Something is not there.
    pub(super) fn absent(&mut self, at: usize, message: impl Into<String>, remedy: impl Into<String>) {
        if !self.torn {
            self.add(at, message, remedy);
        }
    }

    /// The file is not TOML at this place.
    pub(super) fn syntax(&mut self, at: usize, message: &str) {
        self.torn = true;
        let message = message.trim().replace('\n', ", ");
        self.add(at, format!("this is not TOML: {message}"), "correct the line; texts stand in double quotes");
    }

    /// A name that is declared nowhere.
    pub(super) fn unknown<'n>(
        &mut self,
        what: &str,
        name: &Located<String>,
        known: impl IntoIterator<Item = &'n str>,
        declare: &str,
    ) {
        let remedy = match nearest(&name.value, known) {
            Some(near) => format!("did you mean `{near}`? Otherwise {declare}"),
            None => declare.to_owned(),
        };
        self.absent(name.at, format!("unknown {what} `{}`", name.value), remedy);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn line(&self, at: usize) -> usize {
        self.place(at).0
    }

    /// The mistakes in file order.
    pub(super) fn into_sorted(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|mistake| (mistake.line, mistake.column));
        self.found
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}
