//! Tokens that somebody else signed: whose they are, when they pass, and what becomes of it when the issuer cannot be reached
//! (SECURITY J1 to J9).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use crate::harness::token::{self, decode, encode, hs256, signing_input};
use crate::harness::{Broken, Client, Gate, Gateway, Issuer, IssuerKey, ROUTES, Request, Setup, wait_until};

pub(crate) const ANYONE: &str = "/anyone/x";
pub(crate) const ORDERS: &str = "/orders/7";

/// What the log says when there are no keys.
pub(crate) const NOT_FOUND: &str = "the keys of a foreign issuer could not be found";

/// A gateway that trusts these issuers, by their tables.
pub(crate) fn trusting(tables: &[String]) -> Setup {
    Setup::new(&format!("{ROUTES}\n{}", tables.concat()))
}

/// An issuer, a gateway that has its keys, and a good token.
pub(crate) fn with_issuer(lines: &str) -> (Issuer, Gateway, String) {
    let issuer = Issuer::start("kc");
    let gateway = trusting(&[issuer.table(lines)]).start();
    let token = issuer.ready(&gateway);
    (issuer, gateway, token)
}

/// 401 `invalid_token`, nothing at the backend, and nothing of the token in the answer.
#[track_caller]
pub(crate) fn assert_refused(gateway: &Gateway, what: &str, token: &str) {
    let before = gateway.backend.count();
    let response = gateway.get(ANYONE, token);
    assert_eq!(response.status, 401, "{what}: {}", response.text());
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
    assert!(!response.text().contains(token), "{what}: the answer shows the token");
    assert_eq!(gateway.backend.count(), before, "{what} reached the backend");
}

/// Waits for the log to say why there are no keys.
#[track_caller]
pub(crate) fn wait_for_failure(gateway: &Gateway) -> String {
    let record = gateway.wait_for_log(|record| record["message"] == NOT_FOUND);
    format!("{} {}", record["error"].as_str().unwrap(), record["consequence"].as_str().unwrap())
}

/// What the gateway says of an issuer from whom it can have no keys, by the reason in its log.
#[track_caller]
pub(crate) fn failure_of(issuer: &Issuer, table: &str) -> String {
    let gateway = trusting(&[table.to_owned()]).start();
    let reason = wait_for_failure(&gateway);
    let response = gateway.get(ANYONE, &issuer.token("alice", &[]));
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(gateway.backend.count(), 0);
    reason
}

// Whose a token is

#[test]
fn a_foreign_user_has_a_prefix_and_the_roles_that_its_own_are_mapped_to() {
    let (issuer, gateway, token) = with_issuer("");
    assert_eq!(gateway.get(ORDERS, &token).status, 200);
    let seen = gateway.backend.last();
    assert_eq!(seen.header("x-user").as_deref(), Some("kc:alice"));
    assert_eq!(seen.header("x-role").as_deref(), Some("reader"));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(gateway.access_of(ORDERS)["user"], "kc:alice");
    let me = gateway.get("/auth/me", &token).json();
    assert_eq!((&me["username"], &me["roles"]), (&json!("kc:alice"), &json!(["reader"])));

    let both = issuer.token("bob", &["staff", "boss", "admin", "reader"]);
    assert_eq!(gateway.get("/admin/x", &both).status, 200);
    assert_eq!(gateway.backend.last().header("x-role").as_deref(), Some("admin,reader"));
    for roles in [&[][..], &["admin"], &["reader"], &["staffer"], &["STAFF"], &["staff,boss"]] {
        let token = issuer.token("carol", roles);
        assert_eq!(gateway.get(ORDERS, &token).status, 403, "{roles:?} is granted something");
        assert_eq!(gateway.get(ANYONE, &token).status, 200);
        assert_eq!(gateway.backend.last().header("x-role").unwrap_or_default(), "", "{roles:?}");
    }
}

