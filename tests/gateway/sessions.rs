//! Sessions from the outside: refresh, revocation, logout, another password, the command line.

use std::sync::mpsc;
use std::thread;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::clients;
use crate::harness::{Client, Gateway, ROUTES, Request, Response, Setup, password_of, token};

/// What a login gives.
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    #[track_caller]
    fn of(response: &Response) -> Self {
        assert_eq!(response.status, 200, "{}", response.text());
        let (body, text) = (response.json(), |value: &Value| value.as_str().unwrap().to_owned());
        assert!(
            response.headers.list("cache-control") == ["no-store"]
                && response.headers.list("pragma") == ["no-cache"]
        );
        Self { access: text(&body["access_token"]), refresh: text(&body["refresh_token"]) }
    }

    fn session(&self) -> String {
        token::parts(&self.access).claims["sid"].as_str().unwrap().to_owned()
    }
}

fn gateway() -> Gateway {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    gateway
}

#[track_caller]
fn login(gateway: &Gateway, name: &str) -> Tokens {
    Tokens::of(&gateway.login_with(name, &password_of(name)))
}

fn refresh(gateway: &Gateway, token: &str) -> Response {
    gateway.send(&Request::form("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]))
}

fn revoke(gateway: &Gateway, fields: &[(&str, &str)]) -> Response {
    gateway.send(&Request::form("/auth/revoke", fields))
}

fn passes(gateway: &Gateway, token: &str) -> bool {
    let status = gateway.get("/anyone/x", token).status;
    assert!([200, 401].contains(&status), "{status}");
    status == 200
}

#[track_caller]
fn assert_invalid_grant(response: &Response) {
    assert_eq!(
        (response.status, &response.json()["error"]),
        (400, &json!("invalid_grant")),
        "{}",
        response.text()
    );
}

#[test]
fn rfc_6749_6_a_refresh_token_gives_new_tokens_of_the_same_session() {
    let mut gateway = gateway();
    let first = login(&gateway, "alice");
    let second = Tokens::of(&refresh(&gateway, &first.refresh));
    assert_ne!((&second.access, &second.refresh), (&first.access, &first.refresh));
    assert_eq!(second.session(), first.session());
    assert!(passes(&gateway, &second.access) && passes(&gateway, &first.access));
    gateway.restart();
    let third = Tokens::of(&refresh(&gateway, &second.refresh));
    assert!(passes(&gateway, &third.access));
    let body = json!({"grant_type": "refresh_token", "refresh_token": third.refresh});
    let by_json = Request::post("/token", body.to_string()).header("content-type", "application/json");
    Tokens::of(&gateway.send(&by_json));
}

/// An access token could outlive its session by `access_ttl`.
#[test]
fn an_access_token_expires_with_its_session_at_the_latest() {
    let gateway =
        Setup::new(ROUTES).set("token.session_max_ttl", "'10m'").set("token.access_ttl", "'15m'").start();
    gateway.add_user("alice", "reader");
    let login = gateway.login_with("alice", &password_of("alice"));
    let refreshed = refresh(&gateway, &Tokens::of(&login).refresh);
    let ends = |response: &Response| {
        let claims = token::parts(&Tokens::of(response).access).claims;
        let (exp, iat) = (claims["exp"].as_u64().unwrap(), claims["iat"].as_u64().unwrap());
        assert_eq!(response.json()["expires_in"], exp - iat, "it says the truth");
        assert!(exp - iat <= 600);
        exp
    };
    assert!(ends(&refreshed) <= ends(&login), "a refresh does not make the session longer");
}

#[test]
fn a_user_has_no_more_sessions_than_there_may_be() {
    let gateway = Setup::new(ROUTES).set("token.max_sessions_per_user", "2").start();
    gateway.token_for("bob", "reader");
    gateway.add_user("alice", "reader");
    let first = login(&gateway, "alice");
    let second = login(&gateway, "alice");
    Tokens::of(&refresh(&gateway, &first.refresh));
    let third = login(&gateway, "alice");
    assert_invalid_grant(&refresh(&gateway, &second.refresh));
    for (name, tokens) in [("first", &first), ("second", &second), ("third", &third)] {
        assert!(passes(&gateway, &tokens.access), "the {name} access token lives until it expires");
    }
    let record = &gateway.cli(["audit", "show", "--limit", "1", "--json"]).ok().json()[0];
    assert_eq!((&record["action"], &record["session"]), (&json!("login"), &json!(third.session())));
    let told = format!("the session used least recently gave way: {}", second.session());
    assert_eq!(record["detail"], told);
    let list = gateway.cli(["session", "list", "--json"]).ok().json();
    assert_eq!(list.as_array().unwrap().len(), 3, "bob's is not concerned");
}

#[test]
fn other_roles_come_with_the_next_refresh() {
    let gateway = gateway();
    let tokens = login(&gateway, "alice");
    gateway.cli(["user", "roles", "alice", "--role", "admin"]).ok();
    assert!(!passes(&gateway, &tokens.access));
    let next = Tokens::of(&refresh(&gateway, &tokens.refresh));
    assert_eq!(gateway.get("/admin/x", &next.access).status, 200);
}

#[test]
fn rfc_9700_4_14_an_old_refresh_token_ends_its_session_and_is_a_security_event() {
    let gateway = Setup::new(ROUTES).set("token.refresh_reuse_grace", "'0s'").start();
    gateway.add_user("alice", "reader");
    let (stolen, other) = (login(&gateway, "alice"), login(&gateway, "alice"));
    // With no grace, a token is old in the very millisecond after the one in which it was used.
    let mut next = Tokens::of(&refresh(&gateway, &stolen.refresh));
    next = Tokens::of(&refresh(&gateway, &next.refresh));
    assert_invalid_grant(&refresh(&gateway, &stolen.refresh));
    assert!(!passes(&gateway, &next.access) && !passes(&gateway, &stolen.access));
    assert_invalid_grant(&refresh(&gateway, &next.refresh));
    let is_event = |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with("security:"));
    let event = gateway.wait_for_log(is_event);
    assert!(event["error"].as_str().unwrap().contains(&stolen.session()), "{event}");
    assert!(passes(&gateway, &other.access));
    Tokens::of(&refresh(&gateway, &other.refresh));
}

#[test]
fn l9_twenty_parallel_refreshes_leave_one_live_chain() {
    let gateway = gateway();
    let tokens = login(&gateway, "alice");
    let answers: Vec<Tokens> = thread::scope(|scope| {
        let work = || Tokens::of(&refresh(&gateway, &tokens.refresh));
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.refresh == answers[0].refresh), "one successor for all");
    assert!(answers.iter().all(|answer| passes(&gateway, &answer.access)));
    Tokens::of(&refresh(&gateway, &answers[0].refresh));
}

#[test]
fn cve_2026_16103_no_refresh_after_disabling_a_new_password_or_removal() {
    let gateway = gateway();
    let commands: [&[&str]; 3] = [
        &["user", "disable", "NAME"],
        &["user", "remove", "NAME"],
        &["user", "passwd", "NAME", "--password-stdin"],
    ];
    for (name, command) in ["anna", "bert", "carl"].into_iter().zip(commands) {
        gateway.add_user(name, "reader");
        let tokens = login(&gateway, name);
        let command = command.iter().map(|word| if *word == "NAME" { name } else { word });
        gateway.site.cli_with_stdin(command, "quite another pass phrase\n").ok();
        assert!(!passes(&gateway, &tokens.access), "{name}");
        assert_invalid_grant(&refresh(&gateway, &tokens.refresh));
    }
}

#[test]
fn what_is_no_refresh_token_is_an_invalid_grant() {
    let gateway = gateway();
    let tokens = login(&gateway, "alice");
    let mut changed = tokens.refresh.clone();
    changed.replace_range(40..41, if &changed[40..41] == "A" { "B" } else { "A" });
    for token in ["x", "prt_", &tokens.access, &changed, &format!("{}A", tokens.refresh)] {
        assert_invalid_grant(&refresh(&gateway, token));
        assert!(refresh(&gateway, token).text().contains("the refresh token is unknown"));
    }
    let missing = gateway.send(&Request::form("/token", &[("grant_type", "refresh_token")]));
    assert_eq!((missing.status, &missing.json()["error"]), (400, &json!("invalid_request")));
    Tokens::of(&refresh(&gateway, &tokens.refresh));
}

#[test]
fn rfc_7009_a_refresh_token_takes_its_session_along() {
    let mut gateway = gateway();
    let (tokens, other) = (login(&gateway, "alice"), login(&gateway, "alice"));
    let response = revoke(&gateway, &[("token", &tokens.refresh), ("token_type_hint", "access_token")]);
    assert_eq!((response.status, response.text().as_str()), (200, "{}"));
    assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
    for restarted in [false, true] {
        assert!(!passes(&gateway, &tokens.access) && passes(&gateway, &other.access), "{restarted}");
        assert_invalid_grant(&refresh(&gateway, &tokens.refresh));
        if !restarted {
            gateway.restart();
        }
    }
}

#[test]
fn rfc_7009_an_access_token_ends_alone() {
    let mut gateway = gateway();
    let first = login(&gateway, "alice");
    let second = Tokens::of(&refresh(&gateway, &first.refresh));
    assert!(passes(&gateway, &first.access) && passes(&gateway, &second.access));
    assert_eq!(revoke(&gateway, &[("token", &first.access)]).status, 200);
    assert!(!passes(&gateway, &first.access) && passes(&gateway, &second.access));
    gateway.restart();
    assert!(!passes(&gateway, &first.access) && passes(&gateway, &second.access));
    Tokens::of(&refresh(&gateway, &second.refresh));
}

#[test]
fn rfc_7009_unknown_tokens_are_revoked_already_and_errors_are_those_of_the_token_endpoint() {
    let gateway = gateway();
    for token in ["x", "prt_x", "a.b.c"] {
        assert_eq!(revoke(&gateway, &[("token", token), ("token_type_hint", "made_up")]).status, 200);
    }
    let missing = revoke(&gateway, &[("token_type_hint", "access_token")]);
    assert_eq!((missing.status, &missing.json()["error"]), (400, &json!("invalid_request")));
    let query = gateway.send(&Request::form("/auth/revoke?token=x", &[("token", "x")]));
    assert_eq!((query.status, &query.json()["error"]), (400, &json!("invalid_request")));
    let get = gateway.send(&Request::get("/auth/revoke"));
    assert_eq!((get.status, get.header("allow").as_deref()), (405, Some("POST")));
}

#[test]
fn a_logout_ends_the_own_session_only() {
    let gateway = gateway();
    let (tokens, other) = (login(&gateway, "alice"), login(&gateway, "alice"));
    let response = gateway.send(&Request::post("/auth/logout", "").bearer(&tokens.access));
    assert_eq!((response.status, response.text().as_str()), (204, ""));
    assert!(!passes(&gateway, &tokens.access) && passes(&gateway, &other.access));
    assert_invalid_grant(&refresh(&gateway, &tokens.refresh));
    assert_eq!(gateway.send(&Request::post("/auth/logout", "").bearer(&tokens.access)).status, 401);
    assert_eq!(gateway.send(&Request::post("/auth/logout", "")).status, 401);
}

#[test]
fn a_new_password_needs_the_old_one_and_ends_the_other_sessions() {
    let gateway = gateway();
    let (own, other) = (login(&gateway, "alice"), login(&gateway, "alice"));
    let new = "quite another pass phrase";
    let change = |current: &str, new: &str| {
        let fields = [("current_password", current), ("new_password", new)];
        gateway.send(&Request::form("/auth/password", &fields).bearer(&own.access))
    };
    assert_invalid_grant(&change("wrong", new));
    let weak = change(&password_of("alice"), "password");
    assert_eq!((weak.status, &weak.json()["error"]), (400, &json!("invalid_request")), "{}", weak.text());
    assert!(passes(&gateway, &own.access) && passes(&gateway, &other.access), "nothing was changed so far");
    let changed = change(&password_of("alice"), new);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let access = changed.json()["access_token"].as_str().unwrap().to_owned();
    assert!(passes(&gateway, &access));
    assert_eq!(token::parts(&access).claims["sid"], own.session());
    assert!(!passes(&gateway, &own.access) && !passes(&gateway, &other.access));
    assert_invalid_grant(&refresh(&gateway, &other.refresh));
    Tokens::of(&refresh(&gateway, &own.refresh));
    assert_invalid_grant(&gateway.login_with("alice", &password_of("alice")));
    Tokens::of(&gateway.login_with("alice", new));
}

#[test]
fn the_command_line_lists_and_ends_sessions_whether_or_not_the_gateway_runs() {
    let mut gateway = gateway();
    gateway.add_user("bob", "reader");
    let tokens = [login(&gateway, "alice"), login(&gateway, "alice"), login(&gateway, "bob")];
    let ids = |gateway: &Gateway, user: Option<&str>| -> Vec<String> {
        let named = user.map(|user| ["--user", user]);
        let words = ["session", "list", "--json"].into_iter().chain(named.into_iter().flatten());
        let list: Value = serde_json::from_str(&gateway.cli(words).ok().stdout).unwrap();
        list.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<String> = tokens.iter().map(Tokens::session).collect();
    assert_eq!(ids(&gateway, None), all);
    assert_eq!(ids(&gateway, Some("ALICE")), all[..2]);
    let table = gateway.cli(["session", "list"]).ok().stdout;
    assert!(table.starts_with("SESSION") && table.contains("bob") && table.contains("127.0.0.1"), "{table}");
    gateway.cli(["session", "revoke", &all[0]]).ok();
    assert!(!passes(&gateway, &tokens[0].access) && passes(&gateway, &tokens[1].access));
    assert_eq!(gateway.terminate(), Some(0));
    gateway.cli(["session", "revoke", "--user", "alice"]).ok();
    assert_eq!(ids(&gateway, None), all[2..]);
    gateway.start_again();
    assert!(!passes(&gateway, &tokens[1].access) && passes(&gateway, &tokens[2].access));
    assert_invalid_grant(&refresh(&gateway, &tokens[1].refresh));
}

#[test]
fn the_command_line_says_which_session_or_user_there_is_not() {
    let gateway = gateway();
    let cases: [(&[&str], &str); 2] = [
        (&["session", "revoke", "--user", "alise"], "did you mean \"alice\"?"),
        (&["session", "list", "--user", "nobody"], "there is no user \"nobody\""),
    ];
    for (words, text) in cases {
        let output = gateway.cli(words.iter().copied());
        assert!(output.status == 1 && output.stderr.contains(text), "{words:?}: {}", output.stderr);
    }
}

/// As a session, a user would have been refused for an hour, whatever tokens came meanwhile; and API keys would have come back then.
#[test]
fn the_id_of_a_user_or_a_client_is_that_of_no_session() {
    let mut gateway = gateway();
    let tokens = login(&gateway, "alice");
    let user = token::parts(&tokens.access).claims["sub"].as_str().unwrap().to_owned();
    clients::add(&gateway, "shop", &[]);
    let shown = gateway.cli(["client", "show", "shop", "--json"]).ok().json();
    let cases = [(user, "user", "alice"), (shown["id"].as_str().unwrap().to_owned(), "client", "shop")];
    let refuse = |gateway: &Gateway| {
        for (id, what, name) in &cases {
            let output = gateway.cli(["session", "revoke", id]);
            let told = [format!("the {what} \"{name}\""), format!("session revoke --user {name}")];
            assert!(
                output.status == 1 && told.iter().all(|it| output.stderr.contains(it)),
                "{}",
                output.stderr
            );
        }
    };
    refuse(&gateway);
    assert!(passes(&gateway, &tokens.access) && passes(&gateway, &login(&gateway, "alice").access));
    gateway.terminate();
    refuse(&gateway);
}

/// Refreshes over and over until the gateway dies. Returns the newest token that was acknowledged.
fn refresh_until_killed(mut client: Client, first: &str, acknowledged: impl Fn()) -> String {
    let mut newest = first.to_owned();
    loop {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &*newest)];
        let request = Request::form("/token", &fields);
        let sent = client.try_send(request.encode("gateway"));
        let Some(response) = sent.ok().and_then(|()| client.try_response("POST").ok()) else { return newest };
        newest = Tokens::of(&response).refresh;
        acknowledged();
    }
}

