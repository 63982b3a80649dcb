//! Properties of the header rules, over random header maps.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Authorization, HeaderPolicy, RequestHead, Switch, fold, folded, is_for_this_hop};
use crate::auth::Caller;
use crate::clock::UnixTime;
use crate::config::IdentityHeaders;
use crate::http1::Framing;
use crate::inbound::{Arrival, IdSource, Inbound, Limits, RequestId};
use crate::message::Head;
use crate::name::{Role, Roles};
use crate::peer::PeerAddr;

/// Pairs of identity header names: the defaults, what other proxies use, and one that begins with a symbol.
const IDENTITIES: [(&str, &str); 3] =
    [("x-user", "x-role"), ("remote-user", "remote-groups"), ("_user", "webauth.role")];

/// What a client could write that matters to us, and some that must come through.
const NAMES: [&str; 44] = [
    "x-user",
    "x_user",
    "x.user",
    "x~user",
    "x!user",
    "x^user",
    "x|user",
    "x'user",
    "x-role",
    "x_role",
    "x.role",
    "remote-user",
    "remote_user",
    "remote.groups",
    "_user",
    "-user",
    "webauth_role",
    "webauth-role",
    "forwarded",
    "x-forwarded-for",
    "x_forwarded_prefix",
    "x-envoy-internal",
    "x-real-ip",
    "true_client_ip",
    "x-original-url",
    "x-http-method-override",
    "proxy",
    "x-request-id",
    "x-accel-redirect",
    "x_accel_buffering",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
    "proxy-authorization",
    "trailer",
    "via",
    "x-user-agent",
    "x-roles",
    "accept",
    "set-cookie",
    "pragma",
    "etag",
];

const VALUES: [&str; 14] = [
    "admin",
    "",
    "close",
    "x-user, x-role",
    "X-User,accept",
    "host, content-length",
    "keep-alive, , \"",
    "trailers",
    "chunked",
    "x-user",
    "websocket",
    "1.1.1.1",
    "h\u{e9}",
    "upgrade",
];

/// One for each of [`IDENTITIES`]: to make one costs more than a case.
static POLICIES: LazyLock<[HeaderPolicy; 3]> = LazyLock::new(|| IDENTITIES.map(new_policy));

fn policy(identity: (&'static str, &'static str)) -> &'static HeaderPolicy {
    let index = IDENTITIES.iter().position(|it| *it == identity).unwrap();
    &POLICIES[index]
}

fn new_policy(identity: (&'static str, &'static str)) -> HeaderPolicy {
    let (user, role) = (HeaderName::from_static(identity.0), HeaderName::from_static(identity.1));
    HeaderPolicy::new(&IdentityHeaders { user, role }, "0123456789abcdef")
}

fn fields() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec((select(&NAMES[..]), select(&VALUES[..])), 0..8)
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn caller(roles: &[&str]) -> Caller {
    let roles: Roles = roles.iter().map(|role| Role::new(role).unwrap()).collect();
    Caller::supposed("ann".parse().unwrap(), roles, UnixTime::from_secs(1)).unwrap()
}

fn inbound(method: Method, version: Version, headers: HeaderMap) -> Inbound {
    let mut request = Request::builder().method(method).version(version).uri("/a").body(()).unwrap();
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("a.b"));
    let address = "192.0.2.1:5".parse().unwrap();
    let arrival = Arrival { peer: PeerAddr(address), local: address, time: UnixTime::from_secs(1) };
    let limits = Limits { max_uri_size: 100, max_headers: 100, trusted_proxies: Vec::new() };
    let head = Head::from(request.into_parts().0);
    let id = RequestId::accept_or_make(&head.fields, arrival, &limits, &IdSource::new(1));
    Inbound::parse(arrival, Box::new(head), id, &limits).unwrap()
}

/// What the backend gets.
fn sent(policy: &HeaderPolicy, version: Version, headers: HeaderMap, caller: Option<&Caller>) -> HeaderMap {
    written(policy, &inbound(Method::GET, version, headers), caller)
}

fn written(policy: &HeaderPolicy, inbound: &Inbound, caller: Option<&Caller>) -> HeaderMap {
    let head = RequestHead {
        inbound,
        target: "/a",
        caller,
        authorization: Authorization::Withheld,
        api_key: Authorization::Withheld,
        framing: Framing::Empty,
        expects: false,
        connection: inbound.headers().contains(&header::CONNECTION),
        switch: Switch::Never,
        new_trace: 7,
    };
    let mut out = Vec::new();
    policy.write_request(&mut out, &head).unwrap();
    let mut lines = out.strip_suffix(b"\r\n\r\n").unwrap().split(|&byte| byte == b'\n');
    assert_eq!(lines.next().unwrap(), format!("{} /a HTTP/1.1\r", inbound.method()).as_bytes());
    let mut headers = HeaderMap::new();
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.windows(2).position(|pair| pair == b": ").unwrap();
        let value = HeaderValue::from_bytes(&line[colon + 2..]).unwrap();
        headers.append(HeaderName::from_bytes(&line[..colon]).unwrap(), value);
    }
    headers
}

