//! Counters by key, in bounded memory.
//!
//! A key belongs to one of many small sets, by a hash that nobody outside can know; a set has a lock of its own, so that threads meet
//! only if they count for the same set in the same 20 ns. In a full set, the counter that says the least gives way: the one that would
//! be forgotten first in any case. Whoever wants to lose a counter has to fill its set with higher ones, which takes more tries than
//! the counter has counted; and since the sets cannot be told apart from outside, all of the table.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys of one set: few enough to compare with each of them. While the table has twice as many places as keys, 4 of 1,000 sets have
/// more keys than places.
const WAYS: usize = 16;

/// A counter that is worth less with time.
pub trait Fading: Default {
    /// When it says nothing any more, by the clock of whoever counts. The default says nothing from the beginning.
    fn faded_at(&self) -> u64;
}

/// The table.
#[derive(Debug)]
pub struct Table<V> {
    sets: Box<[Set<V>]>,
    /// One more: there is always a set.
    last: Set<V>,
    hasher: RandomState,
}

type Set<V> = Mutex<Vec<Slot<V>>>;

/// Two keys with the same hash share a counter: with a million of them in the table, one of 10^13 keys has the hash of another one.
#[derive(Debug)]
struct Slot<V> {
    hash: u64,
    value: V,
}

impl<V: Fading> Table<V> {
    /// A table whose counters never take more than so many bytes, and fewer as long as it knows few keys. The allocator's own come on
    /// top, some 3 %.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let set = size_of::<Set<V>>() + WAYS * size_of::<Slot<V>>();
        let sets = usize::try_from(bytes).unwrap_or(usize::MAX) / set;
        Self {
            sets: (1..sets).map(|_| Set::default()).collect(),
            last: Set::default(),
            hasher: RandomState::new(),
        }
    }

    /// Changes the counter of a key. An unknown one gets a new counter.
    pub fn change<R>(&self, key: &impl Hash, change: impl FnOnce(&mut V) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        let mut set = self.set(hash);
        let known = set.iter().position(|slot| slot.hash == hash);
        let place = known.or_else(|| {
            let full = set.len() == WAYS;
            let (place, _) =
                set.iter().enumerate().filter(|_| full).min_by_key(|(_, slot)| slot.value.faded_at())?;
            Some(place)
        });
        if let Some(slot) = place.and_then(|place| set.get_mut(place)) {
            if known.is_none() {
                *slot = Slot { hash, value: V::default() };
            }
            return change(&mut slot.value);
        }
        let mut value = V::default();
        let result = change(&mut value);
        if set.is_empty() {
            // All of it at once: growing in steps leaves holes behind.
            set.reserve_exact(WAYS);
        }
        set.push(Slot { hash, value });
        result
    }

    /// Changes the counter of a key, if it is known.
    pub fn change_known(&self, key: &impl Hash, change: impl FnOnce(&mut V)) {
        let hash = self.hasher.hash_one(key);
        if let Some(slot) = self.set(hash).iter_mut().find(|slot| slot.hash == hash) {
            change(&mut slot.value);
        }
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let sets = self.sets.iter().chain([&self.last]);
        let capacity: usize = sets.map(|set| set.lock().unwrap().capacity()).sum();
        size_of_val(&*self.sets) + capacity * size_of::<Slot<V>>()
    }

    fn set(&self, hash: u64) -> MutexGuard<'_, Vec<Slot<V>>> {
        // The upper half of the product: as even as the remainder, without a division.
        let index = (u128::from(hash) * (self.sets.len() as u128 + 1)) >> 64;
        let set = self.sets.get(index as usize).unwrap_or(&self.last);
        set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fading, Table, WAYS};

    #[derive(Default)]
    struct Level(u64);

    impl Fading for Level {
        fn faded_at(&self) -> u64 {
            self.0
        }
    }

    fn add(table: &Table<Level>, key: &str, levels: u64) -> u64 {
        table.change(&key, |level| {
            level.0 += levels;
            level.0
        })
    }

    #[test]
    fn the_memory_is_bounded_whatever_the_number_of_keys() {
        let table = Table::new(64 * 1024);
        for key in 0..1_000_000 {
            table.change(&key, |level: &mut Level| level.0 = 1);
        }
        assert!((60 * 1024..=64 * 1024).contains(&table.bytes()), "{} bytes", table.bytes());
    }

    /// Who wants to be forgotten has to make more tries than he wants forgotten.
    #[test]
    fn a_high_counter_is_not_pushed_out_by_low_ones() {
        let table = Table::new(0);
        assert_eq!(add(&table, "attacker", 5), 5);
        for other in 0..1000 {
            add(&table, &format!("other {other}"), 4);
        }
        assert_eq!(add(&table, "attacker", 1), 6, "still known");
        for higher in 0..WAYS {
            add(&table, &format!("higher {higher}"), 7);
        }
        assert_eq!(add(&table, "attacker", 1), 1, "forgotten for those that say more");
    }

    #[test]
    fn what_is_not_known_is_not_changed() {
        let table = Table::new(0);
        table.change_known(&"nobody", |level: &mut Level| level.0 = 7);
        assert_eq!(add(&table, "nobody", 1), 1);
        table.change_known(&"nobody", |level| level.0 = 7);
        assert_eq!(add(&table, "nobody", 1), 8);
    }
}
