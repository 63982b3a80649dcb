//! The audit log: a record for everything that matters, in a chain that shows what was done to it, without a secret.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use portcullis::clock;
use portcullis::config;
use portcullis::observe::audit::{Action, Audit, Event};
use rustix::process::{Pid, Resource, Rlimit, geteuid, prlimit};
use serde_json::{Value, json};

use crate::clients;
use crate::harness::{Gateway, ROUTES, Request, Setup, Site, binary, password_of, token, wait_until};
use crate::metrics::scrape;

/// What must never be in the file.
const MARKED: &str = "MARKED-correct-horse";

fn log_of(site: &Site) -> PathBuf {
    site.data().join("audit.log")
}

/// All that are there. One that is being written is not: who reads meanwhile may see a part of its line.
fn records(site: &Site) -> Vec<Value> {
    let text = fs::read_to_string(log_of(site)).unwrap();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// Action, outcome, actor, target, reason or detail.
fn story(records: &[Value]) -> Vec<String> {
    let member = |record: &Value, name: &str| record[name].as_str().unwrap_or("-").to_owned();
    let line = |record: &Value| {
        let why = if record["reason"].is_null() { "detail" } else { "reason" };
        let uid = format!("uid:{}", geteuid().as_raw());
        let actor = member(record, "actor").replace(&uid, "uid");
        let target = member(record, "target");
        let target = if target.starts_with("config:") { "config".into() } else { target };
        format!(
            "{} {} {actor} {target} {}",
            member(record, "action"),
            member(record, "outcome"),
            member(record, why)
        )
    };
    records.iter().map(line).collect()
}

#[track_caller]
fn verified(site: &Site) -> u64 {
    let report = site.cli(["audit", "verify", "--json"]).ok().json();
    assert_eq!(report["intact"], true);
    report["records"].as_u64().unwrap()
}

#[test]
fn each_event_leaves_exactly_one_record() {
    let mut gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader admin");
    let good = gateway.login_with("ALICE", &password_of("alice"));
    gateway.login_with("alice", "a wrong pass phrase");
    gateway.login_with("nobody", "a wrong pass phrase");
    gateway.login_with("alice", &"x".repeat(2000));
    gateway.cli(["user", "roles", "alice", "--role", "reader"]).ok();
    gateway.cli(["user", "roles", "alice", "--none"]).ok();
    gateway.cli(["user", "disable", "alice"]).ok();
    gateway.login_with("alice", &password_of("alice"));
    gateway.cli(["user", "enable", "alice"]).ok();
    gateway.cli(["user", "rename", "alice", "alicia"]).ok();
    assert_eq!(gateway.cli(["user", "enable", "nobody"]).status, 1);
    gateway
        .site
        .cli_with_stdin(["user", "passwd", "alicia", "--password-stdin"], "another pass phrase\n")
        .ok();
    gateway.cli(["user", "list"]).ok();
    gateway.cli(["user", "show", "alicia"]).ok();
    gateway.cli(["user", "remove", "alicia"]).ok();
    assert_eq!(gateway.terminate(), Some(0));

    let records = records(&gateway.site);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        story(&records),
        [
            &format!("start success system config version {version}"),
            "user_add success uid user:alice roles: admin,reader",
            "login success user:alice user:alice -",
            "login refused anonymous user:alice wrong_password",
            "login refused anonymous - unknown_user",
            "login refused anonymous - password_too_long",
            "user_roles success uid user:alice roles: reader",
            "user_roles success uid user:alice no role",
            "user_disable success uid user:alice -",
            "login refused anonymous user:alice disabled",
            "user_enable success uid user:alice -",
            "user_rename success uid user:alice to: alicia",
            "user_enable refused uid user:nobody no_such_user",
            "user_password success uid user:alicia -",
            "user_remove success uid user:alicia -",
            "stop success system - -",
        ]
    );
    let login = &records[2];
    let access = good.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(login["session"], token::parts(&access).claims["sid"]);
    assert_eq!(login["user_id"], token::parts(&access).claims["sub"]);
    assert_eq!(login["client"], "127.0.0.1");
    assert_eq!(login["request_id"].as_str(), good.header("x-request-id").as_deref());
    assert_eq!(records[14]["user_id"], login["user_id"], "of a user who is gone");
    assert_eq!(verified(&gateway.site), 16);
}

