//! `portcullis user import`: users of other systems come with the hashes that they have.

use serde_json::{Value, json};

use crate::harness::{Gateway, Output, ROUTES, Setup, Site};

/// `correct horse`, by htpasswd -B -C 5.
const BCRYPT: &str = "$2y$05$GGvQGcXjPNZxstDgrGjp2.HDPf2wMJ/emainaxm9LOYDtVdLxulga";
/// `correct horse bättery`, by passlib's pbkdf2_sha256, scrypt and argon2.
const PBKDF2: &str =
    "$pbkdf2-sha256$29000$zNlbC4FwjlEKwRijFGJMqQ$QCtp2ZqlKPGWXzU16ZJfZCVoBTRhh05YK18f9uuJgAI";
const SCRYPT: &str =
    "$scrypt$ln=16,r=8,p=1$obSWUur9fw/hXAvhPEcIAQ$QQQ2s8G33ecpFj6uk7uxLTgmsc5Yv7atPeUdG2uMBJk";
const ARGON2I: &str =
    "$argon2i$v=19$m=1024,t=2,p=2$FgJgDAHgvJfSmhMCYKz1/g$zADwLHyC5im8GZGcoD2/XL9sAO8KaCjlndHlsKmX02A";

fn line(name: &str, hash: &str) -> String {
    json!({ "username": name, "roles": ["reader"], "password_hash": hash }).to_string() + "\n"
}

fn import(site: &Site, text: &str, flags: &[&str]) -> Output {
    let args = ["user", "import", "-"].into_iter().chain(flags.iter().copied());
    site.cli_with_stdin(args.collect::<Vec<_>>(), text)
}

fn show(site: &Site, name: &str) -> Value {
    site.cli(["user", "show", name, "--json"]).ok().json()
}

#[test]
fn imported_users_log_in_and_their_hashes_become_ours() {
    let gateway = Gateway::start(ROUTES);
    let users = [
        ("a", BCRYPT, "bcrypt"),
        ("b", PBKDF2, "pbkdf2"),
        ("c", SCRYPT, "scrypt"),
        ("d", ARGON2I, "argon2i"),
    ];
    let file: String = users.iter().map(|(name, hash, _)| line(name, hash)).collect();
    import(&gateway.site, &file, &[]).ok();
    for (name, hash, form) in users {
        let password = if name == "a" { "correct horse" } else { "correct horse b\u{e4}ttery" };
        assert_eq!(show(&gateway.site, name)["password_form"], form);
        assert_eq!(gateway.login_with(name, "battery staple").status, 400, "{name}");
        // SECURITY L8: who knows the hash does not know the password.
        assert_eq!(gateway.login_with(name, hash).status, 400, "{name}");
        assert_eq!(show(&gateway.site, name)["password_form"], form);
        assert_eq!(gateway.login_with(name, password).status, 200, "{name}");
        assert_eq!(show(&gateway.site, name)["password_form"], "argon2id");
        assert_eq!(gateway.login_with(name, password).status, 200, "{name}");
        assert_eq!(gateway.login_with(name, "battery staple").status, 400, "{name}");
    }
}

#[test]
fn a_store_that_was_filled_without_a_gateway_serves() {
    let site = Setup::new(ROUTES).site();
    let file = format!("# of the old server\nalice:{BCRYPT}\nbob:$apr1$UtEIiz26$yaTA2IMt.8P8qxAt0U2Ug1\n");
    let output = import(&site, &file, &["--role", "reader"]);
    assert_eq!((output.status, output.stdout.as_str()), (1, "1 added, 0 updated, 0 skipped; 1 failed\n"));
    assert!(output.stderr.contains("line 3 (bob): ") && output.stderr.contains("MD5"), "{output:?}");
    assert_eq!(show(&site, "alice")["roles"], json!(["reader"]));
    assert_eq!(site.cli(["user", "show", "bob"]).status, 1);
}

