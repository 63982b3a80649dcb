//! Verified tokens, so that a signature is checked once and not on every request.
//!
//! Each worker has a cache of its own, so it needs no lock. It is bounded in bytes: entries live in two generations, and when
//! the young one holds half of the bound it becomes the old one, whose entries are dropped at once. What was asked for in
//! the meantime has moved to the young one, so what is in use stays, and nothing has to be sorted by its last use.
//! Revocation is not the cache's business: it is checked after it, on every request.

use std::collections::HashMap;
use std::mem;

use foldhash::fast::RandomState;

use crate::clock::UnixTime;

/// From the whole text of a token to what it proved. Only what was verified under one configuration and key ring may be in
/// it: `clear` it when the verifier's identity changes.
#[derive(Debug)]
pub struct Cache<V> {
    young: Generation<V>,
    old: Generation<V>,
    /// Bytes of one generation.
    half: usize,
}

#[derive(Debug)]
struct Generation<V> {
    entries: HashMap<Box<[u8]>, Entry<V>, RandomState>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    expires: UnixTime,
    bytes: usize,
}

impl<V: Clone> Cache<V> {
    /// A cache that holds at most `max_bytes`. Each entry counts with its token, its weight and its place in the table.
    /// With 0 nothing is kept.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { young: Generation::new(), old: Generation::new(), half: max_bytes / 2 }
    }

    /// What was put for this token, unless it has expired.
    pub fn get(&mut self, token: &[u8], now: UnixTime) -> Option<V> {
        if let Some(entry) = self.young.entries.get(token) {
            if now < entry.expires {
                return Some(entry.value.clone());
            }
            self.young.remove(token);
            return None;
        }
        let (token, entry) = self.old.remove(token)?;
        if entry.expires <= now {
            return None;
        }
        let value = entry.value.clone();
        self.insert(token, entry);
        Some(value)
    }

    /// Keeps `value` until `expires`, or until there are more recent ones enough to fill the cache. `weight` is what the
    /// value holds on the heap, in bytes. An entry that is larger than half of the bound is not kept.
    pub fn put(&mut self, token: &[u8], value: V, expires: UnixTime, weight: usize) {
        let bytes = Generation::<V>::PLACE.saturating_add(token.len()).saturating_add(weight);
        self.young.remove(token);
        self.old.remove(token);
        if bytes <= self.half {
            self.insert(token.into(), Entry { value, expires, bytes });
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young = Generation::new();
        self.old = Generation::new();
    }

    /// The number of entries, expired ones that nobody asked for included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.entries.len() + self.old.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the entries weigh together; never more than the bound.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.young.bytes + self.old.bytes
    }

    /// Puts an entry that fits into a generation, and that neither has, into the young one.
    fn insert(&mut self, token: Box<[u8]>, entry: Entry<V>) {
        if self.young.bytes + entry.bytes > self.half {
            mem::swap(&mut self.young, &mut self.old);
            // The table is kept: the next generation will need as much room again.
            self.young.entries.clear();
            self.young.bytes = 0;
        }
        self.young.bytes += entry.bytes;
        self.young.entries.insert(token, entry);
    }
}

impl<V> Generation<V> {
    /// Bytes of an entry beside its token and weight. A table is at least 7/16 full when it has just grown, so a slot may
    /// cost 16/7 of its size; the rest is for control bytes and what the allocator adds to the token.
    const PLACE: usize = mem::size_of::<(Box<[u8]>, Entry<V>)>() * 16 / 7 + 24;

    fn new() -> Self {
        Self { entries: HashMap::with_hasher(RandomState::default()), bytes: 0 }
    }

