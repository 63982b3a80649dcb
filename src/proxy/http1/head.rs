//! The head of a response: read once, strictly.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};

use crate::digits;
use crate::http1::{HeadEnd, Length};
use crate::message::{Fields, field_name};

/// Bytes that a response head may have.
const MAX_HEAD: usize = 256 * 1024;
/// Fields that a response head may have; they are counted on the stack.
const MAX_FIELDS: usize = 100;

/// Status line of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: StatusCode,
    /// HTTP/1.0 or 1.1.
    pub version: Version,
}

/// Why a head cannot be passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is not HTTP.
    #[error("its response head is malformed: {0}")]
    Malformed(httparse::Error),
    /// A part of it is not what it has to be.
    #[error("its response head is malformed: {0}")]
    Field(&'static str),
    /// Its end does not come.
    #[error("its response head is longer than {MAX_HEAD} bytes")]
    TooLong,
    /// Where the body ends is in doubt.
    #[error("its response has a Content-Length that can be read in two ways")]
    AmbiguousLength,
    /// We speak `chunked` and nothing else.
    #[error("its response has a Transfer-Encoding other than chunked")]
    UnknownCoding,
}

/// Where the fields of a head lie in the bytes of it.
type Places = Vec<(HeaderName, Range<usize>)>;

/// Reads heads. Kept from one exchange to the next.
#[derive(Debug, Default)]
pub struct Reader {
    /// Allocated once.
    places: Places,
    end: HeadEnd,
}

impl Reader {
    /// Takes a head off the front of what was received; `None` if its end is not there yet. `fields` is emptied before.
    ///
    /// # Errors
    /// [`HeadError`] for a head that is malformed or too long.
    pub fn take(&mut self, received: &mut BytesMut, fields: &mut Fields) -> Result<Option<Head>, HeadError> {
        fields.clear();
        let parsed = if self.end.may_be_in(received) {
            self.places.clear();
            parse(received, &mut self.places)?
        } else {
            None
        };
        let Some((length, head)) = parsed else {
            self.end.is_behind(received.len());
            return if received.len() < MAX_HEAD { Ok(None) } else { Err(HeadError::TooLong) };
        };
        self.end = HeadEnd::default();
        let bytes: Bytes = received.split_to(length).freeze();
        for (name, place) in self.places.drain(..) {
            let value = HeaderValue::from_maybe_shared(bytes.slice(place))
                .map_err(|_| HeadError::Field("a header field has a control character"))?;
            fields.push(name, value);
        }
        Ok(Some(head))
    }
}

fn parse(bytes: &[u8], places: &mut Places) -> Result<Option<(usize, Head)>, HeadError> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut slots,
    );
    let length = match parsed.map_err(HeadError::Malformed)? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(HeadError::Field("its status is no status"))?;
    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    for field in response.headers.iter() {
        let name =
            field_name(field.name.as_bytes()).map_err(|_| HeadError::Field("a header field has no name"))?;
        // The value is a part of `bytes`, so the difference of their addresses is where it begins.
        let start = (field.value.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        places.push((name, start..start.wrapping_add(field.value.len())));
    }
    Ok(Some((length, Head { status, version })))
}

/// What the fields say of the message and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Meaning {
    pub(in crate::proxy) length: Length,
    /// Whether the connection may carry another request after this response.
    pub(in crate::proxy) keeps: bool,
}

/// Reads the framing of a final response to a request with this method (RFC 9112 §6.3, §9.3).
pub(super) fn meaning(head: Head, method: &Method, fields: &Fields) -> Result<Meaning, HeadError> {
    let (mut length, mut chunked) = (None, false);
    let mut keeps = head.version == Version::HTTP_11;
    for (name, value) in fields.iter() {
        if *name == header::CONTENT_LENGTH {
            let said = decimal(value.as_bytes()).ok_or(HeadError::AmbiguousLength)?;
            if length.replace(said).is_some_and(|other| other != said) {
                return Err(HeadError::AmbiguousLength);
            }
        } else if *name == header::TRANSFER_ENCODING {
            // Another coding than chunked would be between the server and us, and we speak none.
            if chunked
                || head.version == Version::HTTP_10
                || !value.as_bytes().eq_ignore_ascii_case(b"chunked")
            {
                return Err(HeadError::UnknownCoding);
            }
            chunked = true;
        } else if *name == header::CONNECTION {
            let mut options = value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            keeps &= !options.any(|option| option.eq_ignore_ascii_case(b"close"));
        } else if *name == header::WWW_AUTHENTICATE {
            keeps &= !binds_connection(value.as_bytes());
        }
    }
    let bodiless =
        *method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // A length beside chunks does not count, and it is a sign of an attack on whoever believes it.
    keeps &= !(chunked && length.is_some());
    Ok(match (bodiless, chunked, length) {
        (true, ..) => Meaning { length: Length::Exact(0), keeps },
        (_, true, _) => Meaning { length: Length::Chunked, keeps },
        (_, _, Some(length)) => Meaning { length: Length::Exact(length), keeps },
        _ => Meaning { length: Length::UntilClose, keeps: false },
    })
}

/// Digits, or the same digits in a list: some servers say their length twice (RFC 9110 §8.6).
fn decimal(text: &[u8]) -> Option<u64> {
    let mut items = text.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).map(digits::parse_decimal);
    let first = items.next()??;
    items.all(|item| item == Some(first)).then_some(first)
}

