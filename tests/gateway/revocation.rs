//! What ends a token ends it for the very next request.

use portcullis::clock;

use crate::harness::{Gateway, ROUTES, Request, Setup, password_of, token};
use crate::metrics::scrape;

/// Runs a command; the token from before is dead at once on every worker and connection, and stays so after a restart.
#[track_caller]
fn assert_ends_the_token(gateway: &mut Gateway, old: &str, command: &[&str], stdin: &str) {
    // Connections of both workers that have the token in their caches.
    let mut connections: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    let request = Request::get("/anyone/x").bearer(old);
    for connection in &mut connections {
        assert_eq!(connection.exchange(&request).status, 200);
    }
    let seen = gateway.backend.count();
    gateway.site.cli_with_stdin(command.iter().copied(), stdin).ok();
    for connection in &mut connections {
        let response = connection.exchange(&request);
        assert_eq!(response.status, 401, "{command:?}");
        assert!(response.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert_eq!(gateway.backend.count(), seen);
    gateway.restart();
    assert_eq!(gateway.get("/anyone/x", old).status, 401, "{command:?} and a restart");
}

fn gateway_and_token() -> (Gateway, String) {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    (gateway, token)
}

#[test]
fn disabling_a_user_ends_its_tokens_for_good() {
    let (mut gateway, old) = gateway_and_token();
    assert_ends_the_token(&mut gateway, &old, &["user", "disable", "alice"], "");
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 400);
    gateway.cli(["user", "enable", "alice"]).ok();
    assert_eq!(gateway.get("/anyone/x", &old).status, 401, "enabling does not bring a token back");
    let new = gateway.login("alice");
    assert_eq!(gateway.get("/anyone/x", &new).status, 200);
}

#[test]
fn changing_roles_ends_the_tokens_with_the_old_ones() {
    let (mut gateway, old) = gateway_and_token();
    assert_ends_the_token(&mut gateway, &old, &["user", "roles", "alice", "--role", "admin"], "");
    let new = gateway.login("alice");
    assert_eq!(gateway.get("/admin/x", &new).status, 200);
    assert_eq!(gateway.backend.last().header_values("x-role"), ["admin"]);
}

#[test]
fn a_new_password_ends_the_tokens_of_the_old_one() {
    let (mut gateway, old) = gateway_and_token();
    let new_password = "quite another pass phrase";
    let command = ["user", "passwd", "alice", "--password-stdin"];
    assert_ends_the_token(&mut gateway, &old, &command, &format!("{new_password}\n"));
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 400);
    assert_eq!(gateway.login_with("alice", new_password).status, 200);
}

#[test]
fn removing_a_user_ends_its_tokens_also_when_the_name_is_used_again() {
    let (mut gateway, old) = gateway_and_token();
    assert_ends_the_token(&mut gateway, &old, &["user", "remove", "alice"], "");
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 400);
    let new = gateway.token_for("alice", "admin");
    assert_eq!(gateway.get("/anyone/x", &old).status, 401, "the new alice is not the old one");
    assert_eq!(gateway.get("/anyone/x", &new).status, 200);
}

#[test]
fn renaming_a_user_ends_the_tokens_with_the_old_name() {
    let (mut gateway, old) = gateway_and_token();
    assert_ends_the_token(&mut gateway, &old, &["user", "rename", "alice", "alicia"], "");
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 400);
    let response = gateway.login_with("alicia", &password_of("alice"));
    let new = response.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(gateway.get("/anyone/x", &new).status, 200);
    assert_eq!(gateway.backend.last().header_values("x-user"), ["alicia"]);
}

#[test]
fn a_token_issued_after_the_change_passes_at_once() {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    for round in 0..10 {
        let old = gateway.login("alice");
        let role = if round % 2 == 0 { "admin" } else { "reader" };
        gateway.cli(["user", "roles", "alice", "--role", role]).ok();
        let new = gateway.login("alice");
        assert_eq!(gateway.get("/anyone/x", &new).status, 200, "round {round}");
        assert_eq!(gateway.backend.last().header_values("x-role"), [role]);
        assert_eq!(gateway.get("/anyone/x", &old).status, 401, "round {round}");
    }
}

