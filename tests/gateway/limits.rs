//! `[limit.NAME]`: how often, per address, per caller and per route.

use bytes::Bytes;
use http_body_util::Full;

use crate::harness::{Gateway, Http2, Request, Response, Setup, wait_until};
use crate::metrics::scrape;

/// A gateway with a limit of so many at once, none of which comes back within a test.
fn limited(per: &str, burst: u32, access: &str) -> Setup {
    let route = |path: &str, limits: &str| {
        format!("[[route]]\npath = '{path}'\n{access}\nupstream = 'backend'\n{limits}\n")
    };
    let routes = [
        route("/limited/*", "limits = ['few']"),
        route("/also/*", "limits = ['few']"),
        route("/free/*", "limits = []"),
        route("/usual/*", ""),
    ];
    Setup::new(&routes.concat())
        .set("limit.few.rate", "'1/d'")
        .set("limit.few.burst", &burst.to_string())
        .set("limit.few.per", &format!("'{per}'"))
}

const PUBLIC: &str = "access = 'public'";
const ANYONE: &str = "access = 'authenticated'";

fn from(client: &str, path: &str) -> Request {
    Request::get(path).header("x-forwarded-for", client)
}

#[track_caller]
fn statuses<const N: usize>(gateway: &Gateway, request: &Request) -> [u16; N] {
    std::array::from_fn(|_| gateway.send(request).status)
}

#[track_caller]
fn assert_limited(response: &Response) {
    assert_eq!(response.status, 429, "{}", response.text());
    assert_eq!(response.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(response.json()["code"], "too_many_requests");
    let wait: u64 = response.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "{wait}");
    assert_eq!(response.header("ratelimit"), Some(format!("\"few\";r=0;t={wait}")));
}

/// RFC 6749 §5.2: a client of the token endpoint reads no other form of error.
#[test]
fn rfc_6749_5_2_a_limit_on_the_oauth_endpoints_answers_in_their_form() {
    let gateway = limited("address", 1, PUBLIC).set("server.limits", "['few']").start();
    let ask = |path| gateway.send(&Request::form(path, &[("token", "x")]));
    assert_eq!(ask("/token").status, 400, "the first one is counted");
    for path in ["/token", "/auth/revoke", "/auth/introspect"] {
        let response = ask(path);
        assert_eq!(response.status, 429, "{path}: {}", response.text());
        assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
        assert_eq!(response.headers.list("cache-control"), ["no-store"]);
        assert_eq!(response.headers.list("pragma"), ["no-cache"]);
        let wanted =
            r#"{"error":"temporarily_unavailable","error_description":"too many requests: slow down"}"#;
        assert_eq!(response.text(), wanted, "{path}");
        let wait: u64 = response.header("retry-after").expect("Retry-After").parse().unwrap();
        assert!((86_000..=86_400).contains(&wait), "{wait}");
        assert_eq!(response.header("ratelimit"), Some(format!("\"few\";r=0;t={wait}")));
    }
    // Others keep theirs, and so does a refusal for want of a token.
    assert_limited(&gateway.send(&Request::get("/.well-known/jwks.json")));
    let other = limited("address", 1, PUBLIC).start().send(&Request::post("/auth/password", ""));
    assert_eq!(
        (other.status, other.header("content-type").as_deref()),
        (401, Some("application/problem+json"))
    );
}

/// draft-ietf-httpapi-ratelimit-headers-11, on responses that pass too.
#[test]
fn what_is_left_stands_in_each_response() {
    let gateway = limited("address", 2, PUBLIC).start();
    for remaining in [1, 0] {
        let response = gateway.send(&Request::get("/limited/x"));
        assert_eq!(response.status, 200);
        assert_eq!(response.header("ratelimit-policy").as_deref(), Some("\"few\";q=2;w=172800"));
        let standing = response.header("ratelimit").unwrap();
        assert!(standing.starts_with(&format!("\"few\";r={remaining};t=")), "{standing}");
        assert_eq!(response.header("retry-after"), None);
    }
    assert_limited(&gateway.send(&Request::get("/limited/x")));
    assert_limited(&gateway.send(&Request::get("/also/x")));
    assert_eq!(gateway.backend.count(), 2);
    let free = gateway.send(&Request::get("/free/x"));
    assert_eq!((free.status, free.header("ratelimit"), free.header("ratelimit-policy")), (200, None, None));
    let record = gateway.wait_for_access(|record| record["status"] == 429);
    assert_eq!(record["reason"], "too_many_requests: more requests than the limit few allows");
    let refusals = "portcullis_refusals_total{reason=\"too_many_requests\"}";
    wait_until("both are counted", || scrape(&gateway).get(refusals) == 2.0);
}

#[test]
fn an_address_is_counted_before_its_token_is_looked_at() {
    let gateway = limited("address", 3, ANYONE).start();
    let request = Request::get("/limited/x").bearer("not.a.token");
    assert_eq!(statuses(&gateway, &request), [401, 401, 401, 429, 429]);
    let token = gateway.token_for("alice", "");
    assert_limited(&gateway.get("/limited/x", &token));
    assert_eq!(gateway.get("/free/x", &token).status, 200);
}

