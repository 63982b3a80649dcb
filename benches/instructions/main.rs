//! What the parts of a request's path cost, in instructions under callgrind. `.ci/instructions` compares with the counts that are
//! committed beside this folder; see `benches/README.md`.
//!
//! A count has to repeat, so nothing here depends on the time or on randomness, or it is done so often that the mean does not.
//! Each has done its work once before it is counted: then the allocator's lists hold what it needs, as they do in a gateway that runs,
//! whereas the first time depends on what the setup has left in them. Benchmarks whose name ends in `_x` and a number do the same
//! thing so many times; their count is divided by it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking; the macros make public items without documentation, and end the process"
)]

mod blocks;
mod config;
mod exchange;
mod heads;
mod limits;
mod records;
mod routes;
mod tokens;

use blocks::hpack;
use exchange::whole;
use gungraun::{Callgrind, LibraryBenchmarkConfig, main};
use heads::head;
use limits::limit;
use records::record;
use routes::route;
use tikv_jemallocator::Jemalloc;
use tokens::token;

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

main!(
    // Only the count is wanted, and the simulation of caches takes twice as long. What other threads do is in files of their own.
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::with_args(["--cache-sim=no", "--separate-threads=yes"])),
    library_benchmark_groups = [route, head, hpack, token, record, limit, whole]
);
