//! The command line: arguments in, exit status out.

use std::io;
use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// It gives out again what was freed last, which is still in the CPU's caches, and gives memory back that nobody needs any more.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // Not locked: the threads of a gateway write to both as well.
    let (mut out, mut err) = (io::stdout(), io::stderr());
    ExitCode::from(portcullis::cli::run(std::env::args_os(), &mut out, &mut err))
}
