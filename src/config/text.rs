//! Texts with a grammar of their own: addresses, URLs, header names, log filters.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use http::uri::{Authority, Scheme};
use http::{HeaderName, Uri};
use ipnet::IpNet;
use tracing_subscriber::filter::Targets;

use crate::route::Host;

use super::diagnostics::{did_you_mean, quote};
use super::local::local_path;
use super::reader::Fault;
use super::settings::AccessLog;

/// Fields that HTTP, its proxies or we ourselves give a meaning: none of them can carry an identity.
const RESERVED: [&str; 36] = [
    "accept",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "etag",
    "expect",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "www-authenticate",
    "x-real-ip",
];

/// Families of such fields.
const RESERVED_PREFIXES: [&str; 8] = [
    "accept-",
    "access-control-",
    "content-",
    "if-",
    "sec-",
    "x-forwarded-",
    "x-request-id",
    "x-http-method",
];

/// `127.0.0.1:8080`, `[::1]:8080`.
pub(super) fn address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| Fault {
        message: format!("expected an IP address and a port, not {}", quote(text)),
        help: guess_address(text).map(|guess| format!("write \"{guess}\"")),
    })
}

/// `10.0.0.0/8`, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, Fault> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = parsed.map_err(|_| format!("expected an address or a network, not {}", quote(text)))?;
    // 10.0.0.1/8 trusts sixteen million hosts where one may have been meant.
    if network.addr() == network.network() {
        Ok(network)
    } else {
        let message =
            format!("has bits beyond its prefix length: {} or {}?", network.trunc(), network.addr());
        Err(message.into())
    }
}

/// A path of the file system; any text but an empty one.
pub(super) fn file_path(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(format!("expected a path, not {}", quote(text)).into());
    }
    Ok(text.into())
}

/// A path from the file, seen from the file's directory. Trailing and inner `./` vanish.
pub(super) fn below(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().collect()
}

/// An issuer and what must be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issuer {
    /// As it stands in the file: issuers compare byte for byte (RFC 8414 §3.3).
    pub(super) text: String,
    /// Neither https nor loopback.
    pub(super) plain_http: bool,
}

/// RFC 8414 §2: a URL with a host and without query or fragment.
pub(super) fn issuer(text: &str) -> Result<Issuer, Fault> {
    let expected = "expected an https URL without query and fragment, such as \"https://login.example.com\"";
    let refuse = || Fault::from(format!("{expected}, not {}", quote(text)));
    // `Uri` drops a fragment silently, and takes characters in a path that no URL has (RFC 3986 §2) and a quoted string must not.
    let strange = |c: char| !c.is_ascii_graphic() || "?#@\"\\<>^`{|}".contains(c);
    if text.contains(strange) || text.len() > 1024 {
        return Err(refuse());
    }
    let uri = text.parse::<Uri>().map_err(|_| refuse())?;
    let authority =
        uri.authority().filter(|authority| host_and_port(authority).is_some()).ok_or_else(refuse)?;
    let plain = match uri.scheme().map(Scheme::as_str) {
        Some("https") => false,
        Some("http") => !is_loopback(authority.host()),
        _ => return Err(refuse()),
    };
    // It becomes the end of a path of ours (RFC 8414 §3.1).
    let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
    if !path.is_empty() && local_path(path).is_err() {
        let message =
            format!("the path of an issuer has neither \"..\" nor \"//\" nor \"*\", unlike {}", quote(text));
        return Err(message.into());
    }
    Ok(Issuer { text: text.into(), plain_http: plain })
}

/// RFC 7519 §4.1.3 allows any string; ours is one that needs no quoting anywhere.
pub(super) fn audience(text: &str) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if (1..=256).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.into());
    }
    Err("expected 1 to 256 visible ASCII characters without space, quote and backslash".into())
}

/// A field name that is free to carry an identity.
pub(super) fn identity_header(text: &str) -> Result<HeaderName, Fault> {
    let name: HeaderName = text
        .parse()
        .map_err(|_| format!("expected the name of a header field (RFC 9110 §5.1), not {}", quote(text)))?;
    let folded = folded(name.as_str());
    let taken = RESERVED.contains(&folded.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| folded.starts_with(prefix));
    if taken || folded.len() > 64 || folded.chars().all(|c| c == '-') {
        return Err(format!(
            "{} has another meaning; a name of your own, such as X-User, has none",
            quote(text)
        )
        .into());
    }
    Ok(name)
}