/// Who holds an old token is not known; whose session it was is, and which client sent it.
#[test]
fn the_record_of_a_reused_refresh_token_names_whose_session_it_was() {
    let mut gateway = Setup::new(ROUTES).set("token.refresh_reuse_grace", "'0s'").start();
    gateway.add_user("alice", "reader");
    let shop = clients::add(&gateway, "shop", &[]);
    let ask = |fields: &[(&str, &str)]| {
        gateway.send(&Request::form("/token", fields).basic(&shop.id, &shop.secret)).json()
    };
    let first =
        ask(&[("grant_type", "password"), ("username", "alice"), ("password", &password_of("alice"))]);
    let refresh = |from: &Value| {
        ask(&[("grant_type", "refresh_token"), ("refresh_token", from["refresh_token"].as_str().unwrap())])
    };
    // More failures than have a record of their own.
    for _ in 0..15 {
        gateway.login_with("nobody", "a wrong pass phrase");
    }
    // Two steps back is old in any millisecond.
    refresh(&refresh(&first));
    assert_eq!(refresh(&first)["error"], "invalid_grant");
    let shown = gateway.cli(["audit", "show", "--user", "alice", "--action", "refresh_reuse"]).ok().stdout;
    assert!(shown.contains("client:shop"), "{shown}");
    assert_eq!(gateway.terminate(), Some(0));
    let records = records(&gateway.site);
    let reuse = records.iter().find(|record| record["action"] == "refresh_reuse").unwrap();
    assert_eq!(story(std::slice::from_ref(reuse)), ["refresh_reuse refused client:shop user:alice reused"]);
    let claims = token::parts(first["access_token"].as_str().unwrap()).claims;
    assert_eq!((&reuse["session"], &reuse["user_id"]), (&claims["sid"], &claims["sub"]));
}

/// What was done is recorded, whether or not the client has waited for the answer.
#[test]
fn nobody_escapes_a_record_by_hanging_up() {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    let tokens: Vec<String> = (0..20).map(|_| gateway.login("alice")).collect();
    for token in &tokens {
        gateway.connect().send(Request::post("/auth/logout", "").bearer(token).encode("gateway"));
    }
    // One that waits comes after those that do not.
    let last = gateway.login("alice");
    gateway.send(&Request::post("/auth/logout", "").bearer(&last));
    wait_until("as many records as ended sessions", || {
        let alive = gateway.cli(["session", "list", "--json"]).ok().json().as_array().unwrap().len();
        let text = fs::read_to_string(log_of(&gateway.site)).unwrap();
        text.matches(r#""action":"logout""#).count() == tokens.len() + 1 - alive
    });
}

/// A guess at the secret of a client is recorded like one at a password, with the client if there is such a one.
#[test]
fn nobody_guesses_at_the_secret_of_a_client_without_a_record() {
    let gateway = Setup::new(ROUTES).set("login.first_delay", "'1m'").start();
    clients::add(&gateway, "shop", &[]);
    let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
    let guess = |name: &str| grant.clone().basic(name, "a guess");
    // Where people log in, it has no password.
    assert_eq!(gateway.login_with("shop", "a guess").status, 400);
    assert_eq!(gateway.send(&guess("SHOP")).status, 401);
    assert_eq!(gateway.send(&guess("pcs_in-the-wrong-field")).status, 401);
    for _ in 0..7 {
        gateway.connect().send(guess("shop").encode("gateway"));
    }
    let known = "client_login refused anonymous client:shop bad_credentials";
    wait_until("a record of each", || story(&records(&gateway.site)).len() == 2 + 10);
    let story = story(&records(&gateway.site));
    let count = |line: &str| story.iter().filter(|it| *it == line).count();
    // After five quick tries each further one has to wait.
    assert_eq!((count(known), count("client_login refused anonymous - throttled")), (5, 3), "{story:?}");
    assert_eq!(count("client_login refused anonymous - bad_credentials"), 1, "{story:?}");
    assert_eq!(count("login refused anonymous client:shop wrong_password"), 1, "{story:?}");
}

/// The password was right, and it is recorded that nobody was logged in nevertheless.
#[test]
fn a_login_by_a_client_that_is_disabled_meanwhile_is_recorded() {
    // Some tenths of a second for each, one after the other.
    let setup = Setup::new(ROUTES).set("login.memory", "'32MiB'").set("login.passes", "16");
    let gateway = setup.set("login.permits", "1").start();
    gateway.add_user("alice", "reader");
    let shop = clients::add(&gateway, "shop", &[]);
    let login = |password: &str| {
        Request::form("/token", &[("grant_type", "password"), ("username", "alice"), ("password", password)])
    };
    let with_the_pool = |count: f64| {
        wait_until("they are with the pool", || {
            let page = scrape(&gateway);
            page.get("portcullis_hashing_jobs") + page.get("portcullis_hashing_wait_seconds_count") > count
        });
    };
    let mut others: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    for other in &mut others {
        other.send(login("a guess").encode("gateway"));
    }
    with_the_pool(4.0);
    let mut client = gateway.connect();
    client.send(login(&password_of("alice")).basic(&shop.id, &shop.secret).encode("gateway"));
    with_the_pool(5.0);
    gateway.cli(["client", "disable", "shop"]).ok();
    let refused = client.response();
    assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("invalid_client")));
    let story = story(&records(&gateway.site));
    assert_eq!(story.last().unwrap(), "login refused user:alice user:alice client_ended");
}

