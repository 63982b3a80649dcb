use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Exceeded, Limiter, Limits, Standing, Subject};
use crate::clock;
use crate::config::{Limit, Per, Rate};
use crate::name::LimitName;

const SECOND: Duration = Duration::from_secs(1);

/// So many in a period.
fn limit(count: u32, period: Duration, burst: u32) -> Limit {
    let rate = Rate { count, period };
    Limit { name: LimitName::new("api").unwrap(), rate, burst, per: Per::Address, memory: 64 << 10 }
}

fn address(text: &str) -> Subject<'static> {
    Subject::Address(text.parse::<IpAddr>().unwrap())
}

/// A limiter and its beginning.
fn begun(limit: Limit) -> (Limiter, Instant) {
    let epoch = clock::monotonic();
    (Limiter::new(limit, epoch), epoch)
}

#[test]
fn a_burst_passes_and_then_one_per_interval() {
    let (limiter, epoch) = begun(limit(10, SECOND, 3));
    let at = |millis| limiter.count(address("192.0.2.1"), epoch + Duration::from_millis(millis));
    let passed = |remaining, full_in| Ok(Standing { remaining, full_in: Duration::from_millis(full_in) });
    let refused = |wait| Err(Exceeded { wait: Duration::from_millis(wait) });
    assert_eq!(at(0), passed(2, 100));
    assert_eq!(at(0), passed(1, 200));
    assert_eq!(at(0), passed(0, 300));
    assert_eq!(at(0), refused(100));
    assert_eq!(at(60), refused(40), "a refusal does not count");
    assert_eq!(at(100), passed(0, 300));
    assert_eq!(at(350), passed(1, 150));
    assert_eq!(at(10_000), passed(2, 100));
}

#[test]
fn nobody_gets_more_than_the_rate_and_one_burst() {
    let (limiter, epoch) = begun(limit(50, SECOND, 7));
    let passed = (0..10_000)
        .filter(|millis| limiter.count(Subject::Route("r"), epoch + Duration::from_millis(*millis)).is_ok());
    assert_eq!(passed.count(), 7 + 9999 / 20);
}

#[test]
fn threads_share_a_bucket() {
    let (limiter, epoch) = begun(limit(1, Duration::from_secs(3600), 100));
    let count = || (0..1000).filter(|_| limiter.count(Subject::Caller("alice"), epoch).is_ok()).count();
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 100);
}

#[test]
fn the_same_text_as_another_kind_of_subject_is_somebody_else() {
    let (limiter, epoch) = begun(limit(1, SECOND, 1));
    for subject in [Subject::Caller("a"), Subject::Route("a"), address("192.0.2.1"), address("192.0.2.2")] {
        assert!(limiter.count(subject, epoch).is_ok(), "{subject:?}");
        assert!(limiter.count(subject, epoch).is_err(), "{subject:?}");
    }
}

/// draft-ietf-httpapi-ratelimit-headers-11 §3, §4.
#[test]
fn fields_have_the_form_of_the_draft() {
    let (limiter, epoch) = begun(limit(600, 60 * SECOND, 30));
    assert_eq!(limiter.policy_field(), "\"api\";q=30;w=3");
    let count = || limiter.count(Subject::Route("r"), epoch);
    assert_eq!(limiter.standing_field(count()), "\"api\";r=29;t=1");
    assert!((0..28).all(|_| count().is_ok()));
    let last = count();
    assert_eq!(limiter.standing_field(last), "\"api\";r=0;t=3");
    assert_eq!(limiter.standing_field(count()), "\"api\";r=0;t=1", "the same as Retry-After");
    let (slow, _) = begun(limit(1, 86_400 * SECOND, 2));
    assert_eq!(slow.policy_field(), "\"api\";q=2;w=172800");
    let (fast, _) = begun(limit(1_000_000, SECOND, 1));
    assert_eq!(fast.policy_field(), "\"api\";q=1;w=1");
}

#[test]
fn buckets_go_on_as_long_as_their_limit_is_the_same() {
    let epoch = clock::monotonic();
    let count = |limits: &Limits| {
        let limiter = limits.at(&[0]).next().unwrap();
        limiter.count(address("192.0.2.1"), epoch).is_ok()
    };
    let first = Limits::new(&[limit(1, SECOND, 1)], None, epoch);
    assert!(count(&first) && !count(&first));
    let mut other = limit(1, SECOND, 1);
    other.name = LimitName::new("other").unwrap();
    let moved = Limits::new(&[limit(1, SECOND, 1), other], Some(&first), epoch);
    assert!(!count(&moved), "it was used up before");
    let changed = Limits::new(&[limit(1, SECOND, 2)], Some(&moved), epoch);
    assert!(count(&changed));
    assert_eq!((changed.at(&[0]).count(), changed.at(&[1]).count()), (1, 0));
}