/// NTLM and Negotiate log in the connection, not the request: another user must not get it. One line may have several challenges, and
/// a parameter that looks like one of these two costs a connection.
fn binds_connection(challenges: &[u8]) -> bool {
    let is = |item: &[u8], scheme: &[u8]| {
        item.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme))
    };
    let mut items = challenges.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    items.any(|item| is(item, b"ntlm") || is(item, b"negotiate"))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use http::Method;
    use proptest::prelude::*;

    use super::{HeadError, Length, MAX_HEAD, Meaning, Reader, meaning};
    use crate::message::Fields;

    fn read(text: &str, method: &Method) -> Result<Meaning, HeadError> {
        let mut fields = Fields::default();
        let head = Reader::default().take(&mut BytesMut::from(text), &mut fields)?.expect("a whole head");
        meaning(head, method, &fields)
    }

    fn value(fields: &Fields, index: usize) -> &[u8] {
        fields.iter().nth(index).unwrap().1.as_bytes()
    }

    fn get(fields: &str) -> Result<Meaning, HeadError> {
        read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), &Method::GET)
    }

    #[test]
    fn rfc_9112_6_3_how_long_a_response_is() {
        let (exact, chunked, until_close) = (Length::Exact, Length::Chunked, Length::UntilClose);
        for (fields, length, keeps) in [
            ("Content-Length: 5\r\n", exact(5), true),
            ("Content-Length: 5, 5\r\n", exact(5), true),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", exact(5), true),
            ("content-length: 5\r\nConnection: x, Close\r\n", exact(5), false),
            ("Transfer-Encoding: Chunked\r\n", chunked, true),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked, false),
            ("", until_close, false),
            ("Content-Length: 5\r\nWWW-Authenticate: NTLM\r\n", exact(5), false),
            ("Content-Length: 5\r\nWWW-Authenticate: negotiate abc\r\n", exact(5), false),
            ("Content-Length: 5\r\nWWW-Authenticate: Basic realm=\"a\", NTLM\r\n", exact(5), false),
            ("Content-Length: 5\r\nWWW-Authenticate: Basic\r\n", exact(5), true),
        ] {
            assert_eq!(get(fields).unwrap(), Meaning { length, keeps }, "{fields}");
        }
        for (text, method, keeps) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::HEAD, true),
            ("HTTP/1.1 204 No Content\r\n\r\n", Method::GET, true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Method::GET, true),
            ("HTTP/1.0 204 No Content\r\n\r\n", Method::GET, false),
        ] {
            assert_eq!(read(text, &method).unwrap(), Meaning { length: exact(0), keeps }, "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "X : y\r\n",
            "X: a\0b\r\n",
            "X: a\r\n b\r\n",
            ": y\r\n",
        ] {
            assert!(get(fields).is_err(), "{fields}");
        }
        let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(old, &Method::GET), Err(HeadError::UnknownCoding));
    }

    #[test]
    fn a_head_has_a_bound() {
        let mut long = BytesMut::from(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_HEAD)).as_str());
        assert_eq!(Reader::default().take(&mut long, &mut Fields::default()), Err(HeadError::TooLong));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
        assert!(matches!(read(&many, &Method::GET), Err(HeadError::Malformed(_))));
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_parsed_at_its_end_and_bounded() {
        for end in ["\r\n", "\n"] {
            let text = ["HTTP/1.1 200 OK", "A:", "b: c d", "", "body\n\n"].join(end);
            let (mut reader, mut received, mut fields) =
                (Reader::default(), BytesMut::new(), Fields::default());
            let body = text.find("body").unwrap();
            for (index, byte) in text.bytes().enumerate().take(body) {
                received.extend_from_slice(&[byte]);
                let head = reader.take(&mut received, &mut fields).unwrap();
                assert_eq!(head.is_some(), index + 1 == body, "{index} of {text:?}");
            }
            assert_eq!((value(&fields, 0), value(&fields, 1)), (&b""[..], &b"c d"[..]));
        }
        let (mut reader, mut long) = (Reader::default(), BytesMut::from("HTTP/1.1 200 OK\r\nX: "));
        while long.len() < MAX_HEAD - 4096 {
            assert_eq!(reader.take(&mut long, &mut Fields::default()), Ok(None));
            long.extend_from_slice(&[b'x'; 4096]);
        }
        long.extend_from_slice(&[b'x'; 8192]);
        assert_eq!(reader.take(&mut long, &mut Fields::default()), Err(HeadError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_head_or_an_error_and_the_rest_stays(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let head = b"HTTP/1.1 200 OK\r\nA: b\r\nc: D \r\n\r\n";
            for prefix in [&head[..0], &head[..17], &head[..]] {
                let text = [prefix, &bytes].concat();
                let (mut received, mut fields) = (BytesMut::from(&text[..]), Fields::default());
                if let Ok(Some(_)) = Reader::default().take(&mut received, &mut fields) {
                    prop_assert!(text.ends_with(&received));
                }
                if prefix.len() == head.len() {
                    prop_assert_eq!(&received[..], &bytes[..]);
                    prop_assert_eq!(value(&fields, 1), b"D");
                }
            }
        }
    }
}