/// The token of a client has a session of its own, which the client may end.
#[test]
fn the_logout_of_a_client_is_that_of_a_client() {
    let gateway = Gateway::start(ROUTES);
    let shop = clients::add(&gateway, "shop", &[]);
    gateway.add_user("password", "");
    let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
    let granted = gateway.send(&grant.basic(&shop.id, &shop.secret)).json();
    for token in [granted["access_token"].as_str().unwrap(), &gateway.login("password")] {
        assert_eq!(gateway.send(&Request::post("/auth/logout", "").bearer(token)).status, 204);
    }
    let records = records(&gateway.site);
    let actors = records.iter().filter(|it| it["action"] == "logout").map(|it| it["actor"].clone());
    assert_eq!(actors.collect::<Vec<_>>(), ["client:shop", "user:password"]);
}

/// A gateway that stops waits for what clients have begun and left behind, before it closes the log: those records were lost.
#[test]
fn nobody_escapes_a_record_by_hanging_up_before_the_gateway_stops() {
    const LOGINS: u8 = 4;
    // Some tenths of a second for each, one after the other.
    let setup = Setup::new(ROUTES).set("login.memory", "'32MiB'").set("login.passes", "16");
    let mut gateway = setup.set("login.permits", "1").start();
    gateway.add_user("alice", "reader");
    let clients: Vec<_> = (0..LOGINS)
        .map(|_| {
            let fields = [("grant_type", "password"), ("username", "alice"), ("password", "a guess")];
            let mut client = gateway.connect();
            client.send(Request::form("/token", &fields).encode("gateway"));
            client
        })
        .collect();
    let jobs_and_waits = || {
        let page = scrape(&gateway);
        (page.get("portcullis_hashing_jobs"), page.get("portcullis_hashing_wait_seconds_count"))
    };
    wait_until("all of them are with the pool", || {
        let (jobs, waits) = jobs_and_waits();
        jobs + waits > f64::from(LOGINS)
    });
    drop(clients);
    wait_until("nobody waits for an answer", || scrape(&gateway).get("portcullis_requests_in_flight") == 0.0);
    assert_eq!(gateway.terminate(), Some(0));
    let story = story(&records(&gateway.site));
    let refused = story.iter().filter(|line| *line == "login refused anonymous user:alice wrong_password");
    assert_eq!(refused.count(), usize::from(LOGINS), "{story:?}");
    assert_eq!(story.last().unwrap(), "stop success system - -", "nothing comes after the end");
}

