//! How a command ends.

use std::error::Error;
use std::io::{self, Write};

use crate::causes::with_causes;
use crate::config::Diagnostics;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is done.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// The arguments or the configuration are wrong.
    Wrong = 2,
}

/// Why a command could not do what it was asked to.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration file is wrong.
    Config(Diagnostics),
    /// Something else, as one sentence, and what to do about it.
    Told { status: Status, message: String, help: Option<String> },
    /// The result cannot be written.
    Output(io::Error),
}

impl Failure {
    /// It could not be done.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Told { status: Status::Failed, message: message.into(), help: None }
    }

    /// It could not be done; the causes of the error are told with it.
    pub(super) fn because(error: &dyn Error) -> Self {
        Self::failed(with_causes(error))
    }

    /// The arguments are wrong in a way that the parser of the arguments does not see.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Told { status: Status::Wrong, message: message.into(), help: None }
    }

    /// The same, with what to do about it.
    pub(super) fn with_help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Told { status, message, .. } => Self::Told { status, message, help: Some(text.into()) },
            other => other,
        }
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Self::Config(_) => Status::Wrong,
            Self::Told { status, .. } => *status,
            Self::Output(_) => Status::Failed,
        }
    }

    /// Writes it for people, in the form that the parser of the arguments has too.
    pub(super) fn write(&self, err: &mut dyn Write, coloured: bool) -> io::Result<()> {
        match self {
            Self::Config(diagnostics) => writeln!(err, "{}", diagnostics.render(coloured)),
            Self::Output(error) => writeln!(err, "error: cannot write the result: {error}"),
            Self::Told { message, help, .. } => {
                writeln!(err, "error: {message}")?;
                help.as_ref().map_or(Ok(()), |help| writeln!(err, "\nhelp: {help}"))
            }
        }
    }
}

/// Every write of a command is one of its result, or of what it has to say while it works.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
