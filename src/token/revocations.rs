//! Which users' older tokens are refused, although their signature and dates are good.
//!
//! The set is read on every request by every worker and written by the control plane once in a while. It remembers a
//! user only for as long as a token from before the change can live; what makes it survive a restart is the store's
//! business, not ours.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use papaya::{Compute, HashMap, Operation, ResizeMode};
use tokio::sync::watch;

use crate::clock::UnixTime;
use crate::id::UserId;

/// Revoked token versions, by user. Readers take no lock and never wait for a writer.
#[derive(Debug)]
pub struct Revocations {
    users: HashMap<UserId, Floor, RandomState>,
    /// Never less than the number of users in the map: it goes up before an insertion and down after a removal. The map
    /// counts for itself too, but in one cell per core, and their sum may pass through zero while it is not empty.
    bound: AtomicUsize,
    /// Milliseconds since the epoch; no user in the map was changed earlier. Greatest when there is none.
    oldest: AtomicU64,
    /// Told of each revocation; see [`Self::announcements`].
    announced: watch::Sender<()>,
}

impl Default for Revocations {
    fn default() -> Self {
        // Resized at once: a resize in small steps goes on only while somebody writes, and until then each look-up searches two
        // tables. With 100,000 users read back at the start and nothing revoked since, that was 6,400 instructions a request.
        let users =
            HashMap::builder().hasher(RandomState::default()).resize_mode(ResizeMode::Blocking).build();
        Self {
            users,
            bound: AtomicUsize::new(0),
            oldest: AtomicU64::new(u64::MAX),
            announced: watch::Sender::default(),
        }
    }
}

/// The lowest token version of a user that still passes, and when it became so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Floor {
    min_version: u64,
    at: UnixTime,
}

