//! From the workers' buffers to the disk: a thread that takes what has gathered and writes it.
//!
//! A worker only ever appends to its own buffer. The thread swaps the buffers out every [`TICK`], or as soon as one has
//! grown beyond [`BATCH`]; after a round without records it sleeps until the next one. While the output cannot be written, what was swapped out is kept and tried again, the
//! buffers fill up to [`LIMIT`], and what comes then is counted instead of kept: memory stays bounded, and no request
//! waits.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::writer::{Output, Writer};
use super::{AccessRecord, Form, Timestamp};
use crate::config::{self, LogFormat};

/// A record is on its way to the disk after this time at the latest.
const TICK: Duration = Duration::from_millis(50);
/// A buffer of this many bytes wakes the thread before its time. With a quarter of it the thread takes 0.26 µs for the record of a
/// refusal, which takes 9.4 µs itself, and not 0.17.
const BATCH: usize = 256 * 1024;
/// A buffer never grows beyond this many bytes and one record.
const LIMIT: usize = 8 * 1024 * 1024;
/// How long the end waits for an output that accepts nothing.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// The access log: owns the thread that writes. Dropping it writes what is left and ends the thread.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    form: Form,
    file: Option<PathBuf>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// A worker's end of the access log. [`AccessSink::record`] never waits for an output.
#[derive(Debug)]
pub struct AccessSink {
    buffer: Arc<Buffer>,
    shared: Arc<Shared>,
    form: Form,
}

impl AccessLog {
    /// Opens the output and starts the thread; `None` if access records are off.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the thread cannot be started.
    pub fn open(config: &config::AccessLog, format: LogFormat) -> io::Result<Option<Self>> {
        let (output, form, file) = match config {
            config::AccessLog::Off => return Ok(None),
            config::AccessLog::Stdout => {
                let stdout = io::stdout();
                // A descriptor of our own: the standard library's handle would add a second buffer.
                let output = File::from(stdout.as_fd().try_clone_to_owned()?);
                (output, Form::choose(format, &stdout), None)
            }
            config::AccessLog::File(path) => {
                let output = append_to(path)?;
                let form = Form::choose(format, &output);
                (output, form, Some(path.clone()))
            }
        };
        Self::start(Box::new(output), form, file).map(Some)
    }

    /// The end for one more worker. It may be dropped at any time; what it has recorded is still written.
    #[must_use]
    pub fn sink(&self) -> AccessSink {
        let buffer = Arc::new(Buffer::default());
        lock(&self.shared.state).buffers.push(Arc::clone(&buffer));
        AccessSink { buffer, shared: Arc::clone(&self.shared), form: self.form }
    }

