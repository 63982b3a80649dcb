//! The tables of lines that an index stands for (RFC 7541 §2.3).

use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderName;

use super::{Error, LINE, Name};

/// A line in a table.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: Name,
    pub(super) value: Bytes,
    /// What it counts (§4.1).
    pub(super) size: usize,
}

impl Line {
    /// Octets of the name as it came; that of a malformed one is not kept.
    pub(super) fn name_length(&self) -> usize {
        self.size - LINE - self.value.len()
    }
}

const fn line(name: Name, text: &'static str, value: &'static str) -> Line {
    let size = text.len() + value.len() + LINE;
    Line { name, value: Bytes::from_static(value.as_bytes()), size }
}

const fn field(text: &'static str) -> Name {
    Name::Field(HeaderName::from_static(text))
}

/// Makes two lists of one, since the names of the lines cannot be read before the program runs.
macro_rules! static_table {
    ($($name:expr, $text:literal, $value:literal;)*) => {
        /// The lines that both sides know from the beginning (Appendix A); that with index 1 is the first one.
        static STATIC: [Line; 61] = [$(line($name, $text, $value)),*];

        /// Their names.
        static TEXTS: [&str; 61] = [$($text),*];
    };
}

static_table! {
    Name::Authority, ":authority", "";
    Name::Method, ":method", "GET";
    Name::Method, ":method", "POST";
    Name::Path, ":path", "/";
    Name::Path, ":path", "/index.html";
    Name::Scheme, ":scheme", "http";
    Name::Scheme, ":scheme", "https";
    Name::Malformed, ":status", "200";
    Name::Malformed, ":status", "204";
    Name::Malformed, ":status", "206";
    Name::Malformed, ":status", "304";
    Name::Malformed, ":status", "400";
    Name::Malformed, ":status", "404";
    Name::Malformed, ":status", "500";
    field("accept-charset"), "accept-charset", "";
    field("accept-encoding"), "accept-encoding", "gzip, deflate";
    field("accept-language"), "accept-language", "";
    field("accept-ranges"), "accept-ranges", "";
    field("accept"), "accept", "";
    field("access-control-allow-origin"), "access-control-allow-origin", "";
    field("age"), "age", "";
    field("allow"), "allow", "";
    field("authorization"), "authorization", "";
    field("cache-control"), "cache-control", "";
    field("content-disposition"), "content-disposition", "";
    field("content-encoding"), "content-encoding", "";
    field("content-language"), "content-language", "";
    field("content-length"), "content-length", "";
    field("content-location"), "content-location", "";
    field("content-range"), "content-range", "";
    field("content-type"), "content-type", "";
    field("cookie"), "cookie", "";
    field("date"), "date", "";
    field("etag"), "etag", "";
    field("expect"), "expect", "";
    field("expires"), "expires", "";
    field("from"), "from", "";
    field("host"), "host", "";
    field("if-match"), "if-match", "";
    field("if-modified-since"), "if-modified-since", "";
    field("if-none-match"), "if-none-match", "";
    field("if-range"), "if-range", "";
    field("if-unmodified-since"), "if-unmodified-since", "";
    field("last-modified"), "last-modified", "";
    field("link"), "link", "";
    field("location"), "location", "";
    field("max-forwards"), "max-forwards", "";
    field("proxy-authenticate"), "proxy-authenticate", "";
    field("proxy-authorization"), "proxy-authorization", "";
    field("range"), "range", "";
    field("referer"), "referer", "";
    field("refresh"), "refresh", "";
    field("retry-after"), "retry-after", "";
    field("server"), "server", "";
    field("set-cookie"), "set-cookie", "";
    field("strict-transport-security"), "strict-transport-security", "";
    field("transfer-encoding"), "transfer-encoding", "";
    field("user-agent"), "user-agent", "";
    field("vary"), "vary", "";
    field("via"), "via", "";
    field("www-authenticate"), "www-authenticate", "";
}

/// The lines of requests that the client wants to name by an index, newest first (§2.3.2).
#[derive(Debug)]
pub(super) struct Table {
    lines: VecDeque<Line>,
    size: usize,
    /// What the client has set, and no more than what was announced.
    limit: usize,
}

impl Table {
    pub(super) fn new(limit: usize) -> Self {
        Self { lines: VecDeque::new(), size: 0, limit }
    }

    /// The line with this index in both tables (§2.3.3).
    #[inline]
    pub(super) fn line(&self, index: usize) -> Result<&Line, Error> {
        let fixed = index.checked_sub(1).ok_or(Error::Index)?;
        let found = match STATIC.get(fixed) {
            None => self.lines.get(fixed - STATIC.len()),
            fixed => fixed,
        };
        found.ok_or(Error::Index)
    }

    /// Whether a line of this size can be in the table at all.
    pub(super) fn has_room(&self, size: usize) -> bool {
        size <= self.limit
    }

    /// Adds a line that the table [has room](Self::has_room) for, and drops the oldest ones (§4.4).
    pub(super) fn insert(&mut self, line: Line) {
        self.shrink(self.limit.saturating_sub(line.size));
        self.size += line.size;
        self.lines.push_front(line);
    }

    /// Drops all lines: what a line does that is too large (§4.4).
    pub(super) fn clear(&mut self) {
        self.shrink(0);
    }

    /// Changes the size (§4.3).
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink(limit);
    }

    fn shrink(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.lines.pop_back() else { break };
            self.size -= oldest.size;
        }
    }
}

/// The index of a line in the static table that has this name; 0 if there is none.
#[inline]
pub(super) fn static_index(name: &str) -> u8 {
    let index = PLACES[place(name.as_bytes())];
    match TEXTS.get(usize::from(index).wrapping_sub(1)) {
        Some(text) if *text == name => index,
        _ => 0,
    }
}

/// Indices of the fields in the static table, each at the place of its name.
static PLACES: [u8; 128] = {
    let mut places = [0; 128];
    // Behind the pseudo-header fields, which come more than once each.
    let mut index = 15;
    while index <= TEXTS.len() {
        places[place(TEXTS[index - 1].as_bytes())] = index as u8;
        index += 1;
    }
    places
};

/// A number that no two names of the static table share.
#[inline]
const fn place(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let (first, middle, last) = (name[0] as usize, name[length / 2] as usize, name[length - 1] as usize);
    (length * 15 + first * 9 + middle * 2 + last) % 128
}
