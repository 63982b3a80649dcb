//! A gate: what one thread waits at until another opens it.

use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// Shut when made; once open it stays open. Clones are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through, those who wait and those who come later.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open.
    #[track_caller]
    pub(crate) fn wait(&self) {
        let (_open, result) =
            self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), PATIENCE, |open| !*open).unwrap();
        assert!(!result.timed_out(), "nobody opened the gate");
    }
}
