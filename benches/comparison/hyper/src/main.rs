//! The least that an authenticating proxy on hyper does, tuned: one thread, a pool of its own for upstream connections, a cache of
//! verified tokens. No access log, no metrics, no request ids, no limits, no time-outs: not a product, but the mark that the product's
//! cost is held against.
//!
//! `bare LISTEN UPSTREAM` forwards; `bare LISTEN UPSTREAM KEYFILE` wants an HS256 token with the role `user` first and sets X-User and
//! X-Role. It speaks HTTP/1.1, and HTTP/2 to those who begin with it.

mod body;
mod token;

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::body::Answer;
use crate::token::Tokens;

type Failure = Box<dyn Error + Send + Sync>;

/// Header fields that end at a proxy (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
const USER: HeaderName = HeaderName::from_static("x-user");
const ROLE: HeaderName = HeaderName::from_static("x-role");

/// How a client with prior knowledge of HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// What the requests of the one thread share.
struct Proxy {
    upstream: SocketAddr,
    idle: Rc<RefCell<Vec<client::SendRequest<Incoming>>>>,
    tokens: Option<RefCell<Tokens>>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (listen, upstream, key) = match arguments.as_slice() {
        [listen, upstream] => (listen, upstream, None),
        [listen, upstream, key] => (listen, upstream, Some(std::fs::read(key)?)),
        _ => return Err("usage: bare LISTEN UPSTREAM [KEYFILE]".into()),
    };
    let tokens = key.map(|key| RefCell::new(Tokens::new(&key)));
    let proxy = Rc::new(Proxy { upstream: upstream.parse()?, idle: Rc::default(), tokens });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, accept(listen.parse()?, proxy))
}

async fn accept(address: SocketAddr, proxy: Rc<Proxy>) -> Result<(), Failure> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    let listener = TcpListener::from_std(socket.into())?;
    loop {
        let (stream, _) = listener.accept().await?;
        let proxy = proxy.clone();
        // A client that goes away in the middle is no reason to stop.
        tokio::task::spawn_local(async move { serve(stream, proxy).await.ok() });
    }
}

async fn serve(stream: TcpStream, proxy: Rc<Proxy>) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut first = [0; PREFACE.len()];
    let length = stream.peek(&mut first).await?;
    let service = service_fn(move |request| handle(proxy.clone(), request));
    let io = TokioIo::new(stream);
    if length > 0 && PREFACE.starts_with(&first[..length]) {
        http2::Builder::new(Local).serve_connection(io, service).await?;
    } else {
        // One buffer and `write` are cheaper than `writev` for messages of a few hundred bytes.
        http1::Builder::new().writev(false).serve_connection(io, service).await?;
    }
    Ok(())
}

/// hyper's HTTP/2 starts its streams on the thread that it runs on.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

async fn handle(proxy: Rc<Proxy>, mut request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    if let Some(tokens) = &proxy.tokens {
        let caller = match tokens.borrow_mut().caller(request.headers()) {
            Ok(caller) => caller,
            Err(status) => return Ok(refuse(status)),
        };
        request.headers_mut().insert(USER, caller.user);
        request.headers_mut().insert(ROLE, caller.role);
    }
    Ok(forward(&proxy, request).await.unwrap_or_else(|_| refuse(StatusCode::BAD_GATEWAY)))
}

fn refuse(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::full("{\"error\":\"denied\"}"));
    *response.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

async fn forward(proxy: &Proxy, mut request: Request<Incoming>) -> Result<Response<Answer>, Failure> {
    as_http1(&mut request)?;
    for name in &HOP_BY_HOP {
        request.headers_mut().remove(name);
    }
    let mut sender = match take(proxy) {
        Some(sender) => sender,
        None => connect(proxy.upstream).await?,
    };
    let mut response = sender.send_request(request).await?;
    for name in &HOP_BY_HOP {
        response.headers_mut().remove(name);
    }
    Ok(response.map(|body| Answer::pooled(body, sender, proxy.idle.clone())))
}

/// The request in the form of HTTP/1.1: a target without authority, and a Host field.
fn as_http1(request: &mut Request<Incoming>) -> Result<(), Failure> {
    if request.version() == Version::HTTP_2 {
        let host = request
            .uri()
            .authority()
            .map(|authority| HeaderValue::from_str(authority.as_str()))
            .transpose()?;
        *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
        *request.version_mut() = Version::HTTP_11;
        if let Some(host) = host {
            request.headers_mut().entry(header::HOST).or_insert(host);
        }
    }
    Ok(())
}

/// The connection that was used last. One that is not ready yet was given back a moment ago.
fn take(proxy: &Proxy) -> Option<client::SendRequest<Incoming>> {
    let mut idle = proxy.idle.borrow_mut();
    idle.retain(|sender| !sender.is_closed());
    let at = idle.iter().rposition(client::SendRequest::is_ready)?;
    Some(idle.swap_remove(at))
}

async fn connect(upstream: SocketAddr) -> Result<client::SendRequest<Incoming>, Failure> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = client::Builder::new().writev(false).handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move { connection.await.ok() });
    Ok(sender)
}
