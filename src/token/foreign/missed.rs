//! How a worker tells the control plane that a token names a key which is not known, without ever waiting for it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a key was missed. However often that happens, it is one word until somebody takes it.
#[derive(Debug, Default)]
pub struct Missed {
    is: AtomicBool,
    wake: Notify,
}

impl Missed {
    /// A key is missed. Behind the first of a storm, one load.
    pub fn note(&self) {
        if !self.is.load(Ordering::Relaxed) && !self.is.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Waits until a key is missed.
    pub async fn wait(&self) {
        while !self.is.load(Ordering::Acquire) {
            self.wake.notified().await;
        }
    }

    /// Whoever misses a key from now on says so anew. To be called before the keys are looked for.
    pub fn clear(&self) {
        self.is.store(false, Ordering::Release);
    }
}
