//! The thread that writes, and what stands between it and those who have something to record.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::AuditError;
use super::event::{Action, Event, Outcome};
use super::flood::{Admission, Flood};
use super::writer::{WriteError, Writer};
use crate::clock;

/// Records that may wait for the disk.
const MAX_WAITING: usize = 4096;
/// Between two attempts to write to a disk that takes nothing.
const RETRY_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    wake: Condvar,
    pub(super) counters: AuditCounters,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    waiting: Vec<Waiting>,
    flood: Flood,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was recorded yet.
    #[default]
    Unopened,
    /// Takes records.
    Open,
    /// The disk takes nothing, for this reason. The thread tries again.
    Failing(String),
    /// Nothing more can be written in this process, for this reason.
    Failed(String),
    /// Takes no more records; the thread writes what is left.
    Closed,
}

/// A record that waits, and who waits for it.
struct Waiting {
    event: Event,
    done: Option<Done>,
}

pub(super) type Done = Box<dyn FnOnce(Result<(), AuditError>) + Send>;

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("event", &self.event).finish_non_exhaustive()
    }
}

/// Audit records so far.
#[derive(Debug, Default)]
pub struct AuditCounters {
    written: AtomicU64,
    counted: AtomicU64,
    failed: AtomicU64,
}

impl AuditCounters {
    /// By what became of them: a name and a number.
    #[must_use]
    pub fn read(&self) -> [(&'static str, u64); 3] {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [("written", get(&self.written)), ("counted", get(&self.counted)), ("failed", get(&self.failed))]
    }
}

impl Shared {
    /// Takes no more records; the thread writes what is left and ends.
    pub(super) fn close(&self) {
        lock(&self.state).phase = Phase::Closed;
        self.wake.notify_one();
    }

    /// Whether records are taken.
    pub(super) fn check(&self) -> Result<(), AuditError> {
        check(&lock(&self.state).phase)
    }

    /// Hands a record over; `done` is told what came of it.
    pub(super) fn submit(&self, event: Event, done: Done) {
        let mut state = lock(&self.state);
        let full = if state.waiting.len() < MAX_WAITING { Ok(()) } else { Err(AuditError::Busy) };
        let open = if state.phase == Phase::Unopened { Err(AuditError::Closed) } else { check(&state.phase) };
        if let Err(error) = open.and(full) {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            drop(state);
            return done(Err(error));
        }
        let may_be_counted = event.outcome != Outcome::Success && !event.alone;
        if let (Some(origin), true) = (&event.origin, may_be_counted) {
            let now = clock::monotonic();
            state.take_due(now);
            if state.flood.admit(origin.client, (event.action, event.outcome), now) == Admission::Counted {
                self.counters.counted.fetch_add(1, Ordering::Relaxed);
                drop(state);
                return done(Ok(()));
            }
        }
        state.waiting.push(Waiting { event, done: Some(done) });
        drop(state);
        self.wake.notify_one();
    }
}

impl Shared {
    /// Keeps a record for which nobody waits until it can be written.
    pub(super) fn keep(&self, event: Event) -> Result<(), AuditError> {
        let mut state = lock(&self.state);
        match &state.phase {
            Phase::Open | Phase::Failing(_) if state.waiting.len() < MAX_WAITING => {
                state.waiting.push(Waiting { event, done: None });
                drop(state);
                self.wake.notify_one();
                Ok(())
            }
            Phase::Open | Phase::Failing(_) => Err(AuditError::Busy),
            Phase::Unopened => Err(AuditError::Closed),
            closed => check(closed),
        }
    }
}

fn check(phase: &Phase) -> Result<(), AuditError> {
    match phase {
        Phase::Unopened | Phase::Open => Ok(()),
        Phase::Failing(reason) | Phase::Failed(reason) => Err(AuditError::Unwritable(reason.clone())),
        Phase::Closed => Err(AuditError::Closed),
    }
}

impl State {
    /// What was counted becomes records when its minute is over.
    fn take_due(&mut self, now: Instant) {
        let due = self.flood.take_due(now);
        self.waiting.extend(due.iter().map(|it| Waiting { event: it.event(clock::now()), done: None }));
    }
}

/// The thread.
pub(super) fn run(shared: &Shared, mut writer: Writer) {
    let _end = End(shared);
    loop {
        let (mut batch, phase) = next(shared);
        if let Phase::Failing(_) = phase {
            batch.insert(0, Waiting { event: Event::success(Action::LogResume, clock::now()), done: None });
        }
        let (events, done): (Vec<_>, Vec<_>) = batch.into_iter().map(|it| (it.event, it.done)).unzip();
        if !events.is_empty() {
            let result = writer.append(&events, clock::now());
            shared.finish(events, done, result);
        }
        if phase == Phase::Closed {
            return;
        }
    }
}

/// When the thread ends, in whatever way, nobody waits for it any more.
struct End<'s>(&'s Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        if state.phase != Phase::Closed {
            state.phase = Phase::Failed("its thread has ended".to_owned());
        }
        state.waiting.clear();
    }
}

