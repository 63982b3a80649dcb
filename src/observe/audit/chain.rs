//! Follows a chain line by line.

use super::event::Action;
use super::line::{self, Fault, Link, Record, sha256};

/// Bytes that a killed gateway can have left unfinished, and more.
const MAX_UNFINISHED: usize = 1 << 20;

/// How far a chain was followed.
#[derive(Debug)]
pub(super) struct Chain {
    /// The last record; `None` before the first one of a chain whose beginning is not known.
    last: Option<Link>,
    /// Lines since then that are no records. A killed gateway may have left them, which the next record has to say.
    unfinished: Vec<u8>,
    lines: u64,
}

/// What one line is.
#[derive(Debug)]
pub(super) enum Step {
    /// The next record.
    Record(Box<Record>),
    /// No record; what follows says whether that is as it should be.
    Unfinished,
}

/// Where the chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// How.
    pub(super) fault: Fault,
    /// So many lines before the one that was given last.
    pub(super) lines_back: u64,
}

impl Chain {
    /// A chain that goes on behind this record, or of which any record may be the first.
    pub(super) fn behind(last: Option<Link>) -> Self {
        Self { last, unfinished: Vec::new(), lines: 0 }
    }

    /// The last record.
    pub(super) fn last(&self) -> Option<&Link> {
        self.last.as_ref()
    }

    /// What stands behind the last record and is none.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.unfinished
    }

    /// Takes the next line, without its line end.
    ///
    /// # Errors
    /// [`Break`]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Step, Break> {
        match line::read(bytes) {
            Ok(record) if self.takes(&record) => {
                self.last = Some(Link { seq: record.seq, hash: record.hash.clone() });
                (self.lines, self.unfinished) = (0, Vec::new());
                Ok(Step::Record(Box::new(record)))
            }
            Err(Fault::NoRecord) if self.unfinished.len() < MAX_UNFINISHED => {
                if self.lines > 0 {
                    self.unfinished.push(b'\n');
                }
                self.unfinished.extend_from_slice(bytes);
                self.lines += 1;
                Ok(Step::Unfinished)
            }
            Ok(_) => Err(self.broken(Fault::OutOfPlace)),
            Err(fault) => Err(self.broken(fault)),
        }
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// [`Break`]
    pub(super) fn finish(&self) -> Result<(), Break> {
        match self.lines.checked_sub(1) {
            None => Ok(()),
            Some(lines_back) => Err(Break { fault: Fault::NoRecord, lines_back }),
        }
    }

    fn takes(&self, record: &Record) -> bool {
        let follows = self.last.as_ref().is_none_or(|last| last.leads_to(record));
        let explained = if self.lines == 0 {
            record.torn.is_none()
        } else {
            record.action == Action::LogRecover.name() && record.torn == Some(sha256(&self.unfinished))
        };
        follows && explained
    }

    /// A line that is no record, and that nobody has explained, is where it begins.
    fn broken(&self, fault: Fault) -> Break {
        if self.lines == 0 {
            return Break { fault, lines_back: 0 };
        }
        Break { fault: Fault::NoRecord, lines_back: self.lines }
    }
}
