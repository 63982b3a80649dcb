//! What has to be done now and then, and what nobody should wait for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::longest_token;
use crate::causes::with_causes;
use crate::clock;
use crate::gateway::Shared;
use crate::identity::{HashPool, Lifetimes, Pace, SessionError, Users, prune_works};
use crate::reload::Parts;
use crate::shutdown::Signal;

/// How often revocations that no token can outlive are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// In every so many of those rounds, sessions and invitations that have ended are deleted: all of them are read for that.
const SESSIONS_ROUND: u32 = 60;

/// Deletes what does not matter any more, until the signal comes.
pub(super) fn forget(
    parts: &Parts,
    shared: Arc<Shared>,
    mut signal: Signal,
) -> impl Future<Output = ()> + use<> {
    let (revoked, sessions) = (parts.users.revoked().clone(), parts.sessions.clone());
    let invitations = parts.registration.invitations().clone();
    let pace = Arc::new(Pace::default());
    async move {
        let mut tick = interval(FORGET_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u32.. {
            tokio::select! {
                () = signal.wait() => return,
                _ = tick.tick() => {}
            }
            let (revoked, sessions, invitations) = (revoked.clone(), sessions.clone(), invitations.clone());
            let pace = pace.clone();
            let config = shared.snapshot.load().config.clone();
            let work = move || {
                let retention = revoked.retention(longest_token(&config))?;
                let now = clock::moment();
                if pace.allows(now, retention) {
                    revoked.forget(now.wall, retention)?;
                }
                if round.is_multiple_of(SESSIONS_ROUND) {
                    sessions.forget_ended(&Lifetimes::of(&config.token), clock::now())?;
                    invitations.forget_dead(clock::now())?;
                }
                Ok::<_, SessionError>(())
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %with_causes(&error), "old revocations, sessions and invitations could not be deleted")
                }
                Err(error) => {
                    tracing::error!(error = %error, "deleting old revocations, sessions and invitations failed")
                }
            }
        }
    }
}

/// What a start leaves for later.
pub(super) fn after_start(users: Users, pool: Arc<HashPool>) {
    tokio::task::spawn_blocking(prepare_signing);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = prune_works(&users, &pool) {
            tracing::warn!(error = %with_causes(&error), "the kinds of password hashes in the store cannot be read");
        }
    });
}

/// The generator of aws-lc takes 50 ms for its first number. Nobody should wait for that, neither readiness nor the first login.
fn prepare_signing() {
    // A generator that fails will do so again when a token is signed, where it is reported.
    let _ = aws_lc_rs::rand::fill(&mut [0]);
}
