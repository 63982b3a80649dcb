//! One view of the path: what is authorized is what is forwarded.
//!
//! Gateways and backends disagree about what `/public/..%2fadmin` means, and each disagreement has let somebody past a
//! rule. So a path is decoded and normalised once, here; what cannot be given one meaning is refused.

use http::uri::PathAndQuery;

use super::alphabet::{escaped_byte, is_pchar, is_unreserved, push_escape};
use super::looser;

/// A path that means one thing, with its query. What it holds is both authorized and forwarded.
///
/// Escapes of unreserved characters are decoded (RFC 3986 §6.2.2.2), the others have upper-case digits (§6.2.2.1), `.`
/// and `..` are resolved (§5.2.4) and repeated slashes are one. The query is kept byte for byte.
///
/// # Looser readings
/// Some backends cut `;parameters` off each segment, treat an escaped `?` or `#` as the real one, or take `%2F` for a
/// slash. With a rule for `/admin` and a public `/*`, `/admin;x=1` is under `/*` for us and `/admin` for such a
/// backend. A path with anything of that kind also holds what it becomes for such readers, and
/// [`Table::find`](super::Table::find) answers [`Found::Ambiguous`](super::Found::Ambiguous) when one of them would
/// land on another route. Letter case is no such matter: paths are case-sensitive (RFC 3986 §6.2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanPath {
    target: PathAndQuery,
    looser: Vec<String>,
    encoded_slash: bool,
}

/// Why a path is refused. Positions count the bytes of the path from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `*`, as in `OPTIONS *`: it addresses the server, and ours forwards.
    #[error("the request target `*` is not a path")]
    Asterisk,
    /// It does not begin with a slash.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// `%` without two hexadecimal digits. The text is escaped for printing.
    #[error("percent escape {text} at byte {at} is malformed")]
    MalformedEscape {
        /// Where it begins.
        at: usize,
        /// The escape, fit to be printed.
        text: String,
    },
    /// A control character, raw or escaped.
    #[error("control character 0x{byte:02x} at byte {at}")]
    Control {
        /// Where it begins.
        at: usize,
        /// The character.
        byte: u8,
    },
    /// A backslash, raw or escaped, which some systems take for a slash.
    #[error("backslash at byte {at}")]
    Backslash {
        /// Where it begins.
        at: usize,
    },
    /// `%25` and two hexadecimal digits: a second decoding would give another path.
    #[error("doubly encoded escape at byte {at}")]
    DoubleEncoding {
        /// Where it begins.
        at: usize,
    },
    /// A byte that needs an escape in a path, such as a space, a quote or anything outside ASCII.
    #[error("byte 0x{byte:02x} at byte {at} cannot stand in a path without an escape")]
    Character {
        /// Where it is.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// Escapes that decode to something other than UTF-8, overlong forms for one.
    #[error("the percent escapes at byte {at} are not UTF-8")]
    NotUtf8 {
        /// Where they begin.
        at: usize,
    },
    /// More `..` than segments before it.
    #[error("`..` at byte {at} leads above the root")]
    AboveRoot {
        /// Where the segment begins.
        at: usize,
    },
    /// A segment such as `..;x` or `..%2Fadmin`, which is `..` for a looser parser.
    #[error("a segment becomes `.` or `..` for parsers that cut parameters or decode delimiters")]
    HiddenDots,
    /// The prefix to be removed is not one of this path.
    #[error("the path is not below the prefix to be removed")]
    OutsidePrefix,
    /// Without the prefix, the path means something else.
    #[error("the path changes its meaning when the prefix is removed")]
    Rewritten,
    /// Over 64 KiB.
    #[error("the path is too long")]
    TooLong,
}

impl CleanPath {
    /// Normalises the path of a request target. One that is clean already costs a scan and no allocation.
    ///
    /// # Errors
    /// [`PathError`] for a path without exactly one meaning; the answer is 400.
    pub fn parse(raw: &PathAndQuery) -> Result<Self, PathError> {
        // `http` keeps `?x` as it came and says `/` for its path, so both are looked at.
        let is_absolute = raw.as_str().starts_with('/') && raw.as_str() != "/";
        if is_absolute && is_plain(raw.path()) {
            return Ok(Self { target: raw.clone(), looser: Vec::new(), encoded_slash: false });
        }
        let path = normalise(raw.path())?;
        let looser = looser::readings(&path)?;
        let encoded_slash = path.contains("%2F");
        let target =
            if is_absolute && path == raw.path() { raw.clone() } else { with_query(path, raw.query())? };
        Ok(Self { target, looser, encoded_slash })
    }

