//! `[[issuer]]`.

use std::path::PathBuf;
use std::time::Duration;

use super::{REST, assert_same, config, error, errors, parse};
use crate::config::{FetchUrl, ForeignAlgorithm, ForeignIssuer, KeySource};

/// A file with one good issuer and these lines more.
fn issuer(lines: &str) -> String {
    format!(
        "[[issuer]]\nname = \"kc\"\nissuer = \"https://a.example/r\"\naudience = \"api\"\n{lines}\n{REST}"
    )
}

fn only(text: &str) -> ForeignIssuer {
    let config = config(text);
    assert_eq!(config.issuers.len(), 1);
    assert_same(&config, &super::config(&config.to_string()));
    config.issuers[0].clone()
}

#[test]
fn an_issuer_needs_a_name_itself_and_an_audience() {
    let it = only(&issuer(""));
    assert!(matches!(&it.keys, KeySource::Discovery(url) if url.to_string() == "https://a.example/r"));
    assert_eq!((it.user_prefix.as_str(), it.audience.as_slice()), ("kc:", &["api".to_owned()][..]));
    assert_eq!(it.user_claim.iter().collect::<Vec<_>>(), ["sub"]);
    assert!(it.roles_claim.is_none() && it.roles.is_empty() && it.ca_file.is_none());
    assert_eq!(it.refresh, Duration::from_secs(3600));
    let missing = errors(&format!("[[issuer]]\n{REST}"));
    assert_eq!(missing.len(), 3, "{missing:#?}");
    for (message, key) in missing.iter().zip(["name", "issuer", "audience"]) {
        assert!(message.contains(&format!("issuer[0].{key}: this key is missing")), "{missing:#?}");
    }
}

#[test]
fn everything_that_can_be_said_is_read_and_written() {
    let it = only(&issuer(
        "jwks_file = \"keys/set.json\"\nalgorithms = \"ES384\"\nuser_claim = [\"https://x.example/id\"]\n\
         user_prefix = \"staff:\"\nroles_claim = \"realm_access.roles\"\n\
         roles = { \"a b\" = \"admin\", \"\\\"\" = [\"x\", \"y\"] }\nrefresh = \"5s\"",
    ));
    assert_eq!(it.keys, KeySource::File(PathBuf::from("/base/keys/set.json")));
    assert_eq!(it.algorithms, [ForeignAlgorithm::Es384]);
    assert_eq!(it.user_claim.iter().collect::<Vec<_>>(), ["https://x.example/id"]);
    assert_eq!(it.roles_claim.unwrap().iter().collect::<Vec<_>>(), ["realm_access", "roles"]);
    assert_eq!(it.roles["a b"].to_string(), "admin");
    assert_eq!(it.roles["\""].to_string(), "x,y");
    let it = only(&issuer("jwks_url = \"https://k.example:8443/keys?a=b\"\nca_file = \"ca.pem\""));
    assert!(
        matches!(&it.keys, KeySource::Url(url) if url.port() == 8443 && url.path_and_query() == "/keys?a=b")
    );
    assert_eq!(it.ca_file, Some(PathBuf::from("/base/ca.pem")));
}

