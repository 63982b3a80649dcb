//! The data directory on the disk: modes, the lock between processes, and what has to be synced beside the database file.
//!
//! sled 0.34.7 keeps `db` (the log with all records), `conf` (its own parameters), `snap.*` (its page table at the last start)
//! and `blobs/` (records that are too large for the log). We add `lock`, which also tells a store whose
//! records are lost from a new one.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Where sled keeps the records.
pub(super) fn database(path: &Path) -> PathBuf {
    path.join("db")
}

/// Makes the directory with what our modes ask for, before sled would with those of the umask.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    let existing = path.ancestors().find(|ancestor| ancestor.is_dir()).map(Path::to_owned);
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)?;
    restrict_directory(path)?;
    create_file(&database(path))?;
    // Each new name is durable once the directory that holds it is synced, up to the one that was there before.
    for made in path.ancestors().take_while(|ancestor| Some(*ancestor) != existing.as_deref()) {
        if let Some(parent) = made.parent() {
            sync_directory(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
    }
    Ok(())
}

/// Takes the lock of the directory; `None` when another process holds it. It is free again once the file is dropped, or its
/// process has ended in whatever way.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let lock = create_file(&path.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // sled locks the database file too, and a store of this process that is just being closed holds that lock a moment longer.
    match File::open(database(path))?.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What the lock file holds once the store has its first record.
const MARK: &[u8] = b"this directory holds a store\n";

/// Remembers, outside the database file, that there is something in it.
pub(super) fn mark(mut lock: &File) -> io::Result<()> {
    if is_marked(lock)? {
        return Ok(());
    }
    lock.write_all(MARK)?;
    lock.sync_all()
}

/// Whether the store of this lock file ever held a record.
pub(super) fn is_marked(lock: &File) -> io::Result<bool> {
    Ok(lock.metadata()?.len() > 0)
}

/// Brings every file and directory of an opened store to the disk, and their modes to ours.
pub(super) fn settle(path: &Path) -> io::Result<()> {
    let blobs = path.join("blobs");
    fs::set_permissions(&blobs, Permissions::from_mode(DIRECTORY_MODE))?;
    for directory in [path, &blobs] {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if is_ours(directory == blobs, &entry.file_name()) && entry.file_type()?.is_file() {
                let file = File::open(entry.path())?;
                file.set_permissions(Permissions::from_mode(FILE_MODE))?;
                file.sync_all()?;
            }
        }
        sync_directory(directory)?;
    }
    Ok(())
}

/// Other parts of the gateway keep files in the data directory too; only the store's are touched.
fn is_ours(in_blobs: bool, name: &OsString) -> bool {
    let name = name.to_string_lossy();
    in_blobs || ["db", "conf", "lock"].contains(&name.as_ref()) || name.starts_with("snap.")
}

/// Records that sled puts into files of their own, which it never syncs.
#[derive(Debug)]
pub(super) struct Blobs {
    directory: PathBuf,
    /// A blob is written once, under a name that is not used again.
    synced: HashSet<OsString>,
}

impl Blobs {
    pub(super) fn new(path: &Path) -> Self {
        Self { directory: path.join("blobs"), synced: HashSet::new() }
    }

    /// Syncs the blobs that were added since the last call. With none, that is one look into an empty directory.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let names = fs::read_dir(&self.directory)?.map(|entry| entry.map(|entry| entry.file_name()));
        let present = names.collect::<io::Result<HashSet<_>>>()?;
        let mut added = false;
        for name in present.difference(&self.synced) {
            match File::open(self.directory.join(name)) {
                Ok(file) => file.sync_all()?,
                // sled has collected it in the meantime, so nothing refers to it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            added = true;
        }
        if added {
            sync_directory(&self.directory)?;
        }
        self.synced = present;
        Ok(())
    }
}

fn restrict_directory(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.mode() & 0o777 == DIRECTORY_MODE {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)) {
        // A volume that an orchestrator mounts for us belongs to somebody else. The files in it are still ours alone.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), "cannot restrict the data directory to its owner: it is not ours");
            Ok(())
        }
        result => result,
    }
}

/// Opens the file, and makes it with our mode if it is missing.
fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
