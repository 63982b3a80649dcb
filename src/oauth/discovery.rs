//! Documents by which clients find their way: they change with the configuration only, so they are rendered once.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Provider;
use crate::auth::Permit;
use crate::body::ResponseBody;
use crate::config::Config;
use crate::inbound::Inbound;
use crate::message::Response;

/// The longest time for which clients may keep a document.
pub(super) const LONGEST: Duration = Duration::from_secs(300);

/// A rendered document with its validator.
#[derive(Debug)]
pub(super) struct Document {
    body: Bytes,
    kind: HeaderValue,
    tag: HeaderValue,
    caching: HeaderValue,
}

impl Document {
    /// A document that clients may keep for `keep`, or for [`LONGEST`] if that is shorter.
    pub(super) fn new(body: Bytes, kind: HeaderValue, keep: Duration) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
        let hex: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::try_from(format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        let caching = format!("public, max-age={}", keep.min(LONGEST).as_secs());
        let caching = HeaderValue::try_from(caching).unwrap_or(HeaderValue::from_static("no-cache"));
        Self { body, kind, tag, caching }
    }

    /// RFC 9110 §13.1.2: 304 for a client that has this very document.
    fn response(&self, inbound: &Inbound) -> Response<ResponseBody> {
        let mut lines = inbound.headers().get_all(&header::IF_NONE_MATCH);
        let response = if lines.any(|line| self.is_among(line)) {
            Response::new(StatusCode::NOT_MODIFIED, ResponseBody::empty())
        } else {
            Response::new(StatusCode::OK, ResponseBody::full(self.body.clone()))
                .with(header::CONTENT_TYPE, self.kind.clone())
        };
        response.with(header::ETAG, self.tag.clone()).with(header::CACHE_CONTROL, self.caching.clone())
    }

    /// Whether the tags include ours, by the weak comparison: caches on the way make a tag weak. `*` is any document there is.
    fn is_among(&self, tags: &HeaderValue) -> bool {
        let mut tags = tags.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes())
    }
}

/// `GET /.well-known/jwks.json`: the public keys (RFC 7517 §5). Empty with HS256, whose key is not public.
#[must_use]
pub fn jwks(_: Permit<'_>, inbound: &Inbound, provider: &Provider) -> Response<ResponseBody> {
    provider.jwks.response(inbound)
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414 §3).
#[must_use]
pub fn metadata(_: Permit<'_>, inbound: &Inbound, provider: &Provider) -> Response<ResponseBody> {
    provider.metadata.response(inbound)
}

/// `GET /.well-known/oauth-protected-resource` (RFC 9728 §3).
#[must_use]
pub fn resource(_: Permit<'_>, inbound: &Inbound, provider: &Provider) -> Response<ResponseBody> {
    provider.resource.response(inbound)
}

/// RFC 8414 §2. No `scopes_supported`: what is granted are the roles that a user has, whatever the client asks for, and which
/// roles there are is not for everybody to know.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    jwks_uri: String,
    /// Required by the RFC even where there is no authorization endpoint, and §3.2 forbids empty lists.
    response_types_supported: [&'a str; 1],
    revocation_endpoint: String,
    introspection_endpoint: String,
    grant_types_supported: [&'a str; 3],
    token_endpoint_auth_methods_supported: [&'a str; 3],
    revocation_endpoint_auth_methods_supported: [&'a str; 3],
    introspection_endpoint_auth_methods_supported: [&'a str; 2],
    /// RFC 9728 §4.
    protected_resources: [&'a str; 1],
}

/// RFC 9728 §2. No `jwks_uri`: it would be for keys with which the resource signs its responses, and it signs none.
#[derive(Serialize)]
struct Resource<'a> {
    /// Everything behind the gateway, which is one resource: a token is good for all of it, as far as its roles go.
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    bearer_methods_supported: [&'a str; 1],
}

pub(super) fn render_resource(config: &Config) -> Vec<u8> {
    let issuer = config.token.issuer.as_str();
    let resource =
        Resource { resource: issuer, authorization_servers: [issuer], bearer_methods_supported: ["header"] };
    serde_json::to_vec(&resource).unwrap_or_default()
}

pub(super) fn render_metadata(config: &Config) -> Vec<u8> {
    let issuer = config.token.issuer.as_str();
    let base = issuer.trim_end_matches('/');
    let (basic, post) = ("client_secret_basic", "client_secret_post");
    let all = [basic, post, "none"];
    let metadata = Metadata {
        issuer,
        token_endpoint: format!("{base}{}", config.server.token_path),
        jwks_uri: format!("{base}/.well-known/jwks.json"),
        response_types_supported: ["none"],
        revocation_endpoint: format!("{base}{}/revoke", config.server.local_prefix),
        introspection_endpoint: format!("{base}{}/introspect", config.server.local_prefix),
        grant_types_supported: ["password", "refresh_token", "client_credentials"],
        token_endpoint_auth_methods_supported: all,
        revocation_endpoint_auth_methods_supported: all,
        introspection_endpoint_auth_methods_supported: [basic, post],
        protected_resources: [issuer],
    };
    serde_json::to_vec(&metadata).unwrap_or_default()
}
