//! The tables with a fixed name: `[server]`, `[store]`, `[token]`, `[login]`, `[identity_headers]`, `[log]`,
//! `[audit]`, `[metrics]`. Each key is one call with its name, its rule and its default.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::ptr;
use std::time::Duration;

use http::HeaderName;

use super::diagnostics::{Kind, Problem};
use super::limits::Limits;
use super::local::{LocalPaths, local_path};
use super::reader::{Fields, Given, List};
use super::rule::{count, flag, off_or, one_of, parsed, secret, size, time};
use super::settings::{
    AccessLog, Algorithm, Audit, IdentityHeaders, Log, LogFormat, Login, Metrics, Server, Store, Throttle,
    Token,
};
use super::text::{self, Issuer};
use super::unit::Bytes;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The greatest request body that can be allowed, for `[server]` and for routes.
pub(super) const MAX_BODY: u64 = 1024 * GIB;

/// The shortest time that is not taken for a mistake: under it a healthy peer would be cut off.
pub(super) const TENTH: Duration = Duration::from_millis(100);
/// The longest time that anything may wait.
pub(super) const HOUR: Duration = secs(3600);
const YEAR: Duration = secs(365 * 86_400);

/// Seconds, short enough for a line of settings.
pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Days, likewise.
const fn days(days: u64) -> Duration {
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

/// `[token]`. Without an issuer it is made from the first address that is listened on.
pub(super) fn token(mut fields: Fields<'_, '_, '_>, listen: &[SocketAddr]) -> Token {
    let algorithms = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let issuer = fields.get("issuer", parsed("a URL", text::issuer));
    warn_of_issuer(&mut fields, issuer.as_ref(), listen);
    let rotate_every = fields.given("rotate_every", off_or(time(HOUR..=days(3650))), Some(days(90)));
    // The 5 minutes for which the key set may be kept, and the 10 that most libraries keep it.
    let publish_ahead = fields.given("publish_ahead", time(Duration::ZERO..=days(7)), secs(900));
    let token = Token {
        issuer: issuer.map_or_else(|| default_issuer(listen), |issuer| issuer.value.text),
        audience: fields.or("audience", parsed("a string", text::audience), "portcullis".into()),
        algorithm: fields.or("algorithm", one_of(&algorithms), Algorithm::Es256),
        access_ttl: fields.or("access_ttl", time(secs(1)..=days(7)), secs(900)),
        leeway: fields.or("leeway", time(Duration::ZERO..=secs(60)), secs(5)),
        session_idle_ttl: fields.or("session_idle_ttl", time(secs(60)..=YEAR), secs(14 * 86_400)),
        session_max_ttl: fields.or(
            "session_max_ttl",
            time(secs(60)..=secs(10 * 365 * 86_400)),
            secs(90 * 86_400),
        ),
        refresh_reuse_grace: fields.or("refresh_reuse_grace", time(Duration::ZERO..=secs(60)), secs(10)),
        max_sessions_per_user: fields.or("max_sessions_per_user", count(1..=10_000), 100),
        rotate_every: rotate_every.value,
        publish_ahead: publish_ahead.value,
        cache_size: fields.or("cache_size", size(64 * KIB..=4 * GIB), 8 * MIB),
    };
    publishes_in_time(&mut fields, &rotate_every, &publish_ahead);
    fields.finish();
    token
}

/// `[login]`. `cores` is what `permits = 0` halves.
pub(super) fn login(mut fields: Fields<'_, '_, '_>, cores: usize) -> Login {
    let memory = fields.given("memory", size(64 * KIB..=u64::from(Login::MAX_MEMORY_KIB) * KIB), 19 * MIB);
    let lanes = fields.given("lanes", count(1..=Login::MAX_LANES.into()), 1);
    let permits = fields.or("permits", count(0..=1024), 0);
    let login = Login {
        // The range keeps the quotient below 2^32.
        argon2_memory_kib: u32::try_from(memory.value / KIB).unwrap_or(u32::MAX),
        argon2_passes: fields.or("passes", count(1..=Login::MAX_PASSES.into()), 2),
        argon2_lanes: lanes.value,
        permits: if permits == 0 { (cores / 2).max(1) } else { permits },
        queue: fields.or("queue", count(0..=100_000), 64),
        api_keys: fields.or("api_keys", flag, false),
        throttle: throttle(&mut fields),
    };
    check_memory(&mut fields, &memory, &lanes);
    fields.finish();
    login
}

/// The keys of `[login]` that slow guessing down.
fn throttle(fields: &mut Fields<'_, '_, '_>) -> Throttle {
    let (first_delay, max_delay) = delays(fields, secs(1), secs(60));
    Throttle {
        quick_tries: fields.or("quick_tries", count(1..=1_000_000), 5),
        address_quick_tries: fields.or("address_quick_tries", count(1..=1_000_000), 50),
        first_delay,
        max_delay,
        memory: fields.or("throttle_memory", size(64 * KIB..=4 * GIB), 8 * MIB),
    }
}

/// The first wait and the longest one.
pub(super) fn delays(
    fields: &mut Fields<'_, '_, '_>,
    first: Duration,
    longest: Duration,
) -> (Duration, Duration) {
    let first = fields.given("first_delay", time(TENTH..=HOUR), first);
    let longest = fields.given("max_delay", time(secs(1)..=HOUR), longest);
    if first.value > longest.value {
        let message = format!("is longer than {}", fields.key("max_delay"));
        let problem = Problem::new(Kind::Whole, fields.key("first_delay"), message);
        let (here, there) = (first.span.clone().or(longest.span.clone()), longest.span);
        fields.problems.error(problem.at(here).also(there.filter(|_| first.span.is_some()), "the longest"));
    }
    (first.value, longest.value)
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

/// How long anybody may keep the key set: its `Cache-Control`.
const JWKS_MAX_AGE: Duration = secs(300);

/// The next key is published within the time of the one that signs, and for longer than others may keep the key set.
fn publishes_in_time(
    fields: &mut Fields<'_, '_, '_>,
    rotate_every: &Given<Option<Duration>>,
    publish_ahead: &Given<Duration>,
) {
    if rotate_every.value.is_some_and(|age| publish_ahead.value > age) {
        let message = "must not be more than token.rotate_every";
        let (span, also) = match &publish_ahead.span {
            Some(span) => (Some(span.clone()), rotate_every.span.clone()),
            None => (rotate_every.span.clone(), None),
        };
        let problem = Problem::new(Kind::Whole, fields.key("publish_ahead"), message).at(span);
        fields.problems.error(problem.also(also, "the age at which a key is replaced"));
    } else if !publish_ahead.value.is_zero() && publish_ahead.value < JWKS_MAX_AGE {
        let message = "shorter than the 5m for which others may keep the key set: they would refuse tokens of a new key";
        let problem = Problem::new(Kind::Value, fields.key("publish_ahead"), message);
        fields.problems.warn(problem.at(publish_ahead.span.clone()));
    }
}

/// RFC 9106 §3.1: at least 8 KiB of memory for each lane.
fn check_memory(fields: &mut Fields<'_, '_, '_>, memory: &Given<u64>, lanes: &Given<u32>) {
    let key = fields.key("memory");
    let span = memory.span.clone().or(lanes.span.clone());
    if !memory.value.is_multiple_of(KIB) {
        let problem = Problem::new(Kind::Value, key, "must be a whole number of KiB");
        fields.problems.error(problem.at(span));
    } else if memory.value < 8 * KIB * u64::from(lanes.value) {
        let least = Bytes(8 * KIB * u64::from(lanes.value));
        let message = format!("must be at least {least} for {} lanes (RFC 9106 §3.1)", lanes.value);
        let problem = Problem::new(Kind::Whole, key, message).at(span);
        fields.problems.error(problem.also(lanes.span.clone().filter(|_| memory.span.is_some()), "lanes"));
    } else if memory.value < 7 * MIB {
        let message = "under 7MiB a stolen password database is cheap to guess; for tests only";
        fields.problems.warn(Problem::new(Kind::Value, key, message).at(span));
    }
}

fn warn_of_issuer(fields: &mut Fields<'_, '_, '_>, issuer: Option<&Given<Issuer>>, listen: &[SocketAddr]) {
    let key = fields.key("issuer");
    let problem = match issuer {
        Some(issuer) if issuer.value.plain_http => {
            let message =
                "plain http to a host that is not this one: passwords and tokens can be read on the way";
            Problem::new(Kind::Value, key, message).at(issuer.span.clone())
        }
        None if !fields.has("issuer") && !listen.iter().all(|address| address.ip().is_loopback()) => {
            let message = format!(
                "not given, so tokens name {}; write the URL that clients use",
                default_issuer(listen)
            );
            Problem::new(Kind::Value, key, message).at(fields.header())
        }
        _ => return,
    };
    fields.problems.warn(problem);
}

fn default_issuer(listen: &[SocketAddr]) -> String {
    let fallback = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8080);
    let address = listen.first().copied().unwrap_or(fallback);
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}
