//! `portcullis user`: the same with and without a running gateway.

use serde_json::{Value, json};

use crate::harness::{Gateway, Output, ROUTES, Setup, Site};

const PASSWORD: &str = "a pass phrase of some length";

/// Runs the test on a site without a gateway and on one where it runs.
fn both_ways(test: impl Fn(&Site)) {
    test(&Setup::new(ROUTES).site());
    let gateway = Gateway::start(ROUTES);
    test(&gateway.site);
    assert!(gateway.site.admin_socket().exists());
}

#[track_caller]
fn assert_fails(output: &Output, status: i32, part: &str) {
    assert_eq!((output.status, output.stdout.as_str()), (status, ""), "{output:?}");
    assert!(output.stderr.contains(part), "{part:?} is not in {:?}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

fn user(list: &Value, name: &str) -> Value {
    let users = list.as_array().expect("an array");
    users.iter().find(|user| user["username"] == name).unwrap_or(&Value::Null).clone()
}

#[test]
fn a_user_goes_through_its_life() {
    both_ways(|site| {
        site.cli_add_user("Alice", &["reader", "admin", "reader"], PASSWORD).ok();
        let alice = user(&site.cli(["user", "list", "--json"]).ok().json(), "Alice");
        assert_eq!((&alice["roles"], &alice["enabled"]), (&json!(["admin", "reader"]), &json!(true)));

        site.cli(["user", "roles", "alice", "--role", "writer"]).ok();
        site.cli(["user", "disable", "ALICE"]).ok();
        let shown = site.cli(["user", "show", "alice", "--json"]).ok().json();
        assert_eq!(shown["username"], "Alice");
        assert_eq!((&shown["roles"], &shown["enabled"]), (&json!(["writer"]), &json!(false)));
        assert_eq!(shown["id"], alice["id"]);

        site.cli(["user", "enable", "alice"]).ok();
        site.cli(["user", "rename", "alice", "alicia"]).ok();
        site.cli_with_stdin(["user", "passwd", "alicia", "--password-stdin"], "another pass phrase\n").ok();
        let list = site.cli(["user", "list", "--json"]).ok().json();
        assert_eq!(user(&list, "Alice"), Value::Null);
        assert_eq!(user(&list, "alicia")["id"], alice["id"]);
        assert_eq!(user(&list, "alicia")["enabled"], true);

        site.cli(["user", "remove", "alicia"]).ok();
        assert_eq!(site.cli(["user", "list", "--json"]).ok().json(), json!([]));
    });
}

/// More would not fit into a token: it used to be taken, and then no login succeeded.
#[test]
fn nobody_gets_more_roles_than_a_token_has_room_for() {
    let gateway = Gateway::start(ROUTES);
    let site = &gateway.site;
    let names: Vec<String> = (0..400).map(|n| format!("role{n:06}")).collect();
    let roles: Vec<&str> = names.iter().map(String::as_str).collect();
    site.cli_add_user("alice", &roles[..315], PASSWORD).ok();
    assert_eq!(gateway.login_with("alice", PASSWORD).status, 200, "as many as there may be");
    assert_fails(&site.cli_add_user("bob", &roles, PASSWORD), 1, "too many roles");
    let all: Vec<&str> = roles.iter().flat_map(|role| ["--role", role]).collect();
    assert_fails(&site.cli([&["user", "roles", "alice"], &all[..]].concat()), 1, "too many roles");
    assert_fails(&site.cli([&["client", "add", "robot"], &all[..]].concat()), 1, "too many roles");
    let lines =
        format!("{}\n{}\n", json!({"username": "carol", "roles": roles}), json!({"username": "dave"}));
    let report = site.cli_with_stdin(["user", "import", "-"], &lines);
    assert!(report.stderr.contains("line 1 (carol): these are too many roles"), "{report:?}");
    assert!(report.stdout.starts_with("1 added"), "{report:?}");
}

#[test]
fn people_get_a_table_and_nobody_a_hash() {
    both_ways(|site| {
        site.cli_add_user("alice", &["reader"], PASSWORD).ok();
        let list = site.cli(["user", "list"]).ok();
        assert!(
            list.stdout.lines().any(|line| line.contains("alice") && line.contains("reader")),
            "{list:?}"
        );
        for args in [
            &["user", "list"][..],
            &["user", "list", "--json"],
            &["user", "show", "alice"],
            &["user", "show", "alice", "--json"],
        ] {
            let output = site.cli(args.iter().copied()).ok();
            assert!(!output.stdout.contains("$argon2") && !output.stdout.contains("hash"), "{output:?}");
        }
    });
}

#[test]
fn a_user_that_exists_cannot_be_added_again() {
    both_ways(|site| {
        site.cli_add_user("alice", &["reader"], PASSWORD).ok();
        for name in ["alice", "ALICE", "Alice"] {
            assert_fails(&site.cli_add_user(name, &["admin"], PASSWORD), 1, "alice");
        }
        site.cli_add_user("bob", &[], PASSWORD).ok();
        assert_fails(&site.cli(["user", "rename", "bob", "Alice"]), 1, "alice");
        let list = site.cli(["user", "list", "--json"]).ok().json();
        assert_eq!(user(&list, "alice")["roles"], json!(["reader"]));
    });
}

#[test]
fn a_user_that_does_not_exist_cannot_be_changed() {
    both_ways(|site| {
        for args in [
            &["user", "show", "nobody"][..],
            &["user", "roles", "nobody", "--role", "reader"],
            &["user", "disable", "nobody"],
            &["user", "enable", "nobody"],
            &["user", "rename", "nobody", "somebody"],
            &["user", "remove", "nobody"],
        ] {
            assert_fails(&site.cli(args.iter().copied()), 1, "nobody");
        }
        let passwd = ["user", "passwd", "nobody", "--password-stdin"];
        assert_fails(&site.cli_with_stdin(passwd, &format!("{PASSWORD}\n")), 1, "nobody");
    });
}

/// SECURITY H10: what could break a header or a log line is never a name.
#[test]
fn names_that_could_break_a_header_are_refused() {
    both_ways(|site| {
        let long = "x".repeat(129);
        for name in ["", "a b", "a,b", "a;b", "a\r\nX-Role: admin", "a\nb", "ä", "a\"b", "a/b", "a:b", &long]
        {
            let output = site.cli_add_user(name, &["reader"], PASSWORD);
            assert!(matches!(output.status, 1 | 2), "{name:?}: {output:?}");
            assert!(!output.stderr.contains("panicked") && !output.stderr.is_empty(), "{output:?}");
        }
        for role in ["", "a b", "a,b", "a\r\nb", "ä", &"x".repeat(65)] {
            let output = site.cli_add_user("alice", &[role], PASSWORD);
            assert!(matches!(output.status, 1 | 2), "{role:?}: {output:?}");
        }
        assert_eq!(site.cli(["user", "list", "--json"]).ok().json(), json!([]));
    });
}

#[test]
fn weak_passwords_are_refused() {
    both_ways(|site| {
        let long = "x".repeat(1025);
        for password in
            ["", "1234567", "password", "PassWord", "12345678", "qwertyuiop", "alice.smith", &long]
        {
            let output = site.cli_add_user("alice.smith", &["reader"], password);
            assert_eq!(output.status, 1, "{password:?}: {output:?}");
            // The message may say "the password"; one of those that are tried is that very word.
            let message = output.stderr.replace("the password", "");
            assert!(password.is_empty() || !message.contains(password), "shows the password: {output:?}");
        }
        site.cli_add_user("alice.smith", &["reader"], PASSWORD).ok();
        let passwd = ["user", "passwd", "alice.smith", "--password-stdin"];
        assert_eq!(site.cli_with_stdin(passwd, "12345678\n").status, 1);
    });
}

#[test]
fn wrong_usage_is_status_2() {
    let site = Setup::new(ROUTES).site();
    for args in [
        &["user"][..],
        &["user", "add"],
        &["user", "frobnicate"],
        &["user", "list", "extra"],
        &["user", "list", "--jsn"],
    ] {
        let output = site.cli(args.iter().copied());
        assert_eq!(output.status, 2, "{args:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{output:?}");
    }
    // A password in an argument is seen by everybody who can list processes.
    let output = site.cli(["user", "add", "alice", "--password", PASSWORD]);
    assert_eq!(output.status, 2, "{output:?}");
}

#[test]
fn only_the_last_line_end_is_cut_from_a_password() {
    let gateway = Gateway::start(ROUTES);
    gateway.site.cli_with_stdin(["user", "add", "alice", "--password-stdin"], "  spaces matter  \r\n").ok();
    gateway.site.cli_with_stdin(["user", "add", "bob", "--password-stdin"], "no line end at all").ok();
    assert_eq!(gateway.login_with("alice", "  spaces matter  ").status, 200);
    assert_eq!(gateway.login_with("alice", "spaces matter").status, 400);
    assert_eq!(gateway.login_with("bob", "no line end at all").status, 200);
}

#[test]
fn a_user_added_while_the_gateway_runs_can_log_in_at_once() {
    let gateway = Gateway::start(ROUTES);
    for name in ["alice", "bob", "carol"] {
        let token = gateway.token_for(name, "reader");
        assert_eq!(gateway.get("/orders/7", &token).status, 200);
    }
}

#[test]
fn users_added_before_the_start_are_there_after_it() {
    let mut gateway = Gateway::start(ROUTES);
    assert_eq!(gateway.terminate(), Some(0));
    gateway.add_user("alice", "reader");
    gateway.start_again();
    let token = gateway.login("alice");
    gateway.kill9();
    gateway.start_again();
    assert_eq!(gateway.get("/orders/7", &token).status, 200, "the key and the user outlive a crash");
}

#[test]
fn a_dead_gateway_s_socket_does_not_stand_in_the_way() {
    let mut gateway = Gateway::start(ROUTES);
    gateway.kill9();
    gateway.add_user("alice", "reader");
    gateway.start_again();
    gateway.add_user("bob", "reader");
    gateway.login("alice");
    gateway.login("bob");
}

#[test]
fn the_data_directory_belongs_to_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("alice", "reader");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&gateway.site.data()), 0o700);
    assert_eq!(mode(&gateway.site.admin_socket()), 0o600);
    let mut folders = vec![gateway.site.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                assert_eq!(mode(&path), 0o700, "{}", path.display());
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
        }
    }
}
