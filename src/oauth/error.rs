//! The refusals of the token endpoint, in the form of RFC 6749 §5.2.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::message::Response;

/// Why there is no token. The texts in it are for the client; what the operator needs is logged where it is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// A parameter is missing, repeated or malformed.
    #[error("{0}")]
    InvalidRequest(Cow<'static, str>),
    /// The client is unknown, or did not prove that it is itself.
    #[error("the client could not be authenticated")]
    InvalidClient(ClientAuth),
    /// Username or password is wrong, or the user may not log in. Which of them is nobody's business.
    #[error("the username or the password is wrong")]
    InvalidGrant,
    /// The refresh token gives nothing. Why is nobody's business but the log's.
    #[error("the refresh token is unknown, expired or revoked")]
    InvalidRefreshToken,
    /// The invitation gives nothing. Why is nobody's business but the log's.
    #[error("the invitation is unknown, used or expired")]
    BadInvitation,
    /// This client may not use this grant.
    #[error("this client may not use this grant type")]
    UnauthorizedClient,
    /// `grant_type` is none that is offered.
    #[error("this grant type is not supported")]
    UnsupportedGrantType,
    /// A token of this kind is not revoked here (RFC 7009 §2.2.1).
    #[error(
        "this is not revoked here: an API key is by whoever administers its client, and a token of another issuer there"
    )]
    UnsupportedTokenType,
    /// The scope is malformed, or more than the client may have.
    #[error("the scope is malformed or more than may be granted")]
    InvalidScope,
    /// Too many tries, most of which have failed. The next one may be made after this time.
    #[error("too many attempts; try again later")]
    Throttled(Duration),
    /// Too many logins wait already. The same request may pass after this time.
    #[error("too many logins at the moment; try again later")]
    Busy(Duration),
    /// There are as many users as may be, until an administrator changes that.
    #[error("nobody can register at the moment; try again later")]
    Full,
    /// We cannot answer, and it is not the client's fault: the store failed.
    #[error("the token endpoint failed; try again later")]
    Failed,
}

/// Seconds after which there may be room for another user: somebody has to make it.
const FULL_RETRY_AFTER: u64 = 3600;

