//! The one place where a refusal becomes a response.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};

use super::Reject;
use crate::body::ResponseBody;
use crate::digits;
use crate::message::{Fields, Response};
use crate::observe::json;
use crate::token::TokenError;

impl Reject {
    /// The response, in the form that the caller understands. `metadata` is the URL of the metadata of the resource.
    fn response(&self, metadata: &str, form: Form, request_id: &[u8]) -> Response<ResponseBody> {
        match form {
            Form::Problem => Problem::new(self, metadata).response(request_id),
            Form::OAuth => self.oauth_response(metadata),
            Form::Grpc => self.grpc_response(),
        }
    }

    /// The header fields that belong to the status, whatever the form of the body.
    fn add_fields(&self, fields: &mut Fields, metadata: &str) {
        if let Some(challenge) = self.challenge(metadata) {
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

    /// RFC 6750 §3: no error code where no credentials were sent. RFC 9728 §5.1: where a client learns how to get a token.
    fn challenge(&self, metadata: &str) -> Option<HeaderValue> {
        let error = match self {
            Self::NoToken => "".into(),
            Self::MalformedAuthorization(_) => ", error=\"invalid_request\"".into(),
            Self::InvalidToken(_) | Self::Revoked(_) => {
                ", error=\"invalid_token\", error_description=\"invalid, expired or revoked\"".into()
            }
            Self::MissingRole { wanted } => {
                Cow::from(format!(", error=\"insufficient_scope\", scope=\"{wanted}\""))
            }
            _ => return None,
        };
        let challenge = format!("Bearer realm=\"portcullis\"{error}, resource_metadata=\"{metadata}\"");
        HeaderValue::try_from(challenge).ok()
    }

    /// RFC 6749 §5.2, as the endpoints of OAuth answer what they refuse themselves. The status says more than the code; those that say
    /// whose fault it is are of §4.1.2.1, since §5.2 has none for what is not the client's.
    fn oauth_response(&self, metadata: &str) -> Response<ResponseBody> {
        let (status, mut fields) = (self.status(), Fields::with_capacity(6));
        fields.push(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.push(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.push(header::PRAGMA, HeaderValue::from_static("no-cache"));
        self.add_fields(&mut fields, metadata);
        let code = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request",
        };
        let mut body = Vec::with_capacity(128);
        body.extend_from_slice(b"{\"error\":");
        json::string(&mut body, code.as_bytes());
        body.extend_from_slice(b",\"error_description\":");
        // Our texts have no other characters that this may not have.
        json::string(&mut body, self.detail().replace('"', "'").replace('\\', "/").as_bytes());
        body.push(b'}');
        Response { status, fields, body: ResponseBody::full(body) }
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

/// Refusals as responses. Those that come in floods are made but for the id of the request: to copy one takes 1,340 instructions less
/// than to make it.
#[derive(Debug)]
pub struct Prepared {
    metadata: Box<str>,
    no_token: Problem,
    invalid_token: Problem,
}

impl Prepared {
    /// For a gateway whose metadata as a protected resource is at this URL.
    #[must_use]
    pub fn new(metadata: &str) -> Self {
        Self {
            metadata: metadata.into(),
            no_token: Problem::new(&Reject::NoToken, metadata).shared(),
            // All tokens that are not valid are answered alike.
            invalid_token: Problem::new(&Reject::InvalidToken(TokenError::Signature), metadata).shared(),
        }
    }

    /// The response, in the form that the caller understands.
    #[must_use]
    pub fn response(&self, reject: &Reject, form: Form, request_id: &[u8]) -> Response<ResponseBody> {
        match (form, reject) {
            (Form::Problem, Reject::NoToken) => self.no_token.response(request_id),
            (Form::Problem, Reject::InvalidToken(_) | Reject::Revoked(_)) => {
                self.invalid_token.response(request_id)
            }
            _ => reject.response(&self.metadata, form, request_id),
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
    fn new(reject: &Reject, metadata: &str) -> Self {
        let status = reject.status();
        let mut fields = Fields::with_capacity(4);
        fields.push(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        fields.push(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reject.add_fields(&mut fields, metadata);
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

    /// For many responses. It has none of the fields that depend on the connection.
    fn shared(self) -> Self {
        Self { fields: self.fields.shared(), ..self }
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
    /// The JSON object of RFC 6749 §5.2, for the clients of the OAuth endpoints.
    OAuth,
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
    use super::{Form, Prepared, Reject, Response, ResponseBody};
    use crate::clock::UnixTime;
    use crate::token::TokenError;

    #[test]
    fn what_is_prepared_is_what_would_be_made() {
        let metadata = "https://a/.well-known/oauth-protected-resource";
        let prepared = Prepared::new(metadata);
        let expired = Reject::InvalidToken(TokenError::Expired(UnixTime::from_secs(1)));
        for reject in [Reject::NoToken, expired, Reject::Revoked("again".to_owned()), Reject::NoRoute] {
            for form in [Form::Problem, Form::OAuth, Form::Grpc] {
                let text = |response: Response<ResponseBody>| {
                    let ResponseBody::Full(body) = response.body else { panic!("a refusal is short") };
                    format!("{} {:?} {body:?}", response.status, response.fields)
                };
                let copied = text(prepared.response(&reject, form, b"7\"f"));
                assert_eq!(copied, text(reject.response(metadata, form, b"7\"f")));
            }
        }
    }
}
