//! Signing keys: they are published before they sign, and their tokens live as long as they should and no longer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::token::{self, hs256_of};
use crate::harness::{Gateway, Output, ROUTES, Request, Setup, wait_until};

const JWKS: &str = "/.well-known/jwks.json";
const ANYONE: &str = "/anyone/x";

/// A gateway whose next key signs after this time.
fn publishing_for(time: &str) -> Gateway {
    Setup::new(ROUTES).set("token.publish_ahead", &format!("'{time}'")).start()
}

fn kid(token: &str) -> String {
    token::parts(token).header["kid"].as_str().unwrap().to_owned()
}

/// The `kid` of every published key.
#[track_caller]
fn published(gateway: &Gateway) -> Vec<String> {
    let set = gateway.send(&Request::get(JWKS)).json();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// What `key list` says, as `kid` and state.
#[track_caller]
fn listed(gateway: &Gateway) -> Vec<(String, String)> {
    by_state(&gateway.cli(["key", "list", "--json"]).ok())
}

#[track_caller]
fn by_state(output: &Output) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    output.json().as_array().unwrap().iter().map(|key| (text(&key["id"]), text(&key["state"]))).collect()
}

fn states(keys: &[(String, String)]) -> Vec<&str> {
    keys.iter().map(|(_, state)| state.as_str()).collect()
}

/// Logs in until another key signs, and returns its first token. Every token on the way was signed by a key that a verifier
/// could fetch before.
#[track_caller]
fn token_of_another_key(gateway: &Gateway, old: &str) -> String {
    let token = std::cell::RefCell::new(String::new());
    wait_until("another key signs", || {
        let known = published(gateway);
        let new = gateway.login("alice");
        assert!(known.contains(&kid(&new)), "{} signs and is not in {known:?}", kid(&new));
        assert_eq!(gateway.get(ANYONE, &new).status, 200);
        let is_other = kid(&new) != kid(old);
        token.replace(new);
        is_other
    });
    token.into_inner()
}

#[test]
fn a_rotation_under_traffic_refuses_no_good_token() {
    let gateway = publishing_for("2s");
    let old = gateway.token_for("alice", "reader");
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = gateway.connect();
                while !done.load(Ordering::Relaxed) {
                    let response = connection.exchange(&Request::get(ANYONE).bearer(&old));
                    assert_eq!(response.status, 200, "{}", response.text());
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let end = scope.spawn(|| {
            let begun = by_state(&gateway.cli(["key", "rotate", "--json"]).ok());
            assert_eq!(states(&begun), ["next", "active"]);
            assert_eq!(begun[1].0, kid(&old));
            assert_eq!(
                published(&gateway).iter().collect::<BTreeSet<_>>(),
                begun.iter().map(|it| &it.0).collect()
            );
            let new = token_of_another_key(&gateway, &old);
            assert_eq!(kid(&new), begun[0].0, "the key that was published signs");
            assert_eq!(states(&listed(&gateway)), ["active", "retired"]);
            assert_eq!(published(&gateway).len(), 2, "the old key is kept for its tokens");
            let so_far = served.load(Ordering::Relaxed);
            wait_until("traffic after the rotation", || served.load(Ordering::Relaxed) > so_far + 20);
        });
        let result = end.join();
        done.store(true, Ordering::Relaxed);
        result.unwrap();
    });
    gateway.wait_for_log(|line| line["message"] == "another signing key signs from now on");
}

#[test]
fn keys_rotate_by_themselves_when_they_are_old() {
    let mut gateway =
        Setup::new(ROUTES).set("token.publish_ahead", "'1s'").set("token.rotate_every", "'1h'").start();
    let old = gateway.token_for("alice", "reader");
    assert_eq!(states(&listed(&gateway)), ["active"]);
    assert_eq!(gateway.terminate(), Some(0));
    gateway.site.edit_keys(|record| record["since"] = json!(record["since"].as_u64().unwrap() - 3_600_000));
    gateway.start_again();
    assert_eq!(published(&gateway).len(), 2);
    token_of_another_key(&gateway, &old);
    assert_eq!(gateway.get(ANYONE, &old).status, 200);
}

