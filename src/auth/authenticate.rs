//! `Authorization: Bearer`, or `X-API-Key`, → [`Caller`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use crate::body::TokenEnd;
use crate::clock::UnixTime;
use crate::message::Fields;
use crate::name::{CallerName, Role, Roles};
use crate::observe::metrics::TokenCounters;
use crate::reject::Reject;
use crate::token::{
    Accepted, ApiKeys, Cache, ForeignToken, Revocations, TokenError, Verified, Verifier, Voucher, is_api_key,
};

/// Where programs may send their API key, if the configuration allows any. Not as RFC 6750 has it, and widely known.
pub static API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Somebody with a valid token or API key.
#[derive(Debug)]
pub struct Caller {
    name: CallerName,
    roles: Roles,
    expires: UnixTime,
    accepted_until: UnixTime,
    proof: Proof,
    user_header: HeaderValue,
    role_header: HeaderValue,
}

/// What somebody was let in by.
#[derive(Debug)]
enum Proof {
    /// A token of ours.
    Own(Verified),
    /// An API key.
    ApiKey(Verified),
    /// A token of a foreign issuer.
    Foreign(Voucher),
    /// Nothing: it is supposed.
    Supposed,
}

impl Caller {
    fn new(token: Accepted, accepted_until: UnixTime) -> Result<Self, Reject> {
        match token {
            Accepted::Own(token) => Self::known(token, Proof::Own, accepted_until),
            Accepted::Foreign(ForeignToken { caller, roles, expires, voucher }) => {
                let caller = Self::supposed(caller, roles, expires)?;
                Ok(Self { proof: Proof::Foreign(voucher), accepted_until, ..caller })
            }
        }
    }

    /// A user or a client of ours.
    fn known(
        verified: Verified,
        proof: fn(Verified) -> Proof,
        accepted_until: UnixTime,
    ) -> Result<Self, Reject> {
        let (name, roles) = (verified.username.clone().into(), verified.roles.clone());
        let caller = Self::supposed(name, roles, verified.expires)?;
        Ok(Self { proof: proof(verified), accepted_until, ..caller })
    }

    /// Somebody who is supposed to have logged in: for `explain`, which asks what would happen.
    ///
    /// # Errors
    /// [`Reject::Internal`] if the names do not fit into a header, which their types rule out.
    pub fn supposed(name: CallerName, roles: Roles, expires: UnixTime) -> Result<Self, Reject> {
        let header =
            |text: &str| HeaderValue::from_str(text).map_err(|error| Reject::Internal(error.to_string()));
        let (user_header, role_header) = (header(name.as_str())?, header(&roles.to_string())?);
        let (accepted_until, proof) = (expires, Proof::Supposed);
        Ok(Self { name, roles, expires, accepted_until, proof, user_header, role_header })
    }

    /// Bytes on the heap, behind an `Arc`. What the allocator adds counts: names are so short that it is more than they are.
    fn weight(&self) -> usize {
        /// A block's own head, the counts of an `Arc`, and rounding up.
        const BLOCK: usize = 32;
        let roles = self.roles.iter().count();
        let client = match &self.proof {
            Proof::Own(verified) | Proof::ApiKey(verified) => verified.client_id.len(),
            Proof::Foreign(_) | Proof::Supposed => 0,
        };
        let texts = 2 * (self.user_header.len() + self.role_header.len()) + client;
        // Itself, the username, the list of roles and each of them, the client's id, two header values.
        size_of::<Self>() + texts + roles * size_of::<Role>() + (6 + roles) * BLOCK
    }

    /// Who it is, as backends and logs are told.
    #[must_use]
    pub fn name(&self) -> &CallerName {
        &self.name
    }

    /// The roles of the user.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// What the token says, if it is one of ours: only then there is a user and a session here.
    ///
    /// # Errors
    /// [`Reject::NoSession`] for an API key, [`Reject::ForeignCaller`] for the token of another issuer, [`Reject::Internal`] for somebody who
    /// is only supposed.
    pub fn own_token(&self) -> Result<&Verified, Reject> {
        match &self.proof {
            Proof::Own(token) => Ok(token),
            Proof::ApiKey(_) => Err(Reject::NoSession),
            Proof::Foreign(_) => Err(Reject::ForeignCaller),
            Proof::Supposed => Err(Reject::Internal("nobody has logged in".to_owned())),
        }
    }

