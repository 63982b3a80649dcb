//! The files of an audit log: the one in use, those that were set aside, and the head.
//!
//! Beside `audit.log` stand `audit.log.N`, where N is the number of their first record, and `audit.log.head`, which holds the number
//! and the hash of the last record. The head is written after the record is on the disk, so it is never ahead of the log: a log that
//! ends before its head has lost records. The lock on it keeps a second process out.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::line::Link;
use crate::clock;

const MODE: u32 = 0o600;
/// Between two attempts to take the lock.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// More than any head has.
const MAX_HEAD: u64 = 256;

/// The head, locked for this process.
#[derive(Debug)]
pub(super) struct Head(File);

impl Head {
    /// Opens and locks it; another process has `wait` to let go of it. The second value is whether there was none.
    pub(super) fn lock(log: &Path, wait: Duration) -> io::Result<(Self, bool)> {
        let path = with_suffix(log, "head");
        let made = !path.exists();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(&path)?;
        let deadline = clock::monotonic() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok((Self(file), made)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => {}
            }
            let left = deadline.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "another process is writing to it"));
            }
            // The lock of another process cannot wake us. Waking early does no harm.
            thread::park_timeout(left.min(RETRY_EVERY));
        }
    }

    /// What it holds, if that can be understood.
    pub(super) fn read(&self) -> io::Result<Option<Link>> {
        let mut bytes = Vec::new();
        (&self.0).seek(SeekFrom::Start(0))?;
        (&self.0).take(MAX_HEAD).read_to_end(&mut bytes)?;
        Ok(parse_head(&bytes))
    }

    /// Replaces it. All heads have one length, and so few bytes are written whole or not at all.
    pub(super) fn write(&self, link: &Link) -> io::Result<()> {
        self.0.write_all_at(format!("{:020} {}\n", link.seq, link.hash).as_bytes(), 0)
    }

    /// Brings it to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// The head of a log that somebody else may be writing; `None` if there is none or it cannot be understood.
pub(super) fn read_head(log: &Path) -> io::Result<Option<Link>> {
    match File::open(with_suffix(log, "head")) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(MAX_HEAD).read_to_end(&mut bytes)?;
            Ok(parse_head(&bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_head(bytes: &[u8]) -> Option<Link> {
    let (seq, hash) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once(' ')?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(Link { seq: seq.parse().ok()?, hash: is_hash.then(|| hash.to_owned())? })
}

/// Opens the file in use for appending, and makes it if it is missing.
pub(super) fn open_log(log: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(log)
}

/// The files that were set aside, with their numbers, the oldest first.
pub(super) fn set_aside(log: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut prefix = log.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let mut files = Vec::new();
    for entry in fs::read_dir(directory(log))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let number = name.strip_prefix(prefix.as_encoded_bytes()).and_then(|rest| str::from_utf8(rest).ok());
        // `parse` would take a sign.
        let digits = number.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(number) = digits.and_then(|text| text.parse().ok()) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The end of a file, from the start of a line, at most `limit` bytes; and whether that is all of it.
pub(super) fn tail(mut file: &File, limit: u64) -> io::Result<(Vec<u8>, bool)> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(limit);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(limit).read_to_end(&mut bytes)?;
    if start > 0 {
        let line = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..line);
    }
    Ok((bytes, start == 0))
}

/// `audit.log` with `.7` or `.head` behind it.
pub(super) fn with_suffix(log: &Path, suffix: impl std::fmt::Display) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(format!(".{suffix}"));
    name.into()
}

/// Makes new and vanished names durable.
pub(super) fn sync_directory(log: &Path) -> io::Result<()> {
    File::open(directory(log))?.sync_all()
}

fn directory(log: &Path) -> &Path {
    log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
