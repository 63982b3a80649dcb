//! The configuration through its front door: text in, `Config` or diagnostics out.

mod errors;
mod example;
mod issuers;
mod limits;
mod registration;
mod roundtrip;
mod routes;
mod values;

use std::path::PathBuf;

use super::{Config, Diagnostics, Machine, parse_for};

/// Cases of each property test: 10,000, or what `PROPTEST_CASES` says. A case reads and writes whole files in unoptimised
/// code; a hundred thousand, which CI asks for, take minutes.
pub(super) fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}

/// An upstream and a route, so that a test of something else has no warnings.
const REST: &str = r#"
[upstream.a]
servers = ["http://127.0.0.1:9001"]
[[route]]
path = "/*"
access = "authenticated"
upstream = "a"
"#;

fn parse(text: &str) -> Result<Config, Diagnostics> {
    parse_for(text, "config.toml", &Machine { base: PathBuf::from("/base"), cores: 4 })
}

/// The configuration of a text that must be right.
fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}\n--- in\n{text}"))
}

/// The one-line messages of a text that must be wrong.
fn errors(text: &str) -> Vec<String> {
    parse(text).expect_err(text).iter().collect()
}

/// The only message of a text that must be wrong.
fn error(text: &str) -> String {
    let mut errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

/// Everything that can differ between two configurations but the warnings, whose line numbers may.
fn assert_same(a: &Config, b: &Config) {
    assert_eq!(a.server, b.server);
    assert_eq!(a.store, b.store);
    assert_eq!(a.token, b.token);
    assert_eq!(a.issuers, b.issuers);
    assert_eq!(a.login, b.login);
    assert_eq!(a.registration, b.registration);
    assert_eq!(a.identity_headers, b.identity_headers);
    assert_eq!(a.log, b.log);
    assert_eq!(a.audit, b.audit);
    assert_eq!(a.metrics, b.metrics);
    assert_eq!(a.limits, b.limits);
    assert_eq!(a.upstreams, b.upstreams);
    assert_eq!(a.routes.iter().collect::<Vec<_>>(), b.routes.iter().collect::<Vec<_>>());
}