impl Revocations {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses every token of `user` whose version is below `min_version`. `at` is when the user was changed.
    ///
    /// When this has returned, every later [`Self::refuses`] on any thread sees it. The floor never falls: calls may
    /// come in any order, as they do when a restart reads them back while the gateway already serves.
    pub fn revoke_user(&self, user: UserId, min_version: u64, at: UnixTime) {
        self.bound.fetch_add(1, Ordering::AcqRel);
        let users = self.users.pin();
        let done: Compute<'_, UserId, Floor, ()> = users.compute(user, |entry| {
            let floor = entry.map_or(Floor { min_version, at }, |(_, old)| Floor {
                min_version: old.min_version.max(min_version),
                at: old.at.max(at),
            });
            Operation::Insert(floor)
        });
        if !matches!(done, Compute::Inserted(..)) {
            self.bound.fetch_sub(1, Ordering::AcqRel);
        }
        self.oldest.fetch_min(at.as_millis(), Ordering::AcqRel);
        self.announce();
    }

    /// Wakes those who wait for [`Self::announcements`]. To be called when a revocation is in the set.
    fn announce(&self) {
        // An error means that nobody listens, as while the store is read at the start.
        let _ = self.announced.send(());
    }

    /// Tells of revocations, after they are in the set and before whoever asked for them hears of it. Several that come while nobody
    /// looks are one. What is asked on a request's way does not touch it.
    #[must_use]
    pub fn announcements(&self) -> watch::Receiver<()> {
        self.announced.subscribe()
    }

    /// Whether every user that is remembered was changed at `at` or later, so that there is nothing to forget. Never `true` when
    /// there is; costs one load.
    #[must_use]
    pub fn all_since(&self, at: UnixTime) -> bool {
        at.as_millis() <= self.oldest.load(Ordering::Acquire)
    }

    /// Forgets the users whose last change lies before `at`. Call it with now, less the longest lifetime of a token and
    /// the leeway: what was issued before such a change has expired by itself.
    pub fn forget_before(&self, at: UnixTime) {
        let users = self.users.pin();
        // What is revoked from here on lowers it again, whether the walk below meets it or not.
        self.oldest.store(u64::MAX, Ordering::Release);
        for (user, floor) in users.iter() {
            if floor.at >= at {
                self.oldest.fetch_min(floor.at.as_millis(), Ordering::AcqRel);
                continue;
            }
            // The entry is looked at again under the removal, since it may have been revoked anew in between.
            let done: Compute<'_, UserId, Floor, ()> = users.compute(*user, |entry| match entry {
                Some((_, floor)) if floor.at < at => Operation::Remove,
                _ => Operation::Abort(()),
            });
            if matches!(done, Compute::Removed(..)) {
                self.bound.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Whether a token of `user` with this version was revoked. On the way of every request: one look-up, and with
    /// nothing revoked not even that.
    #[must_use]
    pub fn refuses(&self, user: UserId, version: u64) -> bool {
        self.bound.load(Ordering::Acquire) != 0
            && self.users.pin().get(&user).is_some_and(|floor| version < floor.min_version)
    }

    /// The number of users that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use super::Revocations;
    use crate::clock::UnixTime;
    use crate::id::UserId;

    fn user(number: u8) -> UserId {
        UserId::from_bytes([number; 16])
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn refuses_older_versions_of_that_user_only() {
        let set = Revocations::new();
        assert!(set.is_empty() && !set.refuses(user(1), 0));
        set.revoke_user(user(1), 5, at(10));
        assert!(set.refuses(user(1), 0) && set.refuses(user(1), 4));
        assert!(!set.refuses(user(1), 5) && !set.refuses(user(1), 6) && !set.refuses(user(2), 0));
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn the_floor_never_falls() {
        let set = Revocations::new();
        set.revoke_user(user(1), 5, at(10));
        set.revoke_user(user(1), 3, at(5));
        assert!(set.refuses(user(1), 4));
        set.forget_before(at(6));
        assert!(set.refuses(user(1), 4), "the older call must not have made the entry look older");
    }

    #[test]
    fn forgets_what_can_no_longer_matter() {
        let set = Revocations::new();
        set.revoke_user(user(1), 1, at(10));
        set.revoke_user(user(2), 1, at(20));
        set.forget_before(at(20));
        assert!(!set.refuses(user(1), 0) && set.refuses(user(2), 0));
        assert_eq!(set.len(), 1);
        set.forget_before(at(21));
        assert!(set.is_empty() && !set.refuses(user(2), 0));
        set.revoke_user(user(2), 1, at(30));
        assert!(set.refuses(user(2), 0), "a user can be revoked again after it was forgotten");
    }

    #[test]
    fn it_is_known_whether_there_is_anything_to_forget() {
        let set = Revocations::new();
        assert!(set.all_since(at(1000)));
        set.revoke_user(user(1), 1, at(20));
        set.revoke_user(user(2), 1, at(10));
        assert!(set.all_since(at(10)) && !set.all_since(at(11)));
        set.forget_before(at(11));
        assert!(set.all_since(at(20)) && !set.all_since(at(21)));
        set.forget_before(at(21));
        assert!(set.is_empty() && set.all_since(at(1000)));
    }

    #[test]
    fn a_revocation_that_returned_is_announced_and_several_are_one() {
        let set = Revocations::new();
        set.revoke_user(user(1), 1, at(10));
        let mut announced = set.announcements();
        assert!(!announced.has_changed().unwrap(), "what was revoked before is not news");
        set.revoke_user(user(2), 1, at(10));
        set.revoke_user(user(3), 1, at(10));
        assert!(announced.has_changed().unwrap());
        announced.mark_unchanged();
        assert!(!announced.has_changed().unwrap());
        set.forget_before(at(20));
        assert!(!announced.has_changed().unwrap(), "nothing ends because something is forgotten");
    }

    #[test]
    fn a_revocation_that_returned_is_seen_by_every_thread() {
        let set = Arc::new(Revocations::new());
        let (acknowledge, acknowledged) = mpsc::channel::<(UserId, u64)>();
        let reader = thread::spawn({
            let set = Arc::clone(&set);
            move || acknowledged.iter().all(|(user, version)| set.refuses(user, version))
        });
        for round in 0..20_000_u64 {
            let user = user(u8::try_from(round % 7).unwrap());
            set.revoke_user(user, round + 1, at(round + 1));
            acknowledge.send((user, round)).unwrap();
            // Only what is over a thousand rounds old goes, and each user comes up every seven: all are kept.
            set.forget_before(at(round.saturating_sub(1000)));
        }
        drop(acknowledge);
        assert!(reader.join().unwrap());
        assert_eq!(set.len(), 7);
    }
}
