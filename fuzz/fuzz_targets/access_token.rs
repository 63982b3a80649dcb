//! An access token: as it comes, and with header and claims that a stranger wrote but our key has signed, so that they are read at all.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use portcullis::clock::UnixTime;
use portcullis::seal::Seal;
use portcullis::token::{KeyRecord, KeyRing, Verifier};
use serde_json::Value;

/// A key of the benchmarks alone.
const KEY: &str = include_str!("../../benches/instructions/keys/hs256.json");
const ISSUER: &str = "https://gate.example";
const AUDIENCE: &str = "backends";
const LEEWAY: Duration = Duration::from_secs(5);
const NOW: UnixTime = UnixTime::from_secs(1_750_000_000);

struct Gate {
    verifier: Verifier,
    key: hmac::Key,
}

static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let record = KeyRecord::read(KEY.trim().as_bytes()).unwrap();
    let ring = Arc::new(KeyRing::new(Arc::new(record.open(&Seal::default()).unwrap().key), []));
    let record: Value = serde_json::from_str(KEY).unwrap();
    let material = URL_SAFE_NO_PAD.decode(record["key"].as_str().unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &material);
    Gate { verifier: Verifier::new(ring, ISSUER, AUDIENCE, LEEWAY), key }
});

// The header, the end of a line, the claims.
fuzz_target!(|input: &[u8]| {
    let Gate { verifier, key } = &*GATE;
    if let Ok(text) = std::str::from_utf8(input) {
        assert!(verifier.verify(text, NOW).is_err(), "nobody guesses a signature");
    }
    let (header, claims) = input.iter().position(|byte| *byte == b'\n').map_or((input, &[][..]), |at| {
        let (header, rest) = input.split_at(at);
        (header, &rest[1..])
    });
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(key, message.as_bytes()));
    let Ok(verified) = verifier.verify(&format!("{message}.{signature}"), NOW) else { return };

    // Another reader has to see the same in it, but for numbers that no type of its can hold. They mean nothing to us, so we skip them.
    let read = |part: &[u8]| match serde_json::from_slice::<Value>(part) {
        Ok(value) => Some(value),
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(error) => panic!("{error}"),
    };
    let (Some(header), Some(claims)) = (read(header), read(claims)) else { return };
    assert_eq!((&header["alg"], header.get("crit")), (&Value::from("HS256"), None));
    assert_eq!(claims["iss"], ISSUER);
    let names_us = |audience: &Value| audience == AUDIENCE;
    assert!(names_us(&claims["aud"]) || claims["aud"].as_array().unwrap().iter().any(names_us));
    assert_eq!(claims["username"], verified.username.as_str());
    assert_eq!(claims["exp"], verified.expires.as_secs());
    assert_eq!(claims["ver"], verified.version);
    assert_eq!(claims["client_id"], *verified.client_id);
    assert!(NOW < verifier.accepted_until(verified.expires), "it has expired");
});