#[test]
fn the_claims_of_user_and_roles_can_be_anywhere() {
    let issuer = Issuer::start("a0");
    let lines = "user_claim = ['identity', 'e.mail']\nuser_prefix = 'staff:'";
    let table = issuer.table(lines).replace("'realm_access.roles'", "['https://x.example/scope']");
    let gateway = trusting(&[table]).start();
    let mut claims = issuer.claims("ignored", &["boss"]);
    claims["https://x.example/scope"] = json!("openid staff  email");
    let mut token_of = |name: Value| {
        claims["identity"] = json!({"e.mail": name});
        issuer.key.sign(&claims)
    };
    for name in [
        "auth0|5f7c1ec54cafc7006f8ab8c1",
        "o'neil+x@example.com",
        "spiffe://example.org/ns/web",
        "x_y#EXT#@example.com",
        "kc:alice",
    ] {
        let token = token_of(json!(name));
        wait_until("the keys are there", || gateway.get(ORDERS, &token).status == 200);
        assert_eq!(gateway.backend.last().header("x-user"), Some(format!("staff:{name}")));
        assert_eq!(gateway.backend.last().header("x-role").as_deref(), Some("reader"));
    }
    let long = "a".repeat(400);
    for name in ["", "a b", "a,admin", "a;b", "a\r\nX-Role: admin", "\u{e4}", "a\"b", "a\0", "a<b", &long] {
        assert_refused(&gateway, name, &token_of(json!(name)));
    }
    for name in [Value::Null, json!(7), json!(["alice"]), json!({"a": "b"}), json!(true)] {
        assert_refused(&gateway, "a name that is no string", &token_of(name));
    }
}

/// A prefix has a colon, and no name of a user here can have one.
#[test]
fn a_foreign_user_cannot_be_taken_for_a_local_one() {
    let (issuer, gateway, _) = with_issuer("");
    let local = gateway.token_for("alice", "admin");
    assert_eq!(gateway.get(ANYONE, &local).status, 200);
    assert_eq!(gateway.backend.last().header("x-user").as_deref(), Some("alice"));
    assert_eq!(gateway.get("/admin/x", &issuer.token("alice", &["staff"])).status, 403);
    let refused = gateway.site.cli_add_user("kc:alice", &[], "a long pass phrase");
    assert_eq!(refused.status, 2, "{}", refused.stderr);
    // Claims that mean something in a token of ours mean nothing in another.
    let mut claims = issuer.claims("mallory", &["staff"]);
    for (name, value) in [
        ("username", json!("alice")),
        ("roles", json!(["admin"])),
        ("ver", json!(0)),
        ("sid", token::parts(&local).claims["sid"].clone()),
        ("jti", token::parts(&local).claims["jti"].clone()),
    ] {
        claims[name] = value;
    }
    assert_eq!(gateway.get(ORDERS, &issuer.key.sign(&claims)).status, 200);
    assert_eq!(gateway.backend.last().header("x-user").as_deref(), Some("kc:mallory"));
    assert_eq!(gateway.backend.last().header("x-role").as_deref(), Some("reader"));
}

/// J6, GHSA-4mq7: the issuer decides whose keys are looked at, and the whole token whose cache entry it is.
#[test]
fn ghsa_4mq7_issuers_that_share_a_kid_do_not_share_tokens() {
    let (one, other) = (Issuer::start("one"), Issuer::start("other"));
    assert_eq!(one.key.kid, other.key.kid);
    let gateway = trusting(&[one.table(""), other.table("")]).set("server.workers", "1").start();
    let mine = one.ready(&gateway);
    other.ready(&gateway);
    let cross = one.key.sign(&other.claims("alice", &["boss"]));
    for _ in 0..2 {
        assert_refused(&gateway, "a token by one key for the other issuer", &cross);
        assert_eq!(gateway.get(ANYONE, &mine).status, 200);
        assert_eq!(gateway.backend.last().header("x-user").as_deref(), Some("one:alice"));
        assert_eq!(gateway.get(ANYONE, &other.token("alice", &[])).status, 200);
        assert_eq!(gateway.backend.last().header("x-user").as_deref(), Some("other:alice"));
    }
    // Claims of one, header and signature of the other: the text is another, so nothing is found in the cache.
    let parts: Vec<&str> = mine.split('.').collect();
    let foreign = other.token("alice", &[]);
    let theirs: Vec<&str> = foreign.split('.').collect();
    assert_refused(&gateway, "a mixture", &format!("{}.{}.{}", parts[0], theirs[1], parts[2]));
    assert_refused(&gateway, "another", &format!("{}.{}.{}", theirs[0], parts[1], theirs[2]));
}

