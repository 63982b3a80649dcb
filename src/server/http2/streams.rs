//! The streams of a connection: by their ids, which the client counts up, and by their places, by which they are woken.

use std::sync::Arc;
use std::task::{Wake, Waker};

use slab::Slab;

use super::ready::{Ready, Seat};
use super::stream::Stream;

/// Places that a connection keeps while nothing happens on it.
const SPARE: usize = 8;

/// Streams that are open or half-closed.
#[derive(Default)]
pub(super) struct Streams {
    ready: Arc<Ready>,
    open: Slab<Stream>,
    /// One for each place in `open`.
    seats: Vec<(Arc<Seat>, Waker)>,
    /// Ids and places, in the order of the ids.
    places: Vec<(u32, usize)>,
}

impl Streams {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A new stream, whose id is greater than all others. It is ready to be polled.
    pub(super) fn insert(&mut self, stream: Stream) {
        self.places.push((stream.id, self.open.vacant_key()));
        let key = self.open.insert(stream);
        if key == self.seats.len() {
            self.seats.push(self.ready.seat(key));
        }
        self.wake(key);
    }

    /// Which of them have something to do.
    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The place of the next one that has something to do. There may be no stream any more.
    pub(super) fn next_ready(&self) -> Option<usize> {
        let key = self.ready.pop()?;
        if let Some((seat, _)) = self.seats.get(key) {
            seat.leave();
        }
        Some(key)
    }

    /// The place of a stream.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        let place = self.places.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        self.places.get(place).map(|&(_, key)| key)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Stream> {
        self.open.get_mut(key)
    }

    /// A stream, and its waker.
    pub(super) fn get_with_waker(&mut self, key: usize) -> Option<(&mut Stream, &Waker)> {
        Some((self.open.get_mut(key)?, &self.seats.get(key)?.1))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.open.iter_mut().map(|(_, stream)| stream)
    }

    /// Lets a stream be polled.
    pub(super) fn wake(&self, key: usize) {
        if let Some((seat, _)) = self.seats.get(key) {
            seat.wake_by_ref();
        }
    }

    /// Lets all of them be polled.
    pub(super) fn wake_all(&self) {
        self.places.iter().for_each(|&(_, key)| self.wake(key));
    }

    /// Takes a stream out.
    pub(super) fn remove(&mut self, key: usize) -> Option<Stream> {
        let stream = self.open.try_remove(key)?;
        self.places.retain(|&(id, _)| id != stream.id);
        Some(stream)
    }

    /// Gives the memory back that a burst has taken.
    pub(super) fn rest(&mut self) {
        if self.is_empty() && self.seats.len() > SPARE {
            (self.open, self.seats, self.places) = Default::default();
        }
    }
}
