//! Where the keys of foreign issuers come from, and what becomes of it when they do not (SECURITY J11).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{Broken, Gateway, Issuer, IssuerKey, Request, TlsServer, wait_until};
use crate::issuers::{
    ANYONE, NOT_FOUND, ORDERS, assert_refused, failure_of, trusting, wait_for_failure, with_issuer,
};
use crate::metrics::scrape;

// When the issuer cannot be reached

/// envoy#41669: nobody knows whether the token is a good one, and that is not its bearer's fault.
#[test]
fn envoy_41669_without_keys_the_answer_is_503_for_that_issuer_alone() {
    let (issuer, other) = (Issuer::start("kc"), Issuer::start("other"));
    issuer.answer("/jwks", 500, "down");
    let gateway = trusting(&[issuer.table(""), other.table("")]).start();
    let reason = wait_for_failure(&gateway);
    assert!(reason.contains("500") && reason.contains("answered 503"), "{reason}");
    let token = issuer.token("alice", &["boss"]);
    for path in [ANYONE, "/admin/x", "/nowhere"] {
        let response = gateway.get(path, &token);
        assert_eq!((response.status, response.header("retry-after").as_deref()), (503, Some("1")), "{path}");
        assert_eq!(response.header("www-authenticate"), None);
        assert_eq!(response.json()["code"], "issuer_unavailable");
    }
    let reason = gateway.access_of(ANYONE)["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("issuer_unavailable: "), "{reason}");
    // A bad form is bad whatever the keys are, and nobody else has to wait.
    other.ready(&gateway);
    assert_eq!(gateway.get(ANYONE, &gateway.token_for("alice", "")).status, 200);
    assert_eq!(gateway.get("/public/x", &token).status, 200);
    assert_eq!(gateway.send(&Request::get("/readyz")).status, 200);
    // It is tried again, without anybody asking for it.
    issuer.publish(&[&issuer.key]);
    issuer.ready(&gateway);
}

/// RFC 7009 §2.2.1: 200 would say that the token has ended, and it passes as soon as the keys are there.
#[test]
fn without_keys_every_place_that_takes_tokens_knows_it() {
    let issuer = Issuer::start("kc");
    issuer.answer("/jwks", 500, "down");
    let gateway = trusting(&[issuer.table("")]).start();
    wait_for_failure(&gateway);
    let token = issuer.token("alice", &[]);
    let revoked = gateway.send(&Request::form("/auth/revoke", &[("token", &token)]));
    assert_eq!((revoked.status, &revoked.json()["error"]), (400, &json!("unsupported_token_type")));
    for path in ["/auth/me", "/auth/verify"] {
        let response = gateway.get(path, &token);
        assert_eq!((response.status, response.header("retry-after").as_deref()), (503, Some("1")), "{path}");
    }
    let explained = gateway.cli(["explain", "GET", ORDERS, "--token", &token, "--json"]).json();
    assert_eq!(explained["status"], 503, "{explained}");
    let client = gateway.cli(["client", "add", "asker", "--json"]).ok().json();
    let secret = client["client_secret"].as_str().unwrap();
    let introspected =
        gateway.send(&Request::form("/auth/introspect", &[("token", &*token)]).basic("asker", secret));
    assert_eq!(introspected.text(), r#"{"active":false}"#);
}

/// gateway#4791: an outage of the issuer is no outage of ours.
#[test]
fn gateway_4791_the_old_keys_serve_on_while_the_issuer_is_down() {
    let (issuer, gateway, token) = with_issuer("unknown_kid_interval = '100ms'");
    let unknown = IssuerKey::new("unknown", "ES256").sign(&issuer.claims("alice", &[]));
    for (status, body) in [(500, "down"), (200, "<html>"), (200, "{}"), (200, "{\"keys\":[]}"), (204, "")] {
        issuer.answer("/jwks", status, body);
        let failures = failures(&gateway);
        wait_until("a fetch fails", || {
            assert_refused(&gateway, "an unknown kid", &unknown);
            self::failures(&gateway) > failures
        });
        assert_eq!(gateway.get(ANYONE, &token).status, 200, "{status} {body}");
        assert_eq!(gateway.get(ANYONE, &issuer.token("new", &[])).status, 200, "a token that is in no cache");
    }
    assert!(wait_for_failure(&gateway).contains("those from before serve on"));
    assert_eq!(gateway.send(&Request::get("/readyz")).status, 200);
    issuer.publish(&[&issuer.key]);
    gateway.wait_for_log(|record| {
        assert_refused(&gateway, "an unknown kid", &unknown);
        record["message"] == "the keys of a foreign issuer were found again"
    });
}

fn failures(gateway: &Gateway) -> f64 {
    scrape(gateway).get("portcullis_issuer_fetches_total{issuer=\"kc\",outcome=\"failed\"}")
}

/// J11: tokens with keys that nobody has heard of are free to make.
#[test]
fn a_storm_of_unknown_kids_causes_no_storm_of_fetches() {
    let (issuer, gateway, good) = with_issuer("unknown_kid_interval = '1h'");
    let fetches = issuer.server.count();
    let claims = issuer.claims("alice", &["boss"]);
    let stranger = IssuerKey::new("unknown", "ES256");
    let mut connection = gateway.connect();
    for number in 0..200 {
        let mut header = stranger.header();
        header["kid"] = json!(format!("unknown-{number}"));
        let token = stranger.sign_with(&header, &claims);
        assert_eq!(connection.exchange(&Request::get(ANYONE).bearer(&token)).status, 401);
    }
    assert_eq!(gateway.get(ANYONE, &good).status, 200);
    assert_eq!(issuer.server.count(), fetches, "the interval of the first fetch has not passed");
}

#[test]
fn a_new_key_is_found_when_a_token_names_it_and_an_old_one_ends_with_its_set() {
    let (issuer, gateway, old) = with_issuer("unknown_kid_interval = '100ms'");
    let new_key = IssuerKey::new("two", "EdDSA");
    let new = new_key.sign(&issuer.claims("alice", &["staff"]));
    assert_refused(&gateway, "a key that is not published", &new);
    issuer.publish(&[&issuer.key, &new_key]);
    wait_until("the new key is there", || gateway.get(ANYONE, &new).status == 200);
    assert_eq!(gateway.get(ANYONE, &old).status, 200);
    // J6: in the cache or not, a token ends with its key.
    issuer.publish(&[&new_key]);
    let unknown = IssuerKey::new("three", "ES256").sign(&issuer.claims("alice", &[]));
    wait_until("the old key is gone", || {
        assert_refused(&gateway, "an unknown kid", &unknown);
        gateway.get(ANYONE, &old).status == 401
    });
    assert_eq!(gateway.get(ANYONE, &new).status, 200);
}

/// A worker forgets the tokens that it has verified only when the keys are others.
#[test]
fn the_same_keys_again_change_nothing() {
    let issuer = Issuer::start("kc");
    let gateway = trusting(&[issuer.table("refresh = '1s'")]).set("server.workers", "1").start();
    let token = issuer.ready(&gateway);
    let misses = || scrape(&gateway).get("portcullis_token_cache_misses_total");
    assert_eq!(gateway.get(ANYONE, &token).status, 200);
    let before = misses();
    let fetched_twice = || {
        let fetches = issuer.server.count();
        wait_until("the keys were fetched again, twice", || issuer.server.count() >= fetches + 2);
        assert_eq!(gateway.get(ANYONE, &token).status, 200);
    };
    fetched_twice();
    assert_eq!(misses(), before);
    // Some servers list them in another order each time.
    let second = IssuerKey::new("two", "ES256");
    issuer.publish(&[&issuer.key, &second]);
    fetched_twice();
    let before = misses();
    issuer.publish(&[&second, &issuer.key]);
    fetched_twice();
    assert_eq!(misses(), before);
    let page = scrape(&gateway);
    assert!(page.get("portcullis_issuer_fetches_total{issuer=\"kc\",outcome=\"success\"}") >= 2.0);
    assert_eq!(page.get("portcullis_issuer_keys{issuer=\"kc\"}"), 2.0);
    assert!(page.get("portcullis_issuer_keys_seen_timestamp_seconds{issuer=\"kc\"}") > 1.7e9);
}

/// CVE-2025-64527, CVE-2024-45809: a fetch that fails, or ends while other things change, must not take the gateway with it.
#[test]
fn cve_2025_64527_cve_2024_45809_fetches_and_reloads_get_along() {
    let issuer = Issuer::start("kc");
    let stalled = Arc::new(AtomicBool::new(true));
    let stalls = stalled.clone();
    let keys = json!({"keys": [issuer.key.jwk()]}).to_string();
    issuer.server.on("/jwks", move |exchange| {
        if stalls.load(Ordering::SeqCst) {
            // Until the gateway gives up.
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
            let _: Result<Vec<u8>, Broken> = exchange.until_end();
        } else {
            exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{keys}", keys.len()));
        }
    });
    let gateway = trusting(&[issuer.table("timeout = '200ms'")]).start();
    let token = issuer.token("alice", &[]);
    let local = gateway.token_for("bob", "");
    for round in 0..5 {
        // The issuer changes, so the fetch that is on its way ends unheard.
        gateway.reload(|text| text.replace("audience = 'api'", &format!("audience = ['api', 'x{round}']")));
        assert_eq!(gateway.get(ANYONE, &token).status, 503);
        assert_eq!(gateway.get(ANYONE, &local).status, 200);
        gateway.reload(|text| text.replace(&format!("['api', 'x{round}']"), "'api'"));
    }
    assert!(wait_for_failure(&gateway).contains("longer than timeout = 200ms"));
    stalled.store(false, Ordering::SeqCst);
    issuer.ready(&gateway);
    assert_eq!(gateway.get(ANYONE, &local).status, 200);
}

/// All of them are issuers of one gateway, so that one start is waited for and not fifteen.
#[test]
fn redirects_are_not_followed() {
    let (server, secret) = (Issuer::start("kc"), Issuer::start("secret"));
    let places = [format!("{}/jwks", secret.iss()), "/other".into(), "file:///etc/passwd".into()];
    let redirects: Vec<(u16, &str)> = [301, 302, 303, 307, 308]
        .into_iter()
        .flat_map(|status| places.iter().map(move |to| (status, to.as_str())))
        .collect();
    let issuer = |number: usize| format!("{}/{number}", server.iss());
    let tables: Vec<String> = (0..)
        .zip(&redirects)
        .map(|(number, (status, to))| {
            let response = format!("HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            server.server.reply_raw(&format!("/{number}/jwks"), response);
            server
                .table_with(&format!("jwks_url = '{}/jwks'", issuer(number)))
                .replace("'kc'", &format!("'kc{number}'"))
                .replace(&format!("'{}'", server.iss()), &format!("'{}'", issuer(number)))
        })
        .collect();
    let gateway = trusting(&tables).start();
    for (number, redirect) in redirects.iter().enumerate() {
        let failure = gateway.wait_for_log(|record| {
            record["issuer"] == format!("kc{number}") && record["message"] == NOT_FOUND
        });
        let reason = failure["error"].as_str().unwrap();
        assert!(reason.contains("a redirect is not followed"), "{redirect:?}: {failure}");
        let mut claims = server.claims("alice", &[]);
        claims["iss"] = json!(issuer(number));
        assert_eq!(gateway.get(ANYONE, &server.key.sign(&claims)).status, 503, "{redirect:?}");
    }
    let asked: Vec<String> = server.server.requests().into_iter().map(|request| request.target).collect();
    assert!(asked.iter().all(|target| target.ends_with("/jwks") && target != "/jwks"), "{asked:?}");
    let found: Vec<String> = secret.server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn what_is_no_key_set_within_bounds_is_none() {
    let issuer = Issuer::start("kc");
    let keys = json!({"keys": [issuer.key.jwk()]}).to_string();
    let many: Vec<Value> = (0..101).map(|_| issuer.key.jwk()).collect();
    let raw = |head: &str, body: &str| {
        issuer.server.reply_raw_and_close("/jwks", format!("{head}\r\n{body}"));
        failure_of(&issuer, &issuer.table(""))
    };
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    let length = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len());
    let spaces = " ".repeat(10 << 20);
    for (expected, head, body) in [
        ("longer than 1048576 bytes", length(&format!("{spaces}{keys}")), format!("{spaces}{keys}")),
        ("longer than 1048576 bytes", closing.into(), format!("{spaces}{keys}")),
        ("is not a JSON object", length("[]"), "[]".into()),
        ("has no `keys`", length("{}"), "{}".into()),
        ("has a bad `keys`", length("{\"keys\":{}}"), "{\"keys\":{}}".into()),
        ("has a member twice", length("{\"keys\":[],\"keys\":[]}"), "{\"keys\":[],\"keys\":[]}".into()),
        ("has 101 keys", length(&json!({"keys": many}).to_string()), json!({"keys": many}).to_string()),
        ("a coding", format!("{}Content-Encoding: gzip\r\n", length(&keys)), keys.clone()),
        ("speaks no HTTP/1.1, or broke off", length(&format!("{keys}xx")), keys.clone()),
        ("speaks no HTTP/1.1, or broke off", "SSH-2.0-x\r\n".into(), String::new()),
        (
            "speaks no HTTP/1.1, or broke off",
            format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(200_000)),
            keys.clone(),
        ),
    ] {
        let reason = raw(&head, &body);
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

// Where the keys are

#[test]
fn keys_are_found_by_discovery() {
    for (path, metadata) in [
        ("", "/.well-known/openid-configuration"),
        ("/realms/a", "/realms/a/.well-known/openid-configuration"),
        ("", "/.well-known/oauth-authorization-server"),
        ("/realms/a", "/.well-known/oauth-authorization-server/realms/a"),
    ] {
        let issuer = Issuer::start("kc");
        for absent in ["/.well-known/openid-configuration", "/realms/a/.well-known/openid-configuration"] {
            issuer.answer(absent, 404, "");
        }
        let iss = format!("{}{path}", issuer.iss());
        let document = json!({"issuer": iss, "jwks_uri": format!("{}/jwks", issuer.iss())});
        issuer.answer(metadata, 200, &document.to_string());
        let table = issuer.table_with("").replace(&format!("'{}'", issuer.iss()), &format!("'{iss}'"));
        let gateway = trusting(&[table]).start();
        let mut claims = issuer.claims("alice", &[]);
        claims["iss"] = json!(iss);
        let token = issuer.key.sign(&claims);
        wait_until("the keys are there", || gateway.get(ANYONE, &token).status == 200);
    }
}

#[test]
fn metadata_that_cannot_be_trusted_leads_nowhere() {
    let issuer = Issuer::start("kc");
    let keys = format!("{}/jwks", issuer.iss());
    for (document, expected) in [
        (
            json!({"issuer": format!("{}/", issuer.iss()), "jwks_uri": keys}),
            "the metadata is that of another issuer",
        ),
        (
            json!({"issuer": "https://evil.example", "jwks_uri": keys}),
            "the metadata is that of another issuer",
        ),
        (json!({"jwks_uri": keys}), "has no `issuer`"),
        (json!({"issuer": issuer.iss()}), "has no `jwks_uri`"),
        (json!({"issuer": issuer.iss(), "jwks_uri": 7}), "has a bad `jwks_uri`"),
        (
            json!({"issuer": issuer.iss(), "jwks_uri": "http://169.254.169.254/x"}),
            "the jwks_uri in the metadata cannot be used",
        ),
        (
            json!({"issuer": issuer.iss(), "jwks_uri": "file:///etc/passwd"}),
            "the jwks_uri in the metadata cannot be used",
        ),
        (json!([]), "is not a JSON object"),
    ] {
        issuer.answer("/.well-known/openid-configuration", 200, &document.to_string());
        let reason = failure_of(&issuer, &issuer.table_with(""));
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    assert!(issuer.server.requests().iter().all(|request| request.target.starts_with("/.well-known/")));
}

#[test]
fn keys_in_a_file_are_there_at_the_start_and_followed() {
    let issuer = Issuer::start("kc");
    let table = issuer.table_with("jwks_file = 'keys.json'\nrefresh = '1s'");
    let set = |keys: &[&IssuerKey]| {
        json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
    };
    let mut gateway = trusting(&[table]).start();
    let path = gateway.site.dir().join("keys.json");
    assert!(wait_for_failure(&gateway).contains("the file cannot be read"));
    assert_eq!(gateway.get(ANYONE, &issuer.token("alice", &[])).status, 503);
    std::fs::write(&path, set(&[&issuer.key])).unwrap();
    gateway.restart();
    let token = issuer.token("alice", &[]);
    assert_eq!(gateway.get(ANYONE, &token).status, 200, "with the first request");

    let new_key = IssuerKey::new("two", "ES256");
    let new = new_key.sign(&issuer.claims("alice", &[]));
    std::fs::write(&path, set(&[&new_key])).unwrap();
    wait_until("the new key is there", || gateway.get(ANYONE, &new).status == 200);
    assert_refused(&gateway, "a token of the old key", &token);
    std::fs::write(&path, "{").unwrap();
    wait_for_failure(&gateway);
    assert_eq!(gateway.get(ANYONE, &new).status, 200);
    std::fs::write(&path, set(&[&issuer.key])).unwrap();
    gateway.reload(str::to_owned);
    assert_eq!(gateway.get(ANYONE, &token).status, 200, "a reload reads it");
    assert_eq!(issuer.server.count(), 0);
    // Without a gateway, too.
    gateway.terminate();
    let explained = gateway.cli(["explain", "GET", ORDERS, "--token", &token, "--json"]).ok().json();
    assert_eq!(explained["caller"]["username"], "kc:alice");
}

#[test]
fn an_authority_of_ones_own_vouches_for_a_server() {
    let issuer = Issuer::start("kc");
    let server = TlsServer::start(json!({"keys": [issuer.key.jwk()]}).to_string());
    let other = TlsServer::start("{}".into());
    let table = |host: &str, lines: &str| {
        issuer.table_with(&format!("jwks_url = 'https://{host}:{}/jwks'\n{lines}", server.addr.port()))
    };
    let site_of = |authority: &str| {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), authority).unwrap();
        path
    };
    let (good, bad, empty) =
        (site_of(&server.authority), site_of(&other.authority), site_of("no certificate"));
    let with = |file: &tempfile::NamedTempFile| format!("ca_file = '{}'", file.path().display());

    let gateway = trusting(&[table("localhost", &with(&good))]).start();
    issuer.ready(&gateway);
    for (what, table, expected) in [
        ("the system's", table("localhost", ""), ""),
        ("another authority's", table("localhost", &with(&bad)), "cannot connect to localhost"),
        ("another name", table("127.0.0.1", &with(&good)), "cannot connect to 127.0.0.1"),
        ("no certificate", table("localhost", &with(&empty)), "has no certificate that can be used"),
        ("no file", table("localhost", "ca_file = '/nowhere/ca.pem'"), "cannot be read"),
    ] {
        let reason = failure_of(&issuer, &table);
        assert!(reason.contains(expected), "{what}: {reason}");
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let issuer = Issuer::start("kc");
    let reason = failure_of(&issuer, &issuer.table_with("jwks_file = '/dev/zero'"));
    assert!(reason.contains("jwks_file is not a file"), "{reason}");
    let reason = failure_of(&issuer, &issuer.table_with("jwks_file = '/'"));
    assert!(reason.contains("jwks_file is not a file"), "{reason}");
}
