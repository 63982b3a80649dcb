//! SECURITY group J through the front door: tokens that must not pass. `token` has the same with many more cases.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use crate::harness::token::{self, encode, hs256, signing_input};
use crate::harness::{Gateway, ROUTES, Request, Setup};

const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "RS256", "HS256"];

fn gateway_and_token(algorithm: &str) -> (Gateway, String) {
    let gateway = Setup::new(ROUTES).set("token.algorithm", &format!("'{algorithm}'")).start();
    let token = gateway.token_for("alice", "reader");
    assert_eq!(
        gateway.get("/orders/7", &token).status,
        200,
        "the token that the others are made from passes"
    );
    (gateway, token)
}

/// Nothing but the first request of [`gateway_and_token`] reaches the backend, and no answer shows the token.
#[track_caller]
fn assert_refused(gateway: &Gateway, what: &str, token: &str) {
    let response = gateway.get("/orders/7", token);
    assert!(matches!(response.status, 400 | 401 | 431), "{what}: {} for {token}", response.status);
    if response.status == 401 {
        let challenge = response.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
    }
    assert!(token.len() < 20 || !response.text().contains(token), "{what}: the answer shows the token");
    assert_eq!(gateway.backend.count(), 1, "{what} reached the backend");
}

/// CVE-2016-10555 and CVE-2026-33322: the token does not choose how it is verified.
#[test]
fn cve_2016_10555_the_token_does_not_choose_the_algorithm() {
    for algorithm in ALGORITHMS {
        let (gateway, good) = gateway_and_token(algorithm);
        let token::Parts { mut header, claims, signature } = token::parts(&good);
        let keys = gateway.send(&Request::get("/.well-known/jwks.json"));
        for alg in [
            "none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "ES256", "ES384", "EdDSA",
            "RS256", "RS512", "PS256", "XX",
        ] {
            header["alg"] = json!(alg);
            let input = signing_input(&header, &claims);
            assert_refused(&gateway, &format!("{alg} without a signature"), &format!("{input}."));
            assert_refused(
                &gateway,
                &format!("{alg} with the old signature"),
                &format!("{input}.{signature}"),
            );
        }
        header["alg"] = json!("HS256");
        for key in public_key_bytes(&keys.json(), &keys.body) {
            assert_refused(&gateway, "HS256 by the public key", &hs256(&header, &claims, &key));
        }
        for alg in [Value::Null, json!(7), json!(["ES256"])] {
            header["alg"] = alg;
            assert_refused(
                &gateway,
                "alg of another type",
                &format!("{}.{signature}", signing_input(&header, &claims)),
            );
        }
        header.as_object_mut().unwrap().remove("alg");
        assert_refused(&gateway, "no alg", &format!("{}.{signature}", signing_input(&header, &claims)));
    }
}

/// All forms of the public key that an attacker would try as an HMAC secret.
fn public_key_bytes(keys: &Value, body: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![body.to_vec(), Vec::new()];
    for key in keys["keys"].as_array().unwrap() {
        forms.push(key.to_string().into_bytes());
        for member in ["x", "y", "n", "e", "kid"] {
            if let Some(text) = key[member].as_str() {
                forms.push(text.as_bytes().to_vec());
                forms.push(token::decode(text));
            }
        }
    }
    forms
}

#[test]
fn what_was_signed_cannot_be_changed() {
    for algorithm in ALGORITHMS {
        let (gateway, good) = gateway_and_token(algorithm);
        let token::Parts { header, claims, signature } = token::parts(&good);
        for (name, value) in [
            ("username", json!("admin")),
            ("roles", json!(["admin"])),
            ("exp", json!(99_999_999_999_u64)),
            ("exp", Value::Null),
            ("sub", json!("00000000-0000-7000-8000-000000000000")),
            ("ver", json!(99)),
        ] {
            let mut forged = claims.clone();
            forged[name] = value;
            assert_refused(&gateway, name, &format!("{}.{signature}", signing_input(&header, &forged)));
        }
        let middle = good.find('.').unwrap() + 5;
        for at in [0, middle, good.len() - signature.len() / 2] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_refused(&gateway, &format!("byte {at}"), &String::from_utf8(bytes).unwrap());
        }
        assert_refused(&gateway, "an empty signature", &format!("{}.", &good[..good.rfind('.').unwrap()]));
    }
}

