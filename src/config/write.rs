//! A [`Config`] as a file that means the same, with every default filled in.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use crate::name::LimitName;
use crate::route::Access;
use crate::secret::SecretSource;

use super::issuers::{ForeignAlgorithm, ForeignIssuer, KeySource};
use super::limits::Limit;
use super::login::Login;
use super::reader::bare;
use super::registration::Registration;
use super::settings::{AccessLog, Audit, Config, Log, LogFormat, Route, Server, Store, Target, Upstream};
use super::token::Token;
use super::unit::{Bytes, Span};

/// TOML that [`super::parse`] reads as an equal configuration on any machine; local endpoints are left out, because
/// they are implied.
impl Display for Config {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        server(f, &self.server, &self.limits)?;
        store(f, &self.store)?;
        token(f, &self.token)?;
        login(f, &self.login)?;
        registration(f, &self.registration)?;
        writeln!(f, "\n[identity_headers]")?;
        writeln!(f, "user = {}", text(&self.identity_headers.user))?;
        writeln!(f, "role = {}", text(&self.identity_headers.role))?;
        log(f, &self.log)?;
        audit(f, &self.audit)?;
        writeln!(f, "\n[metrics]")?;
        writeln!(f, "enabled = {}", self.metrics.enabled)?;
        for item in &self.limits {
            limit(f, item)?;
        }
        for item in &self.issuers {
            issuer(f, item)?;
        }
        for item in &self.upstreams {
            upstream(f, item)?;
        }
        for (_, item) in self.routes.iter() {
            if let Target::Upstream(index) = item.target {
                let name = self.upstreams.get(index).map_or("", |upstream| upstream.name.as_str());
                route(f, item, name, &self.limits)?;
            }
        }
        Ok(())
    }
}

fn server(f: &mut Formatter<'_>, it: &Server, limits: &[Limit]) -> fmt::Result {
    writeln!(f, "[server]")?;
    writeln!(f, "listen = {}", array(&it.listen))?;
    writeln!(f, "workers = {}", it.workers)?;
    writeln!(f, "trusted_proxies = {}", array(&it.trusted_proxies))?;
    writeln!(f, "token_path = {}", text(&it.token_path))?;
    writeln!(f, "local_prefix = {}", text(&it.local_prefix))?;
    writeln!(f, "health_path = {}", text(&it.health_path))?;
    writeln!(f, "ready_path = {}", text(&it.ready_path))?;
    writeln!(f, "max_connections = {}", it.max_connections)?;
    writeln!(f, "max_header_size = {}", text(&Bytes(it.max_header_size as u64)))?;
    writeln!(f, "max_headers = {}", it.max_headers)?;
    writeln!(f, "max_uri_size = {}", text(&Bytes(it.max_uri_size as u64)))?;
    writeln!(f, "max_body = {}", text(&Bytes(it.max_body)))?;
    writeln!(f, "limits = {}", array(names(&it.limits, limits)))?;
    writeln!(f, "max_streams = {}", it.max_streams)?;
    writeln!(f, "header_timeout = {}", text(&Span(it.header_timeout)))?;
    writeln!(f, "body_timeout = {}", text(&Span(it.body_timeout)))?;
    writeln!(f, "write_timeout = {}", text(&Span(it.write_timeout)))?;
    writeln!(f, "keepalive_timeout = {}", text(&Span(it.keepalive_timeout)))?;
    writeln!(f, "shutdown_grace = {}", text(&Span(it.shutdown_grace)))
}

fn store(f: &mut Formatter<'_>, it: &Store) -> fmt::Result {
    writeln!(f, "\n[store]")?;
    writeln!(f, "path = {}", path(&it.path))?;
    writeln!(f, "cache_size = {}", text(&Bytes(it.cache_size)))?;
    writeln!(f, "encryption_key = {}", secret(it.encryption_key.as_ref()))?;
    writeln!(f, "encryption_key_old = {}", secret(it.encryption_key_old.as_ref()))
}

/// Where a secret is; the secret itself is not known here.
fn secret(source: Option<&SecretSource>) -> String {
    match source {
        None => text(&"off"),
        Some(SecretSource::Env(name)) => format!("{{ env = {} }}", text(name)),
        Some(SecretSource::File(file)) => format!("{{ file = {} }}", path(file)),
    }
}

