use std::time::{Duration, Instant};

use super::{Claim, Credential, Throttle, Throttled};
use crate::clock;
use crate::config;
use crate::peer::ClientIp;

const SETTINGS: config::Throttle = config::Throttle {
    quick_tries: 5,
    address_quick_tries: 50,
    first_delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(60),
    memory: 1 << 20,
};

/// A throttle, and the time at which it began.
struct Door {
    throttle: Throttle,
    epoch: Instant,
}

impl Door {
    fn new(settings: config::Throttle) -> Self {
        let epoch = clock::monotonic();
        Self { throttle: Throttle::new(&settings, epoch), epoch }
    }

    /// A try after so many seconds, which fails.
    fn fails(&self, client: &str, name: &str, seconds: f64) -> Result<(), Throttled> {
        self.begin(client, name, seconds).map(drop)
    }

    fn begin(&self, client: &str, name: &str, seconds: f64) -> Result<super::Attempt<'_>, Throttled> {
        let client = ClientIp(client.parse().unwrap());
        let claim = Claim { credential: Credential::Password, client, name: Some(name) };
        self.throttle.begin(&claim, self.epoch + Duration::from_secs_f64(seconds))
    }

    /// How many of a thousand tries at once are let through.
    fn admits(&self, client: &str, name: impl Fn(usize) -> String, seconds: f64) -> usize {
        (0..1000).filter(|&n| self.fails(client, &name(n), seconds).is_ok()).count()
    }
}

#[test]
fn five_tries_are_quick_and_then_the_wait_doubles_up_to_a_minute() {
    let door = Door::new(SETTINGS);
    for _ in 0..5 {
        assert_eq!(door.fails("192.0.2.1", "alice", 0.0), Ok(()));
    }
    let mut now = 0.0;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let wait = door.fails("192.0.2.1", "alice", now).unwrap_err().wait.as_secs_f64();
        assert!(door.fails("192.0.2.1", "alice", now + wait - 0.001).is_err());
        now += wait;
        assert_eq!(door.fails("192.0.2.1", "alice", now), Ok(()));
        waits.push(wait.round() as u64);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 32, 60, 60, 60]);
}

/// SECURITY L2, CVE-2023-47111: tries at once are as many tries as one after the other.
#[test]
fn l2_parallel_guesses_are_all_counted() {
    let door = Door::new(SETTINGS);
    let guess = || (0..250).filter(|_| door.fails("192.0.2.1", "alice", 0.0).is_ok()).count();
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(guess)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 5);
    assert_eq!(door.admits("192.0.2.2", |n| format!("user{n}"), 0.0), 50, "one address, many names");
}

#[test]
fn in_the_long_run_there_is_one_try_for_each_longest_wait() {
    let door = Door::new(SETTINGS);
    let admitted =
        (0..36_000).filter(|tenth| door.fails("192.0.2.1", "alice", f64::from(*tenth) / 10.0).is_ok());
    let admitted = admitted.count();
    assert!((60..=75).contains(&admitted), "{admitted} in an hour");
}

/// SECURITY L3: the name alone is no key.
#[test]
fn l3_nobody_is_kept_out_by_others() {
    let door = Door::new(SETTINGS);
    for attacker in 0..200 {
        door.admits(&format!("198.51.100.{attacker}"), |_| "alice".into(), 0.0);
    }
    let attempt = door.begin("192.0.2.1", "alice", 0.0).unwrap();
    attempt.succeed();
}

/// SECURITY L4: names that are the same user are the same key; what can be nobody's name is one key.
#[test]
fn l4_spellings_of_a_name_share_a_counter() {
    let door = Door::new(SETTINGS);
    let spellings = ["alice", "ALICE", "Alice", "aLiCe", "alicE"];
    for name in spellings {
        assert_eq!(door.fails("192.0.2.1", name, 0.0), Ok(()));
    }
    assert!(door.fails("192.0.2.1", "AlIcE", 0.0).is_err());
    let nobody = |n: usize| format!("\u{ff41}lice{}", "\u{200b}".repeat(n % 7));
    assert_eq!(door.admits("192.0.2.1", nobody, 0.0), 5);
}

/// SECURITY L12.
#[test]
fn l12_ipv6_addresses_of_one_network_share_a_counter() {
    let door = Door::new(SETTINGS);
    let admitted = (0..1000).filter(|n| door.fails(&format!("2001:db8:0:1:{n:x}::1"), "alice", 0.0).is_ok());
    assert_eq!(admitted.count(), 5);
    assert_eq!(door.fails("2001:db8:0:2::1", "alice", 0.0), Ok(()));
}

#[test]
fn a_success_clears_the_pair() {
    let door = Door::new(config::Throttle { address_quick_tries: 1000, ..SETTINGS });
    for _ in 0..20 {
        for _ in 0..4 {
            assert_eq!(door.fails("192.0.2.1", "alice", 0.0), Ok(()));
        }
        door.begin("192.0.2.1", "alice", 0.0).unwrap().succeed();
    }
}

#[test]
fn an_account_of_ones_own_does_not_clear_the_address() {
    let door = Door::new(SETTINGS);
    let mut guesses = 0;
    for n in 0..1000 {
        if let Ok(attempt) = door.begin("192.0.2.1", "mallory", 0.0) {
            attempt.succeed();
        }
        guesses += usize::from(door.fails("192.0.2.1", &format!("victim{n}"), 0.0).is_ok());
    }
    assert!((49..=50).contains(&guesses), "{guesses}");
}

