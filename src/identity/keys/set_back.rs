//! What becomes of the keys when the clock was ahead by hours, and is set right.
//!
//! A token that was issued meanwhile is refused from then on, since its `iat` lies in the future; and it passes again when that
//! time comes. By then nobody remembers that it was revoked, since what is revoked is remembered for as long as a token lives. So
//! the time is noted in the store, and when the clock shows far less, all keys are replaced as after a theft. Access tokens end with
//! that, sessions do not. A clock that is wrong by less than [`CLOCK_CORRECTION`] does no harm: all is remembered for as much longer.

use super::lifecycle::CLOCK_CORRECTION;
use super::{KeyPolicy, Keys, KeysError};
use crate::clock::UnixTime;
use crate::store::{Batch, Table};

/// Where the time is, in [`Table::Meta`], in milliseconds.
const LATEST: &[u8] = b"latest_time_ms";

/// The noted time is so far behind at most, and the minute between two looks at the clock.
const NOTED_EVERY_MILLIS: u64 = CLOCK_CORRECTION.as_millis() as u64 / 3;
/// A clock that shows so much less than the noted time was set back. More than that and the lag of the note is still less than
/// [`CLOCK_CORRECTION`].
const SET_BACK_MILLIS: u64 = CLOCK_CORRECTION.as_millis() as u64 / 2;

impl Keys {
    /// Replaces all keys if the clock was set back by an hour or more, and returns whether it did. Call it at the start, and then every
    /// minute.
    ///
    /// # Errors
    /// [`KeysError`]; the next call tries again.
    pub fn replace_if_set_back(&self, policy: &KeyPolicy, now: UnixTime) -> Result<bool, KeysError> {
        let latest = self.noted_time()?;
        if latest <= now.as_millis().saturating_add(SET_BACK_MILLIS) {
            return Ok(false);
        }
        let mut state = self.lock();
        let has_keys = !state.kept.is_empty();
        if has_keys {
            tracing::warn!(noted = %UnixTime::from_millis(latest), "the clock was set back: tokens of a time that has not come yet would pass later");
            self.replace_all(&mut state, policy, now)?;
        }
        self.write_time(now).map(|()| has_keys)
    }

    /// Notes the time, if it has not been noted for a while. Call it every minute, after [`Self::replace_if_set_back`].
    ///
    /// # Errors
    /// [`KeysError::Store`]
    pub fn note_time(&self, now: UnixTime) -> Result<(), KeysError> {
        let is_due = now.as_millis() >= self.noted_time()?.saturating_add(NOTED_EVERY_MILLIS);
        if is_due { self.write_time(now) } else { Ok(()) }
    }

    fn noted_time(&self) -> Result<u64, KeysError> {
        let noted = self.store.get(Table::Meta, LATEST)?;
        let text = noted.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn write_time(&self, now: UnixTime) -> Result<(), KeysError> {
        Ok(self.store.commit(Batch::new().put(Table::Meta, LATEST, now.as_millis().to_string()))?)
    }
}
