//! The resolved configuration: values that cannot be wrong. Only [`super::load`] and [`super::parse`] make a [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::uri::Authority;
use ipnet::IpNet;

use super::issuers::ForeignIssuer;
use super::limits::{Limit, NamedLimits};
use super::registration::Registration;
use crate::name::{RouteName, UpstreamName};
use crate::route::{Access, Pattern, Table};
use crate::secret::SecretSource;

/// The whole file, checked.
#[derive(Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[store]`
    pub store: Store,
    /// `[token]`
    pub token: Token,
    /// `[[issuer]]`, in the order of the file.
    pub issuers: Vec<ForeignIssuer>,
    /// `[login]`
    pub login: Login,
    /// `[registration]`
    pub registration: Registration,
    /// `[identity_headers]`
    pub identity_headers: IdentityHeaders,
    /// `[log]`
    pub log: Log,
    /// `[audit]`
    pub audit: Audit,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[limit.NAME]`, in the order of their names. Where limits are named, it is by their positions in this list.
    pub limits: Vec<Limit>,
    /// `[upstream.NAME]`, in the order of their names. A [`Target::Upstream`] is an index into this list.
    pub upstreams: Vec<Upstream>,
    /// `[[route]]` and the local endpoints, ready to be searched.
    pub routes: Table<Arc<Route>>,
    /// What is allowed and yet probably a mistake, as lines that begin with `file:line:column`.
    pub warnings: Vec<String>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Addresses of the public listener.
    pub listen: Vec<SocketAddr>,
    /// Worker threads; 0 in the file means one per core.
    pub workers: usize,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The token endpoint, `/token`.
    pub token_path: String,
    /// The prefix of the other local endpoints, `/auth`, without a slash at its end.
    pub local_prefix: String,
    /// `/healthz`
    pub health_path: String,
    /// `/readyz`
    pub ready_path: String,
    /// Open client connections, over all workers.
    pub max_connections: usize,
    /// Bytes of a request's head: request line and header fields.
    pub max_header_size: usize,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of a request target; longer is 414.
    pub max_uri_size: usize,
    /// Bytes of a request body, unless the route says otherwise.
    pub max_body: u64,
    /// Of routes that name no limits, and of requests without a route.
    pub limits: NamedLimits,
    /// Concurrent HTTP/2 streams of one connection.
    pub max_streams: u32,
    /// From the first byte of a request to the end of its head.
    pub header_timeout: Duration,
    /// Without a byte of a request body that we wait for.
    pub body_timeout: Duration,
    /// Without the client taking a byte of what we want to send.
    pub write_timeout: Duration,
    /// A kept-alive connection without a request.
    pub keepalive_timeout: Duration,
    /// What is in flight at shutdown has this long to finish.
    pub shutdown_grace: Duration,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The data directory. A relative path in the file is relative to the file's directory.
    pub path: PathBuf,
    /// Bytes of sled's page cache.
    pub cache_size: u64,
    /// Where the key is that encrypts the secrets in the store; `None` if they are kept in clear.
    pub encryption_key: Option<SecretSource>,
    /// The same before the last change. Secrets under it are encrypted anew at the next start.
    pub encryption_key_old: Option<SecretSource>,
}

/// `[token]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// `iss`. An https URL without query or fragment (RFC 8414 §2); http is allowed for loopback hosts and with a warning in `check`.
    pub issuer: String,
    /// `aud` of the tokens that we issue and accept.
    pub audience: String,
    /// What new tokens are signed with.
    pub algorithm: Algorithm,
    /// Lifetime of an access token.
    pub access_ttl: Duration,
    /// Tolerance for `exp`, `nbf` and `iat`, at most one minute.
    pub leeway: Duration,
    /// A session that is not refreshed for so long ends.
    pub session_idle_ttl: Duration,
    /// A session ends after so long, however often it is refreshed.
    pub session_max_ttl: Duration,
    /// How long the refresh token before the newest one still gets an answer.
    pub refresh_reuse_grace: Duration,
    /// With one more session of a user, that which was not used for the longest time gives way.
    pub max_sessions_per_user: usize,
    /// The age at which a signing key is replaced; `None` for never.
    pub rotate_every: Option<Duration>,
    /// How long a new signing key is published before it signs.
    pub publish_ahead: Duration,
    /// Bytes of the cache of verified tokens, for each worker.
    pub cache_size: u64,
}

