//! The one place where a refusal becomes a response.

use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};

use super::Reject;
use crate::body::ResponseBody;
use crate::digits;
use crate::message::{Fields, Response};
use crate::observe::json;
use crate::token::TokenError;

impl Reject {
    /// The response, in the form that the caller understands.
    #[must_use]
    pub fn response(&self, form: Form, request_id: &[u8]) -> Response<ResponseBody> {
        match form {
            Form::Problem => Problem::new(self).response(request_id),
            Form::Grpc => self.grpc_response(),
            Form::OAuth => self.oauth_response(),
        }
    }

    /// The header fields that belong to the status, whatever the form of the body.
    fn add_fields(&self, fields: &mut Fields) {
        if let Some(challenge) = self.challenge() {
            fields.push(header::WWW_AUTHENTICATE, challenge);
        }
        if let Self::MethodNotAllowed(methods) = self {
            fields.push(header::ALLOW, allow(methods));
        }
        if let Self::TooManyRequests { wait, .. } = self {
            // Rounded up: at the second that is named, a request may pass.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            fields.push(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE) {
            fields.push(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.ends_connection() {
            fields.push(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Whether nothing that follows on the connection may be taken for a request.
    fn ends_connection(&self) -> bool {
        match self {
            // RFC 9112 §6.3, §11.2: where the message ends is in doubt, so what comes after it may be a part of it.
            Self::BadRequest(_) | Self::UnknownTransferCoding => true,
            // What is left of the body is of no use to us and may be long, or the client has stopped in the middle of it.
            _ => matches!(self, Self::BodyTooLarge { .. } | Self::BodyStalled | Self::BodyBroken),
        }
    }

    /// RFC 6750 §3: no error code where no credentials were sent.
    fn challenge(&self) -> Option<HeaderValue> {
        const NO_TOKEN: HeaderValue = HeaderValue::from_static("Bearer realm=\"portcullis\"");
        const MALFORMED: HeaderValue =
            HeaderValue::from_static("Bearer realm=\"portcullis\", error=\"invalid_request\"");
        const INVALID: HeaderValue = HeaderValue::from_static(
            "Bearer realm=\"portcullis\", error=\"invalid_token\", error_description=\"invalid, expired or revoked\"",
        );
        match self {
            Self::NoToken => Some(NO_TOKEN),
            Self::MalformedAuthorization(_) => Some(MALFORMED),
            Self::InvalidToken(_) | Self::Revoked(_) => Some(INVALID),
            Self::MissingRole { wanted } => {
                let text =
                    format!("Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"{wanted}\"");
                HeaderValue::try_from(text).ok()
            }
            _ => None,
        }
    }

    /// RFC 6749 §5.2. The codes that say whose fault it is are those of §4.1.2.1: §5.2 has none for what is not the client's.
    fn oauth_response(&self) -> Response<ResponseBody> {
        let status = self.status();
        let code: &[u8] = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => b"temporarily_unavailable",
            status if status.is_server_error() => b"server_error",
            _ => b"invalid_request",
        };
        // What `error_description` may not have: our texts have no other characters that it does not allow.
        let detail = self.detail().replace('"', "'").replace('\\', "/");
        let mut body = Vec::with_capacity(128);
        body.extend_from_slice(b"{\"error\":");
        json::string(&mut body, code);
        body.extend_from_slice(b",\"error_description\":");
        json::string(&mut body, detail.as_bytes());
        body.push(b'}');
        let mut response = Response::new(status, ResponseBody::full(body))
            .with(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
            .with(header::PRAGMA, HeaderValue::from_static("no-cache"));
        self.add_fields(&mut response.fields);
        response
    }

    /// "Trailers-Only" of gRPC over HTTP/2: status 200, and the outcome in the header fields.
    fn grpc_response(&self) -> Response<ResponseBody> {
        let code = match self.status() {
            StatusCode::UNAUTHORIZED => "16",
            StatusCode::FORBIDDEN => "7",
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => "12",
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => "8",
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => "4",
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => "14",
            _ => "13",
        };
        let response = Response::new(StatusCode::OK, ResponseBody::empty())
            .with(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
            .with(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code));
        match HeaderValue::try_from(&*self.detail()) {
            Ok(message) => response.with(HeaderName::from_static("grpc-message"), message),
            Err(_) => response,
        }
    }
}

/// The refusals that come in floods, made but for the id of the request. To copy one takes 1,340 instructions less than to make it.
#[derive(Debug)]
pub struct Prepared {
    no_token: Problem,
    invalid_token: Problem,
}

impl Default for Prepared {
    fn default() -> Self {
        Self {
            no_token: Problem::new(&Reject::NoToken),
            // All tokens that are not valid are answered alike.
            invalid_token: Problem::new(&Reject::InvalidToken(TokenError::Signature)),
        }
    }
}

impl Prepared {
    /// [`Reject::response`].
    #[must_use]
    pub fn response(&self, reject: &Reject, form: Form, request_id: &[u8]) -> Response<ResponseBody> {
        match (form, reject) {
            (Form::Problem, Reject::NoToken) => self.no_token.response(request_id),
            (Form::Problem, Reject::InvalidToken(_)) => self.invalid_token.response(request_id),
            _ => reject.response(form, request_id),
        }
    }
}

/// A response of `application/problem+json` (RFC 9457 §3.1), but for the id of the request.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    fields: Fields,
    /// Up to the id.
    body: Vec<u8>,
}

impl Problem {
    /// `type` is left out, which means `about:blank`: the status says it all. `code`, a word that programs can compare, and
    /// `request_id`, what to quote when asking the operators, are ours by §3.2.
    fn new(reject: &Reject) -> Self {
        let status = reject.status();
        let mut fields = Fields::with_capacity(4);
        fields.push(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        fields.push(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reject.add_fields(&mut fields);
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(b"{\"title\":");
        json::string(&mut body, status.canonical_reason().unwrap_or("Error").as_bytes());
        body.extend_from_slice(b",\"status\":");
        digits::decimal(&mut body, status.as_u16().into());
        body.extend_from_slice(b",\"detail\":");
        json::string(&mut body, reject.detail().as_bytes());
        body.extend_from_slice(b",\"code\":");
        json::string(&mut body, reject.code().as_bytes());
        body.extend_from_slice(b",\"request_id\":");
        Self { status, fields, body }
    }

    fn response(&self, request_id: &[u8]) -> Response<ResponseBody> {
        // Two quotes and a brace: a vector of just the right size becomes a body without another allocation.
        let mut body = Vec::with_capacity(self.body.len() + request_id.len() + 3);
        body.extend_from_slice(&self.body);
        json::string(&mut body, request_id);
        body.push(b'}');
        Response { status: self.status, fields: self.fields.clone(), body: ResponseBody::full(body) }
    }
}

/// The form in which a caller understands a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/problem+json`.
    Problem,
    /// A gRPC status.
    Grpc,
    /// The JSON object of RFC 6749 §5.2, for the clients of the OAuth endpoints.
    OAuth,
}

impl Form {
    /// What a caller that sends these request headers understands. gRPC is spoken over HTTP/2 only: whoever names its media type over
    /// HTTP/1.1 gets the status, and the end of the connection, that the refusal has there.
    #[must_use]
    pub fn of(version: Version, request: &Fields) -> Self {
        if version == Version::HTTP_2 && is_grpc(request) { Self::Grpc } else { Self::Problem }
    }
}

fn is_grpc(request: &Fields) -> bool {
    let kind = request.get(&header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.strip_prefix(b"application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+") || rest.starts_with(b";"))
}

fn allow(methods: &[Method]) -> HeaderValue {
    let text = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::{Form, Prepared, Reject, Response, ResponseBody};
    use crate::clock::UnixTime;
    use crate::token::TokenError;

    #[test]
    fn what_is_prepared_is_what_would_be_made() {
        let prepared = Prepared::default();
        let expired = Reject::InvalidToken(TokenError::Expired(UnixTime::from_secs(1)));
        for reject in [Reject::NoToken, expired, Reject::Revoked("again".to_owned()), Reject::NoRoute] {
            for form in [Form::Problem, Form::Grpc] {
                let text = |response: Response<ResponseBody>| {
                    let ResponseBody::Full(body) = response.body else { panic!("a refusal is short") };
                    format!("{} {:?} {body:?}", response.status, response.fields)
                };
                let copied = text(prepared.response(&reject, form, b"7\"f"));
                assert_eq!(copied, text(reject.response(form, b"7\"f")));
            }
        }
    }
}