/// J2: the key is found by its own name, never by what the token brings or points to.
#[test]
fn the_token_brings_no_key() {
    let (gateway, good) = gateway_and_token("ES256");
    let token::Parts { header, claims, .. } = token::parts(&good);
    let secret = b"an attacker's secret of 32 bytes";
    let long = "k".repeat(4000);
    let strange = ["../../../../dev/null", "' UNION SELECT 'x'--", "", "\0", long.as_str()];
    for kid in strange {
        let forged = json!({"typ": "at+jwt", "alg": "HS256", "kid": kid});
        for key in [&secret[..], b"", b"\0"] {
            assert_refused(&gateway, kid, &hs256(&forged, &claims, key));
        }
    }
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("x5u", json!("http://127.0.0.1:1/cert.pem")),
        ("jwk", json!({"kty": "oct", "k": encode(secret)})),
        ("x5c", json!([STANDARD.encode(secret)])),
    ] {
        let mut forged = header.clone();
        forged["alg"] = json!("HS256");
        forged[name] = value;
        assert_refused(&gateway, name, &hs256(&forged, &claims, secret));
        forged.as_object_mut().unwrap().remove("kid");
        assert_refused(&gateway, name, &hs256(&forged, &claims, secret));
    }
}

/// J7: one token has one spelling, or the cache of verified tokens and the revocation of one could be passed by.
#[test]
fn a_token_has_one_spelling() {
    for algorithm in ALGORITHMS {
        let (gateway, good) = gateway_and_token(algorithm);
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
        let raw = token::decode(signature);
        for (what, token) in [
            ("padding", format!("{header}.{claims}.{}", URL_SAFE.encode(&raw))),
            ("padding in the claims", format!("{header}.{claims}=.{signature}")),
            ("a line end", format!("{header}.{claims}.{signature}%0A")),
            ("a dot more", format!("{good}.")),
            ("a dot before", format!(".{good}")),
            ("four parts", format!("{good}.{signature}")),
            ("five parts", format!("{good}..")),
            ("two parts", format!("{header}.{claims}")),
            ("one part", header.to_owned()),
            ("a null", format!("{good}\u{1}")),
        ] {
            if token == good {
                continue; // This signature needs no padding.
            }
            let mut client = gateway.connect();
            client.send(Request::get("/orders/7").bearer(&token).encode("h"));
            let status = client.try_response("GET").map_or(0, |response| response.status);
            assert!(matches!(status, 0 | 400 | 401), "{what}: {status}");
        }
        let standard = STANDARD.encode(&raw).trim_end_matches('=').to_owned();
        if standard != signature {
            assert_refused(&gateway, "the other alphabet", &format!("{header}.{claims}.{standard}"));
        }
        if let Some(other) = other_trailing_bits(signature) {
            assert_refused(&gateway, "other trailing bits", &format!("{header}.{claims}.{other}"));
        }
        assert_eq!(gateway.backend.count(), 1);
    }
}

/// The same bytes with another last character, whose unused bits a lax decoder ignores.
fn other_trailing_bits(text: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *text.as_bytes().last()?;
    let value = ALPHABET.iter().position(|&byte| byte == last)?;
    (!text.len().is_multiple_of(4))
        .then(|| format!("{}{}", &text[..text.len() - 1], char::from(ALPHABET[value ^ 1])))
}

#[test]
fn a_token_that_is_too_long_is_refused_quickly() {
    let (gateway, good) = gateway_and_token("ES256");
    for length in [8193, 20_000] {
        assert_refused(&gateway, "too long", &"a".repeat(length));
        assert_refused(&gateway, "too long", &format!("{good}{}", "a".repeat(length)));
        let nested = format!("{}.{}.x", encode("[".repeat(length / 3)), encode("{\"a\":".repeat(length / 8)));
        assert_refused(&gateway, "deep", &nested);
    }
}

/// A gateway, a token that it takes, and the key that the token is signed with.
fn gateway_token_and_key() -> (Gateway, token::Parts, Vec<u8>) {
    let mut gateway = Setup::new(ROUTES).set("token.algorithm", "'HS256'").start();
    let good = gateway.token_for("alice", "reader");
    assert_eq!(gateway.terminate(), Some(0));
    let key = gateway.site.hmac_key();
    gateway.start_again();
    let parts = token::parts(&good);
    let again = hs256(&parts.header, &parts.claims, &key);
    assert_eq!(gateway.get("/orders/7", &again).status, 200, "a token that we have signed ourselves passes");
    (gateway, parts, key)
}

