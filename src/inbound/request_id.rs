//! The id by which a request is found again in our log, in the backend's and in the client's.

use std::sync::Mutex;

use http::{HeaderName, HeaderValue};
use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

use super::{Arrival, Limits};
use crate::clock::UnixTime;
use crate::message::Fields;

/// The header that carries a [`RequestId`], in requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: a UUID of version 7, or what a trusted proxy called it.
#[derive(Clone, Debug)]
pub struct RequestId(Text);

/// ASCII without quotes, spaces and controls.
#[derive(Clone, Debug)]
enum Text {
    /// In place: the one header value that is made of it then shares its bytes with nothing, which
    /// costs 260 instructions less.
    Made([u8; Hyphenated::LENGTH]),
    Given(HeaderValue),
}

impl RequestId {
    /// Keeps the id that a trusted peer gave, if it is 1 to 128 characters of `A-Z a-z 0-9 . _ -`; makes one otherwise.
    #[must_use]
    pub fn accept_or_make(headers: &Fields, arrival: Arrival, limits: &Limits, ids: &IdSource) -> Self {
        let given = if limits.trusts(arrival.peer) { headers.get(&REQUEST_ID) } else { None };
        Self(match given {
            Some(value) if is_acceptable(value.as_bytes()) => Text::Given(value.clone()),
            _ => Text::Made(ids.uuid(arrival.time)),
        })
    }

    /// Its characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Made(text) => text,
            Text::Given(value) => value.as_bytes(),
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

fn is_acceptable(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=128).contains(&text.len()) && text.iter().all(allowed)
}

/// Where a worker's request and trace ids come from. They must be distinct, not secret, so a small generator seeded from the
/// system's is enough and costs no system call.
#[derive(Debug)]
pub struct IdSource(Mutex<fastrand::Rng>);

impl IdSource {
    /// A source seeded with `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// 128 random bits.
    #[must_use]
    pub fn random(&self) -> u128 {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).u128(..)
    }

    fn uuid(&self, now: UnixTime) -> [u8; Hyphenated::LENGTH] {
        let random = self.random().to_le_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        let uuid: Uuid = Builder::from_unix_timestamp_millis(now.as_millis(), &tail).into_uuid();
        let mut text = [0; Hyphenated::LENGTH];
        uuid.hyphenated().encode_lower(&mut text);
        text
    }
}
