//! Guessing at `POST /token`: slowed down, however it is done, and nobody else is kept out. SECURITY L2, L3, L4, L12.

use std::thread;

use crate::harness::{Gateway, ROUTES, Request, Response, Setup, password_of};
use crate::metrics::scrape;

/// Waits so long that none of them ends within a test.
fn setup() -> Setup {
    Setup::new(ROUTES).set("login.first_delay", "'1h'").set("login.max_delay", "'1h'")
}

fn start(setup: Setup) -> Gateway {
    let gateway = setup.start();
    gateway.add_user("alice", "reader");
    gateway
}

fn gateway() -> Gateway {
    start(setup())
}

/// A gateway behind a proxy on this machine, which says who its clients are.
fn behind_a_proxy() -> Gateway {
    start(setup().set("server.trusted_proxies", "['127.0.0.1']"))
}

fn login(name: &str, password: &str) -> Request {
    Request::form("/token", &[("grant_type", "password"), ("username", name), ("password", password)])
}

/// A login of a client that the proxy speaks for.
fn login_from(gateway: &Gateway, client: &str, name: &str, password: &str) -> u16 {
    gateway.send(&login(name, password).header("x-forwarded-for", client)).status
}

/// Passwords that were hashed so far.
fn verifications(gateway: &Gateway) -> f64 {
    scrape(gateway).get("portcullis_hashing_wait_seconds_count")
}

/// RFC 6749 §5.2 and RFC 6585 §4.
#[track_caller]
fn assert_throttled(response: &Response) {
    assert_eq!(response.status, 429, "{}", response.text());
    assert_eq!(response.json()["error"], "temporarily_unavailable");
    assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    let seconds: u64 = response.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
}

#[test]
fn after_five_wrong_passwords_the_right_one_has_to_wait() {
    let gateway = gateway();
    let before = verifications(&gateway);
    for _ in 0..5 {
        assert_eq!(gateway.login_with("alice", "a guess").status, 400);
    }
    assert_throttled(&gateway.login_with("alice", &password_of("alice")));
    assert_eq!(verifications(&gateway) - before, 5.0, "what is throttled is not hashed");
    let page = scrape(&gateway);
    assert_eq!(page.get("portcullis_logins_total{outcome=\"throttled\"}"), 1.0);
    assert_eq!(page.get("portcullis_logins_total{outcome=\"bad_credentials\"}"), 5.0);
}

#[test]
fn unknown_users_are_throttled_alike() {
    let gateway = gateway();
    gateway.add_user("mallory", "");
    gateway.cli(["user", "disable", "mallory"]).ok();
    let answers = |name: &str| -> Vec<_> {
        let answer = |_| {
            let response = gateway.login_with(name, "a guess");
            let names: Vec<_> = response.headers.names().map(str::to_owned).collect();
            (response.status, names, response.body)
        };
        (0..6).map(answer).collect()
    };
    let known = answers("alice");
    assert_eq!(known.last().unwrap().0, 429);
    for name in ["nobody", "mallory", "no user name"] {
        assert_eq!(answers(name), known, "{name}");
    }
}

/// SECURITY L2. [CVE-2023-47111]
#[test]
fn l2_a_thousand_parallel_guesses_are_no_more_than_the_limit() {
    let gateway = gateway();
    let before = verifications(&gateway);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let guess = || {
            let mut client = gateway.connect();
            (0..100).map(|n| client.exchange(&login("alice", &format!("guess {n}"))).status).collect()
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(guess)).collect();
        threads.into_iter().flat_map(|thread| -> Vec<u16> { thread.join().unwrap() }).collect()
    });
    let count = |status| statuses.iter().filter(|&&it| it == status).count();
    assert_eq!((count(400), count(429)), (5, 995));
    assert_eq!(verifications(&gateway) - before, 5.0);
}

#[test]
fn l2_many_names_from_one_address_are_throttled_too() {
    let gateway = start(setup().set("login.address_quick_tries", "10"));
    for _ in 0..5 {
        gateway.login("alice");
    }
    for n in 0..10 {
        assert_eq!(gateway.login_with(&format!("user{n}"), "a guess").status, 400);
    }
    assert_throttled(&gateway.login_with("alice", &password_of("alice")));
}

/// SECURITY L3. [GHSA-cq42]
#[test]
fn l3_the_owner_of_a_name_logs_in_while_others_guess() {
    let gateway = behind_a_proxy();
    for attacker in 0..20 {
        let guess = |_| login_from(&gateway, &format!("198.51.100.{attacker}"), "alice", "a guess");
        assert_eq!([0; 7].map(guess), [400, 400, 400, 400, 400, 429, 429]);
    }
    assert_eq!(login_from(&gateway, "192.0.2.1", "alice", &password_of("alice")), 200);
}