/// Waits for records, the end of a minute with a flood, the next attempt, or the end.
fn next(shared: &Shared) -> (Vec<Waiting>, Phase) {
    let mut state = lock(&shared.state);
    let retry = matches!(state.phase, Phase::Failing(_)).then(|| clock::monotonic() + RETRY_EVERY);
    loop {
        let now = clock::monotonic();
        state.take_due(now);
        let is_due = retry.is_some_and(|retry| now >= retry);
        if state.phase == Phase::Closed {
            let left = state.flood.take();
            state.waiting.extend(left.iter().map(|it| Waiting { event: it.event(clock::now()), done: None }));
        }
        if state.phase == Phase::Closed || is_due || (state.phase == Phase::Open && !state.waiting.is_empty())
        {
            let phase = state.phase.clone();
            return (std::mem::take(&mut state.waiting), phase);
        }
        let until = [retry, state.flood.ends()].into_iter().flatten().min();
        state = match until {
            Some(until) => {
                let left = until.saturating_duration_since(now);
                shared.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

impl Shared {
    /// Tells everybody who waits for these records what came of them.
    fn finish(&self, events: Vec<Event>, done: Vec<Option<Done>>, result: Result<(), WriteError>) {
        let mut state = lock(&self.state);
        let outcome = match result {
            Ok(()) => {
                self.counters.written.fetch_add(events.len() as u64, Ordering::Relaxed);
                if let Phase::Failing(_) = state.phase {
                    state.phase = Phase::Open;
                    tracing::info!("the audit log can be written again");
                }
                Ok(())
            }
            Err(error) => {
                let waited_for = done.iter().flatten().count() as u64;
                self.counters.failed.fetch_add(waited_for, Ordering::Relaxed);
                // Nobody waits for a record that stands for many, so it is kept.
                let unheard = events.into_iter().zip(&done).filter(|(_, done)| done.is_none());
                let kept = unheard.filter(|(event, _)| event.action != Action::LogResume);
                let kept: Vec<_> = kept.map(|(event, _)| Waiting { event, done: None }).collect();
                if !kept.is_empty() && state.phase == Phase::Closed {
                    tracing::error!(records = kept.len(), error = %error, "audit records that were kept are lost");
                }
                state.waiting.splice(0..0, kept);
                state.fail(&error);
                Err(AuditError::Unwritable(error.to_string()))
            }
        };
        drop(state);
        for done in done.into_iter().flatten() {
            done(outcome.clone());
        }
    }
}

impl State {
    fn fail(&mut self, error: &WriteError) {
        if self.phase == Phase::Open {
            tracing::error!(error = %error, "the audit log cannot be written: logins and changes are refused");
        }
        match (&self.phase, error) {
            (Phase::Closed, _) => {}
            (_, WriteError::Now(_)) => self.phase = Phase::Failing(error.to_string()),
            (_, WriteError::ForGood(_)) => self.phase = Phase::Failed(error.to_string()),
        }
    }
}

/// Each change under one of these locks is a single assignment, so a panic of a holder leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
