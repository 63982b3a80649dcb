//! Which streams of a connection have something to do. All of them live in the connection's task, and only those are polled that were
//! woken: with a hundred open streams, one that goes on costs nothing of the other ninety-nine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Streams in the order in which they were woken.
#[derive(Default)]
pub(super) struct Ready(Mutex<State>);

#[derive(Default)]
struct State {
    queue: VecDeque<usize>,
    /// The connection's task. `None` while it runs: it looks into the queue before it sleeps.
    sleeper: Option<Waker>,
}

/// A place for a stream, by its number in the table of streams. Many streams have it, one after the other; to be woken for one that is
/// gone does no harm.
pub(super) struct Seat {
    key: usize,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    /// A place, and its waker.
    pub(super) fn seat(self: &Arc<Self>, key: usize) -> (Arc<Seat>, Waker) {
        let seat = Arc::new(Seat { key, is_queued: AtomicBool::new(false), ready: self.clone() });
        (seat.clone(), seat.into())
    }

    /// The task runs.
    pub(super) fn wake_up(&self) {
        self.lock().sleeper = None;
    }

    /// How many streams wait.
    pub(super) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// The place of the next stream. It has to be told by [`Seat::leave`] before the stream is polled.
    pub(super) fn pop(&self) -> Option<usize> {
        self.lock().queue.pop_front()
    }

    /// The task is about to sleep. `false` if there is something to do.
    pub(super) fn sleep(&self, task: &Waker) -> bool {
        let mut state = self.lock();
        state.sleeper = Some(task.clone());
        state.queue.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// It is not in the queue any more: what wakes it from now on puts it there again.
    pub(super) fn leave(&self) {
        // Not a store: what another thread did before it has found us in the queue must be seen when the stream is polled.
        self.is_queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Seat {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let sleeper = {
            let mut state = self.ready.lock();
            state.queue.push_back(self.key);
            state.sleeper.take()
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::Ready;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_stream_is_queued_once_and_the_task_is_woken_only_when_it_sleeps() {
        let (ready, task) = (Arc::new(Ready::default()), Arc::new(Task::default()));
        let waker = Waker::from(task.clone());
        let woken = || task.0.load(Ordering::Relaxed);
        let ((seat, first), (_, second)) = (ready.seat(1), ready.seat(2));
        first.wake_by_ref();
        first.wake_by_ref();
        assert_eq!((ready.len(), woken()), (1, 0), "the task runs and will look");
        assert!(!ready.sleep(&waker), "there is something to do");
        second.wake_by_ref();
        assert_eq!((ready.len(), woken()), (2, 1));
        ready.wake_up();
        assert_eq!((ready.pop(), ready.pop(), ready.pop()), (Some(1), Some(2), None));
        assert!(ready.sleep(&waker));
        first.wake_by_ref();
        assert_eq!((ready.pop(), woken()), (None, 1), "it has not left yet");
        seat.leave();
        first.wake();
        assert_eq!((ready.pop(), woken()), (Some(1), 2));
    }
}
