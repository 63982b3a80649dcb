//! What an import tells: each line that failed as it comes, and the counts at the end.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::failure::{Failure, Status};
use crate::identity::{LineError, Outcome};

/// The report on an import.
pub(super) struct Report<'w> {
    out: &'w mut dyn Write,
    err: &'w mut dyn Write,
    json: bool,
    counts: Counts,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    dry_run: bool,
    added: u64,
    updated: u64,
    skipped: u64,
    failed: u64,
}

#[derive(Serialize)]
struct FailedLine<'l> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'l str>,
    error: &'l str,
}

impl<'w> Report<'w> {
    /// Begins one; as JSON it is one object, written as it comes.
    pub(super) fn new(
        out: &'w mut dyn Write,
        err: &'w mut dyn Write,
        json: bool,
        dry_run: bool,
    ) -> Result<Self, Failure> {
        if json {
            write!(out, "{{\"errors\":[")?;
        }
        Ok(Self { out, err, json, counts: Counts { dry_run, ..Counts::default() } })
    }

    /// Counts a line that was imported, or skipped as it was asked for.
    pub(super) fn done(&mut self, outcome: &Outcome) {
        let counts = &mut self.counts;
        match outcome {
            Outcome::Added => counts.added += 1,
            Outcome::Updated => counts.updated += 1,
            Outcome::Skipped => counts.skipped += 1,
            Outcome::Refused { .. } => counts.failed += 1,
        }
    }

    /// Tells of a line that failed.
    pub(super) fn failed(&mut self, line: u64, error: &LineError) -> Result<(), Failure> {
        let (username, reason) = (error.username.as_deref(), error.reason.as_str());
        if self.json {
            let comma = if self.counts.failed == 0 { "" } else { "," };
            let failed = FailedLine { line, username, error: reason };
            write!(self.out, "{comma}\n{}", serde_json::to_string(&failed).map_err(io::Error::from)?)?;
        } else {
            // What was read from the file goes to a terminal: no control characters.
            let name = username.map_or_else(String::new, |name| format!(" ({})", name.escape_default()));
            writeln!(self.err, "line {line}{name}: {reason}")?;
        }
        self.counts.failed += 1;
        Ok(())
    }

    /// Tells the counts. A line that failed makes the command fail.
    pub(super) fn finish(&mut self) -> Result<Status, Failure> {
        let Counts { dry_run, added, updated, skipped, failed } = self.counts;
        if self.json {
            let counts = serde_json::to_string(&self.counts).map_err(io::Error::from)?;
            // The members of the counts, behind the one that is open.
            writeln!(self.out, "],{}", counts.strip_prefix('{').unwrap_or(&counts))?;
        } else {
            let would = if dry_run { "would be " } else { "" };
            writeln!(
                self.out,
                "{added} {would}added, {updated} {would}updated, {skipped} {would}skipped; {failed} failed"
            )?;
        }
        Ok(if failed == 0 { Status::Done } else { Status::Failed })
    }
}
