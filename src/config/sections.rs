//! The tables with a fixed name and little to say: `[server]`, `[store]`, `[identity_headers]`, `[log]`, `[audit]`, `[metrics]`. Each key
//! is one call with its name, its rule and its default; here and for the tables that have a file of their own.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::ptr;
use std::time::Duration;

use http::HeaderName;

use super::diagnostics::{Kind, Problem};
use super::limits::Limits;
use super::local::{LocalPaths, local_path};
use super::reader::{Fields, Given, List};
use super::rule::{count, flag, off_or, one_of, parsed, secret, size, time};
use super::settings::{AccessLog, Audit, IdentityHeaders, Log, LogFormat, Metrics, Server, Store};
use super::text;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// The greatest request body that can be allowed, for `[server]` and for routes.
pub(super) const MAX_BODY: u64 = 1024 * GIB;

/// The shortest time that is not taken for a mistake: under it a healthy peer would be cut off.
pub(super) const TENTH: Duration = Duration::from_millis(100);
/// The longest time that anything may wait.
pub(super) const HOUR: Duration = secs(3600);
/// 365 days.
pub(super) const YEAR: Duration = secs(365 * 86_400);

/// Seconds, short enough for a line of settings.
pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Days, likewise.
pub(super) const fn days(days: u64) -> Duration {
    secs(days * 86_400)
}

/// `[server]`, and where its paths stand. `cores` is what `workers = 0` means.
pub(super) fn server(mut fields: Fields<'_, '_, '_>, cores: usize, limits: &Limits) -> (Server, LocalPaths) {
    let f = &mut fields;
    let paths = LocalPaths {
        token: f.given("token_path", parsed("a path", local_path), "/token".into()),
        prefix: f.given("local_prefix", parsed("a path", local_path), "/auth".into()),
        health: f.given("health_path", parsed("a path", local_path), "/healthz".into()),
        ready: f.given("ready_path", parsed("a path", local_path), "/readyz".into()),
        issuer: String::new(),
    };
    let head = f.given("max_header_size", size(8 * KIB..=MIB), 32 * 1024);
    let target = f.given("max_uri_size", size(256..=32 * KIB), 8 * 1024);
    let workers = f.or("workers", count(0..=1024), 0);
    let server = Server {
        listen: listen(f),
        workers: if workers == 0 { cores.max(1) } else { workers },
        trusted_proxies: trusted_proxies(f),
        token_path: paths.token.value.clone(),
        local_prefix: paths.prefix.value.clone(),
        health_path: paths.health.value.clone(),
        ready_path: paths.ready.value.clone(),
        max_connections: f.or("max_connections", count(1..=1_000_000), 10_000),
        max_header_size: head.value,
        max_headers: f.or("max_headers", count(8..=1000), 100),
        max_uri_size: target.value,
        max_body: f.or("max_body", size(0..=MAX_BODY), 10 * MIB),
        limits: limits.named(f).unwrap_or_default(),
        max_streams: f.or("max_streams", count(1..=10_000), 100),
        header_timeout: f.or("header_timeout", time(TENTH..=secs(600)), secs(10)),
        body_timeout: f.or("body_timeout", time(TENTH..=HOUR), secs(30)),
        write_timeout: f.or("write_timeout", time(TENTH..=HOUR), secs(30)),
        keepalive_timeout: f.or("keepalive_timeout", time(TENTH..=HOUR), secs(75)),
        shutdown_grace: f.or("shutdown_grace", time(TENTH..=HOUR), secs(30)),
    };
    target_fits_head(f, &target, &head);
    fields.finish();
    (server, paths)
}

/// `[store]`. A relative path starts at `base`, the file's directory.
pub(super) fn store(mut fields: Fields<'_, '_, '_>, base: &Path) -> Store {
    let path = fields.or("path", parsed("a directory", text::file_path), "./data".into());
    let store = Store {
        path: text::below(base, &path),
        cache_size: fields.or("cache_size", size(MIB..=64 * GIB), 8 * MIB),
        encryption_key: fields.or("encryption_key", off_or(secret(base)), None),
        encryption_key_old: fields.or("encryption_key_old", off_or(secret(base)), None),
    };
    fields.finish();
    store
}

