//! `POST /auth/register` and invitations: off unless wanted, telling nothing about names, once only. SECURITY L4, L6, L8, L12.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Gateway, ROUTES, Request, Response, Setup, password_of, token};
use crate::metrics::scrape;

const PATH: &str = "/auth/register";
const FORM: &str = "application/x-www-form-urlencoded";

/// Waits so long that none of them ends within a test.
fn setup(mode: &str) -> Setup {
    Setup::new(ROUTES)
        .set("registration.mode", &format!("'{mode}'"))
        .set("registration.default_roles", "['reader']")
        .set("registration.quick_tries", "1000")
        .set("registration.first_delay", "'1h'")
        .set("registration.max_delay", "'1h'")
}

fn open() -> Gateway {
    setup("open").start()
}

fn by_invitation() -> Gateway {
    setup("invitation").start()
}

fn request(name: &str, password: &str) -> Request {
    Request::form(PATH, &[("username", name), ("password", password)])
}

fn register(gateway: &Gateway, name: &str) -> Response {
    gateway.send(&request(name, &password_of(name)))
}

fn accept(gateway: &Gateway, invitation: &str, password: &str) -> Response {
    gateway.send(&Request::form(PATH, &[("invitation", invitation), ("password", password)]))
}

/// Runs `user invite` with these words behind it, and returns the token.
#[track_caller]
fn invite(gateway: &Gateway, words: &[&str]) -> String {
    let words = ["user", "invite", "--json"].into_iter().chain(words.iter().copied());
    gateway.cli(words).ok().json()["invitation"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, code: &str) {
    assert_eq!((response.status, &response.json()["error"]), (status, &json!(code)), "{}", response.text());
    assert_uncached(response);
}

#[track_caller]
fn assert_uncached(response: &Response) {
    assert_eq!(response.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(response.headers.list("cache-control"), ["no-store"]);
}

/// Status, header fields and body.
type Shape = (u16, Vec<(String, Vec<u8>)>, Vec<u8>);

/// The whole answer but for what each answer has of its own.
fn shape(response: &Response) -> Shape {
    let own = |name: &str| ["date", "x-request-id"].iter().any(|it| name.eq_ignore_ascii_case(it));
    let fields = response.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    (response.status, fields.filter(|(name, _)| !own(name)).collect(), response.body.clone())
}

/// Passwords hashed, and writes to the store, since the last time.
struct Work<'g> {
    gateway: &'g Gateway,
    before: (f64, f64),
}

impl<'g> Work<'g> {
    fn of(gateway: &'g Gateway) -> Self {
        let mut work = Self { gateway, before: (0.0, 0.0) };
        work.more();
        work
    }

    fn more(&mut self) -> (f64, f64) {
        let page = scrape(self.gateway);
        let now = (
            page.get("portcullis_hashing_wait_seconds_count"),
            page.get("portcullis_store_write_duration_seconds_count"),
        );
        let before = std::mem::replace(&mut self.before, now);
        (now.0 - before.0, now.1 - before.1)
    }
}

fn audit(gateway: &Gateway, action: &str) -> Vec<Value> {
    let records = gateway.cli(["audit", "show", "--json", "--action", action, "--limit", "1000"]).ok().json();
    records.as_array().unwrap().clone()
}

#[test]
fn it_is_off_unless_it_is_wanted() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("alice", "reader");
    let unknown = |path: &str| {
        let plain = gateway.send(&Request::form(path, &[("username", "bob"), ("password", "a pass phrase")]));
        let known = gateway.send(&Request::form(path, &[("username", "bob")]).bearer(&token));
        (plain.status, plain.headers.list("allow"), known.status, known.headers.list("allow"))
    };
    assert_eq!(unknown(PATH), (401, vec![], 404, vec![]));
    assert_eq!(unknown(PATH), unknown("/auth/nothing"));
    let output = gateway.site.cli(["user", "invite", "bob"]);
    assert!(output.status == 1 && output.stderr.contains("registration.mode is \"off\""), "{output:?}");
    // A reload turns it on and off.
    let mode = |from: &str, to: &str| {
        let (from, to) = (format!("mode = '{from}'"), format!("mode = '{to}'"));
        gateway.reload(|text| text.replace(&from, &to));
    };
    gateway.reload(|text| format!("[registration]\nmode = 'open'\n{text}"));
    assert_eq!(register(&gateway, "bob").status, 202);
    mode("open", "invitation");
    assert_refused(&register(&gateway, "carol"), 400, "invalid_request");
    mode("invitation", "off");
    assert_eq!(register(&gateway, "carol").status, 401);
    gateway.login("bob");
}

