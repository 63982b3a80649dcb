//! One fsync for many commits: whoever comes first leads, the others wait for a round that began after they had applied.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Tells which commits are durable. Once a round has failed, no later one is tried: after a failed fsync the kernel may
/// have dropped the dirty pages, so that a second one would report success for data that is not there.
#[derive(Debug, Default)]
pub(super) struct Group {
    state: Mutex<State>,
    round_over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The number of batches that were applied.
    applied: u64,
    /// Of these, the first so many are on the disk.
    durable: u64,
    leading: bool,
    failed: Option<String>,
}

/// The place of a batch in the order of application.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

/// The batch may or may not be on the disk, and this is why.
#[derive(Debug)]
pub(super) struct NotDurable(pub(super) String);

impl Group {
    /// Counts a batch that was just applied. Call it before another batch can be applied.
    pub(super) fn applied(&self) -> Ticket {
        let mut state = self.state();
        state.applied += 1;
        Ticket(state.applied)
    }

    /// The ticket of the last batch that was applied, by whomever.
    pub(super) fn latest(&self) -> Ticket {
        Ticket(self.state().applied)
    }

    /// Why nothing may be written any more, if that is so.
    pub(super) fn healthy(&self) -> Result<(), String> {
        self.state().failed.clone().map_or(Ok(()), Err)
    }

    /// Ends all writing. The first reason stays.
    pub(super) fn fail(&self, reason: &str) {
        self.state().failed.get_or_insert_with(|| logged(reason.to_owned()));
        self.round_over.notify_all();
    }

    /// Returns once the batch is durable, by another's round or by one of our own, for which `make_durable` is called.
    pub(super) fn wait(
        &self,
        ticket: Ticket,
        make_durable: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), NotDurable> {
        let mut state = self.state();
        while state.durable < ticket.0 && state.failed.is_none() && state.leading {
            state = self.round_over.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.durable >= ticket.0 {
            return Ok(());
        }
        if let Some(reason) = &state.failed {
            return Err(NotDurable(reason.clone()));
        }
        state.leading = true;
        // What is applied from now on may miss this round's flush.
        let covered = state.applied;
        drop(state);
        self.lead(covered, make_durable)
    }

    fn lead(&self, covered: u64, make_durable: impl FnOnce() -> io::Result<()>) -> Result<(), NotDurable> {
        let outcome = make_durable();
        let mut state = self.state();
        state.leading = false;
        let result = match outcome {
            Ok(()) => {
                state.durable = covered;
                Ok(())
            }
            Err(error) => {
                let reason = state.failed.get_or_insert_with(|| logged(error.to_string()));
                Err(NotDurable(reason.clone()))
            }
        };
        drop(state);
        self.round_over.notify_all();
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is a single assignment, so a panic of a holder leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writing ends once, and whoever looks after the gateway has to do something about it.
fn logged(reason: String) -> String {
    tracing::error!(
        reason,
        "a write could not be made durable: the store accepts no more until the next start"
    );
    reason
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::Group;

    #[test]
    fn those_who_applied_before_a_round_share_it() {
        let group = Group::default();
        let first = group.applied();
        let second = group.applied();
        group.wait(first, || Ok(())).unwrap();
        group.wait(second, || panic!("the first round covered the second ticket")).unwrap();
        group.wait(group.latest(), || panic!("nothing is left to do")).unwrap();
    }

    #[test]
    fn those_who_applied_during_a_round_get_one_of_their_own() {
        let group = Arc::new(Group::default());
        let first = group.applied();
        let late = group.clone();
        let mut second = None;
        group
            .wait(first, || {
                second = Some(late.applied());
                Ok(())
            })
            .unwrap();
        let mut rounds = 0;
        group
            .wait(second.unwrap(), || {
                rounds += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(rounds, 1);
    }

    #[test]
    fn a_failed_round_fails_its_waiters_and_all_that_come_later() {
        let group = Arc::new(Group::default());
        let (first, second) = (group.applied(), group.applied());
        let (started, has_started) = mpsc::channel();
        let (proceed, may_proceed) = mpsc::channel::<()>();
        let leader = thread::spawn({
            let group = Arc::clone(&group);
            move || {
                group.wait(first, || {
                    started.send(()).unwrap();
                    may_proceed.recv().unwrap();
                    Err(io::Error::other("no space"))
                })
            }
        });
        has_started.recv().unwrap();
        let follower = thread::spawn({
            let group = Arc::clone(&group);
            move || group.wait(second, || panic!("no second round after a failure"))
        });
        proceed.send(()).unwrap();
        assert_eq!(leader.join().unwrap().unwrap_err().0, "no space");
        assert_eq!(follower.join().unwrap().unwrap_err().0, "no space");
        assert_eq!(group.healthy().unwrap_err(), "no space");
        let third = group.applied();
        assert!(group.wait(third, || Ok(())).is_err());
    }

    #[test]
    fn no_ticket_returns_before_a_round_that_began_after_it() {
        let group = Group::default();
        let (applied, durable) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let mine = applied.fetch_add(1, Ordering::SeqCst) + 1;
                        let ticket = group.applied();
                        let round = || {
                            let reached = applied.load(Ordering::SeqCst);
                            thread::yield_now();
                            durable.fetch_max(reached, Ordering::SeqCst);
                            Ok(())
                        };
                        group.wait(ticket, round).unwrap();
                        assert!(durable.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
    }
}
