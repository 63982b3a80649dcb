//! The chunked transfer coding (RFC 9112 §7.1), read strictly.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

use crate::message::field_name;

/// Bytes of a chunk's size with its extensions. Nothing that we forward depends on an extension, and they are dropped.
const MAX_SIZE_LINE: usize = 4 * 1024;
/// Bytes and fields of a trailer section.
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_FIELDS: usize = 64;

/// Where in the coding the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Decoder {
    /// To the line with the size of a chunk.
    #[default]
    Size,
    /// To a chunk of which so many bytes are missing.
    Data(u64),
    /// To the end of a chunk.
    DataEnd,
    /// To the trailer section, which an empty line ends.
    Trailers,
    /// Nowhere: the body is over.
    End,
}

/// A piece of the content of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of the content.
    Data(Bytes),
    /// The end, with its trailer fields, if there are any.
    End(HeaderMap),
}

impl Decoder {
    /// Takes the next piece off the front of what was received; `None` if more has to be received first.
    pub(super) fn next(&mut self, received: &mut BytesMut) -> Result<Option<Piece>, &'static str> {
        loop {
            match *self {
                Self::Size => match size(received)? {
                    None => return Ok(None),
                    Some(0) => *self = Self::Trailers,
                    Some(size) => *self = Self::Data(size),
                },
                Self::Data(_) if received.is_empty() => return Ok(None),
                Self::Data(missing) => {
                    let here = usize::try_from(missing).unwrap_or(usize::MAX).min(received.len());
                    let left = missing - here as u64;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(Some(Piece::Data(received.split_to(here).freeze())));
                }
                Self::DataEnd => match received.get(..2) {
                    None if matches!(received.first(), None | Some(b'\r')) => return Ok(None),
                    Some(b"\r\n") => {
                        received.advance(2);
                        *self = Self::Size;
                    }
                    _ => return Err("a chunk is longer than it says"),
                },
                Self::Trailers => {
                    let Some(trailers) = trailers(received)? else { return Ok(None) };
                    *self = Self::End;
                    return Ok(Some(Piece::End(trailers)));
                }
                Self::End => return Ok(Some(Piece::End(HeaderMap::new()))),
            }
        }
    }

    /// Whether the end is next and is here already, without trailers: then nobody has to ask for it.
    pub(super) fn ends_with(&mut self, received: &mut BytesMut) -> bool {
        let rest = match self {
            Self::End => return true,
            Self::DataEnd => &b"\r\n0\r\n\r\n"[..],
            Self::Size => &b"0\r\n\r\n"[..],
            Self::Data(_) | Self::Trailers => return false,
        };
        let ends = received.starts_with(rest);
        if ends {
            received.advance(rest.len());
            *self = Self::End;
        }
        ends
    }
}

fn size(received: &mut BytesMut) -> Result<Option<u64>, &'static str> {
    match httparse::parse_chunk_size(received) {
        // A size without a digit is read as 0 by httparse.
        Ok(httparse::Status::Complete(_)) if !received.first().is_some_and(u8::is_ascii_hexdigit) => {
            Err("a chunk has no size")
        }
        Ok(httparse::Status::Complete((length, size))) => {
            // httparse takes any byte for an extension, also the end of a line as other readers know it.
            let line = received.get(..length.saturating_sub(2)).unwrap_or_default();
            if line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
                return Err("a chunk extension has a control character");
            }
            received.advance(length);
            Ok(Some(size))
        }
        Ok(httparse::Status::Partial) if received.len() < MAX_SIZE_LINE => Ok(None),
        Ok(httparse::Status::Partial) => Err("a chunk extension is too long"),
        Err(_) => Err("a chunk has no size"),
    }
}