#[test]
fn a_stranger_becomes_a_user_with_the_default_role() {
    let gateway = open();
    let response = register(&gateway, "Alice");
    assert_eq!(response.status, 202, "{}", response.text());
    assert_uncached(&response);
    let claims = token::parts(&gateway.login("Alice")).claims;
    assert_eq!((&claims["username"], &claims["roles"]), (&json!("Alice"), &json!(["reader"])));
    assert_eq!(gateway.get("/orders/7", &gateway.login("Alice")).status, 200);
    assert_eq!(gateway.get("/admin/x", &gateway.login("Alice")).status, 403);
    let body = json!({"username": "bob", "password": password_of("bob")}).to_string();
    let response = gateway.send(&Request::post(PATH, body).header("content-type", "application/json"));
    assert_eq!(response.status, 202, "{}", response.text());
    gateway.login("bob");
}

/// SECURITY L1 and L4: the same bytes, and the same work. [CVE-2025-24806]
#[test]
fn l1_l4_whether_a_name_is_taken_does_not_show() {
    let gateway = open();
    gateway.add_user("alice", "admin");
    gateway.add_user("mallory", "");
    gateway.cli(["user", "disable", "mallory"]).ok();
    gateway.cli(["client", "add", "reports"]).ok();
    invite(&gateway, &["ivan"]);
    let mut work = Work::of(&gateway);
    let free = register(&gateway, "free");
    let cost = work.more();
    assert_eq!((free.status, cost), (202, (1.0, 1.0)));
    // More of them than failures have records of their own in a minute.
    let taken = ["alice", "ALICE", "aLiCe", "mallory", "reports", "Reports", "ivan", "free", "FREE"];
    for name in taken.into_iter().chain(taken) {
        assert_eq!(shape(&register(&gateway, name)), shape(&free), "{name}");
        assert_eq!(work.more(), cost, "{name}");
    }
    gateway.login("alice");
    assert_eq!(gateway.login_with("alice", &password_of("ALICE")).status, 400, "nothing has changed for her");
    gateway.login("free");
    let records = audit(&gateway, "register");
    assert_eq!(records.len(), 1 + 2 * taken.len(), "each has a record, and none was merely counted");
    assert_eq!((&records[0]["outcome"], &records[0]["target"]), (&json!("success"), &json!("user:free")));
    assert_eq!((&records[2]["outcome"], &records[2]["target"]), (&json!("refused"), &json!("user:alice")));
    assert_eq!(
        (&records[5]["reason"], &records[5]["target"]),
        (&json!("name_taken"), &json!("client:reports"))
    );
}

#[test]
fn of_twenty_who_want_a_name_at_once_one_has_it() {
    let gateway = setup("open").set("login.queue", "100").set("login.quick_tries", "100").start();
    let passwords: Vec<String> = (0..20).map(|n| format!("the pass phrase of number {n}")).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let ask = |password| shape(&gateway.send(&request("alice", password)));
        let threads: Vec<_> = passwords.iter().map(|password| scope.spawn(move || ask(password))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 202), "{answers:?}");
    let in_store = gateway.cli(["user", "list", "--json"]).ok().json();
    assert_eq!(in_store.as_array().unwrap().len(), 1);
    let statuses: Vec<_> =
        passwords.iter().map(|password| gateway.login_with("alice", password).status).collect();
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 400).count(), 19, "{statuses:?}");
}

