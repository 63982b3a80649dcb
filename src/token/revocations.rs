//! Which tokens are refused although their signature and dates are good: older ones of a user, those of a session, single ones.
//!
//! The set is read on every request by every worker and written by the control plane once in a while. It remembers a
//! revocation only for as long as a token from before it can live; what makes it survive a restart is the store's
//! business, not ours.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use papaya::{Compute, HashMap, Operation, ResizeMode};
use tokio::sync::watch;

use super::Verified;
use crate::clock::UnixTime;
use crate::id::{SessionId, TokenId, UserId};

/// What was revoked: older tokens of users, sessions, single tokens. Readers take no lock and never wait for a writer.
#[derive(Debug)]
pub struct Revocations {
    floors: HashMap<RevocationId, Floor, RandomState>,
    /// Never less than the number of entries in the map: it goes up before an insertion and down after a removal. The map
    /// counts for itself too, but in one cell per core, and their sum may pass through zero while it is not empty.
    bound: AtomicUsize,
    /// Milliseconds since the epoch; nothing in the map was revoked earlier. Greatest when there is none.
    oldest: AtomicU64,
    /// See [`Self::end_keys_before`].
    era: AtomicU64,
    /// Told of each revocation; see [`Self::announcements`].
    announced: watch::Sender<()>,
}

impl Default for Revocations {
    fn default() -> Self {
        // Resized at once: a resize in small steps goes on only while somebody writes, and until then each look-up searches two
        // tables. With 100,000 entries read back at the start and nothing revoked since, that was 6,400 instructions a request.
        let floors =
            HashMap::builder().hasher(RandomState::default()).resize_mode(ResizeMode::Blocking).build();
        Self {
            floors,
            bound: AtomicUsize::new(0),
            oldest: AtomicU64::new(u64::MAX),
            era: AtomicU64::new(0),
            announced: watch::Sender::default(),
        }
    }
}

/// Whose tokens are refused. All of them have identifiers of one form, no two of which are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RevocationId([u8; 16]);

