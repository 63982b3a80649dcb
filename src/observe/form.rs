//! How a record looks, decided once from the configuration and from what it is written to.

use std::io::IsTerminal;

use crate::config::LogFormat;

/// How a record looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object per line.
    Json,
    /// For people, without colour.
    Plain,
    /// For people at a terminal that shows colour.
    Coloured,
}

impl Form {
    /// The form for `output`: colour only on a terminal, and not where the user asked for none (no-color.org).
    pub(super) fn choose(format: LogFormat, output: &impl IsTerminal) -> Self {
        let terminal = output.is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match (format, terminal) {
            (LogFormat::Json, _) | (LogFormat::Auto, false) => Self::Json,
            (LogFormat::Text, _) | (LogFormat::Auto, true) if colour => Self::Coloured,
            (LogFormat::Text, _) | (LogFormat::Auto, true) => Self::Plain,
        }
    }
}
