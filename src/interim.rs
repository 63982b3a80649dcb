//! Interim responses (1xx) on their way from an upstream to an HTTP/1.1 client (RFC 9110 §15.2).
//!
//! The path of a request puts them here, and the client's connection, in whose task that path runs, takes them out after each step
//! of it.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{StatusCode, header};

use crate::message::{Fields, write_field};

/// Bytes that may wait. An upstream that floods with 1xx (SECURITY S4) loses the rest of them.
const MAX_WAITING: usize = 16 * 1024;

/// The interim responses of one client connection.
#[derive(Debug, Default)]
pub struct Interim {
    waits: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

impl Interim {
    /// Takes an upstream's interim response. `100 Continue` is not forwarded: [`Self::ask_for_body`] sends it when the body is read.
    /// `101` is final.
    pub fn push(&self, status: StatusCode, headers: &Fields) {
        let wanted = status.is_informational()
            && status != StatusCode::CONTINUE
            && status != StatusCode::SWITCHING_PROTOCOLS;
        let mut bytes = self.lock();
        if wanted && bytes.len() <= MAX_WAITING {
            head(&mut bytes, status, headers);
            self.waits.store(true, Ordering::Relaxed);
        }
    }

    /// `100 Continue`: the client may send its body (RFC 9110 §10.1.1).
    pub fn ask_for_body(&self) {
        self.lock().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.waits.store(true, Ordering::Relaxed);
    }

    /// Whether anything waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Takes what waits.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        self.waits.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head in HTTP/1.1 form. A field between neighbours has no place in it.
fn head(bytes: &mut Vec<u8>, status: StatusCode, headers: &Fields) {
    let mut line = String::new();
    let _ =
        write!(line, "HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Interim"));
    bytes.extend_from_slice(line.as_bytes());
    let neighbours = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::CONTENT_LENGTH];
    for (name, value) in headers.iter().filter(|(name, _)| !neighbours.contains(name)) {
        write_field(bytes, name.as_str(), value.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{Interim, MAX_WAITING};
    use crate::message::Fields;

    #[test]
    fn all_but_100_and_101_are_passed_on() {
        let (interim, none) = (Interim::default(), Fields::default());
        interim.push(StatusCode::CONTINUE, &none);
        interim.push(StatusCode::SWITCHING_PROTOCOLS, &none);
        assert!(!interim.waits());
        let link = Fields::from_iter([("link".parse().unwrap(), "</a>".parse().unwrap())]);
        interim.push(StatusCode::EARLY_HINTS, &link);
        assert!(interim.waits());
        assert_eq!(interim.take(), b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        assert!(!interim.waits() && interim.take().is_empty());
    }

    #[test]
    fn a_flood_is_bounded() {
        let interim = Interim::default();
        for _ in 0..100_000 {
            interim.push(StatusCode::PROCESSING, &Fields::default());
        }
        interim.ask_for_body();
        let waiting = interim.take();
        assert!(waiting.len() < MAX_WAITING + 100);
        assert!(
            waiting.ends_with(b"HTTP/1.1 100 Continue\r\n\r\n"),
            "a client waits for it before it goes on"
        );
    }
}
