//! What comes of a request over HTTP/2.

use super::fields::{self, Fields};

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A whole response, with this status.
    Answered(u16),
    /// RST_STREAM with this code, before a whole response.
    Reset(u32),
    /// The connection was closed, after GOAWAY with this code if there was one.
    Closed(Option<u32>),
}

/// A whole response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    /// The heads of 1xx responses before it.
    pub(crate) interim: Vec<Fields>,
}

impl Answer {
    /// Takes a list of fields for what it must be: an interim head, the head, or trailers.
    #[track_caller]
    pub(super) fn take_head(&mut self, fields: Fields) {
        let Some(status) = fields::value(&fields, ":status") else {
            assert_ne!(self.status, 0, "a response without a status");
            self.trailers = fields;
            return;
        };
        assert_eq!((status.len(), self.status), (3, 0), "one status of three digits");
        match status.parse().unwrap() {
            100..200 => self.interim.push(fields),
            status => (self.status, self.fields) = (status, fields),
        }
    }

    /// The value of the only field with this name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        fields::value(&self.fields, name)
    }
}

impl Fate {
    /// Whether the stream, or the connection with it, was given up with one of these codes (RFC 9113 §5.4.1 allows either).
    pub(crate) fn is_refused_by(self, codes: &[u32]) -> bool {
        matches!(self, Self::Reset(code) | Self::Closed(Some(code)) if codes.contains(&code))
    }
}
