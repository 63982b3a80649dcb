//! The gateway's own endpoints: entries of the route table like all others, and nobody else's paths.

use std::collections::BTreeSet;

use http::Method;

use crate::name::RouteName;
use crate::route::{Access, Host, Methods, PathPattern, Pattern};

use super::diagnostics::{Kind, Problem, Problems};
use super::endpoint::Endpoint;
use super::limits::NamedLimits;
use super::reader::{Fault, Given};
use super::registration::RegistrationMode;
use super::routes::Surroundings;
use super::settings::{Route, Target};

/// Bytes of a request body that a local endpoint reads at most: their requests are a few fields.
const MAX_BODY: u64 = 8 << 10;

/// What names of routes must not begin with.
pub(super) const NAME_PREFIX: &str = "local:";

/// Names under the local prefix that are endpoints, now or in a later version; the other local paths stay off them.
const UNDER_PREFIX: [&str; 7] = ["me", "revoke", "introspect", "password", "logout", "register", "verify"];

const JWKS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/oauth-authorization-server";
/// Where the metadata of the gateway as a protected resource is (RFC 9728 §3).
pub(super) const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The paths that the file can rename, and where it does.
#[derive(Debug)]
pub(super) struct LocalPaths {
    pub(super) token: Given<String>,
    pub(super) prefix: Given<String>,
    pub(super) health: Given<String>,
    pub(super) ready: Given<String>,
    /// What clients append to the paths of the metadata; see [`super::token::Token::issuer_path`].
    pub(super) issuer: String,
}

/// The rule for each of them: an exact, normalised path with at least one segment and no slash at its end.
pub(super) fn local_path(text: &str) -> Result<String, Fault> {
    match PathPattern::parse(text) {
        Ok(PathPattern::Exact(path)) if !path.as_str().ends_with('/') => Ok(text.into()),
        Ok(PathPattern::Exact(_)) => Err("expected a path that does not end in a slash".into()),
        Ok(PathPattern::Prefix(_)) => Err("expected one path, not a pattern".into()),
        Err(error) => Err(error.to_string().into()),
    }
}

impl LocalPaths {
    /// Reports those that collide with each other.
    pub(super) fn check(&self, problems: &mut Problems) {
        let mut taken: Vec<(&str, String, Option<&Given<String>>)> = vec![("the key set", JWKS.into(), None)];
        for endpoint in [Endpoint::Metadata, Endpoint::Resource] {
            taken.extend(self.paths(endpoint).map(|path| ("the metadata", path, None)));
        }
        let is_under = |path: &str| UNDER_PREFIX.iter().any(|name| self.under_prefix(name) == path);
        if taken.iter().any(|(_, path, _)| is_under(path)) {
            let message = format!("{:?} makes an endpoint of the path of the metadata", self.prefix.value);
            let problem = Problem::new(Kind::Whole, "server.local_prefix", message);
            problems.error(problem.at(self.prefix.span.clone()));
        }
        for name in UNDER_PREFIX {
            taken.push(("an endpoint under local_prefix", self.under_prefix(name), Some(&self.prefix)));
        }
        let named = [("token_path", &self.token), ("health_path", &self.health), ("ready_path", &self.ready)];
        for (key, path) in named {
            if let Some((what, _, other)) = taken.iter().find(|(_, text, _)| *text == path.value) {
                let other = other.and_then(|given| given.span.clone());
                let (here, there) =
                    if path.span.is_some() { (path.span.clone(), other) } else { (other, None) };
                let message = format!("{:?} is the path of {what} already", path.value);
                let problem = Problem::new(Kind::Whole, format!("server.{key}"), message);
                problems.error(problem.at(here).also(there, "the other one"));
            }
            taken.push((key, path.value.clone(), Some(path)));
        }
    }

