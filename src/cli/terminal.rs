//! What a person, or the next program in a pipe, reads from takt.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};

/// Prints one line of result. A reader that has gone away (`takt … | head`) is no error.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    forgive_closed_pipe(writeln!(io::stdout().lock(), "{line}"))
}

/// Prints one line that is not the result: a complaint, or progress.
pub(crate) fn complain(line: impl Display) {
    // Where even stderr is closed there is nobody left to tell.
    let _nobody_left = writeln!(io::stderr().lock(), "{line}");
}

/// A buffered stdout for long results.
pub(crate) fn output() -> BufWriter<io::Stdout> {
    BufWriter::new(io::stdout())
}

/// Takes a closed pipe as the reader's way to say "enough".
pub(crate) fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// An error and its causes, each said once: some messages carry their cause within.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