/// ASVS V16: neither passwords nor tokens, nor what was typed into the wrong field, nor a hash of any of them.
#[test]
fn no_secret_is_ever_in_the_audit_log() {
    let gateway = Gateway::start(ROUTES);
    gateway.site.cli_add_user("alice", &["reader"], MARKED).ok();
    let response = gateway.login_with("alice", MARKED);
    assert_eq!(response.status, 200);
    let access = response.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(gateway.get("/orders/7", &access).status, 200);
    gateway.login_with("alice", &format!("{MARKED}-wrong"));
    gateway.login_with(MARKED, "typed into the wrong field");
    gateway.login_with(&format!("{MARKED}\n\u{1b}[2J\"}}"), "x");
    gateway
        .site
        .cli_with_stdin(["user", "passwd", "alice", "--password-stdin"], &format!("{MARKED}-2\n"))
        .ok();
    gateway.send(&Request::form("/token", &[("grant_type", "password"), ("client_secret", MARKED)]));
    gateway.reload(|text| format!("{text}\n[token]\nsecret = '{MARKED}'\n"));
    for record in records(&gateway.site) {
        let text = record.to_string();
        let secrets = ["MARKED", "correct-horse", "argon2", "eyJ", &access, "pass phrase", "wrong field"];
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    let actions = story(&records(&gateway.site));
    assert_eq!(actions.iter().filter(|line| line.starts_with("login ")).count(), 4, "{actions:?}");
}

#[test]
fn a_reload_is_recorded_whatever_comes_of_it() {
    let gateway = Gateway::start(ROUTES);
    gateway.reload(|text| text.replace("/orders/*", "/other/*"));
    gateway.reload(|text| format!("{text}\n[serverr]\n"));
    gateway.reload(|text| text.replace("\n[serverr]\n", ""));
    let records = records(&gateway.site);
    assert_eq!(
        story(&records)[1..],
        [
            "config_reload success system config -",
            "config_reload failed system - errors in the file: 1",
            "config_reload success system config -"
        ]
    );
    assert_ne!(records[0]["target"], records[1]["target"]);
    assert_eq!(records[1]["target"], records[3]["target"]);
}

#[test]
fn a_gateway_and_the_commands_on_its_store_continue_one_chain() {
    let mut gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    assert_eq!(gateway.terminate(), Some(0));
    gateway.add_user("bob", "reader");
    gateway.cli(["user", "disable", "alice"]).ok();
    gateway.cli(["user", "list"]).ok();
    gateway.start_again();
    gateway.login("bob");
    let numbers: Vec<_> =
        records(&gateway.site).iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<_>>());
    assert_eq!(verified(&gateway.site), 7, "while it runs");
    let text = gateway.cli(["audit", "verify"]).ok().stdout;
    assert!(text.starts_with("7 records, chain intact\n"), "{text}");
}

#[test]
fn records_can_be_looked_for() {
    let gateway = Gateway::start(ROUTES);
    gateway.token_for("alice", "reader");
    gateway.token_for("bob", "reader");
    gateway.login_with("bob", "a wrong pass phrase");
    let show = |args: &[&str]| gateway.cli(["audit", "show"].into_iter().chain(args.iter().copied())).ok();
    let json = |args: &[&str]| story(show(&[args, &["--json"]].concat()).json().as_array().unwrap()).len();
    assert_eq!(json(&[]), 6);
    assert_eq!(json(&["--user", "BOB"]), 3);
    assert_eq!(json(&["--user", "bob", "--action", "login"]), 2);
    assert_eq!(json(&["--since", "1h"]), 6);
    assert_eq!(json(&["--since", "2020-01-31"]), 6);
    assert_eq!(json(&["--since", "2999-01-31T12:00Z"]), 0);
    assert_eq!(show(&["--limit", "1", "--json"]).json()[0]["reason"], "wrong_password", "the newest");
    let table = show(&[]).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME") && lines.len() == 7, "{table}");
    assert!(
        lines[6].contains("refused") && lines[6].ends_with("wrong_password"),
        "the newest is last: {table}"
    );
    for args in
        [&["--action", "logins"][..], &["--since", "yesterday"], &["--since", "2020-1-1"], &["--user", "a b"]]
    {
        let output = gateway.cli(["audit", "show"].into_iter().chain(args.iter().copied()));
        assert_eq!(output.status, 2, "{args:?}: {output:?}");
    }
}

