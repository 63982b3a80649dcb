//! Which hashes the users have, so that a wrong password takes as long for one user as for any other, or for none.
//!
//! Hashes that were imported, or made before the parameters were changed, take another time than ours. Until the next login
//! replaces such a hash, its user could be told from others by the time of a failed login. So a wrong password costs the work of
//! every kind of hash that any user has, whoever was asked for: the user's own first, the others with the same input. A right
//! password costs its own alone. The kinds are in the store too, and [`prune_works`] forgets those that nobody has any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::hashing::HashPool;
use super::password::{Digest, Work};
use super::users::{UserError, Users};

/// Kinds whose times cannot be made up from others, at most; more would make every failed login unreasonably slow.
pub(super) const MAX_WORKS: usize = 8;

/// The kinds of hashes that users have.
#[derive(Debug)]
pub struct Works {
    ours: Work,
    all: Mutex<Arc<[Work]>>,
    /// Held while the store is changed along with them.
    changing: Mutex<()>,
}

impl Works {
    pub(super) fn new(ours: Work) -> Self {
        Self { ours, all: Mutex::new(Arc::new([ours])), changing: Mutex::new(()) }
    }

    /// All of them. One that needs only part of another's work is left out.
    #[must_use]
    pub fn all(&self) -> Arc<[Work]> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, works: Vec<Work>) {
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = works.into();
    }

    /// Adds to them. The result is for whoever stores them too: nobody else changes them as long as it is held.
    pub(super) fn add(&self, works: impl IntoIterator<Item = Work>) -> MutexGuard<'_, ()> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.all().to_vec();
        for work in works {
            merge(&mut all, work);
        }
        self.set(all);
        changing
    }
}

/// Takes one into the list; `false` when there are too many.
pub(super) fn merge(works: &mut Vec<Work>, work: Work) -> bool {
    for known in works.iter_mut() {
        match (known, work) {
            (Work::Bcrypt { cost: known }, Work::Bcrypt { cost }) => {
                *known = cost.max(*known);
                return true;
            }
            (Work::Pbkdf2 { digest: same, rounds: known }, Work::Pbkdf2 { digest, rounds })
                if *same == digest =>
            {
                *known = rounds.max(*known);
                return true;
            }
            (known, work) if *known == work => return true,
            _ => {}
        }
    }
    let room = works.len() < MAX_WORKS;
    if room {
        works.push(work);
    }
    room
}

/// What of the list is left to do when `done` is done.
pub(super) fn others(works: &[Work], done: Option<Work>) -> Vec<Work> {
    works.iter().flat_map(|&work| rest(work, done)).collect()
}

fn rest(work: Work, done: Option<Work>) -> Vec<Work> {
    match (work, done) {
        (work, Some(done)) if work == done => Vec::new(),
        // 2^12 = 2^10 + 2^10 + 2^11
        (Work::Bcrypt { cost }, Some(Work::Bcrypt { cost: done })) => {
            (done..cost).map(|cost| Work::Bcrypt { cost }).collect()
        }
        (Work::Pbkdf2 { digest, rounds }, Some(Work::Pbkdf2 { digest: same, rounds: done }))
            if same == digest =>
        {
            iterations(digest, rounds.saturating_sub(done))
        }
        _ => vec![work],
    }
}

fn iterations(digest: Digest, rounds: u32) -> Vec<Work> {
    if rounds == 0 { Vec::new() } else { vec![Work::Pbkdf2 { digest, rounds }] }
}

/// Reads the kinds back from the store when the gateway starts, and notes ours there if it is new.
///
/// # Errors
/// [`UserError::Store`].
pub fn restore_works(users: &Users, pool: &HashPool) -> Result<(), UserError> {
    let ours = pool.works().ours;
    let stored = users.works()?;
    let _changing = pool.works().add(stored.iter().copied());
    if stored.contains(&ours) { Ok(()) } else { users.set_works(&pool.works().all()) }
}

/// Forgets the kinds that no user has any more. Reads all users if there is more than one kind, so it is called in the background
/// after a start. An import waits for it.
///
/// # Errors
/// [`UserError::Store`].
pub fn prune_works(users: &Users, pool: &HashPool) -> Result<(), UserError> {
    let works = pool.works();
    let _changing = works.add([]);
    let before = works.all();
    if before.len() == 1 {
        return Ok(());
    }
    let mut used = vec![works.ours];
    let mut after = None;
    loop {
        let page = users.list(after, 1000)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for user in &page {
            if let Some(work) = user.password.work() {
                merge(&mut used, work);
            }
        }
    }
    if before.iter().any(|work| !used.contains(work)) {
        users.set_works(&used)?;
        works.set(used);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Digest, MAX_WORKS, Work, merge, others};
    use crate::identity::password::Argon2Params;

    fn any_work() -> impl Strategy<Value = Work> {
        let digests = prop_oneof![Just(Digest::Sha1), Just(Digest::Sha256), Just(Digest::Sha512)];
        prop_oneof![
            (4..16_u32).prop_map(|cost| Work::Bcrypt { cost }),
            (digests, 1..5_u32).prop_map(|(digest, rounds)| Work::Pbkdf2 { digest, rounds }),
            (1..3_u32).prop_map(|log_n| Work::Scrypt { log_n, r: 8, p: 1 }),
            (1..3_u32).prop_map(|passes| Argon2Params { memory_kib: 8, passes, lanes: 1 }.into()),
        ]
    }

    /// The work of a list, by kind, in units that add up.
    fn total(works: &[Work]) -> Vec<(String, u64)> {
        let mut sums: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
        for work in works {
            let (kind, amount) = match *work {
                Work::Bcrypt { cost } => ("bcrypt".to_owned(), 1 << cost),
                Work::Pbkdf2 { digest, rounds } => (format!("{digest:?}"), rounds.into()),
                work => (format!("{work:?}"), 1),
            };
            *sums.entry(kind).or_default() += amount;
        }
        sums.into_iter().collect()
    }

    proptest! {
        /// SECURITY L1: whose password was tried makes no difference.
        #[test]
        fn a_wrong_password_costs_the_same_for_everybody(kinds in prop::collection::vec(any_work(), 1..20)) {
            let mut works = Vec::new();
            let kinds: Vec<_> = kinds.into_iter().filter(|&work| merge(&mut works, work)).collect();
            prop_assert!(works.len() <= MAX_WORKS);
            let nobody = total(&others(&works, None));
            for work in kinds {
                let mut spent = vec![work];
                spent.extend(others(&works, Some(work)));
                prop_assert_eq!(total(&spent), nobody.clone());
            }
        }
    }
}