impl RevocationId {
    /// The identifier with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, which are those of the user, the session or the token.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<UserId> for RevocationId {
    fn from(id: UserId) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<SessionId> for RevocationId {
    fn from(id: SessionId) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<TokenId> for RevocationId {
    fn from(id: TokenId) -> Self {
        Self(*id.as_bytes())
    }
}

/// The lowest token version that still passes, and when it became so.
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

    /// Refuses every token of this user, session or identifier whose version is below `min_version`. `at` is when that was decided.
    ///
    /// When this has returned, every later [`Self::refuses`] on any thread sees it. The floor never falls: calls may
    /// come in any order, as they do when a restart reads them back while the gateway already serves.
    pub fn revoke(&self, id: impl Into<RevocationId>, min_version: u64, at: UnixTime) {
        self.bound.fetch_add(1, Ordering::AcqRel);
        let floors = self.floors.pin();
        let done: Compute<'_, RevocationId, Floor, ()> = floors.compute(id.into(), |entry| {
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

    /// All signing keys from before this [`KeyRing::era`](super::KeyRing::era) were replaced. A request sees that by its ring, without
    /// this; what goes on is told here.
    pub fn end_keys_before(&self, era: u64) {
        if self.era.fetch_max(era, Ordering::AcqRel) < era {
            self.announce();
        }
    }

    /// Whatever was let in by keys of an earlier era than this is refused.
    #[must_use]
    pub fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    /// Wakes those who wait for [`Self::announcements`]. To be called when a revocation is in the set, and when a snapshot is in force that
    /// may not trust what vouched for somebody under the one before.
    pub fn announce(&self) {
        // An error means that nobody listens, as while the store is read at the start.
        let _ = self.announced.send(());
    }

    /// Tells of revocations, after they are in the set and before whoever asked for them hears of it. Several that come while nobody
    /// looks are one. What is asked on a request's way does not touch it.
    #[must_use]
    pub fn announcements(&self) -> watch::Receiver<()> {
        self.announced.subscribe()
    }

    /// Whether all that is remembered was revoked at `at` or later, so that there is nothing to forget. Never `true` when
    /// there is; costs one load.
    #[must_use]
    pub fn all_since(&self, at: UnixTime) -> bool {
        at.as_millis() <= self.oldest.load(Ordering::Acquire)
    }

    /// Forgets what was last revoked before `at`. Call it with now, less the longest lifetime of a token and
    /// the leeway: what was issued before that has expired by itself.
    pub fn forget_before(&self, at: UnixTime) {
        let floors = self.floors.pin();
        // What is revoked from here on lowers it again, whether the walk below meets it or not.
        self.oldest.store(u64::MAX, Ordering::Release);
        for (id, floor) in floors.iter() {
            if floor.at >= at {
                self.oldest.fetch_min(floor.at.as_millis(), Ordering::AcqRel);
                continue;
            }
            // The entry is looked at again under the removal, since it may have been revoked anew in between.
            let done: Compute<'_, RevocationId, Floor, ()> = floors.compute(*id, |entry| match entry {
                Some((_, floor)) if floor.at < at => Operation::Remove,
                _ => Operation::Abort(()),
            });
            if matches!(done, Compute::Removed(..)) {
                self.bound.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Whether the token was revoked, by itself or with its session or its user. On the way of every request: three look-ups, and
    /// with nothing revoked none.
    #[must_use]
    pub fn refuses(&self, token: &Verified) -> bool {
        if self.bound.load(Ordering::Acquire) == 0 {
            return false;
        }
        let floors = self.floors.pin();
        let ids: [RevocationId; 3] = [token.user.into(), token.session.into(), token.token.into()];
        ids.iter().any(|id| floors.get(id).is_some_and(|floor| token.version < floor.min_version))
    }

    /// The number of users, sessions and tokens that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.floors.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.floors.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use super::Revocations;
    use crate::clock::UnixTime;
    use crate::id::{SessionId, TokenId, UserId};
    use crate::token::Verified;
    use crate::token::testing::verified;

    fn user(number: u8) -> UserId {
        UserId::from_bytes([100 + number; 16])
    }

    /// A token of this user with this version.
    fn of(user: UserId, version: u64) -> Verified {
        Verified { user, version, ..verified() }
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn refuses_older_versions_of_that_user_only() {
        let set = Revocations::new();
        assert!(set.is_empty() && !set.refuses(&of(user(1), 0)));
        set.revoke(user(1), 5, at(10));
        assert!(set.refuses(&of(user(1), 0)) && set.refuses(&of(user(1), 4)));
        assert!(
            !set.refuses(&of(user(1), 5)) && !set.refuses(&of(user(1), 6)) && !set.refuses(&of(user(2), 0))
        );
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn refuses_the_tokens_of_an_ended_session_and_single_ones() {
        let set = Revocations::new();
        let (session, token) = (SessionId::from_bytes([8; 16]), TokenId::from_bytes([9; 16]));
        let other = verified();
        set.revoke(session, u64::MAX, at(10));
        set.revoke(token, u64::MAX, at(10));
        assert!(
            set.refuses(&Verified { session, ..verified() })
                && set.refuses(&Verified { token, ..verified() })
        );
        assert!(!set.refuses(&other));
    }

    #[test]
    fn the_floor_never_falls() {
        let set = Revocations::new();
        set.revoke(user(1), 5, at(10));
        set.revoke(user(1), 3, at(5));
        assert!(set.refuses(&of(user(1), 4)));
        set.forget_before(at(6));
        assert!(set.refuses(&of(user(1), 4)), "the older call must not have made the entry look older");
    }

    #[test]
    fn forgets_what_can_no_longer_matter() {
        let set = Revocations::new();
        set.revoke(user(1), 1, at(10));
        set.revoke(user(2), 1, at(20));
        set.forget_before(at(20));
        assert!(!set.refuses(&of(user(1), 0)) && set.refuses(&of(user(2), 0)));
        assert_eq!(set.len(), 1);
        set.forget_before(at(21));
        assert!(set.is_empty() && !set.refuses(&of(user(2), 0)));
        set.revoke(user(2), 1, at(30));
        assert!(set.refuses(&of(user(2), 0)), "a user can be revoked again after it was forgotten");
    }

    #[test]
    fn it_is_known_whether_there_is_anything_to_forget() {
        let set = Revocations::new();
        assert!(set.all_since(at(1000)));
        set.revoke(user(1), 1, at(20));
        set.revoke(user(2), 1, at(10));
        assert!(set.all_since(at(10)) && !set.all_since(at(11)));
        set.forget_before(at(11));
        assert!(set.all_since(at(20)) && !set.all_since(at(21)));
        set.forget_before(at(21));
        assert!(set.is_empty() && set.all_since(at(1000)));
    }

    #[test]
    fn a_revocation_that_returned_is_announced_and_several_are_one() {
        let set = Revocations::new();
        set.revoke(user(1), 1, at(10));
        let mut announced = set.announcements();
        assert!(!announced.has_changed().unwrap(), "what was revoked before is not news");
        set.revoke(user(2), 1, at(10));
        set.revoke(user(3), 1, at(10));
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
            move || acknowledged.iter().all(|(user, version)| set.refuses(&of(user, version)))
        });
        for round in 0..20_000_u64 {
            let user = user(u8::try_from(round % 7).unwrap());
            set.revoke(user, round + 1, at(round + 1));
            acknowledge.send((user, round)).unwrap();
            // Only what is over a thousand rounds old goes, and each user comes up every seven: all are kept.
            set.forget_before(at(round.saturating_sub(1000)));
        }
        drop(acknowledge);
        assert!(reader.join().unwrap());
        assert_eq!(set.len(), 7);
    }
}
