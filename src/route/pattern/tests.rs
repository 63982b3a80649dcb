//! Tests of patterns: what can be written, and how specific it is.

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::route::arbitrary::{hostile_path, many, pattern};

fn message(text: &str) -> String {
    PathPattern::parse(text).expect_err(text).to_string()
}

#[test]
fn a_pattern_is_exact_or_a_prefix() {
    for text in ["/", "/*", "/orders", "/orders/", "/orders/*", "/a%20b/*", "/a:b", "/.well-known/*"] {
        let pattern = PathPattern::parse(text).unwrap();
        assert_eq!(pattern.to_string(), text);
        assert_eq!(matches!(pattern, PathPattern::Prefix(_)), text.ends_with('*'));
    }
}

#[test]
fn a_prefix_ends_at_a_segment_boundary() {
    let matches = |pattern: &str, path: &str| PathPattern::parse(pattern).unwrap().matches(path);
    for path in ["/orders", "/orders/", "/orders/7", "/orders/7/lines"] {
        assert!(matches("/orders/*", path) && matches("/*", path), "{path}");
        assert_eq!(matches("/orders", path), path == "/orders");
    }
    for path in ["/ordersx", "/order", "/", "/ORDERS", "/x/orders"] {
        assert!(!matches("/orders/*", path) && matches("/*", path), "{path}");
    }
}

#[test]
fn a_pattern_that_would_never_match_names_the_spelling_that_does() {
    let wants =
        |normalised: &str| format!("no request has this path once it is normalised; write `{normalised}`");
    for (text, normalised) in [
        ("//orders", "/orders"),
        ("/a/../orders/*", "/orders/*"),
        ("/orders//*", "/orders/*"),
        ("//*", "/*"),
        ("/./*", "/*"),
        ("/%6frders", "/orders"),
        ("/a%3ab", "/a:b"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
        ("/my files/*", "/my%20files/*"),
        ("/%c3%a4", "/%C3%A4"),
    ] {
        assert_eq!(message(text), wants(normalised), "{text}");
        PathPattern::parse(normalised).unwrap();
    }
}

#[test]
fn a_pattern_that_cannot_be_meant_is_an_error() {
    let ambiguous = |what| PatternError::Ambiguous(what);
    for (text, error) in [
        ("", PatternError::NotAbsolute),
        ("orders", PatternError::NotAbsolute),
        ("*", PatternError::NotAbsolute),
        ("/*/orders", PatternError::Wildcard),
        ("/orders*", PatternError::Wildcard),
        ("/orders/**", PatternError::Wildcard),
        ("/*/*", PatternError::Wildcard),
        ("/orders?x=1", PatternError::Delimiter('?')),
        ("/orders#x", PatternError::Delimiter('#')),
        ("/orders/{id}", PatternError::Placeholder),
        ("/a;v=1", ambiguous(";")),
        ("/a%3bv", ambiguous("%3B")),
        ("/a%2Fb/*", ambiguous("%2F")),
        ("/a%3F", ambiguous("%3F")),
        ("/a\\b", PatternError::Refused(PathError::Backslash { at: 2 })),
        ("/a\nb", PatternError::Refused(PathError::Control { at: 2, byte: b'\n' })),
        ("/../a", PatternError::Refused(PathError::AboveRoot { at: 1 })),
    ] {
        assert_eq!(PathPattern::parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn the_greatest_pattern_is_the_most_specific() {
    let pattern = |host: Option<&str>, path: &str, methods: &[Method]| {
        let host = host.map(|host| Host::parse(host).unwrap());
        let methods = Methods::of(methods.to_vec()).unwrap_or(Methods::any());
        Pattern::new(host, PathPattern::parse(path).unwrap(), methods)
    };
    let sorted = [
        pattern(Some("a.test"), "/*", &[]),
        pattern(None, "/orders", &[Method::GET]),
        pattern(None, "/orders", &[]),
        pattern(None, "/orders/today/*", &[]),
        pattern(None, "/orders/*", &[Method::GET]),
        pattern(None, "/orders/*", &[Method::POST, Method::PUT]),
        pattern(None, "/orders/*", &[]),
        pattern(None, "/*", &[Method::GET]),
        pattern(None, "/*", &[]),
    ];
    assert!(sorted.is_sorted_by(|a, b| a > b));
    assert_eq!(sorted[0].to_string(), "a.test/*");
    assert_eq!(sorted[5].to_string(), "/orders/* POST,PUT");
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn the_order_agrees_with_equality(a in pattern(), b in pattern(), c in pattern()) {
        prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert!(!(a < b && b < c) || a < c);
    }

    #[test]
    fn a_clean_path_is_a_pattern_that_matches_it(raw in hostile_path()) {
        if let Ok(path) = CleanPath::parse(&raw)
            && path.looser_readings().is_empty()
            && !path.as_str().contains('*')
        {
            prop_assert!(PathPattern::parse(path.as_str()).unwrap().matches(path.as_str()));
        }
    }
}
