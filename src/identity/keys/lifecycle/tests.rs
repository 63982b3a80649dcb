use std::time::Duration;

use proptest::prelude::*;

use super::{Change, Facts, KeyPolicy, due, idle};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::token::{KeyId, KeyState, SigningKey};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const POLICY: KeyPolicy = KeyPolicy {
    algorithm: Algorithm::Es256,
    lives: Duration::from_secs(4505),
    rotate_every: Some(Duration::from_secs(90 * 86_400)),
    publish_ahead: Duration::from_secs(900),
};

fn id() -> KeyId {
    SigningKey::generate(Algorithm::Hs256, NOW).unwrap().id().clone()
}

fn key(state: KeyState) -> Facts {
    Facts { id: id(), algorithm: Algorithm::Es256, created: NOW, state }
}

fn active(since: UnixTime) -> KeyState {
    KeyState::Active { since, lives: POLICY.lives }
}

fn retired(since: UnixTime) -> KeyState {
    KeyState::Retired { since, lives: POLICY.lives }
}

/// What is due for keys in these states.
#[track_caller]
fn assert_due(states: &[KeyState], published: Duration, expected: Option<Change>) {
    let keys: Vec<_> = states.iter().copied().map(key).collect();
    assert_eq!(due(&keys, &POLICY, NOW, published), expected, "{states:?}");
    let idle = idle(&keys, &POLICY, NOW, published);
    assert!(expected.is_some() || idle.is_none_or(|idle| !idle.is_zero()), "{states:?} would never sleep");
}

#[test]
fn an_empty_store_gets_a_key_that_signs_at_once() {
    assert_due(&[], Duration::ZERO, Some(Change::Make(active(NOW))));
}

#[test]
fn the_next_key_is_made_while_there_is_time_to_publish_it() {
    let begins = NOW.before(90 * DAY).after(POLICY.publish_ahead);
    assert_due(&[active(begins)], Duration::ZERO, Some(Change::Make(KeyState::Next)));
    assert_due(&[active(begins.after(Duration::from_millis(1)))], Duration::ZERO, None);
}

#[test]
fn the_next_key_signs_when_it_has_been_published_for_long_enough() {
    let keys = [active(NOW.before(90 * DAY)), KeyState::Next];
    assert_due(&keys, POLICY.publish_ahead, Some(Change::Activate(1)));
    // However late it is: whoever verifies our tokens has to know the key first.
    assert_due(&keys, POLICY.publish_ahead - Duration::from_millis(1), None);
}

#[test]
fn a_retired_key_stays_until_its_last_token_has_expired() {
    let last = NOW.before(POLICY.lives);
    assert_due(&[active(NOW), retired(last.after(Duration::from_millis(1)))], Duration::ZERO, None);
    assert_due(&[active(NOW), retired(last)], Duration::ZERO, Some(Change::Remove(1)));
}

#[test]
fn tokens_of_the_longest_lifetime_that_a_key_has_signed_count() {
    let short = KeyState::Active { since: NOW, lives: MINUTE };
    let lengthened = Change::Restate(0, active(NOW));
    assert_due(&[short], Duration::ZERO, Some(lengthened));
    let long = KeyState::Active { since: NOW, lives: 7 * DAY };
    assert_due(&[long], Duration::ZERO, None);
    let retired = KeyState::Retired { since: NOW.before(6 * DAY), lives: 7 * DAY };
    assert_due(&[active(NOW), retired], Duration::ZERO, None);
}

#[test]
fn another_algorithm_is_a_rotation() {
    let policy = KeyPolicy { algorithm: Algorithm::EdDsa, ..POLICY };
    let old = key(active(NOW));
    assert_eq!(
        due(std::slice::from_ref(&old), &policy, NOW, Duration::ZERO),
        Some(Change::Make(KeyState::Next))
    );
    let next = Facts { algorithm: Algorithm::EdDsa, ..key(KeyState::Next) };
    let keys = [old, next];
    assert_eq!(due(&keys, &policy, NOW, MINUTE), None);
    assert_eq!(due(&keys, &policy, NOW, policy.publish_ahead), Some(Change::Activate(1)));
    // Taken back before it signed.
    assert_eq!(due(&keys, &POLICY, NOW, MINUTE), Some(Change::Remove(1)));
}

