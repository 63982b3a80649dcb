//! Single keys: what they mean, their defaults and their bounds.

use std::path::Path;
use std::time::Duration;

use super::{REST, config, error};
use crate::config::{AccessLog, Algorithm, LogFormat, Target};

fn with(lines: &str) -> String {
    format!("{lines}\n{REST}")
}

#[test]
fn an_empty_file_gives_the_documented_defaults() {
    let config = config("");
    assert_eq!(config.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!((config.server.workers, config.login.permits), (4, 2));
    assert_eq!((config.server.max_connections, config.server.max_headers), (10_000, 100));
    assert_eq!((config.server.max_header_size, config.server.max_uri_size), (32 << 10, 8 << 10));
    assert_eq!((config.server.max_body, config.server.max_streams), (10 << 20, 100));
    assert_eq!(config.server.keepalive_timeout, Duration::from_secs(75));
    assert_eq!((config.store.path.as_path(), config.store.cache_size), (Path::new("/base/data"), 8 << 20));
    assert_eq!(
        (config.token.issuer.as_str(), config.token.audience.as_str()),
        ("http://127.0.0.1:8080", "portcullis")
    );
    assert_eq!(
        (config.token.algorithm, config.token.access_ttl),
        (Algorithm::Es256, Duration::from_secs(900))
    );
    assert_eq!(config.token.leeway, Duration::from_secs(5));
    let login = &config.login;
    assert_eq!(
        (login.argon2_memory_kib, login.argon2_passes, login.argon2_lanes, login.queue),
        (19 << 10, 2, 1, 64)
    );
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Auto));
    assert_eq!(config.log.access, AccessLog::Stdout);
    assert_eq!(config.warnings, ["config.toml: route: there is none, so nothing is forwarded"]);
}

#[test]
fn listen_is_one_address_or_several() {
    let one = config(&with("[server]\nlisten = \"[::1]:80\""));
    assert_eq!(one.server.listen, ["[::1]:80".parse().unwrap()]);
    assert_eq!(one.token.issuer, "http://[::1]:80");
    let several = config(&with("[server]\nlisten = [\"0.0.0.0:80\", \"127.0.0.1:81\"]"));
    assert_eq!(several.server.listen.len(), 2);
    assert_eq!(several.token.issuer, "http://localhost:80");
    assert_eq!(
        several.warnings,
        [
            "config.toml: token.issuer: not given, so tokens name http://localhost:80; write the URL that clients use"
        ]
    );
}

#[test]
fn files_are_relative_to_the_file() {
    let config = config(&with("[store]\npath = \"../var/./x\"\n[log]\naccess = \"./access.log\""));
    assert_eq!(config.store.path, Path::new("/base/../var/x"));
    assert_eq!(config.log.access, AccessLog::File("/base/access.log".into()));
}

#[test]
fn single_addresses_are_networks_too() {
    let config =
        config(&with("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\", \"2001:db8::/32\"]"));
    let texts: Vec<String> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
}

#[test]
fn upstream_urls_become_authorities() {
    let text = REST.replace("http://127.0.0.1:9001", "http://Orders_1.internal/");
    assert_eq!(config(&text).upstreams[0].servers[0].as_str(), "orders_1.internal:80");
}

#[test]
fn plain_http_issuers_are_told_unless_they_are_here() {
    let warnings = |issuer: &str| config(&with(&format!("[token]\nissuer = \"{issuer}\""))).warnings.len();
    assert_eq!(warnings("https://login.example.com/x"), 0);
    assert_eq!(warnings("http://localhost:8080"), 0);
    assert_eq!(warnings("http://[::1]"), 0);
    assert_eq!(warnings("http://login.example.com"), 1);
    assert_eq!(warnings("http://localhost.example.com"), 1);
}

#[test]
fn a_key_that_is_published_for_too_short_is_told() {
    let warnings = |time: &str| config(&with(&format!("[token]\npublish_ahead = \"{time}\""))).warnings.len();
    assert_eq!([warnings("0s"), warnings("299s"), warnings("5m")], [0, 1, 0]);
}

