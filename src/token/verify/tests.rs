use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;

use super::{Part, TokenError, Verifier};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::id::TokenId;
use crate::token::testing::{
    AUDIENCE, ISSUER, LEEWAY, NOW, Person, claims, claims_with, claims_without, encode, forge, header,
    issuer, key, many, object, sign, verifier,
};
use crate::token::{Fault, KeyRing, MAX_TOKEN, SigningKey};

const ES: Algorithm = Algorithm::Es256;
const HS: Algorithm = Algorithm::Hs256;

fn good_claims() -> String {
    object(&claims())
}

/// A good token, signed by the key for `algorithm`.
fn good(algorithm: Algorithm) -> String {
    issuer().issue(&key(algorithm), &Person::alice().subject(), NOW).unwrap().token
}

/// What a verifier with all keys says about a token.
fn refusal(token: &str) -> TokenError {
    match verifier(&Algorithm::ALL).verify(token, NOW) {
        Err(error) => error,
        Ok(verified) => panic!("accepted as {verified:?}: {token}"),
    }
}

/// What it says about a good signature over these claims.
fn claims_refusal(claims: impl AsRef<[u8]>) -> TokenError {
    refusal(&forge(&key(HS), &header(&key(HS)), claims))
}

/// What it says about a good signature over this header and good claims.
fn header_refusal(key: &SigningKey, header: &str) -> TokenError {
    refusal(&forge(key, header, good_claims()))
}

fn accepts_claims(claims: &str) {
    let token = forge(&key(HS), &header(&key(HS)), claims);
    assert!(verifier(&[HS]).verify(&token, NOW).is_ok(), "{claims}");
}

fn bad(name: &'static str) -> TokenError {
    TokenError::Json(Part::Claims, Fault::Member(name))
}

#[test]
fn a_good_token_says_what_was_put_into_it() {
    for algorithm in Algorithm::ALL {
        let alice = Person::alice();
        let issued = issuer().issue(&key(algorithm), &alice.subject(), NOW).unwrap();
        let verified = verifier(&[algorithm]).verify(&issued.token, NOW).unwrap();
        assert_eq!((verified.user, verified.session, verified.token), (alice.id, alice.session, issued.id));
        assert_eq!((verified.username, verified.roles, verified.version), (alice.name, alice.roles, 7));
        assert_eq!(&*verified.client_id, "portcullis");
        assert_eq!((verified.issued, verified.expires), (NOW, NOW.after(issued.expires_in)));
    }
}

#[test]
fn hand_made_tokens_are_good_when_nothing_is_wrong_with_them() {
    // Without this, every refusal below could be for a reason that the test does not name.
    for algorithm in Algorithm::ALL {
        let token = forge(&key(algorithm), &header(&key(algorithm)), good_claims());
        let verified = verifier(&Algorithm::ALL).verify(&token, NOW).unwrap();
        assert_eq!(verified.token, TokenId::from_bytes([3; 16]));
    }
}

// J1: algorithms and the number of parts

#[test]
fn cve_2016_10555_a_public_key_is_no_hmac_secret() {
    for algorithm in [Algorithm::Rs256, ES, Algorithm::EdDsa] {
        let victim = key(algorithm);
        let public = serde_json::to_vec(victim.jwk().unwrap()).unwrap();
        let header = header(&victim).replace(algorithm.name(), "HS256");
        let message = format!("{}.{}", encode(&header), encode(good_claims()));
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
        let tag = aws_lc_rs::hmac::sign(&secret, message.as_bytes());
        let token = format!("{message}.{}", encode(tag));
        assert_eq!(refusal(&token), TokenError::Algorithm(algorithm));
    }
}

#[test]
fn cve_2026_33322_alg_none_in_any_spelling_is_refused() {
    for none in ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "HS384", "RS512", "PS256", "ES384"] {
        let header = header(&key(ES)).replace("ES256", none);
        for signature in [String::new(), encode([0; 64]), good(ES).rsplit('.').next().unwrap().to_owned()] {
            let token = format!("{}.{}.{signature}", encode(&header), encode(good_claims()));
            assert_eq!(refusal(&token), TokenError::Algorithm(ES), "{none}");
        }
    }
}