/// `[identity_headers]`
pub(super) fn identity_headers(mut fields: Fields<'_, '_, '_>) -> IdentityHeaders {
    let header = |text: &str| text::identity_header(text);
    let user = fields.given("user", parsed("a header name", header), HeaderName::from_static("x-user"));
    let role = fields.given("role", parsed("a header name", header), HeaderName::from_static("x-role"));
    if text::folded(user.value.as_str()) == text::folded(role.value.as_str()) {
        let message = "the same header as identity_headers.user, once case and punctuation are set aside";
        let (here, there) = if role.span.is_some() { (role.span, user.span) } else { (user.span, None) };
        let problem = Problem::new(Kind::Whole, fields.key("role"), message).at(here.or(fields.header()));
        fields.problems.error(problem.also(there, "the other one"));
    }
    fields.finish();
    IdentityHeaders { user: user.value, role: role.value }
}

/// `[log]`. A relative path starts at `base`, the file's directory.
pub(super) fn log(mut fields: Fields<'_, '_, '_>, base: &Path) -> Log {
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log = Log {
        level: fields.or("level", parsed("a string", text::log_level), "info".into()),
        format: fields.or("format", one_of(&formats), LogFormat::Auto),
        access: fields.or(
            "access",
            parsed("a string", |text| text::access_log(text, base)),
            AccessLog::Stdout,
        ),
    };
    fields.finish();
    log
}

/// `[audit]`. A relative path starts at `base`, the file's directory; without one the records are in `data`, the data directory.
pub(super) fn audit(mut fields: Fields<'_, '_, '_>, base: &Path, data: &Path) -> Audit {
    let path = parsed("a string", |text| text::audit_log(text, base));
    let audit = Audit {
        path: fields.or("path", path, Some(data.join("audit.log"))),
        max_size: fields.or("max_size", size(64 * KIB..=64 * GIB), 64 * MIB),
        max_files: fields.or("max_files", count(2..=10_000), 10),
    };
    fields.finish();
    audit
}

/// `[metrics]`
pub(super) fn metrics(mut fields: Fields<'_, '_, '_>) -> Metrics {
    let metrics = Metrics { enabled: fields.or("enabled", flag, true) };
    fields.finish();
    metrics
}

fn listen(fields: &mut Fields<'_, '_, '_>) -> Vec<SocketAddr> {
    let default = || vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080)];
    let Some(list) = fields.list("listen", List::OneOrMore, parsed("an address", text::address)) else {
        return default();
    };
    if list.elements == 0 {
        let message = "expected at least one address";
        let empty = Problem::new(Kind::Value, fields.key("listen"), message).at(list.span);
        fields.problems.error(empty);
        return default();
    }
    distinct(fields, "listen", &list.items);
    list.items.into_iter().map(|address| address.value).collect()
}

fn trusted_proxies(fields: &mut Fields<'_, '_, '_>) -> Vec<ipnet::IpNet> {
    let rule = parsed("an address or a network", text::network);
    let list = fields.list("trusted_proxies", List::Array, rule).map(|list| list.items).unwrap_or_default();
    distinct(fields, "trusted_proxies", &list);
    list.into_iter().map(|network| network.value).collect()
}

/// Reports each element that is in the list before.
pub(super) fn distinct<T: Eq + Hash>(fields: &mut Fields<'_, '_, '_>, name: &str, list: &[Given<T>]) {
    let mut firsts = HashMap::with_capacity(list.len());
    for item in list {
        let first = *firsts.entry(&item.value).or_insert(item);
        if !ptr::eq(first, item) {
            let problem = Problem::new(Kind::Value, fields.key(name), "given twice").at(item.span.clone());
            fields.problems.error(problem.also(first.span.clone(), "first given here"));
        }
    }
}

/// A target that is allowed but never fits the head would be answered 431 where 414 is promised.
fn target_fits_head(fields: &mut Fields<'_, '_, '_>, target: &Given<usize>, head: &Given<usize>) {
    if target.value > head.value {
        let message = "must not be more than server.max_header_size, since the target is a part of the head";
        let (span, also) = match &target.span {
            Some(span) => (Some(span.clone()), head.span.clone()),
            None => (head.span.clone(), None),
        };
        let problem = Problem::new(Kind::Whole, fields.key("max_uri_size"), message).at(span);
        fields.problems.error(problem.also(also, "the whole head"));
    }
}