/// SECURITY L6, and the rules of passwords: told clearly, since they say nothing of who is there.
#[test]
fn l6_a_bad_name_or_password_is_refused_for_itself_alone() {
    let gateway = open();
    gateway.add_user("alice", "reader");
    let mut work = Work::of(&gateway);
    let good = "a pass phrase of some length";
    let long = "x".repeat(1025);
    for (name, password, part) in [
        ("alice", "short", "too short"),
        ("nobody", "short", "too short"),
        ("alice", "password1", "most common"),
        ("nobody", "password1", "most common"),
        ("longname", "LongName", "is the username"),
        ("alice", &long, "too long"),
        ("alice b", good, "this one has ' '"),
        ("al\0ice", good, "a username must be"),
        ("älice", good, "a username must be"),
        ("a,b", good, "a username must be"),
        (&"x".repeat(129), good, "a username must be"),
        ("admin", good, "reserved"),
        ("Admin", good, "reserved"),
    ] {
        let response = gateway.send(&request(name, password));
        assert_refused(&response, 400, "invalid_request");
        assert!(response.text().contains(part), "{name:?}: {}", response.text());
    }
    assert_eq!(work.more(), (0.0, 0.0), "nothing is hashed or written for them");
    for password in ["a \0 pass phrase", "ein Schlüssel aus Wörtern", &"x".repeat(1024)] {
        let name = format!("user{}", password.len());
        assert_eq!(gateway.send(&request(&name, password)).status, 202);
        assert_eq!(gateway.login_with(&name, password).status, 200, "byte for byte");
    }
    assert_eq!(gateway.login_with("user1024", &"x".repeat(73)).status, 400);
}

#[test]
fn every_fault_of_a_request_has_its_answer() {
    let gateway = open();
    let post = |body: &str| gateway.send(&Request::post(PATH, body).header("content-type", FORM));
    for body in [
        "",
        "username=alice",
        "password=correct+horse+battery",
        "username=&password=correct+horse+battery",
        "username=alice&password=",
        "username=alice&username=bob&password=correct+horse+battery",
        "username=alice&password=correct+horse+battery&password=x",
        "username=alice&password=%zz",
        "username=alice&password=%ff",
        "invitation=pinv_x",
        "invitation=pinv_x&username=alice&password=correct+horse+battery",
    ] {
        assert_refused(&post(body), 400, "invalid_request");
    }
    let typed =
        |kind: &str, body: &str| gateway.send(&Request::post(PATH, body).header("content-type", kind));
    assert_refused(
        &typed("text/plain", "username=alice&password=correct+horse+battery"),
        400,
        "invalid_request",
    );
    assert_refused(&typed("application/json", r#"{"username":1,"password":"x"}"#), 400, "invalid_request");
    let in_query = format!("{PATH}?username=alice&password=correct+horse+battery");
    assert_refused(&gateway.send(&Request::form(&in_query, &[])), 400, "invalid_request");
    let response = gateway.send(&Request::get(PATH));
    assert_eq!((response.status, response.headers.list("allow")), (405, vec!["post".to_owned()]));
    assert_eq!(post(&format!("username=alice&password={}", "x".repeat(9000))).status, 413);
    assert_eq!(gateway.cli(["user", "list", "--json"]).ok().json(), json!([]));
}

#[test]
fn a_privileged_default_role_is_a_configuration_error() {
    let site = setup("open").set("registration.default_roles", "['reader', 'admin']").site();
    for command in ["check", "serve"] {
        let output = site.cli([command]);
        assert_eq!(output.status, 2, "{output:?}");
        assert!(
            output.stderr.contains("registration.default_roles: \"admin\" is a privileged role"),
            "{output:?}"
        );
    }
}

#[test]
fn an_address_registers_a_few_and_then_slowly() {
    let setup =
        setup("open").set("registration.quick_tries", "3").set("server.trusted_proxies", "['127.0.0.1']");
    let gateway = setup.start();
    gateway.add_user("alice", "reader");
    let from = |client: &str, name: &str| {
        gateway.send(&request(name, &password_of(name)).header("x-forwarded-for", client))
    };
    // SECURITY L12: one /64 is one client, and what a client writes itself counts for nothing.
    for (client, name) in
        [("2001:db8::1", "a"), ("2001:db8::2", "alice"), ("192.0.2.9, 2001:db8:0:0:9::", "alice")]
    {
        assert_eq!(from(client, name).status, 202);
    }
    let mut work = Work::of(&gateway);
    for name in ["b", "alice"] {
        let response = from("2001:db8::3", name);
        assert_refused(&response, 429, "temporarily_unavailable");
        let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&wait), "{wait}");
    }
    assert_eq!(work.more(), (0.0, 0.0), "what is throttled is not hashed");
    assert_eq!(from("2001:db8:0:1::1", "b").status, 202);
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 200, "logins do not count here");
    gateway.reload(|text| text.replace("quick_tries = 3", "quick_tries = 1"));
    assert_eq!(["c", "d"].map(|name| from("192.0.2.7", name).status), [202, 429]);
}

