//! SECURITY group H: what the backend sees of us and of the client, and what the client sees of the backend.

use bytes::Bytes;
use http_body_util::Full;

use crate::harness::{Gateway, Http2, ROUTES, Recorded, Request, Setup};

/// Every spelling of `name` that a backend could take for it: all characters that a header name may have (RFC 9110
/// §5.6.2) between the words, in several cases.
fn aliases(name: &str) -> Vec<String> {
    let mut aliases = Vec::new();
    for separator in "!#$%&'*+-.^_`|~".chars() {
        let alias = name.replace('-', &separator.to_string());
        aliases.extend([alias.to_lowercase(), alias.to_uppercase(), alias]);
    }
    aliases
}

/// Everything in the request whose name a lax backend could read as `name`.
fn read_laxly(request: &Recorded, name: &str) -> Vec<(String, String)> {
    let fold = |name: &str| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let fields = request.headers.iter().chain(request.trailers.iter());
    fields
        .filter(|(key, _)| fold(key) == fold(name))
        .map(|(key, value)| (key.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
        .collect()
}

fn assert_identity(request: &Recorded, user: Option<&str>, role: Option<&str>) {
    for (name, value) in [("x-user", user), ("x-role", role)] {
        let expected: Vec<_> = value.map(|value| (name.to_owned(), value.to_owned())).into_iter().collect();
        assert_eq!(read_laxly(request, name), expected, "\n{}", request.head.escape_ascii());
    }
}

#[test]
fn cve_2025_64484_no_alias_of_an_identity_header_gets_through() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let mut client = gateway.connect();
    for name in aliases("X-User").into_iter().chain(aliases("X-Role")) {
        let forged = |target: &str| Request::get(target).header(&name, "admin");
        assert_eq!(client.exchange(&forged("/orders/7").bearer(&token)).status, 200, "{name}");
        assert_identity(&gateway.backend.last(), Some("alice"), Some("reader"));
        assert_eq!(client.exchange(&forged("/public/x")).status, 200, "{name}");
        assert_identity(&gateway.backend.last(), None, None);
    }
}

#[test]
fn cve_2025_64484_not_over_http_2_either() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let mut client = Http2::connect(gateway.addr());
    for name in aliases("X-User").into_iter().chain(aliases("X-Role")) {
        let request = client.request("GET", "/orders/7").header("authorization", format!("Bearer {token}"));
        let request = request.header(name.to_lowercase(), "admin").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(client.exchange(request).status(), 200, "{name}");
        assert_identity(&gateway.backend.last(), Some("alice"), Some("reader"));
    }
}

#[test]
fn cve_2026_26308_repeated_identity_headers_are_replaced_by_one() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let request = Request::get("/orders/7")
        .header("X-User", "admin")
        .bearer(&token)
        .header("x-user", "a, admin")
        .header("X-Role", "")
        .header("X-ROLE", "admin");
    assert_eq!(gateway.send(&request).status, 200);
    assert_identity(&gateway.backend.last(), Some("alice"), Some("reader"));
}

/// Caddy GHSA-7r4p: a claim that is missing must not let the client's value through.
#[test]
fn ghsa_7r4p_a_user_without_roles_has_no_role_header_of_the_client() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("carol", "");
    let request =
        Request::get("/anyone/x").bearer(&token).header("X-Role", "admin").header("X_Role", "admin");
    assert_eq!(gateway.send(&request).status, 200);
    let request = gateway.backend.last();
    assert_eq!(request.header_values("x-user"), ["carol"]);
    for (name, value) in read_laxly(&request, "x-role") {
        assert_eq!((name.as_str(), value.as_str()), ("x-role", ""));
    }
}

#[test]
fn a_bad_token_on_a_public_route_gives_no_identity() {
    let gateway = Gateway::start(ROUTES);
    let request =
        Request::get("/public/x").bearer("a.b.c").header("X-User", "admin").header("X-Role", "admin");
    gateway.send(&request);
    for request in gateway.backend.requests() {
        assert_identity(&request, None, None);
    }
}

