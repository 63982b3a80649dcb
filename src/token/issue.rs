//! Issuing access tokens: JWTs by RFC 9068.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Header;
use serde::Serialize;

use super::keys::{SigningKey, jwt_algorithm};
use super::{MAX_TOKEN, TYPE};
use crate::clock::UnixTime;
use crate::id::{NoRandomness, SessionId, TokenId, UserId};
use crate::name::{Roles, Username};

/// Makes access tokens that all have the same issuer, audience and lifetime.
#[derive(Clone, Debug)]
pub struct Issuer {
    issuer: Arc<str>,
    audience: Arc<str>,
    access_ttl: Duration,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `sub`
    pub user_id: UserId,
    /// `username`
    pub username: &'a Username,
    /// `roles`
    pub roles: &'a Roles,
    /// `ver`: the user's token version. Raising it refuses every token from before.
    pub version: u64,
    /// `sid`: the login that the token comes from.
    pub session: SessionId,
    /// `client_id`: the program that asked for the token.
    pub client_id: &'a str,
}

/// A signed token, and what its answer has to say about it.
#[derive(Clone)]
pub struct Issued {
    /// The token. It is a secret until it expires, so this type has no `Debug`.
    pub token: String,
    /// From now to its `exp`, in whole seconds.
    pub expires_in: Duration,
    /// Its `jti`, which may be logged.
    pub id: TokenId,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No `jti` could be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The key does not sign.
    #[error("the token could not be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
    /// Nobody would accept it: most likely the user has very many roles.
    #[error(
        "the token would have {0} bytes, more than the {MAX_TOKEN} that are accepted: the user has too many roles"
    )]
    TooLong(usize),
}

/// The claims, in the order in which they are written.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    client_id: &'a str,
    iat: u64,
    exp: u64,
    jti: TokenId,
    sid: SessionId,
    ver: u64,
    username: &'a Username,
    roles: &'a Roles,
}

impl Issuer {
    /// An issuer whose tokens live for `access_ttl`, which counts in whole seconds.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, access_ttl: Duration) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), access_ttl }
    }

    /// Its `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.issuer
    }

    /// The `aud` of its tokens.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// A new token for `subject`, signed with `key`.
    ///
    /// # Errors
    /// [`IssueError`]; only [`IssueError::TooLong`] can be helped by somebody.
    pub fn issue(
        &self,
        key: &SigningKey,
        subject: &Subject<'_>,
        now: UnixTime,
    ) -> Result<Issued, IssueError> {
        self.issue_within(key, subject, now, None)
    }

    /// The same for a token that does not outlive `end`, when its session ends in any case.
    ///
    /// # Errors
    /// [`IssueError`]; only [`IssueError::TooLong`] can be helped by somebody.
    pub fn issue_within(
        &self,
        key: &SigningKey,
        subject: &Subject<'_>,
        now: UnixTime,
        end: Option<UnixTime>,
    ) -> Result<Issued, IssueError> {
        let (id, iat) = (TokenId::generate(now)?, now.as_secs());
        let left = end.map_or(u64::MAX, |end| end.as_secs().saturating_sub(iat));
        let expires_in = Duration::from_secs(self.access_ttl.as_secs().min(left));
        let claims = Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: subject.user_id,
            client_id: subject.client_id,
            iat,
            exp: iat.saturating_add(expires_in.as_secs()),
            jti: id,
            sid: subject.session,
            ver: subject.version,
            username: subject.username,
            roles: subject.roles,
        };
        let mut header = Header::new(jwt_algorithm(key.algorithm()));
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id().as_str().to_owned());
        let token = jsonwebtoken::encode(&header, &claims, key.signer()).map_err(IssueError::Signing)?;
        if token.len() > MAX_TOKEN {
            return Err(IssueError::TooLong(token.len()));
        }
        Ok(Issued { token, expires_in, id })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::{IssueError, Issuer};
    use crate::clock::UnixTime;
    use crate::config::Algorithm;
    use crate::name::Role;
    use crate::token::testing::{AUDIENCE, ISSUER, NOW, Person, TTL, issuer, key};

    fn part(token: &str, index: usize) -> String {
        let part = token.split('.').nth(index).unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn header_and_claims_are_exactly_those_of_the_contract() {
        for algorithm in Algorithm::ALL {
            let (alice, key) = (Person::alice(), key(algorithm));
            let issued = issuer().issue(&key, &alice.subject(), NOW).unwrap();
            assert_eq!(
                part(&issued.token, 0),
                format!(r#"{{"typ":"at+jwt","alg":"{}","kid":"{}"}}"#, algorithm.name(), key.id())
            );
            assert_eq!(
                part(&issued.token, 1),
                format!(
                    r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"{}","client_id":"portcullis","iat":1700000000,"exp":1700000900,"jti":"{}","sid":"{}","ver":7,"username":"alice","roles":["admin","reader"]}}"#,
                    alice.id, issued.id, alice.session
                )
            );
            assert_eq!(issued.expires_in, TTL);
        }
    }

    #[test]
    fn the_lifetime_counts_in_whole_seconds() {
        let issuer = Issuer::new(ISSUER, AUDIENCE, Duration::from_millis(1999));
        let now = UnixTime::from_millis(10_999);
        let issued = issuer.issue(&key(Algorithm::Hs256), &Person::alice().subject(), now).unwrap();
        assert_eq!(issued.expires_in, Duration::from_secs(1));
        assert!(part(&issued.token, 1).contains(r#""iat":10,"exp":11,"#));
    }

    #[test]
    fn a_token_does_not_outlive_the_end_of_its_session() {
        let issue = |end| issuer().issue_within(&key(Algorithm::Hs256), &Person::alice().subject(), NOW, end);
        for (left, lives) in [(7_999, 7), (900_000, 900), (900_001, 900), (999, 0)] {
            let issued = issue(Some(NOW.after(Duration::from_millis(left)))).unwrap();
            assert_eq!(issued.expires_in, Duration::from_secs(lives), "{left}");
            let exp = format!(r#""exp":{},"#, NOW.as_secs() + lives);
            assert!(part(&issued.token, 1).contains(&exp), "{left}");
        }
        assert_eq!(issue(Some(NOW.before(TTL))).unwrap().expires_in, Duration::ZERO, "it is over");
        assert_eq!(issue(None).unwrap().expires_in, TTL);
    }

    #[test]
    fn a_token_that_nobody_would_accept_is_not_issued() {
        let mut alice = Person::alice();
        alice.roles = (0..200).map(|i| Role::new(&format!("{i:064}")).unwrap()).collect();
        let refused = issuer().issue(&key(Algorithm::Es256), &alice.subject(), NOW);
        assert!(matches!(refused, Err(IssueError::TooLong(length)) if length > 8192));
    }
}
