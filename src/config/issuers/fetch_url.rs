//! Addresses from which keys are fetched.

use std::fmt;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

use crate::config::diagnostics::quote;
use crate::config::text;

/// Where something is fetched: an https URL, or an http one of this very host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchUrl(Uri);

/// Nothing is fetched from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an https URL (http for a loopback address only) without user and fragment, not {}", quote(.0))]
pub struct InvalidUrl(String);

impl FetchUrl {
    /// Checks a URL.
    ///
    /// # Errors
    /// [`InvalidUrl`]
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let refuse = || InvalidUrl(text.chars().take(200).collect());
        // `Uri` drops a fragment silently.
        if text.contains(['#', '@']) || text.len() > 1024 {
            return Err(refuse());
        }
        let uri = text.parse::<Uri>().map_err(|_| refuse())?;
        let authority = uri.authority().ok_or_else(refuse)?;
        let (host, port) = text::host_and_port(authority).ok_or_else(refuse)?;
        let may = match uri.scheme().map(Scheme::as_str) {
            Some("https") => true,
            Some("http") => text::is_loopback(host),
            _ => false,
        };
        if may && port != Some(0) { Ok(Self(uri)) } else { Err(refuse()) }
    }

    /// Whether it is an https URL.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// Its host; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// Its port, or that of its scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Host and port as `Host` has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// Path and query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.0.path_and_query().map_or("/", PathAndQuery::as_str)
    }

    /// The path, without a slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// The same host with another path.
    ///
    /// # Errors
    /// [`InvalidUrl`] if `path` is none.
    pub fn at(&self, path: &str) -> Result<Self, InvalidUrl> {
        let scheme = if self.is_https() { "https" } else { "http" };
        Self::parse(&format!("{scheme}://{}{path}", self.authority()))
    }
}

impl fmt::Display for FetchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
