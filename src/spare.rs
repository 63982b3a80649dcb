//! What work has left behind and the next work can use: memory of the right size, and still in the CPU's caches.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Things that one thread keeps until they are needed again. Last in, first out, so that few of them are used, and the others can go.
/// The lock is never contended.
#[derive(Debug)]
pub struct Spares<T>(Mutex<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    list: Vec<T>,
    /// At no time since the last look were fewer here.
    least: usize,
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { list: Vec::new(), least: 0 }))
    }
}

impl<T: Default> Spares<T> {
    /// What was given back last, or a new one.
    #[must_use]
    pub fn take(&self) -> T {
        let mut kept = self.lock();
        let taken = kept.list.pop();
        kept.least = kept.least.min(kept.list.len());
        taken.unwrap_or_default()
    }

    /// Keeps what is not needed any more.
    pub fn give_back(&self, spare: T) {
        self.lock().list.push(spare);
    }

    /// Drops what nobody has needed since the last call, and returns whether others are there.
    pub fn trim(&self) -> bool {
        let mut kept = self.lock();
        let Kept { list, least } = &mut *kept;
        list.drain(..*least);
        if list.len() < list.capacity() / 8 {
            list.shrink_to_fit();
        }
        *least = list.len();
        *least > 0
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Spares;

    #[test]
    fn what_is_needed_stays_and_the_rest_goes_after_a_while() {
        let spares = Spares::<u8>::default();
        (1..=3).for_each(|spare| spares.give_back(spare));
        assert!(spares.trim(), "all of them came since the last look");
        assert_eq!([spares.take(), spares.take()], [3, 2]);
        spares.give_back(2);
        assert!(spares.trim(), "one was not needed, and one was");
        assert_eq!([spares.take(), spares.take()], [2, 0]);
        spares.give_back(4);
        assert_eq!([spares.trim(), spares.trim()], [true, false]);
    }
}