#[test]
fn a_retired_key_goes_when_its_last_token_has_expired() {
    let mut gateway = publishing_for("0s");
    let old = gateway.token_for("alice", "reader");
    let keys = by_state(&gateway.cli(["key", "rotate", "--json"]).ok());
    assert_eq!((states(&keys), &keys[1].0), (vec!["active", "retired"], &kid(&old)));
    // 15 minutes, 5 seconds of leeway, and an hour by which a clock may be wrong.
    let life = (900 + 5 + 3600) * 1000;
    let age = |gateway: &mut Gateway, millis: u64| {
        assert_eq!(gateway.terminate(), Some(0));
        gateway.site.edit_keys(|record| {
            if record["state"] == "retired" {
                assert_eq!(record["lives_ms"], life);
                record["since"] = json!(record["since"].as_u64().unwrap() - millis);
            }
        });
        gateway.start_again();
    };
    age(&mut gateway, life - 300_000);
    assert_eq!((published(&gateway).len(), gateway.get(ANYONE, &old).status), (2, 200));
    age(&mut gateway, 300_000);
    assert_eq!((published(&gateway).len(), gateway.get(ANYONE, &old).status), (1, 401));
    assert_eq!(states(&listed(&gateway)), ["active"]);
}

#[test]
fn a_longer_lifetime_that_was_configured_once_still_counts() {
    let mut gateway =
        Setup::new(ROUTES).set("token.publish_ahead", "'0s'").set("token.access_ttl", "'1d'").start();
    gateway.reload(|text| text.replace("access_ttl = '1d'", "access_ttl = '1m'"));
    gateway.cli(["key", "rotate"]).ok();
    gateway.reload(|text| text.replace("access_ttl = '1m'", "access_ttl = '2d'"));
    assert_eq!(gateway.terminate(), Some(0));
    for record in gateway.site.edit_keys(|_| {}) {
        let days = if record["state"] == "retired" { 1 } else { 2 };
        assert_eq!(record["lives_ms"], (days * 86_400 + 5 + 3600) * 1000, "{record}");
    }
}

fn with_algorithm(algorithm: &str) -> impl Fn(&str) -> String {
    move |text| {
        let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with("algorithm")).collect();
        let line = format!("algorithm = '{algorithm}'");
        let place = lines.iter().position(|line| *line == "[token]").unwrap() + 1;
        lines.insert(place, &line);
        lines.join("\n")
    }
}

/// RFC 7517 §4, RFC 7518: what is published, through changes of the algorithm by restart and by reload, of which none is an outage.
#[test]
fn another_algorithm_is_a_rotation_by_restart_and_by_reload() {
    let mut gateway = publishing_for("1s");
    let mut tokens = vec![gateway.token_for("alice", "reader")];
    for (algorithm, restart) in [("EdDSA", false), ("HS256", true), ("RS256", false), ("ES256", true)] {
        if restart {
            gateway.site.write_config(&with_algorithm(algorithm)(&gateway.site.config_text()));
            gateway.restart();
        } else {
            gateway.reload(with_algorithm(algorithm));
        }
        wait_until("tokens of the other algorithm", || {
            let token = gateway.login("alice");
            assert_eq!(gateway.get(ANYONE, &token).status, 200, "{algorithm}");
            token::parts(&token).header["alg"] == algorithm
        });
        tokens.push(gateway.login("alice"));
        for token in &tokens {
            assert_eq!(gateway.get(ANYONE, token).status, 200, "{algorithm}");
        }
    }
    let set = gateway.send(&Request::get(JWKS)).json();
    let keys = set["keys"].as_array().unwrap();
    let algorithms: Vec<_> = keys.iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(algorithms, ["ES256", "RS256", "EdDSA", "ES256"], "and no HS256");
    assert_eq!(keys.iter().map(|key| key["kid"].as_str()).collect::<BTreeSet<_>>().len(), 4);
    for key in keys {
        assert_eq!(key["use"], "sig");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert_eq!(key[private], Value::Null, "{private}");
        }
    }
}