/// Without a valid token, nobody can tell a route from none, until he is refused for asking too often.
#[test]
fn who_has_no_token_is_told_nothing_of_limits() {
    let gateway = limited("address", 3, ANYONE).start();
    let names = |request: Request| -> Vec<String> {
        gateway.send(&request).headers.names().map(str::to_owned).collect()
    };
    assert_eq!(names(Request::get("/limited/x")), names(Request::get("/nowhere")));
    let with_token = |path| Request::get(path).bearer("not.a.token");
    assert_eq!(names(with_token("/limited/x")), names(with_token("/nowhere")));
}

/// SECURITY L12.
#[test]
fn l12_an_address_is_the_one_behind_trusted_proxies() {
    let setup = || limited("address", 1, PUBLIC);
    let gateway = setup().start();
    let rotated: Vec<_> =
        (1..4).map(|n| gateway.send(&from(&format!("192.0.2.{n}"), "/limited/x")).status).collect();
    assert_eq!(rotated, [200, 429, 429], "from a stranger");
    let gateway = setup().set("server.trusted_proxies", "['127.0.0.1']").start();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"] {
        assert_eq!(statuses(&gateway, &from(client, "/limited/x")), [200, 429], "{client}");
    }
    assert_eq!(gateway.send(&from("2001:db8:0:1:2:3:4:5", "/limited/x")).status, 429, "the same /64");
    assert_eq!(gateway.send(&from("192.0.2.77, 192.0.2.1", "/limited/x")).status, 429);
}

#[test]
fn each_caller_has_a_count_of_his_own() {
    let gateway = limited("caller", 2, ANYONE).start();
    let (alice, bob) = (gateway.token_for("alice", ""), gateway.token_for("bob", ""));
    let nobody = Request::get("/limited/x").bearer("not.a.token");
    assert_eq!(statuses(&gateway, &nobody), [401, 401, 401]);
    for token in [&alice, &bob] {
        assert_eq!(statuses(&gateway, &Request::get("/limited/x").bearer(token)), [200, 200, 429]);
    }
    let again = gateway.login("alice");
    assert_limited(&gateway.get("/also/x", &again));
}

#[test]
fn a_route_has_one_count_for_all_who_may_pass() {
    let gateway = limited("route", 2, "roles = ['reader']").start();
    let (reader, stranger) = (gateway.token_for("alice", "reader"), gateway.token_for("mallory", ""));
    assert_eq!(statuses(&gateway, &Request::get("/limited/x").bearer(&stranger)), [403, 403, 403]);
    assert_eq!(statuses(&gateway, &Request::get("/limited/x")), [401, 401, 401]);
    assert_eq!(statuses(&gateway, &Request::get("/limited/x").bearer(&reader)), [200, 200, 429]);
    assert_eq!(gateway.get("/also/x", &reader).status, 200, "another route");
}

#[test]
fn the_usual_limits_are_for_what_names_none() {
    let gateway = limited("address", 2, PUBLIC).set("server.limits", "['few']").start();
    assert_eq!(statuses(&gateway, &Request::get("/nowhere")), [401, 401, 429]);
    let login = gateway.login_with("alice", "x");
    assert_eq!((login.status, login.json()["error"].as_str()), (429, Some("temporarily_unavailable")));
    assert_limited(&gateway.send(&Request::get("/usual/x")));
    assert_eq!(gateway.send(&Request::get("/free/x")).status, 200);
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(statuses(&gateway, &Request::get(probe)), [200, 200, 200]);
    }
}

#[test]
fn a_reload_keeps_the_counts_of_limits_that_stay_the_same() {
    let gateway = limited("address", 2, PUBLIC).start();
    assert_eq!(statuses(&gateway, &Request::get("/limited/x")), [200, 200, 429]);
    gateway.reload(|text| format!("{text}\n[limit.another]\nrate = '1/s'\nper = 'route'\n"));
    assert_limited(&gateway.send(&Request::get("/limited/x")));
    gateway.reload(|text| text.replace("burst = 2", "burst = 3"));
    assert_eq!(statuses(&gateway, &Request::get("/limited/x")), [200, 200, 200, 429]);
}

#[test]
fn all_workers_count_together() {
    let gateway = limited("address", 20, PUBLIC).start();
    let passed = (0..60).filter(|_| gateway.send(&Request::get("/limited/x")).status == 200).count();
    assert_eq!(passed, 20);
}

#[test]
fn grpc_callers_are_told_that_resources_are_exhausted() {
    let gateway = limited("address", 1, PUBLIC).start();
    let mut client = Http2::connect(gateway.addr());
    for status in [None, Some("8")] {
        let request = client.request("POST", "/limited/x").header("content-type", "application/grpc");
        let response = client.exchange(request.body(Full::<Bytes>::default()).unwrap());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers().get("grpc-status").map(|value| value.to_str().unwrap()), status);
        assert!(response.headers().contains_key("ratelimit"));
    }
}

#[test]
fn check_and_explain_show_limits() {
    let site = limited("address", 2, PUBLIC).site();
    let table = site.cli(["check"]).ok();
    assert!(table.stdout.contains("LIMITS") && table.stdout.contains("few"), "{}", table.stdout);
    let explained = site.cli(["explain", "GET", "/limited/x"]).ok();
    assert!(
        explained.stdout.contains("limits   few (1/d, 2 at once, per address)\n"),
        "{}",
        explained.stdout
    );
}