fn add_client(gateway: &Gateway, name: &str) -> String {
    let new = gateway.cli(["client", "add", name, "--json"]).ok().json();
    new["client_secret"].as_str().unwrap().to_owned()
}

/// RFC 6749 §2.3.1: wherever a client's secret is asked for, guessing it is slowed down.
#[test]
fn rfc_6749_2_3_1_wrong_client_secrets_are_throttled() {
    let gateway = gateway();
    let secret = add_client(&gateway, "shop");
    let ask = |target: &str| Request::form(target, &[("grant_type", "client_credentials"), ("token", "x")]);
    let targets = ["/token", "/auth/revoke", "/auth/introspect", "/token", "/auth/introspect"];
    for target in targets {
        let refused = gateway.send(&ask(target).basic("shop", "a guess"));
        assert_eq!((refused.status, &refused.json()["error"]), (401, &"invalid_client".into()), "{target}");
    }
    for target in targets {
        assert_throttled(&gateway.send(&ask(target).basic("shop", &secret)));
    }
    let fields = [("grant_type", "client_credentials"), ("client_id", "shop"), ("client_secret", &secret)];
    assert_throttled(&gateway.send(&Request::form("/token", &fields)));
    let record = gateway.wait_for_log(|line| line["credential"] == "client secret");
    assert_eq!(record["user"], "shop");
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 200, "people are not concerned");
}

/// SECURITY L3, for programs.
#[test]
fn l3_a_client_logs_in_while_others_guess_and_many_times_at_once() {
    let gateway = behind_a_proxy();
    let secret = add_client(&gateway, "shop");
    let form = Request::form("/token", &[("grant_type", "client_credentials")]);
    let login =
        |address: &str, secret: &str| form.clone().basic("shop", secret).header("x-forwarded-for", address);
    for attacker in 0..20 {
        let guess = |_| gateway.send(&login(&format!("198.51.100.{attacker}"), "a guess")).status;
        assert_eq!([0; 7].map(guess), [401, 401, 401, 401, 401, 429, 429]);
    }
    thread::scope(|scope| {
        let logins =
            || (0..20).map(|_| gateway.send(&login("192.0.2.1", &secret)).status).collect::<Vec<_>>();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(logins)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), [200; 20]);
        }
    });
}

/// SECURITY L4. [CVE-2025-24806]
#[test]
fn l4_spellings_of_a_name_share_a_counter() {
    let gateway = gateway();
    for name in ["alice", "ALICE", "Alice", "aLICE", "alicE"] {
        assert_eq!(gateway.login_with(name, "a guess").status, 400, "{name}");
    }
    assert_throttled(&gateway.login_with("AlicE", &password_of("alice")));
}

/// SECURITY L12.
#[test]
fn l12_a_forwarding_header_of_a_stranger_is_no_other_address() {
    let gateway = gateway();
    let statuses: Vec<_> =
        (0..6).map(|n| login_from(&gateway, &format!("192.0.2.{n}"), "alice", "a guess")).collect();
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429]);
}

/// SECURITY L12.
#[test]
fn l12_addresses_of_one_ipv6_network_are_one() {
    let gateway = behind_a_proxy();
    let statuses: Vec<_> =
        (1..7).map(|n| login_from(&gateway, &format!("2001:db8:0:1::{n}"), "alice", "a guess")).collect();
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429]);
    assert_eq!(login_from(&gateway, "2001:db8:0:2::1", "alice", &password_of("alice")), 200);
    // What the client writes itself stands to the left of its address.
    assert_eq!(login_from(&gateway, "192.0.2.9, 2001:db8:0:1::ffff", "alice", "a guess"), 429);
}

#[test]
fn a_burst_is_logged_once() {
    let gateway = gateway();
    for _ in 0..20 {
        gateway.login_with("alice", "a guess");
    }
    let is_it = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|text| text.starts_with("logins are throttled"))
    };
    let record = gateway.wait_for_log(is_it);
    assert_eq!((&record["client.addr"], &record["user"]), (&"127.0.0.1".into(), &"alice".into()));
    gateway.reload(str::to_owned);
    assert_eq!(gateway.process.stderr_lines().iter().filter(|line| is_it(line)).count(), 1);
}

#[test]
fn a_reload_forgets_no_try_and_changes_how_many_there_are() {
    let gateway = start(setup().set("login.quick_tries", "3"));
    let tries = |name: &str, count: usize| -> Vec<u16> {
        (0..count).map(|_| gateway.login_with(name, "a guess").status).collect()
    };
    assert_eq!(tries("alice", 3), [400, 400, 400]);
    assert_eq!(tries("bob", 2), [400, 400]);
    gateway.reload(|text| text.replace("quick_tries = 3", "quick_tries = 1"));
    assert_throttled(&gateway.login_with("alice", "a guess"));
    assert_eq!(tries("bob", 2), [400, 429], "what had no wait before has one behind the next try");
    assert_eq!(tries("carol", 2), [400, 429]);
}