#[test]
fn the_algorithm_of_another_key_is_refused() {
    for named in Algorithm::ALL {
        for signing in Algorithm::ALL.into_iter().filter(|signing| *signing != named) {
            let swapped = header(&key(named)).replace(named.name(), signing.name());
            assert_eq!(header_refusal(&key(signing), &swapped), TokenError::Algorithm(named));
            assert_eq!(header_refusal(&key(signing), &header(&key(named))), TokenError::Signature);
        }
    }
}

#[test]
fn crit_and_a_missing_or_foreign_alg_are_refused() {
    let kid = key(ES).id().clone();
    let fault = |fault| TokenError::Json(Part::Header, fault);
    let cases = [
        (format!(r#"{{"typ":"at+jwt","kid":"{kid}"}}"#), fault(Fault::Missing("alg"))),
        (format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":null}}"#), fault(Fault::Member("alg"))),
        (format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":["ES256"]}}"#), fault(Fault::Member("alg"))),
        (
            format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":"ES256","crit":["b64"],"b64":false}}"#),
            TokenError::Critical,
        ),
        (format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":"ES256","crit":[]}}"#), TokenError::Critical),
        (format!(r#"{{"typ":"at+jwt","kid":"{kid}","alg":"ES256","crit":null}}"#), TokenError::Critical),
    ];
    for (header, expected) in cases {
        assert_eq!(header_refusal(&key(ES), &header), expected, "{header}");
    }
}

#[test]
fn other_than_three_parts_are_refused() {
    let token = good(ES);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let jwe = format!("{token}.{}.{}", encode("iv"), encode("tag"));
    for text in
        ["", ".", message, &format!("{token}."), &format!(".{token}"), &format!("{token}.{signature}"), &jwe]
    {
        assert_eq!(refusal(text), TokenError::NotThreeParts, "{text}");
    }
    assert_eq!(refusal(".."), TokenError::Json(Part::Header, Fault::Syntax));
    assert_eq!(refusal(&format!("{message}.")), TokenError::Signature);
    for algorithm in Algorithm::ALL {
        let token = good(algorithm);
        let (message, signature) = token.rsplit_once('.').unwrap();
        for wrong in [&signature[4..], &format!("{signature}AAAA"), &format!("AAAA{signature}")] {
            assert_eq!(refusal(&format!("{message}.{wrong}")), TokenError::Signature);
        }
    }
}

// J2: key identifiers

#[test]
fn a_kid_is_looked_up_in_the_ring_and_nowhere_else() {
    let known = key(ES).id().as_str().to_owned();
    let foreign = SigningKey::generate(ES, NOW).unwrap();
    assert_eq!(header_refusal(&foreign, &header(&foreign)), TokenError::UnknownKey);
    let long = "k".repeat(4000);
    let upper = known.to_ascii_uppercase();
    for kid in ["", "../../../../dev/null", "' OR 1=1 --", "/dev/null\\u0000", &long, &known[1..], &upper] {
        let header = header(&key(ES)).replace(&known, kid);
        assert_eq!(header_refusal(&key(ES), &header), TokenError::UnknownKey, "{kid}");
    }
}

#[test]
fn an_absent_or_repeated_kid_is_refused() {
    let kid = key(ES).id().clone();
    let absent = header_refusal(&key(ES), r#"{"typ":"at+jwt","alg":"ES256"}"#);
    assert_eq!(absent, TokenError::Json(Part::Header, Fault::Missing("kid")));
    let foreign = key(HS).id().clone();
    let repeated = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{foreign}","kid":"{kid}"}}"#);
    assert_eq!(header_refusal(&key(ES), &repeated), TokenError::Json(Part::Header, Fault::Duplicate));
    let number = r#"{"typ":"at+jwt","alg":"ES256","kid":1}"#;
    assert_eq!(header_refusal(&key(ES), number), TokenError::Json(Part::Header, Fault::Member("kid")));
}

#[test]
fn keys_that_a_token_brings_along_are_ignored() {
    let attacker = SigningKey::generate(ES, NOW).unwrap();
    let jwk = serde_json::to_string(attacker.jwk().unwrap()).unwrap();
    let brought = [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://evil.example/jwks.json""#.to_owned(),
        r#""x5u":"https://evil.example/cert.pem""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
    ];
    for member in brought {
        let named = header(&key(ES)).replace('}', &format!(",{member}}}"));
        assert_eq!(header_refusal(&attacker, &named), TokenError::Signature, "{member}");
        let own = header(&attacker).replace('}', &format!(",{member}}}"));
        assert_eq!(header_refusal(&attacker, &own), TokenError::UnknownKey, "{member}");
        let token = forge(&key(ES), &named, good_claims());
        assert!(verifier(&[ES]).verify(&token, NOW).is_ok(), "ignored, not refused: {member}");
    }
}

// J3: dates

#[test]
fn cve_2026_25537_a_date_of_another_json_type_is_refused() {
    for name in ["exp", "nbf", "iat"] {
        let wrong = [
            "\"1700000900\"",
            "1700000900.0",
            "1.7e9",
            "-1",
            "1e300",
            "null",
            "true",
            "[1700000900]",
            "{}",
            "18446744073709551616",
        ];
        for value in wrong {
            assert_eq!(claims_refusal(claims_with(name, value)), bad(name), "{name}: {value}");
        }
    }
    for name in ["exp", "iat"] {
        let missing = TokenError::Json(Part::Claims, Fault::Missing(name));
        assert_eq!(claims_refusal(claims_without(name)), missing);
    }
    assert_eq!(claims_refusal(claims_with("nbf", "\"99999999999\"")), bad("nbf"));
}

#[test]
fn expiry_and_leeway_are_exact_to_the_millisecond() {
    let (token, verifier) = (good(ES), verifier(&[ES]));
    let verified = verifier.verify(&token, NOW).unwrap();
    let end = verified.expires.after(LEEWAY);
    assert_eq!(verifier.accepted_until(verified.expires), end);
    assert!(verifier.verify(&token, UnixTime::from_millis(end.as_millis() - 1)).is_ok());
    assert_eq!(verifier.verify(&token, end), Err(TokenError::Expired(verified.expires)));
    let exact = Verifier::new(Arc::clone(verifier.ring()), ISSUER, AUDIENCE, Duration::ZERO);
    assert_eq!(exact.verify(&token, verified.expires), Err(TokenError::Expired(verified.expires)));
}

#[test]
fn a_token_from_the_future_is_refused_beyond_the_leeway() {
    let seconds = NOW.as_secs();
    for name in ["nbf", "iat"] {
        accepts_claims(&claims_with(name, &(seconds + LEEWAY.as_secs()).to_string()));
        let late = seconds + LEEWAY.as_secs() + 1;
        let refused = claims_refusal(claims_with(name, &late.to_string()));
        assert_eq!(refused, TokenError::NotYet(UnixTime::from_secs(late)), "{name}");
        assert!(matches!(claims_refusal(claims_with(name, &u64::MAX.to_string())), TokenError::NotYet(_)));
    }
    accepts_claims(&claims_with("nbf", "0"));
}

// J4: issuer, audience, type, subject

#[test]
fn the_issuer_must_be_ours_to_the_letter() {
    for other in [
        "https://gate.example/",
        "https://GATE.example",
        "http://gate.example",
        "",
        "https://gate.example\\u0000",
    ] {
        assert_eq!(
            claims_refusal(claims_with("iss", &format!("\"{other}\""))),
            TokenError::Issuer,
            "{other}"
        );
    }
    assert_eq!(claims_refusal(claims_with("iss", &format!("[\"{ISSUER}\"]"))), bad("iss"));
    assert_eq!(claims_refusal(claims_without("iss")), TokenError::Json(Part::Claims, Fault::Missing("iss")));
}

#[test]
fn the_audience_must_contain_us() {
    accepts_claims(&claims_with("aud", r#"["other","backends"]"#));
    for other in
        [r#""other""#, r#""Backends""#, r#""backends ""#, r#""backends,other""#, "[]", r#"["other"]"#]
    {
        assert_eq!(claims_refusal(claims_with("aud", other)), TokenError::Audience, "{other}");
    }
    for wrong in [
        "null",
        "1",
        "{}",
        r#"["backends",1]"#,
        r#"["backends",null]"#,
        r#"[["backends"]]"#,
        r#"{"backends":1}"#,
    ] {
        assert_eq!(claims_refusal(claims_with("aud", wrong)), bad("aud"), "{wrong}");
    }
    assert_eq!(claims_refusal(claims_without("aud")), TokenError::Json(Part::Claims, Fault::Missing("aud")));
}

#[test]
fn cve_2024_47616_a_token_of_another_kind_is_no_access_token() {
    let header = header(&key(ES));
    for typ in
        ["JWT", "jwt", "", "rt+jwt", "logout+jwt", "at+jwt ", "at+jwtx", "text/at+jwt", "application/", "ä"]
    {
        assert_eq!(header_refusal(&key(ES), &header.replace("at+jwt", typ)), TokenError::Type, "{typ}");
    }
    let without = header.replace(r#""typ":"at+jwt","#, "");
    assert_eq!(header_refusal(&key(ES), &without), TokenError::Type);
    for typ in ["AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        let token = forge(&key(ES), &header.replace("at+jwt", typ), good_claims());
        assert!(verifier(&[ES]).verify(&token, NOW).is_ok(), "{typ}");
    }
}

#[test]
fn every_required_claim_must_be_there_with_its_own_type() {
    for (name, _) in claims() {
        let missing = TokenError::Json(Part::Claims, Fault::Missing(name));
        assert_eq!(claims_refusal(claims_without(name)), missing);
        for wrong in ["null", "true", "-1", "1.5", "{}", "[1]"] {
            assert_eq!(claims_refusal(claims_with(name, wrong)), bad(name), "{name}: {wrong}");
        }
    }
    for name in ["sub", "sid", "jti"] {
        let upper = r#""01010101-0101-0101-0101-0101010101AB""#;
        for wrong in ["1", r#""""#, r#""alice""#, r#""01010101010101010101010101010101""#, upper] {
            assert_eq!(claims_refusal(claims_with(name, wrong)), bad(name), "{name}: {wrong}");
        }
    }
    for (name, wrong) in [
        ("username", r#""a\r\nX-Role: admin""#),
        ("username", r#""""#),
        ("roles", r#""admin""#),
        ("roles", r#"["a,admin"]"#),
        ("roles", r#"["a",["b"]]"#),
        ("ver", r#""7""#),
    ] {
        assert_eq!(claims_refusal(claims_with(name, wrong)), bad(name), "{name}: {wrong}");
    }
    accepts_claims(&claims_with("roles", "[]"));
}

// J5: size and shape

#[test]
fn a_token_that_is_too_long_is_refused_unread() {
    let long = format!("{}.", "a".repeat(MAX_TOKEN));
    assert_eq!(refusal(&long), TokenError::TooLong(MAX_TOKEN + 1));
    assert_eq!(refusal(&"a".repeat(MAX_TOKEN)), TokenError::NotThreeParts);
    assert_eq!(refusal(&".".repeat(1 << 20)), TokenError::TooLong(1 << 20));
}

#[test]
fn duplicate_members_are_refused_wherever_they_mean_something_or_nothing() {
    let duplicate = |part| TokenError::Json(part, Fault::Duplicate);
    for (name, value) in claims() {
        let twice = good_claims().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        assert_eq!(claims_refusal(twice), duplicate(Part::Claims), "{name}");
    }
    let unknown = good_claims().replacen('{', r#"{"x":1,"x":2,"#, 1);
    assert_eq!(claims_refusal(unknown), duplicate(Part::Claims));
    let escaped = good_claims().replacen('{', r#"{"\u0065xp":99999999999,"#, 1);
    assert_eq!(claims_refusal(escaped), duplicate(Part::Claims));
    for member in [r#""alg":"none""#, r#""typ":"at+jwt""#, r#""x":1,"x":1"#] {
        let twice = header(&key(ES)).replacen('{', &format!("{{{member},"), 1);
        assert_eq!(header_refusal(&key(ES), &twice), duplicate(Part::Header), "{member}");
    }
}

#[test]
fn deep_nesting_and_what_is_no_object_are_refused() {
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    assert_eq!(claims_refusal(claims_with("x", &deep)), TokenError::Json(Part::Claims, Fault::TooDeep));
    let deep = header(&key(ES)).replacen('{', &format!("{{\"x\":{deep},"), 1);
    assert_eq!(header_refusal(&key(ES), &deep), TokenError::Json(Part::Header, Fault::TooDeep));
    let syntax = TokenError::Json(Part::Claims, Fault::Syntax);
    for text in ["", "[]", "null", "\"\"", "1", "{", "{}}", "{}{}", "\u{feff}{}"] {
        assert_eq!(claims_refusal(text), syntax, "{text}");
        assert_eq!(header_refusal(&key(ES), text), TokenError::Json(Part::Header, Fault::Syntax), "{text}");
    }
    assert_eq!(claims_refusal(b"{\"a\":\"\xff\"}"), syntax);
    // Compressed claims (`zip`) are no JSON, so that nothing is ever unpacked.
    assert_eq!(claims_refusal(b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9"), syntax);
}

// J6: issuers and keys

#[test]
fn ghsa_4mq7_verifiers_that_accept_different_tokens_have_different_identities() {
    let ring = |algorithms: &[Algorithm]| {
        Arc::new(KeyRing::new(key(algorithms[0]), algorithms.iter().map(|&algorithm| key(algorithm))))
    };
    let base = Verifier::new(ring(&[ES]), ISSUER, AUDIENCE, LEEWAY);
    let same = Verifier::new(ring(&[ES]), ISSUER, AUDIENCE, LEEWAY);
    assert_eq!(base.identity(), same.identity());
    let others = [
        Verifier::new(ring(&[HS]), ISSUER, AUDIENCE, LEEWAY),
        Verifier::new(ring(&[ES, HS]), ISSUER, AUDIENCE, LEEWAY),
        Verifier::new(ring(&[ES]), "https://other.example", AUDIENCE, LEEWAY),
        Verifier::new(ring(&[ES]), ISSUER, "other", LEEWAY),
        Verifier::new(ring(&[ES]), ISSUER, AUDIENCE, Duration::ZERO),
        Verifier::new(ring(&[ES]), &format!("{ISSUER}{AUDIENCE}"), "", LEEWAY),
    ];
    for other in others {
        assert_ne!(base.identity(), other.identity(), "{other:?}");
    }
}

#[test]
fn the_tokens_of_a_removed_key_are_refused() {
    let token = good(ES);
    assert!(verifier(&[HS, ES]).verify(&token, NOW).is_ok());
    assert_eq!(verifier(&[HS]).verify(&token, NOW), Err(TokenError::UnknownKey));
}

// J7: one text for one token

#[test]
fn padding_white_space_and_the_other_alphabet_are_refused() {
    for algorithm in Algorithm::ALL {
        let token = good(algorithm);
        let parts: Vec<&str> = token.split('.').collect();
        for index in 0..3 {
            for change in [
                |part: &str| format!("{part}="),
                |part: &str| format!("{part}=="),
                |part: &str| format!("{part} "),
                |part: &str| format!("\t{part}"),
                |part: &str| format!("{part}\n"),
                |part: &str| format!("{part}\0"),
                |part: &str| format!("+{}", &part[1..]),
                |part: &str| format!("/{}", &part[1..]),
                |part: &str| format!("é{}", &part[2..]),
            ] {
                let mut parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                parts[index] = change(&parts[index]);
                refusal(&parts.join("."));
            }
        }
    }
}

#[test]
fn trailing_bits_that_are_not_zero_are_refused() {
    // The last character of a part whose length is no multiple of four has bits that decode to nothing.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut tried = 0;
    for algorithm in Algorithm::ALL {
        let token = good(algorithm);
        for end in token.match_indices('.').map(|(at, _)| at).chain([token.len()]) {
            let last = token.as_bytes()[end - 1];
            for other in alphabet.iter().filter(|other| **other != last) {
                let mut twin = token.clone().into_bytes();
                twin[end - 1] = *other;
                refusal(&String::from_utf8(twin).unwrap());
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 4 * 3 * 63);
}

#[test]
fn a_good_signature_does_not_excuse_another_encoding() {
    let key = key(HS);
    // One byte more than a multiple of three, so that each part ends with four bits that must be zero.
    let fill = |text: String| format!("{text}{}", " ".repeat((4 - text.len() % 3) % 3));
    let (header, claims) = (encode(fill(header(&key))), encode(fill(good_claims())));
    assert!(verifier(&[HS]).verify(&sign(&key, &format!("{header}.{claims}")), NOW).is_ok());
    let last = |part: &str, end: &str| format!("{}{end}", &part[..part.len() - 1]);
    for end in ["B", "R", "h", "x", "g=", "g==", "g ", "g\n"] {
        let twin = refusal(&sign(&key, &format!("{}.{claims}", last(&header, end))));
        assert_eq!(twin, TokenError::Encoding(Part::Header), "{end:?}");
        let twin = refusal(&sign(&key, &format!("{header}.{}", last(&claims, end))));
        assert_eq!(twin, TokenError::Encoding(Part::Claims), "{end:?}");
    }
}

#[test]
fn every_change_of_a_single_byte_is_refused() {
    for algorithm in Algorithm::ALL {
        let (token, verifier) = (good(algorithm), verifier(&Algorithm::ALL));
        for index in 0..token.len() {
            for byte in [b'A', b'B', b'-', b'_', b'.', b'=', b' ', 0, token.as_bytes()[index] ^ 1] {
                let mut changed = token.clone().into_bytes();
                if changed[index] == byte {
                    continue;
                }
                changed[index] = byte;
                let changed = String::from_utf8(changed).unwrap();
                assert!(verifier.verify(&changed, NOW).is_err(), "byte {index} of {token} as {byte}");
            }
            assert!(verifier.verify(&token[..index], NOW).is_err());
        }
    }
}

#[test]
fn cve_2022_29266_a_refusal_shows_nothing_of_the_token() {
    let canary = "c4n4ry";
    let refusals = [
        header_refusal(&key(ES), &header(&key(ES)).replace(key(ES).id().as_str(), canary)),
        header_refusal(&key(ES), &header(&key(ES)).replace("at+jwt", canary)),
        header_refusal(&key(ES), &header(&key(ES)).replace("ES256", canary)),
        claims_refusal(claims_with("exp", &format!("\"{canary}\""))),
        claims_refusal(claims_with("sub", &format!("\"{canary}\""))),
        claims_refusal(claims_with("iss", &format!("\"{canary}\""))),
        claims_refusal(canary),
        refusal(canary),
    ];
    for error in refusals {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(canary), "{shown}");
    }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn any_text_is_refused_without_panic(token in "\\PC{0,300}|[A-Za-z0-9_.-]{0,300}") {
        prop_assert!(verifier(&[HS]).verify(&token, NOW).is_err());
    }

    #[test]
    fn any_header_and_claims_are_read_without_panic(
        header in prop::collection::vec(any::<u8>(), 0..100),
        claims in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let unsigned = format!("{}.{}.", encode(header), encode(&claims));
        prop_assert!(verifier(&[HS]).verify(&unsigned, NOW).is_err());
        let signed = forge(&key(HS), &crate::token::testing::header(&key(HS)), claims);
        prop_assert!(verifier(&[HS]).verify(&signed, NOW).is_err());
    }

    #[test]
    fn any_change_of_bytes_is_refused(at in any::<prop::sample::Index>(), byte in 0_u8..128, which in 0..4_usize) {
        static TOKENS: LazyLock<[String; 4]> = LazyLock::new(|| Algorithm::ALL.map(good));
        let token = &TOKENS[which];
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        prop_assert!(verifier(&Algorithm::ALL).verify(&String::from_utf8(changed).unwrap(), NOW).is_err());
    }
}
