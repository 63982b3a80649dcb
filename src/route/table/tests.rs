//! Tests of the table: single decisions, then the table against a linear search by the order of patterns, and against
//! models of backends that read paths loosely.

use proptest::prelude::*;

use super::*;
use crate::route::Methods;
use crate::route::arbitrary::{clean, hostile_path, many, pattern};

/// A route as it is written: `[host]/path [METHOD,...]`.
fn route(text: &'static str) -> (Pattern, &'static str) {
    let (target, methods) = text.split_once(' ').unwrap_or((text, ""));
    let (host, path) = target.split_at(target.find('/').unwrap());
    let host = (!host.is_empty()).then(|| Host::parse(host).unwrap());
    let named = methods.split(',').filter_map(|name| name.parse().ok()).collect();
    let methods = Methods::of(named).unwrap_or(Methods::any());
    (Pattern::new(host, PathPattern::parse(path).unwrap(), methods), text)
}

fn table(routes: &[&'static str]) -> Table<&'static str> {
    Table::build(routes.iter().map(|text| route(text)).collect()).unwrap()
}

#[test]
fn the_path_decides_and_then_the_method() {
    let table = table(&[
        "/orders/* GET",
        "/orders/* POST",
        "/orders/*",
        "/orders/today GET",
        "/orders/",
        "shop.test/orders/* PUT",
        "/mixed GET",
        "/mixed HEAD",
        "/read GET",
    ]);
    let not_allowed =
        |allow: &[Method], route| Found::MethodNotAllowed { allow: allow.to_vec(), routes: vec![route] };
    for (host, path, method, found) in [
        ("a.test", "/orders", Method::GET, Found::Route(&"/orders/* GET")),
        ("a.test", "/orders", Method::HEAD, Found::Route(&"/orders/* GET")),
        ("a.test", "/orders/", Method::GET, Found::Route(&"/orders/")),
        ("a.test", "/orders/7/x", Method::POST, Found::Route(&"/orders/* POST")),
        ("a.test", "/orders/7", Method::DELETE, Found::Route(&"/orders/*")),
        ("a.test", "/orders/today", Method::GET, Found::Route(&"/orders/today GET")),
        (
            "a.test",
            "/orders/today",
            Method::POST,
            not_allowed(&[Method::GET, Method::HEAD], &"/orders/today GET"),
        ),
        ("a.test", "/orders/today/x", Method::POST, Found::Route(&"/orders/* POST")),
        ("a.test", "/ordersx", Method::GET, Found::NotFound),
        ("a.test", "/", Method::GET, Found::NotFound),
        ("shop.test", "/orders/today", Method::PUT, Found::Route(&"shop.test/orders/* PUT")),
        ("shop.test", "/orders/today", Method::GET, not_allowed(&[Method::PUT], &"shop.test/orders/* PUT")),
        ("shop.test", "/read", Method::GET, Found::Route(&"/read GET")),
        ("a.test", "/mixed", Method::HEAD, Found::Route(&"/mixed HEAD")),
        ("a.test", "/read", Method::HEAD, Found::Route(&"/read GET")),
    ] {
        assert_eq!(table.find(host, &clean(path), &method), found, "{method} {host}{path}");
    }
}

#[test]
fn trace_and_connect_match_no_route() {
    let table = table(&["/*"]);
    for method in [Method::TRACE, Method::CONNECT] {
        let Found::MethodNotAllowed { allow: allowed, .. } = table.find("a.test", &clean("/x"), &method)
        else {
            panic!("{method}")
        };
        assert!(allowed.contains(&Method::PATCH) && !allowed.contains(&method));
    }
}

#[test]
fn an_unknown_method_obeys_the_rules_like_any_other() {
    let table = table(&["/*", "/orders GET"]);
    for name in ["get", "GETX", "PROPFIND"] {
        let method: Method = name.parse().unwrap();
        assert_eq!(table.find("a.test", &clean("/x"), &method), Found::Route(&"/*"));
        assert!(matches!(table.find("a.test", &clean("/orders"), &method), Found::MethodNotAllowed { .. }));
    }
}

#[test]
fn ghsa_7rh7_c77v_6434_the_query_is_not_matched() {
    let table = table(&["/secret GET", "/public/*"]);
    for query in ["/public", "x=/public/", "x=/../public/x"] {
        let path = clean(&format!("/secret?{query}"));
        assert_eq!(table.find("a.test", &path, &Method::GET), Found::Route(&"/secret GET"));
    }
}

#[test]
fn a_path_that_a_looser_parser_would_send_elsewhere_is_ambiguous() {
    let table = table(&["/*", "/admin/* GET", "/a:b", "/files/*"]);
    for path in [
        "/admin;x=1",
        "/admin%3bx",
        "/admin%3fx",
        "/admin%23x",
        "/admin%2fx",
        "/a%3ab",
        "/;x/admin",
        "/x%3f/../admin;",
    ] {
        assert_eq!(table.find("a.test", &clean(path), &Method::GET), Found::Ambiguous, "{path}");
    }
    // The reading's route takes no POST, but the backend may.
    assert_eq!(table.find("a.test", &clean("/admin;x"), &Method::POST), Found::Ambiguous);
    for path in ["/files/a;v=1", "/files/a%2Fb", "/files/what%3F", "/files/a%3Ab"] {
        assert_eq!(table.find("a.test", &clean(path), &Method::GET), Found::Route(&"/files/*"), "{path}");
    }
}

#[test]
fn routes_that_match_alike_conflict() {
    let routes = ["/a GET,POST", "/a POST,PUT", "/a", "/b", "a.test/a GET", "/a", "/a/ GET", "/a GET"];
    let conflicts = Table::build(routes.map(route).to_vec()).unwrap_err();
    let pairs: Vec<_> = conflicts.iter().map(|conflict| (conflict.first, conflict.second)).collect();
    assert_eq!(pairs, [(0, 1), (2, 5), (0, 7)]);
}

#[test]
fn routes_are_listed_in_the_order_they_match() {
    let table = table(&["/*", "/b", "/a/* GET", "/a/*", "a.test/*", "/a"]);
    let listed: Vec<_> = table.iter().map(|(_, text)| *text).collect();
    assert_eq!(listed, ["a.test/*", "/a", "/b", "/a/* GET", "/a/*", "/*"]);
}

fn do_conflict(a: &Pattern, b: &Pattern) -> bool {
    let is_same_place = a.host() == b.host() && a.path() == b.path();
    let is_shared = a.methods().named().iter().any(|method| b.methods().named().contains(method));
    is_same_place && (is_shared || (a.methods().is_any() && b.methods().is_any()))
}

/// The rules said once more, without any structure: the position of the route, or why there is none.
fn search(patterns: &[Pattern], host: &str, path: &str, method: &Method) -> Result<usize, bool> {
    let is_match = |pattern: &Pattern| {
        pattern.host().is_none_or(|own| own.as_str() == host) && pattern.path().matches(path)
    };
    let place =
        |pattern: &Pattern| Pattern::new(pattern.host().cloned(), pattern.path().clone(), Methods::any());
    let best = patterns.iter().filter(|pattern| is_match(pattern)).map(place).max();
    let here = patterns.iter().enumerate().filter(|(_, pattern)| Some(place(pattern)) == best);
    let taking = here.filter(|(_, pattern)| pattern.methods().accept(method));
    let first = taking.max_by_key(|(_, pattern)| (pattern.methods().named().contains(method), *pattern));
    first.map(|(index, _)| index).ok_or(best.is_some())
}

fn request_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "a", "b", "c", "ab", "a:b", "a%3Ab", "a%20b", "", "a;x", "b%2Fc", "a%3Fb", "x",
    ]);
    prop::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// Backends that read paths more loosely than we do, written without regard to how we predict them.