/// Whoever obeys `Cache-Control` has the new key before it signs.
#[test]
fn nobody_is_told_to_keep_the_keys_for_longer_than_the_next_one_is_published() {
    for (publish_ahead, caching) in
        [("15m", "public, max-age=300"), ("1m", "public, max-age=30"), ("0s", "public, max-age=0")]
    {
        let response = publishing_for(publish_ahead).send(&Request::get(JWKS));
        assert_eq!(response.header("cache-control").as_deref(), Some(caching), "{publish_ahead}");
    }
}

#[test]
fn an_algorithm_that_is_taken_back_in_time_never_signs() {
    let gateway = publishing_for("1h");
    let token = gateway.token_for("alice", "reader");
    gateway.reload(with_algorithm("EdDSA"));
    assert_eq!(states(&listed(&gateway)), ["next", "active"]);
    assert_eq!(kid(&gateway.login("alice")), kid(&token));
    gateway.reload(with_algorithm("ES256"));
    assert_eq!(listed(&gateway), [(kid(&token), "active".to_owned())]);
}

/// J1: after a change of the algorithm, no key verifies by that of another.
#[test]
fn j1_the_keys_of_two_algorithms_do_not_mix() {
    let gateway = publishing_for("0s");
    let old = gateway.token_for("alice", "reader");
    gateway.reload(with_algorithm("HS256"));
    let new = gateway.login("alice");
    assert_eq!(gateway.get(ANYONE, &new).status, 200);
    let set = gateway.send(&Request::get(JWKS)).json();
    let point = token::decode(set["keys"][0]["x"].as_str().unwrap());
    for (header_of, claims_of) in [(&old, &new), (&new, &old), (&old, &old)] {
        let mut header = token::parts(header_of).header;
        header["alg"] = json!("HS256");
        let claims = token::parts(claims_of).claims;
        let forged = hs256_of(&token::signing_input(&header, &claims), &point);
        assert_eq!(gateway.get(ANYONE, &forged).status, 401);
    }
    let mut swapped = token::parts(&new).header;
    swapped["kid"] = json!(kid(&old));
    let input = token::signing_input(&swapped, &token::parts(&new).claims);
    let signature = new.rsplit_once('.').unwrap().1;
    assert_eq!(gateway.get(ANYONE, &format!("{input}.{signature}")).status, 401);
}

/// J2 and J6: when the answer is there, no worker honours a token of a removed key, whether or not it is in its cache.
#[test]
fn j6_a_removed_key_ends_its_tokens_in_every_cache() {
    let mut gateway = publishing_for("0s");
    let retired = gateway.token_for("alice", "reader");
    gateway.cli(["key", "rotate"]).ok();
    let active = gateway.login("alice");
    let tokens = [retired, active];
    assert_ne!(kid(&tokens[0]), kid(&tokens[1]));
    let mut connections: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    for connection in &mut connections {
        for token in &tokens {
            assert_eq!(connection.exchange(&Request::get(ANYONE).bearer(token)).status, 200);
        }
    }
    let seen = gateway.backend.count();
    let after = by_state(&gateway.cli(["key", "rotate", "--now", "--json"]).ok());
    assert_eq!(states(&after), ["active"]);
    for connection in &mut connections {
        for token in &tokens {
            let response = connection.exchange(&Request::get(ANYONE).bearer(token));
            assert_eq!(response.status, 401);
            assert!(response.header("www-authenticate").unwrap().contains("invalid_token"));
        }
    }
    assert_eq!(gateway.backend.count(), seen);
    let new = gateway.login("alice");
    assert_eq!((gateway.get(ANYONE, &new).status, kid(&new)), (200, after[0].0.clone()));
    assert_eq!(published(&gateway), [kid(&new)]);
    gateway.kill9();
    gateway.start_again();
    assert_eq!(gateway.get(ANYONE, &new).status, 200);
    assert_eq!(gateway.get(ANYONE, &tokens[1]).status, 401);
}

