//! `check`, `explain`, and what every command says of wrong usage.

use crate::harness::{Gateway, Process, ROUTES, Request, Setup, binary};

#[test]
fn check_prints_the_routes_in_the_order_in_which_they_match() {
    let site = Setup::new(ROUTES).site();
    let output = site.cli(["check"]).ok();
    let position = |path: &str| output.stdout.find(path).unwrap_or_else(|| panic!("no {path} in {output:?}"));
    for path in ["/public/*", "/anyone/*", "/orders/*", "/admin/*", "/token", "/healthz"] {
        position(path);
    }
    let order = "[[route]]\npath = '/*'\naccess = 'public'\nupstream = 'backend'\n\
                 [[route]]\npath = '/deep/er/*'\nroles = ['x']\nupstream = 'backend'\n\
                 [[route]]\npath = '/deep/*'\naccess = 'authenticated'\nupstream = 'backend'\n";
    let output = Setup::new(order).site().cli(["check"]).ok();
    let at = |path: &str| {
        output.stdout.lines().position(|line| line.split_whitespace().any(|word| word == path)).unwrap()
    };
    assert!(at("/deep/er/*") < at("/deep/*") && at("/deep/*") < at("/*"), "{}", output.stdout);
}

#[test]
fn every_error_of_a_file_is_told_at_once_with_its_place() {
    let file = "[server]\nlisten = ['127.0.0.1:0']\nheader_timout = '5s'\nbody_timeout = 'fast'\n\n\
                [upstream.backend]\nservers = ['http://127.0.0.1:9']\n\n\
                [[route]]\npath = '/a'\nupstream = 'bakend'\naccess = 'public'\n\n\
                [[route]]\npath = '/b'\nupstream = 'backend'\n";
    let site = Setup::new(ROUTES).site();
    site.write_config(file);
    for command in ["check", "serve"] {
        let output = site.cli([command]);
        assert_ne!(output.status, 0);
        if command == "check" {
            assert_eq!((output.status, output.stdout.as_str()), (2, ""));
        }
        for part in [
            "config.toml:3",
            "header_timout",
            "header_timeout",
            "config.toml:4",
            "body_timeout",
            "config.toml:11",
            "bakend",
            "backend",
            "config.toml:14",
        ] {
            assert!(output.stderr.contains(part), "{command}: no {part} in:\n{}", output.stderr);
        }
        assert!(!output.stderr.contains("panicked") && !output.stderr.contains('\x1b'), "{}", output.stderr);
    }
}

#[test]
fn the_configuration_is_found_where_the_manual_says() {
    let site = Setup::new(ROUTES).site();
    let run = |command: &mut std::process::Command| Process::spawn(command, "").output();
    run(binary().arg("check").current_dir(site.dir())).ok();
    run(binary().arg("check").current_dir("/").env("PORTCULLIS_CONFIG", site.config())).ok();
    let empty = tempfile::tempdir().unwrap();
    let output =
        run(binary().arg("check").current_dir(empty.path()).env("PORTCULLIS_CONFIG", "/nonexistent/x.toml"));
    assert_ne!(output.status, 0);
    assert!(output.stderr.contains("/nonexistent/x.toml"), "{output:?}");
}

