//! The bounded pool that computes password hashes. However many logins arrive, so many hashes are computed at once, so many wait,
//! and the next one is turned away at once; requests that are forwarded do not feel it.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::password::{self, Argon2Params, Checked, HashError, PasswordHash, Work, Workspace};
use super::works::{self, Works};
use crate::clock;
use crate::observe::metrics::Latency;
use crate::secret::Secret;

/// By how much the threads give way to the workers: as far as it goes. A worker that wants the same core gets 98 % of it, and is
/// not kept waiting for it: at 10 the p99 of forwarded requests rose to 2.9 times its quiet value during a flood of logins.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

/// How long the memory of the last hash is kept for the next one.
const KEEP_MEMORY: Duration = Duration::from_secs(2);

/// Threads that hash passwords. Dropping it drops the jobs that still wait and joins the threads, which takes as long as the
/// hashes that are being computed.
#[derive(Debug)]
pub struct HashPool {
    shared: Arc<Shared>,
    params: Argon2Params,
    threads: Vec<JoinHandle<()>>,
}

/// What came of the check of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the user's password.
    Match,
    /// It is not, or there is no such user.
    Mismatch,
}

/// Why the pool gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// As many jobs wait as may wait.
    #[error("too many passwords are being checked at the moment")]
    Busy,
    /// The pool was dropped before it came to the job.
    #[error("the gateway is shutting down")]
    Stopped,
    /// The hash could not be computed.
    #[error(transparent)]
    Failed(#[from] HashError),
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    waits: Latency,
    params: Argon2Params,
    works: Works,
    /// Held by the one hash that needs more memory than ours do.
    large: Mutex<()>,
    /// What was computed to check passwords, for tests.
    #[cfg(test)]
    computed: Mutex<Vec<Work>>,
}

#[derive(Debug)]
struct Queue {
    /// With the time at which each was handed in.
    waiting: VecDeque<(Job, Instant)>,
    /// Jobs that wait or run, and how many there may be.
    in_flight: usize,
    capacity: usize,
    stopped: bool,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.stopped
    }
}

#[derive(Debug)]
enum Job {
    Verify {
        hash: Option<PasswordHash>,
        password: Secret,
        answer: oneshot::Sender<Verdict>,
    },
    Hash {
        password: Secret,
        answer: oneshot::Sender<Result<PasswordHash, HashError>>,
    },
    /// Occupies a thread until a test drops the other end.
    #[cfg(test)]
    Hold(std::sync::mpsc::Receiver<()>),
}