#[test]
fn tampering_is_named_with_file_and_line() {
    let gateway = Gateway::start(ROUTES);
    gateway.token_for("alice", "reader");
    let noted = gateway.cli(["audit", "verify", "--json"]).ok().json()["last"].as_str().unwrap().to_owned();
    gateway.cli(["audit", "verify", "--expect", &noted]).ok();
    let other = noted.replace("3:", "2:");
    assert_eq!(gateway.cli(["audit", "verify", "--expect", &other]).status, 1);
    let whole = fs::read_to_string(log_of(&gateway.site)).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let (a, b, c) = (lines[0], lines[1], lines[2]);
    for (text, place) in [
        (format!("{a}\n{}\n{c}\n", b.replace("reader", "admin")), "audit.log:2: this record was changed"),
        (format!("{a}\n{c}\n"), "audit.log:2: a record is missing"),
        (format!("{a}\n{c}\n{b}\n"), "audit.log:2: a record is missing"),
        (format!("{b}\n{c}\n"), "audit.log:1: a record is missing"),
        (format!("{a}\n{b}\n"), "audit.log:3: records are missing from the end"),
        (String::new(), "audit.log:1: records are missing from the end"),
        (format!("{a}\n{b}\n{c}\n\u{1b}[2J\n"), "audit.log:4: this line is no audit record"),
    ] {
        fs::write(log_of(&gateway.site), &text).unwrap();
        let output = gateway.cli(["audit", "verify"]);
        assert_eq!((output.status, output.stdout.as_str()), (1, ""), "{output:?}");
        assert!(output.stderr.contains(place), "{place}: {output:?}");
        let report = gateway.cli(["audit", "verify", "--json"]);
        assert_eq!((report.status, &report.json()["intact"]), (1, &Value::Bool(false)));
        let shown = gateway.cli(["audit", "show"]).ok();
        assert!(!shown.stdout.contains('\u{1b}') && !shown.stderr.contains('\u{1b}'), "{shown:?}");
    }
}

/// Whatever was acknowledged is in the chain, and the chain is whole.
#[test]
fn a_killed_gateway_leaves_a_chain_that_verifies() {
    let mut gateway = Setup::new(ROUTES).set("login.queue", "1000").start();
    gateway.add_user("alice", "reader");
    let mut acknowledged = 0;
    for _ in 0..5 {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let addr = gateway.addr();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let fields = [
                        ("grant_type", "password"),
                        ("username", "alice"),
                        ("password", &password_of("alice")),
                    ];
                    let body = Request::form("/token", &fields).header("connection", "close").encode("h");
                    let exchange = || -> std::io::Result<bool> {
                        let mut stream = std::net::TcpStream::connect(addr)?;
                        stream.write_all(&body)?;
                        let mut response = String::new();
                        std::io::Read::read_to_string(&mut stream, &mut response)?;
                        Ok(response.starts_with("HTTP/1.1 200"))
                    };
                    while exchange().unwrap_or(false) {
                        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
            wait_until("some logins", || count.load(std::sync::atomic::Ordering::SeqCst) > 20);
            gateway.kill9();
        });
        acknowledged += count.into_inner();
        gateway.cli(["audit", "verify"]).ok();
        gateway.start_again();
        verified(&gateway.site);
    }
    let logins =
        story(&records(&gateway.site)).iter().filter(|line| line.starts_with("login success")).count();
    assert!(logins >= acknowledged, "{logins} records of {acknowledged} logins");
}