/// A token of a clock that was ahead passes later. To revoke it did nothing.
#[test]
fn a_token_that_is_not_valid_yet_can_be_revoked() {
    let mut gateway = Setup::new(ROUTES).set("token.algorithm", "'HS256'").start();
    let good = token::parts(&gateway.token_for("alice", "reader"));
    assert_eq!(gateway.terminate(), Some(0));
    let key = gateway.site.hmac_key();
    gateway.start_again();
    let mut claims = good.claims;
    for date in ["iat", "exp"] {
        claims[date] = (claims[date].as_u64().unwrap() + 3000).into();
    }
    let early = token::hs256(&good.header, &claims, &key);
    assert_eq!(gateway.get("/anyone/x", &early).status, 401, "it is not valid yet");
    assert_eq!(gateway.send(&Request::form("/auth/revoke", &[("token", &early)])).status, 200);
    let record = &gateway.cli(["audit", "show", "--limit", "1", "--json"]).ok().json()[0];
    assert_eq!(record["action"], "token_revoke");
    assert_eq!(record["target"], format!("token:{}", claims["jti"].as_str().unwrap()));
    assert_eq!(scrape(&gateway).get("portcullis_revocations"), 1.0);
}

/// A clock that was ahead and is set right outlives revocations: its tokens pass again when their time comes.
#[test]
fn tokens_end_when_a_clock_that_was_hours_ahead_is_set_right() {
    let (mut gateway, old) = gateway_and_token();
    for (ahead, passes) in [(0, 200), (20 * 60_000, 200), (2 * 3_600_000, 401)] {
        assert_eq!(gateway.terminate(), Some(0));
        gateway.site.set_meta("latest_time_ms", &(clock::now().as_millis() + ahead).to_string());
        gateway.start_again();
        assert_eq!(gateway.get("/anyone/x", &old).status, passes, "{ahead}");
    }
    let new = gateway.login("alice");
    assert_eq!(gateway.get("/anyone/x", &new).status, 200);
    gateway.restart();
    assert_eq!(gateway.get("/anyone/x", &new).status, 200, "that was once");
    let records = gateway.cli(["audit", "show", "--action", "key_rotate", "--json"]).ok().json();
    let told = records.as_array().unwrap().iter().map(|record| &record["detail"]).collect::<Vec<_>>();
    assert_eq!(told, ["the clock was set back: all older keys are removed at once"]);
    assert_eq!(gateway.terminate(), Some(0));
    let noted: u64 = gateway.site.meta("latest_time_ms").unwrap().parse().unwrap();
    assert!(noted <= clock::now().as_millis());
}

#[test]
fn one_user_s_change_leaves_the_others_alone() {
    let (gateway, alice) = gateway_and_token();
    let bob = gateway.token_for("bob", "reader");
    gateway.cli(["user", "disable", "bob"]).ok();
    assert_eq!(gateway.get("/orders/7", &bob).status, 401);
    assert_eq!(gateway.get("/orders/7", &alice).status, 200);
}

#[test]
fn a_change_made_while_the_gateway_is_down_counts_too() {
    let (mut gateway, old) = gateway_and_token();
    assert_eq!(gateway.terminate(), Some(0));
    gateway.cli(["user", "roles", "alice", "--role", "admin"]).ok();
    gateway.start_again();
    assert_eq!(gateway.get("/anyone/x", &old).status, 401);
}

#[test]
fn a_change_survives_the_death_of_the_gateway() {
    let (mut gateway, old) = gateway_and_token();
    gateway.cli(["user", "disable", "alice"]).ok();
    gateway.kill9();
    gateway.start_again();
    assert_eq!(gateway.get("/anyone/x", &old).status, 401);
}
