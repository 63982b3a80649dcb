//! What a limit costs a request: to be counted, and to be told what is left.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gungraun::{library_benchmark, library_benchmark_group};
use portcullis::config::{Limit, Per, Rate};
use portcullis::limit::{Limiter, Subject};
use portcullis::name::LimitName;

const REQUESTS: u32 = 1000;

/// A limit that is never exceeded, and clients whom it knows. The hash of a client is seeded at random, so there are many of them.
fn limiter() -> (Limiter, Instant) {
    let definition = Limit {
        name: LimitName::new("orders").unwrap(),
        rate: Rate { count: 1000, period: Duration::from_secs(1) },
        burst: 1000,
        per: Per::Address,
        memory: 4 << 20,
    };
    let now = Instant::now();
    let limiter = Limiter::new(definition, now);
    for client in 0..REQUESTS {
        limiter.count(subject(client), now).unwrap();
    }
    (limiter, now + Duration::from_secs(1))
}

fn subject(client: u32) -> Subject<'static> {
    Subject::Address(std::net::Ipv4Addr::from_bits(client << 8).into())
}

#[library_benchmark]
#[bench::count_x1000(args = (), setup = limiter)]
fn limited((limiter, now): (Limiter, Instant)) -> Limiter {
    for client in 0..REQUESTS {
        limiter.count(subject(black_box(client)), now).unwrap();
    }
    limiter
}

#[library_benchmark]
#[bench::count_and_tell_x1000(args = (), setup = limiter)]
fn told((limiter, now): (Limiter, Instant)) -> Limiter {
    for client in 0..REQUESTS {
        let counted = limiter.count(subject(black_box(client)), now);
        black_box((limiter.policy_field(), limiter.standing_field(counted)));
    }
    limiter
}

library_benchmark_group!(name = limit, benchmarks = [limited, told]);
