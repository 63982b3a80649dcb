//! Responses as a client of HTTP/2 gets them: interim ones, those without a body, trailers, heads of any size.

use super::{get, post};
use crate::harness::{Frame, Gate, Gateway, ROUTES, RawHttp2, fields, flag, kind, setting};

/// RFC 9113 §8.1 and RFC 9110 §15.2.
#[test]
fn interim_responses_are_passed_on() {
    let gateway = Gateway::start(ROUTES);
    let shown = Gate::new();
    let seen = shown.clone();
    gateway.backend.on("/public/x", move |exchange| {
        exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-User: admin\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n");
        seen.wait();
        exchange.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/x"), None);
    let first = client.frame_of(1).expect("a hint, before there is a response");
    let hint = client.block(&first);
    shown.open();
    assert_eq!((first.kind, fields::value(&hint, ":status")), (kind::HEADERS, Some("103")));
    assert_eq!((first.flags & 1, fields::value(&hint, "link")), (0, Some("</a.css>")));
    for name in ["x-user", "x-hop", "connection"] {
        assert_eq!(fields::value(&hint, name), None, "{name}");
    }
    let answer = client.answer(1);
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    assert_eq!(
        answer.interim.iter().map(|head| fields::value(head, ":status")).collect::<Vec<_>>(),
        [Some("102")]
    );
}

/// RFC 9110 §10.1.1: the client is told to continue once somebody wants the body, and not before.
#[test]
fn the_client_is_told_to_continue() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    let expecting = |path| [&post(path)[..], &[("expect", "100-continue"), ("content-length", "4")]].concat();
    client.send(Frame::headers(1, &expecting("/orders/7")));
    let refused = client.answer(1);
    assert_eq!(
        (refused.status, refused.interim.len()),
        (401, 0),
        "nobody wants the body of a refused request"
    );
    client.send(Frame::headers(3, &expecting("/public/x")));
    gateway.backend.wait_for_requests(1);
    // Whoever does not say it leaves nothing but the answer to come, which needs the body first.
    assert!(client.round_trip());
    let first = client.frame_of(3).expect("a response");
    let interim = client.block(&first);
    assert_eq!((first.flags & 1, fields::value(&interim, ":status")), (0, Some("100")));
    client.send(Frame::data(3, "body").end());
    let answer = client.answer(3);
    assert_eq!((answer.status, answer.body.as_slice(), answer.interim.len()), (200, &b"body"[..], 0));
}

/// RFC 9110 §9.3.2, §15.3.5 and §15.4.5.
#[test]
fn responses_without_a_body_have_no_data() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    for (index, (method, head, length)) in [
        ("HEAD", "200 OK\r\nContent-Length: 1000\r\n", Some("1000")),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked\r\n", None),
        ("GET", "204 No Content\r\n", None),
        ("GET", "304 Not Modified\r\nETag: \"a\"\r\n", None),
        ("GET", "200 OK\r\nContent-Length: 0\r\n", Some("0")),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = u32::try_from(index * 2 + 1).unwrap();
        let path = format!("/public/{index}");
        gateway.backend.reply_raw(&path, format!("HTTP/1.1 {head}\r\n"));
        let mut list = get(&path);
        list[0].1 = method;
        let answer = client.request(stream, &list, None).answer(stream);
        assert_eq!((answer.status.to_string().as_str(), answer.body.len()), (&head[..3], 0), "{head}");
        assert_eq!(answer.field("content-length"), length, "{method} {head}");
    }
}

/// RFC 9113 §8.1.
#[test]
fn trailers_of_a_response_are_passed_on() {
    let gateway = Gateway::start(ROUTES);
    let mut client = RawHttp2::connect(gateway.addr());
    for (stream, body) in [(1, "2\r\nok\r\n"), (3, "")] {
        let path = format!("/public/{stream}");
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
        gateway.backend.reply_raw(&path, format!("{head}{body}0\r\nX-Sum: 42\r\n\r\n"));
        let list = [&get(&path)[..], &[("te", "trailers")]].concat();
        let answer = client.request(stream, &list, None).answer(stream);
        assert_eq!((answer.status, answer.body.len()), (200, if body.is_empty() { 0 } else { 2 }));
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    }
}

/// An empty trailer section says nothing, and not every client takes one.
#[test]
fn a_response_whose_trailers_may_not_pass_ends_without_any() {
    let gateway = Gateway::start(ROUTES);
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    gateway.backend.reply_raw("/public/x", format!("{head}2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"));
    let mut client = RawHttp2::connect(gateway.addr());
    client.request(1, &get("/public/x"), None);
    let frames: Vec<_> = (0..3).map_while(|_| client.frame_of(1)).collect();
    let seen: Vec<_> = frames.iter().map(|frame| (frame.kind, &frame.payload[..])).collect();
    assert_eq!(seen[1..], [(kind::DATA, &b"ok"[..]), (kind::DATA, b"")]);
    assert!(frames[2].is(kind::DATA, flag::END_STREAM));
}

/// RFC 9113 §4.2 and §6.10: no frame is larger than the client allows, whatever has to fit.
#[test]
fn a_large_response_head_comes_in_frames_that_fit() {
    let gateway = Gateway::start(ROUTES);
    let (long, body) = ("v".repeat(7000), "b".repeat(40_000));
    let lines: String = (0..4).map(|index| format!("X-{index}: {long}\r\n")).collect();
    let length = body.len();
    gateway
        .backend
        .reply_raw("/public/x", format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {length}\r\n\r\n{body}"));
    for settings in [&[][..], &[(setting::MAX_FRAME_SIZE, 16_384)], &[(setting::MAX_FRAME_SIZE, 1 << 20)]] {
        let mut client = RawHttp2::connect_with(gateway.addr(), settings);
        let most = settings.first().map_or(16_384, |(_, size)| usize::try_from(*size).unwrap());
        client.request(1, &get("/public/x"), None);
        let (mut block, mut content, mut ended) = (Vec::new(), 0, false);
        while !ended {
            let frame = client.frame_of(1).expect("the rest of the response");
            assert!(frame.payload.len() <= most, "{} bytes", frame.payload.len());
            ended = frame.kind != kind::CONTINUATION && frame.flags & 1 != 0;
            match frame.kind {
                kind::DATA => content += frame.payload.len(),
                _ => block.extend(frame.payload),
            }
        }
        let list = fields::decode(&block);
        assert!((0..4).all(|index| fields::value(&list, &format!("x-{index}")) == Some(&long)));
        assert_eq!(content, body.len());
    }
}

/// RFC 9113 §8.2: names in lower case; and a field that stands several times stays so.
#[test]
fn fields_are_in_lower_case_and_keep_their_lines() {
    let gateway = Gateway::start(ROUTES);
    let head =
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-UPPER: U\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n";
    gateway.backend.reply_raw("/public/x", head);
    let mut client = RawHttp2::connect(gateway.addr());
    let answer = client.request(1, &get("/public/x"), None).answer(1);
    let cookies: Vec<_> = answer
        .fields
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.field("x-upper"), Some("U"));
    assert!(
        answer.fields[0].0 == ":status"
            && answer.fields.iter().all(|(name, _)| *name == name.to_ascii_lowercase())
    );
    assert!(answer.field("date").is_some());
}
