//! Host names as routes compare them: lower case, without port, without the trailing dot.
//!
//! Parsing is stricter than RFC 3986 §3.2.2, which allows nearly any byte in a `reg-name`: what DNS and IP literals need
//! passes, anything else is refused before it can mean one host here and another one behind the gateway.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// A host name in lower case, an IPv4 address, or an IPv6 address in brackets (RFC 5952 form).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

/// Why a text is not a host, or a `Host` header not an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing, or nothing but a dot or a port.
    #[error("the host is empty")]
    Empty,
    /// `user@host`: RFC 9110 §4.2.4 tells recipients to treat it as an error.
    #[error("the host carries user information before an `@`")]
    UserInfo,
    /// A byte that no host name has.
    #[error(
        "the host has {0:?}; a host name has letters, digits, `-`, `_` and `.` (international names: their xn-- form)"
    )]
    Character(char),
    /// Two dots in a row, a leading dot, or a label over 63 bytes (RFC 1035 §2.3.4).
    #[error("each label of a host name must have 1 to 63 characters")]
    Label,
    /// Over 253 bytes.
    #[error("the host has {0} bytes, at most 253 are possible")]
    TooLong(usize),
    /// Brackets without an IPv6 address between them, or colons without brackets.
    #[error("an IPv6 address must be valid and stand in brackets, without a zone")]
    Ipv6,
    /// Not a decimal number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// A port where only a host belongs.
    #[error("a host is wanted here, without a port")]
    UnexpectedPort,
}

impl Host {
    /// Reads a host without port and normalises it.
    ///
    /// # Errors
    /// [`HostError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match Self::split_authority(text)? {
            (host, None) if !text.ends_with(':') => Ok(Self(host.into())),
            _ => Err(HostError::UnexpectedPort),
        }
    }

    /// Reads a `Host` header or the authority of a request target.
    ///
    /// # Errors
    /// [`HostError`] says what is wrong with the text.
    pub fn parse_authority(text: &str) -> Result<(Self, Option<u16>), HostError> {
        Self::split_authority(text).map(|(host, port)| (Self(host.into()), port))
    }

    /// [`Host::parse_authority`] for the request's way: a name that is in normal form already is borrowed, so that
    /// it costs no allocation. An empty port (`host:`) is legal in RFC 3986 §3.2.3 and is none.
    ///
    /// # Errors
    /// [`HostError`] says what is wrong with the text.
    pub fn split_authority(text: &str) -> Result<(Cow<'_, str>, Option<u16>), HostError> {
        match split_normal(text) {
            Some((name, port)) => Ok((Cow::Borrowed(name), port)),
            None => split_slowly(text),
        }
    }

    /// Bytes of the host in an authority that is a name in normal form, with a port or without. What nearly all requests have is seen
    /// in one pass; by way of [`Host::split_authority`] and its text it took 260 instructions more.
    #[must_use]
    pub fn length_in_normal(authority: &[u8]) -> Option<usize> {
        normal_length(authority)
    }

    /// The host in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Any spelling.
fn split_slowly(text: &str) -> Result<(Cow<'_, str>, Option<u16>), HostError> {
    if text.contains('@') {
        return Err(HostError::UserInfo);
    }
    if text.starts_with('[') {
        let end = text.find(']').ok_or(HostError::Ipv6)?;
        let (literal, rest) = text.split_at(end + 1);
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => None,
            None => return Err(HostError::Ipv6),
        };
        return Ok((parse_ipv6(literal)?, port));
    }
    let (name, port) = match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => return Err(HostError::Ipv6),
        Some((name, port)) => (name, parse_port(port)?),
        None => (text, None),
    };
    Ok((parse_name(name)?, port))
}

/// A name and the port behind it, if both are in normal form.
fn split_normal(text: &str) -> Option<(&str, Option<u16>)> {
    let host = normal_length(text.as_bytes())?;
    let port = text.get(host + 1..).map(str::parse::<u16>).transpose().ok()?;
    Some((text.get(..host)?, port))
}

/// Bytes of the name in front of the port.
fn normal_length(authority: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let rest = authority.get(length..)?;
        let label = rest.iter().position(|&byte| !IN_LABEL[usize::from(byte)]).unwrap_or(rest.len());
        length += label;
        if !(1..=63).contains(&label) || length > 253 {
            return None;
        }
        match rest.get(label..)? {
            [] => return Some(length),
            [b'.', ..] => length += 1,
            [b':', port @ ..] if is_normal_port(port) => return Some(length),
            _ => return None,
        }
    }
}

