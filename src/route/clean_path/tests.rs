//! Tests of [`CleanPath`]: tables of single cases, then what holds for every path.

use proptest::prelude::*;

use super::*;
use crate::route::arbitrary::{any_path, clean, hostile_path, many};

fn parse(path: &str) -> Result<CleanPath, PathError> {
    CleanPath::parse(&PathAndQuery::try_from(path).unwrap())
}

fn refusal(path: &str) -> PathError {
    parse(path).expect_err(path)
}

#[test]
fn a_path_gets_its_normal_form() {
    for (raw, normal) in [
        ("/", "/"),
        ("/orders", "/orders"),
        ("/orders/", "/orders/"),
        ("/.well-known/jwks.json", "/.well-known/jwks.json"),
        ("/...", "/..."),
        ("/a/..b", "/a/..b"),
        ("/ADMIN", "/ADMIN"),
        ("/100%25", "/100%25"),
        ("/a%20b", "/a%20b"),
        ("/gr%c3%b6%C3%9Fe", "/gr%C3%B6%C3%9Fe"),
        ("/%7euser/%2D%5f%41", "/~user/-_A"),
        ("/a%2fb", "/a%2Fb"),
        ("/!$&'()*+,=:@", "/!$&'()*+,=:@"),
        ("//", "/"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/a/./b/.", "/a/b/"),
        ("/a//../b", "/b"),
    ] {
        assert_eq!(parse(raw).unwrap().as_str(), normal, "{raw}");
    }
}

#[test]
fn the_query_is_kept_byte_for_byte() {
    for query in ["", "x=1", "u=http://a/../b//%zz%2e;{}|^`", "a?b", "ä"] {
        for (raw, normal) in [("/a", "/a"), ("/a/../%62", "/b"), ("/a;x", "/a;x"), ("", "/")] {
            let path = parse(&format!("{raw}?{query}")).unwrap();
            assert_eq!(path.path_and_query().as_str(), format!("{normal}?{query}"));
            assert_eq!(path.path_and_query().query(), Some(query));
        }
    }
}

#[test]
fn a_clean_path_shares_its_bytes_with_the_request() {
    let raw = PathAndQuery::try_from("/orders/7?x=1").unwrap();
    let path = CleanPath::parse(&raw).unwrap();
    assert_eq!(path.path_and_query().as_str().as_ptr(), raw.as_str().as_ptr());
}

#[test]
fn cve_2019_9901_a_path_is_normalised_before_it_is_matched() {
    let dots = ["..", "%2e%2e", "%2E.", ".%2e", "%2e%2E"];
    for path in dots.map(|dots| format!("/public/{dots}/admin")) {
        assert_eq!(parse(&path).unwrap().as_str(), "/admin", "{path}");
    }
    for path in
        ["//admin", "/./admin", "/%2e/admin", "///./admin", "/%61dmin", "/public/..//admin", "/admi%6E"]
    {
        assert_eq!(parse(path).unwrap().as_str(), "/admin", "{path}");
    }
    assert_eq!(parse("/admin/.").unwrap().as_str(), "/admin/");
    for path in ["/..", "/../admin", "/a/../../admin", "/%2e%2e/admin", "//../admin", "/a//../../x"] {
        assert!(matches!(refusal(path), PathError::AboveRoot { .. }), "{path}");
    }
}

#[test]
fn cve_2021_29492_escaped_slashes_are_marked_and_escaped_backslashes_refused() {
    for path in ["/admin%2F", "/a%2fb", "/%2Fadmin"] {
        assert!(parse(path).unwrap().has_encoded_slash(), "{path}");
    }
    // What is not forwarded does not matter.
    assert!(!parse("/a%2fb/../admin").unwrap().has_encoded_slash());
    for path in ["/public/..%2fadmin", "/public%2f..%2fadmin", "/public%2F.%2Fadmin"] {
        assert_eq!(refusal(path), PathError::HiddenDots, "{path}");
    }
    for path in ["/admin%5c", "/\\admin", "/public/..%5Cadmin", "/public/..\\admin"] {
        assert!(matches!(refusal(path), PathError::Backslash { .. }), "{path}");
    }
}

#[test]
fn cve_2021_32779_a_fragment_is_no_part_of_the_path() {
    // `http` drops a raw fragment; nothing of it can come back.
    assert_eq!(parse("/admin#/../public").unwrap().path_and_query().as_str(), "/admin");
    assert_eq!(parse("/admin%23x").unwrap().looser_readings(), ["/admin"]);
}

#[test]
fn cve_2025_66490_escaped_delimiters_have_their_looser_reading() {
    for path in ["/admin;x=1", "/admin%3Bx", "/admin%3f", "/admin%23", "/admin%2f;x", "/admin;%2fx"] {
        let path = parse(path).unwrap();
        let is_admin = |reading: &String| reading.trim_end_matches('/') == "/admin";
        assert!(path.looser_readings().iter().any(is_admin), "{path:?}");
    }
    assert_eq!(refusal("/public/..;/admin"), PathError::HiddenDots);
}

#[test]
fn double_encoding_is_refused_however_it_is_spelled() {
    for path in ["/%252e%252e/admin", "/%252f", "/%25%32%65", "/%252%65", "/%25%320", "/x%25aFx"] {
        assert!(matches!(refusal(path), PathError::DoubleEncoding { .. }), "{path}");
    }
    assert_eq!(parse("/%25zz").unwrap().as_str(), "/%25zz");
}

#[test]
fn an_error_says_what_and_where_and_prints_no_control_character() {
    for (path, message) in [
        ("/orders%zz", "percent escape %zz at byte 7 is malformed"),
        ("/a/%", "percent escape % at byte 3 is malformed"),
        ("/%/a", "percent escape %/a at byte 1 is malformed"),
        ("/%ä", "percent escape %\\xc3\\xa4 at byte 1 is malformed"),
        ("/admin%00", "control character 0x00 at byte 6"),
        ("/a%1b", "control character 0x1b at byte 2"),
        ("/a%7F", "control character 0x7f at byte 2"),
        ("/a%5cb", "backslash at byte 2"),
        ("/%252e", "doubly encoded escape at byte 1"),
        ("/\"", "byte 0x22 at byte 1 cannot stand in a path without an escape"),
        ("/ä", "byte 0xc3 at byte 1 cannot stand in a path without an escape"),
        ("/a/%c0%af", "the percent escapes at byte 3 are not UTF-8"),
        ("/%c3/%a4", "the percent escapes at byte 1 are not UTF-8"),
        ("/%ed%a0%80", "the percent escapes at byte 1 are not UTF-8"),
        ("/a/../..", "`..` at byte 6 leads above the root"),
        ("*", "the request target `*` is not a path"),
    ] {
        assert_eq!(refusal(path).to_string(), message, "{path}");
    }
}

#[test]
fn cve_2026_40912_cve_2026_48020_a_stripped_path_is_judged_again() {
    for (path, prefix, rest) in [
        ("/api/x?q", "/api", "/x?q"),
        ("/api/x", "/api/", "/x"),
        ("/api", "/api", "/"),
        ("/api?q", "/api", "/?q"),
        ("/api/", "/api", "/"),
        ("/x", "", "/x"),
        ("/x", "/", "/x"),
        ("/api/a%2Fb", "/api", "/a%2Fb"),
    ] {
        assert_eq!(clean(path).without_prefix(prefix).unwrap().path_and_query().as_str(), rest, "{path}");
    }
    for path in ["/apix", "/x", "/api../x", "/api%2Fx", "/api;x/y"] {
        assert_eq!(clean(path).without_prefix("/api").unwrap_err(), PathError::OutsidePrefix, "{path}");
    }
    for path in ["/api/..%2f", "/api/..;/x", "/api%2f../x/"] {
        assert_eq!(refusal(path), PathError::HiddenDots, "{path}");
    }
    assert_eq!(clean("/api%2e%2e/").without_prefix("/api").unwrap_err(), PathError::OutsidePrefix);
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn normalising_twice_changes_nothing(raw in prop_oneof![hostile_path(), any_path()]) {
        if let Ok(path) = CleanPath::parse(&raw) {
            prop_assert_eq!(CleanPath::parse(path.path_and_query()), Ok(path));
        }
    }

    #[test]
    fn a_clean_path_holds_nothing_that_could_be_read_twice(raw in prop_oneof![hostile_path(), any_path()]) {
        if let Ok(path) = CleanPath::parse(&raw) {
            let text = path.as_str();
            prop_assert!(text.starts_with('/'));
            prop_assert!(!text.contains("//") && !text.contains('\\') && text.is_ascii());
            prop_assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(text.bytes().all(|byte| byte == b'/' || byte == b'%' || is_pchar(byte)));
            for (at, _) in text.match_indices('%') {
                let escape = &text[at..at + 3];
                let byte = escaped_byte(text.as_bytes(), at).unwrap();
                prop_assert_eq!(escape, escape.to_ascii_uppercase());
                prop_assert!(!is_unreserved(byte) && !byte.is_ascii_control() && byte != b'\\');
            }
            prop_assert_eq!(path.path_and_query().query(), raw.query());
            prop_assert_eq!(path.has_encoded_slash(), text.contains("%2F"));
        }
    }

    #[test]
    fn the_fast_way_and_the_slow_way_agree(raw in prop_oneof![hostile_path(), any_path()]) {
        if is_plain(raw.path()) && raw.path() != "*" {
            prop_assert_eq!(normalise(raw.path()), Ok(raw.path().to_owned()));
            prop_assert_eq!(looser::readings(raw.path()), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_stripped_path_is_clean_and_the_rest_of_the_whole(raw in hostile_path(), prefix in "(/a|/admin|/public)?") {
        if let Ok(path) = CleanPath::parse(&raw)
            && let Ok(rest) = path.without_prefix(&prefix)
        {
            let whole = format!("{prefix}{}", rest.as_str());
            prop_assert!(whole == path.as_str() || whole.strip_suffix('/') == Some(path.as_str()));
            prop_assert_eq!(CleanPath::parse(rest.path_and_query()), Ok(rest));
        }
    }
}
