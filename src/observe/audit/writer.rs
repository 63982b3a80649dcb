//! Writes records to the files: finds where the log ended, appends, syncs, begins new files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::chain::{Chain, Step};
use super::event::{Action, Event, Target};
use super::files::{self, Head};
use super::line::{self, Extra, Link};
use crate::clock::UnixTime;

/// How much of the end is read at the start, where the head nearly always is.
const NEAR: u64 = 64 << 10;
/// How much is read if it is not there. A batch that the head does not know yet is smaller.
const FAR: u64 = 16 << 20;

/// An open log.
#[derive(Debug)]
pub(super) struct Writer {
    settings: Settings,
    head: Head,
    file: File,
    length: u64,
    /// The last record.
    last: Link,
    /// The number of the first record of the file, 0 while it has none.
    first: u64,
    /// A line end that is missing behind what stands in the file.
    needs_line_end: bool,
    /// Nobody knows what is in the file, so nothing more is written.
    is_lost: bool,
    /// What the log has to say about itself, before anything else.
    opening: Option<(Event, Extra)>,
}

/// Where and how much.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) log: PathBuf,
    pub(super) max_size: u64,
    pub(super) max_files: usize,
}

/// Why a batch was not written. What of it may be in the file nobody has been told of.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The next attempt may succeed: a full disk.
    #[error("{0}")]
    Now(io::Error),
    /// Nobody knows what is on the disk until the log is opened again.
    #[error("{0}; nothing more is written until the next start")]
    ForGood(io::Error),
}

/// How the log was found.
enum Ending {
    /// As it was left, but for an unfinished line.
    Whole { last: Link, rest: Vec<u8> },
    /// Otherwise. The chain goes on behind this record, and the gap stays.
    Damaged { last: Link, why: &'static str },
}

impl Writer {
    /// Opens the log, or makes it. Another process has `wait` to let go of it.
    pub(super) fn open(settings: Settings, wait: Duration, now: UnixTime) -> io::Result<Self> {
        let (head, made) = Head::lock(&settings.log, wait)?;
        let is_new = made || !settings.log.exists();
        let file = files::open_log(&settings.log)?;
        let link = head.read()?;
        let mut ending = find_end(&settings.log, &file, link.clone(), made, NEAR)?;
        if let Ending::Damaged { .. } = ending {
            ending = find_end(&settings.log, &file, link, made, FAR)?;
        }
        let length = file.metadata()?.len();
        let first = first_record(&file)?;
        let (needs_line_end, opening) = (false, None);
        let last = Link::origin();
        let mut writer =
            Self { settings, head, file, length, last, first, needs_line_end, is_lost: false, opening };
        match ending {
            Ending::Whole { last, rest } => writer.go_on_behind(last, &rest, now),
            Ending::Damaged { last, why } => writer.set_damage_aside(last, why, now)?,
        }
        writer.head.write(&writer.last)?;
        if is_new {
            writer.head.sync()?;
            files::sync_directory(&writer.settings.log)?;
        }
        Ok(writer)
    }

