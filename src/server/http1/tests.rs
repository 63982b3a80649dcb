//! Against hyper, which speaks the same protocol: what we take of a client it takes too, and it means the same to both. Also that
//! nothing depends on the pieces in which bytes arrive.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::head::{HeadReader, Received};
use crate::config;
use crate::http1::testing::{changed, for_all, lines};
use crate::http1::{Content, Length, Piece};
use crate::message::Head;

/// A request as a reader understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    line: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

/// The request line and the fields.
fn head(request: &Head) -> Seen {
    let line = format!("{} {} {:?}", request.method, request.uri, request.version);
    Seen { line, fields: lines(request.fields.iter()), ..Seen::default() }
}

fn reader() -> HeadReader {
    let text = "[store]\npath = 'x'\n[upstream.a]\nservers = ['http://127.0.0.1:1']\n\
        [[route]]\npath = '/*'\naccess = 'public'\nupstream = 'a'\n";
    HeadReader::new(&config::parse(text, Path::new("/config.toml")).unwrap().server)
}

/// The content behind a head. Takes of it what is in `received`; `None` once it is malformed.
fn read(content: &mut Content, received: &mut BytesMut, seen: &mut Seen) -> Option<()> {
    while !content.has_ended() {
        match content.next(received).ok()? {
            Some(Piece::Data(data)) => seen.body.extend_from_slice(&data),
            Some(Piece::End(trailers)) => seen.trailers = lines(&trailers),
            None => break,
        }
    }
    Some(())
}

/// The whole requests that we understand when bytes come in pieces of this size, as the connection reads them one behind the other.
fn by_us(bytes: &[u8], size: usize) -> Vec<Seen> {
    let (mut reader, mut received, mut whole) = (reader(), BytesMut::new(), Vec::new());
    let mut current: Option<(Seen, Content, bool)> = None;
    for piece in bytes.chunks(size) {
        received.extend_from_slice(piece);
        loop {
            if current.is_none() {
                match reader.take(&mut received) {
                    // The gateway refuses what has no clear length.
                    Ok(Some(Received { length: Some(Length::UntilClose), .. })) | Err(_) => return whole,
                    Ok(Some(Received { head: request, length, keeps, .. })) => {
                        let content = Content::new(length.unwrap_or(Length::Exact(0)));
                        current = Some((head(&request), content, keeps && request.method != Method::CONNECT));
                    }
                    Ok(None) => break,
                }
            }
            let Some((seen, content, keeps)) = &mut current else { break };
            if read(content, &mut received, seen).is_none() {
                return whole;
            }
            if !content.has_ended() {
                break;
            }
            whole.push(seen.clone());
            if !*keeps {
                return whole;
            }
            current = None;
        }
    }
    whole
}

/// The whole requests that hyper's server understands.
fn by_hyper(bytes: Vec<u8>, size: usize) -> Vec<Seen> {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let note = requests.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let note = note.clone();
        async move {
            let (parts, body) = request.into_parts();
            let mut seen = head(&parts.into());
            if let Ok(body) = body.collect().await {
                seen.trailers = body.trailers().map(lines).unwrap_or_default();
                seen.body = body.to_bytes().to_vec();
                note.lock().unwrap().push(seen);
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let run = async {
        let (client, server) = duplex(1 << 20);
        let (mut answers, mut client) = tokio::io::split(client);
        tokio::spawn(async move { answers.read_to_end(&mut Vec::new()).await });
        tokio::spawn(async move {
            for piece in bytes.chunks(size) {
                let _ = client.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            let _ = client.shutdown().await;
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        let _ = builder.half_close(true).serve_connection(TokioIo::new(server), service).await;
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run);
    std::mem::take(&mut *requests.lock().unwrap())
}

const BEFORE: [&str; 5] = ["", "", "", "\r\n", "\n"];
const START: [&str; 14] = [
    "GET / HTTP/1.1",
    "POST /a?b=c HTTP/1.1",
    "POST /a HTTP/1.1",
    "HEAD /a#b HTTP/1.1",
    "GET /a HTTP/1.0",
    "POST /a HTTP/1.0",
    "GET http://h:80/a HTTP/1.1",
    "GET http://h HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT h:80 HTTP/1.1",
    "m!t /\u{e9} HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.2",
    "GET /",
];
const FIELDS: [&str; 27] = [
    "Host: h",
    "Host: h",
    "A:",
    "a:  c \t",
    "A: \u{e9}",
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 5, 5",
    "Content-Length: 05",
    "Content-Length: +5",
    "Content-Length: 18446744073709551615",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked ",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding:",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: x, Keep-Alive , y",
    "Expect: 100-continue",
    "Upgrade: websocket",
    "X: a\r\n b",
    "X : y",
    " X: y",
];
const BODIES: [&str; 10] = [
    "",
    "",
    "hello",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "2;a=b\r\nhe\r\n3 \r\nllo\r\n00\r\nSum: 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\r\nContent-Length: 3\r\n\r\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
];

fn message() -> impl Strategy<Value = String> {
    let parts = (
        select(&BEFORE[..]),
        select(&START[..]),
        prop::collection::vec(select(&FIELDS[..]), 0..4),
        select(&["\r\n", "\r\n", "\r\n", "\n"][..]),
        select(&BODIES[..]),
    );
    parts.prop_map(|(before, start, fields, end, body)| {
        let head: Vec<&str> = [start].into_iter().chain(fields).collect();
        format!("{before}{}{end}{end}{body}", head.join(end))
    })
}

/// What a client could send: requests made of pieces, so that many of them mean something.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    changed(prop::collection::vec(message(), 1..4).prop_map(|messages| messages.concat()))
}

#[test]
fn a_request_means_what_it_means_to_hyper_or_nothing() {
    for_all(2000, (requests(), 1_usize..400, 1_usize..400), |(bytes, ours, theirs)| {
        let (us, mut hyper) = (by_us(&bytes, ours), by_hyper(bytes, theirs));
        // We refuse more, and then read no further.
        hyper.truncate(us.len());
        prop_assert_eq!(us, hyper);
        Ok(())
    });
}

#[test]
fn a_request_means_the_same_in_any_pieces() {
    for_all(2000, (requests(), 1_usize..30, 1_usize..400), |(bytes, one, other)| {
        prop_assert_eq!(by_us(&bytes, one), by_us(&bytes, other));
        Ok(())
    });
}