fn token(f: &mut Formatter<'_>, it: &Token) -> fmt::Result {
    writeln!(f, "\n[token]")?;
    writeln!(f, "issuer = {}", text(&it.issuer))?;
    writeln!(f, "audience = {}", text(&it.audience))?;
    writeln!(f, "algorithm = {}", text(&it.algorithm.name()))?;
    writeln!(f, "access_ttl = {}", text(&Span(it.access_ttl)))?;
    writeln!(f, "leeway = {}", text(&Span(it.leeway)))?;
    writeln!(f, "session_idle_ttl = {}", text(&Span(it.session_idle_ttl)))?;
    writeln!(f, "session_max_ttl = {}", text(&Span(it.session_max_ttl)))?;
    writeln!(f, "refresh_reuse_grace = {}", text(&Span(it.refresh_reuse_grace)))?;
    writeln!(f, "max_sessions_per_user = {}", it.max_sessions_per_user)?;
    let rotate_every = it.rotate_every.map_or_else(|| "off".to_owned(), |age| Span(age).to_string());
    writeln!(f, "rotate_every = {}", text(&rotate_every))?;
    writeln!(f, "publish_ahead = {}", text(&Span(it.publish_ahead)))?;
    writeln!(f, "cache_size = {}", text(&Bytes(it.cache_size)))
}

fn login(f: &mut Formatter<'_>, it: &Login) -> fmt::Result {
    writeln!(f, "\n[login]")?;
    writeln!(f, "memory = {}", text(&Bytes(u64::from(it.argon2_memory_kib) << 10)))?;
    writeln!(f, "passes = {}", it.argon2_passes)?;
    writeln!(f, "lanes = {}", it.argon2_lanes)?;
    writeln!(f, "permits = {}", it.permits)?;
    writeln!(f, "queue = {}", it.queue)?;
    writeln!(f, "api_keys = {}", it.api_keys)?;
    writeln!(f, "quick_tries = {}", it.throttle.quick_tries)?;
    writeln!(f, "address_quick_tries = {}", it.throttle.address_quick_tries)?;
    writeln!(f, "first_delay = {}", text(&Span(it.throttle.first_delay)))?;
    writeln!(f, "max_delay = {}", text(&Span(it.throttle.max_delay)))?;
    writeln!(f, "throttle_memory = {}", text(&Bytes(it.throttle.memory)))
}

fn registration(f: &mut Formatter<'_>, it: &Registration) -> fmt::Result {
    writeln!(f, "\n[registration]")?;
    writeln!(f, "mode = {}", text(&it.mode.name()))?;
    writeln!(f, "default_roles = {}", array(it.default_roles.iter()))?;
    writeln!(f, "privileged_roles = {}", array(it.privileged_roles.iter()))?;
    writeln!(f, "max_users = {}", it.max_users)?;
    writeln!(f, "quick_tries = {}", it.throttle.quick_tries)?;
    writeln!(f, "first_delay = {}", text(&Span(it.throttle.first_delay)))?;
    writeln!(f, "max_delay = {}", text(&Span(it.throttle.max_delay)))
}