    /// When the token expires.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.expires
    }

    /// When the token stops being accepted: when it expires, and the leeway.
    #[must_use]
    pub fn accepted_until(&self) -> UnixTime {
        self.accepted_until
    }

    /// Whether the token was revoked. One of a foreign issuer cannot be, here: it ends when it expires, or with its key.
    #[must_use]
    pub fn is_refused_by(&self, revocations: &Revocations) -> bool {
        match &self.proof {
            Proof::Own(token) | Proof::ApiKey(token) => revocations.refuses(token),
            Proof::Foreign(_) => false,
            Proof::Supposed => true,
        }
    }

    /// What vouches for the caller, if that is a foreign issuer. It may have been withdrawn since.
    #[must_use]
    pub fn voucher(&self) -> Option<&Voucher> {
        match &self.proof {
            Proof::Foreign(voucher) => Some(voucher),
            Proof::Own(_) | Proof::ApiKey(_) | Proof::Supposed => None,
        }
    }

    /// Whether it was an API key that let them in.
    #[must_use]
    pub fn has_api_key(&self) -> bool {
        matches!(self.proof, Proof::ApiKey(_))
    }

    /// What is to be said to whoever has a token that has ended.
    #[must_use]
    pub fn refusal(&self, end: TokenEnd) -> Reject {
        match end {
            TokenEnd::Revoked => Reject::Revoked(format!("the tokens of user {} were revoked", self.name)),
            TokenEnd::Expired => Reject::InvalidToken(TokenError::Expired(self.expires)),
        }
    }

    /// What the backend gets in the user header.
    #[must_use]
    pub fn user_header(&self) -> &HeaderValue {
        &self.user_header
    }

    /// What the backend gets in the role header.
    #[must_use]
    pub fn role_header(&self) -> &HeaderValue {
        &self.role_header
    }
}

/// A worker's cache of verified tokens. The lock is never contended: the cache belongs to one thread.
pub type TokenCache = Mutex<Cache<Arc<Caller>>>;

/// What it takes to check a token.
#[derive(Clone, Copy, Debug)]
pub struct Authenticator<'a> {
    /// Keys and rules of the snapshot.
    pub verifier: &'a Verifier,
    /// What was revoked.
    pub revocations: &'a Revocations,
    /// The worker's cache. Everything in it was verified by this very `verifier`.
    pub cache: &'a TokenCache,
    /// What the cache does, if somebody counts.
    pub counters: Option<&'a TokenCounters>,
    /// How API keys are checked; `None` if none is taken. Then the header of one is nothing special, and nothing of it is looked at.
    pub api_keys: Option<ApiKeyRules<'a>>,
}

/// How API keys are checked.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeyRules<'a> {
    /// Those that are good.
    pub keys: &'a ApiKeys,
    /// How long a worker may remember one. Not longer than revocations are: by one it hears of a change.
    pub remembered: Duration,
}

impl Authenticator<'_> {
    /// The caller behind the bearer token, or the API key, of a request. Revocation is checked after the cache, on every request.
    ///
    /// # Errors
    /// [`Reject::NoToken`], [`Reject::MalformedAuthorization`], [`Reject::InvalidToken`] or [`Reject::Revoked`].
    pub fn authenticate(&self, headers: &Fields, now: UnixTime) -> Result<Arc<Caller>, Reject> {
        let token = match self.api_keys {
            None => credentials(headers)?,
            Some(_) => any_credentials(headers)?,
        };
        let cached = self.cached(token, now);
        if let Some(counters) = self.counters {
            if cached.is_some() { counters.hit() } else { counters.miss() }
        }
        let caller = match cached {
            Some(caller) => caller,
            None => self.verify(token, now)?,
        };
        if caller.is_refused_by(self.revocations) { self.again(&caller, token, now) } else { Ok(caller) }
    }

    /// What was revoked of an API key may be only what the cache remembers of its client: the roles before, or the state.
    #[cold]
    fn again(&self, caller: &Caller, token: &[u8], now: UnixTime) -> Result<Arc<Caller>, Reject> {
        let renewed = match &caller.proof {
            Proof::ApiKey(_) => Some(self.verify(token, now)?),
            Proof::Own(_) | Proof::Foreign(_) | Proof::Supposed => None,
        };
        let passes = |caller: &Arc<Caller>| !caller.is_refused_by(self.revocations);
        renewed.filter(passes).ok_or_else(|| caller.refusal(TokenEnd::Revoked))
    }

    fn cached(&self, token: &[u8], now: UnixTime) -> Option<Arc<Caller>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(token, now)
    }

    fn verify(&self, token: &[u8], now: UnixTime) -> Result<Arc<Caller>, Reject> {
        let (caller, until) = match self.api_keys {
            Some(rules) if is_api_key(token) => rules.check(token, now)?,
            // Looking at each byte of a token costs 2,100 instructions; what the cache knows has been looked at.
            _ => self.check(well_formed(token)?, now)?,
        };
        let caller = Arc::new(caller);
        let weight = caller.weight();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(token, caller.clone(), until, weight);
        if let Some(counters) = self.counters {
            counters.holds(cache.len(), cache.bytes());
        }
        Ok(caller)
    }

    /// Whom a token speaks for, and how long the cache may say so.
    fn check(&self, token: &str, now: UnixTime) -> Result<(Caller, UnixTime), Reject> {
        let accepted = self.verifier.accept(token, now).map_err(Reject::of_token)?;
        let until = self.verifier.accepted_until(accepted.expires());
        Ok((Caller::new(accepted, until)?, until))
    }
}