#[test]
fn logins_that_succeed_are_as_many_as_they_like() {
    let door = Door::new(SETTINGS);
    for n in 0..1000 {
        door.begin("192.0.2.1", &format!("user{n}"), 0.0).unwrap().succeed();
    }
}

#[test]
fn what_was_not_verified_does_not_count() {
    let door = Door::new(SETTINGS);
    for _ in 0..1000 {
        door.begin("192.0.2.1", "alice", 0.0).unwrap().withdraw();
    }
    assert_eq!(door.admits("192.0.2.1", |_| "alice".into(), 0.0), 5);
}

/// While an address is refused, its pairs are not used up.
#[test]
fn a_refusal_counts_nowhere() {
    let door = Door::new(config::Throttle { address_quick_tries: 1, ..SETTINGS });
    assert_eq!(door.fails("192.0.2.1", "mallory", 0.0), Ok(()));
    assert_eq!(door.admits("192.0.2.1", |_| "alice".into(), 0.5), 0);
    let mut now = 1.0;
    for _ in 0..5 {
        assert_eq!(door.fails("192.0.2.1", "alice", now), Ok(()), "at {now}");
        now += 60.0;
    }
}

/// What is refused for its address makes no wait longer for the name, which was asked first.
#[test]
fn a_refusal_makes_no_wait_longer() {
    let door = Door::new(config::Throttle { address_quick_tries: 6, ..SETTINGS });
    for _ in 0..5 {
        assert_eq!(door.fails("192.0.2.1", "alice", 0.0), Ok(()));
    }
    assert_eq!(door.fails("192.0.2.1", "bob", 0.0), Ok(()));
    assert_eq!(door.fails("192.0.2.1", "bob", 1.0), Ok(()));
    let wait = door.fails("192.0.2.1", "alice", 2.9).unwrap_err().wait.as_secs_f64();
    assert!((0.09..0.11).contains(&wait), "{wait}");
    assert_eq!(door.fails("192.0.2.1", "alice", 3.1), Ok(()));
}

/// Where many have failed, those who succeed must not wait for each other: a place whose program had a wrong password for an hour.
#[test]
fn what_succeeds_or_is_not_verified_makes_no_wait() {
    let door = Door::new(SETTINGS);
    assert_eq!(door.admits("192.0.2.1", |n| format!("user{n}"), 0.0), 50);
    for n in 0..100 {
        door.begin("192.0.2.1", &format!("user{n}"), 1.0).unwrap().succeed();
    }
    assert_eq!(door.admits("192.0.2.2", |_| "alice".into(), 0.0), 5);
    for _ in 0..100 {
        door.begin("192.0.2.2", "alice", 1.0).unwrap().withdraw();
    }
    assert_eq!(door.admits("192.0.2.1", |n| format!("victim{n}"), 1.0), 1);
    assert_eq!(door.admits("192.0.2.2", |_| "alice".into(), 1.0), 1);
}

/// An account of one's own makes no room for guesses, while it is being verified or after that.
#[test]
fn a_success_shortens_no_wait_of_others() {
    let door = Door::new(SETTINGS);
    assert_eq!(door.admits("192.0.2.1", |n| format!("user{n}"), 0.0), 50);
    let own = door.begin("192.0.2.1", "mallory", 1.0).unwrap();
    let guess = door.begin("192.0.2.1", "victim", 3.0).unwrap();
    own.succeed();
    assert!(door.fails("192.0.2.1", "victim", 3.5).is_err(), "the guess has a wait of its own");
    drop(guess);
}

/// One event for a burst, however many tries it has.
#[test]
fn the_first_refusal_is_told() {
    let door = Door::new(SETTINGS);
    let firsts = |from: u32| {
        let refused = (0..200).filter_map(|n| door.fails("192.0.2.1", "alice", f64::from(from + n)).err());
        refused.filter(|throttled| throttled.is_first).count()
    };
    door.admits("192.0.2.1", |_| "bob".into(), 0.0);
    for _ in 0..5 {
        assert_eq!(door.fails("192.0.2.1", "alice", 0.0), Ok(()));
    }
    assert_eq!((firsts(0), firsts(200)), (1, 0));
    assert_eq!(firsts(100_000), 1, "another burst, a day later");
}

#[test]
fn other_settings_take_effect_at_once_and_forget_nothing() {
    let door = Door::new(SETTINGS);
    assert_eq!(door.admits("192.0.2.1", |_| "alice".into(), 0.0), 5);
    door.throttle.adopt(&config::Throttle { quick_tries: 10, ..SETTINGS });
    assert_eq!(door.admits("192.0.2.1", |_| "alice".into(), 1.0), 5);
}

#[test]
fn a_million_addresses_take_no_more_memory_than_they_may() {
    let door = Door::new(SETTINGS);
    let patient = "192.0.2.1";
    for _ in 0..5 {
        assert_eq!(door.fails(patient, "alice", 0.0), Ok(()));
    }
    for n in 0..1_000_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
        assert_eq!(door.fails(&address, "alice", 0.0), Ok(()));
    }
    assert!(door.throttle.counters.bytes() <= 1 << 20);
    assert!(door.fails(patient, "alice", 0.0).is_err(), "it has more tries than those that came after it");
}
