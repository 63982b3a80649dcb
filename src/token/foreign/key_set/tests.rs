use proptest::prelude::*;
use serde_json::{Value, json};

use super::{KeySet, KeySetError};
use crate::config::{Algorithm, ForeignAlgorithm};
use crate::token::TokenError;
use crate::token::json::Fault;
use crate::token::testing::{encode, key, sign, some};

const ALL: [ForeignAlgorithm; 9] = ForeignAlgorithm::ALL;

/// The public half of a key of ours with this `kid`.
fn jwk(algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = serde_json::to_value(key(algorithm).jwk().unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    jwk
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn parse(keys: &[Value]) -> Result<(KeySet, Vec<super::Ignored>), KeySetError> {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), &ALL)
}

fn set(keys: &[Value]) -> KeySet {
    let (set, ignored) = parse(keys).unwrap();
    assert_eq!(ignored, []);
    set
}

/// Why a key is left out.
fn reason(key: &Value) -> &'static str {
    match parse(std::slice::from_ref(key)) {
        Err(KeySetError::Empty(Some(ignored))) => ignored.reason,
        other => panic!("{other:?}: {key}"),
    }
}

#[test]
fn a_key_verifies_what_it_signed_with_its_own_algorithm() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let set = set(&[jwk(algorithm, "k")]);
        let (found, named) = set.find(Some("k"), algorithm.name()).unwrap();
        let token = sign(&key(algorithm), "message");
        let signature = token.strip_prefix("message.").unwrap();
        assert!(found.verifies(named, b"message", signature));
        assert!(!found.verifies(named, b"massage", signature));
        assert!(!found.verifies(named, b"message", &format!("{signature}=")));
        assert!(!found.verifies(named, b"message", ""));
    }
}

#[test]
fn a_key_without_alg_is_for_all_that_its_type_can_and_the_configuration_allows() {
    let rsa = without(jwk(Algorithm::Rs256, "r"), "alg");
    let everything = set(std::slice::from_ref(&rsa));
    for (alg, fits) in [("RS256", true), ("PS512", true), ("ES256", false), ("HS256", false), ("none", false)]
    {
        let found = everything.find(Some("r"), alg).map(|(_, algorithm)| algorithm.name());
        assert_eq!(found, if fits { Ok(alg) } else { Err(TokenError::ForeignAlgorithm) });
    }
    let text = json!({"keys": [rsa]}).to_string();
    let (set, _) = KeySet::parse(text.as_bytes(), &[ForeignAlgorithm::Ps256]).unwrap();
    assert!(set.find(Some("r"), "PS256").is_ok());
    assert!(matches!(set.find(Some("r"), "RS256"), Err(TokenError::ForeignAlgorithm)));
}

#[test]
fn a_token_finds_one_key_or_none() {
    let (es, ed) = (jwk(Algorithm::Es256, "e"), jwk(Algorithm::EdDsa, "d"));
    let nameless = without(jwk(Algorithm::Rs256, ""), "kid");
    let all = set(&[es.clone(), ed.clone(), nameless]);
    let error = |kid: Option<&str>, alg: &str| all.find(kid, alg).map(|_| ()).unwrap_err();
    assert!(all.find(Some("e"), "ES256").is_ok() && all.find(Some("d"), "EdDSA").is_ok());
    for alg in ["ES256", "EdDSA", "RS256"] {
        assert!(all.find(None, alg).is_ok(), "only one fits {alg}");
    }
    assert_eq!(error(Some("e"), "EdDSA"), TokenError::ForeignAlgorithm);
    assert_eq!(error(None, "ES384"), TokenError::ForeignAlgorithm);
    assert_eq!(error(Some(""), "RS256"), TokenError::UnknownKey, "a key without a name is named by nothing");
    let twins = set(&[es.clone(), with(ed.clone(), "kid", json!("e")), with(es, "kid", json!("f"))]);
    assert!(twins.find(Some("e"), "ES256").is_ok(), "the same name, another type (RFC 7517 §4.5)");
    assert!(matches!(twins.find(None, "ES256"), Err(TokenError::AmbiguousKey)));
}