fn log(f: &mut Formatter<'_>, it: &Log) -> fmt::Result {
    writeln!(f, "\n[log]")?;
    writeln!(f, "level = {}", text(&it.level))?;
    let format = match it.format {
        LogFormat::Auto => "auto",
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    writeln!(f, "format = {}", text(&format))?;
    let access = match &it.access {
        AccessLog::Off => text(&"off"),
        AccessLog::Stdout => text(&"stdout"),
        AccessLog::File(file) => path(file),
    };
    writeln!(f, "access = {access}")
}

fn audit(f: &mut Formatter<'_>, it: &Audit) -> fmt::Result {
    writeln!(f, "\n[audit]")?;
    writeln!(f, "path = {}", it.path.as_ref().map_or_else(|| text(&"off"), |file| path(file)))?;
    writeln!(f, "max_size = {}", text(&Bytes(it.max_size)))?;
    writeln!(f, "max_files = {}", it.max_files)
}

fn limit(f: &mut Formatter<'_>, it: &Limit) -> fmt::Result {
    writeln!(f, "\n[limit.{}]", bare(it.name.as_str()))?;
    writeln!(f, "rate = {}", text(&it.rate))?;
    writeln!(f, "burst = {}", it.burst)?;
    writeln!(f, "per = {}", text(&it.per.name()))?;
    writeln!(f, "memory = {}", text(&Bytes(it.memory)))
}

fn issuer(f: &mut Formatter<'_>, it: &ForeignIssuer) -> fmt::Result {
    writeln!(f, "\n[[issuer]]")?;
    writeln!(f, "name = {}", text(&it.name))?;
    writeln!(f, "issuer = {}", text(&it.issuer))?;
    match &it.keys {
        KeySource::Url(url) => writeln!(f, "jwks_url = {}", text(url))?,
        KeySource::File(file) => writeln!(f, "jwks_file = {}", path(file))?,
        KeySource::Discovery(_) => {}
    }
    writeln!(f, "audience = {}", array(&it.audience))?;
    writeln!(f, "algorithms = {}", array(it.algorithms.iter().copied().map(ForeignAlgorithm::name)))?;
    writeln!(f, "user_claim = {}", array(it.user_claim.iter()))?;
    writeln!(f, "user_prefix = {}", text(&it.user_prefix))?;
    let roles_claim = it.roles_claim.as_ref().map_or_else(|| text(&"off"), |claim| array(claim.iter()));
    writeln!(f, "roles_claim = {roles_claim}")?;
    let roles = it.roles.iter().map(|(theirs, ours)| format!("{} = {}", text(theirs), array(ours.iter())));
    writeln!(f, "roles = {{ {} }}", roles.collect::<Vec<_>>().join(", "))?;
    writeln!(f, "refresh = {}", text(&Span(it.refresh)))?;
    writeln!(f, "unknown_kid_interval = {}", text(&Span(it.unknown_kid_interval)))?;
    writeln!(f, "timeout = {}", text(&Span(it.timeout)))?;
    writeln!(f, "ca_file = {}", it.ca_file.as_ref().map_or_else(|| text(&"off"), |file| path(file)))
}

fn names<'l>(positions: &'l [usize], limits: &'l [Limit]) -> impl Iterator<Item = &'l LimitName> {
    positions.iter().filter_map(|&position| limits.get(position)).map(|limit| &limit.name)
}

fn upstream(f: &mut Formatter<'_>, it: &Upstream) -> fmt::Result {
    writeln!(f, "\n[upstream.{}]", bare(it.name.as_str()))?;
    let servers: Vec<String> = it.servers.iter().map(|server| format!("http://{server}")).collect();
    writeln!(f, "servers = {}", array(&servers))?;
    writeln!(f, "connect_timeout = {}", text(&Span(it.connect_timeout)))?;
    writeln!(f, "response_timeout = {}", text(&Span(it.response_timeout)))?;
    writeln!(f, "idle_timeout = {}", text(&Span(it.idle_timeout)))
}

fn route(f: &mut Formatter<'_>, it: &Route, upstream: &str, limits: &[Limit]) -> fmt::Result {
    writeln!(f, "\n[[route]]")?;
    writeln!(f, "name = {}", text(&it.name))?;
    if let Some(host) = it.pattern.host() {
        writeln!(f, "host = {}", text(host))?;
    }
    writeln!(f, "path = {}", text(it.pattern.path()))?;
    if !it.pattern.methods().is_any() {
        writeln!(f, "methods = {}", array(it.pattern.methods().named()))?;
    }
    match &it.access {
        Access::Public => writeln!(f, "access = \"public\"")?,
        Access::Authenticated => writeln!(f, "access = \"authenticated\"")?,
        Access::Roles(roles) => writeln!(f, "roles = {}", array(roles.iter()))?,
    }
    writeln!(f, "upstream = {}", text(&upstream))?;
    writeln!(f, "strip_prefix = {}", it.strip_prefix)?;
    writeln!(f, "forward_authorization = {}", it.forward_authorization)?;
    writeln!(f, "max_body = {}", text(&Bytes(it.max_body)))?;
    writeln!(f, "allow_encoded_slash = {}", it.allow_encoded_slash)?;
    writeln!(f, "outlive_token = {}", it.outlive_token)?;
    writeln!(f, "limits = {}", array(names(&it.limits, limits)))
}

/// A basic string of TOML: control characters, quotes and backslashes escaped.
fn text(value: &(impl Display + ?Sized)) -> String {
    let mut out = String::from("\"");
    for c in value.to_string().chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn path(value: &Path) -> String {
    text(&value.display())
}

fn array<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", items.into_iter().map(|item| text(&item)).collect::<Vec<_>>().join(", "))
}