    /// What stands in front of a route's pattern so that it, or the path that gives it its name, never matches.
    pub(super) fn shadow(&self, pattern: &PathPattern) -> Option<String> {
        let literal = pattern.literal();
        let below = literal.strip_prefix(self.prefix.value.as_str());
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Some(format!("everything under {} (server.local_prefix)", self.prefix.value));
        }
        let endpoint =
            Endpoint::ALL.into_iter().find(|&endpoint| self.paths(endpoint).any(|path| path == literal))?;
        Some(format!("{} {} ({})", endpoint.method(), literal, endpoint.key()))
    }

    /// The entries of the route table: for any host, and for each host that a route names, since a route with a host
    /// wins over one without.
    pub(super) fn routes(
        &self,
        hosts: &BTreeSet<Host>,
        around: &Surroundings<'_>,
        problems: &mut Problems,
    ) -> Vec<(Pattern, Route)> {
        let mut entries = Vec::with_capacity(Endpoint::ALL.len() * (1 + hosts.len()));
        let may_register = around.registration.mode != RegistrationMode::Off;
        let all = Endpoint::ALL.into_iter().filter(|it| *it != Endpoint::Register || may_register);
        for (endpoint, path) in all.flat_map(|it| self.paths(it).map(move |path| (it, path))) {
            let route = match Self::route(endpoint, &path, around) {
                Ok(route) => route,
                Err(message) => {
                    problems.error(Problem::new(Kind::Whole, "server", message));
                    continue;
                }
            };
            // Read once and copied for each host: with ten thousand hosts, reading was half of a reload.
            for host in std::iter::once(None).chain(hosts.iter().map(Some)) {
                let pattern = route.pattern.for_host(host.cloned());
                entries.push((pattern.clone(), Route { pattern, ..route.clone() }));
            }
        }
        entries
    }

    /// The entry for any host.
    fn route(endpoint: Endpoint, path: &str, around: &Surroundings<'_>) -> Result<Route, String> {
        let path = PathPattern::parse(path).map_err(|error| error.to_string())?;
        let methods = Methods::of(vec![endpoint.method()]).map_err(|error| error.to_string())?;
        let name = format!("{NAME_PREFIX}{}", endpoint.name());
        Ok(Route {
            index: 0,
            name: RouteName::new(&name).map_err(|error| error.to_string())?,
            pattern: Pattern::new(None, path, methods),
            access: endpoint.access(),
            target: Target::Local(endpoint),
            strip_prefix: false,
            forward_authorization: false,
            max_body: MAX_BODY,
            allow_encoded_slash: false,
            outlive_token: false,
            limits: match endpoint {
                // Probes come from few addresses, and what they are told must not depend on who else asks.
                Endpoint::Health | Endpoint::Ready => NamedLimits::default(),
                _ => around.limits.fitting(&around.server.limits, &endpoint.access()),
            },
        })
    }

    /// Its paths. RFC 8414 §3.1 and RFC 9728 §3.1: the path of what a document is about comes behind that of the document. Behind a
    /// proxy that takes the issuer's path away, it is asked for without it.
    fn paths(&self, endpoint: Endpoint) -> impl Iterator<Item = String> {
        let path = self.path(endpoint);
        let is_about_issuer = matches!(endpoint, Endpoint::Metadata | Endpoint::Resource);
        let longer = (is_about_issuer && !self.issuer.is_empty()).then(|| format!("{path}{}", self.issuer));
        std::iter::once(path).chain(longer)
    }

    fn path(&self, endpoint: Endpoint) -> String {
        match endpoint {
            Endpoint::Token => self.token.value.clone(),
            Endpoint::Jwks => JWKS.into(),
            Endpoint::Metadata => METADATA.into(),
            Endpoint::Resource => RESOURCE.into(),
            Endpoint::Me
            | Endpoint::Revoke
            | Endpoint::Introspect
            | Endpoint::Logout
            | Endpoint::Password
            | Endpoint::Register => self.under_prefix(endpoint.name()),
            Endpoint::Health => self.health.value.clone(),
            Endpoint::Ready => self.ready.value.clone(),
        }
    }

    fn under_prefix(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix.value)
    }
}

impl Endpoint {
    /// The key that renames it, or what it is when none does.
    fn key(self) -> &'static str {
        match self {
            Self::Token => "server.token_path",
            Self::Jwks => "the key set",
            Self::Metadata => "the metadata of the token endpoint",
            Self::Resource => "the metadata of the protected resource",
            Self::Me | Self::Revoke | Self::Introspect | Self::Logout | Self::Password | Self::Register => {
                "server.local_prefix"
            }
            Self::Health => "server.health_path",
            Self::Ready => "server.ready_path",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Token
            | Self::Revoke
            | Self::Introspect
            | Self::Logout
            | Self::Password
            | Self::Register => Method::POST,
            Self::Jwks | Self::Metadata | Self::Resource | Self::Me | Self::Health | Self::Ready => {
                Method::GET
            }
        }
    }

    fn access(self) -> Access {
        match self {
            Self::Me | Self::Logout | Self::Password => Access::Authenticated,
            Self::Token
            | Self::Revoke
            | Self::Introspect
            | Self::Register
            | Self::Jwks
            | Self::Metadata
            | Self::Resource
            | Self::Health
            | Self::Ready => Access::Public,
        }
    }
}
