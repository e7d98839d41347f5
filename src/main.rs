//! The `takt` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    takt::cli::main()
}