fn trailers(received: &mut BytesMut) -> Result<Option<HeaderMap>, &'static str> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    let (length, map) = match httparse::parse_headers(received, &mut slots) {
        Ok(httparse::Status::Complete((length, fields))) => {
            // httparse takes a bare LF for the end of a line. RFC 9112 §2.2 allows that in a head; §7.1 does not allow it here.
            let mut lines = received.get(..length).unwrap_or_default().split_inclusive(|&byte| byte == b'\n');
            if !lines.all(|line| line.ends_with(b"\r\n")) {
                return Err("a trailer does not end with CRLF");
            }
            let map = fields.iter().map(|field| {
                let name = field_name(field.name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_bytes(field.value).ok()?))
            });
            let map: Option<Vec<_>> = map.collect();
            let mut trailers = HeaderMap::new();
            for (name, value) in map.ok_or("a trailer is malformed")? {
                trailers.append(name, value);
            }
            (length, trailers)
        }
        Ok(httparse::Status::Partial) if received.len() < MAX_TRAILERS => return Ok(None),
        _ => return Err("the trailers are malformed or too long"),
    };
    received.advance(length);
    Ok(Some(map))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{Decoder, Piece};

    type Decoded = (Vec<u8>, Vec<String>);

    /// The body and the names of its trailers, fed in pieces of these lengths; `None` if it does not end.
    fn decode(text: &[u8], step: usize) -> Result<Option<Decoded>, &'static str> {
        let (mut decoder, mut received, mut body) = (Decoder::default(), BytesMut::new(), Vec::new());
        for part in text.chunks(step.max(1)) {
            received.extend_from_slice(part);
            while let Some(piece) = decoder.next(&mut received)? {
                match piece {
                    Piece::Data(data) => body.extend_from_slice(&data),
                    Piece::End(trailers) => {
                        let names = trailers.keys().map(|name| name.as_str().to_owned()).collect();
                        return Ok(Some((body, names)));
                    }
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn chunks_are_read_whatever_way_they_arrive() {
        for step in 1..40 {
            let whole = decode(b"5\r\nhello\r\n1;x=\"y\"\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n", step);
            assert_eq!(whole.unwrap().unwrap(), (b"hello!".to_vec(), vec!["x-sum".to_owned()]));
            assert_eq!(decode(b"A \r\n0123456789\r\n0\r\n\r\n", step).unwrap().unwrap().0, b"0123456789");
            assert_eq!(decode(b"3\r\nabc\r\n0\r\n", step), Ok(None));
            assert_eq!(decode(b"3\r\nabc\r", step), Ok(None));
        }
    }

    #[test]
    fn what_is_not_the_coding_is_an_error() {
        for text in [
            "x\r\n",
            "-1\r\n",
            "0x5\r\nhello\r\n",
            "\r\nhello\r\n",
            ";x\r\n",
            "5\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "5;a\0\r\nhello\r\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "11111111111111111\r\n",
            "0\r\nbad trailer\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\n\n",
            "0\r\nA: b\nContent-Length: 3\r\n\r\n",
            "0\r\nA: b\r\n\n",
        ] {
            for step in [1, 100] {
                assert!(decode(text.as_bytes(), step).is_err(), "{text:?} {step}");
            }
        }
        assert!(decode(format!("1;{}", "x".repeat(5000)).as_bytes(), 10_000).is_err());
        assert!(decode(format!("0\r\nx: {}", "x".repeat(20_000)).as_bytes(), 30_000).is_err());
    }

    #[test]
    fn an_end_that_is_here_is_seen_at_once_and_nothing_else_is_taken_for_it() {
        for (rest, decoder, ends) in [
            ("\r\n0\r\n\r\n", Decoder::DataEnd, true),
            ("0\r\n\r\nmore", Decoder::Size, true),
            ("\r\n0\r\nX: y\r\n\r\n", Decoder::DataEnd, false),
            ("\r\n0\r\n", Decoder::DataEnd, false),
            ("0\r\n\r\n", Decoder::Data(5), false),
        ] {
            let (mut decoder, mut received) = (decoder, BytesMut::from(rest));
            assert_eq!(decoder.ends_with(&mut received), ends, "{rest:?}");
            assert_eq!(
                received.len(),
                if ends { rest.len() - rest.find("0\r\n\r\n").unwrap() - 5 } else { rest.len() }
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_the_same_in_any_pieces(bytes in prop::collection::vec(select_byte(), 0..60), step in 1_usize..10) {
            let whole = decode(&bytes, usize::MAX);
            let pieces = decode(&bytes, step);
            prop_assert_eq!(whole.as_ref().ok(), pieces.as_ref().ok());
        }
    }

    /// Mostly what the coding is made of.
    fn select_byte() -> impl Strategy<Value = u8> {
        prop_oneof![8 => prop::sample::select(&b"0012\r\n\r\n\r\n; ax:"[..]), 1 => any::<u8>()]
    }
}
