//! Against hyper, which speaks the same protocol: what we take of a server it takes too, and it means the same to both; what we write to
//! a server it reads as what the client has sent.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Connection, Deadline, Download, Socket, Upload};
use crate::body::{BodyError, RequestBody, TrailerFilter};
use crate::clock;
use crate::http1::Framing;
use crate::http1::testing::{changed, for_all, lines};

const HOUR: Duration = Duration::from_secs(3600);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

/// A response as a reader understands it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    interim: Vec<u16>,
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn everything() -> TrailerFilter {
    Arc::new(|_: &mut HeaderMap| {})
}

/// Takes a request, answers with these bytes in pieces of this size, and waits until the reader has closed.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: Vec<u8>, size: usize) {
    let mut request = vec![0; REQUEST.len()];
    let _ = stream.read_exact(&mut request).await;
    for piece in bytes.chunks(size) {
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut request).await;
}

/// Body and trailers, if they come to their end.
async fn whole<B: Body<Data = Bytes> + Unpin>(body: B, seen: &mut Seen) -> Option<()> {
    let body = body.collect().await.ok()?;
    seen.trailers = body.trailers().map(lines).unwrap_or_default();
    seen.body = body.to_bytes().to_vec();
    Some(())
}

/// What we understand, and whether the connection would carry another request.
async fn by_us(method: &Method, bytes: Vec<u8>, size: usize) -> Option<(Seen, bool)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(answer(listener.accept().await.unwrap().0, bytes, size));
    let mut connection = Connection::new(Socket::new(stream, None).unwrap(), Box::default());
    let mut upload = Upload::new(REQUEST.to_vec(), Framing::Empty, RequestBody::empty(), false);
    let mut deadline = Deadline::new(clock::monotonic(), HOUR);
    let mut seen = Seen::default();
    let mut note = |status: http::StatusCode, _| seen.interim.push(status.as_u16());
    let (head, meaning) = connection.exchange(method, &mut upload, &mut deadline, &mut note).await.ok()?;
    seen.status = head.status.as_u16();
    seen.fields = lines(connection.fields().iter());
    let settled = Arc::new(AtomicBool::new(false));
    let note = settled.clone();
    let settle =
        Box::new(move |connection: Connection| note.store(connection.rest().is_some(), Ordering::Relaxed));
    if seen.status != 101 {
        let body = Download::new(connection, meaning.length, upload, Some(settle), everything());
        whole(body, &mut seen).await?;
    }
    Some((seen, meaning.keeps && settled.load(Ordering::Relaxed)))
}

/// What hyper's client understands.
async fn by_hyper(method: &Method, bytes: Vec<u8>, size: usize) -> Option<Seen> {
    let (ours, theirs) = duplex(1 << 20);
    tokio::spawn(answer(theirs, bytes, size));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder().uri("/").header("host", "h").body(String::new()).unwrap();
    // Its request is a GET for the server, which reads so many bytes.
    *request.method_mut() = method.clone();
    let interim = Arc::new(Mutex::new(Vec::new()));
    let note = interim.clone();
    hyper::ext::on_informational(&mut request, move |response| {
        note.lock().unwrap().push(response.status().as_u16());
    });
    let response = sender.send_request(request).await.ok()?;
    let mut seen = Seen { status: response.status().as_u16(), ..Seen::default() };
    seen.fields = lines(response.headers());
    if seen.status != 101 {
        whole(response.into_body(), &mut seen).await?;
    }
    seen.interim = std::mem::take(&mut *interim.lock().unwrap());
    Some(seen)
}

const INTERIM: [&str; 5] =
    ["", "", "", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"];
const START: [&str; 9] = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200",
    "HTTP/1.1 404 ",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 204 None",
    "HTTP/1.1 304 Same",
    "HTTP/1.1 101 Other",
    "HTTP/1.1 999 Odd\tone \u{e9}",
];
const FIELDS: [&str; 20] = [
    "A: b",
    "A:",
    "a:  c ",
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 5, 5",
    "Content-Length: 05",
    "Content-Length: 7",
    "Content-Length: x",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked ",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Connection: close",
    "Connection: keep-alive",
    "Upgrade: websocket",
    "X: a\r\n b",
    "X : y",
];
const BODIES: [&str; 9] = [
    "hello",
    "hello",
    "",
    "5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "2;a=b\r\nhe\r\n3 \r\nllo\r\n00\r\nSum: 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\r\nContent-Length: 3\r\n\r\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
];

/// Made of pieces, so that half of them mean something.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let parts = (
        select(&INTERIM[..]),
        select(&START[..]),
        prop::collection::vec(select(&FIELDS[..]), 0..4),
        select(&["\r\n", "\r\n", "\r\n", "\n"][..]),
        select(&BODIES[..]),
    );
    changed(parts.prop_map(|(interim, start, fields, end, body)| {
        let head: Vec<&str> = [start].into_iter().chain(fields).collect();
        format!("{interim}{}{end}{end}{body}", head.join(end))
    }))
}

/// A request body as it comes: its pieces, whether its length is known, a trailer.
#[derive(Clone, Debug)]
struct Sent {
    pieces: Vec<usize>,
    chunked: bool,
    trailer: bool,
}

impl Sent {
    /// Around the length below which a piece is copied, and small ones.
    fn any() -> impl Strategy<Value = Self> {
        let piece = prop_oneof![1_usize..40, 8180_usize..8210, 16_370_usize..16_400, 1_usize..70_000];
        (prop::collection::vec(piece, 0..6), any::<bool>(), any::<bool>())
            .prop_map(|(pieces, chunked, trailer)| Self { pieces, chunked, trailer: trailer && chunked })
    }

