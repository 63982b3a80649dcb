//! The head of a request: read once, strictly. What the fields mean for the message is read here; what they say, further up.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Uri, Version, header};
use httparse::{ParserConfig, Status};

use crate::config;
use crate::http1::{HeadEnd, Length};
use crate::message::{self, Fields, field_name};
use crate::reject::Reject;

/// As many fields as have room on the stack.
const FEW: usize = 100;
/// What a TLS handshake begins with (RFC 8446 §5.1), and no method does.
const TLS_HANDSHAKE: u8 = 22;

/// The head of a request, and what it means for the connection.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Box<message::Head>,
    /// Of the content; `None` if there is none.
    pub(super) length: Option<Length>,
    /// Whether the connection may carry another request after this one.
    pub(super) keeps: bool,
    /// Whether the client waits for `100 Continue` before it sends the content.
    pub(super) expects: bool,
    /// Whether the client takes trailer fields.
    pub(super) trailers: bool,
}

/// Reads the heads of a connection.
#[derive(Debug)]
pub(super) struct HeadReader {
    end: HeadEnd,
    max_size: usize,
    max_fields: usize,
    max_target: usize,
}

impl HeadReader {
    /// For a connection under these limits.
    pub(super) fn new(limits: &config::Server) -> Self {
        Self {
            end: HeadEnd::default(),
            max_size: limits.max_header_size,
            max_fields: limits.max_headers,
            max_target: limits.max_uri_size,
        }
    }

    /// Takes a head off the front of what was received; `None` if its end is not there yet. After an error nothing behind it can be
    /// understood.
    pub(super) fn take(&mut self, received: &mut BytesMut) -> Result<Option<Received>, Reject> {
        if self.end.may_be_in(received) {
            let bytes = received.split().freeze();
            if let Some((length, head)) = self.read(&bytes)? {
                self.end = HeadEnd::default();
                received.extend_from_slice(bytes.get(length..).unwrap_or_default());
                return Ok(Some(head));
            }
            received.extend_from_slice(&bytes);
        }
        self.end.is_behind(received.len());
        self.check_size(received.len())?;
        Ok(None)
    }

    fn check_size(&self, size: usize) -> Result<(), Reject> {
        if size > self.max_size { Err(Reject::HeadTooLarge { limit: self.max_size }) } else { Ok(()) }
    }

    fn read(&self, bytes: &Bytes) -> Result<Option<(usize, Received)>, Reject> {
        let mut few = [const { MaybeUninit::uninit() }; FEW];
        let mut many = Vec::new();
        let slots = if self.max_fields > FEW {
            many.resize(self.max_fields, MaybeUninit::uninit());
            &mut many
        } else {
            few.get_mut(..self.max_fields).unwrap_or_default()
        };
        let mut request = httparse::Request::new(&mut []);
        let status = ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, slots);
        match status.map_err(|error| self.reject(error, bytes))? {
            Status::Partial => Ok(None),
            Status::Complete(length) => {
                self.check_size(length)?;
                Ok(Some((length, self.build(&request, bytes)?)))
            }
        }
    }

    fn reject(&self, error: httparse::Error, bytes: &[u8]) -> Reject {
        match error {
            httparse::Error::TooManyHeaders => Reject::TooManyHeaders { limit: self.max_fields },
            _ if bytes.first() == Some(&TLS_HANDSHAKE) => {
                Reject::BadRequest("a TLS handshake came to an address that speaks HTTP without TLS")
            }
            httparse::Error::Version => {
                Reject::BadRequest("the request line does not end with HTTP/1.1 or HTTP/1.0")
            }
            httparse::Error::HeaderName => Reject::BadRequest("the name of a header field is malformed"),
            httparse::Error::HeaderValue => Reject::BadRequest(BAD_VALUE),
            httparse::Error::NewLine => Reject::BadRequest("a line of the head ends with a lone CR"),
            httparse::Error::Token | httparse::Error::Status => {
                Reject::BadRequest("the request line is malformed")
            }
        }
    }

    fn build(&self, request: &httparse::Request<'_, '_>, bytes: &Bytes) -> Result<Received, Reject> {
        let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
            .map_err(|_| Reject::BadRequest("the method is malformed"))?;
        let target = request.path.unwrap_or_default().as_bytes();
        if target.len() > self.max_target {
            return Err(Reject::UriTooLong { limit: self.max_target });
        }
        let uri = Uri::from_maybe_shared(bytes.slice_ref(target))
            .map_err(|_| Reject::BadRequest("the request target is malformed"))?;
        let version = if request.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let mut fields = Fields::with_capacity(request.headers.len());
        let mut hints = Hints::default();
        for field in request.headers.iter() {
            let name = field_name(field.name.as_bytes())
                .map_err(|_| Reject::BadRequest("the name of a header field is malformed"))?;
            let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value))
                .map_err(|_| Reject::BadRequest(BAD_VALUE))?;
            hints.note(&name, value.as_bytes());
            fields.push(name, value);
        }
        // In a box from here to the end of the exchange: it is handed on often, and has 150 bytes.
        Ok(hints.finish(Box::new(message::Head { method, uri, version, fields })))
    }
}

const BAD_VALUE: &str = "the value of a header field has a control character";

/// What the fields say of the message and its connection, noticed as they pass.
#[derive(Default)]
struct Hints {
    framed: bool,
    closes: bool,
    keeps: bool,
    expects: bool,
    trailers: bool,
}

impl Hints {
    fn note(&mut self, name: &HeaderName, value: &[u8]) {
        let has = |word: &[u8]| {
            value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
        };
        if *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING {
            self.framed = true;
        } else if *name == header::CONNECTION {
            self.closes |= has(b"close");
            self.keeps |= has(b"keep-alive");
        } else if *name == header::EXPECT {
            self.expects |= has(b"100-continue");
        } else if *name == header::TE {
            self.trailers |= has(b"trailers");
        }
    }

    fn finish(self, head: Box<message::Head>) -> Received {
        let is_http11 = head.version == Version::HTTP_11;
        let length = if self.framed { Length::of_request(head.version, &head.fields) } else { Ok(None) };
        // Where a message without a clear end is over, nobody knows: the gateway refuses it, and all behind it counts as its content.
        let keeps = length.is_ok() && !self.closes && (is_http11 || self.keeps);
        let length = length.unwrap_or(Some(Length::UntilClose)).filter(|length| *length != Length::Exact(0));
        let expects = is_http11 && self.expects && length.is_some();
        Received { head, length, keeps, expects, trailers: self.trailers }
    }
}