#[test]
fn there_are_never_more_users_than_may_be() {
    let gateway = setup("open").set("registration.max_users", "3").start();
    gateway.add_user("alice", "reader");
    assert_eq!([register(&gateway, "b").status, register(&gateway, "c").status], [202, 202]);
    let full = register(&gateway, "d");
    assert_refused(&full, 503, "temporarily_unavailable");
    assert!(full.header("retry-after").is_some());
    assert_eq!(
        shape(&register(&gateway, "alice")),
        shape(&full),
        "a name that is taken gets the same answer"
    );
    let invitation = invite(&gateway, &["erin"]);
    assert_eq!(accept(&gateway, &invitation, &password_of("erin")).status, 200, "who is invited has a place");
}

#[test]
fn a_full_queue_of_hashes_is_answered_at_once() {
    let gateway = setup("open")
        .set("login.memory", "'64MiB'")
        .set("login.passes", "8")
        .set("login.permits", "1")
        .set("login.queue", "1")
        .set("registration.quick_tries", "8")
        .start();
    let mut clients: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(request(&format!("user{number}"), "a pass phrase").encode("localhost"));
    }
    let responses: Vec<_> = clients.iter_mut().map(|client| client.response_to("POST")).collect();
    let (busy, served): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status == 503);
    assert!(!busy.is_empty() && !served.is_empty(), "8 registrations found room for 2");
    assert!(served.iter().all(|response| response.status == 202), "{served:?}");
    for response in busy {
        assert_refused(response, 503, "temporarily_unavailable");
        assert_eq!(response.header("retry-after").as_deref(), Some("1"));
    }
    assert_eq!(register(&gateway, "later").status, 202, "who was sent away has used no try up");
}

#[test]
fn an_invited_user_chooses_the_first_password() {
    let gateway = by_invitation();
    let output = gateway.cli(["user", "invite", "Alice", "--role", "reader", "--expires", "2h"]).ok();
    let invitation = output.stdout.lines().find(|line| line.starts_with("pinv_")).unwrap().to_owned();
    let curl =
        format!("curl http://localhost{PATH} -d invitation={invitation} --data-urlencode password=...");
    assert!(output.stdout.contains(&curl), "{}", output.stdout);
    // SECURITY L8: a user without a password is like one with another.
    gateway.add_user("bob", "");
    let wrong = gateway.login_with("bob", "x");
    for password in ["", "x", &invitation, "none"] {
        assert_ne!(gateway.login_with("alice", password).status, 200);
    }
    assert_eq!(shape(&gateway.login_with("alice", "x")), shape(&wrong));
    for weak in ["short", "password1", "x"] {
        assert_refused(&accept(&gateway, &invitation, weak), 400, "invalid_request");
    }
    let response = accept(&gateway, &invitation, &password_of("Alice"));
    assert_eq!((response.status, response.json()), (200, json!({"username": "Alice"})));
    assert_uncached(&response);
    let claims = token::parts(&gateway.login("Alice")).claims;
    assert_eq!((&claims["username"], &claims["roles"]), (&json!("Alice"), &json!(["reader"])));
    assert_refused(&accept(&gateway, &invitation, "another pass phrase"), 400, "invalid_grant");
    gateway.login("Alice");
    assert_refused(&register(&gateway, "stranger"), 400, "invalid_request");
}