impl ApiKeyRules<'_> {
    /// The same for an API key. No leeway: its end was written down by this gateway's own clock.
    fn check(&self, key: &[u8], now: UnixTime) -> Result<(Caller, UnixTime), Reject> {
        let verified = self.keys.find(key, now).map_err(Reject::InvalidToken)?;
        let until = verified.expires;
        let caller = Caller::known(Verified::clone(&verified), Proof::ApiKey, until)?;
        Ok((caller, until.min(now.after(self.remembered))))
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 §2.1). The other two ways of that RFC, in the body and in the query, are not
/// taken: they end up in logs and histories.
///
/// # Errors
/// [`Reject::NoToken`] or [`Reject::MalformedAuthorization`].
pub fn bearer_token(headers: &Fields) -> Result<&str, Reject> {
    well_formed(credentials(headers)?)
}

/// The same, or the API key of `X-API-Key`. RFC 6750 §2: one method per request.
///
/// # Errors
/// [`Reject::NoToken`], [`Reject::MalformedAuthorization`] or [`Reject::InvalidToken`].
pub fn token_or_api_key(headers: &Fields) -> Result<&str, Reject> {
    well_formed(any_credentials(headers)?)
}

fn any_credentials(headers: &Fields) -> Result<&[u8], Reject> {
    let mut lines = headers.get_all(&API_KEY);
    let Some(line) = lines.next() else { return credentials(headers) };
    if lines.next().is_some() {
        return Err(Reject::MalformedAuthorization("the request has more than one X-API-Key header"));
    }
    if headers.contains(&header::AUTHORIZATION) {
        return Err(Reject::MalformedAuthorization("the request has both Authorization and X-API-Key"));
    }
    // A token has no business in this header, also not one that the cache knows.
    let key = Some(line.as_bytes()).filter(|key| is_api_key(key));
    key.ok_or(Reject::InvalidToken(TokenError::UnknownApiKey))
}

fn credentials(headers: &Fields) -> Result<&[u8], Reject> {
    let mut lines = headers.get_all(&header::AUTHORIZATION);
    let Some(line) = lines.next() else { return Err(Reject::NoToken) };
    if lines.next().is_some() {
        return Err(Reject::MalformedAuthorization("the request has more than one Authorization header"));
    }
    let Some((scheme, rest)) = line.as_bytes().split_at_checked(6) else { return Err(Reject::NoToken) };
    if !scheme.eq_ignore_ascii_case(b"bearer") || !matches!(rest.first(), None | Some(b' ')) {
        return Err(Reject::NoToken);
    }
    Ok(rest.trim_ascii_start())
}

/// What is in a `b64token`. A token is looked at in 2,100 instructions with this table, and in 6,700 without.
const SYMBOLS: [bool; 256] = {
    let mut symbols = [false; 256];
    let mut byte: u8 = 0;
    while byte < u8::MAX {
        symbols[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        byte += 1;
    }
    symbols
};

/// RFC 6750 §2.1, `b64token`.
fn well_formed(token: &[u8]) -> Result<&str, Reject> {
    let all_symbols = token.iter().fold(true, |all, byte| all & SYMBOLS[usize::from(*byte)]);
    let text = if !token.is_empty() && all_symbols { std::str::from_utf8(token).ok() } else { None };
    text.ok_or(Reject::MalformedAuthorization("Authorization must be the word Bearer, a space and one token"))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::bearer_token;
    use crate::reject::Reject;

    fn parse(lines: &[&str]) -> Result<String, Reject> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("authorization", line.parse().unwrap());
        }
        bearer_token(&headers.into()).map(str::to_owned)
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_the_scheme() {
        for line in ["Bearer a.b-c_d~e+f/g=", "bearer a.b-c_d~e+f/g=", "BEARER  a.b-c_d~e+f/g="] {
            assert_eq!(parse(&[line]).unwrap(), "a.b-c_d~e+f/g=");
        }
    }

    #[test]
    fn other_schemes_are_no_token_and_broken_ones_are_malformed() {
        for lines in [&[][..], &["Basic YTpi"], &["Bearerx"], &["Bea"], &[""]] {
            assert!(matches!(parse(lines), Err(Reject::NoToken)), "{lines:?}");
        }
        for lines in
            [&["Bearer"][..], &["Bearer "], &["Bearer a b"], &["Bearer a,b"], &["Bearer a", "Bearer a"]]
        {
            assert!(matches!(parse(lines), Err(Reject::MalformedAuthorization(_))), "{lines:?}");
        }
    }
}