#[test]
fn explain_says_which_route_matches_and_who_may_pass() {
    let gateway = Gateway::start(ROUTES);
    gateway.add_user("bob", "reader");
    let explain = |args: &[&str]| {
        let args = ["explain"].iter().chain(args).copied();
        gateway.site.cli(args).ok()
    };
    let text = explain(&["GET", "/x/..//orders/%37", "--user", "bob"]).stdout;
    for part in ["/orders/7", "/orders/*", "reader", "200", "X-User", "bob"] {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "no {part} in:\n{text}");
    }
    let token = gateway.login("bob");
    for (args, status) in [
        (&["GET", "/orders/7", "--user", "bob"][..], 200),
        (&["GET", "/orders/7", "--role", "reader"], 200),
        (&["GET", "/orders/7", "--token", &token], 200),
        (&["GET", "http://localhost/orders/7?q", "--user", "bob"], 200),
        (&["GET", "/admin/x", "--user", "bob"], 403),
        (&["GET", "/admin/x", "--role", "admin"], 200),
        (&["DELETE", "/orders/7", "--user", "bob"], 405),
        (&["GET", "/none", "--user", "bob"], 404),
        (&["GET", "/orders/7"], 401),
        (&["GET", "/orders/7", "--token", "x"], 401),
        (&["GET", "/public/x"], 200),
        (&["GET", "/public/%00"], 400),
    ] {
        let json = explain(&[args, &["--json"]].concat()).json();
        assert_eq!(json["status"], status, "{args:?}: {json}");
    }
    assert_eq!(gateway.backend.count(), 0, "explaining sends nothing");
}

/// What `explain` says is what happens.
#[test]
fn explain_agrees_with_live_requests() {
    let gateway = Gateway::start(ROUTES);
    let token = gateway.token_for("bob", "reader");
    for (method, path) in [
        ("GET", "/orders/7"),
        ("HEAD", "/orders"),
        ("PUT", "/orders/7"),
        ("GET", "/ordersx"),
        ("GET", "/admin"),
        ("GET", "/anyone/../admin/x"),
        ("GET", "/public/a%2fb"),
        ("GET", "/auth/me"),
        ("GET", "/healthz"),
        ("GET", "/token"),
        ("GET", "/public/;x"),
        ("TRACE", "/public/x"),
    ] {
        let live = gateway.send(&Request::new(method, path).bearer(&token)).status;
        let explained = gateway.cli(["explain", method, path, "--user", "bob", "--json"]).ok().json();
        assert_eq!(explained["status"], live, "{method} {path}: {explained}");
    }
}

#[test]
fn explain_works_while_no_gateway_runs() {
    let site = Setup::new(ROUTES).site();
    site.cli_add_user("bob", &["reader"], "a pass phrase of some length").ok();
    let json = site.cli(["explain", "GET", "/orders/7", "--user", "bob", "--json"]).ok().json();
    assert_eq!(json["status"], 200, "{json}");
    let unknown = site.cli(["explain", "GET", "/orders/7", "--user", "nobody", "--json"]).ok();
    assert_eq!(unknown.json()["status"], 401, "who does not exist has no token: {unknown:?}");
    assert!(unknown.stdout.contains("nobody"), "names the user: {unknown:?}");
}

#[test]
fn completions_name_every_command() {
    let empty = tempfile::tempdir().unwrap();
    let run = |shell: &str| {
        let mut command = binary();
        Process::spawn(command.args(["completions", shell]).current_dir(empty.path()), "").output()
    };
    for shell in ["bash", "zsh", "fish"] {
        let output = run(shell).ok();
        for word in ["serve", "demo", "check", "explain", "user", "completions", "passwd", "config"] {
            assert!(output.stdout.contains(word), "{shell} does not complete {word}");
        }
        assert_eq!(output.stderr, "", "{shell}");
    }
    let unknown = run("command.com");
    assert_eq!((unknown.status, unknown.stdout.as_str()), (2, ""), "{unknown:?}");
    assert!(unknown.stderr.contains("zsh"), "says which there are: {unknown:?}");
}

#[test]
fn wrong_usage_says_how_it_is_done() {
    let run = |args: &[&str]| Process::spawn(binary().args(args), "").output();
    for args in
        [&[][..], &["frobnicate"], &["serve", "--confg", "x"], &["explain", "GET"], &["check", "extra"]]
    {
        let output = run(args);
        assert_eq!(output.status, 2, "{args:?}: {output:?}");
        assert!(output.stderr.contains("Usage"), "{args:?}: {output:?}");
    }
    for args in [&["--help"][..], &["serve", "--help"], &["user", "add", "--help"], &["--version"]] {
        let output = run(args).ok();
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
    assert!(run(&["--version"]).stdout.contains(env!("CARGO_PKG_VERSION")));
}
