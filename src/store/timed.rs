//! A store that says how long its writes take.

use super::{Batch, Row, Store, StoreError, Table};
use crate::clock;
use crate::observe::metrics::WriteCounters;

/// A store, and how its writes go.
#[derive(Debug)]
pub struct Timed<S> {
    inner: S,
    writes: WriteCounters,
}

impl<S> Timed<S> {
    /// The same store, with its writes counted from now on.
    pub fn new(inner: S) -> Self {
        Self { inner, writes: WriteCounters::default() }
    }

    /// How its writes go.
    pub fn writes(&self) -> &WriteCounters {
        &self.writes
    }
}

impl<S: Store> Store for Timed<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.inner.scan(table, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let begin = clock::monotonic();
        let result = self.inner.commit(batch);
        match &result {
            Ok(()) => self.writes.succeeded(clock::monotonic().saturating_duration_since(begin)),
            // Nothing was written, and nothing is wrong with the store.
            Err(StoreError::Conflict) => {}
            Err(_) => self.writes.failed(),
        }
        result
    }

    fn writable(&self) -> Result<(), String> {
        self.inner.writable()
    }
}