#[test]
fn neither_we_nor_a_stranger_can_be_spoken_for() {
    let (issuer, gateway, _) = with_issuer("");
    let local = gateway.token_for("alice", "admin");
    let ours = token::parts(&local);
    // Our claims by the key of the issuer, with its name for it and with ours.
    assert_refused(&gateway, "our claims", &issuer.key.sign(&ours.claims));
    let mut header = issuer.key.header();
    header["typ"] = json!("at+jwt");
    assert_refused(&gateway, "our claims as an access token", &issuer.key.sign_with(&header, &ours.claims));
    header["kid"] = ours.header["kid"].clone();
    assert_refused(&gateway, "our kid", &issuer.key.sign_with(&header, &ours.claims));
    assert_refused(&gateway, "our kid, its claims", &issuer.key.sign_with(&header, &issuer.claims("a", &[])));
    for iss in [json!("https://evil.example"), json!(""), json!(7), Value::Null, json!([issuer.iss()])] {
        let mut claims = issuer.claims("alice", &[]);
        claims["iss"] = iss.clone();
        assert_refused(&gateway, &format!("iss {iss}"), &issuer.key.sign(&claims));
    }
    for iss in [format!("{}/", issuer.iss()), issuer.iss().to_uppercase()] {
        let mut claims = issuer.claims("alice", &[]);
        claims["iss"] = json!(iss);
        assert_refused(&gateway, "almost its iss", &issuer.key.sign(&claims));
    }
}

// J1, J2: the key and its algorithm

#[test]
fn the_usual_algorithms_pass() {
    for alg in ["ES256", "EdDSA", "RS256", "PS256"] {
        let issuer = Issuer::with("kc", IssuerKey::new("k", alg));
        let gateway = trusting(&[issuer.table("")]).start();
        issuer.ready(&gateway);
    }
}

/// J1, CVE-2016-10555 and CVE-2026-33322, where the keys are public and somebody else's.
#[test]
fn cve_2016_10555_a_foreign_token_does_not_choose_the_algorithm() {
    for alg in ["ES256", "EdDSA", "RS256"] {
        let issuer = Issuer::with("kc", IssuerKey::new("k", alg));
        let gateway = trusting(&[issuer.table("")]).start();
        let good = issuer.ready(&gateway);
        let token::Parts { mut header, claims, signature } = token::parts(&good);
        for other in ["none", "None", "", "HS256", "HS512", "ES256", "ES384", "EdDSA", "RS256", "PS256"] {
            if other == alg {
                continue;
            }
            header["alg"] = json!(other);
            let input = signing_input(&header, &claims);
            assert_refused(&gateway, &format!("{other}, unsigned"), &format!("{input}."));
            assert_refused(&gateway, &format!("{other}, signed by {alg}"), &format!("{input}.{signature}"));
            assert_refused(
                &gateway,
                &format!("{other}, signed anew"),
                &issuer.key.sign_with(&header, &claims),
            );
        }
        header["alg"] = json!("HS256");
        let jwk = issuer.key.jwk();
        for secret in [jwk["x"].as_str(), jwk["n"].as_str()].into_iter().flatten() {
            assert_refused(&gateway, "HS256 by the public key", &hs256(&header, &claims, &decode(secret)));
            assert_refused(&gateway, "HS256 by its text", &hs256(&header, &claims, secret.as_bytes()));
        }
        for alg in [Value::Null, json!(7), json!([alg])] {
            header["alg"] = alg;
            assert_refused(&gateway, "alg of another type", &issuer.key.sign_with(&header, &claims));
        }
    }
}

#[test]
fn what_may_be_signed_with_is_for_the_configuration_to_say() {
    let issuer = Issuer::with("kc", IssuerKey::new("k", "ES384"));
    // The default list has no ES384.
    let reason = failure_of(&issuer, &issuer.table(""));
    assert!(reason.contains("keys[0] is for none of the `algorithms` that are allowed"), "{reason}");
    let gateway = trusting(&[issuer.table("algorithms = ['ES384']")]).start();
    issuer.ready(&gateway);
}

