//! The resolved configuration: values that cannot be wrong. Only [`super::load`] and [`super::parse`] make a [`Config`]. Tables with more
//! to say have a file of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::uri::Authority;
use ipnet::IpNet;

use super::endpoint::Endpoint;
use super::issuers::ForeignIssuer;
use super::limits::{Limit, NamedLimits};
use super::login::Login;
use super::registration::Registration;
use super::token::Token;
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