#[test]
fn of_twenty_who_use_an_invitation_at_once_one_succeeds() {
    let gateway = setup("invitation").set("login.queue", "100").start();
    let invitation = invite(&gateway, &["alice"]);
    let passwords: Vec<String> = (0..20).map(|n| format!("the pass phrase of number {n}")).collect();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = |password| accept(&gateway, &invitation, password).status;
        let threads: Vec<_> = passwords.iter().map(|password| scope.spawn(move || ask(password))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 400).count(), 19, "{statuses:?}");
    let winner = statuses.iter().position(|&status| status == 200).unwrap();
    assert_eq!(
        gateway.login_with("alice", &passwords[winner]).status,
        200,
        "and it is the one who was told so"
    );
}

#[test]
fn a_forgotten_password_is_replaced_and_the_sessions_end() {
    let gateway = by_invitation();
    let old = gateway.token_for("alice", "reader");
    let output = gateway.site.cli(["user", "invite", "alice"]);
    assert!(output.status == 1 && output.stderr.contains("--reset"), "{output:?}");
    let invitation = invite(&gateway, &["alice", "--reset"]);
    assert_eq!(gateway.get("/orders/7", &old).status, 200);
    gateway.login("alice");
    assert_eq!(accept(&gateway, &invitation, "the new pass phrase").status, 200);
    assert_eq!(gateway.get("/orders/7", &old).status, 401, "on the next request");
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 400);
    assert_eq!(gateway.login_with("alice", "the new pass phrase").status, 200);
    let changes = audit(&gateway, "password_change");
    assert_eq!(
        (&changes[0]["actor"], &changes[0]["detail"]),
        (&json!("user:alice"), &json!("with an invitation"))
    );
}

#[test]
fn an_invitation_ends_with_what_it_is_for() {
    let gateway = by_invitation();
    let gone = |words: &[&str]| {
        let invitation = invite(&gateway, &["alice"]);
        gateway.cli(words.iter().copied()).ok();
        assert_refused(&accept(&gateway, &invitation, "a pass phrase"), 400, "invalid_grant");
        assert_eq!(gateway.cli(["user", "invitations", "--json"]).ok().json(), json!([]), "{words:?}");
        invitation
    };
    gone(&["user", "remove", "alice"]);
    gone(&["user", "uninvite", "alice"]);
    gateway.cli(["user", "remove", "alice"]).ok();
    let disabled = gone(&["user", "disable", "alice"]);
    let output = gateway.site.cli(["user", "invite", "alice", "--reset"]);
    assert!(output.status == 1 && output.stderr.contains("alice is disabled"), "{output:?}");
    gateway.cli(["user", "enable", "alice"]).ok();
    assert_refused(&accept(&gateway, &disabled, "a pass phrase"), 400, "invalid_grant");
    let first = invite(&gateway, &["alice", "--reset"]);
    let second = invite(&gateway, &["alice", "--reset"]);
    assert_refused(&accept(&gateway, &first, "a pass phrase"), 400, "invalid_grant");
    assert_eq!(accept(&gateway, &second, "a pass phrase").status, 200);
}

