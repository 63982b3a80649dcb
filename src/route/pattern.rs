//! What a route matches: a host, a path pattern, methods. Specificity is the order of [`Pattern`].

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use http::uri::PathAndQuery;

use super::{CleanPath, Host, Methods, PathError};

/// What a route matches. `Ord` is specificity: of the patterns that match a request, the greatest wins. Host over any
/// host, exact over prefix, the longer prefix over the shorter, named methods over any. Patterns that no request can
/// tell apart by specificity are ordered by the reversed alphabet, so that a list from the greatest down is alphabetical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    host: Option<HostRank>,
    path: PathPattern,
    methods: Methods,
}

impl Pattern {
    /// A pattern for one host, or for any.
    #[must_use]
    pub fn new(host: Option<Host>, path: PathPattern, methods: Methods) -> Self {
        Self { host: host.map(HostRank), path, methods }
    }

    /// The same for another host, or for any.
    #[must_use]
    pub fn for_host(&self, host: Option<Host>) -> Self {
        Self::new(host, self.path.clone(), self.methods.clone())
    }

    /// The host; none for any.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref().map(|rank| &rank.0)
    }

    /// The path pattern.
    #[must_use]
    pub fn path(&self) -> &PathPattern {
        &self.path
    }

    /// The methods.
    #[must_use]
    pub fn methods(&self) -> &Methods {
        &self.methods
    }
}

/// `api.example.com/orders/* GET,HEAD`; without host for any host, without methods for any method.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = self.host() {
            write!(f, "{host}")?;
        }
        write!(f, "{}", self.path)?;
        if !self.methods.is_any() {
            write!(f, " {}", self.methods)?;
        }
        Ok(())
    }
}

/// Hosts are equally specific; see [`Pattern`] for the reversed alphabet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostRank(Host);

impl Ord for HostRank {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.cmp(&self.0)
    }
}

impl PartialOrd for HostRank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A path, or all paths at and below one. Only [`PathPattern::parse`] makes one. `Ord` is specificity, see [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// Written `/orders`: this very path. `/orders/` is another one.
    Exact(Literal),
    /// Written `/orders/*`: `/orders`, `/orders/` and everything below, but not `/ordersx`. `/*` is every path.
    Prefix(Literal),
}

/// The literal part of a pattern: `/orders` of `/orders/*`, and nothing of `/*`. It is normalised as request paths are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Literal(Arc<str>);

impl Literal {
    /// The literal text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is not a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with a slash.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// A `*` that is not the whole last segment.
    #[error("`*` can only be the whole last segment, as in `/orders/*`")]
    Wildcard,
    /// A `?` or `#`.
    #[error("a path has no {0:?}; routes match the path alone, not the query")]
    Delimiter(char),
    /// A brace: somebody expects a placeholder.
    #[error("patterns have no placeholders such as `{{id}}`; use a prefix, as in `/orders/*`")]
    Placeholder,
    /// `;` or an escaped delimiter: see [`CleanPath`] on looser readings.
    #[error(
        "{0:?} cannot stand in a pattern, because backends disagree about what it means; use a prefix that ends before it"
    )]
    Ambiguous(&'static str),
    /// No request has this path, because requests are normalised first.
    #[error("no request has this path once it is normalised; write `{normalised}`")]
    NotNormalised {
        /// The spelling that matches.
        normalised: String,
    },
    /// Requests for this path are refused.
    #[error("requests for this path are refused: {0}")]
    Refused(#[source] PathError),
    /// Over 64 KiB.
    #[error("the path is too long")]
    TooLong,
}

impl PathPattern {
    /// Reads a pattern as the configuration writes it. What it says must be what normalised request paths can be equal
    /// to; a spelling that would silently never match is an error that names the right one.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NotAbsolute);
        }
        if let Some(delimiter) = text.chars().find(|c| matches!(c, '?' | '#')) {
            return Err(PatternError::Delimiter(delimiter));
        }
        if text.contains(['{', '}']) {
            return Err(PatternError::Placeholder);
        }
        let (literal, is_prefix) = match text.strip_suffix("/*") {
            Some(literal) => (literal, true),
            None => (text, false),
        };
        if literal.contains('*') {
            return Err(PatternError::Wildcard);
        }
        // The prefix `/*` has no literal part: every path begins with nothing and a slash.
        let normalised = if literal.is_empty() { String::new() } else { normalise(literal)? };
        // A prefix such as `/orders//*` would otherwise keep its slash.
        let normalised = if is_prefix { normalised.trim_end_matches('/') } else { normalised.as_str() };
        if normalised != literal {
            let star = if is_prefix { "/*" } else { "" };
            return Err(PatternError::NotNormalised { normalised: format!("{normalised}{star}") });
        }
        let literal = Literal(literal.into());
        Ok(if is_prefix { Self::Prefix(literal) } else { Self::Exact(literal) })
    }

    /// The literal part, see [`Literal`].
    #[must_use]
    pub fn literal(&self) -> &str {
        match self {
            Self::Exact(literal) | Self::Prefix(literal) => literal.as_str(),
        }
    }

    /// Whether a normalised path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(literal) => path == literal.as_str(),
            Self::Prefix(literal) => path
                .strip_prefix(literal.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    /// Exact over prefix, then the longer literal. Of two prefixes that match one path the longer has more segments.
    fn specificity(&self) -> (bool, usize) {
        (matches!(self, Self::Exact(_)), self.literal().len())
    }
}

impl Ord for PathPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.specificity().cmp(&other.specificity()).then_with(|| other.literal().cmp(self.literal()))
    }
}

impl PartialOrd for PathPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(literal) => f.write_str(literal.as_str()),
            Self::Prefix(literal) => write!(f, "{}/*", literal.as_str()),
        }
    }
}

/// What a request for `literal` becomes. People write `/größe` and `/my files`; the escapes that HTTP wants are put in
/// first, so that the error can name the spelling that works.
fn normalise(literal: &str) -> Result<String, PatternError> {
    let mut escaped = String::with_capacity(literal.len());
    for byte in literal.bytes() {
        if byte == b'%' || byte == b'/' || super::alphabet::is_pchar(byte) {
            escaped.push(char::from(byte));
        } else {
            super::alphabet::push_escape(&mut escaped, byte);
        }
    }
    let raw = PathAndQuery::try_from(escaped).map_err(|_| PatternError::TooLong)?;
    let path = CleanPath::parse(&raw).map_err(PatternError::Refused)?;
    match ["%2F", "%3F", "%23", "%3B", ";"].into_iter().find(|delimiter| path.as_str().contains(delimiter)) {
        Some(delimiter) => Err(PatternError::Ambiguous(delimiter)),
        // What is left to read loosely is an escape that need not be one: `/a%3Ab` is written `/a:b`.
        None => Ok(path.looser_readings().first().map_or(path.as_str(), |looser| looser.as_str()).to_owned()),
    }
}

#[cfg(test)]
mod tests;