    fn remove(&mut self, token: &[u8]) -> Option<(Box<[u8]>, Entry<V>)> {
        let (token, entry) = self.entries.remove_entry(token)?;
        self.bytes -= entry.bytes;
        Some((token, entry))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Cache;
    use crate::clock::UnixTime;
    use crate::token::testing::many;

    const NOW: UnixTime = UnixTime::from_secs(100);
    const LATER: UnixTime = UnixTime::from_secs(200);

    #[test]
    fn an_entry_ends_when_it_expires() {
        let mut cache = Cache::new(10_000);
        cache.put(b"a", 1, LATER, 0);
        assert_eq!(cache.get(b"a", NOW), Some(1));
        assert_eq!(cache.get(b"a", UnixTime::from_millis(199_999)), Some(1));
        assert_eq!(cache.get(b"a", LATER), None);
        assert_eq!((cache.len(), cache.bytes()), (0, 0), "an expired entry that was asked for is gone");
    }

    #[test]
    fn the_whole_token_is_the_key() {
        let mut cache = Cache::new(10_000);
        cache.put(b"head.claims.signature", 1, LATER, 0);
        for other in
            ["head.claims.signaturf", "head.claims.signature=", "head.claims.", "", "HEAD.claims.signature"]
        {
            assert_eq!(cache.get(other.as_bytes(), NOW), None, "{other}");
        }
    }

    #[test]
    fn the_bound_holds_under_a_flood_of_tokens() {
        let bound = 100_000;
        let mut cache = Cache::new(bound);
        for number in 0..100_000_u32 {
            let token = format!("{number:0>200}");
            cache.put(token.as_bytes(), number, LATER, 100);
            assert!(cache.bytes() <= bound);
            assert!(cache.bytes() >= cache.len() * 300, "tokens and weights are counted");
            assert_eq!(cache.get(token.as_bytes(), NOW), Some(number));
        }
        assert!(cache.len() > 80, "{} entries", cache.len());
    }

    #[test]
    fn what_is_in_use_stays() {
        let mut cache = Cache::new(20_000);
        cache.put(b"busy", 0, LATER, 0);
        cache.put(b"idle", 0, LATER, 0);
        for number in 0..10_000 {
            cache.put(number.to_string().as_bytes(), number, LATER, 0);
            assert_eq!(cache.get(b"busy", NOW), Some(0));
        }
        assert_eq!(cache.get(b"idle", NOW), None);
    }

    #[test]
    fn an_old_entry_does_not_outlive_its_expiry_by_moving() {
        let mut cache = Cache::new(2_000);
        cache.put(b"a", 1, NOW, 0);
        let mut number = 0;
        while cache.young.entries.contains_key(&b"a"[..]) {
            number += 1;
            cache.put(number.to_string().as_bytes(), 0, LATER, 0);
        }
        assert!(cache.old.entries.contains_key(&b"a"[..]));
        assert_eq!(cache.get(b"a", NOW), None);
        assert!(!cache.old.entries.contains_key(&b"a"[..]) && !cache.young.entries.contains_key(&b"a"[..]));
    }

    #[test]
    fn what_cannot_fit_is_not_kept_and_clear_forgets_all() {
        let mut none = Cache::new(0);
        none.put(b"a", 1, LATER, 0);
        assert!(none.is_empty());
        let mut cache = Cache::new(2_000);
        cache.put(b"a", 1, LATER, usize::MAX);
        assert!(cache.is_empty());
        cache.put(b"a", 1, LATER, 0);
        cache.clear();
        assert_eq!((cache.get(b"a", NOW), cache.bytes()), (None, 0));
    }

    proptest! {
        #![proptest_config(many())]

        /// Against a map that forgets nothing: an answer is always the last value put, and never an expired one.
        #[test]
        fn answers_are_never_stale_and_bytes_add_up(steps in prop::collection::vec((0..20_u8, 0..40_u64, 0..300_usize), 0..50)) {
            let mut cache = Cache::new(2_000);
            let mut model = std::collections::HashMap::new();
            for (step, (name, second, weight)) in steps.into_iter().enumerate() {
                let (token, time) = (name.to_string(), UnixTime::from_secs(second));
                if weight % 2 == 0 {
                    cache.put(token.as_bytes(), step, time, weight);
                    model.insert(token, (step, time));
                } else if let Some(value) = cache.get(token.as_bytes(), time) {
                    let &(expected, expires) = model.get(&token).unwrap();
                    prop_assert!(value == expected && time < expires);
                }
                let generations = [&cache.young, &cache.old];
                for generation in generations {
                    let sum: usize = generation.entries.values().map(|entry| entry.bytes).sum();
                    prop_assert_eq!(sum, generation.bytes);
                    prop_assert!(sum <= 1_000);
                }
            }
        }
    }
}