#[test]
fn invitations_are_administered_with_and_without_a_gateway() {
    let mut gateway = by_invitation();
    let life = |gateway: &Gateway, name: &str| {
        let new = gateway.cli(["user", "invite", name, "--role", "reader", "--json"]).ok().json();
        assert_eq!((&new["username"], &new["roles"]), (&json!(name), &json!(["reader"])));
        assert_eq!(new["url"], "http://localhost/auth/register");
        let list = gateway.cli(["user", "invitations", "--json"]).ok().json();
        assert_eq!((&list[0]["username"], &list[0]["replaces"]), (&json!(name), &json!(false)));
        assert!(list[0].get("invitation").is_none(), "nobody sees it again");
        let table = gateway.cli(["user", "invitations"]).ok().stdout;
        assert!(table.starts_with("USERNAME") && table.contains("the first password"), "{table}");
        gateway.cli(["user", "uninvite", name]).ok();
        let output = gateway.site.cli(["user", "uninvite", name]);
        assert!(output.status == 1 && output.stderr.contains("has no invitation"), "{output:?}");
        for words in [["--expires", "1s"], ["--expires", "91d"]] {
            let output = gateway.site.cli(["user", "invite", "x"].into_iter().chain(words));
            assert!(output.status == 1 && output.stderr.contains("at least a minute"), "{output:?}");
        }
        for words in [["--expires", "soon"], ["--role", "a b"]] {
            assert_eq!(gateway.site.cli(["user", "invite", "x"].into_iter().chain(words)).status, 2);
        }
        gateway.cli(["client", "add", &format!("{name}-program")]).ok();
        let output = gateway.site.cli(["user", "invite", "--reset", &format!("{name}-program")]);
        assert!(output.status == 1 && output.stderr.contains("is a client"), "{output:?}");
        gateway.cli(["user", "invite", name, "--reset", "--json"]).ok().json()["invitation"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    life(&gateway, "alice");
    assert_eq!(gateway.terminate(), Some(0));
    gateway.cli(["user", "remove", "alice"]).ok();
    let invitation = life(&gateway, "bob");
    gateway.start_again();
    assert_eq!(accept(&gateway, &invitation, &password_of("bob")).status, 200);
    gateway.login("bob");
}

#[test]
fn guesses_at_invitations_are_counted() {
    let gateway = setup("invitation").set("registration.quick_tries", "3").start();
    let invitation = invite(&gateway, &["alice"]);
    let changed = format!("{}A", &invitation[..invitation.len() - 1]);
    for guess in ["x", "pinv_", &changed] {
        assert_refused(&accept(&gateway, guess, "a pass phrase"), 400, "invalid_grant");
    }
    assert_refused(&accept(&gateway, &invitation, "a pass phrase"), 429, "temporarily_unavailable");
}

#[test]
fn who_is_right_is_not_counted() {
    let gateway = setup("invitation").set("registration.quick_tries", "1").start();
    for name in ["a", "b", "c"] {
        let invitation = invite(&gateway, &[name]);
        assert_refused(&accept(&gateway, &invitation, "short"), 400, "invalid_request");
        assert_eq!(accept(&gateway, &invitation, &password_of(name)).status, 200);
    }
}

#[test]
fn what_was_answered_outlives_kill_9() {
    let mut gateway = open();
    let invitation = invite(&gateway, &["alice"]);
    assert_eq!(accept(&gateway, &invitation, &password_of("alice")).status, 200);
    for round in 0..5 {
        let name = format!("user{round}");
        assert_eq!(register(&gateway, &name).status, 202);
        gateway.kill9();
        gateway.start_again();
        gateway.login(&name);
    }
    gateway.login("alice");
    assert_refused(&accept(&gateway, &invitation, "another pass phrase"), 400, "invalid_grant");
    let records = audit(&gateway, "register");
    assert_eq!(records.iter().filter(|record| record["outcome"] == "success").count(), 6);
}

#[test]
fn nothing_secret_is_logged() {
    let mut gateway = open();
    let invitation = invite(&gateway, &["alice"]);
    let password = "quite a secret phrase";
    gateway.send(&Request::form(&format!("{PATH}?invitation={invitation}"), &[("password", password)]));
    accept(&gateway, &invitation[1..], password);
    assert_eq!(accept(&gateway, &invitation, password).status, 200);
    gateway.send(&request("bob", password));
    gateway.send(&request(password, password));
    assert_eq!(gateway.terminate(), Some(0));
    let audit = std::fs::read_to_string(gateway.site.data().join("audit.log")).unwrap();
    let lines = gateway.process.stdout_lines().into_iter().map(|line| line.to_string());
    let all = lines.chain([gateway.process.stderr_text(), audit]).collect::<Vec<_>>().join("\n");
    assert!(all.contains("/auth/register?invitation=redacted"), "{all}");
    for secret in [password, &invitation[5..40], &invitation[40..]] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}