/// From 1 to 65535, without leading zeros.
fn is_normal_port(digits: &[u8]) -> bool {
    let is_number = matches!(digits, [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
    is_number && (digits.len() < 5 || digits.len() == 5 && digits <= b"65535".as_slice())
}

/// What is in a label in normal form.
const IN_LABEL: [bool; 256] = {
    let mut in_label = [false; 256];
    let mut byte: u8 = 0;
    while byte < u8::MAX {
        in_label[byte as usize] = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        byte += 1;
    }
    in_label
};

fn parse_name(text: &str) -> Result<Cow<'_, str>, HostError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(character) = name.chars().find(|&c| !allowed(c)) {
        return Err(HostError::Character(character));
    }
    if name.len() > 253 {
        return Err(HostError::TooLong(name.len()));
    }
    if name.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(HostError::Label);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

/// One address has many spellings (`[::1]`, `[0:0:0:0:0:0:0:1]`); routes compare the one of RFC 5952.
fn parse_ipv6(literal: &str) -> Result<Cow<'_, str>, HostError> {
    let inner = literal.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: Ipv6Addr = inner.and_then(|inner| inner.parse().ok()).ok_or(HostError::Ipv6)?;
    Ok(Cow::Owned(format!("[{address}]")))
}

fn parse_port(text: &str) -> Result<Option<u16>, HostError> {
    if text.is_empty() {
        return Ok(None);
    }
    // `u16::from_str` accepts a leading `+`; RFC 3986 §3.2.3 has digits only.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::Port);
    }
    match text.parse::<u16>() {
        Ok(0) | Err(_) => Err(HostError::Port),
        Ok(port) => Ok(Some(port)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Cow, Host, HostError, parse_name, split_normal, split_slowly};

    #[test]
    fn spellings_of_one_host_become_one() {
        for (written, normal) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.COM", "api.example.com"),
            ("api.example.com.", "api.example.com"),
            ("192.0.2.7", "192.0.2.7"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[2001:DB8::A]", "[2001:db8::a]"),
            ("my_service", "my_service"),
        ] {
            assert_eq!(Host::parse(written).unwrap().as_str(), normal);
        }
    }

    #[test]
    fn hosts_that_could_mean_two_things_are_refused() {
        let long_label = format!("{}.com", "x".repeat(64));
        let long_name = ["x".repeat(60).as_str(); 5].join(".");
        for (text, error) in [
            ("", HostError::Empty),
            (".", HostError::Empty),
            (":80", HostError::Empty),
            ("admin@example.com", HostError::UserInfo),
            ("example.com..", HostError::Label),
            (".example.com", HostError::Label),
            ("a..b", HostError::Label),
            (&long_label, HostError::Label),
            (&long_name, HostError::TooLong(304)),
            ("a b", HostError::Character(' ')),
            ("a/b", HostError::Character('/')),
            ("a,b", HostError::Character(',')),
            ("a%2eb", HostError::Character('%')),
            ("a\0", HostError::Character('\0')),
            ("größe.de", HostError::Character('ö')),
            ("::1", HostError::Ipv6),
            ("[::1", HostError::Ipv6),
            ("[fe80::1%25eth0]", HostError::Ipv6),
            ("[::1]x", HostError::Ipv6),
            ("[example.com]", HostError::Ipv6),
            ("a:80:80", HostError::Ipv6),
            ("a:+80", HostError::Port),
            ("a:0", HostError::Port),
            ("a:65536", HostError::Port),
            ("a:8 0", HostError::Port),
        ] {
            assert_eq!(Host::parse_authority(text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn a_host_header_may_carry_a_port_and_a_configured_host_may_not() {
        let port =
            |text| Host::parse_authority(text).map(|(host, port)| (host.as_str().to_owned(), port)).unwrap();
        assert_eq!(port("a.b:8080"), ("a.b".to_owned(), Some(8080)));
        assert_eq!(port("a.b:"), ("a.b".to_owned(), None));
        assert_eq!(port("[::1]:0443"), ("[::1]".to_owned(), Some(443)));
        assert_eq!(Host::parse("a.b:8080").unwrap_err(), HostError::UnexpectedPort);
        assert_eq!(Host::parse("a.b:").unwrap_err(), HostError::UnexpectedPort);
    }

    #[test]
    fn a_name_in_normal_form_is_borrowed() {
        assert!(matches!(Host::split_authority("api.example.com:80").unwrap().0, Cow::Borrowed(_)));
        let (label, name) = ("x".repeat(63), ["x".repeat(50).as_str(); 5].join("."));
        for text in ["a", "api.example.com", "192.0.2.7", "my_service-1", &label, &name[..253]] {
            assert_eq!(split_normal(text), Some((text, None)), "{text}");
            assert_eq!(parse_name(text), Ok(Cow::Borrowed(text)));
            assert_eq!(split_normal(&format!("{text}:8080")), Some((text, Some(8080))), "{text}");
        }
        for text in
            ["", ":80", "A", "a.", "a:", "a:0", "a:080", "a:65536", "a:+8", "a:8x", "[::1]", "a:1:2", "a..b"]
        {
            assert_eq!(split_normal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_takes_only_what_the_long_way_takes_as_it_is(text in "[a-zA-Z0-9_.:@\\[-]{0,12}|([a-z0-9]{60,64}\\.?){0,5}(:[0-9]{1,5})?") {
            if let Some((name, port)) = split_normal(&text) {
                prop_assert_eq!(split_slowly(&text), Ok((Cow::Borrowed(name), port)));
            }
        }
    }
}
