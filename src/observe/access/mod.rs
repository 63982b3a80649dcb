//! Access records: one line for each request, written when its body has ended.
//!
//! Formatted by hand, because this is on every request's way: `tracing`'s JSON costs several microseconds for a record
//! of this size, this costs a fraction of one. [`AccessLog`] owns the thread that writes; an [`AccessSink`] is a
//! worker's end of it.

mod log;
mod writer;

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use self::log::{AccessLog, AccessSink};

use super::form::Form;
use super::text::{Colour, coloured, value, word};
use super::{json, redact};
use crate::clock::UnixTime;
use crate::digits;

/// What is written down about one request. Everything may hold what a client made up; the formats take care of it.
#[derive(Clone, Debug)]
pub struct AccessRecord<'a> {
    /// When the request began.
    pub time: UnixTime,
    /// The id that the client, the upstream and the log share.
    pub request_id: &'a [u8],
    /// The client, as far as trusted proxies tell.
    pub client: IpAddr,
    /// Who was logged in.
    pub user: Option<&'a str>,
    /// The roles, joined by commas.
    pub roles: Option<&'a [u8]>,
    /// The request's method.
    pub method: &'a str,
    /// The host that was asked for.
    pub host: &'a [u8],
    /// The path, without the query.
    pub path: &'a str,
    /// The query as it came. What is written is redacted.
    pub query: Option<&'a str>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'static str,
    /// The route's name, if one matched.
    pub route: Option<&'a str>,
    /// The response's status.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From the request's head to the response's.
    pub ttfb: Duration,
    /// From the request's head to the end of the response's body.
    pub total: Duration,
    /// The server that answered.
    pub upstream: Option<SocketAddr>,
    /// Why the request was refused, or what broke.
    pub reason: Option<Reason<'a>>,
    /// The client's `User-Agent`, byte for byte.
    pub user_agent: Option<&'a [u8]>,
    /// Whether the response's body reached its end.
    pub complete: bool,
}

/// Why a request did not get what it asked for, or not all of it.
#[derive(Clone, Copy)]
pub enum Reason<'a> {
    /// It was refused: in a word, and in a sentence for the operator.
    Refused(&'static str, &'a dyn Display),
    /// It broke.
    Broken(&'a str),
}

