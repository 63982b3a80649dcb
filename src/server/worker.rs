//! Worker threads: each has a runtime, listening sockets and connections of its own.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;
use httpdate::fmt_http_date;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::accept::accept;
use super::connection;
use super::watch::{Command, Patience, Registry, TICK};
use crate::clock::{self, UnixTime};
use crate::gateway::Worker;
use crate::peer::PeerAddr;
use crate::shutdown::Signal;
use crate::spare::Spares;

/// Host names that one worker looks up at the same time; a resolver that hangs must not cost hundreds of threads.
const MAX_RESOLVING: usize = 8;

/// Bytes of a buffer that is kept for the next response.
const MAX_SPARE: usize = 16 * 1024;

/// What the tasks of one worker share.
pub(super) struct Context {
    worker: Arc<Worker>,
    registry: Arc<Registry>,
    buffers: Spares<BytesMut>,
    spare: Mutex<Vec<u8>>,
    date: Mutex<[u8; 29]>,
    ticks: AtomicU32,
    draining: AtomicBool,
    /// Held by every connection; the worker ends when the last holder is gone.
    alive: mpsc::WeakSender<()>,
}

impl Context {
    fn new(worker: Arc<Worker>, alive: mpsc::WeakSender<()>) -> Self {
        Self {
            worker,
            registry: Arc::default(),
            buffers: Spares::default(),
            spare: Mutex::default(),
            date: Mutex::new(http_date(clock::now())),
            ticks: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            alive,
        }
    }

    pub(super) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Where its connections get a buffer from when they can be read.
    pub(super) fn buffers(&self) -> &Spares<BytesMut> {
        &self.buffers
    }

    /// An empty buffer for a response. Most are given back at once, and serve the next one: memory for head and body of each would
    /// be 3 % of the instructions of a request.
    pub(super) fn take_spare(&self) -> Vec<u8> {
        std::mem::take(&mut *self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a buffer back that is not needed any more.
    pub(super) fn give_spare(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_SPARE {
            buffer.clear();
            *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = buffer;
        }
    }

    /// The time of a response (RFC 9110 §6.6.1). It is as old as the worker's last look at its connections, or as the last one that
    /// came: half a second at the most.
    pub(super) fn date(&self) -> [u8; 29] {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the clock for [`Self::date`].
    pub(super) fn read_date(&self) {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) = http_date(clock::now());
    }

    /// How often the worker has looked at its connections, twice a second, modulo 2³²: a clock that costs nothing.
    pub(super) fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn alive(&self) -> Option<mpsc::Sender<()>> {
        self.alive.upgrade()
    }

    pub(super) fn patience(&self) -> Patience {
        let view = self.worker.view();
        let server = &view.snapshot.config.server;
        Patience {
            header: server.header_timeout,
            write: server.write_timeout,
            keepalive: server.keepalive_timeout,
        }
    }
}

/// The form of RFC 9110 §5.6.7.
fn http_date(now: UnixTime) -> [u8; 29] {
    let text = fmt_http_date(UNIX_EPOCH + Duration::from_secs(now.as_secs()));
    text.as_bytes().try_into().unwrap_or([b' '; 29])
}

/// A worker thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a worker thread: {0}")]
pub struct WorkersError(#[from] io::Error);

/// The running worker threads.
#[derive(Debug)]
pub struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    /// Starts one thread for each worker. `listeners` has one list of sockets for each. When the signal comes they stop accepting,
    /// finish what is in flight for at most `shutdown_grace`, and end.
    ///
    /// # Errors
    /// [`WorkersError`] when the system gives no thread or no runtime.
    pub fn start(
        workers: Vec<Arc<Worker>>,
        listeners: Vec<Vec<StdListener>>,
        max_connections: usize,
        signal: &Signal,
    ) -> Result<Self, WorkersError> {
        let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        let mut threads = Vec::with_capacity(workers.len());
        for (index, (worker, sockets)) in workers.into_iter().zip(listeners).enumerate() {
            let runtime =
                Builder::new_current_thread().enable_all().max_blocking_threads(MAX_RESOLVING).build()?;
            let (places, signal) = (places.clone(), signal.clone());
            let body = move || runtime.block_on(run(worker, sockets, places, signal));
            threads.push(std::thread::Builder::new().name(format!("portcullis-{index}")).spawn(body)?);
        }
        Ok(Self(threads))
    }

    /// Waits until all workers have ended. They do so only after the signal.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

/// Serves one client connection of `worker` to its end on the caller's runtime, just as a worker's thread serves those that it has
/// accepted. Without that thread nobody looks after a client that is slow or idle.
pub async fn serve(stream: TcpStream, peer: SocketAddr, worker: Arc<Worker>) {
    let (alive, _all_gone) = mpsc::channel(1);
    let context = Context::new(worker, alive.downgrade());
    if let Ok(place) = Arc::new(Semaphore::new(1)).acquire_owned().await {
        connection::serve(stream, PeerAddr(peer), place, Arc::new(context)).await;
    }
}

async fn run(worker: Arc<Worker>, sockets: Vec<StdListener>, places: Arc<Semaphore>, mut signal: Signal) {
    let (alive, mut all_gone) = mpsc::channel(1);
    let context = Arc::new(Context::new(worker, alive.downgrade()));
    // From before the first response can begin.
    let announced = context.worker.revocations().announcements();
    tokio::spawn(end_revoked(context.worker.clone(), announced));
    let mut accepting = Vec::new();
    for socket in sockets {
        match TcpListener::from_std(socket) {
            Ok(listener) => accepting.push(tokio::spawn(accept(listener, context.clone(), places.clone()))),
            Err(error) => tracing::error!(error = %error, "a listening socket cannot be used"),
        }
    }
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::select! {
        () = signal.wait() => {}
        () = keep_watch(&context, &mut tick) => {}
    }

    context.draining.store(true, Ordering::Relaxed);
    for task in accepting {
        task.abort();
    }
    context.registry.tell(Command::Drain);
    drop(alive);
    let deadline = Instant::now() + grace(&context);
    loop {
        tokio::select! {
            _ = all_gone.recv() => return,
            () = tokio::time::sleep_until(deadline) => break,
            _ = tick.tick() => { look(&context); }
        }
    }
    // What is still open ends with the runtime.
    tracing::warn!("shutdown_grace is over: connections that are still open are closed");
}

/// Looks over all connections for ever, as long as there are any: an idle worker does not wake up.
async fn keep_watch(context: &Context, tick: &mut Interval) {
    loop {
        context.registry.entered().await;
        tick.reset();
        loop {
            tick.tick().await;
            if !look(context) {
                break;
            }
        }
    }
}

/// Ends what goes on with a revoked token, for as long as the worker lives. Many revocations at a time are one walk.
async fn end_revoked(worker: Arc<Worker>, mut announced: watch::Receiver<()>) {
    while announced.changed().await.is_ok() {
        worker.end_revoked();
    }
}

/// Whether there is something to look for again.
fn look(context: &Context) -> bool {
    context.read_date();
    context.ticks.fetch_add(1, Ordering::Relaxed);
    let now = clock::monotonic();
    let clients = context.registry.look(now, context.patience());
    context.worker.end_expired(clock::now());
    let upstreams = context.worker.close_idle(now, clients);
    let buffers = context.buffers.trim();
    clients || upstreams || buffers
}

fn grace(context: &Context) -> Duration {
    context.worker.view().snapshot.config.server.shutdown_grace
}
