//! `[token]`: what tokens say, how long they and their sessions live, and what they are signed with.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::diagnostics::{Kind, Problem};
use super::reader::{Fields, Given};
use super::rule::{count, off_or, one_of, parsed, size, time};
use super::sections::{GIB, HOUR, KIB, MIB, YEAR, days, secs};
use super::text::{self, Issuer};

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

/// `[token]`. Without an issuer it is made from the first address that is listened on.
pub(super) fn read(mut fields: Fields<'_, '_, '_>, listen: &[SocketAddr]) -> Token {
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