    /// The normalised path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.target.path()
    }

    /// What is forwarded: the normalised path, and the query as it came.
    #[must_use]
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.target
    }

    /// Whether `%2F` stands in it. The gateway refuses that unless the route allows it.
    #[must_use]
    pub fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// What the path becomes for looser parsers, each spelling once; nothing for nearly all paths.
    #[must_use]
    pub fn looser_readings(&self) -> &[String] {
        &self.looser
    }

    /// Removes a prefix that ends at a segment boundary: `/api` makes `/x` of `/api/x`, and `/` of `/api`.
    /// The query stays.
    ///
    /// # Errors
    /// [`PathError::OutsidePrefix`] if the path is not below the prefix, [`PathError::Rewritten`] or another error if
    /// what is left does not mean what it says.
    pub fn without_prefix(&self, prefix: &str) -> Result<Self, PathError> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let rest = match self.as_str().strip_prefix(prefix) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => return Err(PathError::OutsidePrefix),
        };
        let stripped = Self::parse(&with_query(rest.to_owned(), self.target.query())?)?;
        if stripped.as_str() == rest { Ok(stripped) } else { Err(PathError::Rewritten) }
    }
}

/// Whether a path is clean beyond doubt: no escape, no parameter, no repeated slash, no segment that begins with a dot.
fn is_plain(path: &str) -> bool {
    let mut previous = 0;
    for byte in path.bytes() {
        match byte {
            b'/' | b'.' if previous == b'/' => return false,
            b'/' => {}
            b';' => return false,
            byte if !is_pchar(byte) => return false,
            _ => {}
        }
        previous = byte;
    }
    true
}

/// Slashes are merged before `..` is resolved, as most servers do, so `/a//../b` is `/b`. RFC 3986 alone would say
/// `/a/b`; what is forwarded has neither, so the backend cannot disagree.
fn normalise(path: &str) -> Result<String, PathError> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(if path == "*" { PathError::Asterisk } else { PathError::NotAbsolute });
    };
    let mut out = String::with_capacity(path.len());
    out.push('/');
    let mut at = 1;
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        // Here `out` ends with a slash, always.
        let begin = out.len();
        decode(path.as_bytes(), at, at + segment.len(), &mut out)?;
        match out.get(begin..) {
            Some("" | ".") => out.truncate(begin),
            Some("..") => {
                let above = out.get(..begin - 1).and_then(|path| path.rfind('/'));
                out.truncate(above.ok_or(PathError::AboveRoot { at })? + 1);
            }
            _ if segments.peek().is_some() => out.push('/'),
            _ => {}
        }
        at += segment.len() + 1;
    }
    Ok(out)
}

/// Decodes the segment from `at` to `end`.
fn decode(path: &[u8], mut at: usize, end: usize, out: &mut String) -> Result<(), PathError> {
    while at < end {
        at += match path.get(at).copied().unwrap_or_default() {
            b'%' => decode_escape(path, at, out)?,
            b'\\' => return Err(PathError::Backslash { at }),
            byte if is_pchar(byte) => {
                out.push(char::from(byte));
                1
            }
            byte if byte.is_ascii_control() => return Err(PathError::Control { at, byte }),
            byte => return Err(PathError::Character { at, byte }),
        };
    }
    Ok(())
}

/// Decodes the escape at `at`, or all of a run of escapes outside ASCII, and says how many bytes of the path that took.
fn decode_escape(path: &[u8], at: usize, out: &mut String) -> Result<usize, PathError> {
    let Some(byte) = escaped_byte(path, at) else {
        let text = path.get(at..).unwrap_or_default().iter().take(3).copied();
        return Err(PathError::MalformedEscape {
            at,
            text: text.flat_map(std::ascii::escape_default).map(char::from).collect(),
        });
    };
    match byte {
        _ if byte.is_ascii_control() => return Err(PathError::Control { at, byte }),
        b'\\' => return Err(PathError::Backslash { at }),
        b'%' if is_hex_pair(path, at + 3) => return Err(PathError::DoubleEncoding { at }),
        0x80.. => return decode_run(path, at, out),
        _ if is_unreserved(byte) => out.push(char::from(byte)),
        _ => push_escape(out, byte),
    }
    Ok(3)
}

/// Raw bytes outside ASCII are refused, so every UTF-8 sequence is one run of escapes.
fn decode_run(path: &[u8], at: usize, out: &mut String) -> Result<usize, PathError> {
    let mut run = Vec::new();
    while let Some(byte @ 0x80..) = escaped_byte(path, at + 3 * run.len()) {
        run.push(byte);
    }
    if std::str::from_utf8(&run).is_err() {
        return Err(PathError::NotUtf8 { at });
    }
    for &byte in &run {
        push_escape(out, byte);
    }
    Ok(3 * run.len())
}

/// Whether two hexadecimal digits stand at `at`, escaped themselves or not.
fn is_hex_pair(path: &[u8], at: usize) -> bool {
    let unit = |at: usize| match escaped_byte(path, at) {
        Some(byte) => Some((byte, at + 3)),
        None => path.get(at).map(|&byte| (byte, at + 1)),
    };
    let is_digit = |unit: &(u8, usize)| unit.0.is_ascii_hexdigit();
    unit(at).filter(is_digit).and_then(|(_, next)| unit(next)).filter(is_digit).is_some()
}

fn with_query(mut path: String, query: Option<&str>) -> Result<PathAndQuery, PathError> {
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    PathAndQuery::try_from(path).map_err(|_| PathError::TooLong)
}

#[cfg(test)]
mod tests;
