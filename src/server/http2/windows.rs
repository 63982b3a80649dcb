//! The windows (RFC 9113 §5.2): what a client may still send, and what it still takes.

use super::Client;
use super::frame::{self, Code, MAX_31_BITS};

/// Content that may wait here to be read: of one request, and of all of a connection together. One that nobody reads does not stop the
/// others.
pub(super) const STREAM_WINDOW: u32 = 512 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

impl Client<'_> {
    /// Tells the client what it may send again on a stream, and counts it for the connection.
    pub(super) fn give_window(&mut self, key: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(content) = &stream.content else { return };
        let done = content.take_done() as u32;
        self.owed += done;
        stream.owed += done;
        if stream.owed >= STREAM_WINDOW / 2 && !stream.is_half_closed {
            frame::write_window_update(&mut self.output.bytes, stream.id, stream.owed);
            stream.may_send += std::mem::take(&mut stream.owed);
        }
    }

    pub(super) fn give_windows(&mut self) {
        if self.owed >= CONNECTION_WINDOW / 2 {
            frame::write_window_update(&mut self.output.bytes, 0, self.owed);
            self.may_send += std::mem::take(&mut self.owed);
        }
    }

    pub(super) fn widen_connection(&mut self, increment: u32) -> Result<(), Code> {
        self.output.window = widened(self.output.window, increment)?;
        self.feed();
        self.count_idle_frame()
    }

    pub(super) fn widen(&mut self, id: u32, increment: u32) -> Result<(), Code> {
        match self.streams.find(id) {
            None => self.check_is_known(id)?,
            Some(key) => {
                let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
                match widened(stream.window, increment) {
                    Ok(window) => stream.window = window,
                    Err(code) => return self.spoil(key, code),
                }
                self.streams.wake(key);
            }
        }
        self.count_idle_frame()
    }

    /// RFC 9113 §6.9.2.
    pub(super) fn move_windows(&mut self, size: u32) -> Result<(), Code> {
        let change = i64::from(size) - i64::from(std::mem::replace(&mut self.first_window, size));
        for stream in self.streams.iter_mut() {
            stream.window += change;
            if stream.window > MAX_31_BITS.into() {
                return Err(Code::FlowControlError);
            }
        }
        if change > 0 {
            self.streams.wake_all();
        }
        Ok(())
    }

    /// Wakes the stream that has waited longest for the window of the connection, if that is open. One at a time, and each goes behind
    /// the others when it has had its part: or the first one would take all of it, time after time.
    pub(super) fn feed(&mut self) -> bool {
        if self.starved.is_empty() || self.output.window <= 0 {
            return false;
        }
        let Some(key) = self.starved.pop_front() else { return false };
        if let Some(stream) = self.streams.get_mut(key) {
            stream.is_starved = false;
        }
        self.streams.wake(key);
        true
    }

    pub(super) fn starve(&mut self, key: usize) {
        if let Some(stream) = self.streams.get_mut(key)
            && !std::mem::replace(&mut stream.is_starved, true)
        {
            self.starved.push_back(key);
        }
    }
}

/// RFC 9113 §6.9 and §6.9.1.
fn widened(window: i64, increment: u32) -> Result<i64, Code> {
    match window + i64::from(increment) {
        _ if increment == 0 => Err(Code::ProtocolError),
        window if window > MAX_31_BITS.into() => Err(Code::FlowControlError),
        window => Ok(window),
    }
}