impl HashPool {
    /// Starts `permits` threads (at least one), for which up to `queue` jobs may wait. New hashes are made with `params`.
    ///
    /// # Errors
    /// When the system gives no thread or no randomness.
    pub fn new(permits: usize, queue: usize, params: Argon2Params) -> io::Result<Self> {
        let permits = permits.max(1);
        let capacity = permits.saturating_add(queue);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { waiting: VecDeque::new(), in_flight: 0, capacity, stopped: false }),
            wake: Condvar::new(),
            waits: Latency::default(),
            params,
            works: Works::new(params.into()),
            large: Mutex::new(()),
            #[cfg(test)]
            computed: Mutex::default(),
        });
        let mut pool = Self { shared, params, threads: Vec::with_capacity(permits) };
        for _ in 0..permits {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new().name("portcullis-hash".into());
            pool.threads.push(thread.spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    /// What new hashes are made with.
    #[must_use]
    pub fn params(&self) -> Argon2Params {
        self.params
    }

    /// The number of jobs that are running or waiting.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.queue().in_flight
    }

    /// What is computed for a password that is wrong, whoever's it is.
    #[must_use]
    pub fn works(&self) -> &Works {
        &self.shared.works
    }

    /// What was computed to check passwords since this was last asked, for tests.
    #[cfg(test)]
    pub(super) fn take_computed(&self) -> Vec<Work> {
        std::mem::take(&mut self.shared.computed.lock().unwrap())
    }

    /// How long jobs wait for a thread.
    #[must_use]
    pub fn waits(&self) -> &Latency {
        &self.shared.waits
    }

    /// Checks a password. `None` stands for a user that does not exist or may not log in: it is a mismatch after the same work, which
    /// is that of [`Self::works`], each of them once. A match is told at once. A job that
    /// has begun runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// [`PoolError::Busy`] at once when the queue is full; [`PoolError::Stopped`].
    pub async fn verify(&self, hash: Option<PasswordHash>, password: Secret) -> Result<Verdict, PoolError> {
        let (answer, verdict) = oneshot::channel();
        self.submit(Job::Verify { hash, password, answer })?;
        verdict.await.map_err(|_| PoolError::Stopped)
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// As [`Self::verify`], and [`PoolError::Failed`] when the hash cannot be computed.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, PoolError> {
        let (answer, hash) = oneshot::channel();
        self.submit(Job::Hash { password, answer })?;
        Ok(hash.await.map_err(|_| PoolError::Stopped)??)
    }

    /// [`Self::hash`] for a thread that may block: not for one that runs async tasks.
    ///
    /// # Errors
    /// As [`Self::hash`].
    pub fn hash_blocking(&self, password: Secret) -> Result<PasswordHash, PoolError> {
        let (answer, hash) = oneshot::channel();
        self.submit(Job::Hash { password, answer })?;
        Ok(hash.blocking_recv().map_err(|_| PoolError::Stopped)??)
    }

    fn submit(&self, job: Job) -> Result<(), PoolError> {
        let mut queue = self.shared.queue();
        if queue.in_flight >= queue.capacity {
            return Err(PoolError::Busy);
        }
        queue.in_flight += 1;
        queue.waiting.push_back((job, clock::monotonic()));
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.stopped = true;
        let abandoned = std::mem::take(&mut queue.waiting);
        drop(queue);
        drop(abandoned);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // It catches the panics of its jobs, so there is nothing to learn from how it ended.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        #[cfg(target_os = "linux")]
        // On Linux this concerns the calling thread alone. Where it is forbidden, hashing merely competes as an equal.
        let _ = rustix::process::nice(NICENESS);
        let mut workspace = Workspace::default();
        while let Some(job) = self.next(&mut workspace) {
            // A panic ends the job, whose caller sees its answer dropped, but not the thread, which is one of few.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| self.run(job, &mut workspace)));
            self.queue().in_flight -= 1;
        }
    }

    /// The next job. The workspace is given back when there has been none for a while.
    fn next(&self, workspace: &mut Workspace) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.stopped {
                return None;
            }
            match queue.waiting.pop_front() {
                // Its caller went away before it began: nobody wants the answer, and nothing is computed for it.
                Some((job, _)) if job.is_abandoned() => queue.in_flight -= 1,
                Some((job, since)) => {
                    self.waits.observe(clock::monotonic().saturating_duration_since(since));
                    return Some(job);
                }
                None => {
                    let (woken, timeout) =
                        self.wake.wait_timeout(queue, KEEP_MEMORY).unwrap_or_else(PoisonError::into_inner);
                    queue = woken;
                    if timeout.timed_out() {
                        *workspace = Workspace::default();
                        queue = self
                            .wake
                            .wait_while(queue, |queue| queue.is_idle())
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        }
    }

    /// Answers go to whoever still wants them.
    fn run(&self, job: Job, workspace: &mut Workspace) {
        match job {
            Job::Verify { hash, password, answer } => {
                let _ = answer.send(self.verify(hash.as_ref(), &password, workspace));
            }
            Job::Hash { password, answer } => {
                let _ = answer.send(workspace.hash(self.params, &password));
            }
            #[cfg(test)]
            Job::Hold(released) => drop(released.recv()),
        }
    }

    fn verify(&self, hash: Option<&PasswordHash>, password: &Secret, workspace: &mut Workspace) -> Verdict {
        let done = match hash.map(|hash| self.check(hash, password, workspace)) {
            Some(Ok((true, _))) => return Verdict::Match,
            Some(Ok((false, work))) => Some(work),
            Some(Err(error)) => {
                tracing::error!(%error, "a stored password hash cannot be checked; set the user's password anew");
                None
            }
            None => None,
        };
        // SECURITY (L1): whether the user is known, and with which kind of hash, makes no difference in time.
        for work in works::others(&self.works.all(), done) {
            if let Err(error) = self.with_memory(work, workspace, |workspace| workspace.spend(work, password))
            {
                tracing::debug!(%error, "the work of a password hash was left out");
            }
        }
        Verdict::Mismatch
    }

    fn check(
        &self,
        hash: &PasswordHash,
        password: &Secret,
        workspace: &mut Workspace,
    ) -> Result<(bool, Work), HashError> {
        let checked: Checked = password::parse(hash.expose())?;
        let work = checked.work;
        let matches = self.with_memory(work, workspace, |workspace| workspace.verify(&checked, password))?;
        Ok((matches, work))
    }

    /// Of the hashes that need more memory than ours, one is computed at a time, so that the threads together take at most the
    /// memory of ours for each of them and that of one large one.
    ///
    /// Memory is kept for the next hash only as long as all of them are ours. With other kinds, what one leaves behind would make the
    /// next one faster, and a wrong password for a user whose own kind came first took up to 4 % less than one for nobody.
    fn with_memory<T>(
        &self,
        work: Work,
        workspace: &mut Workspace,
        compute: impl FnOnce(&mut Workspace) -> T,
    ) -> T {
        let large = work.memory_kib() > u64::from(self.params.memory_kib);
        let turn = large.then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner));
        let mixed = work != self.params.into() || self.works.all().len() > 1;
        if mixed {
            *workspace = Workspace::default();
        }
        let result = compute(workspace);
        #[cfg(test)]
        self.computed.lock().unwrap().push(work);
        if mixed {
            *workspace = Workspace::default();
        }
        drop(turn);
        result
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Verify { answer, .. } => answer.is_closed(),
            Self::Hash { answer, .. } => answer.is_closed(),
            #[cfg(test)]
            Self::Hold(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