/// Each line is wrong in one place; the message must say so in these words.
#[test]
fn wrong_values_are_refused_with_what_is_expected() {
    let cases = [
        ("[server]\nheader_timeout = \"0s\"", "server.header_timeout: must be 100ms to 10m, not \"0s\""),
        ("[server]\nheader_timeout = 10", "found an integer; write \"10s\""),
        ("[server]\nheader_timeout = \"10 sec\"", "; write \"10s\""),
        ("[server]\nmax_body = \"10MB\"", "; write \"10MiB\""),
        ("[server]\nmax_body = \"99999GiB\"", "server.max_body: must be 0B to 1024GiB"),
        ("[server]\nmax_header_size = \"1KiB\"\nmax_uri_size = \"1KiB\"", "must be 8KiB to 1MiB"),
        (
            "[server]\nmax_header_size = \"8KiB\"\nmax_uri_size = \"9KiB\"",
            "max_uri_size: must not be more than",
        ),
        ("[server]\nmax_streams = 0", "server.max_streams: must be 1 to 10000, not 0"),
        ("[server]\nmax_streams = -1", "must be 1 to 10000, not -1"),
        ("[server]\nworkers = 1.5", "expected an integer, found a float"),
        ("[server]\nlisten = []", "server.listen: expected at least one address"),
        ("[server]\nlisten = \":8080\"", "; write \"0.0.0.0:8080\""),
        ("[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "given twice (first given here: line 2)"),
        ("[server]\ntrusted_proxies = [\"10.0.0.1/8\"]", "server.trusted_proxies[0]: has bits beyond"),
        ("[server]\ntrusted_proxies = \"10.0.0.0/8\"", "; write [\"10.0.0.0/8\"]"),
        ("[server]\ntoken_path = \"token\"", "server.token_path: a path begins with"),
        ("[server]\ntoken_path = \"/t/*\"", "expected one path, not a pattern"),
        ("[server]\nlocal_prefix = \"/\"", "does not end in a slash"),
        ("[server]\nlocal_prefix = \"/auth/\"", "does not end in a slash"),
        ("[store]\npath = \"\"", "store.path: expected a path"),
        ("[token]\nleeway = \"61s\"", "token.leeway: must be 0s to 1m"),
        ("[store]\nencryption_key = \"hunter2\"", "found a string; this file never holds the secret itself"),
        ("[store]\nencryption_key = {}", "expected exactly one of { env = \"NAME\" } or { file = \"path\" }"),
        (
            "[store]\nencryption_key = { env = \"A\", file = \"b\" }",
            "store.encryption_key: expected exactly one of",
        ),
        ("[store]\nencryption_key = { enf = \"A\" }", "found the key \"enf\"; did you mean \"env\"?"),
        ("[store]\nencryption_key = { env = \"A=B\" }", "expected the name of an environment variable"),
        ("[store]\nencryption_key_old = { file = 7 }", "expected a string, found an integer"),
        ("[token]\nrotate_every = \"10m\"", "token.rotate_every: must be 1h to 3650d"),
        ("[token]\nrotate_every = \"of\"", "token.rotate_every: expected a duration"),
        ("[token]\npublish_ahead = \"8d\"", "token.publish_ahead: must be 0s to 7d"),
        (
            "[token]\nrotate_every = \"1h\"\npublish_ahead = \"2h\"",
            "must not be more than token.rotate_every",
        ),
        ("[token]\nissuer = \"https://a/?x\"", "without query and fragment"),
        ("[token]\nissuer = \"https://a/#x\"", "without query and fragment"),
        ("[token]\nissuer = \"https://u@a\"", "without query and fragment"),
        ("[token]\nissuer = \"ftp://a\"", "expected an https URL"),
        ("[token]\nissuer = \"https://a/\\\"\"", "without query and fragment"),
        ("[token]\nissuer = \"https://a//b\"", "has neither"),
        ("[token]\nissuer = \"https://a/b/../c\"", "has neither"),
        ("[token]\nissuer = \"https://a/*\"", "has neither"),
        ("[token]\naudience = \"\"", "token.audience: expected 1 to 256"),
        ("[token]\nalgorithm = \"es256\"", "; did you mean \"ES256\"?"),
        ("[token]\nalgorithm = \"none\"", "token.algorithm: expected one of"),
        ("[login]\npasses = 17", "login.passes: must be 1 to 16, not 17"),
        ("[login]\nlanes = 17", "login.lanes: must be 1 to 16, not 17"),
        ("[login]\nmemory = \"257MiB\"", "login.memory: must be 64KiB to 256MiB, not \"257MiB\""),
        ("[login]\nlanes = 16\nmemory = \"64KiB\"", "must be at least 128KiB for 16 lanes"),
        ("[login]\nmemory = \"70000B\"", "must be a whole number of KiB"),
        ("[log]\nlevel = \"inof\"", "; did you mean \"info\"?"),
        ("[log]\nlevel = \"a=b=c\"", "log.level: expected error"),
        ("[log]\nlevel = \"a\\nb=info\"", "log.level: expected error"),
        ("[log]\nlevel = \"portcullis[x]\"", "log.level: expected error"),
        ("[log]\naccess = \"stdotu\"", "; did you mean \"stdout\"?"),
        ("[identity_headers]\nuser = \"X User\"", "identity_headers.user: expected the name of a header"),
        ("[identity_headers]\nrole = \"x_user\"", "the same header as identity_headers.user"),
    ];
    for (lines, expected) in cases {
        let message = error(&with(lines));
        assert!(message.contains(expected), "{lines}\n  {message}\n  {expected}");
    }
}

/// SECURITY H: a header that we set must not be one that the protocol, a proxy or another spelling reads.
#[test]
fn identity_headers_cannot_take_the_place_of_others() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Authorization",
        "Cookie",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "x-forwarded-user",
        "X-Request-Id",
        "traceparent",
        "Content_Type",
        "TE",
        "Upgrade",
        "Sec-WebSocket-Key",
        "X-HTTP-Method-Override",
        "___",
    ] {
        let message = error(&with(&format!("[identity_headers]\nuser = \"{name}\"")));
        assert!(message.contains("has another meaning"), "{message}");
    }
    assert_eq!(
        config(&with("[identity_headers]\nuser = \"Remote-User\"")).identity_headers.user,
        "remote-user"
    );
}