/// Whatever was being done: the ring is whole, and tokens of what was acknowledged pass.
#[test]
fn kill_9_in_the_middle_of_rotations_leaves_a_ring_that_is_whole() {
    let mut gateway = publishing_for("0s");
    let mut good = gateway.token_for("alice", "reader");
    for round in 0..8 {
        let acknowledged = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while gateway.site.cli(["key", "rotate"]).status == 0
                        && acknowledged.load(Ordering::Relaxed) < 30
                    {
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            wait_until("some rotations", || acknowledged.load(Ordering::Relaxed) > round);
            gateway.process.signal(rustix::process::Signal::KILL);
        });
        gateway.process.wait();
        gateway.start_again();
        let keys = listed(&gateway);
        assert_eq!(keys.iter().filter(|(_, state)| state == "active").count(), 1, "{keys:?}");
        assert_eq!(gateway.get(ANYONE, &good).status, 200, "a graceful rotation ends no token");
        good = gateway.login("alice");
        assert_eq!(gateway.get(ANYONE, &good).status, 200);
    }
}

#[test]
fn a_key_that_was_published_before_a_crash_is_published_again() {
    let mut gateway = publishing_for("1s");
    let old = gateway.token_for("alice", "reader");
    let begun = by_state(&gateway.cli(["key", "rotate", "--json"]).ok());
    gateway.kill9();
    gateway.start_again();
    assert!(published(&gateway).contains(&begun[0].0));
    assert_eq!(kid(&token_of_another_key(&gateway, &old)), begun[0].0);
    assert_eq!(gateway.get(ANYONE, &old).status, 200);
}

#[test]
fn without_a_gateway_a_rotation_is_prepared_and_an_emergency_is_dealt_with() {
    let mut gateway = publishing_for("1s");
    let old = gateway.token_for("alice", "reader");
    assert_eq!(gateway.terminate(), Some(0));
    let output = gateway.cli(["key", "rotate", "--json"]).ok();
    assert_eq!(states(&by_state(&output)), ["next", "active"]);
    assert_eq!(output.json()[0]["signs_at"], Value::Null, "nobody publishes it yet");
    gateway.start_again();
    token_of_another_key(&gateway, &old);
    assert_eq!(gateway.terminate(), Some(0));
    let output = gateway.cli(["key", "rotate", "--now", "--json"]).ok();
    assert_eq!(states(&by_state(&output)), ["active"]);
    gateway.start_again();
    assert_eq!(gateway.get(ANYONE, &old).status, 401);
    let new = gateway.login("alice");
    assert_eq!(gateway.get(ANYONE, &new).status, 200);
}

#[test]
fn people_get_a_table_of_keys_and_nobody_a_private_one() {
    let mut gateway = publishing_for("1h");
    assert_eq!(gateway.terminate(), Some(0));
    let secret = gateway.site.edit_keys(|_| {})[0]["key"].as_str().unwrap().to_owned();
    gateway.start_again();
    let told = gateway.cli(["key", "rotate"]).ok().stdout;
    assert!(told.contains("is published and signs from "), "{told}");
    let table = gateway.cli(["key", "list"]).ok().stdout;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("KEY ") && lines[1].contains("next") && lines[2].contains("is replaced at"));
    let json = gateway.cli(["key", "list", "--json"]).ok().stdout;
    for text in [told, table, json, gateway.process.stderr_text()] {
        assert!(!text.contains(&secret[..40]), "{text}");
    }
    let empty = Setup::new(ROUTES).site();
    assert!(empty.cli(["key", "list"]).ok().stderr.contains("no signing keys yet"));
    assert_eq!(empty.cli(["key", "list", "--json"]).ok().json(), json!([]));
    assert_eq!(empty.cli(["key", "rotate"]).status, 1);
}