/// Also CVE-2024-45410: naming our headers in `Connection` must not take them away.
#[test]
fn cve_2021_32813_connection_cannot_remove_what_we_set() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for lines in [
        &["X-User, X-Role, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Authorization, Host, Via"][..],
        &["keep-alive, x-user"],
        &["keep-alive", "x-role", " , X-USER ,,"],
        &["X-Request-Id, traceparent, Content-Length, X-User"],
    ] {
        let mut request = Request::post("/orders/7", "body").bearer(&token);
        for line in lines {
            request = request.header("Connection", line);
        }
        assert_eq!(gateway.send(&request).status, 200, "{lines:?}");
        let seen = gateway.backend.last();
        assert_identity(&seen, Some("alice"), Some("reader"));
        assert_eq!(seen.body, b"body");
        for name in ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"] {
            assert_eq!(seen.header_values(name).len(), 1, "{name} with {lines:?}");
        }
    }
}

/// RFC 9110 §7.6.1: fields that `Connection` names, from all its lines, and the known hop-by-hop ones, end here.
#[test]
fn what_is_for_this_hop_is_not_forwarded() {
    let gateway = Gateway::start(ROUTES);
    let request = Request::get("/public/x")
        .header("Connection", "X-One, close")
        .header("X-One", "1")
        .header("connection", "x-two")
        .header("X-Two", "2")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("Proxy-Authorization", "Basic eDp5")
        .header("TE", "gzip, trailers")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")
        .header("X-Three", "3");
    assert_eq!(gateway.send(&request).status, 200);
    let seen = gateway.backend.last();
    for name in [
        "x-one",
        "x-two",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "http2-settings",
    ] {
        assert_eq!(seen.header_values(name), [""; 0], "{name}");
    }
    for member in seen.headers.list("te").into_iter().chain(seen.headers.list("connection")) {
        assert!(["trailers", "te", "keep-alive", "close"].contains(&member.as_str()), "{member}");
    }
    assert_eq!(seen.header_values("x-three"), ["3"]);
}

/// hyper#4019 was a panic.
#[test]
fn a_connection_header_of_any_bytes_harms_nobody() {
    let gateway = Gateway::start(ROUTES);
    for value in [&b"\xff\xfe"[..], b"close, \x80", b",,,", b"", b"\"x-user\""] {
        let response =
            gateway.send(&Request::get("/public/x").header("Connection", value).header("X-User", "a"));
        assert!(matches!(response.status, 200 | 400), "{value:?}: {}", response.status);
    }
    for request in gateway.backend.requests() {
        assert_identity(&request, None, None);
    }
    assert_eq!(gateway.send(&Request::get("/healthz")).status, 200);
}

#[test]
fn trailers_cannot_carry_an_identity() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for (index, name) in
        ["X-User", "x-role", "X_User", "Authorization", "Content-Length", "Host"].iter().enumerate()
    {
        gateway.connect().send(format!(
            "POST /orders/{index} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nTE: trailers\r\nTrailer: {name}\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n{name}: 99\r\n\r\n"
        )).response();
        for seen in gateway.backend.requests() {
            assert_identity(&seen, Some("alice"), Some("reader"));
            assert_eq!(seen.trailers.names().count(), 0, "{name}: {}", seen.trailers);
        }
    }
    assert_eq!(gateway.send(&Request::get("/healthz")).status, 200);
}

const CLIENT_CLAIMS: [&str; 17] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-User",
    "X-Real-IP",
    "Forwarded",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Envoy-External-Address",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X_Forwarded_For",
];