/// J11: whoever can verify with a symmetric key can sign with it.
#[test]
fn symmetric_and_private_keys_are_not_used() {
    let issuer = Issuer::start("kc");
    let secret = [7_u8; 32];
    let oct = json!({"kty": "oct", "k": encode(secret), "kid": "oct", "alg": "HS256"});
    let mut private = IssuerKey::new("private", "EdDSA").jwk();
    private["d"] = json!(encode([1; 32]));
    issuer.answer("/jwks", 200, &json!({"keys": [oct, private, issuer.key.jwk()]}).to_string());
    let gateway = trusting(&[issuer.table("")]).start();
    issuer.ready(&gateway);
    for (key, reason) in [("keys[0]", "symmetric"), ("keys[1]", "private")] {
        gateway.wait_for_log(|record| {
            let text = record["key"].as_str().unwrap_or_default();
            text.starts_with(key) && text.contains(reason)
        });
    }
    let claims = issuer.claims("alice", &["boss"]);
    for kid in ["oct", "one", "private"] {
        let header = json!({"alg": "HS256", "kid": kid, "typ": "JWT"});
        assert_refused(&gateway, "HS256 by a key of the set", &hs256(&header, &claims, &secret));
    }
    issuer.answer("/jwks", 200, &json!({"keys": [oct]}).to_string());
    let reason = failure_of(&issuer, &issuer.table(""));
    assert!(reason.contains("no key that can be used; keys[0] is a symmetric key"), "{reason}");
}

/// J2: what a token brings along or points to is not looked at, and a `kid` is only compared.
#[test]
fn a_foreign_token_brings_no_key() {
    let (issuer, gateway, _) = with_issuer("unknown_kid_interval = '1h'");
    let attacker = Issuer::start("evil");
    let claims = issuer.claims("alice", &["boss"]);
    for (name, value) in [
        ("jwk", attacker.key.jwk()),
        ("jku", json!(format!("{}/jwks", attacker.iss()))),
        ("x5u", json!(format!("{}/jwks", attacker.iss()))),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = attacker.key.header();
        header[name] = value;
        assert_refused(&gateway, name, &attacker.key.sign_with(&header, &claims));
    }
    for kid in ["../../dev/null", "' OR 1=1 --", "", "http://169.254.169.254/", &"k".repeat(4000)] {
        let mut header = issuer.key.header();
        header["kid"] = json!(kid);
        assert_refused(&gateway, kid, &issuer.key.sign_with(&header, &claims));
    }
    for kid in [json!(1), Value::Null, json!(["one"])] {
        let mut header = issuer.key.header();
        header["kid"] = kid;
        assert_refused(&gateway, "a kid of another type", &issuer.key.sign_with(&header, &claims));
    }
    assert_eq!(attacker.server.count(), 0, "nothing was fetched from the attacker");
}

#[test]
fn a_token_without_kid_passes_if_only_one_key_fits() {
    let (issuer, gateway, _) = with_issuer("unknown_kid_interval = '100ms'");
    let mut header = issuer.key.header();
    header.as_object_mut().unwrap().remove("kid");
    let claims = issuer.claims("alice", &[]);
    let nameless = issuer.key.sign_with(&header, &claims);
    assert_eq!(gateway.get(ANYONE, &nameless).status, 200);
    let second = IssuerKey::new("two", "ES256");
    issuer.publish(&[&issuer.key, &second]);
    let new = second.sign(&claims);
    wait_until("the second key is there", || gateway.get(ANYONE, &new).status == 200);
    assert_refused(&gateway, "a token that two keys fit", &nameless);
    assert_eq!(gateway.get(ANYONE, &issuer.token("alice", &[])).status, 200);
    // Two keys of one name and algorithm.
    let twin = IssuerKey::new("two", "ES256");
    issuer.publish(&[&second, &twin, &IssuerKey::new("three", "ES256")]);
    wait_until("the keys are others", || {
        gateway.get(ANYONE, &new).status == 401 || {
            let unknown = IssuerKey::new("unknown", "ES256");
            gateway.get(ANYONE, &unknown.sign(&claims));
            false
        }
    });
    assert_refused(&gateway, "a token that twins fit", &twin.sign(&claims));
}

// J3, J4, J5, J7, J8: what the token says, and how