#[test]
fn keys_that_cannot_be_used_are_left_out_and_the_others_serve() {
    let (es, ed, rsa) = (jwk(Algorithm::Es256, "e"), jwk(Algorithm::EdDsa, "d"), jwk(Algorithm::Rs256, "r"));
    let short = encode([0xff; 128]);
    for (key, expected) in [
        (json!({"kty": "oct", "k": "AAAA"}), "symmetric"),
        (with(ed.clone(), "d", json!("AAAA")), "private"),
        (with(rsa.clone(), "dp", json!("AAAA")), "private"),
        (with(es.clone(), "k", json!("AAAA")), "private"),
        (with(es.clone(), "use", json!("enc")), "not for signatures"),
        (with(es.clone(), "key_ops", json!(["sign"])), "not for signatures"),
        (with(es.clone(), "key_ops", json!("verify")), "wrong type"),
        (with(es.clone(), "kid", json!(7)), "wrong type"),
        (with(es.clone(), "kid", json!("k".repeat(600))), "too long"),
        (with(es.clone(), "alg", json!("ES384")), "none of the `algorithms`"),
        (with(es.clone(), "alg", json!("RS256")), "none of the `algorithms`"),
        (with(rsa.clone(), "alg", json!("RSA-OAEP")), "none of the `algorithms`"),
        (with(rsa.clone(), "alg", json!("HS256")), "none of the `algorithms`"),
        (with(es.clone(), "crv", json!("secp256k1")), "not supported"),
        (with(es.clone(), "crv", json!("P-384")), "wrong length"),
        (with(ed.clone(), "crv", json!("X25519")), "not supported"),
        (with(ed.clone(), "x", json!(encode([1; 31]))), "not a point"),
        (with(es.clone(), "x", json!(encode([1; 32]))), "not a point"),
        (with(es.clone(), "x", json!(format!("{}=", es["x"].as_str().unwrap()))), "not base64url"),
        (without(es.clone(), "y"), "lacks"),
        (with(rsa.clone(), "n", json!(short)), "2048"),
        (with(rsa.clone(), "n", json!(encode([0xff; 2000]))), "2048"),
        (with(rsa.clone(), "n", json!("")), "2048"),
        (with(rsa.clone(), "n", json!(encode([0xfe; 256]))), "bad modulus"),
        (with(rsa.clone(), "e", json!("AQ")), "bad modulus or exponent"),
        (with(rsa.clone(), "e", json!("")), "bad modulus or exponent"),
        (with(rsa.clone(), "e", json!("AAAA")), "bad modulus or exponent"),
        (with(rsa.clone(), "e", json!(encode([1; 5]))), "bad modulus or exponent"),
        (with(es.clone(), "kty", json!("ec")), "unknown `kty`"),
        (with(es.clone(), "kty", Value::Null), "wrong type"),
        (without(es.clone(), "kty"), "no `kty`"),
        (json!("x"), "not an object"),
    ] {
        let told = reason(&key);
        assert!(told.contains(expected), "{expected}: {told}");
        let (set, ignored) = parse(&[key, with(ed.clone(), "kid", json!("good"))]).unwrap();
        assert_eq!((set.count(), ignored.len(), ignored[0].position), (1, 1, 0));
        assert!(set.find(Some("good"), "EdDSA").is_ok());
    }
    // What other verifiers know of a key is none of our business, and a zero before a number changes nothing.
    let more = with(with(es, "x5c", json!(["AAAA"])), "x5t#S256", json!("x"));
    let padded = [&[0][..], &crate::token::testing::decode(rsa["n"].as_str().unwrap())].concat();
    assert_eq!(set(&[more, with(rsa, "n", json!(encode(padded)))]).count(), 2);
}

