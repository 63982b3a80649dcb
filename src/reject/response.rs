//! The one place where a refusal becomes a response.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};

use super::Reject;
use crate::body::ResponseBody;
use crate::digits;
use crate::message::Fields;
use crate::observe::json;

impl Reject {
    /// The response, in the form that the caller understands.
    #[must_use]
    pub fn response(&self, form: Form, request_id: &str) -> Response<ResponseBody> {
        if form == Form::Grpc {
            return self.grpc_response();
        }
        let mut response = Response::new(ResponseBody::full(self.problem(request_id)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.reserve(6);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.add_headers(headers);
        response
    }

    /// `application/problem+json` (RFC 9457 §3.1). `type` is left out, which means `about:blank`: the status says it all. `code`, a word
    /// that programs can compare, and `request_id`, what to quote when asking the operators, are ours by §3.2.
    fn problem(&self, request_id: &str) -> Vec<u8> {
        let status = self.status();
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(b"{\"title\":");
        json::string(&mut body, status.canonical_reason().unwrap_or("Error").as_bytes());
        body.extend_from_slice(b",\"status\":");
        digits::decimal(&mut body, status.as_u16().into());
        let texts = [("detail", &*self.detail()), ("code", self.code()), ("request_id", request_id)];
        for (name, text) in texts {
            for part in [",\"", name, "\":"] {
                body.extend_from_slice(part.as_bytes());
            }
            json::string(&mut body, text.as_bytes());
        }
        body.push(b'}');
        body
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
            Self::InvalidToken(_) => Some(INVALID),
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
