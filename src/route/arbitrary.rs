//! What the property tests of this module draw from.

use http::uri::PathAndQuery;
use proptest::prelude::*;

use super::{CleanPath, Host, Methods, PathPattern, Pattern};

/// 100,000 cases, or what `PROPTEST_CASES` says.
pub(super) fn many() -> ProptestConfig {
    let default = ProptestConfig {
        failure_persistence: None,
        max_local_rejects: u32::MAX,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases: 100_000, ..default }
    }
}

pub(super) fn clean(path: &str) -> CleanPath {
    CleanPath::parse(&PathAndQuery::try_from(path).unwrap()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const PIECES: &str = r#"
    / / / // . .. /. /.. /../ %2e %2E %2f %2F %5c \ ; %3b %3B ..; %3f %3F %23 # %25 %2 % %zz %00 %7f %0a 2e 2f 32 %32
    %65 5 f a b A ~ admin %61dmin ADMIN public a:b a%3ab a%3Ab x=1 * @ %40 %7e %20 " { | ä %c3%a4 %C3%A4 %c3 %a4 %c0%af
    %e0%80%af ? ?q=/../%zz
"#;

/// Paths put together from the pieces that attacks are made of, so that they meet each other often.
pub(super) fn hostile_path() -> impl Strategy<Value = PathAndQuery> {
    let pieces: Vec<&str> = PIECES.split_whitespace().collect();
    let path =
        prop::collection::vec(prop::sample::select(pieces), 0..10).prop_map(|v| format!("/{}", v.concat()));
    path.prop_filter_map("not a request target", |path| PathAndQuery::try_from(path).ok())
}

/// Whatever `http` takes for a path.
pub(super) fn any_path() -> impl Strategy<Value = PathAndQuery> {
    let byte = prop_oneof![4 => 0x21..=0x7e_u8, 1 => any::<u8>(), 3 => prop::sample::select(b"/.%25cCfF;?".to_vec())];
    let bytes = (prop::sample::select(b"///?*".to_vec()), prop::collection::vec(byte, 0..24));
    bytes.prop_filter_map("not a request target", |(first, mut rest)| {
        rest.insert(0, first);
        PathAndQuery::try_from(rest).ok()
    })
}

/// Patterns over so few names that they often meet.
pub(super) fn pattern() -> impl Strategy<Value = Pattern> {
    let host =
        prop_oneof![2 => Just(None), 1 => prop::sample::select(vec!["a.test", "b.test"]).prop_map(Some)];
    let path = prop::sample::select(vec![
        "/", "/*", "/a", "/a/", "/a/*", "/a/b", "/a/b/", "/a/b/*", "/a/b/c", "/a/b/c/*", "/b", "/b/*",
        "/b/a", "/ab", "/ab/*", "/a:b", "/a:b/*", "/a%20b",
    ]);
    let names = prop::sample::subsequence(vec!["DELETE", "GET", "HEAD", "POST", "PURGE"], 0..4);
    (host, path, names).prop_map(|(host, path, names)| {
        let named = names.iter().map(|name| name.parse().unwrap()).collect();
        let host = host.map(|host| Host::parse(host).unwrap());
        Pattern::new(host, PathPattern::parse(path).unwrap(), Methods::of(named).unwrap_or(Methods::any()))
    })
}
