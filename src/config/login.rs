//! `[login]`: what a password hash costs, how many are computed at once, and what slows guessing down.

use std::time::Duration;

use super::diagnostics::{Kind, Problem};
use super::reader::{Fields, Given};
use super::rule::{count, flag, size, time};
use super::sections::{GIB, HOUR, KIB, MIB, TENTH, secs};
use super::unit::Bytes;

/// `[login]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// argon2id memory in KiB (`memory = "19MiB"` in the file).
    pub argon2_memory_kib: u32,
    /// argon2id passes.
    pub argon2_passes: u32,
    /// argon2id lanes.
    pub argon2_lanes: u32,
    /// Password hashes computed at the same time; 0 in the file means `max(1, cores / 2)`.
    pub permits: usize,
    /// Logins that may wait for a permit; one more is answered 503.
    pub queue: usize,
    /// Whether programs may send an API key in place of a token.
    pub api_keys: bool,
    /// What slows guessing down.
    pub throttle: Throttle,
}

impl Login {
    /// The most memory for one hash, in KiB: 256 MiB. These three bound stored hashes too, wherever they were made, so that each hash
    /// that is made by the configuration can be checked.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
    /// The most passes.
    pub const MAX_PASSES: u32 = 16;
    /// The most lanes.
    pub const MAX_LANES: u32 = 16;
}

/// The part of `[login]` that slows guessing down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Tries without a wait, for one username from one address.
    pub quick_tries: u32,
    /// Failed tries without a wait, for all usernames from one address.
    pub address_quick_tries: u32,
    /// The wait behind the last quick try; it doubles with each further one.
    pub first_delay: Duration,
    /// The longest wait between two tries, and the time after which one try is forgotten.
    pub max_delay: Duration,
    /// Bytes of the counters (`throttle_memory` in the file).
    pub memory: u64,
}

/// `[login]`. `cores` is what `permits = 0` halves.
pub(super) fn read(mut fields: Fields<'_, '_, '_>, cores: usize) -> Login {
    let memory = fields.given("memory", size(64 * KIB..=u64::from(Login::MAX_MEMORY_KIB) * KIB), 19 * MIB);
    let lanes = fields.given("lanes", count(1..=Login::MAX_LANES.into()), 1);
    let permits = fields.or("permits", count(0..=1024), 0);
    let login = Login {
        // The range keeps the quotient below 2^32.
        argon2_memory_kib: u32::try_from(memory.value / KIB).unwrap_or(u32::MAX),
        argon2_passes: fields.or("passes", count(1..=Login::MAX_PASSES.into()), 2),
        argon2_lanes: lanes.value,
        permits: if permits == 0 { (cores / 2).max(1) } else { permits },
        queue: fields.or("queue", count(0..=100_000), 64),
        api_keys: fields.or("api_keys", flag, false),
        throttle: throttle(&mut fields),
    };
    check_memory(&mut fields, &memory, &lanes);
    fields.finish();
    login
}

/// The keys of `[login]` that slow guessing down.
fn throttle(fields: &mut Fields<'_, '_, '_>) -> Throttle {
    let (first_delay, max_delay) = delays(fields, secs(1), secs(60));
    Throttle {
        quick_tries: fields.or("quick_tries", count(1..=1_000_000), 5),
        address_quick_tries: fields.or("address_quick_tries", count(1..=1_000_000), 50),
        first_delay,
        max_delay,
        memory: fields.or("throttle_memory", size(64 * KIB..=4 * GIB), 8 * MIB),
    }
}

/// The first wait and the longest one.
pub(super) fn delays(
    fields: &mut Fields<'_, '_, '_>,
    first: Duration,
    longest: Duration,
) -> (Duration, Duration) {
    let first = fields.given("first_delay", time(TENTH..=HOUR), first);
    let longest = fields.given("max_delay", time(secs(1)..=HOUR), longest);
    if first.value > longest.value {
        let message = format!("is longer than {}", fields.key("max_delay"));
        let problem = Problem::new(Kind::Whole, fields.key("first_delay"), message);
        let (here, there) = (first.span.clone().or(longest.span.clone()), longest.span);
        fields.problems.error(problem.at(here).also(there.filter(|_| first.span.is_some()), "the longest"));
    }
    (first.value, longest.value)
}

/// RFC 9106 §3.1: at least 8 KiB of memory for each lane.
fn check_memory(fields: &mut Fields<'_, '_, '_>, memory: &Given<u64>, lanes: &Given<u32>) {
    let key = fields.key("memory");
    let span = memory.span.clone().or(lanes.span.clone());
    if !memory.value.is_multiple_of(KIB) {
        let problem = Problem::new(Kind::Value, key, "must be a whole number of KiB");
        fields.problems.error(problem.at(span));
    } else if memory.value < 8 * KIB * u64::from(lanes.value) {
        let least = Bytes(8 * KIB * u64::from(lanes.value));
        let message = format!("must be at least {least} for {} lanes (RFC 9106 §3.1)", lanes.value);
        let problem = Problem::new(Kind::Whole, key, message).at(span);
        fields.problems.error(problem.also(lanes.span.clone().filter(|_| memory.span.is_some()), "lanes"));
    } else if memory.value < 7 * MIB {
        let message = "under 7MiB a stolen password database is cheap to guess; for tests only";
        fields.problems.warn(Problem::new(Kind::Value, key, message).at(span));
    }
}