    fn content(&self) -> Vec<u8> {
        (0..self.pieces.iter().sum()).map(|index| (index % 251) as u8).collect()
    }

    /// The head with the framing.
    fn head(&self) -> Vec<u8> {
        let framing = match self.chunked {
            true => "transfer-encoding: chunked".to_owned(),
            false => format!("content-length: {}", self.content().len()),
        };
        format!("POST / HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n").into_bytes()
    }

    async fn write(&self, mut stream: impl AsyncWrite + Unpin) {
        let (content, mut at) = (self.content(), 0);
        stream.write_all(&self.head()).await.unwrap();
        for length in &self.pieces {
            let piece = &content[at..at + length];
            at += length;
            let size = if self.chunked { format!("{length:X}\r\n") } else { String::new() };
            let end: &[u8] = if self.chunked { b"\r\n" } else { b"" };
            stream.write_all(&[size.as_bytes(), piece, end].concat()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let last: &[u8] = match (self.chunked, self.trailer) {
            (true, true) => b"0\r\nx-sum: 1\r\n\r\n",
            (true, false) => b"0\r\n\r\n",
            (false, _) => b"",
        };
        stream.write_all(last).await.unwrap();
    }
}

type Received = (Vec<u8>, usize, Option<u64>);

/// Serves one connection with hyper and says of each request: content, number of trailer fields, length.
async fn record(stream: impl AsyncRead + AsyncWrite + Unpin, requests: mpsc::UnboundedSender<Received>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let requests = requests.clone();
        async move {
            let length = request.body().size_hint().exact();
            let body = request.into_body().collect().await.unwrap();
            let trailers = body.trailers().map_or(0, HeaderMap::len);
            requests.send((body.to_bytes().to_vec(), trailers, length)).unwrap();
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// What a server receives when what came from a client goes through our upload, over a connection with a buffer of this size, with a
/// request behind it.
async fn through_us(sent: &Sent, buffer: usize) -> Vec<Received> {
    let (client, gateway) = duplex(buffer);
    let (upstream, server) = duplex(buffer);
    let (requests, mut received) = mpsc::unbounded_channel();
    tokio::spawn(record(server, requests));
    let (framing, head) = match sent.chunked {
        true => (Framing::Chunked, sent.head()),
        false => (Framing::Length(sent.content().len() as u64), sent.head()),
    };
    let writer = Arc::new(Mutex::new(Some((upstream, head))));
    let service = service_fn(move |request: Request<Incoming>| {
        let (upstream, head) = writer.lock().unwrap().take().unwrap();
        // A server whose answer nobody takes does not read on.
        let (mut answers, mut upstream) = tokio::io::split(upstream);
        tokio::spawn(async move { answers.read_to_end(&mut Vec::new()).await });
        async move {
            let body = request.into_body().map_err(|error| BodyError::Broken(error.into()));
            let body = RequestBody::new(Box::new(body), u64::MAX, HOUR, everything());
            let mut upload = Upload::new(head, framing, body, false);
            poll_fn(|cx| upload.poll_send(cx, &mut upstream)).await.unwrap();
            assert!(upload.is_done() && upload.done_at().is_some());
            upstream.write_all(REQUEST).await.unwrap();
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let serve = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(gateway), service);
    tokio::spawn(async move { drop(serve.await) });
    // Held to the end: a client that goes away breaks the body off.
    let (_reader, writer) = tokio::io::split(client);
    sent.write(writer).await;
    vec![received.recv().await.unwrap(), received.recv().await.unwrap()]
}

#[test]
fn a_response_means_what_it_means_to_hyper_or_nothing() {
    for_all(400, (response(), any::<bool>(), 1_usize..400, 1_usize..400), |(bytes, head, ours, theirs)| {
        let method = if head { Method::HEAD } else { Method::GET };
        let (us, hyper) = block_on(async {
            (by_us(&method, bytes.clone(), ours).await, by_hyper(&method, bytes, theirs).await)
        });
        match (us, hyper) {
            (Some((us, _)), Some(hyper)) => prop_assert_eq!(us, hyper),
            (Some((us, _)), None) => prop_assert!(false, "only we take it: {:?}", us),
            (None, _) => {}
        }
        Ok(())
    });
}

#[test]
fn a_response_means_the_same_in_any_pieces() {
    for_all(400, (response(), 1_usize..30, 1_usize..400), |(bytes, one, other)| {
        let [one, other] = block_on(async {
            [by_us(&Method::GET, bytes.clone(), one).await, by_us(&Method::GET, bytes, other).await]
        });
        // Whether the connection stays depends on how early the bytes behind the response come.
        prop_assert_eq!(one.map(|it| it.0), other.map(|it| it.0));
        Ok(())
    });
}

#[test]
fn a_server_reads_what_the_client_has_sent() {
    for_all(400, (Sent::any(), 16_usize..40_000), |(sent, buffer)| {
        let received = block_on(through_us(&sent, buffer));
        let length = (!sent.chunked).then(|| sent.content().len() as u64);
        prop_assert!(
            received[0] == (sent.content(), usize::from(sent.trailer), length),
            "{:?}",
            received[0].1
        );
        prop_assert_eq!(&received[1], &(Vec::new(), 0, Some(0)), "the request behind it");
        Ok(())
    });
}

/// The connection was full just behind a large chunk's data: its CRLF came after the beginning of the next chunk.
#[test]
fn the_end_of_a_chunk_is_sent_before_the_next_chunk() {
    let sent = Sent { pieces: vec![16_370, 8180, 16_377, 16_370], chunked: true, trailer: false };
    for buffer in 8190..8220 {
        let received = block_on(through_us(&sent, buffer));
        assert!(received[0] == (sent.content(), 0, None), "{buffer}");
    }
}
