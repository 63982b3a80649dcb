//! RFC 9068 and RFC 8725: what an access token is, and how it is checked. `jwt` has what must not pass.

use serde_json::{Value, json};

use super::{gateway, login};
use crate::clients::add;
use crate::harness::token::{self, encode, hs256, hs256_of};
use crate::harness::{Gateway, ROUTES, Request, Setup};

/// A gateway, the parts of a token that it takes, and the key that the token is signed with.
fn gateway_and_key() -> (Gateway, token::Parts, Vec<u8>) {
    let mut gateway = Setup::new(ROUTES).set("token.algorithm", "'HS256'").start();
    let parts = token::parts(&gateway.token_for("alice", "reader"));
    assert_eq!(gateway.terminate(), Some(0));
    let key = gateway.site.hmac_key();
    gateway.start_again();
    (gateway, parts, key)
}

/// §2.1, §2.2 and §2.2.3.1: `typ`, an asymmetric algorithm by default, the required claims, and roles as an array.
#[test]
fn rfc_9068_s2_every_grant_gives_a_token_with_the_required_claims() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &["reader"]);
    let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
    let of_client = gateway.send(&grant.basic(&client.id, &client.secret)).json();
    let of_client = of_client["access_token"].as_str().unwrap().to_owned();
    for (access, client_id) in [
        (login(&gateway, "alice", None).0, None),
        (login(&gateway, "alice", Some(&client)).0, Some("shop")),
        (of_client, Some("shop")),
    ] {
        let token::Parts { header, claims, .. } = token::parts(&access);
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
        assert_eq!(header.as_object().unwrap().len(), 3, "{header}");
        for name in ["iss", "aud", "sub", "client_id", "jti"] {
            assert!(claims[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {claims}");
        }
        assert!(claims["exp"].as_u64() > claims["iat"].as_u64(), "{claims}");
        assert_eq!(claims["roles"], json!(["reader"]));
        assert!(client_id.is_none_or(|id| claims["client_id"] == id), "{claims}");
    }
}

/// §2.2: where a client gets a token by itself, `sub` is an identifier of the client, and §5: it is none that a user has.
#[test]
fn rfc_9068_s5_the_subject_of_a_client_is_no_user() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
    let subject = |access: &str| token::parts(access).claims["sub"].clone();
    let tokens: Vec<Value> = (0..2)
        .map(|_| {
            gateway.send(&grant.clone().basic(&client.id, &client.secret)).json()["access_token"].clone()
        })
        .collect();
    let [first, second] = [0, 1].map(|at| subject(tokens[at].as_str().unwrap()));
    assert_eq!(first, second, "it is stable");
    assert_ne!(first, subject(&gateway.login("alice")));
}

/// §4: "`typ` … is `at+jwt` or `application/at+jwt`", which compare without case (RFC 7515 §4.1.9), and an array of audiences that has ours.
#[test]
fn rfc_9068_s4_every_spelling_of_a_good_token_passes() {
    let (gateway, token::Parts { header, claims, .. }, key) = gateway_and_key();
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        let mut other = header.clone();
        other["typ"] = json!(typ);
        assert_eq!(gateway.get("/orders/7", &hs256(&other, &claims, &key)).status, 200, "{typ}");
    }
    for audience in [json!("portcullis"), json!(["portcullis"]), json!(["other", "portcullis"])] {
        let mut other = claims.clone();
        other["aud"] = audience;
        assert_eq!(gateway.get("/orders/7", &hs256(&header, &other, &key)).status, 200, "{}", other["aud"]);
    }
    // RFC 7519 §4: what is not understood is ignored; RFC 7515 §4.1.11 has `crit` for what is not to be.
    let mut more = claims.clone();
    more["https://example.com/claim"] = json!({"a": [1, null]});
    assert_eq!(gateway.get("/orders/7", &hs256(&header, &more, &key)).status, 200);
}

/// RFC 8725 §3.7: "MUST NOT … other character encodings": UTF-8 alone. §3.6: compressed claims are no claims.
#[test]
fn rfc_8725_s3_7_claims_are_json_in_utf_8_and_nothing_else() {
    let (gateway, token::Parts { header, claims, .. }, key) = gateway_and_key();
    let text = claims.to_string();
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut latin_1 = text.clone().into_bytes();
    latin_1[text.find("alice").unwrap()] = 0xe4;
    // A deflate stream of one stored block.
    let length = u16::try_from(text.len()).unwrap();
    let mut deflated = vec![1];
    deflated.extend_from_slice(&length.to_le_bytes());
    deflated.extend_from_slice(&(!length).to_le_bytes());
    deflated.extend_from_slice(text.as_bytes());
    let mut zipped = header.clone();
    zipped["zip"] = json!("DEF");
    for (what, header, claims) in
        [("UTF-16", &header, utf_16), ("Latin-1", &header, latin_1), ("deflate", &zipped, deflated)]
    {
        let token = hs256_of(&format!("{}.{}", encode(header.to_string()), encode(&claims)), &key);
        assert_eq!(gateway.get("/orders/7", &token).status, 401, "{what}");
    }
    let good = hs256_of(&format!("{}.{}", encode(header.to_string()), encode(&text)), &key);
    assert_eq!(gateway.get("/orders/7", &good).status, 200, "so it was that what made the others bad");
}

/// RFC 8725 §3.12: "mutually exclusive validation rules for different kinds of JWTs", and of what is no JWT.
#[test]
fn rfc_8725_s3_12_one_kind_of_token_is_never_taken_for_another() {
    let gateway = gateway();
    let client = add(&gateway, "shop", &[]);
    let (access, refresh) = login(&gateway, "alice", Some(&client));
    for other in [&*refresh, &client.secret] {
        assert_eq!(gateway.get("/orders/7", other).status, 401);
    }
    for other in [&*access, &client.secret] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", other)];
        let answer = gateway.send(&Request::form("/token", &fields).basic(&client.id, &client.secret));
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_grant")));
    }
    for other in [&*access, &refresh] {
        let grant = Request::form("/token", &[("grant_type", "client_credentials")]);
        assert_eq!(gateway.send(&grant.basic(&client.id, other)).status, 401);
        assert_eq!(gateway.login_with("alice", other).status, 400);
    }
}