/// J3, J4, J5 and J10 with the gateway's own key: every claim is checked, and by its type.
#[test]
fn cve_2026_25537_a_good_signature_does_not_excuse_a_bad_claim() {
    let (gateway, token::Parts { header, claims, .. }, key) = gateway_token_and_key();
    let now = claims["iat"].as_u64().unwrap();
    let numbers =
        [json!("99999999999"), json!(-1), json!(1e300), json!(1.5), json!([now]), json!({}), Value::Null];
    let mut cases: Vec<(&str, Value)> = Vec::new();
    for name in ["exp", "iat", "nbf", "ver"] {
        cases.extend(numbers.iter().map(|value| (name, value.clone())));
    }
    cases.extend([
        ("exp", json!(now - 3600)),
        ("exp", json!(0)),
        ("nbf", json!(now + 3600)),
        ("iat", json!(now + 3600)),
        ("iss", json!("http://localhost/")),
        ("iss", json!("https://localhost")),
        ("iss", json!(["http://localhost"])),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("aud", json!(7)),
        ("aud", Value::Null),
        ("sub", json!(7)),
        ("sub", json!("alice")),
        ("username", json!("a,b")),
        ("username", json!("a\r\nx-role: admin")),
        ("username", json!("")),
        ("username", json!("x".repeat(129))),
        ("username", json!(["alice"])),
        ("roles", json!("admin")),
        ("roles", json!(["reader,admin"])),
        ("roles", json!(["reader\r\nx-user: root"])),
        ("roles", json!([["reader"]])),
        ("roles", json!({"reader": true})),
        ("jti", json!(7)),
        ("sid", json!("")),
        ("client_id", json!(7)),
    ]);
    for (name, value) in cases {
        let mut forged = claims.clone();
        forged[name] = value;
        assert_refused(&gateway, &format!("{name} = {}", forged[name]), &hs256(&header, &forged, &key));
    }
    for name in claims.as_object().unwrap().keys() {
        let mut forged = claims.clone();
        forged.as_object_mut().unwrap().remove(name);
        assert_refused(&gateway, &format!("no {name}"), &hs256(&header, &forged, &key));
    }
}

/// J1, J2, J4 and J5: what the header says is checked too, and no member may come twice.
#[test]
fn cve_2024_47616_a_good_signature_does_not_excuse_a_bad_header() {
    let (gateway, token::Parts { header, claims, .. }, key) = gateway_token_and_key();
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("rt+jwt")),
        ("typ", json!("")),
        ("typ", Value::Null),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("kid", json!("another")),
        ("kid", json!(7)),
        ("alg", json!("HS384")),
        ("alg", json!("hs256")),
    ] {
        let mut forged = header.clone();
        forged[name] = value;
        assert_refused(&gateway, &format!("{name} = {}", forged[name]), &hs256(&forged, &claims, &key));
    }
    for name in ["typ", "alg", "kid"] {
        let mut forged = header.clone();
        forged.as_object_mut().unwrap().remove(name);
        assert_refused(&gateway, &format!("no {name}"), &hs256(&forged, &claims, &key));
    }
    let twice = |object: &Value, member: &str| object.to_string().replacen('{', &format!("{{{member},"), 1);
    for (head, body) in [
        (twice(&header, "\"alg\":\"none\""), claims.to_string()),
        (twice(&header, "\"typ\":\"JWT\""), claims.to_string()),
        (header.to_string(), twice(&claims, "\"roles\":[\"admin\"]")),
        (header.to_string(), twice(&claims, "\"exp\":1")),
        (header.to_string(), format!("{claims} {{}}")),
        (header.to_string(), format!("[{claims}]")),
        (header.to_string(), format!("\u{feff}{claims}")),
    ] {
        let input = format!("{}.{}", encode(&head), encode(&body));
        assert_refused(&gateway, &format!("{head}.{body}"), &token::hs256_of(&input, &key));
    }
}