#[test]
fn rotation_that_is_off_still_ends_what_was_begun() {
    let policy = KeyPolicy { rotate_every: None, ..POLICY };
    let old = key(active(NOW.before(4000 * DAY)));
    assert_eq!(due(std::slice::from_ref(&old), &policy, NOW, Duration::ZERO), None);
    assert_eq!(idle(std::slice::from_ref(&old), &policy, NOW, Duration::ZERO), None);
    assert_eq!(due(&[old, key(KeyState::Next)], &policy, NOW, HOUR), Some(Change::Activate(1)));
}

#[test]
fn times_of_a_clock_that_was_far_ahead_are_set_right() {
    let far = NOW.after(73 * 365 * DAY);
    assert_due(&[active(far)], Duration::ZERO, Some(Change::Restate(0, active(NOW))));
    assert_due(&[active(NOW), retired(far)], Duration::ZERO, Some(Change::Restate(1, retired(NOW))));
    // A little is waited for.
    assert_due(&[active(NOW.after(HOUR)), retired(NOW.after(HOUR))], Duration::ZERO, None);
}

/// Minutes by which both clocks go on, by which the wall clock alone jumps, and what happens then.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Jump(i64),
    Restart,
    Rotate,
    Algorithm(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..200_u64).prop_map(Step::Pass),
        (0..200_000_u64).prop_map(Step::Pass),
        (-600_000..600_000_i64).prop_map(Step::Jump),
        Just(Step::Restart),
        Just(Step::Rotate),
        (0..4_usize).prop_map(Step::Algorithm),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the clocks, restarts and administrators do: one key signs, and no key signs that was not published before for
    /// long enough, but for the very first.
    #[test]
    fn one_key_signs_and_was_published_before(steps in steps()) {
        let (mut keys, mut policy): (Vec<Facts>, _) = (Vec::new(), POLICY);
        let (mut now, mut published) = (NOW, Duration::ZERO);
        for step in steps {
            match step {
                Step::Pass(minutes) => {
                    let span = MINUTE * u32::try_from(minutes).unwrap();
                    now = now.after(span);
                    published += span;
                }
                Step::Jump(minutes) if minutes < 0 => now = now.before(MINUTE * u32::try_from(-minutes).unwrap()),
                Step::Jump(minutes) => now = now.after(MINUTE * u32::try_from(minutes).unwrap()),
                Step::Restart => published = Duration::ZERO,
                Step::Rotate => {
                    if !keys.is_empty() && keys.iter().all(|key| key.state != KeyState::Next) {
                        keys.push(Facts { algorithm: policy.algorithm, ..key(KeyState::Next) });
                        published = Duration::ZERO;
                    }
                }
                Step::Algorithm(index) => policy.algorithm = Algorithm::ALL[index],
            }
            let mut changes = 0;
            while let Some(change) = due(&keys, &policy, now, published) {
                changes += 1;
                prop_assert!(changes < 100, "it never ends: {:?}", change);
                match change {
                    Change::Make(state) => {
                        prop_assert!(state == KeyState::Next || keys.is_empty());
                        keys.push(Facts { algorithm: policy.algorithm, ..key(state) });
                        published = Duration::ZERO;
                    }
                    Change::Activate(place) => {
                        prop_assert!(published >= policy.publish_ahead);
                        prop_assert_eq!(keys[place].state, KeyState::Next);
                        for key in &mut keys {
                            if matches!(key.state, KeyState::Active { .. }) {
                                key.state = retired(now);
                            }
                        }
                        keys[place].state = active(now);
                    }
                    Change::Restate(place, state) => {
                        prop_assert_eq!(keys[place].state.name(), state.name());
                        keys[place].state = state;
                    }
                    Change::Remove(place) => {
                        let removed = keys.remove(place).state;
                        prop_assert!(removed.name() != "active");
                    }
                }
            }
            prop_assert_eq!(keys.iter().filter(|key| matches!(key.state, KeyState::Active { .. })).count(), 1);
            prop_assert!(keys.iter().filter(|key| key.state == KeyState::Next).count() <= 1);
        }
    }
}