/// How a client tried to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// By an `Authorization` header: the answer then has to name the scheme.
    Header,
    /// By parameters of the body, or not at all.
    Body,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl OAuthError {
    /// An `invalid_request` with a text that says what is wrong.
    pub(super) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidRequest(description.into())
    }

    /// The value of `error`. `temporarily_unavailable` and `server_error` are those of RFC 6749 §4.1.2.1: §5.2 has no code for
    /// what is not the client's fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::InvalidGrant | Self::InvalidRefreshToken | Self::BadInvitation => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::InvalidScope => "invalid_scope",
            Self::Throttled(_) | Self::Busy(_) | Self::Full => "temporarily_unavailable",
            Self::Failed => "server_error",
        }
    }

    /// The status of the answer. A wrong password is 400, not 401: it is the grant that is bad.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidClient(_) => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest(_)
            | Self::InvalidGrant
            | Self::InvalidRefreshToken
            | Self::BadInvitation
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::UnsupportedTokenType
            | Self::InvalidScope => StatusCode::BAD_REQUEST,
            // RFC 6585 §4.
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `error_description`, in the alphabet that RFC 6749 §5.2 allows.
    #[must_use]
    pub fn description(&self) -> String {
        self.to_string().chars().map(allowed).collect()
    }

    /// The JSON object of the answer's body.
    #[must_use]
    pub fn body(&self) -> String {
        let description = self.description();
        let body = Body { error: self.code(), error_description: &description };
        // Two plain strings into memory: there is nothing here that could fail.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The whole answer. It must not be stored by any cache (RFC 6749 §5.1).
    #[must_use]
    pub fn response(&self) -> Response<String> {
        let response = uncached_json(self.status(), self.body());
        match self {
            Self::InvalidClient(ClientAuth::Header) => {
                let challenge = HeaderValue::from_static(r#"Basic realm="portcullis", charset="UTF-8""#);
                response.with(WWW_AUTHENTICATE, challenge)
            }
            Self::Throttled(span) | Self::Busy(span) => {
                response.with(RETRY_AFTER, HeaderValue::from(whole_seconds(*span)))
            }
            Self::Full => response.with(RETRY_AFTER, HeaderValue::from(FULL_RETRY_AFTER)),
            Self::InvalidClient(ClientAuth::Body)
            | Self::InvalidRequest(_)
            | Self::InvalidGrant
            | Self::InvalidRefreshToken
            | Self::BadInvitation
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::UnsupportedTokenType
            | Self::InvalidScope
            | Self::Failed => response,
        }
    }
}

/// What no cache may keep, since a token is in it or a reason why not (RFC 6749 §5.1, §5.2).
pub(super) fn uncached_json(status: StatusCode, body: String) -> Response<String> {
    Response::new(status, body)
        .with(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with(PRAGMA, HeaderValue::from_static("no-cache"))
}

/// RFC 6749 §5.2: `%x20-21 / %x23-5B / %x5D-7E`, which is printable ASCII without the quote and the backslash.
fn allowed(character: char) -> char {
    match character {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => character,
        _ => '?',
    }
}

/// Rounded up and never 0, since that would invite an attempt at once.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
    use proptest::prelude::*;

    use super::{ClientAuth, OAuthError};

    #[test]
    fn codes_and_statuses_are_those_of_the_standard() {
        let cases = [
            (OAuthError::invalid_request("x"), 400, "invalid_request"),
            (OAuthError::InvalidClient(ClientAuth::Body), 401, "invalid_client"),
            (OAuthError::InvalidGrant, 400, "invalid_grant"),
            (OAuthError::InvalidRefreshToken, 400, "invalid_grant"),
            (OAuthError::BadInvitation, 400, "invalid_grant"),
            (OAuthError::UnauthorizedClient, 400, "unauthorized_client"),
            (OAuthError::UnsupportedGrantType, 400, "unsupported_grant_type"),
            (OAuthError::UnsupportedTokenType, 400, "unsupported_token_type"),
            (OAuthError::InvalidScope, 400, "invalid_scope"),
            (OAuthError::Throttled(Duration::ZERO), 429, "temporarily_unavailable"),
            (OAuthError::Busy(Duration::ZERO), 503, "temporarily_unavailable"),
            (OAuthError::Full, 503, "temporarily_unavailable"),
            (OAuthError::Failed, 500, "server_error"),
        ];
        for (error, status, code) in cases {
            let response = error.response();
            assert_eq!(response.status, status, "{error:?}");
            let start = format!(r#"{{"error":"{code}","error_description":""#);
            assert!(response.body.starts_with(&start), "{}", response.body);
            for (name, value) in
                [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")]
            {
                assert_eq!(response.fields.get(&name).unwrap(), value);
            }
            assert_eq!(response.fields.contains(&RETRY_AFTER), [429, 503].contains(&status));
            assert!(!response.fields.contains(&WWW_AUTHENTICATE));
        }
    }

    #[test]
    fn a_description_keeps_to_its_alphabet() {
        let error = OAuthError::invalid_request("\"a\"\\b\r\n\0ä\u{7f}~!");
        assert_eq!(error.description(), "'a'/b?????~!");
        assert_eq!(error.body(), r#"{"error":"invalid_request","error_description":"'a'/b?????~!"}"#);
    }

    proptest! {
        /// RFC 6749 §5.2: `%x20-21 / %x23-5B / %x5D-7E`, whatever a text was made from.
        #[test]
        fn rfc_6749_s5_2_no_description_leaves_its_alphabet(text in any::<String>()) {
            let error = OAuthError::invalid_request(text.clone());
            let allowed = |c: char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
            prop_assert!(error.description().chars().all(allowed));
            prop_assert_eq!(error.description().chars().count(), text.chars().count());
            let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
            prop_assert_eq!(&body["error_description"], &error.description());
        }
    }

    #[test]
    fn a_client_that_used_a_header_is_told_the_scheme() {
        let response = OAuthError::InvalidClient(ClientAuth::Header).response();
        assert_eq!(
            response.fields.get(&WWW_AUTHENTICATE).unwrap(),
            r#"Basic realm="portcullis", charset="UTF-8""#
        );
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let response = OAuthError::Busy(Duration::from_millis(millis)).response();
            assert_eq!(response.fields.get(&RETRY_AFTER).unwrap(), seconds);
        }
    }
}