/// A field name as the most lenient backend reads it: lower case, everything but letters and digits a hyphen. CGI and
/// WSGI read `X_User` as `X-User`.
pub(super) fn folded(name: &str) -> String {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(fold).collect()
}

/// A level, or a filter such as `info,portcullis::proxy=debug`.
pub(super) fn log_level(text: &str) -> Result<String, Fault> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    // A filter may be a bare target, so that every misspelt level is one: a word must be a level. No target has a control character
    // in its name, but the parser takes one, and what it takes goes into the log's own messages.
    let filter =
        text.contains(['=', ',']) && !text.contains(char::is_control) && text.parse::<Targets>().is_ok();
    if text.len() <= 1024 && (filter || LEVELS.contains(&text)) {
        return Ok(text.into());
    }
    Err(Fault {
        message: format!(
            "expected error, warn, info, debug, trace, off or target=level pairs, not {}",
            quote(text)
        ),
        help: did_you_mean(text, LEVELS),
    })
}

/// `off`, `stdout`, or a file.
pub(super) fn access_log(text: &str, base: &Path) -> Result<AccessLog, Fault> {
    Ok(match word_or_file(text, base, &["off", "stdout"])? {
        Ok(file) => AccessLog::File(file),
        Err("stdout") => AccessLog::Stdout,
        Err(_) => AccessLog::Off,
    })
}

/// `off`, or a file.
pub(super) fn audit_log(text: &str, base: &Path) -> Result<Option<PathBuf>, Fault> {
    Ok(word_or_file(text, base, &["off"])?.ok())
}

/// A file, or else one of the words. A file has a slash, so that a misspelt word is not one.
fn word_or_file<'t>(text: &'t str, base: &Path, words: &[&str]) -> Result<Result<PathBuf, &'t str>, Fault> {
    if words.contains(&text) {
        return Ok(Err(text));
    }
    if text.contains('/') {
        return Ok(Ok(below(base, &file_path(text)?)));
    }
    let list = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    Err(Fault {
        message: format!("expected {list} or a file with a slash in its path, not {}", quote(text)),
        help: did_you_mean(text, words.iter().copied())
            .or_else(|| Some(format!("write {:?}", format!("./{text}")))),
    })
}

/// `http://host:port`; without a port it is 80.
pub(super) fn server_url(text: &str) -> Result<Authority, Fault> {
    let refuse = |why: &str| Fault::from(format!("expected \"http://host:port\"; {why}"));
    let Some((scheme, rest)) = text.split_once("://") else {
        let help = Some(format!("write {:?}", format!("http://{text}")));
        return Err(Fault { help, ..refuse("the scheme is missing") });
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => return Err(refuse("https to upstreams is not supported by this version")),
        _ => return Err(refuse("the scheme must be http")),
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return Err(refuse("a user or password has no place here"));
    }
    if authority.contains(['/', '?', '#']) {
        return Err(refuse("a path has no place here: use strip_prefix on the route"));
    }
    let parsed: Authority = authority.parse().map_err(|_| refuse("this is no host and port"))?;
    let (host, port) = host_and_port(&parsed).ok_or_else(|| refuse("this is no host and port"))?;
    let port = port.unwrap_or(80);
    if port == 0 {
        return Err(refuse("the port must not be 0"));
    }
    format!("{}:{port}", host.to_ascii_lowercase()).parse().map_err(|_| refuse("this is no host and port"))
}

/// The parts of an authority when both can be connected to. `Authority` accepts more, such as `:80` and `a%zz:99999`.
pub(super) fn host_and_port(authority: &Authority) -> Option<(&str, Option<u16>)> {
    let host = authority.host();
    Host::parse(host).ok()?;
    match authority.as_str().strip_prefix(host)? {
        "" => Some((host, None)),
        port => Some((host, Some(port.strip_prefix(':')?.parse().ok()?))),
    }
}

/// Whether a host is this machine and no other.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What `:8080`, `8080`, `*:8080` and `localhost:8080` were meant to be.
fn guess_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
    let host = match host {
        "" | "*" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        _ => return text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 8080)),
    };
    format!("{host}:{port}").parse().ok()
}