#[test]
fn what_is_no_set_is_refused() {
    let of = |text: &str| KeySet::parse(text.as_bytes(), &ALL).map(|_| ()).unwrap_err();
    assert_eq!(of(""), KeySetError::Json(Fault::Syntax));
    assert_eq!(of("[]"), KeySetError::Json(Fault::Syntax));
    assert_eq!(of("{}"), KeySetError::Json(Fault::Missing("keys")));
    assert_eq!(of(r#"{"keys":{}}"#), KeySetError::Json(Fault::Member("keys")));
    assert_eq!(of(r#"{"keys":[],"keys":[]}"#), KeySetError::Json(Fault::Duplicate));
    assert_eq!(of(r#"{"keys":[{"kty":"EC","kty":"oct"}]}"#), KeySetError::Json(Fault::Duplicate));
    assert_eq!(of(r#"{"keys":[]}"#), KeySetError::Empty(None));
    let many: Vec<Value> = (0..101).map(|number| jwk(Algorithm::Es256, &number.to_string())).collect();
    assert_eq!(parse(&many).map(|_| ()), Err(KeySetError::TooMany(101)));
    assert_eq!(set(&many[..100]).count(), 100);
}

#[test]
fn sets_are_the_same_for_the_same_keys_alone() {
    let (es, ed) = (jwk(Algorithm::Es256, "e"), jwk(Algorithm::EdDsa, "d"));
    let first = set(&[es.clone(), ed.clone()]);
    let with_more = with(es.clone(), "x5t", json!("changes nothing"));
    assert_eq!(first.id(), set(&[with_more, ed.clone()]).id());
    for other in [
        vec![es.clone()],
        vec![with(es.clone(), "kid", json!("x")), ed.clone()],
        vec![without(es.clone(), "kid"), ed.clone()],
        vec![es.clone(), ed.clone(), with(es.clone(), "kid", json!("x"))],
    ] {
        assert_ne!(first.id(), set(&other).id(), "{other:?}");
    }
    // Some servers list them in another order each time.
    assert_eq!(first.id(), set(&[ed.clone(), es.clone()]).id());
    let twice = set(&[es.clone(), ed, es]);
    assert_eq!((first.id(), twice.count()), (twice.id(), 2));
    assert!(twice.find(Some("e"), "ES256").is_ok(), "one key that is listed twice is one key");
    let rsa = jwk(Algorithm::Rs256, "r");
    assert_ne!(set(std::slice::from_ref(&rsa)).id(), set(&[without(rsa, "alg")]).id());
}

/// A member of a key, likely to be nearly right.
fn member() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(EC|RSA|OKP|oct|P-256|P-384|Ed25519|sig|enc|ES256|RS256|EdDSA|AQAB)".prop_map(Value::from),
        "[A-Za-z0-9_=-]{0,90}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| encode(bytes).into()),
    ]
}

proptest! {
    #![proptest_config(some())]

    #[test]
    fn any_set_is_read_without_panic_and_what_is_accepted_is_for_what_is_allowed(
        mut jwk in prop::sample::select(vec![
            jwk(Algorithm::Es256, "k"), jwk(Algorithm::EdDsa, "k"), jwk(Algorithm::Rs256, "k"), json!({}),
        ]),
        changes in prop::collection::vec(
            ("(kty|use|key_ops|alg|kid|crv|x|y|n|e|d|k)", member()), 0..3,
        ),
        allowed in prop::sample::subsequence(ALL.to_vec(), 0..9),
    ) {
        for (name, value) in changes {
            jwk[name] = value;
        }
        if let Ok((set, ignored)) = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes(), &allowed) {
            prop_assert!(set.count() == 1 && ignored.is_empty());
            for algorithm in ALL {
                let found = set.find(None, algorithm.name());
                prop_assert!(found.is_err() || allowed.contains(&algorithm));
                if let Ok((key, algorithm)) = found {
                    prop_assert!(!key.verifies(algorithm, b"message", "AAAA"));
                }
            }
            prop_assert!(set.find(None, "HS256").is_err() && set.find(None, "none").is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeySet::parse(&bytes, &ALL);
    }
}