#[test]
fn the_claims_of_a_foreign_token_are_read_strictly() {
    let (issuer, gateway, _) = with_issuer("");
    let good = issuer.claims("alice", &["staff"]);
    let now = good["iat"].as_u64().unwrap();
    for (name, value) in [
        ("exp", Value::Null),
        ("exp", json!((now + 60).to_string())),
        ("exp", json!(now as f64 + 60.5)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!(now - 60)),
        ("exp", json!([now + 60])),
        ("nbf", json!(now + 3600)),
        ("nbf", json!("9999999999")),
        ("nbf", Value::Null),
        ("iat", json!(now + 3600)),
        ("iat", json!(false)),
        ("aud", json!("other")),
        ("aud", json!(["other", "apis", "API", "ap"])),
        ("aud", json!([])),
        ("aud", json!(["api", 7])),
        ("aud", json!({"api": true})),
        ("aud", Value::Null),
        ("sub", json!(7)),
        ("sub", Value::Null),
        ("realm_access", json!({"roles": "staff".len()})),
        ("realm_access", json!({"roles": ["staff", 7]})),
        ("realm_access", json!({"roles": {"staff": true}})),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        assert_refused(&gateway, &format!("{name} {value}"), &issuer.key.sign(&claims));
    }
    for name in ["exp", "aud", "sub", "iss"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert_refused(&gateway, &format!("no {name}"), &issuer.key.sign(&claims));
    }
    for (name, value) in [
        ("aud", json!("api")),
        ("exp", json!(now + 1_000_000_000)),
        ("nbf", json!(now - 1)),
        ("iat", json!(now + 1)),
        ("realm_access", json!({"roles": "boss staff"})),
        ("realm_access", json!({})),
        ("realm_access", json!("staff")),
        ("typ", json!("Bearer")),
        ("nonce", json!("n")),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        let response = gateway.get(ANYONE, &issuer.key.sign(&claims));
        assert_eq!(response.status, 200, "{name} {value}");
    }
    let mut claims = good.clone();
    claims.as_object_mut().unwrap().remove("iat");
    assert_eq!(gateway.get(ANYONE, &issuer.key.sign(&claims)).status, 200, "iat may be left out");
}

/// J4, CVE-2024-47616: what an issuer made for another purpose gives no access.
#[test]
fn cve_2024_47616_only_access_tokens_of_an_issuer_pass() {
    let (issuer, gateway, _) = with_issuer("");
    let good = issuer.claims("alice", &["staff"]);
    let mut header = issuer.key.header();
    for typ in
        ["logout+jwt", "secevent+jwt", "dpop+jwt", "rt+jwt", "id_token", "refresh", "JWE", "", "at+jwt "]
    {
        header["typ"] = json!(typ);
        assert_refused(&gateway, &format!("typ {typ}"), &issuer.key.sign_with(&header, &good));
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        header["typ"] = json!(typ);
        assert_eq!(gateway.get(ANYONE, &issuer.key.sign_with(&header, &good)).status, 200, "{typ}");
    }
    header.as_object_mut().unwrap().remove("typ");
    assert_eq!(gateway.get(ANYONE, &issuer.key.sign_with(&header, &good)).status, 200, "no typ");
    for (name, value) in [("crit", json!(["exp"])), ("crit", json!([])), ("crit", json!(["b64"]))] {
        let mut header = issuer.key.header();
        header[name] = value;
        assert_refused(&gateway, name, &issuer.key.sign_with(&header, &good));
    }
    for (name, value) in [
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("Offline")),
        ("typ", json!("Logout")),
        ("typ", json!(7)),
        ("at_hash", json!("x")),
        ("c_hash", json!("x")),
        ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
        ("cnf", json!({"jkt": "x"})),
        ("cnf", json!({"x5t#S256": "x"})),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        assert_refused(&gateway, &format!("{name} {value}"), &issuer.key.sign(&claims));
    }
}

