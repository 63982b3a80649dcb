//! What one worker counts that belongs to no route and no upstream.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::cell::{Count, Distribution, Histogram, MOMENTS, Tally};

/// Words that refusals can be named by. There are 30 today; a word beyond the last place is not counted.
const WORDS: usize = 48;

/// The counters of one worker, on cache lines of their own. Only its thread writes them; anybody may read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounters {
    begun: Count,
    ended: Count,
    tokens: TokenCounters,
    authentication: Histogram<Count>,
    refusals: Words,
    connections: [Lives; Protocol::ALL.len()],
}

/// What a client connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// It has not sent enough to tell.
    None,
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Http1, Self::Http2];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

#[derive(Debug, Default)]
struct Lives {
    begun: Count,
    ended: Count,
    /// Counted once it is certain what the connection speaks, so that it never falls.
    accepted: Count,
}

impl WorkerCounters {
    /// A request has begun.
    #[inline]
    pub(super) fn begin(&self) {
        self.begun.add(1);
    }

    #[inline]
    pub(super) fn end(&self) {
        self.ended.add(1);
    }

    #[inline]
    pub(super) fn authenticated(&self, took: Duration) {
        self.authentication.observe(&MOMENTS, took);
    }

    pub(super) fn refused(&self, word: &'static str) {
        self.refusals.add(word);
    }

    /// What its cache of verified tokens does.
    #[must_use]
    pub fn tokens(&self) -> &TokenCounters {
        &self.tokens
    }

    /// A client has connected. It counts as open until the result is dropped, by this worker's thread.
    #[must_use]
    pub fn connected(self: &Arc<Self>) -> OpenConnection {
        self.lives(Protocol::None, |lives| lives.begun.add(1));
        OpenConnection { counters: self.clone(), protocol: Protocol::None }
    }

    fn lives(&self, protocol: Protocol, change: impl Fn(&Lives)) {
        self.connections.get(protocol as usize).into_iter().for_each(change);
    }
}

/// What a worker's cache of verified tokens does.
#[derive(Debug, Default)]
pub struct TokenCounters {
    hits: Count,
    misses: Count,
    entries: Count,
    bytes: Count,
}

impl TokenCounters {
    /// A token was in the cache.
    #[inline]
    pub fn hit(&self) {
        self.hits.add(1);
    }

    /// A token was not in the cache.
    #[inline]
    pub fn miss(&self) {
        self.misses.add(1);
    }

    /// The cache holds so much now.
    pub fn holds(&self, entries: usize, bytes: usize) {
        self.entries.set(entries as u64);
        self.bytes.set(bytes as u64);
    }
}

/// A client connection that is open.
#[derive(Debug)]
pub struct OpenConnection {
    counters: Arc<WorkerCounters>,
    protocol: Protocol,
}

impl OpenConnection {
    /// The client has said what it speaks. Call it once.
    pub fn speaks(&mut self, protocol: Protocol) {
        self.counters.lives(self.protocol, |lives| lives.ended.add(1));
        self.counters.lives(protocol, |lives| {
            lives.begun.add(1);
            lives.accepted.add(1);
        });
        self.protocol = protocol;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.lives(self.protocol, |lives| {
            lives.ended.add(1);
            lives.accepted.add(u64::from(self.protocol == Protocol::None));
        });
    }
}

/// Counts by words of a closed set that this module does not know. They take places as they come, so the frequent ones are found
/// first: 55 instructions for the first and 280 for the 26th, where a locked map takes 300 for each.
#[derive(Debug)]
struct Words([(OnceLock<&'static str>, Count); WORDS]);

impl Default for Words {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

impl Words {
    fn add(&self, word: &'static str) {
        if let Some((_, count)) = self.0.iter().find(|(known, _)| *known.get_or_init(|| word) == word) {
            count.add(1);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().filter_map(|(word, count)| Some((*word.get()?, count.get())))
    }
}

/// The counters of all workers, summed.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) in_flight: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) authentication: Distribution,
    /// By word, sorted.
    pub(super) refusals: BTreeMap<&'static str, u64>,
    /// Open now, and accepted ever, by protocol.
    pub(super) connections: [(u64, u64); Protocol::ALL.len()],
}

impl Totals {
    pub(super) fn of<'a>(workers: impl IntoIterator<Item = &'a Arc<WorkerCounters>>) -> Self {
        let mut totals = Self::default();
        for worker in workers {
            totals.include(worker);
        }
        totals
    }

    fn include(&mut self, worker: &WorkerCounters) {
        self.in_flight += difference(&worker.begun, &worker.ended);
        self.hits += worker.tokens.hits.get();
        self.misses += worker.tokens.misses.get();
        self.entries += worker.tokens.entries.get();
        self.bytes += worker.tokens.bytes.get();
        self.authentication.include(&worker.authentication);
        for (word, count) in worker.refusals.iter() {
            *self.refusals.entry(word).or_default() += count;
        }
        for ((open, accepted), lives) in self.connections.iter_mut().zip(&worker.connections) {
            *open += difference(&lives.begun, &lives.ended);
            *accepted += lives.accepted.get();
        }
    }
}

/// What has begun and not ended. The end is read first: what ends between the two readings is then open, and never less than nothing.
pub(super) fn difference(begun: &Count, ended: &Count) -> u64 {
    let ended = ended.get();
    begun.get().saturating_sub(ended)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Protocol, Totals, WORDS, Words, WorkerCounters};

    #[test]
    fn a_connection_counts_under_what_it_speaks_and_is_open_until_it_is_dropped() {
        let worker = Arc::new(WorkerCounters::default());
        let connections = || Totals::of([&worker]).connections;
        let silent = worker.connected();
        let mut speaking = worker.connected();
        assert_eq!(connections(), [(2, 0), (0, 0), (0, 0)]);
        speaking.speaks(Protocol::Http2);
        assert_eq!(connections(), [(1, 0), (0, 0), (1, 1)]);
        drop((silent, speaking));
        assert_eq!(connections(), [(0, 1), (0, 0), (0, 1)]);
    }

    #[test]
    fn words_are_bounded_and_equal_ones_share_a_place() {
        let words = Words::default();
        let all: Vec<&'static str> =
            (0..=WORDS).map(|n| &*Box::leak(n.to_string().into_boxed_str())).collect();
        for word in all.iter().chain(&all) {
            words.add(word);
        }
        assert_eq!(words.iter().count(), WORDS);
        assert!(words.iter().all(|(_, count)| count == 2));
    }
}
