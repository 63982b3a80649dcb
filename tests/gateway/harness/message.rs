//! The head of an HTTP/1.1 message, read strictly: what is odd about it is an error, not a guess.

use std::fmt;

/// Header or trailer fields in the order in which they came. A multimap: one entry per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Reads the lines between the start line and the empty line; `lines` ends with CRLF unless it is empty.
    pub(crate) fn parse(lines: &[u8]) -> Result<Self, String> {
        let mut headers = Vec::new();
        let mut rest = lines;
        while !rest.is_empty() {
            let end = find(rest, b"\r\n").ok_or("a header line without CRLF")?;
            headers.push(parse_line(&rest[..end])?);
            rest = &rest[end + 2..];
        }
        Ok(Self(headers))
    }

    /// The values of all lines with this name, whatever its case.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The value of the only line with this name.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "{name} came {} times: {values:?}", values.len());
        values.pop()
    }

    /// The names of all lines, as they were written.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Names and values, as they were written.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The members of a list header, from all its lines, lower-cased.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.values(name);
        values.iter().flat_map(|v| v.split(',')).map(|v| v.trim().to_ascii_lowercase()).collect()
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {}", value.escape_ascii()))
    }
}

fn parse_line(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let shown = line.escape_ascii();
    let colon = line.iter().position(|&b| b == b':').ok_or(format!("a header without a colon: {shown}"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if name.is_empty() || !name.iter().all(token) {
        return Err(format!("a header name that is no token: {shown}"));
    }
    if value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(format!("a control character in a header: {shown}"));
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value.trim_ascii().to_vec()))
}

/// The start line and the headers of a message; `raw` ends with the empty line.
pub(crate) fn parse_head(raw: &[u8]) -> Result<(String, Headers), String> {
    let end = find(raw, b"\r\n").ok_or("a start line without CRLF")?;
    let start = &raw[..end];
    if start.iter().any(|&b| b < 0x20 || b == 0x7f) {
        return Err(format!("a control character in the start line: {}", start.escape_ascii()));
    }
    let headers = Headers::parse(&raw[end + 2..raw.len() - 2])?;
    Ok((String::from_utf8_lossy(start).into_owned(), headers))
}

/// How the body of a message is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All bytes until the sender closes.
    UntilClose,
}

impl Framing {
    /// Of a request. Anything that two readers could take differently is an error.
    pub(crate) fn of_request(headers: &Headers) -> Result<Self, String> {
        Ok(Self::stated(headers)?.unwrap_or(Self::Length(0)))
    }

    /// Of a response to a request with this method.
    pub(crate) fn of_response(method: &str, status: u16, headers: &Headers) -> Result<Self, String> {
        let stated = Self::stated(headers)?;
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Ok(Self::Length(0));
        }
        Ok(stated.unwrap_or(Self::UntilClose))
    }

    fn stated(headers: &Headers) -> Result<Option<Self>, String> {
        let (lengths, codings) = (headers.values("content-length"), headers.values("transfer-encoding"));
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Ok(None),
            ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
                let length = length.parse().map_err(|e| format!("content-length {length:?}: {e}"))?;
                Ok(Some(Self::Length(length)))
            }
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Self::Chunked)),
            _ => Err(format!("ambiguous framing: content-length {lengths:?}, transfer-encoding {codings:?}")),
        }
    }
}

/// Where `needle` begins in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
