//! A store that things happen to, for tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::store::{Batch, Row, Store, StoreError, Table};

/// A store in front of another one.
pub(super) struct Disturbed {
    inner: Arc<dyn Store>,
    failing: AtomicBool,
    before: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Disturbed {
    pub(super) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, failing: AtomicBool::new(false), before: Mutex::new(None) })
    }

    /// From now on commits arrive but are not acknowledged, as after a failing disk.
    pub(super) fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    /// Does this once, right before the next commit.
    pub(super) fn before_commit(&self, work: impl FnOnce() + Send + 'static) {
        *self.before.lock().unwrap() = Some(Box::new(work));
    }
}

impl std::fmt::Debug for Disturbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disturbed").finish_non_exhaustive()
    }
}

impl Store for Disturbed {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.inner.scan(table, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let before = self.before.lock().unwrap().take();
        if let Some(work) = before {
            work();
        }
        self.inner.commit(batch)?;
        if self.failing.load(Ordering::SeqCst) {
            let source = std::io::Error::other("no space");
            return Err(StoreError::Failed { context: "cannot write".into(), source });
        }
        Ok(())
    }

    fn writable(&self) -> Result<(), String> {
        self.inner.writable()
    }
}