#[test]
fn a_full_file_is_set_aside_and_old_ones_are_removed() {
    let mut gateway = Setup::new(ROUTES).set("audit.max_size", "'64KiB'").set("audit.max_files", "2").start();
    gateway.add_user("alice", "reader");
    let aside = || {
        let entries = fs::read_dir(gateway.site.data()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap());
        names.filter(|name| name.starts_with("audit.log.") && name != "audit.log.head").collect::<Vec<_>>()
    };
    while !aside().iter().any(|name| name != "audit.log.1") {
        gateway.login("alice");
    }
    assert_eq!(aside().len(), 1);
    let report = gateway.cli(["audit", "verify", "--json"]).ok().json();
    assert!(report["first"].as_u64().unwrap() > 1, "{report}");
    gateway.restart();
    verified(&gateway.site);
}

#[test]
fn without_an_audit_log_there_is_nothing_to_show() {
    let gateway = Setup::new(ROUTES).set("audit.path", "'off'").start();
    gateway.token_for("alice", "reader");
    assert!(!log_of(&gateway.site).exists());
    let output = gateway.cli(["audit", "verify"]);
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("audit.path"), "{output:?}");
}

#[test]
fn a_log_that_cannot_be_opened_keeps_the_gateway_and_changes_from_starting() {
    let site = Setup::new(ROUTES).set("audit.path", "'/nonexistent/audit.log'").site();
    let output = site.cli(["serve"]);
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("/nonexistent/audit.log"), "{output:?}");
    let output = site.cli_add_user("alice", &["reader"], MARKED);
    assert_eq!(output.status, 1);
    assert!(
        output.stderr.contains("nothing was changed") && output.stderr.contains("/nonexistent/audit.log"),
        "{output:?}"
    );
    assert_eq!(site.cli(["user", "list", "--json"]).ok().json(), serde_json::json!([]));
}

/// A limit of the file size stands for the full disk; its signal would end the process.
fn start_again_on_a_disk_that_can_be_full(gateway: &mut Gateway) {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary().get_program());
    command.args(["serve", "--config"]).arg(gateway.site.config());
    gateway.start_again_by(&mut command);
}

fn limit_file_size(gateway: &Gateway, bytes: Option<u64>) {
    let pid = Pid::from_raw(gateway.process.id().cast_signed());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// Makes the audit log longer than the store's files will be, so that a limit of the file size stops nothing else. No gateway runs.
fn lengthen(site: &Site) {
    let path = Some(log_of(site));
    let audit = Audit::new(&config::Audit { path, max_size: 1 << 30, max_files: 2 });
    let sizes = || fs::read_dir(site.data()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let store = sizes().max().unwrap();
    let event = Event::success(Action::Stop, clock::now()).detail("x".repeat(200));
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                while fs::metadata(log_of(site)).unwrap().len() < 2 * store + (2 << 20) {
                    audit.record_blocking(event.clone()).unwrap();
                }
            });
        }
    });
}

