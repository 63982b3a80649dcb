//! Reads a log that somebody else may be writing: what it says, and whether it is whole.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::chain::{Chain, Step};
use super::event::Action;
use super::files;
use super::line::{Fault, Link, MAX_LINE, Record};

/// A log whose chain is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many records there are.
    pub records: u64,
    /// The number of the first one. Those before it were removed by the rule of `audit.max_files`.
    pub first: u64,
    /// The last one; number 0 if there is none.
    pub last: Link,
    /// In how many files.
    pub files: usize,
    /// Whether the last line is unfinished: it is being written, or was when the gateway was killed.
    pub unfinished: bool,
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {fault}", file.display())]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// Why a log does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("the audit log {path} cannot be read: {source}")]
    Unreadable {
        /// `audit.path`
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The chain is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Without the head, nobody knows how long the log was.
    #[error("{path}.head is missing or damaged: records may have been cut off from the end")]
    NoHead {
        /// `audit.path`
        path: String,
    },
    /// The record that the caller knows is not the one in the log, or is not there.
    #[error(
        "there is no record {seq} with that hash: the log is another one than it was then, or the record is too old to be kept"
    )]
    NotTheSame {
        /// Its number.
        seq: u64,
    },
}

/// Hands every record to `each`, the oldest first, broken chain or not. Returns how many lines are no records.
///
/// # Errors
/// What the system says.
pub fn read(log: &Path, mut each: impl FnMut(Record)) -> io::Result<u64> {
    let mut others = 0;
    for (_, file) in open(log)? {
        lines(file, |_, line, is_whole| {
            match serde_json::from_slice(line) {
                Ok(record) => each(record),
                Err(_) if is_whole => others += 1,
                // It is being written.
                Err(_) => {}
            }
            Ok::<_, io::Error>(())
        })?;
    }
    Ok(others)
}

/// Follows the chain through all files, up to the head. `known` is a record that has to be in it.
///
/// # Errors
/// [`VerifyError`], with the first line that is wrong.
pub fn verify(log: &Path, known: Option<&Link>) -> Result<Summary, VerifyError> {
    loop {
        let before = inode(log);
        let result = verify_once(log, known);
        // A file that was set aside in the meantime may have taken an old one with it.
        if result.is_ok() || inode(log) == before {
            return result;
        }
    }
}

fn inode(log: &Path) -> Option<u64> {
    fs::metadata(log).ok().map(|metadata| metadata.ino())
}

fn verify_once(log: &Path, known: Option<&Link>) -> Result<Summary, VerifyError> {
    let path = || log.display().to_string();
    let unreadable = |source| VerifyError::Unreadable { path: path(), source };
    // Before the files, which may grow in the meantime.
    let head = files::read_head(log).map_err(unreadable)?;
    let opened = open(log).map_err(unreadable)?;
    let mut walk = Walk::new(opened.len(), known, head.as_ref());
    for (path, file) in opened {
        walk.file(&path, file).map_err(|error| match error {
            Stop::Broken(broken) => VerifyError::Broken(broken),
            Stop::Io(source) => unreadable(source),
        })?;
    }
    let summary = walk.finish(log)?;
    if head.is_none() && summary.records > 0 {
        return Err(VerifyError::NoHead { path: path() });
    }
    Ok(summary)
}

enum Stop {
    Broken(Broken),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The chain, and what is learned on the way.
struct Walk<'k> {
    chain: Chain,
    summary: Summary,
    known: Option<&'k Link>,
    saw_known: bool,
    head: Option<&'k Link>,
    saw_head: bool,
    /// The oldest record that was kept, as the last rotation says.
    oldest: u64,
    start: Option<PathBuf>,
    /// Where the lines stand, for those that are complained about later.
    places: Vec<(PathBuf, u64)>,
}

impl<'k> Walk<'k> {
    fn new(files: usize, known: Option<&'k Link>, head: Option<&'k Link>) -> Self {
        let summary = Summary { records: 0, first: 0, last: Link::origin(), files, unfinished: false };
        Self {
            chain: Chain::behind(None),
            summary,
            known,
            saw_known: false,
            head,
            saw_head: head.is_none_or(|head| head.seq == 0),
            oldest: 1,
            start: None,
            places: Vec::new(),
        }
    }

