//! Interim responses (1xx) on their way from an upstream to a client (RFC 9110 §15.2).
//!
//! The path of a request puts them here, and the client's connection, in whose task that path runs, takes them out after each step
//! of it. Nothing that runs elsewhere puts anything here, and nobody does behind the final response: what is taken out after a step is
//! of the request that was polled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderName, StatusCode, header};

use crate::message::Fields;

/// Bytes that may wait. An upstream that floods with 1xx (SECURITY S4) loses the rest of them.
const MAX_WAITING: usize = 16 * 1024;
/// What a response takes here besides its fields.
const OVERHEAD: usize = 64;

/// The interim responses of one client connection.
#[derive(Debug, Default)]
pub struct Interim {
    waits: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    responses: Vec<(StatusCode, Fields)>,
    size: usize,
}

impl Interim {
    /// Takes an upstream's interim response. `100 Continue` is not forwarded: [`Self::ask_for_body`] sends it when the body is read.
    /// `101` is final.
    pub fn push(&self, status: StatusCode, mut fields: Fields) {
        let wanted = status.is_informational()
            && status != StatusCode::CONTINUE
            && status != StatusCode::SWITCHING_PROTOCOLS;
        let mut waiting = self.lock();
        if wanted && waiting.size <= MAX_WAITING {
            NEIGHBOURS.iter().for_each(|name| fields.remove(name));
            let sizes = fields.iter().map(|(name, value)| name.as_str().len() + value.len());
            waiting.size += OVERHEAD + sizes.sum::<usize>();
            waiting.responses.push((status, fields));
            self.waits.store(true, Ordering::Relaxed);
        }
    }

    /// `100 Continue`: the client may send its body (RFC 9110 §10.1.1).
    pub fn ask_for_body(&self) {
        self.lock().responses.push((StatusCode::CONTINUE, Fields::default()));
        self.waits.store(true, Ordering::Relaxed);
    }

    /// Whether anything waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Takes what waits.
    #[must_use]
    pub fn take(&self) -> Vec<(StatusCode, Fields)> {
        self.waits.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.lock()).responses
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is between neighbours only, or of the final response.
static NEIGHBOURS: [HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::CONTENT_LENGTH];

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{Interim, MAX_WAITING, OVERHEAD};
    use crate::message::Fields;

    #[test]
    fn all_but_100_and_101_are_passed_on() {
        let (interim, none) = (Interim::default(), Fields::default());
        interim.push(StatusCode::CONTINUE, none.clone());
        interim.push(StatusCode::SWITCHING_PROTOCOLS, none);
        assert!(!interim.waits());
        let fields =
            [("link", "</a>"), ("connection", "x")].map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        interim.push(StatusCode::EARLY_HINTS, Fields::from_iter(fields));
        assert!(interim.waits());
        let taken = interim.take();
        assert_eq!(format!("{taken:?}"), r#"[(103, [("link", "</a>")])]"#);
        assert!(!interim.waits() && interim.take().is_empty());
    }

    #[test]
    fn a_flood_is_bounded() {
        let interim = Interim::default();
        for _ in 0..100_000 {
            interim.push(StatusCode::PROCESSING, Fields::default());
        }
        interim.ask_for_body();
        let waiting = interim.take();
        assert!(waiting.len() < MAX_WAITING / OVERHEAD + 10);
        assert_eq!(
            waiting.last().unwrap().0,
            StatusCode::CONTINUE,
            "a client waits for it before it goes on"
        );
    }
}
