//! The `takt` program.

use std::process::ExitCode;

/// Batches are many small allocations by some threads that other threads free; the system's allocator spends a third of the
/// time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Queries take and give back many pieces of memory of some pages each: clearing 2 MiB for every one is a tenth of their time,
    // and takes a tenth more memory. Where the kernel does not know the word, it is as it was.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // A merge reads hundreds of files at once, and each connection is one too; what is usual is 1,024. Where more is not granted, it
    // is as it was.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: files.maximum, ..files };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, most);
    takt::cli::main()
}
