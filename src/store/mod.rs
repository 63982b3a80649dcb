//! Durable key-value storage. The trait knows no implementation, and its users know no more than the trait.

mod sled;
mod timed;

#[cfg(test)]
pub(crate) mod contract;

use std::fmt;

pub use self::sled::SledStore;
pub use self::timed::Timed;

/// A named set of keys. The numbers are on disk: never change or reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Facts about the store itself, such as its format version.
    Meta = 0,
    /// `UserId` → user record.
    Users = 1,
    /// Folded username → `UserId`.
    Usernames = 2,
    /// Key id → signing key record.
    Keys = 3,
    /// `UserId`, `SessionId` or `TokenId` → what was revoked when; kept for the longest token lifetime.
    Revocations = 4,
    /// `SessionId` → session record.
    Sessions = 5,
    /// `UserId` → the invitation to choose a password.
    Invitations = 10,
    /// SHA-256 of an API key → `UserId` of its client.
    ApiKeys = 11,
    /// `UserId` and `SessionId` in one → nothing: the sessions of each user.
    UserSessions = 12,
}

/// Changes that happen all or not at all, and only if every expectation holds.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) expectations: Vec<Entry>,
    pub(crate) writes: Vec<Entry>,
}

/// A key and the value that it should hold, or is to hold; `None` is its absence.
pub(crate) type Entry = (Table, Vec<u8>, Option<Vec<u8>>);

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The batch applies only if `key` holds exactly `value`; `None` means that it is absent.
    #[must_use]
    pub fn expect(mut self, table: Table, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) -> Self {
        self.expectations.push((table, key.into(), value));
        self
    }

    /// Writes `value` under `key`.
    #[must_use]
    pub fn put(mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.writes.push((table, key.into(), Some(value.into())));
        self
    }

    /// Removes `key`, if it is there.
    #[must_use]
    pub fn delete(mut self, table: Table, key: impl Into<Vec<u8>>) -> Self {
        self.writes.push((table, key.into(), None));
        self
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Durable, ordered key-value storage. All methods block on the disk: call them from the control plane only.
pub trait Store: Send + Sync + fmt::Debug {
    /// The value under `key`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the storage cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The rows of a table in the order of their keys, from the first key that is greater than `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the storage cannot be read.
    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Applies the batch. When this returns `Ok`, it has happened and it survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when an expectation does not hold: nothing was changed, read again and retry.
    /// [`StoreError::ReadOnly`] after an earlier write could not be made durable.
    /// [`StoreError::Failed`] when this one could not: it may or may not be there after a restart.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Whether writes are accepted; the text says why not.
    ///
    /// # Errors
    /// The reason for which the store has become read-only.
    fn writable(&self) -> Result<(), String>;
}

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data directory open.
    #[error("the data directory {path} is in use by another process")]
    Locked {
        /// The data directory.
        path: String,
    },
    /// An expectation of the batch did not hold.
    #[error("the record was changed by somebody else in the meantime")]
    Conflict,
    /// An earlier write failed, so that no further one is accepted.
    #[error("the store accepts no writes since one failed: {0}")]
    ReadOnly(String),
    /// The storage cannot be opened, read or written.
    #[error("{context}")]
    Failed {
        /// What was being done, on which file, and what to do about it.
        context: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A record cannot be understood by this version.
    #[error("{context}")]
    Damaged {
        /// Which record, and what to do about it.
        context: String,
    },
}
