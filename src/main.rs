//! The command line: arguments in, exit status out.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Not locked: the threads of a gateway write to both as well.
    let (mut out, mut err) = (io::stdout(), io::stderr());
    ExitCode::from(portcullis::cli::run(std::env::args_os(), &mut out, &mut err))
}