/// What the client gets.
fn back(policy: &HeaderPolicy, headers: &HeaderMap) -> HeaderMap {
    policy.incoming(headers.iter().map(|(name, value)| (name.clone(), value.clone()))).into_iter().collect()
}

/// The values of all lines whose name a lenient backend reads as this one.
fn folded_values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let alike = headers.iter().filter(|(key, _)| folded(key.as_str()) == folded(name));
    alike.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// Names in `Connection`, split by hand.
fn named_in_connection(fields: &[(&str, &str)]) -> Vec<String> {
    let lines = fields.iter().filter(|(name, _)| *name == "connection");
    lines.flat_map(|(_, value)| value.split(',')).map(|item| item.trim().to_ascii_lowercase()).collect()
}

const NEIGHBOURS: [&str; 6] = [
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "proxy-authorization",
    "proxy-authenticate",
    "transfer-encoding",
];
const SURVIVORS: [&str; 6] = ["x-user-agent", "x-roles", "accept", "set-cookie", "pragma", "etag"];

/// The lines that have to come through, in order for each name.
fn survivors<'f>(fields: &'f [(&'f str, &'f str)], name: &str) -> Vec<&'f str> {
    fields.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect()
}

fn lines(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
}

/// 10^5 cases, unless `PROPTEST_CASES` says otherwise.
fn many() -> ProptestConfig {
    let said = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: said.unwrap_or(100_000), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn cve_2025_64484_the_backend_gets_our_identity_once_and_no_alias_of_it(
        identity in select(&IDENTITIES[..]), fields in fields(), logged_in in any::<bool>(), has_roles in any::<bool>(),
    ) {
        let caller = logged_in.then(|| caller(if has_roles { &["b", "a"] } else { &[] }));
        let out = sent(policy(identity), Version::HTTP_11, map(&fields), caller.as_ref());
        let user: &[&str] = if logged_in { &["ann"] } else { &[] };
        let role: &[&str] = if logged_in && has_roles { &["a,b"] } else { &[] };
        prop_assert_eq!(folded_values(&out, identity.0), user);
        prop_assert_eq!(folded_values(&out, identity.1), role);
    }

    #[test]
    fn nothing_between_neighbours_or_about_the_client_is_taken_over(identity in select(&IDENTITIES[..]), fields in fields()) {
        let out = sent(policy(identity), Version::HTTP_11, map(&fields), None);
        for name in NEIGHBOURS {
            prop_assert!(!out.contains_key(name), "{name}");
        }
        prop_assert!(lines(&out, "connection").iter().all(|line| line == b"te"));
        prop_assert_eq!(out.contains_key("te"), out.contains_key("connection"));
        let names: Vec<String> = out.keys().map(|name| folded(name.as_str())).collect();
        let dropped = ["x-forwarded-prefix", "x-envoy-internal", "x-real-ip", "true-client-ip", "x-original-url", "proxy"];
        prop_assert!(!names.iter().any(|name| dropped.contains(&name.as_str()) || name.starts_with("x-http-method")), "{names:?}");
        for (name, value) in [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1;host=\"a.b\";proto=http")] {
            prop_assert_eq!(names.iter().filter(|it| *it == name).count(), 1);
            prop_assert_eq!(lines(&out, name), [value.as_bytes()]);
        }
        prop_assert_eq!(lines(&out, "x-request-id").len(), 1);
        prop_assert_eq!(lines(&out, "host"), [b"a.b"]);
    }

    #[test]
    fn everything_else_comes_through_in_order(fields in fields()) {
        let gone = named_in_connection(&fields);
        let out = sent(policy(IDENTITIES[0]), Version::HTTP_11, map(&fields), None);
        let back = back(policy(IDENTITIES[0]), &map(&fields));
        for name in SURVIVORS {
            let want = if gone.iter().any(|it| it == name) { Vec::new() } else { survivors(&fields, name) };
            let want: Vec<Vec<u8>> = want.iter().map(|value| value.as_bytes().to_vec()).collect();
            prop_assert_eq!(&lines(&out, name), &want);
            prop_assert_eq!(&lines(&back, name), &want);
        }
    }

    #[test]
    fn the_client_sees_no_identity_no_neighbour_and_no_word_between_proxies(
        identity in select(&IDENTITIES[..]), fields in fields(),
    ) {
        let policy = policy(identity);
        let headers = back(policy, &map(&fields));
        for name in [identity.0, identity.1, "x-accel-redirect", "x-accel-buffering"] {
            prop_assert_eq!(folded_values(&headers, name), Vec::<String>::new());
        }
        for name in NEIGHBOURS.into_iter().chain(["connection", "te"]) {
            prop_assert!(!headers.contains_key(name), "{name}");
        }
        prop_assert_eq!(&back(policy, &headers), &headers);
    }

    #[test]
    fn trailers_carry_no_identity_no_framing_and_no_credentials(identity in select(&IDENTITIES[..]), fields in fields()) {
        let policy = policy(identity);
        let mut trailers = map(&fields);
        policy.clean_trailers(&mut trailers);
        for name in [identity.0, identity.1, "forwarded", "x-forwarded-for", "x-accel-redirect", "x-real-ip"] {
            prop_assert_eq!(folded_values(&trailers, name), Vec::<String>::new());
        }
        for name in ["set-cookie", "trailer", "connection", "te", "upgrade"] {
            prop_assert!(!trailers.contains_key(name), "{name}");
        }
        let once = trailers.clone();
        policy.clean_trailers(&mut trailers);
        prop_assert_eq!(once, trailers);
    }
}

