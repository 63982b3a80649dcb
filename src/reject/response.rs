//! The one place where a refusal becomes a response.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};

use super::Reject;
use crate::body::ResponseBody;
use crate::digits;
use crate::message::Fields;
use crate::observe::json;
use crate::token::TokenError;

impl Reject {
    /// The response, in the form that the caller understands.
    #[must_use]
    pub fn response(&self, form: Form, request_id: &[u8]) -> Response<ResponseBody> {
        match form {
            Form::Problem => {
                let Problem { status, headers, body } = Problem::new(self);
                problem_response(status, headers, &body, request_id)
            }
            Form::Grpc => self.grpc_response(),
        }
    }

    /// The header fields that belong to the status, whatever the form of the body.
    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Self::MethodNotAllowed(methods) = self {
            headers.insert(header::ALLOW, allow(methods));
        }
        if matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.ends_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
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

    /// "Trailers-Only" of gRPC over HTTP/2: status 200, and the outcome in the header fields.
    fn grpc_response(&self) -> Response<ResponseBody> {
        let code = match self.status() {
            StatusCode::UNAUTHORIZED => "16",
            StatusCode::FORBIDDEN => "7",
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => "12",
            StatusCode::PAYLOAD_TOO_LARGE => "8",
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => "4",
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => "14",
            _ => "13",
        };
        let mut response = Response::new(ResponseBody::empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(code));
        if let Ok(message) = HeaderValue::try_from(&*self.detail()) {
            headers.insert("grpc-message", message);
        }
        response
    }
}

/// The refusals that come in floods, made but for the id of the request. To copy one takes 770 instructions less than to make it.
#[derive(Debug)]
pub struct Prepared {
    no_token: Problem,
    invalid_token: Problem,
}

impl Prepared {
    /// `request_id` is the header field that all responses get later; it has its place already.
    #[must_use]
    pub fn new(request_id: &HeaderName) -> Self {
        let prepare = |reject| {
            let mut problem = Problem::new(&reject);
            problem.headers.insert(request_id.clone(), HeaderValue::from_static(""));
            problem
        };
        Self {
            no_token: prepare(Reject::NoToken),
            // All tokens that are not valid are answered alike.
            invalid_token: prepare(Reject::InvalidToken(TokenError::Signature)),
        }
    }

    /// [`Reject::response`].
    #[must_use]
    pub fn response(&self, reject: &Reject, form: Form, request_id: &[u8]) -> Response<ResponseBody> {
        let Problem { status, headers, body } = match (form, reject) {
            (Form::Problem, Reject::NoToken) => &self.no_token,
            (Form::Problem, Reject::InvalidToken(_)) => &self.invalid_token,
            _ => return reject.response(form, request_id),
        };
        problem_response(*status, headers.clone(), body, request_id)
    }
}

/// A response of `application/problem+json` (RFC 9457 §3.1), but for the id of the request.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    headers: HeaderMap,
    /// Up to the id.
    body: Vec<u8>,
}

impl Problem {
    /// `type` is left out, which means `about:blank`: the status says it all. `code`, a word that programs can compare, and
    /// `request_id`, what to quote when asking the operators, are ours by §3.2.
    fn new(reject: &Reject) -> Self {
        let status = reject.status();
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reject.add_headers(&mut headers);
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
        Self { status, headers, body }
    }
}

fn problem_response(
    status: StatusCode,
    headers: HeaderMap,
    until_id: &[u8],
    request_id: &[u8],
) -> Response<ResponseBody> {
    // Two quotes and a brace: a vector of just the right size becomes a body without another allocation.
    let mut body = Vec::with_capacity(until_id.len() + request_id.len() + 3);
    body.extend_from_slice(until_id);
    json::string(&mut body, request_id);
    body.push(b'}');
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The form in which a caller understands a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/problem+json`.
    Problem,
    /// A gRPC status.
    Grpc,
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
    use http::HeaderName;

    use super::{Form, Prepared, Reject, ResponseBody};
    use crate::clock::UnixTime;
    use crate::token::TokenError;

    #[test]
    fn what_is_prepared_is_what_would_be_made() {
        let name = HeaderName::from_static("x-request-id");
        let prepared = Prepared::new(&name);
        let expired = Reject::InvalidToken(TokenError::Expired(UnixTime::from_secs(1)));
        for reject in [Reject::NoToken, expired, Reject::Revoked("again".to_owned()), Reject::NoRoute] {
            for form in [Form::Problem, Form::Grpc] {
                let text = |(mut head, body): (http::response::Parts, ResponseBody)| {
                    head.headers.remove(&name);
                    let ResponseBody::Full(body) = body else { panic!("a refusal is short") };
                    format!("{head:?} {body:?}")
                };
                let copied = text(prepared.response(&reject, form, b"7\"f").into_parts());
                assert_eq!(copied, text(reject.response(form, b"7\"f").into_parts()));
            }
        }
    }
}
