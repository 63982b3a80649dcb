//! The content of a message as its framing delimits it (RFC 9112 §6.3).

use bytes::BytesMut;
use http::{HeaderMap, Version, header};

use super::chunked::{Decoder, Piece};
use crate::digits;
use crate::message::Fields;

/// How long the content of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Exact(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the end of the connection.
    UntilClose,
}

/// Why the length of a request is in doubt. Another reader than this one may see another message, so nobody may get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// A transfer coding other than `chunked`, or more than one.
    Coding,
    /// HTTP/1.0 knows no transfer codings (RFC 9112 §6.1).
    OldCoding,
    /// RFC 9112 §6.3 allows to repair it; refusing it is safer.
    Both,
    /// A repetition of the same length would be allowed, but a backend might not take it.
    Length,
}

impl Length {
    /// The length of a request's content as its fields say it; `None` if they say nothing, which means that there is none.
    ///
    /// # Errors
    /// [`Ambiguous`].
    pub fn of_request(version: Version, fields: &Fields) -> Result<Option<Self>, Ambiguous> {
        let mut codings = fields.get_all(&header::TRANSFER_ENCODING);
        let mut lengths = fields.get_all(&header::CONTENT_LENGTH);
        if let Some(coding) = codings.next() {
            if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous::Coding);
            }
            return match (version, lengths.next()) {
                (_, Some(_)) => Err(Ambiguous::Both),
                (Version::HTTP_10, _) => Err(Ambiguous::OldCoding),
                _ => Ok(Some(Self::Chunked)),
            };
        }
        let Some(length) = lengths.next() else { return Ok(None) };
        let length = digits::parse_decimal(length.as_bytes()).filter(|_| lengths.next().is_none());
        length.map(|length| Some(Self::Exact(length))).ok_or(Ambiguous::Length)
    }
}

/// Content that is being received.
#[derive(Debug)]
pub struct Content(State);

#[derive(Debug)]
enum State {
    Exact(u64),
    Chunked(Decoder),
    UntilClose,
    Ended,
}

impl Content {
    /// Content of this length, of which nothing has been taken yet.
    #[must_use]
    pub fn new(length: Length) -> Self {
        Self(match length {
            Length::Exact(0) => State::Ended,
            Length::Exact(length) => State::Exact(length),
            Length::Chunked => State::Chunked(Decoder::default()),
            Length::UntilClose => State::UntilClose,
        })
    }

    /// Takes the next piece off the front of what was received; `None` if more has to be received first. The end comes as a piece.
    ///
    /// # Errors
    /// What is wrong with the chunked coding.
    pub fn next(&mut self, received: &mut BytesMut) -> Result<Option<Piece>, &'static str> {
        let piece = match &mut self.0 {
            State::Ended => return Ok(Some(Piece::End(HeaderMap::new()))),
            State::Exact(_) | State::UntilClose if received.is_empty() => return Ok(None),
            State::UntilClose => Some(Piece::Data(received.split().freeze())),
            State::Exact(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                *left -= here as u64;
                Some(Piece::Data(received.split_to(here).freeze()))
            }
            State::Chunked(decoder) => decoder.next(received)?,
        };
        // An end that is here already needs nobody to ask for it.
        let ends = match (&mut self.0, &piece) {
            (State::Exact(0), _) | (_, Some(Piece::End(_))) => true,
            (State::Chunked(decoder), _) => decoder.ends_with(received),
            _ => false,
        };
        if ends {
            self.0 = State::Ended;
        }
        Ok(piece)
    }

    /// The other side has closed. Returns whether that is the end of the content.
    pub fn end_by_close(&mut self) -> bool {
        if matches!(self.0, State::UntilClose) {
            self.0 = State::Ended;
        }
        self.has_ended()
    }

    /// Whether all of it has been taken.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    /// Bytes that are still to come, if it is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        match self.0 {
            State::Exact(left) => Some(left),
            State::Ended => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }
}
