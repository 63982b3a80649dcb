//! Routes: what they need, what contradicts, and the local endpoints among them.

use http::Method;
use http::uri::PathAndQuery;

use super::{REST, config, error};
use crate::config::{Config, Endpoint, Target};
use crate::route::{Access, CleanPath, Found};

/// A file with one upstream and these routes, each a few lines.
fn routes(routes: &[&str]) -> String {
    let mut text = String::from("[upstream.orders]\nservers = [\"http://127.0.0.1:9001\"]\n");
    for route in routes {
        text.push_str("[[route]]\n");
        text.push_str(route);
        text.push('\n');
    }
    text
}

const OPEN: &str = "access = \"public\"\nupstream = \"orders\"";

fn target(config: &Config, host: &str, method: &Method, path: &str) -> Option<Target> {
    let path = CleanPath::parse(&PathAndQuery::try_from(path).unwrap()).unwrap();
    match config.routes.find(host, &path, method) {
        Found::Route(route) => Some(route.target),
        _ => None,
    }
}

#[test]
fn a_route_says_who_may_pass() {
    let cases = [
        ("upstream = \"orders\"", "route[0]: says nothing about who may pass"),
        ("upstream = \"orders\"\nroles = []", "route[0].roles: nobody could pass"),
        (
            "upstream = \"orders\"\nroles = [\"a\"]\naccess = \"public\"",
            "either access or roles, not both (the roles: line 6)",
        ),
        ("upstream = \"orders\"\nroles = [\"a b\"]", "route[0].roles[0]: a role must be"),
        ("upstream = \"orders\"\nroles = [\"a\", \"a\"]", "route[0].roles: given twice"),
        ("upstream = \"orders\"\naccess = \"authentificated\"", "; did you mean \"authenticated\"?"),
        ("access = \"public\"", "route[0].upstream: this key is missing"),
        (
            "access = \"public\"\nupstream = \"oders\"",
            "there is no upstream \"oders\"; did you mean \"orders\"?",
        ),
        ("access = \"public\"\nupstream = \"zzz\"", "; known: orders"),
    ];
    for (lines, expected) in cases {
        let message = error(&routes(&[&format!("path = \"/x\"\n{lines}")]));
        assert!(message.contains(expected), "{lines}\n  {message}");
    }
}

#[test]
fn patterns_are_checked() {
    let cases = [
        ("", "route[0].path: this key is missing"),
        ("path = \"x\"", "a path begins with"),
        ("path = \"/a/../b\"", "write `/b`"),
        ("path = \"/x\"\nhost = \"a:80\"", "route[0].host: a host is wanted here, without a port"),
        ("path = \"/x\"\nmethods = []", "the list of methods is empty"),
        ("path = \"/x\"\nmethods = [\"get\"]", "; did you mean \"GET\"?"),
        (
            "path = \"/x\"\nmethods = [\"GTE\"]",
            "route[0].methods[0]: \"GTE\" is no method that is known here",
        ),
        ("path = \"/x\"\nmethods = [\"TRACE\"]", "TRACE is never forwarded"),
        ("path = \"/x\"\nmethods = [\"CONNECT\"]", "CONNECT is never forwarded"),
        ("path = \"/x\"\nstrip_prefix = true", "there is no prefix to strip"),
        ("path = \"/x\"\nname = \"local:x\"", "are the gateway's own"),
        ("path = \"/x\"\nname = \"a b\"", "a route name must be"),
    ];
    for (lines, expected) in cases {
        let message = error(&routes(&[&format!("{lines}\n{OPEN}")]));
        assert!(message.contains(expected), "{lines}\n  {message}");
    }
}

#[test]
fn routes_that_match_alike_are_told_with_both_places() {
    let route = format!("path = \"/x\"\n{OPEN}");
    let message = error(&routes(&[&route, &format!("path = \"/y\"\n{OPEN}"), &route]));
    assert!(
        message.starts_with("config.toml:12:8: route[2]: matches the same requests as route[0]: /x"),
        "{message}"
    );
    assert!(message.contains("(the other route: line 4)"), "{message}");
    let named = format!("name = \"n\"\npath = \"/a\"\n{OPEN}");
    let message = error(&routes(&[&named, &named.replace("/a", "/b")]));
    assert!(message.contains("route[1].name: another route has this name"), "{message}");
}

