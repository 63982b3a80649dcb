//! A client that sends exact bytes and reads exact responses.

use std::io;
use std::net::{Shutdown, SocketAddr};

use super::message::{Framing, Headers};
use super::request::Request;
use super::wire::{BodyReader, Broken, Wire};

/// One connection to the gateway.
pub(crate) struct Client {
    wire: Wire,
    host: String,
    body: BodyReader,
    closing: bool,
}

/// A response, whole unless it was read by [`Client::head`].
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
    /// The 1xx responses before it, but for 101.
    pub(crate) interim: Vec<Response>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self {
            wire: Wire::connect(addr),
            host: addr.to_string(),
            body: BodyReader::new(Framing::Length(0)),
            closing: false,
        }
    }

    /// Writes these bytes and nothing else.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).expect("the gateway takes the bytes");
        self
    }

    /// As [`Self::send`], for a peer that may close while we write.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write(bytes.as_ref())
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub(crate) fn exchange(&mut self, request: &Request) -> Response {
        self.send(request.encode(&self.host.clone()));
        self.response_to(request.method())
    }

    /// The next response, whole, as the answer to a GET.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next response, whole.
    #[track_caller]
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        let response = self.try_response(method);
        response.unwrap_or_else(|broken| panic!("no whole response to {method}: {broken:?}"))
    }

    /// The next response, or why it did not come whole.
    pub(crate) fn try_response(&mut self, method: &str) -> Result<Response, Broken> {
        let mut response = self.try_head(method)?;
        response.body = self.body.rest(&mut self.wire)?;
        response.trailers = self.body.trailers().clone();
        Ok(response)
    }

    /// The head of the next response; the body is then read by [`Self::body`] and [`Self::rest`].
    #[track_caller]
    pub(crate) fn head(&mut self, method: &str) -> Response {
        self.try_head(method).unwrap_or_else(|broken| panic!("no response to {method}: {broken:?}"))
    }

    fn try_head(&mut self, method: &str) -> Result<Response, Broken> {
        let mut interim = Vec::new();
        loop {
            let mut response = self.any_head(method)?;
            if response.status >= 200 || response.status == 101 {
                response.interim = interim;
                return Ok(response);
            }
            interim.push(response);
        }
    }

    /// The next head, also that of an interim response.
    pub(crate) fn any_head(&mut self, method: &str) -> Result<Response, Broken> {
        let (_raw, start, headers) = self.wire.head()?.ok_or(Broken::Closed)?;
        // A client of HTTP/1.0 is answered in its own version; the bytes behind it are the same.
        let rest = start.strip_prefix("HTTP/1.1 ").or_else(|| start.strip_prefix("HTTP/1.0 "));
        let status = rest.and_then(|rest| rest.get(..3)).map(str::parse);
        let Some(Ok(status)) = status else {
            return Err(Broken::Malformed(format!("status line {start:?}")));
        };
        let framing = Framing::of_response(method, status, &headers).map_err(Broken::Malformed)?;
        self.body = BodyReader::new(framing);
        self.closing = framing == Framing::UntilClose || headers.list("connection").contains(&"close".into());
        let (body, trailers, interim) = Default::default();
        Ok(Response { status, headers, body, trailers, interim })
    }

    /// Exactly `count` more bytes of the body whose head was read, as soon as they are there.
    #[track_caller]
    pub(crate) fn body(&mut self, count: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < count {
            let piece = self.body.piece(&mut self.wire).expect("the body goes on");
            body.extend_from_slice(&piece.expect("the body is longer"));
        }
        assert_eq!(body.len(), count, "more of the body than expected: {}", body.escape_ascii());
        body
    }

    /// All that is left of the body whose head was read.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, Broken> {
        self.body.rest(&mut self.wire)
    }

    /// Exactly `count` bytes as they are on the wire, for tunnels.
    #[track_caller]
    pub(crate) fn raw(&mut self, count: usize) -> Vec<u8> {
        self.wire.exact(count).expect("so many bytes")
    }

    /// Waits until the gateway closes the connection and returns what came before.
    pub(crate) fn until_end(&mut self) -> Vec<u8> {
        self.wire.until_end().unwrap_or_default()
    }

    /// All whole responses until the gateway closes the connection, each as the answer to a GET.
    pub(crate) fn responses_until_end(&mut self) -> Vec<Response> {
        std::iter::from_fn(|| self.try_response("GET").ok()).collect()
    }

    /// Whether the latest response said that the connection ends with it.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Says that nothing more comes from this side.
    pub(crate) fn finish(&mut self) {
        self.wire.stream().shutdown(Shutdown::Write).unwrap();
    }
}

impl Response {
    /// The value of the only header line with this name.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.one(name)
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}) in the body of {}: {}", self.status, self.text()))
    }

    /// The body as text, for messages and comparisons.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