#[test]
fn wrong_servers_are_refused() {
    for (url, expected) in [
        ("127.0.0.1:9001", "; write \"http://127.0.0.1:9001\""),
        ("https://a", "https to upstreams is not supported by this version"),
        ("unix:///run/a", "the scheme must be http"),
        ("http://u:p@a", "a user or password has no place here"),
        ("http://a/x", "a path has no place here"),
        ("http://", "no host and port"),
        ("http://:80", "no host and port"),
        ("http://a:", "no host and port"),
        ("http://a:0", "the port must not be 0"),
        ("http://a:65536", "no host and port"),
        ("http://[::g]:80", "no host and port"),
        ("http://a b", "no host and port"),
    ] {
        let message = error(&REST.replace("http://127.0.0.1:9001", url));
        assert!(message.contains("upstream.a.servers[0]: ") && message.contains(expected), "{message}");
    }
}

/// What is large is looked up, not walked through: ten thousand upstreams in any order find their routes, and only as many
/// warnings as anybody reads are located in the file.
#[test]
fn ten_thousand_upstreams_keep_their_routes_apart() {
    let number = |index: usize| index * 7919 % 10_000;
    let upstream = |index| format!("[upstream.u{0}]\nservers = [\"http://u{0}.internal\"]\n", number(index));
    let route =
        |index| format!("[[route]]\npath = \"/{index}\"\naccess = \"public\"\nupstream = \"u{index}\"\n");
    let text = (0..10_000).map(upstream).chain((0..9_000).map(route)).collect::<String>();
    let config = config(&text);
    let mut routes = 0;
    for (pattern, route) in config.routes.iter() {
        if let Target::Upstream(index) = route.target {
            let name = pattern.path().literal().trim_start_matches('/');
            assert_eq!(config.upstreams[index].name.as_str(), format!("u{name}"));
            routes += 1;
        }
    }
    assert_eq!(routes, 9_000);
    assert_eq!(config.warnings.len(), 101);
    assert_eq!(config.warnings[100], "config.toml: and 900 more warnings");
}
