//! The audit log: one record for each login, failed login, administrative change, start, stop and reload, in a chain of hashes.
//!
//! It is no event log: its records are few, they are not lost, and nobody can change one without trace. A record is on the disk
//! before what it tells of is acknowledged; when it cannot be written, logins and changes are refused, while requests are forwarded as
//! ever. A thread of its own writes, so that records that come together share one fsync.
//!
//! The end of a session or of a token is the exception: to refuse that would be worse than to lack a record, since whoever can fill the
//! disk could keep what was stolen alive. It is done in any case, and its record is kept in memory until the disk takes it
//! ([`Audit::record_or_keep`]). Nothing else can end a token while the log cannot be written, but its time.
//!
//! What is found out: every change, removal, insertion or exchange of records, and records that were cut off from the end, as long as
//! the head beside the log is what it was. What is not: whoever may write as the gateway's user can make a new chain and a new head.
//! Against that helps a copy, or the number and hash of a record (`portcullis audit verify` prints that of the last one), kept where
//! that user cannot write. What was counted in a flood (`flood`) and not yet written is lost when the gateway is killed.

mod chain;
mod event;
mod files;
mod flood;
mod line;
mod reader;
mod thread;
mod writer;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use self::thread::{Phase, Shared, lock};
use self::writer::{Settings, Writer};
use crate::clock;
use crate::config;

pub use event::{Action, Actor, Event, Origin, Outcome, Target};
pub use line::{Fault, Link, Record};
pub use reader::{Broken, Summary, VerifyError, read, verify};
pub use thread::AuditCounters;

/// How long another process has to let go of the log.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Why there is no record of something. It must not be done, or at least not acknowledged, then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The log cannot be opened.
    #[error("the audit log {path} cannot be opened: {reason}")]
    Open {
        /// `audit.path`
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Nothing can be written to it.
    #[error("the audit log cannot be written: {0}")]
    Unwritable(String),
    /// Too many records wait for the disk already.
    #[error("too many audit records wait for the disk")]
    Busy,
    /// It was closed: the gateway is shutting down.
    #[error("the audit log is closed")]
    Closed,
}

/// The audit log. A handle: clones share the log. The last one writes what is left and closes it.
#[derive(Clone, Debug)]
pub struct Audit(Option<Arc<Owner>>);

#[derive(Debug)]
struct Owner {
    settings: Settings,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// The log of a configuration. It is opened when the first record comes, or by [`Self::open`].
    #[must_use]
    pub fn new(config: &config::Audit) -> Self {
        Self(config.path.as_ref().map(|path| {
            let settings =
                Settings { log: path.clone(), max_size: config.max_size, max_files: config.max_files };
            Arc::new(Owner { settings, shared: Arc::default(), thread: Mutex::default() })
        }))
    }

    /// Opens the log unless it is open, and makes it if there is none. Returns whether records can be written. Blocks.
    ///
    /// # Errors
    /// [`AuditError`]
    pub fn open(&self) -> Result<(), AuditError> {
        let Some(owner) = &self.0 else { return Ok(()) };
        let mut thread = lock(&owner.thread);
        if lock(&owner.shared.state).phase == Phase::Unopened {
            *thread = Some(owner.start().map_err(|error| AuditError::Open {
                path: owner.settings.log.display().to_string(),
                reason: error.to_string(),
            })?);
        }
        owner.shared.check()
    }

    /// Whether records can be written, as far as is known.
    ///
    /// # Errors
    /// [`AuditError`] says why not.
    pub fn writable(&self) -> Result<(), AuditError> {
        match &self.0 {
            Some(owner) => owner
                .shared
                .check()
                .or_else(|error| if error == AuditError::Closed { Ok(()) } else { Err(error) }),
            None => Ok(()),
        }
    }

    /// Writes a record down. When this returns, it is on the disk, or counted if it is one of a flood. What it tells of must not be
    /// acknowledged before. Blocks; opens the log if need be.
    ///
    /// # Errors
    /// [`AuditError`]: there is no record.
    pub fn record_blocking(&self, event: Event) -> Result<(), AuditError> {
        self.open()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(event, move |result| drop(sender.send(result)));
        receiver.recv().unwrap_or(Err(AuditError::Closed))
    }

    /// The same for what is done whether or not it can be recorded. While the disk takes nothing, the record is kept in memory and
    /// written when it does again. The event log says so, since the record is lost if the gateway is killed before.
    ///
    /// # Errors
    /// [`AuditError`]: there will be no record, and the event log has it instead.
    pub fn record_or_keep(&self, event: Event) -> Result<(), AuditError> {
        let Some(owner) = &self.0 else { return Ok(()) };
        let Err(error) = self.record_blocking(event.clone()) else { return Ok(()) };
        let (action, target) = (event.action.name(), event.target.as_ref().map(ToString::to_string));
        match owner.shared.keep(event) {
            Ok(()) => {
                tracing::warn!(audit.action = action, audit.target = target, %error, "done; the audit record waits until the disk takes it");
                Ok(())
            }
            Err(lost) => {
                tracing::error!(audit.action = action, audit.target = target, %error, "done, but there is no audit record of it");
                Err(lost)
            }
        }
    }

    /// The same as [`Self::record_blocking`] for a task. The log has been opened before.
    ///
    /// # Errors
    /// [`AuditError`]: there is no record.
    pub async fn record(&self, event: Event) -> Result<(), AuditError> {
        let (sender, receiver) = oneshot::channel();
        self.submit(event, move |result| drop(sender.send(result)));
        receiver.await.unwrap_or(Err(AuditError::Closed))
    }

    /// Writes what is left and lets go of the files. Later records are refused. Blocks.
    pub fn close(&self) {
        if let Some(owner) = &self.0 {
            owner.close();
        }
    }

    /// What became of records so far; `None` if there is no log.
    #[must_use]
    pub fn counters(&self) -> Option<&AuditCounters> {
        self.0.as_ref().map(|owner| &owner.shared.counters)
    }

    /// The file in use; `None` if there is no log.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|owner| owner.settings.log.as_path())
    }

    fn submit(&self, event: Event, done: impl FnOnce(Result<(), AuditError>) + Send + 'static) {
        match &self.0 {
            Some(owner) => owner.shared.submit(event, Box::new(done)),
            None => done(Ok(())),
        }
    }
}

impl Owner {
    fn start(&self) -> io::Result<JoinHandle<()>> {
        let writer = Writer::open(self.settings.clone(), LOCK_WAIT, clock::now())?;
        tracing::debug!(seq = writer.last().seq, hash = writer.last().hash, "the audit log is open");
        lock(&self.shared.state).phase = Phase::Open;
        let shared = self.shared.clone();
        let thread = Builder::new().name("portcullis-audit".to_owned());
        thread.spawn(move || thread::run(&shared, writer)).inspect_err(|_| {
            lock(&self.shared.state).phase = Phase::Unopened;
        })
    }

    fn close(&self) {
        let mut thread = lock(&self.thread);
        self.shared.close();
        if let Some(thread) = thread.take() {
            // It catches nothing and owns nothing that anybody else needs.
            let _ = thread.join();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