/// J5 and J7: one text for one token, read in one way.
#[test]
fn a_foreign_token_has_one_form() {
    let (issuer, gateway, good) = with_issuer("");
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let text = String::from_utf8(decode(claims)).unwrap();
    let inside = &text[1..text.len() - 1];
    for (what, claims) in [
        ("a second iss", format!("{{{inside},\"iss\":{}}}", json!(issuer.iss()))),
        ("a second exp", format!("{{{inside},\"exp\":99999999999}}")),
        ("a second member without a meaning", format!("{{{inside},\"z\":1,\"z\":2}}")),
        ("a second member inside", format!("{{{inside},\"z\":{{\"a\":1,\"a\":2}}}}")),
        ("nesting", format!("{{{inside},\"z\":{}{}}}", "[".repeat(100), "]".repeat(100))),
        ("something behind it", format!("{text}x")),
        ("no object", format!("[{text}]")),
    ] {
        assert_refused(&gateway, what, &token_over(&issuer, &claims));
    }
    assert_eq!(gateway.get(ANYONE, &token_over(&issuer, &text)).status, 200, "the same text passes");
    for (what, token) in [
        ("four parts", format!("{good}.x")),
        ("two parts", format!("{header}.{claims}")),
        ("padding", format!("{good}=")),
        ("padding in the claims", format!("{header}.{}.{signature}", URL_SAFE.encode(format!("{text} ")))),
        ("no signature", format!("{header}.{claims}.")),
        ("a token that is too long", format!("{header}.{}.{signature}", "A".repeat(9000))),
    ] {
        let response = gateway.get(ANYONE, &token);
        assert!([400, 401].contains(&response.status), "{what}: {}", response.status);
    }
}

/// A token whose claims are this text.
fn token_over(issuer: &Issuer, claims: &str) -> String {
    issuer.key.sign_text(&encode(issuer.key.header().to_string()), &encode(claims))
}

// What else there is to a token

#[test]
fn a_reload_keeps_the_keys_of_an_issuer_that_stays() {
    let (issuer, gateway, token) = with_issuer("");
    issuer.answer("/jwks", 500, "down");
    let fetches = issuer.server.count();
    gateway.reload(str::to_owned);
    assert_eq!(gateway.get(ORDERS, &token).status, 200);
    assert_eq!(issuer.server.count(), fetches, "nothing has changed, so nothing is fetched");
    gateway.reload(|text| text.replace("staff = ['reader']", "staff = ['admin']"));
    assert_eq!(gateway.get("/admin/x", &token).status, 200, "another map, the same keys");
    gateway.reload(|text| text.replace("audience = 'api'", "audience = 'others'"));
    assert_refused(&gateway, "a token for another audience", &token);
    gateway.reload(|text| text.replace("audience = 'others'", "audience = 'api'"));
    assert_eq!(gateway.get(ANYONE, &token).status, 200);
    gateway.reload(|text| text[..text.find("[[issuer]]").unwrap()].to_owned());
    assert_refused(&gateway, "a token of nobody", &token);
}

#[test]
fn what_only_our_own_tokens_can_do_is_refused_to_others() {
    let (issuer, gateway, token) = with_issuer("");
    for path in ["/auth/logout", "/auth/password"] {
        let fields = [("current_password", "x"), ("new_password", "a long pass phrase")];
        let response = gateway.send(&Request::form(path, &fields).bearer(&token));
        assert_eq!((response.status, &response.json()["code"]), (403, &json!("foreign_caller")), "{path}");
    }
    let revoke = |token: &str| gateway.send(&Request::form("/auth/revoke", &[("token", token)]));
    let refused = revoke(&token);
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("unsupported_token_type")));
    assert_eq!(gateway.get(ANYONE, &token).status, 200);
    assert_eq!(revoke(&IssuerKey::new("x", "ES256").sign(&issuer.claims("a", &[]))).status, 200);
    let client = gateway.cli(["client", "add", "asker", "--json"]).ok().json();
    let fields = [("token", &*token)];
    let secret = client["client_secret"].as_str().unwrap();
    let introspected = gateway.send(&Request::form("/auth/introspect", &fields).basic("asker", secret));
    assert_eq!(introspected.text(), r#"{"active":false}"#, "we speak for our own tokens alone");
}

