//! RFC 7517, RFC 7518 and RFC 7638: the published keys.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use crate::harness::{Gateway, ROUTES, Request, Setup, token};

const JWKS: &str = "/.well-known/jwks.json";

fn with_algorithm(algorithm: &str) -> Gateway {
    Setup::new(ROUTES).set("token.algorithm", &format!("'{algorithm}'")).start()
}

#[track_caller]
fn keys(gateway: &Gateway) -> Vec<Value> {
    gateway.send(&Request::get(JWKS)).json()["keys"].as_array().unwrap().clone()
}

/// The thumbprint as §3 of RFC 7638 says, from what is published: the required members, in the order of their names.
fn thumbprint(key: &Value) -> String {
    let names: &[&str] = match key["kty"].as_str().unwrap() {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        other => panic!("a key of kind {other}"),
    };
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":{}", key[*name])).collect();
    token::encode(digest(&SHA256, format!("{{{}}}", members.join(",")).as_bytes()))
}

/// RFC 7517 §4: `use`, `alg` and `kid`, and nothing but what the public key consists of.
#[test]
fn rfc_7517_s4_a_key_says_what_it_is_for() {
    for (algorithm, members, length) in [
        ("ES256", ["alg", "crv", "kid", "kty", "use", "x", "y"].as_slice(), ("x", 32)),
        ("EdDSA", &["alg", "crv", "kid", "kty", "use", "x"], ("x", 32)),
        // RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used".
        ("RS256", &["alg", "e", "kid", "kty", "n", "use"], ("n", 256)),
    ] {
        let mut gateway = with_algorithm(algorithm);
        let [key] = &keys(&gateway)[..] else { panic!("not one key") };
        let mut names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, members, "{algorithm}");
        assert_eq!((key["use"].as_str(), key["alg"].as_str()), (Some("sig"), Some(algorithm)));
        let number = token::decode(key[length.0].as_str().unwrap());
        assert!(number.len() >= length.1 && (algorithm != "RS256" || number[0] & 0x80 != 0), "{algorithm}");
        // RFC 7638: `kid` is what anybody can compute, and so it is the same for as long as the key is.
        assert_eq!(key["kid"], thumbprint(key), "{algorithm}");
        gateway.restart();
        assert_eq!(&keys(&gateway)[0], key, "{algorithm}");
    }
}

/// RFC 7517 §4.5: "different keys within the JWK Set SHOULD use distinct `kid` values". The set of a rotation has another tag.
#[test]
fn rfc_7517_s4_5_every_key_has_its_own_id() {
    let gateway = Setup::new(ROUTES).set("token.publish_ahead", "'0s'").start();
    let mut tags = BTreeSet::new();
    for count in 1..=3 {
        let keys = keys(&gateway);
        let ids: BTreeSet<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!((ids.len(), keys.len()), (count, count));
        let tag = gateway.send(&Request::get(JWKS)).header("etag").unwrap();
        assert!(tags.insert(tag.clone()), "the tag of another set");
        gateway.cli(["key", "rotate"]).ok();
        let stale = gateway.send(&Request::get(JWKS).header("If-None-Match", &tag));
        assert_eq!(stale.status, 200, "a client that revalidates sees the new key");
    }
}

/// RFC 7517 §8.5.1.
#[test]
fn rfc_7517_s8_5_1_the_media_type_is_that_of_a_set() {
    let gateway = with_algorithm("ES256");
    let response = gateway.send(&Request::get(JWKS));
    assert_eq!(response.header("content-type").as_deref(), Some("application/jwk-set+json"));
    assert_eq!(response.json().as_object().unwrap().len(), 1, "{}", response.text());
}

/// RFC 7518 §3.2: "A key of the same size as the hash output or larger MUST be used"; RFC 8725 §3.5: of full entropy, so it is made by us and
/// never given by a person.
#[test]
fn rfc_7518_s3_2_an_hmac_key_has_256_random_bits() {
    let mut made = BTreeSet::new();
    for _ in 0..3 {
        let mut gateway = with_algorithm("HS256");
        assert_eq!(gateway.terminate(), Some(0));
        let key = gateway.site.hmac_key();
        assert!(key.len() >= 32, "{} bytes", key.len());
        assert!(key.iter().collect::<BTreeSet<_>>().len() > 8, "all alike");
        assert!(made.insert(key), "the same key twice");
    }
}
