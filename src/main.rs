//! The `takt` program.

use std::process::ExitCode;

/// Batches are many small allocations by some threads that other threads free; the system's allocator spends a third of the
/// time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    takt::cli::main()
}
