//! Whole exchanges: a client connection is served as a worker thread does it, with the access log and the metrics on, and each request
//! is forwarded over loopback. Client and server are threads of their own, which are not counted.
//!
//! They take turns, so that the worker always finds the same: there is one request at a time, and it comes in one piece.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis::app;
use portcullis::clock;
use portcullis::control::Control;
use portcullis::gateway::{Shared, Worker};
use portcullis::health::Health;
use portcullis::identity::{Argon2Params, HashPool, Login, Registration, Sessions, Throttle, Users};
use portcullis::observe::AccessLog;
use portcullis::observe::audit::Audit;
use portcullis::observe::metrics::{Seat, Series};
use portcullis::reload::{self, Parts};
use portcullis::seal::Seal;
use portcullis::server;
use portcullis::store::{Batch, Store, Table};
use portcullis::token::{KeyRecord, Revocations};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::config::{HOST, with_routes};
use crate::tokens::HS256;

/// Exchanges on the connection that is counted. Its beginning and its end are counted too, and are a small part of it.
const EXCHANGES: usize = 100;
/// Exchanges before that, on another connection: for the cache of tokens, the upstream connection, and what is made at its first use.
/// Their queries are so long that the buffer for access records need not grow afterwards: callgrind counts a large copy as an
/// instruction for each byte.
const WARM_UP: usize = 20;
const LONG_QUERY: usize = 7000;

const BODY: usize = 1024;

/// A worker, and a client whose connection waits for it.
struct Site {
    runtime: Runtime,
    worker: Arc<Worker>,
    listener: TcpListener,
    client: JoinHandle<()>,
    _directory: TempDir,
}

/// What a client sends, and to whom. It checks the answers.
struct Requests {
    address: SocketAddr,
    token: Option<&'static str>,
    count: usize,
    query: String,
}

impl Requests {
    fn paths(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|request| format!("/service-{}/orders/{request:03}?{}", request % 10, self.query))
    }
}

fn site(send: fn(&Requests), with_token: bool) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let worker = worker(&directory, &runtime);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let token = with_token.then_some(HS256.1.trim());
    let start = |count, query| {
        let requests = Requests { address, token, count, query };
        thread::spawn(move || send(&requests))
    };
    let warm_up = start(WARM_UP, "x".repeat(LONG_QUERY));
    runtime.block_on(serve(&listener, &worker));
    warm_up.join().unwrap();
    let client = start(EXCHANGES, "page=2".to_owned());
    Site { runtime, worker, listener, client, _directory: directory }
}

/// A worker that accepts the token.
fn worker(directory: &TempDir, runtime: &Runtime) -> Arc<Worker> {
    let config = Arc::new(with_routes(10, &backend().to_string(), directory.path()));
    let revocations = Arc::new(Revocations::new());
    let store: Arc<dyn Store> = Arc::new(app::open_store(&config, Duration::ZERO).unwrap());
    let users = Users::new(store.clone(), revocations.clone());
    let params = Argon2Params { memory_kib: 64, passes: 1, lanes: 1 };
    let pool = Arc::new(HashPool::new(1, 1, params).unwrap());
    let sessions = Sessions::open(store.clone(), users.clone(), &Seal::default()).unwrap();
    let audit = Audit::new(&config.audit);
    // The key of the token; the snapshot would make another one.
    let record = HS256.0.trim().as_bytes();
    let id = KeyRecord::read(record).unwrap().id().as_str().to_owned();
    store.commit(Batch::new().put(Table::Keys, id, record)).unwrap();
    let tries = &config.registration.throttle;
    let registration =
        Registration::new(store.clone(), users.clone(), pool.clone(), tries, clock::monotonic());
    let throttle = Arc::new(Throttle::new(&config.login.throttle, clock::monotonic()));
    let parts = Parts {
        sessions,
        keys: Arc::new(app::open_keys(&config, store.clone()).unwrap()),
        login: Arc::new(Login::new(users.clone(), pool, throttle)),
        registration: Arc::new(registration),
        users,
        health: Arc::new(Health::new(store.clone(), audit.clone())),
        audit,
        instance: "0123abcd".to_owned(),
        control: Control::new(runtime.handle().clone()),
    };
    let series = Arc::new(Series::new(clock::monotonic(), 1, &config, None));
    let snapshot = reload::build(config.clone(), &parts, Some(series), None).unwrap();
    let shared =
        Arc::new(Shared { snapshot: ArcSwap::from_pointee(snapshot), revocations, api_keys: Arc::default() });
    let access = AccessLog::open(&config.log.access, config.log.format).unwrap().unwrap();
    let worker = Worker::new(shared, Some(access.sink()), Seat::all(1).pop()).unwrap();

    // What the log's thread leaves of the buffer depends on when it comes, and was worth 1 % from one run to the next. Without the
    // thread the records gather in the buffer.
    drop(access);
    Arc::new(worker)
}

/// Accepts one connection and serves it to its end.
async fn serve(listener: &TcpListener, worker: &Arc<Worker>) {
    let (stream, peer) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    stream.set_nodelay(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    server::serve(stream, peer, worker.clone()).await;
}

/// A server that answers whatever it is asked with the same.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Length: {BODY}\r\n\r\n"
    );
    let answer = [head.into_bytes(), vec![b'x'; BODY]].concat();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            stream.set_nodelay(true).unwrap();
            thread::spawn(
                move || {
                    while read_head(&mut stream).is_some() && stream.write_all(&answer).is_ok() {}
                },
            );
        }
    });
    address
}

/// Reads to the end of a head; what was read behind it is returned with it.
fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut read, mut piece) = (Vec::new(), [0; 4096]);
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut piece).ok().filter(|&count| count > 0)?;
        read.extend_from_slice(piece.get(..count)?);
    }
    Some(read)
}

fn http1(requests: &Requests) {
    let mut stream = TcpStream::connect(requests.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let login = requests.token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    for path in requests.paths() {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: orders-sync/2.4\r\nAccept: application/json\r\n{login}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_head(&mut stream).unwrap();
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(answer.get(..end).unwrap()).to_ascii_lowercase();
        assert!(
            head.starts_with(if requests.token.is_some() { "http/1.1 200 " } else { "http/1.1 401 " }),
            "{head}"
        );
        let length =
            head.split_once("content-length: ").and_then(|(_, rest)| rest.split_once("\r\n")).unwrap().0;
        let mut rest = vec![0; length.parse::<usize>().unwrap() + end - answer.len()];
        stream.read_exact(&mut rest).unwrap();
    }
}

fn http2(requests: &Requests) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(requests.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        for path in requests.paths() {
            let head = Request::get(format!("http://{HOST}{path}"))
                .header("user-agent", "orders-sync/2.4")
                .header("accept", "application/json")
                .header("authorization", format!("Bearer {}", requests.token.unwrap_or_default()));
            sender.ready().await.unwrap();
            let response = sender.send_request(head.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), BODY);
        }
        drop(sender);
        connection.await.unwrap().unwrap();
    });
}

/// The client has seen what it should.
fn check(site: Site) {
    site.client.join().unwrap();
}

#[library_benchmark]
#[bench::http1_x100(args = (http1, true), setup = site, teardown = check)]
#[bench::http2_x100(args = (http2, true), setup = site, teardown = check)]
#[bench::http1_refused_x100(args = (http1, false), setup = site, teardown = check)]
fn handle(site: Site) -> Site {
    site.runtime.block_on(serve(&site.listener, &site.worker));
    site
}

library_benchmark_group!(name = whole, benchmarks = handle);
