//! HTTP/2 with prior knowledge by hyper's client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::harness::PATIENCE;

/// One HTTP/2 connection. A thread of its own answers what the gateway asks at any time: a ping, the end of the connection.
pub(crate) struct Http2 {
    runtime: Arc<Runtime>,
    done: Arc<Notify>,
    sender: SendRequest<BoxBody<Bytes, Infallible>>,
    authority: String,
}

impl Http2 {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build().unwrap());
        let done = Arc::new(Notify::new());
        let (driver, ended) = (runtime.clone(), done.clone());
        std::thread::spawn(move || driver.block_on(ended.notified()));
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            let mut builder = http2::Builder::new(TokioExecutor::new());
            // Before the gateway has said how many streams it takes, more than one could be refused (RFC 9113 §5.1.2).
            builder.initial_max_send_streams(1);
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, done, sender, authority: addr.to_string() }
    }

    /// A request to build on, for this connection's authority.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        http::Request::builder().method(method).uri(format!("http://{}{path}", self.authority))
    }

    /// Sends all requests at once, on one stream each, and returns the responses in the same order.
    #[track_caller]
    pub(crate) fn exchange_all(
        &mut self,
        requests: Vec<http::Request<Full<Bytes>>>,
    ) -> Vec<http::Response<Bytes>> {
        self.runtime.block_on(async {
            let mut responses = Vec::new();
            for request in requests {
                self.sender.ready().await.expect("the connection takes another stream");
                responses.push(tokio::spawn(self.sender.send_request(request.map(BodyExt::boxed))));
            }
            let mut whole = Vec::new();
            for response in responses {
                let response = tokio::time::timeout(PATIENCE, response).await.expect("an answer");
                let (head, body) = response.unwrap().expect("a response").into_parts();
                let body = body.collect().await.expect("a whole body").to_bytes();
                whole.push(http::Response::from_parts(head, body));
            }
            whole
        })
    }

    /// Sends one request.
    #[track_caller]
    pub(crate) fn exchange(&mut self, request: http::Request<Full<Bytes>>) -> http::Response<Bytes> {
        self.exchange_all(vec![request]).pop().unwrap()
    }

    /// Sends a request and says whether its response breaks off, before or in the middle of its body.
    pub(crate) fn breaks_off(&mut self, request: http::Request<Full<Bytes>>) -> bool {
        self.runtime.block_on(async {
            let response =
                tokio::time::timeout(PATIENCE, self.sender.send_request(request.map(BodyExt::boxed))).await;
            let Ok(response) = response.expect("an answer") else { return true };
            let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
            body.expect("an end of the body").is_err()
        })
    }

    /// Sends a GET with a bearer token and returns the body of the response as soon as that begins, with 200.
    #[track_caller]
    pub(crate) fn open(&mut self, path: &str, token: &str) -> Http2Body {
        let request = self.request("GET", path).header("authorization", format!("Bearer {token}"));
        let request = request.body(Full::default().boxed()).unwrap();
        let (head, body) = self.runtime.block_on(async {
            self.sender.ready().await.expect("the connection takes another stream");
            let response = tokio::time::timeout(PATIENCE, self.sender.send_request(request)).await;
            response.expect("an answer").expect("a response").into_parts()
        });
        assert_eq!(head.status, 200);
        Http2Body { body, runtime: self.runtime.clone() }
    }

    /// Sends a request whose body begins like this and does not end, and reads the response to its end.
    #[track_caller]
    pub(crate) fn exchange_unfinished(
        &mut self,
        request: http::request::Builder,
        begin: Bytes,
    ) -> http::StatusCode {
        self.runtime.block_on(async {
            let body = Unfinished(Some(begin)).boxed();
            let response = self.sender.send_request(request.body(body).unwrap());
            let response = tokio::time::timeout(PATIENCE, response).await.expect("an answer");
            let response = response.expect("a response");
            let status = response.status();
            let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
            body.expect("an end of the body").expect("a whole body");
            status
        })
    }

    /// GET with a bearer token.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str, token: &str) -> http::Response<Bytes> {
        let request = self.request("GET", path).header("authorization", format!("Bearer {token}"));
        self.exchange(request.body(Full::default()).unwrap())
    }
}

/// The body of a response that goes on.
pub(crate) struct Http2Body {
    body: hyper::body::Incoming,
    runtime: Arc<Runtime>,
}

impl Http2Body {
    /// The next bytes of the body, as they come; `Err` with the code by which the stream was reset (RFC 9113 §7).
    #[track_caller]
    pub(crate) fn piece(&mut self) -> Result<Bytes, u32> {
        let body = &mut self.body;
        let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, body.frame()).await });
        let next = next.expect("something comes").expect("the body does not end in order");
        next.map(|frame| frame.into_data().expect("data")).map_err(|error| {
            let source = std::error::Error::source(&error).and_then(|it| it.downcast_ref::<h2::Error>());
            source.and_then(h2::Error::reason).expect("a reset").into()
        })
    }

    /// Reads until the stream is reset, and returns the code.
    #[track_caller]
    pub(crate) fn until_reset(&mut self) -> u32 {
        loop {
            if let Err(code) = self.piece() {
                return code;
            }
        }
    }
}

/// A body of which more seems to come.
struct Unfinished(Option<Bytes>);

impl Body for Unfinished {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.done.notify_one();
    }
}
