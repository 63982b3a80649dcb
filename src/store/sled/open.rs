//! How a store is opened: directory, lock, sled, format version, and everything on the disk before the first commit.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::files::{self, Blobs};
use super::group::Group;
use super::{SledStore, guard};
use crate::clock;
use crate::store::{Batch, Store, StoreError, Table};

/// The format of what we keep in sled. It goes up when an older version would misread the tables, not for a new field.
const FORMAT: u32 = 1;
const FORMAT_KEY: &[u8] = b"format";

/// Between two attempts to take the lock.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// sled's own thread writes out what nobody waited for, and moves records out of segments that are mostly garbage. Each of
/// our commits flushes by itself, so the thread may be slow; at sled's 500 ms an idle gateway would fsync twice a second.
const HOUSEKEEPING_EVERY_MS: u64 = 5_000;

pub(super) fn open(path: &Path, cache_size: u64, wait: Duration) -> Result<SledStore, StoreError> {
    let refused = |action: &'static str| {
        move |source| StoreError::Failed { context: format!("{action} {}", path.display()), source }
    };
    files::prepare(path).map_err(refused("cannot create the data directory"))?;
    let lock = lock(path, wait)?;
    let db = open_sled(path, cache_size)?;
    files::settle(path).map_err(refused("cannot sync the data directory"))?;
    let store = SledStore {
        db,
        path: path.to_owned(),
        database: File::open(files::database(path)).map_err(refused("cannot open the database file in"))?,
        blobs: Mutex::new(Blobs::new(path)),
        writer: Mutex::new(()),
        group: Group::default(),
        lock,
    };
    check_format(&store, path)?;
    files::mark(&store.lock).map_err(refused("cannot write to the lock file in"))?;
    Ok(store)
}

fn lock(path: &Path, wait: Duration) -> Result<File, StoreError> {
    let failed = |source: io::Error| {
        let context = format!("cannot lock the data directory {}", path.display());
        StoreError::Failed { context, source }
    };
    let deadline = clock::monotonic() + wait;
    loop {
        if let Some(lock) = files::try_lock(path).map_err(failed)? {
            return Ok(lock);
        }
        let left = deadline.saturating_duration_since(clock::monotonic());
        if left.is_zero() {
            return Err(StoreError::Locked { path: path.display().to_string() });
        }
        // The lock of another process cannot wake us. Waking early does no harm.
        thread::park_timeout(left.min(RETRY_EVERY));
    }
}

fn open_sled(path: &Path, cache_size: u64) -> Result<::sled::Db, StoreError> {
    let config = ::sled::Config::new()
        .path(path)
        .cache_capacity(cache_size)
        .flush_every_ms(Some(HOUSEKEEPING_EVERY_MS));
    guard::run(|| config.open()).map_err(|error| error.into_store_error(path, "cannot open the store"))
}

/// sled takes a log whose beginning it cannot read for a new one. A gateway that went on with that would have no users and
/// make new keys, and write over what could still be saved.
fn lost(path: &Path) -> StoreError {
    StoreError::Damaged {
        context: format!(
            "the store in {} is damaged: its records are gone. Move the directory away and put a backup in its place: a copy of the \
                 directory, or `portcullis restore FILE` in a version that has it",
            path.display()
        ),
    }
}

/// Marks a new store with our format, and refuses one that is not ours or of a later version.
fn check_format(store: &SledStore, path: &Path) -> Result<(), StoreError> {
    let Some(bytes) = store.get(Table::Meta, FORMAT_KEY)? else {
        if !guard::run(|| Ok(store.db.is_empty())).map_err(|error| store.read_failed(error))? {
            let context =
                format!("{} holds a sled database that is not a store of Portcullis", path.display());
            return Err(StoreError::Damaged { context });
        }
        if files::is_marked(&store.lock).map_err(|source| store.write_failed(source))? {
            return Err(lost(path));
        }
        return store.commit(Batch::new().put(Table::Meta, FORMAT_KEY, FORMAT.to_string()));
    };
    let found = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse::<u32>().ok());
    let path = path.display();
    match found {
        Some(found) if found <= FORMAT => Ok(()),
        Some(found) => Err(StoreError::Damaged {
            context: format!(
                "the store in {path} was written by a later version of Portcullis (store format {found}; this version \
                 reads up to {FORMAT}). Install that version again, or put a backup from before the upgrade in its place: a copy of the \
                 directory, or `portcullis restore FILE` in a version that has it"
            ),
        }),
        None => Err(StoreError::Damaged {
            context: format!(
                "the format version of the store in {path} is not a number. Move the directory away and put a backup \
                 in its place: a copy of the \
                 directory, or `portcullis restore FILE` in a version that has it"
            ),
        }),
    }
}