const FIRST: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SECOND: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// Sets the keys of `[store]`, where the test has them in files.
fn with_encryption(key: &str, old: &str) -> impl Fn(&str) -> String {
    move |text| {
        let lines = text.lines().filter(|line| !line.starts_with("encryption_key"));
        let both = format!("[store]\nencryption_key = {key}\nencryption_key_old = {old}");
        lines.collect::<Vec<_>>().join("\n").replace("[store]", &both)
    }
}

/// The private key in a record, if it is there in clear.
fn in_clear(record: &Value) -> Option<Vec<u8>> {
    let sealed = token::decode(record["key"].as_str().unwrap());
    (sealed[0] == 0).then(|| sealed[1..].to_vec())
}

#[test]
fn private_keys_are_encrypted_from_the_next_start_on_and_their_tokens_stay_good() {
    const OFF: &str = "'off'";
    let mut gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    for (name, key) in [("first", FIRST), ("second", SECOND)] {
        std::fs::write(gateway.site.dir().join(name), format!("{key}\n")).unwrap();
    }
    let (first, second) = ("{ file = 'first' }", "{ file = 'second' }");
    assert_eq!(gateway.terminate(), Some(0));
    let secret = in_clear(&gateway.site.edit_keys(|_| {})[0]).expect("in clear by default");
    for (key, old) in [(first, OFF), (second, first), (second, OFF), (OFF, second), (OFF, OFF)] {
        gateway.site.write_config(&with_encryption(key, old)(&gateway.site.config_text()));
        gateway.start_again();
        assert_eq!(gateway.get(ANYONE, &token).status, 200, "{key} {old}");
        gateway.cli(["key", "list"]).ok();
        assert_eq!(gateway.terminate(), Some(0));
        let record = gateway.site.edit_keys(|_| {}).remove(0);
        assert_eq!(in_clear(&record), (key == OFF).then(|| secret.clone()));
        if key != OFF {
            let bytes = token::decode(record["key"].as_str().unwrap());
            for window in secret.windows(8) {
                assert!(
                    !bytes.windows(8).any(|there| there == window),
                    "a part of the key is there in clear"
                );
            }
        }
    }
}

#[test]
fn an_encryption_key_that_is_wrong_or_missing_is_said_and_no_key_is_made() {
    let mut gateway = Gateway::start(ROUTES);
    assert_eq!(gateway.terminate(), Some(0));
    for (name, key) in [("first", FIRST), ("second", SECOND), ("short", "hunter2"), ("empty", "\n")] {
        std::fs::write(gateway.site.dir().join(name), key).unwrap();
    }
    let set = |gateway: &Gateway, key: &str| {
        gateway.site.write_config(&with_encryption(key, "'off'")(&gateway.site.config_text()));
    };
    set(&gateway, "{ file = 'first' }");
    gateway.start_again();
    assert_eq!(gateway.terminate(), Some(0));
    let before = gateway.site.edit_keys(|_| {});
    for (key, reason) in [
        ("'off'", "no key is configured: set store.encryption_key"),
        ("{ file = 'second' }", "encrypted with another key than store.encryption_key"),
        ("{ file = 'short' }", "must be 32 bytes"),
        ("{ file = 'empty' }", "is empty"),
        ("{ file = 'none' }", "cannot be read: No such file"),
        ("{ env = 'PORTCULLIS_TEST_UNSET' }", "PORTCULLIS_TEST_UNSET is not set"),
    ] {
        set(&gateway, key);
        for command in [&["serve"][..], &["key", "rotate"]] {
            let output = gateway.site.cli(command.iter().copied());
            assert_eq!(output.status, 1, "{key}: {output:?}");
            assert!(output.stderr.contains(reason), "{key}: {output:?}");
            assert!(!output.stderr.contains("hunter2") && !output.stderr.contains(FIRST));
        }
        // What needs no private key asks for none.
        assert_eq!(states(&by_state(&gateway.site.cli(["key", "list", "--json"]).ok())), ["active"]);
    }
    assert_eq!(gateway.site.edit_keys(|_| {}), before);
}