/// J8, RFC 6750 §2: one token, by one way, in one header.
#[test]
fn a_token_comes_in_one_header() {
    let (gateway, good) = gateway_and_token("ES256");
    for values in [
        &[format!("Bearer {good}"), format!("Bearer {good}")][..],
        &[format!("Bearer {good}"), "Basic eDp5".into()],
        &["Basic eDp5".into(), format!("Bearer {good}")],
        &[format!("Bearer {good}, Bearer {good}")],
        &[format!("Bearer {good} x")],
        &[format!("Bearer\u{a0}{good}")],
        &[format!("Bearer={good}")],
        &[format!("Bearer \"{good}\"")],
        &[format!("Token {good}")],
        std::slice::from_ref(&good),
        &["Bearer".into()],
        &["Bearer ".into()],
        &[String::new()],
    ] {
        let request =
            values.iter().fold(Request::get("/orders/7"), |request, v| request.header("Authorization", v));
        let response = gateway.send(&request);
        assert!(matches!(response.status, 400 | 401), "{values:?}: {}", response.status);
    }
    let query = gateway.send(&Request::get(&format!("/orders/7?access_token={good}")));
    assert_eq!(query.status, 401, "a token in the query ends up in logs");
    let form = Request::form("/orders/7", &[("access_token", &good)]);
    assert_eq!(gateway.send(&form).status, 401);
    assert_eq!(gateway.backend.count(), 1);
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let request = Request::get("/orders/7").header("authorization", format!("{scheme} {good}"));
        assert_eq!(gateway.send(&request).status, 200, "{scheme}: RFC 9110 §11.1, a scheme has no case");
    }
}

/// J4, and J6 (GHSA-4mq7): the right key is not enough, and what one gateway has verified another has not.
#[test]
fn a_token_of_another_issuer_or_audience_is_refused() {
    for (key, value) in [("issuer", "'https://other.example'"), ("audience", "'other'")] {
        let mut gateway = Gateway::start(ROUTES);
        let old = gateway.token_for("alice", "reader");
        assert_eq!(gateway.get("/orders/7", &old).status, 200);
        let text = gateway.site.config_text().replace("issuer = 'http://localhost'\n", "");
        let both = "[token]\nissuer = 'http://localhost'\naudience = 'portcullis'\n";
        let changed = match key {
            "issuer" => both.replace("'http://localhost'", value),
            _ => both.replace("'portcullis'", value),
        };
        gateway.site.write_config(&text.replace("[token]\n", &changed));
        gateway.restart();
        assert_refused(&gateway, key, &old);
        let new = gateway.login("alice");
        assert_eq!(gateway.get("/orders/7", &new).status, 200);
    }
}

#[test]
fn a_token_of_another_gateway_is_refused() {
    let (gateway, _) = gateway_and_token("ES256");
    let other = Gateway::start(ROUTES);
    let token = other.token_for("alice", "reader");
    assert_refused(&gateway, "another gateway's key", &token);
}

/// The end of a token is not remembered away by the cache of verified tokens.
#[test]
fn a_token_ends_when_it_says() {
    let gateway = Setup::new(ROUTES).set("token.access_ttl", "'1s'").set("token.leeway", "'0s'").start();
    let token = gateway.token_for("alice", "reader");
    let mut client = gateway.connect();
    let request = Request::get("/orders/7").bearer(&token);
    // Each round takes a moment of the second that the token lives; far more rounds than fit into it.
    let last = (0..200_000).map(|_| client.exchange(&request)).find(|response| response.status != 200);
    let last = last.expect("the token ends");
    assert_eq!(last.status, 401);
    assert!(last.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(gateway.get("/orders/7", &token).status, 401);
    let again = gateway.login("alice");
    assert!(matches!(gateway.get("/orders/7", &again).status, 200 | 401), "one second is short");
}

#[test]
fn the_log_does_not_show_tokens_or_passwords() {
    let (gateway, good) = gateway_and_token("ES256");
    gateway.get("/orders/7", &format!("{good}x"));
    gateway.get(&format!("/orders/8?access_token={good}&a=b"), &good);
    gateway.login_with("alice", "a wrong pass phrase indeed");
    gateway
        .wait_for_access(|record| record["path"].as_str().is_some_and(|path| path.starts_with("/orders/8")));
    let signature = good.rsplit('.').next().unwrap();
    for line in gateway.process.stdout_lines().iter().chain(&gateway.process.stderr_lines()) {
        let line = line.to_string();
        for secret in [signature, "a wrong pass phrase", "the long pass phrase"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}
