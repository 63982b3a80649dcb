//! What a client may cause that brings nothing: SECURITY D1. Each of it is cheap for the client, and work for us or for a backend.

use std::time::{Duration, Instant};

use super::frame::Code;

/// Requests given up soon after they began, or spoilt, beyond those that were answered (CVE-2023-44487, CVE-2025-8671). A browser that
/// leaves a page cancels all that it has open, which is `max_streams` at the most.
const MAX_RESETS: u32 = 200;
const RESETS_WITHIN: Duration = Duration::from_secs(30);

/// Frames that carry nothing, beyond those that carry something: pings, settings, empty data, parts of a header block without content
/// (CVE-2019-9512, CVE-2019-9515, CVE-2019-9518, CVE-2024-27316).
const MAX_IDLE_FRAMES: u32 = 2_000;
const IDLE_FRAMES_WITHIN: Duration = Duration::from_secs(10);

/// What one client has caused.
pub(super) struct Flood {
    resets: Count,
    idle_frames: Count,
}

struct Count {
    count: u32,
    since: Instant,
}

impl Flood {
    pub(super) fn new(now: Instant) -> Self {
        let none = || Count { count: 0, since: now };
        Self { resets: none(), idle_frames: none() }
    }

    /// A request came to nothing by the client's doing.
    pub(super) fn reset(&mut self, now: impl FnOnce() -> Instant) -> Result<(), Code> {
        self.resets.add(MAX_RESETS, RESETS_WITHIN, now)
    }

    /// A request was answered.
    pub(super) fn answered(&mut self) {
        self.resets.count = self.resets.count.saturating_sub(1);
    }

    /// A frame that carries nothing has come.
    pub(super) fn idle_frame(&mut self, now: impl FnOnce() -> Instant) -> Result<(), Code> {
        self.idle_frames.add(MAX_IDLE_FRAMES, IDLE_FRAMES_WITHIN, now)
    }

    /// Frames have carried something, in one direction or the other.
    pub(super) fn carried(&mut self, frames: u32) {
        self.idle_frames.count = self.idle_frames.count.saturating_sub(frames.saturating_mul(4));
    }
}

impl Count {
    /// The clock is read only when there are too many.
    fn add(&mut self, max: u32, within: Duration, now: impl FnOnce() -> Instant) -> Result<(), Code> {
        self.count += 1;
        if self.count > max {
            let now = now();
            if now.saturating_duration_since(self.since) < within {
                return Err(Code::EnhanceYourCalm);
            }
            *self = Self { count: 0, since: now };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Flood, IDLE_FRAMES_WITHIN, MAX_IDLE_FRAMES, MAX_RESETS, RESETS_WITHIN};
    use crate::clock;

    #[test]
    fn too_many_resets_within_a_time_are_too_many() {
        let start = clock::monotonic();
        let mut flood = Flood::new(start);
        for _ in 0..MAX_RESETS {
            flood.reset(|| start).unwrap();
        }
        flood.answered();
        flood.reset(|| start).unwrap();
        assert!(flood.reset(|| start + RESETS_WITHIN - Duration::from_millis(1)).is_err());
        flood.reset(|| start + RESETS_WITHIN).unwrap();
        for _ in 0..MAX_RESETS {
            flood.reset(|| unreachable!("it is not yet too many")).unwrap();
        }
        assert!(flood.reset(|| start + RESETS_WITHIN).is_err());
    }

    #[test]
    fn frames_that_carry_nothing_are_let_pass_beside_those_that_do() {
        let start = clock::monotonic();
        let mut flood = Flood::new(start);
        for _ in 0..10 * MAX_IDLE_FRAMES {
            flood.idle_frame(|| start).unwrap();
            flood.carried(1);
        }
        for _ in 0..MAX_IDLE_FRAMES {
            flood.idle_frame(|| start).unwrap();
        }
        assert!(flood.idle_frame(|| start).is_err());
        flood.idle_frame(|| start + IDLE_FRAMES_WITHIN).unwrap();
    }
}