/// CVE-2026-35051, CVE-2026-40575, CVE-2024-21494, CVE-2024-45806, CVE-2022-24117: each peer forgot another one of them.
#[test]
fn cve_2024_45806_what_a_stranger_says_about_the_client_is_dropped() {
    let gateway = Gateway::start(ROUTES);
    for name in CLIENT_CLAIMS {
        let request = Request::get("/public/x").header("Host", "shop.example").header(name, "6.6.6.6");
        assert_eq!(gateway.send(&request).status, 200, "{name}");
        let seen = gateway.backend.last();
        assert!(!seen.head.escape_ascii().to_string().contains("6.6.6.6"), "{name}");
        assert_eq!(seen.header_values("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(seen.header_values("x-forwarded-proto"), ["http"]);
        assert_eq!(seen.header_values("x-forwarded-host"), ["shop.example"]);
    }
    let record = gateway.access_of("/public/x");
    assert_eq!(record["client.addr"], "127.0.0.1");
}

#[test]
fn a_trusted_proxy_is_believed_from_the_right_to_the_first_stranger() {
    let gateway = Setup::new(ROUTES).set("server.trusted_proxies", "['127.0.0.0/8', '10.0.0.0/8']").start();
    for (index, (value, client)) in [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("10.1.2.3", "10.1.2.3"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/public/{index}");
        assert_eq!(gateway.send(&Request::get(&path).header("X-Forwarded-For", value)).status, 200);
        assert_eq!(gateway.access_of(&path)["client.addr"], client, "{value}");
        let seen = gateway.backend.last().headers.list("x-forwarded-for");
        assert_eq!(seen.last().map(String::as_str), Some("127.0.0.1"), "the peer is added: {seen:?}");
        assert!(seen.contains(&client.to_owned()), "{seen:?}");
    }
    let path = "/public/lines";
    let request =
        Request::get(path).header("X-Forwarded-For", "6.6.6.6").header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(gateway.send(&request).status, 200);
    assert_eq!(gateway.access_of(path)["client.addr"], "203.0.113.9", "all lines are one list");
}

#[test]
fn rubbish_from_a_trusted_proxy_names_no_client() {
    let gateway = Setup::new(ROUTES).set("server.trusted_proxies", "['127.0.0.1']").start();
    for (index, value) in
        ["unknown", "", ",", "6.6.6.6, rubbish", "999.1.1.1", "1.2.3.4:x"].iter().enumerate()
    {
        let path = format!("/public/{index}");
        let response = gateway.send(&Request::get(&path).header("X-Forwarded-For", value));
        assert!(matches!(response.status, 200 | 400), "{value:?}: {}", response.status);
        assert_eq!(gateway.access_of(&path)["client.addr"], "127.0.0.1", "{value:?}");
    }
}

/// oathkeeper GHSA-vhr5, caddy-security#270: only schemes that exist are passed on.
#[test]
fn ghsa_vhr5_an_evil_scheme_is_not_passed_on() {
    let gateway = Setup::new(ROUTES).set("server.trusted_proxies", "['127.0.0.1']").start();
    for (value, expected) in [
        ("https", "https"),
        ("http", "http"),
        ("evil_protocol", "http"),
        ("https, evil", "http"),
        ("javascript:", "http"),
    ] {
        assert_eq!(gateway.send(&Request::get("/public/x").header("X-Forwarded-Proto", value)).status, 200);
        assert_eq!(gateway.backend.last().header_values("x-forwarded-proto"), [expected], "{value}");
    }
}

#[test]
fn authorization_ends_here_unless_the_route_says_otherwise() {
    let routes = "[[route]]\npath = '/kept/*'\naccess = 'authenticated'\nforward_authorization = true\nupstream = 'backend'\n";
    let gateway = Gateway::start(&format!("{ROUTES}{routes}"));
    let token = gateway.token_for("alice", "reader");
    for (path, expected) in [("/orders/7", vec![]), ("/kept/x", vec![format!("Bearer {token}")])] {
        assert_eq!(gateway.send(&Request::get(path).bearer(&token).header("Cookie", "a=1; b=2")).status, 200);
        let seen = gateway.backend.last();
        assert_eq!(seen.header_values("authorization"), expected, "{path}");
        assert_eq!(seen.header_values("cookie"), ["a=1; b=2"], "cookies of others are not our business");
    }
    assert_eq!(gateway.send(&Request::get("/public/x").bearer(&token)).status, 200);
    assert_eq!(gateway.backend.last().header_values("authorization"), [""; 0], "our token on a public route");
}

#[test]
fn via_is_added_to_what_was_there() {
    let gateway = Gateway::start(ROUTES);
    assert_eq!(gateway.send(&Request::get("/public/x")).status, 200);
    let own = gateway.backend.last().headers.list("via");
    assert_eq!(own.len(), 1);
    assert!(own[0].starts_with("1.1 "), "{own:?}");
    let request = Request::get("/public/x").header("Via", "1.0 fred").header("Via", "1.1 p.example");
    assert_eq!(gateway.send(&request).status, 200);
    assert_eq!(gateway.backend.last().headers.list("via"), ["1.0 fred", "1.1 p.example", &own[0]]);
    let mut client = Http2::connect(gateway.addr());
    let request = client.request("GET", "/public/x").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(client.exchange(request).status(), 200);
    assert!(
        gateway.backend.last().headers.list("via")[0].starts_with("2"),
        "RFC 9110 §7.6.3: the received protocol"
    );
}

#[test]
fn each_request_has_an_id_that_the_client_cannot_choose() {
    let gateway = Gateway::start(ROUTES);
    let mut ids = std::collections::HashSet::new();
    for (index, forged) in ["mine", "", "a b", &"x".repeat(200)].iter().enumerate() {
        let path = format!("/public/{index}");
        let response =
            gateway.send(&Request::get(&path).header("X-Request-Id", forged).header("x_request_id", forged));
        let id = response.header("x-request-id").expect("an id in the response");
        assert!(!id.is_empty() && id != *forged);
        assert_eq!(
            read_laxly(&gateway.backend.last(), "x-request-id"),
            [("x-request-id".into(), id.clone())]
        );
        assert_eq!(gateway.access_of(&path)["request.id"], *id);
        assert!(ids.insert(id));
    }
}

#[test]
fn a_trusted_proxy_chooses_the_id_if_it_is_a_decent_one() {
    let gateway = Setup::new(ROUTES).set("server.trusted_proxies", "['127.0.0.1']").start();
    let long = "x".repeat(129);
    for (value, kept) in
        [("Ab9._-", true), ("a b", false), ("a\"b", false), (long.as_str(), false), ("", false)]
    {
        let response = gateway.send(&Request::get("/public/x").header("X-Request-Id", value));
        let id = response.header("x-request-id").unwrap();
        assert_eq!(id == value, kept, "{value:?} became {id:?}");
        assert_eq!(gateway.backend.last().header_values("x-request-id"), [id]);
    }
}

#[test]
fn a_trace_is_continued_or_begun() {
    let gateway = Gateway::start(ROUTES);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let seen = |values: &[&str]| {
        let mut request = Request::get("/public/x");
        for value in values {
            request = request.header("traceparent", value);
        }
        assert_eq!(gateway.send(&request).status, 200, "{values:?}");
        let parent = gateway.backend.last().header("traceparent").expect("a traceparent");
        let parts: Vec<_> = parent.split('-').map(str::to_owned).collect();
        assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [2, 32, 16, 2], "{parent}");
        assert!(
            parent.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{parent}"
        );
        assert!(parts[1].bytes().any(|b| b != b'0') && parts[2].bytes().any(|b| b != b'0'), "{parent}");
        parts[1].clone()
    };
    assert_eq!(seen(&[&format!("00-{trace}-b7ad6b7169203331-01")]), trace);
    assert_ne!(seen(&[]), seen(&[]));
    let zero = "0".repeat(32);
    for bad in [
        "".to_owned(),
        "rubbish".to_owned(),
        format!("ff-{trace}-b7ad6b7169203331-01"),
        format!("00-{zero}-b7ad6b7169203331-01"),
        format!("00-{trace}-0000000000000000-01"),
        format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
        format!("00-{trace}-b7ad6b7169203331-01-extra"),
        format!("00-{trace}-b7ad6b7169203331"),
    ] {
        assert_ne!(seen(&[&bad]), trace, "{bad}");
    }
    let good = format!("00-{trace}-b7ad6b7169203331-01");
    assert_ne!(seen(&[&good, &good]), trace, "W3C trace context §3.2: two headers are an invalid one");
}

/// H12, H13: what a backend says for its own hop, or in our name, does not reach the client.
#[test]
fn responses_lose_what_is_not_for_the_client() {
    let gateway = Gateway::start(ROUTES);
    gateway.backend.reply_raw(
        "/public/x",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-User: root\r\nX-Role: admin\r\nX_User: root\r\nConnection: X-Hop\r\n\
         X-Hop: 1\r\nConnection: x-hop-two\r\nX-Hop-Two: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
         Proxy-Authenticate: Basic\r\nX-Accel-Redirect: /secret\r\nX-Accel-Buffering: no\r\nUpgrade: h2c\r\n\
         X-Kept: yes\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok",
    );
    let response = gateway.send(&Request::get("/public/x"));
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    for name in [
        "x-user",
        "x-role",
        "x_user",
        "x-hop",
        "x-hop-two",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "x-accel-redirect",
        "x-accel-buffering",
        "upgrade",
    ] {
        assert_eq!(response.headers.values(name), [""; 0], "{name}");
    }
    assert_eq!(response.header("x-kept").as_deref(), Some("yes"));
    assert_eq!(response.headers.values("set-cookie"), ["a=1", "b=2"]);
    assert!(response.header("date").is_some(), "RFC 9110 §6.6.1: a Date if the backend gave none");
}

/// CVE-2024-45808: what a client sends cannot forge a line of the log or steer a terminal.
#[test]
fn cve_2024_45808_log_lines_cannot_be_forged() {
    let gateway = Gateway::start(ROUTES);
    let agents: [&[u8]; 4] =
        [b"\"}, {\"status\": 200", b"back\\slash \\n \\u001b[2J", b"caf\xc3\xa9 \xff\xfe", b"tab\there"];
    for (index, agent) in agents.iter().enumerate() {
        let path = format!("/public/{index}%22x?q=%0a{{%22");
        assert_eq!(gateway.send(&Request::get(&path).header("User-Agent", agent)).status, 200, "{agent:?}");
        let record = gateway.wait_for_access(|r| {
            r["path"].as_str().is_some_and(|p| p.starts_with(&format!("/public/{index}")))
        });
        assert_eq!(record["user_agent"], *String::from_utf8_lossy(agent));
    }
    // A control character is no part of a header at all.
    let mut client = gateway.connect();
    client.send(b"GET /public/esc HTTP/1.1\r\nHost: h\r\nUser-Agent: a\x1b[2J\r\nConnection: close\r\n\r\n");
    assert!(!client.until_end().contains(&0x1b));
    for line in gateway.process.stdout_lines() {
        assert!(line.is_object(), "{line}");
    }
}

#[test]
fn the_gateway_s_own_answers_cannot_be_stored_or_sniffed() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for request in [
        Request::get("/orders/7"),
        Request::get("/orders/7").bearer("x"),
        Request::get("/admin/x").bearer(&token),
        Request::get("/none").bearer(&token),
    ] {
        let response = gateway.send(&request);
        assert!(response.status >= 400);
        assert!(response.header("date").is_some());
        assert!(
            response.headers.values("server").iter().all(|value| !value.contains('/')),
            "names no version"
        );
    }
}
