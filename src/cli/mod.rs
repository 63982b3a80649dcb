//! The command line: one file per command. Only here is anything printed, and only through the writers that are passed in.

mod administration;
mod arguments;
mod audit;
mod check;
mod client;
mod confirm;
mod demo;
mod echo;
mod explain;
mod failure;
mod import;
mod invite;
mod key;
mod password;
mod serve;
mod session;
mod signals;
mod table;
mod user;

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use serde::Serialize;

use self::arguments::{Arguments, Command};
use self::failure::{Failure, Status};
use crate::config::{self, Config};

/// Runs one command. Returns the exit status: 0 when it is done, 1 when it failed, 2 for wrong usage or a wrong configuration.
///
/// `args` begins with the name of the program. Results go to `out`, errors and questions to `err`.
pub fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let done = match Arguments::try_parse_from(args) {
        Ok(arguments) => dispatch(arguments, out, err),
        Err(answer) => say_usage(&answer, out, err),
    };
    let done = done.and_then(|status| out.flush().map(|()| status).map_err(Failure::Output));
    let status = match done {
        Ok(status) => status,
        // `portcullis user list | head -1`: the reader has what it wanted.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Status::Done,
        Err(failure) => {
            // Where the complaint cannot be written either, the status has to say it.
            let _ = failure.write(err, is_coloured());
            failure.status()
        }
    };
    status as u8
}

fn dispatch(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<Status, Failure> {
    let file = Named(arguments.config);
    match arguments.command {
        Command::Serve => serve::run(&file.find()?),
        Command::Demo(_) if file.is_given() => {
            Err(Failure::usage("the demo brings its own configuration: leave out --config"))
        }
        Command::Demo(options) => demo::run(&options, out),
        Command::Check { json } => check::run(&file.find()?, json, out),
        Command::Explain(question) => explain::run(&question, &file.load()?, out),
        Command::Key { command } => key::run(&command, &file.load()?, out, err),
        Command::User { command } => user::run(&command, &file.load()?, out, err),
        Command::Client { command } => client::run(&command, &file.load()?, out, err),
        Command::Session { command } => session::run(&command, &file.load()?, out, err),
        Command::Audit { command } => audit::run(&command, &file.load()?, out, err),
        Command::Completions { shell } => completions(shell, out),
    }
}

/// Help and version go to standard output, with status 0; errors to standard error, with status 2.
fn say_usage(answer: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> Result<Status, Failure> {
    let text = answer.render().to_string();
    if answer.use_stderr() {
        write!(err, "{text}")?;
        return Ok(Status::Wrong);
    }
    write!(out, "{text}")?;
    Ok(Status::Done)
}

fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<Status, Failure> {
    // The generator panics where it cannot write, and into memory it always can.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut script);
    out.write_all(&script)?;
    Ok(Status::Done)
}

/// What `--config` names.
struct Named(Option<PathBuf>);

impl Named {
    fn is_given(&self) -> bool {
        self.0.is_some()
    }

    fn find(&self) -> Result<PathBuf, Failure> {
        config::find_file(self.0.as_deref()).map_err(|error| {
            Failure::usage(error.to_string())
                .with_help("name the file with --config FILE, or try `portcullis demo`, which needs none")
        })
    }

    fn load(&self) -> Result<Config, Failure> {
        load(&self.find()?)
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path).map_err(Failure::Config)
}

/// Whether error messages have colour: on a terminal, unless the environment says no (no-color.org).
fn is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What `--json` prints.
fn print_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(error.to_string()))?;
    writeln!(out, "{text}")?;
    Ok(())
}

#[cfg(test)]
mod tests;