#[test]
fn local_endpoints_win_on_every_host() {
    let config = config(&routes(&[
        &format!("path = \"/*\"\nhost = \"API.example.com\"\n{OPEN}"),
        &format!("path = \"/*\"\n{OPEN}"),
    ]));
    for host in ["api.example.com", "other.example.com"] {
        let local = |method, path, endpoint| {
            assert_eq!(target(&config, host, &method, path), Some(Target::Local(endpoint)), "{host}{path}");
        };
        local(Method::POST, "/token", Endpoint::Token);
        local(Method::GET, "/auth/me", Endpoint::Me);
        local(Method::GET, "/healthz", Endpoint::Health);
        local(Method::GET, "/readyz", Endpoint::Ready);
        local(Method::GET, "/.well-known/jwks.json", Endpoint::Jwks);
        local(Method::GET, "/.well-known/oauth-authorization-server", Endpoint::Metadata);
        local(Method::GET, "/.well-known/oauth-protected-resource", Endpoint::Resource);
        assert_eq!(target(&config, host, &Method::GET, "/token"), None);
        assert_eq!(target(&config, host, &Method::GET, "/x"), Some(Target::Upstream(0)));
    }
    let access = |wanted| {
        config
            .routes
            .iter()
            .find(|(_, route)| route.target == Target::Local(wanted))
            .unwrap()
            .1
            .access
            .clone()
    };
    assert_eq!(access(Endpoint::Me), Access::Authenticated);
    assert_eq!(access(Endpoint::Token), Access::Public);
}

#[test]
fn a_route_on_a_local_path_is_shadowed() {
    for (path, by) in [
        ("/auth", "everything under /auth (server.local_prefix)"),
        ("/auth/*", "everything under /auth"),
        ("/auth/x", "everything under /auth"),
        ("/token", "POST /token (server.token_path)"),
        ("/token/*", "POST /token"),
        ("/healthz", "GET /healthz (server.health_path)"),
        ("/.well-known/jwks.json", "GET /.well-known/jwks.json"),
    ] {
        for host in ["", "host = \"a\"\n"] {
            let message = error(&routes(&[&format!("path = \"{path}\"\n{host}{OPEN}")]));
            assert!(message.contains(&format!("route[0].path: shadowed by {by}")), "{message}");
        }
    }
    let tenant = routes(&[&format!("path = \"/.well-known/oauth-protected-resource/gate\"\n{OPEN}")]);
    config(&tenant);
    let message = error(&format!("[token]\nissuer = \"https://a/gate/\"\n{tenant}"));
    assert!(message.contains("shadowed by GET /.well-known/oauth-protected-resource/gate"), "{message}");
    for path in ["/*", "/authx", "/authx/*", "/tokens", "/.well-known/*"] {
        config(&routes(&[&format!("path = \"{path}\"\n{OPEN}")]));
    }
    let renamed = routes(&[&format!("path = \"/auth/x\"\n{OPEN}")]);
    config(&format!("[server]\nlocal_prefix = \"/gate\"\n{renamed}"));
}

#[test]
fn local_paths_do_not_collide() {
    for (lines, expected) in [
        ("health_path = \"/token\"", "server.health_path: \"/token\" is the path of token_path already"),
        ("ready_path = \"/healthz\"", "server.ready_path: \"/healthz\" is the path of health_path already"),
        (
            "token_path = \"/auth/me\"",
            "server.token_path: \"/auth/me\" is the path of an endpoint under local_prefix",
        ),
        ("token_path = \"/.well-known/jwks.json\"", "is the path of the key set"),
        (
            "local_prefix = \"/.well-known/oauth-protected-resource\"\n[token]\nissuer = \"https://a/me\"",
            "makes an endpoint of the path of the metadata",
        ),
        ("health_path = \"/h\"\nready_path = \"/h\"", "(the other one: line 2)"),
    ] {
        let message = error(&format!("[server]\n{lines}\n{REST}"));
        assert!(message.contains(expected), "{message}");
    }
    config(&format!("[server]\ntoken_path = \"/auth/token\"\n{REST}"));
}

#[test]
fn names_are_made_from_the_pattern_and_are_unique() {
    let long = format!("path = \"/{}\"\n{OPEN}", "x".repeat(80));
    let taken = format!("path = \"/n\"\nname = \"route-0\"\n{OPEN}");
    let get = format!("path = \"/x\"\nhost = \"a.b\"\nmethods = [\"GET\", \"PUT\"]\n{OPEN}");
    let config = config(&routes(&[&long, &taken, &get]));
    let mut names: Vec<_> = config
        .routes
        .iter()
        .filter(|(_, route)| matches!(route.target, Target::Upstream(_)))
        .map(|(_, route)| route.name.to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["a.b/x-GET-PUT", "route-0", "route-1"]);
}

#[test]
fn max_body_comes_from_the_server_unless_the_route_says_otherwise() {
    let own = format!("path = \"/own\"\nmax_body = \"1KiB\"\n{OPEN}");
    let text = routes(&[&own, &format!("path = \"/other\"\n{OPEN}")]);
    let config = config(&format!("[server]\nmax_body = \"2KiB\"\n{text}"));
    let body = |path: &str| {
        config.routes.iter().find(|(pattern, _)| pattern.to_string() == path).unwrap().1.max_body
    };
    assert_eq!((body("/own"), body("/other")), (1024, 2048));
}