    /// Appends the events and brings them to the disk.
    pub(super) fn append(&mut self, events: &[Event], now: UnixTime) -> Result<(), WriteError> {
        let old = if self.length >= self.settings.max_size { self.rotate(now) } else { Vec::new() };
        let (mut bytes, mut link) = (Vec::new(), self.last.clone());
        if self.needs_line_end {
            bytes.push(b'\n');
        }
        if let Some((event, extra)) = &self.opening {
            line::append(&mut bytes, &mut link, event, extra);
        }
        for event in events {
            line::append(&mut bytes, &mut link, event, &Extra::default());
        }
        self.write(&bytes)?;
        if self.first == 0 {
            self.first = self.last.seq + 1;
        }
        self.last = link;
        self.needs_line_end = false;
        self.opening = None;
        if let Err(error) = self.head.write(&self.last) {
            tracing::warn!(error = %error, "the head of the audit log was not written: records that are cut off would not be missed");
        }
        for path in old {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), error = %error, "an old audit file was not removed");
            }
        }
        Ok(())
    }

    /// The last record.
    pub(super) fn last(&self) -> &Link {
        &self.last
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.is_lost {
            return Err(WriteError::ForGood(io::Error::other("an earlier record could not be written")));
        }
        let written = self.file.write_all(bytes).map_err(|error| {
            // What was written of it must not stand before what is written next.
            self.is_lost = self.file.set_len(self.length).is_err();
            if self.is_lost { WriteError::ForGood(error) } else { WriteError::Now(error) }
        });
        written?;
        // After a failed fsync the kernel may have dropped the pages, and a second one would report success.
        self.file.sync_data().map_err(|error| {
            self.is_lost = true;
            WriteError::ForGood(error)
        })?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn go_on_behind(&mut self, last: Link, rest: &[u8], now: UnixTime) {
        self.last = last;
        self.needs_line_end = rest.last().is_some_and(|&byte| byte != b'\n');
        if rest.is_empty() {
            return;
        }
        let mut chain = Chain::behind(Some(self.last.clone()));
        if let Ok(Step::Record(record)) = chain.step(rest) {
            // Only its line end is missing.
            self.last = Link { seq: record.seq, hash: record.hash };
            return;
        }
        let torn = rest.strip_suffix(b"\n").unwrap_or(rest);
        let detail = format!("what stands before this record was unfinished: {} bytes", torn.len());
        let event = Event::success(Action::LogRecover, now).detail(detail);
        self.opening = Some((event, Extra { torn: Some(line::sha256(torn)), oldest: None }));
    }

    /// What is there stays as it is, in a file of its own, so that `verify` can name the place.
    fn set_damage_aside(&mut self, last: Link, why: &'static str, now: UnixTime) -> io::Result<()> {
        self.last = last;
        tracing::error!(log = %self.settings.log.display(), reason = why, "the audit log is damaged; it goes on behind the last record that is known");
        let mut event = Event::failed(Action::LogDamage, why, now);
        if self.length > 0 {
            let files = files::set_aside(&self.settings.log)?;
            let newest = files.last().map_or(0, |(number, _)| *number);
            let number = if self.first > newest { self.first } else { newest + 1 };
            event = event.on(self.begin_file(number)?);
        }
        self.opening = Some((event, Extra::default()));
        Ok(())
    }

    /// Begins a new file, and returns the files that are then too many. If it cannot, the log goes on in the old one.
    fn rotate(&mut self, now: UnixTime) -> Vec<PathBuf> {
        let number = self.first;
        let rotated = files::set_aside(&self.settings.log).and_then(|mut files| {
            let closed = self.begin_file(number)?;
            files.push((number, files::with_suffix(&self.settings.log, number)));
            Ok((files, closed))
        });
        let (mut files, closed) = match rotated {
            Ok(rotated) => rotated,
            Err(error) => {
                tracing::warn!(error = %error, "no new audit file could be begun; the old one goes on");
                return Vec::new();
            }
        };
        let first_kept = files.len().saturating_sub(self.settings.max_files - 1);
        let kept = files.split_off(first_kept);
        let oldest = kept.first().map_or(self.last.seq + 1, |(number, _)| *number);
        let event = Event::success(Action::LogRotate, now).on(closed);
        self.opening = Some((event, Extra { oldest: Some(oldest), torn: None }));
        self.first = 0;
        files.into_iter().map(|(_, path)| path).collect()
    }

    /// Gives the file in use a number and begins another one. Nothing has changed if this fails.
    fn begin_file(&mut self, number: u64) -> io::Result<Target> {
        let (log, aside) = (&self.settings.log, files::with_suffix(&self.settings.log, number));
        if aside.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, aside.display().to_string()));
        }
        fs::rename(log, &aside)?;
        let begun = files::open_log(log).and_then(|file| files::sync_directory(log).map(|()| file));
        match begun {
            Ok(file) => self.file = file,
            Err(error) => {
                let _ = fs::rename(&aside, log);
                return Err(error);
            }
        }
        (self.length, self.first) = (0, 0);
        let name = aside.file_name().unwrap_or_default().display().to_string();
        Ok(Target::File(name))
    }
}

/// How the log ends: at its head, or a batch behind it if the gateway was killed between the two.
fn find_end(log: &Path, file: &File, head: Option<Link>, made: bool, limit: u64) -> io::Result<Ending> {
    let (mut bytes, is_whole) = files::tail(file, limit)?;
    if is_whole && let Some((_, before)) = files::set_aside(log)?.last() {
        let (mut older, _) = files::tail(&File::open(before)?, limit)?;
        // The gateway was killed in the middle of a line, and the file was set aside as it was.
        if older.last().is_some_and(|&byte| byte != b'\n') {
            older.push(b'\n');
        }
        older.append(&mut bytes);
        bytes = older;
    }
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut rest = bytes.split_off(whole);
    let lines =
        || bytes.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line));
    let Some(head) = head else {
        let record = lines().rev().find_map(|line| line::read(line).ok());
        let last = record.map_or_else(Link::origin, |record| Link { seq: record.seq, hash: record.hash });
        // Nothing at all is what a first start finds.
        return Ok(if made && bytes.is_empty() && rest.is_empty() {
            Ending::Whole { last, rest }
        } else {
            Ending::Damaged { last, why: "its head is missing" }
        });
    };
    let is_head = |line: &[u8]| line::read(line).is_ok_and(|record| record.hash == head.hash);
    // From the end, where it nearly always is.
    let behind = if head.seq == 0 { Some(lines().count()) } else { lines().rev().position(is_head) };
    let before = behind.map(|behind| lines().count() - behind);
    let mut chain = Chain::behind(Some(head.clone()));
    if !before.is_some_and(|before| lines().skip(before).all(|line| chain.step(line).is_ok())) {
        let why = "it does not go on from the record that was written last";
        return Ok(Ending::Damaged { last: head, why });
    }
    let mut unfinished = chain.unfinished().to_vec();
    if !unfinished.is_empty() {
        unfinished.push(b'\n');
    }
    unfinished.append(&mut rest);
    Ok(Ending::Whole { last: chain.last().cloned().unwrap_or(head), rest: unfinished })
}

/// The number of the first record of the file; 0 if there is none.
fn first_record(file: &File) -> io::Result<u64> {
    let mut start = vec![0; line::MAX_LINE];
    let read = file.read_at(&mut start, 0)?;
    let line = start.get(..read).unwrap_or_default().split(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(line::read(line).map_or(0, |record| record.seq))
}