    /// Opens the file again under its name, after logrotate has moved it away. Nothing to do for standard output.
    ///
    /// # Errors
    /// The file cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.file {
            let output = append_to(path)?;
            lock(&self.shared.state).output = Some(Box::new(output));
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    fn start(output: Output, form: Form, file: Option<PathBuf>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (running, ended) = mpsc::channel();
        let writer = Writer::new(output);
        let thread = thread::Builder::new().name("portcullis-log".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, writer, running)
        })?;
        Ok(Self { shared, form, file, thread: Some(thread), ended })
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.wake.notify_one();
        // A pipe that nobody reads would hold the thread for ever, and the process with it.
        if self.ended.recv_timeout(LAST_WRITE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log's output accepts nothing; its last records are lost");
        } else if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl AccessSink {
    /// Takes down one record. Beyond the buffer's limit it is dropped and counted.
    pub fn record(&self, record: &AccessRecord<'_>) {
        let mut buffer = lock(&self.buffer.0);
        let Gathered { bytes, timestamp, dropped, .. } = &mut *buffer;
        if bytes.len() >= LIMIT {
            *dropped += 1;
            return;
        }
        let before = bytes.len();
        record.write_at(timestamp, self.form, bytes);
        let full = before < BATCH && bytes.len() >= BATCH;
        drop(buffer);
        if before == 0 && self.shared.asleep.load(Ordering::Relaxed) {
            self.shared.rouse();
        } else if full {
            // The thread may miss this just before it begins to wait; it then comes at the end of its tick.
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for AccessSink {
    fn drop(&mut self) {
        lock(&self.buffer.0).gone = true;
        if self.shared.asleep.load(Ordering::Relaxed) {
            self.shared.rouse();
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Whether the thread waits without a limit, because there is nothing to write. It says so before it looks into the buffers for
    /// the last time, under their locks: who adds the first record to an empty one sees it, or the thread sees the record.
    asleep: AtomicBool,
}

impl Shared {
    /// Wakes the thread from its long sleep. It then gathers for one tick, as always.
    #[cold]
    fn rouse(&self) {
        // With the lock of the state, so that it cannot come between the thread's last look and its sleep.
        let _state = lock(&self.state);
        self.asleep.store(false, Ordering::Relaxed);
        self.wake.notify_one();
    }
}

#[derive(Default)]
struct State {
    buffers: Vec<Arc<Buffer>>,
    /// A new output, to be used from the next whole record on.
    output: Option<Output>,
    stop: bool,
}

impl State {
    /// Whether nothing is asked of the thread.
    fn is_calm(&self) -> bool {
        !self.stop && self.output.is_none()
    }

    /// Whether there is no record to write either.
    fn is_quiet(&self) -> bool {
        self.is_calm() && self.buffers.iter().all(|buffer| buffer.is_quiet())
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("buffers", &self.buffers.len())
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

/// A worker's buffer. The lock is free but for the moment in which the thread swaps the bytes out.
#[derive(Debug, Default)]
struct Buffer(Mutex<Gathered>);

impl Buffer {
    /// Exchanges what has gathered for an empty batch, and returns how many records were dropped since the last time.
    fn swap(&self, batch: &mut Vec<u8>) -> u64 {
        let mut gathered = lock(&self.0);
        std::mem::swap(&mut gathered.bytes, batch);
        std::mem::take(&mut gathered.dropped)
    }

    /// Whether it asks for nothing: neither to be written nor to be forgotten.
    fn is_quiet(&self) -> bool {
        let gathered = lock(&self.0);
        gathered.bytes.is_empty() && gathered.dropped == 0 && !gathered.gone
    }
}

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    timestamp: Timestamp,
    dropped: u64,
    /// Whether no more records can come.
    gone: bool,
}

/// The thread.
fn run(shared: &Shared, mut writer: Writer, running: Sender<()>) {
    loop {
        let (buffers, stop) = wait(shared, &mut writer);
        for buffer in &buffers {
            if !writer.write(|batch| buffer.swap(batch)) {
                break;
            }
        }
        if stop {
            break;
        }
    }
    writer.give_up();
    drop(running);
}

/// Sleeps until there may be something to do, and returns all buffers and whether this is the last round.
fn wait(shared: &Shared, writer: &mut Writer) -> (Vec<Arc<Buffer>>, bool) {
    let mut state = lock(&shared.state);
    while !state.stop {
        state = shared.wake.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        shared.asleep.store(true, Ordering::Relaxed);
        let quiet = writer.is_done() && state.is_quiet();
        if quiet {
            let asleep = |state: &mut State| state.is_calm() && shared.asleep.load(Ordering::Relaxed);
            state = shared.wake.wait_while(state, asleep).unwrap_or_else(PoisonError::into_inner);
        }
        shared.asleep.store(false, Ordering::Relaxed);
        if !quiet {
            break;
        }
    }
    // Cloned before the sinks that are gone are removed: this round writes what they have left.
    let buffers = state.buffers.clone();
    state.buffers.retain(|buffer| !lock(&buffer.0).gone);
    writer.next = state.output.take().or(writer.next.take());
    (buffers, state.stop)
}

/// Opens for appending. The group may read it: that is how log shippers usually get at files of a service.
fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// A panic under one of these locks leaves nothing half done that would matter more than the log.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