#[test]
fn a_name_that_is_taken_fails_unless_it_is_said_what_to_do() {
    for gateway in [None, Some(Gateway::start(ROUTES))] {
        let other = Setup::new(ROUTES).site();
        let site = gateway.as_ref().map_or(&other, |gateway| &gateway.site);
        site.cli_add_user("Alice", &["admin"], "a pass phrase of some length").ok();
        let file = line("alice", BCRYPT) + &line("bob", BCRYPT) + &line("BOB", PBKDF2);

        let report = import(site, &file, &["--dry-run", "--json"]);
        let told = report.json();
        assert_eq!((report.status, &told["added"], &told["failed"]), (1, &json!(1), &json!(2)), "{told}");
        assert_eq!(site.cli(["user", "show", "bob"]).status, 1, "nothing was changed");

        let report = import(site, &file, &["--json"]);
        let told = report.json();
        assert_eq!((report.status, &told["added"], &told["failed"]), (1, &json!(1), &json!(2)), "{told}");
        assert_eq!((&told["errors"][0]["line"], &told["errors"][1]["line"]), (&json!(1), &json!(3)));
        assert!(told["errors"][0]["error"].as_str().unwrap().contains("\"Alice\""), "{told}");
        assert_eq!(show(site, "alice")["roles"], json!(["admin"]));

        let skipped = import(site, &file, &["--skip-existing"]);
        assert_eq!(
            (skipped.status, skipped.stdout.as_str()),
            (0, "0 added, 0 updated, 3 skipped; 0 failed\n")
        );
        assert_eq!(show(site, "alice")["password_form"], "argon2id");

        import(site, &file, &["--update"]).ok();
        assert_eq!(show(site, "alice")["roles"], json!(["reader"]));
        assert_eq!(show(site, "alice")["password_form"], "bcrypt");
        assert_eq!(show(site, "bob")["password_form"], "pbkdf2", "the last line counts");
    }
}

#[test]
fn an_update_ends_older_tokens_where_it_changes_something() {
    let gateway = Gateway::start(ROUTES);
    let (alice, bob) = (gateway.token_for("alice", "reader"), gateway.token_for("bob", "reader"));
    import(&gateway.site, &(line("alice", BCRYPT) + "{\"username\":\"bob\"}\n"), &["--update"]).ok();
    assert_eq!(gateway.send(&crate::harness::Request::get("/auth/me").bearer(&alice)).status, 401);
    assert_eq!(gateway.send(&crate::harness::Request::get("/auth/me").bearer(&bob)).status, 200);
}

#[test]
fn thousands_of_lines_are_imported_and_the_bad_ones_named() {
    for gateway in [None, Some(Gateway::start(ROUTES))] {
        let other = Setup::new(ROUTES).site();
        let site = gateway.as_ref().map_or(&other, |gateway| &gateway.site);
        let name = |n: usize| if n % 1000 == 999 { "no name".to_owned() } else { format!("user{n}") };
        let file: String = (0..3000).map(|n| line(&name(n), BCRYPT)).collect();
        let report = import(site, &file, &["--json"]);
        let told = report.json();
        assert_eq!(
            (report.status, &told["added"], &told["failed"]),
            (1, &json!(2997), &json!(3)),
            "{}",
            report.stderr
        );
        assert_eq!(told["errors"][2]["line"], 3000);
        let list = site.cli(["user", "list", "--json"]).ok().json();
        assert_eq!(list.as_array().unwrap().len(), 2997);
    }
}

/// SECURITY L8: a user without a password.
#[test]
fn a_user_without_a_hash_cannot_log_in_until_a_password_is_set() {
    let gateway = Gateway::start(ROUTES);
    import(&gateway.site, "{\"username\":\"alice\",\"roles\":[\"reader\"]}\n", &[]).ok();
    assert_eq!(show(&gateway.site, "alice")["password_form"], "none");
    for password in ["none", "null", "alice", "\0"] {
        assert_eq!(gateway.login_with("alice", password).status, 400, "{password:?}");
    }
    let passwd = ["user", "passwd", "alice", "--password-stdin"];
    gateway.site.cli_with_stdin(passwd, "a pass phrase of some length\n").ok();
    assert_eq!(gateway.login_with("alice", "a pass phrase of some length").status, 200);
}

#[test]
fn a_trial_without_a_store_makes_none() {
    let site = Setup::new(ROUTES).site();
    let output = import(&site, &line("alice", BCRYPT), &["--dry-run"]).ok();
    assert_eq!(output.stdout, "1 would be added, 0 would be updated, 0 would be skipped; 0 failed\n");
    assert_eq!(site.cli(["user", "list", "--json"]).ok().json(), json!([]));
    assert_eq!(site.cli(["user", "import", "no-such-file"]).status, 1);
    assert_eq!(site.cli(["user", "import"]).status, 2);
}
