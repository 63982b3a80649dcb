//! Whether the wall clock may be believed that so much time has gone by.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Moment;

/// By how much the clocks may differ between two looks at them without one of them having been set.
const TOLERANCE: Duration = Duration::from_secs(60);

/// Compares the wall clock with the one that only goes on. When the wall clock has jumped ahead, all that is remembered for some
/// time looks older than it is; were it forgotten, it would be missing when the clock is set right.
#[derive(Debug, Default)]
pub struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Moment>,
    patient_until: Option<Instant>,
}

impl Pace {
    /// Whether what was made `retention` ago by the wall clock may be forgotten. After a jump that has to wait until as much time has
    /// really gone by. Call it every minute.
    pub fn allows(&self, now: Moment, retention: Duration) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_jumped = state.last.is_some_and(|last| {
            let really = now.steady.saturating_duration_since(last.steady);
            now.wall.since(last.wall) > really.saturating_add(TOLERANCE)
        });
        state.last = Some(now);
        if has_jumped {
            state.patient_until = now.steady.checked_add(retention);
        }
        state.patient_until.is_none_or(|until| until <= now.steady)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;
    use crate::clock::{self, Moment, UnixTime};

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// A clock that was ahead for a while outlived revocations: they were forgotten at once.
    #[test]
    fn after_a_jump_of_the_wall_clock_nothing_is_forgotten_until_the_time_has_gone_by() {
        let (pace, begin) = (Pace::default(), clock::monotonic());
        let at = |passed: Duration, ahead: Duration| Moment {
            wall: UnixTime::from_secs(1_700_000_000).after(passed + ahead),
            steady: begin + passed,
        };
        assert!(pace.allows(at(Duration::ZERO, Duration::ZERO), HOUR));
        assert!(pace.allows(at(MINUTE, MINUTE / 2), HOUR), "clocks are adjusted");
        assert!(!pace.allows(at(2 * MINUTE, 24 * HOUR), HOUR));
        assert!(!pace.allows(at(HOUR, 24 * HOUR), HOUR));
        assert!(!pace.allows(at(HOUR + MINUTE, Duration::ZERO), HOUR), "set right: still patient");
        assert!(pace.allows(at(HOUR + 2 * MINUTE, Duration::ZERO), HOUR));
        assert!(pace.allows(at(5 * HOUR, Duration::ZERO), HOUR), "a long sleep of both clocks is no jump");
    }
}