/// A signature algorithm (RFC 7518 §3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256, the default.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// HMAC with SHA-256: nobody but this gateway can verify its tokens.
    Hs256,
}

impl Algorithm {
    /// All of them, in the order in which we would recommend them.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256];

    /// The name in the configuration and in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }
}

impl Token {
    /// The path of the issuer, without a slash at its end; empty if it has none.
    #[must_use]
    pub fn issuer_path(&self) -> &str {
        let behind_scheme = self.issuer.split_once("://").map_or("", |(_, rest)| rest);
        let path = behind_scheme.find('/').and_then(|at| behind_scheme.get(at..));
        path.unwrap_or_default().trim_end_matches('/')
    }

    /// Where the metadata of the gateway as a protected resource is. The path of the issuer, by which clients know the gateway, comes
    /// last (RFC 9728 §3.1).
    #[must_use]
    pub fn resource_metadata(&self) -> String {
        let (issuer, path) = (self.issuer.trim_end_matches('/'), self.issuer_path());
        let origin = issuer.strip_suffix(path).unwrap_or(issuer);
        format!("{origin}{}{path}", super::local::RESOURCE)
    }
}

/// `[login]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// argon2id memory in KiB (`memory = "19MiB"` in the file).
    pub argon2_memory_kib: u32,
    /// argon2id passes.
    pub argon2_passes: u32,
    /// argon2id lanes.
    pub argon2_lanes: u32,
    /// Password hashes computed at the same time; 0 in the file means `max(1, cores / 2)`.
    pub permits: usize,
    /// Logins that may wait for a permit; one more is answered 503.
    pub queue: usize,
    /// Whether programs may send an API key in place of a token.
    pub api_keys: bool,
    /// What slows guessing down.
    pub throttle: Throttle,
}

impl Login {
    /// The most memory for one hash, in KiB: 256 MiB. These three bound stored hashes too, wherever they were made, so that each hash
    /// that is made by the configuration can be checked.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
    /// The most passes.
    pub const MAX_PASSES: u32 = 16;
    /// The most lanes.
    pub const MAX_LANES: u32 = 16;
}

/// The part of `[login]` that slows guessing down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Tries without a wait, for one username from one address.
    pub quick_tries: u32,
    /// Failed tries without a wait, for all usernames from one address.
    pub address_quick_tries: u32,
    /// The wait behind the last quick try; it doubles with each further one.
    pub first_delay: Duration,
    /// The longest wait between two tries, and the time after which one try is forgotten.
    pub max_delay: Duration,
    /// Bytes of the counters (`throttle_memory` in the file).
    pub memory: u64,
}

/// `[identity_headers]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Carries the username.
    pub user: HeaderName,
    /// Carries the roles, joined by commas.
    pub role: HeaderName,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter in tracing's syntax.
    pub level: String,
    /// How records look.
    pub format: LogFormat,
    /// Where access records go.
    pub access: AccessLog,
}

/// `[log] format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// `[log] access`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// `"off"`
    Off,
    /// `"stdout"`, the default. Other log records go to standard error.
    Stdout,
    /// Text with a slash is a file's path (a bare word is more likely misspelt); relative to the file's directory. The file
    /// is appended to, and opened again at SIGHUP.
    File(PathBuf),
}

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The file of audit records; `None` for `"off"`. Without the key: `audit.log` in the data directory.
    pub path: Option<PathBuf>,
    /// Bytes after which a file is closed and the chain goes on in a new one.
    pub max_size: u64,
    /// Files that are kept, the one in use included.
    pub max_files: usize,
}

/// `[metrics]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// Whether anything is counted, and `/metrics` answered.
    pub enabled: bool,
}