/// Kill -9 in the middle of 1,000 refreshes: each that was acknowledged counts, and no session accepts two tokens.
#[test]
fn d7_a_killed_gateway_has_every_acknowledged_refresh() {
    let mut gateway = gateway();
    for _ in 0..4 {
        let sessions: Vec<Tokens> = (0..8).map(|_| login(&gateway, "alice")).collect();
        let (sender, acknowledged) = mpsc::channel();
        let pid = gateway.process.pid();
        let running = &gateway;
        let newest: Vec<String> = thread::scope(|scope| {
            let threads: Vec<_> = sessions
                .iter()
                // Connected before any of them begins: a thread that comes late would find nobody there any more.
                .map(|tokens| (tokens, running.connect(), sender.clone()))
                .collect::<Vec<_>>()
                .into_iter()
                .enumerate()
                .map(|(index, (tokens, client, sender))| {
                    let acknowledged = move || sender.send(index).unwrap();
                    scope.spawn(move || refresh_until_killed(client, &tokens.refresh, acknowledged))
                })
                .collect();
            let mut counts = [0; 8];
            while counts.iter().sum::<u32>() < 250 || counts.contains(&0) {
                counts[acknowledged.recv().unwrap()] += 1;
            }
            kill_process(pid, Signal::KILL).unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        gateway.process.wait();
        gateway.start_again();
        for (tokens, newest) in sessions.iter().zip(&newest) {
            // Within the grace also if the next refresh happened without being acknowledged; then both get the same token.
            let next = Tokens::of(&refresh(&gateway, newest));
            let again = Tokens::of(&refresh(&gateway, newest));
            assert_eq!(next.refresh, again.refresh);
            assert_invalid_grant(&refresh(&gateway, &tokens.refresh));
            assert!(!passes(&gateway, &next.access), "an old token has ended the session");
        }
    }
}
