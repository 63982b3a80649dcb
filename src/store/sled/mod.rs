//! The embedded store: sled 0.34, with durability that sled alone does not give.
//!
//! All tables live in sled's default tree, each key after the byte of its table, so that one sled batch can span tables.
//! A commit checks its expectations and applies its batch under one mutex; [`group::Group`] then makes many commits durable with
//! one flush and one fsync. Nothing outside this folder sees a type of sled.

mod files;
mod group;
mod guard;
mod open;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use self::files::Blobs;
use self::group::{Group, NotDurable, Ticket};
use super::{Batch, Entry, Row, Store, StoreError, Table};

/// A store in a directory of this machine. One process at a time has it open.
pub struct SledStore {
    /// Declared first, so that sled has let go of its files before the directory's lock is released.
    db: ::sled::Db,
    path: PathBuf,
    /// A descriptor of our own for the database file: an fsync through it covers what sled wrote through its own.
    database: File,
    blobs: Mutex<Blobs>,
    /// Held from the check of a batch's expectations until it is applied.
    writer: Mutex<()>,
    group: Group,
    lock: File,
}

impl SledStore {
    /// Opens the store in the directory `path`, which is made if it is missing, and waits up to `wait` for another process to
    /// close it. `cache_size` is in bytes.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when the other process did not, [`StoreError::Damaged`] when the files cannot be understood,
    /// [`StoreError::Failed`] when the system refuses to create, read or write them.
    pub fn open(path: &Path, cache_size: u64, wait: Duration) -> Result<Self, StoreError> {
        open::open(path, cache_size, wait)
    }

    /// Checks the expectations and applies the batch, without making it durable.
    fn apply(&self, batch: Batch) -> Result<Ticket, StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.group.healthy().map_err(StoreError::ReadOnly)?;
        for (table, key, expected) in &batch.expectations {
            if self.get(*table, key)? != *expected {
                return Err(StoreError::Conflict);
            }
        }
        if batch.writes.is_empty() {
            return Ok(self.group.latest());
        }
        let sled_batch = to_sled(batch.writes);
        match guard::run(|| self.db.apply_batch(sled_batch)) {
            Ok(()) => Ok(self.group.applied()),
            Err(error) => {
                // Part of the batch may be in memory, and would reach the disk with the next one.
                self.group.fail(&error.to_string());
                Err(self.write_failed(error.into_io()))
            }
        }
    }

    /// Brings everything that was applied before the call to the disk.
    fn make_durable(&self) -> io::Result<()> {
        guard::run(|| self.db.flush()).map_err(guard::SledError::into_io)?;
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).sync()?;
        self.database.sync_all()
    }

    fn write_failed(&self, source: io::Error) -> StoreError {
        let context = format!("cannot write to the store in {}", self.path.display());
        StoreError::Failed { context, source }
    }

    fn read_failed(&self, error: guard::SledError) -> StoreError {
        error.into_store_error(&self.path, "cannot read the store")
    }
}

impl Store for SledStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value =
            guard::run(|| self.db.get(prefixed(table, key))).map_err(|error| self.read_failed(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let first = match after {
            Some(key) => Bound::Excluded(prefixed(table, key)),
            None => Bound::Included(vec![table as u8]),
        };
        let end = Bound::Excluded(vec![table as u8 + 1]);
        let rows = || self.db.range((first, end)).take(limit).collect::<Result<Vec<_>, _>>();
        let rows = guard::run(rows).map_err(|error| self.read_failed(error))?;
        Ok(rows
            .into_iter()
            .map(|(key, value)| (key.iter().skip(1).copied().collect(), value.to_vec()))
            .collect())
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let ticket = self.apply(batch)?;
        match self.group.wait(ticket, || self.make_durable()) {
            Ok(()) => Ok(()),
            Err(NotDurable(reason)) => Err(self.write_failed(io::Error::other(reason))),
        }
    }

    fn writable(&self) -> Result<(), String> {
        self.group.healthy()
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // sled's own Debug prints every record.
        f.debug_struct("SledStore").field("path", &self.path).finish_non_exhaustive()
    }
}

fn to_sled(writes: Vec<Entry>) -> ::sled::Batch {
    let mut batch = ::sled::Batch::default();
    for (table, key, value) in writes {
        match value {
            Some(value) => batch.insert(prefixed(table, &key), value),
            None => batch.remove(prefixed(table, &key)),
        }
    }
    batch
}

/// A key of the tree: the table's number, then the key within the table.
fn prefixed(table: Table, key: &[u8]) -> Vec<u8> {
    let mut prefixed = Vec::with_capacity(1 + key.len());
    prefixed.push(table as u8);
    prefixed.extend_from_slice(key);
    prefixed
}
