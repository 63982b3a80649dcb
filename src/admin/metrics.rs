//! `GET /metrics`, under the same rule as the rest of the admin listener.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;

use crate::observe::metrics::Format;

/// The path. Prometheus looks there by default.
pub(super) const PATH: &str = "/metrics";

/// Makes the page; `None` if nothing is counted. May block.
pub(super) type PageFn = dyn Fn(Format) -> Option<String> + Send + Sync;

/// Answers.
pub(super) async fn answer(method: &Method, headers: &HeaderMap, page: Arc<PageFn>) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let format = Format::accepted(&lines.collect::<Vec<_>>().join(","));
    // With thousands of routes it takes some milliseconds, in which a login should not wait.
    match tokio::task::spawn_blocking(move || page(format)).await {
        Ok(Some(page)) => {
            let mut response = Response::new(Full::new(Bytes::from(page)));
            let content_type = HeaderValue::from_static(format.content_type());
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response
        }
        Ok(None) => plain(StatusCode::NOT_FOUND, "metrics are off: metrics.enabled = false\n"),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written; see the log\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