    fn file(&mut self, path: &Path, file: File) -> Result<(), Stop> {
        lines(file, |number, line, is_whole| {
            self.places.push((path.to_owned(), number));
            match self.chain.step(line) {
                Ok(Step::Record(record)) => self.record(&record, path),
                Ok(Step::Unfinished) => self.summary.unfinished = !is_whole,
                Err(at) => return Err(Stop::Broken(self.broken(at.fault, at.lines_back))),
            }
            Ok(())
        })
    }

    fn record(&mut self, record: &Record, path: &Path) {
        self.places.clear();
        self.summary.unfinished = false;
        if self.summary.records == 0 {
            self.summary.first = record.seq;
            self.start = Some(path.to_owned());
            // Of the first one there is, only the very first has a known record before it.
            if record.seq == 1 && record.prev != Link::origin().hash {
                self.summary.first = 0;
            }
        }
        self.summary.records += 1;
        self.summary.last = Link { seq: record.seq, hash: record.hash.clone() };
        if record.action == Action::LogRotate.name() {
            self.oldest = record.oldest.unwrap_or(self.oldest);
        }
        self.saw_head |= self.head == Some(&self.summary.last);
        self.saw_known |= self.known == Some(&self.summary.last);
    }

    fn finish(self, log: &Path) -> Result<Summary, VerifyError> {
        match self.chain.finish() {
            Err(at) if !(self.summary.unfinished && at.lines_back == 0) => {
                return Err(self.broken(at.fault, at.lines_back).into());
            }
            _ => {}
        }
        let first = self.summary.first;
        if self.summary.records > 0 && (first == 0 || first > self.oldest) {
            let file = self.start.unwrap_or_else(|| log.to_owned());
            return Err(Broken { file, line: 1, fault: Fault::OutOfPlace }.into());
        }
        if !self.saw_head {
            let count = File::open(log).map(|file| BufReader::new(file).lines().count()).unwrap_or_default();
            return Err(Broken { file: log.to_owned(), line: count as u64 + 1, fault: Fault::CutOff }.into());
        }
        match self.known {
            Some(known) if !self.saw_known => Err(VerifyError::NotTheSame { seq: known.seq }),
            _ => Ok(self.summary),
        }
    }

    fn broken(&self, fault: Fault, lines_back: u64) -> Broken {
        let back = usize::try_from(lines_back).unwrap_or(usize::MAX);
        let at = self.places.len().saturating_sub(1).saturating_sub(back);
        let (file, line) = self.places.get(at).cloned().unwrap_or_default();
        Broken { file, line, fault }
    }
}

/// All files, the oldest first. The one in use is opened before the others are looked for: if it is set aside in the meantime, it is
/// among them.
fn open(log: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let current = match File::open(log) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let inode = current.as_ref().map(|file| file.metadata().map(|it| (it.dev(), it.ino()))).transpose()?;
    let mut opened = Vec::new();
    let aside = match files::set_aside(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    for (_, path) in aside {
        match File::open(&path) {
            Ok(file) => opened.push((path, file)),
            // It has just become too old.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(current) = current {
        opened.retain(|(_, file)| !file.metadata().is_ok_and(|it| Some((it.dev(), it.ino())) == inode));
        opened.push((log.to_owned(), current));
    }
    Ok(opened)
}

/// Hands every line to `each`: its number from 1, its bytes without the line end, and whether it has one. What is too long for a
/// record is handed over in parts.
fn lines<E: From<io::Error>>(
    file: File,
    mut each: impl FnMut(u64, &[u8], bool) -> Result<(), E>,
) -> Result<(), E> {
    let (mut file, mut line, mut number) = (BufReader::new(file), Vec::new(), 1);
    loop {
        line.clear();
        (&mut file).take(2 * MAX_LINE as u64).read_until(b'\n', &mut line)?;
        let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
        if line.is_empty() && !is_whole {
            return Ok(());
        }
        each(number, &line, is_whole)?;
        number += 1;
    }
}
