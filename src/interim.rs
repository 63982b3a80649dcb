//! Interim responses (1xx) on their way from an upstream to an HTTP/1.1 client (RFC 9110 §15.2).
//!
//! hyper's server writes none but `100 Continue`, so the connection's own I/O writes them, between hyper's messages. An upstream's
//! connection puts them here; the client's connection takes them out when hyper has nothing of its own left to write.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use http::{HeaderMap, StatusCode, header};

/// Bytes that may wait. An upstream that floods with 1xx (SECURITY S4) loses the rest of them.
const MAX_WAITING: usize = 16 * 1024;

/// The interim responses of one client connection.
#[derive(Debug, Default)]
pub struct Interim {
    waiting: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    bytes: Vec<u8>,
    waker: Option<Waker>,
}

impl Interim {
    /// The connection's task, which is woken when there is something to write.
    pub fn set_waker(&self, waker: Waker) {
        self.lock().waker = Some(waker);
    }

    /// A request has begun; its interim responses are welcome. What is left of the request before it is dropped.
    pub fn open(&self) {
        let mut state = self.lock();
        state.open = true;
        state.bytes.clear();
        self.waiting.store(false, Ordering::Release);
    }

    /// The final response of the request begins, and no interim response can follow. Those that wait can still go before it.
    pub fn close(&self) {
        self.lock().open = false;
    }

    /// Takes an upstream's interim response. `100 Continue` is not forwarded: hyper sends it when the body is asked for. `101` is final.
    pub fn push(&self, status: StatusCode, headers: &HeaderMap) {
        let mut state = self.lock();
        let wanted = status.is_informational()
            && status != StatusCode::CONTINUE
            && status != StatusCode::SWITCHING_PROTOCOLS;
        if !wanted || !state.open || state.bytes.len() > MAX_WAITING {
            return;
        }
        append(&mut state.bytes, status, headers);
        self.waiting.store(true, Ordering::Release);
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }

    /// What waits to be written before the next byte of hyper's, if anything does. Cheap when nothing does.
    #[must_use]
    pub fn take(&self) -> Option<Vec<u8>> {
        let waits = self.waiting.load(Ordering::Acquire) && self.waiting.swap(false, Ordering::AcqRel);
        waits.then(|| std::mem::take(&mut self.lock().bytes))
    }

    /// What waits to be written after all that hyper has written, which is nothing once the final response may be among it.
    #[must_use]
    pub fn take_if_open(&self) -> Option<Vec<u8>> {
        let bytes = self.take()?;
        self.lock().open.then_some(bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head in HTTP/1.1 form. A field between neighbours has no place in it.
fn append(bytes: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    let mut line = String::new();
    let _ =
        write!(line, "HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Interim"));
    bytes.extend_from_slice(line.as_bytes());
    let neighbours = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::CONTENT_LENGTH];
    for (name, value) in headers.iter().filter(|(name, _)| !neighbours.contains(name)) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::{Interim, MAX_WAITING};

    #[test]
    fn only_between_open_and_close_and_never_100_or_101() {
        let (interim, none) = (Interim::default(), HeaderMap::new());
        interim.push(StatusCode::EARLY_HINTS, &none);
        assert_eq!(interim.take(), None);
        interim.open();
        interim.push(StatusCode::CONTINUE, &none);
        interim.push(StatusCode::SWITCHING_PROTOCOLS, &none);
        assert_eq!(interim.take(), None);
        interim.push(
            StatusCode::EARLY_HINTS,
            &HeaderMap::from_iter([("link".parse().unwrap(), "</a>".parse().unwrap())]),
        );
        assert_eq!(interim.take().unwrap(), b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        interim.close();
        interim.push(StatusCode::EARLY_HINTS, &none);
        assert_eq!(interim.take(), None);
    }

    #[test]
    fn what_waits_when_the_final_response_begins_goes_before_it_or_nowhere() {
        let (interim, none) = (Interim::default(), HeaderMap::new());
        for (before_the_next_byte, expected) in [(true, true), (false, false)] {
            interim.open();
            interim.push(StatusCode::EARLY_HINTS, &none);
            interim.close();
            let taken = if before_the_next_byte { interim.take() } else { interim.take_if_open() };
            assert_eq!(taken.is_some(), expected);
        }
        interim.open();
        interim.push(StatusCode::EARLY_HINTS, &none);
        interim.close();
        interim.open();
        assert_eq!(interim.take(), None, "of the request before");
    }

    #[test]
    fn a_flood_is_bounded() {
        let interim = Interim::default();
        interim.open();
        for _ in 0..100_000 {
            interim.push(StatusCode::PROCESSING, &HeaderMap::new());
        }
        assert!(interim.take().unwrap().len() < MAX_WAITING + 100);
    }
}