#[test]
fn keys_are_fetched_over_tls_or_from_this_host() {
    for good in [
        "https://a.example",
        "https://a.example:1/x?y",
        "http://127.0.0.1:9/x",
        "http://[::1]/x",
        "http://localhost/",
    ] {
        assert!(FetchUrl::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "a.example",
        "//a.example/x",
        "http://a.example/x",
        "http://169.254.169.254/x",
        "ftp://a.example/x",
        "file:///etc/passwd",
        "https://u:p@a.example/x",
        "https://a.example/x#y",
        "https://a.example:0/x",
        "https://:443/",
        "https://a.example:99999/",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "https:///x",
        "unix:/run/x.sock",
    ] {
        assert!(FetchUrl::parse(bad).is_err(), "{bad}");
        assert!(
            error(&issuer(&format!("jwks_url = {bad:?}")))
                .contains("issuer[0].jwks_url: expected an https URL"),
            "{bad}"
        );
    }
    assert_eq!(FetchUrl::parse("https://[::1]/x").unwrap().host(), "::1");
    let plain = error(&issuer("").replace("https://a.example/r", "http://a.example/r"));
    assert!(
        plain.contains("issuer[0].issuer: is no https URL") && plain.contains("jwks_url or jwks_file"),
        "{plain}"
    );
    let opaque = issuer("jwks_file = \"k\"").replace("https://a.example/r", "urn:some:issuer");
    assert_eq!(only(&opaque).issuer, "urn:some:issuer");
}

#[test]
fn what_cannot_be_right_is_refused_with_its_place() {
    for (lines, expected) in [
        (
            "jwks_url = \"https://a.example/k\"\njwks_file = \"k\"",
            "issuer[0].jwks_file: stands beside jwks_url",
        ),
        ("jwks_file = \"k\"\nca_file = \"c\"", "issuer[0].ca_file: has no meaning beside jwks_file"),
        (
            "jwks_url = \"http://127.0.0.1/k\"\nca_file = \"c\"",
            "issuer[0].ca_file: has no meaning without https",
        ),
        ("algorithms = [\"HS256\"]", "issuer[0].algorithms[0]: expected one of"),
        ("algorithms = [\"none\"]", "issuer[0].algorithms[0]: expected one of"),
        ("algorithms = []", "issuer[0].algorithms: expected at least one"),
        ("algorithms = [\"ES256\", \"ES256\"]", "issuer[0].algorithms: given twice"),
        ("user_claim = \"\"", "issuer[0].user_claim: expected 1 to 6 names"),
        ("user_claim = \"a..b\"", "issuer[0].user_claim: expected 1 to 6 names"),
        ("user_claim = []", "issuer[0].user_claim: expected 1 to 6 names"),
        ("user_claim = [1]", "issuer[0].user_claim: expected names of claims"),
        ("user_claim = 1", "issuer[0].user_claim: expected names of claims"),
        ("user_prefix = \"\"", "issuer[0].user_prefix: expected letters"),
        ("user_prefix = \"kc\"", "issuer[0].user_prefix: expected letters"),
        ("user_prefix = \"a:b:\"", "issuer[0].user_prefix: expected letters"),
        ("user_prefix = \":\"", "issuer[0].user_prefix: expected letters"),
        ("user_prefix = \"a b:\"", "issuer[0].user_prefix: expected letters"),
        ("roles = { a = \"b\" }", "issuer[0].roles: needs roles_claim"),
        ("roles_claim = \"r\"\nroles = { a = \"b c\" }", "issuer[0].roles: a role must be"),
        (
            "roles_claim = \"r\"\nroles = { a = 1 }",
            "issuer[0].roles: expected a role or an array of roles for \"a\"",
        ),
        ("roles_claim = \"r\"\nroles = \"a\"", "issuer[0].roles: expected {"),
        ("refresh = \"0s\"", "issuer[0].refresh: must be 1s to 7d"),
        ("unknown_kid_interval = \"10ms\"", "issuer[0].unknown_kid_interval: must be 100ms to 1h"),
        ("timeout = \"2m\"", "issuer[0].timeout: must be 100ms to 1m"),
        ("jwks_uri = \"https://a.example/k\"", "issuer[0].jwks_uri: unknown key; did you mean \"jwks_url\"?"),
    ] {
        let error = error(&issuer(lines));
        assert!(error.contains(expected) && error.starts_with("config.toml:"), "{lines}: {error}");
    }
    let single = error(&issuer("").replace("[[issuer]]", "[issuer]"));
    assert!(single.contains("issuer: expected tables [[issuer]], found a table"), "{single}");
    let named = error(&issuer("").replace("\"kc\"", "\"a b\""));
    assert!(named.contains("issuer[0].name: an issuer name must be"), "{named}");
    let audience = error(&issuer("").replace("\"api\"", "[]"));
    assert!(audience.contains("issuer[0].audience: expected at least one"), "{audience}");
}

#[test]
fn issuers_cannot_be_taken_for_each_other_or_for_us() {
    let own = format!("[token]\nissuer = \"https://a.example/r\"\n{}", issuer(""));
    assert!(error(&own).contains("issuer[0].issuer: is token.issuer"), "{}", error(&own));
    let twice = format!("{}{}", issuer("").replace(REST, ""), issuer(""));
    let errors = errors(&twice);
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors.iter().all(|error| error.contains("another issuer has the same")), "{errors:#?}");
    let two = twice.replacen("\"kc\"", "\"o\"", 1).replacen("a.example", "b.example", 1);
    assert_eq!(config(&two).issuers.len(), 2);
    // Many backends look up names without regard to case, as is done here with usernames.
    let alike = super::errors(&two.replacen("\"o\"", "\"KC\"", 1));
    assert_eq!(alike.len(), 2, "{alike:#?}");
    assert!(alike.iter().all(|error| error.contains("another issuer has the same")), "{alike:#?}");
}

#[test]
fn all_roles_that_a_token_can_have_fit_into_a_header() {
    let map = |count: usize| {
        let roles: Vec<String> = (0..count).map(|number| format!("\"{number:0>61}\"")).collect();
        issuer(&format!("roles_claim = \"r\"\nroles = {{ a = [{}] }}", roles.join(",")))
    };
    assert_eq!(only(&map(64)).roles.len(), 1);
    assert!(error(&map(65)).contains("more than 4096 bytes together"), "{}", error(&map(65)));
}

#[test]
fn a_claim_without_a_map_is_warned_of() {
    let config = parse(&issuer("roles_claim = \"roles\"")).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0].contains("issuer[0].roles_claim: grants nothing without roles"),
        "{:?}",
        config.warnings
    );
    assert_eq!(parse(&issuer("roles_claim = \"roles\"\nroles = {}")).unwrap().warnings, [""; 0]);
}
