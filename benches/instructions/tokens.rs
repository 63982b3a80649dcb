//! A bearer token that the worker has seen before, and one that it has not.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gungraun::{library_benchmark, library_benchmark_group};
use http::header;
use portcullis::auth::{Authenticator, Caller, TokenCache};
use portcullis::message::Fields;
use portcullis::observe::metrics::TokenCounters;
use portcullis::seal::Seal;
use portcullis::token::{Cache, KeyRecord, KeyRing, Revocations, Verifier};

use crate::config::NOW;

/// Keys and tokens of these benchmarks alone: with a random key or signature, the work of ES256 is another each time. The keys are in
/// the form of a `KeyRecord`, the tokens in that of `Issuer::issue`.
const ES256: (&str, &str) = (include_str!("keys/es256.json"), include_str!("keys/es256.token"));
/// Good until 2100, so that whole exchanges can use it.
pub(crate) const HS256: (&str, &str) = (include_str!("keys/hs256.json"), include_str!("keys/hs256.token"));

struct Gate {
    verifier: Verifier,
    revocations: Revocations,
    cache: TokenCache,
    counters: TokenCounters,
    headers: Fields,
}

impl Gate {
    fn authenticate(&self) -> Arc<Caller> {
        let Self { verifier, revocations, cache, counters, headers } = self;
        let authenticator =
            Authenticator { verifier, revocations, cache, counters: Some(counters), api_keys: None };
        authenticator.authenticate(black_box(headers), NOW).unwrap()
    }
}

/// A gate for the key of a token, which comes as the one field of a request.
fn unseen((record, token): (&str, &str)) -> Gate {
    let record = KeyRecord::read(record.trim().as_bytes()).unwrap();
    let ring = Arc::new(KeyRing::new(Arc::new(record.open(&Seal::default()).unwrap().key), []));
    let mut headers = Fields::default();
    headers.push(header::AUTHORIZATION, format!("Bearer {}", token.trim()).parse().unwrap());
    let gate = Gate {
        verifier: Verifier::new(ring, "https://gate.example", "backends", Duration::from_secs(5)),
        revocations: Revocations::new(),
        cache: Mutex::new(Cache::new(8 << 20)),
        counters: TokenCounters::default(),
        headers,
    };
    // Whatever is set up at the first use of the cryptography is not a token's cost.
    gate.authenticate();
    gate.cache.lock().unwrap().clear();
    gate
}

fn seen(token: (&str, &str)) -> Gate {
    let gate = unseen(token);
    gate.authenticate();
    gate
}

#[library_benchmark]
#[bench::seen(args = (ES256), setup = seen)]
#[bench::unseen_es256(args = (ES256), setup = unseen)]
#[bench::unseen_hs256(args = (HS256), setup = unseen)]
fn authenticate(gate: Gate) -> (Arc<Caller>, Gate) {
    (gate.authenticate(), gate)
}

library_benchmark_group!(name = token, benchmarks = authenticate);
