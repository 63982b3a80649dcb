//! A request as it is written on the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A well-formed HTTP/1.1 request. What is not well-formed is written as bytes by the test itself.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A request with a body and its `Content-Length`.
    pub(crate) fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut request = Self::new("POST", target).header("content-length", body.len().to_string());
        request.body = body.to_vec();
        request
    }

    /// A login form: `application/x-www-form-urlencoded`.
    pub(crate) fn form(target: &str, fields: &[(&str, &str)]) -> Self {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        Self::post(target, body.join("&")).header("content-type", "application/x-www-form-urlencoded")
    }

    /// Adds a line, also when there is one with this name.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, name: &str, password: &str) -> Self {
        self.header("authorization", format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// The bytes; `host` becomes the first header unless the request has its own.
    pub(crate) fn encode(&self, host: &str) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            bytes.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Percent-encodes all but unreserved characters.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
