//! The sample backend of `portcullis demo`: answers every request with the request itself.

use std::convert::Infallible;
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// A backend that listens on this machine and does not serve yet.
#[derive(Debug)]
pub(super) struct Echo {
    listener: StdListener,
    address: SocketAddr,
}

impl Echo {
    /// Takes a free port.
    pub(super) fn bind() -> io::Result<Self> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the task is aborted, on the runtime of the caller.
    pub(super) async fn run(self) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        loop {
            // What fails here is one connection, or too many of them at once; neither is worth ending a demo.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            // Not an async closure: with one, incremental builds of rustc 1.95 break off with unstable fingerprints.
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(respond(&request))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    }
}

fn respond(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(describe(request))));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The request line and the header fields, as they came.
fn describe<B>(request: &Request<B>) -> String {
    let mut text = format!("The backend got: {} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        let _ = writeln!(text, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::describe;

    #[test]
    fn the_answer_is_the_request() {
        let request =
            Request::get("/a?b").header("x-user", "alice").header("x-role", "reader").body(()).unwrap();
        assert_eq!(describe(&request), "The backend got: GET /a?b\n  x-user: alice\n  x-role: reader\n");
    }
}