/// `[upstream.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// NAME.
    pub name: UpstreamName,
    /// `http://host:port`, at least one.
    pub servers: Vec<Authority>,
    /// To establish a TCP connection, name resolution included.
    pub connect_timeout: Duration,
    /// From the end of the request to the head of the response.
    pub response_timeout: Duration,
    /// How long an idle connection is kept for reuse.
    pub idle_timeout: Duration,
}

/// `[[route]]`, or a local endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its position among all routes in the order in which they match.
    pub index: usize,
    /// Its name in logs; by default its pattern's text.
    pub name: RouteName,
    /// What it matches.
    pub pattern: Pattern,
    /// Who may pass.
    pub access: Access,
    /// Who answers.
    pub target: Target,
    /// Whether the prefix that matched is removed from the path that is forwarded.
    pub strip_prefix: bool,
    /// Whether the upstream sees `Authorization`.
    pub forward_authorization: bool,
    /// Bytes of a request body.
    pub max_body: u64,
    /// Whether `%2f` may stand in the path.
    pub allow_encoded_slash: bool,
    /// Whether a WebSocket or a long response goes on when the token that let it in expires. A revocation ends it all the same.
    pub outlive_token: bool,
    /// How often it may be asked.
    pub limits: NamedLimits,
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An upstream, by its index in [`Config::upstreams`].
    Upstream(usize),
    /// The gateway itself.
    Local(Endpoint),
}

/// The local endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /token`
    Token,
    /// `GET /.well-known/jwks.json`
    Jwks,
    /// `GET /.well-known/oauth-authorization-server`
    Metadata,
    /// `GET /.well-known/oauth-protected-resource`
    Resource,
    /// `GET /auth/me`
    Me,
    /// `POST /auth/revoke`
    Revoke,
    /// `POST /auth/introspect`
    Introspect,
    /// `POST /auth/logout`
    Logout,
    /// `POST /auth/password`
    Password,
    /// `POST /auth/register`, unless nobody may
    Register,
    /// `GET /healthz`
    Health,
    /// `GET /readyz`
    Ready,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Token,
        Self::Jwks,
        Self::Metadata,
        Self::Resource,
        Self::Me,
        Self::Revoke,
        Self::Introspect,
        Self::Logout,
        Self::Password,
        Self::Register,
        Self::Health,
        Self::Ready,
    ];

    /// Whether its errors have the form of RFC 6749 §5.2.
    #[must_use]
    pub const fn is_oauth(self) -> bool {
        match self {
            Self::Token | Self::Revoke | Self::Introspect | Self::Password | Self::Register => true,
            Self::Jwks
            | Self::Metadata
            | Self::Resource
            | Self::Me
            | Self::Logout
            | Self::Health
            | Self::Ready => false,
        }
    }

    /// Its name in logs, behind `local:`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
            Self::Resource => "resource",
            Self::Me => "me",
            Self::Revoke => "revoke",
            Self::Introspect => "introspect",
            Self::Logout => "logout",
            Self::Password => "password",
            Self::Register => "register",
            Self::Health => "health",
            Self::Ready => "ready",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// RFC 9728 §3.1, and RFC 8414 §3.1 for the path of the issuer.
    #[test]
    fn the_path_of_an_issuer_comes_behind_the_well_known_one() {
        for (issuer, path, metadata) in [
            ("https://a", "", "https://a/.well-known/oauth-protected-resource"),
            ("https://a/", "", "https://a/.well-known/oauth-protected-resource"),
            ("https://a:8443/b", "/b", "https://a:8443/.well-known/oauth-protected-resource/b"),
            ("http://[::1]:80/b/c/", "/b/c", "http://[::1]:80/.well-known/oauth-protected-resource/b/c"),
        ] {
            let text = format!("[token]\nissuer = \"{issuer}\"");
            let token = crate::config::parse(&text, Path::new("config.toml")).unwrap().token;
            assert_eq!((token.issuer_path(), token.resource_metadata().as_str()), (path, metadata));
        }
    }
}