#[test]
fn explain_says_what_becomes_of_a_foreign_token() {
    let (issuer, gateway, token) = with_issuer("");
    let explain = |token: &str| gateway.cli(["explain", "GET", ORDERS, "--token", token, "--json"]).json();
    let passes = explain(&token);
    assert_eq!(passes["caller"]["username"], "kc:alice");
    assert_eq!(passes["status"], 200);
    let mut claims = issuer.claims("alice", &[]);
    claims["aud"] = json!("other");
    let refused = explain(&issuer.key.sign(&claims));
    assert_eq!(refused["status"], 401);
    assert!(refused.to_string().contains("another audience"), "{refused}");
    claims["iss"] = json!("https://stranger.example");
    assert!(explain(&issuer.key.sign(&claims)).to_string().contains("from another issuer"));
}

#[test]
fn a_stream_ends_when_its_foreign_token_expires() {
    let issuer = Issuer::start("kc");
    let gateway = trusting(&[issuer.table("")]).set("token.leeway", "'0s'").start();
    issuer.ready(&gateway);
    gateway.backend.on("/anyone/events", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        let _ = exchange.until_end();
    });
    let mut claims = issuer.claims("alice", &[]);
    claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 3);
    let mut client = gateway.connect();
    client.send(Request::get("/anyone/events").bearer(&issuer.key.sign(&claims)).encode("x"));
    assert_eq!(client.head("GET").status, 200);
    assert_eq!(client.body(1), b"x");
    assert!(client.rest().is_err(), "it does not look whole");
    let reason = gateway.access_of("/anyone/events")["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("token_expired"), "{reason}");
}

/// Asks over a connection of its own.
fn ask(gateway: &Gateway, path: &str, token: &str) -> Client {
    let mut client = gateway.connect();
    client.send(Request::get(path).bearer(token).encode("x"));
    client
}

/// J10: what goes on ends with the key that let it in, or with the trust in its issuer, and with nothing else.
#[test]
fn j10_streams_end_when_the_issuer_withdraws_their_key_or_is_trusted_no_more() {
    let (issuer, gateway, of_first) = with_issuer("unknown_kid_interval = '100ms'");
    let second = IssuerKey::new("two", "ES256");
    let of_second = second.sign(&issuer.claims("bob", &[]));
    let of_nobody = IssuerKey::new("none", "ES256").sign(&issuer.claims("mallory", &[]));
    let paths = ["/anyone/first", "/anyone/second", "/anyone/late"];
    let gates = paths.map(|path| {
        let (arrived, go_on) = (Gate::new(), Gate::new());
        let both = (arrived.clone(), go_on.clone());
        gateway.backend.on(path, move |exchange| {
            if path == "/anyone/late" {
                arrived.open();
                go_on.wait();
            }
            exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
            go_on.wait();
            exchange.send("1\r\ny\r\n");
            let _ = exchange.until_end();
        });
        both
    });
    let mut first = ask(&gateway, paths[0], &of_first);
    assert_eq!((first.head("GET").status, first.body(1)), (200, b"x".to_vec()));
    // One key more at the issuer, and another key of ours, are nothing to it.
    issuer.publish(&[&issuer.key, &second]);
    wait_until("the second key is there", || gateway.get(ANYONE, &of_second).status == 200);
    gateway.cli(["key", "rotate", "--now"]).ok();
    gates[0].1.open();
    assert_eq!(first.body(1), b"y");
    let mut second_one = ask(&gateway, paths[1], &of_second);
    assert_eq!((second_one.head("GET").status, second_one.body(1)), (200, b"x".to_vec()));
    let mut late = ask(&gateway, paths[2], &of_first);
    gates[2].0.wait();

    issuer.publish(&[&second]);
    wait_until("the first key is gone", || {
        assert_refused(&gateway, "an unknown kid", &of_nobody);
        gateway.get(ANYONE, &of_first).status == 401
    });
    assert_eq!(first.rest(), Err(Broken::Closed));
    assert!(gateway.access_of(paths[0])["reason"].as_str().unwrap().starts_with("token_revoked"));
    gates[2].1.open();
    assert_eq!(late.head("GET").status, 401, "what begins afterwards was let in by a key that is gone");
    gates[1].1.open();
    assert_eq!(second_one.body(1), b"y");
    gateway.reload(|text| text[..text.find("[[issuer]]").unwrap()].to_owned());
    assert_eq!(second_one.rest(), Err(Broken::Closed));
}
