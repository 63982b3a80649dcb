//! Counters. A worker's have one writer and need no locked instruction; the control plane's may have several.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of a histogram in nanoseconds; each is the greatest value of its bucket, and one bucket more takes the rest.
pub(super) type Scale = [u64; BUCKETS - 1];

/// Buckets of a histogram.
pub(super) const BUCKETS: usize = 15;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;

/// What a user waits for: 0.5 ms to 10 s.
pub(super) const WAITS: Scale = scale(
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000],
    MICRO,
    [5_000 * MILLI, 10_000 * MILLI],
);

/// What the gateway itself does between two requests of the kernel: 1 µs to 100 ms.
pub(super) const MOMENTS: Scale = scale(
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000],
    1,
    [10 * MILLI, 100 * MILLI],
);

/// Something that counts.
pub(super) trait Tally: Default {
    fn add(&self, by: u64);
    fn get(&self) -> u64;
}

/// A count with one writer at a time: a load and a store, 0.3 ns where a locked addition takes 2.5.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Tally for Count {
    #[inline]
    fn add(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Count {
    #[inline]
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A count that any thread may add to.
#[derive(Debug, Default)]
pub(super) struct SharedCount(AtomicU64);

impl Tally for SharedCount {
    fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, in buckets. The total follows from the buckets, so it needs no counter.
#[derive(Debug, Default)]
pub(super) struct Histogram<T> {
    buckets: [T; BUCKETS],
    nanos: T,
}

impl<T: Tally> Histogram<T> {
    /// Searched from the shortest bound: what a fast gateway observes most is found first. The three of a request take 25
    /// instructions, and 67 by halves.
    #[inline]
    pub(super) fn observe(&self, scale: &Scale, took: Duration) {
        // Wraps after 584 years.
        let nanos = took.as_nanos() as u64;
        let index = scale.iter().position(|bound| nanos <= *bound).unwrap_or(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.add(1);
        }
        self.nanos.add(nanos);
    }
}

/// A histogram, or the sum of several, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    buckets: [u64; BUCKETS],
    nanos: u64,
}

impl Distribution {
    /// Adds what a histogram holds.
    pub(super) fn include<T: Tally>(&mut self, histogram: &Histogram<T>) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum = sum.wrapping_add(bucket.get());
        }
        self.nanos = self.nanos.wrapping_add(histogram.nanos.get());
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// In seconds.
    pub(super) fn sum(&self) -> f64 {
        seconds(self.nanos)
    }

    /// Each bucket by its bound in seconds, not cumulated.
    pub(super) fn buckets(&self, scale: &Scale) -> Vec<(f64, u64)> {
        let bounds = scale.iter().copied().map(seconds).chain([f64::INFINITY]);
        bounds.zip(self.buckets).collect()
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// The first bounds in units, the last ones in nanoseconds, so that each line can be read.
const fn scale(units: [u64; BUCKETS - 3], unit: u64, last: [u64; 2]) -> Scale {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = units;
    let [y, z] = last;
    let u = unit;
    [a * u, b * u, c * u, d * u, e * u, f * u, g * u, h * u, i * u, j * u, k * u, l * u, y, z]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKETS, Count, Distribution, Histogram, MOMENTS, SharedCount, Tally, WAITS};

    #[test]
    fn bounds_ascend_and_belong_to_their_bucket() {
        for scale in [WAITS, MOMENTS] {
            assert!(scale.windows(2).all(|pair| pair[0] < pair[1]), "{scale:?}");
            let histogram = Histogram::<Count>::default();
            for bound in scale {
                histogram.observe(&scale, Duration::from_nanos(bound));
            }
            histogram.observe(&scale, Duration::from_nanos(scale[BUCKETS - 2] + 1));
            let mut read = Distribution::default();
            read.include(&histogram);
            assert_eq!(read.buckets, [1; BUCKETS]);
            assert_eq!(read.nanos, scale.iter().sum::<u64>() + scale[BUCKETS - 2] + 1);
        }
    }

    #[test]
    fn bounds_in_seconds_are_the_ones_that_were_meant() {
        let bounds = |scale| Distribution::default().buckets(scale).into_iter().map(|(bound, _)| bound);
        let waits = [
            0.0005,
            0.001,
            0.0025,
            0.005,
            0.01,
            0.025,
            0.05,
            0.1,
            0.25,
            0.5,
            1.0,
            2.5,
            5.0,
            10.0,
            f64::INFINITY,
        ];
        assert_eq!(bounds(&WAITS).collect::<Vec<_>>(), waits);
        assert_eq!(bounds(&MOMENTS).next(), Some(0.000_001));
        assert_eq!(bounds(&MOMENTS).nth(BUCKETS - 2), Some(0.1));
    }

    #[test]
    fn sums_of_several_workers_add_up() {
        let workers = [Histogram::<SharedCount>::default(), Histogram::default()];
        for (worker, millis) in workers.iter().zip([1, 2_000]) {
            worker.observe(&WAITS, Duration::from_millis(millis));
            worker.observe(&WAITS, Duration::ZERO);
        }
        let mut read = Distribution::default();
        workers.iter().for_each(|worker| read.include(worker));
        assert_eq!((read.count(), read.sum()), (4, 2.001));
        let count = SharedCount::default();
        count.add(2);
        assert_eq!(count.get(), 2);
    }
}