/// To refuse the end of a session would be worse than to lack a record: whoever can fill the disk could keep a stolen one alive. The
/// records come when there is room.
#[test]
fn a_full_disk_keeps_no_session_alive_and_none_from_going_on() {
    let setup = Setup::new(ROUTES).set("audit.max_size", "'1GiB'").set("token.refresh_reuse_grace", "'0s'");
    let mut gateway = setup.start();
    gateway.add_user("alice", "reader");
    let login = || gateway.login_with("alice", &password_of("alice")).json();
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    let sessions: Vec<Value> = (0..5).map(|_| login()).collect();
    let sid = |number: usize| {
        let claims = token::parts(&text(&sessions[number], "access_token")).claims;
        claims["sid"].as_str().unwrap().to_owned()
    };
    assert_eq!(gateway.terminate(), Some(0));
    lengthen(&gateway.site);
    start_again_on_a_disk_that_can_be_full(&mut gateway);
    limit_file_size(&gateway, Some(fs::metadata(log_of(&gateway.site)).unwrap().len() + 100));

    let access = |number: usize| text(&sessions[number], "access_token");
    let refresh = |token: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        gateway.send(&Request::form("/token", &fields))
    };
    let ends = |number: usize| {
        assert_eq!(gateway.get("/orders/7", &access(number)).status, 401, "{number}");
        let token = text(&sessions[number], "refresh_token");
        assert_eq!(refresh(&token).json()["error"], "invalid_grant", "{number}");
    };
    // The first one finds the disk full, and the others know.
    assert_eq!(gateway.send(&Request::post("/auth/logout", "").bearer(&access(0))).status, 204);
    ends(0);
    assert_eq!(gateway.send(&Request::get("/readyz")).status, 503);
    let revoke = Request::form("/auth/revoke", &[("token", &text(&sessions[1], "refresh_token"))]);
    assert_eq!(gateway.send(&revoke).status, 200);
    ends(1);
    gateway.cli(["session", "revoke", &sid(2)]).ok();
    ends(2);
    let mut next = text(&sessions[3], "refresh_token");
    for _ in 0..2 {
        next = text(&refresh(&next).json(), "refresh_token");
    }
    assert_eq!(refresh(&text(&sessions[3], "refresh_token")).json()["error"], "invalid_grant", "reuse");
    ends(3);
    assert_eq!(gateway.get("/orders/7", &access(4)).status, 200);
    assert_eq!(refresh(&text(&sessions[4], "refresh_token")).status, 200, "a session goes on");

    limit_file_size(&gateway, None);
    wait_until("the log is written again", || gateway.send(&Request::get("/readyz")).status == 200);
    let story = story(&records(&gateway.site));
    let expected = [
        "log_resume success system - -".to_owned(),
        format!("logout success user:alice session:{} -", sid(0)),
        format!("token_revoke success anonymous session:{} -", sid(1)),
        format!("session_revoke success uid session:{} -", sid(2)),
        "refresh_reuse refused anonymous user:alice reused".to_owned(),
    ];
    assert_eq!(story[story.len() - 5..], expected);
    let reuse = records(&gateway.site).pop().unwrap();
    let alice = token::parts(&access(3)).claims["sub"].clone();
    assert_eq!((&reuse["session"], &reuse["user_id"]), (&json!(sid(3)), &alice));
    verified(&gateway.site);
}

/// A full disk: nobody logs in and nothing is changed without a record; what is forwarded is forwarded; and all is well again when
/// there is room.
#[test]
fn a_full_disk_refuses_logins_and_changes_until_there_is_room() {
    let mut gateway = Gateway::start(ROUTES);
    let old = gateway.token_for("alice", "reader");
    assert_eq!(gateway.terminate(), Some(0));
    start_again_on_a_disk_that_can_be_full(&mut gateway);
    let limit = |bytes| limit_file_size(&gateway, bytes);
    let length = fs::metadata(log_of(&gateway.site)).unwrap().len();
    limit(Some(length + 100));
    // The limit is for the store's files too, so what fails first must be a record.
    assert_eq!(gateway.login_with("alice", "wrong").status, 500);
    assert_eq!(gateway.login_with("alice", &password_of("alice")).status, 500);
    assert_eq!(gateway.send(&Request::get("/readyz")).status, 503);
    assert_eq!(gateway.get("/orders/7", &old).status, 200, "forwarding goes on");
    let output = gateway.cli(["user", "disable", "alice"]);
    assert!(output.status == 1 && output.stderr.contains("audit log"), "{output:?}");
    verified(&gateway.site);
    limit(None);
    wait_until("the log is written again", || gateway.send(&Request::get("/readyz")).status == 200);
    assert_eq!(gateway.get("/orders/7", &old).status, 200, "nothing was changed");
    gateway.login("alice");
    let story = story(&records(&gateway.site));
    assert_eq!(
        story[story.len() - 2..],
        ["log_resume success system - -", "login success user:alice user:alice -"]
    );
    verified(&gateway.site);
}
