//! Every way to say no. Each has three faces: the status, what the caller may know, and what the operator needs (`Display`).
//!
//! A refusal is raised where it is understood and becomes a response in one place, [`Prepared::response`].

mod response;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};

pub use response::{Form, Prepared};

use crate::name::LimitName;
use crate::route::PathError;
use crate::token::TokenError;

/// Why a request was not served. `Display` is for the operator and goes into the access record.
#[derive(Debug, thiserror::Error)]
pub enum Reject {
    /// The request cannot be read in exactly one way.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The path has no single meaning.
    #[error("{0}")]
    MalformedPath(#[source] PathError),
    /// `%2F` on a route that does not allow it.
    #[error("the path has an encoded slash and the route does not set allow_encoded_slash")]
    EncodedSlash,
    /// A backend could read this path as one that another route guards.
    #[error("the path could be read as one that another route guards")]
    AmbiguousPath,
    /// `Host` and the request target name different authorities.
    #[error("Host and the request target name different hosts")]
    Misdirected,
    /// The request came back to us.
    #[error("the request has passed this gateway before: an upstream points back at it")]
    Loop,
    /// A transfer coding other than `chunked`.
    #[error("Transfer-Encoding must be chunked, once")]
    UnknownTransferCoding,
    /// An expectation other than `100-continue`.
    #[error("Expect asks for something other than 100-continue")]
    UnknownExpectation,
    /// TRACE or CONNECT.
    #[error("the method is never forwarded")]
    MethodRefused,
    /// The target is too long.
    #[error("the request target is longer than max_uri_size = {limit} bytes")]
    UriTooLong {
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The head is too long.
    #[error("the request line and the header fields are longer than max_header_size = {limit} bytes")]
    HeadTooLarge {
        /// Bytes that are allowed.
        limit: usize,
    },
    /// Too many header fields.
    #[error("the request has more than max_headers = {limit} header fields")]
    TooManyHeaders {
        /// Fields that are allowed.
        limit: usize,
    },
    /// The body is too long.
    #[error("the request body is longer than max_body = {limit} bytes")]
    BodyTooLarge {
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The client stopped sending its body.
    #[error("the client sent no byte of its body for body_timeout")]
    BodyStalled,
    /// The client's body broke off.
    #[error("the request body broke off or was malformed")]
    BodyBroken,
    /// No credentials on a path that asks for them.
    #[error("no bearer token")]
    NoToken,
    /// An `Authorization` header that is not one bearer token.
    #[error("{0}")]
    MalformedAuthorization(&'static str),
    /// A token that is not valid.
    #[error("{0}")]
    InvalidToken(#[source] TokenError),
    /// A token of a foreign issuer whose keys are not known yet: nobody can say whether it is valid.
    #[error("{0}")]
    IssuerUnavailable(#[source] TokenError),
    /// A caller from a foreign issuer asks for something that only users of this gateway have.
    #[error("the caller's token is from a foreign issuer: there is no session and no password of it here")]
    ForeignCaller,
    /// A token that may have been valid once. The text says why it is not any more, and never has the token in it.
    #[error("{0}")]
    Revoked(String),
    /// A valid token without any of the roles that the route wants.
    #[error("none of the caller's roles may pass this route")]
    MissingRole {
        /// The roles of the route, as the `scope` of RFC 6750 §3.
        wanted: String,
    },
    /// A caller with an API key asks for what only somebody with a session can have.
    #[error("an API key has no session")]
    NoSession,
    /// No route, and the caller is allowed to know.
    #[error("no route matches")]
    NoRoute,
    /// The path is known, the method is not.
    #[error("the route does not take this method")]
    MethodNotAllowed(Vec<Method>),
    /// Asked too often.
    #[error("more requests than the limit {limit} allows")]
    TooManyRequests {
        /// Of those of the route, the one that is exceeded.
        limit: LimitName,
        /// The next request may pass after this time.
        wait: Duration,
    },
    /// No server of the upstream could be connected to.
    #[error("cannot connect to {server}: {reason}")]
    ConnectFailed {
        /// The last one that was tried.
        server: String,
        /// What the system said.
        reason: String,
    },
    /// The upstream has several servers, and none of them takes connections.
    #[error("no server of upstream {upstream} takes connections; the last error: {reason}")]
    NoServer {
        /// The upstream.
        upstream: String,
        /// Of the server that was tried last.
        reason: String,
    },
    /// The upstream broke off before it had answered, or its answer is not HTTP.
    #[error("{server} broke off: {reason}")]
    UpstreamBroke {
        /// The server.
        server: SocketAddr,
        /// What went wrong.
        reason: String,
    },
    /// The upstream did not answer in time.
    #[error("{server} sent no response head within response_timeout = {limit:?}")]
    UpstreamTimeout {
        /// The server.
        server: SocketAddr,
        /// How long we waited.
        limit: Duration,
    },
    /// The gateway itself failed. The caller learns nothing of it.
    #[error("{0}")]
    Internal(String),
    /// The gateway cannot do this now.
    #[error("{0}")]
    Unavailable(String),
}

impl Reject {
    /// What becomes of a token that was not accepted.
    #[must_use]
    pub fn of_token(error: TokenError) -> Self {
        match error {
            TokenError::NoKeys => Self::IssuerUnavailable(error),
            _ => Self::InvalidToken(error),
        }
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::MalformedPath(_) | Self::EncodedSlash | Self::AmbiguousPath => {
                StatusCode::BAD_REQUEST
            }
            Self::MalformedAuthorization(_) | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::UnknownTransferCoding | Self::MethodRefused => StatusCode::NOT_IMPLEMENTED,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            Self::UriTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyStalled => StatusCode::REQUEST_TIMEOUT,
            Self::NoToken | Self::InvalidToken(_) | Self::Revoked(_) => StatusCode::UNAUTHORIZED,
            Self::MissingRole { .. } | Self::NoSession | Self::ForeignCaller => StatusCode::FORBIDDEN,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            // RFC 6585 §4.
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::ConnectFailed { .. } | Self::UpstreamBroke { .. } => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::NoServer { .. } | Self::IssuerUnavailable(_) | Self::Unavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether there is no valid token, or none that is known to be. Such a refusal must look the same on every path that is not public.
    #[must_use]
    pub fn wants_token(&self) -> bool {
        matches!(
            self,
            Self::NoToken
                | Self::MalformedAuthorization(_)
                | Self::InvalidToken(_)
                | Self::IssuerUnavailable(_)
                | Self::Revoked(_)
        )
    }

    /// One word for logs and metrics; a closed set.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::MalformedPath(_) => "malformed_path",
            Self::EncodedSlash => "encoded_slash",
            Self::AmbiguousPath => "ambiguous_path",
            Self::Misdirected => "misdirected",
            Self::Loop => "loop",
            Self::UnknownTransferCoding => "unknown_transfer_coding",
            Self::UnknownExpectation => "unknown_expectation",
            Self::MethodRefused => "method_refused",
            Self::UriTooLong { .. } => "uri_too_long",
            Self::HeadTooLarge { .. } => "head_too_large",
            Self::TooManyHeaders { .. } => "too_many_headers",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyStalled => "body_stalled",
            Self::BodyBroken => "body_broken",
            Self::NoToken => "no_token",
            Self::MalformedAuthorization(_) => "malformed_authorization",
            Self::InvalidToken(_) | Self::Revoked(_) => "invalid_token",
            Self::IssuerUnavailable(_) => "issuer_unavailable",
            Self::ForeignCaller => "foreign_caller",
            Self::MissingRole { .. } => "missing_role",
            Self::NoSession => "no_session",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::ConnectFailed { .. } => "connect_failed",
            Self::NoServer { .. } => "no_server",
            Self::UpstreamBroke { .. } => "upstream_broke",
            Self::UpstreamTimeout { .. } => "upstream_timeout",
            Self::Internal(_) => "internal",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// What the caller may know. It names no server, no role that the caller has and nothing of the token.
    #[must_use]
    pub fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::BadRequest(_)
            | Self::MalformedPath(_)
            | Self::AmbiguousPath
            | Self::Misdirected
            | Self::Loop
            | Self::UnknownTransferCoding
            | Self::UnknownExpectation
            | Self::MalformedAuthorization(_)
            | Self::BodyBroken => self.to_string().into(),
            Self::EncodedSlash => "the path has an encoded slash".into(),
            Self::MethodRefused => "this method is not supported".into(),
            Self::UriTooLong { limit } => format!("the request target is longer than {limit} bytes").into(),
            Self::HeadTooLarge { limit } => {
                format!("the request line and the header fields are longer than {limit} bytes").into()
            }
            Self::TooManyHeaders { limit } => {
                format!("the request has more than {limit} header fields").into()
            }
            Self::BodyTooLarge { limit } => format!("the request body is longer than {limit} bytes").into(),
            Self::BodyStalled => "the request body did not arrive in time".into(),
            Self::NoToken => "this needs a bearer token: log in and send it as Authorization: Bearer".into(),
            Self::InvalidToken(_) | Self::Revoked(_) => {
                "the token is invalid, expired or revoked: log in again".into()
            }
            Self::IssuerUnavailable(_) => "the token cannot be verified at the moment: try again".into(),
            Self::ForeignCaller => "the token is from another issuer: this is to be done there".into(),
            Self::MissingRole { .. } => "the caller has none of the roles that this needs".into(),
            Self::NoSession => "an API key has no session: this is for those who have logged in".into(),
            Self::NoRoute => "nothing is configured at this address".into(),
            Self::MethodNotAllowed(_) => "this address does not take this method".into(),
            Self::TooManyRequests { .. } => "too many requests: slow down".into(),
            Self::ConnectFailed { .. } | Self::UpstreamBroke { .. } => {
                "the service behind is not reachable".into()
            }
            Self::UpstreamTimeout { .. } => "the service behind did not answer in time".into(),
            Self::NoServer { .. } => "the service behind has no server that works".into(),
            Self::Internal(_) => "the gateway failed; its log has the request id".into(),
            Self::Unavailable(_) => "the gateway cannot do this at the moment".into(),
        }
    }
}