impl Reason<'_> {
    /// What is refused is formatted here and not before: into a text of its own it took 330 instructions more.
    fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Refused(word, sentence) => {
                out.extend_from_slice(word.as_bytes());
                out.extend_from_slice(b": ");
                json::display(out, sentence);
            }
            Self::Broken(text) => json::contents(out, text.as_bytes()),
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(word, sentence) => write!(f, "{word}: {sentence}"),
            Self::Broken(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl AccessRecord<'_> {
    /// Appends the record as one JSON object and a line end. Names are flat and dotted; what is absent is left out.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_json_at(&mut Timestamp::default(), out);
    }

    /// Appends the record as one line for a person. `color`: for a terminal that shows it.
    pub fn write_text(&self, out: &mut Vec<u8>, color: bool) {
        let form = if color { Form::Coloured } else { Form::Plain };
        self.write_text_at(&mut Timestamp::default(), form, out);
    }

    fn write_at(&self, timestamp: &mut Timestamp, form: Form, out: &mut Vec<u8>) {
        match form {
            Form::Json => self.write_json_at(timestamp, out),
            Form::Plain | Form::Coloured => self.write_text_at(timestamp, form, out),
        }
    }

    fn write_json_at(&self, timestamp: &mut Timestamp, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        timestamp.write(self.time, out);
        // Up to the status each name also ends the string before it, since a quote of its own takes 8 instructions.
        string(out, b"\",\"request.id\":\"", self.request_id);
        out.extend_from_slice(b"\",\"client.addr\":\"");
        digits::ip(out, self.client);
        optional(out, b"\",\"user\":\"", self.user.map(str::as_bytes));
        optional(out, b"\",\"roles\":\"", self.roles);
        string(out, b"\",\"method\":\"", self.method.as_bytes());
        string(out, b"\",\"host\":\"", self.host);
        out.extend_from_slice(b"\",\"path\":\"");
        self.write_target(|part| json::contents(out, part));
        out.extend_from_slice(b"\",\"protocol\":\"");
        out.extend_from_slice(self.protocol.as_bytes());
        optional(out, b"\",\"route\":\"", self.route.map(str::as_bytes));
        number(out, b"\",\"status\":", self.status.into());
        number(out, b",\"bytes_in\":", self.bytes_in);
        number(out, b",\"bytes_out\":", self.bytes_out);
        number(out, b",\"ttfb_us\":", micros(self.ttfb));
        number(out, b",\"total_us\":", micros(self.total));
        if let Some(upstream) = self.upstream {
            out.extend_from_slice(b",\"upstream.addr\":\"");
            digits::socket(out, upstream);
            out.push(b'"');
        }
        if let Some(reason) = self.reason {
            out.extend_from_slice(b",\"reason\":\"");
            reason.write_json(out);
            out.push(b'"');
        }
        if let Some(user_agent) = self.user_agent {
            string(out, b",\"user_agent\":\"", user_agent);
            out.push(b'"');
        }
        let end: &[u8] = if self.complete { b",\"complete\":true}\n" } else { b",\"complete\":false}\n" };
        out.extend_from_slice(end);
    }

    fn write_text_at(&self, timestamp: &mut Timestamp, form: Form, out: &mut Vec<u8>) {
        coloured(out, form, Colour::Dim, |out| timestamp.write(self.time, out));
        out.push(b' ');
        coloured(out, form, self.colour(), |out| digits::decimal(out, self.status.into()));
        for part in [self.method.as_bytes(), self.host] {
            out.push(b' ');
            word(out, part);
        }
        self.write_target(|part| word(out, part));
        json::write_to(out, format_args!(" {:.1}ms", self.total.as_secs_f64() * 1000.0));
        if !self.complete {
            coloured(out, form, Colour::Red, |out| out.extend_from_slice(b" incomplete"));
        }
        field(out, b" reason=", self.reason.map(|reason| reason.to_string()).as_deref().map(str::as_bytes));
        field(out, b" user=", self.user.map(str::as_bytes));
        field(out, b" roles=", self.roles);
        field(out, b" route=", self.route.map(str::as_bytes));
        if let Some(upstream) = self.upstream {
            out.extend_from_slice(b" upstream=");
            digits::socket(out, upstream);
        }
        out.extend_from_slice(b" client=");
        digits::ip(out, self.client);
        number(out, b" in=", self.bytes_in);
        number(out, b" out=", self.bytes_out);
        field(out, b" agent=", self.user_agent);
        field(out, b" id=", Some(self.request_id));
        out.push(b'\n');
    }

    /// The path and the redacted query, in parts.
    fn write_target(&self, mut write: impl FnMut(&[u8])) {
        write(self.path.as_bytes());
        if let Some(query) = self.query {
            write(b"?");
            redact::query(query, write);
        }
    }

    const fn colour(&self) -> Colour {
        match self.status {
            200..=299 => Colour::Green,
            400..=499 => Colour::Yellow,
            500.. => Colour::Red,
            _ => Colour::Cyan,
        }
    }
}

fn string(out: &mut Vec<u8>, label: &[u8], bytes: &[u8]) {
    out.extend_from_slice(label);
    json::contents(out, bytes);
}

fn optional(out: &mut Vec<u8>, label: &[u8], bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        string(out, label, bytes);
    }
}

fn number(out: &mut Vec<u8>, label: &[u8], value: u64) {
    out.extend_from_slice(label);
    digits::decimal(out, value);
}

fn field(out: &mut Vec<u8>, label: &[u8], bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        out.extend_from_slice(label);
        value(out, bytes);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// RFC 3339 times, of which only the milliseconds are formatted as long as the second stays the same.
#[derive(Debug, Default)]
struct Timestamp {
    second: u64,
    /// `2026-01-31T12:00:00.`, or empty before the first use.
    prefix: String,
}

impl Timestamp {
    fn write(&mut self, time: UnixTime, out: &mut Vec<u8>) {
        if self.second != time.as_secs() || self.prefix.is_empty() {
            self.second = time.as_secs();
            self.prefix = time.to_string();
            self.prefix.truncate(self.prefix.len().saturating_sub("000Z".len()));
        }
        out.extend_from_slice(self.prefix.as_bytes());
        let millis = time.as_millis() % 1000;
        let [hundreds, tens, ones] =
            [millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8);
        out.extend_from_slice(&[hundreds, tens, ones, b'Z']);
    }
}

#[cfg(test)]
mod tests;
