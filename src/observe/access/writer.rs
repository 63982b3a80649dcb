//! Writes batches of records to an output that may fail and come back.

use std::io::{self, ErrorKind, Write};

/// An empty batch that a burst has left larger than this many bytes gives its memory back.
pub(super) const KEEP: usize = 256 * 1024;

/// Where records go: a file or standard output, and in tests what a test needs.
pub(super) type Output = Box<dyn Write + Send>;

/// Writes whole batches, keeps what could not be written, and says once that it cannot and once that it can again.
pub(super) struct Writer {
    output: Output,
    /// Replaces `output` as soon as no record is half written.
    pub(super) next: Option<Output>,
    pub(super) batch: Vec<u8>,
    /// Bytes of `batch` that are written.
    written: usize,
    failing: bool,
    dropped: u64,
}

impl Writer {
    pub(super) fn new(output: Output) -> Self {
        Self { output, next: None, batch: Vec::new(), written: 0, failing: false, dropped: 0 }
    }

    /// Writes what `swap` exchanges for the empty batch that it is given; `swap` also returns the count of records that
    /// were dropped. False if the output takes no more for now; before that, what it did not take is written.
    pub(super) fn write(&mut self, swap: impl FnOnce(&mut Vec<u8>) -> u64) -> bool {
        if !self.flush() {
            return false;
        }
        self.dropped += swap(&mut self.batch);
        self.flush()
    }

    /// Writes what is left of the batch; false if the output does not take all of it.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(rest) = self.batch.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.output.write(rest) {
                Ok(0) => return self.failed(&ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.failed(&error),
            }
        }
        self.succeeded();
        true
    }

    /// Whether there is nothing left to write or to change to.
    pub(super) fn is_done(&self) -> bool {
        self.batch.is_empty() && self.next.is_none()
    }

    fn failed(&mut self, error: &io::Error) -> bool {
        // A pipe whose reader is slow is not broken.
        if error.kind() != ErrorKind::WouldBlock && !self.failing {
            self.failing = true;
            tracing::error!(error = %error, "the access log cannot be written; trying again");
        }
        if let Some(next) = self.next.take() {
            self.output = next;
            // From the start of a line: half a record would be garbage in the new file, one that is in both is not.
            let done = self.batch.get(..self.written).unwrap_or_default();
            self.written = done.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        }
        false
    }

    fn succeeded(&mut self) {
        self.batch.clear();
        self.batch.shrink_to(KEEP);
        self.written = 0;
        if let Some(next) = self.next.take() {
            self.output = next;
        }
        if std::mem::take(&mut self.failing) {
            tracing::info!("the access log can be written again");
        }
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            tracing::warn!(
                count = dropped,
                "access records were dropped, because they came faster than they could be written"
            );
        }
    }

    /// The last word, if the output took nothing to the end.
    pub(super) fn give_up(&self) {
        if self.written < self.batch.len() {
            tracing::warn!("the access log cannot be written; its last records are lost");
        }
    }
}