#[test]
fn the_table_of_first_bytes_misses_no_spelling() {
    for identity in IDENTITIES {
        let policy = policy(identity);
        for byte in (b'!'..=b'~').filter(|byte| HeaderName::from_bytes(&[*byte]).is_ok()) {
            for name in [identity.0, identity.1] {
                let alias = format!("{}{}", char::from(byte), &name[1..]).to_ascii_lowercase();
                assert_eq!(policy.is_reserved(&alias), fold(byte) == fold(name.as_bytes()[0]), "{alias}");
            }
        }
    }
}

#[test]
fn a_length_beside_a_transfer_coding_does_not_frame_our_response() {
    for (fields, length) in [
        (&[("content-length", "5"), ("transfer-encoding", "chunked")][..], &[][..]),
        (&[("transfer-encoding", "chunked"), ("content-length", "5")], &[]),
        (&[("content-length", "5"), ("connection", "content-length")], &[b"5"]),
        (&[("content-length", "5, 5"), ("content-length", "5")], &[b"5"]),
    ] {
        assert_eq!(lines(&back(policy(IDENTITIES[0]), &map(fields)), "content-length"), length, "{fields:?}");
    }
}

#[test]
fn rfc_9110_7_6_3_via_names_the_protocol_that_the_request_came_by() {
    for (version, via) in [(Version::HTTP_10, "1.0"), (Version::HTTP_11, "1.1"), (Version::HTTP_2, "2.0")] {
        let out = sent(policy(IDENTITIES[0]), version, map(&[("via", "1.1 other")]), None);
        let ours = format!("{via} portcullis-0123456789abcdef");
        assert_eq!(lines(&out, "via"), [b"1.1 other".to_vec(), ours.into_bytes()]);
    }
}

#[test]
fn a_loop_is_seen_among_other_hops_and_bytes_that_are_no_text() {
    let policy = policy(IDENTITIES[0]);
    for (via, seen) in [
        ("1.1 portcullis-0123456789abcdef", true),
        ("1.0 h\u{e9}, 1.1 portcullis-0123456789abcdef (x), 1.1 y", true),
        ("1.1 portcullis-fedcba9876543210", false),
    ] {
        assert_eq!(policy.is_ours(&HeaderValue::from_bytes(via.as_bytes()).unwrap()), seen, "{via}");
    }
}

#[test]
fn rfc_9110_7_6_2_max_forwards_counts_down_for_options_only() {
    let policy = policy(IDENTITIES[0]);
    for (method, before, after, ours) in [
        (Method::OPTIONS, "2", "1", false),
        (Method::OPTIONS, "0", "0", true),
        (Method::OPTIONS, "x", "x", false),
        (Method::GET, "0", "0", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::MAX_FORWARDS, before.parse().unwrap());
        let inbound = inbound(method.clone(), Version::HTTP_11, headers);
        assert_eq!(is_for_this_hop(&method, inbound.headers()), ours, "{method} {before}");
        assert_eq!(
            lines(&written(policy, &inbound, None), "max-forwards"),
            [after.as_bytes()],
            "{method} {before}"
        );
    }
}

#[test]
fn rfc_9113_8_2_3_crumbs_of_a_cookie_become_one_line() {
    let out =
        sent(policy(IDENTITIES[0]), Version::HTTP_2, map(&[("cookie", "a=1"), ("cookie", "b=2")]), None);
    assert_eq!(lines(&out, "cookie"), [b"a=1; b=2"]);
}

#[test]
fn a_trailer_list_announces_only_what_may_come() {
    let headers = map(&[("trailer", "X-User, x-sum"), ("trailer", "content-length,x-accel-redirect")]);
    assert_eq!(lines(&back(policy(IDENTITIES[0]), &headers), "trailer"), [b"x-sum"]);
    assert_eq!(lines(&sent(policy(IDENTITIES[0]), Version::HTTP_11, headers, None), "trailer"), [b"x-sum"]);
}