fn backends(path: &str) -> Vec<String> {
    let decode = |text: &str| -> String {
        let bytes = text.as_bytes();
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            out.push(byte.unwrap_or(bytes[at]));
            at += if byte.is_some() { 3 } else { 1 };
        }
        String::from_utf8(out).unwrap()
    };
    let cut = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let strip =
        |text: &str| text.split('/').map(|s| s.split(';').next().unwrap()).collect::<Vec<_>>().join("/");
    let resolve = |text: &str| {
        let mut stack = Vec::new();
        for segment in text.split(['/', '\\']) {
            match segment {
                "" | "." => {}
                ".." => drop(stack.pop()),
                segment => stack.push(segment),
            }
        }
        format!("/{}", stack.join("/"))
    };
    let once = decode(path);
    [
        once.clone(),
        decode(&once),
        cut(&once),
        strip(&once),
        decode(&strip(path)),
        cut(&strip(&once)),
        strip(&cut(&once)),
        cut(&decode(&strip(path))),
        strip(&decode(&strip(path))),
    ]
    .iter()
    .map(|text| resolve(text))
    .collect()
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn the_table_agrees_with_a_linear_search(
        drawn in prop::collection::vec(pattern(), 0..12),
        host in prop::sample::select(vec!["a.test", "b.test", "c.test"]),
        path in request_path(),
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "PURGE", "PUT", "TRACE"]),
    ) {
        let mut patterns: Vec<Pattern> = Vec::new();
        for pattern in drawn {
            if !patterns.iter().any(|earlier| do_conflict(earlier, &pattern)) {
                patterns.push(pattern);
            }
        }
        let table = Table::build(patterns.iter().cloned().zip(0_usize..).collect()).unwrap();
        let (path, method): (_, Method) = (clean(&path), method.parse().unwrap());
        let strict = search(&patterns, host, path.as_str(), &method);
        let is_same = |reading: &String| search(&patterns, host, reading, &method) == strict;
        let found = table.find(host, &path, &method);
        let agrees = match (&found, strict) {
            (&Found::Route(&index), Ok(expected)) => {
                index == expected && path.looser_readings().iter().all(is_same)
            }
            (Found::Ambiguous, Ok(_)) => !path.looser_readings().iter().all(is_same),
            (Found::MethodNotAllowed{ allow: allowed, .. }, Err(true)) => {
                let is_taken = |method: &Method| search(&patterns, host, path.as_str(), method).is_ok();
                !allowed.is_empty() && allowed.iter().all(is_taken) && !allowed.contains(&method)
            }
            (Found::NotFound, Err(false)) => true,
            _ => false,
        };
        prop_assert!(agrees, "{:?} but {:?} among {:?}", found, strict, patterns);
    }

    #[test]
    fn conflicts_are_what_the_definition_says(patterns in prop::collection::vec(pattern(), 0..12)) {
        let conflicts = Table::build(patterns.iter().cloned().zip(0..).collect()).err().unwrap_or_default();
        for (second, pattern) in patterns.iter().enumerate() {
            let reported = conflicts.iter().find(|conflict| conflict.second == second);
            let expected = patterns[..second].iter().any(|earlier| do_conflict(earlier, pattern));
            prop_assert_eq!(reported.is_some(), expected);
            prop_assert!(reported.is_none_or(|c| c.first < second && do_conflict(&patterns[c.first], pattern)));
        }
    }

    /// The property behind GHSA-p224, CVE-2026-27587, CVE-2026-41059 and their kin, whatever the spelling.
    #[test]
    fn no_backend_reads_a_public_path_as_a_guarded_one(raw in hostile_path()) {
        let table = table(&["/*", "/admin/*", "/a:b/*", "/b", "/b/"]);
        let Ok(path) = CleanPath::parse(&raw) else { return Ok(()) };
        if table.find("a.test", &path, &Method::GET) == Found::Route(&"/*") {
            for reading in backends(path.as_str()) {
                let is_below = |top: &str| reading.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                let is_guarded = is_below("/admin") || is_below("/a:b") || reading == "/b";
                prop_assert!(!is_guarded, "{:?} is read as {}", path, reading);
            }
        }
    }
}
